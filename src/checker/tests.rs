use super::*;
use crate::{
    cluster::Cluster,
    plan::{Change, Rrsets},
    rota::model::{cluster, id, name, rrset},
    update::{GenerationRecord, GenerationRrset},
};

const FILE: &str = "
nodes: { n0: { addresses: [192.0.2.10] }, n1: { addresses: [192.0.2.11, \"2001:db8::11\"] } }
services:
  imap: { publish: address, name: imap }
  mx: { publish: mx, exchange: \"{node}.{domain}\" }
  pop: { publish: alias, name: pop, target: imap.example.net }
domains: { example.org: { services: [imap, mx, pop] } }
";

/// What the zone holds.
const HELD: &[(&str, &str)] = &[
    ("imap.example.org A", "60 192.0.2.10 192.0.2.11"),
    ("imap.example.org AAAA", "60 2001:db8::11"),
    ("example.org MX", "60 10:n0.example.org 10:n1.example.org"),
    ("n0.example.org A", "60 192.0.2.10"),
    ("n1.example.org A", "60 192.0.2.11"),
    ("pop.example.org CNAME", "60 imap.example.net"),
    ("old.example.org A", "60 203.0.113.7"),
    ("strange.example.org A", "60 203.0.113.8"),
    ("half.example.org A", "60 192.0.2.10 203.0.113.8"),
];
/// What the file gives.
const GIVEN: &[&str] = &[
    "imap.example.org A",
    "imap.example.org AAAA",
    "example.org MX",
    "n0.example.org A",
    "n1.example.org A",
    "pop.example.org CNAME",
    "half.example.org A",
    "new.example.org A",
    "hidden.example.org A",
];
/// What we published.
const OURS: &[&str] =
    &["imap.example.org A", "n0.example.org A", "n1.example.org A", "example.org MX", "old.example.org A"];

fn record(generation: u64) -> GenerationRecord {
    GenerationRecord { cluster: "mail".into(), owner: "us".into(), generation }
}

fn update(changes: &[(&str, &str)]) -> Update {
    let held = held();
    let changes = changes.iter().map(|(of, after)| {
        let id = id(of);
        let after = (*after != "-").then(|| rrset(id.rtype, after));
        Change { before: held.get(&id).cloned(), after, id }
    });
    let guard = GenerationRrset::from(&record(6));
    Update { zone: name("example.org"), guard, record: record(7), changes: changes.collect(), is_last: false }
}

fn held() -> Rrsets {
    HELD.iter().map(|(of, content)| (id(of), rrset(id(of).rtype, content))).collect()
}

/// What the checker says, with a guard of generation 6 unless there is none.
fn look(message: &Message, guard: Option<u64>, is_adopted: bool, elsewhere: &str) -> Result<(), Violation> {
    let (held, file): (_, std::sync::Arc<Cluster>) = (held(), cluster(FILE));
    let guard = guard.map(|generation| BTreeSet::from([Txt::from(&record(generation))]));
    let ours: BTreeMap<_, _> = held.iter().filter(|(id, _)| OURS.contains(&id.to_string().as_str())).collect();
    let zone = name("example.org");
    look_at(
        message,
        Evidence {
            zone: &zone,
            cluster: &file,
            writer: ("mail", "us"),
            guard: guard.as_ref(),
            held: &held,
            is_given: &|id| GIVEN.contains(&id.to_string().as_str()),
            ours: &|id| ours.get(id).map(|set| &set.rdata),
            comes_back: &|of, rdata| of.to_string() == "old.example.org A" && rdata.to_string() == "203.0.113.9",
            may_end: true,
            is_adopted: &|_| is_adopted,
            is_hidden: &|name| name.as_str() == "hidden.example.org",
            is_target_elsewhere: &|target| target.as_str() == elsewhere,
        },
    )
}

#[test]
fn ordinary_messages_pass() {
    for changes in [
        &[][..],
        &[("imap.example.org A", "60 192.0.2.10")],
        &[("imap.example.org A", "300 192.0.2.11"), ("imap.example.org AAAA", "60 2001:db8::11")],
        &[("example.org MX", "60 10:n1.example.org"), ("n0.example.org A", "60 192.0.2.10")],
        &[("new.example.org A", "60 192.0.2.11")],
        &[("old.example.org A", "-")],
    ] {
        let message = update(changes).message().unwrap();
        assert_eq!(look(&message, Some(6), false, ""), Ok(()), "{changes:?}");
    }
    // First contact: without a record, and with data of our nodes.
    let first = Update {
        guard: GenerationRrset::Absent,
        record: record(1),
        ..update(&[("pop.example.org CNAME", "30 imap.example.net")])
    };
    assert_eq!(look(&first.message().unwrap(), None, false, ""), Ok(()));
    // What is left over gets a member back that the file does not know any more, and the last message takes the record.
    let back = update(&[("old.example.org A", "60 192.0.2.10 203.0.113.9")]).message().unwrap();
    assert_eq!(look(&back, Some(6), false, ""), Ok(()));
    let last = Update { is_last: true, ..update(&[]) }.message().unwrap();
    assert_eq!(look(&last, Some(6), false, ""), Ok(()));
    assert_eq!(look(&last, None, false, ""), Err(Violation::Guard));
    // An operator had it taken over.
    let adopted = update(&[("half.example.org A", "60 192.0.2.10")]).message().unwrap();
    assert_eq!(look(&adopted, Some(6), true, ""), Ok(()));
}

#[test]
fn whatever_a_plan_must_never_do_is_stopped() {
    let stranger = |of: &str, data: &str| Violation::Stranger(id(of), Rdata::A(data.parse().unwrap()));
    for (changes, elsewhere, violation) in [
        (&[("imap.example.org A", "-")][..], "", Violation::Emptied(id("imap.example.org A"))),
        (&[("pop.example.org CNAME", "-")], "", Violation::Emptied(id("pop.example.org CNAME"))),
        (&[("strange.example.org A", "-")], "", Violation::NotOurs(id("strange.example.org A"))),
        (&[("other.example.org A", "60 192.0.2.10")], "", Violation::NotOurs(id("other.example.org A"))),
        (&[("hidden.example.org A", "60 192.0.2.10")], "", Violation::Hidden(name("hidden.example.org"))),
        (&[("half.example.org A", "60 192.0.2.10")], "", stranger("half.example.org A", "203.0.113.8")),
        (
            &[("imap.example.org A", "60 192.0.2.10 203.0.113.1")],
            "",
            Violation::Invented(id("imap.example.org A"), Rdata::A([203, 0, 113, 1].into())),
        ),
        (
            &[("example.org MX", "60 10:mx.elsewhere.test")],
            "",
            Violation::Invented(
                id("example.org MX"),
                Rdata::Mx { preference: 10, exchange: name("mx.elsewhere.test") },
            ),
        ),
        (&[("old.example.org A", "-")], "old.example.org", Violation::Target(name("old.example.org"))),
        // BIND would ignore it beside the CNAME, and the set would not be there.
        (
            &[("imap.example.org A", "60 192.0.2.10"), ("imap.example.org CNAME", "60 imap.example.net")],
            "",
            Violation::NotOurs(id("imap.example.org CNAME")),
        ),
    ] {
        let message = update(changes).message().unwrap();
        assert_eq!(look(&message, Some(6), false, elsewhere), Err(violation), "{changes:?}");
    }
}

#[test]
fn the_guard_and_the_record_are_those_of_the_zone() {
    let message =
        |guard: GenerationRrset, record: GenerationRecord| Update { guard, record, ..update(&[]) }.message().unwrap();
    let ours = |generation| GenerationRrset::from(&record(generation));
    let by =
        |cluster: &str, owner: &str| GenerationRecord { cluster: cluster.into(), owner: owner.into(), generation: 7 };
    for (what, message, guard, violation) in [
        ("an older guard", message(ours(5), record(7)), Some(6), Violation::Guard),
        ("no guard", message(GenerationRrset::Absent, record(7)), Some(6), Violation::Guard),
        ("a guard where no record is", message(ours(6), record(7)), None, Violation::Guard),
        ("the same generation", message(ours(6), record(6)), Some(6), Violation::Record),
        ("a lower one", message(ours(6), record(5)), Some(6), Violation::Record),
        ("another cluster", message(ours(6), by("web", "us")), Some(6), Violation::Record),
        ("another instance", message(ours(6), by("mail", "them")), Some(6), Violation::Record),
    ] {
        assert_eq!(look(&message, guard, false, ""), Err(violation), "{what}");
    }
    let mut unguarded = update(&[]).message().unwrap();
    unguarded.answers.clear();
    assert_eq!(look(&unguarded, Some(6), false, ""), Err(Violation::Guard));
    let mut bare = update(&[]).message().unwrap();
    bare.authorities.clear();
    assert_eq!(look(&bare, Some(6), false, ""), Err(Violation::Record));
    let mut elsewhere = update(&[]).message().unwrap();
    elsewhere.queries.clear();
    assert!(matches!(look(&elsewhere, Some(6), false, ""), Err(Violation::Form(_))));
}

#[test]
fn the_last_address_of_a_target_stays() {
    // The host of an exchange left the file, and the MX still points to it.
    let (held, file) = (held(), cluster(FILE));
    let gone = update(&[("n1.example.org A", "-")]);
    let guard = BTreeSet::from([Txt::from(&record(6))]);
    let n1 = held[&id("n1.example.org A")].rdata.clone();
    let zone = name("example.org");
    let evidence = Evidence {
        zone: &zone,
        cluster: &file,
        writer: ("mail", "us"),
        guard: Some(&guard),
        held: &held,
        is_given: &|_| false,
        ours: &|of| (*of == id("n1.example.org A")).then_some(&n1),
        comes_back: &|_, _| false,
        may_end: false,
        is_adopted: &|_| false,
        is_hidden: &|_| false,
        is_target_elsewhere: &|_| false,
    };
    assert_eq!(Checked::new(gone, evidence), Err(Violation::Target(name("n1.example.org"))));
}
