//! What is held against a target, in the form that outlives the process: stamps of the wall clock.
//!
//! As with an operator's hold, what is left of it is worked out anew at the start, and a wall clock that was put back
//! meanwhile makes nothing longer than it was meant to be.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{Flaps, Hold, WINDOW, is_recent};
use crate::{
    check::Target,
    health::{Before, Health, HealthView},
    status::{Clocks, Stamp},
};

/// What is remembered of one target that was decided at least once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Past {
    /// Whether it was up at the last decision.
    #[serde(default)]
    pub up: bool,
    /// When it went from up to down, within the last hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub downs: Vec<Stamp>,
    /// The wait that it was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<PastHold>,
}

/// A wait that a target was in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastHold {
    /// When it ends, if no failure comes.
    pub until: Stamp,
    /// How long the whole of it is.
    pub seconds: u64,
    /// Which flap it is for.
    pub flap: usize,
}

/// What is remembered of all targets.
pub type Damping = BTreeMap<Target, Past>;

impl Past {
    /// What is to be remembered of a target. `None`: it was never decided.
    #[must_use]
    pub fn of(health: &Health, clocks: Clocks) -> Option<Self> {
        let Before { up, hold } = health.stands()?;
        let downs = health.flaps.downs().filter(|down| is_recent(*down, clocks.now));
        let hold = hold.filter(|hold| hold.until > clocks.now).map(|hold| PastHold {
            until: clocks.stamp(hold.until),
            seconds: hold.wait.as_secs().max(1),
            flap: hold.flap,
        });
        Some(Self { up, downs: downs.map(|down| clocks.stamp(down)).collect(), hold })
    }

    /// The same of all targets. Of those that are out of the file only what is held against them counts.
    #[must_use]
    pub fn of_all(view: &HealthView, clocks: Clocks) -> Damping {
        let watched = view.targets.iter().map(|(target, health)| (target, &**health));
        let absent = view.absent.iter().filter(|(_, health)| health.is_held_against(clocks.now));
        watched.chain(absent).filter_map(|(target, health)| Some((target.clone(), Self::of(health, clocks)?))).collect()
    }

    /// The health of a target that was left so, and is watched again.
    #[must_use]
    pub fn resume(&self, health: Health, clocks: Clocks) -> Health {
        let mut flaps = Flaps::new();
        for down in &self.downs {
            let ago = since(*down, clocks.wall);
            if ago < WINDOW {
                flaps.down(clocks.now.checked_sub(ago).unwrap_or(clocks.now));
            }
        }
        let hold = self.hold.as_ref().map(|hold| {
            let wait = Duration::from_secs(hold.seconds);
            let left = hold.until.0.duration_since(clocks.wall).unwrap_or_default().min(wait);
            Hold { wait, until: later(clocks.now, left), flap: hold.flap }
        });
        health.remembering(flaps, Some(Before { up: self.up, hold }))
    }
}

impl Health {
    /// Whether it went down within the last hour, or waits for that.
    #[must_use]
    pub fn is_held_against(&self, now: Instant) -> bool {
        let hold = self.stands().and_then(|before| before.hold);
        self.flaps.downs().any(|down| is_recent(down, now)) || hold.is_some_and(|hold| hold.until > now)
    }
}

/// How long ago a stamp was; one in the future, by a clock that was put back, was now.
fn since(stamp: Stamp, wall: SystemTime) -> Duration {
    wall.duration_since(stamp.0).unwrap_or_default()
}

fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or(now)
}

/// Whether two views come to the same [`Damping`], and to the same [`Wishes`](crate::health::Wishes).
#[must_use]
pub fn is_same(one: &HealthView, other: &HealthView) -> bool {
    let same = |((target, health), (other, then)): ((&Target, &_), (&Target, &_))| {
        target == other && (std::sync::Arc::ptr_eq(health, then) || is_alike(health, then))
    };
    one.targets.len() == other.targets.len()
        && one.targets.iter().zip(&other.targets).all(same)
        && one.absent == other.absent
}

