//! The real thing against the real world: looked at from outside, waited for with a deadline.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

mod journald;
mod notify;
mod plain;
mod unit;
