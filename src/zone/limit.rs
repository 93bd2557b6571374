//! `max-zone-ttl` of a zone or of its dnssec-policy: BIND lowers the TTL of what it is given, and says NOERROR
//! (measured). What it made of our TTL is as right as it can be.

use super::{Zone, words};
use crate::{
    dns::{Rrset, RrsetId, Ttl},
    event::{Event, Kind},
    plan::{Change, Plan, Rrsets},
};

/// What is known of the highest TTL that BIND lets a zone have, after a message was read back.
pub(super) struct Learned {
    pub(super) event: Option<Event>,
    /// The TTL is lower than it was sent, and that may be somebody's edit: what was lowered is written once more.
    pub(super) is_doubtful: bool,
}

/// Leaves of a plan what BIND would not lower again.
pub(super) fn keep_to(limit: Option<Ttl>, plan: &mut Plan) {
    let Some(limit) = limit else { return };
    plan.changes.retain_mut(|change| {
        let before = change.before.as_ref().map(|set| set.ttl);
        // A set from before the limit has the TTL of the file until it is written: that is right, too.
        if let Some(after) = change.after.as_mut().filter(|after| Some(after.ttl) != before) {
            after.ttl = after.ttl.min(limit);
        }
        change.before != change.after
    });
}

/// Whether a set is what it was changed to, but for a TTL that BIND lowered.
fn is_lowered(found: Option<&Rrset>, after: Option<&Rrset>) -> bool {
    let (Some(found), Some(after)) = (found, after) else { return false };
    found.rdata == after.rdata && found.ttl < after.ttl
}

/// Whether a message has BIND take the TTL of a set anew: where it only deletes records, BIND never sees it.
fn writes_ttl(Change { before, after, .. }: &Change) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return after.is_some() };
    before.ttl != after.ttl || !after.rdata.is_subset(&before.rdata)
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
    /// Learns the limit from what became of our changes, and tells of a new one. `is_proven`: nobody else has changed the
    /// zone between our message and the reading. Otherwise somebody may have lowered the TTL by hand: it is BIND that did if
    /// it does so again.
    pub(super) fn learn_limit(&mut self, changes: &[Change], found: &Rrsets, is_proven: bool) -> Learned {
        let known = self.memory.ttl_limit;
        let written =
            || changes.iter().filter_map(move |change| Some((change, change.after.as_ref()?, found.get(&change.id)?)));
        let lowered = written().filter(|(_, after, set)| is_lowered(Some(set), Some(after)));
        let Some((change, after, set)) = lowered.max_by_key(|(.., set)| set.ttl) else {
            let stands = |limit: &Ttl| {
                written().any(|(change, after, set)| set == after && set.ttl > *limit && writes_ttl(change))
            };
            if known.as_ref().is_some_and(stands) {
                self.remember_limit(None);
            }
            self.ttl_suspect = self.ttl_suspect.filter(|limit| !stands(limit));
            return Learned { event: None, is_doubtful: false };
        };
        if known == Some(set.ttl) {
            return Learned { event: None, is_doubtful: false };
        }
        let suspected = self.ttl_suspect.take();
        if !is_proven && suspected != Some(set.ttl) {
            // Another TTL each time is nothing that writing it again could explain.
            self.ttl_suspect = Some(set.ttl).filter(|_| suspected.is_none());
            return Learned { event: None, is_doubtful: suspected.is_none() };
        }
        self.remember_limit(Some(set.ttl));
        let words = words::limited(&self.name, &change.id, after.ttl, set.ttl);
        let event = Event::new(Kind::TtlLimited, words).zone(&self.name).rrset(&change.id);
        Learned { event: Some(event), is_doubtful: false }
    }

    /// Whether a change is there, but for a TTL that BIND lowers, or may have lowered.
    pub(super) fn is_there_lowered(&self, change: &Change, found: &Rrsets, is_doubtful: bool) -> bool {
        let set = found.get(&change.id);
        let is_met = set.is_some_and(|set| Some(set.ttl) == self.memory.ttl_limit);
        is_lowered(set, change.after.as_ref()) && (is_doubtful || is_met)
    }

    /// A reading in which a TTL of ours has risen above the limit shows that BIND has none any more.
    pub(super) fn doubt_limit(&mut self, now: &Rrsets) {
        let (Some(limit), Some(seen), true) = (self.memory.ttl_limit, &self.believed, self.pending.is_empty()) else {
            return;
        };
        let has_risen = |(id, set): (&RrsetId, &Rrset)| {
            set.ttl > limit
                && seen.rrsets.get(id).is_some_and(|before| before.ttl <= limit)
                && self.memory.owned.contains_key(id)
        };
        if now.iter().any(has_risen) {
            self.remember_limit(None);
        }
    }
}
