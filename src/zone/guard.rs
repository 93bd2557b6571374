//! What a message requires of the zone's record, and what is tried when that does not hold although nothing that can be
//! read has moved: then BIND updates something newer than it lets us read.

use std::{borrow::Cow, collections::BTreeSet, time::Instant};

use super::{Identity, Seen, Zone, memory::SPENT, owner::is_me, pending::PROVE_EVERY, words};
use crate::{
    dns::RrsetId,
    event::Event,
    plan::{self, Change, Plan, Rrsets},
    update::{GenerationRrset, Verdict},
};

/// How many generations above those that are known are tried.
const GUESSES: usize = 4;

/// What a message requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    /// The record.
    pub(super) guard: GenerationRrset,
    /// Also the sets that it changes, as they were read. Otherwise it replaces whole what is ours, for that may be other
    /// than what is read; and all else waits.
    pub(super) exact: bool,
}

impl Zone {
    /// What the next message requires: the record as last read or as our last message wrote it; and if BIND says that
    /// this is not there, the record of a message of ours that may have been applied. `None`: nothing is left to try.
    pub(super) fn attempt(&self, me: &Identity, seen: &Seen) -> Option<Attempt> {
        let first = Attempt { guard: seen.generation.clone(), exact: self.pending.is_empty() };
        if self.tried.is_empty() {
            return Some(first);
        }
        let read = seen.generation.record().filter(|record| is_me(record, me)).map(|record| record.generation);
        // Behind the record of somebody else there is nothing of ours.
        let is_ours = read.is_some() || seen.generation == GenerationRrset::Absent;
        let lost = self.lost.as_ref().map(|sent| sent.generation);
        // What was refused, and what an earlier life has sent, may have been applied since.
        let known = self.memory.generation.max(read).unwrap_or(0);
        let later = (known.saturating_add(1)..=self.reach.max(self.sought).unwrap_or(0)).take(GUESSES);
        let maybe = [lost, self.memory.generation, self.generation].into_iter().flatten().chain(later);
        let maybe = maybe.filter(|generation| is_ours && Some(*generation) > read);
        let maybe = maybe.map(|generation| Attempt { guard: (&me.record(generation)).into(), exact: false });
        let whole = Attempt { exact: false, ..first.clone() };
        [first].into_iter().chain(maybe).chain([whole]).find(|attempt| !self.tried.contains(attempt))
    }

    /// What BIND has acknowledged is not there any more: the zone is what is read. Or a copy of this machine has written
    /// after us, and that is not shown either: if both were to wait for it, nobody would ever wake the signed copy. The
    /// record of the copy is tried; once one of ours is on top of it, the copy stands by.
    pub(super) fn is_gone(&mut self) {
        let Some(last) = self.pending.generation() else { return };
        self.pending.take_up_to(u64::MAX);
        self.sought = Some(last.saturating_add(GUESSES as u64)).filter(|last| *last < SPENT);
    }

    /// The generation that the next message writes: above any that we know to have been ours, for a record that was
    /// deleted, or went back with a backup, must not let an old message be applied. One that cannot grow any more is
    /// passed over: it is foreign until somebody deletes it.
    pub(super) fn next_generation(&self, guard: &GenerationRrset) -> u64 {
        let known = [self.generation, self.memory.generation].into_iter().flatten();
        let known = known.filter(|generation| *generation < SPENT);
        known.chain(guard.highest()).max().unwrap_or(0).saturating_add(1)
    }

    /// What the zone holds if the guard of an attempt does.
    pub(super) fn published<'a>(&self, me: &Identity, seen: &'a Seen, attempt: &Attempt) -> Cow<'a, Rrsets> {
        match &self.lost {
            Some(lost) if !attempt.exact && attempt.guard == (&me.record(lost.generation)).into() => {
                let mut published = seen.rrsets.clone();
                plan::apply(&mut published, &lost.changes);
                Cow::Owned(published)
            }
            _ => Cow::Borrowed(&seen.rrsets),
        }
    }

    /// Takes out of a plan what could hit data of strangers where the sets may be other than what is read: deletions, and
    /// what would be written over a set that is not ours. What is ours is replaced whatever it holds by now, for an edit of
    /// it by hand would be put back, too. Whether there was any, and nothing tells what the sets are.
    pub(super) fn puts_off(&self, me: &Identity, attempt: &Attempt, plan: &mut Plan) -> bool {
        if attempt.exact {
            return false;
        }
        let is_safe = |change: &Change| change.after.is_some() && self.is_ours_behind(me, attempt, &change.id);
        let unsafe_ones = plan.changes.iter().filter(|change| !is_safe(change));
        let put_off: BTreeSet<RrsetId> = unsafe_ones.map(|change| change.id.clone()).collect();
        // What cannot stand beside such a set waits with it.
        let waits = |id: &RrsetId| put_off.contains(id) || plan::in_the_way(id).any(|other| put_off.contains(&other));
        plan.changes.retain(|change| !waits(&change.id));
        !put_off.is_empty() && self.pending.is_empty()
    }

    /// Whether we have published a set, if the guard of an attempt holds.
    fn is_ours_behind(&self, me: &Identity, attempt: &Attempt, id: &RrsetId) -> bool {
        // A message without an answer counts if it is known to have been applied.
        let lost = self.lost.iter().filter(|lost| attempt.guard == (&me.record(lost.generation)).into());
        let sent = self.pending.messages().chain(lost).flat_map(|sent| &sent.changes);
        self.memory.owned.contains_key(id)
            || sent.filter(|change| change.id == *id).any(|change| change.after.is_some())
    }

    /// Whether the record alone was written lately, and that did not help. Later it may: a copy that misses what people
    /// have edited since is woken by another message of ours.
    pub(super) fn has_proved_alone(&self, now: Instant) -> bool {
        self.proved_alone.is_some_and(|at| now < at + PROVE_EVERY)
    }

    /// Nothing is left to try: the zone waits, and is read again.
    pub(super) fn is_not_what_is_read(&mut self, now: Instant) -> Vec<Event> {
        // A record that was written and shown, and did not help, is not written anew each time.
        let proved_alone = self.proved_alone;
        let events = self.fail(now, words::not_what_is_read(&self.name), Some(Verdict::GuardFailed.code().to_owned()));
        self.proved_alone = proved_alone;
        events
    }

    /// Whether our record is older than one that we wrote: the zone is out of a backup, or what is read is behind. One
    /// message tells, and takes the record past what could be replayed.
    pub(super) fn is_behind_memory(&self, me: &Identity, seen: &Seen) -> bool {
        let record = seen.generation.record().filter(|record| is_me(record, me));
        record.is_some_and(|record| self.memory.generation > Some(record.generation))
    }
}
