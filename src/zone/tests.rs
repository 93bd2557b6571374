mod hidden;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::*;
use crate::{
    cluster::Cluster,
    event::Kind,
    health::State::{Down, Unknown, Up},
    rota::model::{Client, Fate, World, cluster, id, name},
    update::{GenerationRecord, Txt, Verdict},
};

mod edited;
mod late;
mod left_over;
mod numbers;
mod strangers;
mod ttl;
mod unseen;

const ZONE: &str = "example.org";
const BOTH: &str = "192.0.2.10 192.0.2.11";

fn file(services: &str) -> Arc<Cluster> {
    cluster(&format!(
        "nodes: {{ node00: {{ addresses: [192.0.2.10] }}, node01: {{ addresses: [192.0.2.11] }} }}
checks: {{ imap: {{ kind: imap }} }}
services:
  imap: {{ publish: address, name: imap, checks: [imap] }}
  smtp: {{ publish: address, name: smtp, checks: [imap] }}
  apex: {{ publish: address, name: \"@\", checks: [imap] }}
  pop3: {{ publish: alias, name: pop3, target: imap.example.net }}
  pop: {{ publish: address, name: pop3, checks: [imap] }}
  any: {{ publish: address, name: \"*\", checks: [imap] }}
  mx: {{ publish: mx, preference: 10, exchange: \"{{node}}.{{domain}}\", checks: [imap] }}
domains: {{ example.org: {{ services: [{services}] }} }}
safety: {{ left_over: delete }}
"
    ))
}

fn record(cluster: &str, owner: &str, generation: u64) -> BTreeSet<Txt> {
    let record = GenerationRecord { cluster: cluster.to_owned(), owner: owner.to_owned(), generation };
    BTreeSet::from([Txt::from(&record)])
}

/// Steps that are taken until the next message is on its way; it is the only one.
fn until_write(world: &mut World) {
    loop {
        let now = world.now;
        assert!(world.us().start(now), "it rests");
        if matches!(world.us().in_flight[0].1, Step::Write(_)) {
            return;
        }
        world.finish(0, 0, Fate::Answered);
    }
}

/// A world in which `services` are published and known to be.
fn published(services: &str) -> World {
    let mut world = World::new(&file(services));
    world.run();
    assert_eq!(world.us().state(ZONE), ZoneState::InSync);
    world.us().events.clear();
    world.sent.clear();
    world
}

#[test]
fn first_contact_tells_whose_a_zone_is() {
    let none = BTreeSet::new();
    for (what, generation, content, state, words) in [
        ("empty", none.clone(), "-", ZoneState::InSync, ""),
        ("a node's", none.clone(), "300 192.0.2.11", ZoneState::InSync, ""),
        ("a stranger's", none.clone(), "60 203.0.113.1", ZoneState::Foreign, "imap.example.org A holds 203.0.113.1"),
        ("mixed", none.clone(), "60 192.0.2.10 203.0.113.1", ZoneState::Foreign, "holds 203.0.113.1"),
        ("ours of an earlier life", record("mail", "us", 7), "60 192.0.2.11", ZoneState::InSync, ""),
        ("another cluster's", record("web", "us", 7), "60 192.0.2.11", ZoneState::Foreign, "cluster \"web\""),
        ("another instance's", record("mail", "them", 7), "60 192.0.2.11", ZoneState::Standby, "instance them"),
        (
            "no record of our form",
            BTreeSet::from([Txt(vec![b"hello".to_vec()])]),
            "60 192.0.2.11",
            ZoneState::Foreign,
            "_rotad.example.org",
        ),
    ] {
        let mut world = World::new(&file("imap"));
        world.zone(ZONE).generation.clone_from(&generation);
        world.zone(ZONE).edit("imap.example.org A", content);
        let before = world.zone(ZONE).get("imap.example.org A");
        world.pass(Duration::from_mins(5));
        assert_eq!(world.us().state(ZONE), state, "{what}");
        assert!(world.us().error(ZONE).contains(words), "{what}: {}", world.us().error(ZONE));
        let wanted = if state == ZoneState::InSync { BOTH } else { &before };
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), wanted, "{what}");
        assert_eq!(world.sent.len(), usize::from(state == ZoneState::InSync), "{what}");
        let told = [Kind::ZoneForeign, Kind::ZoneStandby];
        let told = world.us().events.iter().filter(|event| told.contains(&event.kind)).count();
        assert_eq!(told, usize::from(state != ZoneState::InSync), "{what}");
    }
}

#[test]
fn only_what_was_never_read_is_asked_for_as_a_whole() {
    let mut world = World::new(&file("imap"));
    let step = |world: &mut World, fate| {
        let now = world.now;
        assert!(world.us().start(now), "it rests");
        let step = world.us().in_flight[0].1.clone();
        world.finish(0, 0, fate);
        step
    };
    assert!(matches!(step(&mut world, Fate::AnswerLost), Step::FirstRead { .. }));
    world.pass(RETRY.1);
    assert_eq!(world.us().state(ZONE), ZoneState::InSync);
    let mut world = World::new(&file("imap"));
    assert!(matches!(step(&mut world, Fate::Unsent), Step::FirstRead { .. }));
    world.now += RETRY.1;
    assert!(matches!(step(&mut world, Fate::Answered), Step::Read(_)), "what failed is tried the plain way");
    world.run();
    world.now += READ_EVERY;
    assert!(matches!(step(&mut world, Fate::Answered), Step::Read(_)), "and so is what was read before");
}

#[test]
fn a_zone_that_is_right_is_marked_as_ours_by_the_record_alone() {
    let mut world = World::new(&file("imap"));
    world.zone(ZONE).edit("imap.example.org A", "60 192.0.2.10 192.0.2.11");
    world.run();
    assert_eq!(world.sent.len(), 1);
    assert!(world.sent[0].update.changes.is_empty());
    assert_eq!(world.zone(ZONE).record().unwrap().generation, 1);
}

#[test]
fn nothing_is_written_while_everybody_is_unknown() {
    let mut world = World::new(&file("imap"));
    world.all(Unknown);
    world.pass(Duration::from_mins(30));
    assert_eq!((world.sent.len(), world.us().state(ZONE)), (0, ZoneState::InSync));
}

#[test]
fn a_lost_answer_is_settled_by_the_record() {
    for (fate, messages, late) in
        [(Fate::AnswerLost, 1, false), (Fate::Unsent, 2, false), (Fate::Late, 2, false), (Fate::Late, 1, true)]
    {
        let mut world = published("imap, smtp");
        let serial = world.zone(ZONE).serial;
        world.node("node01", Down);
        until_write(&mut world);
        world.finish(0, 0, fate);
        if late {
            let sent = world.late.remove(0);
            assert_eq!(world.deliver(&sent), Verdict::Applied);
        }
        world.pass(Duration::from_mins(2));
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10", "{fate:?}");
        assert_eq!(world.zone(ZONE).serial, serial + 1, "{fate:?}: one serial");
        assert_eq!(world.sent.len(), messages, "{fate:?}");
        // Each change is told once, also when the record alone says that it was made.
        let told = world.us().told(Kind::Published);
        assert_eq!(
            told,
            [
                "imap.example.org A: removed 192.0.2.11 (node01 imap is down), now 192.0.2.10 (generation 2)",
                "smtp.example.org A: removed 192.0.2.11 (node01 imap is down), now 192.0.2.10 (generation 2)",
            ]
        );
        for sent in std::mem::take(&mut world.late) {
            assert_eq!(world.deliver(&sent), Verdict::GuardFailed);
        }
    }
}

#[test]
fn an_old_plan_that_is_late_does_nothing_though_nothing_new_is_to_be_written() {
    let mut world = published("imap");
    world.node("node01", Down);
    until_write(&mut world);
    world.finish(0, 0, Fate::Late);
    world.node("node01", Up);
    world.pass(Duration::from_secs(30));
    let sent = world.late.remove(0);
    assert_eq!(world.deliver(&sent), Verdict::GuardFailed);
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), BOTH);
    // The record was moved on, once.
    assert_eq!(world.zone(ZONE).record().unwrap().generation, 2);
}

#[test]
fn the_refused_name_stands_alone_and_the_rest_is_pushed() {
    for (servfail, code) in [(false, "REFUSED"), (true, "SERVFAIL")] {
        let mut world = World::new(&file("imap, smtp, apex, mx"));
        let names = if servfail { &mut world.bind.failing } else { &mut world.bind.refused };
        names.insert(name("smtp.example.org"));
        world.run();
        assert_eq!(world.us().state(ZONE), ZoneState::Failing);
        assert!(world.us().error(ZONE).starts_with("smtp.example.org A: named "), "{}", world.us().error(ZONE));
        assert!(world.us().error(ZONE).contains(code));
        for right in ["imap.example.org A", "example.org A"] {
            assert_eq!(world.zone(ZONE).get(right), BOTH);
        }
        assert_eq!(world.zone(ZONE).get("example.org MX"), "10:node00.example.org 10:node01.example.org");
        assert!(world.sent.len() < 12, "{}", world.sent.len());
        // It is tried again alone, and moves no serial.
        let (serial, messages) = (world.zone(ZONE).serial, world.sent.len());
        world.pass(Duration::from_mins(10));
        assert_eq!(world.zone(ZONE).serial, serial);
        assert!((8..40).contains(&(world.sent.len() - messages)), "{}", world.sent.len() - messages);
        world.bind.refused.clear();
        world.bind.failing.clear();
        world.pass(Duration::from_secs(61));
        assert_eq!(world.zone(ZONE).get("smtp.example.org A"), BOTH);
        assert_eq!(world.us().told(Kind::ZoneRecovered), ["example.org: in sync again, was failing"]);
    }
}

#[test]
fn an_alias_stays_until_what_replaces_it_is_taken() {
    let mut world = published("imap, pop3");
    world.bind.refused.insert(name("pop3.example.org"));
    world.edit(0, &file("imap, pop"));
    world.pass(Duration::from_mins(5));
    assert_eq!(world.zone(ZONE).get("pop3.example.org CNAME"), "imap.example.net");
    world.bind.refused.clear();
    world.all(Down);
    world.pass(Duration::from_mins(5));
    assert_eq!(world.zone(ZONE).get("pop3.example.org CNAME"), "imap.example.net");
    world.all(Up);
    world.pass(Duration::from_mins(5));
    assert_eq!(world.zone(ZONE).get("pop3.example.org CNAME"), "-");
    assert_eq!(world.zone(ZONE).get("pop3.example.org A"), BOTH);
}

#[test]
fn a_zone_that_is_refused_as_a_whole_fails_as_a_whole() {
    for (what, code) in [("frozen", "REFUSED"), ("gone", "NOTAUTH")] {
        let mut world = published("imap, smtp");
        world.node("node01", Down);
        until_write(&mut world);
        let set = if what == "frozen" { &mut world.bind.frozen } else { &mut world.bind.gone };
        set.insert(name(ZONE));
        world.finish(0, 0, Fate::Answered);
        world.run();
        assert_eq!(world.us().state(ZONE), ZoneState::Failing, "{what}");
        let failing = world.us().events.iter().find(|event| event.kind == Kind::ZoneFailing).unwrap();
        assert_eq!(failing.rcode.as_deref(), Some(code), "{what}");
        world.bind.frozen.clear();
        world.bind.gone.clear();
        world.pass(Duration::from_mins(1));
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10", "{what}");
        assert_eq!(world.us().state(ZONE), ZoneState::InSync, "{what}");
    }
}

#[test]
fn what_bind_ignores_is_told_and_tried_again_slowly() {
    // A CNAME that came between our reading and our message.
    let mut world = published("imap, smtp");
    world.node("node01", Down);
    until_write(&mut world);
    let zone = world.zone(ZONE);
    zone.edit("imap.example.org A", "-");
    zone.edit("imap.example.org CNAME", "60 elsewhere.test");
    world.finish(0, 0, Fate::Answered);
    world.run();
    assert_eq!((world.us().state(ZONE), world.us().error(ZONE)), (ZoneState::InSync, ""));
    let told = world.us().told(Kind::RrsetForeign);
    assert!(told.len() == 1 && told[0].contains("a CNAME exists at that name"), "{told:?}");
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "192.0.2.10");
    world.zone(ZONE).edit("imap.example.org CNAME", "-");
    world.pass(Duration::from_secs(61));
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10");
    assert_eq!(world.us().state(ZONE), ZoneState::InSync);

    // A quota.
    let mut world = World::new(&file("imap, smtp"));
    world.bind.quota.insert(name("imap.example.org"), 1);
    world.run();
    assert_eq!(world.us().state(ZONE), ZoneState::Failing);
    assert!(world.us().error(ZONE).contains("BIND kept 1 of 2 records"), "{}", world.us().error(ZONE));
    let messages = world.sent.len();
    world.pass(Duration::from_mins(14));
    assert_eq!(world.sent.len(), messages, "a quota is not tried every minute");
    // Another set is another matter, and tried at once.
    world.node("node00", Down);
    world.run();
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.11");
    assert_eq!(world.us().state(ZONE), ZoneState::InSync);
    world.bind.quota.clear();
    world.node("node00", Up);
    world.run();
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), BOTH);
}

