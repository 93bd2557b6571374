use std::time::Duration;

use super::*;
use crate::{
    control::Command,
    health::State::Down,
    rota::{
        Reply,
        model::{World, cluster, imap_and_pop, name},
    },
    zone::{Done, Step},
};

fn world() -> World {
    let mut world = World::new(&imap_and_pop(2, (0..3).map(|at| format!("d{at}.test"))));
    world.run();
    world
}

/// Something changes in a zone, and its serial does not: freeze, edit, thaw.
fn edit(world: &mut World, zone: &str, id: &str, content: &str) {
    let serial = world.zone(zone).serial;
    world.zone(zone).edit(id, content);
    world.zone(zone).serial = serial;
}

fn ask(world: &mut World, zones: &[&str]) -> Reply {
    let clocks = world.clocks();
    let zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
    world.us().rota.obey(Command::Sync { zones }, clocks).0
}

/// What is answered within a time.
fn answer(world: &mut World, within: Duration) -> Vec<(bool, String)> {
    world.pass(within);
    let now = world.now;
    world.us().rota.answers(now).into_iter().map(|(_, answer)| (answer.done, answer.words)).collect()
}

#[test]
fn what_no_serial_tells_is_read_and_repaired_now() {
    for (zones, repaired) in [(&[][..], 2), (&["d0.test", "D2.test."], 1), (&["d1.test"], 1), (&["d2.test"], 0)] {
        let mut world = world();
        edit(&mut world, "d0.test", "imap.d0.test A", "-");
        edit(&mut world, "d1.test", "pop.d1.test A", "60 203.0.113.1");
        world.pass(Duration::from_mins(2));
        assert_eq!(world.zone("d0.test").get("imap.d0.test A"), "-", "nobody sees it");
        assert!(matches!(ask(&mut world, zones), Reply::Later(_)));
        let answers = answer(&mut world, Duration::ZERO);
        let [(true, words)] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!(words.matches("was changed by somebody else").count(), repaired, "{words}");
        assert_eq!(words.matches("(generation ").count(), repaired, "{words}");
        assert_eq!(words.contains("nothing had been changed"), repaired == 0, "{words}");
        let right = [("d0.test", "imap.d0.test A"), ("d1.test", "pop.d1.test A")];
        let right = right.iter().filter(|(zone, id)| world.zone(zone).get(id) == "192.0.2.10 192.0.2.11").count();
        assert_eq!(right, repaired);
    }
}

#[test]
fn what_is_no_zone_is_refused_and_what_cannot_be_read_or_written_is_told() {
    let mut world = world();
    let Reply::Now(refused) = ask(&mut world, &["d0.test", "nowhere.test"]) else { panic!("it waits") };
    assert!(!refused.done && refused.words.contains("nowhere.test is no zone"), "{}", refused.words);
    world.bind.gone.insert(name("d0.test"));
    world.bind.frozen.insert(name("d1.test"));
    edit(&mut world, "d1.test", "imap.d1.test A", "-");
    ask(&mut world, &[]);
    let answers = answer(&mut world, Duration::from_secs(5));
    let [(false, words)] = answers.as_slice() else { panic!("{answers:?}") };
    assert!(words.contains("zone d0.test could not be read: not served"), "{words}");
    assert!(words.ends_with("2 zones read"), "{words}");
    assert!(words.contains("d1.test is failing") && words.contains("REFUSED"), "{words}");
    // Who is held hears that nothing was repaired.
    world.bind.gone.clear();
    world.bind.frozen.clear();
    world.pass(Duration::from_mins(2));
    let clocks = world.clocks();
    world.us().rota.obey(Command::Hold { seconds: None, by: None, reason: None }, clocks);
    edit(&mut world, "d2.test", "imap.d2.test A", "-");
    ask(&mut world, &["d2.test"]);
    let answers = answer(&mut world, Duration::from_secs(5));
    assert!(matches!(&answers[..], [(false, words)] if words.contains("d2.test is pending")), "{answers:?}");
}

