//! Messages that BIND has acknowledged and that no reading has shown yet.
//!
//! What BIND lets us read may be older than what it updates: the signed copy of a zone with `inline-signing`, a
//! secondary that forwards updates (measured). Until a reading shows it, the zone is what our messages made of it, and
//! the next message is guarded by the record that the last one wrote.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Identity, Sent, Zone, limit, owner::is_me, words};
use crate::{
    desired::Recipe,
    dns::{RrsetId, Ttl},
    event::{Event, Kind},
    plan::{self, Change, Rrsets},
    update::{GenerationRecord, GenerationRrset},
};

/// First and longest wait before a zone that does not show our message is read again.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(5));
/// How long a reading may be behind before people are told, and the record is written anew.
const BEHIND_AFTER: Duration = Duration::from_secs(5);
/// The longest wait before the record is written once more.
pub(super) const PROVE_EVERY: Duration = Duration::from_mins(15);

/// Messages that are kept one by one.
const MOST_MESSAGES: usize = 32;

/// The messages, and when they are looked for.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// In the order of their generations.
    messages: Vec<Sent>,
    /// When the oldest of them was acknowledged.
    since: Option<Instant>,
    /// Readings so far that did not show them.
    looks: u32,
    look_at: Option<Instant>,
    /// How often the record was written anew although nothing was to be changed.
    proofs: u32,
    prove_at: Option<Instant>,
    /// Whether the journal has that they are not shown.
    is_told: bool,
}

/// What a reading shows of the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// The zone before all of them.
    Behind,
    /// The zone after the message with this generation.
    UpTo(u64),
    /// The doing of somebody else.
    Other,
}

