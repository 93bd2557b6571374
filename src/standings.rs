//! How each node stands for each service: the checks of a service folded into one word for each node address.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::{
    check::Target,
    cluster::{Cluster, NodeName, Profile, Service, ServiceName},
    health::{HealthView, State},
};

/// How each node stands for each service, address by address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standings(BTreeMap<ServiceName, BTreeMap<NodeName, BTreeMap<IpAddr, State>>>);

impl Standings {
    /// Folds the checks of each service into one word for each node address.
    #[must_use]
    pub fn new(cluster: &Cluster, health: &HealthView) -> Self {
        let mut members: BTreeMap<&ServiceName, BTreeSet<&NodeName>> = BTreeMap::new();
        for profile in &cluster.profiles {
            for service in &profile.services {
                members.entry(service).or_default().extend(&profile.nodes);
            }
        }
        let stand = |service: &Service, name: &NodeName, address: IpAddr| {
            let states = service.checks.iter().map(|check| {
                let target = Target { node: name.clone(), check: check.clone(), address };
                health.targets.get(&target).map_or(State::Unknown, |health| health.state)
            });
            combine(states, service.checks_any)
        };
        Self(
            members
                .into_iter()
                .filter_map(|(name, nodes)| {
                    let service = cluster.services.get(name)?;
                    let nodes = nodes.into_iter().filter_map(|node| {
                        let addresses = &cluster.nodes.get(node)?.addresses;
                        Some((node.clone(), addresses.iter().map(|a| (*a, stand(service, node, *a))).collect()))
                    });
                    Some((name.clone(), nodes.collect()))
                })
                .collect(),
        )
    }

    /// How a node's address stands for a service.
    #[must_use]
    pub fn of(&self, service: &ServiceName, node: &NodeName, address: IpAddr) -> State {
        self.node(service, node).and_then(|addresses| addresses.get(&address)).copied().unwrap_or(State::Unknown)
    }

    /// How a whole node stands: up if any of its addresses is.
    pub(crate) fn any(&self, service: &ServiceName, node: &NodeName) -> State {
        self.node(service, node).map_or(State::Unknown, |a| combine(a.values().copied(), Some(1)))
    }

    fn node(&self, service: &ServiceName, node: &NodeName) -> Option<&BTreeMap<IpAddr, State>> {
        self.0.get(service)?.get(node)
    }

    /// Whether a profile's sets can come out otherwise than under `older`.
    #[must_use]
    pub fn differ_for(&self, older: &Self, profile: &Profile) -> bool {
        profile.services.iter().any(|service| {
            let (new, old) = (self.0.get(service), older.0.get(service));
            new != old && profile.nodes.iter().any(|n| new.and_then(|s| s.get(n)) != old.and_then(|s| s.get(n)))
        })
    }
}

/// At least `any` must be up, or all of them. Down only when that cannot be any more.
fn combine(states: impl Iterator<Item = State>, any: Option<usize>) -> State {
    let (mut up, mut unknown, mut all) = (0, 0, 0);
    for state in states {
        all += 1;
        up += usize::from(state == State::Up);
        unknown += usize::from(state == State::Unknown);
    }
    let needed = any.unwrap_or(all).min(all);
    if up >= needed {
        State::Up
    } else if up + unknown >= needed {
        State::Unknown
    } else {
        State::Down
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        health::{
            Health,
            State::{Down, Unknown, Up},
        },
        io::clock,
        rota::model::{cluster, targets},
    };

    #[test]
    fn checks_fold_into_one_word() {
        for (any, states, word) in [
            (None, &[][..], Up),
            (None, &[Up, Up], Up),
            (None, &[Up, Unknown], Unknown),
            (None, &[Unknown, Down], Down),
            (Some(1), &[Down, Up], Up),
            (Some(1), &[Down, Unknown], Unknown),
            (Some(1), &[Down, Down], Down),
            (Some(2), &[Up, Down, Unknown], Unknown),
            (Some(2), &[Up, Down, Down], Down),
            (Some(5), &[Up, Up], Up),
        ] {
            assert_eq!(combine(states.iter().copied(), any), word, "{any:?} of {states:?}");
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
                Arc::new(Health { state: if is_down { Down } else { Up }, ..Health::new(clock::now()) })
            };
            let targets = targets(&cluster).map(|target| (target.clone(), health(&target))).collect();
            Standings::new(&cluster, &HealthView { targets, first_round_done: true, ..HealthView::default() })
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
}
