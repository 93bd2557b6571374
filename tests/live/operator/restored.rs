//! What `rotad withdraw` and `rotad restore` say they did, and did: by what BIND holds, not by what is remembered.

use std::fs;

use super::*;

/// Four domains, of which the last stays in the file.
const DOMAINS: [&str; 4] = ["a.org", "b.org", "c.org", "stays.org"];

fn started() -> Rota {
    let rota = Rota::new().nodes(3).service(IMAP).service(MX);
    let mut rota = DOMAINS.iter().fold(rota, |rota, name| rota.domain(name, "services: [imap, mx]")).start();
    rota.expect_in_sync();
    rota
}

fn take_out(rota: &mut Rota, domains: &[&str]) {
    let yaml = rota.yaml();
    let stays = |line: &&str| !domains.iter().any(|name| line.trim_start().starts_with(&format!("{name}:")));
    rota.write(&(yaml.lines().filter(stays).collect::<Vec<_>>().join("\n") + "\n"));
}

fn left_over(rota: &Rota, owner: &str) -> serde_json::Value {
    let all = rota.status()["left_over"].as_array().expect("a list").clone();
    all.into_iter().find(|left| left["owner"] == owner).unwrap_or_default()
}

#[test]
fn f29_after_a_kill_what_is_left_over_is_what_bind_shows() {
    let mut rota = started();
    let file = rota.path().join("state/state");
    rota.eventually("the state is saved", |_| {
        fs::read_to_string(&file).is_ok_and(|text| text.contains("imap.a.org A"))
    });
    let saved = fs::read(&file).unwrap();
    rota.kill("node01");
    rota.expect_a("imap.a.org", ["node00", "node02"]);
    rota.expect_in_sync();
    // The state is older than DNS: a kill right after the change, or a disk that was full.
    rota.kill_daemon();
    fs::write(&file, saved).unwrap();
    take_out(&mut rota, &["a.org", "b.org"]);
    rota.start();
    rota.eventually("it is left over", |rota| !left_over(rota, "imap.a.org").is_null());
    let left = left_over(&rota, "imap.a.org");
    let node01 = rota.ip("node01").to_string();
    assert_eq!(left["missing"].as_array().unwrap(), &[serde_json::Value::from(node01.as_str())], "{left}");
    assert!(rota.run(&["status"]).out.contains(&format!(", without {node01}")));
    let ran = rota.run(&["restore", "a.org"]);
    assert!(ran.code == 0 && ran.out.contains("restored: ") && ran.out.contains("imap.a.org A"), "{ran:?}");
    rota.expect_a("imap.a.org", ["node00", "node01", "node02"]);
    // And by what it holds now, whatever the status says.
    rota.named.nsupdate(&format!("zone a.org\nupdate delete imap.a.org A {node01}")).unwrap();
    let ran = rota.run(&["restore", "*.org"]);
    assert!(ran.code == 0 && ran.out.contains("imap.a.org A") && ran.out.contains("imap.b.org A"), "{ran:?}");
    rota.expect_a("imap.a.org", ["node00", "node01", "node02"]);
    let ran = rota.run(&["restore", "--all"]);
    assert!(ran.code == 0 && ran.out == "nothing is missing in what is left over\n", "{ran:?}");
}

