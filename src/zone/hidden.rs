//! Names whose data are hidden by a DNAME, a delegation or a zone below: they are left as they are, and the rest of the
//! zone goes on.

use std::collections::BTreeMap;

use super::{Seen, Turn, Zone};
use crate::{
    desired::Recipe,
    dns::{OwnerName, RdataSet, RrsetId},
    plan::{self, Change, Plan},
    text,
    update::Occlusion,
};

/// Names, and what hides each.
pub(super) type Hidden = BTreeMap<OwnerName, Occlusion>;

impl Seen {
    /// Whether nothing is known of the set at present.
    pub(super) fn is_hidden(&self, id: &RrsetId) -> bool {
        self.hidden.contains_key(&id.owner)
    }
}

impl Zone {
    /// Whether it is read again at each look: the cause can go away without a new serial.
    pub(super) fn hides(&self, turn: Turn<'_>) -> bool {
        self.must_look(turn.now) && self.seen.as_ref().is_some_and(|seen| !seen.hidden.is_empty())
    }

    /// What we own and do not see.
    pub(super) fn hidden_owned<'a>(&'a self, seen: &'a Seen) -> impl Iterator<Item = (&'a RrsetId, &'a RdataSet)> {
        self.memory.owned.iter().filter(|(id, _)| seen.is_hidden(id))
    }
}

/// Takes out of a plan what is hidden, and says why. An exchange whose name is hidden is neither added nor removed,
/// because nobody can tell whether it has addresses.
pub(super) fn leave_out(plan: &mut Plan, hidden: &Hidden, recipes: &BTreeMap<RrsetId, Recipe>) {
    if hidden.is_empty() {
        return;
    }
    plan.changes.retain_mut(|change| !hidden.contains_key(&change.id.owner) && keep_exchanges(change, hidden));
    let mut names: BTreeMap<&Occlusion, Vec<&RrsetId>> = BTreeMap::new();
    for id in recipes.keys() {
        if let Some(why) = hidden.get(&id.owner) {
            names.entry(why).or_default().push(id);
        }
    }
    for (why, ids) in names {
        let Some(first) = ids.first() else { continue };
        let others = match ids.len() - 1 {
            0 => String::new(),
            more => format!(", like {} more in the zone,", text::count(more)),
        };
        plan.blocked.insert((*first).clone(), format!("{first}{others} {why}"));
    }
}

/// Whether anything is left of the change.
fn keep_exchanges(change: &mut Change, hidden: &Hidden) -> bool {
    let Some(after) = &mut change.after else { return true };
    let is_hidden = |rdata: &_| plan::exchange(rdata).is_some_and(|exchange| hidden.contains_key(exchange));
    let before = change.before.iter().flat_map(|set| &set.rdata);
    if !before.clone().chain(&after.rdata).any(is_hidden) {
        return true;
    }
    let stays = before.filter(|rdata| is_hidden(rdata));
    after.rdata = stays.chain(after.rdata.iter().filter(|rdata| !is_hidden(rdata))).cloned().collect();
    !after.rdata.is_empty() && change.after != change.before
}
