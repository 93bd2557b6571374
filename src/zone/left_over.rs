//! What the file no longer gives: it stays in DNS as it is, and goes or is completed when an operator says so.
//!
//! An entry that is commented out by mistake must not empty a domain; so its `RRsets` are remembered beside those that
//! are owned, without a write. They are not repaired, and nothing that goes wrong with them makes a zone fail. When the
//! file gives them again they are owned again. A zone of which nothing else is left is not asked for any more.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    Attempt, LeftOver, Memory, Owned, Scope, Seen, Sent, Step, Turn, Zone,
    owner::{is_known, is_me},
    words,
};
use crate::{
    cluster::LeftOvers,
    desired::Recipe,
    dns::{OwnerName, Rdata, RrType, Rrset, RrsetId},
    event::{Event, Kind},
    plan::{self, Change, Plan, Rrsets},
    status::ZoneState,
    update::Update,
};

/// What an operator wants of an `RRset` that is left over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// It is deleted.
    Withdraw,
    /// The members that were out come back.
    Restore,
}

impl Zone {
    /// Asks for something of what is left over; it is done at the zone's next turns.
    pub fn wish(&mut self, ids: BTreeSet<RrsetId>, wish: Wish) {
        self.wishes.extend(ids.into_iter().map(|id| (id, wish)));
        self.dormant = false;
        self.at_rest = false;
    }

    /// Forgets what is left over under some names, and leaves it in DNS: the zone may be gone.
    pub fn forget_left_over(&mut self, ids: &BTreeSet<RrsetId>) {
        self.wishes.retain(|id, _| !ids.contains(id));
        let mut memory = (*self.memory).clone();
        memory.left_over.retain(|id, _| !ids.contains(id));
        self.keep(memory);
        self.dormant = false;
        self.at_rest = false;
    }

    /// Whether nothing is left of it but what the file no longer gives: nobody looks at it then.
    #[must_use]
    pub const fn is_dormant(&self) -> bool {
        self.dormant
    }

    /// Whether what happens in it is no more than what it has left over.
    pub(super) fn has_nothing_to_do(&self, turn: Turn<'_>) -> bool {
        let wants_nothing = turn.layout.is_none() && self.wishes.is_empty() && self.memory.owned.is_empty();
        wants_nothing && self.has_nothing_under_way()
    }

    /// The step of a zone that is out of the file, if nothing of it is owned: what is left over is not looked at, and where
    /// nothing is, the generation record goes, too.
    pub(super) fn end(&mut self, turn: Turn<'_>) -> Option<Step> {
        self.dormant = false;
        if !self.has_nothing_to_do(turn) {
            return None;
        }
        (self.at_rest, self.may_be_as_left) = (false, false);
        if !self.memory.left_over.is_empty() {
            (self.seen, self.believed) = (None, None);
            self.dormant = true;
            (self.state, self.error) = (ZoneState::InSync, None);
            return Some(Step::Rest);
        }
        let Some(generation) = self.memory.generation else { return Some(Step::Rest) };
        let Some(seen) = &self.seen else { return Some(self.read_all(turn, BTreeSet::new())) };
        if self.twin || seen.generation.record().is_none_or(|record| !is_me(record, turn.me)) {
            self.keep(Memory::default());
            return Some(Step::Rest);
        }
        if !turn.may_write {
            return Some(Step::Rest);
        }
        let generation = generation.saturating_add(1);
        let attempt = Attempt { guard: seen.generation.clone(), exact: true };
        let (zone, guard, record) = (self.name.clone(), attempt.guard.clone(), turn.me.record(generation));
        let update = Update { zone, guard, record, changes: Vec::new(), exact: true, is_last: true };
        let Ok(update) = self.checked(turn, &BTreeMap::new(), &attempt, update) else {
            self.has_ended();
            return Some(Step::Rest);
        };
        let (changes, why) = (Vec::new(), Vec::new());
        let Attempt { guard, exact } = attempt;
        self.sent = Some(Sent { changes, why, guard, exact, generation, steps: 1, is_last: true });
        Some(Step::Write(Box::new(update)))
    }

