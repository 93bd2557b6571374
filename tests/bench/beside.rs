//! What rotad costs and how long it takes, beside other programs that do the same in the same run.
//!
//! `tests/bench.sh` runs it. Each part prints rows of a table; a row that has a bound says whether it was kept.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench that cannot go on has nothing to show"
)]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times and counts here are small"
)]

mod checks;
mod growth;
mod process;
#[allow(dead_code, reason = "the live tests use the rest")]
#[path = "../live/support/mod.rs"]
mod support;
mod table;
mod zones;

use std::process::ExitCode;

use table::Table;

/// What runs in this process takes memory as rotad does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures, and adds rows.
type Part = fn(&mut Table);

/// The parts, in the order in which they run.
const PARTS: [(&str, Part); 5] = [
    ("wave", zones::wave::run),
    ("rest", zones::idle::run),
    ("order", zones::order::run),
    ("checks", checks::run),
    ("growth", growth::run),
];

fn main() -> ExitCode {
    // cargo adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let Some(unknown) = wanted.iter().find(|word| PARTS.iter().all(|(name, _)| name != word)) {
        let names = PARTS.map(|(name, _)| name).join(", ");
        eprintln!("there is no part {unknown}; the parts are {names}");
        return ExitCode::from(64);
    }
    let mut table = Table::default();
    for (name, run) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            run(&mut table);
        }
    }
    table.print();
    if table.all_kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
