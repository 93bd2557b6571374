//! Questions that change nothing: what a key may change, and whether a server is a zone's primary.

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{
        RData, RecordType,
        rdata::opt::{EdnsCode, EdnsOption},
    },
};

use super::{
    Unusable,
    generation::GenerationRecord,
    message::{Unencodable, delete_rrset, record_type, records, rrset_does_not_exist, wire},
    reading::soa_query,
};
use crate::dns::{OwnerName, RdataSet, RrsetId, Ttl};

/// Asks for permission to change these `RRsets`, and with `record` the generation record.
///
/// The message requires that the zone has no SOA, which is false for ever. BIND looks at every permission first:
/// [`GuardFailed`](super::Verdict::GuardFailed) means "allowed", [`Refused`](super::Verdict::Refused) "not allowed", and
/// nothing is changed either way (measured). Without any `RRset` it asks whether the zone takes updates at all.
///
/// # Errors
/// When a name has no wire form.
pub fn permission_query(zone: &OwnerName, record: bool, ids: &[RrsetId]) -> Result<Message, Unencodable> {
    let mut message = Message::new(0, MessageType::Query, OpCode::Update);
    message.add_query(Query::query(wire(zone)?, RecordType::SOA));
    message.add_answer(rrset_does_not_exist(wire(zone)?, RecordType::SOA));
    if record {
        message.add_authority(delete_rrset(wire(&GenerationRecord::owner_name(zone)?)?, RecordType::TXT));
    }
    for id in ids {
        message.add_authority(delete_rrset(wire(&id.owner)?, record_type(id.rtype)));
    }
    Ok(message)
}

/// Asks whether these `RRsets` would be taken, by the same false requirement: what BIND finds wrong with a name or its data
/// before it looks at requirements, as `check-names` does, is [`Refused`](super::Verdict::Refused) (measured).
///
/// # Errors
/// When a name has no wire form.
pub fn trial_query<'a>(
    zone: &OwnerName,
    sets: impl IntoIterator<Item = (&'a RrsetId, &'a RdataSet)>,
) -> Result<Message, Unencodable> {
    let mut message = permission_query(zone, false, &[])?;
    for (id, rdata) in sets {
        message.add_authorities(records(&wire(&id.owner)?, Ttl(0), rdata)?);
    }
    Ok(message)
}

/// Whether a server is a zone's primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The zone's data are its own.
    Primary,
    /// They are a copy, which expires in so many seconds unless it is refreshed.
    Secondary(u32),
}

/// Asks for the SOA, and with EDNS EXPIRE (RFC 7314) when the server's copy of the zone expires.
///
/// # Errors
/// When the name has no wire form.
pub fn role_query(zone: &OwnerName) -> Result<Message, Unusable> {
    let mut message = soa_query(zone)?;
    let mut edns = Edns::new();
    edns.options_mut().insert(EdnsOption::Unknown(EdnsCode::Expire.into(), Vec::new()));
    message.set_edns(edns);
    Ok(message)
}

/// Reads the answer to [`role_query`]: a primary tells its SOA's EXPIRE, a secondary what is left of it, which is the
/// same in the second in which it was refreshed. `None`: the server does not say.
#[must_use]
pub fn role_of(answer: &Message) -> Option<Role> {
    let whole = answer.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => u32::try_from(soa.expire).ok(),
        _ => None,
    })?;
    let EdnsOption::Unknown(_, left) = answer.edns.as_ref()?.option(EdnsCode::Expire)? else { return None };
    let left = u32::from_be_bytes(left.as_slice().try_into().ok()?);
    Some(if left == whole { Role::Primary } else { Role::Secondary(left) })
}

/// When an answer was signed, by the server's clock, in seconds since 1970-01-01 UTC.
#[must_use]
pub fn time_signed(answer: &Message) -> Option<u64> {
    Some(answer.signature()?.data.time)
}
