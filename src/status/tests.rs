use serde_json::json;

use super::*;
use crate::{
    check::{Outcome, Target},
    cluster::{AdminState, CheckName},
    config::fixture,
    health::{Health, State},
};

const NOW: u64 = 1_795_519_160;

fn ago(seconds: u64) -> Stamp {
    Stamp(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW - seconds))
}

fn check(name: &str, address: &str, state: &'static str, seconds: u64, reason: Option<&str>) -> Check {
    Check {
        check: name.to_owned(),
        address: address.parse().unwrap(),
        state: state.into(),
        since: ago(seconds),
        reason: reason.map(str::to_owned),
        warning: None,
        held_until: None,
    }
}

fn node(name: &str, admin_state: &'static str, checks: Vec<Check>) -> Node {
    Node {
        name: name.to_owned(),
        addresses: vec!["192.0.2.10".parse().unwrap()],
        admin_state: admin_state.into(),
        checks,
    }
}

fn zone(name: &str, state: ZoneState, error: Option<&str>) -> Zone {
    Zone {
        server: "127.0.0.1:53".to_owned(),
        zone: name.to_owned(),
        state,
        generation: Some(7),
        serial: Some(2_026_112_401),
        error: error.map(str::to_owned),
        foreign: Vec::new(),
    }
}

fn sample() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        time: ago(0),
        mode: Mode::Active,
        blocked: Vec::new(),
        hold: None,
        config: Config {
            file: "/etc/rotad/cluster.yaml".into(),
            loaded_at: ago(7_860),
            hash: String::new(),
            error: None,
            held_edit: None,
        },
        nodes: vec![
            node(
                "node00",
                "ready",
                vec![
                    check("imap", "192.0.2.10", "up", 86_400, Some("* OK ready")),
                    check("smtp", "192.0.2.10", "up", 7_860, Some("220 mx ESMTP")),
                ],
            ),
            node("node01", "drain", vec![check("imap", "192.0.2.11", "up", 60, Some("* OK ready"))]),
            node(
                "node02",
                "ready",
                vec![
                    check("imap", "192.0.2.12", "down", 310, Some("connection refused")),
                    check("imap", "2001:db8::12", "unknown", 5, None),
                    check("smtp", "192.0.2.12", "up", 12, Some("220 mx ESMTP")),
                ],
            ),
        ],
        zones: vec![
            zone("a.org", ZoneState::InSync, None),
            zone("b.org", ZoneState::Failing, Some("REFUSED: no grant")),
        ],
        short: vec![],
        left_over: vec![],
        servers: vec![Server {
            name: "127.0.0.1:53".to_owned(),
            address: "127.0.0.1:53".to_owned(),
            state: ServerState::Silent,
            since: Some(ago(60)),
        }],
    }
}

#[test]
fn the_json_form_is_the_contract() {
    let mut status = sample();
    status.nodes.truncate(1);
    status.nodes[0].checks.truncate(1);
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(
        json,
        json!({
            "version": "0.1.0",
            "time": "2026-11-24T11:19:20Z",
            "mode": "active",
            "blocked": [],
            "hold": null,
            "left_over": [],
            "config": {
                "file": "/etc/rotad/cluster.yaml",
                "loaded_at": "2026-11-24T09:08:20Z",
                "hash": "",
                "error": null,
                "held_edit": null,
            },
            "nodes": [{
                "name": "node00",
                "addresses": ["192.0.2.10"],
                "admin_state": "ready",
                "checks": [{
                    "check": "imap",
                    "address": "192.0.2.10",
                    "state": "up",
                    "since": "2026-11-23T11:19:20Z",
                    "reason": "* OK ready",
                }],
            }],
            "zones": [
                { "zone": "a.org", "server": "127.0.0.1:53", "state": "in_sync", "generation": 7, "serial": 2_026_112_401, "error": null, "foreign": [] },
                { "zone": "b.org", "server": "127.0.0.1:53", "state": "failing", "generation": 7, "serial": 2_026_112_401, "error": "REFUSED: no grant", "foreign": [] },
            ],
            "short": [],
            "servers": [
                { "name": "127.0.0.1:53", "address": "127.0.0.1:53", "state": "silent", "since": "2026-11-24T11:18:20Z" },
            ],
        })
    );
    assert_eq!(serde_json::from_value::<Status>(json).unwrap(), status);
}

