//! What hides the data of a zone: a DNAME (RFC 6672), a delegation, a zone of its own on the same server, a policy that
//! rewrites answers. An UPDATE of such data is accepted, and shown to nobody (measured).

use std::{collections::BTreeSet, fmt};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record, RecordType},
};

use super::{
    Unusable,
    reading::{name, same_name},
    verdict::rcode,
};
use crate::dns::OwnerName;

#[cfg(test)]
mod tests;

/// Why what a zone holds at a name is neither seen nor of use. Nothing is known of the name then: its data are neither
/// written nor counted as absent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occlusion {
    /// The name lies below the owner of a DNAME.
    Dname(OwnerName),
    /// The name lies at or below this delegation.
    Delegation(OwnerName),
    /// This zone of the same server answers for the name.
    ChildZone(OwnerName),
    /// The server answers for the zone, and for this name with an error.
    Unanswered(String),
    /// The answer is not known to be the zone's own: it has no SOA of the zone where RFC 2308 wants one, or the SOA or NS
    /// of this other zone.
    Rewritten(Option<OwnerName>),
}

impl Occlusion {
    /// The mnemonic of the answer, for the journal's `RCODE`.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Unanswered(code) => code,
            Self::Dname(_) | Self::Delegation(_) | Self::ChildZone(_) | Self::Rewritten(_) => "NOERROR",
        }
    }

    /// What a name does, without the next step.
    #[must_use]
    pub fn cause(&self) -> String {
        match self {
            Self::Dname(at) => format!("lies below the DNAME at {at}, which hides what the zone holds there"),
            Self::Delegation(at) => {
                format!("lies at or below {at}, which the zone delegates (NS), so that its own data there are hidden")
            }
            Self::ChildZone(at) => format!("is answered from {at}, a zone of its own on this server"),
            Self::Unanswered(code) => format!("is answered with {code} although the zone is served"),
            Self::Rewritten(by) => {
                let how = by.as_ref().map_or_else(
                    || "is answered without the SOA of the zone".to_owned(),
                    |by| format!("is answered with what the zone {by} says"),
                );
                format!("{how}, so that it is not known what the zone holds there")
            }
        }
    }

    /// Whether the zone may answer for the name all the same, with data that were not seen.
    pub(super) const fn leaves_open(&self) -> bool {
        matches!(self, Self::Unanswered(_) | Self::Rewritten(_))
    }
}

impl fmt::Display for Occlusion {
    /// What a name does, and the next step: "... lies below the DNAME at d.example.org: ...".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.cause())?;
        match self {
            Self::Dname(_) => f.write_str("delete the DNAME, or take the name out of the file"),
            Self::Delegation(at) => write!(
                f,
                "set `zone: {at}` for the domain if that zone is served here, or delete the NS records, or take the name out \
                 of the file"
            ),
            Self::ChildZone(at) => write!(
                f,
                "set `zone: {at}` for the domain, or take that zone out of named.conf, or the name out of the file"
            ),
            Self::Unanswered(_) => {
                f.write_str("often a zone below it that named could not load or does not show; named's log has the cause")
            }
            Self::Rewritten(_) => f.write_str(
                "as a rule `response-policy` (RPZ) of named rewrites the answer, or a zone of `type redirect` does; except the \
                 name there (`rpz-passthru.`), or let the policy rewrite recursive queries only (`recursive-only yes`), or take \
                 the name out of the file",
            ),
        }
    }
}

/// What the answers about one name tell.
#[derive(Debug)]
pub(super) enum Look<'a> {
    /// The records at the name. `is_sure`: they are this zone's, not those of a zone below it that is served here, too.
    Held { records: Vec<&'a Record>, is_sure: bool },
    /// The zone's own data are hidden.
    Occluded(Occlusion),
}

impl Look<'_> {
    /// Whether there are records at the name, or could be.
    pub(super) fn may_hold(&self) -> bool {
        match self {
            Self::Held { records, .. } => !records.is_empty(),
            Self::Occluded(why) => why.leaves_open(),
        }
    }
}

/// Reads the answers about a name, each to a question of its own type.
///
/// # Errors
/// [`Unusable`]: nothing is known of the zone.
pub(super) fn look<'a>(zone: &OwnerName, owner: &OwnerName, answers: &'a [Message]) -> Result<Look<'a>, Unusable> {
    let mut found: Vec<&Record> = Vec::new();
    let mut is_sure = owner == zone;
    for answer in answers {
        if let Some(why) = trouble(zone, owner, answer)? {
            return Ok(Look::Occluded(why));
        }
        let here = || answer.answers.iter().filter(|record| same_name(&record.name, owner));
        // Behind an alias an answer may go on in another zone, which then is the one in the authority section.
        let is_alias = here().any(|record| record.record_type() == RecordType::CNAME);
        let is_of_name = !is_alias || answer.queries.iter().any(|query| !goes_on(query.query_type));
        if is_of_name {
            let origins = origins(owner, answer);
            if let Some(at) = origins.iter().filter(|origin| origin.is_below(zone)).max_by_key(|origin| depth(origin)) {
                return Ok(Look::Occluded(Occlusion::ChildZone(at.clone())));
            }
            if let Some(why) = rewritten(zone, &origins, answer, here().next().is_none()) {
                return Ok(Look::Occluded(why));
            }
            is_sure |= origins.contains(zone);
        }
        found.extend(here());
        if is_alias {
            // Nothing else stands beside it, and an answer of another type may tell of the alias's target.
            break;
        }
    }
    Ok(Look::Held { records: found, is_sure })
}

