//! Who is waited for after an edit, and at a start, before anybody leaves the sets of a service.
//!
//! A slip in a check fails every node, but not in the same moment: taken one by one they would leave until the last.
//! Hence the members of a service whose checks changed keep their places until every changed target is decided, and
//! then all of them are judged together. What a service needed before the edit, and still does, counts at once. What was
//! asked for others alone, or mattered less, is confirmed first: an edit removes nobody by what was found before it. So
//! is what is asked for a service that takes a name over from another one, or that no domain had.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::{
    check::{Check, Kind, Target},
    cluster::{CheckName, Claimed, Cluster, NodeName, ProfileId, Service, ServiceName},
    dns::OwnerName,
    health::{Health, HealthView},
    standings::is_silent_agent,
};

#[cfg(test)]
mod tests;

/// The services that have changed targets which are not decided yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settling(BTreeMap<ServiceName, Changed>);

/// What is new about the targets of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Checks that ask something else, ask at other times, or are new to the service, or matter more to it.
    checks: BTreeSet<CheckName>,
    /// Addresses that nodes of the service did not have.
    addresses: BTreeSet<(NodeName, IpAddr)>,
}

impl Changed {
    /// Whether the answers of a target are new.
    #[must_use]
    pub fn covers(&self, target: &Target) -> bool {
        self.checks.contains(&target.check) || self.addresses.contains(&(target.node.clone(), target.address))
    }

    fn extend(&mut self, other: Self) {
        self.checks.extend(other.checks);
        self.addresses.extend(other.addresses);
    }
}

impl Settling {
    /// At a start, and after a gap: everything is new.
    #[must_use]
    pub fn all(cluster: &Cluster) -> Self {
        let changed = |service: &Service| Changed {
            checks: service.checks.iter().cloned().collect(),
            addresses: BTreeSet::new(),
        };
        let services = cluster.services.iter().filter(|(_, service)| !service.checks.is_empty());
        Self(services.map(|(name, service)| (name.clone(), changed(service))).collect())
    }

    /// Whether the answers of a target are new to some service.
    #[must_use]
    pub fn covers(&self, target: &Target) -> bool {
        self.0.values().any(|changed| changed.covers(target))
    }

    /// What is new about a service.
    #[must_use]
    pub fn of(&self, service: &ServiceName) -> Option<&Changed> {
        self.0.get(service)
    }

    /// Adds what an edit changes.
    pub fn edited(&mut self, old: &Cluster, new: &Cluster) {
        self.0.retain(|service, _| new.services.contains_key(service));
        let (before, after) = (nodes(old), nodes(new));
        let takers = takers(old, new);
        for (name, service) in &new.services {
            let was = old.services.get(name);
            let members = (before.get(name), after.get(name));
            let checks = service.checks.iter().filter(|check| {
                !was.is_some_and(|was| was.checks.contains(check))
                    || old.checks.get(*check) != new.checks.get(*check)
                    || is_plugin_asked_otherwise(check, (old, new), members)
            });
            let mut checks: BTreeSet<_> = checks.cloned().collect();
            let is_taker = takers.contains(name) || !before.contains_key(name) && after.contains_key(name);
            if is_taker || was.is_some_and(|was| needs_more(was, service, &checks)) {
                checks.extend(service.checks.iter().cloned());
            }
            let both = after
                .get(name)
                .into_iter()
                .flatten()
                .filter(|node| before.get(name).is_some_and(|b| b.contains(*node)));
            let addresses = both.flat_map(|node| {
                let had = old.nodes.get(*node).map(|node| &node.addresses);
                let has = new.nodes.get(*node).into_iter().flat_map(|node| &node.addresses);
                has.filter(move |address| !had.is_some_and(|had| had.contains(address)))
                    .map(|address| ((*node).clone(), *address))
            });
            let addresses: BTreeSet<_> = addresses.filter(|_| !service.checks.is_empty()).collect();
            if !checks.is_empty() || !addresses.is_empty() {
                self.0.entry(name.clone()).or_default().extend(Changed { checks, addresses });
            }
        }
    }

    /// Takes the services out of which every changed target is decided, or waited for no longer. Health that is not
    /// that of the file decides nothing.
    pub fn observe(&mut self, cluster: &Cluster, health: &HealthView) {
        if self.0.is_empty() {
            return;
        }
        let nodes = nodes(cluster);
        self.0.retain(|name, changed| {
            let Some(service) = cluster.services.get(name) else { return false };
            let nodes = nodes.get(name).into_iter().flatten().filter_map(|name| cluster.nodes.get_key_value(*name));
            let mut targets = nodes.flat_map(|(node, of)| {
                let targets = move |address: &IpAddr| {
                    let target =
                        |check: &CheckName| Target { node: node.clone(), check: check.clone(), address: *address };
                    service.checks.iter().map(target).collect::<Vec<_>>()
                };
                of.addresses.iter().flat_map(targets)
            });
            // A silent agent has no say: nothing is waited for.
            let is_open = |target: &Target| {
                let answers = |health: &Health| !is_silent_agent(cluster, target, health);
                health.targets.get(target).is_none_or(|health| health.trial.is_some() && answers(health))
            };
            targets.any(|target| changed.covers(&target) && is_open(&target))
        });
    }
}

