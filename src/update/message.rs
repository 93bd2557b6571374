//! RFC 2136 messages.

use std::collections::{BTreeMap, HashSet};

use hickory_proto::{
    ProtoError,
    op::{Message, MessageType, OpCode, Query},
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{self, TXT},
    },
    serialize::binary::BinDecodable,
};

use super::generation::{GenerationRecord, GenerationRrset, Txt};
use crate::{
    dns::{NameError, OwnerName, Rdata, RrType, Ttl},
    plan::{self, Change},
};

/// Octets of records in one message at most: TCP carries 65,535, and header, prerequisite and signature want room.
const ROOM: usize = 60 * 1024;

/// One message to one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The zone.
    pub zone: OwnerName,
    /// What the message requires (RFC 2136 section 2.4): the generation record as last read.
    pub guard: GenerationRrset,
    /// The generation record that it writes.
    pub record: GenerationRecord,
    /// What else it changes.
    pub changes: Vec<Change>,
    /// Whether it also requires that each set it changes holds what was read there, or is not there if nothing was: what
    /// somebody put there since is not deleted. Not where what is read may be other than what BIND updates.
    pub exact: bool,
    /// Whether it takes the generation record away instead: nothing is left to manage in the zone.
    pub is_last: bool,
}

/// A message that has no wire form.
#[derive(Debug, thiserror::Error)]
pub enum Unencodable {
    /// A name is no domain name.
    #[error("\"{name}\" has no wire form")]
    Name {
        /// The name.
        name: String,
        /// What hickory says.
        source: ProtoError,
    },
    /// The zone's name leaves no room for `_rotad`.
    #[error("the zone's name leaves no room for the generation record")]
    Generation(#[from] NameError),
}

impl Update {
    /// The message, unsigned and with id 0.
    ///
    /// All deletions come before all additions, and addresses before the MX that need them: BIND applies the records
    /// in order but shows nobody a state in between, and replacing an `RRset` by itself moves no serial (measured).
    ///
    /// Where the sets are required and a few records of one differ, they alone are written: BIND takes much longer over a
    /// record that it changes than over one that it compares (measured).
    ///
    /// # Errors
    /// [`Unencodable`] when a name that was read from a zone cannot be written back.
    pub fn message(&self) -> Result<Message, Unencodable> {
        let mut message = Message::new(0, MessageType::Query, OpCode::Update);
        let zone = wire(&self.zone)?;
        let generation = wire(&GenerationRecord::owner_name(&self.zone)?)?;
        message.add_query(Query::query(zone, RecordType::SOA));
        match &self.guard {
            GenerationRrset::Absent => {
                message.add_answer(rrset_does_not_exist(generation.clone(), RecordType::TXT));
            }
            GenerationRrset::Present { raw, .. } => {
                message.add_answers(raw.iter().map(|txt| txt_record(&generation, txt)));
            }
        }
        for owner in self.alone() {
            let name = wire(owner)?;
            message.add_answers(self.nothing_else(owner).map(|rtype| rrset_does_not_exist(name.clone(), rtype)));
        }
        message.add_authority(delete_rrset(generation.clone(), RecordType::TXT));
        let mut added = Vec::with_capacity(self.changes.len());
        for change in &self.changes {
            let owner = wire(&change.id.owner)?;
            let required = self.exact.then(|| required(&owner, change)).flatten();
            let is_required = required.is_some();
            message.add_answers(required.into_iter().flatten());
            if let Some(difference) = Difference::of(change).filter(|_| is_required) {
                message.add_authorities(records(&owner, Ttl(0), difference.gone)?.into_iter().map(delete_record));
                added.push((change.id.rtype, owner, difference.ttl, difference.new));
            } else {
                message.add_authority(delete_rrset(owner.clone(), record_type(change.id.rtype)));
                if let Some(rrset) = &change.after {
                    added.push((change.id.rtype, owner, rrset.ttl, rrset.rdata.iter().collect()));
                }
            }
        }
        if !self.is_last {
            message.add_authority(txt_record(&generation, &Txt::from(&self.record)));
        }
        // The order of types puts A and AAAA before MX.
        added.sort_by_key(|(rtype, ..)| *rtype);
        for (_, owner, ttl, rdata) in added {
            message.add_authorities(records(&owner, ttl, rdata)?);
        }
        Ok(message)
    }

