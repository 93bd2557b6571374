//! The commands beside the daemon, and their exit codes.

use serde_json::{Value, json};

use super::*;

fn idle() -> Rota {
    Rota::new().nodes(2).service(IMAP).service(MX).domain("mydomain.org", "services: [imap, mx]").build()
}

#[test]
fn plan_shows_and_apply_does() {
    let mut rota = idle();
    let (one, two) = (rota.ip("node00"), rota.ip("node01"));
    let (code, text) = rota.plan();
    assert_eq!(code, 3, "{text}");
    for line in [
        format!("+ imap.mydomain.org. 60 IN A {one}"),
        format!("+ imap.mydomain.org. 60 IN A {two}"),
        "+ mydomain.org. 60 IN MX 10 node00.mydomain.org.".to_owned(),
        format!("+ node01.mydomain.org. 60 IN A {two}"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    assert_eq!(rota.serial("mydomain.org"), 1, "a plan writes nothing");
    assert!(rota.named.txt("_rotad.mydomain.org").is_empty());

    rota.kill("node01");
    let ran = rota.run(&["apply"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    assert_eq!(rota.plan().0, 0);
    rota.revive("node01");
    let (code, text) = rota.plan();
    assert_eq!(code, 3, "{text}");
    assert!(text.contains(&format!("+ imap.mydomain.org. 60 IN A {two}")) && !text.contains("- "), "{text}");
    assert_eq!(rota.serial("mydomain.org"), 2);

    // A daemon goes on from there.
    rota.start();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_in_sync();
    let serial = rota.serial("mydomain.org");
    let (code, text) = rota.plan();
    assert_eq!((code, rota.serial("mydomain.org")), (0, serial), "{text}");

    rota.named.kill();
    let (code, text) = rota.plan();
    assert_eq!(code, 69, "{text}");
}

#[test]
fn a_node_that_cannot_be_asked_keeps_no_dead_one_in_dns() {
    let own = "own: { publish: address, name: imap, checks: [own] }";
    let mut rota = Rota::new().nodes(3).service(own).domain("mydomain.org", "services: [own]").build();
    let codes = |rota: &Rota, codes: [&str; 3]| {
        for (node, code) in ["node00", "node01", "node02"].into_iter().zip(codes) {
            rota.replace_file(node, &format!("{code}\n"));
        }
    };
    codes(&rota, ["0", "0", "0"]);
    let script = format!("read code < {}/$NODE; exit $code", rota.path().display());
    let quick = "interval: 400ms, fast_interval: 50ms, timeout: 300ms, rise: 2, fall: 2";
    rota.edit(
        "checks:\n",
        &format!("checks:\n  own: {{ {quick}, kind: exec, command: [/bin/sh, -c, \"{script}\"] }}\n"),
    );
    assert_eq!(rota.run(&["apply"]).code, 0);
    rota.expect_a("imap.mydomain.org", ["node00", "node01", "node02"]);

    codes(&rota, ["0", "2", "3"]);
    let (code, text) = rota.plan();
    let gone = format!("- imap.mydomain.org. 60 IN A {}", rota.ip("node01"));
    let changes: Vec<_> = text.lines().filter(|line| line.starts_with(['-', '+'])).collect();
    assert_eq!((code, changes), (3, vec![gone.as_str()]), "{text}");
    let ran = rota.run(&["apply"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
    let (code, text) = rota.plan();
    assert_eq!(code, 0, "{text}");
}

#[test]
fn plan_does_not_call_it_right_that_nobody_is_healthy() {
    let mut rota = idle();
    rota.kill("node00");
    rota.kill("node01");
    let (code, text) = rota.plan();
    assert!(
        text.contains("! service imap A on node00, node01: too few healthy nodes: what is published is held\n"),
        "{text}"
    );
    assert!(!text.contains("every zone is as it should be"), "{text}");
    // The hosts of the exchanges follow membership, not health.
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("+ node00.mydomain.org. 60 IN A ") && !text.contains("+ imap"), "{text}");
}

#[test]
fn plan_as_json() {
    let rota = idle();
    let ran = rota.run(&["plan", "--json"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["zones"][0]["zone"], "mydomain.org", "{report}");
}

#[test]
fn apply_leaves_a_running_daemon_alone() {
    let mut rota = idle();
    rota.start();
    rota.expect_in_sync();
    let ran = rota.run(&["apply"]);
    assert_eq!(ran.code, 75, "{ran:?}");
    assert!(ran.err.contains(&format!("pid {}", rota.pid())), "{ran:?}");
    let ran = rota.run(&["run"]);
    assert_eq!(ran.code, 75, "{ran:?}");
    // It can still be asked: the second has not taken its socket.
    assert_eq!(rota.run(&["status"]).code, 0);
}

#[test]
fn apply_says_when_bind_is_away() {
    let mut rota = idle();
    rota.named.kill();
    let ran = rota.run(&["apply"]);
    assert_eq!(ran.code, 69, "{ran:?}");
}

#[test]
fn apply_says_which_zone_is_not_ours() {
    let rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .domain("mydomain.org", "services: [imap]")
        .zone("mydomain.org", Zone::new("mydomain.org").records("imap A 198.51.100.9"))
        .build();
    let ran = rota.run(&["apply"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("mydomain.org: foreign: "), "{ran:?}");
    assert_eq!(rota.serial("mydomain.org"), 1);
}

#[test]
fn probe_asks_every_node_once() {
    let mut rota = idle();
    let ran = rota.run(&["probe"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("node00") && ran.out.contains("node01"), "{ran:?}");
    rota.kill("node01");
    assert_eq!(rota.run(&["probe"]).code, 1);
    let ran = rota.run(&["probe", "node00"]);
    assert!(ran.code == 0 && !ran.out.contains("node01"), "{ran:?}");
}

#[test]
fn validate_tells_good_from_bad() {
    let mut rota = idle();
    let ran = rota.run(&["validate"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    rota.edit("services: [imap, mx]", "services: [imap, mxx]");
    let line = rota.yaml().lines().position(|line| line.contains("mxx")).unwrap() + 1;
    for command in ["validate", "run", "plan", "apply", "probe", "status"] {
        let ran = rota.run(&[command]);
        assert_eq!(ran.code, 78, "{command}: {ran:?}");
        let text = ran.out + &ran.err;
        assert!(text.contains(&format!("cluster.yaml:{line}:")) && text.contains("did you mean"), "{command}: {text}");
    }
}

#[test]
fn a_command_line_that_is_wrong_is_usage() {
    let rota = idle();
    for wrong in [&["nonsense"][..], &["plan", "--force"], &["status", "node00"], &[]] {
        let ran = rota.run(wrong);
        assert_eq!(ran.code, 64, "{wrong:?}: {ran:?}");
    }
    assert_eq!(rota.run(&["--help"]).code, 0);
    assert_eq!(rota.run(&["--version"]).code, 0);
}

#[test]
fn a_missing_key_is_a_wrong_file() {
    let rota = idle();
    std::fs::remove_file(rota.path().join("rotad.key")).unwrap();
    for command in ["run", "plan", "apply"] {
        let ran = rota.run(&[command]);
        assert_eq!(ran.code, 78, "{command}: {ran:?}");
        assert!(ran.err.contains("rotad.key"), "{ran:?}");
    }
}

#[test]
fn the_status_names_the_server_and_whether_it_answers() {
    let mut rota = Rota::new().nodes(2).service(IMAP).domain("mydomain.org", "services: [imap]").start();
    let address = rota.named.address().to_string();
    let status = rota.status();
    let server = &status["servers"][0];
    assert_eq!((&server["name"], &server["address"]), (&json!(address), &json!(address)));
    assert_eq!((&server["state"], &server["since"]), (&json!("up"), &Value::Null));
    assert_eq!(rota.zone("mydomain.org")["server"], json!(address));
    rota.named.kill();
    rota.kill("node01");
    rota.eventually("it is missed", |rota| rota.status()["servers"][0]["state"] == "silent");
    assert!(rota.status()["servers"][0]["since"].is_string());
}
