//! The words of RFC 1035 that rotad decides with: owner names, types, RDATA and `RRsets`.
//!
//! These types order and compare as DNS does (names without regard to case), so that maps and sets of them are
//! canonical. Wire forms are the business of `update`.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Deref,
    sync::Arc,
};

mod name;

pub use self::name::{NameError, OwnerName};

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
            Self::Mx { preference, exchange } => write!(f, "{preference} {}", exchange.fqdn()),
            Self::Cname(target) => target.fqdn().fmt(f),
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
