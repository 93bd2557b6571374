//! BIND refuses, ignores, forgets, is frozen or full.

use std::fs;

use super::*;

/// One zone that takes what it is told beside one that does not.
fn beside(zone: Zone) -> Rota {
    let mut rota = Rota::new()
        .nodes(3)
        .service(IMAP)
        .service("pop: { publish: address, name: pop, checks: [imap] }")
        .domain("beside.org", "services: [imap]")
        .domain(ZONE, "services: [imap, pop]")
        .zone(ZONE, zone)
        .build();
    rota.start();
    rota
}

/// The zone fails with these words in the status and in the journal. The error as it stands there.
fn expect_failing(rota: &mut Rota, parts: &[&str]) -> String {
    let entry = rota.expect_zone_state(ZONE, "failing");
    let error = entry["error"].as_str().unwrap().to_owned();
    for part in parts {
        assert!(error.contains(part), "{part}: {error}");
    }
    rota.expect_journal(&error);
    error
}

/// The zone fails with these words, told once, and the one beside it follows.
fn expect_told(rota: &mut Rota, parts: &[&str]) {
    let error = expect_failing(rota, parts);
    rota.kill("node02");
    rota.expect_a("imap.beside.org", ["node00", "node01"]);
    rota.revive("node02");
    rota.expect_a("imap.beside.org", ["node00", "node01", "node02"]);
    assert_eq!(rota.journal().matches(&error).count(), 1, "it is told once: {}", rota.journal());
}

#[test]
fn b6_what_a_quota_drops_is_told_with_the_grant() {
    let rules = "grant rotad name imap.mydomain.org A(2); grant rotad name pop.mydomain.org A; grant rotad name _rotad.mydomain.org TXT;";
    let mut rota = beside(Zone::with_policy(ZONE, rules));
    let error = expect_failing(&mut rota, &["imap.mydomain.org A", "update-policy"]);
    rota.expect_a("pop.mydomain.org", ["node00", "node01", "node02"]);
    rota.expect_a("imap.beside.org", ["node00", "node01", "node02"]);
    assert_eq!(rota.journal().matches(&error).count(), 1, "it is told once: {}", rota.journal());
    // Without the third the two that BIND kept are all; with it, what it drops is news again.
    rota.kill("node02");
    rota.expect_in_sync();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.revive("node02");
    rota.eventually("it is told anew", |rota| rota.journal().matches(&error).count() == 2);
    rota.expect_zone_state(ZONE, "failing");
    rota.expect_a("pop.mydomain.org", ["node00", "node01", "node02"]);
    rota.expect_a("imap.beside.org", ["node00", "node01", "node02"]);
}

#[test]
fn b9_one_name_that_is_not_granted_stands_alone() {
    let rules = "grant rotad name pop.mydomain.org A; grant rotad name _rotad.mydomain.org TXT;";
    let mut rota = beside(Zone::with_policy(ZONE, rules));
    expect_told(
        &mut rota,
        &["imap.mydomain.org A", "REFUSED", "allow-update", "secondary", "frozen", "grants not all"],
    );
    // The rest of the zone is published, and follows.
    rota.expect_a("pop.mydomain.org", ["node00", "node01", "node02"]);
    rota.kill("node01");
    rota.expect_a("pop.mydomain.org", ["node00", "node02"]);
    assert!(rota.named.a("imap.mydomain.org").is_empty());
}

#[test]
fn b10_a_frozen_zone_is_told_and_follows_after_the_thaw() {
    let mut rota = beside(Zone::new(ZONE));
    rota.expect_in_sync();
    rota.named.rndc(&["freeze", ZONE]).unwrap();
    let serial = rota.serial(ZONE);
    rota.kill("node01");
    let entry = rota.expect_zone_state(ZONE, "failing");
    assert!(entry["error"].as_str().unwrap().contains("rndc thaw"), "{entry}");
    rota.expect_a("imap.beside.org", ["node00", "node02"]);
    assert_eq!(rota.serial(ZONE), serial);
    rota.named.rndc(&["thaw", ZONE]).unwrap();
    rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
    rota.expect_in_sync();
    rota.expect_journal("mydomain.org: in sync again, was failing");
}

