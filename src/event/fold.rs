//! Folding: trouble that repeats is told once, then counted.
//!
//! ```text
//!            same again           same again            window over, count > 0
//!  told ------------------> count 1 ------------> count n ------------------------> "... (n times in 5m)", told
//!    |                                                                                  (a new window)
//!    +-- window over without a repetition, or good news of the same object --> forgotten
//! ```

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{Event, Kind, Level};
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
}

/// Which troubles have been told, and how often they have come back since.
#[derive(Debug, Default)]
pub struct Fold {
    /// By kind and reason; what has no reason is told apart by its line.
    troubles: BTreeMap<Object, BTreeMap<(Kind, String), Repeated>>,
}

impl Fold {
    /// Takes an event; returns what is to be told now, in order.
    ///
    /// Transitions of checks are never folded: each is news. Good news of an object ends the folding of its troubles, so
    /// that the next trouble is told at once.
    pub fn push(&mut self, event: Event, now: Instant) -> Vec<Event> {
        if event.kind.level() == Level::Info {
            let ended = self.end_of(&event);
            return ended.iter().filter_map(|repeated| repeated.summary(now)).chain([event]).collect();
        }
        if matches!(event.kind, Kind::CheckDown | Kind::CheckUnknown) {
            return vec![event];
        }
        let troubles = self.troubles.entry(object(&event)).or_default();
        let trouble = (event.kind, event.reason.clone().unwrap_or_else(|| event.message.clone()));
        if let Some(repeated) = troubles.get_mut(&trouble) {
            repeated.count += 1;
            repeated.last = event;
            return Vec::new();
        }
        if troubles.len() < REASONS {
            troubles.insert(trouble, Repeated { told: now, count: 0, last: event.clone() });
        }
        vec![event]
    }

