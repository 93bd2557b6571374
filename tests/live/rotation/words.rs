//! Nodes that say how they are: by an agent, by a plugin's exit code, by their certificate.

use std::fs;

use super::*;
use crate::support::{
    certificate::Authority,
    node::{Node, Script},
};

/// Two nodes whose `imap` hangs on one check alone, which is to be written by [`begin`].
fn two_nodes() -> Rota {
    let own = "own: { publish: address, name: imap, checks: [own] }";
    Rota::new().nodes(2).service(own).domain("mydomain.org", "services: [own]").build()
}

/// Writes the check, quick in all it does, and starts.
fn begin(rota: &mut Rota, check: &str) {
    let quick = "interval: 400ms, fast_interval: 50ms, timeout: 300ms, rise: 2, fall: 2";
    rota.edit("checks:\n", &format!("checks:\n  own: {{ {quick}, {check} }}\n"));
    rota.start();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
}

#[test]
fn a_node_takes_itself_out_by_its_agent() {
    let mut rota = two_nodes();
    let says = |text: &str| Script::new().send(text);
    let mut agent = Node::start(&format!("{}:0", rota.ip("node01")), says("up\n"));
    let port = agent.address().port();
    let _other = Node::start(&format!("{}:{port}", rota.ip("node00")), says("100%\n"));
    begin(&mut rota, &format!("kind: agent, port: {port}"));

    let ip = rota.ip("node01");
    agent.restart(says("drain\n"));
    rota.expect_a("imap.mydomain.org", ["node00"]);
    // One word is enough.
    rota.expect_journal(&format!("node01 own ({ip}) is down: agent says \"drain\" (1 of 1), was up for "));
    agent.restart(says("ready\n"));
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    // An agent that is silent says nothing.
    agent.stop();
    rota.expect_journal(&format!("node01 own ({ip}) is unknown: the agent is silent: connection refused (2 of 2)"));
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
}

#[test]
fn a_plugin_takes_nodes_out_and_warns() {
    let mut rota = two_nodes();
    for node in ["node00", "node01"] {
        rota.replace_file(node, "0\n");
    }
    let script = format!("read code < {}/$NODE; echo says $code; exit $code", rota.path().display());
    begin(&mut rota, &format!("kind: exec, command: [/bin/sh, -c, \"{script}\"]"));

    let ip = rota.ip("node01");
    rota.replace_file("node01", "1\n");
    rota.expect_journal(&format!("node01 own ({ip}) passes with a warning: says 1"));
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.replace_file("node01", "2\n");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_journal(&format!("node01 own ({ip}) is down: says 2 (2 of 2)"));
    rota.replace_file("node01", "0\n");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_journal(&format!("node01 own ({ip}) passes without the warning: says 1"));
    rota.replace_file("node01", "3\n");
    rota.expect_journal(&format!("node01 own ({ip}) is unknown: exit status 3: says 3 (2 of 2)"));
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
}

#[test]
fn an_edit_of_the_authorities_takes_effect() {
    let mut rota = two_nodes();
    let (ours, strangers) = (Authority::new("ours"), Authority::new("a stranger"));
    fs::write(rota.path().join("ca.pem"), ours.pem()).unwrap();
    let names = ["node00", "node01"].map(|node| rota.ip(node).to_string());
    let server = ours.server(&[&names[0], &names[1]], crate::support::certificate::ALWAYS);
    let script = Script::new().tls(&server).then(Script::imap());
    let first = Node::start(&format!("{}:0", names[0]), script.clone());
    let port = first.address().port();
    let _second = Node::start(&format!("{}:{port}", names[1]), script);
    begin(&mut rota, &format!("kind: imap, port: {port}, tls: implicit, tls_ca: ca.pem"));

    rota.replace_file("ca.pem", &strangers.pem());
    rota.expect_journal(&format!("node01 own ({}) is down: certificate is of an unknown authority", names[1]));
    // A broken edit of this file changes nothing, like one of the other.
    rota.replace_file("ca.pem", "nothing\n");
    rota.expect_journal("there is no \"-----BEGIN CERTIFICATE-----\" in it");
    rota.replace_file("ca.pem", &(ours.pem() + &strangers.pem()));
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
}

