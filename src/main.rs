//! The `rotad` command: a table of contents.
fn main() {}
