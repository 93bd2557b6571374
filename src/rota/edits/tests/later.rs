//! What an edit takes away later than at once: it counts as well, and is shown.

use super::*;
use crate::{cli::report::Report, layout::Layout, rota::model::name, status::ZoneState, zone::Identity};

/// Four nodes, `imap` in some domains, and whatever other domains there are.
fn file(imap: usize, others: &str) -> Arc<Cluster> {
    let nodes: Vec<_> = (0..4).map(|at| format!("n{at}: {{ addresses: [192.0.2.1{at}] }}")).collect();
    let domains: Vec<_> = (0..imap).map(|at| format!("  d{at}.test: {{ services: [imap] }}\n")).collect();
    cluster(&format!(
        "nodes: {{ {} }}
checks: {{ imap: {{ kind: imap }} }}
services:
  imap: {{ publish: address, name: imap, checks: [imap] }}
  mx: {{ publish: mx, preference: 10, exchange: \"{{node}}.d0.test\", checks: [imap] }}
domains:
{}{others}safety: {{ left_over: delete }}
",
        nodes.join(", "),
        domains.concat()
    ))
}

/// Domains of one zone, below a name of it.
fn below(name: &str, count: usize) -> String {
    let line = |at| format!("  e{at}.{name}.d0.test: {{ services: [imap], zone: d0.test }}\n");
    (0..count).map(line).collect()
}

/// What `plan` would show, and whether it is a change.
fn plan(world: &mut World) -> (String, serde_json::Value, bool) {
    let now = world.now;
    let me = Identity { cluster: "mail".to_owned(), owner: "us".to_owned() };
    let report = Report::new(&world.us().rota, &me, now);
    (report.to_string(), serde_json::to_value(&report).unwrap(), report.has_changes())
}

/// Takes in a file without a turn for any zone.
fn take_in(world: &mut World, file: &Arc<Cluster>) {
    let now = world.now;
    let _told = world.us().rota.set_cluster(now, Arc::clone(file), "b");
}

#[test]
fn hosts_that_wait_for_the_mx_of_another_zone_count() {
    let mx = "  x.test: { services: [mx] }\n";
    for (imap, is_held) in [(8, true), (12, false)] {
        let mut world = of_many(&file(imap, mx));
        edit_as(&mut world, &file(imap, ""), "b");
        // The MX, and four hosts.
        let held = world.us().rota.held_edit().map(|held| (held.changed, held.owned));
        assert_eq!(held, is_held.then_some((5, imap + 5)));
        assert_eq!(world.zone("d0.test").get("n0.d0.test A") == "-", !is_held);
    }
}

#[test]
fn hosts_of_a_node_that_leaves_count_in_each_zone() {
    let others = "  x.test: { services: [mx] }\n  y.test: { services: [mx], nodes: [n3] }\n";
    let (before, after) = (file(8, others), file(8, "  x.test: { services: [mx], nodes: [n0, n1, n2] }\n"));
    let mut world = of_many(&before);
    // Two MX sets, and the host that both point to.
    let now = world.now;
    assert_eq!(world.us().rota.edit_size(now, &after, Some(&Layout::new(&before))), (14, 3));
}

#[test]
fn names_that_are_hidden_at_the_edit_count() {
    for (visible, is_held) in [(6, true), (12, false)] {
        let others = below("cust", 4) + &below("open", visible);
        let mut world = of_many(&file(1, &others));
        world.zone("d0.test").cuts.insert(name("cust.d0.test"));
        world.zone("d0.test").serial += 1;
        world.pass(std::time::Duration::from_mins(2));
        let owned = world.us().zone("d0.test").memory().owned.len();
        edit_as(&mut world, &file(1, &below("open", visible)), "b");
        let held = world.us().rota.held_edit().map(|held| (held.changed, held.owned));
        assert_eq!(held, is_held.then_some((4, visible + 5)));
        // Held or not: what is hidden stays what it is.
        world.pass(std::time::Duration::from_mins(2));
        assert_eq!(world.us().zone("d0.test").memory().owned.len(), owned);
        world.zone("d0.test").cuts.clear();
        world.pass(std::time::Duration::from_mins(2));
        assert_eq!(world.zone("d0.test").get("imap.e0.cust.d0.test A") == "-", !is_held);
    }
}

#[test]
fn a_node_that_leaves_a_hidden_set_counts() {
    let (before, three) = (file(1, &below("cust", 10)), "n0, n1, n2");
    let mut world = of_many(&before);
    world.zone("d0.test").cuts.insert(name("cust.d0.test"));
    world.zone("d0.test").serial += 1;
    world.pass(std::time::Duration::from_mins(2));
    let after = file(1, &below("cust", 10).replace(" zone:", &format!(" nodes: [{three}], zone:")));
    let now = world.now;
    assert_eq!(world.us().rota.edit_size(now, &after, Some(&Layout::new(&before))), (11, 10));
}

#[test]
fn a_plan_shows_the_hosts_that_follow_an_mx() {
    let mut world = of_many(&file(1, "  x.test: { services: [mx] }\n"));
    take_in(&mut world, &file(1, ""));
    let (text, json, has_changes) = plan(&mut world);
    assert!(has_changes && text.ends_with("5 RRsets in 2 zones would change; nothing was written\n"), "{text}");
    for at in 0..4 {
        let host = format!("n{at}.d0.test");
        let line = format!("- {host}. 60 IN A 192.0.2.1{at}");
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
        let waits = format!("! {host} A is to be deleted, and goes when no MX that stays points to it any more");
        assert!(text.contains(&waits), "{text}");
    }
    let later = json["zones"][0]["later"].as_array().unwrap();
    assert!(later.len() == 4 && later[0]["owner"] == "n0.d0.test" && later[0]["rrtype"] == "A", "{json}");
    world.run();
    assert_eq!(world.zone("d0.test").get("n0.d0.test A"), "-");
    assert_eq!(plan(&mut world).0, "no changes: every zone is as it should be\n");
}

#[test]
fn what_is_out_of_the_file_and_hidden_is_shown_until_it_is_gone() {
    let mut world = of_many(&file(1, &below("cust", 2)));
    world.zone("d0.test").cuts.insert(name("cust.d0.test"));
    world.zone("d0.test").serial += 1;
    world.pass(std::time::Duration::from_mins(2));
    edit_as(&mut world, &file(1, ""), "b");
    world.pass(std::time::Duration::from_mins(2));
    let (text, _, has_changes) = plan(&mut world);
    assert!(has_changes && text.ends_with("2 RRsets in 1 zones would change; nothing was written\n"), "{text}");
    assert!(text.contains("- imap.e0.cust.d0.test. IN A 192.0.2.10\n"), "{text}");
    assert_eq!(world.us().state("d0.test"), ZoneState::Pending);
    let words = "imap.e0.cust.d0.test A is to be deleted, and goes when its name is not hidden any more: it lies at or \
                 below cust.d0.test, which the zone delegates (NS), so that its own data there are hidden";
    assert!(world.us().error("d0.test") == words && text.contains(words), "{}", world.us().error("d0.test"));
    world.zone("d0.test").cuts.clear();
    world.pass(std::time::Duration::from_mins(2));
    assert_eq!(world.us().state("d0.test"), ZoneState::InSync);
    assert_eq!(plan(&mut world).0, "no changes: every zone is as it should be\n");
}
