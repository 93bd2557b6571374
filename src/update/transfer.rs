//! A zone transfer (RFC 5936): one question that tells what otherwise takes one for each name.

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record, RecordType},
};

use super::{
    Unusable,
    generation::GenerationRecord,
    occlusion::{Occlusion, is_apex, possible_apexes},
    reading::{Reading, generation_in, name, others_in, query, rrsets_in, soa_of},
};
use crate::dns::OwnerName;

/// Asks for the whole zone.
///
/// # Errors
/// When the name has no wire form.
pub fn transfer_query(zone: &OwnerName) -> Result<Message, Unusable> {
    query(zone, RecordType::AXFR)
}

/// Whether a message asks for a transfer: its answer may be many messages, all with one id.
#[must_use]
pub fn is_transfer(asked: &Message) -> bool {
    asked.queries.iter().any(|query| query.query_type == RecordType::AXFR)
}

/// Whether a message asks for whatever there is in a zone or at a name.
#[must_use]
pub fn asks_for_all(asked: &Message) -> bool {
    asked.queries.iter().any(|query| matches!(query.query_type, RecordType::AXFR | RecordType::ANY))
}

/// Whether the first message of the answer to [`transfer_query`] is the last, too: the zone's SOA stands at either end
/// (RFC 5936 section 2.2), and an error comes alone.
#[must_use]
pub fn is_whole(answer: &Message) -> bool {
    let is_soa = |record: &Record| matches!(record.data, RData::SOA(_));
    answer.response_code != ResponseCode::NoError
        || matches!(answer.answers.as_slice(), [first, .., last] if is_soa(first) && is_soa(last))
}

/// What the questions would tell of these owners, taken from a whole transfer, but for zones below this one on the same
/// server: see [`possible_subzones`]. `None`: ask them. That is so where an answer would not be the zone's own data, for
/// they tell what is wrong.
#[must_use]
pub fn transferred(zone: &OwnerName, owners: &BTreeSet<OwnerName>, answer: &Message) -> Option<Reading> {
    if answer.response_code != ResponseCode::NoError || answer.truncation || !is_whole(answer) {
        return None;
    }
    let soa = soa_of(zone, answer).ok()?;
    let record = GenerationRecord::owner_name(zone).ok()?;
    let mut held: BTreeMap<OwnerName, Vec<&Record>> = BTreeMap::new();
    for record in &answer.answers {
        held.entry(name(&record.name)).or_default().push(record);
    }
    // What is hidden is in the transfer, too.
    let has = |name: &OwnerName, rtype| held.get(name).is_some_and(|all| all.iter().any(|r| r.record_type() == rtype));
    let hides = |owner: &OwnerName, at: &OwnerName| match () {
        () if at != zone && has(at, RecordType::NS) => Some(Occlusion::Delegation(at.clone())),
        () if at != owner && has(at, RecordType::DNAME) => Some(Occlusion::Dname(at.clone())),
        () => None,
    };
    // The highest one counts: it hides the others.
    let hidden = |owner: &OwnerName| {
        let above = owner.ancestors().map(OwnerName::from_presentation).filter(|name| name.is_at_or_below(zone));
        std::iter::once(owner.clone()).chain(above).filter_map(|at| hides(owner, &at)).last()
    };
    if hidden(&record).is_some() {
        return None;
    }
    let of = |owner: &OwnerName| held.get(owner).into_iter().flatten().copied();
    let generation = generation_in(&record, of(&record)).ok()?;
    let blocked: BTreeMap<_, _> = owners.iter().filter_map(|owner| Some((owner.clone(), hidden(owner)?))).collect();
    let open = || owners.iter().filter(|owner| !blocked.contains_key(*owner));
    let below_apex = open().filter(|owner| *owner != zone);
    let others = below_apex.filter_map(|owner| Some((owner.clone(), others_in(of(owner))?))).collect();
    let rrsets = open().flat_map(|owner| rrsets_in(owner, of(owner))).collect();
    Some(Reading { soa, generation, rrsets, others, blocked })
}

/// Which names could be zones of their own on the same server, which a transfer of the zone above does not tell: those that
/// the owners lie in, those of them that are domains of the file, and owners at which the zone above holds nothing, for
/// something is about to be put there. Of any other owner a later reading tells, which asks for each name.
#[must_use]
pub fn possible_subzones(
    zone: &OwnerName,
    owners: &BTreeSet<OwnerName>,
    domains: &[OwnerName],
    reading: &Reading,
) -> BTreeSet<OwnerName> {
    let holding: BTreeSet<&OwnerName> = reading.rrsets.keys().map(|id| &id.owner).collect();
    let is_open = |owner: &&OwnerName| !holding.contains(owner) && !reading.blocked.contains_key(*owner);
    let open = owners.iter().filter(|owner| owner.is_below(zone)).filter(is_open);
    let above = owners.iter().flat_map(|owner| possible_apexes(zone, owner).skip(1));
    above.chain(open.chain(domains).cloned()).collect()
}

/// Takes out what belongs to a sub-domain that its SOA shows to be a zone of its own.
pub fn leave_out_subzone(reading: &mut Reading, owners: &BTreeSet<OwnerName>, at: &OwnerName, answer: &Message) {
    if is_apex(at, answer) {
        reading.rrsets.retain(|id, _| !id.owner.is_at_or_below(at));
        reading.others.retain(|owner, _| !owner.is_at_or_below(at));
        for owner in owners.iter().filter(|owner| owner.is_at_or_below(at)) {
            // The deepest zone is the one that answers, whatever the zones above it hold.
            let is_deepest = |why: &Occlusion| !matches!(why, Occlusion::ChildZone(other) if other.is_below(at));
            if reading.blocked.get(owner).is_none_or(is_deepest) {
                reading.blocked.insert(owner.clone(), Occlusion::ChildZone(at.clone()));
            }
        }
    }
}
