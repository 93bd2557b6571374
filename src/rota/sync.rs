//! `rotad sync`: zones are read now, and who asked hears what was found and repaired.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{Rota, Ticket, edits::Edits};
use crate::{
    control::Answer,
    dns::OwnerName,
    event::{Event, Kind},
    exit::Exit,
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
    /// How often BIND had been asked in vain by then, the question under way included.
    tries: u32,
    waiting: BTreeSet<OwnerName>,
    /// How many were read.
    read: usize,
    /// What was found, and what was done about it.
    repaired: Vec<String>,
    /// Zones that were read, are not in sync all the same, and why.
    wrong: Vec<(OwnerName, String)>,
    /// Zones that were asked for and could not be read, and why.
    unread: Vec<(OwnerName, String)>,
}

impl Rota {
    /// Has zones read at their next turn, all of them if none is named; what BIND would not take before is tried once
    /// more. The answer comes with [`Rota::answers`].
    pub(super) fn sync(&mut self, now: Instant, names: &[String]) -> Result<Ticket, String> {
        let mut waiting = BTreeSet::new();
        for text in names {
            if text.contains('*') {
                let fit = self.zones.keys().filter(|name| text::fits(text, name.as_str()) && self.is_followed(name));
                let fit: Vec<_> = fit.cloned().collect();
                if fit.is_empty() {
                    return Err(format!("no zone of the file in force fits {}", printable(text)));
                }
                waiting.extend(fit);
                continue;
            }
            let name = OwnerName::parse(text).ok().filter(|name| self.is_followed(name));
            let unknown =
                || format!("{} is no zone of the file in force; `rotad status --json` lists them", printable(text));
            waiting.insert(name.ok_or_else(unknown)?);
        }
        if names.is_empty() {
            waiting.extend(self.zones.keys().filter(|name| self.is_followed(name)).cloned());
        }
        for name in &waiting {
            self.begin_anew(name);
        }
        self.server.ask_now(now);
        let (repaired, wrong, unread) = (Vec::new(), Vec::new(), Vec::new());
        let (ticket, tries) = (self.ticket(), self.tries_by_now());
        let sync = Sync { begun: now, tries, waiting, read: 0, repaired, wrong, unread };
        self.syncs.insert(ticket, sync);
        Ok(ticket)
    }

    /// Whether a zone is read at all: one of which nothing but left-overs is there is not.
    fn is_followed(&self, name: &OwnerName) -> bool {
        let is_awake = self.zones.get(name).is_some_and(|zone| !zone.is_dormant());
        is_awake && (self.layout.zones.contains_key(name) || !self.is_left(name))
    }

    /// Whether the file has nothing in a zone, and nothing in it is owned.
    fn is_left(&self, name: &OwnerName) -> bool {
        self.zones.get(name).is_none_or(|zone| zone.memory().owned.is_empty())
    }

