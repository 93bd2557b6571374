use std::{sync::Arc, time::Duration};

use crate::{
    cluster::Cluster,
    control::Command,
    event::Kind,
    health::{
        HealthView,
        State::{Down, Up},
    },
    rota::{
        Reply,
        model::{Content, World, cluster, name},
    },
    status::{Mode, ZoneState},
    update::Txt,
};

fn file() -> Arc<Cluster> {
    file_with("")
}

fn file_with(safety: &str) -> Arc<Cluster> {
    cluster(&format!(
        "{safety}nodes: {{ n0: {{ addresses: [192.0.2.10] }}, n1: {{ addresses: [192.0.2.11] }} }}
checks: {{ imap: {{ kind: imap }} }}
services: {{ imap: {{ publish: address, name: imap, checks: [imap] }} }}
domains: {{ a.test: {{ services: [imap] }} }}
"
    ))
}

fn hold(seconds: Option<u64>) -> Command {
    Command::Hold { seconds, by: None, reason: None }
}

fn adopt(zone: &str) -> Command {
    Command::Adopt { what: vec![zone.to_owned()] }
}

impl World {
    fn obey(&mut self, command: Command) -> (bool, String, Option<Kind>) {
        let clocks = self.clocks();
        let (Reply::Now(answer), events) = self.us().rota.obey(command, clocks) else { panic!("it waits") };
        (answer.done, answer.words, events.first().map(|event| event.kind))
    }
}

#[test]
fn while_held_nothing_is_written_and_then_all_of_it_is() {
    for (seconds, ends) in [(None, false), (Some(300), true)] {
        let mut world = World::new(&file());
        world.run();
        world.sent.clear();
        assert_eq!(world.obey(hold(seconds)).2, Some(Kind::HoldBegun));
        assert_eq!(world.us().rota.mode(), Mode::Hold);
        world.node("n1", Down);
        world.pass(Duration::from_secs(299));
        assert!(world.sent.is_empty());
        assert_eq!(world.us().state("a.test"), ZoneState::Pending);
        world.pass(Duration::from_secs(1));
        assert_eq!(world.sent.len(), usize::from(ends));
        assert_eq!(world.us().told(Kind::HoldEnded).len(), usize::from(ends));
        assert_eq!(world.obey(Command::Release).2, (!ends).then_some(Kind::HoldEnded));
        world.run();
        assert_eq!((world.sent.len(), world.us().rota.mode()), (1, Mode::Active));
        assert_eq!(world.us().state("a.test"), ZoneState::InSync);
    }
}

#[test]
fn only_what_is_foreign_or_standby_is_taken_over() {
    for (record, state) in [
        ("v=1 cluster=other owner=them generation=7", Some("foreign")),
        ("v=1 cluster=mail owner=them generation=7", Some("standby")),
        ("hello", Some("foreign")),
        ("", None),
    ] {
        let mut world = World::new(&file());
        let generation = (!record.is_empty()).then(|| Txt(vec![record.as_bytes().to_vec()]));
        let content = Content { serial: 1, generation: generation.into_iter().collect(), ..Content::default() };
        world.bind.zones.insert(name("a.test"), content);
        world.run();
        assert_eq!(world.sent.is_empty(), state.is_some(), "{record}");
        let (done, words, event) = world.obey(adopt("A.test."));
        assert_eq!((done, event), (state.is_some(), state.map(|_| Kind::ZoneAdopted)), "{words}");
        assert!(words.contains(state.unwrap_or("a.test is in_sync")), "{words}");
        world.run();
        assert_eq!((world.sent.len(), world.us().state("a.test")), (1, ZoneState::InSync), "{record}");
    }
    let mut world = World::new(&file());
    for zone in ["b.test", "no zone", ""] {
        let (done, words, event) = world.obey(adopt(zone));
        assert!(!done && event.is_none() && words.contains(zone), "{words}");
    }
}

#[test]
fn a_rival_that_writes_in_between_is_read_before_it_is_taken_over() {
    let mut world = World::new(&file());
    let record = |generation| Txt(vec![format!("v=1 cluster=mail owner=them generation={generation}").into_bytes()]);
    world.zone("a.test").generation = [record(7)].into();
    world.run();
    world.obey(adopt("a.test"));
    world.zone("a.test").generation = [record(8)].into();
    world.run();
    // The first fails at the record that had moved; the second goes on from it.
    let generations: Vec<_> = world.sent.iter().map(|sent| sent.update.record.generation).collect();
    assert_eq!(generations, [8, 9]);
}

#[test]
fn who_is_held_is_not_told_that_writing_begins_or_goes_on() {
    for (held, is_blind, round, released) in [
        (false, false, "every check has answered: writing may begin once the zones are read", ""),
        (
            true,
            false,
            "every check has answered: writing may begin once the hold is over: nothing is written until `rotad release`",
            "released: writing goes on",
        ),
        (
            true,
            true,
            "every check has answered: writing may begin once the hold is over: nothing is written until `rotad release`",
            "released: writing goes on once rotad is no longer blind",
        ),
        (false, true, "every check has answered: writing may begin once rotad is no longer blind", ""),
    ] {
        let mut world = World::new(&file());
        if held {
            let (_, words, _) = world.obey(hold(None));
            assert_eq!(words, "held: nothing is written until `rotad release`");
        }
        let view = HealthView { blind: is_blind, ..HealthView::clone(&world.view()) };
        world.us().rota.set_health(Arc::new(view));
        world.run();
        assert_eq!(world.us().told(Kind::FirstRound), [round]);
        assert_eq!(world.sent.is_empty(), held || is_blind);
        if held {
            assert_eq!(world.obey(Command::Release).1, released);
        }
    }
    let mut world = World::new(&file());
    let view = HealthView { first_round_done: false, ..HealthView::clone(&world.view()) };
    world.us().rota.set_health(Arc::new(view));
    world.obey(hold(None));
    assert_eq!(world.obey(Command::Release).1, "released: writing goes on once every check has answered");
}

#[test]
fn who_publishes_everyone_while_blind_does_not_say_that_it_waits() {
    let (all, blind) = ("safety: { all_down: all }\n", Some("rotad is no longer blind"));
    for (safety, up, waits) in [("", Down, blind), (all, Up, blind), (all, Down, None)] {
        let mut world = World::new(&file_with(safety));
        world.run();
        world.node("n0", up);
        world.node("n1", Down);
        let view = HealthView { blind: true, ..HealthView::clone(&world.view()) };
        world.us().rota.set_health(Arc::new(view));
        assert_eq!((world.us().rota.mode(), world.us().rota.waits_for()), (Mode::Blind, waits), "{safety} {up:?}");
    }
}
