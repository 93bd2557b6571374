use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    cluster::Cluster,
    control::Command,
    exit::Exit,
    health::State::{Down, Up},
    rota::model::{Fate, World, cluster, id, imap_and_pop, name},
    status::ZoneState,
};

/// `d0.test` to `d2.test`, of which the first are left out.
fn file(first: usize) -> Arc<Cluster> {
    imap_and_pop(3, (first..3).map(|at| format!("d{at}.test")))
}

/// `d0.test` and `d1.test` are left over, without n1, and nothing is told yet.
fn world() -> World {
    let mut world = World::new(&file(0));
    world.run();
    world.node("n1", Down);
    world.run();
    world.edit(0, &file(2));
    world.run();
    world.us().events.clear();
    world
}

/// Asks, and gives what is answered within a time: the exit code, and the words.
fn ask(world: &mut World, command: Command, within: Duration) -> Option<(u8, String)> {
    if let Command::Withdraw { forget: false, .. } = command {
        let zones: Vec<_> = world.us().rota.zones().values().map(|zone| Arc::clone(zone.memory())).collect();
        world.withdrawn.extend(zones.iter().flat_map(|memory| memory.left_over.keys().cloned()));
    }
    let clocks = world.clocks();
    let (reply, events) = world.us().rota.obey(command, clocks);
    world.us().events.extend(events);
    let answer = match reply {
        Reply::Now(answer) => answer,
        Reply::Later(_) => {
            world.pass(within);
            let now = world.now;
            let mut answers = world.us().rota.answers(now);
            assert!(answers.len() < 2, "{answers:?}");
            answers.pop()?.1
        }
    };
    let exit = if answer.done { 0 } else { answer.exit.unwrap_or(Exit::Failed as u8) };
    Some((exit, answer.words))
}

fn restore(names: &[&str]) -> Command {
    Command::Restore { selections: names.iter().map(|name| Selection::new(name, None).unwrap()).collect() }
}

fn withdraw(name: &str) -> Command {
    Command::Withdraw { selection: Selection::new(name, None).unwrap(), forget: false }
}

