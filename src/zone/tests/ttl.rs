//! A BIND that lowers TTLs.

use super::*;
use crate::{control::Command, dns::Ttl, rota::model::id};

fn with_ttl(ttl: &str) -> Arc<Cluster> {
    cluster(&with_ttl_text(ttl))
}

fn with_ttl_text(ttl: &str) -> String {
    format!(
        "nodes: {{ node00: {{ addresses: [192.0.2.10] }}, node01: {{ addresses: [192.0.2.11] }} }}
checks: {{ imap: {{ kind: imap }} }}
services:
  imap: {{ publish: address, name: imap, checks: [imap], ttl: {ttl} }}
  smtp: {{ publish: address, name: smtp, checks: [imap], ttl: 30s }}
domains: {{ example.org: {{ services: [imap, smtp] }} }}
"
    )
}

fn ttl(world: &mut World) -> u32 {
    world.zone(ZONE).rrsets[&id("imap.example.org A")].ttl.0
}

#[test]
fn a_ttl_that_bind_lowers_is_told_once_and_taken_as_right() {
    let file = with_ttl("1h");
    let mut world = World::new(&file);
    world.bind.max_ttl = Some(Ttl(300));
    world.run();
    assert_eq!((world.us().state(ZONE), world.sent.len()), (ZoneState::InSync, 1));
    world.pass(Duration::from_hours(1));
    assert_eq!((world.us().state(ZONE), world.sent.len()), (ZoneState::InSync, 1));
    let told = world.us().told(Kind::TtlLimited);
    assert!(told.len() == 1 && told[0].contains("max-zone-ttl"), "{told:?}");
    // Not after a restart either.
    for remembers in [true, false] {
        let saved = if remembers { world.us().remembered() } else { BTreeMap::new() };
        let writes = world.sent.len();
        world.restart(0, &file, saved);
        world.pass(Duration::from_hours(1));
        assert_eq!(world.sent.len() - writes, usize::from(!remembers));
        assert_eq!(world.us().told(Kind::TtlLimited).len(), usize::from(!remembers));
    }
    // Health is followed, and that is no change of the TTL.
    world.node("node01", Down);
    until_write(&mut world);
    world.finish(0, 0, Fate::Answered);
    world.run();
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10");
    assert_eq!((world.us().state(ZONE), ttl(&mut world)), (ZoneState::InSync, 300));
    let change = world.sent.last().unwrap().update.changes[0].clone();
    assert_eq!(change.before.unwrap().ttl, change.after.unwrap().ttl);
    let told = world.us().told(Kind::Published);
    assert!(told[0].ends_with("(node01 imap is down), now 192.0.2.10 (generation 3)"), "{told:?}");
    // What somebody lowers further is no limit of BIND's.
    world.zone(ZONE).edit("imap.example.org A", "60 192.0.2.10");
    world.pass(Duration::from_mins(2));
    assert_eq!((world.us().state(ZONE), ttl(&mut world)), (ZoneState::InSync, 300));
    let told = world.us().told(Kind::Drift);
    assert!(told[0].contains("from TTL 300 to TTL 60: it is put back"), "{told:?}");
    // It is raised, and `sync` tries.
    world.bind.max_ttl = None;
    world.us().rota.begin_all_anew();
    world.run();
    assert_eq!((world.us().state(ZONE), ttl(&mut world)), (ZoneState::InSync, 3600));
    assert!(world.us().told(Kind::TtlLimited).is_empty());
    world.node("node01", Up);
    world.pass(Duration::from_hours(1));
    assert_eq!((world.us().state(ZONE), ttl(&mut world)), (ZoneState::InSync, 3600));
}

/// A world in which BIND lowers the TTL of an hour to five minutes, which is known.
fn limited() -> World {
    let mut world = World::new(&with_ttl("1h"));
    world.bind.max_ttl = Some(Ttl(300));
    world.run();
    assert_eq!(world.us().zone(ZONE).memory().ttl_limit, Some(Ttl(300)));
    world.us().events.clear();
    world.sent.clear();
    world
}

#[test]
fn a_ttl_that_somebody_lowers_before_it_is_read_back_is_no_limit() {
    for (is_limited, by_hand) in [(false, 300), (true, 60)] {
        let mut world = if is_limited { limited() } else { World::new(&with_ttl("1h")) };
        world.run();
        world.us().events.clear();
        world.node("node01", Down);
        until_write(&mut world);
        world.finish(0, 0, Fate::Answered);
        world.zone(ZONE).edit("imap.example.org A", &format!("{by_hand} 192.0.2.10"));
        world.run();
        let right = if is_limited { 300 } else { 3600 };
        assert_eq!((world.us().state(ZONE), ttl(&mut world)), (ZoneState::InSync, right));
        assert_eq!(world.us().zone(ZONE).memory().ttl_limit, is_limited.then_some(Ttl(300)));
        let told = world.us().told(Kind::TtlLimited);
        assert!(told.is_empty(), "{told:?}");
        world.node("node01", Up);
        world.pass(Duration::from_mins(20));
        assert_eq!((world.us().state(ZONE), ttl(&mut world)), (ZoneState::InSync, right));
    }
}

