use std::collections::BTreeSet;

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode, UpdateMessage},
    rr::{DNSClass, RData, RecordType, rdata::TXT},
};
use proptest::prelude::*;

use super::{message::wire, *};
use crate::{
    dns::{OwnerName, Rdata, RdataSet, RrType, Rrset, RrsetId, Ttl},
    plan::Change,
    tsig::{Keys, Signed},
};

const ZONE: &str = "example.org";

fn name(text: &str) -> OwnerName {
    OwnerName::from_presentation(text)
}

fn record(generation: u64) -> GenerationRecord {
    GenerationRecord { cluster: "mail".into(), owner: "0badcafe".into(), generation }
}

fn change(owner: &str, rtype: RrType, rdata: impl IntoIterator<Item = Rdata>) -> Change {
    let rdata: RdataSet = rdata.into_iter().collect();
    let after = (!rdata.is_empty()).then_some(Rrset { ttl: Ttl(60), rdata });
    Change { id: RrsetId { owner: name(owner), rtype }, before: None, after }
}

fn mx(exchange: &str) -> Rdata {
    Rdata::Mx { preference: 10, exchange: name(exchange) }
}

fn update(changes: Vec<Change>) -> Update {
    Update { zone: name(ZONE), guard: (&record(6)).into(), record: record(7), changes, exact: true, is_last: false }
}

/// One line a record: class, TTL and all.
fn shown(records: &[hickory_proto::rr::Record]) -> Vec<String> {
    records.iter().map(ToString::to_string).collect()
}

#[test]
fn the_record_has_one_exact_form() {
    let text = "v=1 cluster=mail owner=0badcafe generation=7";
    assert_eq!(record(7).to_string(), text);
    assert_eq!(GenerationRecord::parse(text), Some(record(7)));
    for other in [
        "",
        "v=2 cluster=mail owner=0badcafe generation=7",
        "v=1 cluster= owner=0badcafe generation=7",
        "v=1 cluster=mail owner= generation=7",
        "v=1 cluster=mail owner=a b generation=7",
        "v=1 cluster=mail\u{a0}2 owner=b generation=7",
        "v=1 cluster=mail owner=0badcafe generation=",
        "v=1 cluster=mail owner=0badcafe generation=07",
        "v=1 cluster=mail owner=0badcafe generation=+7",
        "v=1 cluster=mail owner=0badcafe generation=-7",
        "v=1 cluster=mail owner=0badcafe generation=18446744073709551616",
        "v=1 cluster=mail owner=0badcafe generation=7 ",
        " v=1 cluster=mail owner=0badcafe generation=7",
        "v=1  cluster=mail owner=0badcafe generation=7",
        "v=1 owner=0badcafe cluster=mail generation=7",
    ] {
        assert_eq!(GenerationRecord::parse(other), None, "{other:?}");
    }
}

