//! What a plan must not do, whatever is wanted: leave a name bare, a target without address, data beside an alias. The
//! rails come last, and each once: what was held back before them may be what the rest depends on.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Plan, Rrsets, apply, exchange};
use crate::{
    desired::Recipe,
    dns::{OwnerName, Rdata, RdataSet, RrType, Rrset, RrsetId},
    text,
};

/// What the rails are judged by.
#[derive(Clone, Copy)]
pub struct Rails<'a> {
    /// What the file lists.
    pub recipes: &'a BTreeMap<RrsetId, Recipe>,
    /// What the zone holds at the names that we read.
    pub published: &'a Rrsets,
    /// The names at which it holds other types, in the way of a CNAME.
    pub others: &'a BTreeMap<OwnerName, String>,
    /// What we published before.
    pub owned: &'a BTreeMap<RrsetId, RdataSet>,
    /// Whether an MX outside of this zone points to a name.
    pub is_target_elsewhere: &'a dyn Fn(&OwnerName) -> bool,
}

impl Rails<'_> {
    /// Takes out of a plan what must not be done now.
    pub fn keep(&self, plan: &mut Plan) {
        keep_targets(plan, self);
        block_aliases(plan, self);
        keep_names(&mut plan.changes, self.published, self.recipes);
        keep_exchanges(plan, self);
        plan.changes.sort_by(|a, b| a.id.cmp(&b.id));
    }
}

/// Takes deletions out of a plan that would leave an MX without addresses: BIND would let it dangle (measured). Those
/// that another zone's MX keeps from going wait for that zone.
fn keep_targets(plan: &mut Plan, inputs: &Rails<'_>) {
    if plan.changes.iter().all(|change| change.after.is_some()) {
        return;
    }
    let mut after = inputs.published.clone();
    apply(&mut after, &plan.changes);
    let targets: BTreeSet<&OwnerName> = after.values().flat_map(|set| &set.rdata).filter_map(exchange).collect();
    let waiting = &mut plan.waiting;
    plan.changes.retain(|change| {
        let last_address = change.after.is_none()
            && matches!(change.id.rtype, RrType::A | RrType::Aaaa)
            && !has_address(&after, &change.id.owner);
        let waits = last_address && (inputs.is_target_elsewhere)(&change.id.owner);
        if waits {
            waiting.insert(change.id.clone());
        }
        !(waits || last_address && targets.contains(&change.id.owner))
    });
}

/// Takes exchanges out of a plan whose host records are not there and do not come with it: BIND refuses them, and the
/// whole message with them.
fn keep_exchanges(plan: &mut Plan, inputs: &Rails<'_>) {
    if plan.changes.iter().all(|change| change.id.rtype != RrType::Mx || change.after.is_none()) {
        return;
    }
    let mut after = inputs.published.clone();
    apply(&mut after, &plan.changes);
    plan.changes.retain_mut(|change| {
        let Some(set) = change.after.as_mut().filter(|_| change.id.rtype == RrType::Mx) else { return true };
        let was_there = |rdata: &Rdata| change.before.as_ref().is_some_and(|before| before.rdata.contains(rdata));
        let is_bare = |rdata: &Rdata| {
            exchange(rdata).is_some_and(|to| has_address(inputs.recipes, to) && !has_address(&after, to))
        };
        set.rdata = set.rdata.iter().filter(|rdata| was_there(rdata) || !is_bare(rdata)).cloned().collect();
        !set.rdata.is_empty() && change.before.as_ref() != Some(set)
    });
}

/// Whether a name has addresses among some sets.
#[must_use]
pub fn has_address<T>(sets: &BTreeMap<RrsetId, T>, owner: &OwnerName) -> bool {
    [RrType::A, RrType::Aaaa].into_iter().any(|rtype| sets.contains_key(&RrsetId { owner: owner.clone(), rtype }))
}

