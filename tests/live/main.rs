//! Tests against real sockets, one crate so that it is linked once.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by a panic; clippy's own exception covers test functions alone"
)]

mod checks;
mod support;
