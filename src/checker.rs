//! An independent look at each message before it is sent.
//!
//! It shares no code with what plans and encodes. It reads a message as BIND will (RFC 2136 section 3.4.2), applies it
//! to a copy of what the zone holds, and compares what comes out with what must hold whatever was planned. A message that
//! it does not pass is not sent: only a [`Checked`] message goes to BIND.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use hickory_proto::{
    op::{Message, OpCode},
    rr::{DNSClass, Name, RData, Record, RecordType},
};

use crate::{
    cluster::Cluster,
    dns::{OwnerName, Rdata, RdataSet, RrType, Rrset, RrsetId},
    update::{Txt, Update},
};

mod known;
#[cfg(test)]
mod tests;

/// What a message is held against.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// The zone.
    pub zone: &'a OwnerName,
    /// The file in force.
    pub cluster: &'a Cluster,
    /// Who writes, as the generation record says it: cluster and instance.
    pub writer: (&'a str, &'a str),
    /// The generation record as the message must require it; `None`: the zone has none.
    pub guard: Option<&'a BTreeSet<Txt>>,
    /// What the zone holds at the names that were read.
    pub held: &'a BTreeMap<RrsetId, Rrset>,
    /// Whether it holds that. Otherwise the zone may have moved on unseen, and the message may replace what is ours.
    pub is_certain: bool,
    /// Whether the file gives an `RRset`.
    pub is_given: &'a dyn Fn(&RrsetId) -> bool,
    /// What we published of an `RRset`.
    pub ours: &'a dyn Fn(&RrsetId) -> Option<&'a RdataSet>,
    /// Whether it is a member that an operator wants back in what the file no longer gives.
    pub comes_back: &'a dyn Fn(&RrsetId, &Rdata) -> bool,
    /// Whether the record may go: the file gives nothing in the zone, and nothing in it is ours.
    pub may_end: bool,
    /// Whether an operator has the zone taken over, whoever writes it.
    pub takes_over: bool,
    /// Whether an operator had an `RRset` taken over, whatever it holds.
    pub is_adopted: &'a dyn Fn(&RrsetId) -> bool,
    /// Whether nothing is known of what stands at a name.
    pub is_hidden: &'a dyn Fn(&OwnerName) -> bool,
    /// Whether an MX of another zone points to a name.
    pub is_target_elsewhere: &'a dyn Fn(&OwnerName) -> bool,
}

/// A message that was looked at and may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    update: Update,
    message: Arc<Message>,
}

impl std::ops::Deref for Checked {
    type Target = Update;

    fn deref(&self) -> &Update {
        &self.update
    }
}

impl Checked {
    /// The message on the wire, unsigned and with id 0.
    #[must_use]
    pub const fn wire(&self) -> &Arc<Message> {
        &self.message
    }
}

/// Why a message is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// It has no wire form, or is no update of the zone.
    #[error("it is no update of the zone: {0}")]
    Form(String),
    /// The prerequisite on the generation record is missing or another one.
    #[error("it does not require the generation record as it stands in the zone")]
    Guard,
    /// The record that it requires is somebody else's.
    #[error("somebody else writes the zone, and no operator had it taken over")]
    Others,
    /// The generation record that it writes is not the next one of ours.
    #[error("the generation record that it writes is not ours, or does not grow")]
    Record,
    /// It touches something that is not ours.
    #[error("{0} is neither given by the file nor ours")]
    NotOurs(RrsetId),
    /// It touches a name that is hidden.
    #[error("what stands at {0} is hidden")]
    Hidden(OwnerName),
    /// It takes over or deletes data that we do not know.
    #[error("{0} holds {1}, which is not known to be ours")]
    Stranger(RrsetId, Rdata),
    /// It adds data that nothing in the file gives.
    #[error("it adds {1} to {0}, which nothing in the file gives")]
    Invented(RrsetId, Rdata),
    /// It adds what BIND ignores.
    #[error("{0} would stand beside a CNAME, and BIND ignores it")]
    Beside(RrsetId),
    /// It changes a set whatever that holds when the message arrives.
    #[error("it does not require {0} to be as it was read")]
    Unrequired(RrsetId),
    /// It leaves a set empty, or a name bare, that the file gives.
    #[error("it leaves {0} empty, which the file gives")]
    Emptied(RrsetId),
    /// It takes the last address of a name that an MX points to.
    #[error("it takes the last address of {0}, and an MX points there")]
    Target(OwnerName),
}

