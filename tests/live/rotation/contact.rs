//! Whose is the zone? First contact with what is there, rivals, and what stands in the way.

use std::fs;

use super::*;

/// A rota with one zone beside the one in question: what happens there shows that time has passed.
fn beside(zone: Zone) -> Rota {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .service(MX)
        .domain("beside.org", "services: [imap]")
        .domain("mydomain.org", "services: [imap, mx]")
        .zone("mydomain.org", zone)
        .build();
    rota.start();
    rota
}

/// Nothing is written to the zone, neither at the start nor when a node dies.
fn expect_untouched(rota: &mut Rota) {
    rota.expect_a("imap.beside.org", ["node00", "node01"]);
    rota.kill("node01");
    rota.expect_a("imap.beside.org", ["node00"]);
    assert_eq!(rota.serial("mydomain.org"), 1);
}

#[test]
fn data_of_strangers_is_not_overwritten() {
    let zone = Zone::new("mydomain.org").records("imap A 198.51.100.9\n@ MX 10 node00");
    let mut rota = beside(zone.records("node00 A 198.51.100.10"));
    let entry = rota.expect_zone_state("mydomain.org", "foreign");
    let error = entry["error"].as_str().unwrap();
    assert!(error.contains("imap.mydomain.org A") && error.contains("198.51.100.9"), "{error}");
    assert!(error.contains("rotad adopt mydomain.org"), "{error}");
    rota.expect_journal(error);
    expect_untouched(&mut rota);
    assert!(rota.named.txt("_rotad.mydomain.org").is_empty());

    // Whoever corrects the zone gets it published.
    rota.named
        .nsupdate("zone mydomain.org\nupdate delete imap.mydomain.org A\nupdate delete node00.mydomain.org A\nupdate add node00.mydomain.org 60 AAAA 2001:db8::1")
        .unwrap();
    rota.restart();
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_zone_state("mydomain.org", "in_sync");
}

#[test]
fn data_of_known_nodes_is_taken_over() {
    let mut builder = Rota::new();
    let (known, other) = (builder.address_of(0), builder.address_of(1));
    let records =
        format!("imap 300 A {known}\n@ 300 MX 10 node01\n@ 300 MX 5 node00\nnode00 A {known}\nnode01 A {other}");
    let mut rota = builder
        .nodes(2)
        .service(IMAP)
        .service(MX)
        .domain("mydomain.org", "services: [imap, mx]")
        .zone("mydomain.org", Zone::new("mydomain.org").records(&records))
        .start();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org", "10 node01.mydomain.org"]);
    let record = rota.named.txt("_rotad.mydomain.org").pop_first().unwrap();
    assert!(record.starts_with("v=1 cluster=mail owner=") && record.ends_with(" generation=1"), "{record}");
    assert_eq!(rota.zone("mydomain.org")["generation"], 1);
    assert_eq!(rota.serial("mydomain.org"), 2);
}

#[test]
fn a_cname_in_the_way_holds_up_nothing_else() {
    let mut rota = beside(Zone::new("mydomain.org").records("imap CNAME www.example.net."));
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org", "10 node01.mydomain.org"]);
    rota.expect_journal("imap.mydomain.org A: a CNAME exists at that name");
    let entry = rota.expect_zone_state("mydomain.org", "in_sync");
    assert_eq!(entry["foreign"], serde_json::json!(["imap.mydomain.org"]));
    rota.kill("node01");
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org"]);
    rota.expect_cname("imap.mydomain.org", "www.example.net");

    rota.named.nsupdate("zone mydomain.org\nupdate delete imap.mydomain.org CNAME").unwrap();
    rota.restart();
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_zone_state("mydomain.org", "in_sync");
}

#[test]
fn the_zone_of_another_cluster_is_left_alone() {
    let record = "_rotad 0 TXT \"v=1 cluster=other owner=somebody generation=7\"";
    let mut rota = beside(Zone::new("mydomain.org").records(record));
    let entry = rota.expect_zone_state("mydomain.org", "foreign");
    assert!(entry["error"].as_str().unwrap().contains("\"other\""), "{entry}");
    expect_untouched(&mut rota);
}

#[test]
fn texts_that_are_no_record_are_left_alone() {
    let mut rota = beside(Zone::new("mydomain.org").records("_rotad TXT \"hello\""));
    rota.expect_zone_state("mydomain.org", "foreign");
    expect_untouched(&mut rota);
}

#[test]
fn beside_another_instance_we_stand_by() {
    let record = "_rotad 0 TXT \"v=1 cluster=mail owner=somebody generation=7\"";
    let mut rota = beside(Zone::new("mydomain.org").records(record));
    let entry = rota.expect_zone_state("mydomain.org", "standby");
    assert!(entry["error"].as_str().unwrap().contains("somebody"), "{entry}");
    assert_eq!(entry["generation"], 7);
    expect_untouched(&mut rota);
}

#[test]
fn an_instance_that_takes_over_makes_us_stand_by() {
    let mut rota = beside(Zone::new("mydomain.org"));
    rota.expect_in_sync();
    rota.named
        .nsupdate("zone mydomain.org\nupdate delete _rotad.mydomain.org TXT\nupdate add _rotad.mydomain.org 0 TXT \"v=1 cluster=mail owner=somebody generation=50\"")
        .unwrap();
    let before = rota.serial("mydomain.org");
    rota.kill("node01");
    rota.expect_zone_state("mydomain.org", "standby");
    rota.expect_a("imap.beside.org", ["node00"]);
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    assert_eq!(rota.serial("mydomain.org"), before);
}

#[test]
fn a_record_that_was_deleted_is_written_again_because_we_remember() {
    let mut rota = beside(Zone::new("mydomain.org"));
    rota.expect_in_sync();
    rota.stop();
    rota.named
        .nsupdate(
            "zone mydomain.org\nupdate delete _rotad.mydomain.org TXT\nupdate add imap.mydomain.org 60 A 198.51.100.9",
        )
        .unwrap();
    rota.start();
    rota.expect_in_sync();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    assert_eq!(rota.named.txt("_rotad.mydomain.org").len(), 1);
}

#[test]
fn a_key_that_is_replaced_counts_at_once() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .key("next", "hmac-sha256")
        .domain("mydomain.org", "services: [imap]")
        .zone("mydomain.org", Zone::read_only("mydomain.org").statement("allow-update { key next; };"))
        .build();
    rota.start();
    let entry = rota.expect_zone_state("mydomain.org", "failing");
    assert!(entry["error"].as_str().unwrap().contains("refuse"), "{entry}");
    let new = rota.path().join("next.key");
    fs::copy(rota.named.key_file("next"), &new).unwrap();
    fs::rename(&new, rota.path().join("rotad.key")).unwrap();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_in_sync();
    let secret = fs::read_to_string(rota.path().join("rotad.key")).unwrap();
    let secret = secret.split('"').find(|part| part.len() > 40 && part.ends_with('=')).unwrap().to_owned();
    assert!(!rota.journal().contains(&secret), "no secret is told");
}
