use std::sync::Arc;

use super::*;
use crate::{
    health::{Health, State, Trial},
    io::clock,
    rota::model::{cluster, targets},
};

/// Two services of two nodes with a check each.
const BEFORE: &str = "nodes: { n0: { addresses: [192.0.2.10] }, n1: { addresses: [192.0.2.11] } }
checks: { imap: { kind: imap }, smtp: { kind: smtp } }
services:
  imap: { publish: address, name: imap, checks: [imap] }
  smtp: { publish: address, name: smtp, checks: [smtp] }
domains: { a.test: { services: [imap, smtp] } }
";

/// The services that settle after an edit of that file.
fn after(edit: &dyn Fn(&str) -> String) -> Vec<String> {
    let (old, new) = (cluster(BEFORE), cluster(&edit(BEFORE)));
    let mut settling = Settling::default();
    settling.edited(&old, &new);
    settling.0.keys().map(ToString::to_string).collect()
}

#[test]
fn a_service_settles_when_what_is_asked_of_its_members_changes() {
    for (what, from, to, services) in [
        ("nothing", "", "", &[][..]),
        ("a port", "{ kind: imap }", "{ kind: imap, port: 144 }", &["imap"]),
        ("times", "{ kind: imap }", "{ kind: imap, timeout: 1s }", &["imap"]),
        ("another check", "name: imap, checks: [imap]", "name: imap, checks: [smtp]", &["imap"]),
        ("one more check", "name: imap, checks: [imap]", "name: imap, checks: [imap, smtp]", &["imap"]),
        ("one check less", "name: imap, checks: [imap]", "name: imap", &[]),
        ("a new service", "services:", "services:\n  two: { publish: address, name: two, checks: [imap] }", &["two"]),
        ("a new node", "nodes: {", "nodes: { n2: { addresses: [192.0.2.12] },", &[]),
        ("another address", "192.0.2.11", "192.0.2.99", &["imap", "smtp"]),
        ("one more address", "[192.0.2.11]", "[192.0.2.11, 192.0.2.99]", &["imap", "smtp"]),
        ("a drained node", "[192.0.2.11]", "[192.0.2.11], admin_state: drain", &[]),
        ("a TTL", "name: imap,", "name: imap, ttl: 5m,", &[]),
    ] {
        assert_eq!(after(&|yaml| yaml.replacen(from, to, 1)), services, "{what}");
    }
}

#[test]
fn a_service_settles_when_it_takes_a_set_over() {
    let also = |publish: &str| format!("services:\n  two: {{ publish: {publish}, checks: [smtp] }}");
    let with = |publish: &str| {
        BEFORE.replacen("services:", &also(publish), 1).replace("domains: {", "domains: { b.test: { services: [two] },")
    };
    let imap = with("address, name: imap");
    let switch = "services: [imap, smtp]";
    for (what, before, edits, services) in [
        ("of the same domain", imap.as_str(), &[(switch, "services: [two, smtp]")][..], &["two"][..]),
        ("at a name of its own", &with("address, name: two"), &[(switch, "services: [imap, smtp, two]")], &[]),
        (
            "by its name",
            &with("address, name: two").replace(switch, "services: [imap, two]"),
            &[("name: imap", "name: old"), ("name: two", "name: imap")],
            &["two"],
        ),
        (
            "of a domain above",
            &with("address, name: imap.a"),
            &[("a.test: {", "test: { services: [two] }, c.test: {")],
            &["two"],
        ),
        (
            "that it had together with another one",
            &imap.replace(switch, "services: [imap, two, smtp]"),
            &[("services: [imap, two, smtp]", "services: [two, smtp]")],
            &["two"],
        ),
        ("that another one gives as well from now on", &imap, &[(switch, "services: [imap, two, smtp]")], &["two"]),
        ("of a domain that is new", &imap, &[("domains: {", "domains: { c.test: { services: [two] },")], &[]),
        (
            "as nobody before",
            &imap.replace("b.test: { services: [two] },", ""),
            &[("domains: {", "domains: { c.test: { services: [two] },")],
            &["two"],
        ),
        ("for other nodes", &imap, &[(switch, "services: [imap, smtp], nodes: [n0]")], &[]),
    ] {
        let edited = edits.iter().fold(before.to_owned(), |yaml, (from, to)| {
            assert!(yaml.contains(from), "{what}: {from}");
            yaml.replacen(from, to, 1)
        });
        let mut settling = Settling::default();
        settling.edited(&cluster(before), &cluster(&edited));
        assert_eq!(settling.0.keys().map(ToString::to_string).collect::<Vec<_>>(), services, "{what}");
    }
}

