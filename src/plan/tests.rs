use proptest::prelude::*;

use super::{
    held::{by_health, is_by_edit},
    rails::in_the_way,
    *,
};
use crate::{
    desired::{Contribution, Member},
    dns::{RrType, Ttl},
    rota::model::{id, name, rrset},
};

/// Sets as lines: `imap.example.org A 60 192.0.2.10`.
fn sets(lines: &[&str]) -> Rrsets {
    let set = |line: &&str| {
        let mut words = line.splitn(3, ' ');
        let set = id(&format!("{} {}", words.next().unwrap(), words.next().unwrap()));
        (set.clone(), rrset(set.rtype, words.next().unwrap()))
    };
    lines.iter().map(set).collect()
}

/// A file that lists exactly these sets, whatever the health.
fn listed(wanted: &Rrsets) -> BTreeMap<RrsetId, Recipe> {
    let recipe = |set: &Rrset| Recipe { ttl: set.ttl, contributions: vec![Contribution::Fixed(set.rdata.clone())] };
    wanted.iter().map(|(id, set)| (id.clone(), recipe(set))).collect()
}

fn plan(wanted: &Rrsets, published: &Rrsets, owned: &BTreeMap<RrsetId, RdataSet>, elsewhere: &[&str]) -> Plan {
    diff(Inputs {
        recipes: &listed(wanted),
        all_down: AllDown::Hold,
        published,
        owned,
        is_known: &|_, rdata| rdata.to_string().contains("192.0.2."),
        is_target_elsewhere: &|owner| elsewhere.contains(&owner.as_str()),
    })
}

fn all_owned(published: &Rrsets) -> BTreeMap<RrsetId, RdataSet> {
    published.iter().map(|(id, set)| (id.clone(), set.rdata.clone())).collect()
}

fn text(plan: &Plan) -> String {
    plan.changes.iter().map(ToString::to_string).collect()
}

