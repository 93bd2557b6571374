use std::{collections::BTreeSet, sync::Arc};

use proptest::prelude::*;

use super::super::model::{World, cluster, name, targets};
use crate::{
    check::Target,
    cluster::Cluster,
    event::{Kind, fold::Fold},
    health::State::{self, Down, Unknown, Up},
};

mod later;

const FILE: &str =
    "nodes: { n0: { addresses: [192.0.2.10] }, n1: { addresses: [192.0.2.11] }, n2: { addresses: [192.0.2.12] } }
checks: { imap: { kind: imap }, smtp: { kind: smtp } }
services:
  imap: { publish: address, name: imap, checks: [imap] }
  mx: { publish: mx, preference: 10, exchange: \"{node}.{domain}\", checks: [smtp] }
domains: { a.test: { services: [imap, mx] } }
";
const ALL: &str = "192.0.2.10 192.0.2.11 192.0.2.12";

/// The file with something else in it.
fn file(from: &str, to: &str) -> Arc<Cluster> {
    assert!(FILE.contains(from), "{from}");
    cluster(&FILE.replace(from, to))
}

/// Three nodes that are up and published.
fn world() -> World {
    let mut world = World::new(&cluster(FILE));
    world.run();
    world.us().events.clear();
    world.sent.clear();
    assert_eq!(imap(&mut world), ALL);
    world
}

fn imap(world: &mut World) -> String {
    world.zone("a.test").get("imap.a.test A")
}

/// A check of one node answers, and the rota does what it does then.
fn answer(world: &mut World, node: &str, check: &str, state: State) -> String {
    let cluster = Arc::clone(world.us().rota.cluster());
    let of = |target: &Target| target.node.as_str() == node && target.check.as_str() == check;
    let found: Vec<_> = targets(&cluster).filter(of).collect();
    for target in found {
        world.decide(target, state);
    }
    world.tell_health();
    world.run();
    imap(world)
}

#[test]
fn a_slip_in_a_check_takes_nobody_out_one_after_another() {
    // A check that asks elsewhere, and one that the service did not have.
    for (from, to, check) in [
        ("imap: { kind: imap }", "imap: { kind: imap, port: 1 }", "imap"),
        ("imap: { kind: imap }", "imap: { kind: imap, timeout: 10ms }", "imap"),
        (
            "checks: { imap: { kind: imap }, smtp: { kind: smtp } }\nservices:\n  imap: { publish: address, name: imap, checks: [imap] }",
            "checks: { imap: { kind: imap }, web: { kind: http, body: slip }, smtp: { kind: smtp } }\nservices:\n  imap: { publish: address, name: imap, checks: [imap, web] }",
            "web",
        ),
    ] {
        let mut world = world();
        world.edit(0, &file(from, to));
        world.run();
        assert_eq!(imap(&mut world), ALL, "{to}");
        for node in ["n0", "n1", "n2"] {
            assert_eq!(answer(&mut world, node, check, Down), ALL, "{to}: {node}");
        }
        assert_eq!(world.us().told(Kind::TooFewHealthy).len(), 1, "{to}");
        assert_eq!(world.sent.len(), 0, "{to}");
        // Corrected: nobody has left meanwhile.
        world.edit(0, &cluster(FILE));
        for node in ["n2", "n0", "n1"] {
            assert_eq!(answer(&mut world, node, "imap", Up), ALL);
        }
        assert_eq!(world.us().told(Kind::EnoughHealthy).len(), 1, "{to}");
        assert_eq!(world.sent.len(), 0, "{to}");
    }
}

#[test]
fn a_service_that_takes_a_set_over_is_asked_anew_whether_others_had_it_or_nobody() {
    let strict = "services:\n  strict: { publish: address, name: imap, checks: [web] }\n";
    let yaml = FILE.replace("checks: {", "checks: { web: { kind: http, body: slip },").replace("services:\n", strict);
    for had in ["", "b.test: { services: [strict] }, "] {
        let before = yaml.replace("domains: { ", &format!("domains: {{ {had}"));
        let mut world = World::new(&cluster(&before));
        // Whoever had it before has known for long that n1 does not pass.
        answer(&mut world, "n1", "web", Down);
        world.sent.clear();
        world.edit(0, &cluster(&before.replace("services: [imap, mx]", "services: [strict, mx]")));
        world.run();
        assert_eq!(imap(&mut world), ALL, "{had}");
        for node in ["n0", "n1"] {
            assert_eq!(answer(&mut world, node, "web", Down), ALL, "{had}: {node}");
        }
        assert_eq!(answer(&mut world, "n2", "web", Up), "192.0.2.12", "{had}");
    }
}

#[test]
fn a_service_that_is_left_alone_with_a_set_is_asked_anew() {
    let strict = "services:\n  strict: { publish: address, name: imap, checks: [web] }\n";
    let yaml = FILE.replace("checks: {", "checks: { web: { kind: http, body: slip },").replace("services:\n", strict);
    let mut world = World::new(&cluster(&yaml.replace("services: [imap, mx]", "services: [imap, strict, mx]")));
    // It has known for long that n1 does not pass, which the other one has in the set.
    assert_eq!(answer(&mut world, "n1", "web", Down), ALL);
    world.edit(0, &cluster(&yaml.replace("services: [imap, mx]", "services: [strict, mx]")));
    world.run();
    assert_eq!(imap(&mut world), ALL);
    for node in ["n0", "n1"] {
        assert_eq!(answer(&mut world, node, "web", Down), ALL, "{node}");
    }
    assert_eq!(answer(&mut world, "n2", "web", Up), "192.0.2.12");
}

#[test]
fn a_slip_in_the_indexes_that_a_plugin_is_told_takes_nobody_out() {
    let yaml = FILE.replace("imap: { kind: imap }", "imap: { kind: exec, command: [/p, \"{index}\"] }");
    let mut world = World::new(&cluster(&yaml));
    world.run();
    let edits = ["10] }", "11] }", "12] }"].iter().enumerate();
    let slip = edits
        .fold(yaml.clone(), |yaml, (at, end)| yaml.replacen(end, &end.replace(" }", &format!(", index: 9{at} }}")), 1));
    assert_ne!(slip, yaml);
    world.edit(0, &cluster(&slip));
    for node in ["n0", "n1", "n2"] {
        assert_eq!(answer(&mut world, node, "imap", Down), ALL, "{node}");
    }
}

#[test]
fn who_alone_fails_a_changed_check_leaves_when_all_are_decided() {
    let mut world = world();
    world.edit(0, &file("imap: { kind: imap }", "imap: { kind: imap, port: 144 }"));
    assert_eq!(answer(&mut world, "n0", "imap", Down), ALL);
    assert_eq!(answer(&mut world, "n1", "imap", Up), ALL);
    assert_eq!(answer(&mut world, "n2", "imap", Up), "192.0.2.11 192.0.2.12");
}

#[test]
fn who_fails_an_unchanged_check_leaves_at_once() {
    let mut world = world();
    let services = "name: imap, checks: [imap]";
    world.edit(0, &file(services, "name: imap, checks: [imap, smtp]"));
    world.run();
    let both = FILE.replace(services, "name: imap, checks: [imap, smtp]");
    world.edit(0, &cluster(&both.replace("smtp: { kind: smtp }", "smtp: { kind: smtp, port: 26 }")));
    world.run();
    assert_eq!(imap(&mut world), ALL);
    assert_eq!(answer(&mut world, "n1", "imap", Down), "192.0.2.10 192.0.2.12");
    // n0 fails the changed check, and waits for n2 alone: n1 is decided, though it does not matter any more.
    answer(&mut world, "n1", "smtp", Up);
    assert_eq!(answer(&mut world, "n0", "smtp", Down), "192.0.2.10 192.0.2.12");
    assert_eq!(answer(&mut world, "n2", "smtp", Up), "192.0.2.12");
}

#[test]
fn nodes_that_get_other_addresses_are_replaced_once_all_of_them_are_decided() {
    let renumbered = FILE.replace("192.0.2.1", "192.0.2.2");
    for (states, then) in [
        ([Up, Up, Up], "192.0.2.20 192.0.2.21 192.0.2.22"),
        ([Up, Down, Down], "192.0.2.20"),
        ([Down, Up, Down], "192.0.2.21"),
        ([Down, Down, Down], ALL),
    ] {
        let mut world = world();
        world.edit(0, &cluster(&renumbered));
        world.run();
        assert_eq!(imap(&mut world), ALL);
        for (node, state) in ["n0", "n1", "n2"].into_iter().zip(states) {
            answer(&mut world, node, "smtp", state);
            let set = answer(&mut world, node, "imap", state);
            assert!(
                node == "n2" || set.ends_with(&format!(" {ALL}")) || set.starts_with(ALL),
                "{states:?} {node}: {set}"
            );
        }
        assert_eq!(imap(&mut world), then, "{states:?}");
        // The host of an exchange follows membership; its old address goes when the new one is known to work.
        let works = states[0] == Up;
        let host = if works { "192.0.2.20" } else { "192.0.2.10 192.0.2.20" };
        assert_eq!(world.zone("a.test").get("n0.a.test A"), host, "{states:?}");
        let exchanges = world.zone("a.test").get("a.test MX");
        let alive = states.iter().filter(|state| **state == Up).count();
        assert_eq!(exchanges.split(' ').count(), if alive == 0 { 3 } else { alive }, "{states:?}: {exchanges}");
    }
}

#[test]
fn who_is_removed_stays_until_who_comes_instead_is_decided() {
    for (state, then) in [(Up, "192.0.2.10 192.0.2.11 192.0.2.13"), (Down, "192.0.2.10 192.0.2.11")] {
        let mut world = world();
        world.edit(0, &file("n2: { addresses: [192.0.2.12] }", "n3: { addresses: [192.0.2.13] }"));
        world.run();
        assert_eq!(imap(&mut world), ALL);
        assert_eq!(answer(&mut world, "n3", "imap", state), then);
    }
}

#[test]
fn a_shortage_outlives_an_edit() {
    let mut world = world();
    world.all(Down);
    world.run();
    assert_eq!(world.us().told(Kind::TooFewHealthy).len(), 2);
    for to in [
        // Other times, another question, a new node, a check with another name.
        FILE.replace("imap: { kind: imap }", "imap: { kind: imap, timeout: 2s }"),
        FILE.replace("imap: { kind: imap }", "imap: { kind: imap, port: 144 }"),
        FILE.replace("nodes: {", "nodes: { n3: { addresses: [192.0.2.13] },"),
        FILE.replace("imap: { kind: imap }", "imap2: { kind: imap }").replace("checks: [imap]", "checks: [imap2]"),
        FILE.to_owned(),
    ] {
        world.edit(0, &cluster(&to));
        world.run();
        assert_eq!(imap(&mut world), ALL, "{to}");
        assert_eq!(world.us().told(Kind::EnoughHealthy), Vec::<String>::new(), "{to}");
    }
    assert_eq!(answer(&mut world, "n1", "imap", Up), ALL, "the others are not decided");
    assert_eq!(world.us().told(Kind::EnoughHealthy).len(), 1);
    answer(&mut world, "n0", "imap", Down);
    assert_eq!(answer(&mut world, "n2", "imap", Down), "192.0.2.11");
}

#[test]
fn who_fails_what_the_service_did_not_need_stays_until_that_is_confirmed() {
    let any = FILE.replace("name: imap, checks: [imap]", "name: imap, checks: [imap, smtp], checks_any: 1");
    for (what, to) in [("both", "checks: [imap, smtp], checks_any: 2"), ("the one that fails", "checks: [smtp]")] {
        let mut world = World::new(&cluster(&any));
        world.run();
        assert_eq!(answer(&mut world, "n0", "smtp", Down), ALL, "{what}");
        world.edit(0, &cluster(&any.replace("checks: [imap, smtp], checks_any: 1", to)));
        world.run();
        assert_eq!(imap(&mut world), ALL, "{what}: an edit alone removes nobody");
        for (node, check) in [("n0", "imap"), ("n1", "imap"), ("n2", "imap"), ("n1", "smtp"), ("n2", "smtp")] {
            assert_eq!(answer(&mut world, node, check, Up), ALL, "{what}: {node} {check}");
        }
        assert_eq!(answer(&mut world, "n0", "smtp", Down), "192.0.2.11 192.0.2.12", "{what}");
    }
}

/// As many domains as `max_change` is for, of the nodes with these numbers.
fn many(nodes: &[u8], services: &str) -> Arc<Cluster> {
    let node = |at: &u8| format!("n{at}: {{ addresses: [192.0.2.1{at}] }}");
    let nodes: Vec<_> = nodes.iter().map(node).collect();
    let domains: Vec<_> = (0..12).map(|at| format!("d{at:02}.test: {{ services: [{services}] }}")).collect();
    cluster(&format!(
        "nodes: {{ {} }}
checks: {{ imap: {{ kind: imap }} }}
services:
  imap: {{ publish: address, name: imap, checks: [imap] }}
  alias: {{ publish: alias, name: imap, target: imap.elsewhere.test }}
domains:
  {}
",
        nodes.join(", "),
        domains.join("\n  ")
    ))
}

fn of_many(file: &Arc<Cluster>) -> World {
    let mut world = World::new(file);
    world.run();
    world.us().events.clear();
    world.sent.clear();
    world
}

/// An edit with the hash of its file.
fn edit_as(world: &mut World, file: &Arc<Cluster>, hash: &str) {
    let now = world.now;
    let events = world.us().rota.set_cluster(now, Arc::clone(file), hash);
    world.us().events.extend(events);
    world.run();
}

#[test]
fn an_edit_that_waits_is_accepted_by_its_name_and_as_it_was_judged() {
    let (three, two) = (many(&[0, 1, 2], "imap"), many(&[0, 1], "imap"));
    let mut world = of_many(&three);
    edit_as(&mut world, &two, "0123456789abcdef");
    let told = world.us().told(Kind::TooMuchChange);
    assert!(
        told[0].contains("12 of 12 published RRsets") && told[0].contains("`rotad accept 0123456789ab`"),
        "{told:?}"
    );
    assert!(told[0].contains("drained first, then removed") && !told[0].contains("--force"), "{told:?}");
    let now = world.now;
    let held = world.us().rota.held_edit().cloned().unwrap();
    assert_eq!((held.id.as_str(), held.changed, held.owned, held.since), ("0123456789ab", 12, 12, now));
    // Read again it is the same edit, and is not told again.
    world.pass(std::time::Duration::from_mins(1));
    edit_as(&mut world, &two, "0123456789abcdef");
    assert_eq!(world.us().rota.held_edit().unwrap().since, now);
    assert_eq!(world.us().told(Kind::TooMuchChange), Vec::<String>::new());
    for (id, newest, why) in [
        (Some("ba9876543210"), "0123456789abcdef", "is 0123456789ab, not ba9876543210"),
        (None, "fedcba9876543210", "has changed since"),
    ] {
        let error = world.us().rota.accept(id, newest).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    assert_eq!(world.sent.len(), 0);
    let events = world.us().rota.accept(Some("0123456789ab"), "0123456789abcdef").unwrap();
    assert_eq!(events[0].kind, Kind::EditAccepted);
    world.run();
    assert_eq!(world.zone("d00.test").get("imap.d00.test A"), "192.0.2.10 192.0.2.11");
    assert!(world.us().rota.held_edit().is_none());
    let error = world.us().rota.accept(None, "0123456789abcdef").unwrap_err();
    assert!(error.starts_with("no edit waits"), "{error}");
}

#[test]
fn a_file_that_is_held_from_the_start_is_accepted_under_the_hash_that_it_has_now() {
    let mut world = of_many(&many(&[0, 1, 2], "imap"));
    let saved = world.us().remembered();
    let two = many(&[0, 1], "imap");
    world.restart(0, &two, saved);
    world.all(Up);
    world.run();
    assert_eq!(world.us().told(Kind::TooMuchChange).len(), 1);
    // A comment is edited.
    edit_as(&mut world, &two, "fedcba9876543210");
    world.run();
    let told = world.us().told(Kind::TooMuchChange);
    assert!(told.len() == 1 && told[0].contains("`rotad accept fedcba987654`"), "{told:?}");
    assert_eq!(world.sent.len(), 0);
    world.us().rota.accept(None, "fedcba9876543210").unwrap();
    world.run();
    assert_eq!(world.zone("d00.test").get("imap.d00.test A"), "192.0.2.10 192.0.2.11");
}

#[test]
fn what_is_held_from_the_start_is_held_whole_and_can_be_taken_back() {
    let (three, other) = (many(&[0, 1, 2], "imap"), many(&[0, 1, 3], "imap"));
    let mut world = of_many(&three);
    // n1 was out before, and comes back by its health.
    world.node("n1", Down);
    world.run();
    let saved = world.us().remembered();
    world.sent.clear();
    world.restart(0, &other, saved);
    world.health = targets(&other).map(|target| (target, Up)).collect();
    world.node("n1", Down);
    world.run();
    assert!(world.us().rota.held_edit().is_some());
    assert_eq!(world.sent.len(), 0, "n3 comes by the edit");
    world.node("n1", Up);
    world.run();
    assert_eq!(world.zone("d00.test").get("imap.d00.test A"), ALL, "n1 does not");
    edit_as(&mut world, &three, "a");
    assert!(world.us().rota.held_edit().is_none(), "{:?}", world.us().rota.held_edit());
    world.all(Up);
    world.run();
    assert_eq!(world.zone("d00.test").get("imap.d00.test A"), ALL);
}

#[test]
fn who_leaves_by_its_health_while_an_edit_is_held_from_the_start_comes_back() {
    let three = many(&[0, 1, 2], "imap");
    let mut other_ttl = Cluster::clone(&three);
    other_ttl.services.get_mut("imap").unwrap().ttl = crate::dns::Ttl(300);
    for held in [Arc::new(other_ttl), many(&[0, 1], "imap")] {
        let mut world = of_many(&three);
        let saved = world.us().remembered();
        world.restart(0, &held, saved);
        world.all(Up);
        world.run();
        assert!(world.us().rota.held_edit().is_some());
        for (node, without) in [("n0", "192.0.2.11 192.0.2.12"), ("n1", "192.0.2.10 192.0.2.12")] {
            world.node(node, Down);
            world.run();
            assert_eq!(world.zone("d00.test").get("imap.d00.test A"), without);
            // Another restart forgets nobody.
            let saved = world.us().remembered();
            world.restart(0, &held, saved);
            world.all(Up);
            world.node(node, Down);
            world.run();
            assert_eq!(world.zone("d00.test").get("imap.d00.test A"), without);
            world.node(node, Up);
            world.run();
            assert_eq!(world.zone("d00.test").get("imap.d00.test A"), ALL, "{node} is back");
        }
    }
}

#[test]
fn another_ttl_waits_after_a_restart_though_zones_cannot_be_read() {
    let before = many(&[0, 1, 2], "imap");
    let mut after = Cluster::clone(&before);
    after.services.get_mut("imap").unwrap().ttl = crate::dns::Ttl(300);
    let after = Arc::new(after);
    let mut world = of_many(&before);
    let mut saved = world.us().remembered();
    world.bind.gone.extend((1..12).map(|at| name(&format!("d{at:02}.test"))));
    for _ in 0..2 {
        world.restart(0, &after, saved);
        world.all(Up);
        world.pass(std::time::Duration::from_mins(2));
        let held = world.us().rota.held_edit().map(|held| (held.changed, held.owned));
        assert_eq!(held, Some((12, 12)));
        saved = world.us().remembered();
    }
    assert_eq!(world.sent.len(), 0);
}

#[test]
fn nobody_joins_by_a_held_edit_who_was_awaited_before_it_was_judged() {
    let (three, other) = (many(&[0, 1, 2], "imap"), many(&[0, 3], "imap"));
    let mut world = of_many(&three);
    let saved = world.us().remembered();
    world.sent.clear();
    world.restart(0, &other, saved);
    world.health = targets(&other).map(|target| (target, Up)).collect();
    world.ask_anew();
    world.run();
    assert!(world.us().rota.held_edit().is_some());
    world.all(Up);
    world.run();
    assert_eq!(world.sent.len(), 0, "n3 comes by the edit");
    edit_as(&mut world, &three, "a");
    assert!(world.us().rota.held_edit().is_none(), "{:?}", world.us().rota.held_edit());
}

#[test]
fn a_held_edit_drains_nobody_and_who_is_down_leaves_all_the_same() {
    let mut drained = Cluster::clone(&many(&[0, 1], "imap"));
    let n1 = drained.nodes.iter_mut().find(|(name, _)| name.as_str() == "n1").unwrap().1;
    n1.admin_state = crate::cluster::AdminState::Drain;
    let drained = Arc::new(drained);
    let mut world = of_many(&many(&[0, 1, 2], "imap"));
    let saved = world.us().remembered();
    world.sent.clear();
    world.restart(0, &drained, saved);
    world.all(Up);
    world.run();
    assert!(world.us().rota.held_edit().is_some());
    assert_eq!((world.sent.len(), world.zone("d00.test").get("imap.d00.test A").as_str()), (0, ALL));
    let now = world.now;
    let shown = world.us().rota.previews(now).swap_remove(0).plan.changes.swap_remove(0).to_string();
    assert!(shown.contains("- imap.d00.test. 60 IN A 192.0.2.11\n"), "{shown}");
    world.node("n1", Down);
    world.run();
    assert_eq!(world.zone("d00.test").get("imap.d00.test A"), "192.0.2.10 192.0.2.12");
    world.node("n1", Up);
    world.run();
    assert_eq!(world.zone("d00.test").get("imap.d00.test A"), ALL);
    let (now, all) = (world.now, crate::control::Selection::ALL);
    let (answer, _) = world.us().rota.withdraw(now, &all, false);
    assert!(matches!(&answer, crate::rota::Reply::Now(answer) if !answer.done), "{answer:?}");
    world.us().rota.accept(None, "").unwrap();
    world.run();
    assert_eq!(world.zone("d00.test").get("imap.d00.test A"), "192.0.2.10");
}

#[test]
fn an_edit_that_is_held_again_is_told_again() {
    let (three, two) = (many(&[0, 1, 2], "imap"), many(&[0, 1], "imap"));
    let mut world = of_many(&three);
    let (mut fold, mut told) = (Fold::default(), Vec::new());
    for (file, hash) in [(&two, "b"), (&three, "a"), (&two, "b"), (&three, "a")] {
        edit_as(&mut world, file, hash);
        let now = world.now;
        for event in std::mem::take(&mut world.us().events) {
            told.extend(fold.push(event, now).into_iter().map(|event| event.kind));
        }
    }
    let (held, back) = (Kind::TooMuchChange, Kind::ConfigLoaded);
    assert_eq!(told, [held, back, held, back]);
    // Two edits are accepted one after the other.
    let mut accepted = Vec::new();
    for (file, hash) in [(&two, "b"), (&three, "a"), (&two, "c")] {
        edit_as(&mut world, file, hash);
        if world.us().rota.held_edit().is_some() {
            accepted.extend(world.us().rota.accept(None, hash).unwrap());
        }
        world.all(Up);
        world.run();
    }
    let now = world.now;
    let lines = accepted.into_iter().flat_map(|event| fold.push(event, now));
    let lines: Vec<_> = lines.filter(|event| event.kind == Kind::EditAccepted).map(|event| event.message).collect();
    assert_eq!(lines, ["the edit b is accepted: it is in force", "the edit c is accepted: it is in force"]);
    assert_eq!(fold.end(now), []);
}

#[test]
fn what_is_published_and_asked_by_nobody_is_named_while_an_edit_waits() {
    let file = |nodes: &[u8]| {
        let domains: Vec<_> = (0..12).map(|at| format!("d{at:02}.test: {{ services: [imap, mx] }}")).collect();
        let node = |at: &u8| format!("n{at}: {{ addresses: [192.0.2.1{at}, \"2001:db8::{at}\"] }}");
        let nodes: Vec<_> = nodes.iter().map(node).collect();
        cluster(&format!(
            "nodes: {{ {} }}
checks: {{ imap: {{ kind: imap }} }}
services:
  imap: {{ publish: address, name: imap, checks: [imap] }}
  mx: {{ publish: mx, preference: 10, exchange: \"{{node}}.elsewhere.net\", checks: [imap] }}
domains:
  {}
",
            nodes.join(", "),
            domains.join("\n  ")
        ))
    };
    let words = "; published, but not checked, for no node of this file has them: ";
    for (after, named) in [
        (&[0, 1][..], "192.0.2.12, 2001:db8::2, n2.elsewhere.net"),
        (&[1], "192.0.2.10, 192.0.2.12, 2001:db8::, 2001:db8::2, n0.elsewhere.net, n2.elsewhere.net"),
    ] {
        let mut world = of_many(&file(&[0, 1, 2]));
        let saved = world.us().remembered();
        world.restart(0, &file(after), saved);
        world.all(Up);
        world.pass(std::time::Duration::from_mins(2));
        let shown = world.us().rota.refused_edit().unwrap().to_owned();
        assert!(shown.ends_with(&format!("{words}{named}")), "{shown}");
        let told = world.us().told(Kind::TooMuchChange);
        assert_eq!(told, [format!("{shown}; until then only the health of the members that it keeps is followed")]);
        // Another file that is too much is held beside it, and they are asked as little.
        edit_as(&mut world, &file(&[3]), "d");
        let told = world.us().told(Kind::TooMuchChange);
        assert!(
            told[0].contains("; published and asked by nobody, for no node of the file in force has them: "),
            "{told:?}"
        );
    }
    // The file before stays in force, and asks all of them.
    let mut world = of_many(&file(&[0, 1, 2]));
    edit_as(&mut world, &file(&[0, 1]), "b");
    let told = world.us().told(Kind::TooMuchChange);
    assert!(told.len() == 1 && !told[0].contains("asked by nobody"), "{told:?}");
}

#[test]
fn an_edit_that_is_taken_back_waits_no_longer() {
    let (three, two) = (many(&[0, 1, 2], "imap"), many(&[0, 1], "imap"));
    let mut world = of_many(&three);
    edit_as(&mut world, &two, "b");
    assert!(world.us().rota.refused_edit().is_some());
    edit_as(&mut world, &three, "a");
    assert_eq!(world.us().rota.refused_edit(), None);
    assert_eq!(world.us().told(Kind::ConfigLoaded), ["the edit b that waited was taken back"]);
    assert_eq!(world.sent.len(), 0);
}

#[test]
fn a_node_that_was_drained_first_is_removed_without_asking() {
    let three = many(&[0, 1, 2], "imap");
    let mut world = of_many(&three);
    let mut drained = Cluster::clone(&three);
    drained.nodes.get_mut("n2").unwrap().admin_state = crate::cluster::AdminState::Drain;
    edit_as(&mut world, &Arc::new(drained), "b");
    assert_eq!(world.zone("d00.test").get("imap.d00.test A"), "192.0.2.10 192.0.2.11");
    edit_as(&mut world, &many(&[0, 1], "imap"), "c");
    assert_eq!(world.us().rota.held_edit(), None);
}

#[test]
fn what_was_let_through_and_waits_is_no_part_of_the_next_edit() {
    let (old, new) = (many(&[0, 1, 2], "imap"), many(&[3, 4, 5], "imap"));
    let mut world = of_many(&old);
    edit_as(&mut world, &new, "b");
    world.us().rota.accept(None, "b").unwrap();
    world.run();
    // Nobody of the new ones has answered: the old ones are still there.
    assert_eq!(world.zone("d00.test").get("imap.d00.test A"), ALL);
    let mut more = Cluster::clone(&new);
    more.safety.first_round = std::time::Duration::from_secs(1);
    edit_as(&mut world, &Arc::new(more), "c");
    assert_eq!(world.us().rota.held_edit(), None);
}

#[test]
fn a_held_edit_is_held_whole() {
    // Addresses become aliases, or the other way round, while nobody watches.
    for (before, after, stays) in [("imap", "alias", "A"), ("alias", "imap", "CNAME")] {
        let (old, new) = (many(&[0, 1, 2], before), many(&[0, 1, 2], after));
        let mut world = of_many(&old);
        let saved = world.us().remembered();
        world.restart(0, &new, saved);
        world.all(Up);
        world.pass(std::time::Duration::from_mins(2));
        assert_eq!(world.us().told(Kind::TooMuchChange).len(), 1, "{after}");
        assert_eq!(world.sent.len(), 0, "{after}: nothing is written");
        assert_eq!(
            world.us().state("d00.test"),
            crate::status::ZoneState::Pending,
            "{after}: {}",
            world.us().error("d00.test")
        );
        assert_ne!(world.zone("d00.test").get(&format!("imap.d00.test {stays}")), "-");
        world.us().rota.accept(None, "").unwrap();
        world.pass(std::time::Duration::from_mins(2));
        assert_eq!(world.zone("d00.test").get(&format!("imap.d00.test {stays}")), "-", "{after}");
        assert_eq!(world.sent.len(), 12, "{after}: in one step each");
        assert_eq!(world.us().state("d00.test"), crate::status::ZoneState::InSync);
    }
    // Another TTL and a node less wait together.
    let mut other = Cluster::clone(&many(&[0, 1], "imap"));
    other.services.get_mut("imap").unwrap().ttl = crate::dns::Ttl(300);
    let mut world = of_many(&many(&[0, 1, 2], "imap"));
    let saved = world.us().remembered();
    world.restart(0, &Arc::new(other), saved);
    world.all(Up);
    world.pass(std::time::Duration::from_mins(2));
    assert_eq!(world.sent.len(), 0);
    assert_eq!(world.zone("d00.test").get("imap.d00.test A"), ALL);
}

/// Edits of all kinds that leave every node in every set.
const EDITS: [(&str, &str); 9] = [
    ("imap: { kind: imap }", "imap: { kind: imap, port: 1 }"),
    ("imap: { kind: imap }", "imap: { kind: imap, interval: 20s }"),
    ("name: imap, checks: [imap]", "name: imap, checks: [imap, smtp]"),
    ("name: imap, checks: [imap]", "name: imap, checks: [imap, smtp], checks_any: 1"),
    ("name: imap, checks: [imap]", "name: imap, checks: [smtp]"),
    ("name: imap, checks: [imap]", "name: imap, checks: [imap], min_healthy: 2"),
    ("name: imap, checks: [imap]", "name: imap, checks: [imap], ttl: 5m"),
    ("preference: 10", "preference: 20"),
    ("nodes: {", "nodes: { n3: { addresses: [192.0.2.13] },"),
];

proptest! {
    /// Whatever an edit changes, and in whichever order the nodes then answer: nobody leaves for less than health, and
    /// nobody before all that the edit asks anew are decided.
    #[test]
    fn an_edit_alone_removes_nobody(
        edits in prop::collection::btree_set(0..EDITS.len(), 1..4),
        answers in prop::collection::vec((0..3_usize, any::<bool>(), prop_oneof![3 => Just(Up), 2 => Just(Down), 1 => Just(Unknown)]), 0..24),
        held in any::<bool>(),
    ) {
        let mut world = world();
        if held {
            world.stand_still(0);
        }
        let mut yaml = FILE.to_owned();
        for edit in edits {
            let (from, to) = EDITS[edit];
            yaml = yaml.replacen(from, to, 1);
        }
        world.edit(0, &cluster(&yaml));
        world.run();
        prop_assert_eq!(imap(&mut world), ALL);
        let file = Arc::clone(world.us().rota.cluster());
        let checks = file.services["imap"].checks.clone();
        let mut failed = BTreeSet::new();
        for (node, imap_check, state) in answers {
            let node = format!("n{node}");
            let check = if imap_check { "imap" } else { "smtp" };
            let set = answer(&mut world, &node, check, state);
            let published: BTreeSet<_> = set.split(' ').collect();
            let of_service = |target: &&Target| checks.contains(&target.check) && target.node.as_str() != "n3";
            // Who left fails a check, and not one that is still asked anew while others are.
            let open = world.trials.iter().any(|target| of_service(&target));
            failed.extend(world.health.iter().filter(|(target, state)| of_service(target) && **state == Down).map(|(t, _)| t.node.clone()));
            for (at, address) in ALL.split(' ').enumerate() {
                let has_failed = failed.contains(format!("n{at}").as_str());
                prop_assert!(published.contains(address) || has_failed, "n{} has left for nothing: {}", at, set);
            }
            prop_assert!(!published.is_empty());
            let anew = ["imap", "smtp"].into_iter().filter(|check| {
                let before = cluster(FILE);
                before.checks.get(*check) != file.checks.get(*check) || !before.services["imap"].checks.iter().any(|c| c.as_str() == *check)
            });
            let all_are_new = checks.iter().all(|check| anew.clone().any(|new| new == check.as_str()));
            prop_assert!(!(open && all_are_new) || published.len() >= 3, "{} while nodes are undecided", set);
        }
    }
}
