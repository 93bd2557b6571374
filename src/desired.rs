//! Who should be in each `RRset`.
//!
//! Health comes in as [`Standings`]. A set is then made from three things:
//! who is up, who is unknown but published already, and what the rails say when too few are left. It never comes out
//! empty: [`settle`] answers `None`, "leave it as it is", instead.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use crate::{
    cluster::{AdminState, AllDown, Cluster, NodeName, WhenDown},
    dns::{Rdata, RdataSet, RrType, Rrset, RrsetId, Ttl},
    layout::ZoneLayout,
    plan,
    standings::{Standing, Standings, Why},
};

pub(crate) mod parts;
mod shortage;
#[cfg(test)]
mod tests;

use self::parts::Part;
pub use self::shortage::{Extent, Shortage, shortages, still_short};

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
    /// All of these, whatever the health: the host records of exchanges.
    Hosts(Arc<[Member]>),
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
    pub fn candidates(&self) -> RdataSet {
        let data = |members: &Arc<[Member]>| members.iter().map(|member| member.rdata.clone()).collect::<Vec<_>>();
        let all = self.contributions.iter().flat_map(|contribution| match contribution {
            Contribution::Fixed(fixed) => fixed.to_vec(),
            Contribution::Hosts(members) | Contribution::Pool { members, .. } => data(members),
            Contribution::Pinned { own, pool, .. } => [data(own), data(pool)].concat(),
        });
        all.collect()
    }

    /// All data that it has with everyone healthy: nobody whom the operator took out.
    #[must_use]
    pub fn members(&self) -> RdataSet {
        let data = self.contributions.iter().flat_map(|contribution| -> Box<dyn Iterator<Item = &Rdata>> {
            match contribution {
                Contribution::Pool { members, .. } => {
                    Box::new(members.iter().filter(|member| member.is_ready()).map(|member| &member.rdata))
                }
                Contribution::Pinned { own, .. } => {
                    let in_service = own.iter().filter(|member| member.admin_state != AdminState::Down);
                    Box::new(in_service.map(|member| &member.rdata))
                }
                Contribution::Hosts(members) => Box::new(members.iter().map(|member| &member.rdata)),
                Contribution::Fixed(rdata) => Box::new(rdata.iter()),
            }
        });
        data.cloned().collect()
    }

    /// Whether this set could have some data, whatever the health.
    #[must_use]
    pub fn lists(&self, rdata: &Rdata) -> bool {
        let is_in = |members: &[Member]| members.iter().any(|member| member.rdata == *rdata);
        self.contributions.iter().any(|contribution| match contribution {
            Contribution::Fixed(fixed) => fixed.contains(rdata),
            Contribution::Hosts(members) | Contribution::Pool { members, .. } => is_in(members),
            Contribution::Pinned { own, pool, .. } => is_in(own) || is_in(pool),
        })
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
        let nodes = host.nodes.iter().filter_map(|name| cluster.nodes.get_key_value(name));
        let members = nodes.flat_map(|(name, node)| {
            node.addresses.iter().map(|address| Member {
                node: name.clone(),
                rdata: (*address).into(),
                state: standings.host(&host.services, name, *address),
                admin_state: node.admin_state,
                why: None,
            })
        });
        let (v4, v6): (Vec<_>, Vec<_>) = members.partition(|member| member.rdata.rtype() == RrType::A);
        for (rtype, members) in [(RrType::A, v4), (RrType::Aaaa, v6)] {
            if !members.is_empty() {
                recipes.add(RrsetId { owner: owner.clone(), rtype }, host.ttl, Contribution::Hosts(members.into()));
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

/// What the `RRset` should be, given what is published and what of that is ours. `None`: leave it as it is.
#[must_use]
pub fn settle(
    id: &RrsetId,
    recipe: &Recipe,
    all_down: AllDown,
    published: Option<&Rrset>,
    ours: Option<&RdataSet>,
) -> Option<Rrset> {
    let published = published.map(|set| &set.rdata);
    let held: &[Rdata] = published.map_or(&[], |set| set);
    let mut rdata = recipe.choose(id, all_down, held, &[]);
    // What is published and not chosen is listed as a rule: somebody is down.
    let leaving = |rdata: &&Rdata, ours: &RdataSet| !recipe.lists(rdata) && ours.contains(*rdata);
    let gone = held.iter().filter(|held| rdata.binary_search(held).is_err());
    let leaving: Vec<_> = gone.filter(|rdata| ours.is_some_and(|ours| leaving(rdata, ours))).collect();
    if !leaving.is_empty() {
        rdata = recipe.choose(id, all_down, held, &leaving);
    }
    let rdata = match published {
        // Everyone who is published is drained or gone, and nobody is there instead: an empty set is never legal.
        Some(published) if rdata.is_empty() || rdata.iter().copied().eq(held) => published.clone(),
        _ => rdata.into_iter().cloned().collect(),
    };
    (!rdata.is_empty()).then_some(Rrset { ttl: recipe.ttl, rdata })
}

impl Recipe {
    /// The data of the set in order. `leaving` is what we published and the file does not list any more: a node that was
    /// removed or has another address.
    fn choose<'a>(
        &'a self,
        id: &RrsetId,
        all_down: AllDown,
        published: &'a [Rdata],
        leaving: &[&'a Rdata],
    ) -> Vec<&'a Rdata> {
        let mut rdata: Vec<&Rdata> = Vec::new();
        let mut waits = false;
        for contribution in &self.contributions {
            let chosen: Vec<&Rdata> = match contribution {
                Contribution::Fixed(fixed) => fixed.iter().collect(),
                Contribution::Hosts(members) => members.iter().map(|member| &member.rdata).collect(),
                Contribution::Pool { members, min_healthy } => {
                    pool(members, *min_healthy, all_down, Published { data: published, leaving })
                }
                Contribution::Pinned { own, when_down, pool } => {
                    pinned(id, own, *when_down, pool, Published { data: published, leaving })
                }
            };
            waits |= !leaving.is_empty() && contribution.waits(&chosen, Published { data: published, leaving });
            rdata.extend(chosen);
        }
        if waits {
            rdata.extend(leaving);
        }
        rdata.sort_unstable();
        rdata.dedup();
        rdata
    }
}

/// What is published of a set.
#[derive(Clone, Copy)]
struct Published<'a, 'b> {
    data: &'a [Rdata],
    /// What of it is ours, and not in the file any more.
    leaving: &'b [&'a Rdata],
}

impl Published<'_, '_> {
    /// Whether a member is in the set. One whose exchange is about to get another preference is.
    fn has(self, member: &Member) -> bool {
        let is_exchange_of = |to| self.leaving.iter().any(|rdata| plan::exchange(rdata) == Some(to));
        self.data.contains(&member.rdata) || plan::exchange(&member.rdata).is_some_and(is_exchange_of)
    }
}

impl Contribution {
    /// Whether what leaves the set has to stay a while: until everyone is decided who could come instead, and as long as
    /// none of those who are chosen does its work.
    fn waits(&self, chosen: &[&Rdata], published: Published<'_, '_>) -> bool {
        let is_chosen = |member: &&Member| chosen.contains(&&member.rdata);
        let (members, others): (&[Member], &[Member]) = match self {
            Self::Fixed(_) => return false,
            Self::Pool { members, .. } | Self::Hosts(members) => (members, &[]),
            // Others stand in where its own node does not.
            Self::Pinned { own, .. } if own.iter().any(|member| is_chosen(&member)) => (own, &[]),
            Self::Pinned { own, pool, .. } => (own, pool),
        };
        let members = || members.iter().chain(others);
        // A host is published before it is known to work.
        let is_new = |member: &Member| matches!(self, Self::Hosts(_)) || member.is_ready() && !published.has(member);
        let is_awaited = |member: &Member| member.state == Standing::Awaited && is_new(member);
        members().any(is_awaited) || members().filter(is_chosen).all(Member::is_lost)
    }
}

/// The members of a shared set.
fn pool<'a>(
    members: &'a [Member],
    min_healthy: usize,
    all_down: AllDown,
    published: Published<'_, '_>,
) -> Vec<&'a Rdata> {
    let ready = || members.iter().filter(|member| member.is_ready());
    let healthy = |member: &&Member| counts_as_healthy(member, published);
    let reserve = |member: &&Member| member.state == Standing::Reserve;
    // Those who went down together are not seen to be down in the same moment: a suspect keeps its place, but is no reason
    // to let the others go.
    let is_proof = |member: &&Member| member.state != Standing::Suspect;
    let enough = |members: &Vec<&Member>| nodes(members.iter().copied().filter(is_proof)) >= min_healthy;
    // While somebody is undecided, "nobody is healthy" is not known either.
    let can_be_everyone = all_down == AllDown::All && ready().all(|member| !member.state.is_undecided());
    // A place for everyone takes none away: it need not wait until suspects are known to be down.
    let chosen = if can_be_everyone && ready().all(Member::is_lost) {
        ready().collect()
    } else if let Some(set) = Some(ready().filter(healthy).collect()).filter(enough) {
        set
    } else if let Some(set) = Some(ready().filter(|m| healthy(m) || reserve(m)).collect()).filter(enough) {
        set
    } else {
        let stays = |member: &&Member| healthy(member) || reserve(member) || published.has(member);
        ready().filter(|member| can_be_everyone || stays(member)).collect()
    };
    chosen.into_iter().map(|member| &member.rdata).collect()
}

