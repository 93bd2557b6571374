//! Where everything of a cluster lives: which domains a zone holds, and which host names of exchanges.
//!
//! Made once for each file, so that a turn need not look at every domain to know what a change touches.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    cluster::{Cluster, Domain, NodeName, Profile, ProfileId, Publish, Service, ServiceName},
    dns::{OwnerName, Ttl},
};

/// The zones of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Every zone that the file touches.
    pub zones: BTreeMap<OwnerName, ZoneLayout>,
    /// For each profile, the zones that have a domain of it, or a host of its exchanges.
    pub by_profile: Vec<BTreeSet<OwnerName>>,
}

/// What one zone holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneLayout {
    /// The domains whose names live in it.
    pub domains: Vec<OwnerName>,
    /// Host names of MX exchanges in it. They follow membership, never health.
    pub hosts: BTreeMap<OwnerName, Host>,
    /// Whether clients look up addresses in it by service; mail servers retry, clients do not.
    pub has_client_names: bool,
}

/// A host name that an exchange points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// TTL of its addresses.
    pub ttl: Ttl,
    /// The nodes whose addresses it has.
    pub nodes: BTreeSet<NodeName>,
    /// The services whose exchanges point to it.
    pub services: BTreeSet<ServiceName>,
}

impl Layout {
    /// Works out the layout of a cluster.
    #[must_use]
    pub fn new(cluster: &Cluster) -> Self {
        let mut layout = Self { zones: BTreeMap::new(), by_profile: vec![BTreeSet::new(); cluster.profiles.len()] };
        let profiles: Vec<_> = cluster.profiles.iter().map(|profile| Forms::of(cluster, profile)).collect();
        let forms = |domain: &Domain| profiles.get(domain.profile.0 as usize);
        for (name, domain) in &cluster.domains {
            let zone = layout.zones.entry(domain.zone.clone()).or_default();
            zone.domains.push(name.clone());
            zone.has_client_names |= forms(domain).is_some_and(|forms| forms.has_addresses);
            if let Some(zones) = layout.by_profile.get_mut(domain.profile.0 as usize) {
                zones.insert(domain.zone.clone());
            }
        }
        // An exchange without {domain} is the same for every domain of a profile: look at one of them.
        let mut shared_done = BTreeSet::new();
        for (name, domain) in &cluster.domains {
            let (Some(profile), Some(forms)) = (cluster.profile(domain), forms(domain)) else { continue };
            let shared = if shared_done.insert(domain.profile) { &forms.shared[..] } else { &[] };
            for service in forms.exchanges.iter().chain(shared) {
                layout.add_hosts(cluster, name, domain.profile, profile, *service);
            }
        }
        layout
    }

    fn add_hosts(
        &mut self,
        cluster: &Cluster,
        domain: &OwnerName,
        id: ProfileId,
        profile: &Profile,
        (by, service): (&ServiceName, &Service),
    ) {
        for (node, exchange) in exchanges(cluster, domain, profile, service) {
            let Some((_, at)) = cluster.domain_of(&exchange) else { continue };
            if let Some(zones) = self.by_profile.get_mut(id.0 as usize) {
                zones.insert(at.zone.clone());
            }
            if let Some(zone) = self.zones.get_mut(&at.zone) {
                let none = || Host { ttl: service.ttl, nodes: BTreeSet::new(), services: BTreeSet::new() };
                let host = zone.hosts.entry(exchange).or_insert_with(none);
                host.nodes.insert(node.clone());
                host.services.insert(by.clone());
            }
        }
    }
}

/// What is to be known of a profile for each of its domains: they are many, and so may be its services.
#[derive(Default)]
struct Forms<'a> {
    has_addresses: bool,
    /// The MX services with the domain in the exchange's name, and the others.
    exchanges: Vec<(&'a ServiceName, &'a Service)>,
    shared: Vec<(&'a ServiceName, &'a Service)>,
}

impl<'a> Forms<'a> {
    fn of(cluster: &'a Cluster, profile: &Profile) -> Self {
        let mut forms = Self::default();
        for (name, service) in profile.services.iter().filter_map(|name| cluster.services.get_key_value(name)) {
            match &service.publish {
                Publish::Address { .. } => forms.has_addresses = true,
                Publish::Mx { exchange, .. } if exchange.names_domain() => forms.exchanges.push((name, service)),
                Publish::Mx { .. } => forms.shared.push((name, service)),
                Publish::Alias { .. } => {}
            }
        }
        forms
    }
}

/// For each node of the profile, the exchange that an MX service names for it. Nothing for other services.
pub fn exchanges<'a>(
    cluster: &'a Cluster,
    domain: &'a OwnerName,
    profile: &'a Profile,
    service: &'a Service,
) -> impl Iterator<Item = (&'a NodeName, OwnerName)> {
    let pattern = match &service.publish {
        Publish::Mx { exchange, .. } => Some(exchange),
        Publish::Address { .. } | Publish::Alias { .. } => None,
    };
    pattern.into_iter().flat_map(move |pattern| {
        profile.nodes.iter().filter_map(move |name| {
            let node = cluster.nodes.get(name)?;
            Some((name, OwnerName::parse(&pattern.fill(name, &node.index, domain)).ok()?))
        })
    })
}

/// Every exchange that any MX service could name for a domain, whichever nodes serve it now.
pub fn all_exchanges<'a>(cluster: &'a Cluster, domain: &'a OwnerName) -> impl Iterator<Item = OwnerName> + 'a {
    let patterns = cluster.services.values().filter_map(|service| match &service.publish {
        Publish::Mx { exchange, .. } => Some(exchange),
        Publish::Address { .. } | Publish::Alias { .. } => None,
    });
    patterns.flat_map(move |pattern| {
        let nodes = cluster.nodes.iter();
        nodes.filter_map(move |(name, node)| OwnerName::parse(&pattern.fill(name, &node.index, domain)).ok())
    })
}