#[test]
fn only_a_single_record_of_our_form_is_ours() {
    let ours = Txt::from(&record(7));
    let odd = Txt(vec![b"\xff\"".to_vec(), Vec::new()]);
    assert_eq!(GenerationRrset::new([].into()), GenerationRrset::Absent);
    assert_eq!(GenerationRrset::new([ours.clone()].into()), (&record(7)).into());
    for raw in [vec![ours.clone(), odd.clone()], vec![odd.clone()], vec![Txt(vec![ours.0[0].clone(), Vec::new()])]] {
        let raw: BTreeSet<_> = raw.into_iter().collect();
        assert_eq!(GenerationRrset::new(raw.clone()), GenerationRrset::Present { raw, record: None });
    }
    assert_eq!(odd.to_string(), r#""\xff\"" """#);
}

#[test]
fn a_message_reads_as_rfc_2136_says() {
    let mut gone = change("imap.example.org", RrType::Aaaa, []);
    gone.before = Some(Rrset { ttl: Ttl(60), rdata: [Rdata::Aaaa("2001:db8::1".parse().unwrap())].into() });
    let message = update(vec![
        change(ZONE, RrType::Mx, [mx("mx.example.org")]),
        change("mx.example.org", RrType::A, [Rdata::A([192, 0, 2, 1].into())]),
        gone,
        change("alias.example.org", RrType::Cname, [Rdata::Cname(name("mx.example.org"))]),
    ])
    .message()
    .unwrap();
    assert_eq!((message.op_code, message.message_type), (OpCode::Update, MessageType::Query));
    assert_eq!(message.zones(), [Query::query(wire(&name(ZONE)).unwrap(), RecordType::SOA)]);
    assert_eq!(
        shown(message.prerequisites()),
        [
            "_rotad.example.org. 0 IN TXT v=1 cluster=mail owner=0badcafe generation=6",
            "example.org. 0 NONE MX UPDATE",
            "mx.example.org. 0 NONE A UPDATE",
            "imap.example.org. 0 IN AAAA 2001:db8::1",
            "alias.example.org. 0 NONE CNAME UPDATE",
        ]
    );
    assert_eq!(
        shown(message.updates()),
        [
            "_rotad.example.org. 0 ANY TXT UPDATE",
            "example.org. 0 ANY MX UPDATE",
            "mx.example.org. 0 ANY A UPDATE",
            "imap.example.org. 0 ANY AAAA UPDATE",
            "alias.example.org. 0 ANY CNAME UPDATE",
            "_rotad.example.org. 0 IN TXT v=1 cluster=mail owner=0badcafe generation=7",
            "mx.example.org. 60 IN A 192.0.2.1",
            "example.org. 60 IN MX 10 mx.example.org.",
            "alias.example.org. 60 IN CNAME mx.example.org.",
        ]
    );
}

#[test]
fn where_little_of_a_set_differs_that_alone_is_written() {
    let a = |last: u8| Rdata::A([192, 0, 2, last].into());
    let from = |rtype, before: Vec<Rdata>, after: Vec<Rdata>| {
        let mut change = change("x.example.org", rtype, after);
        change.before = Some(Rrset { ttl: Ttl(60), rdata: before.into_iter().collect() });
        change
    };
    let written = |change: Change| {
        let update = update(vec![change]);
        let message = update.message().unwrap();
        [&message.prerequisites()[1..], &message.updates()[1..]].map(shown)
    };
    let record = "_rotad.example.org. 0 IN TXT v=1 cluster=mail owner=0badcafe generation=7";
    let node_leaves = written(from(RrType::A, vec![a(1), a(2), a(3)], vec![a(1), a(3)]));
    assert_eq!(
        node_leaves[0],
        ["x.example.org. 0 IN A 192.0.2.1", "x.example.org. 0 IN A 192.0.2.2", "x.example.org. 0 IN A 192.0.2.3"]
    );
    assert_eq!(node_leaves[1], ["x.example.org. 0 NONE A 192.0.2.2", record]);
    let node_comes = written(from(RrType::A, vec![a(1)], vec![a(1), a(3)]));
    assert_eq!(node_comes[0], ["x.example.org. 0 IN A 192.0.2.1"]);
    assert_eq!(node_comes[1], [record, "x.example.org. 60 IN A 192.0.2.3"]);
    let all = ["x.example.org. 0 ANY A UPDATE", record, "x.example.org. 60 IN A 192.0.2.3"];
    let one = vec!["x.example.org. 0 IN A 192.0.2.1".to_owned()];
    let all = all.map(str::to_owned).to_vec();
    assert_eq!(written(from(RrType::A, vec![a(1)], vec![a(3)])), [one, all.clone()]);
    // The TTL is one for the whole set, and what cannot be written need not be required.
    let mut slower = from(RrType::A, vec![a(1), a(3)], vec![a(3)]);
    slower.before.as_mut().unwrap().ttl = Ttl(300);
    let both = ["x.example.org. 0 IN A 192.0.2.1", "x.example.org. 0 IN A 192.0.2.3"].map(str::to_owned).to_vec();
    assert_eq!(written(slower), [both, all.clone()]);
    // What may be other than what is read is replaced whole.
    let unseen =
        Update { exact: false, ..update(vec![from(RrType::A, vec![a(1), a(3)], vec![a(3)])]) }.message().unwrap();
    assert_eq!((unseen.prerequisites().len(), shown(&unseen.updates()[1..])), (1, all));
    let strange = Rdata::Mx { preference: 5, exchange: name(&format!("mx.{}.example.org", "a".repeat(64))) };
    let update = update(vec![from(RrType::Mx, vec![strange, mx("mx.example.org")], vec![mx("mx.example.org")])]);
    assert_eq!(update.message().unwrap().prerequisites().len(), 1);
}

#[test]
fn each_guard_has_its_prerequisite() {
    let with = |guard| shown(Update { guard, ..update(vec![]) }.message().unwrap().prerequisites());
    assert_eq!(with(GenerationRrset::Absent), ["_rotad.example.org. 0 NONE TXT UPDATE"]);
    let foreign = GenerationRrset::new([Txt(vec![b"a".to_vec()]), Txt(vec![b"b".to_vec(), b"c".to_vec()])].into());
    assert_eq!(with(foreign), ["_rotad.example.org. 0 IN TXT a", "_rotad.example.org. 0 IN TXT bc"]);
}

#[test]
fn what_needs_each_other_stays_in_one_message() {
    let mut changes = Vec::new();
    for at in 0..2000 {
        changes.push(change(&format!("d{at}.example.org"), RrType::Mx, [mx(&format!("mx.d{at}.example.org"))]));
    }
    for at in 0..2000 {
        changes.push(change(&format!("mx.d{at}.example.org"), RrType::A, [Rdata::A([192, 0, 2, 1].into())]));
    }
    let parts = update(changes).split();
    assert!(parts.len() > 1);
    for part in &parts {
        let owners: BTreeSet<_> = part.changes.iter().map(|change| change.id.owner.clone()).collect();
        for change in part.changes.iter().filter(|change| change.id.rtype == RrType::Mx) {
            assert!(owners.contains(&change.id.owner.child("mx").unwrap()), "{} travels alone", change.id);
        }
    }
}

#[test]
fn a_group_that_fits_nowhere_never_leaves_an_mx_without_address() {
    // Two thousand domains move from one exchange in the zone to another: all of them hang together.
    let mut changes = vec![
        change("a-old.example.org", RrType::A, []),
        change("z-new.example.org", RrType::A, [Rdata::A([192, 0, 2, 1].into())]),
    ];
    changes.extend((0..2000).map(|at| {
        let mut moved = change(&format!("d{at}.example.org"), RrType::Mx, [mx("z-new.example.org")]);
        moved.before = Some(Rrset { ttl: Ttl(60), rdata: [mx("a-old.example.org")].into() });
        moved
    }));
    let parts = update(changes).split();
    assert!(parts.len() > 1);
    let order: Vec<_> = parts.iter().flat_map(|part| &part.changes).map(|change| change.id.to_string()).collect();
    assert_eq!(order.first().map(String::as_str), Some("z-new.example.org A"));
    assert_eq!(order.last().map(String::as_str), Some("a-old.example.org A"));
}

#[test]
fn a_name_without_wire_form_is_an_error() {
    let long = format!("imap.{}.example.org", "a".repeat(64));
    let error = update(vec![change(&long, RrType::A, [])]).message().unwrap_err();
    assert_eq!(error.to_string(), format!("\"{long}\" has no wire form"));
    let zone = name(&format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61)));
    assert!(matches!(Update { zone, ..update(vec![]) }.message(), Err(Unencodable::Generation(_))));
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let owner = prop::sample::select(vec!["example.org", "imap.example.org", "mx.example.org", "a.b.example.org"]);
    let change = (owner, any::<[u8; 4]>(), 0..4usize, 0..3usize).prop_map(|(owner, address, rtype, count)| {
        let rdata = (0..count).map(|at| match RrType::ALL[rtype] {
            RrType::A => Rdata::A([address[0], address[1], address[2], u8::try_from(at).unwrap()].into()),
            RrType::Aaaa => Rdata::Aaaa([u16::from(address[0]), 0, 0, 0, 0, 0, 0, u16::try_from(at).unwrap()].into()),
            RrType::Mx => mx(&format!("mx{at}.example.org")),
            RrType::Cname => Rdata::Cname(name(&format!("c{at}.example.org"))),
        });
        change(owner, RrType::ALL[rtype], rdata)
    });
    prop::collection::vec(change, 0..20)
}

