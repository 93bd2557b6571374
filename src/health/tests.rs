use std::time::Duration;

use proptest::prelude::*;

use super::{
    State::{Down, Unknown, Up},
    *,
};
use crate::cluster::{CheckName, NodeName};

fn timing(rise: u32, fall: u32) -> Timing {
    Timing {
        interval: Duration::from_secs(10),
        fast_interval: Duration::from_secs(2),
        timeout: Duration::from_secs(5),
        down_interval: Duration::from_secs(10),
        rise,
        fall,
        jitter: 0,
        flap_hold: None,
    }
}

fn outcome(letter: char) -> Outcome {
    match letter {
        'p' => Outcome::Pass("220 mx".to_owned()),
        'f' => Outcome::Fail("connection refused".to_owned()),
        'b' => Outcome::Busy("status 503".to_owned()),
        'o' => Outcome::Out("agent says \"drain\"".to_owned()),
        'w' => warn("certificate expires on 2026-12-01"),
        _ => Outcome::Unknown("network unreachable from here".to_owned()),
    }
}

fn warn(text: &str) -> Outcome {
    Outcome::pass("220 mx".to_owned(), Some(Warning::Certificate(text.to_owned())))
}

/// Feeds one outcome a second ('p'ass, 'w'arning, 'f'ail, 'b'usy, 'o'ut, '?'); the health and the transitions with the second of each.
fn run(timing: &Timing, letters: &str) -> (Health, Vec<(u64, Transition)>) {
    let start = crate::io::clock::now();
    let mut health = Health::new(start);
    let mut transitions = Vec::new();
    for (letter, second) in letters.chars().zip(1..) {
        let now = start + Duration::from_secs(second);
        let news = health.observe(timing, now, outcome(letter), Duration::from_millis(1));
        transitions.extend(news.transition.map(|transition| (second, transition)));
    }
    (health, transitions)
}

#[test]
fn rise_and_fall() {
    // Outcomes with rise 3 and fall 3, the transitions that they cause, and the interval that follows.
    for (letters, expected, period) in [
        ("", &[][..], 2),
        ("pp", &[], 2),
        ("ppp", &[(3, Up)], 10),
        ("fff", &[(3, Down)], 10),
        ("ppfppfpp", &[], 2),
        ("pppff", &[(3, Up)], 2),
        ("pppffp", &[(3, Up)], 10),
        ("pppfff", &[(3, Up), (6, Down)], 10),
        ("pppfffpp", &[(3, Up), (6, Down)], 2),
        ("pppfffppf", &[(3, Up), (6, Down)], 10),
        ("pppfffppp", &[(3, Up), (6, Down), (9, Up)], 10),
        // What could not be asked neither counts nor breaks a row.
        ("p?p?p", &[(5, Up)], 10),
        ("pppf?f??f", &[(3, Up), (9, Down)], 10),
        ("ppp??", &[(3, Up)], 10),
        // A whole row of it makes a target unknown, told once, and then it is decided anew.
        ("ppp???", &[(3, Up), (6, Unknown)], 10),
        ("ppp????????", &[(3, Up), (6, Unknown)], 10),
        ("pppff???f", &[(3, Up), (8, Unknown)], 2),
        ("ppp???fff", &[(3, Up), (6, Unknown), (9, Down)], 10),
        ("fff???ppp", &[(3, Down), (6, Unknown), (9, Up)], 10),
        ("????", &[(3, Unknown)], 10),
        // A warning passes, busy fails.
        ("wpw", &[(3, Up)], 10),
        ("pppfbf", &[(3, Up), (6, Down)], 10),
        // Who asks to be taken out need not ask twice, and comes back as others do.
        ("pppo", &[(3, Up), (4, Down)], 10),
        ("o", &[(1, Down)], 10),
        ("pppffo", &[(3, Up), (6, Down)], 10),
        ("ooof", &[(1, Down)], 10),
        ("opp", &[(1, Down)], 2),
        ("oppp", &[(1, Down), (4, Up)], 10),
    ] {
        let timing = timing(3, 3);
        let (health, transitions) = run(&timing, letters);
        let states: Vec<_> = transitions.iter().map(|(second, transition)| (*second, transition.to)).collect();
        assert_eq!(states, expected, "{letters}");
        assert_eq!(health.period(&timing).as_secs(), period, "{letters}");
    }
}

#[test]
fn what_a_node_asks_for_stands_until_it_says_otherwise() {
    for (letters, expected) in [
        ("pppo???????", &[(3, Up), (4, Down)][..]),
        ("pppo??p??", &[(3, Up), (4, Down)]),
        // It has begun to say otherwise, and is silent since.
        ("pppop???", &[(3, Up), (4, Down), (8, Unknown)]),
        ("pppof???", &[(3, Up), (4, Down), (8, Unknown)]),
        ("pppo???ppp", &[(3, Up), (4, Down), (10, Up)]),
        ("fffo???", &[(3, Down)]),
    ] {
        let (health, transitions) = run(&timing(3, 3), letters);
        let states: Vec<_> = transitions.iter().map(|(second, transition)| (*second, transition.to)).collect();
        assert_eq!(states, expected, "{letters}");
        assert_eq!(health.wish == AdminState::Drain, letters.ends_with('?') && health.state == Down, "{letters}");
    }
    // It is no flap to be drained, however often.
    let timing = Timing { flap_hold: Some(Duration::from_mins(5)), ..timing(1, 1) };
    assert_eq!(run(&timing, "popopopop").0.state, Up);
    assert_eq!(run(&timing, "pfpfp").0.state, Down);
}

