//! Up or down: the rise/fall machine of one target, and the health of all of them at one moment.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::check::{Outcome, Target};

/// What we hold of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// `rise` passes in a row.
    Up,
    /// `fall` failures in a row.
    Down,
    /// Not decided yet, or we cannot ask: changes nothing in DNS.
    Unknown,
}

impl State {
    /// The word of `status` and of the journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

/// The health of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The decided state.
    pub state: State,
    /// When it was decided (or when we began to watch).
    pub since: Instant,
    /// What the last probe found; `None` before the first answer.
    pub last: Option<Outcome>,
    /// When the last probe ended.
    pub last_at: Option<Instant>,
    /// How long the last probe took.
    pub took: Option<Duration>,
    /// Answers in a row that speak against `state`.
    pub contrary: u32,
    /// Answers so far, capped at `u32::MAX`.
    pub answers: u32,
}

/// A change of state, for the journal and for those who decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state now.
    pub to: State,
    /// How long the state before lasted.
    pub lasted: Duration,
    /// What decided, in words.
    pub reason: String,
}

/// The health of every target at one moment: what deciding works with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthView {
    /// One entry for each target that is watched.
    pub targets: BTreeMap<Target, Arc<Health>>,
    /// Whether every target has had an answer that decides, or as many as would decide (the first round).
    pub first_round_done: bool,
}