    /// Names at which an alias takes the place of what is deleted. BIND ignores an alias beside anything else, and the name
    /// would be left bare by what somebody has put there since it was read: nothing else may be there.
    pub(crate) fn alone(&self) -> impl Iterator<Item = &OwnerName> {
        let aliases = self.changes.iter().filter(|change| change.id.rtype == RrType::Cname && change.after.is_some());
        let is_replaced = |owner: &OwnerName| self.changes.iter().any(|c| c.id.owner == *owner && c.after.is_none());
        aliases.map(|change| &change.id.owner).filter(move |owner| self.exact && is_replaced(owner))
    }

    /// The types that such a name must not have, beside those that the message changes.
    pub(super) fn nothing_else<'a>(&'a self, owner: &'a OwnerName) -> impl Iterator<Item = RecordType> + 'a {
        let is_changed = |rtype: RrType| self.changes.iter().any(|c| c.id.owner == *owner && c.id.rtype == rtype);
        let ours = RrType::ALL.into_iter().filter(move |rtype| !is_changed(*rtype)).map(record_type);
        BESIDE.into_iter().chain(ours)
    }

    /// The sets that must hold this, or not be there, or BIND changes nothing.
    #[cfg(test)]
    pub(crate) fn required(&self) -> impl Iterator<Item = (&crate::dns::RrsetId, Option<&crate::dns::RdataSet>)> {
        let all = self.changes.iter().filter(|_| self.exact);
        all.map(|change| (&change.id, change.before.as_ref().map(|set| &set.rdata)))
    }

