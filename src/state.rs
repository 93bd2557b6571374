//! What rotad remembers from one run to the next, and the form of the file that it is kept in.
//!
//! It is a cache: the file and the zones are the truth. It tells who we are, and which `RRsets` are ours although
//! cluster.yaml lists them no longer.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use sha2::{Digest, Sha256};

use crate::{
    dns::{OwnerName, Rdata, RdataSet, RrType, RrsetId},
    overrides::Hold,
    zone::{Identity, Mark, Memory, Owned},
};

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Who we are in generation records.
    pub me: Identity,
    /// What we published, and how we left it, zone by zone.
    pub zones: BTreeMap<OwnerName, Arc<Memory>>,
    /// What an operator holds.
    pub hold: Option<Hold>,
}

/// Why a state file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The first line is not ours.
    #[error("it is not a state file of this version")]
    Format,
    /// Cut, or changed by somebody.
    #[error("its checksum does not match: it was cut or edited")]
    Checksum,
    /// It does not say what a state file says.
    #[error("its content cannot be read: {0}")]
    Content(String),
}

/// The first word of the file, with the version of its form.
const MAGIC: &str = "rotad-state-1";

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
    hold: Option<Hold>,
}

/// The same while it is written: text of ten thousand zones is made as it goes, not first in memory.
impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let remembered = || self.zones.iter().filter(|(_, memory)| !memory.owned.is_empty());
        let marks = || remembered().filter_map(|(zone, memory)| Some((zone.as_str(), memory.mark.as_ref()?)));
        let mut written = serializer.serialize_map(None)?;
        written.serialize_entry("cluster", &self.me.cluster)?;
        written.serialize_entry("owner", &self.me.owner)?;
        let zones = || remembered().map(|(zone, memory)| (zone.as_str(), sets(memory)));
        written.serialize_entry("zones", &Map(zones))?;
        if marks().next().is_some() {
            written.serialize_entry("marks", &Map(marks))?;
        }
        if let Some(hold) = &self.hold {
            written.serialize_entry("hold", hold)?;
        }
        written.end()
    }
}

/// A map that is made while it is written.
struct Map<F>(F);

impl<F, I, K, V> Serialize for Map<F>
where
    F: Fn() -> I,
    I: Iterator<Item = (K, V)>,
    K: Serialize,
    V: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map((self.0)())
    }
}

/// What a zone holds for us.
fn sets(memory: &Arc<Memory>) -> impl Serialize {
    Map(|| memory.owned.iter().map(|(id, rdata)| (Text(id), Data(rdata))))
}

struct Data<'a>(&'a RdataSet);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Text))
    }
}

