//! What an answer changes: in what we believe of the zone, and in what we tell.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::{
    Done, Failure, PATIENCE, Portion, RETRY, Seen, Sent, Silence, Trouble, Turn, Zone, confirm::Found,
    drift::is_drift_of, guard::Attempt, owner::is_ours, pending::View, turn::UNSIGNED, turn::is_of_server, words,
};
use crate::{
    event::{Event, Kind},
    plan::Change,
    status::ZoneState,
    update::{GenerationRrset, Reading, Verdict},
};

impl Zone {
    /// What was seen of it is stale: it is to be read before anything else. A message under way may have been applied.
    pub fn forget(&mut self) {
        self.at_rest = false;
        self.reads_back = false;
        self.lost = self.sent.take().or_else(|| self.lost.take());
        // Whatever happened meanwhile did not happen before our eyes.
        self.reach = None;
        self.lose_sight();
    }

    /// It is to be read before anything else.
    pub(super) fn lose_sight(&mut self) {
        if let Some(seen) = self.seen.take() {
            self.believed = Some(seen);
        }
    }

    /// Takes in what became of the last step. Then ask [`Zone::next`], at once or when [`Zone::wake_at`] says.
    pub fn done(&mut self, turn: Turn<'_>, done: Done) -> Vec<Event> {
        let was_at_rest = std::mem::take(&mut self.at_rest);
        let is_last = self.sent.as_ref().is_some_and(|sent| sent.is_last);
        // Where its record cannot be taken away, it stays: it does no harm.
        let is_over = match done.failure() {
            None => is_last,
            Some(failure) => failure.is_answer() && self.is_ending(turn),
        };
        if is_over {
            self.has_ended();
            return self.tell_end().into_iter().collect();
        }
        let is_answered = done.failure().is_some_and(Failure::is_answer);
        let mut events = self.answered(turn, done, was_at_rest);
        self.leave_failing(turn, is_answered, &mut events);
        events
    }

    fn answered(&mut self, turn: Turn<'_>, done: Done, was_at_rest: bool) -> Vec<Event> {
        match done {
            Done::Read(Ok(reading)) => match (std::mem::take(&mut self.reads_back), self.seen.is_some()) {
                (true, true) => self.read_back(turn, reading),
                // It was lost sight of meanwhile.
                (true, false) => Vec::new(),
                (false, _) => self.read(turn, reading),
            },
            Done::Serial(Ok(serial)) => {
                self.polled_at = Some(turn.now);
                if std::mem::take(&mut self.may_be_as_left) {
                    self.recognize(turn, serial);
                } else if self.seen.as_ref().is_some_and(|seen| seen.serial != serial) {
                    self.lose_sight();
                } else if was_at_rest && !self.wants_look && !self.wants_reading {
                    self.at_rest = true;
                    self.wake_at = self.next_look();
                }
                Vec::new()
            }
            Done::Read(Err(failure)) | Done::Serial(Err(failure)) => {
                self.reads_back = false;
                self.no_answer(turn, failure)
            }
            Done::Write(Ok(verdict)) => self.written(turn, &verdict),
            Done::Write(Err(failure)) => {
                // Whether the last one was applied, the record tells: it is gone.
                let sent = self.sent.take().filter(|sent| !sent.is_last);
                if failure.sent {
                    self.reach = self.reach.max(sent.as_ref().map(|sent| sent.generation));
                    self.lost = sent.or_else(|| self.lost.take());
                }
                self.no_answer(turn, failure)
            }
        }
    }

    /// A whole reading: the zone is what it says, but for what it does not show yet, and whose it is follows from the
    /// generation.
    fn read(&mut self, turn: Turn<'_>, reading: Reading) -> Vec<Event> {
        let known = self.generation;
        self.lose_sight();
        // What was tried with the sets as they were then says nothing of them as they are now.
        let are_others =
            self.pending.is_empty() && self.believed.as_ref().is_some_and(|believed| believed.rrsets != reading.rrsets);
        if are_others || self.read.as_ref() != Some(&reading.generation) {
            self.tried.clear();
            self.read = Some(reading.generation.clone());
        }
        // It was not recognized: the serial is the same, and the record is not.
        if self.recognized.take() == Some(reading.soa.serial) && self.reach.is_some() {
            self.reach = None;
        }
        let mut events = Vec::new();
        let ours = is_ours(&reading.generation, turn.me);
        let is_others = ours.is_none() && reading.generation != GenerationRrset::Absent;
        self.proved_alone = self.proved_alone.filter(|_| ours == known);
        // Nothing that was written before this is hidden any more.
        self.sought = self.sought.filter(|_| ours < self.memory.generation);
        match self.pending.view(&reading.generation, turn.me) {
            View::Behind => events.extend(self.is_shown_late(turn.now)),
            View::UpTo(_) | View::Other => events.extend(self.now_is(turn, ours, &reading)),
        }
        if is_others && self.pending.is_empty() {
            self.lost = None;
        }
        self.doubt_limit(&reading.rrsets);
        if known.is_some() && known == self.generation && !self.twin && (!is_others || !self.pending.is_empty()) {
            let drift = self.drift(turn, &reading);
            let is_told = |event: &Event| events.iter().any(|told| is_drift_of(told, event));
            let news: Vec<_> = drift.into_iter().filter(|event| !is_told(event)).collect();
            events.extend(news);
        }
        self.believed = None;
        // What it says is as old as its beginning.
        self.read_at = self.asked_at;
        self.reread_at = None;
        self.polled_at = Some(turn.now);
        let names = std::mem::take(&mut self.asked);
        let Reading { soa, generation, mut rrsets, others, blocked } = reading;
        self.pending.apply(self.memory.ttl_limit, &mut rrsets);
        let pending = self.pending.generation().map(|generation| (&turn.me.record(generation)).into());
        let generation = pending.unwrap_or(generation);
        self.seen = Some(Seen { serial: soa.serial, generation, rrsets, names, others, hidden: blocked });
        self.forget_other_mark(turn.me);
        events
    }

