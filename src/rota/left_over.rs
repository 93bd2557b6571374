//! `withdraw` and `restore`: what operators want of what the file no longer gives.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::Rota;
use crate::{
    control::{Answer, Selection},
    dns::{OwnerName, RrsetId},
    event::{Event, Kind},
    status,
    zone::{Scope, Wish, Zone},
};

/// How many `RRsets` an answer names.
const NAMED: usize = 20;

impl Rota {
    /// What the file no longer gives and stands in DNS.
    pub fn left_over(&self) -> impl Iterator<Item = status::LeftOver> {
        let server = self.cluster.bind.server.to_string();
        let zones = self.zones.iter().filter(|(_, zone)| !zone.memory().left_over.is_empty());
        zones.flat_map(move |(name, zone)| status::LeftOver::of(name, zone.memory(), &server).collect::<Vec<_>>())
    }

    /// The same, but it writes no more than this: for commands that do one thing and end.
    #[must_use]
    pub fn limited_to(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// Sorts out what is left over before anything is read: the file may have been edited since it was looked at last.
    pub fn sort_left_over(&mut self, now: Instant) -> Vec<Event> {
        let names: Vec<_> = self.zones.keys().cloned().collect();
        let told = names.iter().filter_map(|name| self.with_zone(name, now, Zone::sort_left_over)?);
        told.collect()
    }

    /// Deletes what is left over, or with `forget` forgets it and leaves DNS alone.
    pub fn withdraw(&mut self, selection: &Selection, forget: bool) -> (Answer, Vec<Event>) {
        let chosen = match self.choose(selection, Wish::Withdraw) {
            Ok(chosen) => chosen,
            Err(words) => return (Answer::refused(words), Vec::new()),
        };
        let list = listed(&chosen);
        for (zone, ids) in chosen {
            if forget {
                self.revision += 1;
                self.ask_of(&zone, |zone| zone.forget_left_over(&ids));
            } else {
                self.ask_of(&zone, |zone| zone.wish(ids, Wish::Withdraw));
            }
        }
        let words = if forget {
            format!("forgotten, and left in DNS as it is: {list}")
        } else {
            format!("withdrawn{}: {list}", self.when())
        };
        (Answer::done(words.clone()), vec![Event::new(Kind::LeftOver, words)])
    }

    /// Gives what is left over the members back that were out.
    pub fn restore(&mut self, selections: &[Selection]) -> (Answer, Vec<Event>) {
        let mut all: BTreeMap<OwnerName, BTreeSet<RrsetId>> = BTreeMap::new();
        for selection in selections {
            match self.choose(selection, Wish::Restore) {
                Ok(chosen) => chosen.into_iter().for_each(|(zone, ids)| all.entry(zone).or_default().extend(ids)),
                Err(words) => return (Answer::refused(words), Vec::new()),
            }
        }
        for (zone, ids) in &mut all {
            let left_over = self.zones.get(zone).map(|zone| &zone.memory().left_over);
            ids.retain(|id| left_over.and_then(|all| all.get(id)).is_some_and(|left| !left.missing.is_empty()));
        }
        all.retain(|_, ids| !ids.is_empty());
        if all.is_empty() {
            return (Answer::done("nothing is missing in what is left over"), Vec::new());
        }
        let words = format!("restored{}: {}", self.when(), listed(&all));
        for (zone, ids) in all {
            self.ask_of(&zone, |zone| zone.wish(ids, Wish::Restore));
        }
        (Answer::done(words.clone()), vec![Event::new(Kind::LeftOver, words)])
    }

    fn ask_of(&mut self, name: &OwnerName, ask: impl FnOnce(&mut Zone)) {
        let Some(mut zone) = self.zones.remove(name) else { return };
        self.tally.remove(&zone);
        ask(&mut zone);
        self.put(zone, name.clone());
        self.call(name);
    }

    /// What of that which is left over a selection takes, by zone.
    fn choose(&self, selection: &Selection, wish: Wish) -> Result<BTreeMap<OwnerName, BTreeSet<RrsetId>>, String> {
        let mut chosen = BTreeMap::new();
        for (name, zone) in &self.zones {
            let ids: BTreeSet<_> = zone
                .memory()
                .left_over
                .keys()
                .filter(|id| selection.takes(&id.owner, id.rtype.as_str()))
                .cloned()
                .collect();
            if !ids.is_empty() {
                chosen.insert(name.clone(), ids);
            }
        }
        let Some(name) = selection.name().filter(|_| chosen.is_empty()) else {
            return match wish {
                _ if !chosen.is_empty() => Ok(chosen),
                Wish::Withdraw => Err("nothing is left over".to_owned()),
                Wish::Restore => Err("nothing is left over; without the daemon `rotad restore --all` puts back all members of every set of the file, too".to_owned()),
            };
        };
        let is_given = self.cluster.domain_of(&name).is_some()
            || self.cluster.domains.keys().any(|domain| domain.is_at_or_below(&name));
        Err(match wish {
            Wish::Withdraw if is_given => format!(
                "{name} is in the file, and nothing of it is left over: take it out of the file first; `rotad status` lists what is left over"
            ),
            Wish::Restore if is_given => format!(
                "{name} is in the file, and rotad publishes who is healthy: stop the daemon to restore every set of it (`rotad restore {name}`)"
            ),
            Wish::Withdraw | Wish::Restore => {
                format!("nothing is left over at {name}; `rotad status` lists what is")
            }
        })
    }
}

/// The `RRsets` in one line.
fn listed(chosen: &BTreeMap<OwnerName, BTreeSet<RrsetId>>) -> String {
    let all = chosen.values().flatten();
    let mut words: Vec<_> = all.clone().take(NAMED).map(ToString::to_string).collect();
    if let Some(more @ 1..) = all.count().checked_sub(NAMED) {
        words.push(format!("and {more} more"));
    }
    words.join(", ")
}
