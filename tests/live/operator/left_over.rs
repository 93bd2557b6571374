//! What the file no longer gives, `rotad withdraw` and `rotad restore`.

use std::collections::{BTreeMap, BTreeSet};

use rustix::process::Signal;
use serde_json::Value;

use super::*;

/// Twenty domains, of which the file lists those that a test leaves in it.
fn twenty() -> Vec<String> {
    (0..20).map(|at| format!("d{at:02}.org")).collect()
}

fn built(safety: &[&str]) -> Rota {
    let domains = twenty();
    let rota = domains
        .iter()
        .fold(Rota::new().nodes(3).service(IMAP).service(MX), |rota, name| rota.domain(name, "services: [imap, mx]"));
    safety.iter().fold(rota, |rota, line| rota.safety(line)).build()
}

fn started() -> Rota {
    let mut rota = built(&[]);
    rota.start();
    rota.expect_in_sync();
    rota
}

/// Takes the first five domains out of the file, or puts them back.
fn comment_out(rota: &mut Rota, out: bool) {
    let yaml: Vec<_> = rota
        .yaml()
        .lines()
        .map(|line| {
            let name = line.trim_start().trim_start_matches("# ");
            let is_one = (0..5).any(|at| name.starts_with(&format!("d{at:02}.org:")));
            match (is_one, out) {
                (true, true) => format!("  # {name}"),
                (true, false) => format!("  {name}"),
                (false, _) => line.to_owned(),
            }
        })
        .collect();
    rota.write(&(yaml.join("\n") + "\n"));
}

/// Everything that the zones hold.
fn zones(rota: &Rota) -> BTreeMap<String, BTreeSet<String>> {
    twenty().into_iter().map(|zone| (zone.clone(), rota.records(&zone))).collect()
}

fn left_over(rota: &Rota) -> Vec<Value> {
    rota.status()["left_over"].as_array().expect("a list").clone()
}

fn expect_left_over(rota: &mut Rota, many: usize) {
    rota.eventually(&format!("{many} are left over"), |rota| left_over(rota).len() == many);
}

/// Of each domain: imap A, the MX, and the addresses of three hosts.
const EACH: usize = 5;

#[test]
fn c1_domains_that_are_commented_out_stay_in_dns_and_are_listed() {
    let mut rota = started();
    rota.kill("node01");
    for zone in twenty() {
        rota.expect_a(&format!("imap.{zone}"), ["node00", "node02"]);
    }
    rota.expect_in_sync();
    let before = zones(&rota);
    comment_out(&mut rota, true);
    expect_left_over(&mut rota, 5 * EACH);
    rota.expect_journal("5 zones (d00.org, d01.org, d02.org, ...): ");
    rota.expect_journal("are out of the file, and stay in DNS as published");
    let imap = left_over(&rota).into_iter().find(|left| left["owner"] == "imap.d03.org").unwrap();
    assert_eq!((&imap["rtype"], &imap["zone"]), (&"A".into(), &"d03.org".into()));
    assert_eq!(imap["data"].as_array().unwrap().len(), 2);
    assert_eq!(imap["missing"].as_array().unwrap(), &[Value::from(rota.ip("node01").to_string())]);
    assert!(imap["server"].as_str().unwrap().starts_with("127.0.0.1:") && imap["since"].is_string(), "{imap}");
    rota.expect_in_sync();
    // Health is followed elsewhere, and a restart and a reload change nothing of it.
    rota.revive("node01");
    rota.expect_a("imap.d07.org", ["node00", "node01", "node02"]);
    rota.expect_in_sync();
    rota.restart();
    rota.expect_in_sync();
    rota.signal(Signal::HUP);
    assert_eq!(left_over(&rota).len(), 5 * EACH);
    let (code, plan) = rota.plan();
    assert_eq!(code, 0, "{plan}");
    assert!(plan.contains("imap.d03.org A is out of the file and stays in DNS"), "{plan}");
    let now = zones(&rota);
    for zone in twenty().iter().take(5) {
        assert_eq!(now[zone], before[zone], "not a record of it has moved");
    }
    assert!(rota.run(&["status"]).out.contains("left over: 25"));

    // Back in the file it is followed as before: what differs is written, and the rest is not.
    comment_out(&mut rota, false);
    rota.expect_a("imap.d03.org", ["node00", "node01", "node02"]);
    expect_left_over(&mut rota, 0);
    rota.expect_in_sync();
    rota.kill("node02");
    rota.expect_a("imap.d03.org", ["node00", "node01"]);
}