#[test]
fn where_the_serial_proves_nothing_bind_is_asked_once_more() {
    // A serial that is a date, and a limit that is lowered later.
    let file = with_ttl("1h");
    let mut world = World::new(&file);
    (world.bind.max_ttl, world.bind.leap) = (Some(Ttl(300)), Some(1000));
    world.pass(Duration::from_hours(1));
    assert_eq!((world.us().state(ZONE), world.sent.len(), ttl(&mut world)), (ZoneState::InSync, 2, 300));
    assert_eq!(world.us().told(Kind::TtlLimited).len(), 1);
    world.bind.max_ttl = Some(Ttl(120));
    world.node("node01", Down);
    world.pass(Duration::from_hours(1));
    assert_eq!((world.us().state(ZONE), ttl(&mut world)), (ZoneState::InSync, 120));
    assert_eq!(world.us().zone(ZONE).memory().ttl_limit, Some(Ttl(120)));
    assert!(world.sent.len() <= 5, "{}", world.sent.len());
}

#[test]
fn a_ttl_that_rises_above_the_limit_shows_that_there_is_none() {
    let mut world = limited();
    world.bind.max_ttl = None;
    world.zone(ZONE).edit("imap.example.org A", "1800 192.0.2.10 192.0.2.11");
    world.pass(Duration::from_mins(2));
    assert_eq!((world.us().state(ZONE), ttl(&mut world)), (ZoneState::InSync, 3600));
    assert_eq!(world.us().zone(ZONE).memory().ttl_limit, None);
}

#[test]
fn what_stood_with_its_ttl_before_the_limit_is_right_until_it_is_written() {
    let mut world = World::new(&with_ttl("1h"));
    world.run();
    world.bind.max_ttl = Some(Ttl(300));
    // A set that is new is lowered; the other stands as it was.
    world.zone(ZONE).edit("smtp.example.org A", "-");
    let higher = cluster(&with_ttl_text("1h").replace("30s", "30m"));
    world.edit(0, &higher);
    world.pass(Duration::from_mins(2));
    assert_eq!(world.us().zone(ZONE).memory().ttl_limit, Some(Ttl(300)));
    assert_eq!((world.us().state(ZONE), ttl(&mut world)), (ZoneState::InSync, 3600));
    let writes = world.sent.len();
    world.pass(Duration::from_hours(1));
    assert_eq!(world.sent.len(), writes);
    // Behind a copy that shows the first of two messages it is known with the TTL that BIND gave it.
    world.bind.fall_behind(&name(ZONE));
    let lower = cluster(&with_ttl_text("1h").replace("30s", "10s"));
    world.edit(0, &lower);
    world.run();
    world.us().events.clear();
    let first = world.bind.zones[&name(ZONE)].clone();
    world.node("node01", Down);
    world.run();
    world.bind.behind.insert(name(ZONE), first);
    world.pass(Duration::from_millis(100));
    assert_eq!(world.us().told(Kind::Published).len(), 1, "what is shown is told");
    let seen = world.us().zone(ZONE).seen.as_ref().unwrap();
    assert_eq!(seen.rrsets[&id("imap.example.org A")].ttl, Ttl(300));
    world.bind.behind.clear();
    world.pass(Duration::from_mins(1));
    assert_eq!((world.us().state(ZONE), ttl(&mut world)), (ZoneState::InSync, 300));
    assert!(world.us().told(Kind::Drift).is_empty());
}

#[test]
fn an_edit_is_judged_by_what_it_changes_and_not_by_what_bind_lowers_or_refuses() {
    let zones = |ttl: &str, services: &str| {
        let domains: Vec<_> = (0..12).map(|at| format!("d{at:02}.test: {{ services: [{services}] }}")).collect();
        cluster(&format!(
            "nodes: {{ node00: {{ addresses: [192.0.2.10] }}, node01: {{ addresses: [192.0.2.11] }} }}
checks: {{ imap: {{ kind: imap }} }}
services:
  imap: {{ publish: address, name: imap, checks: [imap], ttl: {ttl} }}
  smtp: {{ publish: address, name: smtp, checks: [imap], ttl: 30s }}
  pop: {{ publish: address, name: pop, checks: [imap], ttl: 30s }}
domains:
  {}
",
            domains.join("\n  ")
        ))
    };
    let mut world = World::new(&zones("1h", "imap"));
    world.bind.max_ttl = Some(Ttl(300));
    world.pass(Duration::from_mins(2));
    let larger = zones("1h", "imap, smtp");
    world.edit(0, &larger);
    assert!(*world.us().rota.cluster() == larger, "a larger file is no edit of what is there");
    // Nor is what a dead node leaves behind while nothing may be written.
    world.pass(Duration::from_mins(2));
    let clocks = world.clocks();
    world.us().rota.obey(Command::Hold { seconds: None, by: None, reason: None }, clocks);
    world.node("node01", Down);
    world.run();
    let other = zones("1h", "imap, smtp, pop");
    world.edit(0, &other);
    assert!(*world.us().rota.cluster() == other, "a TTL that BIND lowers counts for no edit");
    // But a TTL that is lowered in the file below the limit is an edit of every set.
    let lower = zones("1m", "imap, smtp, pop");
    world.pass(Duration::from_mins(2));
    world.edit(0, &lower);
    assert_ne!(*world.us().rota.cluster(), lower);
}
