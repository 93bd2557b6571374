//! Which owner names a domain has, and what each is for: asked when the file is checked and when it is decided.

use super::{Cluster, NodeName, Pinned, Profile, Publish, Service, ServiceName};
use crate::dns::{NameError, OwnerName};

/// One owner name that a service gives to a domain, and what is to stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The service.
    pub service: &'a ServiceName,
    /// The owner name.
    pub owner: OwnerName,
    /// What stands there.
    pub what: Claimed<'a>,
}

/// What stands at an owner name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed<'a> {
    /// A and AAAA of the healthy nodes.
    Shared,
    /// A and AAAA of this node.
    Pinned(&'a NodeName),
    /// MX records. The owner is the domain itself.
    Mx,
    /// The exchange of this node. It is ours to give addresses to if [`Cluster::domain_of`] knows it.
    Exchange(&'a NodeName),
    /// A CNAME record.
    Alias(&'a OwnerName),
}

/// An owner name, or the text that is none and why.
type Named = Result<OwnerName, (String, NameError)>;

impl Cluster {
    /// The owner names that a profile gives to a domain, in the order of its services.
    pub fn claims<'a>(&'a self, domain: &'a OwnerName, profile: &'a Profile) -> impl Iterator<Item = Claim<'a>> {
        self.try_claims(domain, profile).filter_map(|(_, claim)| claim.ok())
    }

    /// The same before the names are known to be good, each with its service.
    pub(crate) fn try_claims<'a>(
        &'a self,
        domain: &'a OwnerName,
        profile: &'a Profile,
    ) -> impl Iterator<Item = (&'a ServiceName, Result<Claim<'a>, (String, NameError)>)> {
        profile.services.iter().flat_map(move |name| self.try_claims_of(domain, profile, name))
    }

    /// The same of one of its services.
    pub(crate) fn try_claims_of<'a>(
        &'a self,
        domain: &OwnerName,
        profile: &'a Profile,
        service: &ServiceName,
    ) -> impl Iterator<Item = (&'a ServiceName, Result<Claim<'a>, (String, NameError)>)> {
        let (service, names) = match self.services.get_key_value(service) {
            Some((service, details)) => (Some(service), self.names(domain, profile, details)),
            None => (None, Vec::new()),
        };
        service.into_iter().zip(std::iter::once(names)).flat_map(|(service, names)| {
            names.into_iter().map(move |(what, owner)| {
                #[cfg(test)]
                work::done();
                (service, owner.map(|owner| Claim { service, owner, what }))
            })
        })
    }

    fn names<'a>(
        &'a self,
        domain: &OwnerName,
        profile: &'a Profile,
        service: &'a Service,
    ) -> Vec<(Claimed<'a>, Named)> {
        let child = |name: &str| domain.child(name).map_err(|error| (format!("{name}.{domain}"), error));
        let nodes = || profile.nodes.iter().filter_map(|name| self.nodes.get_key_value(name));
        match &service.publish {
            Publish::Address { name, pinned } => {
                let mut names = vec![(Claimed::Shared, child(name))];
                if let Some(Pinned { name, when_down: _ }) = pinned {
                    names.extend(
                        nodes().map(|(node, at)| (Claimed::Pinned(node), child(&name.fill(node, &at.index, domain)))),
                    );
                }
                names
            }
            Publish::Mx { preference: _, exchange } => {
                let mut names = vec![(Claimed::Mx, Ok(domain.clone()))];
                names.extend(nodes().map(|(node, at)| {
                    let exchange = exchange.fill(node, &at.index, domain);
                    (Claimed::Exchange(node), OwnerName::parse(&exchange).map_err(|error| (exchange, error)))
                }));
                names
            }
            Publish::Alias { name, target } => vec![(Claimed::Alias(target), child(name))],
        }
    }
}

/// What the check of a file costs: claims that are made, and pairs of them that are compared.
#[cfg(test)]
pub(crate) mod work {
    use std::cell::Cell;

    thread_local! {
        static DONE: Cell<usize> = const { Cell::new(0) };
    }

    /// One more.
    pub(crate) fn done() {
        DONE.set(DONE.get() + 1);
    }

    /// What something costs.
    pub(crate) fn of<T>(what: impl FnOnce() -> T) -> (T, usize) {
        let before = DONE.get();
        let result = what();
        (result, DONE.get() - before)
    }
}