#[test]
fn c1_what_comes_back_unchanged_costs_no_write() {
    let mut rota = started();
    let before = zones(&rota);
    for _ in 0..2 {
        comment_out(&mut rota, true);
        expect_left_over(&mut rota, 5 * EACH);
        comment_out(&mut rota, false);
        expect_left_over(&mut rota, 0);
        rota.expect_in_sync();
    }
    // The same while nobody watches.
    rota.stop();
    comment_out(&mut rota, true);
    rota.start();
    expect_left_over(&mut rota, 5 * EACH);
    rota.expect_in_sync();
    rota.stop();
    comment_out(&mut rota, false);
    rota.start();
    expect_left_over(&mut rota, 0);
    rota.expect_in_sync();
    assert_eq!(zones(&rota), before);
}

#[test]
fn c1_withdraw_deletes_what_is_left_over_and_nothing_else() {
    let mut rota = built(&[]);
    let untouched = rota.records("d00.org");
    rota.start();
    rota.expect_in_sync();
    let before = zones(&rota);
    comment_out(&mut rota, true);
    expect_left_over(&mut rota, 5 * EACH);
    for (name, words) in [
        ("d07.org", "what the file gives there can be withdrawn only after"),
        ("other.org", "nothing is left over at other.org"),
    ] {
        let ran = rota.run(&["withdraw", name]);
        assert!(ran.code == 1 && ran.err.contains(words), "{ran:?}");
    }
    assert_eq!(rota.run(&["withdraw"]).code, 64);
    assert_eq!(rota.run(&["withdraw", "d00.org", "TXT"]).code, 64);

    let ran = rota.run(&["withdraw", "imap.d00.org", "A"]);
    assert!(ran.code == 0 && ran.out.contains("imap.d00.org A"), "{ran:?}");
    assert!(rota.named.a("imap.d00.org").is_empty());
    assert!(!rota.named.txt("_rotad.d00.org").is_empty());
    let ran = rota.run(&["withdraw", "d00.org"]);
    assert!(ran.code == 0 && ran.out.contains("d00.org MX"), "{ran:?}");
    // Nothing is left to manage: the record goes, too, and the zone is as it was before rotad came.
    rota.eventually("the record has gone", |rota| rota.named.txt("_rotad.d00.org").is_empty());
    assert_eq!(rota.records("d00.org"), untouched);
    assert_eq!(left_over(&rota).len(), 4 * EACH);

    // Without the daemon it is done all the same; but only what still is as it was left.
    rota.stop();
    rota.named
        .nsupdate("zone d01.org\nupdate delete imap.d01.org A\nupdate add imap.d01.org 60 A 198.51.100.7")
        .unwrap();
    let ran = rota.run(&["withdraw", "--all"]);
    assert!(ran.code == 1 && ran.out.contains("not withdrawn: imap.d01.org A was left over"), "{ran:?}");
    assert_eq!(rota.named.a("imap.d01.org"), BTreeSet::from(["198.51.100.7".to_owned()]));
    assert!(rota.named.mx("d01.org").is_empty());
    for zone in ["d02.org", "d03.org", "d04.org"] {
        assert!(
            rota.named.a(&format!("imap.{zone}")).is_empty() && rota.named.txt(&format!("_rotad.{zone}")).is_empty()
        );
    }
    rota.start();
    rota.expect_in_sync();
    assert!(left_over(&rota).is_empty());
    let now = zones(&rota);
    for zone in twenty().iter().skip(5) {
        assert_eq!(now[zone], before[zone]);
    }
}

