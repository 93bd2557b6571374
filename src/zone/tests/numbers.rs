//! Generations: whose they are, and that they only grow.

use super::*;

#[test]
fn a_record_that_went_while_nobody_watched_does_not_make_generations_begin_anew() {
    for (what, left) in [("deleted", None), ("older", Some(1))] {
        let file = file("imap");
        let mut world = published("imap");
        for state in [Down, Up, Down, Up] {
            world.node("node01", state);
            world.run();
        }
        assert_eq!(world.zone(ZONE).record().unwrap().generation, 5);
        let saved = world.us().remembered();
        world.zone(ZONE).generation = left.map(|at| record("mail", "us", at)).unwrap_or_default();
        world.zone(ZONE).serial += 1;
        world.restart(0, &file, saved);
        world.pass(Duration::from_secs(5));
        assert_eq!(world.us().state(ZONE), ZoneState::InSync, "{what}");
        assert_eq!(world.zone(ZONE).record().unwrap().generation, 6, "{what}");
        assert_eq!(world.us().told(Kind::Drift).len(), usize::from(left.is_some()), "{what}");
        // And what is remembered does not go back either.
        assert_eq!(world.us().zone(ZONE).memory().generation, Some(6));
    }
}

#[test]
fn a_machine_restored_from_an_old_image_goes_on_from_what_it_finds() {
    for same_serial in [false, true] {
        let file = file("imap");
        let mut world = published("imap");
        let yesterday = world.us().remembered();
        let serial = world.zone(ZONE).serial;
        for state in [Down, Up, Down, Up, Down] {
            world.node("node01", state);
            world.run();
        }
        if same_serial {
            world.zone(ZONE).serial = serial;
        }
        world.restart(0, &file, yesterday);
        world.pass(Duration::from_mins(20));
        world.node("node01", Up);
        world.pass(Duration::from_mins(20));
        assert_eq!(world.us().state(ZONE), ZoneState::InSync, "{}", world.us().error(ZONE));
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), BOTH);
        assert!(world.us().told(Kind::ZoneStandby).is_empty());
    }
}

#[test]
fn a_generation_that_cannot_grow_is_foreign_until_the_record_is_deleted() {
    for cluster in ["mail", "web"] {
        for owner in ["us", "them"] {
            let mut world = published("imap");
            world.zone(ZONE).generation = record(cluster, owner, u64::MAX);
            world.zone(ZONE).serial += 1;
            world.pass(Duration::from_secs(61));
            world.node("node01", Down);
            world.pass(Duration::from_mins(20));
            assert_eq!((world.us().state(ZONE), world.sent.len()), (ZoneState::Foreign, 0));
            assert!(world.us().error(ZONE).contains("delete the TXT record at _rotad.example.org"));
            assert_eq!(world.zone(ZONE).get("imap.example.org A"), BOTH);
            // To take it over would not make it grow.
            world.us().rota.adopt_zone(ZONE);
            world.pass(Duration::from_mins(2));
            assert_eq!((world.us().state(ZONE), world.sent.len()), (ZoneState::Foreign, 0));
            world.zone(ZONE).generation.clear();
            world.zone(ZONE).serial += 1;
            world.pass(Duration::from_mins(2));
            assert_eq!(world.us().state(ZONE), ZoneState::InSync, "{}", world.us().error(ZONE));
            assert_eq!(world.zone(ZONE).record().unwrap().generation, 2);
        }
    }
}

