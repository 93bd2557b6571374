//! `rotad doctor` against zones that rotad may write, may not write, and may write in part.

use std::fs;

use serde_json::Value;

use super::*;
use crate::support::named::Named;

const DOMAIN: &str = "services: [imap, mx]";

fn with(zone: Zone) -> Rota {
    Rota::new()
        .nodes(2)
        .service(IMAP)
        .service(MX)
        .domain("beside.org", DOMAIN)
        .domain("mydomain.org", DOMAIN)
        .zone("mydomain.org", zone)
        .build()
}

/// What it finds in mydomain.org, and that it changes nothing anywhere.
fn examine(rota: &Rota) -> (i32, Value) {
    let before = ["beside.org", "mydomain.org"].map(|zone| (rota.serial(zone), rota.records(zone)));
    let log = rota.named.log().len();
    let text = rota.run(&["doctor"]);
    let json = rota.run(&["doctor", "--json"]);
    assert_eq!(text.code, json.code, "{text:?}");
    assert_eq!(["beside.org", "mydomain.org"].map(|zone| (rota.serial(zone), rota.records(zone))), before);
    let log = rota.named.log().split_off(log);
    assert!(!log.contains("adding an RR") && !log.contains("deleting"), "{log}");
    let report: Value = serde_json::from_str(&json.out).unwrap();
    for zone in report["zones"].as_array().unwrap() {
        for line in lines(zone, "missing").iter().chain(&lines(zone, "needed_unless_frozen")) {
            assert!(text.out.contains(line), "{text:?}");
        }
    }
    assert_eq!(report["zones"][0]["error"], Value::Null, "{report}");
    (json.code, report["zones"][1].clone())
}

fn missing(finding: &Value) -> Vec<String> {
    lines(finding, "missing")
}