#[test]
fn b11_a_secondary_takes_no_update_and_that_is_told() {
    let primary =
        crate::support::named::Named::builder().zone(Zone::new(ZONE).statement("allow-transfer { any; };")).start();
    primary.nsupdate("zone mydomain.org\nupdate add www.mydomain.org 60 A 192.0.2.80").unwrap();
    let mut rota = beside(Zone::secondary(ZONE, primary.port));
    expect_told(&mut rota, &["REFUSED", "this server is a secondary of mydomain.org"]);
    assert_eq!(primary.serial(ZONE), 2, "ours wrote nothing");
}

#[test]
fn b12_a_zone_that_is_not_there_is_told() {
    let mut rota = Rota::new()
        .nodes(3)
        .service(IMAP)
        .domain("beside.org", "services: [imap]")
        .domain("sub.mydomain.org", "services: [imap], zone: mydomain.org")
        .build();
    rota.start();
    expect_told(&mut rota, &["REFUSED", "the zone is not served here"]);
}

#[test]
fn b20_a_journal_that_cannot_be_written_is_told_and_made_up_for() {
    let mut rota = beside(Zone::new(ZONE).records("imap A 127.0.0.1").statement("journal \"later/mydomain.jnl\";"));
    // The address is nobody's: what is there stays until the zone is adopted. Free the way.
    rota.expect_zone_state(ZONE, "foreign");
    drop(rota);
    let mut rota = beside(Zone::new(ZONE).statement("journal \"later/mydomain.jnl\";"));
    expect_told(&mut rota, &["SERVFAIL", "full disk"]);
    assert_eq!(rota.serial(ZONE), 1);
    fs::create_dir(rota.named.path().join("later")).unwrap();
    rota.expect_a("imap.mydomain.org", NODES);
    rota.expect_in_sync();
}

#[test]
fn b30_over_the_update_quota_every_zone_comes_through_all_the_same() {
    let zones: Vec<String> = (0..24).map(|number| format!("z{number:02}.example.org")).collect();
    let builder = Rota::new().nodes(2).service(IMAP).named_option("update-quota 1;");
    let mut rota = zones.iter().fold(builder, |rota, zone| rota.domain(zone, "services: [imap]")).build();
    rota.edit("timeout: 2s", "timeout: 500ms");
    rota.start();
    rota.expect_in_sync();
    rota.kill("node01");
    for zone in &zones {
        rota.expect_a(&format!("imap.{zone}"), ["node00"]);
    }
    rota.expect_in_sync();
    for zone in &zones {
        assert_eq!(rota.serial(zone), 3, "{zone}: silence is not failure, and costs no second serial");
    }
}

#[test]
fn e10_a_bind_with_few_tcp_clients_is_not_filled_up() {
    let zones: Vec<String> = (0..16).map(|number| format!("z{number:02}.example.org")).collect();
    let builder = Rota::new().nodes(2).service(IMAP).named_option("tcp-clients 2;");
    let mut rota = zones.iter().fold(builder, |rota, zone| rota.domain(zone, "services: [imap]")).build();
    rota.start();
    rota.expect_in_sync();
    let told = |rota: &Rota, what: &str| rota.journal().lines().filter(|line| line.contains(what)).count();
    for round in 1..=3 {
        rota.kill("node01");
        rota.eventually("every zone has followed", |rota| told(rota, "removed 127.") == 16 * round);
        rota.revive("node01");
        rota.eventually("and again", |rota| told(rota, "added 127.") == 16 * (round + 1));
    }
    rota.expect_in_sync();
    // Two connections may do, or one, should somebody else have the other: each is told once.
    let fewer = ["2", "1"].map(|left| told(&rota, &format!("while it answers on others: {left} of the ")));
    assert!(fewer.contains(&1) && fewer.iter().all(|told| *told <= 1), "{}", rota.journal());
    assert!(rota.journal().contains("`tcp-clients` is used up"), "{}", rota.journal());
    // And somebody else finds room.
    rota.expect_a("imap.z00.example.org", ["node00", "node01"]);
}

