//! What an edit has changed, in words.

use std::collections::BTreeMap;

use super::{Bind, Cluster, Safety};

/// Names that a list of changes spells out before it only counts.
const SPELLED_OUT: usize = 5;

impl Cluster {
    /// What is different in `new`, for people; empty when nothing is.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        let settings = self.settings(new).into_iter().filter(|setting| setting.is_other);
        changes.extend(settings.map(|setting| format!("{} changed", setting.key)));
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
        let settings = self.settings(new).into_iter();
        settings
            .filter(|setting| setting.is_other && setting.takes == Takes::Restart)
            .map(|setting| setting.key)
            .collect()
    }

    /// Every setting with what an edit of it takes. Each field is named: one that is new does not compile before it has a
    /// line here.
    fn settings(&self, new: &Self) -> Vec<Setting> {
        let Self { name, bind, state_dir, status_socket, safety, .. } = self;
        // Compared one by one, and taken live.
        let Self { nodes: _, checks: _, services: _, profiles: _, domains: _, zones: _, .. } = self;
        let Bind { server, key, timeout, connections, max_in_flight, allow_weak_keys } = bind;
        let Safety { all_down, first_round, blind_share, blind_within, references, max_change, settle, left_over } =
            safety;
        let live = |key, is_other| Setting { key, takes: Takes::Live, is_other };
        let restart = |key, is_other| Setting { key, takes: Takes::Restart, is_other };
        vec![
            restart("cluster", *name != new.name),
            restart("bind.server", *server != new.bind.server),
            live("bind.key_file", *key != new.bind.key),
            live("bind.timeout", *timeout != new.bind.timeout),
            live("bind.connections", *connections != new.bind.connections),
            live("bind.max_in_flight", *max_in_flight != new.bind.max_in_flight),
            live("bind.allow_weak_keys", *allow_weak_keys != new.bind.allow_weak_keys),
            restart("state_dir", *state_dir != new.state_dir),
            restart("status_socket", *status_socket != new.status_socket),
            live("safety.all_down", *all_down != new.safety.all_down),
            live("safety.first_round", *first_round != new.safety.first_round),
            live("safety.blind_share", *blind_share != new.safety.blind_share),
            live("safety.blind_within", *blind_within != new.safety.blind_within),
            live("safety.references", *references != new.safety.references),
            live("safety.max_change", *max_change != new.safety.max_change),
            live("safety.settle", *settle != new.safety.settle),
            live("safety.left_over", *left_over != new.safety.left_over),
        ]
    }
}

/// What an edit of a setting takes to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// Nothing: the running daemon follows it.
    Live,
    /// Another start.
    Restart,
}

/// One setting of two files.
struct Setting {
    key: &'static str,
    takes: Takes,
    is_other: bool,
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
