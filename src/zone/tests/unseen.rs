//! What somebody does to a set after we read it, and before our message comes.

use super::*;

#[test]
fn a_set_that_somebody_has_just_replaced_does_not_go_with_its_name() {
    for (by_hand, after) in [("60 203.0.113.1", "203.0.113.1"), (BOTH_AND_ANOTHER, "192.0.2.10 192.0.2.11 203.0.113.1")]
    {
        let mut world = published("imap, smtp");
        world.pass(Duration::from_secs(20));
        world.zone(ZONE).edit("smtp.example.org A", by_hand);
        world.edit(0, &file("imap"));
        world.node("node01", Down);
        world.pass(Duration::from_mins(2));
        assert_eq!(world.zone(ZONE).get("smtp.example.org A"), after);
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10");
        assert_eq!(world.us().state(ZONE), ZoneState::InSync);
    }
}

const BOTH_AND_ANOTHER: &str = "60 192.0.2.10 192.0.2.11 203.0.113.1";

#[test]
fn a_set_that_somebody_has_just_made_is_not_replaced() {
    let mut world = published("imap");
    world.edit(0, &file("imap, smtp"));
    until_write(&mut world);
    world.zone(ZONE).edit("smtp.example.org A", "60 203.0.113.1");
    world.finish(0, 0, Fate::Answered);
    world.node("node01", Down);
    world.pass(Duration::from_mins(2));
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "203.0.113.1");
    assert_eq!(world.us().zone(ZONE).foreign().len(), 1);
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10");
}

#[test]
fn what_somebody_did_to_a_set_that_is_replaced_whole_is_told() {
    let mut world = published("imap");
    world.node("node01", Down);
    world.pass(Duration::from_mins(2));
    world.zone(ZONE).edit("imap.example.org A", "60 203.0.113.1");
    world.us().events.clear();
    world.all(Up);
    world.node("node00", Down);
    world.run();
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.11");
    let told = world.us().told(Kind::Drift);
    assert!(told.len() == 1 && told[0].contains("from 192.0.2.10 to 203.0.113.1: it is put back"), "{told:?}");
}

/// A zone with a message that is not shown, and an edit that takes `smtp` out.
fn behind_with_an_edit(by_hand: Option<&str>) -> World {
    let mut world = published("imap, smtp");
    world.bind.fall_behind(&name(ZONE));
    world.node("node01", Down);
    world.run();
    if let Some(by_hand) = by_hand {
        world.zone(ZONE).edit("smtp.example.org A", by_hand);
    }
    world.edit(0, &file("imap"));
    world
}

#[test]
fn nothing_is_deleted_that_is_not_seen_as_it_is() {
    for (by_hand, after) in [(None, "-"), (Some("60 203.0.113.1"), "203.0.113.1")] {
        let mut world = behind_with_an_edit(by_hand);
        world.all(Up);
        world.pass(Duration::from_mins(1));
        assert_eq!(world.us().state(ZONE), ZoneState::Pending);
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), BOTH, "health is followed");
        assert_ne!(world.zone(ZONE).get("smtp.example.org A"), "-", "{by_hand:?}");
        world.bind.behind.clear();
        world.pass(Duration::from_secs(10));
        assert_eq!(world.zone(ZONE).get("smtp.example.org A"), after);
        assert_eq!(world.us().state(ZONE), ZoneState::InSync);
    }
}

#[test]
fn who_starts_beside_a_copy_that_is_behind_deletes_once_it_is_shown() {
    for (by_hand, after) in [(None, "-"), (Some("60 203.0.113.1"), "203.0.113.1")] {
        let mut world = published("imap, smtp");
        world.bind.fall_behind(&name(ZONE));
        let before = world.us().remembered();
        world.node("node01", Down);
        world.run();
        if let Some(by_hand) = by_hand {
            world.zone(ZONE).edit("smtp.example.org A", by_hand);
        }
        world.restart(0, &file("imap"), before);
        world.all(Up);
        world.pass(Duration::from_secs(30));
        assert_ne!(world.zone(ZONE).get("smtp.example.org A"), "-", "{by_hand:?}");
        world.bind.behind.clear();
        world.pass(Duration::from_mins(2));
        assert_eq!(world.zone(ZONE).get("smtp.example.org A"), after);
        assert_eq!(world.us().state(ZONE), ZoneState::InSync);
    }
}

#[test]
fn a_deletion_that_can_never_be_proved_is_told_and_writes_little() {
    let mut world = published("imap, smtp");
    // Whatever is written, readers see the set as it was: a view of another zone's data, say.
    let before = world.bind.zones[&name(ZONE)].clone();
    world.zone(ZONE).edit("smtp.example.org A", "60 203.0.113.1");
    world.edit(0, &file("imap"));
    let until = world.now + Duration::from_mins(10);
    while world.now < until {
        let mut shown = world.bind.zones[&name(ZONE)].clone();
        shown.rrsets.clone_from(&before.rrsets);
        world.bind.behind.insert(name(ZONE), shown);
        world.run();
        world.now = world.us().rota.wake_at().unwrap().max(world.now);
    }
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "203.0.113.1");
    assert!(world.sent.len() < 100, "{}", world.sent.len());
    assert!(world.us().error(ZONE).contains("NXRRSET"), "{}", world.us().error(ZONE));
}