#[test]
fn c1_restore_puts_back_who_was_out() {
    let mut rota = started();
    rota.kill("node01");
    for zone in twenty() {
        rota.expect_a(&format!("imap.{zone}"), ["node00", "node02"]);
    }
    rota.expect_in_sync();
    comment_out(&mut rota, true);
    expect_left_over(&mut rota, 5 * EACH);
    let ran = rota.run(&["restore", "d07.org"]);
    assert!(
        ran.code == 1 && ran.err.contains("nothing is left over at d07.org: of what the file gives there"),
        "{ran:?}"
    );
    let ran = rota.run(&["restore", "d00.org", "d01.org"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for zone in ["d00.org", "d01.org"] {
        rota.expect_a(&format!("imap.{zone}"), ["node00", "node01", "node02"]);
        rota.expect_mx(zone, [0, 1, 2].map(|at| format!("10 node0{at}.{zone}")).each_ref().map(String::as_str));
    }
    assert_eq!(left_over(&rota).len(), 5 * EACH);
    rota.expect_a("imap.d02.org", ["node00", "node02"]);

    // Before rotad is removed: every set, whatever the health.
    let ran = rota.run(&["restore", "--all"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    rota.expect_a("imap.d02.org", ["node00", "node01", "node02"]);
    rota.expect_a("imap.d07.org", ["node00", "node02"]);
    rota.stop();
    let ran = rota.run(&["restore", "d08.org"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    rota.expect_a("imap.d08.org", ["node00", "node01", "node02"]);
    rota.expect_a("imap.d07.org", ["node00", "node02"]);
    let ran = rota.run(&["restore", "--all"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for zone in twenty() {
        rota.expect_a(&format!("imap.{zone}"), ["node00", "node01", "node02"]);
    }
}

#[test]
fn c1_restore_says_what_cannot_come_back() {
    let mut rota = started();
    rota.kill("node01");
    for zone in ["d00.org", "d01.org"] {
        rota.expect_a(&format!("imap.{zone}"), ["node00", "node02"]);
        rota.expect_mx(zone, [0, 2].map(|at| format!("10 node0{at}.{zone}")).each_ref().map(String::as_str));
    }
    rota.expect_in_sync();
    comment_out(&mut rota, true);
    expect_left_over(&mut rota, 5 * EACH);
    for (domain, by_daemon) in [("d00.org", true), ("d01.org", false)] {
        if !by_daemon {
            rota.stop();
        }
        let host = format!("node01.{domain}");
        assert_eq!(rota.run(&["withdraw", &host]).code, 0);
        // The addresses of the exchange are gone: the rest comes back, and that is said.
        let ran = rota.run(&["restore", domain]);
        assert!(ran.code == 1 && ran.out.contains(&format!("MX is restored without 10 {host}.")), "{ran:?}");
        rota.expect_a(&format!("imap.{domain}"), ["node00", "node01", "node02"]);
        rota.expect_mx(domain, [0, 2].map(|at| format!("10 node0{at}.{domain}")).each_ref().map(String::as_str));
        if by_daemon {
            rota.expect_journal(&format!("{domain} MX is restored without 10 {host}."));
        }
    }
}

#[test]
fn c1_a_zone_that_is_gone_is_forgotten() {
    let mut rota = started();
    comment_out(&mut rota, true);
    expect_left_over(&mut rota, 5 * EACH);
    rota.named.kill();
    let ran = rota.run(&["withdraw", "d00.org", "--forget"]);
    assert!(ran.code == 0 && ran.out.contains("forgotten"), "{ran:?}");
    assert_eq!(left_over(&rota).len(), 4 * EACH);
    rota.stop();
    // Without BIND and without the daemon: 69, and nothing is forgotten.
    let ran = rota.run(&["withdraw", "d01.org"]);
    assert_eq!(ran.code, 69, "{ran:?}");
    rota.named.restart();
    rota.start();
    assert_eq!(left_over(&rota).len(), 4 * EACH);
    assert!(!rota.named.a("imap.d00.org").is_empty());
}

#[test]
fn c1_with_delete_what_leaves_the_file_goes_at_once() {
    let mut rota = built(&["left_over: delete"]);
    rota.start();
    rota.expect_in_sync();
    comment_out(&mut rota, true);
    for zone in twenty().iter().take(5) {
        rota.expect_a(&format!("imap.{zone}"), []);
        rota.expect_mx(zone, []);
    }
    rota.expect_in_sync();
    assert!(left_over(&rota).is_empty());
    // What is left over when it becomes delete stays.
    rota.edit("left_over: delete", "left_over: keep");
    comment_out(&mut rota, false);
    rota.expect_a("imap.d00.org", ["node00", "node01", "node02"]);
    rota.expect_in_sync();
    comment_out(&mut rota, true);
    expect_left_over(&mut rota, 5 * EACH);
    rota.edit("left_over: keep", "left_over: delete");
    rota.kill("node01");
    rota.expect_a("imap.d07.org", ["node00", "node02"]);
    assert_eq!(left_over(&rota).len(), 5 * EACH);
    rota.expect_a("imap.d00.org", ["node00", "node01", "node02"]);
}
