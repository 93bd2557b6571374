use std::time::Duration;

use crate::{
    health::State::Down,
    rota::model::{Fate, World, cluster},
    status::ZoneState,
    zone::Step,
};

const ZONE: &str = "example.org";
const FILE: &str = "nodes: { node00: { addresses: [192.0.2.10] }, node01: { addresses: [192.0.2.11] } }
checks: { imap: { kind: imap } }
services: { imap: { publish: address, name: imap, checks: [imap] } }
domains: { example.org: { services: [imap] } }
";

/// A world in which the zone is as it should be, and rotad starts again after `meanwhile`. The steps of its first
/// turns until it rests.
fn steps_after(meanwhile: impl FnOnce(&mut World)) -> (World, Vec<Step>) {
    let file = cluster(FILE);
    let mut world = World::new(&file);
    world.run();
    let remembered = world.us().remembered();
    meanwhile(&mut world);
    world.restart(0, &file, remembered);
    let mut steps = Vec::new();
    let now = world.now;
    while world.us().start(now) {
        steps.push(world.us().in_flight[0].1.clone());
        world.finish(0, 0, Fate::Answered);
    }
    assert_eq!(world.us().state(ZONE), ZoneState::InSync);
    (world, steps)
}

#[test]
fn a_zone_with_the_serial_that_it_was_left_with_is_known() {
    let (mut world, steps) = steps_after(|_| {});
    assert_eq!(steps, [Step::Serial]);
    // And well enough known to be written to.
    world.node("node01", Down);
    world.run();
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10");
    assert_eq!(world.zone(ZONE).record().unwrap().generation, 2);
}

#[test]
fn a_zone_that_moved_meanwhile_is_read() {
    let (mut world, steps) = steps_after(|world| world.zone(ZONE).edit("imap.example.org A", "60 203.0.113.1"));
    assert!(matches!(steps[..], [Step::Serial, Step::FirstRead { .. }, Step::Write(_), Step::Read(_)]), "{steps:?}");
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10 192.0.2.11");
}

#[test]
fn a_zone_that_seemed_known_is_read_within_a_quarter_of_an_hour() {
    let (mut world, _) = steps_after(|world| {
        let serial = world.zone(ZONE).serial;
        world.zone(ZONE).edit("imap.example.org A", "60 203.0.113.1");
        world.zone(ZONE).serial = serial;
    });
    world.pass(Duration::from_mins(16));
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10 192.0.2.11");
}

#[test]
fn a_zone_that_holds_more_than_ours_is_read() {
    let file = cluster(FILE);
    let mut world = World::new(&file);
    world.zone(ZONE).edit("imap.example.org AAAA", "60 2001:db8::99");
    world.run();
    assert_eq!(world.us().state(ZONE), ZoneState::InSync);
    assert!(world.us().zone(ZONE).memory().mark.is_none());
}
