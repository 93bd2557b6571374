//! An edit is no outage: who is published stays so until what the edit asks anew is decided.

use super::*;

const NODES: [&str; 3] = ["node00", "node01", "node02"];

fn three() -> Builder {
    Rota::new().nodes(3).service(IMAP).service(MX).domain("mydomain.org", "services: [imap, mx]")
}

/// A port where nobody listens.
fn closed() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Every node is seen to be down by a check, and nobody has left; then the file is corrected, and nothing was written.
fn expect_nobody_leaves(rota: &mut Rota, check: &str, edit: &dyn Fn(&str) -> String) {
    let (good, records, serial) = (rota.yaml(), rota.records("mydomain.org"), rota.serial("mydomain.org"));
    rota.write(&edit(&good));
    for node in NODES {
        let (address, name) = (rota.ip(node), format!("{node} {check}"));
        rota.expect_journal(&format!("{name} ({address}) is down: "));
    }
    rota.eventually("that is told", |rota| {
        let journal = rota.journal();
        journal.contains("blind: 3 of 3 nodes") || journal.contains(" A on node00, node01, node02: too few healthy")
    });
    rota.write(&good);
    rota.expect_in_sync();
    rota.eventually("all is well", |rota| {
        let status = rota.status();
        let nodes = status["nodes"].as_array().unwrap();
        let mut checks = nodes.iter().flat_map(|node| node["checks"].as_array().unwrap());
        checks.all(|check| check["state"] == "up") && status["mode"] == "active"
    });
    assert_eq!((rota.records("mydomain.org"), rota.serial("mydomain.org")), (records, serial), "{}", rota.journal());
    assert!(!rota.journal().contains(": removed "), "{}", rota.journal());
}

#[test]
fn a1_a_slip_in_a_check_takes_nobody_out() {
    let mut rota = three().start();
    let port = closed();
    // The port of a check, and with it what all checks of the nodes say.
    let imap = rota.yaml().lines().find(|line| line.trim_start().starts_with("imap: { kind")).unwrap().to_owned();
    let moved = format!(
        "  imap: {{ kind: imap, port: {port}, interval: 500ms, fast_interval: 50ms, timeout: 450ms, rise: 2, fall: 2 }}"
    );
    expect_nobody_leaves(&mut rota, "imap", &|yaml| yaml.replace(&imap, &moved));
    // A new check with a slip in what it looks for.
    expect_nobody_leaves(&mut rota, "slip", &|yaml| {
        let web = yaml.lines().find(|line| line.trim_start().starts_with("web: ")).unwrap();
        let slip = web.replace("web:", "slip:").replace("body: login", "body: lgoin");
        yaml.replace(web, &format!("{web}\n{slip}"))
            .replace("name: imap, checks: [imap]", "name: imap, checks: [imap, slip]")
    });
    // A time that nobody keeps.
    expect_nobody_leaves(&mut rota, "smtp", &|yaml| {
        let smtp = yaml.lines().find(|line| line.trim_start().starts_with("smtp: ")).unwrap();
        let silent = smtp.replace("kind: smtp", "kind: smtp, tls: starttls");
        yaml.replace(smtp, &silent).replace("name: imap, checks: [imap]", "name: imap, checks: [imap, smtp]")
    });
}

#[test]
fn a1_a_service_that_takes_a_name_over_takes_nobody_out() {
    // It has a slip in its check, and no domain had it before.
    let mut rota = three().build();
    rota.edit("  imap: { publish:", "  strict: { publish: address, name: imap, checks: [slip] }\n  imap: { publish:");
    let web = rota.yaml().lines().find(|line| line.trim_start().starts_with("web: ")).unwrap().to_owned();
    let slip = web.replace("web:", "slip:").replace("body: login", "body: lgoin");
    rota.edit(&web, &format!("{web}\n{slip}"));
    rota.start();
    rota.expect_a("imap.mydomain.org", NODES);
    expect_nobody_leaves(&mut rota, "slip", &|yaml| yaml.replace("services: [imap, mx]", "services: [strict, mx]"));
}

#[test]
fn a1_nobody_leaves_although_no_other_check_is_left() {
    let mut rota = Rota::new().nodes(3).service(IMAP).domain("mydomain.org", "services: [imap]").start();
    let port = closed();
    let imap = rota.yaml().lines().find(|line| line.trim_start().starts_with("imap: { kind")).unwrap().to_owned();
    let moved = format!(
        "  imap: {{ kind: imap, port: {port}, interval: 500ms, fast_interval: 50ms, timeout: 450ms, rise: 2, fall: 2 }}"
    );
    expect_nobody_leaves(&mut rota, "imap", &|yaml| yaml.replace(&imap, &moved));
    rota.expect_journal("blind: 3 of 3 nodes went down");
}

