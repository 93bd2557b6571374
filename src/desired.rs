//! Who should be in each `RRset`.
//!
//! Health comes in as [`Standings`]. A set is then made from three things:
//! who is up, who is unknown but published already, and what the rails say when too few are left. It never comes out
//! empty: [`settle`] answers `None`, "leave it as it is", instead.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use crate::{
    cluster::{AdminState, AllDown, Cluster, NodeName, ProfileId, ServiceName, WhenDown},
    dns::{Rdata, RdataSet, RrType, Rrset, RrsetId, Ttl},
    layout::{Layout, ZoneLayout},
    standings::{Standing, Standings, Why},
};

pub(crate) mod parts;
#[cfg(test)]
mod tests;

use self::parts::Part;

/// What one service gives to one `RRset`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contribution {
    /// The healthy ones of these.
    Pool {
        /// Everyone that could be in it.
        members: Arc<[Member]>,
        /// Fewer healthy members than this count as all down.
        min_healthy: usize,
    },
    /// One node's own addresses.
    Pinned {
        /// The node, once for each of its addresses; never empty.
        own: Arc<[Member]>,
        /// Where the name goes while the node is down.
        when_down: WhenDown,
        /// Everyone else that could stand in.
        pool: Arc<[Member]>,
    },
    /// This, whatever the health.
    Fixed(RdataSet),
}

/// One node in one `RRset`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub node: NodeName,
    /// What it would be in the set.
    pub rdata: Rdata,
    /// How it stands.
    pub state: Standing,
    /// What the operator wants of it, or its own agent if that is more.
    pub admin_state: AdminState,
    /// What decided: the agent's word where that is what takes it out, else the check behind `state`.
    pub why: Option<Why>,
}

impl Member {
    const fn is_ready(&self) -> bool {
        matches!(self.admin_state, AdminState::Ready)
    }

    /// Down, or suspected to be, and no better than nobody.
    const fn is_lost(&self) -> bool {
        matches!(self.state, Standing::Suspect | Standing::Down)
    }
}

/// What one `RRset` of the file is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Its TTL.
    pub ttl: Ttl,
    /// What each service gives to it; never empty.
    pub contributions: Vec<Contribution>,
}

impl Recipe {
    /// All data that this set could have, whatever the health.
    #[must_use]
    pub fn candidates(&self) -> BTreeSet<&Rdata> {
        self.contributions
            .iter()
            .flat_map(|contribution| -> Box<dyn Iterator<Item = &Rdata>> {
                match contribution {
                    Contribution::Pool { members, .. } => Box::new(members.iter().map(|m| &m.rdata)),
                    Contribution::Pinned { own, pool, .. } => Box::new(own.iter().chain(pool.iter()).map(|m| &m.rdata)),
                    Contribution::Fixed(rdata) => Box::new(rdata.iter()),
                }
            })
            .collect()
    }
}

/// The recipes of every `RRset` that the file lists in a zone.
#[must_use]
pub fn recipes(cluster: &Cluster, zone: &ZoneLayout, standings: &Standings) -> BTreeMap<RrsetId, Recipe> {
    let mut recipes = Recipes(BTreeMap::new());
    for name in &zone.domains {
        let parts = cluster.domains.get(name).map_or(&[][..], |domain| standings.parts(domain.profile));
        for Part { label, ttl, sets, .. } in parts {
            let Ok(owner) = name.child(label) else { continue };
            for (rtype, content) in sets {
                recipes.add(RrsetId { owner: owner.clone(), rtype: *rtype }, *ttl, content.of(name));
            }
        }
    }
    for (owner, host) in &zone.hosts {
        let nodes = host.nodes.iter().filter_map(|node| cluster.nodes.get(node));
        let rdata: Vec<Rdata> = nodes.flat_map(|node| &node.addresses).copied().map(Rdata::from).collect();
        for rtype in [RrType::A, RrType::Aaaa] {
            let rdata: RdataSet = rdata.iter().filter(|r| r.rtype() == rtype).cloned().collect();
            if !rdata.is_empty() {
                recipes.add(RrsetId { owner: owner.clone(), rtype }, host.ttl, Contribution::Fixed(rdata));
            }
        }
    }
    recipes.0
}

/// Recipes in the making.
struct Recipes(BTreeMap<RrsetId, Recipe>);

impl Recipes {
    fn add(&mut self, id: RrsetId, ttl: Ttl, contribution: Contribution) {
        match self.0.entry(id) {
            Entry::Vacant(place) => {
                place.insert(Recipe { ttl, contributions: vec![contribution] });
            }
            Entry::Occupied(mut place) => place.get_mut().contributions.push(contribution),
        }
    }
}

/// How many nodes these are: one with two addresses of a family counts once. Members come in the order of nodes.
fn nodes<'a>(members: impl Iterator<Item = &'a Member>) -> usize {
    let mut last = None;
    members.filter(|member| last.replace(&member.node) != Some(&member.node)).count()
}

