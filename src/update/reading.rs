//! The questions that tell what a zone holds, and how their answers are read.

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};

use super::{
    generation::{GenerationRrset, Txt},
    message::{Unencodable, wire},
    occlusion::{Occlusion, is_soa_rewritten},
    verdict::rcode,
};
use crate::dns::{OwnerName, Rdata, RrType, Rrset, RrsetId, Ttl};

/// What a zone held when it was read: the generation first, so that a write between it and the rest fails at the guard.
///
/// BIND answers for a zone with `inline-signing` from its signed copy, which follows an update a moment later
/// (measured): a generation below one that is known to be applied means "read again".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The zone's SOA.
    pub soa: Soa,
    /// The generation record.
    pub generation: GenerationRrset,
    /// The A, AAAA, MX and CNAME `RRsets` of the owners that were asked for.
    pub rrsets: BTreeMap<RrsetId, Rrset>,
    /// The types that stand at a name beside those and leave no room for a CNAME (RFC 1034 section 3.6.2), as far as the
    /// server tells of them; of the apex, which has some always, nothing is noted.
    pub others: BTreeMap<OwnerName, String>,
    /// The names of those that were asked for whose data are hidden, and by what: nothing is known of them.
    pub blocked: BTreeMap<OwnerName, Occlusion>,
}

/// The parts of an SOA that matter here (RFC 1035 section 3.3.13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soa {
    /// SERIAL: moves with every change.
    pub serial: u32,
    /// MNAME: the primary, as the zone says.
    pub mname: OwnerName,
}

/// Why a signed answer says nothing of the zone's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// REFUSED.
    #[error(
        "named refuses the query (REFUSED): the zone is not served here, or `allow-query` leaves out this address or key"
    )]
    Refused,
    /// The answer is not authoritative, or has another zone's SOA.
    #[error("named does not serve the zone: define it in named.conf, or correct `bind.server`")]
    NotServed,
    /// Whether the zone is served is hidden.
    #[error("{0} {1}; until then the zone cannot be managed")]
    Hidden(OwnerName, Occlusion),
    /// The name that rotad needs for its record is hidden.
    #[error("{0}, which rotad needs for its TXT record, {1}; until then the zone cannot be managed")]
    Occluded(OwnerName, Occlusion),
    /// An alias stands where the generation record belongs; BIND would ignore the record in silence.
    #[error("{0} is a CNAME, and rotad needs this name for its TXT record: delete the CNAME")]
    Alias(OwnerName),
    /// The answer came cut.
    #[error("the answer about {0} is truncated")]
    Truncated(OwnerName),
    /// Any other code.
    #[error("named answers {0}; its log may have the cause")]
    Code(String),
    /// A name without wire form.
    #[error("{0}")]
    Unencodable(String),
}

impl Unusable {
    /// The mnemonic of BIND's answer, for the journal's `RCODE`.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused => "REFUSED",
            Self::Code(code) => code,
            Self::Hidden(_, why) | Self::Occluded(_, why) => why.code(),
            Self::NotServed | Self::Alias(_) | Self::Truncated(_) | Self::Unencodable(_) => "NOERROR",
        }
    }
}

impl From<Unencodable> for Unusable {
    fn from(error: Unencodable) -> Self {
        Self::Unencodable(error.to_string())
    }
}

/// Asks for the SOA of a zone.
///
/// # Errors
/// When the name has no wire form.
pub fn soa_query(zone: &OwnerName) -> Result<Message, Unusable> {
    query(zone, RecordType::SOA)
}

/// Asks for all that a name holds; what a server tells is its own choice (RFC 8482).
///
/// # Errors
/// When the name has no wire form.
pub fn any_query(owner: &OwnerName) -> Result<Message, Unusable> {
    query(owner, RecordType::ANY)
}

pub(super) fn query(name: &OwnerName, rtype: RecordType) -> Result<Message, Unusable> {
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(wire(name)?, rtype));
    Ok(message)
}