#[test]
fn too_few_healthy_nodes_are_seen_at_a_glance() {
    let mut status = sample();
    status.short = vec![Short {
        service: "imap".to_owned(),
        rtype: "A".into(),
        nodes: ["node00", "node01", "node02"].map(str::to_owned).to_vec(),
        healthy: 0,
        needed: 2,
        kept: ["192.0.2.10", "192.0.2.11"].map(str::to_owned).to_vec(),
    }];
    let said = status.human(false);
    let head: Vec<_> = said.lines().take(5).collect();
    assert_eq!(
        head,
        [
            "rotad 0.1.0  active, with too few healthy nodes",
            "/etc/rotad/cluster.yaml, loaded 2h 11m ago",
            "",
            "too few healthy nodes: until enough are back, `all_down` says what these sets hold",
            "  imap A: 0 of 3 healthy, 2 needed; holds 192.0.2.10, 192.0.2.11",
        ]
    );
    assert_eq!(
        serde_json::to_value(&status).unwrap()["short"],
        json!([{
            "service": "imap", "rtype": "A", "nodes": ["node00", "node01", "node02"], "healthy": 0, "needed": 2,
            "kept": ["192.0.2.10", "192.0.2.11"],
        }])
    );
}

#[test]
fn what_a_check_that_passes_warns_of_is_seen() {
    let mut status = sample();
    let check = &mut status.nodes[0].checks[0];
    check.warning = Some("certificate expires on 2026-12-01".to_owned());
    check.reason = Some("* OK ready; certificate expires on 2026-12-01".to_owned());
    assert!(status.human(false).contains(
        "  node00\n    imap (192.0.2.10) up with a warning for 1d: certificate expires on 2026-12-01\n    up for 2h 11m: smtp\n"
    ));
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["nodes"][0]["checks"][0]["warning"], "certificate expires on 2026-12-01");

    let mut health = Health::new(crate::io::clock::now());
    let timing = crate::check::tests::timing();
    let warn = || Outcome::pass("* OK".to_owned(), Some(crate::check::Warning::Plugin("90% full".to_owned())));
    for (outcome, seen) in [
        (warn(), Some("90% full")),
        (Outcome::Fail("connection refused".to_owned()), None),
        (warn(), Some("90% full")),
        (Outcome::Pass("* OK".to_owned()), None),
    ] {
        health.observe(&timing, health.since, outcome.clone(), Duration::ZERO);
        assert_eq!(warning(&health).as_deref(), seen, "{outcome:?}");
    }
}

#[test]
fn the_wish_of_an_agent_that_is_silent_is_shown() {
    let mut health = Health::new(crate::io::clock::now());
    let timing = crate::check::tests::timing();
    for outcome in [Outcome::Out("agent says \"drain\"".to_owned()), Outcome::Unknown("the agent is silent".to_owned())]
    {
        health.observe(&timing, health.since, outcome, Duration::ZERO);
    }
    let clocks = Clocks { now: health.since, wall: SystemTime::UNIX_EPOCH };
    assert_eq!(reason(&health, clocks).as_deref(), Some("agent says \"drain\"; now the agent is silent"));
}

#[test]
fn every_mode_and_state_has_its_word() {
    let words = |value: serde_json::Value| value.as_str().unwrap().to_owned();
    let modes = [Mode::Starting, Mode::Active, Mode::Hold, Mode::Blind].map(|mode| words(json!(mode)));
    assert_eq!(modes, ["starting", "active", "hold", "blind"]);
    for state in [ZoneState::Failing, ZoneState::Foreign, ZoneState::Standby, ZoneState::Pending, ZoneState::InSync] {
        assert_eq!(words(json!(state)), state.as_str());
    }
}

