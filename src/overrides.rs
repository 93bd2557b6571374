//! What an operator has set against the ordinary course: the hold. Kept in the state file, so that a restart keeps it.
//!
//! People read and write it by the wall clock, for it outlives the process. Its end is waited for by the monotonic clock:
//! when rotad starts, or has stood still, what is left is worked out anew. A wall clock that jumps meanwhile moves
//! nothing, and one that was put back never makes a hold longer than it was meant to be.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{
    event::{Event, Kind},
    status::{Clocks, Stamp},
    text,
};

/// Octets of a reason at most: it stands in the status, in the journal and in the state file.
pub const LONGEST_REASON: usize = 2_000;

/// Probes go on, nothing is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when.
    pub since: Stamp,
    /// When it ends by itself; `None`: when somebody releases it.
    pub until: Option<Stamp>,
    /// Who asked for it, as the command said.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl Hold {
    /// A hold from now on. One whose end no stamp can say (after the year 9999) does not end by itself.
    #[must_use]
    pub fn new(clocks: Clocks, lasting: Option<Duration>, by: Option<String>, reason: Option<String>) -> Self {
        let until = lasting.and_then(|lasting| clocks.wall.checked_add(lasting)).map(Stamp);
        let until = until.filter(|until| until.is_writable());
        Self { since: Stamp(clocks.wall), until, by, reason }
    }

    /// `nothing is written until 2026-11-24T14:00:00Z, by root: maintenance of the switches`
    #[must_use]
    pub fn words(&self) -> String {
        let until = self.until.map_or_else(|| "`rotad release`".to_owned(), |until| until.to_string());
        let by = self.by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        text::printable(&format!("nothing is written until {until}{by}{reason}")).into_owned()
    }

    /// When it ends by the monotonic clock.
    fn ends(&self, clocks: Clocks) -> Option<Instant> {
        let until = self.until?.0;
        let whole = until.duration_since(self.since.0).unwrap_or_default();
        let left = until.duration_since(clocks.wall).unwrap_or_default();
        clocks.now.checked_add(left.min(whole))
    }
}

/// What operators have set.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    hold: Option<Hold>,
    ends: Option<Instant>,
}

impl Overrides {
    /// What was remembered from the run before.
    #[must_use]
    pub fn remembered(hold: Option<Hold>, clocks: Clocks) -> (Self, Option<Event>) {
        let mut overrides = Self::default();
        overrides.set(hold, clocks);
        let event = overrides.tick(clocks.now).or_else(|| Some(begun(overrides.hold()?, "still held")));
        (overrides, event)
    }

    /// The hold in force.
    #[must_use]
    pub const fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// When [`Overrides::tick`] has something to do.
    #[must_use]
    pub const fn wake_at(&self) -> Option<Instant> {
        self.ends
    }

    /// Holds from now on; a hold before is replaced.
    pub fn begin(&mut self, hold: Hold, clocks: Clocks) -> Event {
        let mut event = begun(&hold, "held");
        if let Some(before) = &self.hold {
            event.message = format!("{}; it takes the place of: {}", event.message, before.words());
        }
        self.set(Some(hold), clocks);
        event
    }

    /// Ends the hold; `None`: there was none.
    pub fn release(&mut self) -> Option<Event> {
        self.ends = None;
        self.hold.take().map(|_| Event::new(Kind::HoldEnded, "released"))
    }

    /// Ends a hold whose time has come.
    pub fn tick(&mut self, now: Instant) -> Option<Event> {
        self.ends.take_if(|ends| *ends <= now)?;
        self.hold.take().map(|_| Event::new(Kind::HoldEnded, "the hold is over"))
    }

    /// We stood still, and the monotonic clock may have, too.
    pub fn stood_still(&mut self, clocks: Clocks) {
        self.ends = self.hold.as_ref().and_then(|hold| hold.ends(clocks));
    }

    fn set(&mut self, hold: Option<Hold>, clocks: Clocks) {
        self.hold = hold;
        self.stood_still(clocks);
    }
}

