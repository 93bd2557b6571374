//! What an answer changes: in what we believe of the zone, and in what we tell.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::{Done, PATIENCE, Portion, READ_EVERY, RETRY, Seen, Sent, Trouble, Turn, Zone, owner::is_me, words};
use crate::{
    event::{Event, Kind},
    plan::{Change, Rrsets},
    status::ZoneState,
    update::{GenerationRrset, Reading, Verdict},
};

/// How long an update may take from NOERROR until it is seen, and how often we look.
const VISIBLE_WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Zone {
    /// What was seen of it is stale: it is to be read before anything else. A message under way may have been applied.
    pub fn forget(&mut self) {
        self.at_rest = false;
        if let Some(sent) = self.sent.take() {
            self.maybe = Some(sent.generation);
            self.lost = Some(sent);
        }
        self.lose_sight();
    }

    /// It is to be read before anything else.
    fn lose_sight(&mut self) {
        if let Some(seen) = self.seen.take() {
            self.believed = Some(seen);
        }
    }

    /// Takes in what became of the last step. Then ask [`Zone::next`], at once or when [`Zone::wake_at`] says.
    pub fn done(&mut self, turn: Turn<'_>, done: Done) -> Vec<Event> {
        let was_at_rest = std::mem::take(&mut self.at_rest);
        match done {
            Done::Read(Ok(reading)) => match self.sent.take() {
                // An inline-signing zone shows an update a moment after NOERROR (measured).
                Some(sent) if turn.now < sent.visible_by && is_before(&reading, &sent) => {
                    self.sent = Some(sent);
                    self.wake_at = Some(turn.now + LOOK_AGAIN);
                    Vec::new()
                }
                Some(sent) => self.read_back(turn, sent, reading),
                None => self.read(turn, reading),
            },
            Done::Serial(Ok(serial)) => {
                self.polled_at = Some(turn.now);
                if std::mem::take(&mut self.may_be_as_left) {
                    self.recognize(turn, serial);
                } else if self.seen.as_ref().is_some_and(|seen| seen.serial != serial) {
                    self.lose_sight();
                } else if was_at_rest {
                    self.at_rest = true;
                    self.wake_at = self.next_look();
                }
                Vec::new()
            }
            Done::Read(Err(failure)) | Done::Serial(Err(failure)) => {
                // What was written but not read back is looked for when the zone can be read again.
                self.lost = self.sent.take().or_else(|| self.lost.take());
                self.fail(turn.now, failure.words, failure.code)
            }
            Done::Write(Ok(verdict)) => self.written(turn, &verdict),
            Done::Write(Err(failure)) => {
                let sent = self.sent.take();
                if failure.sent {
                    self.maybe = sent.as_ref().map(|sent| sent.generation);
                    self.lost = sent;
                }
                self.fail(turn.now, failure.words, failure.code)
            }
        }
    }

    /// A whole reading: the zone is what it says, and whose it is follows from the generation.
    fn read(&mut self, turn: Turn<'_>, reading: Reading) -> Vec<Event> {
        let mut events = Vec::new();
        let known = self.generation;
        self.lose_sight();
        let ours = reading.generation.record().filter(|record| is_me(record, turn.me));
        let is_others = ours.is_none() && reading.generation != GenerationRrset::Absent;
        if let Some(record) = ours {
            let forward = known.is_some_and(|known| record.generation > known);
            self.twin = forward && self.maybe != Some(record.generation) && !self.adopt;
            if !self.twin {
                events.extend(self.went_back(record.generation));
                self.learn(record.generation);
                // A message of an earlier life may be late, as may one that was given up: both take the next number.
                let late = known.is_none() || (self.maybe.is_some() && known == self.generation);
                self.maybe = late.then(|| record.generation.saturating_add(1));
            }
            if let Some(sent) = self.lost.take_if(|sent| sent.generation <= record.generation)
                && sent.generation == record.generation
            {
                events.extend(self.confirm(sent, &reading.rrsets).0);
            }
        } else if is_others {
            self.lost = None;
        }
        if known.is_some() && known == self.generation && !self.twin && !is_others {
            events.extend(self.drift(turn, &reading));
        }
        self.believed = None;
        self.read_at = Some(turn.now);
        self.polled_at = Some(turn.now);
        let names = std::mem::take(&mut self.asked);
        let Reading { soa, generation, rrsets, blocked } = reading;
        self.seen = Some(Seen { serial: soa.serial, generation, rrsets, names, hidden: blocked });
        self.forget_other_mark(turn.me);
        events
    }

    /// A zone restored from a backup has an older record: we go on from it, but somebody should know.
    fn went_back(&self, generation: u64) -> Option<Event> {
        let known = self.generation.filter(|known| generation < *known)?;
        let words = format!(
            "{}: the generation went back from {known} to {generation}: was the zone restored from a backup? it is brought up to date",
            self.name
        );
        Some(Event::new(Kind::Drift, words).zone(&self.name).generation(generation))
    }

    /// Managed `RRsets` that are no longer what we last saw there: somebody edited them by hand.
    fn drift(&self, turn: Turn<'_>, reading: &Reading) -> Vec<Event> {
        let Some(seen) = &self.believed else { return Vec::new() };
        let (believed, now) = (&seen.rrsets, &reading.rrsets);
        let recipes = turn.recipes();
        let managed = recipes.keys().filter(|id| self.memory.owned.contains_key(*id));
        let visible = managed.filter(|id| !seen.is_hidden(id) && !reading.blocked.contains_key(&id.owner));
        let edited: Vec<_> = visible.filter(|id| believed.get(*id) != now.get(*id)).collect();
        if edited.is_empty() {
            return Vec::new();
        }
        let plan = self.diff(turn, now, &recipes);
        let events = edited.into_iter().map(|id| {
            let (before, after) = (words::set(believed.get(id)), words::set(now.get(id)));
            let is_wrong = plan.changes.iter().any(|change| change.id == *id);
            let then = if is_wrong { "it is put back" } else { "that is what it should be, or may be for now" };
            let words = format!("{id} was changed by somebody else, from {before} to {after}: {then}");
            Event::new(Kind::Drift, words).zone(&self.name).rrset(id)
        });
        events.collect()
    }

    /// BIND's answer to our message.
    fn written(&mut self, turn: Turn<'_>, verdict: &Verdict) -> Vec<Event> {
        if matches!(verdict, Verdict::Applied) {
            if let (Some(seen), Some(sent)) = (&mut self.seen, &mut self.sent) {
                sent.visible_by = turn.now + VISIBLE_WITHIN;
                seen.generation = (&turn.me.record(sent.generation)).into();
                // The record moved on: a message that was given up can do nothing any more.
                self.lost = None;
                if self.generation.is_none() {
                    // Of an earlier life, whose record was deleted, one may still be late.
                    self.maybe = Some(sent.generation.saturating_add(1));
                }
                let generation = sent.generation;
                self.learn(generation);
                self.twin = false;
                self.adopt = false;
                self.portion = self.portion.after_success();
            }
            return Vec::new();
        }
        let sent = self.sent.take();
        if *verdict != Verdict::GuardFailed {
            // What BIND refuses now it may apply later, should somebody replay it when the cause is mended.
            self.maybe = sent.as_ref().map(|sent| sent.generation);
        }
        match verdict {
            // Somebody else wrote in between: the next reading tells who, or what was edited by hand. If it finds
            // nothing, again and again, then BIND does not update what it lets us read.
            Verdict::GuardFailed => {
                self.lose_sight();
                if self.failures < PATIENCE {
                    self.failures = self.failures.saturating_add(1);
                    return Vec::new();
                }
                self.fail(turn.now, words::guard_failed(&self.name), Some(verdict.code().to_owned()))
            }
            Verdict::Refused | Verdict::ServFail => self.refused(turn.now, verdict, sent),
            other => self.fail(turn.now, other.words(&self.name), Some(other.code().to_owned())),
        }
    }

    /// BIND refused a message: is it the zone as a whole, or one name in it? Halve until that one stands alone.
    fn refused(&mut self, now: Instant, verdict: &Verdict, sent: Option<Sent>) -> Vec<Event> {
        let changes = sent.map(|sent| sent.changes).unwrap_or_default();
        match (self.portion, changes.as_slice()) {
            (Portion::Record, _) | (_, []) => {
                self.portion = Portion::Whole;
                self.fail(now, verdict.words(&self.name), Some(verdict.code().to_owned()))
            }
            // Names that are known to be refused: no need to write the record only to ask again whether it is they.
            (Portion::Whole, retried) if retried.iter().all(|change| self.troubles.contains_key(&change.id)) => {
                self.portion = Portion::Parts(1);
                if retried.len() == 1 { self.blame(now, verdict, &changes) } else { Vec::new() }
            }
            (Portion::Whole, _) => {
                self.portion = Portion::Record;
                Vec::new()
            }
            (Portion::Parts(1), guilty) => self.blame(now, verdict, guilty),
            (Portion::Parts(many), several) => {
                self.portion = Portion::Parts(many.min(several.len()).div_ceil(2));
                Vec::new()
            }
        }
    }

    /// The guilty stand alone: they wait, and the rest goes on.
    fn blame(&mut self, now: Instant, verdict: &Verdict, guilty: &[Change]) -> Vec<Event> {
        for Change { id, .. } in guilty {
            let tries = self.troubles.get(id).map_or(0, |trouble| trouble.tries).saturating_add(1);
            let words = format!("{id}: {}", verdict.words(&self.name));
            let trouble = Trouble { words, tries, until: now + self.backoff(tries), only: None };
            self.troubles.insert(id.clone(), trouble);
        }
        self.portion = Portion::Parts(usize::MAX);
        Vec::new()
    }

    /// NOERROR is not "applied" (measured): what was changed is read, and only then told.
    fn read_back(&mut self, turn: Turn<'_>, sent: Sent, reading: Reading) -> Vec<Event> {
        let read_generation = reading.generation.record().map(|record| record.generation);
        let Some(seen) = self.seen.as_mut().filter(|_| read_generation == Some(sent.generation)) else {
            // Somebody wrote after us: the whole reading tells who, and what is left of ours.
            (self.seen, self.lost) = (None, Some(sent));
            return Vec::new();
        };
        let moved_by_us_alone = reading.soa.serial == seen.serial.wrapping_add(1);
        seen.serial = reading.soa.serial;
        let read: BTreeSet<_> = sent.changes.iter().map(|change| &change.id.owner).collect();
        seen.rrsets.retain(|id, _| !read.contains(&id.owner));
        seen.rrsets.extend(reading.rrsets);
        seen.hidden.retain(|name, _| !read.contains(name));
        seen.hidden.extend(reading.blocked);
        let hidden = seen.hidden.clone();
        let published = seen.rrsets.clone();
        self.polled_at = Some(turn.now);
        if !moved_by_us_alone {
            // A hand edit beside our message, perhaps: the serial will not tell of it again.
            self.read_at = None;
        }
        let (events, ignored) = self.confirm(sent, &published);
        // What is hidden may well have been applied.
        for change in ignored.into_iter().filter(|change| !hidden.contains_key(&change.id.owner)) {
            let words = words::ignored(&change, &published);
            let only = Some((published.get(&change.id).cloned(), change.after));
            self.troubles.insert(change.id, Trouble { words, tries: 1, until: turn.now + READ_EVERY, only });
        }
        events
    }

    /// Tells of the changes of an applied message that are there, and gives back those that are not.
    fn confirm(&mut self, sent: Sent, found: &Rrsets) -> (Vec<Event>, Vec<Change>) {
        let Sent { changes, why, generation, .. } = sent;
        let (there, ignored): (Vec<_>, Vec<_>) =
            changes.into_iter().zip(why).partition(|(change, _)| found.get(&change.id) == change.after.as_ref());
        self.own(there.iter().map(|(change, _)| change));
        let events = there.into_iter().map(|(change, why)| {
            self.troubles.remove(&change.id);
            let words = words::change(&change, why.as_ref());
            let event = Event::new(Kind::Published, format!("{words} (generation {generation})"));
            event.zone(&self.name).rrset(&change.id).generation(generation)
        });
        (events.collect(), ignored.into_iter().map(|(change, _)| change).collect())
    }

    /// The zone as a whole cannot be read or written: tell it and wait. It is read before the next message, for time
    /// passes until then: a frozen zone is one that somebody edits.
    fn fail(&mut self, now: Instant, words: String, rcode: Option<String>) -> Vec<Event> {
        self.lose_sight();
        self.failures = self.failures.saturating_add(1);
        self.wake_at = Some(now + self.backoff(self.failures));
        // Without an answer it is the server that fails, not the zone: that is told once, for all zones.
        let silent = rcode.is_none() && !self.told;
        let mut events = self.enter(ZoneState::Failing, Some(words), rcode);
        if silent {
            events.clear();
        }
        self.told = !silent;
        events
    }

    /// Full jitter under a doubling ceiling. Drawn from the zone's name, so that the same inputs give the same wait.
    fn backoff(&self, tries: u32) -> Duration {
        let ceiling = RETRY.1.min(RETRY.0.saturating_mul(1 << tries.saturating_sub(1).min(10)));
        let seed = format!("{tries} {}", self.name);
        let [draw, ..] = Sha256::digest(seed).0;
        RETRY.0.max(ceiling.mul_f64(f64::from(draw) / 255.0))
    }

    /// Goes to a state, and tells it if it is news.
    pub(super) fn enter(&mut self, state: ZoneState, error: Option<String>, rcode: Option<String>) -> Vec<Event> {
        let was = self.state;
        let news = (was, self.error.as_deref()) != (state, error.as_deref());
        self.state = state;
        self.error = error;
        let words = self.error.clone().unwrap_or_default();
        let kind = match state {
            _ if !news => return Vec::new(),
            ZoneState::Failing => Kind::ZoneFailing,
            ZoneState::Foreign => Kind::ZoneForeign,
            ZoneState::Standby => Kind::ZoneStandby,
            ZoneState::InSync if std::mem::take(&mut self.told) => {
                let words = format!("{}: in sync again, was {}", self.name, was.as_str());
                return vec![Event::new(Kind::ZoneRecovered, words).zone(&self.name)];
            }
            ZoneState::InSync | ZoneState::Pending => return Vec::new(),
        };
        self.told = true;
        let mut event = Event::new(kind, format!("{}: {words}", self.name)).zone(&self.name).reason(words);
        event.rcode = rcode;
        vec![event]
    }
}

/// Whether a reading shows the zone as it was before a message that BIND has applied.
fn is_before(reading: &Reading, sent: &Sent) -> bool {
    reading.generation.record().is_none_or(|record| record.generation < sent.generation)
}