fn lines(finding: &Value, field: &str) -> Vec<String> {
    finding[field].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

#[test]
fn where_all_is_well_it_says_so() {
    let mut rota = with(Zone::new("mydomain.org"));
    let (code, finding) = examine(&rota);
    assert_eq!((code, &finding["error"]), (0, &Value::Null), "{finding}");
    assert_eq!(finding["mname"], "ns.invalid");
    let text = rota.run(&["doctor"]).out;
    assert!(text.contains("BIND answers over TCP\n") && text.contains("clock: the same as BIND's\n"), "{text}");
    assert!(text.contains("from ") && text.contains("rotad.key:1): accepted\n"), "{text}");
    assert!(text.contains("mydomain.org: all 5 grants are there\n"), "{text}");

    rota.named.kill();
    let ran = rota.run(&["doctor"]);
    assert_eq!(ran.code, 69, "{ran:?}");
    assert!(ran.out.contains("BIND cannot be reached over TCP: cannot connect"), "{ran:?}");
}

#[test]
fn the_missing_lines_are_all_that_is_missing() {
    let some = "grant rotad name imap.mydomain.org A; grant rotad name node00.mydomain.org ANY;";
    let (code, finding) = examine(&with(Zone::with_policy("mydomain.org", some)));
    assert_eq!(code, 1, "{finding}");
    let lines = missing(&finding);
    assert_eq!(
        lines,
        [
            "grant rotad name _rotad.mydomain.org TXT;",
            "grant rotad name mydomain.org MX;",
            "grant rotad name node01.mydomain.org A;",
        ]
    );
    assert!(finding["error"].as_str().unwrap().starts_with("3 of 5 grants are missing"), "{finding}");

    let mut rota = with(Zone::with_policy("mydomain.org", &format!("{some} {}", lines.join(" "))));
    assert_eq!(examine(&rota).0, 0);
    rota.start();
    rota.expect_in_sync();
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org", "10 node01.mydomain.org"]);
}

#[test]
fn a_zone_without_policy_wants_all_of_them() {
    let (code, finding) = examine(&with(Zone::read_only("mydomain.org")));
    assert_eq!(code, 1, "{finding}");
    assert!(finding["error"].as_str().unwrap().contains("the zone has no `update-policy`"), "{finding}");
    let needed = lines(&finding, "needed_unless_frozen");
    let rota = with(Zone::with_policy("mydomain.org", &needed.join(" ")));
    assert_eq!(examine(&rota).0, 0);
}

#[test]
fn c13_of_a_frozen_zone_no_line_is_called_missing_though_rotad_has_not_written_it_yet() {
    let rota = with(Zone::new("mydomain.org"));
    rota.named.rndc(&["freeze", "mydomain.org"]).unwrap();
    let (code, finding) = examine(&rota);
    let error = finding["error"].as_str().unwrap();
    assert!(code == 1 && error.contains("it is frozen (`rndc thaw mydomain.org`)"), "{finding}");
    assert!(error.ends_with("if it is not frozen, these lines are needed in its `update-policy`:"), "{finding}");
    assert_eq!(missing(&finding), [""; 0]);
    assert_eq!(lines(&finding, "needed_unless_frozen").len(), 5, "{finding}");
    rota.named.rndc(&["thaw", "mydomain.org"]).unwrap();
    let (code, finding) = examine(&rota);
    assert_eq!((code, lines(&finding, "needed_unless_frozen")), (0, vec![]), "{finding}");
}

#[test]
fn a_frozen_zone_is_told_from_one_that_was_never_written() {
    let mut rota = with(Zone::new("mydomain.org"));
    rota.start();
    rota.expect_in_sync();
    rota.named.rndc(&["freeze", "mydomain.org"]).unwrap();
    let (code, finding) = examine(&rota);
    assert_eq!(code, 1, "{finding}");
    assert!(finding["error"].as_str().unwrap().contains("it is frozen (`rndc thaw mydomain.org`)"), "{finding}");
    assert_eq!(missing(&finding), [""; 0], "its grants are there");
    rota.named.rndc(&["thaw", "mydomain.org"]).unwrap();
    assert_eq!(examine(&rota).0, 0);
}

#[test]
fn a_secondary_is_known_by_what_is_left_of_its_copy() {
    let primary = Named::builder().zone(Zone::new("mydomain.org")).option("allow-transfer { any; };").start();
    let rota = with(Zone::secondary("mydomain.org", primary.port));
    crate::support::named::eventually("the zone was transferred", || {
        !rota.named.query("mydomain.org", hickory_proto::rr::RecordType::SOA).answers.is_empty()
    });
    let (code, finding) = examine(&rota);
    assert_eq!(code, 1, "{finding}");
    let error = finding["error"].as_str().unwrap();
    assert!(error.contains("this server is a secondary of it") && error.contains("ns.invalid"), "{error}");
    assert_eq!(missing(&finding), [""; 0]);
}

#[test]
fn a_zone_that_is_not_served_is_told() {
    let mut rota = with(Zone::new("mydomain.org"));
    rota.edit("mydomain.org: {", "elsewhere.org: {");
    let ran = rota.run(&["doctor"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("! elsewhere.org: ") && ran.out.contains("beside.org: all 5"), "{ran:?}");
}

#[test]
fn keys_that_bind_does_not_take_are_told_in_words() {
    let rota = with(Zone::new("mydomain.org"));
    let file = rota.path().join("rotad.key");
    let good = fs::read_to_string(&file).unwrap();
    let other = good.replace("key \"rotad\"", "key \"other\"");
    let secret = good.split('"').find(|part| part.ends_with('=')).unwrap();
    let wrong = good.replace(secret, "bWFya2VyLXNlY3JldC1vZi1ub2JvZHk=");
    for (keys, code, part) in [
        (other.clone(), 1, "named does not know key \"other\" (hmac-sha256, from"),
        (wrong, 1, "named holds another secret for key \"rotad\""),
        (format!("{other}{good}"), 0, "(BADKEY)"),
        (format!("{good}{other}"), 0, "(BADKEY)"),
    ] {
        rota.replace_file("rotad.key", &keys);
        fs::set_permissions(&file, fs::metadata(rota.named.key_file("rotad")).unwrap().permissions()).unwrap();
        let ran = rota.run(&["doctor"]);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.out.contains(part), "{ran:?}");
        assert!(!format!("{ran:?}").contains(secret) && !ran.out.contains("bWFya2Vy"), "{ran:?}");
    }
}

#[test]
fn e1_names_that_are_hidden_are_told() {
    let (code, finding) = examine(&with(Zone::new("mydomain.org").records("imap NS ns.elsewhere.example.")));
    assert_eq!(code, 1, "{finding}");
    let error = finding["error"].as_str().unwrap();
    assert!(error.starts_with("imap.mydomain.org lies at or below imap.mydomain.org"), "{error}");
}

#[test]
fn c12_what_a_first_write_needs_is_told_until_there_was_one() {
    let mut rota = with(Zone::new("mydomain.org"));
    let ran = rota.run(&["doctor"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for part in ["beside.org and 1 more: rotad has not written there yet", "journal", "AppArmor", "/var/lib/bind"] {
        assert!(ran.out.contains(part), "{part}: {ran:?}");
    }
    rota.start();
    rota.expect_in_sync();
    let ran = rota.run(&["doctor"]);
    assert!(ran.code == 0 && !ran.out.contains("journal"), "{ran:?}");
}
