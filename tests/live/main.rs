//! Tests against real sockets, one crate so that it is linked once.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by a panic; clippy's own exception ends at helper functions"
)]

mod checks;
mod support;