    /// The record is not behind what BIND has acknowledged: takes in a generation of our own, if it has one.
    fn now_is(&mut self, turn: Turn<'_>, ours: Option<u64>, reading: &Reading) -> Vec<Event> {
        let Reading { rrsets, others, blocked: hidden, .. } = reading;
        let found = Found { rrsets, others, hidden, is_ours_alone: false, is_acknowledged: true };
        let mut events = Vec::new();
        let shown = self.pending.take_up_to(ours.unwrap_or(u64::MAX));
        let lost = self.lost.as_ref().map(|sent| sent.generation);
        let highest = [ours, lost, self.memory.generation].into_iter().flatten().max().unwrap_or(0);
        if self.reach.is_none() {
            // A message of an earlier life may be late.
            self.reach = Some(highest.saturating_add(1));
            self.has_grace = true;
        }
        let Some(generation) = ours else { return events };
        if let Some(sent) = shown {
            events.extend(self.confirm(turn, sent, found));
        }
        let is_forward = self.generation.is_some_and(|known| generation > known);
        let has_grace = self.has_grace;
        self.has_grace &= !is_forward;
        self.twin = self.reach.is_some_and(|reach| generation > reach) && !has_grace && !self.adopt;
        if !self.twin {
            if self.pending.is_empty() {
                self.learn(generation);
            }
            self.reach = self.reach.max(Some(generation));
        }
        if let Some(sent) = self.lost.take_if(|sent| sent.generation <= generation)
            && sent.generation == generation
        {
            events.extend(self.confirm(turn, sent, Found { is_acknowledged: false, ..found }));
        }
        events
    }

    /// BIND's answer to our message.
    fn written(&mut self, turn: Turn<'_>, verdict: &Verdict) -> Vec<Event> {
        let sent = self.sent.take();
        if matches!(verdict, Verdict::Applied) {
            return sent.map(|sent| self.applied(turn, sent)).unwrap_or_default();
        }
        if *verdict != Verdict::GuardFailed {
            // What BIND refuses now it may apply later, should somebody replay it when the cause is mended.
            self.reach = self.reach.max(sent.as_ref().map(|sent| sent.generation));
        }
        match verdict {
            // Somebody else wrote in between: the next reading tells who, or what was edited by hand. If it finds
            // nothing, then BIND updates something else than it lets us read.
            Verdict::GuardFailed => {
                self.tried.extend(sent.map(|sent| Attempt { guard: sent.guard, exact: sent.exact }));
                if self.seen.as_ref().is_some_and(|seen| self.attempt(turn.me, seen).is_none()) {
                    self.is_gone();
                }
                self.lose_sight();
                self.overtaken = self.overtaken.saturating_add(1);
                if self.overtaken < PATIENCE {
                    return Vec::new();
                }
                self.fail(turn.now, words::guard_failed(&self.name), Some(verdict.code().to_owned()))
            }
            Verdict::Refused | Verdict::ServFail => self.refused(turn.now, verdict, sent),
            other => self.fail(turn.now, other.words(&self.name), Some(other.code().to_owned())),
        }
    }

