//! What a zone tells those who look at it, and at all of them together.

use std::{collections::BTreeMap, time::Instant};

use super::{Preview, Turn, Zone};
use crate::{
    desired::Recipe,
    dns::{OwnerName, RdataSet, RrType, Rrset, RrsetId, Ttl},
    plan::{self, Change, Rrsets},
    status::ZoneState,
};

impl Zone {
    /// The generation and serial as last read.
    #[must_use]
    pub fn marks(&self) -> (Option<u64>, Option<u32>) {
        let generation = self.seen.as_ref().and_then(|seen| seen.generation.record()).map(|record| record.generation);
        (generation.or(self.generation), self.seen.as_ref().map(|seen| seen.serial))
    }

    /// Whether a message of ours is under way or to be read back.
    #[must_use]
    pub const fn has_something_to_read_back(&self) -> bool {
        self.sent.is_some() || !self.pending.is_empty()
    }

    /// Whether a message of ours is to be read back soon: what is left is to tell of it. Nobody waits for one that BIND has
    /// not shown for long.
    #[must_use]
    pub fn is_being_read_back(&self, now: Instant) -> bool {
        self.sent.is_some() || !(self.pending.is_empty() || self.pending.is_behind(now))
    }

    /// Whether nothing of ours is left in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.sent.is_none() && self.lost.is_none() && self.pending.is_empty()
    }

    /// Whether it has something to delete once no MX of another zone points to it.
    #[must_use]
    pub const fn waits_for_others(&self) -> bool {
        self.waits
    }

    /// The exchange of each MX in it, also of one that BIND may still show. `None`: it could point anywhere, for nothing
    /// is known of a zone before it is read. While it cannot be read, what we published counts: one zone out of reach
    /// must not stop the cleaning of all others.
    #[must_use]
    pub fn targets(&self) -> Option<Vec<&OwnerName>> {
        let nothing_under_way = self.lost.is_none() && self.pending.is_empty();
        let mut targets = match &self.seen {
            Some(seen) => {
                let seen_sets = seen.rrsets.iter().map(|(id, set)| (id, &set.rdata));
                exchanges(seen_sets.chain(self.hidden_owned(seen)))
            }
            // It may never be read again; but a message that was not read back may have written an MX.
            None if (self.state == ZoneState::Failing || self.dormant) && nothing_under_way => {
                exchanges(self.memory.owned.iter())
            }
            None => return None,
        };
        let shown = self.pending.messages().flat_map(|sent| &sent.changes);
        targets.extend(exchanges(shown.filter_map(|change| Some((&change.id, &change.before.as_ref()?.rdata)))));
        // What is left over is not read.
        targets.extend(exchanges(self.memory.left_over.iter().map(|(id, left)| (id, &left.data))));
        Some(targets)
    }

    /// How many `RRsets` the zone holds for us, and how many of them an edit would change or delete now.
    #[must_use]
    pub fn edit_size(&self, turn: Turn<'_>) -> (usize, usize) {
        let recipes = turn.recipes();
        let is_ours = self.seen.as_ref().is_none_or(|seen| self.not_ours(turn, seen, &recipes).is_none());
        if !is_ours {
            return (self.memory.owned.len(), 0);
        }
        // An edit counts although BIND is out of reach: what we published stands in for what cannot be read.
        let published = self.seen.as_ref().map_or_else(|| self.remembered(&recipes), |seen| seen.rrsets.clone());
        let plan = self.diff(turn, &published, &recipes);
        let by_edit = |change: &&Change| {
            self.memory.owned.contains_key(&change.id) && plan::is_by_edit(change, recipes.get(&change.id))
        };
        // What BIND refuses is no part of this edit.
        let is_new = |change: &&Change| self.troubles.get(&change.id).is_none_or(|trouble| !trouble.is_of(change));
        (self.memory.owned.len(), plan.changes.iter().filter(by_edit).filter(is_new).count())
    }

    /// What the zone holds as far as we remember. TTLs are not remembered.
    fn remembered(&self, recipes: &BTreeMap<RrsetId, Recipe>) -> Rrsets {
        let sets = self.memory.owned.iter().map(|(id, rdata)| {
            let ttl = recipes.get(id).map_or(Ttl(0), |recipe| recipe.ttl);
            (id.clone(), Rrset { ttl, rdata: rdata.clone() })
        });
        sets.collect()
    }

    /// The plan for the zone as it stands, for showing; `None` while it has not been read.
    #[must_use]
    pub fn preview(&self, turn: Turn<'_>) -> Option<Preview> {
        let seen = self.seen.as_ref()?;
        let stays = self.left_over_targets();
        let elsewhere = |name: &OwnerName| stays.contains(name) || (turn.is_target_elsewhere)(name);
        let turn = Turn { is_target_elsewhere: &elsewhere, ..turn };
        let recipes = turn.recipes();
        let plan = self.diff(turn, &seen.rrsets, &recipes);
        let claim = self.claims(seen, &recipes);
        let is_first = seen.generation.record().is_none();
        let generation = self.next_generation(&seen.generation);
        let not_ours = self.not_ours(turn, seen, &recipes);
        Some(Preview { zone: self.name.clone(), plan, claim, is_first, generation, not_ours })
    }
}

/// The exchange of each MX. It is asked for at every turn of a zone: no other set is looked into.
fn exchanges<'a>(sets: impl Iterator<Item = (&'a RrsetId, &'a RdataSet)>) -> Vec<&'a OwnerName> {
    sets.filter(|(id, _)| id.rtype == RrType::Mx).flat_map(|(_, rdata)| rdata).filter_map(plan::exchange).collect()
}
