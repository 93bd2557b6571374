//! A DNAME, a delegation or a zone below hides names of a zone: these alone are blocked, and nobody's data are lost.

use std::collections::BTreeSet;

use super::*;

/// A zone whose apex, `sub` and `beside` are domains of the file.
fn built(records: &str) -> Rota {
    Rota::new()
        .nodes(3)
        .service(IMAP)
        .service(MX)
        .service("apex: { publish: address, name: \"@\", checks: [imap] }")
        .domain(ZONE, "services: [imap]")
        .domain("sub.mydomain.org", "services: [apex, imap, mx], zone: mydomain.org")
        .domain("beside.mydomain.org", "services: [imap, mx], zone: mydomain.org")
        .zone(ZONE, Zone::new(ZONE).records(OTHERS).records(records))
        .build()
}

/// What the file does not name: all of it but the generation record and what is given here.
fn others(rota: &Rota, ours: &[&str]) -> BTreeSet<String> {
    let is_ours =
        |line: &String| line.starts_with("_rotad.") || ours.iter().any(|name| line.starts_with(&format!("{name}.")));
    rota.records(ZONE).into_iter().filter(|line| !is_ours(line)).collect()
}

/// The names of the file that are not below `sub`.
const VISIBLE: [&str; 5] = [
    "imap.mydomain.org",
    "imap.beside.mydomain.org",
    "beside.mydomain.org",
    "node00.beside.mydomain.org",
    "node01.beside.mydomain.org",
];

/// What is not hidden is published with these nodes, and follows.
fn expect_the_rest<const N: usize>(rota: &mut Rota, nodes: [&str; N]) {
    rota.expect_a("imap.mydomain.org", nodes);
    rota.expect_a("imap.beside.mydomain.org", nodes);
    let exchanges = nodes.map(|node| format!("10 {node}.beside.mydomain.org"));
    rota.expect_mx("beside.mydomain.org", exchanges.each_ref().map(String::as_str));
}

/// The zone fails because of the names below `sub`, which is told once.
fn expect_told(rota: &mut Rota, words: &str) {
    let entry = rota.expect_zone_state(ZONE, "failing");
    let error = entry["error"].as_str().unwrap().to_owned();
    assert!(error.contains(words) && error.contains("sub.mydomain.org"), "{error}");
    rota.expect_journal(&error);
    assert_eq!(rota.journal().matches(&error).count(), 1, "{}", rota.journal());
}

#[test]
fn e1_a_stranger_beside_a_dname_is_no_wildcards_doing() {
    let records = "sub DNAME elsewhere.example.\nsub MX 5 stranger.example.\nsub A 198.51.100.7";
    let mut rota = built(records);
    let before = rota.records(ZONE);
    rota.start();
    let entry = rota.expect_zone_state(ZONE, "foreign");
    let error = entry["error"].as_str().unwrap();
    assert!(error.contains("198.51.100.7") || error.contains("stranger.example"), "{error}");
    rota.restart();
    rota.expect_zone_state(ZONE, "foreign");
    assert_eq!(rota.records(ZONE), before, "nothing is written");
}

#[test]
fn e1_below_a_dname_is_hidden_and_its_own_name_is_managed() {
    let wild = "sub DNAME elsewhere.example.\n* A 192.0.2.66\n* MX 5 stranger.example.\nsub TXT \"kept\"";
    let mut rota = built(wild);
    let others_before = others(&rota, &VISIBLE);
    rota.start();
    expect_the_rest(&mut rota, NODES);
    expect_told(&mut rota, "lies below the DNAME at sub.mydomain.org");
    rota.expect_a("sub.mydomain.org", NODES);
    rota.kill("node01");
    expect_the_rest(&mut rota, ["node00", "node02"]);
    rota.expect_a("sub.mydomain.org", ["node00", "node02"]);
    let ours = [&VISIBLE[..], &["sub.mydomain.org", "node02.beside.mydomain.org"]].concat();
    assert_eq!(
        others(&rota, &ours),
        others_before.into_iter().filter(|line| !line.starts_with("sub.")).collect(),
        "nothing else has changed, and nothing was written below the DNAME"
    );
    assert_eq!(rota.named.txt("sub.mydomain.org").len(), 1);
    // Without it all of it is published.
    rota.named.nsupdate("zone mydomain.org\nupdate delete sub.mydomain.org DNAME").unwrap();
    rota.restart();
    rota.expect_in_sync();
    rota.expect_a("imap.sub.mydomain.org", ["node00", "node02"]);
}

