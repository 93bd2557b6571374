//! How many connections BIND has room for.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use crate::{
    cluster::Bind,
    event::{Event, Kind},
    io::clock,
};

/// After this long as many connections as the file says are tried again.
const AGAIN: Duration = Duration::from_mins(10);

/// The connections in use. BIND accepts no more than its `tcp-clients`, ours and others': a further one is made and never
/// answered, while those that it has accepted are.
#[derive(Debug)]
pub(super) struct Room {
    server: SocketAddr,
    /// `bind.connections`.
    all: usize,
    timeout: Duration,
    used: AtomicUsize,
    /// The fewest that were told.
    told: AtomicUsize,
    /// When there were fewer the last time, and when an answer came, in milliseconds since boot.
    shrunk_at: AtomicU64,
    heard_at: AtomicU64,
}

impl Room {
    pub(super) fn new(bind: &Bind) -> Self {
        let all = bind.connections.max(1);
        Self {
            server: bind.server,
            all,
            timeout: bind.timeout,
            used: AtomicUsize::new(all),
            told: AtomicUsize::new(all),
            shrunk_at: AtomicU64::new(0),
            heard_at: AtomicU64::new(0),
        }
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

    /// That fewer are used than ever before, once.
    pub(super) fn news(&self) -> Option<Event> {
        let used = self.used.load(Ordering::Relaxed);
        let is_news = self.told.fetch_min(used, Ordering::Relaxed) > used;
        is_news.then(|| {
            let words = format!(
                "{}: named leaves a new connection without an answer while it answers on others: {used} of the {} of \
                 `bind.connections` are used from now on, and the others are tried again every {}; if `tcp-clients` is used up, \
                 raise it, or lower `bind.connections`",
                self.server,
                self.all,
                humantime::format_duration(AGAIN)
            );
            Event::new(Kind::FewerConnections, words)
        })
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
    use crate::cluster::KeySource;

    #[test]
    fn connections_that_nobody_answers_beside_those_that_are_answered_are_given_up() {
        let bind = Bind {
            server: "192.0.2.53:53".parse().unwrap(),
            key: KeySource::Credential("tsig.key".to_owned()),
            timeout: Duration::from_mins(1),
            connections: 4,
            max_in_flight: 1,
            allow_weak_keys: false,
        };
        let room = Room::new(&bind);
        assert!(!room.shrink(), "a server that answers nobody lacks no room");
        room.heard();
        assert!(room.shrink() && room.shrink(), "two at once are one lack");
        assert_eq!(room.connections(), 2);
        let told = room.news().unwrap().message;
        assert!(told.contains("2 of the 4") && told.contains("tcp-clients"), "{told}");
        assert_eq!(room.news(), None);
        room.shrunk_at.store(1, Ordering::Relaxed);
        room.heard();
        let long_ago = Duration::from_millis(now()) > AGAIN;
        assert_eq!(room.connections(), if long_ago { 4 } else { 2 });
    }
}
