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
    Attempt, LeftOver, Memory, Outcome, Owned, Pending, Sent, Step, Turn, Wish, Zone,
    owner::{is_known, is_me},
    words,
};
use crate::{
    cluster::LeftOvers,
    desired::Recipe,
    dns::{OwnerName, RdataSet, RrType, RrsetId},
    event::{Event, Kind},
    plan::{self, Rrsets},
    status::ZoneState,
    update::Update,
};

impl Zone {
    /// What can be forgotten: what is left over, and of a zone that is out of the file and out of order what was to be
    /// deleted there. `is_out`: it is out of the file, and the server is in order.
    pub fn forgettable(&self, is_out: bool) -> impl Iterator<Item = &RrsetId> {
        let is_out = is_out && self.state == ZoneState::Failing;
        self.memory.left_over.keys().chain(self.memory.owned.keys().filter(move |_| is_out))
    }

    /// Forgets sets that [can be forgotten](Self::forgettable), and leaves them in DNS: the zone may be gone.
    pub fn forget_sets(&mut self, ids: &BTreeSet<RrsetId>) {
        for id in ids {
            self.conclude(id, Outcome::Left(format!("{id} was forgotten by `rotad withdraw --forget` meanwhile")));
        }
        let mut memory = (*self.memory).clone();
        memory.left_over.retain(|id, _| !ids.contains(id));
        if memory.owned.keys().any(|id| ids.contains(id)) {
            memory.owned.retain(|id, _| !ids.contains(id));
            memory.missing.retain(|id, _| !ids.contains(id));
            memory.mark = None;
            // Nobody waits for what a message may have done there.
            (self.lost, self.pending) = (None, Pending::default());
        }
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

    pub(super) fn has_nothing_under_way(&self) -> bool {
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
        let gone: Vec<_> = self.wishes.keys().filter(|id| !memory.left_over.contains_key(*id)).cloned().collect();
        for id in gone {
            self.conclude(&id, Outcome::Left(format!("{id} is in the file again")));
        }
        self.keep(memory);
    }

    /// What the file no longer gives is left over from now on, if it is to be kept: as the zone shows it, so that is read
    /// first, for what is remembered may be older than DNS. What is to be told of it.
    pub(super) fn part_with(&mut self, turn: Turn<'_>, recipes: &BTreeMap<RrsetId, Recipe>) -> Option<Event> {
        let seen = self.seen.as_ref()?;
        let mut leaving = self.memory.owned.keys().filter(|id| !is_given(id, recipes));
        if leaving.any(|id| !seen.names.contains(&id.owner)) {
            return None;
        }
        self.part_with_remembered(turn, recipes)
    }

    /// The same by what is remembered, where the zone is not read: it is read before anything is done about it.
    pub(super) fn part_with_remembered(
        &mut self,
        turn: Turn<'_>,
        recipes: &BTreeMap<RrsetId, Recipe>,
    ) -> Option<Event> {
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
            let left = match &self.seen {
                Some(seen) if !seen.is_hidden(&id) && seen.names.contains(&id.owner) => {
                    let published = seen.rrsets.get(&id).filter(|_| is_as_left(turn, &seen.rrsets, &id, &left));
                    published.map(|set| left.as_published(&id, &set.rdata))
                }
                _ => Some(left),
            };
            memory.left_over.extend(left.map(|left| (id, left)));
        }
        let is_new = |id: &&RrsetId| !self.memory.left_over.contains_key(*id);
        let new: Vec<_> = memory.left_over.keys().filter(is_new).cloned().collect();
        self.keep(memory);
        let words = words::left_over(&self.name, new.first()?, new.len());
        Some(Event::new(Kind::LeftOver, words).zone(&self.name))
    }

    /// What a reading shows of what is left over is what is left over: members that are not there are missing. What is
    /// no longer what we left is not ours to touch, and nothing to remember.
    pub(super) fn follow_left_over(&mut self, turn: Turn<'_>) -> Vec<Event> {
        let Some(seen) = self.seen.as_ref().filter(|_| !self.memory.left_over.is_empty()) else { return Vec::new() };
        let is_known = |id: &RrsetId| seen.names.contains(&id.owner) && !seen.is_hidden(id) && !self.is_under_way(id);
        let (mut left_over, mut gone) = (BTreeMap::new(), Vec::new());
        for (id, left) in &self.memory.left_over {
            let set = seen.rrsets.get(id);
            let left = match set.filter(|_| is_as_left(turn, &seen.rrsets, id, left)) {
                _ if !is_known(id) => left.clone(),
                Some(set) => left.as_published(id, &set.rdata),
                None => {
                    let alias = plan::in_the_way(id).find(|other| set.is_none() && seen.rrsets.contains_key(other));
                    gone.push((id.clone(), words::not_as_left(id, set, alias.as_ref())));
                    continue;
                }
            };
            left_over.insert(id.clone(), left);
        }
        self.keep(Memory { left_over, ..(*self.memory).clone() });
        let told = gone.into_iter().map(|(id, words)| {
            let event = Event::new(Kind::LeftOver, words.clone()).zone(&self.name).rrset(&id);
            self.conclude(&id, Outcome::Left(words));
            event
        });
        told.collect()
    }

    /// The same as if the zone had a turn, before it is read.
    pub fn sort_left_over(&mut self, turn: Turn<'_>) -> Option<Event> {
        self.part_with_remembered(turn, &turn.recipes())
    }

    /// A step brought an answer that is none of the zone, such as that it is not served: what leaves the file is left
    /// over by what is remembered, and a zone that has nothing else does not fail.
    pub(super) fn leave_failing(&mut self, turn: Turn<'_>, is_answered: bool, events: &mut Vec<Event>) {
        if self.state != ZoneState::Failing || turn.layout.is_some() {
            return;
        }
        if is_answered && self.seen.is_none() {
            events.extend(self.part_with_remembered(turn, &BTreeMap::new()));
        }
        if self.has_nothing_to_do(turn) && !self.memory.left_over.is_empty() {
            let told = events.len();
            events.retain(|event| event.kind != Kind::ZoneFailing);
            self.told &= told == events.len();
            self.wake_at = None;
        }
    }
}

impl LeftOver {
    /// The same, where this is what is published of it. An alias has one target, and lacks none.
    fn as_published(&self, id: &RrsetId, published: &RdataSet) -> Self {
        let missing = self.data.iter().chain(&self.missing).filter(|data| !published.contains(*data));
        let missing = missing.filter(|_| id.rtype != RrType::Cname).cloned().collect();
        Self { since: self.since, data: published.clone(), missing }
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

/// Whether a zone still holds what was left in it, or other data of our nodes: also of those that are out of the file.
fn is_as_left(turn: Turn<'_>, published: &Rrsets, id: &RrsetId, left: &LeftOver) -> bool {
    let is_ours = |id: &RrsetId, rdata: &_| {
        left.data.iter().chain(&left.missing).any(|ours| ours == rdata) || is_known(turn, id, rdata)
    };
    published.get(id).is_some_and(|set| plan::is_ours(id, set, &left.data, &is_ours))
}
