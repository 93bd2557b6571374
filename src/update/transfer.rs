//! A zone transfer (RFC 5936): one question that tells what otherwise takes one for each name.

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record, RecordType},
};

use super::{
    Unusable,
    generation::GenerationRecord,
    reading::{Reading, generation_in, name, query, rrsets_in, soa_of},
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

/// Whether the first message of the answer to [`transfer_query`] is the last, too: the zone's SOA stands at either end
/// (RFC 5936 section 2.2), and an error comes alone.
#[must_use]
pub fn is_whole(answer: &Message) -> bool {
    let is_soa = |record: &Record| matches!(record.data, RData::SOA(_));
    answer.response_code != ResponseCode::NoError
        || matches!(answer.answers.as_slice(), [first, .., last] if is_soa(first) && is_soa(last))
}

/// What the questions would tell of these owners, taken from a whole transfer. `None`: ask them. That is so where an
/// answer would not be the zone's own data, for they tell what is wrong.
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
    // Names below a delegation or a DNAME are in the transfer, and BIND answers otherwise for them.
    let is_cut = |(owner, records): &(&OwnerName, &Vec<&Record>)| {
        records.iter().any(|record| match record.record_type() {
            RecordType::NS => *owner != zone,
            rtype => rtype == RecordType::DNAME,
        })
    };
    let cuts: Vec<_> = held.iter().filter(is_cut).map(|(owner, _)| owner).collect();
    if owners.iter().chain([&record]).any(|name| cuts.iter().any(|cut| name.is_at_or_below(cut))) {
        return None;
    }
    let of = |owner: &OwnerName| held.get(owner).into_iter().flatten().copied();
    let generation = generation_in(&record, of(&record)).ok()?;
    let rrsets = owners.iter().flat_map(|owner| rrsets_in(owner, of(owner))).collect();
    Some(Reading { soa, generation, rrsets })
}
