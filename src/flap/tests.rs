use proptest::prelude::*;

use super::*;
use crate::{
    check::{Outcome, Timing, tests::timing},
    health::{Health, State},
    io::clock,
};

const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_secs(30);

/// The wait in seconds of a target that went down at these minutes and is back at this one.
fn wait(downs: &[u64], back: u64, step: Duration) -> Option<(u64, usize)> {
    let start = clock::now();
    let mut flaps = Flaps::new();
    for minute in downs {
        flaps.down(start + Duration::from_mins(*minute));
    }
    let now = start + Duration::from_mins(back);
    flaps.hold(step, now).map(|hold| ((hold.until - now).as_secs(), hold.flap))
}

#[test]
fn each_flap_waits_longer() {
    for (downs, back, expected) in [
        (&[][..], 1, None),
        (&[0], 1, None),
        (&[0, 2], 3, Some((30, 1))),
        (&[0, 2, 4], 5, Some((60, 2))),
        (&[0, 2, 4, 6, 8], 9, Some((120, 4))),
        (&[0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20], 21, Some((300, 10))),
        // At most five minutes.
        (&[0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24], 25, Some((300, 12))),
        // What is an hour ago is forgiven, also while it is down.
        (&[0, 60], 61, None),
        (&[0, 30, 61], 62, Some((30, 1))),
        (&[0, 2], 59, Some((30, 1))),
        (&[0, 2], 70, None),
    ] {
        assert_eq!(wait(downs, back, STEP), expected, "{downs:?} {back}");
    }
    assert_eq!(wait(&[0, 1, 2], 3, SECOND), Some((2, 2)));
    assert_eq!(wait(&[0, 1, 2], 3, LONGEST), Some((300, 2)));
}

#[test]
fn flaps_are_counted_as_people_do() {
    for (flap, words) in
        [(1, "1st flap"), (2, "2nd flap"), (3, "3rd flap"), (4, "4th flap"), (11, "11th flap"), (22, "22nd flap")]
    {
        assert_eq!(Hold { wait: STEP, until: clock::now(), flap }.ordinal(), words);
    }
}

/// One probe a second, of a target that passes or fails.
struct Target {
    timing: Timing,
    health: Health,
    now: Instant,
}

impl Target {
    fn new() -> Self {
        let now = clock::now();
        let timing = Timing { rise: 2, fall: 2, flap_hold: Some(STEP), ..timing() };
        Self { timing, health: Health::new(now), now }
    }

    /// Makes so many probes; the seconds that it took to change the state.
    fn probe(&mut self, passes: bool, times: u64) -> Option<u64> {
        let mut changed = None;
        for second in 1..=times {
            self.now += SECOND;
            let text = "as asked".to_owned();
            let outcome = if passes { Outcome::Pass(text) } else { Outcome::Fail(text) };
            let news = self.health.observe(&self.timing, self.now, outcome, SECOND);
            changed = changed.or(news.transition.map(|_| second));
        }
        changed
    }
}

#[test]
fn a_first_failure_delays_nothing_and_later_ones_do() {
    let mut target = Target::new();
    assert_eq!(target.probe(true, 5), Some(2));
    for wait in [0, 30, 60, 90] {
        assert_eq!(target.probe(false, 5), Some(2));
        assert_eq!(target.probe(true, 400), Some(2 + wait));
    }
    // Without a hold it is back at once, however often it flapped.
    target.timing.flap_hold = None;
    assert_eq!(target.probe(false, 5), Some(2));
    assert_eq!(target.probe(true, 5), Some(2));
}

#[test]
fn a_failure_ends_the_wait_and_all_begins_anew() {
    let mut target = Target::new();
    target.probe(true, 2);
    for _ in 0..2 {
        target.probe(false, 2);
        target.probe(true, 2);
    }
    let hold = target.health.hold.unwrap();
    assert_eq!((hold.flap, hold.until), (1, target.now + STEP));
    assert!(target.health.is_reserve() && target.health.is_well());
    assert_eq!(target.probe(true, 20), None);
    assert_eq!(target.health.hold, Some(hold), "it does not move while all is well");
    target.probe(false, 1);
    assert_eq!(target.health.hold, None);
    assert!(!target.health.is_reserve());
    assert_eq!(target.probe(true, 40), Some(32), "no new flap, for it was not up");
    assert_eq!(target.health.hold, None);
}

#[test]
fn the_start_is_no_flap() {
    let mut target = Target::new();
    target.probe(false, 5);
    assert_eq!(target.probe(true, 5), Some(2));
    assert_eq!(target.probe(false, 5), Some(2));
    assert_eq!(target.probe(true, 5), Some(2), "the first down that we saw");
}

proptest! {
    /// Whatever a target does: it comes up only after `rise` passes in a row and the wait of its flaps, at the latest
    /// five minutes after them, and what is remembered of it stays small.
    #[test]
    fn a_return_takes_what_the_flaps_say(spans in proptest::collection::vec((any::<bool>(), 1_u64..50), 1..120)) {
        let mut target = Target::new();
        let mut downs: Vec<Instant> = Vec::new();
        let mut complete: Option<Instant> = None;
        for (passes, times) in spans {
            for _ in 0..times {
                let before = target.health.state;
                target.probe(passes, 1);
                let (now, health) = (target.now, &target.health);
                complete = complete.filter(|_| passes).or((health.passes == 2).then_some(now));
                if (before, health.state) == (State::Up, State::Down) {
                    downs.push(now);
                }
                let Some(at) = complete else { continue };
                let recent = downs.iter().filter(|down| at - **down < WINDOW).count().min(REMEMBERED) as u64;
                let wait = (STEP * u32::try_from(recent.saturating_sub(1)).unwrap()).min(LONGEST);
                if before == State::Down {
                    prop_assert_eq!(health.state == State::Up, now >= at + wait);
                }
                prop_assert!(now < at + wait || health.state == State::Up);
                prop_assert_eq!(health.is_well(), passes);
            }
        }
        prop_assert!(target.health.flaps.0.len() <= REMEMBERED);
    }
}