    /// Whether nothing is left in it but the generation record.
    pub(super) fn is_ending(&self, turn: Turn<'_>) -> bool {
        let nothing_is_left = self.memory.owned.is_empty() && self.memory.left_over.is_empty();
        turn.layout.is_none() && nothing_is_left && self.lost.is_none() && self.pending.is_empty()
    }

    /// The last message to a zone had an answer, or cannot be sent: whatever it was, the zone is nobody's concern now.
    pub(super) fn has_ended(&mut self) {
        (self.sent, self.seen, self.believed) = (None, None, None);
        (self.state, self.error) = (ZoneState::InSync, None);
        self.keep(Memory::default());
    }

    /// A zone of which nothing is followed any more is in no trouble.
    pub(super) fn tell_end(&mut self) -> Option<Event> {
        if !(self.dormant || self.is_empty()) || !std::mem::take(&mut self.told) {
            return None;
        }
        let words = format!("{}: it is followed no longer, for the file gives nothing in it", self.name);
        Some(Event::new(Kind::ZoneRecovered, words).zone(&self.name))
    }

    fn has_nothing_under_way(&self) -> bool {
        self.sent.is_none() && self.lost.is_none() && self.pending.is_empty()
    }

    /// The exchanges of MX that are left over and stay: their addresses stay, too.
    pub(super) fn left_over_targets(&self) -> BTreeSet<&OwnerName> {
        let stays = self.memory.left_over.iter().filter(|(id, _)| self.wishes.get(*id) != Some(&Wish::Withdraw));
        stays.flat_map(|(_, left)| &left.data).filter_map(plan::exchange).collect()
    }