#[test]
fn our_questions_do_not_keep_a_rate_limit_going() {
    // rise 2, fall 2, held for 5 s a flap.
    let timing = Timing { flap_hold: Some(Duration::from_secs(5)), ..timing(2, 2) };
    for (letters, state, held, period) in [
        // The second down within the hour: held, and asked at the usual pace.
        ("ppffppff", Down, false, 10),
        ("ppffppffp", Down, false, 2),
        ("ppffppffpp", Down, true, 10),
        ("ppffppffppp", Down, true, 10),
        // A busy answer does not begin the hold anew, nor end it.
        ("ppffppffppb", Down, true, 10),
        ("ppffppffppbbbbbb", Down, true, 10),
        ("ppffppffppbbbbbbp", Up, false, 10),
        ("ppffppffppbbbbp", Up, false, 10),
        ("ppffppffppbp", Down, true, 10),
        // A failure does.
        ("ppffppffppf", Down, false, 10),
        // Nor is a node that is down hurried while it says that it is busy.
        ("ppbb", Down, false, 10),
        ("ppbbp", Down, false, 10),
        ("ppbbfp", Down, false, 2),
        ("b", Unknown, false, 10),
        ("f", Unknown, false, 2),
        // One that is up is looked at closely whatever it says.
        ("ppb", Up, false, 2),
    ] {
        let (health, _) = run(&timing, letters);
        assert_eq!((health.state, health.hold.is_some()), (state, held), "{letters}");
        assert_eq!(health.period(&timing).as_secs(), period, "{letters}");
    }
}

#[test]
fn settled_once_decided_or_once_it_could_have_been() {
    for (rise, fall, letters, settled) in [
        (3, 3, "", false),
        (3, 3, "pp", false),
        (3, 3, "ppp", true),
        (3, 3, "pfp", true),
        (3, 3, "???", true),
        (2, 5, "pp", true),
        (2, 5, "pfpf", false),
        (2, 5, "pfpfp", true),
        (1, 1, "f", true),
    ] {
        let timing = timing(rise, fall);
        assert_eq!(run(&timing, letters).0.is_settled(&timing), settled, "{rise}/{fall} {letters}");
    }
}

#[test]
fn the_journals_lines() {
    let target =
        Target { node: NodeName::new("node01"), check: CheckName::new("imap"), address: "192.0.2.11".parse().unwrap() };
    let line = |from, to, lasted, reason: &str, row| {
        Transition { from, to, lasted: Duration::from_secs(lasted), reason: reason.to_owned(), row, is_news: true }
            .event(&target)
    };
    for (event, message, kind) in [
        (
            line(Up, Down, 7_870, "connection refused", 3),
            "node01 imap (192.0.2.11) is down: connection refused (3 of 3), was up for 2h 11m",
            Kind::CheckDown,
        ),
        (
            line(Down, Up, 182, "* OK ready", 3),
            "node01 imap (192.0.2.11) is up: * OK ready (3 of 3), was down for 3m 2s",
            Kind::CheckUp,
        ),
        (
            line(Unknown, Up, 4, "* OK ready", 2),
            "node01 imap (192.0.2.11) is up: * OK ready (2 of 2), was unknown for 4s",
            Kind::CheckUp,
        ),
        (
            line(Up, Unknown, 60, "network unreachable from here", 1),
            "node01 imap (192.0.2.11) is unknown: network unreachable from here (1 of 1), was up for 1m",
            Kind::CheckUnknown,
        ),
        (
            line(Unknown, Unknown, 60, "network unreachable from here", 3),
            "node01 imap (192.0.2.11) is unknown: network unreachable from here (3 of 3)",
            Kind::CheckUnknown,
        ),
    ] {
        assert_eq!(event.message, message);
        assert_eq!(event.kind, kind);
        assert_eq!(event.node.as_deref(), Some("node01"));
        assert_eq!(event.check.as_deref(), Some("imap"));
        assert_eq!(event.address, Some(target.address));
        assert!(message.contains(&event.reason.unwrap()));
    }
}

