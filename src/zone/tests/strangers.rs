//! Sets of strangers in a zone that is ours.

use super::*;
use crate::{
    control::Command,
    rota::{Reply, model::id},
};

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

/// What strangers have, and what the file gives there: each with the words that are told of it.
const STRANGERS: [(&str, &str, &str, &str, &str); 12] = [
    // Of the type of ours.
    ("smtp.example.org A", "60 203.0.113.1", "smtp", "smtp.example.org A", "holds 203.0.113.1"),
    ("node00.example.org A", "60 203.0.113.1", "mx", "node00.example.org A", "holds 203.0.113.1"),
    ("example.org MX", "60 10:mx.example.net", "mx", "example.org MX", "holds 10 mx.example.net."),
    ("pop3.example.org CNAME", "60 hoster.example.net", "pop3", "pop3.example.org CNAME", "holds hoster.example.net."),
    // An alias in the way of addresses.
    ("smtp.example.org CNAME", "60 hoster.example.net", "smtp", "smtp.example.org A", "a CNAME exists at that name"),
    ("smtp.example.org CNAME", "60 imap.example.net", "smtp", "smtp.example.org A", "a CNAME exists at that name"),
    ("*.example.org CNAME", "60 hoster.example.net", "any", "*.example.org A", "a CNAME exists at that name"),
    ("node00.example.org CNAME", "60 hoster.example.net", "mx", "node00.example.org A", "a CNAME exists at that name"),
    // The other way round, be the data those of a node or not.
    ("pop3.example.org A", "60 203.0.113.1", "pop3", "pop3.example.org CNAME", "the name has other records"),
    ("pop3.example.org A", "60 192.0.2.10", "pop3", "pop3.example.org CNAME", "the name has other records"),
    ("pop3.example.org AAAA", "60 2001:db8::7", "pop3", "pop3.example.org CNAME", "the name has other records"),
    ("pop3.example.org MX", "60 10:mx.example.net", "pop3", "pop3.example.org CNAME", "the name has other records"),
];

#[test]
fn whatever_type_strangers_have_is_foreign_alone_and_goes_when_it_is_taken_over() {
    for (theirs, content, service, ours, words) in STRANGERS {
        let mut world = published("imap");
        world.zone(ZONE).edit(theirs, content);
        let before = world.zone(ZONE).get(theirs);
        world.edit(0, &file(&format!("imap, {service}")));
        world.all(Up);
        world.node("node01", Down);
        world.pass(Duration::from_mins(20));
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10");
        assert_eq!((foreign(&mut world), world.zone(ZONE).get(theirs)), (vec![theirs.to_owned()], before));
        assert_eq!((world.us().state(ZONE), world.us().error(ZONE)), (ZoneState::InSync, ""), "{theirs}");
        let told = world.us().told(Kind::RrsetForeign);
        assert!(told.len() == 1 && told[0].starts_with(ours) && told[0].contains(words), "{told:?}");
        assert!(told[0].contains(&format!("rotad adopt {theirs}")), "{told:?}");
        let zone = name(ZONE);
        world.us().rota.adopt_set(&zone, id(theirs));
        world.pass(Duration::from_mins(2));
        assert!(theirs == ours || world.zone(ZONE).get(theirs) == "-");
        assert!(!["-", content.split_once(' ').unwrap().1].contains(&world.zone(ZONE).get(ours).as_str()), "{theirs}");
        assert_eq!(world.us().state(ZONE), ZoneState::InSync, "{}", world.us().error(ZONE));
        assert!(foreign(&mut world).is_empty());
    }
}