proptest! {
    #[test]
    fn the_text_form_comes_back(cluster in "[!-~]{1,40}", owner in "[!-~]{1,40}", generation: u64) {
        let record = GenerationRecord { cluster, owner, generation };
        if let Some(read) = GenerationRecord::parse(&record.to_string()) {
            prop_assert_eq!(read.to_string(), record.to_string());
        }
    }

    #[test]
    fn words_come_back_as_they_are(cluster in "[a-z0-9.-]{1,63}", owner in "[a-f0-9]{1,64}", generation: u64) {
        let record = GenerationRecord { cluster, owner, generation };
        prop_assert_eq!(GenerationRecord::parse(&record.to_string()), Some(record));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*", tail in "\\PC*") {
        for text in [text.clone(), format!("v=1 cluster={text} owner={tail} generation=1")] {
            if let Some(record) = GenerationRecord::parse(&text) {
                prop_assert_eq!(record.to_string(), text);
            }
        }
    }

    #[test]
    fn every_message_is_guarded_grows_and_deletes_first(changes in changes(), generation in 0..u64::MAX - 100) {
        let first = Update {
            is_last: false,
            zone: name(ZONE),
            guard: (&record(generation)).into(),
            record: record(generation + 1),
            changes: changes.clone(),
            exact: true,
        };
        let mut seen = 0;
        for (last, part) in (generation..).zip(first.split()) {
            let message = part.message().unwrap();
            let required = &message.prerequisites()[0].data;
            let beside: usize = part.alone().map(|owner| part.nothing_else(owner).count()).sum();
            prop_assert_eq!(message.prerequisites().len(), part.changes.len() + 1 + beside);
            prop_assert_eq!(required, &RData::TXT(TXT::new(vec![record(last).to_string()])));
            prop_assert_eq!(part.record.generation, last + 1);
            seen += part.changes.len();
            let classes: Vec<_> = message.updates().iter().map(|record| record.dns_class).collect();
            let deletions = classes.iter().take_while(|class| **class == DNSClass::ANY).count();
            prop_assert!(classes[deletions..].iter().all(|class| *class == DNSClass::IN));
            prop_assert_eq!(deletions, part.changes.len() + 1);
            let first_mx = message.updates()[deletions..].iter().position(|record| record.record_type() == RecordType::MX);
            let last_address = message.updates()[deletions..].iter().rposition(|record| record.record_type().is_ip_addr());
            prop_assert!(first_mx.is_none_or(|mx| last_address.is_none_or(|address| address < mx)));
            // What was built is what BIND reads.
            let read = Message::from_vec(&message.to_vec().unwrap()).unwrap();
            prop_assert_eq!(read.updates(), message.updates());
        }
        prop_assert_eq!(seen, changes.len());
    }

    #[test]
    fn whatever_the_network_brings_is_judged(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        refuse_all(&bytes);
    }

    #[test]
    fn a_bent_answer_is_never_believed(at: prop::sample::Index, to: u8) {
        let (key, asked, signed, mut answer) = exchange(ResponseCode::NoError);
        let at = at.index(answer.len());
        prop_assume!(answer[at] != to);
        answer[at] = to;
        if let Ok(Answer::Signed(mut believed)) = judge(&answer, &asked, &signed, &key, NOW) {
            // The id is the connection's business, and class and TTL of the signature say nothing.
            believed.take_signature();
            believed.metadata.id = asked.id;
            prop_assert_eq!(believed, asked.into_response());
        }
    }
}

