//! Who and what: the nodes, checks, services and domains of one rota, cross-checked and ready to be decided with.
//!
//! `config` makes a [`Cluster`] from the written file; nothing in here can be inconsistent: every name that
//! one part uses is defined in another, every owner name fits in DNS, and every `RRset` has one TTL.

mod changes;
mod claims;
mod memory;

#[cfg(test)]
pub(crate) use claims::work;
pub use claims::{Claim, Claimed};
pub use memory::LEAST_MEMORY_OF_A_DOMAIN;

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    check::{Check, Timing},
    dns::{OwnerName, Ttl},
};

/// A name of this file's own: cheap to clone, ordered.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is.
            #[must_use]
            pub fn new(text: &str) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// A node's name: its key under `nodes`.
    NodeName
);
name!(
    /// A check's name: its key under `checks`.
    CheckName
);
name!(
    /// A service's name: its key under `services`.
    ServiceName
);

/// Everything that the file says, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// The rota's name: the owner mark in every generation record.
    pub name: String,
    /// How to reach the zones' primary.
    pub bind: Bind,
    /// Where state is kept. `$STATE_DIRECTORY` wins (applied by the daemon, not here).
    pub state_dir: PathBuf,
    /// Where `rotad status` asks. `$RUNTIME_DIRECTORY/status.sock` wins.
    pub status_socket: PathBuf,
    /// The nodes by name.
    pub nodes: BTreeMap<NodeName, Node>,
    /// The checks by name.
    pub checks: BTreeMap<CheckName, Check>,
    /// The services by name.
    pub services: BTreeMap<ServiceName, Service>,
    /// The distinct (services, nodes) pairs that domains have: ten thousand customers share a few.
    pub profiles: Vec<Profile>,
    /// The domains by name.
    pub domains: BTreeMap<OwnerName, Domain>,
    /// The zones that are written, each with its domains: made by [`zones_of`].
    pub zones: BTreeMap<OwnerName, Vec<OwnerName>>,
    /// The rails.
    pub safety: Safety,
}

/// The zones' primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Address and port; updates and reads go over TCP.
    pub server: SocketAddr,
    /// Where the TSIG keys come from.
    pub key: KeySource,
    /// How long an answer may take before it counts as lost.
    pub timeout: Duration,
    /// TCP connections to the server.
    pub connections: usize,
    /// Updates that wait for an answer, all connections together (1-90; BIND's `update-quota` is 100).
    pub max_in_flight: usize,
    /// Whether hmac-md5 and hmac-sha1 keys are accepted.
    pub allow_weak_keys: bool,
}

/// The connection, from 0, that a zone keeps to: there, an older message is never overtaken by a newer one.
#[must_use]
pub fn connection_of(zone: &OwnerName, connections: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    zone.hash(&mut hasher);
    let slots = u64::try_from(connections).unwrap_or(u64::MAX).max(1);
    usize::try_from(hasher.finish() % slots).unwrap_or(0)
}

/// Where the TSIG keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file of BIND `key` clauses; the path is absolute or relative to the working directory, no longer to the file.
    File(PathBuf),
    /// A systemd credential's name (`$CREDENTIALS_DIRECTORY/NAME`).
    Credential(String),
}

impl KeySource {
    /// The file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Credential(_) => None,
        }
    }
}

/// One machine of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its addresses, IPv4 before IPv6. Never empty.
    pub addresses: BTreeSet<IpAddr>,
    /// What `{index}` stands for: the name's trailing digits unless the file says otherwise; may be empty.
    pub index: String,
    /// What the operator wants of it.
    pub admin_state: AdminState,
}

/// What the operator wants of a node; health is kept apart from it, and both are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum AdminState {
    /// In the rotation when healthy.
    #[default]
    Ready,
    /// Leaves the shared sets, keeps its pinned name.
    Drain,
    /// Leaves the shared sets; its pinned name goes where `when_down` says.
    Down,
}

impl AdminState {
    /// The word of the file and of `status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Down => "down",
        }
    }
}

/// What is published for each domain that lists it, and which checks a node must pass to be in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The shape of its `RRsets`.
    pub publish: Publish,
    /// The checks that a node must pass. Empty: every node counts as healthy.
    pub checks: Vec<CheckName>,
    /// How many of `checks` must pass. `None`: all of them.
    pub checks_any: Option<usize>,
    /// TTL of its `RRsets`.
    pub ttl: Ttl,
    /// Fewer healthy nodes than this count as all down.
    pub min_healthy: Share,
}

/// The shape of a service's `RRsets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publish {
    /// `<name>.<domain>` A and AAAA: the addresses of the healthy nodes.
    Address {
        /// The relative name; `@` is the domain itself.
        name: String,
        /// One name a node beside the shared one.
        pinned: Option<Pinned>,
    },
    /// `<domain>` MX: an exchange for each healthy node.
    Mx {
        /// The preference of every record.
        preference: u16,
        /// The exchange, with `{node}`, `{index}` and `{domain}` to be filled in.
        exchange: Pattern,
    },
    /// `<name>.<domain>` CNAME `target`, whatever the health.
    Alias {
        /// The relative name.
        name: String,
        /// The canonical name.
        target: OwnerName,
    },
}

