//! Random lives on a real BIND, each the same in every run: whatever happened, the zone is right in the end. The model
//! of BIND in `src/rota/sequences.rs` goes through many more of them.

use std::{collections::BTreeSet, fs, thread, time::Duration};

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use rustix::process::Signal;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Event {
    Kill(usize),
    Revive(usize),
    LoseAnswer,
    LoseMessage,
    CutAnswer(usize),
    CutRead(usize),
    Double,
    Late,
    Deliver,
    NamedRestarts,
    NamedPauses,
    NamedGoesOn,
    HandEdit,
    RotadDies,
    RotadRestarts,
    RotadPauses,
    RotadGoesOn,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..3_usize).prop_map(Event::Kill),
        4 => (0..3_usize).prop_map(Event::Revive),
        1 => Just(Event::LoseAnswer),
        1 => Just(Event::LoseMessage),
        1 => (0..80_usize).prop_map(Event::CutAnswer),
        1 => (0..80_usize).prop_map(Event::CutRead),
        1 => Just(Event::Double),
        2 => Just(Event::Late),
        2 => Just(Event::Deliver),
        1 => Just(Event::NamedRestarts),
        1 => Just(Event::NamedPauses),
        2 => Just(Event::NamedGoesOn),
        1 => Just(Event::HandEdit),
        1 => Just(Event::RotadDies),
        1 => Just(Event::RotadRestarts),
        1 => Just(Event::RotadPauses),
        2 => Just(Event::RotadGoesOn),
    ]
}

/// What is paused goes on: nobody else can be asked anything meanwhile.
fn wake(rota: &Rota) {
    rota.named.resume();
    rota.signal(Signal::CONT);
}

fn happen(rota: &mut Rota, dead: &mut BTreeSet<usize>, event: Event) {
    match event {
        Event::Kill(node) => {
            rota.kill(NODES[node]);
            dead.insert(node);
        }
        Event::Revive(node) => {
            if dead.remove(&node) {
                rota.revive(NODES[node]);
            }
        }
        Event::LoseAnswer => rota.proxy().once(Which::UpdateAnswer, Fate::Lose),
        Event::LoseMessage => rota.proxy().once(Which::Update, Fate::Lose),
        Event::CutAnswer(octets) => rota.proxy().once(Which::UpdateAnswer, Fate::Cut(octets)),
        Event::CutRead(octets) => rota.proxy().once(Which::ReadAnswer, Fate::Cut(octets)),
        Event::Double => rota.proxy().once(Which::Update, Fate::Twice),
        Event::Late => rota.proxy().once(Which::Update, Fate::Hold),
        Event::Deliver => rota.proxy().release(),
        Event::NamedRestarts => rota.named.restart(),
        Event::NamedPauses => rota.named.pause(),
        Event::NamedGoesOn => rota.named.resume(),
        Event::HandEdit => {
            wake(rota);
            // What we published is ours once that is saved: a set with strange data in it that nobody remembers is left.
            let saved = rota.path().join("state/state");
            rota.eventually("it is remembered that the set is ours", |_| {
                fs::read_to_string(&saved).is_ok_and(|state| state.contains("\"imap.mydomain.org A\""))
            });
            rota.named.nsupdate("zone mydomain.org\nupdate add imap.mydomain.org 60 A 198.51.100.9").unwrap();
        }
        Event::RotadDies => {
            rota.kill_daemon();
            rota.start();
        }
        Event::RotadRestarts => {
            wake(rota);
            rota.restart();
        }
        Event::RotadPauses => rota.signal(Signal::STOP),
        Event::RotadGoesOn => rota.signal(Signal::CONT),
    }
}

fn live(seed: u8) {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let events = prop::collection::vec((event(), 0..300_u64), 30).new_tree(&mut runner).unwrap().current();
    let mut rota = impatient("500ms");
    let mut dead = BTreeSet::new();
    for (event, pause) in &events {
        happen(&mut rota, &mut dead, *event);
        // Not a wait for anything: what follows finds it at another moment each time.
        thread::sleep(Duration::from_millis(*pause));
    }
    wake(&rota);
    rota.proxy().heal();
    rota.proxy().release();
    for node in dead {
        rota.revive(NODES[node]);
    }
    // A hand edit may stand until the next look at the serial; a start looks at once.
    rota.restart();
    rota.proxy().release();
    expect_right(&mut rota, NODES);
    assert!(!rota.journal().contains("stands by"), "{seed}: {events:?}\n{}", rota.journal());
}

#[test]
fn whatever_happens_the_zone_is_right_in_the_end() {
    thread::scope(|scope| {
        let lives: Vec<_> = (1..=8).map(|seed| scope.spawn(move || live(seed))).collect();
        for life in lives {
            life.join().expect("it ends right");
        }
    });
}