    /// Takes out the troubles that good news ends: all of its object, and of those without an object the ones that it answers.
    fn end_of(&mut self, news: &Event) -> Vec<Repeated> {
        let object = object(news);
        if object != Object::default() {
            return self.troubles.remove(&object).unwrap_or_default().into_values().collect();
        }
        let Some(troubles) = self.troubles.get_mut(&object) else { return Vec::new() };
        let answered = answered(news.kind);
        troubles.extract_if(.., |(kind, _), _| answered.contains(kind)).map(|(_, repeated)| repeated).collect()
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

    /// Returns the summaries of everything that is still counted, at the end.
    #[must_use]
    pub fn end(self, now: Instant) -> Vec<Event> {
        self.troubles.values().flat_map(BTreeMap::values).filter_map(|repeated| repeated.summary(now)).collect()
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

/// The troubles that news of this kind are the end of.
const fn answered(news: Kind) -> &'static [Kind] {
    match news {
        Kind::ConfigLoaded => &[Kind::ConfigRefused, Kind::ConfigWarning],
        Kind::BlindOver => &[Kind::Blind],
        Kind::EnoughHealthy => &[Kind::TooFewHealthy],
        Kind::PrimaryBack => &[Kind::PrimaryLost],
        Kind::KeysAccepted => &[Kind::KeysRefused],
        Kind::HoldEnded => &[Kind::HoldBegun],
        Kind::StateSaved => &[Kind::StateTrouble],
        _ => &[],
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
mod tests {
    use super::*;
    use crate::{dns::OwnerName, io::clock};

    fn failing(zone: &str, reason: &str) -> Event {
        Event::new(Kind::ZoneFailing, format!("zone {zone} fails: {reason}"))
            .zone(&OwnerName::parse(zone).unwrap())
            .reason(reason)
    }

    #[test]
    fn f3_news_without_an_object_end_the_troubles_that_they_answer_and_no_others() {
        let start = clock::now();
        let mut fold = Fold::default();
        let lost = || Event::new(Kind::PrimaryLost, "BIND gives no answer").reason("refused");
        let state = || Event::new(Kind::StateTrouble, "the state cannot be saved").reason("full");
        for (event, told) in [
            (lost(), 1),
            (state(), 1),
            (lost(), 0),
            (state(), 0),
            (Event::new(Kind::ConfigLoaded, "read"), 1),
            (Event::new(Kind::FirstRound, "over"), 1),
            (lost(), 0),
            (state(), 0),
            (Event::new(Kind::PrimaryBack, "BIND answers again"), 2),
            (lost(), 1),
            (state(), 0),
        ] {
            let words = event.message.clone();
            assert_eq!(fold.push(event, start).len(), told, "{words}");
        }
    }

    fn lines(events: Vec<Event>) -> Vec<String> {
        events.into_iter().map(|event| event.message).collect()
    }

    #[test]
    fn a_trouble_is_told_once_then_counted() {
        let (mut fold, start) = (Fold::default(), clock::now());
        assert_eq!(lines(fold.push(failing("a.org", "REFUSED"), start)), ["zone a.org fails: REFUSED"]);
        for second in 1..=57 {
            let now = start + Duration::from_secs(second * 5);
            assert!(fold.push(failing("a.org", "REFUSED"), now).is_empty());
            assert!(fold.due(now).is_empty());
        }
        let end = start + WINDOW;
        let told = fold.due(end);
        assert_eq!(told[0].zone.as_deref(), Some("a.org"));
        assert_eq!(lines(told), ["zone a.org fails: REFUSED (57 times in 5m)"]);
        assert!(fold.due(end + WINDOW).is_empty(), "a quiet window tells nothing");
        assert_eq!(fold.push(failing("a.org", "REFUSED"), end + WINDOW).len(), 1, "and the trouble is forgotten");
    }

    #[test]
    fn another_zone_or_reason_is_news() {
        let (mut fold, now) = (Fold::default(), clock::now());
        for event in [failing("a.org", "REFUSED"), failing("b.org", "REFUSED"), failing("a.org", "SERVFAIL")] {
            assert_eq!(fold.push(event.clone(), now).len(), 1);
            assert!(fold.push(event, now).is_empty());
        }
    }

    #[test]
    fn without_a_reason_the_line_tells_them_apart() {
        let (mut fold, now) = (Fold::default(), clock::now());
        for line in ["node1 is a loopback address", "node2 is a loopback address"] {
            assert_eq!(fold.push(Event::new(Kind::ConfigWarning, line), now).len(), 1);
            assert!(fold.push(Event::new(Kind::ConfigWarning, line), now).is_empty());
        }
    }

    #[test]
    fn good_news_of_the_object_ends_the_folding() {
        let (mut fold, start) = (Fold::default(), clock::now());
        let good =
            Event::new(Kind::ZoneRecovered, "zone a.org is right again").zone(&OwnerName::parse("a.org").unwrap());
        for zone in ["a.org", "a.org", "b.org", "b.org"] {
            fold.push(failing(zone, "REFUSED"), start);
        }
        let told = lines(fold.push(good, start + Duration::from_secs(61)));
        assert_eq!(told, ["zone a.org fails: REFUSED (once more in 1m 1s)", "zone a.org is right again"]);
        assert_eq!(fold.push(failing("a.org", "REFUSED"), start).len(), 1);
        assert!(fold.push(failing("b.org", "REFUSED"), start).is_empty());
    }

    #[test]
    fn transitions_are_never_folded() {
        let (mut fold, now) = (Fold::default(), clock::now());
        let down = Event::new(Kind::CheckDown, "node01 imap is down").reason("connection refused");
        for _ in 0..3 {
            assert_eq!(fold.push(down.clone(), now).len(), 1);
        }
        assert!(fold.due(now + WINDOW).is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let (mut fold, now) = (Fold::default(), clock::now());
        for number in 0..1_000 {
            assert_eq!(fold.push(failing("a.org", &number.to_string()), now).len(), 1);
        }
        assert_eq!(fold.troubles.values().map(BTreeMap::len).sum::<usize>(), REASONS);
        assert_eq!(fold.push(failing("a.org", "999"), now).len(), 1, "told, not swallowed");
        fold.due(now + WINDOW);
        assert!(fold.troubles.is_empty());
    }
}
