//! Who is taken out, and when not: our own blindness, nodes that flap, nodes that have too much to do.

use std::{
    io::{BufRead, BufReader, Write},
    net::{IpAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rotad::io::{clock, pulse::STILL};
use rustix::process::Signal;
use serde_json::Value;

use super::support::{
    node::{Node, Script},
    rota::{Builder, IMAP, MX, Rota},
};

fn three() -> Builder {
    Rota::new().nodes(3).service(IMAP).service(MX).domain("mydomain.org", "services: [imap, mx]")
}

/// The same, running, with more time for each answer: all nodes are to come back within what is granted for it
/// (`down_interval` and `rise` times `fast_interval`), on a busy machine, too.
fn three_unhurried() -> Rota {
    let mut rota = three().build();
    rota.write(&rota.yaml().replace("fast_interval: 50ms", "fast_interval: 400ms"));
    rota.start();
    rota.expect_in_sync();
    rota
}

const NODES: [&str; 3] = ["node00", "node01", "node02"];

fn expect_mode(rota: &mut Rota, mode: &str) {
    rota.eventually(&format!("the mode is {mode}"), |rota| rota.status()["mode"] == mode);
}

/// The status of a node's check.
fn check(rota: &Rota, node: &str, check: &str) -> Value {
    let status = rota.status();
    let node = status["nodes"].as_array().unwrap().iter().find(|entry| entry["name"] == node).unwrap();
    node["checks"].as_array().unwrap().iter().find(|entry| entry["check"] == check).unwrap().clone()
}

#[test]
fn when_all_nodes_go_at_once_we_suspect_ourselves_and_dns_stays() {
    let mut rota = three_unhurried();
    let (serial, records) = (rota.serial("mydomain.org"), rota.records("mydomain.org"));
    rota.kill_together(&NODES);
    expect_mode(&mut rota, "blind");
    rota.expect_journal(
        "blind: 3 of 3 nodes went down within 10s, which is more likely our own network: nothing is written",
    );
    assert!(rota.run(&["status"]).out.contains("blind: too many nodes went down at once, nothing is written"));
    rota.revive_together(&NODES);
    expect_mode(&mut rota, "active");
    rota.expect_journal("no node is down any more");
    rota.expect_in_sync();
    assert_eq!((rota.serial("mydomain.org"), rota.records("mydomain.org")), (serial, records), "nothing was written");
}

#[test]
fn a2_blindness_outlives_a_restart_and_a_gap() {
    type Trouble = fn(&mut Rota);
    let restart: Trouble = |rota| rota.restart();
    let crash: Trouble = |rota| {
        rota.kill_daemon();
        rota.start();
    };
    let gap: Trouble = |rota| {
        let gaps = rota.journal().matches("stood still").count();
        rota.signal(Signal::STOP);
        thread::sleep(STILL + Duration::from_secs(1));
        rota.signal(Signal::CONT);
        rota.eventually("it stood still", |rota| rota.journal().matches("stood still").count() > gaps);
    };
    let mut rota = three_unhurried();
    let (serial, records) = (rota.serial("mydomain.org"), rota.records("mydomain.org"));
    for trouble in [restart, crash, gap] {
        rota.kill_together(&NODES);
        expect_mode(&mut rota, "blind");
        trouble(&mut rota);
        expect_mode(&mut rota, "blind");
        rota.revive_together(&NODES);
        expect_mode(&mut rota, "active");
        rota.expect_in_sync();
        assert_eq!((rota.serial("mydomain.org"), rota.records("mydomain.org")), (serial, records.clone()));
    }
}

#[test]
fn who_does_not_come_back_with_the_others_is_taken_out() {
    let mut rota = three_unhurried();
    let serial = rota.serial("mydomain.org");
    rota.kill_together(&NODES);
    expect_mode(&mut rota, "blind");
    assert_eq!(rota.serial("mydomain.org"), serial);
    rota.revive_together(&["node00", "node01"]);
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org", "10 node01.mydomain.org"]);
    rota.expect_journal("still down, and taken for it: node02");
    assert_eq!(rota.serial("mydomain.org"), serial + 1, "in one step");
    expect_mode(&mut rota, "active");
}

#[test]
fn one_node_that_dies_is_no_blindness() {
    let mut rota = three().start();
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
    assert!(!rota.journal().contains("blind"), "{}", rota.journal());
}

#[test]
fn references_tell_a_dead_cluster_from_a_dead_network() {
    // Its address is known, but nobody listens on it as yet.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut rota = three().safety("blind_share: 60%").safety(&format!("references: [\"{closed}\"]")).start();
    let serial = rota.serial("mydomain.org");
    rota.kill_together(&["node01", "node02"]);
    expect_mode(&mut rota, "blind");
    rota.expect_journal("blind: 2 of 3 nodes went down within 10s");
    rota.expect_journal("nothing is written until the references answer or nodes return");
    assert_eq!(rota.serial("mydomain.org"), serial);
    let reference = Node::start(&closed.to_string(), Script::tcp());
    rota.expect_a("imap.mydomain.org", ["node00"]);
    rota.expect_journal("still down, and taken for it: node01, node02");
    expect_mode(&mut rota, "active");
    assert!(reference.seen().connections > 0);
}

#[test]
fn whoever_writes_once_is_blind_as_the_daemon_is() {
    // Its address is known, but nobody listens on it as yet.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut rota = three().safety("blind_share: 60%").safety(&format!("references: [\"{closed}\"]")).start();
    rota.stop();
    let (serial, records) = (rota.serial("mydomain.org"), rota.records("mydomain.org"));
    rota.kill_together(&["node01", "node02"]);
    let ran = rota.run(&["apply"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.err.contains("blind: 2 of 3 nodes went down within 10s, which is more likely our own network"),
        "{ran:?}"
    );
    assert!(
        ran.err.contains("nothing is written before nodes return or the references answer; run it again then"),
        "{ran:?}"
    );
    let (code, text) = rota.plan();
    assert!(
        code == 0 && !text.contains("- imap") && text.contains("blind: too many nodes went down at once"),
        "{text}"
    );
    // What is to be changed otherwise waits, too.
    rota.edit("ttl: 60s", "ttl: 61s");
    let (code, text) = rota.plan();
    assert!(code == 3 && text.contains("wait: blind: too many nodes went down at once"), "{text}");
    assert_eq!(rota.run(&["apply"]).code, 1);
    assert_eq!((rota.serial("mydomain.org"), rota.records("mydomain.org")), (serial, records));
    // The references answer: it is the nodes.
    let _reference = Node::start(&closed.to_string(), Script::tcp());
    let ran = rota.run(&["apply"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    rota.expect_a("imap.mydomain.org", ["node00"]);
}

#[test]
fn with_a_reference_that_answers_we_never_go_blind() {
    let reference = Node::start("127.0.0.1:0", Script::tcp());
    let mut rota =
        three().safety(&format!("references: [\"{}\"]", reference.address())).safety("all_down: all").start();
    rota.kill_together(&NODES);
    rota.expect_journal("service imap A on node00, node01, node02: too few healthy nodes");
    rota.expect_a("imap.mydomain.org", NODES);
    rota.expect_in_sync();
}

#[test]
fn a_place_for_everyone_does_not_wait_for_our_sight() {
    let mut rota = three().safety("all_down: all").start();
    rota.kill("node00");
    rota.expect_a("imap.mydomain.org", ["node01", "node02"]);
    rota.kill_together(&["node01", "node02"]);
    expect_mode(&mut rota, "blind");
    rota.expect_a("imap.mydomain.org", NODES);
    rota.revive("node02");
    rota.expect_a("imap.mydomain.org", ["node02"]);
}

#[test]
fn a_node_that_flaps_waits_and_is_used_if_nobody_else_is_left() {
    let rota = Rota::new().nodes(3).service(IMAP).domain("mydomain.org", "services: [imap]");
    let mut rota = rota.top("defaults: { flap_hold: 5m }").start();
    // The first time it is back at once.
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
    rota.revive("node01");
    rota.expect_a("imap.mydomain.org", NODES);
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
    rota.revive("node01");
    let address = rota.ip("node01");
    rota.expect_journal(&format!("node01 imap ({address}) passes again, but is held down for 5m: 1st flap"));
    let imap = check(&rota, "node01", "imap");
    assert_eq!(imap["state"], "down");
    let (until, reason) = (imap["held_until"].as_str().unwrap(), imap["reason"].as_str().unwrap());
    let time = until.split_once('T').unwrap().1.trim_end_matches('Z');
    assert!(reason.starts_with(&format!("held until {time}, 1st flap: * OK ")), "{reason} {until}");
    assert!(rota.run(&["status"]).out.contains(", 1st flap: * OK "));
    let serial = rota.serial("mydomain.org");

    rota.kill("node00");
    rota.expect_a("imap.mydomain.org", ["node02"]);
    assert_eq!(rota.serial("mydomain.org"), serial + 1, "it is not used while another is left");
    rota.kill("node02");
    rota.expect_a("imap.mydomain.org", ["node01"]);
    rota.expect_journal(&format!("added {address} (node01 imap is in reserve: held down for its flapping, 1st flap)"));
}

#[test]
fn a11_a_node_that_was_held_before_a_restart_is_held_after_it() {
    let rota = Rota::new().nodes(3).service(IMAP).domain("mydomain.org", "services: [imap]");
    let mut rota = rota.top("defaults: { flap_hold: 5m }").start();
    for _ in 0..2 {
        rota.expect_a("imap.mydomain.org", NODES);
        rota.kill("node01");
        rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
        rota.revive("node01");
    }
    let held = |rota: &mut Rota| {
        rota.eventually("node01 is held down", |rota| check(rota, "node01", "imap")["held_until"].is_string());
        check(rota, "node01", "imap")["held_until"].as_str().unwrap().to_owned()
    };
    let until = held(&mut rota);
    rota.expect_in_sync();
    let before = rota.serial("mydomain.org");
    for kill in [false, true] {
        if kill {
            rota.kill_daemon();
            rota.start();
        } else {
            rota.restart();
        }
        assert!(held(&mut rota) <= until, "a restart makes it no longer");
        rota.expect_in_sync();
        rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
    }
    // A stop with it dead, and a return while nobody watches.
    rota.stop();
    let (_, plan) = rota.plan();
    assert!(!plan.contains(&format!("+ imap.mydomain.org. 60 IN A {}", rota.ip("node01"))), "{plan}");
    rota.kill("node01");
    rota.start();
    rota.eventually("node01 is seen to fail", |rota| check(rota, "node01", "imap")["state"] == "down");
    rota.revive("node01");
    held(&mut rota);
    rota.expect_in_sync();
    // Whoever was up and published stays.
    assert_eq!(rota.serial("mydomain.org"), before);
    rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
}

/// How a mail server with a limit on the rate of connections is to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Refuses,
    /// 421 to whoever comes again too soon, who has to wait anew for that.
    Limits,
}

/// Answers each connection until the test ends.
fn mail_server(at: IpAddr, door: &Arc<Mutex<Door>>) -> u16 {
    const TOO_SOON: Duration = Duration::from_millis(200);
    let listener = TcpListener::bind((at, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let door = Arc::clone(door);
    thread::spawn(move || {
        let mut last = None;
        for stream in listener.incoming().map_while(Result::ok) {
            let (door, now) = (*door.lock().unwrap(), clock::now());
            let is_too_soon = last.replace(now).is_some_and(|last| now - last < TOO_SOON);
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let say = |words: &str| (&stream).write_all(words.as_bytes()).is_ok();
            match door {
                Door::Refuses => _ = say("554 no\r\n"),
                Door::Limits if is_too_soon => _ = say("421 4.7.0 too many connections\r\n"),
                Door::Limits => {
                    let _ = say("220 mx\r\n") && lines.next().is_some() && say("250 mx\r\n") && lines.next().is_some();
                }
            }
        }
    });
    port
}

#[test]
fn a5_our_own_questions_do_not_keep_a_rate_limit_going() {
    let mut rota = Rota::new()
        .nodes(2)
        .service("own: { publish: address, name: imap, checks: [own] }")
        .domain("mydomain.org", "services: [own]")
        .top("defaults: { flap_hold: 1s }")
        .build();
    let door = Arc::new(Mutex::new(Door::Limits));
    let port = mail_server(rota.ip("node01"), &door);
    let _other = Node::start(&format!("{}:{port}", rota.ip("node00")), Script::smtp());
    let pace = "interval: 400ms, fast_interval: 50ms, timeout: 300ms, rise: 2, fall: 2";
    rota.edit("checks:\n", &format!("checks:\n  own: {{ kind: smtp, port: {port}, {pace} }}\n"));
    rota.start();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    for _ in 0..3 {
        *door.lock().unwrap() = Door::Refuses;
        rota.expect_a("imap.mydomain.org", ["node00"]);
        *door.lock().unwrap() = Door::Limits;
        rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    }
    let ip = rota.ip("node01");
    rota.expect_journal(&format!("node01 own ({ip}) passes again, but is held down for 2s: 2nd flap"));
}

#[test]
fn overload_does_not_cascade() {
    let busy = Script::new().send("421 4.3.2 too many connections\r\n");
    let mut rota = three().start();
    rota.script("node00", "smtp", &busy);
    rota.expect_mx("mydomain.org", ["10 node01.mydomain.org", "10 node02.mydomain.org"]);
    rota.script("node01", "smtp", &busy);
    rota.expect_mx("mydomain.org", ["10 node02.mydomain.org"]);
    // Now nobody is better off, and all of them share the load.
    rota.script("node02", "smtp", &busy);
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org", "10 node01.mydomain.org", "10 node02.mydomain.org"]);
    // One that refuses is out all the same.
    rota.kill_check("node01", "smtp");
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org", "10 node02.mydomain.org"]);
    rota.script("node00", "smtp", &Script::smtp());
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org"]);
}

#[test]
fn any_of_several_checks_will_do() {
    let mut rota = Rota::new()
        .nodes(2)
        .service("any: { publish: address, name: any, checks: [imap, smtp, web], checks_any: 2 }")
        .service("all: { publish: address, name: all, checks: [imap, smtp, web] }")
        .domain("mydomain.org", "services: [any, all]")
        .start();
    rota.kill_check("node00", "web");
    rota.expect_a("all.mydomain.org", ["node01"]);
    rota.expect_a("any.mydomain.org", ["node00", "node01"]);
    rota.kill_check("node00", "smtp");
    rota.expect_a("any.mydomain.org", ["node01"]);
}