#[test]
fn types_that_are_not_managed_are_in_the_way_of_an_alias_and_stay() {
    for (types, is_told_of) in [("TXT", true), ("SRV", true), ("SRV, TXT", true), ("TXT", false)] {
        let mut world = published("imap");
        world.zone(ZONE).others.insert(name("pop3.example.org"), types.to_owned());
        world.zone(ZONE).serial += 1;
        world.bind.tells_part = !is_told_of;
        world.edit(0, &file("imap, pop3"));
        world.node("node01", Down);
        world.pass(Duration::from_mins(10));
        assert_eq!(world.zone(ZONE).get("imap.example.org A"), "192.0.2.10");
        assert_eq!(world.zone(ZONE).get("pop3.example.org CNAME"), "-");
        assert_eq!((world.us().state(ZONE), world.us().error(ZONE)), (ZoneState::InSync, ""), "{types} {is_told_of}");
        let names: Vec<_> = world.us().zone(ZONE).foreign_names().into_iter().map(ToString::to_string).collect();
        assert_eq!(names, ["pop3.example.org"]);
        let told = world.us().told(Kind::RrsetForeign);
        let words = if is_told_of { format!("({types}, which rotad never deletes)") } else { "ignored it".to_owned() };
        assert!(told.len() == 1 && told[0].contains(&words) && told[0].contains("take the "), "{told:?}");
        // Where it is seen, nothing is written for it, nor after a restart.
        let writes = world.sent.len();
        if is_told_of {
            let saved = world.us().remembered();
            world.restart(0, &file("imap, pop3"), saved);
            world.node("node01", Down);
            world.pass(Duration::from_hours(1));
            assert_eq!(world.sent.len(), writes);
        }
        world.zone(ZONE).others.clear();
        world.zone(ZONE).serial += 1;
        world.pass(Duration::from_mins(20));
        assert_eq!(world.zone(ZONE).get("pop3.example.org CNAME"), "imap.example.net");
        assert!(world.us().zone(ZONE).foreign_names().is_empty());
    }
}

#[test]
fn what_comes_into_the_way_just_before_our_message_is_foreign_too() {
    let mut world = published("imap");
    world.edit(0, &file("imap, smtp, pop3"));
    until_write(&mut world);
    world.zone(ZONE).edit("smtp.example.org CNAME", "60 hoster.example.net");
    world.zone(ZONE).others.insert(name("pop3.example.org"), "TXT".to_owned());
    world.finish(0, 0, Fate::Answered);
    world.pass(Duration::from_mins(2));
    assert_eq!((world.us().state(ZONE), world.us().error(ZONE)), (ZoneState::InSync, ""));
    assert_eq!(world.us().told(Kind::RrsetForeign).len(), 2);
    assert_eq!(world.us().zone(ZONE).foreign_names().len(), 2);
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

#[test]
fn who_takes_a_zone_over_while_nobody_is_up_does_not_take_what_strangers_put_there_later() {
    let mut world = World::new(&file("imap"));
    world.all(Down);
    world.zone(ZONE).generation = record("mail", "them", 4);
    world.run();
    assert_eq!(world.us().state(ZONE), ZoneState::Standby);
    world.us().rota.adopt_zone(ZONE);
    world.pass(Duration::from_mins(1));
    assert_eq!(world.zone(ZONE).record().unwrap().owner, "us");
    world.zone(ZONE).edit("imap.example.org A", "60 203.0.113.1");
    world.pass(Duration::from_mins(2));
    world.all(Up);
    world.pass(Duration::from_mins(20));
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "203.0.113.1");
    assert_eq!(world.us().zone(ZONE).foreign_names().len(), 1);
}

#[test]
fn a_hand_edit_that_cannot_be_put_back_is_told_with_the_cause_and_the_same_next_step() {
    for (service, ours, theirs, content, words) in [
        (
            "smtp",
            "smtp.example.org A",
            &["smtp.example.org CNAME"][..],
            "60 hoster.example.net",
            "from 192.0.2.10, 192.0.2.11 to nothing: it cannot be put back: a CNAME exists at that name, which rotad did not \
             publish (CNAME hoster.example.net.), and BIND ignores other records beside it: it is left as it is, and the rest \
             of the zone goes on; delete it (nsupdate: update delete smtp.example.org. TYPE), run `rotad adopt \
             smtp.example.org CNAME` to take it over, which deletes it (the key needs `grant KEY name smtp.example.org CNAME;` \
             for that), or take the name out of the file",
        ),
        (
            "pop3",
            "pop3.example.org CNAME",
            &["pop3.example.org A"],
            "60 203.0.113.1",
            "to nothing: it cannot be put back: the name has other records, which rotad did not publish (A 203.0.113.1), and \
             BIND ignores a CNAME beside them: it is left as it is, and the rest of the zone goes on; delete it (nsupdate: \
             update delete pop3.example.org. TYPE), run `rotad adopt pop3.example.org A` to take it over, which deletes it \
             (the key needs `grant KEY name pop3.example.org A;` for that), or take the name out of the file",
        ),
    ] {
        let mut world = published(&format!("imap, {service}"));
        world.zone(ZONE).edit(ours, "-");
        for id in theirs {
            world.zone(ZONE).edit(id, content);
        }
        world.pass(Duration::from_mins(2));
        let events = std::mem::take(&mut world.us().events);
        let of = |kind| events.iter().filter(move |event| event.kind == kind).map(|event| event.message.as_str());
        assert!(of(Kind::Drift).count() == 1 && of(Kind::Drift).all(|line| line.ends_with(words)), "{events:?}");
        let left = words.split_once("it cannot be put back: ").unwrap().1;
        assert!(of(Kind::RrsetForeign).any(|line| line == format!("{ours}: {left}")), "{events:?}");
        assert_eq!(foreign(&mut world), theirs);
    }
}

