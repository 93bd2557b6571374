//! BIND shows something older than what it updates, or something else than it was told.

use std::{fmt::Write as _, fs};

use super::*;
use crate::support::{named::Named, rota::Builder};

/// What must never be said of a copy that is behind.
fn expect_no_alarm(rota: &Rota) {
    for alarm in
        ["restored from a backup", "another writer", "a copy of this machine", "changed by somebody else", "failing"]
    {
        assert!(!rota.journal().contains(alarm), "{alarm}: {}", rota.journal());
    }
}

/// Two thousand names, so that signing takes its time.
fn large(name: &str) -> Zone {
    let records: Vec<_> = (0..2_000).map(|at| format!("host{at} A 192.0.2.{}", at % 250 + 1)).collect();
    Zone::new(name).records(&records.join("\n")).statement("dnssec-policy default; inline-signing yes;")
}

#[test]
fn e2_updates_while_the_signed_copy_is_made_are_followed_to_the_last() {
    let mut rota = Rota::new().nodes(3).service(IMAP).domain(ZONE, "services: [imap]").zone(ZONE, large(ZONE)).start();
    rota.expect_a("imap.mydomain.org", NODES);
    for round in 0..4 {
        // Others write at the same time: single updates, and a whole file by freeze and thaw.
        for at in 0..40 {
            rota.named.nsupdate(&format!("zone {ZONE}\nupdate add r{round}x{at}.{ZONE} 60 A 192.0.2.99")).unwrap();
        }
        if round % 2 == 1 {
            rota.named.rndc(&["freeze", ZONE]).unwrap();
            let file = rota.named.path().join(format!("{ZONE}.zone"));
            rota.eventually("the zone file is written", |_| fs::read_to_string(&file).unwrap().contains("generation="));
            let mut text = fs::read_to_string(&file).unwrap();
            let serial = text.lines().find(|line| line.contains("; serial")).unwrap().trim().to_owned();
            let number: u32 = serial.split_whitespace().next().unwrap().parse().unwrap();
            text = text.replacen(&serial, &format!("{} ; serial", number + 1), 1);
            writeln!(text, "$ORIGIN {ZONE}.").unwrap();
            for at in 0..500 {
                writeln!(text, "new{round}x{at} 60 A 192.0.2.98").unwrap();
            }
            fs::write(&file, text).unwrap();
            rota.named.rndc(&["thaw", ZONE]).unwrap();
        }
        rota.kill("node01");
        rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
        rota.kill("node02");
        rota.expect_a("imap.mydomain.org", ["node00"]);
        rota.revive("node01");
        rota.revive("node02");
        rota.expect_a("imap.mydomain.org", NODES);
    }
    rota.expect_in_sync();
    expect_no_alarm(&rota);
}

/// A rota whose server is a secondary that forwards updates to a primary, running.
fn behind_a_secondary(builder: Builder) -> (Named, Rota) {
    let primary = Named::builder().zone(Zone::new(ZONE)).option("allow-transfer { any; };").start();
    let mut rota = builder.domain(ZONE, "services: [imap]").zone(ZONE, Zone::forwarding(ZONE, primary.port)).build();
    // Both know the same key: the message goes on as it was signed.
    fs::copy(rota.named.key_file("rotad"), primary.key_file("rotad")).unwrap();
    primary.rndc(&["reconfig"]).unwrap();
    rota.eventually("the secondary has the zone", |rota| {
        !rota.named.query(ZONE, hickory_proto::rr::RecordType::SOA).answers.is_empty()
    });
    rota.start();
    (primary, rota)
}

#[test]
fn e3_a_secondary_that_forwards_updates_and_hears_late_is_waited_for() {
    let (primary, mut rota) = behind_a_secondary(Rota::new().nodes(2).service(IMAP));
    rota.eventually("the primary has it", |rota| {
        primary.a("imap.mydomain.org").len() == 2 && rota.named.a("imap.mydomain.org").is_empty()
    });
    rota.expect_journal("does not show it yet");
    let entry = rota.expect_zone_state(ZONE, "pending");
    assert!(entry["error"].as_str().is_some_and(|error| error.contains("secondary")), "{entry}");
    // The death of a node does not wait for the copy.
    rota.kill("node01");
    rota.eventually("the primary follows", |_| primary.a("imap.mydomain.org").len() == 1);
    rota.named.rndc(&["refresh", ZONE]).unwrap();
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_in_sync();
    expect_no_alarm(&rota);
    // In the second of its refresh a secondary looks like a primary.
    rota.eventually("doctor says so", |rota| rota.run(&["doctor"]).out.contains("this server is a secondary"));
}

