use std::{sync::Arc, time::Duration};

use super::{
    Standing::{Awaited, Down, Reserve, Suspect, Unknown, Up},
    *,
};
use crate::{
    check::{Outcome, agent::verdict},
    io::clock,
    rota::model::{cluster, targets},
    settling::Settling,
};

#[test]
fn all_checks_must_pass_or_any_n_of_them() {
    for (checks, any, expected) in [
        (&[][..], None, Up),
        (&[], Some(1), Up),
        (&[Up, Up], None, Up),
        (&[Up, Down], None, Down),
        (&[Up, Unknown], None, Unknown),
        (&[Unknown, Down], None, Down),
        (&[Reserve, Up], None, Reserve),
        (&[Reserve, Down], None, Down),
        (&[Suspect, Up], None, Suspect),
        (&[Suspect, Reserve], None, Reserve),
        (&[Up, Down, Down], Some(1), Up),
        (&[Down, Down, Down], Some(1), Down),
        (&[Unknown, Down, Down], Some(1), Unknown),
        (&[Up, Down, Down], Some(2), Down),
        (&[Up, Unknown, Down], Some(2), Unknown),
        (&[Down, Up, Up], Some(2), Up),
        (&[Up, Suspect, Down], Some(2), Suspect),
        (&[Up, Reserve, Down], Some(2), Reserve),
        // An edit may have taken a check away meanwhile.
        (&[Up, Down], Some(3), Down),
    ] {
        let voices = checks.iter().map(|standing| voice("check", *standing, 0)).collect();
        assert_eq!(combine(voices, any).standing, expected, "{checks:?} {any:?}");
    }
}

fn voice(check: &str, standing: Standing, since: u64) -> Voice {
    Voice {
        standing,
        wish: AdminState::Ready,
        is_silent: false,
        is_new: false,
        since: Some(clock::now() + Duration::from_secs(since)),
        why: Why { check: CheckName::new(check), words: None },
    }
}

fn asks(wish: AdminState) -> Voice {
    Voice { wish, ..voice("agent", Down, 9) }
}

fn silent() -> Voice {
    Voice { is_silent: true, ..voice("agent", Unknown, 9) }
}

#[test]
fn a_silent_agent_has_no_say() {
    for (voices, any, expected) in [
        (vec![voice("imap", Up, 0), silent()], None, Up),
        (vec![voice("imap", Down, 0), silent()], None, Down),
        (vec![voice("imap", Unknown, 0), silent()], None, Unknown),
        // Any of several: of those that have a say.
        (vec![voice("imap", Up, 0), voice("smtp", Down, 0), silent()], Some(1), Up),
        (vec![voice("imap", Down, 0), silent()], Some(1), Down),
        (vec![voice("imap", Up, 0), silent()], Some(2), Up),
        (vec![voice("imap", Up, 0), voice("smtp", Down, 0), silent()], Some(2), Down),
        // Nobody has one.
        (vec![silent()], None, Unknown),
        (vec![silent(), silent()], Some(1), Unknown),
    ] {
        assert_eq!(combine(voices.clone(), any).standing, expected, "{voices:?} {any:?}");
    }
}

#[test]
fn an_agents_wish_is_heard_beside_what_the_others_find() {
    let (drain, maint) = (AdminState::Drain, AdminState::Down);
    for (voices, any, wish, standing) in [
        (vec![voice("imap", Up, 0), asks(drain)], None, drain, Up),
        (vec![voice("imap", Up, 0), asks(drain)], Some(1), drain, Up),
        (vec![voice("imap", Down, 0), asks(drain)], None, drain, Down),
        (vec![asks(drain), asks(maint)], None, maint, Up),
        (vec![asks(drain), silent()], None, drain, Up),
    ] {
        let stand = combine(voices.clone(), any);
        assert_eq!((stand.wish, stand.standing), (wish, standing), "{voices:?} {any:?}");
        assert_eq!(stand.why.unwrap().check.as_str(), "agent");
    }
}

#[test]
fn the_check_that_decided_is_known() {
    for (voices, any, decisive) in [
        (vec![voice("a", Up, 0), voice("b", Down, 5)], None, "b"),
        // The first that failed took it out, the last that came up brought it back.
        (vec![voice("a", Down, 7), voice("b", Down, 5)], None, "b"),
        (vec![voice("a", Up, 7), voice("b", Up, 5)], None, "a"),
        // Of those of which any will do it is the other way round.
        (vec![voice("a", Down, 7), voice("b", Down, 5)], Some(1), "a"),
        (vec![voice("a", Up, 7), voice("b", Up, 5), voice("c", Down, 1)], Some(1), "b"),
        (vec![voice("a", Reserve, 7), voice("b", Up, 5)], None, "a"),
    ] {
        let why = combine(voices.clone(), any).why.unwrap();
        assert_eq!(why.check.as_str(), decisive, "{voices:?} {any:?}");
    }
}

