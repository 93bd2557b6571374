//! What somebody else has changed in a managed set, and what becomes of it.

use std::{borrow::Cow, collections::BTreeSet};

use super::{Turn, Zone, words};
use crate::{
    dns::{Rrset, RrsetId},
    event::{Event, Kind},
    plan::{Plan, rails::Rails},
    update::Reading,
};

impl Zone {
    /// Managed `RRsets` that are no longer what we last saw there: somebody edited them by hand.
    pub(super) fn drift(&self, turn: Turn<'_>, reading: &Reading) -> Vec<Event> {
        let Some(seen) = &self.believed else { return Vec::new() };
        let (believed, now) = (&seen.rrsets, &reading.rrsets);
        let recipes = turn.recipes();
        let under_way: BTreeSet<_> = self.pending.changes().map(|change| &change.id).collect();
        let managed = recipes.keys().filter(|id| self.memory.owned.contains_key(*id) && !under_way.contains(id));
        let visible = managed.filter(|id| !seen.is_hidden(id) && !reading.blocked.contains_key(&id.owner));
        let edited: Vec<_> = visible.filter(|id| believed.get(*id) != now.get(*id)).collect();
        if edited.is_empty() {
            return Vec::new();
        }
        let wanted = self.wanted(turn, now, &recipes, &self.strangers(turn, now, &recipes));
        let mut plan = wanted.clone();
        Rails { others: &reading.others, ..self.rails(turn, now, &recipes) }.keep(&mut plan);
        let events = edited
            .into_iter()
            .map(|id| self.edited(id, (believed.get(id), now.get(id)), &then(turn, id, &wanted, &plan)));
        events.collect()
    }

    /// Tells of an edit by hand, and what becomes of it.
    pub(super) fn edited(&self, id: &RrsetId, sets: (Option<&Rrset>, Option<&Rrset>), then: &str) -> Event {
        let (before, after) = words::from_to(sets.0, sets.1);
        let words = format!("{id} was changed by somebody else, from {before} to {after}: {then}");
        Event::new(Kind::Drift, words).zone(&self.name).rrset(id)
    }
}

/// What becomes of a set that was edited by hand: in the plan as wanted, and as the rails let it be.
fn then(turn: Turn<'_>, id: &RrsetId, wanted: &Plan, plan: &Plan) -> Cow<'static, str> {
    let is_in = |plan: &Plan| plan.changes.iter().any(|change| change.id == *id);
    if is_in(plan) {
        return is_put_back(turn).into();
    }
    if let Some(why) = plan.foreign.get(id).or_else(|| plan.blocked.get(id)) {
        return format!("it cannot be put back: {}", why.strip_prefix(&format!("{id}: ")).unwrap_or(why)).into();
    }
    if is_in(wanted) {
        return "it is put back as soon as the names that it points to have an address again".into();
    }
    "that is what it should be, or may be for now".into()
}

pub(super) const fn is_put_back(turn: Turn<'_>) -> &'static str {
    if turn.may_write { "it is put back" } else { "it is put back once rotad may write again" }
}

/// Whether both tell of an edit of one set.
pub(super) fn is_drift_of(told: &Event, event: &Event) -> bool {
    told.kind == Kind::Drift && (&told.owner, told.rrtype) == (&event.owner, event.rrtype)
}
