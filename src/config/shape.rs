//! The written shape of the file: which keys stand where.
//!
//! A shape takes a map apart into its keys and says which are unknown or given twice; what the values mean is the
//! business of those who take the shape apart again, field by field, so that no key can be forgotten.

use std::collections::{BTreeMap, HashMap, hash_map};

use super::{
    field::Field,
    problem::{Place, Report, one_of},
    tree::{Node, Value},
};
use crate::text::cut;

/// Shapes: a struct with a field for each key.
macro_rules! shapes {
    ($($(#[$doc:meta])* $shape:ident, $place:literal, $example:literal { $($key:ident),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub(super) struct $shape<'a> {
                $(pub $key: Option<Field<'a>>,)*
            }

            impl<'a> $shape<'a> {
                /// The keys, as the file has them.
                pub const KEYS: &'static [&'static str] = &[$(stringify!($key)),*];

                /// Takes `field` apart; `None` and a problem when it is no map. `object` begins the messages.
                pub fn read(object: &'a str, field: Field<'a>, report: &mut Report) -> Option<Self> {
                    let mut keys = known(object, field, stringify!($shape), Self::KEYS, $example, report)?;
                    Some(Self { $($key: keys.remove(stringify!($key)),)* })
                }
            }
        )*

        /// Every shape by its name with its keys.
        #[cfg(test)]
        pub(super) const ALL: &[(&str, &[&str])] = &[$((stringify!($shape), $shape::KEYS)),*];

        /// Where keys belong, in words, and which.
        const PLACES: &[(&str, &[&str])] = &[$(($place, $shape::KEYS)),*];
    };
}

shapes! {
    /// The whole file.
    File, "the top of the file", "keys: bind, nodes, checks, services, domains" { bind, cluster, ttl, state_dir, status_socket, nodes, defaults, checks, services, domains, domain_lists, safety }
    /// `bind`.
    Bind, "\"bind\"", "{ key_file: rotad.key }" { server, key_file, key_credential, timeout, connections, max_in_flight, allow_weak_keys }
    /// One of `nodes`.
    Member, "a node", "{ addresses: [192.0.2.10] }" { addresses, index, admin_state }
    /// One of `checks`.
    Check, "a check", "{ kind: tcp, port: 4190 }" {
        kind, port, interval, fast_interval, down_interval, timeout, rise, fall, jitter, flap_hold, method, path, host, status, header, body, name,
        rrtype, rcode, command, helo, tls, tls_verify, tls_name, tls_ca, tls_min_days,
    }
    /// `defaults`.
    Defaults, "\"defaults\"", "{ interval: 10s }" { interval, fast_interval, down_interval, timeout, rise, fall, jitter, flap_hold }
    /// One of `services`.
    Service, "a service", "{ publish: address, name: imap, checks: [imap] }" { publish, name, checks, checks_any, ttl, min_healthy, pinned, preference, exchange, target }
    /// `pinned` of a service.
    Pinned, "\"pinned\" of a service", "{ name: \"webmail{index}\" }" { name, when_down }
    /// One of `domains`.
    Domain, "a domain", "{ services: [imap] }" { services, nodes, zone }
    /// One of `domain_lists`.
    DomainList, "a domain list", "{ file: customers.txt, services: [imap] }" { file, services, nodes }
    /// `safety`.
    Safety, "\"safety\"", "{ all_down: hold }" { all_down, min_healthy, first_round, blind_share, blind_within, references, max_change, settle, left_over }
}

