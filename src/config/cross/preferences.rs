//! One host that is an exchange of a domain twice, with two preferences: whoever finds it dead finds it dead again.

use super::{Cross, Layout, before};
use crate::{
    cluster::{Claim, Claimed, Publish, ServiceName},
    dns::OwnerName,
};

impl<'a> Cross<'a> {
    /// A host that two services give to a domain as an exchange, each with its preference.
    pub(super) fn exchange_twice(
        &mut self,
        domain: &OwnerName,
        host: &OwnerName,
        (first, one): (&'a ServiceName, u16),
        (second, other): (&'a ServiceName, u16),
    ) {
        if one == other || self.told.contains(&(second, first, false)) || !self.told.insert((first, second, false)) {
            return;
        }
        let text = format!(
            "service \"{second}\": gives {host} to domain \"{domain}\" as an exchange with preference {other}, and service \
             \"{first}\" gives it with {one}: it is no backup of itself; write another exchange, or leave one of the two \
             services out there"
        );
        self.report.warning(self.place(second), text);
    }

    /// An exchange of a domain that lies in that domain, against those that another service makes of the domain's name.
    pub(super) fn exchange_at_home(&mut self, exchange: &Claim<'a>, home: &OwnerName, layout: Option<&Layout<'a>>) {
        let there = before(&exchange.owner, home).and_then(|relative| layout?.relative.get(relative));
        let first = there.into_iter().flatten().find(|claim| matches!(claim.what, Claimed::Exchange(_)));
        let Some(first) = first.map(|claim| claim.service) else { return };
        if let (Some(one), Some(other)) = (self.preference(first), self.preference(exchange.service)) {
            self.exchange_twice(home, &exchange.owner, (first, one), (exchange.service, other));
        }
    }

    fn preference(&self, service: &ServiceName) -> Option<u16> {
        match self.service(service)?.publish {
            Publish::Mx { preference, .. } => Some(preference),
            _ => None,
        }
    }
}
