//! Somebody waits for what becomes of `withdraw` or `restore`, set by set.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{Rota, Ticket, sync::capped};
use crate::{
    control::Answer,
    dns::{OwnerName, RrsetId},
    event::{Event, Kind},
    exit::Exit,
    status::Mode,
    text,
    zone::{Outcome, Wish, Zone},
};

/// How long is waited for BIND to have done it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many `RRsets` an answer names.
const NAMED: usize = 20;

/// `RRsets`, and the zone of each.
pub type Sets = BTreeSet<(OwnerName, RrsetId)>;

/// What was asked, and what has become of it so far.
#[derive(Debug)]
pub(super) struct Asking {
    wish: Wish,
    until: Instant,
    /// How often BIND had been asked in vain by then, the question under way included.
    tries: u32,
    /// Whether there was an answer: what is still waited for is told by the journal alone.
    is_answered: bool,
    waiting: Sets,
    done: Sets,
    /// How many had nothing to be done to them.
    whole: usize,
    /// What was not done, and why, as it is said.
    left: Vec<String>,
}

impl Asking {
    pub(super) fn new(now: Instant, wish: Wish, waiting: Sets, tries: u32) -> Self {
        let (done, left) = (Sets::new(), Vec::new());
        Self { wish, until: now + PATIENCE, tries, is_answered: false, waiting, done, whole: 0, left }
    }

    /// Somebody asks for the same again, or for the opposite, which counts from now on.
    pub(super) fn is_asked_again(&mut self, wish: Wish, sets: &Sets) {
        if self.wish == wish && !self.is_answered {
            return;
        }
        for (zone, id) in sets {
            if self.waiting.remove(&(zone.clone(), id.clone())) {
                self.left.push(format!("not {}: {id}: somebody has asked for something else meanwhile", self.verb()));
            }
        }
    }

    /// What became of a set.
    fn note(&mut self, set: &(OwnerName, RrsetId), outcome: &Outcome) {
        if let Outcome::Lacks(words) = outcome
            && self.waiting.contains(set)
        {
            self.left.push(words.clone());
            return;
        }
        if !self.waiting.remove(set) {
            return;
        }
        match outcome {
            Outcome::Done => {
                self.done.insert(set.clone());
            }
            Outcome::Whole => self.whole += 1,
            Outcome::Left(words) => self.left.push(format!("not {}: {words}", self.verb())),
            Outcome::Lacks(_) => {}
        }
    }

    const fn verb(&self) -> &'static str {
        match self.wish {
            Wish::Withdraw => "withdrawn",
            Wish::Restore => "restored",
        }
    }

    /// What was done; `None`: nothing.
    fn done(&self) -> Option<String> {
        (!self.done.is_empty()).then(|| format!("{}: {}", self.verb(), summary(&self.done)))
    }

    /// `waits`: why each zone of which something is waited for has it not done yet; `is_silent`: BIND does not answer.
    fn answer(&self, waits: &[(OwnerName, String)], is_silent: bool) -> Answer {
        let mut lines: Vec<_> = self.done().into_iter().collect();
        let is_all = self.done.is_empty() && self.left.is_empty() && self.waiting.is_empty();
        match self.whole {
            _ if is_all => lines.push("nothing is missing in what is left over".to_owned()),
            0 => {}
            whole => lines.push(format!("nothing is missing in {} of the rest", text::count(whole))),
        }
        lines.extend(capped(self.left.clone()));
        let causes = text::by_cause(waits.iter().map(|(zone, words)| (zone.as_str(), words.as_str())));
        let waits = causes.into_iter().map(|(zones, words)| {
            format!("not {} yet: {}: {words}; that is done as soon as possible", self.verb(), text::zones(&zones))
        });
        lines.extend(capped(waits.collect()));
        let words = lines.join("\n");
        if self.left.is_empty() && self.waiting.is_empty() {
            Answer::done(words)
        } else {
            Answer::ended(if is_silent { Exit::Unavailable } else { Exit::Failed }, words)
        }
    }
}