impl Service {
    /// Whether it is an alias of this name.
    #[must_use]
    pub fn is_alias_of(&self, name: &OwnerName) -> bool {
        matches!(&self.publish, Publish::Alias { target, .. } if target == name)
    }
}

/// A name for each node, with exactly that node's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// The relative name, with `{node}` and `{index}` to be filled in.
    pub name: Pattern,
    /// What it points to while its node is down.
    pub when_down: WhenDown,
}

/// What a pinned name points to while its node is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenDown {
    /// One healthy node, picked by a stable hash.
    Repoint,
    /// All healthy nodes.
    Pool,
    /// The node all the same.
    Keep,
}

/// A name with `{node}`, `{index}` and `{domain}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(pub String);

impl Pattern {
    /// Fills in the placeholders.
    #[must_use]
    pub fn fill(&self, node: &NodeName, index: &str, domain: &OwnerName) -> String {
        self.for_node(node, index).in_domain(domain)
    }

    /// Fills in what a node has.
    #[must_use]
    pub fn for_node(&self, node: &NodeName, index: &str) -> Self {
        Self(self.0.replace("{node}", node.as_str()).replace("{index}", index))
    }

    /// Fills in the domain.
    #[must_use]
    pub fn in_domain(&self, domain: &OwnerName) -> String {
        self.0.replace("{domain}", domain.as_str())
    }

    /// Whether each domain gets names of its own.
    #[must_use]
    pub fn names_domain(&self) -> bool {
        self.0.contains("{domain}")
    }
}

/// Which services on which nodes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Profile {
    /// The services, as written, without repetition.
    pub services: Vec<ServiceName>,
    /// The nodes that serve, in order.
    pub nodes: BTreeSet<NodeName>,
}

/// An index into [`Cluster::profiles`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileId(pub u32);

/// One domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// The zone that its names live in: itself unless the file says otherwise.
    pub zone: OwnerName,
    /// What it has and who serves it.
    pub profile: ProfileId,
}

/// A count of nodes, or a share of them in percent, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// That many.
    Count(usize),
    /// That many percent (0-100).
    Percent(u8),
}

impl Share {
    /// The count that this share of `whole` comes to; percentages round up.
    #[must_use]
    pub fn of(self, whole: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => whole.saturating_mul(usize::from(percent)).div_ceil(100),
        }
    }
}

/// What is published when nobody is healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllDown {
    /// What is published already.
    Hold,
    /// Every node that is not drained.
    All,
}

/// What becomes of an `RRset` that the file no longer gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOvers {
    /// It stays in DNS as it is, until `rotad withdraw`.
    Keep,
    /// It is deleted, under `max_change`.
    Delete,
}

/// The rails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Safety {
    /// What is published when nobody is healthy.
    pub all_down: AllDown,
    /// No update before every check has an answer, or this long.
    pub first_round: Duration,
    /// Percent of at least two nodes newly down within `blind_within` that makes rotad suspect itself.
    pub blind_share: u8,
    /// See `blind_share`.
    pub blind_within: Duration,
    /// Addresses that must answer TCP for a blind suspicion to be lifted.
    pub references: Vec<SocketAddr>,
    /// An edit that would change or delete more percent than this of the owned `RRsets` waits for `rotad accept`.
    pub max_change: u8,
    /// What becomes of `RRsets` that the file no longer gives.
    pub left_over: LeftOvers,
    /// How long a target of a check that is new or was edited is waited for while it gives no answer at all. `None`: as
    /// long as its check needs to fall, and no less than [`SETTLE`].
    pub settle: Option<Duration>,
}

/// The shortest default of [`Safety::settle`].
pub const SETTLE: Duration = Duration::from_mins(1);

impl Safety {
    /// How long a target of a check is waited for without an answer.
    #[must_use]
    pub fn settle(&self, timing: &Timing) -> Duration {
        self.settle.unwrap_or_else(|| timing.longest_fall().max(SETTLE))
    }
}

impl Cluster {
    /// The profile of a domain.
    #[must_use]
    pub fn profile(&self, domain: &Domain) -> Option<&Profile> {
        self.profiles.get(domain.profile.0 as usize)
    }

    /// The domain that a name falls in: the nearest of itself and the names above it.
    #[must_use]
    pub fn domain_of(&self, name: &OwnerName) -> Option<(&OwnerName, &Domain)> {
        std::iter::once(name.as_str()).chain(name.ancestors()).find_map(|at| self.domains.get_key_value(at))
    }
}

/// The zones of some domains, each with its domains in order.
#[must_use]
pub fn zones_of(domains: &BTreeMap<OwnerName, Domain>) -> BTreeMap<OwnerName, Vec<OwnerName>> {
    let mut zones: BTreeMap<OwnerName, Vec<OwnerName>> = BTreeMap::new();
    for (name, domain) in domains {
        zones.entry(domain.zone.clone()).or_default().push(name.clone());
    }
    zones
}
