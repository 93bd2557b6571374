//! When a zone that has nothing to write is looked at.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{Step, Turn, Zone};
use crate::{dns::OwnerName, status::ZoneState};

/// How often the SOA serial is looked at: a hand edit is put back within about this time.
pub const SERIAL_EVERY: Duration = Duration::from_mins(1);
/// How much earlier a zone at rest may be looked at, so that many are together: questions that go out in one write and
/// come back in one read cost half as much.
pub const EARLY: Duration = Duration::from_secs(2);
/// How often the owned `RRsets` are read although the serial stands still; also when an ignored change is tried again.
pub(super) const READ_EVERY: Duration = Duration::from_mins(15);

impl Zone {
    /// It is to be read whole at its next turn, before anything is written: what is believed of it may be what is wrong. A
    /// reading that is under way has begun before, and does not count.
    pub const fn read_anew(&mut self) {
        self.at_rest = false;
        self.wants_reading = true;
        self.may_be_as_left = false;
    }

    /// The same, and then what BIND would not take before is tried at once.
    pub const fn begin_anew(&mut self) {
        self.read_anew();
        self.begins_anew = true;
    }

    /// A reading that somebody wants begins: if all begins anew with it, waits do, too.
    pub(super) fn begin_reading(&mut self, now: Instant) {
        (self.wants_reading, self.wants_look) = (false, false);
        if !std::mem::take(&mut self.begins_anew) {
            return;
        }
        for trouble in self.troubles.values_mut() {
            (trouble.until, trouble.tries) = (now, 0);
        }
        (self.failures, self.is_alone) = (0, false);
        self.remember_limit(None);
    }

    /// Its serial is to be looked at at its next turn. A look that is under way has begun before, and does not count.
    pub const fn look_anew(&mut self) {
        self.at_rest = false;
        self.wants_look = true;
    }

    /// Whether somebody wants it read whole, and no reading has begun since.
    #[must_use]
    pub const fn wants_reading(&self) -> bool {
        self.wants_reading
    }

    /// Whether a whole reading, which was begun at a moment or later, has told what it holds.
    #[must_use]
    pub fn was_read_since(&self, at: Instant) -> bool {
        !self.wants_reading && self.read_at.is_some_and(|begun| begun >= at)
    }

    /// Looks at its serial.
    pub(super) const fn look(&mut self) -> Step {
        self.wants_look = false;
        Step::Serial
    }

    /// The step of a zone that has nothing to write: look whether it is still what we believe.
    pub(super) fn poll(&mut self, turn: Turn<'_>, names: BTreeSet<OwnerName>) -> Step {
        let retries = self.troubles.values().map(|trouble| trouble.until).filter(|until| *until > turn.now);
        let retries = retries.min();
        if !self.pending.is_empty() {
            // It is looked at often enough, and what is read says little.
            self.wake_at = [retries, self.pending.wake_at(turn.may_write)].into_iter().flatten().min();
            return Step::Rest;
        }
        if self.must_read(turn.now) || self.hides(turn) {
            return self.read_all(turn, names);
        }
        // What waits for anything else is planned at each look.
        self.at_rest = turn.layout.is_some() && self.state == ZoneState::InSync;
        if self.must_look(turn.now) {
            return self.look();
        }
        self.wake_at = [retries, self.next_look()].into_iter().flatten().min();
        Step::Rest
    }

    /// Whether it is time to read it whole.
    pub(super) fn must_read(&self, now: Instant) -> bool {
        self.wants_reading
            || self.read_at.is_none_or(|at| now >= at + READ_EVERY)
            || self.reread_at.is_some_and(|at| now + EARLY >= at)
    }

    /// Whether it is time to look at its serial.
    pub(super) fn must_look(&self, now: Instant) -> bool {
        self.wants_look || self.next_look().is_none_or(|at| now + EARLY >= at)
    }

    pub(super) fn next_look(&self) -> Option<Instant> {
        self.polled_at.map(|at| at + SERIAL_EVERY)
    }
}