impl Rota {
    /// Takes in what has become of wishes in a zone. What was asked for and is done by now is told.
    pub(super) fn note_outcomes(&mut self, name: &OwnerName) -> Vec<Event> {
        let outcomes = self.zones.get_mut(name).map(Zone::take_outcomes).unwrap_or_default();
        if outcomes.is_empty() {
            return Vec::new();
        }
        let mut events = Vec::new();
        for asking in self.askings.values_mut().filter(|asking| !asking.waiting.is_empty()) {
            for (id, outcome) in &outcomes {
                asking.note(&(name.clone(), id.clone()), outcome);
            }
            let words = asking.done().filter(|_| asking.waiting.is_empty());
            events.extend(words.map(|words| Event::new(Kind::LeftOver, words)));
        }
        self.askings.retain(|_, asking| !(asking.is_answered && asking.waiting.is_empty()));
        events
    }

    /// Answers that were waited for.
    pub(super) fn answers_of_askings(&mut self, now: Instant) -> Vec<(Ticket, Answer)> {
        let (silent, tries) = (self.server.trouble().is_some(), self.server.tries());
        // Nothing is written before an operator or the nodes say so.
        let is_stopped = self.blocked().iter().any(|reason| matches!(reason, Mode::Hold | Mode::Blind));
        let over = |asking: &Asking| {
            asking.waiting.is_empty() || now >= asking.until || is_stopped || (silent && tries > asking.tries)
        };
        let over = self.askings.iter().filter(|(_, asking)| !asking.is_answered && over(asking));
        let over: Vec<_> = over.map(|(ticket, _)| *ticket).collect();
        over.into_iter().filter_map(|ticket| Some((ticket, self.answer_of(ticket)?))).collect()
    }

    /// What has become of something that was asked for. What is done later is told by the journal.
    pub fn answer_of(&mut self, ticket: Ticket) -> Option<Answer> {
        let asking = self.askings.get(&ticket)?;
        let zones: BTreeSet<_> = asking.waiting.iter().map(|(zone, _)| zone.clone()).collect();
        let silence = self.server.trouble();
        let why = |zone: &OwnerName| {
            let error = || self.zones.get(zone).and_then(|zone| zone.error());
            match (self.waits_for(), silence) {
                (None, Some(silence)) => format!("BIND gives no answer: {silence}"),
                (None, None) => error().unwrap_or("BIND has not done it yet").to_owned(),
                (Some(waits), _) => format!("it waits until {waits}"),
            }
        };
        let waits: Vec<_> = zones.into_iter().map(|zone| (zone.clone(), why(&zone))).collect();
        let answer = asking.answer(&waits, silence.is_some());
        if let Some(asking) = self.askings.get_mut(&ticket) {
            asking.is_answered = true;
        }
        self.askings.retain(|_, asking| !(asking.is_answered && asking.waiting.is_empty()));
        Some(answer)
    }

    /// When somebody has waited long enough.
    pub(super) fn askings_wake_at(&self) -> Option<Instant> {
        self.askings.values().filter(|asking| !asking.is_answered).map(|asking| asking.until).min()
    }

    /// How often BIND was asked in vain, the question under way included.
    pub(super) fn tries_by_now(&self) -> u32 {
        self.server.tries().saturating_add(u32::from(self.queue.under_way() > 0))
    }
}

/// `3 RRsets in 2 zones: a.test A, ...`
#[must_use]
pub fn summary(sets: &Sets) -> String {
    let zones = sets.iter().map(|(zone, _)| zone).collect::<BTreeSet<_>>().len();
    format!("{} in {}: {}", text::number_of(sets.len(), "RRset"), text::number_of(zones, "zone"), listed(sets))
}

/// The `RRsets` in one line.
pub(super) fn listed(sets: &Sets) -> String {
    let mut words: Vec<_> = sets.iter().take(NAMED).map(|(_, id)| id.to_string()).collect();
    if let Some(more @ 1..) = sets.len().checked_sub(NAMED) {
        words.push(format!("and {} more", text::count(more)));
    }
    words.join(", ")
}

pub(super) fn by_zone(sets: &Sets) -> BTreeMap<OwnerName, BTreeSet<RrsetId>> {
    let mut zones: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (zone, id) in sets {
        zones.entry(zone.clone()).or_default().insert(id.clone());
    }
    zones
}