#[test]
fn e1_a_dname_at_the_apex_leaves_no_room_for_the_record() {
    let mut rota = Rota::new()
        .nodes(2)
        .service("apex: { publish: address, name: \"@\", checks: [imap] }")
        .service(MX)
        .domain(ZONE, "services: [apex, mx]")
        .zone(ZONE, Zone::new(ZONE).records("@ DNAME elsewhere.example.\n@ MX 5 stranger.example.\n@ A 198.51.100.7"))
        .build();
    let before = rota.records(ZONE);
    rota.start();
    let entry = rota.expect_zone_state(ZONE, "failing");
    let error = entry["error"].as_str().unwrap();
    assert!(error.contains("_rotad.mydomain.org") && error.contains("the DNAME at mydomain.org"), "{error}");
    rota.restart();
    rota.expect_zone_state(ZONE, "failing");
    assert_eq!(rota.records(ZONE), before);
}

#[test]
fn e1_an_apex_beside_a_wildcard_exists() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .service("apex: { publish: address, name: \"@\", checks: [imap] }")
        .service("any: { publish: address, name: \"*\", checks: [imap] }")
        .service(MX)
        .domain(ZONE, "services: [apex, imap, any, mx]")
        .zone(ZONE, Zone::new(ZONE).records("* MX 5 stranger.example.\n@ MX 5 stranger.example.\n@ A 198.51.100.7"))
        .build();
    let before = rota.records(ZONE);
    rota.start();
    rota.expect_zone_state(ZONE, "foreign");
    rota.restart();
    rota.expect_zone_state(ZONE, "foreign");
    assert_eq!(rota.records(ZONE), before);
}

#[test]
fn e4_what_gets_delegated_is_blocked_and_the_rest_goes_on() {
    let mut rota = built("");
    rota.start();
    rota.expect_in_sync();
    rota.named.nsupdate("zone mydomain.org\nupdate add sub.mydomain.org 60 NS ns.elsewhere.example.").unwrap();
    rota.restart();
    expect_told(&mut rota, "sub.mydomain.org, which the zone delegates");
    let below = |rota: &Rota| -> BTreeSet<String> {
        rota.records(ZONE).into_iter().filter(|line| line.contains("sub.mydomain.org")).collect()
    };
    let hidden = below(&rota);
    assert!(hidden.len() > 9, "{hidden:?}");
    rota.kill("node01");
    expect_the_rest(&mut rota, ["node00", "node02"]);
    assert_eq!(below(&rota), hidden, "what is hidden is left as it is");
    rota.named.nsupdate("zone mydomain.org\nupdate delete sub.mydomain.org NS").unwrap();
    rota.restart();
    rota.expect_in_sync();
    rota.expect_a("imap.sub.mydomain.org", ["node00", "node02"]);
    rota.expect_a("sub.mydomain.org", ["node00", "node02"]);
}

