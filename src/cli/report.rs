//! What `rotad plan` shows.

use std::{fmt, time::Instant};

use serde::Serialize;

use crate::{
    plan::Change,
    rota::Rota,
    status::{LeftOver, ZoneState},
    text,
    update::GenerationRecord,
    zone::{Identity, Later, Preview},
};

/// Left-overs that the text spells out.
const LEFT_OVER: usize = 100;

/// The dry run of every zone that would change.
#[derive(Debug, Serialize)]
pub struct Report {
    zones: Vec<Zone>,
    /// Zones that could not be read, and why.
    unread: Vec<Unread>,
    /// Sets with too few healthy nodes, and what is done about them.
    short: Vec<String>,
    /// Why the whole would wait for `rotad accept`.
    held: Option<String>,
    /// What the file no longer gives, and stays in DNS.
    left_over: Vec<LeftOver>,
    /// Why nothing of it is written for now.
    waits: Option<String>,
}

/// One zone.
#[derive(Debug, Serialize)]
struct Zone {
    #[serde(rename = "zone")]
    name: String,
    /// `foreign` or `standby`: why nothing would be written.
    not_ours: Option<NotOurs>,
    changes: Vec<Set>,
    /// What is deleted later, and what it waits for.
    later: Vec<Waiting>,
    /// What BIND would ignore.
    blocked: Vec<String>,
    /// Sets at names of the file with data that are not known to be ours: they are left.
    foreign: Vec<String>,
}

#[derive(Debug, Serialize)]
struct NotOurs {
    state: ZoneState,
    error: String,
}

/// One `RRset`, with its lines of the diff.
#[derive(Debug, Serialize)]
struct Set {
    owner: String,
    rrtype: &'static str,
    diff: Vec<String>,
}

/// A deletion that follows.
#[derive(Debug, Serialize)]
struct Waiting {
    #[serde(flatten)]
    set: Set,
    waits: String,
}

#[derive(Debug, Serialize)]
struct Unread {
    zone: String,
    error: String,
}

impl Report {
    /// What the rota would do now.
    #[must_use]
    pub fn new(rota: &Rota, me: &Identity, now: Instant) -> Self {
        let zones = rota.previews(now).iter().map(|preview| Zone::new(preview, me)).filter(Zone::is_news).collect();
        let unread = rota.zones().iter().filter(|(_, zone)| zone.state() == ZoneState::Failing);
        let unread = unread
            .filter(|(_, zone)| !zone.is_read())
            .map(|(name, zone)| Unread { zone: name.to_string(), error: zone.error().unwrap_or_default().to_owned() });
        let held = rota.refused_edit().map(str::to_owned);
        let left_over = rota.left_over().collect();
        Self { zones, unread: unread.collect(), short: rota.shortages().collect(), held, left_over, waits: None }
    }

    /// The same with why nothing is written for now, if it is not.
    #[must_use]
    pub fn waiting_for(self, waits: Option<String>) -> Self {
        Self { waits, ..self }
    }

    /// Whether there is something to change.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.zones.iter().any(Zone::changes)
    }

    /// Whether some zone is not in it, because it could not be read.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.unread.is_empty()
    }
}

impl Zone {
    fn new(preview: &Preview, me: &Identity) -> Self {
        let mut changes: Vec<_> = preview.plan.changes.iter().map(Set::new).collect();
        if preview.claim || (preview.is_first && !changes.is_empty()) {
            changes.push(Set::record(preview, me));
        }
        Self {
            name: preview.zone.to_string(),
            not_ours: preview.not_ours.clone().map(|(state, error)| NotOurs { state, error }),
            changes,
            later: preview.later.iter().map(Waiting::new).collect(),
            blocked: preview.plan.blocked.values().cloned().collect(),
            foreign: preview.plan.foreign.values().cloned().collect(),
        }
    }

    /// How many sets change, now or later.
    const fn sets(&self) -> usize {
        self.changes.len() + self.later.len()
    }

