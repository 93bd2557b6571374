//! Ten thousand zones on a real BIND: the start, the rest, and one node that dies and comes back.
//!
//! Each contender gets a BIND of its own with fresh zone files in the same state, and makes the same changes. When a
//! change was made is read off the time stamps of BIND's journal files, which cost nobody anything.

mod bare;
mod daemon;
mod idle;
mod order;
mod wave;
mod world;

use std::path::{Path, PathBuf};

use crate::table::Table;

/// As many as a hoster has.
const ZONES: usize = 10_000;

/// Runs the part.
pub fn run(table: &mut Table) {
    for (words, storage) in [("tmpfs", PathBuf::from("/dev/shm")), ("disk", std::env::temp_dir())] {
        wave::run(table, words, &storage);
    }
    idle::run(table, Path::new("/dev/shm"));
    order::run(table, Path::new("/dev/shm"));
}