#[test]
fn a_hand_edit_is_put_back_within_a_minute_and_told_with_before_and_after() {
    for (by_hand, after) in [("60 203.0.113.1", "203.0.113.1"), ("-", "nothing"), ("60 192.0.2.10", "192.0.2.10")] {
        let mut world = published("imap, smtp");
        world.zone(ZONE).edit("www.example.org A", "60 203.0.113.80");
        world.zone(ZONE).edit("imap.example.org A", by_hand);
        world.pass(Duration::from_secs(61));
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), BOTH);
        assert_eq!(world.zone(ZONE).get("www.example.org A"), "203.0.113.80");
        let told = world.us().told(Kind::Drift);
        let words = format!("imap.example.org A was changed by somebody else, from 192.0.2.10, 192.0.2.11 to {after}");
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with(&words), "{told:?}");
    }
}

#[test]
fn a_hand_edit_in_the_moment_before_our_message_is_told() {
    let ours = record("mail", "us", 1);
    let theirs = record("mail", "them", 2);
    for (generation, by_hand, words, after) in [
        (&ours, "203.0.113.1", Some("to 203.0.113.1: it is put back"), "192.0.2.10"),
        // Somebody was quicker.
        (&ours, "192.0.2.10", Some("to 192.0.2.10: that is what it should be"), "192.0.2.10"),
        (&BTreeSet::new(), "203.0.113.1", Some("to 203.0.113.1: it is put back"), "192.0.2.10"),
        // Another instance took the zone over: whatever it writes is no edit by hand.
        (&theirs, "192.0.2.11", None, "192.0.2.11"),
    ] {
        let mut world = published("imap, smtp");
        assert_eq!(world.zone(ZONE).generation, ours);
        world.pass(Duration::from_secs(30));
        world.zone(ZONE).generation.clone_from(generation);
        world.zone(ZONE).edit("imap.example.org A", &format!("60 {by_hand}"));
        world.node("node01", Down);
        world.run();
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), after);
        let told = world.us().told(Kind::Drift);
        let begin = "imap.example.org A was changed by somebody else, from 192.0.2.10, 192.0.2.11 ";
        assert_eq!(told.len(), usize::from(words.is_some()), "{told:?}");
        assert!(told.iter().all(|told| told.starts_with(&format!("{begin}{}", words.unwrap_or_default()))), "{told:?}");
    }
}

