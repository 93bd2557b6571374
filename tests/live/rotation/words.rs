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
