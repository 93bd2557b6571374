//! What operators want of what is left over: it is planned like all else, and each wish has an outcome, which somebody
//! may wait for.

use std::collections::BTreeSet;

use super::{Scope, Seen, Turn, Zone, words};
use crate::{
    dns::{OwnerName, Rdata, RrType, Rrset, RrsetId},
    event::{Event, Kind},
    plan::{self, Change, Plan, Rrsets},
};

/// What an operator wants of an `RRset` that is left over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// It is deleted.
    Withdraw,
    /// The members that are out come back.
    Restore,
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, and BIND shows it.
    Done,
    /// There was nothing to do: no member is out.
    Whole,
    /// Some members cannot come back. What becomes of the others is still to come.
    Lacks(String),
    /// It was not done. The words name the set and the cause.
    Left(String),
}

impl Zone {
    /// Asks for something of what is left over; it is done at the zone's next turns, by what BIND shows from now on.
    pub fn wish(&mut self, ids: BTreeSet<RrsetId>, wish: Wish) {
        self.wishes.extend(ids.into_iter().map(|id| (id, wish)));
        self.wants_reading = true;
        self.dormant = false;
        self.at_rest = false;
    }

    /// What has become of wishes since this was asked last.
    pub fn take_outcomes(&mut self) -> Vec<(RrsetId, Outcome)> {
        std::mem::take(&mut self.outcomes)
    }

    /// Something became of a wish, if there was one.
    pub(super) fn conclude(&mut self, id: &RrsetId, outcome: Outcome) {
        if self.wishes.remove(id).is_some() {
            self.outcomes.push((id.clone(), outcome));
        }
    }

    /// What messages change that were not read back, be it that their answer was lost.
    pub(super) fn changes_under_way(&self) -> impl Iterator<Item = &Change> {
        self.pending.changes().chain(self.lost.iter().flat_map(|sent| &sent.changes))
    }

    /// Whether one of these changes an `RRset`.
    pub(super) fn is_under_way(&self, id: &RrsetId) -> bool {
        self.changes_under_way().any(|change| change.id == *id)
    }

    /// Adds to a plan what operators want of what is left over. What cannot be done is told, and given up.
    pub(super) fn add_wishes(&mut self, turn: Turn<'_>, published: &Rrsets, plan: &mut Plan) -> Vec<Event> {
        let mut events = self.follow_left_over(turn);
        let Some(seen) = self.seen.as_ref().filter(|_| !self.wishes.is_empty()) else { return events };
        let (mut concluded, mut lacking) = (Vec::new(), Vec::new());
        for (id, wish) in self.wishes.iter().filter(|(id, _)| !self.is_under_way(id)) {
            if let Some(why) = seen.hidden.get(&id.owner) {
                let (cause, owner) = (why.cause(), &id.owner);
                let words = format!(
                    "{id} stays as it is: it {cause}: ask again when it is not hidden any more, or `rotad withdraw {owner} {} \
                     --forget` forgets it, and leaves it in DNS",
                    id.rtype
                );
                events.push(Event::new(Kind::LeftOver, words.clone()).zone(&self.name).rrset(id));
                concluded.push((id.clone(), Outcome::Left(words)));
                continue;
            }
            let (Some(left), Some(before)) = (self.memory.left_over.get(id), published.get(id)) else {
                concluded.push((id.clone(), Outcome::Left(format!("{id} is not left over any more"))));
                continue;
            };
            let after = match wish {
                Wish::Withdraw => None,
                Wish::Restore => {
                    let (bare, back): (Vec<_>, Vec<_>) =
                        left.missing.iter().cloned().partition(|rdata| self.is_bare(seen, published, plan, rdata));
                    if !bare.is_empty() {
                        lacking.push((id.clone(), words::bare(id, &bare), back.iter().cloned().collect()));
                    }
                    if back.is_empty() {
                        concluded.push((id.clone(), Outcome::Whole));
                        continue;
                    }
                    Some(Rrset { ttl: before.ttl, rdata: before.rdata.iter().cloned().chain(back).collect() })
                }
            };
            plan.changes.push(Change { id: id.clone(), before: Some(before.clone()), after });
        }
        let mut memory = (*self.memory).clone();
        for (id, words, back) in lacking {
            // It is said once: what cannot come back is missing no longer.
            if let Some(left) = memory.left_over.get_mut(&id) {
                left.missing = back;
            }
            events.push(Event::new(Kind::LeftOver, words.clone()).zone(&self.name).rrset(&id));
            self.outcomes.push((id, Outcome::Lacks(words)));
        }
        self.keep(memory);
        for (id, outcome) in concluded {
            self.conclude(&id, outcome);
        }
        events
    }

    /// The hosts in this zone of exchanges that may have to come back.
    pub(super) fn hosts_to_restore(&self) -> impl Iterator<Item = &OwnerName> {
        let restored = self.wishes.iter().filter(|(_, wish)| **wish == Wish::Restore);
        let left = restored.filter_map(|(id, _)| self.memory.left_over.get(id));
        let exchanges = left.flat_map(|left| left.data.iter().chain(&left.missing)).filter_map(plan::exchange);
        exchanges.filter(|host| host.is_at_or_below(&self.name))
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
        stays.iter().filter_map(|id| self.give_up(id, "an MX that stays in the zone points to it")).collect()
    }

    /// BIND does not do what an operator wants of it: it stays left over, and is not tried again and again.
    pub(super) fn give_up(&mut self, id: &RrsetId, why: &str) -> Option<Event> {
        self.wishes.contains_key(id).then(|| {
            let words = format!("{id} stays as it is: {why}");
            self.conclude(id, Outcome::Left(words.clone()));
            Event::new(Kind::LeftOver, words).zone(&self.name).rrset(id)
        })
    }

    /// The zone is not ours, or cannot be read or written: nothing of what operators want is done.
    pub(super) fn give_up_wishes(&mut self, why: &str) -> Option<Event> {
        let ids: Vec<_> = self.wishes.keys().cloned().collect();
        let first = ids.first()?;
        let what = match ids.len() - 1 {
            0 => format!("{first} stays as it is"),
            more => format!("{first} and {more} more stay as they are"),
        };
        for id in &ids {
            self.conclude(id, Outcome::Left(format!("{id} stays as it is: {why}")));
        }
        Some(Event::new(Kind::LeftOver, format!("{what}: {why}")).zone(&self.name))
    }
}
