//! What is remembered of a zone from one run to the next, and how it is recognized.
//!
//! A zone whose SOA serial still is the one with which it was left holds what it held then: one question replaces the
//! reading of every name. The running daemon trusts the serial in the same way between two readings.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Identity, Outcome, READ_EVERY, Seen, Turn, Zone,
    hidden::Hidden,
    owner::{is_known, is_me},
    words,
};
use crate::{
    desired::Recipe,
    dns::{OwnerName, Rdata, RdataSet, Rrset, RrsetId, Ttl},
    event::{Event, Kind},
    plan::{self, Change, Rrsets, held},
    status::Stamp,
};

#[cfg(test)]
mod tests;

/// From here on a generation is no beginning for others: they could not grow. Once such a record is deleted, what was
/// remembered before it counts.
pub(super) const SPENT: u64 = u64::MAX - 1;

/// What we published, by `RRset`.
pub type Owned = BTreeMap<RrsetId, RdataSet>;

/// What is remembered of a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// What we published.
    pub owned: Owned,
    /// How it was left, if it held what we published and nothing else that we would read.
    pub mark: Option<Mark>,
    /// The highest generation that is known to be ours: generations go on from it, whatever becomes of the record.
    pub generation: Option<u64>,
    /// The highest TTL that BIND lets the zone have, where it has lowered one of ours.
    pub ttl_limit: Option<Ttl>,
    /// Of what is owned, the members that are out, if there are any: should the set leave the file, somebody will want to
    /// know them.
    pub missing: Owned,
    /// What the file no longer gives and still stands in DNS. Nothing of it is in `owned`.
    pub left_over: BTreeMap<RrsetId, LeftOver>,
}

/// An `RRset` that the file no longer gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOver {
    /// When it left the file.
    pub since: Stamp,
    /// What was published when the zone was last read.
    pub data: RdataSet,
    /// The members that were out then.
    pub missing: RdataSet,
}

/// By what a zone that was right is recognized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The SOA's serial.
    pub serial: u32,
    /// The generation that our record had.
    pub generation: u64,
    /// The TTL of each owned `RRset`, in their order.
    pub ttls: Vec<u32>,
}

impl Memory {
    /// Whether there is nothing to remember.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.owned.is_empty() && self.generation.is_none() && self.left_over.is_empty()
    }

    /// What the zone held.
    pub(super) fn rrsets(&self, mark: &Mark) -> Rrsets {
        let sets = self.owned.iter().zip(&mark.ttls);
        sets.map(|((id, rdata), ttl)| (id.clone(), Rrset { ttl: Ttl(*ttl), rdata: rdata.clone() })).collect()
    }
}

impl Mark {
    /// `None`: the zone holds other data beside what is owned and what is left over, or is not ours. Nor is there one of a
    /// zone with names that are hidden: what hides them (a zone below on the same server) comes and goes without a new serial,
    /// so that the serial does not tell what the zone shows.
    fn new(seen: &Seen, owned: &Owned, left_over: &BTreeMap<RrsetId, LeftOver>, me: &Identity) -> Option<Self> {
        let record = seen.generation.record().filter(|record| is_me(record, me) && seen.hidden.is_empty())?;
        let sets = || seen.rrsets.iter().filter(|(id, _)| !left_over.contains_key(*id));
        let same = sets().count() == owned.len()
            && sets().zip(owned).all(|((id, set), (owned, rdata))| id == owned && set.rdata == *rdata);
        let ttls = sets().map(|(_, set)| set.ttl.0);
        same.then(|| Self { serial: seen.serial, generation: record.generation, ttls: ttls.collect() })
    }
}

impl Zone {
    /// The zone has this serial: if it was left with it, then it is known.
    pub(super) fn recognize(&mut self, turn: Turn<'_>, serial: u32) {
        let Some(mark) = self.memory.mark.as_ref().filter(|mark| mark.serial == serial) else { return };
        let mark = mark.clone();
        self.learn(mark.generation);
        // A message of an earlier life may be late.
        self.reach = self.memory.generation.max(Some(mark.generation)).map(|highest| highest.saturating_add(1));
        self.has_grace = true;
        self.recognized = Some(serial);
        self.seen = Some(Seen {
            serial,
            generation: (&turn.me.record(mark.generation)).into(),
            rrsets: self.memory.rrsets(&mark),
            names: self.memory.owned.keys().map(|id| id.owner.clone()).collect(),
            others: BTreeMap::new(),
            hidden: Hidden::new(),
        });
        self.read_at = Some(some_time_ago(&self.name, turn.now));
    }

    /// A zone that was read and found otherwise is not recognized any more: a zone out of a backup can have the serial,
    /// but not the data.
    pub(super) fn forget_other_mark(&mut self, me: &Identity) {
        let now = self.seen.as_ref().and_then(|seen| Mark::new(seen, &self.memory.owned, &self.memory.left_over, me));
        if self.memory.mark != now {
            self.keep(Memory { mark: None, ..(*self.memory).clone() });
        }
    }

    /// A generation of the zone is known to be ours: the newest of this run, and to be remembered if it is the highest.
    pub(super) fn learn(&mut self, generation: u64) {
        self.generation = Some(generation);
        if generation < SPENT && self.memory.generation.is_none_or(|highest| highest < generation) {
            Arc::make_mut(&mut self.memory).generation = Some(generation);
        }
    }

