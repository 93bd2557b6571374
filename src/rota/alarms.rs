//! Which zone wants a turn when: one alarm a zone.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use crate::dns::OwnerName;

/// The alarms of all zones.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    by_time: BTreeSet<(Instant, OwnerName)>,
    by_zone: BTreeMap<OwnerName, Instant>,
}

impl Alarms {
    /// Sets a zone's alarm, or takes it away.
    pub(super) fn set(&mut self, zone: &OwnerName, at: Option<Instant>) {
        if let Some(old) = self.by_zone.remove(zone) {
            self.by_time.remove(&(old, zone.clone()));
        }
        if let Some(at) = at {
            self.by_zone.insert(zone.clone(), at);
            self.by_time.insert((at, zone.clone()));
        }
    }

    /// Takes a zone whose time has come.
    pub(super) fn ring(&mut self, now: Instant) -> Option<OwnerName> {
        let (_, zone) = self.by_time.first().filter(|(at, _)| *at <= now)?.clone();
        self.set(&zone, None);
        Some(zone)
    }

    /// Takes the zone whose time comes first, though it has not come yet.
    pub(super) fn ring_first(&mut self) -> Option<OwnerName> {
        self.ring(self.next()?)
    }

    /// The next time that one rings.
    pub(super) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }
}
