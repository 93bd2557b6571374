//! One snapshot of the daemon: what `rotad status` shows. Written by the daemon, never read by it.
//!
//! The names of the JSON form are a contract with scripts; fields may be added, none is renamed or taken away.

mod human;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    check::Outcome,
    cluster::{AdminState, Cluster, NodeName},
    dns::{OwnerName, RdataSet},
    health::{Health, HealthView, State},
    overrides::Hold,
    zone::Memory,
};

/// The snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// When the snapshot was taken, by the daemon's wall clock.
    pub time: Stamp,
    /// What the daemon does at the moment.
    pub mode: Mode,
    /// Every reason why nothing is written.
    #[serde(default)]
    pub blocked: Vec<Mode>,
    /// The operator's hold, if there is one.
    pub hold: Option<Hold>,
    /// The file in force.
    pub config: Config,
    /// The nodes, by name.
    pub nodes: Vec<Node>,
    /// The zones, by name.
    pub zones: Vec<Zone>,
    /// The shared sets that have too few healthy nodes.
    #[serde(default)]
    pub short: Vec<Short>,
    /// What the file no longer gives and stands in DNS.
    #[serde(default)]
    pub left_over: Vec<LeftOver>,
    /// The primaries.
    #[serde(default)]
    pub servers: Vec<Server>,
}

/// A primary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// What it is called; its address, where there is one alone.
    pub name: String,
    /// Where it is asked.
    pub address: String,
    /// Whether it can be worked with.
    pub state: ServerState,
    /// Since when it cannot.
    pub since: Option<Stamp>,
}

/// Whether a primary can be worked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// It answers, as far as is known.
    Up,
    /// It gives no answer.
    Silent,
    /// It does not accept our signature.
    KeyRefused,
}

/// A shared set, in however many domains, that has too few healthy nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Short {
    /// The service.
    pub service: String,
    /// The type: families fail apart.
    pub rtype: Cow<'static, str>,
    /// The nodes that serve it.
    pub nodes: Vec<String>,
    /// How many of them are healthy and not drained.
    pub healthy: usize,
    /// How many it needs.
    pub needed: usize,
    /// What it holds now, in the first of its domains: what `all_down` says, once BIND has it.
    pub kept: Vec<String>,
}

/// An `RRset` that the file no longer gives: it stays as it is until somebody withdraws it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOver {
    /// Its owner name.
    pub owner: String,
    /// Its type.
    pub rtype: String,
    /// The zone that holds it.
    pub zone: String,
    /// The zone's server.
    pub server: String,
    /// When it left the file.
    pub since: Stamp,
    /// What it holds.
    pub data: Vec<String>,
    /// The members that were out at that moment.
    pub missing: Vec<String>,
}

impl LeftOver {
    /// All that a zone has left over.
    pub fn of(zone: &OwnerName, memory: &Memory, server: &str) -> impl Iterator<Item = Self> {
        let data = |set: &RdataSet| set.iter().map(ToString::to_string).collect();
        memory.left_over.iter().map(move |(id, left)| Self {
            owner: id.owner.to_string(),
            rtype: id.rtype.as_str().to_owned(),
            zone: zone.to_string(),
            server: server.to_owned(),
            since: left.since,
            data: data(&left.data),
            missing: data(&left.missing),
        })
    }
}

/// What the daemon does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The first round of checks is not over: nothing is written yet.
    Starting,
    /// Checks are made and BIND is written.
    Active,
    /// An operator holds: checks are made, nothing is written.
    Hold,
    /// Too many nodes went down at once, we suspect ourselves: nobody is taken out. It is among [`Status::blocked`] unless
    /// `all_down: all` publishes every node.
    Blind,
}

impl Mode {
    /// The word of the JSON form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Active => "active",
            Self::Hold => "hold",
            Self::Blind => "blind",
        }
    }
}

/// The file in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Where it was read from.
    pub file: PathBuf,
    /// When the content in force was read.
    pub loaded_at: Stamp,
    /// A hash of the content in force: cluster.yaml and the files that it names.
    #[serde(default)]
    pub hash: String,
    /// Why the newest edit is not in force; `None`: it is.
    pub error: Option<String>,
    /// The edit that waits for `rotad accept`.
    #[serde(default)]
    pub held_edit: Option<HeldEdit>,
}

/// An edit that changes more than `max_change`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldEdit {
    /// What it is called by.
    pub id: String,
    /// How many of the published `RRsets` it would change or delete.
    pub changed: usize,
    /// How many are published.
    pub owned: usize,
    /// Since when it waits.
    pub since: Stamp,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name in the file.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// What the operator wants of it: `ready`, `drain` or `down`.
    pub admin_state: Cow<'static, str>,
    /// Its checks, by name and address.
    pub checks: Vec<Check>,
}

/// One check of one address of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its name in the file.
    pub check: String,
    /// The address that is asked.
    pub address: IpAddr,
    /// `up`, `down` or `unknown`.
    pub state: Cow<'static, str>,
    /// When that was decided, or when we began to ask.
    pub since: Stamp,
    /// What the last probe found; `None` before the first. Begins with until when (UTC) and why a check that passes is
    /// held down all the same: `held until 12:04:10, 4th flap: ...`.
    pub reason: Option<String>,
    /// What deserves a look although it passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// Until when it is held down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Stamp>,
}

