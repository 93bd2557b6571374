//! The generation record: the lock that lives in the zone.

use std::{collections::BTreeSet, fmt};

use crate::dns::{NameError, OwnerName};

/// What `_rotad.<zone>` TXT says: who writes the zone, and how often it was written.
///
/// Its text form is exact: `v=1 cluster=<name> owner=<instance> generation=<n>`. `cluster` and `owner` are words
/// without white space; a record with another text does not parse, and so is never taken for ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GenerationRecord {
    /// The rota's name.
    pub cluster: String,
    /// The instance that writes.
    pub owner: String,
    /// Grows by one with every message that BIND applies.
    pub generation: u64,
}

impl GenerationRecord {
    /// Reads the text form; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (cluster, rest) = text.strip_prefix("v=1 cluster=")?.split_once(" owner=")?;
        let (owner, generation) = rest.split_once(" generation=")?;
        let record = Self { cluster: cluster.into(), owner: owner.into(), generation: generation.parse().ok()? };
        let words = [cluster, owner].iter().all(|word| !word.is_empty() && !word.contains(char::is_whitespace));
        // The comparison refuses "+7" and "007".
        (words && record.to_string() == text).then_some(record)
    }

    /// The record that the next message writes.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { generation: self.generation.saturating_add(1), ..self.clone() }
    }

    /// Where the record of a zone lives.
    ///
    /// # Errors
    /// When the zone's name leaves no room for the label.
    pub fn owner_name(zone: &OwnerName) -> Result<OwnerName, NameError> {
        zone.child("_rotad")
    }
}

impl fmt::Display for GenerationRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v=1 cluster={} owner={} generation={}", self.cluster, self.owner, self.generation)
    }
}

/// The data of one TXT record: its character-strings (RFC 1035 section 3.3.14), as read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Txt(pub Vec<Vec<u8>>);

impl From<&GenerationRecord> for Txt {
    fn from(record: &GenerationRecord) -> Self {
        Self(vec![record.to_string().into_bytes()])
    }
}

impl fmt::Display for Txt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            write!(f, "{}\"{}\"", if at == 0 { "" } else { " " }, part.escape_ascii())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Txt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The TXT `RRset` at `_rotad.<zone>` as last read, kept to the byte: the next message requires exactly this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GenerationRrset {
    /// The zone has none.
    Absent,
    /// The zone has one.
    Present {
        /// Its records; never empty.
        raw: BTreeSet<Txt>,
        /// What it says; `None` when it is not one record of our form: then the zone is not ours.
        record: Option<GenerationRecord>,
    },
}

impl GenerationRrset {
    /// From the records that were read; none at all is [`GenerationRrset::Absent`].
    #[must_use]
    pub fn new(raw: BTreeSet<Txt>) -> Self {
        let record = match (raw.len(), raw.first()) {
            (1, Some(Txt(parts))) => match parts.as_slice() {
                [text] => std::str::from_utf8(text).ok().and_then(GenerationRecord::parse),
                _ => None,
            },
            (_, None) => return Self::Absent,
            _ => None,
        };
        Self::Present { raw, record }
    }

    /// What it says, if it is there and of our form.
    #[must_use]
    pub const fn record(&self) -> Option<&GenerationRecord> {
        match self {
            Self::Present { record: Some(record), .. } => Some(record),
            _ => None,
        }
    }

    /// The highest generation of any record of our form, although others may stand beside it.
    #[must_use]
    pub fn highest(&self) -> Option<u64> {
        let Self::Present { raw, .. } = self else { return None };
        let records = raw.iter().filter_map(|Txt(parts)| match parts.as_slice() {
            [text] => GenerationRecord::parse(std::str::from_utf8(text).ok()?),
            _ => None,
        });
        records.map(|record| record.generation).filter(|generation| *generation < u64::MAX).max()
    }
}

impl From<&GenerationRecord> for GenerationRrset {
    fn from(record: &GenerationRecord) -> Self {
        Self::Present { raw: BTreeSet::from([record.into()]), record: Some(record.clone()) }
    }
}
