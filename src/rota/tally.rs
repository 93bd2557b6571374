//! What would otherwise take a walk over all zones, counted as they change.

use std::collections::BTreeMap;

use crate::{dns::OwnerName, zone::Zone};

/// Counts over all zones.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How many zones have an MX that points to a name. Asked of each address that is to go.
    targets: BTreeMap<OwnerName, usize>,
    /// Zones of which nothing is known: they may point to anything.
    unknown: usize,
    /// Zones whose content is neither known nor known to be out of reach.
    unsettled: usize,
}

impl Tally {
    /// Counts a zone in.
    pub(super) fn add(&mut self, zone: &Zone) {
        self.unsettled += usize::from(!zone.is_settled());
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
        match zone.targets() {
            None => self.unknown -= 1,
            Some(targets) => {
                for target in targets {
                    if let Some(count) = self.targets.get_mut(target) {
                        *count -= 1;
                        if *count == 0 {
                            self.targets.remove(target);
                        }
                    }
                }
            }
        }
    }

    /// Whether any zone but `here` may have an MX that points to a name. `here` is `None` while it is not counted in.
    pub(super) fn is_target_beside(&self, here: Option<&Zone>, target: &OwnerName) -> bool {
        let count = self.unknown + self.targets.get(target).copied().unwrap_or_default();
        let own = here.is_some_and(|zone| zone.targets().is_none_or(|targets| targets.contains(target)));
        count > usize::from(own)
    }

    /// Whether every zone's content is known, or known to be out of reach for now.
    pub(super) const fn is_settled(&self) -> bool {
        self.unsettled == 0
    }
}