/// What became of a step that was under way: it is answered now as it was then.
fn answer_as_then(world: &mut World, zone: &str, done: Done) {
    let now = world.now;
    let at = world.us().in_flight.iter().position(|(busy, ..)| *busy == name(zone)).unwrap();
    world.us().in_flight.remove(at);
    world.us().finish(now, &name(zone), done);
}

#[test]
fn a_reading_that_was_begun_before_does_not_count() {
    for later in [Duration::ZERO, Duration::from_millis(300)] {
        let mut world = world();
        world.us().rota.read_all();
        let now = world.now;
        while world.us().start(now) {}
        let readings: Vec<_> = world.us().in_flight.clone();
        let readings = readings.into_iter().map(|(zone, step, _)| match step {
            Step::Read(owners) | Step::FirstRead { names: owners, .. } => {
                let reading = world.bind.read(&zone, &owners);
                (zone, reading)
            }
            other => panic!("{other:?}"),
        });
        let readings: Vec<_> = readings.collect();
        assert_eq!(readings.len(), 3);
        // BIND has answered, and the answers are on their way.
        edit(&mut world, "d0.test", "imap.d0.test A", "-");
        world.now += later;
        ask(&mut world, &[]);
        world.now += later;
        for (zone, reading) in readings {
            answer_as_then(&mut world, zone.as_str(), Done::Read(reading));
        }
        let now = world.now;
        assert!(world.us().rota.answers(now).is_empty(), "nothing was read since");
        let answers = answer(&mut world, Duration::ZERO);
        let [(true, words)] = answers.as_slice() else { panic!("{answers:?}") };
        assert!(
            words.contains("imap.d0.test A was changed by somebody else") && words.ends_with("3 zones read"),
            "{words}"
        );
        assert_eq!(world.zone("d0.test").get("imap.d0.test A"), "192.0.2.10 192.0.2.11");
    }
}

#[test]
fn a_look_that_was_begun_before_does_not_count() {
    let mut world = world();
    world.pass(Duration::from_mins(5));
    let before = world.bind.zones.clone();
    world.node("n1", Down);
    world.run();
    world.node("n1", crate::health::State::Up);
    world.run();
    world.us().rota.look_anew();
    let now = world.now;
    while world.us().start(now) {}
    let serials: Vec<_> = world.us().in_flight.iter().map(|(zone, step, _)| (zone.clone(), step.clone())).collect();
    assert!(serials.iter().all(|(_, step)| *step == Step::Serial) && serials.len() == 3, "{serials:?}");
    let serials: Vec<_> = serials.into_iter().map(|(zone, _)| (zone.clone(), world.bind.zones[&zone].serial)).collect();
    // BIND has told the serials, then loses what it had, and ends the connection.
    world.bind.zones = before;
    world.us().rota.connection_broke(now);
    for (zone, serial) in serials {
        answer_as_then(&mut world, zone.as_str(), Done::Serial(Ok(serial)));
    }
    world.run();
    assert!(["d0.test", "d1.test", "d2.test"].iter().all(|zone| world.zone(zone).record().unwrap().generation > 3));
}

#[test]
fn with_bind_down_nothing_is_said_to_have_been_read() {
    let mut world = world();
    for was_down in [false, true] {
        let clocks = world.clocks();
        world.us().rota.obey(Command::Sync { zones: Vec::new() }, clocks);
        let now = world.now;
        while world.us().start(now) {}
        assert!(!world.us().in_flight.is_empty(), "it is tried at once, though it was down: {was_down}");
        while !world.us().in_flight.is_empty() {
            world.finish(0, 0, super::super::model::Fate::Unsent);
        }
        let answers = world.us().rota.answers(now);
        let [(_, answer)] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!((answer.done, answer.exit), (false, Some(Exit::Unavailable as u8)), "{answer:?}");
        let is_true = answer.words.starts_with("no zone was read, and 3 zones could not be: BIND gives no answer: ");
        assert!(is_true && !answer.words.contains("nothing had been changed"), "{answer:?}");
    }
}

