use std::{collections::BTreeSet, sync::Arc, time::Duration};

use proptest::prelude::*;

use super::{parts::least, *};
use crate::{
    check::{Outcome, Target},
    cluster::Share,
    config::fixture,
    health::{Health, HealthView, State, Trial},
    io::clock,
    layout::Layout,
    rota::model::{data, id, name, rrset, targets},
    settling::Settling,
    standings::Standing::{Awaited, Down, Reserve, Suspect, Unknown, Up},
};

/// What, or with which setting; states of addresses; published before; published then.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, Standing)], &'a str, &'a str);

const NODES: &str = "
nodes:
  node00: { addresses: [192.0.2.10] }
  node01: { addresses: [192.0.2.11, \"2001:db8::11\"] }
  node02: { addresses: [192.0.2.12] }
checks: { imap: { kind: imap }, smtp: { kind: smtp } }
";

fn cluster(yaml: &str) -> Cluster {
    let nodes = if yaml.contains("\nnodes:") { "" } else { NODES };
    fixture::cluster(&format!("{}{nodes}{yaml}\n", fixture::HEAD))
}

/// Every check of an address has the state that is given for it; all others are up.
fn standings(cluster: &Cluster, states: &[(&str, Standing)]) -> Standings {
    let stands = |target: &Target| {
        let given = states.iter().find(|(address, _)| target.address.to_string() == *address);
        given.map_or(Up, |(_, standing)| *standing)
    };
    let health = |target: &Target| {
        let (state, last) = match stands(target) {
            Up => (State::Up, None),
            Unknown | Awaited => (State::Unknown, None),
            Suspect | Down => (State::Down, None),
            Reserve => (State::Down, Some(Outcome::Busy("status 503".to_owned()))),
        };
        let trial = (stands(target) == Awaited).then(|| Trial::new(clock::now(), Duration::from_mins(1), false));
        Arc::new(Health { state, last, trial, ..Health::new(clock::now()) })
    };
    let suspects = targets(cluster).filter(|target| stands(target) == Suspect).collect();
    let targets = targets(cluster).map(|target| (target.clone(), health(&target))).collect();
    Standings::new(cluster, &HealthView { targets, suspects, ..HealthView::default() }, &Settling::default())
}

/// All data that a set could have because of one of its services.
fn data_of(contribution: &Contribution) -> Vec<&Rdata> {
    match contribution {
        Contribution::Pool { members, .. } | Contribution::Hosts(members) => members.iter().map(|m| &m.rdata).collect(),
        Contribution::Pinned { own, pool, .. } => own.iter().chain(pool.iter()).map(|m| &m.rdata).collect(),
        Contribution::Fixed(rdata) => rdata.iter().collect(),
    }
}

/// What one set comes to; "as it is" when it is left alone. `published` is written as [`rrset`] reads it, or "-".
fn outcome(cluster: &Cluster, states: &[(&str, Standing)], set: &str, published: &str) -> String {
    let set = id(set);
    let layout = Layout::new(cluster);
    let zone = layout.zones.iter().find(|(zone, _)| set.owner.is_at_or_below(zone)).unwrap().1;
    let recipes = recipes(cluster, zone, &standings(cluster, states));
    let Some(recipe) = recipes.get(&set) else { return "not listed".to_owned() };
    let published = (published != "-").then(|| rrset(set.rtype, published));
    // All that is published is ours, but for what a stranger put there.
    let is_ours = |rdata: &&Rdata| !rdata.to_string().starts_with("203.0.113.");
    let ours = published.as_ref().map(|set| set.rdata.iter().filter(is_ours).cloned().collect());
    settle(&set, recipe, cluster.safety.all_down, published.as_ref(), ours.as_ref())
        .map_or("as it is".to_owned(), |set| format!("{} {}", set.ttl, data(Some(&set))))
}

#[test]
fn what_leaves_a_set_goes_once_everyone_is_decided_who_could_come_instead() {
    let imap = "services: { imap: { publish: address, name: imap, checks: [imap] } }
domains: { example.org: { services: [imap] } }";
    let webmail =
        "services: { web: { publish: address, name: imap, checks: [imap], pinned: { name: \"web{index}\" } } }
domains: { example.org: { services: [web] } }";
    let mx = "services: { mx: { publish: mx, preference: 20, exchange: \"{node}.example.org\", checks: [imap] } }
domains: { example.org: { services: [mx] } }";
    let (n0, n1, n2) = ("192.0.2.10", "192.0.2.11", "192.0.2.12");
    let new = &[(n0, Awaited), (n1, Awaited), (n2, Awaited)][..];
    // All nodes had addresses from .20 on.
    let set = "imap.example.org A";
    for (what, yaml, states, set, published, then) in [
        ("nobody is decided", imap, new, set, "60 192.0.2.20 192.0.2.21", "60 192.0.2.20 192.0.2.21"),
        (
            "the first one is up",
            imap,
            &[(n1, Awaited), (n2, Awaited)],
            set,
            "60 192.0.2.20 192.0.2.21",
            "60 192.0.2.10 192.0.2.20 192.0.2.21",
        ),
        ("one is up, all are decided", imap, &[(n1, Down), (n2, Down)], set, "60 192.0.2.20", "60 192.0.2.10"),
        ("all are down", imap, &[(n0, Down), (n1, Down), (n2, Down)], set, "60 192.0.2.20", "60 192.0.2.20"),
        ("one cannot be asked", imap, &[(n1, Down), (n2, Unknown)], set, "60 192.0.2.20", "60 192.0.2.10"),
        (
            "one is removed, and nobody is new",
            imap,
            &[(n1, Awaited)],
            set,
            "60 192.0.2.10 192.0.2.11 192.0.2.12 192.0.2.20",
            "60 192.0.2.10 192.0.2.11 192.0.2.12",
        ),
        (
            "the only one that works is removed",
            imap,
            &[(n0, Down), (n1, Down), (n2, Down)],
            set,
            "60 192.0.2.10 192.0.2.20",
            "60 192.0.2.10 192.0.2.20",
        ),
        ("a pinned name", webmail, new, "web00.example.org A", "60 192.0.2.20", "60 192.0.2.20"),
        ("a pinned name, decided", webmail, &[(n1, Awaited)], "web00.example.org A", "60 192.0.2.20", "60 192.0.2.10"),
        (
            "a pinned name, all are down",
            webmail,
            &[(n0, Down), (n1, Down), (n2, Down)],
            "web00.example.org A",
            "60 192.0.2.20",
            "60 192.0.2.20",
        ),
        ("a host", mx, new, "node00.example.org A", "60 192.0.2.20", "60 192.0.2.10 192.0.2.20"),
        ("a host, decided", mx, &[], "node00.example.org A", "60 192.0.2.10 192.0.2.20", "60 192.0.2.10"),
        ("a host, down", mx, &[(n0, Down)], "node00.example.org A", "60 192.0.2.20", "60 192.0.2.10 192.0.2.20"),
        (
            "another preference moves nobody",
            mx,
            &[(n0, Unknown)],
            "example.org MX",
            "60 10:node00.example.org 10:node02.example.org",
            "60 20:node00.example.org 20:node01.example.org 20:node02.example.org",
        ),
        (
            "another exchange",
            mx,
            &[],
            "example.org MX",
            "60 20:mx00.example.org",
            "60 20:node00.example.org 20:node01.example.org 20:node02.example.org",
        ),
    ] {
        assert_eq!(outcome(&cluster(yaml), states, set, published), then, "{what}");
    }
}

#[test]
fn a_pool_has_whoever_is_healthy() {
    const ALL: &str = "60 192.0.2.10 192.0.2.11 192.0.2.12";
    let imap = "services: { imap: { publish: address, name: imap, checks: [imap] } }
domains: { example.org: { services: [imap] } }";
    let all = format!("{imap}\nsafety: {{ all_down: all }}");
    let two = imap.replace("checks: [imap]", "checks: [imap], min_healthy: 2");
    let half = imap.replace("checks: [imap]", "checks: [imap], min_healthy: 50%");
    let drained = format!("{NODES}{imap}").replace("[192.0.2.12]", "[192.0.2.12], admin_state: drain");
    let down = drained.replace("drain", "down");
    let (n0, n1, n2) = ("192.0.2.10", "192.0.2.11", "192.0.2.12");
    let cases: &[Case<'_>] = &[
        ("all up", imap, &[], "-", ALL),
        ("one down", imap, &[(n1, Down)], ALL, "60 192.0.2.10 192.0.2.12"),
        ("another TTL", imap, &[], "300 192.0.2.10 192.0.2.11 192.0.2.12", ALL),
        ("unknown and in: stays", imap, &[(n1, Unknown)], ALL, ALL),
        ("unknown and out: stays out", imap, &[(n1, Unknown)], "60 192.0.2.10", "60 192.0.2.10 192.0.2.12"),
        ("all unknown, nothing there", imap, &[(n0, Unknown), (n1, Unknown), (n2, Unknown)], "-", "as it is"),
        ("all unknown", imap, &[(n0, Unknown), (n1, Unknown), (n2, Unknown)], "60 192.0.2.11", "60 192.0.2.11"),
        ("all down: hold", imap, &[(n0, Down), (n1, Down), (n2, Down)], "60 192.0.2.11", "60 192.0.2.11"),
        ("all down, nothing there", imap, &[(n0, Down), (n1, Down), (n2, Down)], "-", "as it is"),
        (
            "all down, only a stranger there",
            imap,
            &[(n0, Down), (n1, Down), (n2, Down)],
            "60 203.0.113.1",
            "60 203.0.113.1",
        ),
        ("all down: all", &all, &[(n0, Down), (n1, Down), (n2, Down)], "60 192.0.2.11", ALL),
        (
            "all down but one unknown: not known yet",
            &all,
            &[(n0, Down), (n1, Down), (n2, Unknown)],
            "60 192.0.2.11",
            "60 192.0.2.11",
        ),
        ("a suspect keeps its place", imap, &[(n1, Suspect)], "60 192.0.2.11", ALL),
        ("a suspect without a place gets none", imap, &[(n1, Suspect)], "60 192.0.2.10", "60 192.0.2.10 192.0.2.12"),
        ("all are suspects: hold", imap, &[(n0, Suspect), (n1, Suspect), (n2, Down)], "60 192.0.2.11", "60 192.0.2.11"),
        ("all are suspects: all", &all, &[(n0, Suspect), (n1, Suspect), (n2, Down)], "60 192.0.2.11", ALL),
        (
            "suspects: all, but one is up",
            &all,
            &[(n1, Suspect), (n2, Suspect)],
            "60 192.0.2.11",
            "60 192.0.2.10 192.0.2.11",
        ),
        ("a reserve is out while others are up", imap, &[(n1, Reserve)], ALL, "60 192.0.2.10 192.0.2.12"),
        (
            "a reserve is used when nobody else is left",
            imap,
            &[(n0, Down), (n1, Reserve), (n2, Down)],
            ALL,
            "60 192.0.2.11",
        ),
        ("overload does not cascade", imap, &[(n0, Reserve), (n1, Reserve), (n2, Reserve)], "60 192.0.2.12", ALL),
        ("a reserve makes up the minimum", &two, &[(n1, Reserve), (n2, Down)], ALL, "60 192.0.2.10 192.0.2.11"),
        (
            "not even with the reserve",
            &two,
            &[(n0, Down), (n1, Reserve), (n2, Down)],
            "60 192.0.2.10",
            "60 192.0.2.10 192.0.2.11",
        ),
        ("a reserve before the dead: all", &all, &[(n0, Down), (n1, Reserve), (n2, Down)], ALL, "60 192.0.2.11"),
        ("two of three are enough", &two, &[(n1, Down)], ALL, "60 192.0.2.10 192.0.2.12"),
        ("one is less than two: hold", &two, &[(n1, Down), (n2, Down)], ALL, ALL),
        (
            "hold, and who comes up is added",
            &two,
            &[(n1, Down), (n2, Down)],
            "60 192.0.2.11",
            "60 192.0.2.10 192.0.2.11",
        ),
        ("half of three is two", &half, &[(n1, Down), (n2, Down)], ALL, ALL),
        ("half of three, two up", &half, &[(n2, Down)], ALL, "60 192.0.2.10 192.0.2.11"),
        ("drained", &drained, &[], ALL, "60 192.0.2.10 192.0.2.11"),
        ("set down", &down, &[], ALL, "60 192.0.2.10 192.0.2.11"),
        ("drained, and the rest down: hold", &drained, &[(n0, Down), (n1, Down)], "60 192.0.2.10", "60 192.0.2.10"),
        (
            "drained, and nobody else there: not emptied",
            &drained,
            &[(n0, Down), (n1, Down)],
            "60 192.0.2.12",
            "60 192.0.2.12",
        ),
        (
            "drained counts for no share",
            &drained.replace("checks: [imap]", "checks: [imap], min_healthy: 100%"),
            &[],
            ALL,
            "60 192.0.2.10 192.0.2.11",
        ),
        ("a stranger beside us goes", imap, &[], "60 192.0.2.10 203.0.113.1", ALL),
    ];
    for (what, yaml, states, published, expected) in cases {
        assert_eq!(outcome(&cluster(yaml), states, "imap.example.org A", published), *expected, "{what}");
    }
}

#[test]
fn families_stand_and_fall_apart() {
    let cluster = cluster(
        "services: { imap: { publish: address, name: imap, checks: [imap] } }
domains: { example.org: { services: [imap] }, reserved.org: { services: [imap], nodes: [node00, node02] } }",
    );
    let v6 = "2001:db8::11";
    for (states, set, published, expected) in [
        (&[(v6, Down)][..], "imap.example.org A", "-", "60 192.0.2.10 192.0.2.11 192.0.2.12"),
        (&[(v6, Down)], "imap.example.org AAAA", "60 2001:db8::11", "60 2001:db8::11"),
        (&[("192.0.2.11", Down)], "imap.example.org AAAA", "-", "60 2001:db8::11"),
        (&[("192.0.2.11", Down)], "imap.example.org A", "-", "60 192.0.2.10 192.0.2.12"),
        // Only these nodes serve it.
        (&[], "imap.reserved.org A", "-", "60 192.0.2.10 192.0.2.12"),
        (&[], "imap.reserved.org AAAA", "-", "not listed"),
    ] {
        assert_eq!(outcome(&cluster, states, set, published), expected, "{set} with {states:?}");
    }
}

#[test]
fn the_minimum_rounds_up_for_any_number_of_nodes() {
    for count in 1..=20 {
        for (share, expected) in [
            (Share::Count(0), 1),
            (Share::Count(3), 3),
            (Share::Percent(0), 1),
            (Share::Percent(1), 1),
            (Share::Percent(50), count / 2 + count % 2),
            (Share::Percent(100), count),
        ] {
            assert_eq!(least(share, count), expected, "{share:?} of {count}");
        }
    }
    assert_eq!(least(Share::Percent(34), 3), 2);
}

#[test]
fn a_pinned_name_goes_where_when_down_says() {
    let yaml = |when_down: &str, admin: &str| {
        let nodes = NODES.replace("[192.0.2.10]", &format!("[192.0.2.10], admin_state: {admin}"));
        cluster(&format!(
            "{nodes}services:
  web: {{ publish: address, name: web, checks: [imap], pinned: {{ name: \"web{{index}}\", when_down: {when_down} }} }}
domains: {{ example.org: {{ services: [web] }} }}"
        ))
    };
    let own = "60 192.0.2.10";
    let (n0, n1, n2) = ("192.0.2.10", "192.0.2.11", "192.0.2.12");
    let cases: &[Case<'_>] = &[
        ("keep", "ready", &[(n0, Down)], own, own),
        ("pool", "ready", &[(n0, Down)], own, "60 192.0.2.11 192.0.2.12"),
        ("pool", "ready", &[(n0, Down), (n1, Down)], own, "60 192.0.2.12"),
        ("pool", "ready", &[(n0, Down), (n1, Down), (n2, Down)], "60 192.0.2.12", "60 192.0.2.12"),
        ("pool", "ready", &[(n0, Down), (n1, Down), (n2, Down)], "-", own),
        ("repoint", "ready", &[(n0, Down), (n1, Down)], own, "60 192.0.2.12"),
        ("repoint", "ready", &[(n0, Down), (n2, Down)], own, "60 192.0.2.11"),
        ("repoint", "ready", &[], "60 192.0.2.12", own),
        ("repoint", "ready", &[(n0, Unknown)], "60 192.0.2.12", "60 192.0.2.12"),
        ("repoint", "ready", &[(n0, Unknown)], "60 203.0.113.9", own),
        ("repoint", "drain", &[], own, own),
        ("repoint", "drain", &[(n0, Down), (n1, Down)], own, "60 192.0.2.12"),
        ("repoint", "down", &[(n1, Down)], own, "60 192.0.2.12"),
        ("keep", "down", &[], own, own),
    ];
    for (when_down, admin, states, published, expected) in cases {
        let came = outcome(&yaml(when_down, admin), states, "web00.example.org A", published);
        assert_eq!(came, *expected, "{when_down}, {admin}, {states:?}, was {published}");
    }
}

#[test]
fn a_pinned_name_is_repointed_only_when_every_address_of_its_node_is_down() {
    let cluster = cluster(
        "\nnodes: { node00: { addresses: [192.0.2.10, 192.0.2.20] }, node01: { addresses: [192.0.2.11] } }
checks: { imap: { kind: imap } }
services:
  web: { publish: address, name: web, checks: [imap], pinned: { name: \"web{index}\", when_down: repoint } }
domains: { example.org: { services: [web] } }",
    );
    let both = "60 192.0.2.10 192.0.2.20";
    for (states, expected) in [
        (&[][..], both),
        (&[("192.0.2.20", Down)], "60 192.0.2.10"),
        (&[("192.0.2.20", Unknown)], both),
        (&[("192.0.2.10", Down), ("192.0.2.20", Unknown)], both),
        (&[("192.0.2.10", Down), ("192.0.2.20", Down)], "60 192.0.2.11"),
    ] {
        assert_eq!(outcome(&cluster, states, "web00.example.org A", both), expected, "{states:?}");
    }
}

#[test]
fn exchanges_follow_health_and_their_hosts_follow_membership() {
    let cluster = cluster(
        "services:
  own: { publish: mx, preference: 10, exchange: \"{node}.{domain}\", checks: [smtp] }
  far: { publish: mx, preference: 20, exchange: \"{node}.hosts.net\", checks: [smtp] }
  fixed: { publish: mx, preference: 30, exchange: mx.elsewhere.net, checks: [smtp] }
  imap: { publish: address, name: imap, checks: [imap] }
domains:
  example.org: { services: [own] }
  other.org: { services: [far, fixed], nodes: [node00, node01] }
  hosts.net: { services: [imap] }",
    );
    let down = &[("192.0.2.10", Down)][..];
    for (states, set, expected) in [
        (&[][..], "example.org MX", "60 10:node00.example.org 10:node01.example.org 10:node02.example.org"),
        (down, "example.org MX", "60 10:node01.example.org 10:node02.example.org"),
        (down, "node00.example.org A", "60 192.0.2.10"),
        (down, "node01.example.org AAAA", "60 2001:db8::11"),
        (down, "node00.example.org AAAA", "not listed"),
        // An exchange without a node in it is there as long as anybody is healthy; its host is no business of ours.
        (down, "other.org MX", "60 20:node01.hosts.net 30:mx.elsewhere.net"),
        // Hosts in another zone of the file, for the nodes that serve.
        (down, "node00.hosts.net A", "60 192.0.2.10"),
        (down, "node02.hosts.net A", "not listed"),
        // One family of a node is enough to take mail.
        (&[("192.0.2.11", Down)], "other.org MX", "60 20:node00.hosts.net 20:node01.hosts.net 30:mx.elsewhere.net"),
    ] {
        assert_eq!(outcome(&cluster, states, set, "-"), expected, "{set} with {states:?}");
    }
}

#[test]
fn aliases_apexes_and_merged_services() {
    let cluster = cluster(
        "services:
  pop3: { publish: alias, name: pop3, target: imap.example.net, ttl: 5m }
  apex: { publish: address, name: \"@\", checks: [imap] }
  mail: { publish: address, name: mail, checks: [imap] }
  also: { publish: address, name: mail, checks: [smtp], min_healthy: 3 }
domains: { example.org: { services: [pop3, apex, mail, also] } }",
    );
    let all = "60 192.0.2.10 192.0.2.11 192.0.2.12";
    let down = &[("192.0.2.10", Down)][..];
    for (states, set, published, expected) in [
        (down, "pop3.example.org CNAME", "-", "300 imap.example.net"),
        (down, "example.org A", all, "60 192.0.2.11 192.0.2.12"),
        // The second service holds what is published, for two of three are too few for it.
        (down, "mail.example.org A", all, all),
        (down, "mail.example.org A", "60 192.0.2.11", "60 192.0.2.11 192.0.2.12"),
    ] {
        assert_eq!(outcome(&cluster, states, set, published), expected, "{set} with {states:?}, was {published}");
    }
    assert_eq!(outcome(&cluster, &[], "www.example.org A", "-"), "not listed");
}

#[test]
fn a_repointed_name_keeps_its_stand_in_when_others_come_and_go() {
    let pool: Vec<_> = (1..=9_u8)
        .map(|at| Member {
            node: NodeName::new(&format!("node{at:02}")),
            rdata: Rdata::A([192, 0, 2, at].into()),
            state: Up,
            admin_state: AdminState::Ready,
            why: None,
        })
        .collect();
    let own = [Member {
        node: NodeName::new("node00"),
        rdata: Rdata::A([192, 0, 2, 0].into()),
        state: Down,
        admin_state: AdminState::Ready,
        why: None,
    }];
    let set = RrsetId { owner: name("web00.example.org"), rtype: RrType::A };
    let pick = |pool: &[Member]| -> Vec<Rdata> {
        pinned(&set, &own, WhenDown::Repoint, pool, Published { data: &[], leaving: &[] })
            .into_iter()
            .cloned()
            .collect()
    };
    let picked = pick(&pool);
    assert_eq!(picked.len(), 1);
    for without in &pool {
        let others: Vec<_> = pool.iter().filter(|member| member != &without).cloned().collect();
        assert_eq!(pick(&others) == picked, !picked.contains(&without.rdata), "without {}", without.node);
    }
}

#[test]
fn a_shortage_names_the_service_the_family_and_the_nodes() {
    let cluster = cluster(
        "services:
  imap: { publish: address, name: imap, checks: [imap], min_healthy: 2 }
  alias: { publish: alias, name: pop3, target: imap.example.net }
domains: { example.org: { services: [imap, alias] }, other.org: { services: [imap, alias] } }",
    );
    let short = |states| {
        let short = shortages(&cluster, &Layout::new(&cluster), &standings(&cluster, states), &BTreeMap::new());
        let words = |(short, extent): (&Shortage, &Extent)| {
            let (Shortage { service, rtype, nodes }, Extent { healthy, needed, .. }) = (short, extent);
            format!("{service} {rtype} {}: {healthy} of {needed}", nodes.len())
        };
        short.iter().map(words).collect::<Vec<_>>()
    };
    // One node alone has IPv6, which is always less than two.
    assert_eq!(short(&[]), ["imap AAAA 3: 1 of 2"]);
    let two = [("192.0.2.10", Down), ("192.0.2.11", Down)];
    assert_eq!(short(&two), ["imap A 3: 1 of 2", "imap AAAA 3: 1 of 2"]);
    assert_eq!(short(&[("192.0.2.10", Down), ("192.0.2.11", Unknown)]), ["imap AAAA 3: 1 of 2"]);
}

fn state() -> impl Strategy<Value = Standing> {
    prop_oneof![Just(Up), Just(Down), Just(Unknown), Just(Suspect), Just(Reserve)]
}

fn share() -> impl Strategy<Value = usize> {
    0..4_usize
}

/// Any recipe of one to three pools with nodes 0 to 7, and any published set of those and of strangers.
fn any_pool() -> impl Strategy<Value = Contribution> {
    let admin = prop_oneof![4 => Just(AdminState::Ready), 1 => Just(AdminState::Drain), 1 => Just(AdminState::Down)];
    let member = (0..8_u8, state(), admin).prop_map(|(at, state, admin_state)| Member {
        node: NodeName::new(&format!("node{at}")),
        rdata: Rdata::A([192, 0, 2, at].into()),
        state,
        admin_state,
        why: None,
    });
    (prop::collection::vec(member, 1..6), share())
        .prop_map(|(members, least)| Contribution::Pool { members: members.into(), min_healthy: least.max(1) })
}

fn any_published() -> impl Strategy<Value = Option<Rrset>> {
    let rdata = prop::collection::btree_set((0..12_u8).prop_map(|at| Rdata::A([192, 0, 2, at].into())), 1..6);
    prop::option::of(
        (0..3_u32, rdata).prop_map(|(ttl, rdata)| Rrset { ttl: Ttl(ttl * 60), rdata: rdata.into_iter().collect() }),
    )
}

proptest! {
    #[test]
    fn no_set_comes_out_empty_and_unknown_changes_nothing(
        contributions in prop::collection::vec(any_pool(), 1..3),
        published in any_published(),
        all in any::<bool>(),
    ) {
        let all_down = if all { AllDown::All } else { AllDown::Hold };
        let set = RrsetId { owner: name("imap.example.org"), rtype: RrType::A };
        let recipe = Recipe { ttl: Ttl(60), contributions };
        let wanted = settle(&set, &recipe, all_down, published.as_ref(), None);
        // 12: same inputs, same outcome.
        prop_assert_eq!(&wanted, &settle(&set, &recipe, all_down, published.as_ref(), None));
        // 1: what is there is never emptied.
        prop_assert!(wanted.as_ref().is_none_or(|set| !set.rdata.is_empty()));
        prop_assert!(wanted.is_some() || published.is_none());
        // 6: after two turns at most nothing more is wanted. (One turn, unless a node stands otherwise for each of two
        // services that share the set.)
        let again = settle(&set, &recipe, all_down, wanted.as_ref(), None);
        prop_assert_eq!(&settle(&set, &recipe, all_down, again.as_ref(), None), &again);
        // 4: an unknown node that is ready stays where it is. (A node may be listed twice with different states here.)
        let before = published.map(|set| set.rdata).unwrap_or_default();
        let after = wanted.map(|set| set.rdata).unwrap_or_default();
        let members = recipe.contributions.iter().flat_map(|contribution| match contribution {
            Contribution::Pool { members, .. } => &members[..],
            _ => &[],
        });
        let members: Vec<_> = members.collect();
        let listed: BTreeSet<_> = recipe.contributions.iter().flat_map(data_of).collect();
        for rdata in listed {
            let stands = || members.iter().filter(|member| member.rdata == *rdata);
            if stands().all(|member| member.state == Unknown && member.is_ready()) {
                prop_assert_eq!(before.contains(rdata), after.contains(rdata), "{} is unknown", rdata);
            }
            if before.contains(rdata) && stands().all(|member| member.state == Suspect && member.is_ready()) {
                prop_assert!(after.contains(rdata), "{} is suspected", rdata);
            }
            if stands().all(|member| member.state == Up && member.is_ready()) {
                prop_assert!(after.contains(rdata), "{} is up", rdata);
            }
        }
    }
}
