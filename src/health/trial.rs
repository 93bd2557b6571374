//! How long a question is new.

use std::time::{Duration, Instant};

use crate::check::{Outcome, Timing};

/// The time from the moment at which a question is new (at a start, or by an edit) until its answers have decided.
///
/// A check that is only asked at other times keeps its state meanwhile; one that asks something else is unknown.
/// Who cannot be asked, whatever it answered before, is waited for until a set time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// When the question became new.
    pub since: Instant,
    /// When it ends for a target that gives no answer, or none any more.
    pub until: Instant,
    /// Answers so far: probes that could not be made are none.
    pub answers: u32,
    /// Passes in a row since then.
    passes: u32,
    /// Failures in a row since then.
    failures: u32,
    /// Whether the node did its work before an edit asked something else of it, or may have, for nobody watched it.
    pub was_well: bool,
}

/// Of a target that cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// Probes in a row that could not be made.
    pub unmade: u32,
    /// Whether what it asked for before stands.
    pub wish_stands: bool,
}

impl Trial {
    /// So many times as many answers as decide are undecidable: now a pass, now a failure.
    const UNDECIDABLE: u32 = 8;

    /// A trial that begins now and lasts for so long without an answer.
    #[must_use]
    pub fn new(now: Instant, settle: Duration, was_well: bool) -> Self {
        // No sum of an instant and a settable duration overflows; a century hence is as good as never.
        let until = now.checked_add(settle).unwrap_or(now);
        Self { since: now, until, answers: 0, passes: 0, failures: 0, was_well }
    }

    /// Takes an outcome of a probe that was begun since, and the silence by now; whether the trial is over.
    pub(super) fn is_over(&mut self, timing: &Timing, now: Instant, outcome: &Outcome, silence: Silence) -> bool {
        match outcome {
            Outcome::Pass(_) | Outcome::Warn { .. } => (self.passes, self.failures) = (self.passes + 1, 0),
            Outcome::Fail(_) | Outcome::Busy(_) => (self.passes, self.failures) = (0, self.failures + 1),
            Outcome::Out(_) | Outcome::Maint(_) => return true,
            Outcome::Unknown(_) => {
                let is_silent = silence.unmade >= timing.fall;
                // What an agent asked for stands though it be silent: nothing else is waited for.
                return silence.wish_stands && is_silent || now >= self.until && (self.answers == 0 || is_silent);
            }
        }
        self.answers += 1;
        let most = timing.rise.max(timing.fall).saturating_mul(Self::UNDECIDABLE);
        self.passes >= timing.rise || self.failures >= timing.fall || self.answers >= most
    }
}
