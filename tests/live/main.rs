//! The real thing against the real world: looked at from outside, waited for with a deadline.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

mod journald;
mod notify;
mod plain;
mod unit;
//! Tests against real sockets, one crate so that it is linked once.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by a panic; clippy's own exception ends at helper functions"
)]

mod checks;
mod support;
//! Tests against a real `named`, from outside.

mod support;

mod bind_facts;