    /// BIND has applied a message. The record has moved on: nothing that was sent before can do anything any more.
    fn applied(&mut self, turn: Turn<'_>, sent: Sent) -> Vec<Event> {
        let guard = is_ours(&sent.guard, turn.me);
        let went_back = guard.and_then(|guard| self.went_back(guard));
        if let Some(lost) = self.lost.take()
            && guard == Some(lost.generation)
        {
            self.acknowledged(turn.now, &turn.me.record(lost.generation), lost);
        }
        // Of an earlier life, whose record was deleted, one may still be late.
        let late = u64::from(self.generation.is_none());
        self.reach = self.reach.max(Some(sent.generation.saturating_add(late)));
        self.learn(sent.generation);
        self.tried.clear();
        self.sought = None;
        self.proved_alone = sent.changes.is_empty().then_some(turn.now);
        if self.proved_alone.is_none() {
            self.overtaken = 0;
        }
        self.has_grace = false;
        self.twin = false;
        self.adopt = false;
        self.portion = self.portion.after_success();
        self.acknowledged(turn.now, &turn.me.record(sent.generation), sent);
        went_back.into_iter().collect()
    }

    /// A zone restored from a backup has an older record: we go on from it, but somebody should know. That it is so, and
    /// not merely what is read, BIND has proved by a guard that held.
    fn went_back(&self, generation: u64) -> Option<Event> {
        let known = self.memory.generation.filter(|known| generation < *known)?;
        let words = format!(
            "{}: the generation went back from {known} to {generation}: was the zone restored from a backup? what the file \
             gives is brought up to date; what was withdrawn or deleted since the backup may be back, and rotad does not look \
             for that: compare the zone with the file",
            self.name
        );
        Some(Event::new(Kind::Drift, words).zone(&self.name).generation(generation))
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
        let mut events = Vec::new();
        // A type that the file does not give at the name: the key need not be allowed to delete it.
        let is_taken_over = |change: &&Change| change.after.is_none() && self.adopted.contains(&change.id);
        let blocks = guilty.iter().filter(|_| *verdict == Verdict::Refused).find(is_taken_over);
        let blocks = blocks.map(|change| &change.id);
        for Change { id, before, after } in guilty {
            if let Some(event) = self.give_up(id, &verdict.words(&self.name)) {
                events.push(event);
                continue;
            }
            let tries = self.troubles.get(id).map_or(0, |trouble| trouble.tries).saturating_add(1);
            let words = match blocks.filter(|gone| gone.owner == id.owner) {
                Some(gone) => words::cannot_replace(id, gone, verdict.code()),
                None => format!("{id}: {}", verdict.words(&self.name)),
            };
            let change = (before.clone(), after.clone());
            let until = now + self.backoff(tries);
            let trouble = Trouble { words, tries, until, change, is_foreign: false, is_refused: true };
            self.troubles.insert(id.clone(), trouble);
        }
        self.portion = Portion::Parts(usize::MAX);
        events
    }

    /// No answer that can be used. One that is lost is not told; but a zone that gets none while others do is.
    fn no_answer(&mut self, turn: Turn<'_>, failure: Failure) -> Vec<Event> {
        let now = turn.now;
        let is_answer = failure.is_answer();
        let Failure { words, code, silence, .. } = failure;
        if is_answer {
            let zone = &self.name;
            let why = format!("{words}; if the zone is gone for good, `rotad withdraw {zone} --forget` forgets it");
            let mut events: Vec<_> = self.give_up_wishes(&why).into_iter().collect();
            // Nothing but a deletion is still to come there: nobody may ever be there to take it.
            let is_out = turn.layout.is_none() && !self.memory.owned.is_empty();
            events.extend(self.fail(now, if is_out { why } else { words }, code));
            return events;
        }
        if silence != Silence::Zone || self.failures == 0 {
            return self.fail(now, words, code);
        }
        self.is_alone = true;
        let is_unsigned = code.as_deref() == Some(UNSIGNED);
        let words = if is_unsigned { words::zone_is_answered_for(&words) } else { words::zone_is_silent(&words) };
        self.fail_of(now, words, code, false)
    }

    /// The zone as a whole cannot be read or written: tell it and wait. It is read before the next message, for time
    /// passes until then: a frozen zone is one that somebody edits.
    pub(super) fn fail(&mut self, now: Instant, words: String, rcode: Option<String>) -> Vec<Event> {
        // Without an answer, a signature or a key, it is the server that fails and not the zone: that is told once, for all zones.
        let of_server = rcode.as_deref().is_none_or(is_of_server);
        self.fail_of(now, words, rcode, of_server)
    }

    fn fail_of(&mut self, now: Instant, words: String, rcode: Option<String>, of_server: bool) -> Vec<Event> {
        self.lose_sight();
        self.tried.clear();
        (self.overtaken, self.proved_alone) = (0, None);
        self.failures = self.failures.saturating_add(1);
        self.wake_at = Some(now + self.backoff(self.failures));
        let told = self.told;
        // What has an answer is told to whoever asked, and not tried again and again.
        let is_answer = rcode.as_deref().is_some_and(|code| !is_of_server(code));
        let given_up = is_answer.then(|| self.give_up_wishes(&words)).flatten();
        let mut events = self.enter(ZoneState::Failing, Some(words), rcode);
        if of_server {
            self.told = told;
            return Vec::new();
        }
        events.extend(given_up);
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