#[test]
fn a1_who_alone_fails_the_new_check_leaves() {
    let mut rota = three().start();
    rota.kill_check("node01", "web");
    rota.edit("name: imap, checks: [imap]", "name: imap, checks: [imap, web]");
    rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org", "10 node01.mydomain.org", "10 node02.mydomain.org"]);
    rota.expect_in_sync();
}

#[test]
fn a2_blindness_outlives_an_edit() {
    let mut rota = Rota::new().nodes(3).service(IMAP).domain("mydomain.org", "services: [imap]").start();
    let serial = rota.serial("mydomain.org");
    for node in NODES {
        rota.kill(node);
    }
    rota.eventually("we are blind", |rota| rota.status()["mode"] == "blind");
    // Other times, another name, another port: each is in force once the status has its checks.
    let line = rota.yaml().lines().find(|line| line.trim_start().starts_with("imap: { kind")).unwrap().to_owned();
    let renamed = line.replace("imap: {", "imap2: {");
    for (what, edit) in [
        ("check imap changed", rota.yaml().replace(&line, &line.replace("timeout: 450ms", "timeout: 400ms"))),
        ("check imap2 added", rota.yaml().replace(&line, &renamed).replace("checks: [imap]", "checks: [imap2]")),
        (
            "check imap2 changed",
            rota.yaml()
                .replace(&line, &renamed.replace("kind: imap", "kind: pop3"))
                .replace("checks: [imap]", "checks: [imap2]"),
        ),
    ] {
        rota.write(&edit);
        rota.expect_journal(what);
        rota.eventually("everybody is decided", |rota| {
            let status = rota.status();
            let nodes = status["nodes"].as_array().unwrap();
            let mut checks = nodes.iter().flat_map(|node| node["checks"].as_array().unwrap());
            checks.all(|check| check["state"] == "down") && status["config"]["error"].is_null()
        });
        assert_eq!(rota.status()["mode"], "blind", "{what}: {}", rota.journal());
    }
    rota.expect_a("imap.mydomain.org", NODES);
    assert!(!rota.journal().contains("no longer blind"), "{}", rota.journal());
    assert_eq!(rota.serial("mydomain.org"), serial);
}

#[test]
fn a2_a_shortage_outlives_an_edit() {
    let reference = crate::support::node::Node::start("127.0.0.1:0", crate::support::node::Script::tcp());
    let mut rota = three().safety(&format!("references: [\"{}\"]", reference.address())).start();
    for node in NODES {
        rota.kill(node);
    }
    rota.expect_journal("service imap A on node00, node01, node02: too few healthy nodes");
    rota.expect_journal("service mx MX on node00, node01, node02: too few healthy nodes");
    // A node that is dead too, and times.
    rota.edit("nodes:\n", "nodes:\n  dead: { addresses: [127.255.255.1] }\n");
    rota.expect_journal("dead imap (127.255.255.1) is down");
    let line = rota.yaml().lines().find(|line| line.trim_start().starts_with("imap: { kind")).unwrap().to_owned();
    rota.edit(&line, &line.replace("timeout: 450ms", "timeout: 400ms"));
    rota.expect_journal("check imap changed");
    rota.revive("node01");
    rota.expect_journal("service imap A on dead, node00, node01, node02: enough healthy nodes again");
    rota.expect_a("imap.mydomain.org", ["node01"]);
    let journal = rota.journal();
    // Each check has come up at the start, and node01 again.
    let back = journal.find("enough healthy nodes again").unwrap();
    assert!(journal[..back].matches(") is up: ").count() > 6, "{journal}");
}

#[test]
fn c17_new_addresses_take_the_old_ones_place_once_all_are_decided() {
    let mut rota =
        three().service("web: { publish: address, name: web, checks: [web], pinned: { name: \"web{index}\" } }");
    rota = rota.domain("other.org", "services: [web]");
    let mut rota = rota.start();
    rota.renumber(|node| node != "node02");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org", "10 node01.mydomain.org"]);
    rota.expect_a("node00.mydomain.org", ["node00"]);
    rota.expect_a("web.other.org", ["node00", "node01"]);
    rota.expect_a("web00.other.org", ["node00"]);
    rota.expect_in_sync();
}

#[test]
fn c17_old_addresses_stay_while_all_new_ones_are_down() {
    let mut rota = three().start();
    let before: Vec<_> = NODES.iter().map(|node| rota.ip(node).to_string()).collect();
    rota.renumber(|_| false);
    for node in NODES {
        let address = rota.ip(node);
        rota.expect_journal(&format!("{node} imap ({address}) is down"));
        rota.expect_journal(&format!("{node} smtp ({address}) is down"));
    }
    let now = || rota.named.a("imap.mydomain.org");
    assert_eq!(now().into_iter().collect::<Vec<_>>(), before);
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org", "10 node01.mydomain.org", "10 node02.mydomain.org"]);
    for (node, old) in NODES.iter().zip(before) {
        assert!(rota.named.a(&format!("{node}.mydomain.org")).contains(&old), "{node}");
    }
}
