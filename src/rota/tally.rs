//! What would otherwise take a walk over all zones, counted as they change.

use std::collections::BTreeMap;

use crate::{dns::OwnerName, status::ZoneState, zone::Zone};

/// Counts over all zones.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How many MX point to a name. Asked of each address that is to go.
    targets: BTreeMap<OwnerName, usize>,
    /// Zones of which nothing is known: they may point to anything.
    unknown: usize,
    /// Zones whose content is neither known nor known to be out of reach.
    unsettled: usize,
    /// Zones by their state. None of them is 0.
    states: BTreeMap<ZoneState, usize>,
}

impl Tally {
    /// Counts a zone in.
    pub(super) fn add(&mut self, zone: &Zone) {
        self.unsettled += usize::from(!zone.is_settled());
        if !zone.is_dormant() {
            *self.states.entry(zone.state()).or_default() += 1;
        }
        match zone.targets() {
            None => self.unknown += 1,
            Some(targets) => {
                for target in targets {
                    *self.targets.entry(target.clone()).or_default() += 1;
                }
            }
        }
    }

    /// Takes a zone out that was counted in, as it was then.
    pub(super) fn remove(&mut self, zone: &Zone) {
        self.unsettled -= usize::from(!zone.is_settled());
        if !zone.is_dormant() {
            one_less(&mut self.states, &zone.state());
        }
        match zone.targets() {
            None => self.unknown -= 1,
            Some(targets) => targets.into_iter().for_each(|target| one_less(&mut self.targets, target)),
        }
    }

    /// How many zones are in each state that any is in.
    pub(super) const fn states(&self) -> &BTreeMap<ZoneState, usize> {
        &self.states
    }

    /// Whether any zone but `here` may have an MX that points to a name. `here` is `None` while it is not counted in.
    pub(super) fn is_target_beside(&self, here: Option<&Zone>, target: &OwnerName) -> bool {
        let count = self.unknown + self.targets.get(target).copied().unwrap_or_default();
        let of = |zone: &Zone| zone.targets().map_or(1, |all| all.into_iter().filter(|name| *name == target).count());
        count > here.map_or(0, of)
    }

    /// Whether every zone's content is known, or known to be out of reach for now.
    pub(super) const fn is_settled(&self) -> bool {
        self.unsettled == 0
    }
}

fn one_less<K: Ord>(counts: &mut BTreeMap<K, usize>, of: &K) {
    if let Some(count) = counts.get_mut(of) {
        *count -= 1;
        if *count == 0 {
            counts.remove(of);
        }
    }
}
