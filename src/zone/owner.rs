//! Whose a zone is, and what in it is ours.

use std::{collections::BTreeMap, sync::Arc};

use super::{Identity, Owned, Seen, Turn, Zone, words};
use crate::{
    desired::Recipe,
    dns::{Rdata, RdataSet, RrsetId},
    layout,
    plan::{self, Change, Rrsets},
    status::ZoneState,
    update::{GenerationRecord, GenerationRrset},
};

impl Zone {
    /// An operator takes the zone over, whoever owns it.
    pub const fn adopt(&mut self) {
        self.adopt = true;
    }

    /// Whose the zone is, when it is not ours to write.
    pub(super) fn not_ours(
        &self,
        turn: Turn<'_>,
        seen: &Seen,
        recipes: &BTreeMap<RrsetId, Recipe>,
    ) -> Option<(ZoneState, String)> {
        if self.adopt {
            return None;
        }
        match &seen.generation {
            GenerationRrset::Absent => {
                let foreign = recipes.keys().filter(|id| !self.owned.contains_key(*id)).find_map(|id| {
                    let set = seen.rrsets.get(id)?;
                    let stranger = set.rdata.iter().find(|rdata| !is_known(turn, id, rdata))?;
                    Some(words::foreign(&self.name, id, stranger))
                });
                foreign.map(|words| (ZoneState::Foreign, words))
            }
            GenerationRrset::Present { record: None, .. } => {
                Some((ZoneState::Foreign, words::foreign_record(&self.name)))
            }
            GenerationRrset::Present { record: Some(record), .. } if record.cluster != turn.me.cluster => {
                Some((ZoneState::Foreign, words::other_cluster(&self.name, record)))
            }
            GenerationRrset::Present { record: Some(record), .. } if !is_me(record, turn.me) => {
                Some((ZoneState::Standby, words::other_owner(&self.name, record)))
            }
            GenerationRrset::Present { .. } if self.twin => Some((ZoneState::Standby, words::twin(&self.name))),
            GenerationRrset::Present { .. } => None,
        }
    }

    /// Whether the record alone is to be written: the zone is as it should be, but not marked as ours yet.
    pub(super) fn claims(&self, seen: &Seen, recipes: &BTreeMap<RrsetId, Recipe>) -> bool {
        let marked = seen.generation.record().is_some() && !self.adopt;
        !marked && recipes.keys().any(|id| seen.rrsets.contains_key(id))
    }

    /// Notes what a message of ours is known to have changed.
    pub(super) fn own<'a>(&mut self, changes: impl Iterator<Item = &'a Change>) {
        let mut owned = Owned::clone(&self.owned);
        for change in changes {
            match &change.after {
                Some(set) => owned.insert(change.id.clone(), set.rdata.clone()),
                None => owned.remove(&change.id),
            };
        }
        self.owned = keep(&self.owned, owned);
    }
}

/// What is ours: what we published and still stands, and what the file lists and holds nothing but data of ours. A
/// stranger's data never becomes ours by standing at a name of the file: it would be deleted with the name.
pub(super) fn remember(
    owned: &mut Arc<Owned>,
    turn: Turn<'_>,
    published: &Rrsets,
    recipes: &BTreeMap<RrsetId, Recipe>,
) {
    let holds = |id: &RrsetId, ours: &_| {
        published.get(id).filter(|set| plan::is_ours(id, set, ours, &|id, rdata| is_known(turn, id, rdata)))
    };
    let still_ours = |(id, ours): (&RrsetId, &RdataSet)| match holds(id, ours) {
        Some(set) => Some((id.clone(), set.rdata.clone())),
        None => (published.contains_key(id) && recipes.contains_key(id)).then(|| (id.clone(), ours.clone())),
    };
    let listed = recipes.keys().filter(|id| !owned.contains_key(*id));
    let listed = listed.filter_map(|id| Some((id.clone(), holds(id, &RdataSet::default())?.rdata.clone())));
    let now = owned.iter().filter_map(still_ours).chain(listed).collect();
    *owned = keep(owned, now);
}

/// The newer one, but the old pointer if nothing changed: who saves it looks for another pointer.
fn keep(old: &Arc<Owned>, new: Owned) -> Arc<Owned> {
    if **old == new { Arc::clone(old) } else { Arc::new(new) }
}

/// Whether a record is our own.
pub(super) fn is_me(record: &GenerationRecord, me: &Identity) -> bool {
    record.cluster == me.cluster && record.owner == me.owner
}

/// Whether data belongs to this cluster: a node's address, an exchange or an alias of the file.
pub(super) fn is_known(turn: Turn<'_>, id: &RrsetId, rdata: &Rdata) -> bool {
    let cluster = turn.cluster;
    match rdata {
        Rdata::A(v4) => cluster.nodes.values().any(|node| node.addresses.contains(&(*v4).into())),
        Rdata::Aaaa(v6) => cluster.nodes.values().any(|node| node.addresses.contains(&(*v6).into())),
        Rdata::Mx { exchange, .. } => layout::all_exchanges(cluster, &id.owner).any(|known| known == *exchange),
        Rdata::Cname(target) => cluster.services.values().any(|service| service.is_alias_of(target)),
    }
}