#[test]
fn a_service_settles_when_its_plugin_is_told_something_else_of_a_node() {
    let before =
        BEFORE.replace("imap: { kind: imap }", "imap: { kind: exec, command: [/p, \"{index}\", \"{address}\"] }");
    for (what, from, to, services) in [
        ("an index", "[192.0.2.11]", "[192.0.2.11], index: 7", &["imap"][..]),
        ("another name", "n1: {", "m1: {", &["imap"]),
        ("a node more", "nodes: {", "nodes: { n2: { addresses: [192.0.2.12] },", &[]),
        ("a node less", ", n1: { addresses: [192.0.2.11] }", "", &[]),
    ] {
        let after = before.replacen(from, to, 1);
        assert_ne!(after, before, "{what}");
        let mut settling = Settling::default();
        settling.edited(&cluster(&before), &cluster(&after));
        assert_eq!(settling.0.keys().map(ToString::to_string).collect::<Vec<_>>(), services, "{what}");
    }
}

#[test]
fn a_service_settles_when_it_needs_more_of_its_checks() {
    let file = |rest: &str| cluster(&BEFORE.replace("name: imap, checks: [imap]", &format!("name: imap, {rest}")));
    for (old, new, settles) in [
        ("checks: [imap, smtp], checks_any: 1", "checks: [imap, smtp], checks_any: 2", true),
        ("checks: [imap, smtp], checks_any: 1", "checks: [imap, smtp]", true),
        ("checks: [imap, smtp], checks_any: 1", "checks: [imap]", true),
        ("checks: [imap, smtp], checks_any: 2", "checks: [imap, smtp], checks_any: 1", false),
        ("checks: [imap, smtp]", "checks: [imap, smtp], checks_any: 1", false),
        ("checks: [imap, smtp]", "checks: [smtp]", false),
        ("checks: [imap, smtp], checks_any: 1", "checks: [smtp, imap], checks_any: 1", false),
    ] {
        let (before, after) = (file(old), file(new));
        let mut settling = Settling::default();
        settling.edited(&before, &after);
        let all = after.services["imap"].checks.iter().cloned().collect();
        let expected = settles.then_some(Changed { checks: all, addresses: BTreeSet::new() });
        assert_eq!(settling.0.get("imap"), expected.as_ref(), "{old}, then {new}");
    }
}

#[test]
fn it_is_over_when_every_changed_target_is_decided() {
    let (old, new) = (cluster(BEFORE), cluster(&BEFORE.replace("192.0.2.11", "192.0.2.99")));
    let mut settling = Settling::default();
    settling.edited(&old, &new);
    let open = |open: &[&str]| {
        let health = |target: &Target| {
            let is_open = open.contains(&format!("{} {}", target.node, target.check).as_str());
            let trial = is_open.then(|| Trial::new(clock::now(), std::time::Duration::ZERO, false));
            Arc::new(Health { state: State::Down, trial, ..Health::new(clock::now()) })
        };
        let targets = targets(&new).map(|target| (target.clone(), health(&target))).collect();
        HealthView { targets, ..HealthView::default() }
    };
    let names = |settling: &Settling| settling.0.keys().map(ToString::to_string).collect::<Vec<_>>();
    // The health of before the edit does not know the new address.
    settling.observe(&new, &HealthView::default());
    settling.observe(&new, &open(&["n1 imap", "n1 smtp"]));
    assert_eq!(names(&settling), ["imap", "smtp"]);
    // Who has the address that it had is not waited for.
    settling.observe(&new, &open(&["n0 imap", "n1 smtp"]));
    assert_eq!(names(&settling), ["smtp"]);
    settling.observe(&new, &open(&["n0 imap", "n0 smtp"]));
    assert_eq!(settling, Settling::default());
}
