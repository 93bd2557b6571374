//! The difference between what is wanted and what is published, and the rails that a difference must pass.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    cluster::AllDown,
    desired::{self, Recipe},
    dns::{OwnerName, Rdata, RdataSet, RrType, Rrset, RrsetId},
};

#[cfg(test)]
mod tests;

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

/// Compares what is wanted with what is published.
#[must_use]
pub fn diff(inputs: Inputs<'_>) -> Plan {
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
    keep_targets(&mut plan, inputs.published, inputs.is_target_elsewhere);
    block_aliases(&mut plan, inputs.published);
    keep_names(&mut plan.changes, inputs.published, inputs.recipes);
    plan.changes.sort_by(|a, b| a.id.cmp(&b.id));
    plan
}

/// Whether an `RRset` still holds what we published: the same data, or other data of our nodes.
#[must_use]
pub fn is_ours(id: &RrsetId, set: &Rrset, ours: &RdataSet, is_known: &dyn Fn(&RrsetId, &Rdata) -> bool) -> bool {
    set.rdata == *ours || set.rdata.iter().all(|rdata| is_known(id, rdata))
}

/// Takes deletions out of a plan that would leave an MX without addresses: BIND would let it dangle (measured). Those
/// that another zone's MX keeps from going wait for that zone.
pub fn keep_targets(plan: &mut Plan, published: &Rrsets, elsewhere: &dyn Fn(&OwnerName) -> bool) {
    if plan.changes.iter().all(|change| change.after.is_some()) {
        return;
    }
    let mut after = published.clone();
    apply(&mut after, &plan.changes);
    let targets: BTreeSet<&OwnerName> = after.values().flat_map(|set| &set.rdata).filter_map(exchange).collect();
    let has_address = |owner: &OwnerName| {
        [RrType::A, RrType::Aaaa].into_iter().any(|rtype| after.contains_key(&RrsetId { owner: owner.clone(), rtype }))
    };
    let waiting = &mut plan.waiting;
    plan.changes.retain(|change| {
        let last_address = change.after.is_none()
            && matches!(change.id.rtype, RrType::A | RrType::Aaaa)
            && !has_address(&change.id.owner);
        let waits = last_address && elsewhere(&change.id.owner);
        if waits {
            waiting.insert(change.id.clone());
        }
        !(waits || last_address && targets.contains(&change.id.owner))
    });
}

/// Takes deletions out of a plan that would leave a name of the file bare: an alias stays until the addresses that
/// replace it can come, and the other way round.
pub fn keep_names(changes: &mut Vec<Change>, published: &Rrsets, recipes: &BTreeMap<RrsetId, Recipe>) {
    if changes.iter().all(|change| change.after.is_some()) {
        return;
    }
    let comes: BTreeSet<RrsetId> = changes.iter().filter(|c| c.after.is_some()).map(|c| c.id.clone()).collect();
    changes.retain(|change| {
        let listed = RrType::ALL.map(|rtype| RrsetId { owner: change.id.owner.clone(), rtype });
        let mut listed = listed.iter().filter(|id| recipes.contains_key(*id)).peekable();
        change.after.is_some()
            || listed.peek().is_none()
            || listed.any(|id| published.contains_key(id) || comes.contains(id))
    });
}

/// BIND ignores data beside a CNAME, and a CNAME beside data, and still answers NOERROR (measured): do not ask it to.
fn block_aliases(plan: &mut Plan, published: &Rrsets) {
    let goes: BTreeSet<RrsetId> =
        plan.changes.iter().filter(|change| change.after.is_none()).map(|change| change.id.clone()).collect();
    let (free, blocked): (Vec<_>, Vec<_>) = std::mem::take(&mut plan.changes).into_iter().partition(|change| {
        change.after.is_none() || in_the_way(&change.id).all(|id| !published.contains_key(&id) || goes.contains(&id))
    });
    plan.changes = free;
    plan.blocked.extend(blocked.into_iter().map(|change| {
        let id = change.id;
        let words = if id.rtype == RrType::Cname {
            format!("{id}: the name has other records, and BIND ignores a CNAME beside them; delete them, or take the alias out of the file")
        } else {
            format!("{id}: a CNAME exists at that name, and BIND ignores other records beside it; delete it (nsupdate: update delete {}. CNAME)", id.owner)
        };
        (id, words)
    }));
}

/// The `RRsets` that cannot stand beside this one (RFC 1034 section 3.6.2), as far as we read them.
pub fn in_the_way(id: &RrsetId) -> impl Iterator<Item = RrsetId> {
    let alias = id.rtype == RrType::Cname;
    RrType::ALL
        .into_iter()
        .filter(move |rtype| (*rtype == RrType::Cname) != alias)
        .map(|rtype| RrsetId { owner: id.owner.clone(), rtype })
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

/// Whether a change comes from an edit of the file rather than from health: it deletes, it sets another TTL, or it
/// takes out data that the file does not list any more. Such changes count for `max_change`.
#[must_use]
pub fn is_by_edit(change: &Change, recipe: Option<&Recipe>) -> bool {
    let (Some(before), Some(after), Some(recipe)) = (&change.before, &change.after, recipe) else {
        return change.before.is_some();
    };
    before.ttl != after.ttl || before.rdata.iter().any(|rdata| !recipe.lists(rdata))
}

/// What is left of a change that [comes from an edit](is_by_edit) while the edit is held: data that the file does not
/// list stays, and so does the TTL; the nodes that it lists come and go with their health.
#[must_use]
pub fn by_health(change: &Change, recipe: &Recipe) -> Option<Change> {
    let (before, after) = (change.before.as_ref()?, change.after.as_ref()?);
    let unlisted = before.rdata.iter().filter(|rdata| !recipe.lists(rdata));
    let rdata = unlisted.chain(&after.rdata).cloned().collect();
    let after = Rrset { ttl: before.ttl, rdata };
    (after != *before).then(|| Change { after: Some(after), ..change.clone() })
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
