//! What is read is older than what is updated: a signed copy, a secondary.

use super::*;

/// A published zone whose readers see it as it is now, whatever is written.
fn behind(services: &str) -> World {
    let mut world = published(services);
    world.bind.fall_behind(&name(ZONE));
    world
}

/// No line speaks of a rival, a copy of this machine or a backup, and the zone is no failing one.
fn expect_no_alarm(world: &mut World) {
    let alarms = [Kind::Drift, Kind::ZoneStandby, Kind::ZoneForeign, Kind::ZoneFailing];
    let told: Vec<_> = world.us().events.iter().filter(|event| alarms.contains(&event.kind)).collect();
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_message_that_is_not_shown_yet_is_neither_backup_nor_rival() {
    let mut world = behind("imap, smtp");
    world.node("node01", Down);
    world.pass(Duration::from_secs(4));
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10");
    assert_eq!(world.us().state(ZONE), ZoneState::Pending);
    // A change of plan does not wait for the copy.
    world.all(Up);
    world.node("node00", Down);
    world.run();
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.11");
    assert_eq!(world.sent.len(), 2);
    world.pass(Duration::from_millis(200));
    expect_no_alarm(&mut world);
    world.bind.behind.clear();
    world.pass(Duration::from_secs(6));
    assert_eq!((world.us().state(ZONE), world.sent.len()), (ZoneState::InSync, 2));
    expect_no_alarm(&mut world);
    // What became of both is told once.
    let told = world.us().told(Kind::Published);
    assert_eq!(told.len(), 2, "{told:?}");
    for (told, owner) in told.iter().zip(["imap", "smtp"]) {
        assert!(told.starts_with(&format!("{owner}.example.org A: removed 192.0.2.10 (node00")), "{told}");
        assert!(told.ends_with(", now 192.0.2.11 (generation 3)"), "{told}");
    }
}

#[test]
fn a_copy_that_shows_the_first_of_two_messages_is_still_behind() {
    let mut world = behind("imap");
    world.node("node01", Down);
    world.run();
    let first = world.bind.zones[&name(ZONE)].clone();
    world.node("node01", Up);
    world.run();
    world.bind.behind.insert(name(ZONE), first);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.us().state(ZONE), ZoneState::Pending);
    assert_eq!(world.us().told(Kind::Published).len(), 1, "what is shown is told");
    world.bind.behind.clear();
    world.pass(Duration::from_secs(6));
    assert_eq!((world.us().state(ZONE), world.sent.len()), (ZoneState::InSync, 2));
    expect_no_alarm(&mut world);
}

#[test]
fn of_a_copy_that_never_follows_no_more_is_kept_than_what_is_published_needs() {
    let mut world = behind("imap, smtp");
    let older = world.bind.behind[&name(ZONE)].clone();
    for round in 0..500 {
        world.node("node01", if round % 2 == 0 { Down } else { Up });
        world.bind.behind.insert(name(ZONE), older.clone());
        world.run();
        world.now += Duration::from_millis(100);
    }
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), BOTH);
    let zone = format!("{:?}", world.us().zone(ZONE));
    assert!(zone.matches("Sent {").count() <= 33, "{}", zone.matches("Sent {").count());
    // Once it follows, what is there is told once and known.
    world.us().events.clear();
    world.bind.behind.clear();
    world.pass(Duration::from_mins(1));
    assert_eq!(world.us().state(ZONE), ZoneState::InSync);
    expect_no_alarm(&mut world);
    let writes = world.sent.len();
    world.pass(Duration::from_mins(20));
    assert_eq!(world.sent.len(), writes);
}

#[test]
fn a_copy_that_needs_a_further_update_gets_one() {
    let mut world = behind("imap");
    world.bind.wakes = true;
    world.node("node01", Down);
    world.pass(Duration::from_secs(4));
    assert_eq!(world.sent.len(), 1);
    world.pass(Duration::from_secs(7));
    assert_eq!((world.us().state(ZONE), world.sent.len()), (ZoneState::InSync, 2));
    assert!(world.sent[1].update.changes.is_empty());
    expect_no_alarm(&mut world);
}

#[test]
fn a_copy_that_stays_behind_is_looked_at_with_a_back_off_and_told_once() {
    let mut world = behind("imap");
    world.node("node01", Down);
    let mut readings = 0;
    let until = world.now + Duration::from_mins(10);
    while world.now < until {
        let now = world.now;
        while world.us().start(now) {
            readings += usize::from(matches!(world.us().in_flight[0].1, Step::Read(_)));
            world.finish(0, 0, Fate::Answered);
        }
        world.now = world.us().rota.wake_at().unwrap();
    }
    assert!((20..200).contains(&readings), "{readings}");
    assert!(world.sent.len() < 10, "{} messages", world.sent.len());
    assert!(world.us().error(ZONE).contains("does not show it yet"), "{}", world.us().error(ZONE));
    expect_no_alarm(&mut world);
    let told = world.us().told(Kind::CopyBehind);
    assert!(told.len() == 1 && told[0].contains("inline-signing") && told[0].contains("secondary"), "{told:?}");
    world.bind.behind.clear();
    world.pass(Duration::from_secs(10));
    assert_eq!(world.us().told(Kind::ZoneRecovered), ["example.org: in sync again, was pending"]);
}