    /// Has a zone read before anything else is done in it, and what BIND would not take tried once more.
    pub(super) fn begin_anew(&mut self, name: &OwnerName) {
        if let Some(zone) = self.zones.get_mut(name) {
            zone.begin_anew();
        }
        self.call(name);
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

    /// A zone has nothing to do for now: if it was read, or could not be, that is what was waited for. What was begun
    /// before somebody asked tells nothing.
    pub(super) fn rests_for_syncs(&mut self, name: &OwnerName) {
        let Some(zone) = self.zones.get(name).filter(|_| !self.syncs.is_empty()) else { return };
        let waits = || match self.waits_for() {
            Some(_) => self.once_it_may("a change is written"),
            None if self.edits == Edits::Held => "a change waits for `rotad accept`".to_owned(),
            None => "a change waits".to_owned(),
        };
        let (state, error) = (zone.state(), zone.error().map_or_else(waits, str::to_owned));
        for sync in self.syncs.values_mut().filter(|sync| sync.waiting.contains(name)) {
            if zone.was_read_since(sync.begun) {
                sync.read += 1;
                if state != ZoneState::InSync {
                    sync.wrong.push((name.clone(), format!("{}: {error}", state.as_str())));
                }
            } else if state == ZoneState::Failing && !zone.wants_reading() {
                sync.unread.push((name.clone(), error.clone()));
            } else {
                continue;
            }
            sync.waiting.remove(name);
        }
    }

    /// Answers that were waited for.
    pub fn answers(&mut self, now: Instant) -> Vec<(Ticket, Answer)> {
        // A zone that has nothing of ours any more was read for that, and is not followed from then on.
        for sync in self.syncs.values_mut() {
            let before = sync.waiting.len();
            sync.waiting.retain(|name| self.zones.contains_key(name));
            sync.read += before - sync.waiting.len();
        }
        let (silence, tries) = (self.server.trouble(), self.server.tries());
        let over = |sync: &Sync| {
            // One question without an answer is enough: the others would not be asked before the next try.
            let is_in_vain = silence.is_some() && (!sync.unread.is_empty() || tries > sync.tries);
            now >= sync.begun + PATIENCE || is_in_vain || sync.waiting.is_empty()
        };
        let over: Vec<_> = self.syncs.iter().filter(|(_, sync)| over(sync)).map(|(ticket, _)| *ticket).collect();
        let answered =
            over.into_iter().filter_map(|ticket| Some((ticket, self.syncs.remove(&ticket)?.answer(silence))));
        let mut answered: Vec<_> = answered.collect();
        answered.extend(self.answers_of_askings(now));
        answered
    }

    /// When somebody has waited long enough.
    pub(super) fn syncs_wake_at(&self) -> Option<Instant> {
        self.syncs.values().map(|sync| sync.begun + PATIENCE).min()
    }
}

impl Sync {
    /// `silence`: why BIND is waited for, if it is.
    fn answer(self, silence: Option<&str>) -> Answer {
        let zones = |many: usize| text::number_of(many, "zone");
        let mut lines = capped(self.repaired);
        let found_nothing = lines.is_empty();
        let is_right = self.wrong.is_empty() && self.unread.is_empty() && self.waiting.is_empty();
        lines.extend(capped(folded(&self.wrong, " is ", " are ")));
        let read = match (self.read, is_right && found_nothing) {
            (0, _) => "no zone was read".to_owned(),
            (read, true) => format!("{} read: nothing had been changed by anybody else", zones(read)),
            (read, false) => format!("{} read", zones(read)),
        };
        if let Some(silence) = silence.filter(|_| !self.unread.is_empty() || !self.waiting.is_empty()) {
            let rest = zones(self.unread.len() + self.waiting.len());
            lines.push(format!(
                "{read}, and {rest} could not be: BIND gives no answer: {silence}; they are read once it answers again"
            ));
            return Answer::ended(Exit::Unavailable, lines.join("\n"));
        }
        lines.extend(capped(folded(&self.unread, " could not be read: ", " could not be read: ")));
        let late = capped(self.waiting.iter().map(ToString::to_string).collect());
        lines.push(if late.is_empty() {
            read
        } else {
            let seconds = PATIENCE.as_secs();
            format!("{read}; within {seconds} s these were not: {}; they are read as soon as possible", late.join(", "))
        });
        let words = lines.join("\n");
        if is_right { Answer::done(words) } else { Answer::refused(words) }
    }
}

/// The same words of several zones once.
fn folded(told: &[(OwnerName, String)], of_one: &str, of_many: &str) -> Vec<String> {
    let told = text::by_cause(told.iter().map(|(zone, words)| (zone.as_str(), words.as_str())));
    let line = |(zones, words): (Vec<&str>, String)| {
        let verb = if zones.len() == 1 { of_one } else { of_many };
        format!("{}{verb}{words}", text::zones(&zones))
    };
    told.into_iter().map(line).collect()
}

/// The first lines, and how many more there are.
pub(super) fn capped(mut lines: Vec<String>) -> Vec<String> {
    if let Some(more @ 1..) = lines.len().checked_sub(LINES) {
        lines.truncate(LINES);
        lines.push(format!("and {} more", text::count(more)));
    }
    lines
}