#[test]
fn f6_authorities_on_a_file_system_that_hangs_delay_nothing_else() {
    let own = "own: { publish: address, name: own, checks: [own] }";
    let domain = "services: [imap, own]";
    let mut rota = Rota::new().nodes(2).service(own).service(IMAP).domain("mydomain.org", domain).build();
    // A FIFO that nobody writes to.
    let machine = rota.path().join("machine.pem");
    assert!(std::process::Command::new("mkfifo").arg(&machine).status().unwrap().success());
    rota.started_by(&["env", &format!("SSL_CERT_FILE={}", machine.display())]);
    let ours = Authority::new("ours");
    let names = ["node00", "node01"].map(|node| rota.ip(node).to_string());
    let server = ours.server(&[&names[0], &names[1]], crate::support::certificate::ALWAYS);
    let script = Script::new().tls(&server).then(Script::imap());
    let first = Node::start(&format!("{}:0", names[0]), script.clone());
    let port = first.address().port();
    let _second = Node::start(&format!("{}:{port}", names[1]), script);
    let quick = "interval: 400ms, fast_interval: 50ms, timeout: 300ms, rise: 2, fall: 2";
    let check = format!("own: {{ {quick}, kind: imap, port: {port}, tls: implicit }}");
    rota.edit("checks:\n", &format!("checks:\n  {check}\n"));
    rota.start();
    // The round ends, and the other checks are made.
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_journal(&format!(
        "node01 own ({}) is unknown: no authorities to trust here: they were not read in 300ms",
        names[1]
    ));
    rota.kill_check("node01", "imap");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    // A stop is not held up either.
    assert_eq!(rota.stop(), Some(0));
    rota.start();
    rota.expect_journal("they were not read in 300ms");
    // It goes on: all targets are asked again without more ado.
    fs::write(&machine, ours.pem()).unwrap();
    for (node, ip) in ["node00", "node01"].iter().zip(&names) {
        rota.expect_journal(&format!("{node} own ({ip}) is up: "));
    }
}

#[test]
fn a4_b4_a_plugin_that_hangs_takes_its_node_out_and_knows_its_node() {
    let mut rota = two_nodes();
    let ip = rota.ip("node01");
    for node in ["node00", "node01"] {
        rota.replace_file(node, "0\n");
    }
    let script = format!("[ $1 = $ADDRESS ] && read span < {}/$2 && sleep $span; echo $1 $2 $3", rota.path().display());
    let words = format!("/bin/sh, -c, \"{script}\", sh, \"{{address}}\", \"{{node}}\", \"index={{index}}\"");
    // It may take longer than the interval.
    begin(&mut rota, &format!("kind: exec, command: [{words}]"));
    rota.expect_journal(&format!("node01 own ({ip}) is up: {ip} node01 index=01"));
    rota.edit("timeout: 300ms, rise: 2, fall: 2, kind: exec", "timeout: 900ms, rise: 2, fall: 2, kind: exec");
    rota.expect_in_sync();
    rota.replace_file("node01", "600\n");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_journal(&format!("node01 own ({ip}) is down: the plugin did not end in 900ms (2 of 2)"));
    rota.expect_journal(&format!("removed {ip} (node01 own is down: the plugin did not end in 900ms), now "));
    rota.replace_file("node01", "0\n");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_journal(&format!("added {ip} (node01 own is up: {ip} node01 index=01), now "));
}

#[test]
fn a8_a_warning_is_seen_in_the_status() {
    let mut rota = two_nodes();
    for node in ["node00", "node01"] {
        rota.replace_file(node, "0\n");
    }
    let script = format!("read code < {}/$NODE; echo the queue is long; exit $code", rota.path().display());
    begin(&mut rota, &format!("kind: exec, command: [/bin/sh, -c, \"{script}\"]"));
    rota.replace_file("node01", "1\n");
    let ip = rota.ip("node01").to_string();
    let of = |rota: &Rota, address: &str| {
        let status = rota.status();
        let checks = status["nodes"].as_array().unwrap().iter().flat_map(|node| node["checks"].as_array().unwrap());
        checks.into_iter().find(|check| check["address"] == address).unwrap().clone()
    };
    rota.eventually("the warning is in the status", |rota| of(rota, &ip)["warning"] == "the queue is long");
    assert_eq!(of(&rota, &ip)["state"], "up");
    let said = rota.run(&["status"]).out;
    assert!(said.contains(&format!("own ({ip}) up with a warning for ")), "{said}");
    assert!(said.contains(": the queue is long\n"), "{said}");
    rota.replace_file("node01", "0\n");
    rota.eventually("it is gone", |rota| of(rota, &ip).get("warning").is_none());
}

/// Two nodes with IMAP and an agent each: the agents, and the port that they listen on.
fn with_agents(rota: &mut Rota) -> (Vec<Node>, u16) {
    let up = || Script::new().send("up\n");
    let first = Node::start(&format!("{}:0", rota.ip("node00")), up());
    let port = first.address().port();
    let second = Node::start(&format!("{}:{port}", rota.ip("node01")), up());
    (vec![first, second], port)
}