#[test]
fn f32_f33_what_was_not_touched_is_said_with_the_reason() {
    let mut rota = started();
    rota.kill("node01");
    rota.expect_a("imap.a.org", ["node00", "node02"]);
    rota.expect_in_sync();
    take_out(&mut rota, &["a.org", "b.org", "c.org"]);
    rota.eventually("they are left over", |rota| !left_over(rota, "imap.c.org").is_null());
    for zone in ["a.org", "b.org", "c.org"] {
        let script = format!("zone {zone}\nupdate delete imap.{zone} A\nupdate add imap.{zone} 300 A 203.0.113.5");
        rota.named.nsupdate(&script).unwrap();
    }
    rota.named.nsupdate("zone b.org\nupdate add b.org 60 MX 5 mail.customer.invalid.").unwrap();
    let theirs = rota.records("a.org");
    let ran = rota.run(&["restore", "a.org"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let not = "imap.a.org A was left over, and holds 203.0.113.5 by now, which rotad did not leave there";
    assert!(ran.out.contains(&format!("not restored: {not}")), "{ran:?}");
    assert!(ran.out.starts_with("restored: 1 RRset in 1 zone: a.org MX\n"), "{ran:?}");
    assert!(rota.records("a.org").is_superset(&theirs.into_iter().filter(|line| line.contains(" A ")).collect()));
    let ran = rota.run(&["withdraw", "b.org"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    for name in ["imap.b.org A", "b.org MX"] {
        assert!(ran.out.contains(&format!("not withdrawn: {name} was left over, and holds ")), "{ran:?}");
    }
    assert_eq!(rota.named.a("imap.b.org"), ["203.0.113.5".to_owned()].into());
    // The same without the daemon.
    rota.stop();
    let ran = rota.run(&["withdraw", "c.org"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("not withdrawn: imap.c.org A was left over, and holds 203.0.113.5"), "{ran:?}");
    assert!(ran.out.starts_with("withdrawn: 4 RRsets in 1 zone: c.org MX, "), "{ran:?}");
    assert!(rota.named.mx("c.org").is_empty() && !rota.named.a("imap.c.org").is_empty());
}

#[test]
fn f38_f39_without_the_daemon_no_reason_is_made_up_and_the_end_says_what_was_restored() {
    let mut rota = started();
    rota.kill("node01");
    for zone in DOMAINS {
        rota.expect_a(&format!("imap.{zone}"), ["node00", "node02"]);
    }
    rota.expect_in_sync();
    take_out(&mut rota, &["a.org"]);
    rota.eventually("it is left over", |rota| !left_over(rota, "imap.a.org").is_null());
    rota.stop();
    let ran = rota.run(&["restore", "--all"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let said = format!("{}{}", ran.out, ran.err);
    let node01 = rota.ip("node01");
    for made_up in ["is up", "has answered", "writing may begin"] {
        assert!(!said.contains(made_up), "{made_up}: {said}");
    }
    assert!(said.contains(&format!("imap.b.org A: added {node01} (restored, whatever the health)")), "{said}");
    assert!(said.contains(&format!("imap.a.org A: added {node01} (restored, whatever the health)")), "{said}");
    assert!(ran.out.contains("restored: 2 RRsets in 1 zone: a.org MX, imap.a.org A\n"), "{said}");
    assert!(ran.out.contains("restored of the file: 6 RRsets in 3 zones: b.org MX, imap.b.org A, "), "{said}");
    for zone in DOMAINS {
        rota.expect_a(&format!("imap.{zone}"), ["node00", "node01", "node02"]);
    }
    let ran = rota.run(&["restore", "--all"]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 2), "{ran:?}");
    assert!(ran.out.contains("nothing is missing in the sets of the file"), "{ran:?}");
}

#[test]
fn f34_what_was_just_taken_out_of_the_file_is_withdrawn() {
    let mut rota = started();
    for (domain, command) in [("a.org", "withdraw"), ("b.org", "restore"), ("c.org", "withdraw")] {
        take_out(&mut rota, &[domain]);
        let ran = rota.run(&[command, domain]);
        assert_eq!(ran.code, 0, "{domain}: {ran:?}");
        assert_eq!(rota.named.a(&format!("imap.{domain}")).is_empty(), command == "withdraw");
    }
    // A file that is wrong changes nothing, and whoever waits for it hears that.
    take_out(&mut rota, &["stays.org"]);
    rota.write(&(rota.yaml() + "domains: {}\n"));
    let ran = rota.run(&["withdraw", "stays.org"]);
    assert!(ran.code == 1 && ran.err.contains("what the file gives there") && ran.err.contains("is wrong"), "{ran:?}");
}

#[test]
fn f35_a_zone_that_is_gone_is_said_at_once() {
    let mut rota = started();
    take_out(&mut rota, &["a.org"]);
    rota.eventually("it is left over", |rota| !left_over(rota, "imap.a.org").is_null());
    rota.named.take_out_zone("a.org");
    let begun = rotad::io::clock::now();
    let ran = rota.run(&["withdraw", "a.org"]);
    assert!(begun.elapsed().as_secs() < 15, "{:?}", begun.elapsed());
    assert!(ran.code == 1 && ran.out.contains("`rotad withdraw a.org --forget`"), "{ran:?}");
    assert!(rota.status()["zones"].as_array().unwrap().iter().all(|zone| zone["state"] == "in_sync"));
    let ran = rota.run(&["withdraw", "a.org", "--forget"]);
    assert!(ran.code == 0 && ran.out.contains("forgotten"), "{ran:?}");
    assert!(!rota.journal().contains("a.org: named refuses"), "{}", rota.journal());
}
