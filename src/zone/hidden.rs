//! Names whose data are hidden by a DNAME, a delegation or a zone below: they are left as they are, and the rest of the
//! zone goes on.

use std::{borrow::Cow, collections::BTreeMap};

use super::{Owned, Scope, Seen, Turn, Zone, words};
use crate::{
    desired::Recipe,
    dns::{OwnerName, Rdata, RdataSet, Rrset, RrsetId, Ttl},
    plan::{self, Change, Plan, Rrsets},
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

    /// The zone with what we own and do not see: nothing is changed there, so it is taken to stand as it did.
    pub(super) fn with_hidden<'a>(&self, published: &'a Rrsets) -> Cow<'a, Rrsets> {
        let Some(seen) = self.seen.as_ref().filter(|seen| !seen.hidden.is_empty()) else {
            return Cow::Borrowed(published);
        };
        let unseen =
            self.hidden_owned(seen).map(|(id, rdata)| (id.clone(), Rrset { ttl: Ttl(0), rdata: rdata.clone() }));
        Cow::Owned(unseen.chain(published.iter().map(|(id, set)| (id.clone(), set.clone()))).collect())
    }

    /// What we own and do not see.
    pub(super) fn hidden_owned<'a>(&'a self, seen: &'a Seen) -> impl Iterator<Item = (&'a RrsetId, &'a RdataSet)> {
        self.memory.owned.iter().filter(|(id, _)| seen.is_hidden(id))
    }

    /// What is to be deleted once it is not hidden any more: it is in no plan, for nothing is known of it now.
    pub(super) fn hidden_leaving(
        &self,
        turn: Turn<'_>,
        recipes: &BTreeMap<RrsetId, Recipe>,
    ) -> BTreeMap<&RrsetId, (&RdataSet, &Occlusion)> {
        let Some(seen) = self.seen.as_ref().filter(|seen| !seen.hidden.is_empty()) else { return BTreeMap::new() };
        let goes = self.owned_after(turn, recipes);
        let leaving = self.memory.owned.iter().filter(|(id, _)| goes.contains_key(*id) && !recipes.contains_key(*id));
        leaving.filter_map(|(id, data)| Some((id, (data, seen.hidden.get(&id.owner)?)))).collect()
    }

    /// What is told of it, where it is to be deleted at all.
    pub(super) fn hidden_until(&self, turn: Turn<'_>, recipes: &BTreeMap<RrsetId, Recipe>) -> Option<String> {
        let leaving = self.hidden_leaving(turn, recipes);
        let (id, (_, why)) = leaving.first_key_value().filter(|_| *turn.scope == Scope::Everything)?;
        Some(words::hidden_until(id, why))
    }
}

/// Takes out of a plan what is hidden, and says why. An exchange whose name is hidden leaves an MX like any other. named
/// adds it if the zone has addresses for it that are hidden, those that we `own`, but refuses it below a DNAME (measured).
pub(super) fn leave_out(plan: &mut Plan, hidden: &Hidden, owned: &Owned, recipes: &BTreeMap<RrsetId, Recipe>) {
    if hidden.is_empty() {
        return;
    }
    let is_refused =
        |(name, why): &(&OwnerName, &Occlusion)| matches!(why, Occlusion::Dname(_)) || !plan::has_address(owned, name);
    let refused: BTreeMap<_, _> = hidden.iter().filter(is_refused).collect();
    let mut withheld = BTreeMap::new();
    plan.changes
        .retain_mut(|change| !hidden.contains_key(&change.id.owner) && withhold(change, &refused, &mut withheld));
    plan.blocked.extend(withheld);
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

/// Takes the exchanges that named refuses out of what a change adds, and says so; whether anything is left of the change.
fn withhold(
    change: &mut Change,
    refused: &BTreeMap<&OwnerName, &Occlusion>,
    withheld: &mut BTreeMap<RrsetId, String>,
) -> bool {
    let Some(after) = &mut change.after else { return true };
    let is_there = |rdata: &Rdata| change.before.as_ref().is_some_and(|before| before.rdata.contains(rdata));
    let what_hides = |rdata: &Rdata| {
        let exchange = plan::exchange(rdata).filter(|_| !is_there(rdata))?;
        refused.get(exchange).map(|why| (exchange.clone(), *why))
    };
    let Some((exchange, why)) = after.rdata.iter().find_map(what_hides) else { return true };
    let words = format!("{}: {exchange} is not added, for it {why}", change.id);
    after.rdata = after.rdata.iter().filter(|rdata| what_hides(rdata).is_none()).cloned().collect();
    withheld.insert(change.id.clone(), words);
    !after.rdata.is_empty() && change.after != change.before
}