#[test]
fn e5_a_zone_of_its_own_below_is_not_ours_and_nothing_is_forgotten() {
    let mut rota = built("");
    rota.start();
    rota.expect_in_sync();
    rota.named.add_zone(Zone::new("sub.mydomain.org").records("imap A 198.51.100.9\n@ MX 5 stranger.example."));
    // Not known by its serial, but read: something else in the zone has changed.
    rota.stop();
    rota.named.nsupdate("zone mydomain.org\nupdate add other.mydomain.org 60 A 192.0.2.5").unwrap();
    rota.start();
    expect_told(&mut rota, "is answered from sub.mydomain.org, a zone of its own on this server");
    let hidden: Vec<_> = rota.records(ZONE).into_iter().filter(|line| line.contains("sub.mydomain.org")).collect();
    assert!(hidden.iter().any(|line| line.starts_with("imap.sub.mydomain.org.")), "{hidden:?}");
    let child = rota.records("sub.mydomain.org");
    rota.kill("node01");
    expect_the_rest(&mut rota, ["node00", "node02"]);
    let now: Vec<_> = rota.records(ZONE).into_iter().filter(|line| line.contains("sub.mydomain.org")).collect();
    assert_eq!(now, hidden, "what is hidden is left as it is");
    assert_eq!(rota.records("sub.mydomain.org"), child, "and so is the other zone");
    rota.named.take_out_zone("sub.mydomain.org");
    rota.restart();
    rota.expect_in_sync();
    rota.expect_a("imap.sub.mydomain.org", ["node00", "node02"]);
}

#[test]
fn e5_a_zone_below_that_is_there_from_the_start_gets_nothing_into_its_parent() {
    for options in ["", "minimal-responses yes;"] {
        let mut rota = Rota::new()
            .nodes(2)
            .service(IMAP)
            .named_option(options)
            .domain(ZONE, "services: [imap]")
            .domain("sub.mydomain.org", "services: [imap], zone: mydomain.org")
            .domain("other.org", "services: [imap]")
            .build();
        rota.named.add_zone(Zone::new("sub.mydomain.org"));
        rota.start();
        rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
        expect_told(&mut rota, "is answered from sub.mydomain.org, a zone of its own on this server");
        let lines = rota.records(ZONE);
        assert!(!lines.iter().any(|line| line.contains("sub.mydomain.org")), "{lines:?}");
    }
}

/// The apex of `sub` is the one name of the file in it, and `web` is a name like others.
fn with_apexes() -> Rota {
    Rota::new()
        .nodes(2)
        .service(IMAP)
        .service("apex: { publish: address, name: \"@\", checks: [imap] }")
        .service("web: { publish: address, name: web, checks: [imap] }")
        .domain(ZONE, "services: [imap, web]")
        .domain("sub.mydomain.org", "services: [apex], zone: mydomain.org")
        .build()
}

#[test]
fn e5_a_managed_name_that_is_a_zone_of_its_own_gets_nothing_into_the_zone_above() {
    for child in ["sub.mydomain.org", "web.mydomain.org"] {
        let mut rota = with_apexes();
        rota.named.add_zone(Zone::new(child).records("@ A 198.51.100.9"));
        rota.start();
        rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
        let entry = rota.expect_zone_state(ZONE, "failing");
        let error = entry["error"].as_str().unwrap().to_owned();
        assert!(error.contains(&format!("is answered from {child}, a zone of its own")), "{error}");
        let lines = rota.records(ZONE);
        assert!(!lines.iter().any(|line| line.contains(child)), "{lines:?}");
    }
}

#[test]
fn e5_a_domain_that_becomes_a_zone_of_its_own_is_noticed_at_the_start() {
    let mut rota = with_apexes();
    rota.start();
    rota.expect_in_sync();
    rota.stop();
    rota.named.add_zone(Zone::new("sub.mydomain.org").records("@ A 198.51.100.9"));
    rota.named.nsupdate("zone mydomain.org\nupdate add other.mydomain.org 60 A 192.0.2.5").unwrap();
    let before = rota.records(ZONE);
    rota.start();
    expect_told(&mut rota, "is answered from sub.mydomain.org, a zone of its own on this server");
    assert_eq!(rota.records(ZONE), before);
    // What hides it goes without a new serial of the zone above: each start reads it.
    rota.stop();
    rota.named.take_out_zone("sub.mydomain.org");
    rota.start();
    rota.expect_in_sync();
    assert_eq!(rota.records(ZONE), before);
}