/// One zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Its name.
    pub zone: String,
    /// The primary that it is on: its name in [`Status::servers`].
    #[serde(default)]
    pub server: String,
    /// How far it is from what is wanted.
    pub state: ZoneState,
    /// The generation in its record, as last read or written.
    pub generation: Option<u64>,
    /// Its SOA serial, as last read.
    pub serial: Option<u32>,
    /// Why it is not in sync.
    pub error: Option<String>,
    /// Names of the file at which it holds data of strangers, which are left.
    #[serde(default)]
    pub foreign: Vec<String>,
}

/// How far a zone is from what is wanted. The order is that of urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneState {
    /// It cannot be read or written.
    Failing,
    /// It holds data that is not ours: nothing is written.
    Foreign,
    /// Another instance writes it.
    Standby,
    /// A change waits or is under way.
    Pending,
    /// It holds what is wanted.
    InSync,
}

impl ZoneState {
    /// The word of the JSON form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Foreign => "foreign",
            Self::Standby => "standby",
            Self::Pending => "pending",
            Self::InSync => "in_sync",
        }
    }
}

/// A moment of the wall clock; in JSON as RFC 3339 in UTC, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub SystemTime);

/// The last second of the year 9999, since 1970: RFC 3339 has no later one.
const LAST_SECOND: u64 = 253_402_300_799;

impl Stamp {
    /// Whether it has a written form of its own; any other is written as the nearest that has.
    #[must_use]
    pub fn is_writable(self) -> bool {
        let since = self.0.duration_since(SystemTime::UNIX_EPOCH);
        since.is_ok_and(|since| since.as_secs() <= LAST_SECOND)
    }

    /// Hours, minutes and seconds in UTC.
    fn time_of_day(self) -> String {
        let stamp = self.to_string();
        stamp.split_once('T').map_or(String::new(), |(_, time)| time.trim_end_matches('Z').to_owned())
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whatever a socket, a file or a clock made of it: an error here would be the end of whoever writes it.
        let since = self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let nearest = SystemTime::UNIX_EPOCH + since.min(Duration::from_secs(LAST_SECOND));
        humantime::format_rfc3339_seconds(nearest).fmt(f)
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        humantime::parse_rfc3339(&text).map(Self).map_err(D::Error::custom)
    }
}

/// One moment on both clocks, to tell people when something happened that was stamped with the other.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// The monotonic clock.
    pub now: Instant,
    /// The wall clock at that moment.
    pub wall: SystemTime,
}

impl Clocks {
    /// The wall clock at another moment; one before 1970 counts as 1970 (RFC 3339 has no earlier year that all readers
    /// take).
    #[must_use]
    pub fn stamp(self, at: Instant) -> Stamp {
        let (ago, ahead) = (self.now.saturating_duration_since(at), at.saturating_duration_since(self.now));
        let wall = self.wall.checked_sub(ago).and_then(|wall| wall.checked_add(ahead));
        Stamp(wall.map_or(SystemTime::UNIX_EPOCH, |wall| wall.max(SystemTime::UNIX_EPOCH)))
    }
}

impl Node {
    /// All nodes of the cluster with what is known of their health.
    #[must_use]
    pub fn all(cluster: &Cluster, health: &HealthView, clocks: Clocks) -> Vec<Self> {
        let mut checks: BTreeMap<&NodeName, Vec<Check>> = BTreeMap::new();
        for (target, health) in &health.targets {
            checks.entry(&target.node).or_default().push(Check {
                check: target.check.as_str().to_owned(),
                address: target.address,
                state: health.state.as_str().into(),
                since: clocks.stamp(health.since),
                reason: reason(health, clocks),
                warning: warning(health),
                held_until: health.hold.map(|hold| clocks.stamp(hold.until)),
            });
        }
        cluster
            .nodes
            .iter()
            .map(|(name, node)| Self {
                name: name.as_str().to_owned(),
                addresses: node.addresses.iter().copied().collect(),
                admin_state: node.admin_state.as_str().into(),
                checks: checks.remove(name).unwrap_or_default(),
            })
            .collect()
    }
}

/// What the last probe found, and whether it counts.
fn reason(health: &Health, clocks: Clocks) -> Option<String> {
    let last = health.last.as_ref()?;
    let found = last.reason();
    Some(match (health.hold, &health.why, last) {
        (Some(hold), ..) => {
            format!("held until {}, {}: {found}", clocks.stamp(hold.until).time_of_day(), hold.ordinal())
        }
        // Its word stands, though it says nothing more.
        (None, Some(why), Outcome::Unknown(_)) if health.wish != AdminState::Ready => format!("{why}; now {found}"),
        _ => found.to_owned(),
    })
}

/// What a check that passes warns of.
fn warning(health: &Health) -> Option<String> {
    let passes = health.state == State::Up || health.last.as_ref().is_some_and(Outcome::is_pass);
    health.warning.as_ref().filter(|_| passes).map(ToString::to_string)
}

/// The age of a stamp at another one; a clock that was put back makes it zero.
fn age(stamp: Stamp, at: Stamp) -> Duration {
    at.0.duration_since(stamp.0).unwrap_or_default()
}

#[cfg(test)]
mod tests;
