//! Ten thousand zones on a real BIND: the start, the rest, and one node that dies and comes back.
//!
//! Each contender gets a BIND of its own with fresh zone files in the same state, and makes the same changes. When a
//! change was made is read off the time stamps of BIND's journal files, afterwards.

mod bare;
mod daemon;
pub mod idle;
pub mod order;
pub mod wave;
mod world;

/// As many as a hoster has.
const ZONES: usize = 10_000;