fn is_alike(health: &Health, then: &Health) -> bool {
    health.flaps == then.flaps && health.stands() == then.stands() && health.wish == then.wish
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::{Outcome, Timing},
        health::{
            State::{Down, Unknown, Up},
            Trial,
        },
        io::clock,
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn timing() -> Timing {
        Timing {
            interval: SECOND,
            fast_interval: SECOND,
            down_interval: SECOND,
            timeout: SECOND,
            rise: 3,
            fall: 3,
            jitter: 0,
            flap_hold: Some(30 * SECOND),
        }
    }

    /// A target with its clocks, which it is watched by once a second.
    struct Watch {
        health: Health,
        clocks: Clocks,
    }

    impl Watch {
        fn new() -> Self {
            let clocks = Clocks { now: clock::now(), wall: SystemTime::UNIX_EPOCH + 1_000_000 * SECOND };
            Self { health: Health::new(clocks.now), clocks }
        }

        fn pass_time(&mut self, time: Duration) {
            self.clocks = Clocks { now: self.clocks.now + time, wall: self.clocks.wall + time };
        }

        fn sees(&mut self, passes: bool, times: u32) -> &mut Self {
            for _ in 0..times {
                self.pass_time(SECOND);
                let outcome = if passes { Outcome::Pass(String::new()) } else { Outcome::Fail("refused".to_owned()) };
                self.health.observe(&timing(), self.clocks.now, outcome, Duration::ZERO);
            }
            self
        }

        /// The next run, after a while, with a wall clock that may have been put by so much.
        fn restart(&mut self, after: Duration, put_back: Duration) -> &mut Self {
            let past = Past::of(&self.health, self.clocks);
            self.pass_time(after);
            self.clocks.wall -= put_back;
            // As the schedule begins with a target that nobody has watched.
            let trial = Some(Trial::new(self.clocks.now, 60 * SECOND, true));
            let new = Health { trial, ..Health::new(self.clocks.now) };
            self.health = past.map_or(new.clone(), |past| past.resume(new, self.clocks));
            assert_eq!(self.health.state, Unknown, "nothing is known before it is asked");
            self
        }

        /// Up, then down twice: the next return is held for 30 s.
        fn flapped() -> Self {
            let mut watch = Self::new();
            watch.sees(true, 3).sees(false, 3).sees(true, 3).sees(false, 3);
            assert_eq!(watch.health.state, Down);
            watch
        }
    }

    #[test]
    fn a11_who_was_held_before_a_restart_is_held_after_it_and_no_longer() {
        for put_back in [Duration::ZERO, 1000 * SECOND] {
            let mut watch = Watch::flapped();
            watch.sees(true, 3);
            let until = watch.health.hold.unwrap().until;
            watch.sees(true, 4).restart(5 * SECOND, put_back).sees(true, 3);
            assert_eq!(watch.health.state, Down);
            let hold = watch.health.hold.unwrap();
            assert_eq!((hold.flap, hold.wait), (1, 30 * SECOND));
            // A clock that was put back makes it no longer than the whole of it.
            let longest = if put_back.is_zero() { until } else { watch.clocks.now + 30 * SECOND };
            assert!(hold.until <= longest, "{put_back:?}");
            assert!(watch.health.is_reserve());
            watch.sees(true, 30);
            assert_eq!(watch.health.state, Up, "{put_back:?}");
        }
    }

    #[test]
    fn a11_who_was_down_returns_as_it_would_have() {
        let mut watch = Watch::flapped();
        watch.restart(SECOND, Duration::ZERO).sees(true, 3);
        assert_eq!(watch.health.hold.map(|hold| hold.flap), Some(1));
        // A failure begins all anew.
        watch.sees(false, 1).sees(true, 3);
        assert_eq!(watch.health.hold.map(|hold| hold.until), Some(watch.clocks.now + 30 * SECOND));
        // Restart after restart.
        watch.restart(SECOND, Duration::ZERO).restart(SECOND, Duration::ZERO).sees(true, 3);
        assert!(watch.health.hold.is_some() && watch.health.state == Down);
        // After an hour nothing is held against it.
        let mut watch = Watch::flapped();
        watch.restart(WINDOW, Duration::ZERO).sees(true, 3);
        assert_eq!((watch.health.hold, watch.health.state), (None, Up));
    }

    #[test]
    fn a11_who_was_up_stays_and_its_next_down_counts() {
        let mut watch = Watch::new();
        watch.sees(true, 3).sees(false, 3).sees(true, 3);
        watch.restart(SECOND, Duration::ZERO).sees(true, 3);
        assert_eq!((watch.health.state, watch.health.hold), (Up, None), "it is not taken out");
        // It goes down while nobody watches: the second down of the hour.
        watch.restart(SECOND, Duration::ZERO).sees(false, 3);
        assert_eq!(watch.health.state, Down);
        watch.sees(true, 3);
        assert_eq!(watch.health.hold.map(|hold| hold.flap), Some(1));
        // What was never decided is not remembered.
        let mut watch = Watch::new();
        watch.sees(true, 2);
        assert_eq!(Past::of(&watch.health, watch.clocks), None);
    }
}
