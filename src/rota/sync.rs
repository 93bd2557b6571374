//! `rotad sync`: zones are read now, and who asked hears what was found and repaired.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{Rota, Ticket};
use crate::{
    control::Answer,
    dns::OwnerName,
    event::{Event, Kind},
    status::ZoneState,
    text::{self, printable},
};

#[cfg(test)]
mod tests;

/// How long is waited for the zones.
const PATIENCE: Duration = Duration::from_mins(1);
/// Lines of a kind that are told by themselves.
const LINES: usize = 100;

/// Somebody waits for zones to be read.
#[derive(Debug)]
pub(super) struct Sync {
    begun: Instant,
    zones: usize,
    waiting: BTreeSet<OwnerName>,
    /// What was found, and what was done about it.
    repaired: Vec<String>,
    /// Zones that are not in sync all the same.
    wrong: Vec<String>,
}

impl Rota {
    /// Has zones read at their next turn, all of them if none is named; what BIND would not take before is tried once
    /// more. The answer comes with [`Rota::answers`].
    pub(super) fn sync(&mut self, now: Instant, names: &[String]) -> Result<Ticket, String> {
        let mut waiting = BTreeSet::new();
        for text in names {
            let name = OwnerName::parse(text).ok().filter(|name| self.zones.contains_key(name));
            let unknown =
                || format!("{} is no zone of the file in force; `rotad status --json` lists them", printable(text));
            waiting.insert(name.ok_or_else(unknown)?);
        }
        if names.is_empty() {
            waiting.extend(self.zones.keys().cloned());
        }
        for name in &waiting {
            if let Some(zone) = self.zones.get_mut(name) {
                zone.read_anew();
            }
            self.with_zone(name, now, |zone, _| zone.try_anew(now));
            self.call(name);
        }
        let sync = Sync { begun: now, zones: waiting.len(), waiting, repaired: Vec::new(), wrong: Vec::new() };
        self.tickets = self.tickets.wrapping_add(1);
        self.syncs.insert(Ticket(self.tickets), sync);
        Ok(Ticket(self.tickets))
    }

    /// A zone was told of, or has come to rest: who waits for it hears that.
    pub(super) fn note_for_syncs(&mut self, name: &OwnerName, events: &[Event]) {
        if self.syncs.is_empty() {
            return;
        }
        let is_news = |event: &&Event| matches!(event.kind, Kind::Published | Kind::Drift | Kind::RrsetForeign);
        for sync in self.syncs.values_mut().filter(|sync| sync.waiting.contains(name)) {
            sync.repaired.extend(events.iter().filter(is_news).map(|event| event.message.clone()));
        }
    }

    /// A zone has nothing to do for now: if it was read, that is what was waited for.
    pub(super) fn rests_for_syncs(&mut self, name: &OwnerName) {
        let Some(zone) = self.zones.get(name).filter(|_| !self.syncs.is_empty()) else { return };
        let (state, error) = (zone.state(), zone.error().unwrap_or("a change waits"));
        for sync in self.syncs.values_mut().filter(|sync| sync.waiting.contains(name)) {
            if zone.was_read_since(sync.begun) || state == ZoneState::Failing {
                sync.waiting.remove(name);
                if state != ZoneState::InSync {
                    sync.wrong.push(format!("{name} is {}: {error}", state.as_str()));
                }
            }
        }
    }

    /// Answers that were waited for.
    pub fn answers(&mut self, now: Instant) -> Vec<(Ticket, Answer)> {
        let over = |sync: &Sync| {
            let is_gone = |name: &OwnerName| !self.zones.contains_key(name);
            now >= sync.begun + PATIENCE || sync.waiting.iter().all(is_gone)
        };
        let over: Vec<_> = self.syncs.iter().filter(|(_, sync)| over(sync)).map(|(ticket, _)| *ticket).collect();
        let over = over.into_iter().filter_map(|ticket| Some((ticket, self.syncs.remove(&ticket)?.answer())));
        over.collect()
    }

    /// When somebody has waited long enough.
    pub(super) fn syncs_wake_at(&self) -> Option<Instant> {
        self.syncs.values().map(|sync| sync.begun + PATIENCE).min()
    }
}

impl Sync {
    fn answer(self) -> Answer {
        let zones = |many: usize| if many == 1 { "1 zone".to_owned() } else { format!("{} zones", text::count(many)) };
        let mut lines = capped(self.repaired);
        let found_nothing = lines.is_empty();
        lines.extend(capped(self.wrong.clone()));
        let late = capped(self.waiting.iter().map(ToString::to_string).collect());
        let read = zones(self.zones - self.waiting.len());
        lines.push(match (late.is_empty(), found_nothing) {
            (true, true) => format!("{read} read: nothing had been changed by anybody else"),
            (true, false) => format!("{read} read"),
            (false, _) => {
                let seconds = PATIENCE.as_secs();
                format!(
                    "{read} read; within {seconds} s these were not: {}; they are read as soon as possible",
                    late.join(", ")
                )
            }
        });
        let words = lines.join("\n");
        if self.wrong.is_empty() && late.is_empty() { Answer::done(words) } else { Answer::refused(words) }
    }
}

fn capped(mut lines: Vec<String>) -> Vec<String> {
    if let Some(more @ 1..) = lines.len().checked_sub(LINES) {
        lines.truncate(LINES);
        lines.push(format!("and {} more", text::count(more)));
    }
    lines
}