/// Whether a member that passed what the service needed may fail what it needs now, although each new check passes: by
/// `checks_any`, or a check that it lived by is gone.
fn needs_more(was: &Service, is: &Service, new: &BTreeSet<CheckName>) -> bool {
    let needed = |service: &Service| service.checks_any.unwrap_or(service.checks.len()).min(service.checks.len());
    let gone = was.checks.iter().filter(|check| !is.checks.contains(check) || new.contains(*check)).count();
    needed(was).saturating_sub(gone) + new.len() < needed(is)
}

/// Whether a plugin is run otherwise for somebody who was a member at the same address: what it is told of a node is a part
/// of its question.
fn is_plugin_asked_otherwise(
    check: &CheckName,
    (old, new): (&Cluster, &Cluster),
    (before, after): (Option<&BTreeSet<&NodeName>>, Option<&BTreeSet<&NodeName>>),
) -> bool {
    if !matches!(new.checks.get(check).map(|check| &check.kind), Some(Kind::Exec(_))) {
        return false;
    }
    let asked = |cluster: &Cluster, nodes: Option<&BTreeSet<&NodeName>>| {
        let nodes = nodes.into_iter().flatten().filter_map(|name| cluster.nodes.get_key_value(*name));
        let targets = nodes.flat_map(|(node, of)| of.addresses.iter().map(move |address| (node, *address)));
        let asked = targets.filter_map(|(node, address)| {
            let target = Target { node: node.clone(), check: check.clone(), address };
            Some((address, (node.clone(), Check::of_target(cluster, &target)?)))
        });
        asked.collect::<BTreeMap<_, _>>()
    };
    let (was, is) = (asked(old, before), asked(new, after));
    let is_other = |(address, (node, is)): (&IpAddr, &(NodeName, Check))| {
        was.get(address).is_some_and(|(before, was)| !was.asks_like(is, before == node))
    };
    is.iter().any(is_other)
}

/// The services that give a shared set which other services gave before, or gave together with them.
fn takers<'a>(old: &'a Cluster, new: &'a Cluster) -> BTreeSet<&'a ServiceName> {
    let gives_as_before = |service: &ServiceName| {
        let [was, is] = [old, new].map(|cluster| cluster.services.get(service).map(|service| &service.publish));
        was == is
    };
    let mut same: BTreeMap<(ProfileId, ProfileId), bool> = BTreeMap::new();
    let mut is_same = |name: &OwnerName| {
        let (Some(was), Some(is)) = (old.domains.get(name), new.domains.get(name)) else { return false };
        *same.entry((was.profile, is.profile)).or_insert_with(|| {
            let [was, is] = [old.profile(was), new.profile(is)].map(|profile| profile.map(|profile| &profile.services));
            was == is && is.into_iter().flatten().all(gives_as_before)
        })
    };
    let [was, is] = [old, new].map(|cluster| {
        let changed = cluster.domains.iter().filter(|(name, _)| !is_same(name));
        let claims = changed.flat_map(|(name, domain)| {
            cluster.profile(domain).into_iter().flat_map(|profile| cluster.claims(name, profile))
        });
        claims
            .filter_map(|claim| {
                let is_mx = match claim.what {
                    Claimed::Shared | Claimed::Pinned(_) => false,
                    Claimed::Mx => true,
                    Claimed::Exchange(_) | Claimed::Alias(_) => return None,
                };
                Some(((claim.owner, is_mx), claim.service))
            })
            .collect::<Vec<_>>()
    });
    let mut givers: BTreeMap<_, BTreeSet<&ServiceName>> = BTreeMap::new();
    for (set, service) in was {
        givers.entry(set).or_default().insert(service);
    }
    let mut give: BTreeMap<_, BTreeSet<&ServiceName>> = BTreeMap::new();
    for (set, service) in is {
        give.entry(set).or_default().insert(service);
    }
    let took = |(set, now): (_, &BTreeSet<&'a ServiceName>)| {
        let Some(before) = givers.get(set) else { return BTreeSet::new() };
        // Where one of them gives it no more, the others decide about members that were not theirs alone.
        if before.is_subset(now) { now.difference(before).copied().collect() } else { now.clone() }
    };
    give.iter().flat_map(took).collect()
}

/// The nodes that serve each service.
fn nodes(cluster: &Cluster) -> BTreeMap<&ServiceName, BTreeSet<&NodeName>> {
    let mut nodes: BTreeMap<&ServiceName, BTreeSet<&NodeName>> = BTreeMap::new();
    for profile in &cluster.profiles {
        for service in &profile.services {
            nodes.entry(service).or_default().extend(&profile.nodes);
        }
    }
    nodes
}
