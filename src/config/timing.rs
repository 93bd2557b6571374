//! When a check is asked: what the check says, over what `defaults` says, over what is built in.

use std::time::Duration;

use super::{
    defaults,
    field::Field,
    problem::{Place, Report},
    shape,
    tree::Value,
};
use crate::check::Timing;

/// The keys that say when, as one part of the file has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys<'a> {
    pub interval: Option<Field<'a>>,
    pub fast_interval: Option<Field<'a>>,
    pub down_interval: Option<Field<'a>>,
    pub timeout: Option<Field<'a>>,
    pub rise: Option<Field<'a>>,
    pub fall: Option<Field<'a>>,
    pub jitter: Option<Field<'a>>,
    pub flap_hold: Option<Field<'a>>,
}

/// What they say; `None`: nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Settings {
    interval: Option<Set<Duration>>,
    fast_interval: Option<Set<Duration>>,
    down_interval: Option<Set<Duration>>,
    timeout: Option<Set<Duration>>,
    rise: Option<Set<u32>>,
    fall: Option<Set<u32>>,
    jitter: Option<Set<u8>>,
    flap_hold: Option<Set<Option<Duration>>>,
}

#[derive(Debug, Clone, Copy)]
struct Set<T> {
    value: T,
    at: Place,
}

/// Reads `defaults`.
pub(super) fn read_defaults(field: Field<'_>, report: &mut Report) -> Option<Settings> {
    let shape::Defaults { interval, fast_interval, down_interval, timeout, rise, fall, jitter, flap_hold } =
        shape::Defaults::read("defaults", field, report)?;
    Keys { interval, fast_interval, down_interval, timeout, rise, fall, jitter, flap_hold }.read(report)
}

impl Keys<'_> {
    /// Reads all of them; `None`: one has a problem.
    pub(super) fn read(self, report: &mut Report) -> Option<Settings> {
        let before = report.count();
        let mut duration = |field| set(field, |field| field.duration(defaults::INTERVAL_RANGE, report));
        let [interval, fast_interval, down_interval, timeout] =
            [self.interval, self.fast_interval, self.down_interval, self.timeout].map(&mut duration);
        let [rise, fall] =
            [self.rise, self.fall].map(|field| set(field, |field| field.number(defaults::COUNT_RANGE, report)));
        let jitter = set(self.jitter, |field| field.percent(defaults::JITTER_RANGE, report));
        let flap_hold = set(self.flap_hold, |field| match &field.node.value {
            Value::Scalar(text) if text == "false" => Some(None),
            Value::Scalar(text) if matches!(&**text, "no" | "off" | "true" | "yes" | "on") => {
                let text = format!("\"{text}\" is not known here; write false, or a duration such as \"30s\"");
                field.problem(&text, report);
                None
            }
            _ => field.duration(defaults::FLAP_HOLD_RANGE, report).map(Some),
        });
        let settings = Settings { interval, fast_interval, down_interval, timeout, rise, fall, jitter, flap_hold };
        (report.count() == before).then_some(settings)
    }
}

fn set<'a, T>(field: Option<Field<'a>>, read: impl FnOnce(Field<'a>) -> Option<T>) -> Option<Set<T>> {
    let field = field?;
    Some(Set { value: read(field)?, at: field.node.at })
}

impl Settings {
    /// These, and where they say nothing, others.
    pub(super) fn over(self, others: Self) -> Self {
        Self {
            interval: self.interval.or(others.interval),
            fast_interval: self.fast_interval.or(others.fast_interval),
            down_interval: self.down_interval.or(others.down_interval),
            timeout: self.timeout.or(others.timeout),
            rise: self.rise.or(others.rise),
            fall: self.fall.or(others.fall),
            jitter: self.jitter.or(others.jitter),
            flap_hold: self.flap_hold.or(others.flap_hold),
        }
    }

    /// These with what is built in. `timeout` is that for an interval; whether it `may_outlast` the interval.
    pub(super) fn timing(
        self,
        object: &str,
        timeout: impl Fn(Duration) -> Duration,
        may_outlast: bool,
        report: &mut Report,
    ) -> Timing {
        fn value<T>(set: Option<Set<T>>, or: T) -> T {
            set.map_or(or, |set| set.value)
        }
        let interval = value(self.interval, defaults::INTERVAL);
        // A short interval brings the two others down with it, so that it can be written alone.
        let fast_interval = value(self.fast_interval, defaults::FAST_INTERVAL.min(interval));
        let timeout = value(self.timeout, timeout(interval));
        let place = |set: Option<Set<Duration>>| set.or(self.interval).map(|set| set.at).unwrap_or_default();
        let show = humantime::format_duration;
        if timeout >= interval && !may_outlast {
            report.problem(
                place(self.timeout),
                format!(
                    "{object}: timeout: {} is not shorter than the interval of {}; write a shorter timeout or a longer \
                     interval",
                    show(timeout),
                    show(interval)
                ),
            );
        }
        if fast_interval > interval {
            report.problem(
                place(self.fast_interval),
                format!(
                    "{object}: fast_interval: {} is longer than the interval of {}; write that at most",
                    show(fast_interval),
                    show(interval)
                ),
            );
        }
        Timing {
            interval,
            fast_interval,
            down_interval: value(self.down_interval, interval),
            timeout,
            rise: value(self.rise, defaults::RISE),
            fall: value(self.fall, defaults::FALL),
            jitter: value(self.jitter, defaults::JITTER),
            flap_hold: value(self.flap_hold, Some(defaults::FLAP_HOLD)),
        }
    }
}
