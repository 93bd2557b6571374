//! What the agent of a node has asked for, in the form that outlives the process.
//!
//! An agent's `drain` and `maint` stand until it says otherwise, though it be silent: over a restart, a gap, and an edit
//! of its check.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Health, HealthView, State};
use crate::{
    check::Target,
    cluster::AdminState,
    status::{Clocks, Stamp},
};

/// What an agent asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    /// To leave the shared sets.
    Drain,
    /// To leave all sets.
    Maint,
}

impl From<Asked> for AdminState {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Drain => Self::Drain,
            Asked::Maint => Self::Down,
        }
    }
}

/// What is remembered of a target whose agent asked for something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastWish {
    /// What.
    pub wish: Asked,
    /// Since when it is out.
    pub since: Stamp,
    /// In its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
}

/// What is remembered of all agents.
pub type Wishes = BTreeMap<Target, PastWish>;

impl PastWish {
    /// What is to be remembered of a target. `None`: its agent asks for nothing.
    #[must_use]
    pub fn of(health: &Health, clocks: Clocks) -> Option<Self> {
        let wish = match health.wish {
            AdminState::Ready => return None,
            AdminState::Drain => Asked::Drain,
            AdminState::Down => Asked::Maint,
        };
        let says = health.why.as_ref().map(ToString::to_string);
        Some(Self { wish, since: clocks.stamp(health.since), says })
    }

    /// The same of all targets.
    #[must_use]
    pub fn of_all(view: &HealthView, clocks: Clocks) -> Wishes {
        let watched = view.targets.iter().map(|(target, health)| (target, &**health));
        let all = watched.chain(view.absent.iter());
        all.filter_map(|(target, health)| Some((target.clone(), Self::of(health, clocks)?))).collect()
    }

    /// The health of a target that was left so, and is watched again.
    #[must_use]
    pub fn resume(&self, health: Health, clocks: Clocks) -> Health {
        let ago = clocks.wall.duration_since(self.since.0).unwrap_or_default();
        let since = clocks.now.checked_sub(ago).unwrap_or(clocks.now);
        let why = self.says.as_deref().map(Into::into);
        Health { wish: self.wish.into(), state: State::Down, since, why, ..health }
    }
}

impl Health {
    /// Whether its agent asks for something.
    #[must_use]
    pub fn has_wish(&self) -> bool {
        self.wish != AdminState::Ready
    }

    /// The same, but its agent asks for what the one of another health asks for.
    #[must_use]
    pub fn asking_as(self, other: &Self) -> Self {
        if !other.has_wish() {
            return self;
        }
        Self { wish: other.wish, state: State::Down, since: other.since, why: other.why.clone(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::{
        check::{Outcome, Timing, tests::timing},
        health::{State::*, Trial},
        io::clock,
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn clocks() -> Clocks {
        Clocks { now: clock::now(), wall: SystemTime::UNIX_EPOCH + 1_000_000 * SECOND }
    }

    fn out() -> Outcome {
        Outcome::Out("agent says \"drain\"".to_owned())
    }

    fn silent() -> Outcome {
        Outcome::Unknown("the agent is silent: connection refused".to_owned())
    }

    /// The next run, with an agent that answers so once a second; how it stands after each answer.
    fn next_run(past: &PastWish, clocks: Clocks, timing: &Timing, outcome: &Outcome, times: u32) -> Health {
        let begun = Health { trial: Some(Trial::new(clocks.now, 60 * SECOND, false)), ..Health::new(clocks.now) };
        let mut health = past.resume(begun, clocks);
        for at in 1..=times {
            assert!(!health.is_settled(timing) || at > 1, "nothing is settled before it was asked");
            health.observe(timing, clocks.now + at * SECOND, outcome.clone(), Duration::ZERO);
        }
        health
    }

    #[test]
    fn a10_what_an_agent_asked_for_stands_over_a_restart_until_it_says_otherwise() {
        let (timing, mut clocks) = (timing(), clocks());
        for (outcome, wish) in
            [(out(), AdminState::Drain), (Outcome::Maint("agent says \"maint\"".to_owned()), AdminState::Down)]
        {
            let mut health = Health::new(clocks.now);
            health.observe(&timing, clocks.now, outcome.clone(), Duration::ZERO);
            let past = PastWish::of(&health, clocks).unwrap();
            clocks = Clocks { now: clocks.now + 90 * SECOND, wall: clocks.wall + 90 * SECOND };

            // It is silent: the question is decided as soon as silence decides, and the wish stands for ever.
            let silent = next_run(&past, clocks, &timing, &silent(), 1_000);
            assert_eq!((silent.state, silent.wish, silent.trial), (Down, wish, None));
            assert_eq!(silent.why.as_deref(), Some(outcome.reason()), "its own words are kept");
            assert_eq!(silent.since + 90 * SECOND, clocks.now);
            let early = next_run(&past, clocks, &timing, &super::tests::silent(), timing.fall);
            assert_eq!(early.trial, None);
            // And over the next restart.
            assert_eq!(PastWish::of(&silent, clocks), Some(past.clone()));

            // It is back, and says so.
            let back = next_run(&past, clocks, &timing, &Outcome::Pass("agent says \"up\"".to_owned()), timing.rise);
            assert_eq!((back.state, back.wish), (Up, AdminState::Ready));
            assert_eq!(PastWish::of(&back, clocks), None);
            // It says down, which lapses with its silence.
            let mut down = next_run(&past, clocks, &timing, &Outcome::Fail("agent says \"down\"".to_owned()), 1);
            assert_eq!(down.wish, AdminState::Ready);
            for at in 0..timing.fall {
                down.observe(&timing, clocks.now + (10 + at) * SECOND, super::tests::silent(), Duration::ZERO);
            }
            assert_eq!(down.state, Unknown);
        }
    }
}
