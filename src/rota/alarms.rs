//! Which zone wants a turn when: one alarm a zone.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use crate::{dns::OwnerName, zone::EARLY};

/// The alarms of all zones.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    exact: Times,
    /// Those of zones at rest: many ring together, up to [`EARLY`] before their time.
    at_rest: Times,
}

impl Alarms {
    /// Sets a zone's alarm, or takes it away.
    pub(super) fn set(&mut self, zone: &OwnerName, at: Option<Instant>, is_at_rest: bool) {
        self.exact.set(zone, at.filter(|_| !is_at_rest));
        self.at_rest.set(zone, at.filter(|_| is_at_rest));
    }

    /// Takes the zones whose time has come.
    pub(super) fn ring(&mut self, now: Instant) -> Vec<OwnerName> {
        let mut zones = self.exact.take(now);
        if self.at_rest.next().is_some_and(|at| at <= now) {
            zones.extend(self.at_rest.take(now + EARLY));
        }
        zones
    }

    /// Takes a zone, though its time has not come yet: one that waits for more than a look, if there is any.
    pub(super) fn ring_first(&mut self) -> Option<OwnerName> {
        self.exact.take_first().or_else(|| self.at_rest.take_first())
    }

    /// The next time that one rings.
    pub(super) fn next(&self) -> Option<Instant> {
        [self.exact.next(), self.at_rest.next()].into_iter().flatten().min()
    }
}

/// A time for each of some zones.
#[derive(Debug, Default)]
struct Times {
    by_time: BTreeSet<(Instant, OwnerName)>,
    by_zone: BTreeMap<OwnerName, Instant>,
}

impl Times {
    fn set(&mut self, zone: &OwnerName, at: Option<Instant>) {
        if let Some(old) = self.by_zone.remove(zone) {
            self.by_time.remove(&(old, zone.clone()));
        }
        if let Some(at) = at {
            self.by_zone.insert(zone.clone(), at);
            self.by_time.insert((at, zone.clone()));
        }
    }

    fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// All that are not after `until`.
    fn take(&mut self, until: Instant) -> Vec<OwnerName> {
        let mut zones = Vec::new();
        while self.next().is_some_and(|at| at <= until) {
            zones.extend(self.take_first());
        }
        zones
    }

    fn take_first(&mut self) -> Option<OwnerName> {
        let (_, zone) = self.by_time.pop_first()?;
        self.by_zone.remove(&zone);
        Some(zone)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::io::clock;

    #[test]
    fn zones_at_rest_ring_together_and_the_others_at_their_time() {
        let start = clock::now();
        let name = |text: &str| OwnerName::parse(text).unwrap();
        let at = |millis| start + Duration::from_millis(millis);
        let mut alarms = Alarms::default();
        for (zone, millis, is_at_rest) in [
            ("retry.test", 10_500, false),
            ("a.test", 10_000, true),
            ("b.test", 11_900, true),
            ("c.test", 12_100, true),
            ("moved.test", 10_000, true),
            ("moved.test", 20_000, false),
        ] {
            alarms.set(&name(zone), Some(at(millis)), is_at_rest);
        }
        assert_eq!(alarms.next(), Some(at(10_000)));
        for (now, rung) in [
            (9_999, &[][..]),
            (10_000, &["a.test", "b.test"]),
            (10_100, &[]),
            (10_500, &["retry.test"]),
            (12_100, &["c.test"]),
        ] {
            assert_eq!(alarms.ring(at(now)), rung.iter().map(|zone| name(zone)).collect::<Vec<_>>(), "{now}");
        }
        assert_eq!(alarms.ring_first(), Some(name("moved.test")));
        assert_eq!(alarms.next(), None);
    }
}
