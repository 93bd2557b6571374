//! Starts, stops and restarts, of the daemon and of BIND.

use super::*;

fn plain() -> Rota {
    Rota::new().nodes(2).service(IMAP).service(MX).domain("mydomain.org", "services: [imap, mx]").start()
}

/// Everything that a restart may not move.
fn marks(rota: &Rota) -> (u32, String) {
    (rota.serial("mydomain.org"), rota.zone("mydomain.org")["generation"].to_string())
}

#[test]
fn a_restart_with_nothing_changed_moves_no_serial() {
    let mut rota = plain();
    let before = marks(&rota);
    assert_eq!(rota.stop(), Some(0));
    rota.expect_journal("SIGTERM: rotad stops, and leaves DNS as it is");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.start();
    rota.expect_in_sync();
    assert_eq!(marks(&rota), before);
    rota.kill_daemon();
    rota.start();
    rota.expect_in_sync();
    assert_eq!(marks(&rota), before);
    // The next change is one step further: nothing was on its way.
    rota.kill_check("node01", "imap");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    assert_eq!(rota.serial("mydomain.org"), before.0 + 1);
}

#[test]
fn a_restart_beside_a_dead_node_does_not_bring_it_back() {
    let mut rota = plain();
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org"]);
    rota.expect_in_sync();
    let before = marks(&rota);
    rota.restart();
    rota.expect_in_sync();
    assert_eq!(marks(&rota), before);
    rota.revive("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
}

#[test]
fn what_happened_in_the_meantime_is_made_up_for() {
    let mut rota = plain();
    rota.stop();
    rota.kill("node01");
    rota.named
        .nsupdate(
            "zone mydomain.org\nupdate delete mydomain.org MX\nupdate add mydomain.org 60 MX 7 node00.mydomain.org.",
        )
        .unwrap();
    rota.edit("services: [imap, mx]", "services: [mx]");
    rota.edit("domains:\n", "safety: { left_over: delete }\ndomains:\n");
    rota.start();
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org"]);
    rota.expect_a("imap.mydomain.org", []);
    rota.expect_in_sync();
}

#[test]
fn bind_that_comes_later_is_waited_for() {
    let mut rota = Rota::new().nodes(2).service(IMAP).domain("mydomain.org", "services: [imap]").build();
    rota.named.kill();
    rota.start();
    rota.expect_journal("BIND gives no answer: ");
    assert_ne!(rota.zone("mydomain.org")["state"], "in_sync");
    rota.named.restart();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_in_sync();
    rota.expect_journal("BIND answers again, after ");
}

#[test]
fn bind_that_restarts_gets_what_it_missed() {
    let mut rota = plain();
    rota.named.kill();
    rota.kill("node01");
    rota.expect_journal("BIND gives no answer: ");
    rota.named.restart();
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org"]);
    rota.expect_journal("BIND answers again, after ");
    rota.expect_in_sync();
}

#[test]
fn a_stop_does_not_wait_for_a_bind_that_hangs() {
    let mut rota = plain();
    rota.named.pause();
    rota.kill("node01");
    rota.expect_journal("node01 imap (");
    assert_eq!(rota.stop(), Some(0));
    rota.named.resume();
    rota.start();
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_in_sync();
}

#[test]
fn a_hand_edit_is_put_back() {
    let mut rota = plain();
    rota.named.nsupdate("zone mydomain.org\nupdate add imap.mydomain.org 60 A 198.51.100.9").unwrap();
    rota.restart();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.named.nsupdate("zone mydomain.org\nupdate add imap.mydomain.org 60 A 198.51.100.9").unwrap();
    // A set is always written whole.
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_in_sync();
}

#[test]
fn a_dead_daemon_cannot_be_asked() {
    let mut rota = plain();
    assert_eq!(rota.run(&["status"]).code, 0);
    // It leaves its socket behind.
    rota.kill_daemon();
    let ran = rota.run(&["status", "--json"]);
    assert_eq!(ran.code, 69, "{ran:?}");
    assert!(ran.err.contains("status.sock") && ran.out.is_empty(), "{ran:?}");
    rota.start();
    rota.stop();
    assert_eq!(rota.run(&["status"]).code, 69);
}