impl Pending {
    pub(super) const fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The generation that the last of them wrote.
    pub(super) fn generation(&self) -> Option<u64> {
        self.messages.last().map(|sent| sent.generation)
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = &Sent> {
        self.messages.iter()
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.messages().flat_map(|sent| &sent.changes)
    }

    /// BIND acknowledged one more: it is looked for at once.
    fn push(&mut self, now: Instant, sent: Sent) {
        self.since.get_or_insert(now);
        (self.looks, self.look_at) = (0, Some(now));
        self.prove_at = Some(now + PROVE_EVERY.min(BEHIND_AFTER.saturating_mul(1 << self.proofs.min(16))));
        self.messages.push(sent);
        // A copy that never follows: the oldest two count as one, whose first half alone shows nothing yet.
        if self.messages.len() > MOST_MESSAGES {
            let later = self.messages.split_off(2);
            let oldest = std::mem::replace(&mut self.messages, later);
            self.messages.splice(0..0, oldest.into_iter().reduce(merged));
        }
    }

    /// Whether it is time to look for them.
    pub(super) fn must_look(&self, now: Instant) -> bool {
        !self.is_empty() && self.look_at.is_none_or(|at| at <= now)
    }

    /// Whether it is time to write the record anew: that proves that the messages are in the zone, and wakes a signer
    /// that has missed them (BIND 9.18 shows such an update only after a further one).
    pub(super) fn must_prove(&self, now: Instant) -> bool {
        !self.is_empty() && self.prove_at.is_some_and(|at| at <= now)
    }

    /// The record is written anew: next time later.
    pub(super) fn proving(&mut self) {
        self.proofs = self.proofs.saturating_add(1);
    }

    /// When there is something to do although nothing happens.
    pub(super) fn wake_at(&self, may_write: bool) -> Option<Instant> {
        let prove_at = self.prove_at.filter(|_| may_write);
        [self.look_at, prove_at].into_iter().flatten().min().filter(|_| !self.is_empty())
    }

    /// A reading has not shown them.
    fn looked(&mut self, now: Instant) {
        let later = now + LOOK_AGAIN.1.min(LOOK_AGAIN.0.saturating_mul(1 << self.looks.min(16)));
        // Before the record is written anew, what is shown then counts.
        let before_proof = self.prove_at.filter(|at| *at > now && *at < later);
        self.look_at = before_proof.or(Some(later));
        self.looks = self.looks.saturating_add(1);
    }

    /// Whether they have not been shown for longer than is usual.
    pub(super) fn is_behind(&self, now: Instant) -> bool {
        !self.is_empty() && self.since.is_some_and(|since| now >= since + BEHIND_AFTER)
    }

    pub(super) fn view(&self, read: &GenerationRrset, me: &Identity) -> View {
        let Some(first) = self.messages.first() else { return View::Other };
        match read.record().filter(|record| is_me(record, me)) {
            Some(record) if record.generation < first.generation => View::Behind,
            Some(record) if Some(record.generation) <= self.generation() => View::UpTo(record.generation),
            // What the first of them replaced, whoever wrote it; a record that is not there yet.
            None if *read == GenerationRrset::Absent || *read == first.guard => View::Behind,
            Some(_) | None => View::Other,
        }
    }

    /// Takes out those up to a generation, as one message: of changes of one `RRset` the last counts.
    pub(super) fn take_up_to(&mut self, generation: u64) -> Option<Sent> {
        let later = self.messages.split_off(self.messages.partition_point(|sent| sent.generation <= generation));
        let shown = std::mem::replace(&mut self.messages, later);
        if self.is_empty() {
            *self = Self::default();
        } else if !shown.is_empty() {
            self.looks = 0;
        }
        shown.into_iter().reduce(merged)
    }

    /// Does to a copy of the zone what they do to the zone, in which BIND may lower TTLs.
    pub(super) fn apply(&self, ttl_limit: Option<Ttl>, rrsets: &mut Rrsets) {
        for sent in &self.messages {
            plan::apply(rrsets, &sent.changes);
            limit::apply(ttl_limit, rrsets, &sent.changes);
        }
    }
}

/// Two messages that follow each other as one.
fn merged(first: Sent, then: Sent) -> Sent {
    let both = first.changes.into_iter().zip(first.why).chain(then.changes.into_iter().zip(then.why));
    let mut changes: BTreeMap<RrsetId, (Change, Option<Recipe>)> = BTreeMap::new();
    for (mut change, why) in both {
        if let Some((earlier, _)) = changes.remove(&change.id) {
            change.before = earlier.before;
        }
        changes.insert(change.id.clone(), (change, why));
    }
    let (changes, why) = changes.into_values().unzip();
    Sent { changes, why, guard: first.guard, steps: first.steps.saturating_add(then.steps), ..then }
}

impl Zone {
    /// BIND has applied a message: the zone is what it made of it.
    pub(super) fn acknowledged(&mut self, now: Instant, record: &GenerationRecord, sent: Sent) {
        if let Some(seen) = &mut self.seen {
            plan::apply(&mut seen.rrsets, &sent.changes);
            limit::apply(self.memory.ttl_limit, &mut seen.rrsets, &sent.changes);
            seen.generation = record.into();
        }
        self.pending.push(now, sent);
    }

    /// A reading shows the zone as it was before our messages. That is no news as yet, and then it is told once.
    pub(super) fn is_shown_late(&mut self, now: Instant) -> Vec<Event> {
        self.pending.looked(now);
        if !self.pending.is_behind(now) {
            return Vec::new();
        }
        let generation = self.pending.generation().unwrap_or_default();
        if std::mem::replace(&mut self.pending.is_told, true) {
            return Vec::new();
        }
        self.told = true;
        let words = words::behind(&self.name, generation);
        vec![Event::new(Kind::CopyBehind, words).zone(&self.name).generation(generation)]
    }

    /// Why a message is not shown yet, once it should be.
    pub(super) fn behind(&self, now: Instant) -> Option<String> {
        let generation = self.pending.generation().filter(|_| self.pending.is_behind(now))?;
        Some(words::behind(&self.name, generation))
    }
}