    /// Whether something of it would be written.
    fn changes(&self) -> bool {
        self.sets() > 0 && self.not_ours.is_none()
    }

    fn is_news(&self) -> bool {
        self.not_ours.is_some() || self.sets() > 0 || !self.blocked.is_empty() || !self.foreign.is_empty()
    }
}

impl Waiting {
    fn new(later: &Later) -> Self {
        let Later { id, ttl, data, waits } = later;
        let ttl = ttl.map_or_else(String::new, |ttl| format!("{ttl} "));
        let diff = data.iter().map(|rdata| format!("- {}. {ttl}IN {} {rdata}", id.owner, id.rtype)).collect();
        let set = Set { owner: id.owner.to_string(), rrtype: id.rtype.as_str(), diff };
        Self { set, waits: waits.clone() }
    }
}

impl Set {
    fn new(change: &Change) -> Self {
        Self {
            owner: change.id.owner.to_string(),
            rrtype: change.id.rtype.as_str(),
            diff: change.to_string().lines().map(str::to_owned).collect(),
        }
    }

    /// The generation record: shown when the zone gets its first one.
    fn record(preview: &Preview, me: &Identity) -> Self {
        let (cluster, owner) = (me.cluster.clone(), me.owner.clone());
        let record = GenerationRecord { cluster, owner, generation: preview.generation };
        let owner = format!("_rotad.{}", preview.zone);
        let line = format!("+ {owner}. 0 IN TXT \"{record}\"");
        Self { owner, rrtype: "TXT", diff: vec![line] }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for zone in &self.zones {
            writeln!(f, "zone {}", zone.name)?;
            if let Some(not_ours) = &zone.not_ours {
                writeln!(f, "! {}: {}", not_ours.state.as_str(), not_ours.error)?;
            }
            for words in zone.blocked.iter().chain(&zone.foreign) {
                writeln!(f, "! {words}")?;
            }
            for line in zone.changes.iter().flat_map(|set| &set.diff) {
                writeln!(f, "{line}")?;
            }
            for Waiting { set, waits } in &zone.later {
                writeln!(f, "! {waits}")?;
                set.diff.iter().try_for_each(|line| writeln!(f, "{line}"))?;
            }
            writeln!(f)?;
        }
        // What the server does to all zones is said once.
        let unread = self.unread.iter().map(|Unread { zone, error }| (zone.as_str(), error.as_str()));
        for (zones, error) in text::by_cause(unread) {
            writeln!(f, "{} could not be read: {error}\n", text::zones(&zones))?;
        }
        for words in &self.short {
            writeln!(f, "! {words}")?;
        }
        for left in self.left_over.iter().take(LEFT_OVER) {
            let data = left.data.join(", ");
            writeln!(f, "! {} {} is out of the file and stays in DNS: {data}", left.owner, left.rtype)?;
        }
        if let Some(more @ 1..) = self.left_over.len().checked_sub(LEFT_OVER) {
            let more = text::count(more);
            writeln!(f, "! {more} more RRsets are out of the file and stay in DNS: `rotad status` lists them")?;
        }
        if let Some(words) = &self.held {
            writeln!(f, "{words}")?;
        }
        let changing = self.zones.iter().filter(|zone| zone.changes());
        match changing.clone().count() {
            0 if self.zones.is_empty() && self.unread.is_empty() && self.short.is_empty() => {
                writeln!(f, "no changes: every zone is as it should be")
            }
            0 if self.unread.is_empty() => writeln!(f, "no changes"),
            0 => Ok(()),
            zones => {
                let sets: usize = changing.map(Zone::sets).sum();
                match &self.waits {
                    Some(why) => writeln!(f, "{sets} RRsets in {zones} zones wait: {why}"),
                    None => writeln!(f, "{sets} RRsets in {zones} zones would change; nothing was written"),
                }
            }
        }
    }
}