/// Takes deletions out of a plan that would leave a name of the file bare: an alias stays until the addresses that
/// replace it can come, and the other way round.
fn keep_names(changes: &mut Vec<Change>, published: &Rrsets, recipes: &BTreeMap<RrsetId, Recipe>) {
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
fn block_aliases(plan: &mut Plan, inputs: &Rails<'_>) {
    let goes = deleted(plan);
    let stands = |id: &RrsetId| inputs.published.contains_key(id) && !goes.contains(id);
    let others = |id: &RrsetId| inputs.others.get(&id.owner).filter(|_| id.rtype == RrType::Cname);
    let is_free = |id: &RrsetId| others(id).is_none() && !in_the_way(id).any(|id| stands(&id));
    let (free, blocked): (Vec<_>, Vec<_>) =
        std::mem::take(&mut plan.changes).into_iter().partition(|change| change.after.is_none() || is_free(&change.id));
    plan.changes = free;
    for Change { id, .. } in blocked {
        if let Some(ours) = in_the_way(&id).find(|id| stands(id) && inputs.goes_later(id)) {
            let words = format!(
                "{id}: {ours} stands in the way, which is ours and out of the file, but cannot go yet: nothing is to be done \
                 by hand"
            );
            plan.blocked.insert(id.clone(), words);
        } else if let Some(words) = inputs.beside(&id, &goes) {
            plan.foreign.insert(id.clone(), words);
        }
    }
}

fn deleted(plan: &Plan) -> BTreeSet<RrsetId> {
    plan.changes.iter().filter(|change| change.after.is_none()).map(|change| change.id.clone()).collect()
}

impl Rails<'_> {
    /// Notes in a plan what cannot come for data of strangers, whatever becomes of the plan.
    pub fn note_strangers(&self, plan: &mut Plan) {
        let goes = deleted(plan);
        let comes = plan.changes.iter().filter(|change| change.after.is_some());
        let found: Vec<_> =
            comes.filter_map(|change| Some((change.id.clone(), self.beside(&change.id, &goes)?))).collect();
        plan.foreign.extend(found);
    }

    /// Whether a set is ours and out of the file.
    fn goes_later(&self, id: &RrsetId) -> bool {
        self.owned.contains_key(id) && !self.recipes.contains_key(id)
    }

    /// What is told of a set that cannot come for the data of strangers in its way; `None`: there are none.
    fn beside(&self, id: &RrsetId, goes: &BTreeSet<RrsetId>) -> Option<String> {
        let others = self.others.get(&id.owner).filter(|_| id.rtype == RrType::Cname);
        let theirs = in_the_way(id).filter(|id| !goes.contains(id) && !self.goes_later(id));
        let theirs: Vec<_> = theirs.filter_map(|id| Some((self.published.get(&id)?, id))).collect();
        (others.is_some() || !theirs.is_empty()).then(|| beside(id, theirs, others))
    }
}

/// A set that cannot come, for the data of strangers that stand in its way: by type, and types that are not read.
fn beside(id: &RrsetId, theirs: Vec<(&Rrset, RrsetId)>, others: Option<&String>) -> String {
    let (mut held, mut adopt, mut types) = (Vec::new(), Vec::new(), Vec::new());
    for (set, id) in theirs {
        let data: Vec<_> = set.rdata.iter().map(ToString::to_string).collect();
        held.push(format!("{} {}", id.rtype, text::printable(&data.join(", "))));
        adopt.push(format!("`rotad adopt {id}`"));
        types.push(id.rtype.as_str());
    }
    held.extend(others.map(|types| format!("{types}, which rotad never deletes")));
    let owner = &id.owner;
    let what = match id.rtype {
        RrType::Cname => format!(
            "the name has other records, which rotad did not publish ({}), and BIND ignores a CNAME beside them",
            held.join("; ")
        ),
        _ => format!(
            "a CNAME exists at that name, which rotad did not publish ({}), and BIND ignores other records beside it",
            held.join("; ")
        ),
    };
    let adopt = match others {
        None => format!(
            ", run {} to take it over, which deletes it (the key needs {} for that)",
            adopt.join(" and "),
            grant(owner, &types)
        ),
        Some(_) => String::new(),
    };
    format!(
        "{id}: {what}: it is left as it is, and the rest of the zone goes on; delete it (nsupdate: update delete {owner}. TYPE){adopt}, or \
         take the name out of the file"
    )
}

/// The line of an `update-policy` that a change needs; the name of the key is not known here.
#[must_use]
pub fn grant(owner: &OwnerName, types: &[&str]) -> String {
    format!("`grant KEY name {owner} {};`", types.join(" "))
}

/// The `RRsets` that cannot stand beside this one (RFC 1034 section 3.6.2), as far as we read them.
pub fn in_the_way(id: &RrsetId) -> impl Iterator<Item = RrsetId> {
    let alias = id.rtype == RrType::Cname;
    RrType::ALL
        .into_iter()
        .filter(move |rtype| (*rtype == RrType::Cname) != alias)
        .map(|rtype| RrsetId { owner: id.owner.clone(), rtype })
}