#[test]
fn a_hand_edit_beside_our_own_message_is_seen_too() {
    let mut world = published("imap, smtp");
    world.pass(Duration::from_secs(30));
    world.node("node01", Down);
    until_write(&mut world);
    // One reading of the serial sees both our message and the edit.
    world.zone(ZONE).edit("www.example.org A", "60 203.0.113.80");
    world.finish(0, 0, Fate::Answered);
    world.run();
    world.pass(Duration::from_secs(61));
    let read_at = world.us().zone(ZONE).read_at.unwrap();
    assert!(world.now - read_at < Duration::from_secs(5), "the whole zone was read again");
}

#[test]
fn the_serial_is_looked_at_every_minute_and_the_sets_every_quarter() {
    let mut world = published("imap");
    // An edit that does not move the serial, as a restored file may bring.
    let serial = world.zone(ZONE).serial;
    world.zone(ZONE).edit("imap.example.org A", "60 203.0.113.1");
    world.zone(ZONE).serial = serial;
    world.pass(Duration::from_mins(14));
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "203.0.113.1");
    world.pass(Duration::from_mins(2));
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), BOTH);
}

#[test]
fn our_own_messages_are_no_drift() {
    let mut world = published("imap, smtp, mx");
    for state in [Down, Up, Down, Unknown, Up] {
        world.node("node01", state);
        world.pass(Duration::from_mins(3));
    }
    assert_eq!(world.us().told(Kind::Drift), Vec::<String>::new());
}