impl Violation {
    /// The owner name that it is about; `None`: the message as a whole.
    #[must_use]
    pub const fn owner(&self) -> Option<&OwnerName> {
        match self {
            Self::Form(_) | Self::Guard | Self::Others | Self::Record => None,
            Self::Hidden(name) | Self::Target(name) => Some(name),
            Self::NotOurs(id)
            | Self::Stranger(id, _)
            | Self::Invented(id, _)
            | Self::Beside(id)
            | Self::Unrequired(id)
            | Self::Emptied(id) => Some(&id.owner),
        }
    }
}

impl Checked {
    /// Looks at the message of an update.
    ///
    /// # Errors
    /// [`Violation`]: it must not be sent.
    pub fn new(update: Update, evidence: Evidence<'_>) -> Result<Self, Violation> {
        let message = update.message().map_err(|error| Violation::Form(error.to_string()))?;
        look_at(&message, evidence)?;
        Ok(Self { update, message: Arc::new(message) })
    }
}

/// The sets of a zone, as far as a message touches them.
type Sets = BTreeMap<RrsetId, BTreeSet<Rdata>>;

fn look_at(message: &Message, evidence: Evidence<'_>) -> Result<(), Violation> {
    let form = |words: &str| Violation::Form(words.to_owned());
    let [zone] = message.queries.as_slice() else { return Err(form("its zone section has not one record")) };
    if message.op_code != OpCode::Update
        || zone.query_type != RecordType::SOA
        || zone.query_class != DNSClass::IN
        || owner(&zone.name) != *evidence.zone
    {
        return Err(form("its zone section names something else"));
    }
    let record_name = owner_of_record(evidence.zone);
    let (guards, sets): (Vec<_>, Vec<_>) = named(&message.answers).into_iter().partition(|(at, _)| *at == record_name);
    look_at_guard(&guards, evidence)?;
    let (records, changes): (Vec<_>, Vec<_>) =
        named(&message.authorities).into_iter().partition(|(at, _)| *at == record_name);
    look_at_record(&records, evidence)?;
    let (before, after) = outcome(&changes, evidence)?;
    let required = required(&sets);
    for (id, held) in &before {
        look_at_set(id, held, after.get(id), evidence)?;
        // What is ours, is given, and is not deleted, may be replaced whatever it holds while nobody can see that.
        let may_differ = !evidence.is_certain
            && (evidence.is_given)(id)
            && (evidence.ours)(id).is_some()
            && after.get(id).is_some_and(|set| !set.is_empty());
        if required.get(id).map_or(!may_differ, |required| required != held) {
            return Err(Violation::Unrequired(id.clone()));
        }
    }
    look_at_targets(&before, &after, evidence)
}

/// Compared as text: a name that has no room for the label is no name of a record either.
fn owner_of_record(zone: &OwnerName) -> OwnerName {
    OwnerName::from_presentation(&format!("_rotad.{zone}"))
}

/// RFC 2136 sections 2.4.2 and 2.4.3: the record exists with exactly these data, or does not exist.
fn look_at_guard(required: &[(OwnerName, &Record)], evidence: Evidence<'_>) -> Result<(), Violation> {
    let holds = match evidence.guard {
        None => {
            matches!(required, [(_, one)] if one.dns_class == DNSClass::NONE && one.record_type() == RecordType::TXT)
        }
        Some(raw) => {
            let texts: Option<BTreeSet<Txt>> = required.iter().map(|(_, record)| text(record)).collect();
            required.iter().all(|(_, record)| record.dns_class == DNSClass::IN) && texts.as_ref() == Some(raw)
        }
    };
    let is_by = |txt: &Txt| generation(txt).is_some_and(|(by, _)| by == evidence.writer);
    let is_ours = evidence.takes_over || evidence.guard.is_none_or(|raw| raw.len() == 1 && raw.iter().all(is_by));
    match (holds, is_ours) {
        (false, _) => Err(Violation::Guard),
        (true, false) => Err(Violation::Others),
        (true, true) => Ok(()),
    }
}

/// RFC 2136 sections 2.4.2 and 2.4.3: the sets that must hold exactly these data, or must not exist.
fn required(records: &[(OwnerName, &Record)]) -> Sets {
    let mut required = Sets::new();
    for (at, record) in records {
        let Some(rtype) = rtype(record.record_type()) else { continue };
        let set = required.entry(RrsetId { owner: at.clone(), rtype }).or_default();
        if record.dns_class == DNSClass::IN {
            set.extend(data(&record.data));
        }
    }
    required
}

fn text(record: &Record) -> Option<Txt> {
    match &record.data {
        RData::TXT(txt) => Some(Txt(txt.txt_data.iter().map(|part| part.to_vec()).collect())),
        _ => None,
    }
}

