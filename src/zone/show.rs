//! What a zone tells those who look at it, and at all of them together.

use std::{collections::BTreeMap, time::Instant};

use super::{Later, Preview, Turn, Zone, words};
use crate::{
    desired::Recipe,
    dns::{OwnerName, Rdata, RdataSet, RrType, Rrset, RrsetId, Ttl},
    plan::{self, Rrsets},
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

    /// Whether a message went out of which nothing is known: it may change the zone yet.
    #[must_use]
    pub const fn has_lost_message(&self) -> bool {
        self.lost.is_some()
    }

    /// How many `RRsets` the zone holds for us, and how many of them an edit would change or delete, now or later: once
    /// those who come instead are decided, no MX of another zone points to them, or they are not hidden any more. So the
    /// rails are not asked. What the file `before` does not say either does not count: it was let through.
    #[must_use]
    pub fn edit_size(&self, turn: Turn<'_>, before: Option<Turn<'_>>) -> (usize, usize) {
        let recipes = turn.recipes();
        let owned = &self.memory.owned;
        let is_ours = self.seen.as_ref().is_none_or(|seen| self.not_ours(turn, seen, &recipes).is_none());
        if !is_ours {
            return (owned.len(), 0);
        }
        // An edit counts although BIND is out of reach: what we published stands in for what cannot be read.
        let published = self.seen.as_ref().map_or_else(|| self.remembered(&recipes), |seen| seen.rrsets.clone());
        let plan = self.wanted(turn, &published, &recipes, &self.strangers(turn, &published, &recipes));
        let (published, hidden) = (self.with_hidden(&published), self.hidden_leaving(turn, &recipes));
        let changes: BTreeMap<_, _> = plan.changes.iter().map(|change| (&change.id, change)).collect();
        let before = before.map(|turn| turn.recipes());
        let was_listed = |id: &RrsetId, rdata: &Rdata| {
            before.as_ref().is_none_or(|before| before.get(id).is_some_and(|recipe| recipe.lists(rdata)))
        };
        let gave_another_ttl = |id: &RrsetId| {
            let before = before.as_ref().and_then(|before| before.get(id));
            before.is_none_or(|before| recipes.get(id).is_none_or(|recipe| recipe.ttl != before.ttl))
        };
        let is_by_edit = |(id, ours): &(&RrsetId, &RdataSet)| {
            let (recipe, set) = (recipes.get(*id), published.get(*id));
            let leaves = |rdata: &&Rdata| {
                ours.contains(*rdata) && recipe.is_some_and(|recipe| !recipe.lists(rdata)) && was_listed(id, rdata)
            };
            if set.is_some_and(|set| set.rdata.iter().any(|rdata| leaves(&rdata))) {
                return true;
            }
            let was_given = || before.as_ref().is_none_or(|before| before.contains_key(*id));
            if hidden.contains_key(*id) {
                return was_given();
            }
            // What BIND refuses is no part of this edit.
            let change = changes.get(*id).filter(|change| self.troubles.get(*id).is_none_or(|t| !t.is_of(change)));
            change.is_some_and(|change| match (&change.before, &change.after) {
                (Some(_), None) => was_given(),
                // Where the file before gave it the same TTL, somebody has changed it by hand.
                (Some(old), Some(new)) => old.ttl != new.ttl && gave_another_ttl(id),
                (None, _) => false,
            })
        };
        (owned.len(), owned.iter().filter(is_by_edit).count())
    }

    /// What the zone holds as far as we remember. TTLs are remembered of a zone that was left as it should be; of others
    /// those of the file stand in.
    fn remembered(&self, recipes: &BTreeMap<RrsetId, Recipe>) -> Rrsets {
        if let Some(mark) = &self.memory.mark {
            return self.memory.rrsets(mark);
        }
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
        let waiting = plan.waiting.iter().filter_map(|id| {
            let set = seen.rrsets.get(id)?;
            Some(Later { id: id.clone(), ttl: Some(set.ttl), data: set.rdata.clone(), waits: words::waiting(id) })
        });
        let hidden = self.hidden_leaving(turn, &recipes).into_iter().map(|(id, (data, why))| {
            let waits = words::hidden_until(id, why);
            Later { id: id.clone(), ttl: None, data: data.clone(), waits }
        });
        let later = waiting.chain(hidden).collect();
        Some(Preview { zone: self.name.clone(), plan, later, claim, is_first, generation, not_ours })
    }
}

/// The exchange of each MX. It is asked for at every turn of a zone: no other set is looked into.
fn exchanges<'a>(sets: impl Iterator<Item = (&'a RrsetId, &'a RdataSet)>) -> Vec<&'a OwnerName> {
    sets.filter(|(id, _)| id.rtype == RrType::Mx).flat_map(|(_, rdata)| rdata).filter_map(plan::exchange).collect()
}