#[test]
fn a_zone_from_a_backup_is_brought_up_to_date() {
    let mut world = published("imap");
    let backup = world.bind.zones.clone();
    world.node("node01", Down);
    world.run();
    world.bind.zones = backup;
    world.pass(Duration::from_secs(61));
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10");
    let told = world.us().told(Kind::Drift);
    assert!(told[0].contains("went back from 2 to 1"), "{told:?}");
}

#[test]
fn a_deleted_record_is_made_anew_and_generations_go_on() {
    let mut world = published("imap");
    world.node("node01", Down);
    world.run();
    world.zone(ZONE).generation.clear();
    world.zone(ZONE).serial += 1;
    world.pass(Duration::from_secs(61));
    assert_eq!(world.zone(ZONE).record().unwrap().generation, 3);
}

#[test]
fn a_copy_of_this_machine_is_noticed_by_one_of_the_two() {
    let file = file("imap");
    let mut world = published("imap");
    let remembered = world.us().remembered();
    world.clients.push(Client::new(world.now, "us", &file, remembered));
    world.tell_health();
    world.pass(Duration::from_secs(61));
    assert_eq!(world.sent.len(), 0, "two that agree have nothing to write");
    world.node("node01", Down);
    world.pass(Duration::from_mins(3));
    world.node("node01", Up);
    world.pass(Duration::from_mins(3));
    let states: BTreeSet<_> = world.clients.iter().map(|client| client.state(ZONE)).collect();
    assert_eq!(states, BTreeSet::from([ZoneState::InSync, ZoneState::Standby]));
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), BOTH);
}