/// Data and missing of each set, as the status has them.
fn listed(world: &mut World, owner: &str) -> (String, String) {
    let all: Vec<_> = world.us().rota.left_over().collect();
    let left = all.into_iter().find(|left| left.owner == owner).unwrap();
    (left.data.join(" "), left.missing.join(" "))
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_is_left_over_after_a_kill_is_what_bind_shows() {
    // The state is older than DNS in both ways: n1 has left since, or has come back.
    for (before, after, missing) in
        [(Up, "192.0.2.10 192.0.2.12", "192.0.2.11"), (Down, "192.0.2.10 192.0.2.11 192.0.2.12", "")]
    {
        let mut world = World::new(&file(0));
        world.run();
        world.node("n1", before);
        world.run();
        let saved = world.us().remembered();
        world.node("n1", if before == Up { Down } else { Up });
        world.run();
        world.restart(0, &file(1), saved);
        world.run();
        assert_eq!(listed(&mut world, "imap.d0.test"), (after.to_owned(), missing.to_owned()));
        let (exit, words) = ask(&mut world, restore(&["d0.test"]), SECOND).unwrap();
        assert_eq!(world.zone("d0.test").get("imap.d0.test A"), "192.0.2.10 192.0.2.11 192.0.2.12");
        let expected =
            if missing.is_empty() { "nothing is missing" } else { "restored: 2 RRsets in 1 zone: imap.d0.test A" };
        assert!(exit == 0 && words.starts_with(expected), "{words}");
        assert_eq!(listed(&mut world, "imap.d0.test").1, "");
        assert_eq!(world.us().state("d0.test"), ZoneState::InSync);
    }
}

#[test]
fn restore_compares_with_what_bind_holds_at_that_moment() {
    let mut world = world();
    assert_eq!(ask(&mut world, restore(&["d0.test"]), SECOND).unwrap().0, 0);
    // Nothing is missing as far as anybody remembers, then somebody takes one out, and the serial stands still.
    world.zone("d0.test").edit("imap.d0.test A", "60 192.0.2.10 192.0.2.12");
    let (exit, words) = ask(&mut world, restore(&["*"]), SECOND).unwrap();
    assert_eq!(world.zone("d0.test").get("imap.d0.test A"), "192.0.2.10 192.0.2.11 192.0.2.12");
    assert!(exit == 0 && words.starts_with("restored: 3 RRsets in 2 zones: imap.d0.test A, "), "{words}");
    assert!(words.ends_with("nothing is missing in 1 of the rest"), "{words}");
    assert_eq!(
        ask(&mut world, restore(&["*"]), SECOND).unwrap(),
        (0, "nothing is missing in what is left over".to_owned())
    );
}

#[test]
fn what_was_not_done_is_said_and_why() {
    let hands = [
        ("60 203.0.113.5", "A", "holds 203.0.113.5 by now, which rotad did not leave there"),
        ("60 192.0.2.10 203.0.113.6", "A", "holds 192.0.2.10, 203.0.113.6 by now, which rotad did not leave there"),
        ("-", "A", "somebody has deleted it"),
        ("60 elsewhere.test", "CNAME", "somebody has put a CNAME there instead"),
    ];
    for (content, rtype, why) in hands {
        for (command, verb) in [(restore(&["d0.test"]), "restored"), (withdraw("d0.test"), "withdrawn")] {
            let mut world = world();
            world.zone("d0.test").edit("imap.d0.test A", "-");
            world.zone("d0.test").edit(&format!("imap.d0.test {rtype}"), content);
            let theirs = world.zone("d0.test").get(&format!("imap.d0.test {rtype}"));
            let (exit, words) = ask(&mut world, command, SECOND).unwrap();
            assert_eq!(world.zone("d0.test").get(&format!("imap.d0.test {rtype}")), theirs);
            let lines: Vec<_> = words.lines().collect();
            let not = format!("not {verb}: imap.d0.test A was left over, and {why}: it is not touched, and forgotten");
            assert_eq!(lines, [format!("{verb}: 1 RRset in 1 zone: pop.d0.test A"), not]);
            assert_eq!(exit, Exit::Failed as u8);
            let told = world.us().told(Kind::LeftOver);
            let done: Vec<_> = told.iter().filter(|line| line.starts_with(verb)).collect();
            assert_eq!(done, [&format!("{verb}: 1 RRset in 1 zone: pop.d0.test A")]);
            assert!(world.us().rota.left_over().all(|left| left.owner != "imap.d0.test"));
        }
    }
}

#[test]
fn members_of_nodes_that_are_gone_are_no_strangers() {
    let mut world = World::new(&file(0));
    world.run();
    let saved = world.us().remembered();
    world.node("n1", Down);
    world.run();
    // n0 leaves the file with the domain.
    let text = "nodes: { n1: { addresses: [192.0.2.11] }, n2: { addresses: [192.0.2.12] } }
checks: { imap: { kind: imap } }
services: { imap: { publish: address, name: imap, checks: [imap] } }
domains: { d2.test: { services: [imap] } }
";
    world.restart(0, &cluster(text), saved);
    world.run();
    assert_eq!(listed(&mut world, "imap.d0.test"), ("192.0.2.10 192.0.2.12".to_owned(), "192.0.2.11".to_owned()));
    assert_eq!(ask(&mut world, restore(&["d0.test"]), SECOND).unwrap().0, 0);
    assert_eq!(world.zone("d0.test").get("imap.d0.test A"), "192.0.2.10 192.0.2.11 192.0.2.12");
}

#[test]
fn what_is_left_over_in_a_zone_that_is_read_follows_what_is_read() {
    let domains = |one: &str| {
        cluster(&format!(
            "nodes: {{ n0: {{ addresses: [192.0.2.10] }}, n1: {{ addresses: [192.0.2.11] }} }}
checks: {{ imap: {{ kind: imap }} }}
services: {{ imap: {{ publish: address, name: imap, checks: [imap] }} }}
domains:
  a.big.test: {{ services: [imap], zone: big.test }}
{one}"
        ))
    };
    let mut world = World::new(&domains("  b.big.test: { services: [imap], zone: big.test }\n"));
    world.run();
    world.edit(0, &domains(""));
    world.pass(SECOND);
    for (content, seen) in [("60 192.0.2.10", Some(("192.0.2.10", "192.0.2.11"))), ("60 203.0.113.9", None)] {
        world.zone("big.test").edit("imap.b.big.test A", content);
        world.zone("big.test").serial += 1;
        world.pass(Duration::from_mins(2));
        let left: Vec<_> = world.us().rota.left_over().collect();
        assert_eq!(left.len(), usize::from(seen.is_some()), "{left:?}");
        if let Some((data, missing)) = seen {
            assert_eq!(listed(&mut world, "imap.b.big.test"), (data.to_owned(), missing.to_owned()));
        }
        assert_eq!(world.us().state("big.test"), ZoneState::InSync);
    }
    assert!(world.us().told(Kind::LeftOver).iter().any(|line| line.contains("203.0.113.9")));
    // It is recognized by its serial all the same at the next start.
    world.edit(0, &domains("  b.big.test: { services: [imap], zone: big.test }\n"));
    world.zone("big.test").edit("imap.b.big.test A", "-");
    world.zone("big.test").serial += 1;
    world.pass(Duration::from_mins(2));
    world.edit(0, &domains(""));
    world.pass(Duration::from_mins(2));
    let memory = world.us().remembered();
    assert!(memory[&name("big.test")].mark.is_some() && memory[&name("big.test")].left_over.len() == 1, "{memory:?}");
}

#[test]
fn a_zone_that_is_gone_is_said_at_once_with_the_way_out() {
    for command in [withdraw("d0.test"), restore(&["d0.test"])] {
        let mut world = world();
        world.bind.gone.insert(name("d0.test"));
        let (exit, words) = ask(&mut world, command, Duration::ZERO).unwrap();
        assert!(exit == Exit::Failed as u8 && words.contains("not served"), "{words}");
        assert!(words.contains("`rotad withdraw d0.test --forget`"), "{words}");
        world.pass(Duration::from_mins(5));
        assert!(world.us().told(Kind::ZoneFailing).is_empty() && world.us().told(Kind::ZoneRecovered).is_empty());
        assert!(world.us().rota.zones()[&name("d0.test")].is_dormant());
        assert_eq!(world.us().rota.left_over().count(), 4);
    }
}

#[test]
fn a_zone_that_goes_with_its_domain_is_no_failure_after_a_restart() {
    let mut world = world();
    world.edit(0, &file(0));
    world.run();
    let saved = world.us().remembered();
    world.bind.gone.insert(name("d0.test"));
    world.restart(0, &file(1), saved);
    world.pass(Duration::from_mins(5));
    assert_eq!(world.us().rota.left_over().count(), 2);
    assert!(world.us().rota.zones()[&name("d0.test")].is_dormant());
    assert!(world.us().told(Kind::ZoneFailing).is_empty());
}

#[test]
fn while_bind_is_silent_nothing_is_said_to_be_done_and_then_it_is_told() {
    let mut world = world();
    let clocks = world.clocks();
    world.withdrawn.extend([id("imap.d0.test A"), id("pop.d0.test A")]);
    let (Reply::Later(_), events) = world.us().rota.obey(withdraw("d0.test"), clocks) else { panic!("it is done") };
    assert!(events.is_empty(), "{events:?}");
    let now = world.now;
    while world.us().start(now) {}
    while !world.us().in_flight.is_empty() {
        world.finish(0, 0, Fate::Unsent);
    }
    let answers = world.us().rota.answers(now);
    let [(_, answer)] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!(answer.exit, Some(Exit::Unavailable as u8));
    assert!(answer.words.starts_with("not withdrawn yet: zone d0.test: BIND gives no answer: "), "{}", answer.words);
    assert!(world.us().told(Kind::LeftOver).is_empty());
    world.pass(Duration::from_mins(2));
    assert_eq!(world.us().told(Kind::LeftOver), ["withdrawn: 2 RRsets in 1 zone: imap.d0.test A, pop.d0.test A"]);
    assert_eq!(world.zone("d0.test").get("imap.d0.test A"), "-");
    assert!(world.us().rota.askings.is_empty());
}

#[test]
fn what_waits_for_somebody_is_answered_at_once() {
    let mut world = world();
    let clocks = world.clocks();
    world.us().rota.obey(Command::Hold { seconds: None, by: None, reason: None }, clocks);
    let (exit, words) = ask(&mut world, restore(&["d0.test"]), Duration::ZERO).unwrap();
    assert!(
        exit == Exit::Failed as u8 && words.contains("not restored yet: zone d0.test: it waits until `rotad release`"),
        "{words}"
    );
    // Who asks for the opposite meanwhile is obeyed.
    let (_, words) = ask(&mut world, withdraw("d0.test"), Duration::ZERO).unwrap();
    assert!(words.starts_with("not withdrawn yet"), "{words}");
    let clocks = world.clocks();
    world.us().rota.obey(Command::Release, clocks);
    world.run();
    assert_eq!(world.us().told(Kind::LeftOver), ["withdrawn: 2 RRsets in 1 zone: imap.d0.test A, pop.d0.test A"]);
    assert!(world.us().rota.askings.is_empty());
}

#[test]
fn a_record_that_is_not_taken_away_for_want_of_an_answer_goes_once_there_is_one() {
    for lost in [Fate::Unsent, Fate::AnswerLost, Fate::Late] {
        let mut world = world_whose_last_message_is(lost);
        world.pass(Duration::from_mins(5));
        assert_eq!(world.zone("d1.test").record(), None, "{lost:?}");
        assert!(!world.us().remembered().contains_key("d1.test"), "{lost:?}");
    }
}

/// `d1.test` is withdrawn, and the message that takes its record away has no answer.
fn world_whose_last_message_is(fate: Fate) -> World {
    let mut world = world();
    world.withdrawn.extend([id("imap.d1.test A"), id("pop.d1.test A")]);
    let clocks = world.clocks();
    world.us().rota.obey(withdraw("d1.test"), clocks);
    // Who asked does not wait.
    world.us().rota.answers(clocks.now + Duration::from_hours(1));
    for _ in 0..100 {
        let now = world.now;
        while world.us().start(now) {}
        let Some((_, step, _)) = world.us().in_flight.first() else {
            world.now = world.us().rota.wake_at().unwrap().max(now);
            continue;
        };
        let is_last = matches!(step, crate::zone::Step::Write(update) if update.is_last);
        world.finish(0, 0, if is_last { fate } else { Fate::Answered });
        if is_last {
            return world;
        }
    }
    panic!("there is no last message");
}

#[test]
fn what_bind_refuses_is_said() {
    let mut world = world();
    world.bind.refused.insert(name("imap.d0.test"));
    let (exit, words) = ask(&mut world, restore(&["*.test"]), Duration::from_secs(5)).unwrap();
    assert!(words.starts_with("restored: 3 RRsets in 2 zones: pop.d0.test A, "), "{words}");
    assert!(exit == Exit::Failed as u8 && words.contains("not restored: imap.d0.test A stays as it is: "), "{words}");
    world.bind.frozen.insert(name("d1.test"));
    let (exit, words) = ask(&mut world, withdraw("d1.test"), Duration::from_secs(5)).unwrap();
    assert!(exit == Exit::Failed as u8 && words.matches("not withdrawn: ").count() == 2, "{words}");
    world.pass(Duration::from_mins(2));
    assert!(world.us().rota.zones()[&name("d1.test")].is_dormant());
}

#[test]
fn a_pattern_takes_what_fits_and_names_no_other() {
    let mut world = world();
    let (exit, words) = ask(&mut world, withdraw("imap.*"), SECOND).unwrap();
    assert_eq!((exit, words.as_str()), (0, "withdrawn: 2 RRsets in 2 zones: imap.d0.test A, imap.d1.test A"));
    let (exit, words) = ask(&mut world, withdraw("x*"), SECOND).unwrap();
    assert!(exit == 1 && words.starts_with("nothing is left over at x*; "), "{words}");
}

#[test]
fn what_was_just_taken_out_of_the_file_is_left_over_before_its_zone_has_a_turn() {
    let mut world = World::new(&file(0));
    world.run();
    world.edit(0, &file(1));
    let now = world.now;
    assert_eq!(world.us().rota.left_over().count(), 0);
    world.us().rota.sort_left_over(now);
    assert_eq!(world.us().rota.left_over().count(), 2);
}

#[test]
fn what_was_to_be_deleted_in_a_zone_that_is_gone_can_be_forgotten() {
    let file = |x: &str| {
        cluster(&format!(
            "nodes: {{ n0: {{ addresses: [192.0.2.10] }}, n1: {{ addresses: [192.0.2.11] }} }}
checks: {{ imap: {{ kind: imap }} }}
services:
  imap: {{ publish: address, name: imap, checks: [imap] }}
  mx: {{ publish: mx, preference: 10, exchange: \"{{node}}.h.test\", checks: [imap] }}
domains:
  h.test: {{ services: [imap] }}
{x}safety: {{ left_over: delete }}
"
        ))
    };
    for selection in [Selection::new("x.test", None).unwrap(), Selection::ALL] {
        let mut world = World::new(&file("  x.test: { services: [imap, mx] }\n"));
        world.run();
        world.bind.gone.insert(name("x.test"));
        world.pass(Duration::from_mins(20));
        let forget = || Command::Withdraw { selection: selection.clone(), forget: true };
        assert_eq!(ask(&mut world, forget(), SECOND).unwrap().0, Exit::Failed as u8, "it is in the file");
        world.edit(0, &file(""));
        world.pass(Duration::from_mins(2));
        assert_eq!(world.us().state("h.test"), ZoneState::Pending, "its hosts wait for the MX");
        let error = world.us().error("x.test").to_owned();
        let advice = "; if the zone is gone for good, `rotad withdraw x.test --forget` forgets it";
        assert!(error.matches(advice).count() == 1 && error.ends_with(advice), "{error}");
        let told = world.us().told(Kind::ZoneFailing);
        assert!(told.last().unwrap().ends_with(advice), "{told:?}");
        let withdraw = Command::Withdraw { selection: selection.clone(), forget: false };
        assert!(ask(&mut world, withdraw, SECOND).unwrap().1.starts_with("nothing is left over"));
        let (exit, words) = ask(&mut world, forget(), SECOND).unwrap();
        assert_eq!((exit, words.as_str()), (0, "forgotten, and left in DNS as it is: imap.x.test A, x.test MX"));
        world.run();
        assert!(!world.us().rota.zones().contains_key("x.test"));
        assert_eq!(world.zone("h.test").get("n0.h.test A"), "-");
        assert_eq!(world.us().state("h.test"), ZoneState::InSync);
        assert!(!world.us().remembered().contains_key("x.test"));
    }
}

#[test]
fn what_was_to_be_deleted_and_is_not_ours_by_now_is_told() {
    let file = |domains: &str| {
        let yaml = format!(
            "nodes: {{ n0: {{ addresses: [192.0.2.10] }}, n1: {{ addresses: [192.0.2.11] }} }}
checks: {{ imap: {{ kind: imap }} }}
services: {{ imap: {{ publish: address, name: imap, checks: [imap] }} }}
domains: {{ {domains} }}
safety: {{ left_over: delete }}
"
        );
        cluster(&yaml)
    };
    let mut world = World::new(&file("h.test: { services: [imap] }, x.test: { services: [imap] }"));
    world.run();
    world.us().events.clear();
    world.zone("x.test").edit("imap.x.test A", "60 192.0.2.10 203.0.113.9");
    world.edit(0, &file("h.test: { services: [imap] }"));
    world.pass(Duration::from_mins(2));
    assert_eq!(world.zone("x.test").get("imap.x.test A"), "192.0.2.10 203.0.113.9");
    let told = world.us().told(Kind::LeftOver);
    let words = "imap.x.test A was left over, and holds 192.0.2.10, 203.0.113.9 by now, which rotad did not leave there: it is not \
                 touched, and forgotten";
    assert_eq!(told, [words]);
}

#[test]
fn what_is_hidden_is_not_withdrawn_and_the_answer_names_forget() {
    let mut world = world();
    world.zone("d0.test").cuts.insert(name("imap.d0.test"));
    let (exit, words) = ask(&mut world, withdraw("imap.d0.test"), SECOND).unwrap();
    let why = "imap.d0.test A stays as it is: it lies at or below imap.d0.test, which the zone delegates (NS), so that its own \
               data there are hidden: ask again when it is not hidden any more, or `rotad withdraw imap.d0.test A --forget` \
               forgets it, and leaves it in DNS";
    assert!(exit == Exit::Failed as u8 && words.contains(why), "{words}");
    let selection = Selection::new("imap.d0.test", Some("A")).unwrap();
    assert_eq!(ask(&mut world, Command::Withdraw { selection, forget: true }, SECOND).unwrap().0, 0);
}