#[test]
fn a_hand_edit_is_not_said_to_be_put_back_while_nothing_is_written() {
    let mut world = published("imap, mx");
    let clocks = world.clocks();
    world.us().rota.obey(Command::Hold { seconds: None, by: None, reason: None }, clocks);
    world.zone(ZONE).edit("imap.example.org A", "60 203.0.113.1");
    world.pass(Duration::from_mins(2));
    let told = world.us().told(Kind::Drift);
    assert!(told[0].ends_with("to 203.0.113.1: it is put back once rotad may write again"), "{told:?}");
    // An exchange whose host is a stranger's alias by now waits for it.
    let mut world = published("mx");
    for set in ["example.org MX", "node00.example.org A", "node01.example.org A"] {
        world.zone(ZONE).edit(set, "-");
    }
    for host in ["node00", "node01"] {
        world.zone(ZONE).edit(&format!("{host}.example.org CNAME"), "60 hoster.example.net");
    }
    world.pass(Duration::from_mins(2));
    let told = world.us().told(Kind::Drift);
    let of = |name: &str| told.iter().find(|line| line.starts_with(name)).unwrap();
    assert!(of("example.org MX").ends_with("as soon as the names that it points to have an address again"), "{told:?}");
    assert!(of("node00.example.org A").contains("it cannot be put back: a CNAME exists at that name"), "{told:?}");
}

#[test]
fn what_was_taken_over_and_may_not_be_deleted_is_told_with_the_grant() {
    let mut world = published("imap");
    world.zone(ZONE).edit("smtp.example.org CNAME", "60 hoster.example.net");
    world.edit(0, &file("imap, smtp"));
    world.all(Up);
    world.pass(Duration::from_mins(2));
    world.bind.refused.insert(name("smtp.example.org"));
    let clocks = world.clocks();
    let adopt = Command::Adopt { what: vec!["smtp.example.org".to_owned()] };
    let (Reply::Now(answer), _) = world.us().rota.obey(adopt, clocks) else { panic!("it waits") };
    let needs = "is taken over, held hoster.example.net.; it is to be deleted, which the key must be allowed to: `grant KEY \
                 name smtp.example.org CNAME;`";
    assert!(answer.done && answer.words.ends_with(needs), "{}", answer.words);
    world.pass(Duration::from_secs(30));
    let error = world.us().error(ZONE).to_owned();
    assert!(error.contains("add `grant KEY name smtp.example.org CNAME;` and run `rndc reconfig`"), "{error}");
    assert!(error.starts_with("smtp.example.org A, smtp.example.org CNAME: named refuses (REFUSED)"), "{error}");
    // Deleted by hand: the A is another message now, and waits for nothing.
    world.bind.refused.clear();
    world.pass(Duration::from_mins(1));
    let mut world = published("imap");
    world.zone(ZONE).edit("smtp.example.org CNAME", "60 hoster.example.net");
    world.edit(0, &file("imap, smtp"));
    world.all(Up);
    world.pass(Duration::from_mins(2));
    world.bind.refused.insert(name("smtp.example.org"));
    let zone = name(ZONE);
    world.us().rota.adopt_set(&zone, id("smtp.example.org CNAME"));
    // After many tries it waits for up to a minute.
    world.pass(Duration::from_mins(20));
    world.bind.refused.clear();
    world.zone(ZONE).edit("smtp.example.org CNAME", "-");
    world.us().rota.read_all();
    world.run();
    assert_eq!(world.zone(ZONE).get("smtp.example.org A"), BOTH);
    assert_eq!(world.us().state(ZONE), ZoneState::InSync, "{}", world.us().error(ZONE));
}

#[test]
fn what_a_stranger_has_where_a_message_without_an_answer_was_to_write_is_left() {
    let mut world = published("smtp");
    world.edit(0, &file("imap, smtp"));
    until_write(&mut world);
    world.zone(ZONE).edit("imap.example.org A", "60 203.0.113.9");
    world.finish(0, 0, Fate::AnswerLost);
    world.pass(Duration::from_mins(3));
    assert_eq!(world.zone(ZONE).get("imap.example.org A"), "203.0.113.9");
    assert_eq!(foreign(&mut world).len(), 1);
}