#[test]
fn e3_what_a_late_secondary_does_not_show_is_not_replaced() {
    let pop = "pop: { publish: address, name: pop, checks: [imap] }";
    let (primary, mut rota) = behind_a_secondary(Rota::new().nodes(2).service(IMAP).service(pop));
    rota.eventually("the primary has it", |_| primary.a("imap.mydomain.org").len() == 2);
    rota.named.rndc(&["refresh", ZONE]).unwrap();
    rota.expect_in_sync();
    // Somebody writes to the primary, and the secondary does not know when the name gets into the file.
    primary.nsupdate(&format!("zone {ZONE}\nupdate add pop.{ZONE} 60 A 198.51.100.7")).unwrap();
    rota.edit("services: [imap]", "services: [imap, pop]");
    rota.expect_journal("does not show it yet");
    rota.kill("node01");
    rota.eventually("the primary follows", |_| primary.a("imap.mydomain.org").len() == 1);
    assert_eq!(primary.a("pop.mydomain.org"), ["198.51.100.7".to_owned()].into());
    rota.named.rndc(&["refresh", ZONE]).unwrap();
    rota.expect_journal("rotad adopt pop.mydomain.org A");
    assert_eq!(primary.a("pop.mydomain.org"), ["198.51.100.7".to_owned()].into());
}

#[test]
fn e6_a_lower_max_zone_ttl_is_told_once_and_taken_as_right() {
    let mut rota = Rota::new()
        .nodes(2)
        .service("imap: { publish: address, name: imap, checks: [imap], ttl: 1h }")
        .domain(ZONE, "services: [imap]")
        .zone(ZONE, Zone::new(ZONE).statement("max-zone-ttl 300;"))
        .start();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_in_sync();
    rota.expect_journal("max-zone-ttl");
    let serial = rota.serial(ZONE);
    rota.restart();
    rota.expect_in_sync();
    let ran = rota.run(&["plan"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(rota.serial(ZONE), serial);
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_in_sync();
    assert_eq!(rota.serial(ZONE), serial + 1);
    rota.expect_journal("imap.mydomain.org A: removed ");
    assert!(!rota.journal().contains("TTL 3600 instead of 300"), "{}", rota.journal());
    assert_eq!(rota.journal().matches("max-zone-ttl of the zone").count(), 0);
    assert_eq!(rota.journal().matches("`max-zone-ttl`").count(), 1, "{}", rota.journal());
}

/// `named` is killed, and its journals with it.
fn lose_journals(rota: &mut Rota, zones: &[String]) {
    rota.named.kill();
    for zone in zones {
        let _ = fs::remove_file(rota.named.path().join(format!("{zone}.zone.jnl")));
    }
}

#[test]
fn e9_a_named_that_comes_back_without_its_journals_is_looked_at_at_once() {
    let zones: Vec<String> = (0..8).map(|number| format!("z{number}.example.org")).collect();
    let builder = Rota::new().nodes(2).service(IMAP);
    let mut rota = zones.iter().fold(builder, |rota, zone| rota.domain(zone, "services: [imap]")).start();
    rota.expect_in_sync();
    let generation = |rota: &Rota, zone: &str| {
        let record = rota.named.txt(&format!("_rotad.{zone}")).pop_first()?;
        record.rsplit_once("generation=")?.1.parse::<u64>().ok()
    };
    // Back so soon that nobody has asked meanwhile: the connection that ended tells.
    lose_journals(&mut rota, &zones);
    rota.named.restart();
    for zone in &zones {
        rota.expect_a(&format!("imap.{zone}"), ["node00", "node01"]);
    }
    rota.expect_in_sync();
    // Away for longer.
    lose_journals(&mut rota, &zones);
    rota.kill("node01");
    rota.expect_journal("BIND gives no answer: ");
    rota.named.restart();
    for zone in &zones {
        rota.expect_a(&format!("imap.{zone}"), ["node00"]);
        rota.eventually("generations go on", |rota| generation(rota, zone) > Some(1));
    }
    rota.expect_in_sync();
}

#[test]
fn f5_a_serial_that_is_a_time_costs_no_reading_after_each_message() {
    for method in ["unixtime", "date"] {
        let mut rota = Rota::new()
            .nodes(2)
            .service(IMAP)
            .service(super::MX)
            .domain(ZONE, "services: [imap, mx]")
            .zone(ZONE, Zone::new(ZONE).statement(&format!("serial-update-method {method};")))
            .named_option("querylog yes;")
            .start();
        rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
        rota.expect_in_sync();
        // The hosts of the exchanges never change: who asks for them reads the zone.
        let asked = |rota: &Rota| rota.named.log().matches("query: node00.mydomain.org IN ").count();
        let before = asked(&rota);
        assert!(before > 0 || rota.named.log().contains("AXFR"), "{}", rota.named.log());
        for _ in 0..5 {
            rota.kill("node01");
            rota.expect_a("imap.mydomain.org", ["node00"]);
            rota.revive("node01");
            rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
        }
        rota.expect_in_sync();
        // One reading a minute at most.
        assert!(asked(&rota) <= before + 2, "{method}: {} questions", asked(&rota) - before);
    }
}
