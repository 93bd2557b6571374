//! Memory is bounded by us, not by what peers send: row A8 of the faults that rotad must stand.

use std::fs;

use super::{LONG, P, ask, exec::check, probe, run_alone};
use crate::{
    checks::LOCAL,
    support::{
        certificate::{ALWAYS, Authority},
        node::Script,
    },
};

/// More than any of our buffers, and less than a part of what the peers send.
const SLACK_KIB: u64 = 8 * 1024;

const GIB: u64 = 1 << 30;

#[test]
fn a8_memory_is_flat_while_peers_send_a_gib() {
    run_alone("checks::memory::flat");
}

/// The most that this process has ever held, in KiB.
fn most_held() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
#[ignore = "measures the process that it runs in: run by a8_memory_is_flat_while_peers_send_a_gib in one of its own"]
async fn flat() {
    // Once without the flood: code and first buffers are there.
    let server = Authority::new("ours").server(&["mx.example.org"], ALWAYS);
    for script in [Script::smtp(), Script::new().tls(&server)] {
        ask(P::Smtp, script, LONG).await;
    }
    let before = most_held();
    for (protocol, script) in [
        (P::Tcp, Script::new().flood(GIB)),
        (P::Smtp, Script::new().flood(GIB)),
        (P::Imap, Script::new().flood(GIB)),
        (P::Pop3, Script::new().flood(GIB)),
        (P::Agent, Script::new().flood(GIB)),
        (P::Http, Script::request().flood(GIB)),
        (P::Http, Script::request().send("HTTP/1.1 200 OK\r\n\r\n").flood(GIB)),
        (P::Smtps, Script::new().flood(GIB)),
        (P::Smtps, Script::new().tls(&server).flood(GIB)),
    ] {
        let (outcome, _node) = ask(protocol, script, LONG).await;
        let held = most_held();
        assert!(held < before + SLACK_KIB, "{protocol:?}: {before} KiB before, then {held}; {outcome:?}");
    }
    // A plugin's output is read to its end, a part of it is kept.
    let outcome = probe(&check(&["/usr/bin/head", "-c", "1073741824", "/dev/zero"], LONG), LOCAL).await;
    let held = most_held();
    assert!(outcome.is_pass() && held < before + SLACK_KIB, "{before} KiB before, then {held}; {outcome:?}");
}
