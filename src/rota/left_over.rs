//! `withdraw` and `restore`: what operators want of what the file no longer gives.

use std::time::Instant;

use super::{
    Reply, Rota, Ticket,
    asking::{Asking, Sets, by_zone, listed},
};
use crate::{
    control::{Answer, Selection},
    dns::OwnerName,
    event::{Event, Kind},
    status,
    text::printable,
    zone::{Scope, Wish, Zone},
};

#[cfg(test)]
mod tests;

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

    /// Sorts out what is left over before the zones have their turn: the file may have been edited since.
    pub fn sort_left_over(&mut self, now: Instant) -> Vec<Event> {
        let names: Vec<_> = self.queue.ready().chain(self.queue.busy()).cloned().collect();
        let told = names.iter().filter_map(|name| self.with_zone(name, now, Zone::sort_left_over)?);
        told.collect()
    }

    /// Deletes what is left over, or with `forget` forgets it and leaves DNS alone; also what was to be deleted in a zone
    /// that is gone.
    pub fn withdraw(&mut self, now: Instant, selection: &Selection, forget: bool) -> (Reply, Vec<Event>) {
        let chosen = match self.choose(selection, Wish::Withdraw, forget) {
            Ok(chosen) => chosen,
            Err(words) => return (Reply::Now(Answer::refused(words)), Vec::new()),
        };
        if self.may_wait_from_the_start() && !forget {
            let words = "nothing is withdrawn while the file that rotad was started with waits for `rotad accept`, or before \
                         that is known: what it leaves out stands among the left-overs already, and would be deleted, too; \
                         see `rotad status`, and accept it or take it back first";
            return (Reply::Now(Answer::refused(words.to_owned())), Vec::new());
        }
        if !forget {
            return (Reply::Later(self.ask_for(now, Wish::Withdraw, chosen)), Vec::new());
        }
        let mut events = Vec::new();
        for (zone, ids) in by_zone(&chosen) {
            self.revision += 1;
            self.ask_of(&zone, |zone| zone.forget_sets(&ids));
            events.extend(self.note_outcomes(&zone));
        }
        // An MX of what is forgotten is waited for no longer.
        for name in std::mem::take(&mut self.waiting) {
            self.call(&name);
        }
        let words = format!("forgotten, and left in DNS as it is: {}", listed(&chosen));
        events.push(Event::new(Kind::LeftOver, words.clone()));
        (Reply::Now(Answer::done(words)), events)
    }

    /// Gives what is left over the members back that are out.
    pub fn restore(&mut self, now: Instant, selections: &[Selection]) -> (Reply, Vec<Event>) {
        let mut all = Sets::new();
        for selection in selections {
            match self.choose(selection, Wish::Restore, false) {
                Ok(chosen) => all.extend(chosen),
                Err(words) => return (Reply::Now(Answer::refused(words)), Vec::new()),
            }
        }
        (Reply::Later(self.ask_for(now, Wish::Restore, all)), Vec::new())
    }

    /// Asks the zones, and has whoever asked wait for what becomes of it.
    fn ask_for(&mut self, now: Instant, wish: Wish, sets: Sets) -> Ticket {
        for asking in self.askings.values_mut() {
            asking.is_asked_again(wish, &sets);
        }
        self.server.ask_now(now);
        for (zone, ids) in by_zone(&sets) {
            self.ask_of(&zone, |zone| zone.wish(ids, wish));
        }
        let (ticket, tries) = (self.ticket(), self.tries_by_now());
        self.askings.insert(ticket, Asking::new(now, wish, sets, tries));
        ticket
    }

    fn ask_of(&mut self, name: &OwnerName, ask: impl FnOnce(&mut Zone)) {
        let Some(mut zone) = self.zones.remove(name) else { return };
        self.tally.remove(&zone);
        ask(&mut zone);
        self.put(zone, name.clone());
        self.call(name);
    }

    /// What of that which is left over a selection takes.
    fn choose(&self, selection: &Selection, wish: Wish, forget: bool) -> Result<Sets, String> {
        let mut chosen = Sets::new();
        for (name, zone) in &self.zones {
            let is_out = forget && !self.layout.zones.contains_key(name) && self.server_trouble().is_none();
            let ids = zone.forgettable(is_out).filter(|id| selection.takes(&id.owner, id.rtype.as_str()));
            chosen.extend(ids.map(|id| (name.clone(), id.clone())));
        }
        if !chosen.is_empty() {
            return Ok(chosen);
        }
        let Some(text) = selection.text() else {
            return Err(match wish {
                Wish::Withdraw => "nothing is left over".to_owned(),
                Wish::Restore => "nothing is left over; without the daemon `rotad restore --all` puts back all members of every set of the file, too".to_owned(),
            });
        };
        let is_given = selection.name().is_some_and(|name| {
            self.cluster.domain_of(&name).is_some()
                || self.cluster.domains.keys().any(|domain| domain.is_at_or_below(&name))
        });
        let waits = self.held_edit().map_or_else(String::new, |held| {
            format!("; the edit {} is not in force: it waits for `rotad accept {}`", held.id, held.id)
        });
        Err(match wish {
            Wish::Withdraw if is_given => format!(
                "nothing is left over at {text}: what the file gives there can be withdrawn only after it is taken out of the file{waits}; `rotad status` lists what is left over"
            ),
            Wish::Restore if is_given => format!(
                "nothing is left over at {text}: of what the file gives there rotad publishes who is healthy; stop the daemon to restore every set of it (`rotad restore {text}`){waits}"
            ),
            Wish::Withdraw | Wish::Restore => {
                format!("nothing is left over at {}; `rotad status` lists what is", printable(text))
            }
        })
    }
}
