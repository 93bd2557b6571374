//! The real thing against the real world: looked at from outside, waited for with a deadline.

mod journald;
mod notify;
mod plain;
mod unit;