fn begun(hold: &Hold, verb: &str) -> Event {
    let event = Event::new(Kind::HoldBegun, format!("{verb}: {}", hold.words()));
    match &hold.reason {
        Some(reason) => event.reason(reason),
        None => event,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::io::clock;

    const HOUR: Duration = Duration::from_hours(1);

    fn clocks() -> Clocks {
        Clocks { now: clock::now(), wall: SystemTime::UNIX_EPOCH + HOUR * 500_000 }
    }

    fn hold(lasting: Option<Duration>) -> Hold {
        Hold::new(clocks(), lasting, Some("anna".to_owned()), Some("the switches\n".to_owned()))
    }

    #[test]
    fn its_words_say_until_when_by_whom_and_why() {
        let words = hold(Some(HOUR)).words();
        assert_eq!(words, "nothing is written until 2027-01-15T09:00:00Z, by anna: the switches\\n");
        let words = Hold::new(clocks(), None, None, None).words();
        assert_eq!(words, "nothing is written until `rotad release`");
    }

    #[test]
    fn one_that_no_calendar_holds_does_not_end_by_itself_and_harms_nobody() {
        // The command line takes a year at most; whoever writes to the socket by hand is not bound by that.
        for seconds in [300_000_000_000, i64::MAX.cast_unsigned(), u64::MAX] {
            let hold = hold(Some(Duration::from_secs(seconds)));
            let mut overrides = Overrides::default();
            let event = overrides.begin(hold.clone(), clocks());
            assert!(event.message.contains("nothing is written until `rotad release`"), "{}", event.message);
            assert_eq!((hold.until, overrides.wake_at()), (None, None), "{seconds} s");
            assert!(serde_json::to_string(&hold).is_ok());
        }
        // One that somebody has put into the state.
        let far = Stamp(SystemTime::UNIX_EPOCH + HOUR * 100_000_000);
        let written = Hold { until: Some(far), ..hold(None) };
        let (overrides, event) = Overrides::remembered(Some(written), clocks());
        assert!(
            event.is_some_and(|event| event.message.contains("9999-12-31T23:59:59Z")) && overrides.hold().is_some()
        );
    }

    #[test]
    fn it_ends_by_itself_once() {
        let clocks = clocks();
        let mut overrides = Overrides::default();
        assert_eq!(overrides.begin(hold(Some(HOUR)), clocks).kind, Kind::HoldBegun);
        assert_eq!(overrides.wake_at(), Some(clocks.now + HOUR));
        assert_eq!(overrides.tick(clocks.now + HOUR / 2), None);
        assert!(overrides.hold().is_some());
        assert_eq!(overrides.tick(clocks.now + HOUR).map(|event| event.kind), Some(Kind::HoldEnded));
        assert!(overrides.hold().is_none() && overrides.tick(clocks.now + 2 * HOUR).is_none());
    }

    #[test]
    fn without_an_end_it_lasts_until_it_is_released() {
        let clocks = clocks();
        let mut overrides = Overrides::default();
        overrides.begin(hold(None), clocks);
        assert_eq!(overrides.tick(clocks.now + 1000 * HOUR), None);
        assert_eq!(overrides.release().map(|event| event.kind), Some(Kind::HoldEnded));
        assert_eq!((overrides.release(), overrides.hold()), (None, None));
        // A newer hold replaces the end of the one before.
        overrides.begin(hold(Some(HOUR)), clocks);
        overrides.begin(hold(None), clocks);
        assert_eq!(overrides.wake_at(), None);
        assert_eq!(hold(Some(Duration::MAX)).until, None);
    }

    #[test]
    fn after_a_restart_what_is_left_is_left_whatever_the_wall_clock_did() {
        let Clocks { now, wall } = clocks();
        let hold = hold(Some(HOUR));
        for (name, wall, left) in [
            ("half of it passed", wall + HOUR / 2, Some(HOUR / 2)),
            ("all of it passed", wall + 2 * HOUR, None),
            ("the clock was put back", wall - 100 * HOUR, Some(HOUR)),
        ] {
            let (overrides, event) = Overrides::remembered(Some(hold.clone()), Clocks { now, wall });
            let kind = if left.is_some() { Kind::HoldBegun } else { Kind::HoldEnded };
            assert_eq!(event.map(|event| event.kind), Some(kind), "{name}");
            assert_eq!(overrides.wake_at(), left.map(|left| now + left), "{name}");
            assert_eq!(overrides.hold().is_some(), left.is_some(), "{name}");
        }
        assert_eq!(Overrides::remembered(None, clocks()).1, None);
    }
}