/// Up, or published already and not known to be down.
fn counts_as_healthy(member: &Member, published: Published<'_, '_>) -> bool {
    match member.state {
        Standing::Up => true,
        Standing::Unknown | Standing::Awaited | Standing::Suspect => published.has(member),
        Standing::Reserve | Standing::Down => false,
    }
}

/// What a node's own name points to.
fn pinned<'a>(
    id: &RrsetId,
    own: &'a [Member],
    when_down: WhenDown,
    pool: &'a [Member],
    published: Published<'a, '_>,
) -> Vec<&'a Rdata> {
    let itself = || own.iter().map(|member| &member.rdata).collect();
    let as_published_or = |otherwise: Vec<&'a Rdata>| {
        let is_members = |rdata: &Rdata| own.iter().chain(pool).any(|member| member.rdata == *rdata);
        let known = |rdata: &Rdata| is_members(rdata) || published.leaving.contains(&rdata);
        let data = published.data;
        if !data.is_empty() && data.iter().all(known) { data.iter().collect() } else { otherwise }
    };
    let in_service = || own.iter().filter(|member| member.admin_state != AdminState::Down);
    if in_service().any(|member| member.state == Standing::Up) {
        let healthy = in_service().filter(|member| counts_as_healthy(member, published));
        return healthy.map(|member| &member.rdata).collect();
    }
    if in_service().any(|member| member.state.is_undecided() || member.state == Standing::Suspect) {
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
