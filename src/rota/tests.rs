use std::time::Duration;

use super::{
    model::{Client, Fate, World, cluster, id, name},
    *,
};
use crate::{
    control::Selection,
    event::Kind,
    health::State::{Down, Unknown, Up},
    status::Short,
    zone::{Failure, Silence, UNSIGNED},
};

/// A file of `count` domains with imap on three nodes, and whatever is put after it.
fn file(count: usize, more: &str) -> Arc<Cluster> {
    let domains: Vec<_> = (0..count).map(|at| format!("d{at:02}.test: {{ services: [imap] }}")).collect();
    cluster(&format!(
        "nodes: {{ n0: {{ addresses: [192.0.2.10] }}, n1: {{ addresses: [192.0.2.11] }}, n2: {{ addresses: [192.0.2.12] }} }}
checks: {{ imap: {{ kind: imap }}, smtp: {{ kind: smtp }} }}
services:
  imap: {{ publish: address, name: imap, checks: [imap] }}
  mx: {{ publish: mx, preference: 10, exchange: \"{{node}}.elsewhere.net\", checks: [smtp] }}
domains:
  {}
{more}",
        domains.join("\n  ")
    ))
}

/// What leaves the file is deleted.
const DELETE: &str = "safety: { left_over: delete }\n";

fn settled(cluster: &Arc<Cluster>) -> World {
    let mut world = World::new(cluster);
    world.run();
    world.us().events.clear();
    world.sent.clear();
    world
}

fn lost() -> Failure {
    Failure { words: "no answer in 5s".to_owned(), code: None, sent: true, silence: Silence::Server }
}

#[test]
fn nothing_is_written_before_the_first_round_or_the_end_of_patience() {
    let file = file(1, "");
    for (done, after, writes) in [(true, 0, 1), (false, 59, 0), (false, 60, 1)] {
        let mut world = World::new(&file);
        world.clients = vec![Client::new(world.now, "us", &file, BTreeMap::new())];
        let view = HealthView { first_round_done: done, ..HealthView::clone(&world.view()) };
        world.us().rota.set_health(Arc::new(view));
        world.pass(Duration::from_secs(after));
        assert_eq!(world.sent.len(), writes, "first round done: {done}, {after} s");
        let expected = if writes == 0 { crate::status::Mode::Starting } else { crate::status::Mode::Active };
        assert_eq!(world.us().rota.mode(), expected);
        assert_eq!(world.us().told(Kind::FirstRound).len(), writes);
    }
}

#[test]
fn a_look_never_writes() {
    let file = file(2, "");
    let mut world = World::new(&file);
    let now = world.now;
    let client = Client::new(now, "us", &file, BTreeMap::new());
    world.clients = vec![Client { rota: client.rota.looking_only(), ..client }];
    world.tell_health();
    world.pass(Duration::from_mins(5));
    assert_eq!(world.sent.len(), 0);
    let previews = world.us().rota.previews(now);
    assert_eq!(previews.iter().map(|preview| preview.plan.changes.len()).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn an_edit_beyond_measure_stays_out_of_force() {
    for (domains, left, in_force) in [(9, 0, true), (10, 7, true), (10, 6, false), (12, 1, false), (10, 10, true)] {
        let mut world = settled(&file(domains, DELETE));
        let smaller = file(left.max(1), DELETE);
        world.edit(0, &smaller);
        world.pass(Duration::from_mins(2));
        assert_eq!(*world.us().rota.cluster() == smaller, in_force, "{domains} to {left}");
        assert_eq!(world.us().told(Kind::TooMuchChange).len(), usize::from(!in_force));
        assert_eq!(world.us().rota.refused_edit().is_some(), !in_force);
        let gone = world.bind.zones.values().filter(|zone| zone.rrsets.is_empty()).count();
        assert_eq!(gone, if in_force { domains - left.max(1) } else { 0 }, "{domains} to {left}");
    }
}

#[test]
fn an_edit_counts_although_bind_is_out_of_reach() {
    let mut world = settled(&file(12, DELETE));
    for at in 0..12 {
        world.bind.gone.insert(name(&format!("d{at:02}.test")));
    }
    world.pass(Duration::from_mins(2));
    let smaller = file(1, DELETE);
    world.edit(0, &smaller);
    world.bind.gone.clear();
    world.pass(Duration::from_mins(5));
    assert_ne!(*world.us().rota.cluster(), smaller);
    assert!(world.bind.zones.values().all(|zone| !zone.rrsets.is_empty()));
}

#[test]
fn an_edit_beyond_measure_before_a_start_waits_and_health_is_followed() {
    let before = file(12, "");
    let after = cluster(
        &"nodes: { n0: { addresses: [192.0.2.10] }, n1: { addresses: [192.0.2.11] }, n3: { addresses: [192.0.2.13] } }
checks: { imap: { kind: imap }, smtp: { kind: smtp } }
services: { imap: { publish: address, name: imap, checks: [imap], ttl: 5m } }
domains:
  DOMAINS
"
        .replace(
            "DOMAINS",
            &(0..12).map(|at| format!("d{at:02}.test: {{ services: [imap] }}")).collect::<Vec<_>>().join("\n  "),
        ),
    );
    let mut world = settled(&before);
    let saved = world.us().remembered();
    world.restart(0, &after, saved.clone());
    world.all(Up);
    world.pass(Duration::from_mins(2));
    assert_eq!(world.us().told(Kind::TooMuchChange).len(), 1);
    // n2 is not listed any more and stays; n3, which is new, waits, and so does the TTL.
    assert_eq!(world.zone("d00.test").get("imap.d00.test A"), "192.0.2.10 192.0.2.11 192.0.2.12");
    assert_eq!(world.zone("d00.test").rrsets.values().next().unwrap().ttl.0, 60);
    assert_eq!(world.us().state("d00.test"), crate::status::ZoneState::Pending);
    world.node("n1", Down);
    world.pass(Duration::from_mins(2));
    assert_eq!(world.zone("d00.test").get("imap.d00.test A"), "192.0.2.10 192.0.2.12");
    // --force lets it through.
    world.clients[0].rota = Rota::new(world.now, model::identity("us"), Arc::clone(&after), saved, true);
    world.tell_health();
    world.pass(Duration::from_mins(2));
    assert_eq!(world.zone("d00.test").get("imap.d00.test A"), "192.0.2.10 192.0.2.13");
    assert_eq!(world.zone("d00.test").rrsets.values().next().unwrap().ttl.0, 300);
}

#[test]
fn what_was_never_ours_does_not_count_as_change() {
    let mut world = settled(&file(10, ""));
    for at in 10..30 {
        world.zone(&format!("d{at}.test")).edit(&format!("imap.d{at}.test A"), "3600 192.0.2.10");
    }
    let larger = file(30, "");
    world.edit(0, &larger);
    world.pass(Duration::from_mins(2));
    assert_eq!(*world.us().rota.cluster(), larger);
    let saved = world.us().remembered();
    let ten = saved.into_iter().filter(|(zone, _)| zone.as_str() < "d10").collect();
    for at in 10..30 {
        world.zone(&format!("d{at}.test")).generation.clear();
        world.zone(&format!("d{at}.test")).edit(&format!("imap.d{at}.test A"), "3600 203.0.113.1");
    }
    world.restart(0, &larger, ten);
    world.pass(Duration::from_mins(2));
    assert_eq!(world.us().told(Kind::TooMuchChange), Vec::<String>::new());
}

#[test]
fn a_health_change_calls_the_zones_that_it_touches_and_no_others() {
    let file = cluster(
        "nodes: { n0: { addresses: [192.0.2.10] }, n1: { addresses: [192.0.2.11] }, n2: { addresses: [192.0.2.12] } }
checks: { imap: { kind: imap }, smtp: { kind: smtp } }
services:
  imap: { publish: address, name: imap, checks: [imap] }
  smtp: { publish: address, name: smtp, checks: [smtp] }
domains:
  a.test: { services: [imap], nodes: [n0, n1] }
  b.test: { services: [imap], nodes: [n1, n2] }
  c.test: { services: [smtp] }
",
    );
    for (node, touched) in
        [("n0", &["a.test", "c.test"][..]), ("n2", &["b.test", "c.test"]), ("n1", &["a.test", "b.test", "c.test"])]
    {
        let mut world = settled(&file);
        assert!(world.us().rota.is_idle());
        world.node(node, Down);
        let ready: BTreeSet<_> = world.us().rota.queue.ready().map(ToString::to_string).collect();
        assert_eq!(ready, touched.iter().map(|zone| (*zone).to_owned()).collect(), "{node}");
        // The same health again is no news.
        world.run();
        world.tell_health();
        assert!(world.us().rota.is_idle());
    }
}

#[test]
fn zones_that_clients_look_up_come_first() {
    let mut world = World::new(&file(
        0,
        "  a.test: { services: [mx] }\n  b.test: { services: [imap] }\n  c.test: { services: [mx, imap] }\n",
    ));
    let now = world.now;
    while world.us().start(now) {}
    let order: Vec<_> = world.us().in_flight.iter().map(|(zone, ..)| zone.to_string()).collect();
    assert_eq!(order, ["b.test", "c.test", "a.test"]);
}

#[test]
fn silence_halves_the_window_and_then_one_step_asks_at_a_time() {
    let mut world = settled(&file(40, ""));
    world.node("n1", Down);
    let now = world.now;
    while world.us().start(now) {}
    assert_eq!(world.us().in_flight.len(), 32, "max_in_flight");
    for (zone, ..) in std::mem::take(&mut world.us().in_flight) {
        world.us().finish(now, &zone, Done::Write(Err(lost())));
        assert!(!world.us().start(now));
    }
    assert_eq!(world.us().told(Kind::PrimaryLost).len(), 1, "one silence, not thirty-two");
    assert!(world.us().rota.server_trouble().is_some());
    // Tried again after 0.2, 0.4, ... 5 s, one step each time, another zone each time.
    let (mut asked, mut waits) = (Vec::new(), Vec::new());
    for _ in 0..12 {
        let before = world.now;
        let mut wake = world.now;
        while !world.us().start(wake) {
            wake = world.us().rota.wake_at().unwrap();
        }
        assert!(!world.us().start(wake));
        waits.push(wake.duration_since(before).as_millis());
        world.now = wake;
        let (zone, ..) = world.us().in_flight.remove(0);
        asked.push(zone.clone());
        world.us().finish(wake, &zone, Done::Read(Err(lost())));
    }
    assert_eq!(waits, [200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000, 5000, 5000, 5000]);
    assert!(asked.iter().collect::<BTreeSet<_>>().len() > 8, "{asked:?}");
    assert_eq!(world.us().told(Kind::PrimaryLost).len(), 0);
    // It answers again: everything is written, and told once.
    world.pass(Duration::from_mins(3));
    assert_eq!(world.us().told(Kind::PrimaryBack).len(), 1);
    assert!(
        world
            .bind
            .zones
            .iter()
            .all(|(zone, content)| content.get(&format!("imap.{zone} A")) == "192.0.2.10 192.0.2.12")
    );
}

#[test]
fn h2_a_zone_whose_questions_alone_something_before_bind_answers_is_told_and_no_wish_is_lost() {
    let mut world = settled(&file(3, ""));
    world.edit(0, &file(2, ""));
    world.pass(Duration::from_mins(1));
    let left_over = world.us().rota.left_over().count();
    assert_eq!(left_over, 1);
    world.us().events.clear();
    let now = world.now;
    world.withdrawn.insert(id("imap.d02.test A"));
    world.us().rota.withdraw(now, &Selection::ALL, false);
    // Who asked does not wait.
    world.us().rota.answers(now + Duration::from_hours(1));
    answered_for(&mut world, &["d02.test"], false, Duration::from_mins(5));
    let told = world.us().told(Kind::ZoneFailing);
    assert!(matches!(&told[..], [one] if one.starts_with("d02.test: ") && !one.contains("--forget")), "{told:?}");
    world.pass(Duration::from_mins(3));
    assert_eq!(world.us().rota.left_over().count(), 0, "what was wanted is done once BIND answers");
    assert_eq!(world.zone("d02.test").get("imap.d02.test A"), "-");
}

/// What comes of the steps of a world of which those of one kind are answered by something before BIND, for `zones`, in this
/// time; how many such answers there were.
fn answered_for(world: &mut World, zones: &[&str], are_updates: bool, span: Duration) -> usize {
    let (until, mut answers) = (world.now + span, 0);
    loop {
        let now = world.now;
        while world.us().start(now) {}
        if !world.us().in_flight.is_empty() {
            let (zone, step, _) = &world.us().in_flight[0];
            if matches!(step, Step::Write(_)) == are_updates && zones.contains(&zone.as_str()) {
                let (zone, step, _) = world.us().in_flight.remove(0);
                let code = Some(UNSIGNED.to_owned());
                let words = "updates get unsigned answers".to_owned();
                let failure = Failure { words, code, sent: true, silence: Silence::Server };
                let done = match step {
                    Step::Write(_) => Done::Write(Err(failure)),
                    Step::Serial => Done::Serial(Err(failure)),
                    _ => Done::Read(Err(failure)),
                };
                world.us().finish(now, &zone, done);
                answers += 1;
            } else {
                world.finish(0, 0, Fate::Answered);
            }
            continue;
        }
        match world.us().rota.wake_at() {
            Some(at) if at <= until => world.now = world.now.max(at),
            _ => break,
        }
    }
    world.now = until;
    answers
}

#[test]
fn h2_updates_that_something_before_bind_answers_are_one_trouble_with_a_growing_wait() {
    for zones in [&["d00.test", "d01.test", "d02.test"][..], &["d01.test"]] {
        let mut world = settled(&file(3, ""));
        world.node("n1", Down);
        let answers = answered_for(&mut world, zones, true, Duration::from_mins(5));
        assert!(answers >= 2 * zones.len() && answers <= 20 * zones.len(), "{answers} in five minutes");
        for zone in zones {
            assert_eq!(world.us().state(zone), ZoneState::Failing);
            assert_eq!(world.us().error(zone), "updates get unsigned answers");
        }
        let told: Vec<_> = std::mem::take(&mut world.us().events);
        let told: Vec<_> = told.iter().filter(|event| event.kind != Kind::Published).collect();
        assert_eq!(told.iter().map(|event| event.kind).collect::<Vec<_>>(), [Kind::UpdatesUnsigned], "{told:?}");
        // What is before BIND hands them on again.
        world.pass(Duration::from_mins(3));
        let told: Vec<_> = std::mem::take(&mut world.us().events);
        let told: Vec<_> = told.iter().filter(|event| event.kind != Kind::Published).collect();
        assert_eq!(told.iter().map(|event| event.kind).collect::<Vec<_>>(), [Kind::UpdatesSigned], "{told:?}");
        for zone in ["d00.test", "d01.test", "d02.test"] {
            assert_eq!(world.zone(zone).get(&format!("imap.{zone} A")), "192.0.2.10 192.0.2.12");
        }
    }
}

#[test]
fn a_zone_that_alone_is_silent_waits_alone_and_is_told() {
    let mut world = settled(&file(5, ""));
    let silent = name("d00.test");
    for round in 0..6 {
        world.node("n1", if round % 2 == 0 { Down } else { Up });
        // The others are answered, and then the time is over for what was asked with them.
        let mut now = world.now;
        while world.us().start(now) {}
        while let Some(at) = world.us().in_flight.iter().position(|(zone, ..)| *zone != silent) {
            world.finish(0, at, Fate::Answered);
            while world.us().start(now) {}
        }
        now += Duration::from_secs(5);
        for (zone, step, _) in std::mem::take(&mut world.us().in_flight) {
            let done = if matches!(step, Step::Write(_)) { Done::Write(Err(lost())) } else { Done::Read(Err(lost())) };
            world.us().finish(now, &zone, done);
        }
        assert_eq!(world.us().rota.server_trouble(), None, "{round}");
        world.now = now + Duration::from_mins(1);
    }
    let zones = (1..5).map(|at| format!("d{at:02}.test"));
    assert!(zones.clone().all(|zone| world.us().state(&zone) == ZoneState::InSync));
    assert_eq!(world.us().state("d00.test"), ZoneState::Failing);
    let events = std::mem::take(&mut world.us().events);
    let told = |kind| events.iter().filter(|event| event.kind == kind).map(|event| &event.message).collect::<Vec<_>>();
    assert_eq!(told(Kind::PrimaryLost), Vec::<&String>::new());
    let failing = told(Kind::ZoneFailing);
    assert!(failing.len() == 1 && failing[0].contains("while other zones are answered"), "{failing:?}");
    world.pass(Duration::from_mins(2));
    assert_eq!(world.us().told(Kind::ZoneRecovered), ["d00.test: in sync again, was failing"]);
    let content = |zone: &str| world.bind.zones[zone].get(&format!("imap.{zone} A"));
    assert!(zones.chain(["d00.test".to_owned()]).all(|zone| content(&zone) == "192.0.2.10 192.0.2.11 192.0.2.12"));
}

#[test]
fn health_that_flaps_while_bind_is_silent_costs_nothing_and_the_newest_wins() {
    let mut world = settled(&file(3, ""));
    for round in 0..50 {
        world.node("n1", if round % 2 == 0 { Down } else { Up });
        let now = world.now;
        while world.us().start(now) {}
        while !world.us().in_flight.is_empty() {
            world.finish(0, 0, Fate::Unsent);
        }
        world.now += Duration::from_secs(1);
        assert!(world.us().rota.queue.ready().count() <= 3);
    }
    world.node("n2", Down);
    world.pass(Duration::from_mins(2));
    assert!(
        world
            .bind
            .zones
            .iter()
            .all(|(zone, content)| content.get(&format!("imap.{zone} A")) == "192.0.2.10 192.0.2.11")
    );
    assert!(world.bind.zones.values().all(|zone| zone.record().unwrap().generation == 2));
}

#[test]
fn a_zone_that_swallows_every_message_does_not_starve_the_others() {
    let mut world = settled(&file(4, ""));
    world.node("n1", Down);
    let until = world.now + Duration::from_mins(1);
    while world.now < until {
        let now = world.now;
        while world.us().start(now) {}
        while !world.us().in_flight.is_empty() {
            let is_hole = world.us().in_flight[0].0 == name("d00.test");
            world.finish(0, 0, if is_hole { Fate::Unsent } else { Fate::Answered });
        }
        world.now += Duration::from_millis(100);
    }
    let right =
        |world: &mut World, zone: &str| world.zone(zone).get(&format!("imap.{zone} A")) == "192.0.2.10 192.0.2.12";
    assert!(right(&mut world, "d01.test") && right(&mut world, "d02.test") && right(&mut world, "d03.test"));
    assert!(!right(&mut world, "d00.test"));
}

#[test]
fn zones_that_were_asked_in_vain_wait_behind_the_others_while_the_server_is_silent() {
    let mut one_at_a_time = Cluster::clone(&file(4, ""));
    one_at_a_time.bind.max_in_flight = 1;
    let mut world = settled(&Arc::new(one_at_a_time));
    world.node("n1", Down);
    let mut asked = Vec::new();
    // The first two get no answer, and want to be asked again before the third one had its turn.
    for wait in [300, 1_500, 0] {
        let now = world.now;
        assert!(world.us().start(now));
        asked.push(world.us().in_flight[0].0.to_string());
        world.finish(0, 0, if wait > 0 { Fate::Late } else { Fate::Answered });
        world.now += Duration::from_millis(wait);
    }
    assert!(asked.iter().collect::<BTreeSet<_>>().len() == 3, "{asked:?}");
}

#[test]
fn a_zone_out_of_the_file_is_forgotten_when_it_is_clean() {
    let mut world = settled(&file(3, DELETE));
    world.edit(0, &file(2, DELETE));
    world.run();
    assert_eq!(world.zone("d02.test").get("imap.d02.test A"), "-");
    assert!(!world.us().rota.zones().contains_key("d02.test"));
    assert!(!world.us().remembered().contains_key("d02.test"));
    world.pass(Duration::from_mins(30));
    assert!(world.us().rota.is_idle());
}

#[test]
fn an_edit_while_a_step_is_under_way_is_taken_in_by_the_next_one() {
    let both = cluster(
        "nodes: { n0: { addresses: [192.0.2.10] }, n1: { addresses: [192.0.2.11] }, n2: { addresses: [192.0.2.12] } }
checks: { imap: { kind: imap }, smtp: { kind: smtp } }
services:
  imap: { publish: address, name: imap, checks: [imap] }
  smtp: { publish: address, name: smtp, checks: [smtp] }
domains: { d00.test: { services: [imap, smtp] } }
",
    );
    for fate in [Fate::Answered, Fate::AnswerLost, Fate::Late, Fate::Unsent] {
        // While it is read, and while it is written.
        for steps in 0..2 {
            let mut world = World::new(&file(1, ""));
            let now = world.now;
            for _ in 0..steps {
                assert!(world.us().start(now));
                world.finish(0, 0, Fate::Answered);
            }
            assert!(world.us().start(now));
            world.edit(0, &both);
            world.all(Up);
            world.finish(0, 0, fate);
            world.pass(Duration::from_mins(2));
            for set in ["imap.d00.test A", "smtp.d00.test A"] {
                assert_eq!(world.zone("d00.test").get(set), "192.0.2.10 192.0.2.11 192.0.2.12", "{fate:?} {steps}");
            }
        }
    }
}

#[test]
fn shortages_are_told_when_they_begin_and_end() {
    let mut world = settled(&file(2, ""));
    world.all(Down);
    world.run();
    assert_eq!(
        world.us().told(Kind::TooFewHealthy),
        [
            "service imap A on n0, n1, n2: too few healthy nodes: what is published is held (0 of 3 nodes healthy, 1 needed; \
          imap.d00.test and 1 more hold 192.0.2.10, 192.0.2.11, 192.0.2.12); bring one back: `rotad status` \
          tells why each is out"
        ]
    );
    assert_eq!(world.zone("d00.test").get("imap.d00.test A"), "192.0.2.10 192.0.2.11 192.0.2.12");
    let short = world.us().rota.short();
    let [Short { service, rtype, nodes, healthy: 0, needed: 1, kept }] = &short[..] else { panic!("{short:?}") };
    assert_eq!((service.as_str(), rtype.as_ref(), nodes.join(" ")), ("imap", "A", "n0 n1 n2".to_owned()));
    assert_eq!(kept.join(" "), "192.0.2.10 192.0.2.11 192.0.2.12");
    let few = world.us().rota.short_of();
    assert_eq!(few.as_deref(), Some("too few healthy nodes: imap A (0 of 3 healthy)"));
    world.node("n0", Unknown);
    assert_eq!(world.us().told(Kind::EnoughHealthy), Vec::<String>::new(), "nobody is known to be up");
    assert_eq!(world.us().rota.short().len(), 1);
    world.node("n0", Up);
    assert_eq!(world.us().rota.short(), []);
    assert_eq!(world.us().told(Kind::EnoughHealthy), ["service imap A on n0, n1, n2: enough healthy nodes again"]);
}

#[test]
fn health_that_changes_during_a_look_is_not_missed() {
    let mut world = settled(&file(1, ""));
    // The second look and those after it plan nothing.
    world.pass(Duration::from_secs(90));
    world.now = world.us().rota.wake_at().unwrap();
    let now = world.now;
    assert!(world.us().start(now));
    assert!(matches!(world.us().in_flight.as_slice(), [(_, Step::Serial, _)]));
    world.node("n0", Down);
    world.run();
    assert_eq!(world.sent.len(), 1);
}

#[test]
fn the_revision_moves_with_what_is_to_be_remembered() {
    let mut world = World::new(&file(12, ""));
    world.run();
    let mut last = (world.us().rota.revision(), world.us().rota.remembered());
    let mut is_other = |world: &mut World| {
        let now = (world.us().rota.revision(), world.us().rota.remembered());
        let moved = (now.0 != last.0, now.1 != last.1);
        last = now;
        moved
    };
    world.pass(Duration::from_mins(20));
    assert_eq!(is_other(&mut world), (false, false));
    world.node("n0", Down);
    world.run();
    assert_eq!(is_other(&mut world), (true, true));
    world.edit(0, &file(11, ""));
    world.run();
    assert_eq!(is_other(&mut world), (true, true));
    assert_eq!(world.us().rota.states(), &BTreeMap::from([(ZoneState::InSync, 11)]));
}