#[test]
fn what_left_the_file_goes_only_while_it_holds_our_data() {
    for (by_hand, left) in [(None, "-"), (Some("60 192.0.2.10"), "-"), (Some("60 203.0.113.1"), "203.0.113.1")] {
        let mut world = published("imap, smtp");
        let file = file("imap");
        if let Some(content) = by_hand {
            world.zone(ZONE).edit("smtp.example.org A", content);
        }
        // The hand edit comes while the edit of the file is made.
        world.edit(0, &file);
        world.us().rota.call_all();
        world.zone(ZONE).serial += 1;
        let saved = world.us().remembered();
        world.restart(0, &file, saved);
        world.pass(Duration::from_mins(2));
        assert_eq!(world.zone(ZONE).get("smtp.example.org A"), left, "{by_hand:?}");
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), BOTH);
        assert!(world.us().zone(ZONE).memory().owned.len() == 1);
    }
}

#[test]
fn a_service_that_comes_and_goes_before_it_is_remembered_leaves_nothing() {
    let mut world = published("imap");
    world.edit(0, &file("imap, smtp"));
    until_write(&mut world);
    world.edit(0, &file("imap"));
    world.finish(0, 0, Fate::AnswerLost);
    world.pass(Duration::from_mins(2));
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "-");
}

#[test]
fn an_address_stays_under_an_mx_that_nobody_told_us_of() {
    let mut world = published("imap, smtp");
    world.zone(ZONE).edit("example.org MX", "60 10:smtp.example.org");
    world.edit(0, &file("imap"));
    world.pass(Duration::from_mins(5));
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), BOTH);
    world.zone(ZONE).edit("example.org MX", "-");
    world.pass(Duration::from_mins(2));
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "-");
}

#[test]
fn a_guard_that_never_holds_is_told() {
    let mut world = published("imap");
    world.node("node01", Down);
    let mut messages = 0;
    // Whatever is read, somebody is faster; or the view that is read is not the one that is updated.
    for _ in 0..200 {
        let now = world.now;
        if !world.us().start(now) {
            break;
        }
        if matches!(world.us().in_flight[0].1, Step::Write(_)) {
            messages += 1;
            let zone = name(ZONE);
            world.us().in_flight.clear();
            world.us().finish(now, &zone, Done::Write(Ok(Verdict::GuardFailed)));
        } else {
            world.finish(0, 0, Fate::Answered);
        }
    }
    assert!(messages < 10, "{messages} messages without a pause");
    assert_eq!(world.us().state(ZONE), ZoneState::Failing);
    assert!(world.us().error(ZONE).contains("match-clients"), "{}", world.us().error(ZONE));
}