#[test]
fn a_warning_is_told_once_a_change() {
    let plugin = |text: &str| Outcome::Warn { reason: text.to_owned(), warning: Warning::Plugin(text.to_owned()) };
    let pass = || Outcome::Pass("220 mx".to_owned());
    let fail = || Outcome::Fail("connection refused".to_owned());
    let target =
        Target { node: NodeName::new("node01"), check: CheckName::new("smtp"), address: "192.0.2.11".parse().unwrap() };
    let mut health = Health::new(crate::io::clock::now());
    for (outcome, told) in [
        (pass(), None),
        (warn("certificate expires on 2026-12-01"), Some("passes with a warning: certificate expires on 2026-12-01")),
        (warn("certificate expires on 2026-12-01"), None),
        (fail(), None),
        (Outcome::Unknown("no descriptors".to_owned()), None),
        (warn("certificate expires on 2026-12-01"), None),
        (warn("certificate expired on 2026-12-01"), Some("passes with a warning: certificate expired on 2026-12-01")),
        (pass(), Some("passes without the warning: certificate expired on 2026-12-01")),
        (pass(), None),
        (plugin("WARNING: 60"), Some("passes with a warning: WARNING: 60")),
        (plugin("WARNING: 61"), None),
        (pass(), Some("passes without the warning: WARNING: 61")),
    ] {
        let notice = health.observe(&timing(1, 1), health.since, outcome.clone(), Duration::ZERO).notice;
        let line = notice.map(|notice| notice.event(&target).message);
        assert_eq!(line, told.map(|told| format!("node01 smtp (192.0.2.11) {told}")), "{outcome:?}");
    }
}

#[test]
fn the_state_before_lasted_since_it_was_decided() {
    let (health, transitions) = run(&timing(3, 2), "pppppff");
    let [(_, up), (_, down)] = &transitions[..] else { panic!("{transitions:?}") };
    assert_eq!((up.from, up.lasted.as_secs(), up.row), (Unknown, 3, 3));
    assert_eq!((down.from, down.lasted.as_secs(), down.row), (Up, 4, 2));
    assert_eq!(down.reason, "connection refused");
    assert_eq!(health.last_at, Some(health.since));
    assert_eq!(health.answers, 7);
}

proptest! {
    #[test]
    fn decided_only_by_a_whole_row(rise in 1_u32..5, fall in 1_u32..5, letters in "[pf?]{0,60}") {
        let timing = timing(rise, fall);
        let (health, transitions) = run(&timing, &letters);
        let mut before = Unknown;
        for (second, transition) in &transitions {
            prop_assert_eq!(transition.from, before);
            before = transition.to;
            let until = &letters[..usize::try_from(*second).unwrap()];
            let (row, answers): (u32, String) = match transition.to {
                Up => (rise, until.replace('?', "")),
                Down => (fall, until.replace('?', "")),
                Unknown => (fall, until.to_owned()),
            };
            let letter = match transition.to { Up => 'p', Down => 'f', Unknown => '?' };
            let seen = answers.chars().rev().take_while(|seen| *seen == letter).count();
            prop_assert!(seen >= row as usize, "{:?} after {}", transition, until);
            prop_assert_eq!(transition.row, row);
        }
        prop_assert_eq!(health.state, before);
        // What was decided last is never contradicted by a whole row of answers.
        prop_assert!(health.contrary() < rise.max(fall));
    }

    /// Whatever it answered first: who cannot be asked any more is not waited for beyond the time that is set, and who
    /// answers is decided, or never can be.
    #[test]
    fn every_trial_ends(
        rise in 1_u32..5,
        fall in 1_u32..5,
        letters in "[pwfb?]{0,12}",
        then in prop_oneof![Just("?"), Just("p"), Just("f"), Just("pf"), Just("p?"), Just("pf?")],
    ) {
        let timing = timing(rise, fall);
        let start = crate::io::clock::now();
        let mut health = Health { trial: Some(Trial::new(start, Duration::from_mins(1), false)), ..Health::new(start) };
        let mut now = start;
        for letter in letters.chars().chain(then.chars().cycle().take(400)) {
            now += health.period(&timing);
            health.observe(&timing, now, outcome(letter), Duration::ZERO);
            let is_waited_for = health.trial.is_some();
            let asked_in_vain = health.unmade >= fall && now >= start + Duration::from_mins(1);
            prop_assert!(!(is_waited_for && asked_in_vain), "{:?} after {:?}", health.trial, now - start);
        }
        prop_assert!(health.trial.is_none(), "{:?}", health.trial);
    }

    #[test]
    fn same_outcomes_same_state(rise in 1_u32..5, fall in 1_u32..5, letters in "[pf?]{0,60}") {
        let timing = timing(rise, fall);
        let ((one, its), (other, others)) = (run(&timing, &letters), run(&timing, &letters));
        prop_assert_eq!(its, others);
        let counts = |health: &Health| (health.state, health.passes, health.failures, health.unmade);
        prop_assert_eq!(counts(&one), counts(&other));
    }

    #[test]
    fn every_target_settles_in_one_round(rise in 1_u32..5, fall in 1_u32..5, letters in "[pf?]{5}") {
        let timing = timing(rise, fall);
        prop_assert!(run(&timing, &letters).0.is_settled(&timing));
    }
}
