//! Nodes die and come back.

use serde_json::json;

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
    rota.expect_journal(&format!("node01 imap ({address}) is down: connection refused (2 of 2), was up for "));
    rota.expect_journal(&format!(
        "imap.mydomain.org A: removed {address} (node01 imap is down: connection refused), now "
    ));

    rota.revive("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node01", "node02"]);
    rota.expect_mx("mydomain.org", all);
    rota.expect_journal(&format!("node01 imap ({address}) is up"));
}

#[test]
fn one_service_of_a_node_leaves_alone() {
    let mut rota =
        Rota::new().nodes(2).service(IMAP).service(MX).domain("mydomain.org", "services: [imap, mx]").start();
    let before = rota.serial("mydomain.org");
    rota.kill_check("node00", "smtp");
    rota.expect_mx("mydomain.org", ["10 node01.mydomain.org"]);
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    assert_eq!(rota.serial("mydomain.org"), before + 1, "one step of the serial for one change");
}

#[test]
fn when_everyone_is_down_the_last_published_are_held() {
    let mut rota = Rota::new().nodes(2).service(IMAP).domain("mydomain.org", "services: [imap]").start();
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    let held = rota.serial("mydomain.org");
    rota.kill("node00");
    rota.expect_journal("service imap A on node00, node01: too few healthy nodes: what is published is held");
    rota.revive("node01");
    rota.expect_a("imap.mydomain.org", ["node01"]);
    assert_eq!(rota.serial("mydomain.org"), held + 1, "nothing was written in between");
    rota.expect_journal("service imap A on node00, node01: enough healthy nodes again");
}

#[test]
fn when_everyone_is_down_all_can_be_published() {
    let mut rota = Rota::new()
        .nodes(3)
        .service(IMAP)
        .service(MX)
        .domain("mydomain.org", "services: [imap, mx]")
        .safety("all_down: all")
        .start();
    rota.edit("node02: {", "node02: { admin_state: drain,");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.kill("node02");
    rota.kill("node00");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org", "10 node01.mydomain.org"]);
}

#[test]
fn fewer_than_min_healthy_count_as_none() {
    let mut rota = Rota::new()
        .nodes(3)
        .service("imap: { publish: address, name: imap, checks: [imap], min_healthy: 2 }")
        .domain("mydomain.org", "services: [imap]")
        .start();
    rota.kill("node02");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    let held = rota.serial("mydomain.org");
    rota.kill("node01");
    rota.expect_journal("too few healthy nodes: what is published is held");
    rota.revive("node02");
    rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
    assert_eq!(rota.serial("mydomain.org"), held + 1, "nothing was written in between");
}

#[test]
fn a6_what_is_kept_for_lack_of_healthy_nodes_is_seen() {
    let mut rota = Rota::new()
        .nodes(3)
        .service(IMAP)
        .domain("mydomain.org", "services: [imap]")
        .domain("other.org", "services: [imap]")
        // One after another is no blindness.
        .safety("blind_within: 10ms")
        .start();
    assert_eq!(rota.status()["short"].as_array().unwrap().len(), 0);
    rota.kill("node00");
    rota.expect_a("imap.mydomain.org", ["node01", "node02"]);
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node02"]);
    rota.expect_in_sync();
    rota.kill("node02");
    let last = rota.ip("node02");
    rota.expect_journal(&format!(
        "service imap A on node00, node01, node02: too few healthy nodes: what is published is held (0 of 3 nodes healthy, \
         1 needed; imap.mydomain.org and 1 more hold {last}); bring one back"
    ));
    let status = rota.status();
    let nodes = ["node00", "node01", "node02"];
    let kept = [last.to_string()];
    let short = json!({ "service": "imap", "rtype": "A", "nodes": nodes, "healthy": 0, "needed": 1, "kept": kept });
    assert_eq!((&status["mode"], &status["short"]), (&json!("active"), &json!([short])));
    let said = rota.run(&["status"]).out;
    assert!(said.lines().next().unwrap().ends_with("  active, with too few healthy nodes"), "{said}");
    assert!(said.contains(&format!("  imap A: 0 of 3 healthy, 1 needed; holds {last}\n")), "{said}");
    rota.expect_a("imap.mydomain.org", ["node02"]);
    rota.revive("node00");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.eventually("nothing is short", |rota| rota.status()["short"] == json!([]));
}
