//! `rotad adopt`: the zone of strangers, of another cluster, of another instance.

use std::{collections::BTreeSet, fmt::Write as _};

use super::*;

fn contact(records: &str) -> Rota {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .domain("mydomain.org", "services: [imap]")
        .zone("mydomain.org", Zone::new("mydomain.org").records(records))
        .build();
    rota.start();
    rota
}

#[test]
fn what_was_not_ours_is_taken_over_from_the_record_that_was_read() {
    for (records, state, generation) in [
        ("imap A 198.51.100.9", "foreign", 1),
        ("_rotad TXT \"hello\"", "foreign", 1),
        ("_rotad 0 TXT \"v=1 cluster=other owner=somebody generation=7\"\nimap A 198.51.100.9", "foreign", 8),
        ("_rotad 0 TXT \"v=1 cluster=mail owner=somebody generation=7\"", "standby", 8),
    ] {
        let mut rota = contact(&format!("{records}\nwww A 203.0.113.80\n@ TXT \"v=spf1 -all\""));
        rota.expect_zone_state("mydomain.org", state);
        rota.expect_journal("writing may begin");
        assert_eq!(rota.serial("mydomain.org"), 1, "{records}");
        let ran = rota.run(&["adopt", "MyDomain.org."]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.ends_with(&format!("mydomain.org: is taken over, was {state}\n")), "{ran:?}");
        assert!(ran.out.contains("+ imap.mydomain.org. 60 IN A 127."), "the difference comes first: {ran:?}");
        rota.expect_in_sync();
        rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
        rota.expect_journal(&format!("mydomain.org: is taken over, was {state}"));
        let record = rota.named.txt("_rotad.mydomain.org");
        assert_eq!(record.len(), 1, "{records}");
        assert!(record.first().unwrap().ends_with(&format!(" generation={generation}")), "{records}: {record:?}");
        assert_eq!(rota.serial("mydomain.org"), 2, "{records}: one message");
        // What is not ours is not touched.
        assert_eq!(rota.named.a("www.mydomain.org").len(), 1);
        assert_eq!(rota.named.txt("mydomain.org").len(), 1);
        // It stays ours.
        rota.restart();
        rota.expect_in_sync();
        assert_eq!(rota.serial("mydomain.org"), 2, "{records}");
    }
}

