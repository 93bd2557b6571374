use std::{collections::BTreeMap, path::PathBuf};

use super::*;
use crate::{
    cluster::{
        AdminState, AllDown, Bind, Domain, KeySource, Node, Pattern, Profile, ProfileId, Publish, Safety, Service,
        ServiceName, Share,
    },
    dns::{OwnerName, Ttl},
};

/// Asked every 10 s, or 2 s in doubt; 3 answers decide. Without jitter and flap hold.
pub(crate) fn timing() -> Timing {
    Timing {
        interval: Duration::from_secs(10),
        fast_interval: Duration::from_secs(2),
        timeout: Duration::from_secs(5),
        down_interval: Duration::from_secs(10),
        rise: 3,
        fall: 3,
        jitter: 0,
        flap_hold: None,
    }
}

/// A cluster of these nodes with their addresses, each of which is asked all these checks by one service of one domain.
pub(crate) fn cluster(nodes: &[(&str, &[&str])], checks: &[(&str, Check)]) -> Cluster {
    let service = Service {
        publish: Publish::Mx { preference: 10, exchange: Pattern("{node}.mail.example.org".to_owned()) },
        checks: checks.iter().map(|(name, _)| CheckName::new(name)).collect(),
        checks_any: None,
        ttl: Ttl(60),
        min_healthy: Share::Count(1),
    };
    let node = |addresses: &[&str]| Node {
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        index: String::new(),
        admin_state: AdminState::Ready,
    };
    let domain = OwnerName::parse("mydomain.org").unwrap();
    Cluster {
        name: "mail".to_owned(),
        bind: Bind {
            server: "127.0.0.1:53".parse().unwrap(),
            key: KeySource::Credential("key".to_owned()),
            timeout: Duration::from_secs(5),
            connections: 1,
            max_in_flight: 1,
            allow_weak_keys: false,
        },
        state_dir: PathBuf::new(),
        status_socket: PathBuf::new(),
        nodes: nodes.iter().map(|(name, addresses)| (NodeName::new(name), node(addresses))).collect(),
        checks: checks.iter().map(|(name, check)| (CheckName::new(name), check.clone())).collect(),
        services: BTreeMap::from([(ServiceName::new("inbound"), service)]),
        profiles: vec![Profile {
            services: vec![ServiceName::new("inbound")],
            nodes: nodes.iter().map(|(name, _)| NodeName::new(name)).collect(),
        }],
        zones: BTreeMap::new(),
        domains: BTreeMap::from([(domain.clone(), Domain { zone: domain, profile: ProfileId(0) })]),
        safety: Safety {
            all_down: AllDown::Hold,
            first_round: Duration::from_mins(1),
            blind_share: 100,
            blind_within: Duration::from_secs(10),
            references: Vec::new(),
            max_change: 30,
            settle: None,
            left_over: crate::cluster::LeftOvers::Keep,
        },
    }
}

#[test]
fn each_target_is_asked_once_however_many_domains_use_it() {
    let check = Check { kind: Kind::Tcp { port: 1 }, tls: None, timing: timing() };
    let mut cluster = cluster(
        &[("node00", &["192.0.2.10"]), ("node01", &["192.0.2.11", "2001:db8::11"])],
        &[("imap", check.clone()), ("smtp", check.clone())],
    );
    // A second profile with an overlap, a check that no service uses, and a node that serves nothing.
    let mut second = cluster.profiles[0].clone();
    second.nodes.remove("node01");
    cluster.profiles.push(second);
    cluster.checks.insert(CheckName::new("unused"), check);
    cluster.nodes.insert(NodeName::new("node02"), cluster.nodes[&NodeName::new("node00")].clone());

    let shown: Vec<_> = targets(&cluster).iter().map(Target::to_string).collect();
    assert_eq!(
        shown,
        [
            "node00 imap (192.0.2.10)",
            "node00 smtp (192.0.2.10)",
            "node01 imap (192.0.2.11)",
            "node01 imap (2001:db8::11)",
            "node01 smtp (192.0.2.11)",
            "node01 smtp (2001:db8::11)",
        ]
    );
}