/// The record is replaced by one of ours with a higher generation; or it goes, with all that was ours.
fn look_at_record(records: &[(OwnerName, &Record)], evidence: Evidence<'_>) -> Result<(), Violation> {
    if let [(_, gone)] = records {
        let goes = gone.dns_class == DNSClass::ANY && gone.record_type() == RecordType::TXT;
        let mut guards = evidence.guard.into_iter().flatten();
        let is_our_own = guards.any(|txt| generation(txt).is_some_and(|(by, _)| by == evidence.writer));
        return if goes && is_our_own && evidence.may_end { Ok(()) } else { Err(Violation::Record) };
    }
    let [(_, gone), (_, new)] = records else { return Err(Violation::Record) };
    let replaces = gone.dns_class == DNSClass::ANY
        && gone.record_type() == RecordType::TXT
        && new.dns_class == DNSClass::IN
        && new.ttl == 0;
    let written = text(new);
    let written = written.as_ref().and_then(generation).filter(|(by, _)| *by == evidence.writer);
    // The highest number cannot grow: whatever replaces such a record is lower.
    let before = evidence.guard.into_iter().flatten().filter_map(generation).map(|(_, number)| number);
    let before = before.filter(|number| *number < u64::MAX).max();
    match written {
        Some((_, number)) if replaces && before.is_none_or(|before| number > before) => Ok(()),
        _ => Err(Violation::Record),
    }
}

/// What a record of our form says: its cluster and instance, each a word of at least one character and without white space
/// of any kind, and the generation.
fn generation(Txt(parts): &Txt) -> Option<((&str, &str), u64)> {
    let [part] = parts.as_slice() else { return None };
    let words: Vec<_> = std::str::from_utf8(part).ok()?.split(' ').collect();
    let ["v=1", cluster, owner, number] = words.as_slice() else { return None };
    let number = number.strip_prefix("generation=")?;
    let is_plain = number.bytes().all(|digit| digit.is_ascii_digit()) && (number == "0" || !number.starts_with('0'));
    let (cluster, owner) = (cluster.strip_prefix("cluster=")?, owner.strip_prefix("owner=")?);
    let is_word = |text: &str| text.chars().next().is_some() && !text.chars().any(char::is_whitespace);
    let is_ours = is_plain && is_word(cluster) && is_word(owner);
    Some(((cluster, owner), number.parse().ok().filter(|_| is_ours)?))
}

/// The sets that the message touches, before it and after it.
fn outcome(changes: &[(OwnerName, &Record)], evidence: Evidence<'_>) -> Result<(Sets, Sets), Violation> {
    let mut before = Sets::new();
    for (at, record) in changes {
        let rtype = rtype(record.record_type())
            .filter(|_| at.is_at_or_below(evidence.zone))
            .ok_or_else(|| Violation::Form(format!("{at} {} is not for us to change", record.record_type())))?;
        let id = RrsetId { owner: at.clone(), rtype };
        if let Entry::Vacant(place) = before.entry(id) {
            let held = evidence.held.get(place.key()).map(|set| set.rdata.iter().cloned().collect());
            place.insert(held.unwrap_or_default());
        }
    }
    let mut after = before.clone();
    for (at, record) in changes {
        let Some(rtype) = rtype(record.record_type()) else { continue };
        let id = RrsetId { owner: at.clone(), rtype };
        let is_in_the_way = |other: RrType| {
            let id = RrsetId { owner: at.clone(), rtype: other };
            let held = || evidence.held.get(&id).is_some_and(|set| !set.rdata.is_empty());
            after.get(&id).map_or_else(held, |set| !set.is_empty())
        };
        // What stands beside a CNAME, or would, is ignored (RFC 2136 section 3.4.2.2).
        let others = RrType::ALL.into_iter().filter(|other| (*other == RrType::Cname) != (rtype == RrType::Cname));
        let is_ignored = others.into_iter().any(is_in_the_way);
        let Some(set) = after.get_mut(&id) else { continue };
        match (record.dns_class, data(&record.data)) {
            (DNSClass::ANY, None) => set.clear(),
            (DNSClass::NONE, Some(gone)) => {
                set.remove(&gone);
            }
            (DNSClass::IN, Some(_)) if is_ignored => return Err(Violation::Beside(id)),
            (DNSClass::IN, Some(new)) => {
                set.insert(new);
            }
            _ => return Err(Violation::Form(format!("a record of {id} means nothing in an update"))),
        }
    }
    Ok((before, after))
}

