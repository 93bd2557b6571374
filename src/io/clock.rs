//! The only place where clocks are read.

use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_gettime};

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

/// Time since boot, suspend included (`CLOCK_BOOTTIME`), which the monotonic clock leaves out: to notice a gap.
#[must_use]
pub fn since_boot() -> Duration {
    // It is never negative.
    clock_gettime(ClockId::Boottime).try_into().unwrap_or_default()
}
