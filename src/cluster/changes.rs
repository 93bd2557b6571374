//! What an edit has changed, in words.

use std::collections::BTreeMap;

use super::Cluster;

/// Names that a list of changes spells out before it only counts.
const SPELLED_OUT: usize = 5;

impl Cluster {
    /// What is different in `new`, for people; empty when nothing is.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        let settings = [
            ("cluster", self.name != new.name),
            ("bind", self.bind != new.bind),
            ("state_dir", self.state_dir != new.state_dir),
            ("status_socket", self.status_socket != new.status_socket),
            ("safety", self.safety != new.safety),
        ];
        changes.extend(settings.iter().filter(|(_, changed)| *changed).map(|(name, _)| format!("{name} changed")));
        entries("node", &self.nodes, &new.nodes, |old, new| old == new, &mut changes);
        entries("check", &self.checks, &new.checks, |old, new| old == new, &mut changes);
        entries("service", &self.services, &new.services, |old, new| old == new, &mut changes);
        // Ids of profiles count anew in every file.
        let same = |old: &super::Domain, fresh: &super::Domain| {
            old.zone == fresh.zone && self.profile(old) == new.profile(fresh)
        };
        entries("domain", &self.domains, &new.domains, same, &mut changes);
        changes
    }

    /// The settings that differ in `new` and are taken only at a start.
    #[must_use]
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        [
            ("cluster", self.name != new.name),
            ("bind.server", self.bind.server != new.bind.server),
            ("state_dir", self.state_dir != new.state_dir),
            ("status_socket", self.status_socket != new.status_socket),
        ]
        .into_iter()
        .filter_map(|(name, changed)| changed.then_some(name))
        .collect()
    }
}

/// `node node03 added`, `7 domains removed (a.org, b.org, c.org, d.org, e.org, ...)`.
fn entries<K: Ord + std::fmt::Display, V>(
    what: &str,
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    same: impl Fn(&V, &V) -> bool,
    found: &mut Vec<String>,
) {
    let added: Vec<&K> = new.keys().filter(|key| !old.contains_key(key)).collect();
    let removed: Vec<&K> = old.keys().filter(|key| !new.contains_key(key)).collect();
    let changed: Vec<&K> = new
        .iter()
        .filter(|(key, value)| old.get(key).is_some_and(|before| !same(before, value)))
        .map(|(key, _)| key)
        .collect();
    for (keys, how) in [(added, "added"), (removed, "removed"), (changed, "changed")] {
        let spelled: Vec<String> = keys.iter().take(SPELLED_OUT).map(ToString::to_string).collect();
        let more = if keys.len() > SPELLED_OUT { ", ..." } else { "" };
        match (keys.len(), spelled.as_slice()) {
            (0, _) => {}
            (1, [only]) => found.push(format!("{what} {only} {how}")),
            (count, _) => found.push(format!("{count} {what}s {how} ({}{more})", spelled.join(", "))),
        }
    }
}
