//! The difference between what is wanted and what is published, and the rails that a difference must pass.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    cluster::AllDown,
    desired::{self, Recipe},
    dns::{OwnerName, Rdata, RdataSet, Rrset, RrsetId},
};

pub mod held;
pub mod rails;
#[cfg(test)]
mod tests;

pub use self::rails::{grant, has_address, in_the_way};

/// The `RRsets` of a zone, by name and type.
pub type Rrsets = BTreeMap<RrsetId, Rrset>;

/// One `RRset` that is to become another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which `RRset`.
    pub id: RrsetId,
    /// As published; `None`: there is none.
    pub before: Option<Rrset>,
    /// As wanted; `None`: it is to be deleted. Never an empty set.
    pub after: Option<Rrset>,
}

/// What a zone's turn comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to change, in the order of names.
    pub changes: Vec<Change>,
    /// What cannot be changed, and why.
    pub blocked: BTreeMap<RrsetId, String>,
    /// What is left for data of strangers, in it or in its way, and what to do: no trouble of the zone.
    pub foreign: BTreeMap<RrsetId, String>,
    /// What is to be deleted once no MX of another zone points to it any more.
    pub waiting: BTreeSet<RrsetId>,
}

/// What the diff works with.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// What the file lists.
    pub recipes: &'a BTreeMap<RrsetId, Recipe>,
    /// The rail for sets that nobody healthy is left in.
    pub all_down: AllDown,
    /// What the zone holds at the names that we read.
    pub published: &'a Rrsets,
    /// What we published before, as the state directory remembers it.
    pub owned: &'a BTreeMap<RrsetId, RdataSet>,
    /// Whether data is an address or exchange of a node that we know.
    pub is_known: &'a dyn Fn(&RrsetId, &Rdata) -> bool,
    /// Whether an MX outside of this zone points to a name.
    pub is_target_elsewhere: &'a dyn Fn(&OwnerName) -> bool,
}

/// Compares what is wanted with what is published, and keeps to the rails.
#[must_use]
pub fn diff(inputs: Inputs<'_>) -> Plan {
    let mut plan = difference(inputs);
    let Inputs { recipes, published, owned, is_target_elsewhere, .. } = inputs;
    let others = BTreeMap::new();
    rails::Rails { recipes, published, others: &others, owned, is_target_elsewhere }.keep(&mut plan);
    plan
}

/// Compares what is wanted with what is published. What is held back goes out of it before the [rails](rails::Rails).
#[must_use]
pub fn difference(inputs: Inputs<'_>) -> Plan {
    let mut plan = Plan::default();
    for (id, recipe) in inputs.recipes {
        let before = inputs.published.get(id);
        let Some(after) = desired::settle(id, recipe, inputs.all_down, before, inputs.owned.get(id)) else { continue };
        if before != Some(&after) {
            plan.changes.push(Change { id: id.clone(), before: before.cloned(), after: Some(after) });
        }
    }
    for (id, ours) in inputs.owned {
        let Some(before) = inputs.published.get(id).filter(|_| !inputs.recipes.contains_key(id)) else { continue };
        if is_ours(id, before, ours, inputs.is_known) {
            plan.changes.push(Change { id: id.clone(), before: Some(before.clone()), after: None });
        }
    }
    plan
}

/// Whether an `RRset` still holds what we published: the same data, or other data of our nodes.
#[must_use]
pub fn is_ours(id: &RrsetId, set: &Rrset, ours: &RdataSet, is_known: &dyn Fn(&RrsetId, &Rdata) -> bool) -> bool {
    set.rdata == *ours || set.rdata.iter().all(|rdata| is_known(id, rdata))
}

/// The exchange of an MX.
#[must_use]
pub const fn exchange(rdata: &Rdata) -> Option<&OwnerName> {
    match rdata {
        Rdata::Mx { exchange, .. } => Some(exchange),
        Rdata::A(_) | Rdata::Aaaa(_) | Rdata::Cname(_) => None,
    }
}

/// Does to a copy of the zone what BIND does to the zone.
pub fn apply(published: &mut Rrsets, changes: &[Change]) {
    for change in changes {
        match &change.after {
            Some(set) => published.insert(change.id.clone(), set.clone()),
            None => published.remove(&change.id),
        };
    }
}

impl fmt::Display for Change {
    /// The records that go, then the records that come, as lines of a zone file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (self.before.as_ref(), self.after.as_ref());
        let mut lines = |sign: char, set: Option<&Rrset>, other: Option<&Rrset>| {
            let Some(set) = set else { return Ok(()) };
            // The TTL belongs to the whole set: with another TTL every record is another.
            let stays = |rdata: &Rdata| other.is_some_and(|o| o.ttl == set.ttl && o.rdata.contains(rdata));
            for rdata in set.rdata.iter().filter(|rdata| !stays(rdata)) {
                writeln!(f, "{sign} {}. {} IN {} {rdata}", self.id.owner, set.ttl, self.id.rtype)?;
            }
            Ok(())
        };
        lines('-', before, after)?;
        lines('+', after, before)
    }
}