#[test]
fn one_cause_of_many_zones_is_answered_once_and_what_is_left_over_is_not_waited_for() {
    let mut world = world();
    world.bind.gone.extend([name("d0.test"), name("d1.test"), name("d2.test")]);
    ask(&mut world, &[]);
    let answers = answer(&mut world, Duration::from_secs(5));
    let [(false, words)] = answers.as_slice() else { panic!("{answers:?}") };
    let lines: Vec<_> = words.lines().collect();
    assert_eq!(
        lines,
        ["3 zones (d0.test, d1.test, d2.test) could not be read: not served", "no zone was read"],
        "{words}"
    );
    // A domain leaves the file: what is left of it in DNS is not read.
    world.bind.gone.clear();
    world.pass(Duration::from_mins(2));
    let two = cluster(
        "nodes: { n0: { addresses: [192.0.2.10] }, n1: { addresses: [192.0.2.11] } }
checks: { imap: { kind: imap } }
services:
  imap: { publish: address, name: imap, checks: [imap] }
  pop: { publish: address, name: pop, checks: [imap] }
domains:
  d0.test: { services: [imap, pop] }
  d1.test: { services: [imap, pop] }
",
    );
    world.edit(0, &two);
    world.run();
    ask(&mut world, &[]);
    let answers = answer(&mut world, Duration::from_secs(1));
    assert!(matches!(&answers[..], [(true, words)] if words.starts_with("2 zones read: nothing")), "{answers:?}");
}

#[test]
fn a_zone_that_is_tidied_away_was_read() {
    let mut world = world();
    let (zone, now) = (name("d0.test"), world.now);
    world.us().rota.layout.zones.remove(&zone);
    world.us().rota.with_zone(&zone, now, |zone, turn| {
        let ids = zone.memory().owned.keys().cloned().collect();
        zone.sort_left_over(turn);
        zone.forget_sets(&ids);
        zone.read_anew();
    });
    // It ends while somebody waits for it and for another one.
    let waiting = [zone.clone(), name("d1.test")].into();
    let (repaired, wrong, unread) = (Vec::new(), Vec::new(), Vec::new());
    let sync = Sync { begun: now, tries: 0, waiting, read: 0, repaired, wrong, unread };
    world.us().rota.syncs.insert(Ticket(1), sync);
    world.us().rota.zones.get_mut(&name("d1.test")).unwrap().read_anew();
    world.us().rota.call_all();
    let answers = answer(&mut world, Duration::ZERO);
    assert!(!world.us().rota.zones.contains_key(&zone), "it is tidied away");
    assert_eq!(answers, [(true, "2 zones read: nothing had been changed by anybody else".to_owned())]);
}

#[test]
fn a_pattern_means_every_zone_that_fits() {
    let mut world = world();
    for (zones, read) in [(&["*"][..], "3 zones"), (&["d[0]*", "D1*"], ""), (&["*1.test", "d2.test"], "2 zones")] {
        let reply = ask(&mut world, zones);
        if read.is_empty() {
            assert!(matches!(reply, Reply::Now(answer) if answer.words.contains("fits d[0]*")));
            continue;
        }
        let answers = answer(&mut world, Duration::from_secs(1));
        assert!(matches!(&answers[..], [(true, words)] if words.starts_with(read)), "{zones:?} {answers:?}");
    }
}

#[test]
fn nobody_waits_for_ever() {
    let mut world = world();
    ask(&mut world, &[]);
    let now = world.now;
    // BIND swallows it.
    while world.us().start(now) {}
    assert!(world.us().rota.answers(now).is_empty());
    assert!(world.us().rota.wake_at().unwrap() <= now + PATIENCE);
    let answers = world.us().rota.answers(now + PATIENCE);
    assert!(!answers[0].1.done && answers[0].1.words.contains("d1.test"), "{answers:?}");
}

#[test]
fn a_file_that_is_read_anew_has_every_zone_read() {
    let mut world = world();
    edit(&mut world, "d0.test", "imap.d0.test A", "-");
    world.us().rota.read_all();
    world.run();
    assert_eq!(world.zone("d0.test").get("imap.d0.test A"), "192.0.2.10 192.0.2.11");
}