#[test]
fn a7_a10_an_agent_that_drains_and_one_that_is_silent() {
    let own = "own: { publish: address, name: imap, checks: [imap, own], \
               pinned: { name: \"imap{index}\", when_down: repoint } }";
    let any = "any: { publish: address, name: any, checks: [imap, own], checks_any: 1 }";
    let mut rota =
        Rota::new().nodes(2).service(own).service(any).domain("mydomain.org", "services: [own, any]").build();
    let (mut agents, port) = with_agents(&mut rota);
    begin(&mut rota, &format!("kind: agent, port: {port}"));
    let ip = rota.ip("node01");

    // Its word takes it out of the shared sets alone, whatever else is up.
    agents[1].restart(Script::new().send("drain\n"));
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_a("any.mydomain.org", ["node00"]);
    rota.expect_journal(&format!("imap.mydomain.org A: removed {ip} (node01: agent says \"drain\"), now "));
    rota.expect_a("imap01.mydomain.org", ["node01"]);
    // It stands though the agent is silent.
    agents[1].stop();
    let silent = |rota: &Rota| {
        let status = rota.status();
        let checks = status["nodes"][1]["checks"].as_array().unwrap().clone();
        checks.iter().any(|check| {
            check["reason"].as_str().unwrap().starts_with("agent says \"drain\"; now the agent is silent: ")
        })
    };
    rota.eventually("the silence is seen", |rota| silent(rota));
    rota.expect_in_sync();
    rota.expect_a("imap.mydomain.org", ["node00"]);
    // Not for a maint, which moves the pinned name, too.
    agents[1].restart(Script::new().send("maint\n"));
    rota.expect_a("imap01.mydomain.org", ["node00"]);
    agents[1].restart(Script::new().send("up\n"));
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_a("imap01.mydomain.org", ["node01"]);

    // Its down lapses with its silence: the other checks decide.
    agents[1].restart(Script::new().send("down\n"));
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_journal(&format!("removed {ip} (node01 own is down: agent says \"down\"), now "));
    rota.expect_a("any.mydomain.org", ["node00", "node01"]);
    agents[1].stop();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.kill_check("node01", "imap");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_a("any.mydomain.org", ["node00"]);
    rota.expect_journal(&format!("removed {ip} (node01 imap is down: connection refused), now "));
    // A restart beside a silent agent: the other checks decide.
    rota.script("node01", "imap", &Script::imap());
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.kill_check("node01", "imap");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.stop();
    rota.script("node01", "imap", &Script::imap());
    rota.start();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
}

#[test]
fn a10_what_an_agent_asked_for_stands_over_a_restart_and_an_edit_while_it_is_silent() {
    let own = "own: { publish: address, name: imap, checks: [imap, own] }";
    let mut rota = Rota::new().nodes(2).service(own).domain("mydomain.org", "services: [own]").build();
    let (mut agents, port) = with_agents(&mut rota);
    begin(&mut rota, &format!("kind: agent, port: {port}"));
    agents[1].restart(Script::new().send("drain\n"));
    rota.expect_a("imap.mydomain.org", ["node00"]);
    agents[1].stop();
    let silent = |rota: &Rota| {
        let status = rota.status();
        let checks = status["nodes"][1]["checks"].as_array().unwrap().clone();
        let says = |check: &serde_json::Value| {
            check["reason"]
                .as_str()
                .is_some_and(|reason| reason.starts_with("agent says \"drain\"; now the agent is silent: "))
        };
        checks.iter().any(says) && checks.iter().any(|check| check["check"] == "imap" && check["state"] == "up")
    };
    rota.eventually("the silence is seen", |rota| silent(rota));
    let serial = rota.serial("mydomain.org");
    // A restart, an edit of the check, and a reload: each time the node is heard by its other check alone.
    for edit in ["", "timeout: 290ms", "timeout: 280ms, port: 1"] {
        if edit.is_empty() {
            rota.restart();
        } else {
            let own = rota.yaml().lines().find(|line| line.contains("kind: agent")).unwrap().to_owned();
            let new =
                format!("  own: {{ interval: 400ms, fast_interval: 50ms, rise: 2, fall: 2, kind: agent, {edit} }}");
            let new = if edit.contains("port") { new } else { new.replace(" }", &format!(", port: {port} }}")) };
            rota.edit(&own, &new);
            let ran = rota.run(&["reload"]);
            assert_eq!(ran.code, 0, "{ran:?}");
        }
        rota.expect_in_sync();
        rota.eventually("the other check has answered", |rota| silent(rota));
        rota.expect_in_sync();
        assert_eq!(rota.named.a("imap.mydomain.org").len(), 1, "{edit}: {}", rota.journal());
        assert_eq!(rota.serial("mydomain.org"), serial, "{edit}: {}", rota.journal());
    }
    // It says otherwise.
    let again = rota.yaml();
    rota.write(&again.replace("port: 1 }", &format!("port: {port} }}")));
    agents[1].restart(Script::new().send("up\n"));
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.restart();
    rota.expect_in_sync();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
}