#[test]
fn a_plan_reads_like_a_zone_file() {
    let published = sets(&[
        "example.org MX 60 10:node00.example.org 10:node01.example.org",
        "imap.example.org A 60 192.0.2.10 192.0.2.11",
        "imap.example.org AAAA 60 2001:db8::11",
        "node00.example.org A 60 192.0.2.10",
        "node01.example.org A 60 192.0.2.11",
        "old.example.org A 60 192.0.2.10",
        "smtp.example.org A 300 192.0.2.10",
        "www.example.org A 60 203.0.113.80",
    ]);
    let wanted = sets(&[
        "example.org MX 60 10:node00.example.org 10:node02.example.org",
        "imap.example.org A 60 192.0.2.10 192.0.2.12",
        "imap.example.org AAAA 60 2001:db8::11",
        "node00.example.org A 60 192.0.2.10",
        "node02.example.org A 60 192.0.2.12",
        "pop3.example.org CNAME 60 imap.example.net",
        "smtp.example.org A 60 192.0.2.10",
    ]);
    let mut owned = all_owned(&published);
    owned.remove(&id("www.example.org A"));
    insta::assert_snapshot!(text(&plan(&wanted, &published, &owned, &[])), @"
    - example.org. 60 IN MX 10 node01.example.org.
    + example.org. 60 IN MX 10 node02.example.org.
    - imap.example.org. 60 IN A 192.0.2.11
    + imap.example.org. 60 IN A 192.0.2.12
    - node01.example.org. 60 IN A 192.0.2.11
    + node02.example.org. 60 IN A 192.0.2.12
    - old.example.org. 60 IN A 192.0.2.10
    + pop3.example.org. 60 IN CNAME imap.example.net.
    - smtp.example.org. 300 IN A 192.0.2.10
    + smtp.example.org. 60 IN A 192.0.2.10
    ");
}

#[test]
fn what_is_not_ours_any_more_stays() {
    for (published, owned, gone) in [
        ("192.0.2.10", Some("192.0.2.10"), true),
        ("203.0.113.1", Some("203.0.113.1"), true),
        ("192.0.2.11", Some("192.0.2.10"), true),
        ("203.0.113.1", Some("192.0.2.10"), false),
        ("192.0.2.10 203.0.113.1", Some("192.0.2.10"), false),
        ("192.0.2.10", None, false),
    ] {
        let published = sets(&[&format!("old.example.org A 60 {published}")]);
        let owned = owned.map(|data| all_owned(&sets(&[&format!("old.example.org A 60 {data}")]))).unwrap_or_default();
        let plan = plan(&Rrsets::new(), &published, &owned, &[]);
        assert_eq!(!plan.changes.is_empty(), gone, "{published:?}, ours {owned:?}");
    }
}

#[test]
fn an_address_stays_as_long_as_an_mx_names_it() {
    let v4 = "mx.example.org A 60 192.0.2.10";
    let v6 = "mx.example.org AAAA 60 2001:db8::10";
    let mx = "example.org MX 60 10:mx.example.org";
    let other = "example.org MX 60 10:mx2.example.org";
    for (what, published, wanted, elsewhere, changes) in [
        ("nobody names it", &[v4][..], &[][..], &[][..], 1),
        ("an MX that stays", &[v4, mx], &[mx], &[], 0),
        ("an MX that goes with it", &[v4, mx], &[], &[], 2),
        ("an MX that names another then", &[v4, mx], &[other], &[], 2),
        ("an MX of another zone", &[v4], &[], &["mx.example.org"], 0),
        ("one family stays", &[v4, v6, mx], &[v4, mx], &["mx.example.org"], 1),
        ("both families would go", &[v4, v6, mx], &[mx], &[], 0),
    ] {
        let published = sets(published);
        let plan = plan(&sets(wanted), &published, &all_owned(&published), elsewhere);
        assert_eq!(plan.changes.len(), changes, "{what}: {}", text(&plan));
    }
}

#[test]
fn what_bind_would_ignore_is_not_sent() {
    let address = "pop3.example.org A 60 192.0.2.10";
    let v6 = "pop3.example.org AAAA 60 2001:db8::10";
    let alias = "pop3.example.org CNAME 60 imap.example.net";
    for (what, published, ours, wanted, changes, words) in [
        (
            "an alias of a stranger",
            &[alias][..],
            &[][..],
            &[address][..],
            0,
            "a CNAME exists at that name, which rotad did not publish (CNAME imap.example.net.)",
        ),
        ("our own alias", &[alias], &[alias], &[address], 2, ""),
        ("an address of a stranger", &[address], &[], &[alias], 0, "has other records"),
        ("our own address", &[address], &[address], &[alias], 2, ""),
        ("ours, and a stranger's beside it", &[address, v6], &[address], &[alias], 0, "has other records"),
    ] {
        let published = sets(published);
        let plan = plan(&sets(wanted), &published, &all_owned(&sets(ours)), &[]);
        assert_eq!(plan.changes.len(), changes, "{what}: {}", text(&plan));
        assert!(plan.blocked.is_empty(), "{what}: {:?}", plan.blocked);
        let foreign = plan.foreign.values().next().map_or("", String::as_str);
        assert!(foreign.contains(words) && foreign.is_empty() == words.is_empty(), "{what}: {foreign}");
    }
}

#[test]
fn an_edit_is_told_from_health() {
    let node = |at: u8| Member {
        node: crate::cluster::NodeName::new(&format!("node{at}")),
        rdata: Rdata::A([192, 0, 2, at].into()),
        state: crate::standings::Standing::Up,
        admin_state: crate::cluster::AdminState::Ready,
        why: None,
    };
    let pool = Contribution::Pool { members: [node(10), node(11)].into(), min_healthy: 1 };
    let recipe = Recipe { ttl: Ttl(60), contributions: vec![pool] };
    for (what, before, after, by_edit, held) in [
        ("a new set", "-", "60 192.0.2.10", false, None),
        ("a node dies", "60 192.0.2.10 192.0.2.11", "60 192.0.2.10", false, None),
        ("a node comes", "60 192.0.2.10", "60 192.0.2.10 192.0.2.11", false, None),
        ("a deletion", "60 192.0.2.10", "-", true, None),
        ("another TTL", "300 192.0.2.10", "60 192.0.2.10", true, None),
        ("a node leaves the file", "60 192.0.2.10 192.0.2.12", "60 192.0.2.10", true, None),
        (
            "and another dies",
            "60 192.0.2.10 192.0.2.11 192.0.2.12",
            "60 192.0.2.10",
            true,
            Some("60 192.0.2.10 192.0.2.12"),
        ),
        ("and another comes", "300 192.0.2.12", "60 192.0.2.10", true, Some("300 192.0.2.10 192.0.2.12")),
    ] {
        let set = |text: &str| (text != "-").then(|| rrset(RrType::A, text));
        let change = Change { id: id("imap.example.org A"), before: set(before), after: set(after) };
        assert_eq!(is_by_edit(&change, Some(&recipe)), by_edit, "{what}");
        assert_eq!(is_by_edit(&change, None), before != "-", "{what}, not listed");
        if by_edit {
            let held = held.map(|text: &str| rrset(RrType::A, text));
            assert_eq!(by_health(&change, &recipe).and_then(|change| change.after), held, "{what}");
        }
    }
}

/// Any content of a zone with few names, as BIND lets it be: nothing stands beside a CNAME.
fn any_zone() -> impl Strategy<Value = Rrsets> {
    let owner = prop_oneof![Just("example.org"), Just("a.example.org"), Just("b.example.org")];
    let data = prop_oneof![
        3 => (0..4_u8).prop_map(|at| Rdata::A([192, 0, 2, at].into())),
        1 => (0..2_u16).prop_map(|at| Rdata::Aaaa([0x2001, 0xdb8, 0, 0, 0, 0, 0, at].into())),
        1 => Just(Rdata::Cname(name("elsewhere.net"))),
        1 => prop_oneof![Just("a.example.org"), Just("b.example.org"), Just("mx.elsewhere.net")]
            .prop_map(|exchange| Rdata::Mx { preference: 10, exchange: name(exchange) }),
    ];
    prop::collection::vec((owner, data, 0..2_u32), 0..10).prop_map(|records| {
        let mut zone = Rrsets::new();
        for (owner, rdata, ttl) in records {
            let set = RrsetId { owner: name(owner), rtype: rdata.rtype() };
            if in_the_way(&set).any(|other| zone.contains_key(&other)) {
                continue;
            }
            let place = zone.entry(set).or_insert_with(|| Rrset { ttl: Ttl(60 + ttl), rdata: RdataSet::default() });
            if place.rdata.is_empty() || rdata.rtype() != RrType::Cname {
                place.rdata = place.rdata.iter().cloned().chain([rdata]).collect();
            }
        }
        zone
    })
}

fn dangling(zone: &Rrsets) -> BTreeSet<(RrsetId, OwnerName)> {
    let targets =
        zone.iter().flat_map(|(id, set)| set.rdata.iter().filter_map(|r| Some((id.clone(), exchange(r)?.clone()))));
    let bare = |owner: &OwnerName| {
        let has = |rtype| zone.contains_key(&RrsetId { owner: owner.clone(), rtype });
        owner.as_str().ends_with("example.org") && !has(RrType::A) && !has(RrType::Aaaa)
    };
    targets.filter(|(_, target)| bare(target)).collect()
}

proptest! {
    #[test]
    fn a_plan_of_equal_sets_is_empty(zone in any_zone()) {
        let plan = plan(&zone, &zone, &all_owned(&zone), &[]);
        prop_assert_eq!(plan, Plan::default());
    }

    #[test]
    fn what_is_published_and_a_plan_give_what_is_wanted(published in any_zone(), wanted in any_zone(), ours in any::<bool>()) {
        let owned = if ours { all_owned(&published) } else { BTreeMap::new() };
        let first = plan(&wanted, &published, &owned, &[]);
        // 12: same inputs, same plan.
        prop_assert_eq!(&first, &plan(&wanted, &published, &owned, &[]));
        let mut after = published.clone();
        apply(&mut after, &first.changes);
        for (id, set) in &wanted {
            // An exchange waits for the addresses of its host, which something stands in the way of.
            let has_address = |sets: &Rrsets, owner: &OwnerName| {
                [RrType::A, RrType::Aaaa].iter().any(|rtype| sets.contains_key(&RrsetId { owner: owner.clone(), rtype: *rtype }))
            };
            let waits = |to: &OwnerName| has_address(&wanted, to) && !has_address(&after, to);
            let waits = set.rdata.iter().filter_map(exchange).any(waits);
            prop_assert!(after.get(id) == Some(set) || first.blocked.contains_key(id) || first.foreign.contains_key(id) || waits, "{}", id);
        }
        // 9: what is neither listed nor ours stays.
        for (id, set) in published.iter().filter(|(id, _)| !wanted.contains_key(id) && !owned.contains_key(id)) {
            prop_assert_eq!(after.get(id), Some(set));
        }
        // 8: no MX of ours or of others is left without the address that it had.
        let stood = |(id, target): &(RrsetId, OwnerName)| {
            let had = [RrType::A, RrType::Aaaa].map(|rtype| RrsetId { owner: target.clone(), rtype });
            published.contains_key(id) && had.iter().any(|had| published.contains_key(had)) && !wanted.keys().any(|w| w.owner == *target)
        };
        prop_assert!(!dangling(&after).iter().any(stood), "{:?}", dangling(&after));
        // Nothing that BIND would ignore.
        for id in after.keys() {
            let beside = in_the_way(id).any(|other| after.contains_key(&other));
            prop_assert!(!beside, "{} stands beside others", id);
        }
        // 6: the next turn has nothing more to do, but for what was held for an MX that has moved on meanwhile.
        let second = plan(&wanted, &after, &owned, &[]);
        let mut last = after.clone();
        apply(&mut last, &second.changes);
        prop_assert!(second.changes.iter().all(|change| change.after.is_none()), "{}", text(&second));
        prop_assert_eq!(plan(&wanted, &last, &owned, &[]).changes, Vec::new());
    }
}
