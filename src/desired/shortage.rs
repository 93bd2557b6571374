//! Sets that have too few healthy nodes.

use std::collections::{BTreeMap, BTreeSet};

use super::parts::Counts;
use crate::{
    cluster::{Cluster, NodeName, ProfileId, ServiceName},
    dns::RrType,
    layout::Layout,
    standings::Standings,
};

/// A shared set that has too few healthy nodes, whatever the domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shortage {
    /// The service.
    pub service: ServiceName,
    /// The type of its `RRsets`: families fail apart.
    pub rtype: RrType,
    /// The nodes that serve it.
    pub nodes: BTreeSet<NodeName>,
}

/// How far a shared set is from what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Nodes that are up and ready.
    pub healthy: usize,
    /// How many it needs.
    pub needed: usize,
    /// The profiles whose domains have it, and its owner name relative to these.
    pub at: Vec<(ProfileId, String)>,
}

/// The shared sets that have too few nodes that are up, and nobody undecided to make up for it. A set that was short
/// `before` is so until enough nodes are known to be up: nobody is for being asked something else.
#[must_use]
pub fn shortages(
    cluster: &Cluster,
    layout: &Layout,
    standings: &Standings,
    before: &BTreeMap<Shortage, Extent>,
) -> BTreeMap<Shortage, Extent> {
    let is_short = |set: &Shortage, counts: Counts| {
        let counted = if before.contains_key(set) { counts.of_use } else { counts.may_be };
        counted < counts.needed
    };
    shared_sets(cluster, layout, standings, is_short)
}

/// The shortages of before an edit, as those of the sets that its file has: a set that has got other nodes is short all
/// the same.
#[must_use]
pub fn still_short(
    before: &BTreeMap<Shortage, Extent>,
    cluster: &Cluster,
    layout: &Layout,
    standings: &Standings,
) -> BTreeMap<Shortage, Extent> {
    let mut all = shared_sets(cluster, layout, standings, |_, _| true);
    let gone: Vec<_> = before.keys().filter(|set| !all.contains_key(*set)).collect();
    let follows = |set: &Shortage, old: &Shortage| {
        (&old.service, old.rtype) == (&set.service, set.rtype) && !old.nodes.is_disjoint(&set.nodes)
    };
    all.retain(|set, _| before.contains_key(set) || gone.iter().any(|old| follows(set, old)));
    all
}

/// The shared sets of a file that are meant.
fn shared_sets(
    cluster: &Cluster,
    layout: &Layout,
    standings: &Standings,
    is_meant: impl Fn(&Shortage, Counts) -> bool,
) -> BTreeMap<Shortage, Extent> {
    let mut found: BTreeMap<Shortage, Extent> = BTreeMap::new();
    for (id, (profile, zones)) in (0..).map(ProfileId).zip(cluster.profiles.iter().zip(&layout.by_profile)) {
        for part in standings.parts(id).iter().filter(|_| !zones.is_empty()) {
            for (rtype, content) in &part.sets {
                let Some(counts) = content.counts() else { continue };
                let set = Shortage { service: part.service.clone(), rtype: *rtype, nodes: profile.nodes.clone() };
                if is_meant(&set, counts) {
                    let Counts { healthy, needed, .. } = counts;
                    let extent = found.entry(set).or_insert(Extent { healthy, needed, at: Vec::new() });
                    extent.at.push((id, part.label.clone()));
                }
            }
        }
    }
    found
}
