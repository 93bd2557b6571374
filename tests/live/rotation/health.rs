//! Nodes die and come back.

use super::*;

#[test]
fn a_dead_node_leaves_the_rotation_and_comes_back() {
    let mut rota =
        Rota::new().nodes(3).service(IMAP).service(MX).domain("mydomain.org", "services: [imap, mx]").start();
    rota.expect_a("imap.mydomain.org", ["node00", "node01", "node02"]);
    let all = ["10 node00.mydomain.org", "10 node01.mydomain.org", "10 node02.mydomain.org"];
    rota.expect_mx("mydomain.org", all);

    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org", "10 node02.mydomain.org"]);
    // The host name follows membership, not health.
    rota.expect_a("node01.mydomain.org", ["node01"]);
    let address = rota.ip("node01");
    rota.expect_journal(&format!("node01 imap ({address}) is down: connection refused (2 of 2), was up for 0s"));

    rota.revive("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node01", "node02"]);
    rota.expect_mx("mydomain.org", all);
    rota.expect_journal(&format!("node01 imap ({address}) is up"));
}
