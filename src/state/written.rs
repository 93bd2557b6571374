//! The state as JSON. The text of ten thousand zones is made as it is written, not first in memory.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::State;
use crate::{
    check::Target,
    dns::RdataSet,
    status::Stamp,
    zone::{LeftOver, Memory, Owned},
};

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let owning = || self.zones.iter().filter(|(_, memory)| !memory.owned.is_empty());
        let marks = || owning().filter_map(|(zone, memory)| Some((zone.as_str(), memory.mark.as_ref()?)));
        let generations = || self.zones.iter().filter_map(|(zone, memory)| Some((zone.as_str(), memory.generation?)));
        let ttl_limits = || self.zones.iter().filter_map(|(zone, memory)| Some((zone.as_str(), memory.ttl_limit?.0)));
        let leaving = || self.zones.iter().filter(|(_, memory)| !memory.left_over.is_empty());
        let mut written = serializer.serialize_map(None)?;
        written.serialize_entry("cluster", &self.me.cluster)?;
        written.serialize_entry("owner", &self.me.owner)?;
        written
            .serialize_entry("zones", &Map(|| owning().map(|(zone, memory)| (zone.as_str(), sets(&memory.owned)))))?;
        if marks().next().is_some() {
            written.serialize_entry("marks", &Map(marks))?;
        }
        if generations().next().is_some() {
            written.serialize_entry("generations", &Map(generations))?;
        }
        if ttl_limits().next().is_some() {
            written.serialize_entry("ttl_limits", &Map(ttl_limits))?;
        }
        let lacking = || owning().filter(|(_, memory)| !memory.missing.is_empty());
        if lacking().next().is_some() {
            let missing = || lacking().map(|(zone, memory)| (zone.as_str(), sets(&memory.missing)));
            written.serialize_entry("missing", &Map(missing))?;
        }
        if leaving().next().is_some() {
            let left_over = || leaving().map(|(zone, memory)| (zone.as_str(), left_over(memory)));
            written.serialize_entry("left_over", &Map(left_over))?;
        }
        if let Some(hold) = &self.hold {
            written.serialize_entry("hold", hold)?;
        }
        if let Some(file) = &self.file {
            written.serialize_entry("file", file)?;
        }
        if !self.damping.is_empty() {
            written.serialize_entry("damping", &by_node(&self.damping))?;
        }
        if !self.wishes.is_empty() {
            written.serialize_entry("agents", &by_node(&self.wishes))?;
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

/// Data by `RRset`.
fn sets(sets: &Owned) -> impl Serialize {
    Map(|| sets.iter().map(|(id, rdata)| (Text(id), Data(rdata))))
}

/// What it holds although the file no longer gives it.
fn left_over(memory: &Arc<Memory>) -> impl Serialize {
    Map(|| memory.left_over.iter().map(|(id, left)| (Text(id), Left::from(left))))
}

#[derive(Serialize)]
struct Left<'a> {
    since: Stamp,
    data: Data<'a>,
    missing: Data<'a>,
}

impl<'a> From<&'a LeftOver> for Left<'a> {
    fn from(LeftOver { since, data, missing }: &'a LeftOver) -> Self {
        Self { since: *since, data: Data(data), missing: Data(missing) }
    }
}

/// Node, then check, then address.
fn by_node<T: Serialize>(damping: &BTreeMap<Target, T>) -> impl Serialize {
    let mut nodes: BTreeMap<_, BTreeMap<_, BTreeMap<_, _>>> = BTreeMap::new();
    for (Target { node, check, address }, past) in damping {
        nodes.entry(node.as_str()).or_default().entry(check.as_str()).or_default().insert(address, past);
    }
    nodes
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