#[test]
fn b34_signed_zones_follow_like_others() {
    let zone = |name: &str, inline: &str| {
        Zone::new(name).records(OTHERS).statement(&format!("dnssec-policy default; inline-signing {inline};"))
    };
    let mut rota = Rota::new()
        .nodes(3)
        .service(IMAP)
        .service(MX)
        .domain("dynamic.org", "services: [imap, mx]")
        .domain("inline.org", "services: [imap, mx]")
        .zone("dynamic.org", zone("dynamic.org", "no"))
        .zone("inline.org", zone("inline.org", "yes"))
        .start();
    for name in ["dynamic.org", "inline.org"] {
        let imap = format!("imap.{name}");
        rota.expect_a(&imap, ["node00", "node01", "node02"]);
        rota.kill("node01");
        rota.expect_a(&imap, ["node00", "node02"]);
        rota.expect_mx(name, [&format!("10 node00.{name}") as &str, &format!("10 node02.{name}")]);
        rota.expect_in_sync();
        rota.revive("node01");
        rota.expect_a(&imap, ["node00", "node01", "node02"]);
        rota.expect_in_sync();
        rota.eventually("the set is signed", |rota| rota.records(name).iter().any(|line| line.contains("RRSIG A ")));
    }
    // Signatures that come and go are no hand edits.
    assert!(!rota.journal().contains("changed by somebody else"), "{}", rota.journal());
}

#[test]
fn b38_case_wildcards_and_odd_names_make_no_difference() {
    let mut builder = Rota::new();
    let known = builder.address_of(0);
    let records = format!("* A 192.0.2.66\n* MX 5 elsewhere.example.\nIMAP 300 A {known}\nodd\\.name TXT odd");
    let mut rota = builder
        .nodes(2)
        .service("imap: { publish: address, name: ImaP, checks: [imap] }")
        .domain("MyDomain.ORG", "services: [imap, pop]")
        .service("pop: { publish: address, name: pop, checks: [imap] }")
        .domain("xn--bcher-kva.example", "services: [imap]")
        .zone("MyDomain.ORG", Zone::new("MyDomain.org").records(&records))
        .start();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    // What the wildcard made up for it was nobody's data.
    rota.expect_a("pop.mydomain.org", ["node00", "node01"]);
    rota.expect_a("imap.xn--bcher-kva.example", ["node00", "node01"]);
    let serial = rota.serial(ZONE);
    rota.restart();
    rota.expect_in_sync();
    assert_eq!(rota.serial(ZONE), serial);
    assert_eq!(rota.named.txt("odd\\.name.mydomain.org").len(), 1);
    assert_eq!(rota.named.a("any.mydomain.org"), ["192.0.2.66".to_owned()].into());
}

#[test]
fn b39_a_zone_that_cannot_be_read_is_not_written() {
    let mut rota = beside(Zone::new(ZONE).statement("allow-query { !key rotad; any; };"));
    expect_told(&mut rota, &["REFUSED", "allow-query"]);
    assert_eq!(rota.serial(ZONE), 1);
}

#[test]
fn b40_a_zone_from_a_backup_is_brought_up_to_date() {
    let mut rota = plain();
    let file = rota.named.path().join("mydomain.org.zone");
    rota.named.rndc(&["sync", "-clean", ZONE]).unwrap();
    // It is written a moment after it was asked for.
    rota.eventually("the zone file is written", |_| fs::read_to_string(&file).unwrap().contains("generation="));
    let backup = fs::read(&file).unwrap();
    let kept = generation(&rota);
    for node in ["node01", "node02"] {
        rota.kill(node);
        rota.expect_in_sync();
        rota.eventually("it is out", |rota| generation(rota) > kept);
    }
    expect_right(&mut rota, ["node00"]);
    let newest = generation(&rota);
    assert!(newest > kept);
    // named is stopped; somebody restores the zone as it was.
    rota.named.kill();
    fs::write(&file, backup).unwrap();
    fs::remove_file(rota.named.path().join("mydomain.org.zone.jnl")).unwrap();
    rota.revive("node01");
    rota.expect_journal("BIND gives no answer: ");
    rota.named.restart();
    rota.expect_journal(&format!(
        "the generation went back from {newest} to {kept}: was the zone restored from a backup?"
    ));
    rota.expect_journal("what was withdrawn or deleted since the backup may be back");
    expect_right(&mut rota, ["node00", "node01"]);
    // Above any that was ours, so that nothing that was signed then can be applied any more.
    assert!(generation(&rota) > newest);
}