/// Whether an alias makes the server answer for its target, too.
fn goes_on(asked: RecordType) -> bool {
    !matches!(asked, RecordType::ANY | RecordType::CNAME)
}

fn depth(name: &OwnerName) -> usize {
    name.as_str().len()
}

/// What stands between the zone and the name.
fn trouble(zone: &OwnerName, owner: &OwnerName, answer: &Message) -> Result<Option<Occlusion>, Unusable> {
    let is_apex = owner == zone;
    match answer.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain if answer.truncation => {
            return Err(Unusable::Truncated(owner.clone()));
        }
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        ResponseCode::Refused if is_apex => return Err(Unusable::Refused),
        other if is_apex => return Err(Unusable::Code(rcode(other))),
        other => return Ok(Some(Occlusion::Unanswered(rcode(other)))),
    }
    let dnames = answer.answers.iter().filter(|record| record.record_type() == RecordType::DNAME);
    let dname = dnames.map(|record| name(&record.name)).find(|at| owner.is_below(at) && at.is_at_or_below(zone));
    if let Some(at) = dname {
        return Ok(Some(Occlusion::Dname(at)));
    }
    if answer.authoritative {
        return Ok(None);
    }
    if is_apex {
        return Err(Unusable::NotServed);
    }
    let cut = answer.authorities.iter().filter(|record| record.record_type() == RecordType::NS);
    let cut = cut.map(|record| name(&record.name)).find(|at| owner.is_at_or_below(at) && at.is_below(zone));
    Ok(Some(Occlusion::Delegation(cut.unwrap_or_else(|| owner.clone()))))
}

/// The zones that the answer says the name is of: by the SOA or NS of the authority section, or by an SOA of the name
/// itself.
fn origins(owner: &OwnerName, answer: &Message) -> BTreeSet<OwnerName> {
    let soa = answer.answers.iter().filter(|record| matches!(record.data, RData::SOA(_)));
    let own = soa.map(|record| name(&record.name)).filter(|at| at == owner);
    authorities(answer).filter(|at| owner.is_at_or_below(at)).chain(own).collect()
}

/// The zones of the SOA and NS records in the authority section.
fn authorities(answer: &Message) -> impl Iterator<Item = OwnerName> {
    let is_origin = |record: &&Record| matches!(record.record_type(), RecordType::SOA | RecordType::NS);
    answer.authorities.iter().filter(is_origin).map(|record| name(&record.name))
}

/// Whether somebody else than the zone gave the answer about a name that is of none of the zones below it. That nothing is
/// there, only the zone's own SOA says (RFC 2308 section 5); where there is something, other zones are at least not to
/// claim it, as BIND's policy zones do in the authority and the additional section (measured).
fn rewritten(
    zone: &OwnerName,
    origins: &BTreeSet<OwnerName>,
    answer: &Message,
    is_negative: bool,
) -> Option<Occlusion> {
    let policy = answer.additionals.iter().find(|record| matches!(record.data, RData::SOA(_)));
    if let Some(policy) = policy {
        return Some(Occlusion::Rewritten(Some(name(&policy.name))));
    }
    let other = authorities(answer).find(|at| at != zone);
    match other {
        _ if origins.contains(zone) => None,
        Some(other) => Some(Occlusion::Rewritten(Some(other))),
        None => is_negative.then_some(Occlusion::Rewritten(None)),
    }
}

/// The same of the answer about the SOA of a zone: whether it is no answer of the server's zones.
pub(super) fn is_soa_rewritten(zone: &OwnerName, answer: &Message) -> Option<Occlusion> {
    let is_negative = !answer.answers.iter().any(|record| same_name(&record.name, zone));
    let is_told = answer.additionals.iter().any(|record| matches!(record.data, RData::SOA(_)));
    let is_open = answer.authoritative && is_negative && authorities(answer).next().is_none();
    (is_told || is_open).then(|| rewritten(zone, &BTreeSet::new(), answer, is_negative)).flatten()
}

/// The names whose SOA tells whether this one belongs to a zone below: itself, and those above it.
pub(super) fn possible_apexes(zone: &OwnerName, owner: &OwnerName) -> impl Iterator<Item = OwnerName> {
    let above = owner.ancestors().map(OwnerName::from_presentation);
    std::iter::once(owner.clone()).chain(above).filter(move |name| name.is_below(zone))
}

/// What the answer to a question for the SOA of a name that may belong to a zone below this one tells of the names at and
/// below it; `None`: no zone begins there.
pub(super) fn hidden_at(zone: &OwnerName, asked: &OwnerName, answer: &Message) -> Option<Occlusion> {
    if is_apex(asked, answer) {
        return Some(Occlusion::ChildZone(asked.clone()));
    }
    match answer.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain if answer.truncation || !answer.authoritative => return None,
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        other => return Some(Occlusion::Unanswered(rcode(other))),
    }
    // An alias is no apex, and behind it the answer goes on elsewhere.
    let is_alias = |record: &Record| matches!(record.record_type(), RecordType::CNAME | RecordType::DNAME);
    if answer.answers.iter().any(is_alias) {
        return None;
    }
    let origins = origins(asked, answer);
    // A zone further down or up tells of itself at its own apex.
    let is_known = origins.iter().any(|origin| origin.is_at_or_below(zone));
    if is_known { None } else { rewritten(zone, &origins, answer, true) }
}

/// Whether the answer to a question for the SOA of a name says that it is a zone's apex.
pub(super) fn is_apex(asked: &OwnerName, answer: &Message) -> bool {
    let is_own = |record: &Record| matches!(record.data, RData::SOA(_)) && same_name(&record.name, asked);
    answer.authoritative && answer.answers.iter().any(is_own)
}