    /// What is owned and not about to be left over: an edit that is only judged moves nothing yet.
    pub(super) fn owned_after(&self, turn: Turn<'_>, recipes: &BTreeMap<RrsetId, Recipe>) -> Cow<'_, Owned> {
        let owned = &self.memory.owned;
        let deletes = turn.cluster.safety.left_over == LeftOvers::Delete;
        if deletes || owned.keys().all(|id| is_given(id, recipes)) {
            return Cow::Borrowed(owned);
        }
        let stays = owned.iter().filter(|(id, _)| is_given(id, recipes));
        Cow::Owned(stays.map(|(id, data)| (id.clone(), data.clone())).collect())
    }

    /// What the file gives again is ours again, if nobody else has put something in its place meanwhile.
    pub(super) fn take_back(&mut self, turn: Turn<'_>, recipes: &BTreeMap<RrsetId, Recipe>) {
        let given = |id: &RrsetId| is_given(id, recipes);
        if !self.memory.left_over.keys().any(given) {
            return;
        }
        let Some(seen) = &self.seen else { return };
        let mut memory = (*self.memory).clone();
        let (back, stays): (BTreeMap<_, _>, _) =
            std::mem::take(&mut memory.left_over).into_iter().partition(|(id, _)| given(id));
        memory.left_over = stays;
        let ours = back.into_iter().filter(|(id, left)| seen.is_hidden(id) || is_as_left(turn, &seen.rrsets, id, left));
        memory.owned.extend(ours.map(|(id, left)| (id, left.data)));
        memory.mark = None;
        self.wishes.retain(|id, _| memory.left_over.contains_key(id));
        self.keep(memory);
    }

    /// What the file no longer gives is left over from now on, if it is to be kept. What is to be told of it.
    pub(super) fn part_with(&mut self, turn: Turn<'_>, recipes: &BTreeMap<RrsetId, Recipe>) -> Option<Event> {
        let goes = |id: &RrsetId| !is_given(id, recipes);
        if turn.cluster.safety.left_over == LeftOvers::Delete
            || !self.has_nothing_under_way()
            || !self.memory.owned.keys().any(goes)
            || self.seen.as_ref().is_some_and(|seen| self.not_ours(turn, seen, recipes).is_some())
        {
            return None;
        }
        let mut memory = (*self.memory).clone();
        let (gone, stays): (BTreeMap<_, _>, _) =
            std::mem::take(&mut memory.owned).into_iter().partition(|(id, _)| goes(id));
        memory.owned = stays;
        memory.mark = None;
        let since = turn.clocks.stamp(turn.now);
        for (id, ours) in gone {
            let missing = memory.missing.remove(&id).unwrap_or_default();
            let left = LeftOver { since, data: ours, missing };
            // Unless it is known to be gone, or to be somebody else's by now.
            let data = match &self.seen {
                Some(seen) if !seen.is_hidden(&id) && seen.names.contains(&id.owner) => {
                    let published = seen.rrsets.get(&id).map(|set| set.rdata.clone());
                    published.filter(|_| is_as_left(turn, &seen.rrsets, &id, &left))
                }
                _ => Some(left.data.clone()),
            };
            if let Some(data) = data {
                let missing = left.missing.difference(&data).cloned().collect();
                memory.left_over.insert(id, LeftOver { since, data, missing });
            }
        }
        let is_new = |id: &&RrsetId| !self.memory.left_over.contains_key(*id);
        let new: Vec<_> = memory.left_over.keys().filter(is_new).cloned().collect();
        self.keep(memory);
        let words = words::left_over(&self.name, new.first()?, new.len());
        Some(Event::new(Kind::LeftOver, words).zone(&self.name))
    }

    /// Adds to a plan what operators want of what is left over. What cannot be done is told, and given up.
    pub(super) fn add_wishes(&mut self, turn: Turn<'_>, published: &Rrsets, plan: &mut Plan) -> Vec<Event> {
        let Some(seen) = self.seen.as_ref().filter(|_| !self.wishes.is_empty()) else { return Vec::new() };
        let mut memory: Option<Memory> = None;
        let mut events = Vec::new();
        let mut done = Vec::new();
        for (id, wish) in &self.wishes {
            let Some(left) = self.memory.left_over.get(id) else {
                done.push(id.clone());
                continue;
            };
            if let Some(why) = seen.hidden.get(&id.owner) {
                let words = format!("{id} stays as it is: {why}");
                events.push(Event::new(Kind::LeftOver, words).zone(&self.name).rrset(id));
                done.push(id.clone());
                continue;
            }
            let before = published.get(id).filter(|_| is_as_left(turn, published, id, left));
            let Some(before) = before else {
                // It is no longer what we left: not ours to touch, and nothing to remember.
                let words = words::not_as_left(id, published.get(id));
                events.push(Event::new(Kind::LeftOver, words).zone(&self.name).rrset(id));
                memory.get_or_insert_with(|| (*self.memory).clone()).left_over.remove(id);
                done.push(id.clone());
                continue;
            };
            let after = match wish {
                Wish::Withdraw => None,
                Wish::Restore => {
                    let (bare, back): (Vec<_>, Vec<_>) =
                        left.missing.iter().cloned().partition(|rdata| self.is_bare(seen, published, plan, rdata));
                    if !bare.is_empty() {
                        // It is said once: what cannot come back is missing no longer.
                        let words = words::bare(id, &bare);
                        events.push(Event::new(Kind::LeftOver, words).zone(&self.name).rrset(id));
                        let memory = memory.get_or_insert_with(|| (*self.memory).clone());
                        if let Some(left) = memory.left_over.get_mut(id) {
                            left.missing = back.iter().cloned().collect();
                        }
                    }
                    Some(Rrset { ttl: before.ttl, rdata: before.rdata.iter().cloned().chain(back).collect() })
                }
            };
            if after.as_ref() == Some(before) {
                done.push(id.clone());
            } else {
                plan.changes.push(Change { id: id.clone(), before: Some(before.clone()), after });
            }
        }
        self.wishes.retain(|id, _| !done.contains(id));
        if let Some(memory) = memory {
            self.keep(memory);
        }
        events
    }

    /// The hosts in this zone of exchanges that are to come back.
    pub(super) fn hosts_to_restore(&self) -> impl Iterator<Item = &OwnerName> {
        let restored = self.wishes.iter().filter(|(_, wish)| **wish == Wish::Restore);
        let missing = restored.filter_map(|(id, _)| self.memory.left_over.get(id)).flat_map(|left| &left.missing);
        missing.filter_map(plan::exchange).filter(|host| host.is_at_or_below(&self.name))
    }

    /// Whether some data is an exchange in this zone without addresses, because they were withdrawn, say: BIND refuses it.
    fn is_bare(&self, seen: &Seen, published: &Rrsets, plan: &Plan, rdata: &Rdata) -> bool {
        let Some(host) = plan::exchange(rdata).filter(|host| host.is_at_or_below(&self.name)) else { return false };
        let comes = |id: &RrsetId| plan.changes.iter().any(|change| change.id == *id && change.after.is_some());
        let stands = |rtype| {
            let id = RrsetId { owner: host.clone(), rtype };
            published.contains_key(&id) || comes(&id)
        };
        !seen.hidden.contains_key(host) && ![RrType::A, RrType::Aaaa].into_iter().any(stands)
    }

    /// What of a plan operators want.
    pub(super) fn wished(&self, plan: &Plan) -> Vec<RrsetId> {
        let ids = plan.changes.iter().map(|change| &change.id);
        ids.filter(|id| self.wishes.contains_key(*id)).cloned().collect()
    }

    /// The same as if the zone had a turn, before it is read.
    pub fn sort_left_over(&mut self, turn: Turn<'_>) -> Option<Event> {
        self.part_with(turn, &turn.recipes())
    }

    /// Takes out of a plan what is not to be written now.
    pub(super) fn limit(&self, scope: &Scope, plan: &mut Plan) {
        let is_wished = |change: &Change| self.wishes.contains_key(&change.id);
        match scope {
            Scope::Everything => {}
            Scope::Wishes => {
                plan.changes.retain(is_wished);
                plan.blocked.clear();
                plan.foreign.clear();
            }
            Scope::Restore(selections) => {
                let is_meant =
                    |id: &RrsetId| selections.iter().any(|selection| selection.takes(&id.owner, id.rtype.as_str()));
                plan.changes.retain(|change| is_wished(change) || change.after.is_some() && is_meant(&change.id));
                plan.blocked.retain(|id, _| is_meant(id));
                plan.foreign.retain(|id, _| is_meant(id));
            }
        }
    }

    /// What an MX of the zone still points to stays, and is not waited for. `wished` was in the plan before the rails.
    pub(super) fn give_up_targets(&mut self, wished: Vec<RrsetId>, plan: &Plan) -> Vec<Event> {
        let stays = |id: &RrsetId| !plan.waiting.contains(id) && plan.changes.iter().all(|change| change.id != *id);
        let stays: Vec<_> = wished.into_iter().filter(stays).collect();
        let events = stays.iter().map(|id| {
            self.wishes.remove(id);
            let words = format!("{id} stays as it is: an MX that stays in the zone points to it");
            Event::new(Kind::LeftOver, words).zone(&self.name).rrset(id)
        });
        events.collect()
    }

    /// BIND does not do what an operator wants of it: it stays left over, and is not tried again and again.
    pub(super) fn give_up(&mut self, id: &RrsetId, why: &str) -> Option<Event> {
        self.wishes.remove(id)?;
        Some(Event::new(Kind::LeftOver, format!("{id} stays as it is: {why}")).zone(&self.name).rrset(id))
    }

    /// The zone is not ours: nothing of what operators want is done.
    pub(super) fn give_up_wishes(&mut self, why: &str) -> Option<Event> {
        let wishes = std::mem::take(&mut self.wishes);
        let first = wishes.keys().next()?;
        let words = format!("{first} and {} more stay as they are: {why}", wishes.len() - 1);
        Some(Event::new(Kind::LeftOver, words).zone(&self.name))
    }
}

/// Whether the file gives an `RRset`, or something in its place.
pub(super) fn is_given(id: &RrsetId, recipes: &BTreeMap<RrsetId, Recipe>) -> bool {
    recipes.contains_key(id) || is_replaced(id, recipes)
}

/// Whether the file gives something under the same name that cannot stand beside it (RFC 1034 section 3.6.2).
fn is_replaced(id: &RrsetId, recipes: &BTreeMap<RrsetId, Recipe>) -> bool {
    plan::in_the_way(id).any(|other| recipes.contains_key(&other))
}

/// Whether a zone still holds what was left in it, or other data of our nodes.
fn is_as_left(turn: Turn<'_>, published: &Rrsets, id: &RrsetId, left: &LeftOver) -> bool {
    let set = published.get(id);
    set.is_some_and(|set| plan::is_ours(id, set, &left.data, &|id, rdata| is_known(turn, id, rdata)))
}