    /// Notes what is ours: what we published and still stands, and what the file lists and holds nothing but data of
    /// ours. A stranger's data never becomes ours by standing at a name of the file: it would be deleted with the name.
    /// Tells what it held of ours and the file no longer gives, if that is no longer ours.
    pub(super) fn remember(
        &mut self,
        turn: Turn<'_>,
        recipes: &BTreeMap<RrsetId, Recipe>,
        is_right: bool,
    ) -> Vec<Event> {
        let Some(seen) = &self.seen else { return Vec::new() };
        let (published, owned) = (&seen.rrsets, &self.memory.owned);
        let holds = |id: &RrsetId, ours: &_| {
            published.get(id).filter(|set| plan::is_ours(id, set, ours, &|id, rdata| is_known(turn, id, rdata)))
        };
        let still_ours = |(id, ours): (&RrsetId, &RdataSet)| match holds(id, ours) {
            _ if seen.is_hidden(id) => Some((id.clone(), ours.clone())),
            Some(set) => Some((id.clone(), set.rdata.clone())),
            None => (published.contains_key(id) && recipes.contains_key(id)).then(|| (id.clone(), ours.clone())),
        };
        // While a copy is behind, somebody else's data may stand there by now.
        let is_certain = self.pending.is_empty();
        let listed = recipes.keys().filter(|id| is_certain && !owned.contains_key(*id));
        let listed = listed.filter_map(|id| Some((id.clone(), holds(id, &RdataSet::default())?.rdata.clone())));
        let is_others = |(id, ours): &(&RrsetId, &RdataSet)| {
            let is_left = published.contains_key(*id) && !recipes.contains_key(*id) && !seen.is_hidden(id);
            is_left && holds(id, ours).is_none()
        };
        let forgotten = owned.iter().filter(is_others).map(|(id, _)| {
            let words = words::not_as_left(id, published.get(id), None);
            Event::new(Kind::LeftOver, words).zone(&self.name).rrset(id)
        });
        let forgotten = forgotten.collect();
        let owned: Owned = owned.iter().filter_map(still_ours).chain(listed).collect();
        let mark = if is_right { Mark::new(seen, &owned, &self.memory.left_over, turn.me) } else { None };
        let out =
            |id: &RrsetId| Some(recipes.get(id)?.members().difference(&published.get(id)?.rdata).cloned().collect());
        // Whom an edit adds that is held, or may be, is no member yet.
        let was_member =
            |id: &RrsetId, rdata: &Rdata| held::was_member((&self.memory.owned, &self.memory.missing), id, rdata);
        let out = |id: &RrsetId| {
            let out: RdataSet = out(id)?;
            let all_count = turn.is_let_through || out.is_empty();
            Some(if all_count { out } else { out.iter().filter(|rdata| was_member(id, rdata)).cloned().collect() })
        };
        let missing = owned.keys().filter_map(|id| Some((id.clone(), out(id)?)));
        let missing = missing.filter(|(_, out): &(_, RdataSet)| !out.is_empty()).collect();
        let Memory { generation, ttl_limit, ref left_over, .. } = *self.memory;
        self.keep(Memory { owned, mark, generation, ttl_limit, missing, left_over: left_over.clone() });
        forgotten
    }

    /// Notes what a message of ours is known to have changed.
    pub(super) fn own<'a>(&mut self, changes: impl Iterator<Item = (&'a Change, Option<&'a Recipe>)>) {
        let mut memory = Memory { mark: None, ..(*self.memory).clone() };
        for (Change { id, after, .. }, recipe) in changes {
            self.conclude(id, Outcome::Done);
            match (after, memory.left_over.get_mut(id)) {
                (Some(set), Some(left)) => {
                    left.missing = left.missing.difference(&set.rdata).cloned().collect();
                    left.data = set.rdata.clone();
                }
                (Some(set), None) => {
                    // Who leaves by its health is a member as before, also while the file that would tell waits.
                    let before = memory.owned.insert(id.clone(), set.rdata.clone()).unwrap_or_default();
                    let members = recipe.map(Recipe::members).unwrap_or_default();
                    let missing = memory.missing.remove(id).unwrap_or_default();
                    let out = before.iter().filter(|rdata| members.contains(*rdata)).chain(&missing);
                    let out: RdataSet = out.filter(|rdata| !set.rdata.contains(*rdata)).cloned().collect();
                    if !out.is_empty() {
                        memory.missing.insert(id.clone(), out);
                    }
                }
                (None, _) => {
                    memory.owned.remove(id);
                    memory.missing.remove(id);
                    memory.left_over.remove(id);
                }
            }
        }
        self.keep(memory);
    }

    /// Notes the highest TTL that BIND lets the zone have.
    pub(super) fn remember_limit(&mut self, ttl_limit: Option<Ttl>) {
        if self.memory.ttl_limit != ttl_limit {
            self.keep(Memory { ttl_limit, ..Memory::clone(&self.memory) });
        }
    }

    /// The old pointer stays if nothing changed: who saves it looks for another pointer.
    pub(super) fn keep(&mut self, memory: Memory) {
        if *self.memory != memory {
            self.memory = Arc::new(memory);
        }
    }
}

/// A time within the last [`READ_EVERY`], so that zones which were recognized together are not all read together.
fn some_time_ago(zone: &OwnerName, now: Instant) -> Instant {
    let [high, low, ..] = Sha256::digest(zone.as_str()).0;
    let share = f64::from(u16::from_be_bytes([high, low])) / f64::from(u16::MAX);
    now.checked_sub(READ_EVERY.mul_f64(share)).unwrap_or(now)
}
