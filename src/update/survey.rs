//! Which questions tell what a zone holds at some names, and what follows from their answers.
//!
//! Three things can make an answer tell of something else than the zone's own data at the name: a wildcard (RFC 4592), which
//! a prerequisite does not see; what hides the name ([`Occlusion`]); and a server that tells of ANY what it likes (RFC 8482).
//! A first round asks for the data. A second one asks where its answers leave a doubt. An answer that does not say whose
//! it is, is no answer: nothing counts as absent but what the zone's own SOA says is.

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record, RecordType},
};

use super::{
    Unusable,
    generation::{GenerationRecord, GenerationRrset},
    message::Unencodable,
    occlusion::{Look, Occlusion, hidden_at, look, possible_apexes},
    reading::{Reading, Soa, generation_in, others_in, query, rrsets_in, same_name, soa_of},
};
use crate::dns::OwnerName;

/// What a server answers to ANY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnyAnswer {
    /// All that the name holds, as BIND does over TCP (measured, `minimal-any` or not).
    Whole,
    /// What it likes: each type is asked for by itself.
    Part,
}

/// One question: a name and a type.
type Question = (OwnerName, RecordType);

/// The types that are asked for where ANY does not tell all. The alias first: nothing else stands beside one.
const TYPES: [RecordType; 4] = [RecordType::CNAME, RecordType::A, RecordType::AAAA, RecordType::MX];

/// The reading of a zone, round by round.
#[derive(Debug)]
pub struct Survey<'a> {
    zone: &'a OwnerName,
    owners: &'a BTreeSet<OwnerName>,
    /// Where the generation record is.
    record: OwnerName,
    any: AnyAnswer,
    /// The wildcards that could answer for a name, and are no owners themselves.
    wildcards: BTreeSet<OwnerName>,
}

/// What the first round told.
#[derive(Debug)]
pub struct Findings<'a> {
    soa: Soa,
    /// The records of each name that is not hidden, and whether they are certainly the zone's.
    held: BTreeMap<&'a OwnerName, Vec<&'a Record>>,
    blocked: BTreeMap<OwnerName, Occlusion>,
    /// The questions of the second round, by the name that each is asked for.
    apexes: BTreeMap<OwnerName, Vec<&'a OwnerName>>,
    tests: BTreeMap<&'a OwnerName, Question>,
}

impl<'a> Survey<'a> {
    /// Of these names of a zone, and of its generation record.
    ///
    /// # Errors
    /// When the zone's name leaves no room for the record's.
    pub fn new(zone: &'a OwnerName, owners: &'a BTreeSet<OwnerName>, any: AnyAnswer) -> Result<Self, Unusable> {
        let record = GenerationRecord::owner_name(zone).map_err(Unencodable::from)?;
        let wildcards = match any {
            AnyAnswer::Whole => wildcards(zone, owners),
            // It would take as many questions as to look into each name.
            AnyAnswer::Part => BTreeSet::new(),
        };
        Ok(Self { zone, owners, record, any, wildcards })
    }

    /// The first round. The generation comes first: a write between it and the rest then fails at the guard. The serial
    /// comes before all data: a hand edit after it is seen when the serial is looked at next.
    ///
    /// # Errors
    /// When a name has no wire form.
    pub fn questions(&self) -> Result<Vec<Message>, Unusable> {
        let record = [(&self.record, RecordType::TXT), (self.zone, self.serial_type())];
        let others = self.names().flat_map(|name| self.types(name).iter().map(move |rtype| (name, *rtype)));
        record.into_iter().chain(others).map(|(name, rtype)| query(name, rtype)).collect()
    }

    /// The type whose answer tells the serial: ANY, if the apex is asked for all the same.
    fn serial_type(&self) -> RecordType {
        let is_asked = self.any == AnyAnswer::Whole && self.owners.contains(self.zone);
        if is_asked { RecordType::ANY } else { RecordType::SOA }
    }

    /// The names that are asked for after the record and the serial.
    fn names(&self) -> impl Iterator<Item = &OwnerName> {
        self.owners.iter().chain(&self.wildcards)
    }

