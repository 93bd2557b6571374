//! Counts that a profile cannot keep.

use std::collections::{BTreeMap, BTreeSet};

use super::Cross;
use crate::{
    cluster::{Claim, Claimed, Profile, ProfileId, Publish, ServiceName, Share},
    dns::OwnerName,
};

/// Records of one `RRset`: BIND answers SERVFAIL to an update past `max-records-per-type` (100).
const MAX_RECORDS: usize = 100;

impl<'a> Cross<'a> {
    /// Counts that a profile cannot keep.
    pub(super) fn sizes(&mut self, example: &OwnerName, id: ProfileId, profile: &'a Profile) {
        let place = self.places.profiles.get(id.0 as usize).copied().unwrap_or_default();
        let mut exchanges: BTreeSet<(u16, OwnerName)> = BTreeSet::new();
        let mut givers: BTreeMap<OwnerName, (&'a ServiceName, u16)> = BTreeMap::new();
        let mut shared = false;
        for name in &profile.services {
            let Some(service) = self.service(name) else { continue };
            if let Share::Count(count) = service.min_healthy
                && count > profile.nodes.len()
                && !profile.nodes.is_empty()
                && !matches!(service.publish, Publish::Alias { .. })
            {
                self.report.problem(
                    place,
                    format!(
                        "domain \"{example}\": service \"{name}\" wants {count} healthy nodes at least, the domain has \
                         {}; lower min_healthy or list more nodes",
                        profile.nodes.len()
                    ),
                );
            }
            match &service.publish {
                Publish::Address { .. } => shared = true,
                Publish::Mx { preference, .. } => {
                    let claims = self.cluster.try_claims_of(example, profile, name);
                    let hosts = claims.filter_map(|(_, claim)| match claim.ok()? {
                        Claim { what: Claimed::Exchange(_), owner, .. } => Some(owner),
                        _ => None,
                    });
                    for host in hosts {
                        let first = *givers.entry(host.clone()).or_insert((name, *preference));
                        self.exchange_twice(example, &host, first, (name, *preference));
                        exchanges.insert((*preference, host));
                    }
                }
                Publish::Alias { .. } => {}
            }
        }
        let addresses: BTreeSet<_> = profile
            .nodes
            .iter()
            .filter_map(|node| self.cluster.nodes.get(node))
            .flat_map(|node| &node.addresses)
            .collect();
        let v4 = addresses.iter().filter(|address| address.is_ipv4()).count();
        let counts = [
            ("A", if shared { v4 } else { 0 }),
            ("AAAA", if shared { addresses.len() - v4 } else { 0 }),
            ("MX", exchanges.len()),
        ];
        for (rtype, count) in counts.into_iter().filter(|(_, count)| *count > MAX_RECORDS) {
            self.report.problem(
                place,
                format!(
                    "domain \"{example}\": {count} {rtype} records in one set, BIND takes {MAX_RECORDS}; give the domain \
                     fewer nodes"
                ),
            );
        }
    }
}