/// One set, with what it held and what it would hold.
fn look_at_set(
    id: &RrsetId,
    held: &BTreeSet<Rdata>,
    after: Option<&BTreeSet<Rdata>>,
    evidence: Evidence<'_>,
) -> Result<(), Violation> {
    let (is_given, ours) = ((evidence.is_given)(id), (evidence.ours)(id));
    if (evidence.is_hidden)(&id.owner) {
        return Err(Violation::Hidden(id.owner.clone()));
    }
    if !is_given && ours.is_none() && !(evidence.is_adopted)(id) {
        return Err(Violation::NotOurs(id.clone()));
    }
    let is_known = |rdata: &Rdata| known::is_known(evidence.cluster, &id.owner, rdata);
    let is_as_published = ours.is_some_and(|ours| held.iter().eq(ours.iter()));
    // A hand edit of a set that is ours and that the file gives is put back.
    let is_ours = is_as_published || (is_given && ours.is_some()) || (evidence.is_adopted)(id);
    if let Some(stranger) = held.iter().find(|rdata| !is_ours && !is_known(rdata)) {
        return Err(Violation::Stranger(id.clone(), stranger.clone()));
    }
    let nothing = BTreeSet::new();
    let after = after.unwrap_or(&nothing);
    let is_published =
        |rdata: &Rdata| ours.is_some_and(|ours| ours.contains(rdata)) || (evidence.comes_back)(id, rdata);
    if let Some(new) = after.difference(held).find(|rdata| !is_published(rdata) && !is_known(rdata)) {
        return Err(Violation::Invented(id.clone(), new.clone()));
    }
    if is_given && after.is_empty() && !held.is_empty() {
        return Err(Violation::Emptied(id.clone()));
    }
    Ok(())
}

/// No name is left bare that the file gives something to, and no MX is left without an address that it had.
fn look_at_targets(before: &Sets, after: &Sets, evidence: Evidence<'_>) -> Result<(), Violation> {
    let emptied = before.iter().filter(|(id, held)| !held.is_empty() && after.get(*id).is_none_or(BTreeSet::is_empty));
    for (id, _) in emptied {
        let stands = |rtype: RrType| {
            let id = RrsetId { owner: id.owner.clone(), rtype };
            let held = || evidence.held.get(&id).is_some_and(|set| !set.rdata.is_empty());
            after.get(&id).map_or_else(held, |set| !set.is_empty())
        };
        let given = RrType::ALL.map(|rtype| RrsetId { owner: id.owner.clone(), rtype });
        if !RrType::ALL.into_iter().any(stands)
            && let Some(given) = given.into_iter().find(|id| (evidence.is_given)(id))
        {
            return Err(Violation::Emptied(given));
        }
        let is_address = matches!(id.rtype, RrType::A | RrType::Aaaa);
        if is_address && !stands(RrType::A) && !stands(RrType::Aaaa) && is_target(&id.owner, after, evidence) {
            return Err(Violation::Target(id.owner.clone()));
        }
    }
    Ok(())
}

/// Whether an MX points to a name once the message is applied.
fn is_target(name: &OwnerName, after: &Sets, evidence: Evidence<'_>) -> bool {
    let points_here = |rdata: &Rdata| matches!(rdata, Rdata::Mx { exchange, .. } if exchange == name);
    let untouched = evidence.held.iter().filter(|(id, _)| !after.contains_key(id)).flat_map(|(_, set)| &set.rdata);
    (evidence.is_target_elsewhere)(name) || after.values().flatten().chain(untouched).any(points_here)
}

/// Records with their owner names. Those of a set follow one another: its name is read once.
fn named(records: &[Record]) -> Vec<(OwnerName, &Record)> {
    let mut last: Option<(&Name, OwnerName)> = None;
    let mut named = Vec::with_capacity(records.len());
    for record in records {
        let name = &record.name;
        let known = last.as_ref().filter(|(before, _)| *before == name).map(|(_, owner)| owner.clone());
        let owner = known.unwrap_or_else(|| owner(name));
        last = Some((name, owner.clone()));
        named.push((owner, record));
    }
    named
}

fn owner(name: &Name) -> OwnerName {
    OwnerName::from_labels(name.iter())
}

const fn rtype(rtype: RecordType) -> Option<RrType> {
    match rtype {
        RecordType::A => Some(RrType::A),
        RecordType::AAAA => Some(RrType::Aaaa),
        RecordType::MX => Some(RrType::Mx),
        RecordType::CNAME => Some(RrType::Cname),
        _ => None,
    }
}

fn data(data: &RData) -> Option<Rdata> {
    match data {
        RData::A(v4) => Some(Rdata::A(v4.0)),
        RData::AAAA(v6) => Some(Rdata::Aaaa(v6.0)),
        RData::MX(mx) => Some(Rdata::Mx { preference: mx.preference, exchange: owner(&mx.exchange) }),
        RData::CNAME(target) => Some(Rdata::Cname(owner(&target.0))),
        _ => None,
    }
}
