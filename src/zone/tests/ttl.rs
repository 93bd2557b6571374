//! A BIND that lowers TTLs.

use super::*;
use crate::{dns::Ttl, rota::model::id};

fn with_ttl(ttl: &str) -> Arc<Cluster> {
    cluster(&format!(
        "nodes: {{ node00: {{ addresses: [192.0.2.10] }}, node01: {{ addresses: [192.0.2.11] }} }}
checks: {{ imap: {{ kind: imap }} }}
services:
  imap: {{ publish: address, name: imap, checks: [imap], ttl: {ttl} }}
  smtp: {{ publish: address, name: smtp, checks: [imap], ttl: 30s }}
domains: {{ example.org: {{ services: [imap, smtp] }} }}
"
    ))
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
    // Health is followed.
    world.node("node01", Down);
    world.run();
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10");
    assert_eq!((world.us().state(ZONE), ttl(&mut world)), (ZoneState::InSync, 300));
    // What somebody lowers further is no limit of BIND's.
    world.zone(ZONE).edit("imap.example.org A", "60 192.0.2.10");
    world.pass(Duration::from_mins(2));
    assert_eq!((world.us().state(ZONE), ttl(&mut world)), (ZoneState::InSync, 300));
    // It is raised, and the next change shows that.
    world.bind.max_ttl = None;
    world.node("node01", Up);
    world.run();
    assert_eq!((world.us().state(ZONE), ttl(&mut world)), (ZoneState::InSync, 3600));
    assert!(world.us().told(Kind::TtlLimited).is_empty());
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
    // But a TTL that is lowered in the file below the limit is an edit of every set.
    let lower = zones("1m", "imap, smtp");
    world.pass(Duration::from_mins(2));
    world.edit(0, &lower);
    assert_ne!(*world.us().rota.cluster(), lower);
}
