//! What rotad remembers from one run to the next, and the form of the file that it is kept in.
//!
//! It is a cache: cluster.yaml and the zones are the truth. It tells who we are, which `RRsets` are ours although the
//! file lists them no longer, what an operator holds, what is held against targets that flap, and what the agents of nodes asked for.
//!
//! The form grows as the versions do, and every version reads every other one's file: whatever the number in the first
//! line, what is known is read, and what is not known (a section, a field, a single entry) is kept as it was and written
//! back: see [`Rest`]. Hence a newer version may only add, and what it adds must stay true whatever an older one changes
//! beside it.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    check::Target,
    cluster::{CheckName, NodeName},
    dns::{OwnerName, Rdata, RdataSet, RrType, RrsetId, Ttl},
    flap::{Damping, Past},
    health::{PastWish, Wishes},
    overrides::Hold,
    status::Stamp,
    zone::{Identity, LeftOver, Mark, Memory, Owned},
};

mod rest;
#[cfg(test)]
mod tests;
mod written;

pub use self::rest::Rest;

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Who we are in generation records.
    pub me: Identity,
    /// What we published, and how we left it, zone by zone.
    pub zones: BTreeMap<OwnerName, Arc<Memory>>,
    /// What an operator holds.
    pub hold: Option<Hold>,
    /// The hash of the newest file that was judged, or accepted, and was in force: with that one a start has no edit to
    /// judge, whatever somebody has done to the zones meanwhile.
    pub file: Option<String>,
    /// What is held against targets that flap.
    pub damping: Damping,
    /// What the agents of nodes have asked for.
    pub wishes: Wishes,
    /// What another version has written and this one does not know.
    pub rest: Arc<Rest>,
}

/// Why a state file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The first line is not ours.
    #[error("it is no state file of rotad")]
    Format,
    /// Cut, or changed by somebody.
    #[error("its checksum does not match: it was cut or edited")]
    Checksum,
    /// It does not say what a state file says.
    #[error("its content cannot be read: {0}")]
    Content(String),
}

/// The first word of the file, before the number of the version that began its form.
const MAGIC: &str = "rotad-state-";
/// The number that we write.
const VERSION: u32 = 1;

/// The written form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    cluster: String,
    owner: String,
    /// Zone, then "owner type", then the data.
    zones: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    marks: BTreeMap<String, Mark>,
    #[serde(default)]
    generations: BTreeMap<String, u64>,
    #[serde(default)]
    ttl_limits: BTreeMap<String, u32>,
    /// As `zones`.
    #[serde(default)]
    missing: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// Zone, then "owner type".
    #[serde(default)]
    left_over: BTreeMap<String, BTreeMap<String, WrittenLeftOver>>,
    #[serde(default)]
    hold: Option<Value>,
    #[serde(default)]
    file: Option<String>,
    /// Node, then check, then address.
    #[serde(default)]
    damping: ByTarget<Past>,
    /// Likewise.
    #[serde(default)]
    agents: ByTarget<PastWish>,
}

/// Node, then check, then address.
type ByTarget<T> = BTreeMap<String, BTreeMap<String, BTreeMap<String, T>>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLeftOver {
    since: Stamp,
    data: Vec<String>,
    missing: Vec<String>,
}

impl State {
    /// Nothing is remembered yet. The name is made from the machine's, so that a lost state directory does not make us a
    /// stranger to our own zones.
    #[must_use]
    pub fn new(cluster: &str, machine_id: &str) -> Self {
        let digest = Sha256::digest(format!("rotad {cluster} {}", machine_id.trim()));
        let owner = hex(&digest).chars().take(16).collect();
        Self {
            me: Identity { cluster: cluster.to_owned(), owner },
            zones: BTreeMap::new(),
            hold: None,
            file: None,
            damping: BTreeMap::new(),
            wishes: BTreeMap::new(),
            rest: Arc::default(),
        }
    }