    /// Cuts what does not fit in one message into several that follow one another, each a generation step of its own.
    ///
    /// Changes that need each other stay together: those of one owner name, and an MX with the addresses of its
    /// exchanges. Where even such a group is too large, new addresses go first and deleted ones last, so that no MX
    /// ever points at nothing.
    #[must_use]
    pub fn split(self) -> Vec<Self> {
        if self.changes.iter().map(octets).sum::<usize>() <= ROOM {
            return vec![self];
        }
        let Self { zone, mut guard, mut record, changes, exact, is_last } = self;
        let mut parts = Vec::new();
        for changes in pack(changes) {
            let next = record.next();
            let after = GenerationRrset::from(&record);
            parts.push(Self { zone: zone.clone(), guard, record, changes, exact, is_last });
            (guard, record) = (after, next);
        }
        parts
    }
}

/// What people put beside addresses: there is no prerequisite for "any other type" (RFC 2136 section 2.4).
const BESIDE: [RecordType; 19] = [
    RecordType::TXT,
    RecordType::SRV,
    RecordType::NS,
    RecordType::PTR,
    RecordType::CAA,
    RecordType::TLSA,
    RecordType::SSHFP,
    RecordType::HTTPS,
    RecordType::SVCB,
    RecordType::NAPTR,
    RecordType::HINFO,
    RecordType::OPENPGPKEY,
    RecordType::CERT,
    // AFSDB, RP, LOC, DNAME, SPF, URI.
    RecordType::Unknown(18),
    RecordType::Unknown(17),
    RecordType::Unknown(29),
    RecordType::Unknown(39),
    RecordType::Unknown(99),
    RecordType::Unknown(256),
];

/// Orders changes so that any first part of them may go alone: BIND then never has an MX that points at nothing.
#[must_use]
pub fn in_safe_order(changes: Vec<Change>) -> Vec<Change> {
    groups(changes).into_iter().flatten().collect()
}

/// Packs groups of changes into messages, in order. At least one message, though it be without changes.
fn pack(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut messages = vec![Vec::new()];
    let mut used = 0;
    for group in groups(changes) {
        let size = group.iter().map(octets).sum::<usize>();
        // A group that fits nowhere is cut between changes; any other is put down whole.
        let pieces = if size > ROOM { group.into_iter().map(|change| vec![change]).collect() } else { vec![group] };
        for piece in pieces {
            let size = piece.iter().map(octets).sum::<usize>();
            if used + size > ROOM && used > 0 {
                messages.push(Vec::new());
                used = 0;
            }
            used += size;
            if let Some(message) = messages.last_mut() {
                message.extend(piece);
            }
        }
    }
    messages
}

/// Sorts changes into groups that must travel together, each group in the order that is safe if it must be cut.
fn groups(changes: Vec<Change>) -> Vec<Vec<Change>> {
    // Each name points towards the name that stands for its group.
    let mut leaders: BTreeMap<OwnerName, OwnerName> = BTreeMap::new();
    let owners: HashSet<&OwnerName> = changes.iter().map(|change| &change.id.owner).collect();
    for change in &changes {
        for exchange in exchanges(change).filter(|exchange| owners.contains(exchange)) {
            let (one, other) = (leader(&leaders, &change.id.owner), leader(&leaders, exchange));
            if one != other {
                leaders.insert(one, other);
            }
        }
    }
    let mut groups: BTreeMap<OwnerName, Vec<Change>> = BTreeMap::new();
    for change in changes {
        groups.entry(leader(&leaders, &change.id.owner)).or_default().push(change);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    for group in &mut groups {
        group.sort_by_key(|change| match (change.id.rtype, &change.after) {
            (RrType::Cname, None) => 0,
            (RrType::A | RrType::Aaaa, Some(_)) => 1,
            (RrType::Mx, _) => 2,
            (RrType::A | RrType::Aaaa, None) => 3,
            (RrType::Cname, Some(_)) => 4,
        });
    }
    groups
}

fn leader(leaders: &BTreeMap<OwnerName, OwnerName>, name: &OwnerName) -> OwnerName {
    let mut at = name;
    while let Some(next) = leaders.get(at) {
        at = next;
    }
    at.clone()
}

/// The exchanges that an MX change names, before and after.
fn exchanges(change: &Change) -> impl Iterator<Item = &OwnerName> {
    [&change.before, &change.after].into_iter().flatten().flat_map(|rrset| &rrset.rdata).filter_map(plan::exchange)
}

/// What differs between two states of a set, if that is less than to replace it.
struct Difference<'a> {
    ttl: Ttl,
    gone: Vec<&'a Rdata>,
    new: Vec<&'a Rdata>,
}

impl<'a> Difference<'a> {
    fn of(change: &'a Change) -> Option<Self> {
        let (before, after) = (change.before.as_ref()?, change.after.as_ref()?);
        let gone: Vec<_> = before.rdata.difference(&after.rdata).collect();
        let new: Vec<_> = after.rdata.difference(&before.rdata).collect();
        let is_less = gone.len() + new.len() < 1 + after.rdata.len();
        // A prerequisite says nothing of the TTL, which is one for the whole set.
        (before.ttl == after.ttl && is_less).then_some(Self { ttl: after.ttl, gone, new })
    }
}

/// The octets of a change's records without name compression: an upper bound.
fn octets(change: &Change) -> usize {
    let record = change.id.owner.as_str().len() + 2 + 10;
    let data = |data: &Rdata| match data {
        Rdata::A(_) => 4,
        Rdata::Aaaa(_) => 16,
        Rdata::Mx { exchange, .. } => exchange.as_str().len() + 4,
        Rdata::Cname(target) => target.as_str().len() + 2,
    };
    let all = |set: &mut dyn Iterator<Item = &Rdata>| set.map(|rdata| record + data(rdata)).sum::<usize>();
    let required = change.before.as_ref().map_or(record, |before| all(&mut before.rdata.iter()));
    let changed = match Difference::of(change) {
        Some(Difference { gone, new, .. }) => all(&mut gone.into_iter().chain(new)),
        None => record + all(&mut change.after.iter().flat_map(|rrset| &rrset.rdata)),
    };
    let is_alias = change.id.rtype == RrType::Cname && change.after.is_some();
    let alone = if is_alias { record * (BESIDE.len() + RrType::ALL.len()) } else { 0 };
    required + changed + alone
}

/// What a change requires of its set: RFC 2136 section 2.4.2 or 2.4.3. `None`: it has no wire form, so it cannot be there.
fn required(owner: &Name, change: &Change) -> Option<Vec<Record>> {
    match &change.before {
        Some(before) => records(owner, Ttl(0), &before.rdata).ok(),
        None => Some(vec![rrset_does_not_exist(owner.clone(), record_type(change.id.rtype))]),
    }
}

/// RFC 2136 section 2.4.3.
pub(super) fn rrset_does_not_exist(name: Name, rtype: RecordType) -> Record {
    let mut record = Record::update0(name, 0, rtype);
    record.dns_class = DNSClass::NONE;
    record
}

/// RFC 2136 section 2.5.2.
pub(super) fn delete_rrset(name: Name, rtype: RecordType) -> Record {
    let mut record = Record::update0(name, 0, rtype);
    record.dns_class = DNSClass::ANY;
    record
}

/// RFC 2136 section 2.5.4.
fn delete_record(mut record: Record) -> Record {
    record.dns_class = DNSClass::NONE;
    record
}

/// As prerequisites: RFC 2136 section 2.4.2, with TTL 0; as an update: section 2.5.1.
pub(super) fn records<'a>(
    owner: &Name,
    ttl: Ttl,
    rdata: impl IntoIterator<Item = &'a Rdata>,
) -> Result<Vec<Record>, Unencodable> {
    rdata.into_iter().map(|data| Ok(Record::from_rdata(owner.clone(), ttl.0, record_data(data)?))).collect()
}

