//! How many connections BIND has room for.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use crate::io::clock;

/// After this long as many connections as the file says are tried again.
const AGAIN: Duration = Duration::from_mins(10);

/// The connections in use. BIND accepts no more than its `tcp-clients`, ours and others': a further one is made and never
/// answered, while those that it has accepted are.
#[derive(Debug)]
pub(super) struct Room {
    /// `bind.connections`.
    all: usize,
    timeout: Duration,
    used: AtomicUsize,
    /// When there were fewer the last time, and when an answer came, in milliseconds since boot.
    shrunk_at: AtomicU64,
    heard_at: AtomicU64,
}

impl Room {
    pub(super) const fn new(all: usize, timeout: Duration) -> Self {
        Self { all, timeout, used: AtomicUsize::new(all), shrunk_at: AtomicU64::new(0), heard_at: AtomicU64::new(0) }
    }

    /// How many connections are used now.
    pub(super) fn connections(&self) -> usize {
        let used = self.used.load(Ordering::Relaxed);
        if used < self.all && is_older(&self.shrunk_at, AGAIN) {
            self.used.store(self.all, Ordering::Relaxed);
            return self.all;
        }
        used
    }

    /// An answer came.
    pub(super) fn heard(&self) {
        self.heard_at.store(now(), Ordering::Relaxed);
    }

    /// A new connection brought no answer. If others do, there are half as many from now on; whether that is so.
    pub(super) fn shrink(&self) -> bool {
        let used = self.used.load(Ordering::Relaxed);
        if used == 1 || is_older(&self.heard_at, self.timeout.saturating_mul(2)) {
            return false;
        }
        // Those that were made together fail together: that is one lack of room, not many.
        if is_older(&self.shrunk_at, self.timeout) {
            self.shrunk_at.store(now(), Ordering::Relaxed);
            self.used.store((used / 2).max(1), Ordering::Relaxed);
        }
        true
    }
}

fn now() -> u64 {
    u64::try_from(clock::since_boot().as_millis()).unwrap_or(u64::MAX)
}

/// Whether a moment lies so far back, or was not yet.
fn is_older(at: &AtomicU64, than: Duration) -> bool {
    let at = at.load(Ordering::Relaxed);
    at == 0 || Duration::from_millis(now().saturating_sub(at)) > than
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_nobody_answers_beside_those_that_are_answered_are_given_up() {
        let room = Room::new(4, Duration::from_mins(1));
        assert!(!room.shrink(), "a server that answers nobody lacks no room");
        room.heard();
        assert!(room.shrink() && room.shrink(), "two at once are one lack");
        assert_eq!(room.connections(), 2);
        room.shrunk_at.store(1, Ordering::Relaxed);
        room.heard();
        let long_ago = Duration::from_millis(now()) > AGAIN;
        assert_eq!(room.connections(), if long_ago { 4 } else { 2 });
    }
}