#[test]
fn people_see_what_is_wrong_first() {
    insta::assert_snapshot!(sample().human(false), @r"
    rotad 0.1.0  active
    /etc/rotad/cluster.yaml, loaded 2h 11m ago

    nodes: 3
      node02
        imap (192.0.2.12) down for 5m 10s: connection refused
        imap (2001:db8::12) unknown for 5s: no answer yet
        up for 12s: smtp
      node01 (drain)  up for 1m: imap
      node00  up for 2h 11m: imap, smtp

    zones: failing 1, in_sync 1
      b.org failing: REFUSED: no grant
    ");
}

#[test]
fn trouble_of_the_whole_is_in_the_head() {
    let status = Status {
        mode: Mode::Blind,
        blocked: vec![Mode::Blind],
        config: Config { error: Some("cluster.yaml:3:1: unknown key\n  | nods:".to_owned()), ..sample().config },
        nodes: vec![],
        zones: vec![],
        ..sample()
    };
    insta::assert_snapshot!(status.human(false), @r"
    rotad 0.1.0  blind: too many nodes went down at once, nothing is written
    /etc/rotad/cluster.yaml, loaded 2h 11m ago
    error: the newest edit is not in force:
      cluster.yaml:3:1: unknown key
        | nods:

    nodes: 0

    zones: none
    ");
}

#[test]
fn who_is_blind_and_publishes_everyone_does_not_say_that_nothing_is_written() {
    let status = Status { mode: Mode::Blind, blocked: vec![], ..sample() };
    let head = "rotad 0.1.0  blind: too many nodes went down at once, every node is published\n";
    assert!(status.human(false).starts_with(head), "{}", status.human(false));
}

#[test]
fn a_hold_says_until_when_by_whom_and_why() {
    let hold = Hold {
        since: ago(60),
        until: Some(ago(0)),
        by: Some("anna".to_owned()),
        reason: Some("the switches".to_owned()),
    };
    let status = Status { mode: Mode::Hold, hold: Some(hold), ..sample() };
    let head = "rotad 0.1.0  hold: nothing is written until 2026-11-24T11:19:20Z, by anna: the switches\n";
    assert!(status.human(false).starts_with(head), "{}", status.human(false));
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(
        json["hold"],
        json!({ "since": "2026-11-24T11:18:20Z", "until": "2026-11-24T11:19:20Z", "by": "anna", "reason": "the switches" })
    );
}

#[test]
fn ten_thousand_zones_are_counts() {
    let zones = (0..10_000).map(|number| {
        let state = if number % 400 == 0 { ZoneState::Failing } else { ZoneState::InSync };
        zone(&format!("d{number}.org"), state, None)
    });
    let status = Status { nodes: vec![], zones: zones.collect(), ..sample() };
    let text = status.human(false);
    assert!(text.contains("zones: failing 25, in_sync 9,975\n  d0.org failing\n"), "{text}");
    assert!(text.ends_with("  d7600.org failing\n  and 5 more (all of them: rotad status --json)\n"), "{text}");
}

#[test]
fn c14_what_befalls_many_zones_for_one_cause_is_one_line() {
    let zones = (0..30).map(|number| {
        let name = format!("d{number:02}.org");
        zone(&name, ZoneState::Failing, Some(&format!("named refuses every update of {name} (REFUSED): is it frozen?")))
    });
    let status = Status { nodes: vec![], zones: zones.collect(), ..sample() };
    let text = status.human(false);
    assert_eq!(text.matches("is it frozen?").count(), 1, "{text}");
    assert!(
        text.contains(" failing: named refuses every update of ZONE (REFUSED)") && text.contains("30 zones"),
        "{text}"
    );
}

#[test]
fn what_strangers_hold_is_listed() {
    let mut status = sample();
    status.zones[0].foreign = vec!["shop.a.org".to_owned()];
    let text = status.human(false);
    let listed = "\nforeign: 1 name holds data of strangers, which are left: delete them, or run `rotad adopt NAME` to take them over\n  shop.a.org\n";
    assert!(text.ends_with(listed), "{text}");
    assert_eq!(serde_json::to_value(&status).unwrap()["zones"][0]["foreign"], json!(["shop.a.org"]));
    status.zones[0].foreign = (0..37).map(|at| format!("shop{at}.a.org")).collect();
    let text = status.human(false);
    assert!(text.contains("\nforeign: 37 names hold data") && text.contains("\n  and 17 more"), "{text}");
}

#[test]
fn colour_is_only_added() {
    let (plain, coloured) = (sample().human(false), sample().human(true));
    assert!(!plain.contains('\u{1b}'));
    let mut stripped = String::new();
    for (at, part) in coloured.split("\u{1b}[").enumerate() {
        stripped.push_str(if at == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    assert_eq!(stripped, plain);
    assert!(coloured.contains("\u{1b}[31mdown\u{1b}[0m"));
}

#[test]
fn peers_cannot_forge_lines() {
    let mut status = sample();
    status.nodes[2].checks[0].reason = Some("banner\nnode02 up\u{1b}[2J".to_owned());
    let text = status.human(false);
    assert!(text.contains("banner\\nnode02 up\\u{1b}[2J"), "{text}");
}

#[test]
fn stamps_of_the_other_clock() {
    let then = crate::io::clock::now();
    let now = then + Duration::from_secs(90);
    let clocks = Clocks { now, wall: ago(0).0 };
    for (at, seconds) in [(now, 0), (then, 90)] {
        assert_eq!(clocks.stamp(at), ago(seconds));
    }
    assert_eq!(clocks.stamp(now + Duration::from_secs(40)).0, ago(0).0 + Duration::from_secs(40));
    let young = Clocks { now, wall: SystemTime::UNIX_EPOCH };
    assert_eq!(young.stamp(then), Stamp(SystemTime::UNIX_EPOCH));
}

fn cluster_of(nodes: &[(&str, &str, AdminState)]) -> Cluster {
    let node = |(name, address, state): &(&str, &str, AdminState)| {
        format!("  {name}: {{ addresses: [\"{address}\"], admin_state: {} }}\n", state.as_str())
    };
    let nodes: String = nodes.iter().map(node).collect();
    fixture::cluster(&format!(
        "{}nodes:\n{nodes}services: {{ imap: {{ publish: address, name: imap, checks: [] }} }}\ndomains: {{ mydomain.org: {{ services: [imap] }} }}\n",
        fixture::HEAD,
    ))
}

#[test]
fn nodes_are_those_of_the_file_with_what_is_known_of_them() {
    let began = crate::io::clock::now();
    let clocks = Clocks { now: began + Duration::from_secs(310), wall: ago(0).0 };
    let health = |state, last| std::sync::Arc::new(Health { state, since: began, last, ..Health::new(began) });
    let target = |node, check, address: &str| Target {
        node: NodeName::new(node),
        check: CheckName::new(check),
        address: address.parse().unwrap(),
    };
    let view = HealthView {
        targets: [
            (target("node01", "imap", "192.0.2.11"), health(State::Down, Some(Outcome::Fail("status 503".to_owned())))),
            (target("node00", "smtp", "192.0.2.10"), health(State::Unknown, None)),
            (target("node00", "imap", "192.0.2.10"), health(State::Up, Some(Outcome::Pass("* OK".to_owned())))),
            // Taken out of the file a moment ago, while health has not heard of it.
            (target("gone", "imap", "192.0.2.99"), health(State::Up, None)),
        ]
        .into(),
        first_round_done: true,
        ..HealthView::default()
    };
    let cluster = cluster_of(&[
        ("node00", "192.0.2.10", AdminState::Ready),
        ("node01", "192.0.2.11", AdminState::Drain),
        ("node02", "192.0.2.12", AdminState::Down),
    ]);
    let named = |name, address: &str, admin_state, checks| Node {
        addresses: vec![address.parse().unwrap()],
        ..node(name, admin_state, checks)
    };
    assert_eq!(
        Node::all(&cluster, &view, clocks),
        [
            named(
                "node00",
                "192.0.2.10",
                "ready",
                vec![
                    check("imap", "192.0.2.10", "up", 310, Some("* OK")),
                    check("smtp", "192.0.2.10", "unknown", 310, None),
                ]
            ),
            named("node01", "192.0.2.11", "drain", vec![check("imap", "192.0.2.11", "down", 310, Some("status 503"))]),
            named("node02", "192.0.2.12", "down", vec![]),
        ]
    );
}

#[test]
fn what_is_left_over_is_listed_with_who_is_missing() {
    let left = |owner: &str, missing: &[&str]| LeftOver {
        owner: owner.to_owned(),
        rtype: "A".to_owned(),
        zone: "old.org".to_owned(),
        server: "127.0.0.1:53".to_owned(),
        since: sample().time,
        data: vec!["192.0.2.10".to_owned()],
        missing: missing.iter().map(|&data| data.to_owned()).collect(),
    };
    let left_over = (0..12).map(|at| left(&format!("n{at:02}.old.org"), if at == 0 { &["192.0.2.11"] } else { &[] }));
    let status = Status { left_over: left_over.collect(), ..sample() };
    let text = status.human(false);
    assert!(text.contains("left over: 12 (out of the file, still in DNS"), "{text}");
    assert!(text.contains("  n00.old.org A: 192.0.2.10 for 0s, without 192.0.2.11\n"), "{text}");
    assert!(text.contains("  and 2 more (all of them"), "{text}");
    assert!(!sample().human(false).contains("left over"));
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["left_over"][0]["missing"], serde_json::json!(["192.0.2.11"]));
    // An older daemon's snapshot has none.
    let mut older = json;
    older.as_object_mut().unwrap().remove("left_over");
    assert_eq!(serde_json::from_value::<Status>(older).unwrap().left_over, vec![]);
}

#[test]
fn every_stamp_can_be_written_and_read() {
    let seconds = Duration::from_secs;
    let epoch = SystemTime::UNIX_EPOCH;
    for (time, is_writable, written) in [
        (epoch + seconds(NOW), true, "2026-11-24T11:19:20Z"),
        (epoch + seconds(LAST_SECOND) + Duration::from_millis(999), true, "9999-12-31T23:59:59Z"),
        (epoch + seconds(LAST_SECOND + 1), false, "9999-12-31T23:59:59Z"),
        (epoch + seconds(1 << 60), false, "9999-12-31T23:59:59Z"),
        (epoch - seconds(1), false, "1970-01-01T00:00:00Z"),
    ] {
        let stamp = Stamp(time);
        assert_eq!((stamp.is_writable(), stamp.to_string().as_str()), (is_writable, written));
        let json = serde_json::to_string(&stamp).unwrap();
        assert_eq!(serde_json::from_str::<Stamp>(&json).unwrap().to_string(), written);
        let held = Clocks { now: crate::io::clock::now(), wall: time };
        assert_eq!(held.stamp(held.now).time_of_day().len(), "12:39:20".len());
    }
}
