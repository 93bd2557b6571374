//! Flap hold: who keeps going down waits longer and longer before it is taken back.
//!
//! A flap is a down within an hour of an earlier one: the first down of a node is no flap, and its return waits for
//! `rise` passes alone. The n-th flap adds n times `flap_hold` to that, at most [`LONGEST`]. The wait begins with the
//! last of the `rise` passes, and a failure in it begins all anew.
//!
//! What is held against a target outlives the process: see [`Past`].

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

mod past;
#[cfg(test)]
mod tests;

pub use self::past::{Damping, Past, PastHold, is_same};

/// How long a down is held against a node.
pub const WINDOW: Duration = Duration::from_hours(1);
/// The longest wait: above it a node that is well would be missed more than a flapping one hurts.
pub const LONGEST: Duration = Duration::from_mins(5);
/// Downs that are remembered. With the default of 30 s eleven make the longest wait.
const REMEMBERED: usize = 64;

/// When a target went from up to down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flaps(VecDeque<Instant>);

/// A wait that is imposed on a target that passes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// How long it is.
    pub wait: Duration,
    /// When it ends, if no failure comes.
    pub until: Instant,
    /// Which flap it is for: 1 for the second down within an hour.
    pub flap: usize,
}

impl Flaps {
    /// Nothing is held against the target yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// It went from up to down.
    pub fn down(&mut self, now: Instant) {
        self.0.retain(|down| is_recent(*down, now));
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    /// Downs that are remembered, oldest first.
    pub fn downs(&self) -> impl Iterator<Item = Instant> {
        self.0.iter().copied()
    }

    /// When it went down last, as far as that is remembered.
    #[must_use]
    pub fn last(&self) -> Option<Instant> {
        self.0.back().copied()
    }

    /// The wait of a target that has just passed often enough to return; `None`: it need not wait.
    #[must_use]
    pub fn hold(&self, step: Duration, now: Instant) -> Option<Hold> {
        let flap =
            self.0.iter().filter(|down| is_recent(**down, now)).count().checked_sub(1).filter(|flap| *flap > 0)?;
        let times = u32::try_from(flap).unwrap_or(u32::MAX);
        let wait = step.saturating_mul(times).min(LONGEST);
        Some(Hold { wait, until: now + wait, flap })
    }
}

fn is_recent(down: Instant, now: Instant) -> bool {
    now.saturating_duration_since(down) < WINDOW
}

impl Hold {
    /// `4th flap`.
    #[must_use]
    pub fn ordinal(&self) -> String {
        let ending = match (self.flap % 10, self.flap % 100) {
            (_, 11..=13) => "th",
            (1, _) => "st",
            (2, _) => "nd",
            (3, _) => "rd",
            _ => "th",
        };
        format!("{}{ending} flap", self.flap)
    }
}
