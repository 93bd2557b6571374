//! Whether the process has stood still: stopped by a signal, or asleep with its machine.
//!
//! A beat each second leaves its time behind. Whoever is about to act on what it knows asks for a [`Gap`] first: the
//! first beat after a long pause is one, and everybody is told of it, whoever beats first.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::clock;

/// From beat to beat.
const BEAT: Duration = Duration::from_secs(1);

/// More than this between two beats is a gap. A busy machine delays a beat by tenths of a second.
pub const STILL: Duration = Duration::from_secs(5);

/// A time in which the process stood still: what was observed before it is stale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gap {
    /// How many gaps there have been with this one.
    pub number: u64,
    /// How long it lasted.
    pub lasted: Duration,
}

/// One view of the process's pulse; each clone is told of each gap.
#[derive(Debug, Clone)]
pub struct Pulse {
    /// The newest gap, and the time of the last beat.
    beats: Arc<watch::Sender<(Gap, Duration)>>,
    told: watch::Receiver<(Gap, Duration)>,
}

impl Pulse {
    /// Begins to beat; ends with the runtime.
    #[must_use]
    pub fn start() -> Self {
        let (beats, told) = watch::channel((Gap::default(), clock::since_boot()));
        let pulse = Self { beats: Arc::new(beats), told };
        let own = pulse.clone();
        tokio::spawn(async move {
            loop {
                own.beat(clock::since_boot());
                sleep(BEAT).await;
            }
        });
        pulse
    }

    /// The gap that ended since this was asked last. Several count as the newest.
    pub fn gap(&mut self) -> Option<Gap> {
        self.beat(clock::since_boot());
        let news = self.told.has_changed().unwrap_or(false);
        news.then(|| self.told.borrow_and_update().0)
    }

    /// Waits until [`Pulse::gap`] has something to tell.
    pub async fn stood_still(&self) {
        // It ends with its sender alone, and that is here.
        let _ = self.told.clone().changed().await;
    }

    pub(super) fn beat(&self, now: Duration) {
        self.beats.send_if_modified(|(gap, last)| {
            let still = now.saturating_sub(*last);
            *last = now.max(*last);
            if still <= STILL {
                return false;
            }
            *gap = Gap { number: gap.number + 1, lasted: still };
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn everybody_is_told_once() {
        let mut one = Pulse::start();
        let mut other = one.clone();
        assert_eq!((one.gap(), other.gap()), (None, None));
        let now = clock::since_boot();
        let late = now + BEAT;
        one.beat(late);
        assert_eq!(other.gap(), None, "a busy machine is no gap");
        one.beat(late + STILL * 2);
        other.stood_still().await;
        let gap = Gap { number: 1, lasted: STILL * 2 };
        assert_eq!((other.gap(), other.gap()), (Some(gap), None));
        assert_eq!((one.gap(), one.gap()), (Some(gap), None));
    }
}