#[test]
fn when_bind_ends_a_connection_every_zone_is_looked_at_but_not_all_the_time() {
    let mut world = world();
    world.pass(Duration::from_mins(10));
    let before = world.bind.zones.clone();
    world.node("n1", Down);
    world.run();
    world.node("n1", crate::health::State::Up);
    world.run();
    world.pass(Duration::from_secs(10));
    world.bind.zones = before;
    let now = world.now;
    world.us().rota.connection_broke(now);
    world.run();
    assert!(["d0.test", "d1.test", "d2.test"].iter().all(|zone| world.zone(zone).record().unwrap().generation > 3));
    for (later, looks) in [(1, 0), (29, 0), (30, 3)] {
        let then = now + Duration::from_secs(later);
        world.us().rota.connection_broke(then);
        assert_eq!(world.us().rota.queue.ready().count(), looks, "after {later} s");
    }
}

#[test]
fn when_bind_is_back_every_zone_is_looked_at_at_once() {
    // named is killed, and its journals with it.
    let mut world = world();
    world.pass(Duration::from_mins(10));
    let before = world.bind.zones.clone();
    world.node("n1", Down);
    world.run();
    world.node("n0", Down);
    let now = world.now;
    while world.us().start(now) {}
    while !world.us().in_flight.is_empty() {
        world.finish(0, 0, super::super::model::Fate::Unsent);
    }
    world.bind.zones = before;
    world.all(crate::health::State::Up);
    world.pass(Duration::from_secs(2));
    for zone in ["d0.test", "d1.test", "d2.test"] {
        assert_eq!(world.zone(zone).get(&format!("imap.{zone} A")), "192.0.2.10 192.0.2.11");
        assert_eq!(world.us().state(zone), ZoneState::InSync, "{zone}");
        assert!(world.zone(zone).record().unwrap().generation > 2);
    }
}

#[test]
fn what_somebody_adds_and_an_edit_takes_out_is_told_with_before_and_after() {
    let file = |ttl: &str| {
        cluster(&format!(
            "ttl: {ttl}
nodes: {{ n0: {{ addresses: [192.0.2.10] }}, n1: {{ addresses: [192.0.2.11] }} }}
checks: {{ imap: {{ kind: imap }} }}
services:
  imap: {{ publish: address, name: imap, checks: [imap] }}
domains: {{ d0.test: {{ services: [imap] }} }}
"
        ))
    };
    for moves in [true, false] {
        for restarts in [false, true] {
            let mut world = World::new(&file("60s"));
            world.run();
            world.pass(Duration::from_mins(5));
            let _before = world.us().told(Kind::Drift);
            let with = "60 192.0.2.10 192.0.2.11 203.0.113.1";
            if moves {
                world.zone("d0.test").edit("imap.d0.test A", with);
            } else {
                edit(&mut world, "d0.test", "imap.d0.test A", with);
            }
            if restarts {
                let saved = world.us().remembered();
                world.restart(0, &file("300s"), saved);
            } else {
                world.edit(0, &file("300s"));
            }
            world.pass(Duration::from_mins(20));
            assert_eq!(world.zone("d0.test").get("imap.d0.test A"), "192.0.2.10 192.0.2.11");
            let told = std::mem::take(&mut world.us().events);
            let of = |kind| told.iter().filter(move |event| event.kind == kind).map(|event| event.message.as_str());
            let after = "removed 203.0.113.1 (the file does not give it here), TTL 300 instead of 60, now 192.0.2.10, 192.0.2.11";
            assert!(of(Kind::Published).any(|words| words.contains(after)), "{moves} {restarts}: {told:?}");
            // A zone that this run has not seen before is told by what is done to it.
            let before = "from 192.0.2.10, 192.0.2.11 to 192.0.2.10, 192.0.2.11, 203.0.113.1: it is put back";
            let is_new = moves && restarts;
            assert!(is_new || of(Kind::Drift).any(|words| words.contains(before)), "{moves} {restarts}: {told:?}");
        }
    }
}