/// As a prerequisite: RFC 2136 section 2.4.2; as an update: section 2.5.1. Both want class IN and here TTL 0.
fn txt_record(name: &Name, txt: &Txt) -> Record {
    let parts = txt.0.iter().map(Vec::as_slice).collect();
    Record::from_rdata(name.clone(), 0, RData::TXT(TXT::from_bytes(parts)))
}

pub(super) const fn record_type(rtype: RrType) -> RecordType {
    match rtype {
        RrType::A => RecordType::A,
        RrType::Aaaa => RecordType::AAAA,
        RrType::Mx => RecordType::MX,
        RrType::Cname => RecordType::CNAME,
    }
}

fn record_data(data: &Rdata) -> Result<RData, Unencodable> {
    Ok(match data {
        Rdata::A(v4) => RData::A((*v4).into()),
        Rdata::Aaaa(v6) => RData::AAAA((*v6).into()),
        Rdata::Mx { preference, exchange } => RData::MX(rdata::MX::new(*preference, wire(exchange)?)),
        Rdata::Cname(target) => RData::CNAME(rdata::CNAME(wire(target)?)),
    })
}

/// The wire form of a name.
pub(super) fn wire(name: &OwnerName) -> Result<Name, Unencodable> {
    let text = name.as_str();
    let is_plain = |label: &str| (1..=63).contains(&label.len()) && !label.contains('\\');
    if text.is_ascii() && text.split('.').all(is_plain) {
        // Without escapes, labels are what lies between dots: that takes a fifth of the time of reading the text.
        let mut octets = Vec::with_capacity(text.len() + 2);
        for label in text.split('.') {
            octets.extend(u8::try_from(label.len()));
            octets.extend_from_slice(label.as_bytes());
        }
        octets.push(0);
        if let Ok(wire) = Name::from_bytes(&octets) {
            return Ok(wire);
        }
    }
    let labels: Vec<_> = name.labels().collect();
    let mut wire = Name::from_labels(labels.iter().map(AsRef::as_ref))
        .map_err(|source| Unencodable::Name { name: name.as_str().to_owned(), source })?;
    wire.set_fqdn(true);
    Ok(wire)
}
