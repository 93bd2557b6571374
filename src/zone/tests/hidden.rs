//! What a DNAME, a delegation or a zone below hides.

use super::*;

#[test]
fn what_is_hidden_is_left_and_told_and_the_rest_goes_on() {
    let mut world = published("imap, smtp, mx");
    let owned = world.us().zone(ZONE).memory().owned.clone();
    world.zone(ZONE).cuts.extend([name("smtp.example.org"), name("node01.example.org")]);
    world.zone(ZONE).serial += 1;
    world.pass(Duration::from_mins(2));
    assert_eq!(world.us().state(ZONE), ZoneState::Failing);
    let error = world.us().error(ZONE).to_owned();
    for part in ["smtp.example.org A lies at or below smtp.example.org", "node01.example.org A", "take the name out"] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(world.us().told(Kind::ZoneFailing).len(), 1);
    // The rest follows; the exchange that is hidden goes with its node, and comes back.
    world.node("node01", Down);
    world.pass(Duration::from_mins(2));
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10");
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), BOTH);
    assert_eq!(world.zone(ZONE).get("example.org MX"), "10:node00.example.org");
    world.node("node00", Down);
    world.node("node01", Up);
    world.pass(Duration::from_mins(2));
    assert_eq!(world.zone(ZONE).get("example.org MX"), "10:node01.example.org");
    world.node("node00", Up);
    world.pass(Duration::from_mins(2));
    assert_eq!(world.us().told(Kind::ZoneFailing), Vec::<String>::new());
    assert_eq!(world.us().zone(ZONE).memory().owned, owned, "nothing is forgotten");
    // Without a new serial, as when a zone below goes away.
    world.zone(ZONE).cuts.clear();
    world.pass(Duration::from_mins(2));
    assert_eq!(world.us().state(ZONE), ZoneState::InSync);
    assert_eq!(world.us().told(Kind::Drift), Vec::<String>::new());
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), BOTH);
}

#[test]
fn an_exchange_that_named_would_refuse_is_not_added_and_the_others_come_and_go() {
    let mut world = World::new(&file("imap, mx"));
    world.zone(ZONE).cuts.insert(name("node01.example.org"));
    world.run();
    assert_eq!(world.zone(ZONE).get("example.org MX"), "10:node00.example.org");
    let error = world.us().error(ZONE).to_owned();
    assert!(error.contains("example.org MX: node01.example.org is not added, for it lies at or below"), "{error}");
    // All that is left is refused: the set stays as it is.
    world.node("node00", Down);
    world.pass(Duration::from_mins(2));
    assert_eq!(world.zone(ZONE).get("example.org MX"), "10:node00.example.org");
    world.node("node00", Up);
    world.zone(ZONE).cuts.clear();
    world.pass(Duration::from_mins(2));
    assert_eq!(world.zone(ZONE).get("example.org MX"), "10:node00.example.org 10:node01.example.org");
    assert_eq!(world.us().state(ZONE), ZoneState::InSync);
}

#[test]
fn the_serial_does_not_tell_what_is_hidden_so_each_start_reads_it() {
    let file = file("imap, smtp");
    let mut world = published("imap, smtp");
    world.zone(ZONE).cuts.insert(name("smtp.example.org"));
    world.zone(ZONE).edit("smtp.example.org A", "60 203.0.113.9");
    world.pass(Duration::from_mins(2));
    let saved = world.us().remembered();
    assert_eq!(saved[&name(ZONE)].mark, None);
    // Without a new serial.
    world.zone(ZONE).cuts.clear();
    world.restart(0, &file, saved);
    world.run();
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), BOTH);
    assert_eq!(world.us().state(ZONE), ZoneState::InSync);
}

#[test]
fn what_becomes_hidden_while_it_is_written_is_no_trouble_of_ours() {
    let mut world = published("imap, smtp");
    world.node("node01", Down);
    until_write(&mut world);
    world.finish(0, 0, Fate::Answered);
    world.zone(ZONE).cuts.insert(name("smtp.example.org"));
    world.run();
    let error = world.us().error(ZONE).to_owned();
    assert!(error.starts_with("smtp.example.org A lies at or below") && !error.contains("NOERROR"), "{error}");
    world.zone(ZONE).cuts.clear();
    world.node("node01", Up);
    world.pass(Duration::from_mins(2));
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), BOTH);
    assert_eq!(world.us().state(ZONE), ZoneState::InSync);
}

#[test]
fn a_zone_is_taken_over_beside_what_is_hidden() {
    let mut world = World::new(&file("imap, smtp"));
    world.zone(ZONE).edit("smtp.example.org A", "60 203.0.113.1");
    world.zone(ZONE).cuts.insert(name("smtp.example.org"));
    world.run();
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), BOTH);
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "203.0.113.1");
    assert_eq!(world.us().state(ZONE), ZoneState::Failing);
    assert!(world.sent.iter().all(|sent| sent.update.changes.iter().all(|c| c.id.owner != name("smtp.example.org"))));
}
