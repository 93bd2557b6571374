//! `max-zone-ttl` of a zone or of its dnssec-policy: BIND lowers the TTL of what it is given, and says NOERROR
//! (measured). What it made of our TTL is as right as it can be.

use super::{Zone, words};
use crate::{
    dns::{Rrset, Ttl},
    event::{Event, Kind},
    plan::{Change, Rrsets},
};

/// Whether a change is nothing but a TTL that BIND would lower again.
pub(super) fn is_met(limit: Option<Ttl>, change: &Change) -> bool {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return false };
    before.rdata == after.rdata && limit.is_some_and(|limit| before.ttl == after.ttl.min(limit))
}

/// Whether a set is what it was changed to, but for a TTL that BIND lowered.
pub(super) fn is_lowered(found: Option<&Rrset>, after: Option<&Rrset>) -> bool {
    let (Some(found), Some(after)) = (found, after) else { return false };
    found.rdata == after.rdata && found.ttl < after.ttl
}

/// Lowers the TTLs of what was just written to a copy of the zone.
pub(super) fn apply(limit: Option<Ttl>, rrsets: &mut Rrsets, changes: &[Change]) {
    let Some(limit) = limit else { return };
    for change in changes {
        if let Some(set) = rrsets.get_mut(&change.id) {
            set.ttl = set.ttl.min(limit);
        }
    }
}

impl Zone {
    /// Learns the limit from what became of our changes, and tells of a new one.
    pub(super) fn learn_limit<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a Change>,
        found: &Rrsets,
    ) -> Option<Event> {
        let before = self.memory.ttl_limit;
        let mut limit = before;
        let mut lowered = None;
        for change in changes {
            let (Some(set), Some(after)) = (found.get(&change.id), &change.after) else { continue };
            if is_lowered(Some(set), Some(after)) {
                limit = Some(set.ttl);
                lowered = Some((&change.id, after.ttl, set.ttl));
            } else if set == after && limit.is_some_and(|limit| set.ttl > limit) {
                limit = None;
            }
        }
        if limit == before {
            return None;
        }
        self.remember_limit(limit);
        let (id, ours, theirs) = lowered?;
        let words = words::limited(&self.name, id, ours, theirs);
        Some(Event::new(Kind::TtlLimited, words).zone(&self.name).rrset(id))
    }
}