const NOW: u64 = 1_800_000_000;

fn keys() -> Keys {
    Keys::parse("key k { algorithm hmac-sha256; secret c2VjcmV0; };", "test.key", false).unwrap()
}

/// Signs an answer as a server would.
fn exchange(code: ResponseCode) -> (std::sync::Arc<crate::tsig::Key>, Message, Signed, Vec<u8>) {
    let key = keys().iter().next().unwrap().clone();
    let mut asked = soa_query(&name(ZONE)).unwrap();
    asked.metadata.id = 7;
    let signed = key.sign(&asked, asked.id, NOW).unwrap();
    let mut answer = asked.clone().into_response();
    answer.metadata.response_code = code;
    let answer = key.sign_answer(answer, NOW, &signed.mac);
    (key, asked, signed, answer)
}

fn refuse_all(bytes: &[u8]) {
    let (key, asked, signed, _) = exchange(ResponseCode::NoError);
    if let Ok(Answer::Signed(message)) = judge(bytes, &asked, &signed, &key, NOW) {
        panic!("believed {message}");
    }
    if let Ok(message) = Message::from_vec(bytes) {
        let (zone, owners) = (name(ZONE), [name(ZONE), name("imap.example.org")].into());
        let answers = vec![message.clone(); 12];
        for any in [AnyAnswer::Whole, AnyAnswer::Part] {
            let survey = Survey::new(&zone, &owners, any).unwrap();
            if let Ok(found) = survey.findings(&answers) {
                let _ = survey.reading(found, &answers);
            }
        }
        let _ = (soa_of(&zone, &message), any_answer(&zone, &message));
        let _ = transferred(&name(ZONE), &[name(ZONE)].into(), &message);
    }
}

