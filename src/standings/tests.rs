use std::sync::Arc;

use super::{
    Standing::{Down, Reserve, Suspect, Unknown, Up},
    *,
};
use crate::{
    io::clock,
    rota::model::{cluster, targets},
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
        assert_eq!(combine(checks.to_vec(), any), expected, "{checks:?} {any:?}");
    }
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
        Standings::new(&cluster, &HealthView { targets, ..HealthView::default() })
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
    assert_eq!(standings(None).any(&ServiceName::new("imap"), &NodeName::new("n9")), Unknown);
}