/// Reads the answer to [`soa_query`].
///
/// # Errors
/// [`Unusable`]: nothing is known of the zone.
pub fn soa_of(zone: &OwnerName, answer: &Message) -> Result<Soa, Unusable> {
    if let Some(why) = is_soa_rewritten(zone, answer) {
        return Err(Unusable::Hidden(zone.clone(), why));
    }
    // An NXDOMAIN here is the parent zone's.
    if answer.response_code == ResponseCode::NXDomain {
        return Err(Unusable::NotServed);
    }
    complete(zone, answer)?;
    let soa = answer.answers.iter().find_map(|record| match &record.data {
        RData::SOA(soa) if name(&record.name) == *zone => Some(soa),
        _ => None,
    });
    match soa {
        Some(soa) if answer.authoritative => Ok(Soa { serial: soa.serial, mname: name(&soa.mname) }),
        _ => Err(Unusable::NotServed),
    }
}

/// The generation record among the records of its name.
pub(super) fn generation_in<'a>(
    owner: &OwnerName,
    records: impl Iterator<Item = &'a Record>,
) -> Result<GenerationRrset, Unusable> {
    let mut raw = BTreeSet::new();
    for record in records {
        match &record.data {
            RData::TXT(txt) => {
                raw.insert(Txt(txt.txt_data.iter().map(|part| part.to_vec()).collect()));
            }
            RData::CNAME(_) => return Err(Unusable::Alias(owner.clone())),
            _ => {}
        }
    }
    Ok(GenerationRrset::new(raw))
}

/// The managed types among the records of a name.
pub(super) fn rrsets_in<'a>(
    owner: &OwnerName,
    records: impl Iterator<Item = &'a Record>,
) -> impl Iterator<Item = (RrsetId, Rrset)> {
    let mut found: BTreeMap<RrType, (Ttl, Vec<Rdata>)> = BTreeMap::new();
    for record in records {
        let Some(data) = data(&record.data) else { continue };
        found.entry(data.rtype()).or_insert_with(|| (Ttl(record.ttl), Vec::new())).1.push(data);
    }
    let owner = owner.clone();
    found.into_iter().map(move |(rtype, (ttl, rdata))| {
        (RrsetId { owner: owner.clone(), rtype }, Rrset { ttl, rdata: rdata.into_iter().collect() })
    })
}

/// The types among the records of a name that are not managed, and beside which no CNAME can stand: `TXT, SRV`.
pub(super) fn others_in<'a>(records: impl Iterator<Item = &'a Record>) -> Option<String> {
    // What signs a zone, or proves what it does not hold, stands beside an alias, too (RFC 4034 section 2.5, RFC 2181 10.1).
    let types = records.map(Record::record_type).filter(|rtype| {
        let is_managed = matches!(rtype, RecordType::A | RecordType::AAAA | RecordType::MX | RecordType::CNAME);
        !is_managed && !matches!(rtype, RecordType::RRSIG | RecordType::NSEC | RecordType::SIG | RecordType::KEY)
    });
    let types: BTreeSet<String> = types.map(|rtype| rtype.to_string()).collect();
    (!types.is_empty()).then(|| types.into_iter().collect::<Vec<_>>().join(", "))
}

fn data(data: &RData) -> Option<Rdata> {
    match data {
        RData::A(v4) => Some(Rdata::A(v4.0)),
        RData::AAAA(v6) => Some(Rdata::Aaaa(v6.0)),
        RData::MX(mx) => Some(Rdata::Mx { preference: mx.preference, exchange: name(&mx.exchange) }),
        RData::CNAME(target) => Some(Rdata::Cname(name(&target.0))),
        _ => None,
    }
}

pub(super) fn name(name: &Name) -> OwnerName {
    OwnerName::from_labels(name.iter())
}

/// Whether a name on the wire is this one.
pub(super) fn same_name(wire: &Name, name: &OwnerName) -> bool {
    let mut labels = wire.iter();
    name.labels().all(|label| labels.next().is_some_and(|other| other.eq_ignore_ascii_case(&label)))
        && labels.next().is_none()
}

fn complete(owner: &OwnerName, answer: &Message) -> Result<(), Unusable> {
    match answer.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain if answer.truncation => Err(Unusable::Truncated(owner.clone())),
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(()),
        ResponseCode::Refused => Err(Unusable::Refused),
        other => Err(Unusable::Code(rcode(other))),
    }
}