#[test]
fn only_a_signed_answer_of_our_question_and_time_is_believed() {
    let (key, asked, signed, answer) = exchange(ResponseCode::Refused);
    assert!(matches!(judge(&answer, &asked, &signed, &key, NOW), Ok(Answer::Signed(_))));
    assert!(matches!(judge(&answer, &asked, &signed, &key, NOW + 301), Err(Garbage::Stale(301))));
    let other = any_query(&name("imap.example.org")).unwrap();
    assert!(matches!(judge(&answer, &other, &signed, &key, NOW), Err(Garbage::OtherQuestion)));
    let update = update(vec![]).message().unwrap();
    assert!(matches!(judge(&answer, &update, &signed, &key, NOW), Err(Garbage::OtherQuestion)));
    assert!(matches!(judge(&signed.bytes, &asked, &signed, &key, NOW), Err(Garbage::OtherQuestion)), "our own bytes");
    let replayed = Signed { mac: vec![0; 32], ..signed.clone() };
    assert!(matches!(judge(&answer, &asked, &replayed, &key, NOW), Err(Garbage::Unverified(_))));
    let unsigned = asked.clone().into_response().to_vec().unwrap();
    let error = judge(&unsigned, &asked, &signed, &key, NOW).unwrap_err();
    assert_eq!(error.to_string(), "the answer (NOERROR) is not signed");
    assert!(matches!(judge(b"HTTP/1.1 400 Bad Request\r\n", &asked, &signed, &key, NOW), Err(Garbage::Undecodable(_))));
}

#[test]
fn each_code_has_its_verdict_and_words() {
    for (code, verdict, said) in [
        (ResponseCode::NoError, Verdict::Applied, "applied"),
        (ResponseCode::NXRRSet, Verdict::GuardFailed, "another writer changed example.org"),
        (ResponseCode::YXRRSet, Verdict::GuardFailed, "it is read again"),
        (ResponseCode::NXDomain, Verdict::GuardFailed, "NXRRSET"),
        (ResponseCode::Refused, Verdict::Refused, "for one of seven causes"),
        (ResponseCode::Refused, Verdict::Refused, "`check-names`"),
        (ResponseCode::Refused, Verdict::Refused, "`check-integrity`"),
        (ResponseCode::ServFail, Verdict::ServFail, "`max-records-per-type`"),
        (ResponseCode::ServFail, Verdict::ServFail, "AppArmor"),
        (ResponseCode::NotAuth, Verdict::NotAuth, "named does not serve example.org as primary (NOTAUTH)"),
        (ResponseCode::NotZone, Verdict::NotZone, "outside example.org"),
        (ResponseCode::ServFail, Verdict::ServFail, "changed nothing"),
        (ResponseCode::FormErr, Verdict::Other("FORMERR".into()), "named answers FORMERR"),
    ] {
        let (key, asked, signed, answer) = exchange(code);
        let answer = judge(&answer, &asked, &signed, &key, NOW).unwrap();
        assert_eq!(Verdict::from(answer), verdict);
        let words = verdict.words(&name(ZONE));
        assert!(words.contains(said), "{words}");
    }
    let (ours, server) = (1000, 1400);
    let ahead = TsigTrouble::BadTime { server_time: server, our_time: ours }.to_string();
    assert!(ahead.starts_with("named's clock is 400 s ahead of ours (BADTIME"), "{ahead}");
    let behind = TsigTrouble::BadTime { server_time: ours, our_time: server }.to_string();
    assert!(behind.starts_with("our clock is 400 s ahead of named's (BADTIME"), "{behind}");
}

