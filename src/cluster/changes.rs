//! What an edit has changed, in words.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::discriminant,
};

use super::{Bind, Cluster, Node, Publish, Safety, Service};
use crate::check::{Check, Dns, Exec, Http, Kind, Timing, Tls};

/// Names that a list of changes spells out before it only counts.
const SPELLED_OUT: usize = 5;

impl Cluster {
    /// What is different in `new`, for people; empty when nothing is.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        let settings = self.settings(new).into_iter().filter(|setting| setting.is_other);
        changes.extend(settings.map(|setting| format!("{} changed", setting.key)));
        entries("node", &self.nodes, &new.nodes, of_node, &mut changes);
        entries("check", &self.checks, &new.checks, of_check, &mut changes);
        entries("service", &self.services, &new.services, of_service, &mut changes);
        // Ids of profiles count anew in every file.
        let of_domain = |old: &super::Domain, fresh: &super::Domain| {
            let (was, is) = (self.profile(old), new.profile(fresh));
            vec![
                ("zone", old.zone != fresh.zone),
                ("services", was.map(|profile| &profile.services) != is.map(|profile| &profile.services)),
                ("nodes", was.map(|profile| &profile.nodes) != is.map(|profile| &profile.nodes)),
            ]
        };
        entries("domain", &self.domains, &new.domains, of_domain, &mut changes);
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

