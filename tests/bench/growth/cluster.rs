//! Files with many domains, as text and checked.

use std::{fmt::Write, net::IpAddr, path::Path, path::PathBuf, sync::Arc, time::Instant};

use rotad::{
    check::Target,
    cluster::{Cluster, NodeName},
    config::{Draft, Source},
    health::{Health, HealthView, State},
};

/// What a mail host has: an MX, three shared names, and a webmail name for each node. A few domains have POP besides.
pub const HEAD: &str = r#"bind: { server: "127.0.0.1:53", key_file: rotad.key }
cluster: mail
safety: { max_change: 100%, left_over: delete }
nodes:
  node00: { addresses: [192.0.2.10] }
  node01: { addresses: [192.0.2.11] }
  node02: { addresses: [192.0.2.12] }
checks:
  imap: { kind: imap, port: 143 }
  pop: { kind: pop3, port: 110 }
  smtp: { kind: smtp, port: 25 }
  web: { kind: http, port: 80, path: /, host: webmail.example.org }
services:
  imap: { publish: address, name: imap, checks: [imap] }
  pop: { publish: address, name: pop, checks: [pop] }
  relay: { publish: address, name: smtp, checks: [smtp] }
  inbound: { publish: mx, exchange: "{node}.mail.example.org", checks: [smtp] }
  webmail: { publish: address, name: webmail, checks: [web], pinned: { name: "webmail{index}", when_down: repoint } }
"#;

const SERVICES: &str = "[imap, relay, inbound, webmail]";

/// The domain lists that the file of [`by_list`] names.
pub const LIST: &str = "domains.txt";

/// Ten domains have a service of their own.
fn few() -> String {
    (0..10).fold("domains:\n".to_owned(), |text, at| format!("{text}  few{at}.example.net: {{ services: [pop] }}\n"))
}

/// The file that names a list.
pub fn by_list() -> String {
    format!("{HEAD}{}domain_lists: [{{ file: {LIST}, services: {SERVICES} }}]\n", few())
}

/// The file with every domain in it.
pub fn by_map(domains: usize) -> String {
    let mut text = format!("{HEAD}{}", few());
    for at in 0..domains {
        let _ = writeln!(text, "  {}: {{ services: {SERVICES} }}", name(at));
    }
    text
}

/// The list.
pub fn list(domains: usize) -> String {
    (0..domains).fold(String::new(), |mut text, at| {
        let _ = writeln!(text, "{}", name(at));
        text
    })
}

fn name(at: usize) -> String {
    format!("customer{at:07}.example.com")
}

/// Reads and checks a file with so many domains in a list.
pub fn checked(file: &Source, list: Source) -> Arc<Cluster> {
    let checked = Draft::new(file, Path::new("")).check([(PathBuf::from(LIST), Ok(list))].into());
    Arc::new(checked.cluster.unwrap_or_else(|problems| panic!("{}", problems[0])))
}

/// A cluster with so many domains in a list.
pub fn of(domains: usize) -> Arc<Cluster> {
    checked(&Source::new("cluster.yaml", &by_list()), Source::new(LIST, &list(domains)))
}

/// Everybody is up, but for one check of one node, or all of them.
pub fn health(cluster: &Cluster, now: Instant, down: Option<(&str, Option<&str>)>) -> Arc<HealthView> {
    let nodes = cluster.nodes.iter();
    let targets = nodes.flat_map(|(node, at)| at.addresses.iter().map(move |address| (node, *address)));
    let targets = targets.flat_map(|(node, address): (&NodeName, IpAddr)| {
        cluster.checks.keys().map(move |check| Target { node: node.clone(), check: check.clone(), address })
    });
    let stand = |target: Target| {
        let is_down = down.is_some_and(|(node, check)| {
            target.node.as_str() == node && check.is_none_or(|check| target.check.as_str() == check)
        });
        let state = if is_down { State::Down } else { State::Up };
        (target, Arc::new(Health { state, ..Health::new(now) }))
    };
    Arc::new(HealthView { targets: targets.map(stand).collect(), first_round_done: true, ..HealthView::default() })
}
