//! What each profile gives to each of its domains: worked out once for all of them, for thousands share a few.

use super::{Contribution, Member};
use crate::{
    cluster::{AdminState, Cluster, NodeName, Pattern, Pinned, Profile, Publish, Service, ServiceName, Share},
    dns::{OwnerName, Rdata, RdataSet, RrType, Ttl},
    standings::{Stand, Standing, Standings},
};

/// What one service gives to one owner name of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub(super) service: ServiceName,
    /// The owner name, relative to the domain.
    pub(super) label: String,
    pub(super) ttl: Ttl,
    pub(super) sets: Vec<(RrType, Content)>,
}

/// What is in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// The same in every domain.
    Alike(Contribution),
    /// MX whose exchanges have the domain in their names.
    Exchanges {
        preference: u16,
        /// The nodes, each with its exchange as far as it is known.
        nodes: Vec<(Member, Pattern)>,
        min_healthy: usize,
    },
}

/// Nodes of a shared set that are ready.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    /// Those that are up.
    pub(super) healthy: usize,
    /// Those that are known to be better than nobody.
    pub(super) of_use: usize,
    /// The same with those that may be.
    pub(super) may_be: usize,
    /// How many it needs.
    pub(super) needed: usize,
}

impl Content {
    /// What it is in a domain.
    pub(super) fn of(&self, domain: &OwnerName) -> Contribution {
        match self {
            Self::Alike(contribution) => contribution.clone(),
            Self::Exchanges { preference, nodes, min_healthy } => {
                let members = nodes.iter().filter_map(|(member, pattern)| {
                    let exchange = OwnerName::parse(&pattern.in_domain(domain)).ok()?;
                    Some(Member { rdata: Rdata::Mx { preference: *preference, exchange }, ..member.clone() })
                });
                Contribution::Pool { members: members.collect(), min_healthy: *min_healthy }
            }
        }
    }

    /// How far it is from what it needs; `None`: it is not a shared set.
    pub(super) fn counts(&self) -> Option<Counts> {
        let counts = |members: &mut dyn Iterator<Item = &Member>, needed| {
            let ready: Vec<_> = members.filter(|member| member.is_ready()).collect();
            let count = |counts: fn(&Member) -> bool| super::nodes(ready.iter().copied().filter(|m| counts(m)));
            Some(Counts {
                healthy: count(|member| member.state == Standing::Up),
                of_use: count(|member| !member.is_lost() && !member.state.is_undecided()),
                may_be: count(|member| !member.is_lost()),
                needed,
            })
        };
        match self {
            Self::Alike(Contribution::Pool { members, min_healthy }) => counts(&mut members.iter(), *min_healthy),
            Self::Exchanges { nodes, min_healthy, .. } => {
                counts(&mut nodes.iter().map(|(member, _)| member), *min_healthy)
            }
            Self::Alike(Contribution::Pinned { .. } | Contribution::Fixed(_) | Contribution::Hosts(_)) => None,
        }
    }
}

/// The parts that a profile gives to each of its domains, in the order of its services.
pub(crate) fn of(cluster: &Cluster, profile: &Profile, standings: &Standings) -> Vec<Part> {
    let services = profile.services.iter().filter_map(|name| Some((name, cluster.services.get(name)?)));
    let mut parts = Vec::new();
    for (name, service) in services {
        Maker { cluster, profile, standings, name, service }.add_to(&mut parts);
    }
    parts
}

/// One service of one profile.
struct Maker<'a> {
    cluster: &'a Cluster,
    profile: &'a Profile,
    standings: &'a Standings,
    name: &'a ServiceName,
    service: &'a Service,
}