#[test]
fn the_last_generation_but_one_is_written_once_more() {
    let mut world = published("imap");
    world.zone(ZONE).generation = record("mail", "us", u64::MAX - 1);
    let file = file("imap");
    world.restart(0, &file, BTreeMap::new());
    world.node("node01", Down);
    world.pass(Duration::from_mins(2));
    assert_eq!(world.sent.len(), 1);
    assert_eq!(world.us().state(ZONE), ZoneState::Foreign);
    // What the words advise helps, and after a restart too.
    for at_the_end in [u64::MAX - 1, u64::MAX] {
        world.zone(ZONE).generation = record("mail", "us", at_the_end);
        world.zone(ZONE).serial += 1;
        world.pass(Duration::from_mins(2));
        let saved = world.us().remembered();
        world.zone(ZONE).generation.clear();
        world.zone(ZONE).serial += 1;
        world.restart(0, &file, saved);
        let before = world.sent.len();
        world.pass(Duration::from_mins(20));
        assert_eq!(world.us().state(ZONE), ZoneState::InSync, "{}", world.us().error(ZONE));
        assert_eq!(world.sent.len(), before + 1);
        assert!(world.us().told(Kind::Drift).is_empty());
    }
    // A number that an earlier version remembered.
    let mut saved = world.us().remembered();
    for memory in saved.values_mut() {
        Arc::make_mut(memory).generation = Some(u64::MAX);
    }
    world.zone(ZONE).generation.clear();
    world.zone(ZONE).serial += 1;
    world.restart(0, &file, saved);
    let before = world.sent.len();
    world.pass(Duration::from_mins(20));
    assert_eq!((world.us().state(ZONE), world.sent.len()), (ZoneState::InSync, before + 1));
}

#[test]
fn a_serial_that_leaps_costs_one_reading_a_minute_and_not_one_a_message() {
    let mut world = published("imap, smtp");
    world.bind.leap = Some(7);
    let mut readings = 0;
    for round in 0..20 {
        world.node("node01", if round % 2 == 0 { Down } else { Up });
        let now = world.now;
        while world.us().start(now) {
            let was_written = world.us().zone(ZONE).has_something_to_read_back();
            readings += usize::from(!was_written && matches!(world.us().in_flight[0].1, Step::Read(_)));
            world.finish(0, 0, Fate::Answered);
        }
        world.now += Duration::from_secs(1);
    }
    assert_eq!((world.sent.len(), readings), (20, 0));
    // A hand edit beside one of them is seen within the minute all the same.
    world.zone(ZONE).edit("smtp.example.org A", "60 203.0.113.1");
    world.node("node01", Down);
    world.pass(Duration::from_secs(61));
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "192.0.2.10");
}

#[test]
fn a_set_beside_ours_that_is_other_than_believed_has_the_zone_read() {
    // freeze, delete a set by hand, thaw: the serial is as it was.
    let mut world = published("imap, smtp, mx");
    let serial = world.zone(ZONE).serial;
    world.zone(ZONE).edit("node00.example.org A", "-");
    world.zone(ZONE).edit("smtp.example.org A", "-");
    world.zone(ZONE).edit("imap.example.org AAAA", "60 2001:db8::99");
    world.zone(ZONE).serial = serial;
    world.node("node01", Down);
    world.run();
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "192.0.2.10");
    assert_eq!(world.zone(ZONE).get("node00.example.org A"), "192.0.2.10");
}

#[test]
fn a_zone_with_several_records_is_taken_over_and_goes_on_above_all_of_them() {
    let mut world = published("imap");
    let texts = [
        "v=1 cluster=mail owner=us generation=6",
        "v=1 cluster=web owner=them generation=9",
        "v=1 cluster=mail owner=us generation=18446744073709551615",
        "hello",
    ];
    world.zone(ZONE).generation = texts.iter().map(|text| Txt(vec![text.as_bytes().to_vec()])).collect();
    world.zone(ZONE).serial += 1;
    world.pass(Duration::from_mins(2));
    assert_eq!((world.us().state(ZONE), world.sent.len()), (ZoneState::Foreign, 0));
    world.us().rota.adopt_zone(ZONE);
    world.pass(Duration::from_mins(2));
    assert_eq!(world.us().state(ZONE), ZoneState::InSync, "{}", world.us().error(ZONE));
    assert_eq!(world.zone(ZONE).record().unwrap().generation, 10);
}