/// What the `RRset` should be, given what is published. `None`: leave it as it is.
#[must_use]
pub fn settle(id: &RrsetId, recipe: &Recipe, all_down: AllDown, published: Option<&Rrset>) -> Option<Rrset> {
    let published = published.map(|set| &set.rdata);
    let held: &[Rdata] = published.map_or(&[], |set| set);
    let mut rdata: Vec<&Rdata> = Vec::new();
    for contribution in &recipe.contributions {
        match contribution {
            Contribution::Fixed(fixed) => rdata.extend(fixed),
            Contribution::Pool { members, min_healthy } => {
                rdata.extend(pool(members, *min_healthy, all_down, held));
            }
            Contribution::Pinned { own, when_down, pool } => {
                rdata.extend(pinned(id, own, *when_down, pool, held));
            }
        }
    }
    rdata.sort_unstable();
    rdata.dedup();
    let rdata = match published {
        // Everyone who is published is drained or gone, and nobody is there instead: an empty set is never legal.
        Some(published) if rdata.is_empty() || rdata.iter().copied().eq(held) => published.clone(),
        _ => rdata.into_iter().cloned().collect(),
    };
    (!rdata.is_empty()).then_some(Rrset { ttl: recipe.ttl, rdata })
}

/// The members of a shared set.
fn pool<'a>(members: &'a [Member], min_healthy: usize, all_down: AllDown, published: &[Rdata]) -> Vec<&'a Rdata> {
    let ready = || members.iter().filter(|member| member.is_ready());
    let healthy = |member: &&Member| counts_as_healthy(member, published);
    let reserve = |member: &&Member| member.state == Standing::Reserve;
    let enough = |members: &Vec<&Member>| nodes(members.iter().copied()) >= min_healthy;
    // While somebody is undecided, "nobody is healthy" is not known either.
    let can_be_everyone = all_down == AllDown::All && ready().all(|member| member.state != Standing::Unknown);
    // A place for everyone takes none away: it need not wait until suspects are known to be down.
    let chosen = if can_be_everyone && ready().all(Member::is_lost) {
        ready().collect()
    } else if let Some(set) = Some(ready().filter(healthy).collect()).filter(enough) {
        set
    } else if let Some(set) = Some(ready().filter(|m| healthy(m) || reserve(m)).collect()).filter(enough) {
        set
    } else {
        let stays = |member: &&Member| healthy(member) || reserve(member) || published.contains(&member.rdata);
        ready().filter(|member| can_be_everyone || stays(member)).collect()
    };
    chosen.into_iter().map(|member| &member.rdata).collect()
}

/// Up, or published already and not known to be down.
fn counts_as_healthy(member: &Member, published: &[Rdata]) -> bool {
    match member.state {
        Standing::Up => true,
        Standing::Unknown | Standing::Suspect => published.contains(&member.rdata),
        Standing::Reserve | Standing::Down => false,
    }
}

/// What a node's own name points to.
fn pinned<'a>(
    id: &RrsetId,
    own: &'a [Member],
    when_down: WhenDown,
    pool: &'a [Member],
    published: &'a [Rdata],
) -> Vec<&'a Rdata> {
    let itself = || own.iter().map(|member| &member.rdata).collect();
    let as_published_or = |otherwise: Vec<&'a Rdata>| {
        let known = |rdata: &Rdata| own.iter().chain(pool).any(|member| member.rdata == *rdata);
        if !published.is_empty() && published.iter().all(known) { published.iter().collect() } else { otherwise }
    };
    let in_service = || own.iter().filter(|member| member.admin_state != AdminState::Down);
    if in_service().any(|member| member.state == Standing::Up) {
        let healthy = in_service().filter(|member| counts_as_healthy(member, published));
        return healthy.map(|member| &member.rdata).collect();
    }
    if in_service().any(|member| matches!(member.state, Standing::Unknown | Standing::Suspect)) {
        return as_published_or(itself());
    }
    let all = |standing| pool.iter().filter(move |member| member.state == standing).collect::<Vec<_>>();
    let mut healthy = all(Standing::Up);
    if healthy.is_empty() {
        if in_service().any(|member| member.state == Standing::Reserve) {
            return itself();
        }
        healthy = all(Standing::Reserve);
    }
    match when_down {
        WhenDown::Keep => itself(),
        // Nobody to point to: as published, for a name that goes away helps nobody.
        _ if healthy.is_empty() => as_published_or(itself()),
        WhenDown::Pool => healthy.into_iter().map(|member| &member.rdata).collect(),
        // The highest weight wins (rendezvous hashing): others keep their pick when a node comes or goes.
        WhenDown::Repoint => healthy
            .into_iter()
            .max_by_key(|member| weight(id, &member.node))
            .map(|member| vec![&member.rdata])
            .unwrap_or_default(),
    }
}

/// A stable weight of a node for an owner name: the same on every machine and in every version.
fn weight(id: &RrsetId, node: &NodeName) -> Vec<u8> {
    Sha256::digest(format!("{} {node}", id.owner)).to_vec()
}

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

/// The shared sets that have too few nodes that are up, and nobody undecided to make up for it.
#[must_use]
pub fn shortages(cluster: &Cluster, layout: &Layout, standings: &Standings) -> BTreeMap<Shortage, Extent> {
    let mut found: BTreeMap<Shortage, Extent> = BTreeMap::new();
    for (id, (profile, zones)) in (0..).map(ProfileId).zip(cluster.profiles.iter().zip(&layout.by_profile)) {
        for part in standings.parts(id).iter().filter(|_| !zones.is_empty()) {
            for (rtype, content) in &part.sets {
                let Some((healthy, needed)) = content.shortage() else { continue };
                let short = Shortage { service: part.service.clone(), rtype: *rtype, nodes: profile.nodes.clone() };
                let extent = found.entry(short).or_insert(Extent { healthy, needed, at: Vec::new() });
                extent.at.push((id, part.label.clone()));
            }
        }
    }
    found
}