/// A policy zone that rewrites the answers of a primary to everybody.
const POLICY: &str = "response-policy { zone \"rpz\"; } recursive-only no break-dnssec yes qname-wait-recurse no;";
/// Rotad reads name by name, as from a server that gives it no transfer.
const NO_TRANSFER: &str = "allow-transfer { !{ key rotad; }; any; };";

#[test]
fn e5_what_a_policy_rewrites_is_blocked_and_nobodys_data_go() {
    let rules = ["CNAME .", "CNAME *.", "A 192.0.2.77", "CNAME www.elsewhere.example."];
    let named = |at: usize| format!("s{at}.mydomain.org");
    for options in ["", "minimal-responses yes;"] {
        let rewritten: Vec<_> = rules.iter().enumerate().map(|(at, rule)| format!("{} {rule}", named(at))).collect();
        let theirs: Vec<_> = (0..rules.len()).map(|at| format!("s{at} A 198.51.100.{at}")).collect();
        let zone = Zone::new(ZONE).records(OTHERS).records(&theirs.join("\n")).statement(NO_TRANSFER);
        let mut rota = Rota::new().nodes(3).service(IMAP).named_option(POLICY).named_option(options);
        let services: Vec<_> = (0..rules.len()).map(|at| format!("s{at}")).collect();
        for name in &services {
            rota = rota.service(&format!("{name}: {{ publish: address, name: {name}, checks: [imap] }}"));
        }
        let list = services.join(", ");
        let mut rota = rota
            .domain(ZONE, &format!("services: [imap, {list}]"))
            .zone(ZONE, zone)
            .zone("rpz", Zone::new("rpz").records(&rewritten.join("\n")))
            .build();
        let others_before = others(&rota, &["imap.mydomain.org"]);
        rota.start();
        rota.expect_a("imap.mydomain.org", NODES);
        let entry = rota.expect_zone_state(ZONE, "failing");
        let error = entry["error"].as_str().unwrap().to_owned();
        assert!(error.contains("response-policy") && error.contains("s0.mydomain.org A"), "{error}");
        rota.kill("node01");
        rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
        rota.restart();
        rota.revive("node01");
        rota.expect_a("imap.mydomain.org", NODES);
        assert_eq!(others(&rota, &["imap.mydomain.org"]), others_before, "nobody's data have changed");
    }
}

#[test]
fn e5_a_policy_over_the_record_or_the_apex_stops_the_zone_and_says_why() {
    for (rule, what) in [("_rotad.mydomain.org CNAME *.", "TXT record"), ("mydomain.org CNAME .", "mydomain.org is")] {
        let mut rota = Rota::new()
            .nodes(2)
            .service(IMAP)
            .named_option(POLICY)
            .domain(ZONE, "services: [imap]")
            .zone(ZONE, Zone::new(ZONE).records("imap A 198.51.100.7").statement(NO_TRANSFER))
            .zone("rpz", Zone::new("rpz").records(rule))
            .build();
        let before = rota.records(ZONE);
        rota.start();
        let entry = rota.expect_zone_state(ZONE, "failing");
        let error = entry["error"].as_str().unwrap();
        assert!(error.contains("response-policy") && error.contains(what), "{error}");
        rota.restart();
        rota.expect_zone_state(ZONE, "failing");
        assert_eq!(rota.records(ZONE), before);
    }
}

#[test]
fn e5_what_named_redirects_is_not_taken_for_the_zones_data() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .domain(ZONE, "services: [imap]")
        .zone(ZONE, Zone::new(ZONE).records("other A 198.51.100.7").statement(NO_TRANSFER))
        .zone(".", Zone::redirect("*. A 198.51.100.9"))
        .build();
    let before = rota.records(ZONE);
    rota.start();
    let entry = rota.expect_zone_state(ZONE, "failing");
    assert!(entry["error"].as_str().unwrap().contains("type redirect"), "{entry}");
    assert_eq!(rota.records(ZONE), before);
}
