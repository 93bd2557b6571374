//! What an answer changes: in what we believe of the zone, and in what we tell.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::{Done, Portion, READ_EVERY, RETRY, Seen, Sent, Trouble, Turn, Zone, owner::is_me, words};
use crate::{
    event::{Event, Kind},
    plan::Rrsets,
    status::ZoneState,
    update::{GenerationRecord, Reading, Verdict},
};

impl Zone {
    /// Takes in what became of the last step. Then ask [`Zone::next`], at once or when [`Zone::wake_at`] says.
    pub fn done(&mut self, turn: Turn<'_>, done: Done) -> Vec<Event> {
        match done {
            Done::Read(Ok(reading)) => match self.sent.take() {
                Some(sent) => self.read_back(turn, sent, reading),
                None => self.read(turn, reading),
            },
            Done::Serial(Ok(serial)) => {
                self.polled_at = Some(turn.now);
                if self.seen.as_ref().is_some_and(|seen| seen.serial != serial) {
                    self.seen = None;
                }
                Vec::new()
            }
            Done::Read(Err(failure)) | Done::Serial(Err(failure)) => {
                self.sent = None;
                self.seen = None;
                self.fail(turn.now, failure.words, failure.code)
            }
            Done::Write(Ok(verdict)) => self.written(turn, &verdict),
            Done::Write(Err(failure)) => {
                let sent = self.sent.take();
                if failure.sent {
                    self.maybe = sent.map(|sent| sent.generation);
                    self.seen = None;
                }
                self.fail(turn.now, failure.words, failure.code)
            }
        }
    }

    /// A whole reading: the zone is what it says, and whose it is follows from the generation.
    fn read(&mut self, turn: Turn<'_>, reading: Reading) -> Vec<Event> {
        let mut events = Vec::new();
        let known = self.generation;
        if let Some(record) = reading.generation.record().filter(|record| is_me(record, turn.me)) {
            let forward = known.is_some_and(|known| record.generation > known);
            self.twin = forward && self.maybe != Some(record.generation) && !self.adopt;
            if !self.twin {
                events.extend(self.went_back(record.generation));
                self.generation = Some(record.generation);
                // A message of an earlier life may be late, as may one that was given up: both take the next number.
                let late = known.is_none() || (self.maybe.is_some() && known == self.generation);
                self.maybe = late.then(|| record.generation.saturating_add(1));
            }
        }
        if known.is_some() && known == self.generation && !self.twin {
            events.extend(self.drift(turn, &reading.rrsets));
        }
        self.believed = None;
        self.read_at = Some(turn.now);
        self.polled_at = Some(turn.now);
        let names = std::mem::take(&mut self.asked);
        let Reading { soa, generation, rrsets } = reading;
        self.seen = Some(Seen { serial: soa.serial, generation, rrsets, names });
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
    fn drift(&self, turn: Turn<'_>, now: &Rrsets) -> Vec<Event> {
        let Some(believed) = &self.believed else { return Vec::new() };
        let recipes = turn.recipes();
        let managed = recipes.keys().filter(|id| self.owned.contains_key(*id));
        managed
            .filter(|id| believed.get(*id) != now.get(*id))
            .map(|id| {
                let (before, after) = (words::set(believed.get(id)), words::set(now.get(id)));
                let words = format!("{id} was changed by somebody else, from {before} to {after}: it is put back");
                Event::new(Kind::Drift, words).zone(&self.name).rrset(id)
            })
            .collect()
    }

    /// BIND's answer to our message.
    fn written(&mut self, turn: Turn<'_>, verdict: &Verdict) -> Vec<Event> {
        if matches!(verdict, Verdict::Applied) {
            if let (Some(seen), Some(sent)) = (&mut self.seen, &self.sent) {
                let record = GenerationRecord {
                    cluster: turn.me.cluster.clone(),
                    owner: turn.me.owner.clone(),
                    generation: sent.generation,
                };
                seen.generation = (&record).into();
                self.generation = Some(sent.generation);
                self.twin = false;
                self.adopt = false;
                self.portion = self.portion.after_success();
            }
            return Vec::new();
        }
        let sent = self.sent.take();
        match verdict {
            // Somebody else wrote in between: the record tells who.
            Verdict::GuardFailed => {
                self.seen = None;
                self.believed = None;
                Vec::new()
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
            (Portion::Whole, _) => {
                self.portion = Portion::Record;
                Vec::new()
            }
            (Portion::Parts(_), [guilty]) => {
                let tries = self.troubles.get(&guilty.id).map_or(0, |trouble| trouble.tries).saturating_add(1);
                let words = format!("{}: {}", guilty.id, verdict.words(&self.name));
                let trouble = Trouble { words, tries, until: now + self.backoff(tries), only: None };
                self.troubles.insert(guilty.id.clone(), trouble);
                self.portion = Portion::Parts(usize::MAX);
                Vec::new()
            }
            (Portion::Parts(_), several) => {
                self.portion = Portion::Parts(several.len().div_ceil(2));
                Vec::new()
            }
        }
    }

    /// NOERROR is not "applied" (measured): what was changed is read, and only then told.
    fn read_back(&mut self, turn: Turn<'_>, sent: Sent, reading: Reading) -> Vec<Event> {
        let Some(seen) = &mut self.seen else { return Vec::new() };
        seen.serial = reading.soa.serial;
        let still_ours = reading.generation.record().map(|record| record.generation) == Some(sent.generation);
        let read: BTreeSet<_> = sent.changes.iter().map(|change| &change.id.owner).collect();
        seen.rrsets.retain(|id, _| !read.contains(&id.owner));
        seen.rrsets.extend(reading.rrsets);
        self.polled_at = Some(turn.now);
        let mut events = Vec::new();
        for (change, why) in sent.changes.into_iter().zip(sent.why) {
            let found = seen.rrsets.get(&change.id);
            if found == change.after.as_ref() {
                self.troubles.remove(&change.id);
                let words = format!("{why} (generation {})", sent.generation);
                let event = Event::new(Kind::Published, words).zone(&self.name).rrset(&change.id);
                events.push(event.generation(sent.generation));
            } else {
                let words = words::ignored(&change, &seen.rrsets);
                let only = Some((found.cloned(), change.after));
                self.troubles.insert(change.id, Trouble { words, tries: 1, until: turn.now + READ_EVERY, only });
            }
        }
        if !still_ours {
            self.seen = None;
        }
        events
    }

    /// The zone as a whole cannot be read or written: tell it and wait.
    fn fail(&mut self, now: Instant, words: String, rcode: Option<String>) -> Vec<Event> {
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
