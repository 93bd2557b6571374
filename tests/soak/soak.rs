//! Many zones, and trouble of every kind for as long as is wanted; in the end every zone must be right.
//!
//! `tests/soak.sh` runs it. The same seed gives the same events in the same order, though not at the same instants.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a soak that cannot go on has nothing to show"
)]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes and counts here are small"
)]

mod events;
mod observe;
#[allow(dead_code, reason = "the bench uses the rest")]
#[path = "../bench/process.rs"]
mod process;
#[allow(dead_code, reason = "the live tests use the rest")]
#[path = "../live/support/mod.rs"]
mod support;
#[allow(dead_code, reason = "the bench uses the rest")]
#[path = "../bench/table.rs"]
mod table;
mod world;

use std::{collections::BTreeMap, process::ExitCode, thread, time::Duration};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use rotad::io::clock;
use rustix::process::Signal;

use events::Event;
use observe::{Journal, Usage};
use table::Table;
use world::World;

const ZONES: usize = 500;
/// How often BIND is killed.
const BIND_LIVES: Duration = Duration::from_mins(1);
/// How often rotad is killed, in the first quarter. What lives after that is measured.
const ROTAD_LIVES: Duration = Duration::from_secs(40);
/// How long everything may take to become right once nothing happens any more: a hand edit is found within a minute.
const PATIENCE: Duration = Duration::from_mins(3);
/// What may come on top of the memory of the first third, in MiB: an allocator does not give back every page.
const SLACK_MIB: f64 = 4.0;
const SLACK_FILES: f64 = 8.0;

fn main() -> ExitCode {
    // cargo adds `--bench`.
    let words: Vec<u64> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .map(|word| word.parse().unwrap_or_else(|_| panic!("{word:?}: usage: tests/soak.sh [MINUTES [SEED]]")))
        .collect();
    let minutes = words.first().copied().unwrap_or(30);
    let seed = words.get(1).copied().unwrap_or_else(seed_of_the_clock);
    let mut table = Table::default();
    table.show("seed", seed);
    soak(Duration::from_secs(minutes * 60), seed, &mut table);
    table.print();
    if table.all_kept() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Another one in each run.
fn seed_of_the_clock() -> u64 {
    let since = clock::wall().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970");
    since.as_secs() % 1_000_000
}

fn soak(span: Duration, seed: u64, table: &mut Table) {
    let mut octets = [0; 32];
    octets[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &octets));
    let mut draw = move || (events::any(ZONES), 100..1500_u64).new_tree(&mut runner).expect("an event").current();

    let mut world = World::start(ZONES);
    let (mut journal, mut usage) = (Journal::default(), Usage::default());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let start = clock::now();
    let (mut bind_dies, mut rotad_dies) = (start + BIND_LIVES / 2, start + ROTAD_LIVES);
    while clock::now() < start + span {
        let now = clock::now();
        let is_early = now < start + span / 4;
        let (drawn, pause) = draw();
        let event = if !is_early && world.lacks_services() {
            // What is measured is measured with a file of one size.
            Event::AddService
        } else if now >= bind_dies {
            bind_dies = now + BIND_LIVES;
            Event::BindDies
        } else if is_early && now >= rotad_dies {
            rotad_dies = now + ROTAD_LIVES;
            Event::RotadDies
        } else {
            drawn
        };
        *counts.entry(event.name()).or_default() += 1;
        world.happen(event);
        // Not a wait for anything: what follows finds it at another moment each time.
        thread::sleep(Duration::from_millis(pause));
        world.look();
        journal.read(&world.rota);
        if !is_early && !world.lacks_services() {
            usage.sample(world.rota.pid());
        }
        if let Some(status) = world.rota.ended() {
            table.must("rotad runs", format!("it has ended: {status}"), false);
            eprintln!("{}", world.rota.journal().lines().rev().take(30).collect::<Vec<_>>().join("\n"));
            return;
        }
    }
    for (name, count) in counts {
        table.show(name, count);
    }
    world.calm();
    let wrong = world.wait_until_right(PATIENCE);
    let took = wrong.is_empty().then(|| format!("yes, {:.0} s after the last event", world.calm_for().as_secs_f64()));
    table.must("every zone is right in the end", took.unwrap_or_else(|| listed(&wrong)), wrong.is_empty());
    journal.read(&world.rota);
    let plan = world.rota.run(&["plan"]);
    table.must("plan finds nothing to change", plan.out.lines().last().unwrap_or_default(), plan.code == 0);

    // A restart with nothing changed writes nothing.
    let before = world.serials();
    world.rota.signal(Signal::KILL);
    world.rota.kill_daemon();
    world.rota.start();
    let is_in_sync = world.wait_until_in_sync(PATIENCE);
    table.must("in sync after kill -9 and a start", is_in_sync, is_in_sync);
    let moved = before.iter().zip(world.serials()).filter(|(before, after)| **before != *after).count();
    table.must("serials that the restart moved", moved, moved == 0);
    let code = world.rota.stop();
    table.must("exit status after SIGTERM", format!("{code:?}"), code == Some(0));

    journal.read(&world.rota);
    table.must("panics", journal.panics, journal.panics == 0);
    table.must("journal lines said twice within a second", listed(&journal.twice), journal.twice.is_empty());
    table.must("what was wrong meanwhile", listed(&world.faults), world.faults.is_empty());
    let (first, last) = usage.memory();
    let name = "resident memory in the last third of the long life";
    table.at_most(format!("{name} (first third: {first:.1} MiB)"), last, first * 1.1 + SLACK_MIB, "MiB");
    let (first, last) = usage.files();
    table.at_most(format!("open files in the last third (first third: {first:.0})"), last, first + SLACK_FILES, "");
}

/// How many, and the first few.
fn listed(texts: &[String]) -> String {
    let first = texts.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("; ");
    if texts.is_empty() { "none".to_owned() } else { format!("{}: {first}", texts.len()) }
}
