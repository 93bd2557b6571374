//! Whose a zone is, and what in it is ours.

use std::collections::BTreeMap;

use super::{Identity, Seen, Turn, Zone, words};
use crate::{
    desired::Recipe,
    dns::{Rdata, RrsetId},
    layout,
    status::ZoneState,
    update::{GenerationRecord, GenerationRrset},
};

impl Zone {
    /// Whether the generation of its record cannot grow any more: nobody can take it over.
    #[must_use]
    pub fn is_at_the_end(&self) -> bool {
        let record = self.seen.as_ref().and_then(|seen| seen.generation.record());
        record.is_some_and(|record| record.generation == u64::MAX)
    }

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
        if let Some(record) = seen.generation.record().filter(|record| record.generation == u64::MAX) {
            return Some((ZoneState::Foreign, words::cannot_grow(&self.name, record)));
        }
        if self.adopt {
            return None;
        }
        match &seen.generation {
            GenerationRrset::Absent => {
                let foreign = recipes.keys().filter(|id| !self.memory.owned.contains_key(*id)).find_map(|id| {
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

    /// Whether the record alone is to be written: the zone is as it should be, but not marked as ours yet. One that an
    /// operator takes over is marked even while nothing is published in it: what strangers put there later is theirs.
    pub(super) fn claims(&self, seen: &Seen, recipes: &BTreeMap<RrsetId, Recipe>) -> bool {
        let marked = seen.generation.record().is_some();
        self.adopt || !marked && recipes.keys().any(|id| seen.rrsets.contains_key(id))
    }
}

/// Whether a record is our own.
pub(super) fn is_me(record: &GenerationRecord, me: &Identity) -> bool {
    record.cluster == me.cluster && record.owner == me.owner
}

/// The generation of a record of our own. `None` as well for the highest number, after which no message can follow:
/// such a record is foreign.
pub(super) fn is_ours(record: &GenerationRrset, me: &Identity) -> Option<u64> {
    let record = record.record().filter(|record| is_me(record, me) && record.generation < u64::MAX)?;
    Some(record.generation)
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
