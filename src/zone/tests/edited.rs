//! What somebody does to a set between our message and the reading that shows it.

use super::*;

/// A zone in which a message to `imap` was acknowledged, and then somebody edits the set before it is read back.
fn edited_before_it_is_shown(before: &str, by_hand: &str) -> World {
    let mut world = published("imap");
    if before != BOTH {
        world.node("node01", Down);
        world.run();
    }
    world.us().events.clear();
    world.bind.fall_behind(&name(ZONE));
    world.node("node01", if before == BOTH { Down } else { Up });
    world.run();
    world.zone(ZONE).edit("imap.example.org A", by_hand);
    world.bind.behind.clear();
    world.pass(Duration::from_secs(6));
    assert_eq!((world.us().state(ZONE), world.us().error(ZONE)), (ZoneState::InSync, ""), "{by_hand}");
    world
}

#[test]
fn what_somebody_makes_of_a_set_before_it_is_read_back_is_told_and_put_back_at_once() {
    for (before, by_hand, from, to) in [
        (BOTH, "60 203.0.113.4", "192.0.2.10", "203.0.113.4"),
        (BOTH, "60 192.0.2.10 203.0.113.4", "192.0.2.10", "192.0.2.10, 203.0.113.4"),
        (BOTH, "-", "192.0.2.10", "nothing"),
        (BOTH, "300 192.0.2.10", "TTL 60", "TTL 300"),
        ("192.0.2.10", "60 203.0.113.4", "192.0.2.10, 192.0.2.11", "203.0.113.4"),
    ] {
        let mut world = edited_before_it_is_shown(before, by_hand);
        let right = if before == BOTH { "192.0.2.10" } else { BOTH };
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), right, "{by_hand}");
        assert_eq!(world.zone(ZONE).rrsets[&id("imap.example.org A")].ttl.0, 60);
        let told = world.us().told(Kind::Drift);
        let words = format!("from {from} to {to}: it is put back");
        assert!(told.len() == 1 && told[0].contains(&words), "{words}: {told:?}");
    }
}

#[test]
fn part_of_a_set_that_is_gone_before_it_is_read_back_is_written_once_more() {
    let mut world = edited_before_it_is_shown("192.0.2.10", "60 192.0.2.11");
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), BOTH);
}

#[test]
fn a_new_set_that_somebody_replaces_before_it_is_read_back_is_ours() {
    let mut world = published("imap");
    world.bind.fall_behind(&name(ZONE));
    world.edit(0, &file("imap, smtp"));
    world.run();
    world.zone(ZONE).edit("smtp.example.org A", "60 203.0.113.4");
    world.bind.behind.clear();
    world.pass(Duration::from_secs(6));
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), BOTH);
    assert_eq!(world.us().state(ZONE), ZoneState::InSync);
}

#[test]
fn what_somebody_puts_where_ours_was_just_deleted_stays() {
    let mut world = published("imap, smtp");
    until_the_deletion(&mut world);
    world.zone(ZONE).edit("smtp.example.org A", "60 203.0.113.4");
    world.pass(Duration::from_mins(20));
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "203.0.113.4");
    assert_eq!((world.us().state(ZONE), world.us().error(ZONE)), (ZoneState::InSync, ""));
    world.edit(0, &file("imap, smtp"));
    world.pass(Duration::from_mins(2));
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "203.0.113.4", "by then it is a stranger's");
}

/// The message that deletes `smtp` is acknowledged, and not read back.
fn until_the_deletion(world: &mut World) {
    world.edit(0, &file("imap"));
    until_write(world);
    world.finish(0, 0, Fate::Answered);
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "-");
}
