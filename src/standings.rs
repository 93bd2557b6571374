//! How each node stands for each service: the checks of a service folded into one word for each node address.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::{
    check::Target,
    cluster::{Cluster, NodeName, Profile, ProfileId, Service, ServiceName},
    desired::parts::{self, Part},
    health::{Health, HealthView, State},
};

#[cfg(test)]
mod tests;

/// How a node stands for a service, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It does its work.
    Up,
    /// Not decided yet, or we cannot ask.
    Unknown,
    /// Down, but perhaps for a fault of our own: it keeps its place.
    Suspect,
    /// Down, but better than nobody: busy, or held for its flapping.
    Reserve,
    /// Down.
    Down,
}

impl Standing {
    /// The word of the journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Unknown => "unknown",
            Self::Reserve => "in reserve",
            Self::Suspect | Self::Down => "down",
        }
    }

    fn new(target: &Target, health: &Health, view: &HealthView) -> Self {
        match health.state {
            State::Up => Self::Up,
            State::Unknown => Self::Unknown,
            State::Down if view.suspects.contains(target) => Self::Suspect,
            State::Down if health.is_reserve() => Self::Reserve,
            State::Down => Self::Down,
        }
    }
}

/// How each node stands for each service, address by address, and what follows from it for each profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standings {
    by_service: BTreeMap<ServiceName, BTreeMap<NodeName, BTreeMap<IpAddr, Standing>>>,
    /// By profile.
    parts: Vec<Vec<Part>>,
}

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
            let checks = service.checks.iter().map(|check| {
                let target = Target { node: name.clone(), check: check.clone(), address };
                health.targets.get(&target).map_or(Standing::Unknown, |of| Standing::new(&target, of, health))
            });
            combine(checks.collect(), service.checks_any)
        };
        let by_service = members
            .into_iter()
            .filter_map(|(name, nodes)| {
                let service = cluster.services.get(name)?;
                let nodes = nodes.into_iter().filter_map(|node| {
                    let addresses = &cluster.nodes.get(node)?.addresses;
                    Some((node.clone(), addresses.iter().map(|a| (*a, stand(service, node, *a))).collect()))
                });
                Some((name.clone(), nodes.collect()))
            })
            .collect();
        let standings = Self { by_service, parts: Vec::new() };
        let parts = cluster.profiles.iter().map(|profile| parts::of(cluster, profile, &standings)).collect();
        Self { parts, ..standings }
    }

    /// What a profile gives to each of its domains.
    pub(crate) fn parts(&self, profile: ProfileId) -> &[Part] {
        self.parts.get(profile.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// How a node's address stands for a service.
    #[must_use]
    pub fn of(&self, service: &ServiceName, node: &NodeName, address: IpAddr) -> Standing {
        self.node(service, node).and_then(|addresses| addresses.get(&address)).copied().unwrap_or(Standing::Unknown)
    }

    /// How a whole node stands: as the best of its addresses.
    pub(crate) fn any(&self, service: &ServiceName, node: &NodeName) -> Standing {
        let best = self.node(service, node).and_then(|addresses| addresses.values().min());
        best.copied().unwrap_or(Standing::Unknown)
    }

    fn node(&self, service: &ServiceName, node: &NodeName) -> Option<&BTreeMap<IpAddr, Standing>> {
        self.by_service.get(service)?.get(node)
    }

    /// Whether a profile's sets can come out otherwise than under `older`.
    #[must_use]
    pub fn differ_for(&self, older: &Self, profile: &Profile) -> bool {
        profile.services.iter().any(|service| {
            let (new, old) = (self.by_service.get(service), older.by_service.get(service));
            new != old && profile.nodes.iter().any(|n| new.and_then(|s| s.get(n)) != old.and_then(|s| s.get(n)))
        })
    }
}

/// `any` of the checks must pass, or all of them: the address stands as the worst of those that are needed.
fn combine(mut checks: Vec<Standing>, any: Option<usize>) -> Standing {
    checks.sort_unstable();
    let needed = any.unwrap_or(checks.len()).min(checks.len());
    // A service without checks counts every node as up.
    needed.checked_sub(1).and_then(|last| checks.get(last)).copied().unwrap_or(Standing::Up)
}