#[test]
fn an_agent_that_falls_silent() {
    let cluster = cluster(
        "nodes: { n0: { addresses: [192.0.2.10, \"2001:db8::10\"] } }
checks: { imap: { kind: imap }, agent: { kind: agent, port: 9707, fall: 2 } }
services: { imap: { publish: address, name: imap, checks: [imap, agent] } }
domains: { a.test: { services: [imap] } }
",
    );
    let (v4, v6): (IpAddr, IpAddr) = ("192.0.2.10".parse().unwrap(), "2001:db8::10".parse().unwrap());
    let agent = |words: &[&str]| {
        let mut health = Health::new(clock::now());
        for word in words {
            let outcome = match *word {
                "" => Outcome::Unknown("the agent is silent".to_owned()),
                word => verdict(word.as_bytes()),
            };
            let timing = &cluster.checks["agent"].timing;
            health.observe(timing, clock::now(), outcome, Duration::ZERO);
        }
        Arc::new(health)
    };
    let stand = |v4_says: &[&str], v6_says: &[&str], asked: IpAddr| {
        let health = |target: &Target| match (target.check.as_str(), target.address) {
            ("agent", address) => agent(if address == v4 { v4_says } else { v6_says }),
            _ => Arc::new(Health { state: State::Up, ..Health::new(clock::now()) }),
        };
        let targets = targets(&cluster).map(|target| (target.clone(), health(&target))).collect();
        let standings =
            Standings::new(&cluster, &HealthView { targets, ..HealthView::default() }, &Settling::default());
        let stand = standings.of(&ServiceName::new("imap"), &NodeName::new("n0"), asked);
        (stand.standing, stand.wish)
    };
    let up = &["up", "up", "up"][..];
    for (says, expected) in [
        (&[""][..], (Unknown, AdminState::Ready)),
        (&["", ""], (Up, AdminState::Ready)),
        (&["down", "down"], (Down, AdminState::Ready)),
        (&["down", "down", "", ""], (Up, AdminState::Ready)),
        (&["drain"], (Up, AdminState::Drain)),
        (&["drain", "", "", "", ""], (Up, AdminState::Drain)),
        (&["drain", "maint", "", "", ""], (Up, AdminState::Down)),
        (&["drain", "down", "", ""], (Up, AdminState::Ready)),
        (&["drain", "up", "", ""], (Up, AdminState::Ready)),
        (&["drain", "up", "up", "up"], (Up, AdminState::Ready)),
    ] {
        assert_eq!(stand(says, up, v4), expected, "{says:?}");
    }
    // The wish is the node's: an address at which the agent is not heard follows, one at which it says otherwise does not.
    assert_eq!(stand(&["drain"], &["", ""], v6), (Up, AdminState::Drain));
    assert_eq!(stand(&["drain"], up, v6), (Up, AdminState::Ready));
}

#[test]
fn a_profile_differs_only_by_its_own_services_and_nodes() {
    let cluster = cluster(
        "nodes: { n0: { addresses: [192.0.2.10] }, n1: { addresses: [192.0.2.11] } }
checks: { imap: { kind: imap }, smtp: { kind: smtp } }
services:
  imap: { publish: address, name: imap, checks: [imap] }
  smtp: { publish: address, name: smtp, checks: [smtp] }
domains:
  a.test: { services: [imap], nodes: [n0] }
  b.test: { services: [smtp] }
",
    );
    let standings = |down: Option<(&str, &str)>| {
        let health = |target: &Target| {
            let is_down = down == Some((target.node.as_str(), target.check.as_str()));
            Arc::new(Health { state: if is_down { State::Down } else { State::Up }, ..Health::new(clock::now()) })
        };
        let targets = targets(&cluster).map(|target| (target.clone(), health(&target))).collect();
        Standings::new(&cluster, &HealthView { targets, ..HealthView::default() }, &Settling::default())
    };
    let older = standings(None);
    let differ = |down| {
        let newer = standings(down);
        let profiles = ["a.test", "b.test"].map(|domain| cluster.profile(&cluster.domains[domain]).unwrap());
        profiles.map(|profile| newer.differ_for(&older, profile))
    };
    assert_eq!(differ(None), [false, false]);
    assert_eq!(differ(Some(("n0", "imap"))), [true, false]);
    assert_eq!(differ(Some(("n1", "imap"))), [false, false]);
    assert_eq!(differ(Some(("n1", "smtp"))), [false, true]);
    assert_eq!(standings(None).any(&ServiceName::new("imap"), &NodeName::new("n9")), Stand::UNKNOWN);
}

#[test]
fn new_answers_take_nobody_out_before_all_are_there() {
    let new = |standing| Voice { is_new: true, ..voice("new", standing, 1) };
    let drains = || Voice { wish: AdminState::Drain, ..new(Up) };
    for (voices, any, expected) in [
        (vec![new(Down)], None, (Awaited, AdminState::Ready)),
        (vec![new(Awaited)], None, (Awaited, AdminState::Ready)),
        (vec![new(Up)], None, (Up, AdminState::Ready)),
        // What was asked before counts at once, for better and for worse.
        (vec![voice("old", Down, 1), new(Up)], None, (Down, AdminState::Ready)),
        (vec![voice("old", Suspect, 1), new(Down)], None, (Suspect, AdminState::Ready)),
        (vec![voice("old", Up, 1), new(Down)], None, (Awaited, AdminState::Ready)),
        (vec![voice("old", Down, 1), new(Down)], Some(1), (Awaited, AdminState::Ready)),
        (vec![voice("old", Up, 1), new(Down)], Some(1), (Up, AdminState::Ready)),
        // An agent that is asked anew is one of those who are waited for.
        (vec![voice("old", Up, 1), drains()], None, (Awaited, AdminState::Ready)),
        (vec![asks(AdminState::Drain), new(Down)], None, (Awaited, AdminState::Drain)),
    ] {
        let stand = combine_new(voices.clone(), any);
        assert_eq!((stand.standing, stand.wish), expected, "{voices:?} {any:?}");
    }
}