impl Maker<'_> {
    fn add_to(&self, parts: &mut Vec<Part>) {
        match &self.service.publish {
            Publish::Address { name, pinned } => {
                let families = [RrType::A, RrType::Aaaa].map(|rtype| (rtype, self.addresses(rtype)));
                let families: Vec<_> = families.into_iter().filter(|(_, members)| !members.is_empty()).collect();
                for (rtype, members) in pinned.iter().flat_map(|_| &families) {
                    parts.extend(pinned.iter().flat_map(|pinned| self.pinned(pinned, *rtype, members)));
                }
                let pool = |(rtype, members)| (rtype, Content::Alike(self.pool(members)));
                parts.push(self.part(name.clone(), families.into_iter().map(pool).collect()));
            }
            Publish::Mx { preference, exchange } => {
                let nodes = self.exchanges(*preference, exchange);
                if nodes.is_empty() {
                    return;
                }
                let content = if exchange.names_domain() {
                    let min_healthy = self.least(nodes.iter().map(|(member, _)| member));
                    Content::Exchanges { preference: *preference, nodes, min_healthy }
                } else {
                    Content::Alike(self.pool(nodes.into_iter().map(|(member, _)| member).collect()))
                };
                parts.push(self.part("@".to_owned(), vec![(RrType::Mx, content)]));
            }
            Publish::Alias { name, target } => {
                let alias = Contribution::Fixed(RdataSet::from([Rdata::Cname(target.clone())]));
                parts.push(self.part(name.clone(), vec![(RrType::Cname, Content::Alike(alias))]));
            }
        }
    }

    fn part(&self, label: String, sets: Vec<(RrType, Content)>) -> Part {
        Part { service: self.name.clone(), label, ttl: self.service.ttl, sets }
    }

    fn pool(&self, members: Vec<Member>) -> Contribution {
        Contribution::Pool { min_healthy: self.least(members.iter()), members: members.into() }
    }

    /// The share of the nodes that are ready, at least one.
    fn least<'m>(&self, members: impl Iterator<Item = &'m Member>) -> usize {
        least(self.service.min_healthy, super::nodes(members.filter(|member| member.is_ready())))
    }

    /// A name for each node.
    fn pinned<'p>(&'p self, pinned: &'p Pinned, rtype: RrType, members: &'p [Member]) -> impl Iterator<Item = Part> {
        members.chunk_by(|one, next| one.node == next.node).filter_map(move |own| {
            let node = &own.first()?.node;
            let index = self.cluster.nodes.get(node).map_or("", |node| node.index.as_str());
            let pool = members.iter().filter(|other| other.node != *node && other.is_ready()).cloned().collect();
            let content = Contribution::Pinned { own: own.into(), when_down: pinned.when_down, pool };
            Some(self.part(pinned.name.for_node(node, index).0, vec![(rtype, Content::Alike(content))]))
        })
    }

    /// Every node of the profile that has addresses of this family, one member an address.
    fn addresses(&self, rtype: RrType) -> Vec<Member> {
        let nodes = self.profile.nodes.iter().filter_map(|name| Some((name, self.cluster.nodes.get(name)?)));
        nodes
            .flat_map(|(name, node)| node.addresses.iter().map(move |address| (name, *address)))
            .filter(|(_, address)| Rdata::from(*address).rtype() == rtype)
            .filter_map(|(name, address)| {
                self.member(name, address.into(), self.standings.of(self.name, name, address))
            })
            .collect()
    }

    /// Every node of the profile with its exchange; one that has the domain in its name is filled in later.
    fn exchanges(&self, preference: u16, exchange: &Pattern) -> Vec<(Member, Pattern)> {
        let nodes = self.profile.nodes.iter().filter_map(|name| Some((name, self.cluster.nodes.get(name)?)));
        let members = nodes.filter_map(|(name, node)| {
            let pattern = exchange.for_node(name, &node.index);
            let exchange =
                if pattern.names_domain() { OwnerName::root() } else { OwnerName::parse(&pattern.0).ok()? };
            let member = self.member(name, Rdata::Mx { preference, exchange }, self.standings.any(self.name, name))?;
            Some((member, pattern))
        });
        members.collect()
    }

    fn member(&self, name: &NodeName, rdata: Rdata, stand: Stand) -> Option<Member> {
        let by_file = self.cluster.nodes.get(name)?.admin_state;
        let Stand { standing, wish, why } = stand;
        let why = why.filter(|_| wish > by_file || by_file == AdminState::Ready);
        Some(Member { node: name.clone(), rdata, state: standing, admin_state: by_file.max(wish), why })
    }
}

/// A share of the members, at least one.
pub(super) fn least(share: Share, of: usize) -> usize {
    share.of(of).max(1)
}