#[test]
fn while_held_a_zone_is_adopted_later() {
    let mut rota = contact("imap A 198.51.100.9");
    rota.expect_zone_state("mydomain.org", "foreign");
    assert_eq!(rota.run(&["hold"]).code, 0);
    let ran = rota.run(&["adopt", "mydomain.org"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("once `rotad release` lets it write"), "{ran:?}");
    rota.expect_zone_state("mydomain.org", "pending");
    assert_eq!(rota.serial("mydomain.org"), 1);
    assert_eq!(rota.run(&["release"]).code, 0);
    rota.expect_in_sync();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
}

#[test]
fn c16_a_strangers_set_in_a_zone_of_ours_is_foreign_alone() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .service("shop: { publish: address, name: shop, checks: [imap] }")
        .service("blog: { publish: address, name: blog, checks: [imap] }")
        .domain("one.org", "services: [imap]")
        .domain("two.org", "services: [imap]")
        .zone("one.org", Zone::new("one.org").records("shop A 198.51.100.9\nblog 300 A 198.51.100.10"))
        .build();
    rota.start();
    rota.expect_in_sync();
    let yaml = rota.yaml().replace("services: [imap]", "services: [imap, shop, blog]");
    rota.write(&yaml);
    for right in ["imap.one.org", "imap.two.org", "shop.two.org", "blog.two.org"] {
        rota.expect_a(right, ["node00", "node01"]);
    }
    rota.expect_journal("shop.one.org A holds 198.51.100.9, which rotad did not publish");
    rota.expect_in_sync();
    assert_eq!(rota.zone("one.org")["foreign"], serde_json::json!(["blog.one.org", "shop.one.org"]));
    assert_eq!(rota.zone("two.org")["foreign"], serde_json::json!([]));
    let shown = rota.run(&["status"]);
    assert!(shown.out.contains("2 names hold data of strangers"), "{shown:?}");
    // Health is followed beside them, and they outlive a restart.
    rota.kill("node01");
    rota.expect_a("shop.two.org", ["node00"]);
    rota.restart();
    rota.expect_a("imap.one.org", ["node00"]);
    rota.expect_in_sync();
    assert_eq!(rota.named.a("shop.one.org"), ["198.51.100.9".to_owned()].into());
    // One is taken over by its name, the other by a pattern.
    let ran = rota.run(&["adopt", "shop.one.org", "A"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.starts_with("- shop.one.org. 300 IN A 198.51.100.9\n"), "{ran:?}");
    rota.expect_a("shop.one.org", ["node00"]);
    assert_eq!(rota.named.a("blog.one.org"), ["198.51.100.10".to_owned()].into());
    assert_eq!(rota.run(&["adopt", "*.one.org"]).code, 0);
    rota.expect_a("blog.one.org", ["node00"]);
    rota.expect_in_sync();
    assert_eq!(rota.zone("one.org")["foreign"], serde_json::json!([]));
}

/// What strangers have at names of the file, and what the file gives there.
const IN_THE_WAY: [(&str, &str, &str); 7] = [
    ("shop", "CNAME elsewhere.example.", "address"),
    ("blog", "A 198.51.100.10", "alias"),
    ("news", "AAAA 2001:db8::7", "alias"),
    ("post", "MX 10 mx.elsewhere.example.", "alias"),
    ("text", "TXT \"somebody's\"", "alias"),
    ("call", "SRV 0 0 5060 sip.elsewhere.example.", "alias"),
    // As a pattern it means all that is left.
    ("*", "CNAME elsewhere.example.", "address"),
];

#[test]
fn c16_what_stands_in_the_way_of_ours_is_foreign_alone_whatever_its_type() {
    let mut builder = Rota::new().nodes(2).service(IMAP).domain("one.org", "services: [imap]");
    let mut services = String::from("services: [imap");
    let mut records = String::new();
    for (at, (label, record, form)) in IN_THE_WAY.iter().enumerate() {
        let keys = if *form == "alias" { "target: imap.example.net" } else { "checks: [imap]" };
        builder = builder.service(&format!("s{at}: {{ publish: {form}, name: \"{label}\", {keys} }}"));
        let _ = write!(services, ", s{at}");
        let _ = writeln!(records, "{label} 300 {record}");
    }
    let mut rota = builder.zone("one.org", Zone::new("one.org").records(&records)).build();
    let theirs = |rota: &Rota| -> BTreeSet<String> {
        let is_theirs = |line: &String| !line.starts_with("_rotad.") && !line.starts_with("imap.");
        rota.records("one.org").into_iter().filter(is_theirs).collect()
    };
    let before = theirs(&rota);
    rota.start();
    rota.expect_in_sync();
    let yaml = rota.yaml().replace("services: [imap]", &format!("{services}]"));
    rota.write(&yaml);
    for (label, ..) in IN_THE_WAY {
        rota.expect_journal(&format!("{label}.one.org "));
    }
    rota.expect_in_sync();
    let mut names: Vec<_> = IN_THE_WAY.iter().map(|(label, ..)| format!("{label}.one.org")).collect();
    names.sort();
    let zone = rota.zone("one.org");
    let mut listed: Vec<_> =
        zone["foreign"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    listed.sort();
    assert_eq!((listed, &zone["error"]), (names, &serde_json::Value::Null));
    let (code, plan) = rota.plan();
    assert!(code == 0 && plan.contains("which rotad never deletes"), "{plan}");
    // The rest is followed, they stay as they are, and nothing is written for them.
    rota.kill("node01");
    rota.expect_a("imap.one.org", ["node00"]);
    let serial = rota.serial("one.org");
    rota.restart();
    rota.expect_in_sync();
    assert_eq!(rota.serial("one.org"), serial);
    assert_eq!(theirs(&rota), before);
    // They go when they are taken over, but for what is not managed: that goes by hand.
    for (label, ..) in IN_THE_WAY {
        let ran = rota.run(&["adopt", &format!("{label}.one.org")]);
        let is_managed = !["text", "call"].contains(&label);
        assert_eq!(ran.code, i32::from(!is_managed), "{ran:?}");
        assert!(is_managed || ran.err.contains("never deletes"), "{ran:?}");
    }
    rota.named.nsupdate("zone one.org\nupdate delete text.one.org TXT\nupdate delete call.one.org SRV").unwrap();
    assert_eq!(rota.run(&["sync"]).code, 0);
    rota.expect_a("shop.one.org", ["node00"]);
    rota.expect_in_sync();
    assert_eq!(rota.zone("one.org")["foreign"], serde_json::json!([]));
    let now = rota.records("one.org");
    for label in ["blog", "news", "post", "text", "call"] {
        let alias = format!("{label}.one.org.");
        assert!(now.iter().any(|line| line.starts_with(&alias) && line.contains("CNAME imap.example.net.")), "{now:?}");
    }
}

#[test]
fn c9_several_are_adopted_at_once_and_each_result_is_told() {
    let mut builder = Rota::new().nodes(2).service(IMAP);
    for name in ["a.example.org", "b.example.org", "c.example.net"] {
        let zone = Zone::new(name).records("_rotad 0 TXT \"v=1 cluster=mail owner=somebody generation=7\"");
        builder = builder.domain(name, "services: [imap]").zone(name, zone);
    }
    let mut rota = builder.build();
    rota.start();
    for name in ["a.example.org", "b.example.org", "c.example.net"] {
        rota.expect_zone_state(name, "standby");
    }
    rota.expect_journal("writing may begin");
    let ran = rota.run(&["adopt", "*.example.org", "nowhere.net"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    for part in [
        "a.example.org: is taken over, was standby",
        "b.example.org: is taken over, was standby",
        "nowhere.net is no zone of the file in force",
    ] {
        assert!(format!("{}{}", ran.out, ran.err).contains(part), "{part}: {ran:?}");
    }
    rota.expect_a("imap.b.example.org", ["node00", "node01"]);
    rota.expect_zone_state("c.example.net", "standby");
    assert_eq!(rota.run(&["adopt", "*"]).code, 0);
    rota.expect_in_sync();
    assert_eq!(rota.run(&["adopt"]).code, 64);
}

#[test]
fn g3_what_stands_in_the_way_has_one_next_step_and_its_grant_is_named() {
    // As README says: the key may write A and AAAA, and its record.
    let policy = "grant rotad name _rotad.mydomain.org TXT; grant rotad name imap.mydomain.org A AAAA; \
                  grant rotad name shop.mydomain.org A AAAA; grant person zonesub ANY;";
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .service("shop: { publish: address, name: shop, checks: [imap] }")
        .domain("mydomain.org", "services: [imap]")
        .zone("mydomain.org", Zone::with_policy("mydomain.org", policy).records("shop CNAME hoster.example.net."))
        .key("person", "hmac-sha256")
        .build();
    rota.start();
    rota.expect_in_sync();
    rota.edit("services: [imap]", "services: [imap, shop]");
    let grant = "`grant KEY name shop.mydomain.org CNAME;`";
    let left = |target: &str| {
        format!(
            "a CNAME exists at that name, which rotad did not publish (CNAME {target}.), and BIND ignores other records beside \
             it: it is left as it is, and the rest of the zone goes on; delete it (nsupdate: update delete shop.mydomain.org. \
             TYPE), run `rotad adopt shop.mydomain.org CNAME` to take it over, which deletes it (the key needs {grant} for \
             that), or take the name out of the file"
        )
    };
    rota.expect_journal(&left("hoster.example.net"));
    let shown = rota.run(&["status"]).out;
    assert!(
        shown.contains("delete them, or run `rotad adopt NAME` to take them over\n  shop.mydomain.org\n"),
        "{shown}"
    );
    let missing = "grant rotad name shop.mydomain.org CNAME;";
    let ran = rota.run(&["doctor"]);
    assert!(ran.code == 1 && ran.out.contains(missing), "{ran:?}");
    assert!(ran.out.contains("shop.mydomain.org CNAME, which stands in the way"), "{ran:?}");

    let ran = rota.run(&["adopt", "shop.mydomain.org", "CNAME"]);
    assert!(ran.code == 0 && ran.out.contains(grant), "{ran:?}");
    rota.eventually("the refusal is told with the grant", |rota| {
        let zone = rota.zone("mydomain.org");
        zone["error"].as_str().is_some_and(|error| error.contains(&format!("add {grant} and run `rndc reconfig`")))
    });
    rota.expect_cname("shop.mydomain.org", "hoster.example.net");

    // Deleted by hand: who asks for the zone to be read waits for nothing.
    rota.named.nsupdate_as("person", "zone mydomain.org\nupdate delete shop.mydomain.org CNAME").unwrap();
    let ran = rota.run(&["sync", "mydomain.org"]);
    assert!(
        ran.code == 0 && ran.out.contains("shop.mydomain.org A: added ") && ran.out.ends_with("1 zone read\n"),
        "{ran:?}"
    );
    rota.expect_a("shop.mydomain.org", ["node00", "node01"]);
    rota.expect_in_sync();

    // Somebody puts another alias in the place of ours.
    let by_hand = "update delete shop.mydomain.org A\nupdate add shop.mydomain.org 60 CNAME other.example.net";
    rota.named.nsupdate_as("person", &format!("zone mydomain.org\n{by_hand}")).unwrap();
    let ran = rota.run(&["sync", "mydomain.org"]);
    let left = format!("to nothing: it cannot be put back: {}", left("other.example.net"));
    assert!(ran.code == 0 && ran.out.contains(&left), "{ran:?}");
    assert!(!ran.out.contains("that is what it should be") && !ran.out.contains("nothing had been changed"), "{ran:?}");
}
