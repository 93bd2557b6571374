//! The words of RFC 1035 that rotad decides with: owner names, types, RDATA and `RRsets`.
//!
//! These types order and compare as DNS does (names without regard to case), so that maps and sets of them are
//! canonical. Wire forms are the business of `update`.

use std::{
    borrow::Borrow,
    cmp::Ordering,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Deref,
    str::FromStr,
    sync::Arc,
};

/// A fully qualified domain name: lower case, presentation form (RFC 1035 section 5.1), without the final dot.
///
/// Cloning shares the text. The root is `.`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OwnerName(Arc<str>);

/// Why a text is not an owner name that rotad accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or a lone dot where a name is needed.
    #[error("a domain name is needed, this is empty")]
    Empty,
    /// Two dots in a row, or a leading dot.
    #[error("a label is empty (two dots in a row, or a dot at the start)")]
    EmptyLabel,
    /// A label over 63 octets (RFC 1035 section 2.3.4).
    #[error("the label \"{label}\" has {octets} octets; DNS allows 63 at most")]
    LabelTooLong {
        /// The label's first octets.
        label: String,
        /// Its length.
        octets: usize,
    },
    /// A name over 255 octets on the wire (RFC 1035 section 2.3.4).
    #[error("the name has {0} octets; DNS allows 255 at most")]
    TooLong(usize),
    /// A character that no host name has.
    #[error("{0:?} does not belong in a domain name (letters, digits, \"-\", \"_\" and dots do)")]
    BadCharacter(char),
    /// An internationalised name in its Unicode form.
    #[error("write the ASCII form of this name")]
    NotAscii,
}

impl OwnerName {
    /// Parses a name as people write it: upper case and a final dot are accepted and normalised.
    ///
    /// # Errors
    /// [`NameError`] when a label or the name is too long, empty, or has characters that no host name has. A `*` is
    /// accepted as the whole first label (RFC 4592).
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if !text.is_ascii() {
            return Err(NameError::NotAscii);
        }
        // One length octet for each label, and the root's.
        let octets = text.len() + 2;
        if octets > 255 {
            return Err(NameError::TooLong(octets));
        }
        for (at, label) in text.split('.').enumerate() {
            if label.is_empty() {
                return Err(NameError::EmptyLabel);
            }
            if label.len() > 63 {
                return Err(NameError::LabelTooLong { label: label.chars().take(20).collect(), octets: label.len() });
            }
            if at == 0 && label == "*" {
                continue;
            }
            if let Some(bad) = label.bytes().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))) {
                return Err(NameError::BadCharacter(bad.into()));
            }
        }
        Ok(Self::lower_case(text))
    }

    /// The root.
    #[must_use]
    pub fn root() -> Self {
        Self(".".into())
    }

    /// Takes a name that came off the wire in presentation form, whatever its characters: what BIND serves need not
    /// be a name that we would write.
    #[must_use]
    pub fn from_presentation(text: &str) -> Self {
        let text = match text.strip_suffix('.') {
            Some("") | None => text,
            Some(rest) => rest,
        };
        Self::lower_case(text)
    }

    /// Most names are in lower case already: no need to copy them twice.
    fn lower_case(text: &str) -> Self {
        let is_lower = !text.bytes().any(|c| c.is_ascii_uppercase());
        Self(if is_lower { text.into() } else { text.to_ascii_lowercase().into() })
    }

    /// The name in lower case without the final dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name one level down: `label.self`; `@` (or an empty label) is the name itself.
    ///
    /// # Errors
    /// As [`OwnerName::parse`].
    pub fn child(&self, label: &str) -> Result<Self, NameError> {
        if label.is_empty() || label == "@" { Ok(self.clone()) } else { Self::parse(&format!("{label}.{self}")) }
    }

    /// Whether this name is `other` or lies below it.
    #[must_use]
    pub fn is_at_or_below(&self, other: &Self) -> bool {
        &*other.0 == "." || self.0.strip_suffix(&*other.0).is_some_and(|head| head.is_empty() || head.ends_with('.'))
    }

    /// The names above this one, nearest first, itself not included.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (_, parent) = rest.split_once('.')?;
            rest = parent;
            (!parent.is_empty()).then_some(parent)
        })
    }
}