#[test]
fn a_lost_answer_and_a_copy_behind_are_settled_by_the_record_that_was_sent() {
    for wakes in [true, false] {
        let mut world = behind("imap");
        world.bind.wakes = wakes;
        world.node("node01", Down);
        until_write(&mut world);
        world.finish(0, 0, Fate::AnswerLost);
        world.pass(Duration::from_secs(30));
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10");
        world.node("node01", Up);
        world.pass(Duration::from_secs(30));
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), BOTH);
        world.bind.behind.clear();
        world.pass(Duration::from_secs(30));
        assert_eq!(world.us().state(ZONE), ZoneState::InSync);
        expect_no_alarm(&mut world);
    }
}

#[test]
fn who_starts_beside_a_copy_that_is_behind_goes_on_all_the_same() {
    // What was saved may be from before the message, or from after it.
    for saved_late in [false, true] {
        let file = file("imap");
        let mut world = behind("imap");
        let before = world.us().remembered();
        world.node("node01", Down);
        world.run();
        let saved = if saved_late { world.us().remembered() } else { before };
        world.restart(0, &file, saved);
        world.node("node01", Down);
        world.node("node00", Up);
        world.pass(Duration::from_secs(30));
        world.node("node01", Up);
        world.node("node00", Down);
        world.pass(Duration::from_secs(30));
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.11", "{saved_late}");
        expect_no_alarm(&mut world);
        world.bind.behind.clear();
        world.pass(Duration::from_mins(1));
        assert_eq!(world.us().state(ZONE), ZoneState::InSync, "{saved_late}");
    }
}

#[test]
fn what_people_do_to_a_zone_whose_copy_is_behind_does_not_stop_us() {
    // freeze, edit, thaw: the record is as it was, the set is not, and nobody can read that.
    let mut world = behind("imap");
    world.zone(ZONE).edit("imap.example.org A", "60 192.0.2.10 203.0.113.1");
    world.node("node01", Down);
    world.pass(Duration::from_secs(3));
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10");
    world.bind.behind.clear();
    world.pass(Duration::from_secs(10));
    assert_eq!(world.us().state(ZONE), ZoneState::InSync);
    expect_no_alarm(&mut world);
}

#[test]
fn a_backup_that_takes_an_acknowledged_message_back_is_told_and_made_up_for() {
    for change in [false, true] {
        let mut world = behind("imap");
        let backup = world.bind.zones.clone();
        world.node("node01", Down);
        world.pass(Duration::from_secs(1));
        world.bind.zones = backup;
        world.bind.behind.clear();
        if change {
            world.node("node01", Up);
            world.node("node00", Down);
        }
        world.pass(Duration::from_secs(if change { 1 } else { 10 }));
        let wanted = if change { "192.0.2.11" } else { "192.0.2.10" };
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), wanted);
        let told = world.us().told(Kind::Drift);
        assert!(told.len() == 1 && told[0].contains("went back from 2 to 1"), "{told:?}");
        assert_eq!(world.zone(ZONE).record().unwrap().generation, 3);
        assert_eq!(world.us().state(ZONE), ZoneState::InSync);
    }
}

#[test]
fn a_rival_that_takes_over_behind_an_old_copy_is_recognized_when_it_is_shown() {
    let mut world = behind("imap");
    world.node("node01", Down);
    world.pass(Duration::from_secs(1));
    world.zone(ZONE).generation = record("mail", "them", 9);
    world.bind.behind.clear();
    world.pass(Duration::from_secs(10));
    assert_eq!((world.us().state(ZONE), world.sent.len()), (ZoneState::Standby, 1));
}

#[test]
fn a_zone_that_is_taken_over_behind_an_old_copy_is_ours_at_once() {
    let mut world = World::new(&file("imap"));
    world.zone(ZONE).generation = record("mail", "them", 9);
    world.bind.fall_behind(&name(ZONE));
    world.run();
    assert_eq!(world.us().state(ZONE), ZoneState::Standby);
    world.us().rota.adopt_zone(ZONE);
    world.pass(Duration::from_secs(3));
    assert_eq!((world.us().state(ZONE), world.sent.len()), (ZoneState::Pending, 1));
    world.bind.behind.clear();
    world.pass(Duration::from_secs(10));
    assert_eq!((world.us().state(ZONE), world.sent.len()), (ZoneState::InSync, 1));
}