    /// The same with those settings as `running` was started with.
    #[must_use]
    pub fn as_running(self, running: &Self) -> Self {
        let bind = Bind { server: running.bind.server, ..self.bind };
        let (state_dir, status_socket) = (running.state_dir.clone(), running.status_socket.clone());
        Self { name: running.name.clone(), bind, state_dir, status_socket, ..self }
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

/// Keys of the file, each with whether its value is another.
type Keys = Vec<(&'static str, bool)>;

fn of_node(old: &Node, new: &Node) -> Keys {
    let Node { addresses, index, admin_state } = old;
    vec![
        ("addresses", *addresses != new.addresses),
        ("index", *index != new.index),
        ("admin_state", *admin_state != new.admin_state),
    ]
}

fn of_check(old: &Check, new: &Check) -> Keys {
    let Check { kind, tls, timing } = old;
    let mut keys = of_kind(kind, &new.kind);
    keys.extend(match (tls, &new.tls) {
        (Some(old), Some(new)) => of_tls(old, new),
        (old, new) => vec![("tls", old.is_some() != new.is_some())],
    });
    let Timing { interval, fast_interval, down_interval, timeout, rise, fall, jitter, flap_hold } = timing;
    keys.extend([
        ("interval", *interval != new.timing.interval),
        ("fast_interval", *fast_interval != new.timing.fast_interval),
        ("down_interval", *down_interval != new.timing.down_interval),
        ("timeout", *timeout != new.timing.timeout),
        ("rise", *rise != new.timing.rise),
        ("fall", *fall != new.timing.fall),
        ("jitter", *jitter != new.timing.jitter),
        ("flap_hold", *flap_hold != new.timing.flap_hold),
    ]);
    keys
}

/// What is special to a protocol; of another protocol all of it is.
fn of_kind(old: &Kind, new: &Kind) -> Keys {
    match (old, new) {
        (Kind::Tcp { port }, Kind::Tcp { port: new })
        | (Kind::Imap { port }, Kind::Imap { port: new })
        | (Kind::Pop3 { port }, Kind::Pop3 { port: new })
        | (Kind::Agent { port }, Kind::Agent { port: new }) => vec![("port", port != new)],
        (Kind::Smtp { port, helo }, Kind::Smtp { port: new, helo: greeting })
        | (Kind::Lmtp { port, helo }, Kind::Lmtp { port: new, helo: greeting }) => {
            vec![("port", port != new), ("helo", helo != greeting)]
        }
        (Kind::Http(old), Kind::Http(new)) => {
            let Http { port, method, path, host, status, body, header } = &**old;
            vec![
                ("port", *port != new.port),
                ("method", *method != new.method),
                ("path", *path != new.path),
                ("host", *host != new.host),
                ("status", *status != new.status),
                ("header", *header != new.header),
                ("body", *body != new.body),
            ]
        }
        (Kind::Dns(old), Kind::Dns(new)) => {
            let Dns { port, name, rtype, rcode } = old;
            vec![
                ("port", *port != new.port),
                ("name", *name != new.name),
                ("rtype", *rtype != new.rtype),
                ("rcode", *rcode != new.rcode),
            ]
        }
        (Kind::Exec(old), Kind::Exec(new)) => {
            let Exec { program, arguments } = old;
            vec![("command", (program, arguments) != (&new.program, &new.arguments))]
        }
        (old, new) => vec![("kind", discriminant(old) != discriminant(new))],
    }
}

fn of_tls(old: &Tls, new: &Tls) -> Keys {
    let Tls { begin, name, verify, authorities, min_days } = old;
    vec![
        ("tls", *begin != new.begin),
        ("tls_name", *name != new.name),
        ("tls_verify", *verify != new.verify),
        ("tls_ca", *authorities != new.authorities),
        ("tls_min_days", *min_days != new.min_days),
    ]
}

fn of_service(old: &Service, new: &Service) -> Keys {
    let Service { publish, checks, checks_any, ttl, min_healthy } = old;
    let mut keys = match (publish, &new.publish) {
        (Publish::Address { name, pinned }, Publish::Address { name: new, pinned: instead }) => {
            vec![("name", name != new), ("pinned", pinned != instead)]
        }
        (Publish::Mx { preference, exchange }, Publish::Mx { preference: new, exchange: instead }) => {
            vec![("preference", preference != new), ("exchange", exchange != instead)]
        }
        (Publish::Alias { name, target }, Publish::Alias { name: new, target: instead }) => {
            vec![("name", name != new), ("target", target != instead)]
        }
        (old, new) => vec![("publish", discriminant(old) != discriminant(new))],
    };
    keys.extend([
        ("checks", *checks != new.checks),
        ("checks_any", *checks_any != new.checks_any),
        ("ttl", *ttl != new.ttl),
        ("min_healthy", *min_healthy != new.min_healthy),
    ]);
    keys
}

/// `node node03 added`, `7 domains removed (a.org, b.org, c.org, d.org, e.org, ...)`, `check imap changed (port, timeout)`,
/// `2 checks changed (imap, smtp: timeout)`.
fn entries<K: Ord + std::fmt::Display, V>(
    what: &str,
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    keys_of: impl Fn(&V, &V) -> Keys,
    found: &mut Vec<String>,
) {
    let added: Vec<&K> = new.keys().filter(|key| !old.contains_key(key)).collect();
    let removed: Vec<&K> = old.keys().filter(|key| !new.contains_key(key)).collect();
    // In the order of the file, each once.
    let mut what_changed: BTreeSet<(usize, &str)> = BTreeSet::new();
    let mut changed: Vec<&K> = Vec::new();
    for (key, value) in new {
        let Some(before) = old.get(key) else { continue };
        let keys = keys_of(before, value);
        let others: Vec<_> = keys.iter().enumerate().filter(|(_, (_, is_other))| *is_other).collect();
        if !others.is_empty() {
            changed.push(key);
        }
        what_changed.extend(others.into_iter().map(|(at, (key, _))| (at, *key)));
    }
    let mut what_changed: Vec<_> = what_changed.into_iter().map(|(_, key)| key).collect();
    let mut told = BTreeSet::new();
    what_changed.retain(|key| told.insert(*key));
    let what_changed = what_changed.join(", ");
    for (keys, how) in [(added, "added"), (removed, "removed"), (changed, "changed")] {
        let spelled: Vec<String> = keys.iter().take(SPELLED_OUT).map(ToString::to_string).collect();
        let more = if keys.len() > SPELLED_OUT { ", ..." } else { "" };
        match (keys.len(), spelled.as_slice()) {
            (0, _) => {}
            (1, [only]) if how == "changed" => found.push(format!("{what} {only} changed ({what_changed})")),
            (1, [only]) => found.push(format!("{what} {only} {how}")),
            (count, _) => {
                let of = if how == "changed" { format!(": {what_changed}") } else { String::new() };
                found.push(format!("{count} {what}s {how} ({}{more}{of})", spelled.join(", ")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::fixture;

    const FILE: &str = "nodes: { n0: { addresses: [192.0.2.10] }, n1: { addresses: [192.0.2.11] } }
checks:
  imap: { kind: imap }
  smtp: { kind: smtp }
  web: { kind: http, path: / }
  own: { kind: exec, command: [/bin/true] }
  dns: { kind: dns, name: example.org }
  pops: { kind: pop3, tls: implicit, tls_verify: false }
services:
  imap: { publish: address, name: imap, checks: [imap] }
  mx: { publish: mx, preference: 10, exchange: \"{node}.elsewhere.net\", checks: [smtp] }
  alias: { publish: alias, name: pop, target: imap.elsewhere.net }
domains:
  a.test: { services: [imap, mx, alias] }
  b.test: { services: [imap] }
";

    #[test]
    fn a_change_names_the_keys() {
        let cluster = |yaml: &str| fixture::cluster(&format!("{}{yaml}", fixture::HEAD));
        let old = cluster(FILE);
        for (from, to, told) in [
            ("n1: { addresses: [192.0.2.11]", "n1: { addresses: [192.0.2.12]", &["node n1 changed (addresses)"][..]),
            ("n1: {", "n1: { index: \"7\", admin_state: drain,", &["node n1 changed (index, admin_state)"]),
            (
                "n0: { addresses: [192.0.2.10] }, n1: {",
                "n0: { addresses: [192.0.2.9] }, n1: { admin_state: down,",
                &["2 nodes changed (n0, n1: addresses, admin_state)"],
            ),
            ("kind: imap }", "kind: imap, port: 144, timeout: 1s }", &["check imap changed (port, timeout)"]),
            ("kind: imap }", "kind: pop3 }", &["check imap changed (kind)"]),
            ("kind: imap }", "kind: imap, tls: starttls }", &["check imap changed (tls)"]),
            (
                "kind: smtp }",
                "kind: smtp, helo: a.test, rise: 4, fall: 5 }",
                &["check smtp changed (helo, rise, fall)"],
            ),
            ("path: /", "path: /x, status: [204], body: b", &["check web changed (path, status, body)"]),
            ("[/bin/true]", "[/bin/true, x]", &["check own changed (command)"]),
            ("name: example.org", "name: example.net, rcode: NXDOMAIN", &["check dns changed (name, rcode)"]),
            (
                "tls_verify: false",
                "tls_min_days: 3, tls_name: a.test",
                &["check pops changed (tls_name, tls_verify, tls_min_days)"],
            ),
            (
                "name: imap, checks: [imap]",
                "name: imaps, checks: [smtp], ttl: 5s",
                &["service imap changed (name, checks, ttl)"],
            ),
            ("preference: 10", "preference: 20, min_healthy: 2", &["service mx changed (preference, min_healthy)"]),
            ("target: imap.", "target: pop.", &["service alias changed (target)"]),
            (
                "publish: alias, name: pop, target: imap.elsewhere.net",
                "publish: address, name: pop, checks: [imap]",
                &["service alias changed (publish, checks)"],
            ),
            (
                "b.test: { services: [imap]",
                "b.test: { services: [imap, mx], nodes: [n0]",
                &["domain b.test changed (services, nodes)"],
            ),
            ("b.test: {", "sub.b.test: { zone: b.test,", &["domain sub.b.test added", "domain b.test removed"]),
        ] {
            assert_eq!(FILE.matches(from).count(), 1, "{from}");
            assert_eq!(old.changes(&cluster(&FILE.replace(from, to))), told, "{to}");
        }
        assert!(old.changes(&cluster(FILE)).is_empty());
    }
}
