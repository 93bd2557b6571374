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
    "pop.example.org A",
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
    Update {
        zone: name("example.org"),
        guard,
        record: record(7),
        changes: changes.collect(),
        exact: true,
        is_last: false,
    }
}

fn held() -> Rrsets {
    HELD.iter().map(|(of, content)| (id(of), rrset(id(of).rtype, content))).collect()
}

/// What the checker says, with a guard of generation 6 unless there is none.
fn look(message: &Message, guard: Option<u64>, is_adopted: bool, elsewhere: &str) -> Result<(), Violation> {
    look_with(message, guard, is_adopted, elsewhere, true)
}

fn look_with(
    message: &Message,
    guard: Option<u64>,
    is_adopted: bool,
    elsewhere: &str,
    is_certain: bool,
) -> Result<(), Violation> {
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
            is_certain,
            is_given: &|id| GIVEN.contains(&id.to_string().as_str()),
            ours: &|id| ours.get(id).map(|set| &set.rdata),
            comes_back: &|of, rdata| of.to_string() == "old.example.org A" && rdata.to_string() == "203.0.113.9",
            may_end: true,
            takes_over: is_adopted,
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
        (&[("pop.example.org A", "60 192.0.2.10")], "", Violation::Beside(id("pop.example.org A"))),
        (&[("imap.example.org CNAME", "60 imap.example.net")], "", Violation::Beside(id("imap.example.org CNAME"))),
    ] {
        let message = update(changes).message().unwrap();
        assert_eq!(look(&message, Some(6), false, elsewhere), Err(violation), "{changes:?}");
    }
}

#[test]
fn each_set_is_required_as_it_was_read() {
    for (of, after, may_differ) in [
        ("imap.example.org A", "60 192.0.2.10", true),
        ("imap.example.org A", "300 192.0.2.10 192.0.2.11", true),
        // A deletion, a creation, data of our nodes that we did not publish.
        ("old.example.org A", "-", false),
        ("new.example.org A", "60 192.0.2.11", false),
        ("imap.example.org AAAA", "300 2001:db8::11", false),
    ] {
        let update = update(&[(of, after)]);
        let exact = update.message().unwrap();
        let loose = Update { exact: false, ..update.clone() }.message().unwrap();
        let mut other = exact.clone();
        let other_data = Update {
            changes: vec![Change {
                before: Some(rrset(
                    id(of).rtype,
                    if of.ends_with("AAAA") { "60 2001:db8::1" } else { "60 192.0.2.99" },
                )),
                ..update.changes[0].clone()
            }],
            ..update
        };
        other.answers = other_data.message().unwrap().answers;
        let unrequired = || Err(Violation::Unrequired(id(of)));
        for (is_certain, message, is_right) in [
            (true, &exact, true),
            (true, &loose, false),
            (true, &other, false),
            (false, &exact, true),
            (false, &loose, may_differ),
            (false, &other, false),
        ] {
            let expected = if is_right { Ok(()) } else { unrequired() };
            assert_eq!(look_with(message, Some(6), false, "", is_certain), expected, "{of} {after} {is_certain}");
        }
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
        ("somebody else's record", message((&by("mail", "them")).into(), by("mail", "us")), None, Violation::Guard),
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

/// What the checker says of a message over these records, of which the operator had the zone taken over or not.
fn over(texts: &[&str], generation: u64, takes_over: bool) -> Result<Checked, Violation> {
    let raw: BTreeSet<_> = texts.iter().map(|text| Txt(vec![text.as_bytes().to_vec()])).collect();
    let (held, file, zone) = (held(), cluster(FILE), name("example.org"));
    let update = Update { guard: GenerationRrset::new(raw.clone()), record: record(generation), ..update(&[]) };
    let evidence = Evidence {
        zone: &zone,
        cluster: &file,
        writer: ("mail", "us"),
        guard: Some(&raw),
        held: &held,
        is_certain: true,
        is_given: &|_| true,
        ours: &|_| None,
        comes_back: &|_, _| false,
        may_end: false,
        takes_over,
        is_adopted: &|_| false,
        is_hidden: &|_| false,
        is_target_elsewhere: &|_| false,
    };
    Checked::new(update, evidence)
}

#[test]
fn the_record_of_somebody_else_is_written_over_if_an_operator_says_so() {
    let theirs = "v=1 cluster=mail owner=them generation=6";
    let ours = "v=1 cluster=mail owner=us generation=6";
    for (what, texts, generation, takes_over, violation) in [
        ("our own", &[ours][..], 7, false, None),
        ("another instance's", &[theirs], 7, false, Some(Violation::Others)),
        ("another instance's, adopted", &[theirs], 7, true, None),
        ("the same with a generation that does not grow", &[theirs], 6, true, Some(Violation::Record)),
        ("two records", &[ours, theirs], 7, false, Some(Violation::Others)),
        ("two records, adopted", &[ours, theirs], 7, true, None),
        ("another text", &["hello"], 1, false, Some(Violation::Others)),
        ("another text, adopted", &["hello"], 1, true, None),
        ("a number of another form", &["v=1 cluster=mail owner=us generation=+9"], 1, true, None),
        ("an empty owner", &["v=1 cluster=mail owner= generation=9"], 1, true, None),
        ("a cluster of two lines", &["v=1 cluster=ma\nil owner=us generation=9"], 1, true, None),
        ("a number that cannot grow", &["v=1 cluster=mail owner=us generation=18446744073709551615"], 1, true, None),
    ] {
        assert_eq!(over(texts, generation, takes_over).err(), violation, "{what}");
    }
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
        is_certain: true,
        is_given: &|_| false,
        ours: &|of| (*of == id("n1.example.org A")).then_some(&n1),
        comes_back: &|_, _| false,
        may_end: false,
        takes_over: false,
        is_adopted: &|_| false,
        is_hidden: &|_| false,
        is_target_elsewhere: &|_| false,
    };
    assert_eq!(Checked::new(gone, evidence), Err(Violation::Target(name("n1.example.org"))));
}