#[test]
fn what_we_wrote_and_cannot_read_yet_is_no_strangers_data_after_an_edit() {
    let with = |last: u8, services: &str| {
        cluster(&format!(
            "nodes: {{ node00: {{ addresses: [192.0.2.10] }}, node01: {{ addresses: [192.0.2.{last}] }} }}
checks: {{ imap: {{ kind: imap }} }}
services:
  imap: {{ publish: address, name: imap, checks: [imap] }}
  smtp: {{ publish: address, name: smtp, checks: [imap] }}
domains: {{ example.org: {{ services: [{services}] }} }}
"
        ))
    };
    for fate in [Fate::Answered, Fate::AnswerLost] {
        let mut world = World::new(&with(11, "imap"));
        world.run();
        world.bind.fall_behind(&name(ZONE));
        world.edit(0, &with(11, "imap, smtp"));
        until_write(&mut world);
        world.finish(0, 0, fate);
        world.pass(Duration::from_secs(1));
        assert_eq!(world.zone(ZONE).get("smtp.example.org A"), BOTH);
        world.edit(0, &with(12, "imap, smtp"));
        world.all(Up);
        world.pass(Duration::from_mins(1));
        assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "192.0.2.10 192.0.2.12", "{fate:?}");
        world.bind.behind.clear();
        world.pass(Duration::from_mins(1));
        assert!(world.us().zone(ZONE).foreign().is_empty());
        assert_eq!(world.us().state(ZONE), ZoneState::InSync, "{fate:?}");
    }
}

#[test]
fn what_strangers_put_where_nobody_sees_it_is_written_over_by_nothing_of_ours() {
    // A set that is created, and one that is taken over because it holds data of our nodes.
    for (before, is_pending) in [("-", true), ("-", false), ("60 192.0.2.10", true), ("60 192.0.2.10", false)] {
        let mut world = published("imap");
        world.zone(ZONE).edit("smtp.example.org A", before);
        world.pass(Duration::from_mins(2));
        world.bind.fall_behind(&name(ZONE));
        if is_pending {
            world.node("node01", Down);
            world.run();
        }
        world.zone(ZONE).edit("smtp.example.org A", "60 203.0.113.9");
        world.edit(0, &file("imap, smtp"));
        world.all(Up);
        world.node("node00", Down);
        world.pass(Duration::from_mins(2));
        assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "203.0.113.9", "{before} {is_pending}");
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.11", "health is followed");
        world.bind.behind.clear();
        world.pass(Duration::from_mins(1));
        assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "203.0.113.9", "{before} {is_pending}");
        assert!(world.us().zone(ZONE).foreign().contains_key(&crate::rota::model::id("smtp.example.org A")));
        assert_eq!(world.us().state(ZONE), ZoneState::InSync);
        // Nobody else's data: it comes as soon as the copy shows that.
        world.zone(ZONE).edit("smtp.example.org A", "-");
        world.pass(Duration::from_mins(2));
        assert_eq!(world.zone(ZONE).get("smtp.example.org A"), "192.0.2.11", "{before} {is_pending}");
    }
}

#[test]
fn what_stands_in_each_others_way_waits_together() {
    // A backup behind a message that is not shown yet can leave an alias beside the addresses that it took the place of.
    let change = |of: &str, before: Option<&str>, after: Option<&str>| {
        let id = crate::rota::model::id(of);
        let set = |text: Option<&str>| text.map(|text| crate::rota::model::rrset(id.rtype, text));
        Change { before: set(before), after: set(after), id: id.clone() }
    };
    let alias = || change("pop3.example.org CNAME", Some("60 imap.example.net"), Some("30 imap.example.net"));
    let address = || change("pop3.example.org A", Some("60 192.0.2.10"), None);
    let other = || change("imap.example.org A", Some("60 192.0.2.10"), Some("60 192.0.2.11"));
    let v6 = || change("imap.example.org AAAA", Some("60 2001:db8::1"), None);
    let zone = published("imap, pop3").us().rota.zones()[ZONE].memory().clone();
    let zone = Zone::new(name(ZONE), zone);
    for (exact, changes, left) in [
        (true, vec![alias(), address(), other(), v6()], 4),
        (false, vec![alias(), address()], 0),
        (false, vec![alias(), other(), v6()], 2),
        (false, vec![other(), address()], 1),
    ] {
        let attempt = Attempt { guard: GenerationRrset::Absent, exact };
        let mut plan = Plan { changes, ..Plan::default() };
        let is_put_off = zone.puts_off(&crate::rota::model::identity("us"), &attempt, &mut plan);
        assert_eq!((plan.changes.len(), is_put_off), (left, !exact), "{plan:?}");
    }
}
