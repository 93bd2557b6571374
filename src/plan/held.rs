//! What is left of a plan while the edit that it comes from is held: what health wants of the sets that were there.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Plan, Rrsets, exchange};
use crate::{
    desired::Recipe,
    dns::{OwnerName, Rdata, RdataSet, RrType, Rrset, RrsetId},
};

/// Leaves of each change that comes from an edit what comes from health; whether there were any.
pub fn hold_edits(
    plan: &mut Plan,
    recipes: &BTreeMap<RrsetId, Recipe>,
    published: &Rrsets,
    (owned, missing): (&BTreeMap<RrsetId, RdataSet>, &BTreeMap<RrsetId, RdataSet>),
) -> bool {
    let (old, new): (Vec<_>, Vec<_>) = std::mem::take(&mut plan.changes)
        .into_iter()
        .partition(|change| change.before.is_some() || owned.contains_key(&change.id));
    let (by_edit, mut changes): (Vec<_>, Vec<_>) =
        old.into_iter().partition(|change| is_by_edit(change, recipes.get(&change.id)));
    changes.extend(by_edit.iter().filter_map(|change| by_health(change, recipes.get(&change.id)?)));
    // Whoever was neither published nor out joins by the edit: not yet.
    let mut has_joins = false;
    changes.retain_mut(|change| {
        let (Some(before), Some(after)) = (&change.before, &mut change.after) else { return true };
        let stays = |rdata: &&Rdata| before.rdata.contains(*rdata) || was_member((owned, missing), &change.id, rdata);
        let known: RdataSet = after.rdata.iter().filter(stays).cloned().collect();
        has_joins |= known != after.rdata;
        after.rdata = known;
        !after.rdata.is_empty() && after != before
    });
    // A node that joins an MX brings the addresses of its host along.
    let after = changes.iter().filter_map(|change| change.after.as_ref());
    let hosts: BTreeSet<OwnerName> = after.flat_map(|set| &set.rdata).filter_map(exchange).cloned().collect();
    let is_alias = |owner: &OwnerName| published.contains_key(&RrsetId { owner: owner.clone(), rtype: RrType::Cname });
    let (needed, others): (Vec<_>, Vec<_>) =
        new.into_iter().partition(|change| hosts.contains(&change.id.owner) && !is_alias(&change.id.owner));
    changes.extend(needed);
    plan.changes = changes;
    !by_edit.is_empty() || !others.is_empty() || has_joins
}

/// Whether some data were a member of a set before an edit: published, or out.
#[must_use]
pub fn was_member(
    (owned, missing): (&BTreeMap<RrsetId, RdataSet>, &BTreeMap<RrsetId, RdataSet>),
    id: &RrsetId,
    rdata: &Rdata,
) -> bool {
    [owned, missing].into_iter().any(|sets| sets.get(id).is_some_and(|set| set.contains(rdata)))
}

/// Whether a change comes from an edit of the file rather than from health: it deletes, it sets another TTL, or it
/// takes out data that the file does not list any more.
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
    if change.id.rtype == RrType::Cname {
        return None;
    }
    let unlisted = before.rdata.iter().filter(|rdata| !recipe.lists(rdata));
    let rdata = unlisted.chain(&after.rdata).cloned().collect();
    let after = Rrset { ttl: before.ttl, rdata };
    (after != *before).then(|| Change { after: Some(after), ..change.clone() })
}
