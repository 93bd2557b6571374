//! IPv6: the loopback interface has one address of it, so these stories run on an interface of their own.

use std::process::Command;

use super::*;

/// Tells a test's other half that it is that half.
const INSIDE: &str = "ROTAD_TEST_INSIDE";

/// Whether this is the half with a network of its own, in which `fd00::1` and `fd00::2` are ours. In the other half, plays
/// that one and is done.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_none() {
        let output = Command::new("unshare")
            .arg("--net")
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, "1")
            .output()
            .expect("unshare (util-linux) runs");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return false;
    }
    let ip = |arguments: &str| {
        let status = Command::new("ip").args(arguments.split(' ')).status().expect("ip (iproute2) runs");
        assert!(status.success(), "ip {arguments}");
    };
    ip("link set lo up");
    ip("-6 addr add fd00::1/128 dev lo");
    ip("-6 addr add fd00::2/128 dev lo");
    true
}

#[test]
fn the_families_of_a_node_leave_apart() {
    if !inside("rotation::ipv6::the_families_of_a_node_leave_apart") {
        return;
    }
    let mut rota = Rota::new()
        .nodes(2)
        .address("node00", "fd00::1")
        .address("node01", "fd00::2")
        .service(IMAP)
        .service(MX)
        .domain("mydomain.org", "services: [imap, mx]")
        .start();
    let exchanges = ["10 node00.mydomain.org", "10 node01.mydomain.org"];
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_aaaa("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_aaaa("node01.mydomain.org", ["node01"]);
    rota.expect_mx("mydomain.org", exchanges);

    let before = rota.serial("mydomain.org");
    rota.kill_address("node01", "fd00::2");
    rota.expect_aaaa("imap.mydomain.org", ["node00"]);
    rota.expect_in_sync();
    assert_eq!(rota.serial("mydomain.org"), before + 1, "the AAAA set alone");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);

    // The last of a family is held.
    rota.kill_address("node00", "fd00::1");
    rota.expect_journal("service imap AAAA on node00, node01: too few healthy nodes");
    let v4 = rota.ip("node01").to_string();
    rota.kill_address("node01", &v4);
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_aaaa("imap.mydomain.org", ["node00"]);
    // A node that has one address left still takes mail; one that has none does not.
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org"]);
}

#[test]
fn a_node_without_ipv4() {
    if !inside("rotation::ipv6::a_node_without_ipv4") {
        return;
    }
    let mut rota = Rota::new()
        .nodes(1)
        .node("node01", "fd00::1")
        .service(IMAP)
        .service(MX)
        .domain("mydomain.org", "services: [imap, mx]")
        .start();
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_aaaa("imap.mydomain.org", ["node01"]);
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org", "10 node01.mydomain.org"]);
    rota.kill("node01");
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org"]);
    // The only one of its family.
    rota.expect_aaaa("imap.mydomain.org", ["node01"]);
}