/// The answer to a transfer, from lines of a zone file without TTL.
fn whole(lines: &[&str]) -> Message {
    let mut message = transfer_query(&name(ZONE)).unwrap().into_response();
    message.metadata.authoritative = true;
    for line in lines {
        let (owner, rest) = line.split_once(' ').unwrap();
        let (rtype, data) = rest.split_once(' ').unwrap();
        let owner = if owner == "@" { ZONE.to_owned() } else { format!("{owner}.{ZONE}") };
        let rtype: RecordType = rtype.parse().unwrap();
        let data = RData::try_from_str(rtype, data).unwrap();
        message.add_answer(hickory_proto::rr::Record::from_rdata(wire(&name(&owner)).unwrap(), 60, data));
    }
    message
}

const SOA: &str = "@ SOA ns.example.org. h.example.org. 7 1 1 1 1";

#[test]
fn a_transfer_tells_of_the_names_that_are_asked_for_and_nothing_else() {
    let text = "_rotad TXT \"v=1 cluster=mail owner=0badcafe generation=7\"";
    let message = whole(&[
        SOA,
        "@ NS ns.example.org.",
        "@ MX 10 mx.example.net.",
        text,
        "imap A 192.0.2.1",
        "IMAP A 192.0.2.2",
        "imap TXT x",
        "www CNAME imap.example.org.",
        "other A 192.0.2.9",
        "*.wild A 192.0.2.9",
        "sub NS ns.example.net.",
        SOA,
    ]);
    let owners = ["imap.example.org", "www.example.org", "a.wild.example.org", ZONE].map(name).into();
    let reading = transferred(&name(ZONE), &owners, &message).unwrap();
    assert_eq!((reading.soa.serial, reading.generation), (7, (&record(7)).into()));
    let held: Vec<_> =
        reading.rrsets.iter().map(|(id, set)| format!("{id} {} of {}", set.rdata.len(), set.ttl)).collect();
    assert_eq!(
        held,
        ["example.org MX 1 of 60", "imap.example.org A 2 of 60", "www.example.org CNAME 1 of 60"],
        "no wildcard stands in for a name"
    );
}

#[test]
fn what_a_transfer_cannot_tell_is_asked() {
    let owners = [name("a.imap.example.org")].into();
    for (what, lines) in [
        ("cut", &[SOA, "a.imap A 192.0.2.1"][..]),
        ("the SOA alone", &[SOA]),
        ("nothing", &[]),
        (
            "another zone's",
            &["sub SOA ns.example.org. h.example.org. 7 1 1 1 1", "sub SOA ns.example.org. h.example.org. 7 1 1 1 1"],
        ),
        ("the record below a delegation", &[SOA, "_rotad NS ns.example.net.", SOA]),
        ("an alias in the record's place", &[SOA, "_rotad CNAME imap.example.org.", SOA]),
    ] {
        assert_eq!(transferred(&name(ZONE), &owners, &whole(lines)), None, "{what}");
    }
    let hidden =
        |lines: &[&str]| transferred(&name(ZONE), &owners, &whole(lines)).unwrap().blocked.into_values().next();
    for (lines, at) in [
        (&["imap NS ns.example.net.", "a.imap A 192.0.2.1"][..], "imap.example.org"),
        (&["a.imap NS ns.example.net."], "a.imap.example.org"),
        (&["a.imap NS ns.example.net.", "imap NS ns.example.net."], "imap.example.org"),
    ] {
        let lines = [&[SOA], lines, &[SOA]].concat();
        assert_eq!(hidden(&lines), Some(Occlusion::Delegation(name(at))), "{lines:?}");
    }
    let mut message = whole(&[SOA, "imap A 192.0.2.1", SOA]);
    assert!(transferred(&name(ZONE), &owners, &message).unwrap().blocked.is_empty());
    let target =
        hickory_proto::rr::rdata::NULL::with(wire(&name("example.net")).unwrap().to_lowercase().to_ascii().into());
    let data = RData::Unknown { code: RecordType::DNAME, rdata: target };
    message
        .answers
        .insert(1, hickory_proto::rr::Record::from_rdata(wire(&name("imap.example.org")).unwrap(), 60, data));
    let reading = transferred(&name(ZONE), &owners, &message).unwrap();
    assert_eq!(reading.blocked.into_values().next(), Some(Occlusion::Dname(name("imap.example.org"))));
    let mut message = whole(&[SOA, SOA]);
    message.metadata.response_code = ResponseCode::ServFail;
    assert_eq!(transferred(&name(ZONE), &owners, &message), None);
    assert!(is_whole(&message), "an error is all there is");
}
