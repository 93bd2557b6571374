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
    ($($(#[$doc:meta])* $shape:ident, $example:literal { $($key:ident),* $(,)? })*) => {
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
                    let mut keys = known(object, field, Self::KEYS, $example, report)?;
                    Some(Self { $($key: keys.remove(stringify!($key)),)* })
                }
            }
        )*

        /// Every shape by its name with its keys.
        #[cfg(test)]
        pub(super) const ALL: &[(&str, &[&str])] = &[$((stringify!($shape), $shape::KEYS)),*];
    };
}

shapes! {
    /// The whole file.
    File, "keys: bind, nodes, checks, services, domains" { bind, cluster, ttl, state_dir, status_socket, nodes, defaults, checks, services, domains, domain_lists, safety }
    /// `bind`.
    Bind, "{ key_file: rotad.key }" { server, key_file, key_credential, timeout, connections, max_in_flight, allow_weak_keys }
    /// One of `nodes`.
    Member, "{ addresses: [192.0.2.10] }" { addresses, index, admin_state }
    /// One of `checks`.
    Check, "{ kind: tcp, port: 4190 }" {
        kind, port, interval, fast_interval, down_interval, timeout, rise, fall, jitter, flap_hold, method, path, host, status, header, body, name,
        rrtype, rcode, command, helo, tls, tls_verify, tls_name, tls_ca, tls_min_days,
    }
    /// `defaults`.
    Defaults, "{ interval: 10s }" { interval, fast_interval, down_interval, timeout, rise, fall, jitter, flap_hold }
    /// One of `services`.
    Service, "{ publish: address, name: imap, checks: [imap] }" { publish, name, checks, checks_any, ttl, min_healthy, pinned, preference, exchange, target }
    /// `pinned` of a service.
    Pinned, "{ name: \"webmail{index}\" }" { name, when_down }
    /// One of `domains`.
    Domain, "{ services: [imap] }" { services, nodes, zone }
    /// One of `domain_lists`.
    DomainList, "{ file: customers.txt, services: [imap] }" { file, services, nodes }
    /// `safety`.
    Safety, "{ all_down: hold }" { all_down, min_healthy, first_round, blind_share, blind_within, references, max_change, settle, left_over }
}

/// The entries of a map whose keys are given by the format.
fn known<'a>(
    object: &'a str,
    field: Field<'a>,
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
            let hint = match report.did_you_mean(entry.key, known.iter().copied()) {
                none if none.is_empty() => format!("; known are {}", one_of(known).replace(" or ", " and ")),
                near => near,
            };
            report.problem(entry.key_at, format!("{}there is no key \"{}\"{hint}", prefix(object), cut(entry.key)));
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
