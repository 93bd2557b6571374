//! The only place where clocks are read.

use std::time::{Instant, SystemTime};

/// The monotonic clock, as tokio sees it, so that tests with paused time move it.
#[must_use]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The wall clock: for TSIG's time signed and for stamps that people read, never for a decision.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the replacement that the ban names")]
pub fn wall() -> SystemTime {
    SystemTime::now()
}