    /// The file's text: a line with a checksum, then JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        // Maps of strings always have a JSON form.
        let body = if self.rest.is_empty() {
            serde_json::to_string(self)
        } else {
            serde_json::to_value(self).map(|known| self.rest.merged_into(known).to_string())
        };
        sealed(&body.unwrap_or_default())
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// [`Damage`]: nothing of the file is to be believed.
    pub fn decode(text: &str) -> Result<Self, Damage> {
        let (head, body) = text.split_once('\n').ok_or(Damage::Format)?;
        let (version, checksum) =
            head.strip_prefix(MAGIC).and_then(|head| head.split_once(char::is_whitespace)).ok_or(Damage::Format)?;
        if version.is_empty() || !version.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(Damage::Format);
        }
        let body = body.strip_suffix('\n').ok_or(Damage::Checksum)?;
        if hex(&Sha256::digest(body)) != checksum.trim() {
            return Err(Damage::Checksum);
        }
        // The form of this version, in one pass; what has anything else in it is taken apart first.
        if let Some(state) = serde_json::from_str::<Written>(body).ok().and_then(Self::of_written) {
            return Ok(state);
        }
        let no_content = |error: serde_json::Error| Damage::Content(error.to_string());
        let (known, rest) = Rest::sift(serde_json::from_str(body).map_err(no_content)?);
        let written = serde_json::from_value::<Written>(known).map_err(no_content)?;
        let state = Self::of_written(written).ok_or_else(|| Damage::Content("its entries make no sense".to_owned()))?;
        Ok(Self { rest: Arc::new(rest), ..state })
    }

    /// `None`: some entry is unknown to this version.
    fn of_written(written: Written) -> Option<Self> {
        let Written {
            cluster,
            owner,
            zones,
            mut marks,
            generations,
            ttl_limits,
            mut missing,
            left_over,
            hold,
            file,
            damping,
            agents,
        } = written;
        let mut memories: BTreeMap<OwnerName, Memory> = BTreeMap::new();
        for (zone, sets) in zones {
            let owned = parse_sets(&sets)?;
            let mut missing = parse_sets(&missing.remove(&zone).unwrap_or_default())?;
            missing.retain(|id, _| owned.contains_key(id));
            // One with an entry that is unknown here, or was there, is of no use: the zone is read.
            let mark = marks.remove(&zone).filter(|mark| !owned.is_empty() && mark.ttls.len() == owned.len());
            // The first form had no generations of their own.
            let generation = mark.as_ref().map(|mark| mark.generation);
            let memory = Memory { owned, mark, generation, missing, ..Memory::default() };
            memories.insert(OwnerName::from_presentation(&zone), memory);
        }
        for (zone, generation) in generations {
            memories.entry(OwnerName::from_presentation(&zone)).or_default().generation = Some(generation);
        }
        for (zone, limit) in ttl_limits {
            memories.entry(OwnerName::from_presentation(&zone)).or_default().ttl_limit = Some(Ttl(limit));
        }
        for (zone, sets) in left_over {
            let sets = sets.iter().map(|(id, set)| parse_left_over(id, set));
            let memory = memories.entry(OwnerName::from_presentation(&zone)).or_default();
            memory.left_over = sets.collect::<Option<_>>()?;
            // Whatever wrote both: a name that is ours by the file is not left over.
            memory.left_over.retain(|id, _| !memory.owned.contains_key(id));
        }
        let hold = match hold {
            Some(hold) if !hold.is_null() => Some(plain_hold(&hold)?),
            _ => None,
        };
        let (damping, wishes) = (by_target(damping)?, by_target(agents)?);
        memories.retain(|_, memory| !memory.is_empty());
        let zones = memories.into_iter().map(|(zone, memory)| (zone, Arc::new(memory))).collect();
        Some(Self { me: Identity { cluster, owner }, zones, hold, file, damping, wishes, rest: Arc::default() })
    }
}

/// `None`: an address is none.
fn by_target<T>(written: ByTarget<T>) -> Option<BTreeMap<Target, T>> {
    let mut targets = BTreeMap::new();
    for (node, checks) in written {
        for (check, addresses) in checks {
            for (address, past) in addresses {
                let (node, check) = (NodeName::new(&node), CheckName::new(&check));
                targets.insert(Target { node, check, address: address.parse().ok()? }, past);
            }
        }
    }
    Some(targets)
}

/// A body under its first line.
#[must_use]
pub fn sealed(body: &str) -> String {
    format!("{MAGIC}{VERSION} {}\n{body}\n", hex(&Sha256::digest(body)))
}

/// A hold of which every field is known.
fn plain_hold(written: &Value) -> Option<Hold> {
    let hold = Hold::deserialize(written).ok()?;
    let known = serde_json::to_value(&hold).ok()?;
    let is_known = written.as_object()?.keys().all(|field| known.get(field).is_some());
    is_known.then_some(hold)
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn parse_sets(sets: &BTreeMap<String, Vec<String>>) -> Option<Owned> {
    sets.iter().map(|(id, data)| parse_set(id, data)).collect()
}

fn parse_set(id: &str, data: &[String]) -> Option<(RrsetId, RdataSet)> {
    let id = parse_id(id)?;
    let data = parse_data(id.rtype, data)?;
    Some((id, data))
}

fn parse_left_over(id: &str, written: &WrittenLeftOver) -> Option<(RrsetId, LeftOver)> {
    let id = parse_id(id)?;
    let (data, missing) = (parse_data(id.rtype, &written.data)?, parse_data(id.rtype, &written.missing)?);
    Some((id, LeftOver { since: written.since, data, missing }))
}

fn parse_data(rtype: RrType, data: &[String]) -> Option<RdataSet> {
    data.iter().map(|text| parse_rdata(rtype, text)).collect()
}

fn parse_id(text: &str) -> Option<RrsetId> {
    let (owner, rtype) = text.rsplit_once(' ')?;
    let rtype = RrType::ALL.into_iter().find(|known| known.as_str() == rtype)?;
    Some(RrsetId { owner: OwnerName::from_presentation(owner), rtype })
}

/// The reverse of [`Rdata`]'s `Display`.
fn parse_rdata(rtype: RrType, text: &str) -> Option<Rdata> {
    match rtype {
        RrType::A => text.parse().ok().map(Rdata::A),
        RrType::Aaaa => text.parse().ok().map(Rdata::Aaaa),
        RrType::Cname => Some(Rdata::Cname(OwnerName::from_presentation(text))),
        RrType::Mx => {
            let (preference, exchange) = text.split_once(' ')?;
            Some(Rdata::Mx { preference: preference.parse().ok()?, exchange: OwnerName::from_presentation(exchange) })
        }
    }
}