    fn types(&self, name: &OwnerName) -> &'static [RecordType] {
        match self.any {
            AnyAnswer::Whole if name == self.zone => &[],
            AnyAnswer::Whole => &[RecordType::ANY],
            AnyAnswer::Part => &TYPES,
        }
    }

    /// Takes the answers of the first round, in the order of its questions.
    ///
    /// # Errors
    /// [`Unusable`]: nothing is known of the zone.
    pub fn findings<'f>(&'f self, answers: &'f [Message]) -> Result<Findings<'f>, Unusable> {
        let (record, rest) = answers.split_at_checked(1).ok_or_else(cut_short)?;
        let (serial, mut rest) = rest.split_at_checked(1).ok_or_else(cut_short)?;
        let soa = soa_of(self.zone, serial.first().ok_or_else(cut_short)?)?;
        let mut found = Findings {
            soa,
            held: BTreeMap::new(),
            blocked: BTreeMap::new(),
            apexes: BTreeMap::new(),
            tests: BTreeMap::new(),
        };
        self.take(&self.record, record, &mut found)?;
        if let Some(why) = found.blocked.remove(&self.record) {
            return Err(Unusable::Occluded(self.record.clone(), why));
        }
        let mut has_wildcard = self.any == AnyAnswer::Part;
        for name in self.names() {
            let asked = self.types(name).len();
            let (own, behind) = rest.split_at_checked(asked).ok_or_else(cut_short)?;
            rest = behind;
            let own = if asked == 0 { serial } else { own };
            if is_wildcard(name) {
                has_wildcard |= look(self.zone, name, own)?.may_hold();
            }
            if self.owners.contains(name) {
                self.take(name, own, &mut found)?;
            }
        }
        if has_wildcard {
            // The apex always exists.
            let held = found.held.iter().filter(|(name, _)| **name != self.zone);
            let test = |(name, records): (&&'f OwnerName, &Vec<&Record>)| {
                Some((*name, (nobodys(name)?, self.test_type(name, records.first()?))))
            };
            found.tests = held.filter_map(test).collect();
        }
        Ok(found)
    }

    /// The type that is asked for at a name that nobody has, to be compared with what was found.
    fn test_type(&self, name: &OwnerName, found: &Record) -> RecordType {
        match self.any {
            AnyAnswer::Whole if *name != self.record => RecordType::ANY,
            _ => found.record_type(),
        }
    }

    fn take<'f>(&self, name: &'f OwnerName, answers: &'f [Message], found: &mut Findings<'f>) -> Result<(), Unusable> {
        match look(self.zone, name, answers)? {
            Look::Occluded(why) => {
                found.blocked.insert(name.clone(), why);
            }
            Look::Held { records, is_sure } => {
                found.held.insert(name, records);
                if !is_sure {
                    for apex in possible_apexes(self.zone, name) {
                        found.apexes.entry(apex).or_default().push(name);
                    }
                }
            }
        }
        Ok(())
    }

    /// The second round; most readings need none.
    ///
    /// # Errors
    /// When a name has no wire form.
    pub fn doubts(&self, found: &Findings<'_>) -> Result<Vec<Message>, Unusable> {
        let apexes = found.apexes.keys().map(|name| query(name, RecordType::SOA));
        apexes.chain(found.tests.values().map(|(name, rtype)| query(name, *rtype))).collect()
    }

    /// Takes the answers of the second round, in the order of its questions.
    ///
    /// # Errors
    /// [`Unusable`]: nothing is known of the zone.
    pub fn reading(&self, mut found: Findings<'_>, answers: &[Message]) -> Result<Reading, Unusable> {
        let mut answers = answers.iter();
        // From the zone downwards: the deepest one answers.
        for (apex, names) in std::mem::take(&mut found.apexes) {
            let Some(why) = hidden_at(self.zone, &apex, answers.next().ok_or_else(cut_short)?) else { continue };
            for name in names {
                found.held.remove(name);
                let other = found.blocked.remove(name).filter(|other| depth(other) > depth(&why));
                found.blocked.insert(name.clone(), other.unwrap_or_else(|| why.clone()));
            }
        }
        for (name, (nobodys, asked)) in std::mem::take(&mut found.tests) {
            let answer = std::slice::from_ref(answers.next().ok_or_else(cut_short)?);
            let Some(records) = found.held.get(name) else { continue };
            match look(self.zone, &nobodys, answer)? {
                Look::Held { records: made_up, .. } if !made_up.is_empty() && same_data(asked, records, &made_up) => {
                    found.held.insert(name, Vec::new());
                }
                Look::Occluded(why) if why.leaves_open() => {
                    found.held.remove(name);
                    found.blocked.insert(name.clone(), why);
                }
                // No wildcard, or one below the name, or a DNAME of its own: the name exists.
                _ => {}
            }
        }
        if let Some(why) = found.blocked.remove(&self.record) {
            return Err(Unusable::Occluded(self.record.clone(), why));
        }
        let record = found.held.remove(&self.record).unwrap_or_default();
        let generation: GenerationRrset = generation_in(&self.record, record.into_iter())?;
        let below_apex = found.held.iter().filter(|(owner, _)| **owner != self.zone);
        let others = below_apex.filter_map(|(owner, held)| Some(((*owner).clone(), others_in(held.iter().copied())?)));
        let others = others.collect();
        let rrsets = found.held.into_iter().flat_map(|(owner, records)| rrsets_in(owner, records.into_iter()));
        Ok(Reading { soa: found.soa, generation, rrsets: rrsets.collect(), others, blocked: found.blocked })
    }
}