/// As people read it.
struct Text<T>(T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl State {
    /// Somebody who remembers nothing. The name is made from the machine's, so that a lost state directory does not
    /// make us a stranger to our own zones.
    #[must_use]
    pub fn new(cluster: &str, machine_id: &str) -> Self {
        let digest = Sha256::digest(format!("rotad {cluster} {}", machine_id.trim()));
        let owner = hex(&digest).chars().take(16).collect();
        Self { me: Identity { cluster: cluster.to_owned(), owner }, zones: BTreeMap::new(), hold: None }
    }

    /// The file's text: a line with a checksum, then JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        // Maps of strings always have a JSON form.
        let body = serde_json::to_string(self).unwrap_or_default();
        format!("{MAGIC} {}\n{body}\n", hex(&Sha256::digest(&body)))
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// [`Damage`]: nothing of the file is to be believed.
    pub fn decode(text: &str) -> Result<Self, Damage> {
        let (head, body) = text.split_once('\n').ok_or(Damage::Format)?;
        let checksum = head.strip_prefix(MAGIC).ok_or(Damage::Format)?.trim();
        let body = body.strip_suffix('\n').ok_or(Damage::Checksum)?;
        if hex(&Sha256::digest(body)) != checksum {
            return Err(Damage::Checksum);
        }
        let mut written: Written = serde_json::from_str(body).map_err(|error| Damage::Content(error.to_string()))?;
        let zones = written.zones.into_iter().map(|(zone, sets)| {
            let sets = sets.into_iter().map(|(id, rdata)| {
                let id = parse_id(&id).ok_or_else(|| Damage::Content(format!("{id:?} is no RRset")))?;
                let parse = |text: &String| {
                    parse_rdata(id.rtype, text).ok_or_else(|| Damage::Content(format!("{text:?} is no {}", id.rtype)))
                };
                let rdata = rdata.iter().map(parse).collect::<Result<_, _>>()?;
                Ok((id, rdata))
            });
            let owned: Owned = sets.collect::<Result<_, _>>()?;
            let mark = written.marks.remove(&zone);
            if mark.as_ref().is_some_and(|mark| mark.ttls.len() != owned.len()) {
                return Err(Damage::Content(format!("{zone} has not one TTL for each RRset")));
            }
            Ok((OwnerName::from_presentation(&zone), Arc::new(Memory { owned, mark })))
        });
        let zones = zones.collect::<Result<_, _>>()?;
        Ok(Self { me: Identity { cluster: written.cluster, owner: written.owner }, zones, hold: written.hold })
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::status::Stamp;

    fn remembered() -> State {
        let owned = [
            ("imap.example.org A", vec!["192.0.2.10", "192.0.2.11"]),
            ("imap.example.org AAAA", vec!["2001:db8::11"]),
            ("example.org MX", vec!["10 node00.example.org."]),
            ("pop3.example.org CNAME", vec!["imap.example.net."]),
        ];
        let owned = owned.into_iter().map(|(id, data)| {
            let id = parse_id(id).unwrap();
            let data = data.into_iter().map(|text| parse_rdata(id.rtype, text).unwrap()).collect();
            (id, data)
        });
        let mark = Mark { serial: u32::MAX, generation: u64::MAX, ttls: vec![0, 60, 60, 300] };
        let zones = BTreeMap::from([(
            OwnerName::parse("example.org").unwrap(),
            Arc::new(Memory { owned: owned.collect(), mark: Some(mark) }),
        )]);
        let at = |seconds| Stamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let hold = Hold { since: at(1_000), until: Some(at(2_000)), by: None, reason: Some("\"why\"\n".to_owned()) };
        State { zones, hold: Some(hold), ..State::new("mail", "0123456789abcdef0123456789abcdef\n") }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let state = remembered();
        assert_eq!(State::decode(&state.encode()), Ok(state));
    }

    #[test]
    fn a_file_without_a_hold_has_the_form_of_before() {
        let free = State { hold: None, ..remembered() };
        assert!(!free.encode().contains("hold"));
        assert_eq!(State::decode(&free.encode()), Ok(free));
    }

    #[test]
    fn the_name_depends_on_machine_and_cluster_alone() {
        let name = |cluster, machine| State::new(cluster, machine).me.owner;
        assert_eq!(name("mail", "abc\n"), name("mail", "abc"));
        assert_ne!(name("mail", "abc"), name("mail", "abd"));
        assert_ne!(name("mail", "abc"), name("web", "abc"));
        assert_eq!(name("mail", "abc").len(), 16);
    }

    #[test]
    fn every_cut_and_every_other_byte_is_noticed() {
        let text = remembered().encode();
        for at in 0..text.len() {
            assert!(State::decode(&text[..at]).is_err(), "cut at {at}");
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let other = String::from_utf8(bytes).unwrap();
            // The space before the checksum may be another kind of space; what is read is the same.
            if let Ok(read) = State::decode(&other) {
                assert_eq!(read, remembered(), "byte {at}");
            }
        }
    }

    #[test]
    fn other_files_are_refused() {
        for text in ["", "\n", "{}", "rotad-state-2 00\n{}\n", "rotad-state-1\n\n", "\0\0\0\0\n\0\n"] {
            assert!(State::decode(text).is_err(), "{text:?}");
        }
    }
}