/// As text. A clone is found equal without a look at it.
impl Ord for OwnerName {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.as_bytes().cmp(other.0.as_bytes()) }
    }
}

impl PartialOrd for OwnerName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Borrow<str> for OwnerName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for OwnerName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The types of `RRset` that rotad manages (RFC 1035 section 3.2.2, RFC 3596). The order is the order of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RrType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Mail exchange.
    Mx,
    /// Canonical name.
    Cname,
}

impl RrType {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::A, Self::Aaaa, Self::Mx, Self::Cname];

    /// The mnemonic, in upper case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Cname => "CNAME",
        }
    }
}

impl fmt::Display for RrType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The data of one record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rdata {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A mail exchange (RFC 1035 section 3.3.9).
    Mx {
        /// Lower is tried first.
        preference: u16,
        /// The host that takes the mail.
        exchange: OwnerName,
    },
    /// The canonical name behind an alias.
    Cname(OwnerName),
}

impl Rdata {
    /// The type that this data belongs to.
    #[must_use]
    pub const fn rtype(&self) -> RrType {
        match self {
            Self::A(_) => RrType::A,
            Self::Aaaa(_) => RrType::Aaaa,
            Self::Mx { .. } => RrType::Mx,
            Self::Cname(_) => RrType::Cname,
        }
    }
}

impl From<IpAddr> for Rdata {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::A(v4),
            IpAddr::V6(v6) => Self::Aaaa(v6),
        }
    }
}

impl fmt::Display for Rdata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(v4) => v4.fmt(f),
            Self::Aaaa(v6) => v6.fmt(f),
            Self::Mx { preference, exchange } => write!(f, "{preference} {exchange}."),
            Self::Cname(target) => write!(f, "{target}."),
        }
    }
}

/// Time to live in seconds, at most 2^31-1 (RFC 2181 section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(pub u32);

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which `RRset`: all records of one owner name and type (class IN).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RrsetId {
    /// The owner name.
    pub owner: OwnerName,
    /// The type.
    pub rtype: RrType,
}

impl fmt::Display for RrsetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.owner, self.rtype)
    }
}

/// The content of an `RRset` (RFC 2181 section 5): one TTL, no duplicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rrset {
    /// One TTL for the whole set (RFC 2181 section 5.2).
    pub ttl: Ttl,
    /// The records' data.
    pub rdata: RdataSet,
}

/// The data of an `RRset`: in order, no duplicates. Read it as a slice.
///
/// A set has a handful of records, and there are tens of thousands of sets: a tree would take four times the memory.
/// Cloning shares the records, so that what is published and what we own of it are kept once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RdataSet(Arc<[Rdata]>);

impl RdataSet {
    /// What is not in `other`.
    pub fn difference(&self, other: &Self) -> impl Iterator<Item = &Rdata> {
        self.iter().filter(|rdata| !other.contains(rdata))
    }

    /// Whether `other` has it all.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.difference(other).next().is_none()
    }
}

impl Deref for RdataSet {
    type Target = [Rdata];
    fn deref(&self) -> &[Rdata] {
        &self.0
    }
}

impl Default for RdataSet {
    fn default() -> Self {
        Self([].into())
    }
}

impl FromIterator<Rdata> for RdataSet {
    fn from_iter<I: IntoIterator<Item = Rdata>>(rdata: I) -> Self {
        let mut rdata: Vec<_> = rdata.into_iter().collect();
        rdata.sort_unstable();
        rdata.dedup();
        Self(rdata.into())
    }
}

impl<const N: usize> From<[Rdata; N]> for RdataSet {
    fn from(rdata: [Rdata; N]) -> Self {
        rdata.into_iter().collect()
    }
}

impl<'a> IntoIterator for &'a RdataSet {
    type Item = &'a Rdata;
    type IntoIter = std::slice::Iter<'a, Rdata>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for RdataSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self).finish()
    }
}
