//! Sets of strangers in a zone that is ours.

use super::*;
use crate::rota::model::id;

fn foreign(world: &mut World) -> Vec<String> {
    world.us().zone(ZONE).foreign().keys().map(ToString::to_string).collect()
}

#[test]
fn a_strangers_set_in_a_zone_of_ours_is_left_and_the_rest_goes_on() {
    for theirs in ["3600 203.0.113.1", "60 192.0.2.10 203.0.113.1"] {
        let mut world = published("imap");
        world.zone(ZONE).edit("smtp.example.org A", theirs);
        let before = world.zone(ZONE).get("smtp.example.org A");
        world.edit(0, &file("imap, smtp, mx"));
        world.all(Up);
        world.pass(Duration::from_mins(20));
        assert_eq!(world.zone(ZONE).get("smtp.example.org A"), before);
        assert_eq!(world.zone(ZONE).get("example.org MX"), "10:node00.example.org 10:node01.example.org");
        assert_eq!(foreign(&mut world), ["smtp.example.org A"]);
        assert_eq!(world.us().state(ZONE), ZoneState::InSync);
        let told = world.us().told(Kind::RrsetForeign);
        assert!(told.len() == 1 && told[0].contains("rotad adopt smtp.example.org A"), "{told:?}");
        // Neither health, nor a restart, nor another edit makes it ours.
        world.node("node01", Down);
        let saved = world.us().remembered();
        world.restart(0, &file("imap, smtp, mx"), saved);
        world.node("node01", Down);
        world.pass(Duration::from_mins(20));
        world.edit(0, &file("imap"));
        world.pass(Duration::from_mins(20));
        assert_eq!(world.zone(ZONE).get("smtp.example.org A"), before);
        assert!(foreign(&mut world).is_empty());
        // Until somebody takes it over.
        world.edit(0, &file("imap, smtp"));
        world.pass(Duration::from_mins(2));
        let zone = name(ZONE);
        world.us().rota.adopt_set(&zone, id("smtp.example.org A"));
        world.pass(Duration::from_mins(2));
        assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "192.0.2.10");
        assert!(foreign(&mut world).is_empty());
        assert!(world.us().zone(ZONE).memory().owned.contains_key(&id("smtp.example.org A")));
    }
}

#[test]
fn what_was_ours_and_is_replaced_while_nobody_watches_is_put_back() {
    let file = file("imap, smtp");
    let mut world = published("imap, smtp");
    let saved = world.us().remembered();
    world.zone(ZONE).edit("smtp.example.org A", "60 203.0.113.1");
    world.restart(0, &file, saved);
    world.pass(Duration::from_mins(2));
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), BOTH);
    assert!(foreign(&mut world).is_empty());
}

#[test]
fn without_memory_known_data_are_ours_and_others_are_strangers() {
    let file = file("imap, smtp");
    let mut world = published("imap, smtp");
    world.zone(ZONE).edit("smtp.example.org A", "60 203.0.113.1");
    world.restart(0, &file, BTreeMap::new());
    world.node("node01", Down);
    world.pass(Duration::from_mins(2));
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10");
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "203.0.113.1");
    assert_eq!(foreign(&mut world), ["smtp.example.org A"]);
}

#[test]
fn what_stands_in_the_way_of_ours_is_listed_and_goes_when_it_is_taken_over() {
    for (theirs, content, service, ours) in [
        ("smtp.example.org CNAME", "60 hoster.example.net", "smtp", "smtp.example.org A"),
        ("pop3.example.org A", "60 203.0.113.1", "pop3", "pop3.example.org CNAME"),
        ("pop3.example.org MX", "60 10:mx.example.net", "pop3", "pop3.example.org CNAME"),
    ] {
        let mut world = published("imap");
        world.zone(ZONE).edit(theirs, content);
        let before = world.zone(ZONE).get(theirs);
        world.edit(0, &file(&format!("imap, {service}")));
        world.node("node01", Down);
        world.pass(Duration::from_mins(2));
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10");
        assert_eq!((foreign(&mut world), world.zone(ZONE).get(theirs)), (vec![theirs.to_owned()], before));
        assert_eq!(world.us().state(ZONE), ZoneState::Failing);
        let zone = name(ZONE);
        world.us().rota.adopt_set(&zone, id(theirs));
        world.pass(Duration::from_mins(2));
        assert_eq!(world.zone(ZONE).get(theirs), "-");
        assert_ne!(world.zone(ZONE).get(ours), "-");
        assert_eq!(world.us().state(ZONE), ZoneState::InSync, "{}", world.us().error(ZONE));
        assert!(foreign(&mut world).is_empty());
    }
}

#[test]
fn a_zone_that_is_adopted_is_adopted_whole_however_many_messages_that_takes() {
    let mut world = World::new(&file("imap, smtp, mx"));
    for set in ["imap.example.org A", "smtp.example.org A", "node00.example.org A"] {
        world.zone(ZONE).edit(set, "60 203.0.113.1");
    }
    world.run();
    assert_eq!(world.us().state(ZONE), ZoneState::Foreign);
    assert!(foreign(&mut world).is_empty(), "it is the zone that is foreign");
    // One name is refused: the others come in parts.
    world.bind.refused.insert(name("smtp.example.org"));
    world.us().rota.adopt_zone(ZONE);
    world.pass(Duration::from_mins(2));
    world.bind.refused.clear();
    world.pass(Duration::from_mins(2));
    assert_eq!(world.us().state(ZONE), ZoneState::InSync);
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), BOTH);
    assert_eq!(world.zone(ZONE).get("node00.example.org A"), "192.0.2.10");
}
