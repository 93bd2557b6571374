//! The file is edited, mangled, lost and flooded with writes.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use rotad::io::clock;
use rustix::process::Signal;

use super::*;

/// Two of three nodes serve the domain.
fn pool() -> Rota {
    Rota::new().nodes(3).service(IMAP).domain(ZONE, "services: [imap], nodes: [node00, node01]").start()
}

/// Runs a shell script on the file `$1`.
fn shell(rota: &Rota, script: &str) {
    let output = Command::new("sh").args(["-euc", script, "sh"]).arg(rota.file()).output().expect("sh runs");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn c3_an_edit_counts_however_an_editor_saves_it() {
    let mut rota = pool();
    let (one, two) = ("node00, node01", "node00, node02");
    for (round, (editor, script)) in [
        ("sed -i", "sed -i 's/FROM/TO/' \"$1\""),
        ("a temporary file renamed over it", "sed 's/FROM/TO/' \"$1\" > \"$1.tmp\"; mv \"$1.tmp\" \"$1\""),
        ("truncate and write", "text=$(sed 's/FROM/TO/' \"$1\"); : > \"$1\"; printf '%s\\n' \"$text\" > \"$1\""),
        ("moved to a backup and written anew", "mv \"$1\" \"$1~\"; sed 's/FROM/TO/' \"$1~\" > \"$1\""),
        ("a backup beside it, and written in place", "cp \"$1\" \"$1.bak\"; sed 's/FROM/TO/' \"$1.bak\" > \"$1\""),
        ("written bit by bit", "text=$(sed 's/FROM/TO/' \"$1\"); : > \"$1\"; printf '%s\\n' \"$text\" | while IFS= read -r line; do printf '%s\\n' \"$line\" >> \"$1\"; done"),
    ]
    .iter()
    .enumerate()
    {
        let (from, to) = if round % 2 == 0 { (one, two) } else { (two, one) };
        shell(&rota, &script.replace("FROM", from).replace("TO", to));
        let node = if round % 2 == 0 { "node02" } else { "node01" };
        rota.expect_a("imap.mydomain.org", ["node00", node]);
        rota.eventually("no error is left", |rota| rota.status()["config"]["error"].is_null());
        let out = format!("imap.mydomain.org A: removed {}", rota.ip("node00"));
        assert!(!rota.journal().contains(&out), "{editor}: who stays is never out\n{}", rota.journal());
    }
}

#[test]
fn c6_lists_that_became_empty_withdraw_nothing() {
    let mut rota = pool();
    let (good, before) = (rota.yaml(), rota.records(ZONE));
    let line = |start: &str| good.lines().find(|line| line.trim_start().starts_with(start)).unwrap().to_owned();
    let domain = line("mydomain.org:");
    for (text, words) in [
        (good.replace(&domain, ""), "domains: "),
        (good.replace("nodes: [node00, node01]", "nodes: []"), "nodes: "),
        ("# everything went\n".to_owned(), "the file is empty"),
    ] {
        let lines = rota.journal().lines().count();
        rota.write(&text);
        rota.signal(Signal::HUP);
        // Commands find their daemon through the file, so the journal is looked at. The same words again are folded.
        rota.eventually(&format!("it is refused: {words}"), |rota| {
            let journal = rota.journal();
            journal.lines().skip(lines).any(|line| line.contains("an edit is refused") && line.contains(words))
        });
        assert_eq!(rota.records(ZONE), before, "{text}");
    }
    rota.write(&good);
    rota.eventually("it is good again", |rota| {
        rota.try_status().is_some_and(|status| status["config"]["error"].is_null())
    });
    rota.expect_in_sync();
    assert_eq!(rota.records(ZONE), before);
}

#[test]
fn c10_a_file_that_is_gone_leaves_the_one_before_in_force() {
    let mut rota = pool();
    let before = rota.serial(ZONE);
    fs::rename(rota.file(), rota.path().join("elsewhere")).unwrap();
    rota.signal(Signal::HUP);
    rota.expect_journal("an edit is refused, what was in force stays: ");
    // Health is followed. (Commands find their daemon through the file, so BIND alone is looked at.)
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    fs::rename(rota.path().join("elsewhere"), rota.file()).unwrap();
    rota.eventually("it is found again", |rota| {
        rota.try_status().is_some_and(|status| status["config"]["error"].is_null())
    });
    assert_eq!(rota.serial(ZONE), before + 1);
}

#[test]
fn c11_a_thousand_writes_are_a_few_reloads() {
    let mut rota = pool();
    let good = rota.yaml();
    let begun = clock::now();
    for number in 0..1000 {
        fs::write(rota.file(), format!("{good}# {number}\n")).unwrap();
    }
    rota.edit("nodes: [node00, node01]", "nodes: [node00, node02]");
    rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    let reloads = rota.journal().matches("cluster.yaml was read: ").count();
    assert!(reloads <= 4 * seconds, "{reloads} reloads in {seconds} s");
    // The checks go on as they were: nobody began anew.
    let status = rota.status();
    let checks = status["nodes"].as_array().unwrap().iter().flat_map(|node| node["checks"].as_array().unwrap().clone());
    for check in checks.filter(|check| check["check"] == "imap" && check["address"] != "") {
        assert_ne!(check["state"], "down", "{check}");
    }
    assert_eq!(rota.journal().matches("node00 imap (").count(), 1, "{}", rota.journal());
}

#[test]
fn c12_what_left_the_file_is_listed_by_plan() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .domain("stays.org", "services: [imap]")
        .domain(ZONE, "services: [imap]")
        .safety("left_over: delete")
        .start();
    rota.stop();
    rota.take_out("mydomain.org:");
    let (code, text) = rota.plan();
    assert_eq!(code, 3, "{text}");
    for node in ["node00", "node01"] {
        let line = format!("- imap.mydomain.org. 60 IN A {}", rota.ip(node));
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    assert!(!text.contains("stays.org. "), "{text}");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.start();
    rota.expect_a("imap.mydomain.org", []);
}

#[test]
fn c14_a_file_that_everybody_can_write_is_refused() {
    let mut rota = pool();
    let before = rota.records(ZONE);
    let set = |rota: &Rota, mode| fs::set_permissions(rota.file(), fs::Permissions::from_mode(mode)).unwrap();
    set(&rota, 0o666);
    rota.signal(Signal::HUP);
    rota.expect_journal("everybody can write it (mode 0666)");
    assert_eq!(rota.records(ZONE), before);
    rota.stop();
    for command in ["run", "validate", "plan"] {
        let ran = rota.run(&[command]);
        assert!(ran.code == 78 && (ran.out + &ran.err).contains("chmod o-w"), "{command}");
    }
    set(&rota, 0o664);
    assert_eq!(rota.run(&["validate"]).code, 0, "its group may");
}

#[test]
fn c16_a_storm_of_hangups_is_one_wish() {
    let mut rota = pool();
    rota.edit("nodes: [node00, node01]", "nodes: [node00, node02]");
    for _ in 0..500 {
        rota.signal(Signal::HUP);
    }
    rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
    let reads = rota.journal().matches("cluster.yaml was read: ").count();
    assert!((1..250).contains(&reads), "{reads}");
    rota.edit("nodes: [node00, node02]", "nodes: [node00, node01]");
    rota.signal(Signal::HUP);
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
}

#[test]
fn c19_who_leaves_the_file_while_healthy_leaves_dns_and_is_drained_before_if_told_so() {
    let mut rota = plain();
    rota.edit("domains:\n", "safety: { left_over: delete }\ndomains:\n");
    let serial = rota.serial(ZONE);
    // First no new mail...
    rota.edit("node02: {", "node02: { admin_state: drain,");
    expect_right(&mut rota, ["node00", "node01"]);
    assert_eq!(rota.serial(ZONE), serial + 1);
    // ... then its host name goes as well, in one message.
    rota.take_out("node02:");
    rota.expect_a("node02.mydomain.org", []);
    rota.expect_in_sync();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    assert_eq!(rota.serial(ZONE), serial + 2);
}
