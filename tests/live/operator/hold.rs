//! `rotad hold` and `release`.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

fn plain() -> Rota {
    Rota::new().nodes(2).service(IMAP).domain("mydomain.org", "services: [imap]").start()
}

/// A node dies and is seen to be dead, and nothing is written because of it.
fn expect_held(rota: &mut Rota) {
    let before = rota.serial("mydomain.org");
    rota.kill("node01");
    rota.expect_journal("node01 imap (");
    rota.expect_zone_state("mydomain.org", "pending");
    assert_eq!(rota.serial("mydomain.org"), before);
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
}

#[test]
fn while_held_checks_go_on_and_nothing_is_written() {
    let mut rota = plain();
    let ran = rota.run(&["hold", "--reason", "work on the\nswitches"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("nothing is written until `rotad release`"), "{ran:?}");
    rota.expect_journal("held: nothing is written until `rotad release`");
    expect_held(&mut rota);
    let status = rota.status();
    assert_eq!(status["mode"], "hold");
    assert_eq!(status["hold"]["reason"], "work on the\nswitches");
    let text = rota.run(&["status"]).out;
    assert!(text.lines().next().unwrap().contains("hold: nothing is written until"), "{text}");
    assert!(text.contains(": work on the\\nswitches"), "{text}");

    let ran = rota.run(&["release"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "released: writing goes on\n"), "{ran:?}");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_in_sync();
    assert!(rota.status()["hold"].is_null());
    let ran = rota.run(&["release"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "nothing was held\n"), "{ran:?}");
}

#[test]
fn a_hold_survives_kill_9_and_a_restart() {
    let mut rota = plain();
    assert_eq!(rota.run(&["hold", "--for", "2h"]).code, 0);
    rota.kill_daemon();
    rota.start();
    rota.expect_journal("still held: nothing is written until ");
    rota.eventually("the first round is over", |rota| rota.journal().matches("writing may begin").count() == 2);
    rota.expect_journal("every check has answered: writing may begin once the hold is over: nothing is written until ");
    expect_held(&mut rota);
    rota.restart();
    assert_eq!(rota.status()["mode"], "hold");
    // Neither does a command that writes once.
    rota.stop();
    let ran = rota.run(&["apply"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("still held: nothing is written until"), "{ran:?}");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.start();
    assert_eq!(rota.run(&["release"]).code, 0);
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.restart();
    rota.expect_in_sync();
}

#[test]
fn a_hold_ends_by_itself() {
    let mut rota = plain();
    assert_eq!(rota.run(&["hold", "--for", "2s"]).code, 0);
    rota.kill("node01");
    rota.expect_journal("the hold is over: writing goes on");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_in_sync();
}

#[test]
fn a_hold_that_cannot_be_saved_is_told() {
    let mut rota = plain();
    fs::create_dir(rota.path().join("state/state.new")).unwrap();
    let ran = rota.run(&["hold"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("a restart would forget it"), "{ran:?}");
    assert_eq!(rota.status()["mode"], "hold");
    rota.expect_journal("the state cannot be saved");
}

#[test]
fn commands_to_the_daemon_have_their_exit_codes() {
    let mut rota = plain();
    let socket = rota.path().join("control.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    for wrong in [&["hold", "--for", "5"][..], &["hold", "now"], &["adopt"], &["release", "me"]] {
        let ran = rota.run(wrong);
        assert_eq!(ran.code, 64, "{wrong:?}: {ran:?}");
    }
    for zone in ["other.org", "not..a.name"] {
        let ran = rota.run(&["adopt", zone]);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains(zone), "{ran:?}");
    }
    let ran = rota.run(&["adopt", "mydomain.org"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("mydomain.org is in_sync, and there is nothing to take over"), "{ran:?}");
    // A broken edit does not keep the operator out.
    let good = rota.yaml();
    rota.write("nodes: [\n");
    fs::write(rota.file(), format!("status_socket: {}/status.sock\nnodes: [\n", rota.path().display())).unwrap();
    assert_eq!(rota.run(&["hold"]).code, 0);
    rota.write(&good);
    rota.stop();
    assert!(!socket.exists());
    for command in [&["hold"][..], &["release"], &["adopt", "mydomain.org"]] {
        let ran = rota.run(command);
        assert_eq!(ran.code, 69, "{ran:?}");
        assert!(ran.err.contains("control.sock") && ran.err.contains("is it running?"), "{ran:?}");
    }
}

#[test]
fn somebody_else_may_not_command() {
    let rota = plain();
    let nobody = rota.run_as_nobody(&["hold"]);
    assert_eq!(nobody.code, 77, "{nobody:?}");
    assert_eq!(rota.status()["mode"], "active");
}

#[test]
fn c15_a_hold_waits_for_what_is_under_way_and_names_what_may_still_land() {
    let mut rota = plain();
    rota.named.pause();
    rota.kill("node01");
    // A message is under way, or its answer has been given up.
    rota.eventually("something is written", |rota| rota.zone("mydomain.org")["state"] != "in_sync");
    let ran = rota.run(&["hold", "--reason", "the switches"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("may still change mydomain.org: BIND has not answered"), "{ran:?}");
    let status = rota.status();
    assert_eq!((&status["mode"], &status["blocked"]), (&"hold".into(), &serde_json::json!(["hold"])));
    rota.named.resume();
    // named may have taken the message from the connection before that was reset.
    rota.eventually("the zone is read", |rota| {
        let state = rota.zone("mydomain.org")["state"].clone();
        state == "pending" || state == "in_sync"
    });
    assert_eq!(rota.run(&["release"]).code, 0);
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_in_sync();
    // With nothing under way it is answered at once; a second one says what it takes the place of.
    assert_eq!(rota.run(&["hold", "--for", "2h", "--reason", "first"]).code, 0);
    let ran = rota.run(&["hold", "--reason", "second"]);
    assert!(
        ran.code == 0
            && ran.out.contains("it takes the place of: nothing is written until 20")
            && ran.out.contains(": first"),
        "{ran:?}"
    );
}

#[test]
fn c15_a_hold_is_answered_once_what_was_under_way_is() {
    let mut rota = Rota::new().nodes(2).service(IMAP).domain("mydomain.org", "services: [imap]").build();
    rota.edit("timeout: 2s", "timeout: 20s");
    rota.start();
    rota.expect_in_sync();
    rota.named.pause();
    rota.kill("node01");
    rota.eventually("something is written", |rota| rota.zone("mydomain.org")["state"] != "in_sync");
    let mut asked = rota.begin(&["hold"]);
    rota.eventually("it is in force", |rota| rota.status()["mode"] == "hold");
    assert!(asked.try_wait().unwrap().is_none(), "BIND has not answered");
    rota.named.resume();
    rota.eventually("it is answered", |_| asked.try_wait().unwrap().is_some());
    assert_eq!(asked.wait().unwrap().code(), Some(0));
    assert_eq!(rota.run(&["release"]).code, 0);
    rota.expect_in_sync();
}

#[test]
fn c15_under_a_hold_every_zone_that_would_change_is_pending() {
    let rota = (0..12).fold(Rota::new().nodes(3).service(IMAP).service(MX), |rota, at| {
        rota.domain(&format!("d{at:02}.example.org"), "services: [imap, mx]")
    });
    let mut rota = rota.start();
    assert_eq!(rota.run(&["hold"]).code, 0);
    rota.kill("node01");
    let all_pending = |rota: &mut Rota| {
        let status = rota.status();
        status["zones"].as_array().unwrap().iter().all(|zone| zone["state"] == "pending")
    };
    rota.eventually("all are pending", all_pending);
    let (code, text) = rota.plan();
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("24 RRsets in 12 zones wait: held: nothing is written until `rotad release`"), "{text}");
    // A restart, at which most zones are known by their serials, forgets nothing of that.
    rota.restart();
    rota.eventually("all are pending again", all_pending);
    assert_eq!(rota.run(&["release"]).code, 0);
    rota.expect_a("imap.d11.example.org", ["node00", "node02"]);
    rota.expect_in_sync();
}
