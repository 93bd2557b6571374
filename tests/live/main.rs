//! Tests against a real `named`, from outside.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy permits them in `#[test]` functions alone; here the helpers are tests, too"
)]

mod support;

mod bind_facts;
