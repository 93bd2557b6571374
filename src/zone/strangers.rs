//! Data of strangers at names of the file, in a zone that is ours: they are left alone, each set by itself, until an
//! operator lets us take it over.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Owned, Turn, Zone,
    owner::{is_known, is_me},
};
use crate::{
    desired::Recipe,
    dns::{OwnerName, RdataSet, RrsetId},
    event::{Event, Kind},
    plan::{Plan, Rrsets, rails::in_the_way},
};

impl Zone {
    /// The names of the file at which something of strangers stands.
    #[must_use]
    pub fn foreign_names(&self) -> BTreeSet<&OwnerName> {
        self.foreign.keys().chain(self.foreign_told.keys()).map(|id| &id.owner).collect()
    }

    /// Sets of strangers at names of the file, which are left.
    #[must_use]
    pub const fn foreign(&self) -> &Owned {
        &self.foreign
    }

    /// What is told of what is left for strangers.
    #[must_use]
    pub const fn foreign_told(&self) -> &BTreeMap<RrsetId, String> {
        &self.foreign_told
    }

    /// An operator takes sets over.
    pub fn adopt_sets(&mut self, ids: impl IntoIterator<Item = RrsetId>) {
        self.adopted.extend(ids);
    }

    /// The sets that the file names, that we do not own, and that hold data which we do not know.
    pub(super) fn strangers(&self, turn: Turn<'_>, published: &Rrsets, recipes: &BTreeMap<RrsetId, Recipe>) -> Owned {
        // Before there is a record of ours the zone is foreign as a whole.
        let record = self.seen.as_ref().and_then(|seen| seen.generation.record());
        if self.adopt || !record.is_some_and(|record| is_me(record, turn.me)) {
            return BTreeMap::new();
        }
        let not_owned = |id: &&RrsetId| !self.is_ours_to_change(id, published);
        let strange = |id: &RrsetId| {
            let set = published.get(id)?;
            let is_strange = set.rdata.iter().any(|rdata| !is_known(turn, id, rdata));
            is_strange.then(|| (id.clone(), set.rdata.clone()))
        };
        recipes.keys().filter(not_owned).filter_map(strange).collect()
    }

    /// The same, with those that stand in the way of one of ours.
    pub(super) fn all_strangers(&self, mut foreign: Owned, published: &Rrsets, plan: &Plan) -> Owned {
        for blocked in plan.blocked.keys().chain(plan.foreign.keys()) {
            let theirs = in_the_way(blocked);
            let theirs =
                theirs.filter(|id| !self.is_ours_to_change(id, published) && !self.memory.left_over.contains_key(id));
            foreign.extend(theirs.filter_map(|id| Some((id.clone(), published.get(&id)?.rdata.clone()))));
        }
        foreign
    }

    /// Notes the strangers' sets, and tells what is left for them if that is news. Takes what is to be told.
    pub(super) fn tell_strangers(&mut self, foreign: Owned, told: &mut BTreeMap<RrsetId, String>) -> Vec<Event> {
        self.foreign = foreign;
        let before = std::mem::replace(&mut self.foreign_told, std::mem::take(told));
        let new = self.foreign_told.iter().filter(|(id, words)| before.get(*id) != Some(*words));
        new.map(|(id, words)| Event::new(Kind::RrsetForeign, words).zone(&self.name).rrset(id)).collect()
    }

    /// What BIND has ignored for records of types that nobody sees: some servers do not tell of all that a name holds.
    pub(super) fn add_unseen_strangers(&self, plan: &mut Plan) {
        let unseen = self.troubles.iter().filter(|(_, trouble)| trouble.is_foreign);
        plan.foreign.extend(unseen.map(|(id, trouble)| (id.clone(), trouble.words.clone())));
    }

    /// Whether a set is owned, or a message of ours has written it, or an operator lets us take it over.
    fn is_ours_to_change(&self, id: &RrsetId, published: &Rrsets) -> bool {
        self.memory.owned.contains_key(id)
            || self.adopted.contains(id)
            || self.is_acknowledged(id)
            || self.sent_to(id, published).is_some()
    }

    /// Whether a message that BIND has acknowledged, and that was not read back, changes a set.
    fn is_acknowledged(&self, id: &RrsetId) -> bool {
        self.pending.changes().any(|change| change.id == *id)
    }

    /// What a message of ours that was not read back has written to a set. What one without an answer was to write is ours
    /// if that is what stands there; other data may be why it was not applied.
    pub(super) fn sent_to(&self, id: &RrsetId, published: &Rrsets) -> Option<&RdataSet> {
        let last = self.changes_under_way().filter(|change| change.id == *id).last()?;
        let sent = last.after.as_ref().map(|set| &set.rdata)?;
        let stands = || published.get(id).is_some_and(|set| set.rdata == *sent);
        (self.is_acknowledged(id) || stands()).then_some(sent)
    }

    /// Sets that an operator took over because they stand in the way of one of ours: they go.
    pub(super) fn adopted_in_the_way(&self, published: &Rrsets, recipes: &BTreeMap<RrsetId, Recipe>) -> Owned {
        let ids = self.adopted.iter().filter(|id| !recipes.contains_key(*id));
        let ids = ids.filter(|id| in_the_way(id).any(|ours| recipes.contains_key(&ours)));
        ids.filter_map(|id| Some((id.clone(), published.get(id)?.rdata.clone()))).collect()
    }
}