/// Whether a server's answer to ANY for the apex is whole: every zone has an SOA and NS there. `None`: it does not tell.
#[must_use]
pub fn any_answer(zone: &OwnerName, answer: &Message) -> Option<AnyAnswer> {
    if !answer.authoritative || answer.response_code != ResponseCode::NoError {
        return None;
    }
    let has = |rtype| answer.answers.iter().any(|r| r.record_type() == rtype && same_name(&r.name, zone));
    Some(if has(RecordType::SOA) && has(RecordType::NS) { AnyAnswer::Whole } else { AnyAnswer::Part })
}

fn depth(why: &Occlusion) -> usize {
    match why {
        Occlusion::ChildZone(at) => at.as_str().len(),
        Occlusion::Dname(_) | Occlusion::Delegation(_) | Occlusion::Unanswered(_) | Occlusion::Rewritten(_) => 0,
    }
}

fn cut_short() -> Unusable {
    Unusable::Code("fewer messages than were asked for".to_owned())
}

fn is_wildcard(name: &OwnerName) -> bool {
    name.as_str().starts_with("*.")
}

/// The wildcards that could answer for these names, or for the generation record.
fn wildcards(zone: &OwnerName, owners: &BTreeSet<OwnerName>) -> BTreeSet<OwnerName> {
    let above = owners.iter().flat_map(OwnerName::ancestors).map(OwnerName::from_presentation);
    let above = above.filter(|name| name.is_at_or_below(zone)).chain([zone.clone()]);
    above.filter_map(|name| name.child("*").ok()).filter(|wildcard| !owners.contains(wildcard)).collect()
}

/// A name that nobody has, below this one. If the name does not exist, the wildcard that answers for it answers here,
/// too. If it exists, no wildcard from above it reaches down here (RFC 4592 section 2.2.1); and the two asterisks, which
/// are labels like others within a name, leave no room for a wildcard below it. `None`: the name leaves no room.
fn nobodys(name: &OwnerName) -> Option<OwnerName> {
    name.child("*").and_then(|name| name.child("*")).and_then(|name| name.child("_rotad-asks")).ok()
}

/// Whether two names hold the same data of this type.
fn same_data(asked: RecordType, one: &[&Record], other: &[&Record]) -> bool {
    let data = |records: &[&Record]| -> BTreeSet<(RecordType, String)> {
        let of_type = records.iter().filter(|r| asked == RecordType::ANY || r.record_type() == asked);
        // A signature is of one name.
        let alike = of_type.filter(|record| !matches!(record.data, RData::DNSSEC(_)));
        alike.map(|record| (record.record_type(), record.data.to_string())).collect()
    };
    data(one) == data(other)
}