#[test]
fn it_reads_before_anything_is_written_and_waits_for_no_backoff() {
    let mut world = world();
    let zone = name("d0.test");
    // BIND refuses a set for so long that it is tried once a minute.
    world.bind.refused.insert(name("imap.d0.test"));
    world.node("n1", Down);
    world.pass(Duration::from_mins(20));
    assert_eq!(world.us().state("d0.test"), ZoneState::Failing);
    // The cause is gone, and so is what was to be changed.
    world.bind.refused.clear();
    edit(&mut world, "d0.test", "imap.d0.test A", "-");
    world.sent.clear();
    ask(&mut world, &["d0.test"]);
    let now = world.now;
    assert!(world.us().start(now));
    assert!(matches!(world.us().in_flight[0].1, crate::zone::Step::Read(_)), "{:?}", world.us().in_flight);
    let answers = answer(&mut world, Duration::ZERO);
    let [(true, words)] = answers.as_slice() else { panic!("{answers:?}") };
    assert!(words.contains("imap.d0.test A was changed by somebody else"), "{words}");
    assert!(words.contains("imap.d0.test A: added 192.0.2.10") && words.ends_with("\n1 zone read"), "{words}");
    let first = world.sent.iter().find(|sent| sent.update.zone == zone).unwrap();
    assert!(first.update.changes.iter().all(|change| change.before.is_none()), "{first:?}");
}

#[test]
fn what_fails_is_told_and_not_said_to_be_as_it_should_be() {
    let mut world = world();
    world.bind.refused.insert(name("imap.d0.test"));
    world.node("n1", Down);
    world.pass(Duration::from_mins(5));
    world.bind.gone.insert(name("d1.test"));
    ask(&mut world, &["d0.test", "d1.test"]);
    let answers = answer(&mut world, Duration::from_secs(5));
    let [(false, words)] = answers.as_slice() else { panic!("{answers:?}") };
    assert!(words.contains("d0.test is failing") && words.contains("d1.test could not be read"), "{words}");
    assert!(words.ends_with("\n1 zone read"), "{words}");
}

#[test]
fn what_was_being_read_when_it_was_asked_for_is_read_once_more() {
    let mut world = world();
    world.us().rota.read_all();
    let now = world.now;
    while world.us().start(now) {}
    assert_eq!(world.us().in_flight.len(), 3);
    let taken: Vec<_> = world.us().in_flight.iter().map(|(zone, ..)| zone.clone()).collect();
    ask(&mut world, &[]);
    for zone in taken {
        let names = world.us().zone(zone.as_str()).memory().owned.keys().map(|id| id.owner.clone()).collect();
        let reading = world.bind.read(&zone, &names);
        edit(&mut world, zone.as_str(), &format!("imap.{zone} A"), "-");
        let at = world.us().in_flight.iter().position(|(name, ..)| *name == zone).unwrap();
        world.us().in_flight.remove(at);
        world.us().finish(now, &zone, crate::zone::Done::Read(reading));
    }
    let answers = answer(&mut world, Duration::ZERO);
    let [(true, words)] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!(words.matches("was changed by somebody else").count(), 3, "{words}");
}

#[test]
fn what_is_left_over_is_not_waited_for() {
    let mut world = world();
    let file = cluster(
        "nodes: { n0: { addresses: [192.0.2.10] }, n1: { addresses: [192.0.2.11] } }
checks: { imap: { kind: imap } }
services: { imap: { publish: address, name: imap, checks: [imap] }, pop: { publish: address, name: pop, checks: [imap] } }
domains: { d0.test: { services: [imap, pop] }, d1.test: { services: [imap, pop] } }
",
    );
    world.edit(0, &file);
    world.run();
    ask(&mut world, &[]);
    let answers = answer(&mut world, Duration::ZERO);
    assert!(matches!(&answers[..], [(true, words)] if words.starts_with("2 zones read")), "{answers:?}");
}
