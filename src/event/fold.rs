//! Folding: trouble that lasts and is told again and again is told once, then counted. What happens is told each time.
//!
//! ```text
//!            same again           same again            window over, count > 0
//!  told ------------------> count 1 ------------> count n ------------------------> "... (n times in 5m)", told
//!    |                                                                                  (a new window)
//!    +-- window over without a repetition, or what ends it is told of the same object --> forgotten
//! ```
//!
//! [`Kind::folding`] says which kinds last, and what ends each.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{Event, Folding, Kind};
use crate::text;

/// How long repetitions are counted before they are told. Five minutes: twelve lines an hour for each trouble that
/// lasts are enough to see that it lasts.
pub const WINDOW: Duration = Duration::from_mins(5);

/// More reasons than this for one object at a time are told unfolded. Objects are bounded by the file, reasons may
/// come from peers: memory stays bounded whatever they make us say.
const REASONS: usize = 16;

/// What an event speaks of.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Object {
    zone: Option<String>,
    node: Option<String>,
    check: Option<String>,
    address: Option<IpAddr>,
    owner: Option<String>,
    rrtype: Option<&'static str>,
}

/// The repetitions of one trouble.
#[derive(Debug)]
struct Repeated {
    told: Instant,
    count: u64,
    last: Event,
    /// Whether nothing else of its kind has been told of the object since.
    holds: bool,
}

/// Which troubles have been told, and how often they have come back since.
#[derive(Debug, Default)]
pub struct Fold {
    /// By kind and reason; what has no reason is told apart by its line.
    troubles: BTreeMap<Object, BTreeMap<(Kind, String), Repeated>>,
}

impl Fold {
    /// Takes an event; returns what is to be told now, in order.
    pub fn push(&mut self, event: Event, now: Instant) -> Vec<Event> {
        let object = object(&event);
        let ended = self.end_by(event.kind, &object);
        let mut told: Vec<_> = ended.iter().filter_map(|repeated| repeated.summary(now)).collect();
        if event.kind.folding() == Folding::Each {
            told.push(event);
            return told;
        }
        let troubles = self.troubles.entry(object).or_default();
        for (_, before) in troubles.iter_mut().filter(|((kind, _), _)| *kind == event.kind) {
            before.holds = false;
        }
        let trouble = (event.kind, event.reason.clone().unwrap_or_else(|| event.message.clone()));
        if let Some(repeated) = troubles.get_mut(&trouble) {
            repeated.count += 1;
            repeated.last = event;
            repeated.holds = true;
            return told;
        }
        if troubles.len() < REASONS {
            troubles.insert(trouble, Repeated { told: now, count: 0, last: event.clone(), holds: true });
        }
        told.push(event);
        told
    }

    /// Takes out the troubles of an object that news of this kind end.
    fn end_by(&mut self, news: Kind, object: &Object) -> Vec<Repeated> {
        let Some(troubles) = self.troubles.get_mut(object) else { return Vec::new() };
        let ends = |kind: Kind| matches!(kind.folding(), Folding::Until(ends) if ends.contains(&news));
        troubles.extract_if(.., |(kind, _), _| ends(*kind)).map(|(_, repeated)| repeated).collect()
    }

    /// Returns the summaries that are due; to be called now and then.
    pub fn due(&mut self, now: Instant) -> Vec<Event> {
        let mut due = Vec::new();
        for troubles in self.troubles.values_mut() {
            troubles.retain(|_, repeated| {
                if now.saturating_duration_since(repeated.told) < WINDOW {
                    return true;
                }
                let summary = repeated.summary(now);
                let lasts = summary.is_some();
                due.extend(summary);
                repeated.told = now;
                repeated.count = 0;
                lasts
            });
        }
        self.troubles.retain(|_, troubles| !troubles.is_empty());
        due
    }

    /// Returns the summaries of what is counted and still holds, at the end.
    #[must_use]
    pub fn end(self, now: Instant) -> Vec<Event> {
        let all = self.troubles.values().flat_map(BTreeMap::values);
        all.filter(|repeated| repeated.holds).filter_map(|repeated| repeated.summary(now)).collect()
    }
}

impl Repeated {
    /// The last event with the number of its repetitions; `None` if there were none.
    fn summary(&self, now: Instant) -> Option<Event> {
        let within = text::age(now.saturating_duration_since(self.told));
        let times = if self.count == 1 { "once more" } else { &format!("{} times", self.count) };
        (self.count > 0)
            .then(|| Event { message: format!("{} ({times} in {within})", self.last.message), ..self.last.clone() })
    }
}

fn object(event: &Event) -> Object {
    Object {
        zone: event.zone.clone(),
        node: event.node.clone(),
        check: event.check.clone(),
        address: event.address,
        owner: event.owner.clone(),
        rrtype: event.rrtype,
    }
}

#[cfg(test)]
mod tests;
