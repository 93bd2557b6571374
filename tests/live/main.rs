//! The real thing against the real world: looked at from outside, waited for with a deadline.
//!
//! One crate, so that it is linked once.

//! Tests against a real `named`, from outside.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy permits them in `#[test]` functions alone; here the helpers are tests, too"
)]

mod support;

mod bind_facts;
mod bounds;
mod checks;
mod faults;
mod journald;
mod notify;
mod operator;
mod plain;
mod policy;
mod rotation;
mod servers;
mod strangers;
mod unit;