/// What people write for something that has another form here: in which shape, the key, and what to write.
const OTHER_FORMS: &[(&str, &str, &str)] = &[
    ("Member", "host", HOST),
    ("Member", "name", "the key above is the node's name; write \"addresses: [192.0.2.10]\""),
    ("Check", "ssl", TLS),
    ("Check", "starttls", TLS),
    ("Check", "https", TLS),
    ("Check", "verify", "write \"tls_verify\""),
    ("Check", "ca", "write \"tls_ca\""),
    ("Check", "url", "write \"host\" and \"path\""),
    ("Service", "type", PUBLISH),
    ("Service", "kind", PUBLISH),
    ("Service", "cname", "write \"publish: alias\" and its \"target\""),
    ("Domain", "name", "the key above is the domain's name; those in it are its services'"),
    ("Domain", "domain", "the key above is the domain's name"),
    ("DomainList", "path", "write \"file\""),
    ("DomainList", "zone", "each domain of a list is a zone of its own; write those that are not under \"domains\""),
];
const HOST: &str = "names are not looked up; write \"addresses: [192.0.2.10]\"";
const TLS: &str = "write \"tls: implicit\", or \"tls: starttls\"";
const PUBLISH: &str = "write \"publish\": address, mx or alias";

/// Where a key belongs that was written in `shape`, where it is none. Empty: nowhere.
fn where_it_belongs(shape: &str, key: &str) -> String {
    if let Some((.., words)) = OTHER_FORMS.iter().find(|(of, form, _)| (*of, *form) == (shape, key)) {
        return format!("; {words}");
    }
    // The top of the file has what holds for all: it comes last.
    let places = PLACES.iter().skip(1).chain(PLACES.first()).filter(|(_, keys)| keys.contains(&key));
    match places.map(|(place, _)| *place).collect::<Vec<_>>().as_slice() {
        [] => String::new(),
        [only] => format!("; it belongs to {only}"),
        [head @ .., last] => format!("; it belongs to {} or {last}", head.join(", ")),
    }
}

/// The entries of a map whose keys are given by the format.
fn known<'a>(
    object: &'a str,
    field: Field<'a>,
    shape: &str,
    known: &[&str],
    example: &str,
    report: &mut Report,
) -> Option<BTreeMap<&'a str, Field<'a>>> {
    let entries = entries(object, field, example, report)?;
    let mut keys = BTreeMap::new();
    for entry in entries {
        if known.contains(&entry.key) {
            keys.insert(entry.key, entry);
        } else if object.is_empty() && entry.key == "http" {
            // It was in samples, and whoever copied it waits for metrics that nobody serves.
            let words =
                "http: nothing listens for HTTP in this version: neither metrics nor a status page; leave the key out";
            report.problem(entry.key_at, words);
        } else {
            let hint = match where_it_belongs(shape, entry.key) {
                nowhere if nowhere.is_empty() => report.did_you_mean(entry.key, known.iter().copied()),
                place => place,
            };
            report.problem_of(entry.key_at, || {
                let hint = if hint.is_empty() {
                    format!("; known are {}", one_of(known).replace(" or ", " and "))
                } else {
                    hint
                };
                format!("{}there is no key \"{}\"{hint}", prefix(object), cut(entry.key))
            });
        }
    }
    Some(keys)
}

/// The entries of a map, without those whose key was there before.
pub(super) fn entries<'a>(
    object: &'a str,
    field: Field<'a>,
    example: &str,
    report: &mut Report,
) -> Option<Vec<Field<'a>>> {
    let Value::Map(entries) = &field.node.value else {
        field.expected(example, report);
        return None;
    };
    let mut seen: HashMap<&str, Place> = HashMap::with_capacity(entries.len());
    let mut list = Vec::with_capacity(entries.len());
    for entry in entries {
        match seen.entry(&entry.key) {
            hash_map::Entry::Occupied(first) => {
                let first = first.get();
                report.problem(
                    entry.at,
                    format!(
                        "{}\"{}\" is given twice; the first is in line {}; keep one",
                        prefix(object),
                        cut(&entry.key),
                        first.line
                    ),
                );
            }
            hash_map::Entry::Vacant(slot) => {
                slot.insert(entry.at);
                list.push(Field { object, key: &entry.key, key_at: entry.at, node: &entry.node });
            }
        }
    }
    Some(list)
}

/// How a message about `object` begins.
fn prefix(object: &str) -> String {
    if object.is_empty() { String::new() } else { format!("{object}: ") }
}

/// The whole file as a field, so that it is read as its parts are.
pub(super) fn root<'a>(node: &'a Node<'a>) -> Field<'a> {
    Field { object: "", key: "the file", key_at: node.at, node }
}
