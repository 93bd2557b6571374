use super::*;
use crate::{
    dns::Rdata,
    rota::model::{cluster, id, name},
    update::{GenerationRrset, Soa},
};

#[test]
fn every_name_and_type_of_the_file_is_needed_whatever_the_health() {
    let cluster = cluster(
        "nodes: { n0: { addresses: [192.0.2.10] }, n1: { addresses: [192.0.2.11, \"2001:db8::11\"], admin_state: drain } }
checks: { imap: { kind: imap } }
services:
  imap: { publish: address, name: imap, checks: [imap] }
  web: { publish: address, name: web, checks: [imap], pinned: { name: \"web{index}\" } }
  mx: { publish: mx, preference: 10, exchange: \"{node}.{domain}\", checks: [imap] }
  pop: { publish: alias, name: pop3, target: imap.elsewhere.net }
domains:
  a.test: { services: [imap, mx] }
  sub.a.test: { services: [web, pop], zone: a.test }
",
    );
    let needs = needs(&cluster);
    let zone = name("a.test");
    let ids: Vec<_> = needs[&zone].iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(
        grants(&name("rotad"), &zone, true, &ids),
        [
            "grant rotad name _rotad.a.test TXT;",
            "grant rotad name a.test MX;",
            "grant rotad name imap.a.test A AAAA;",
            "grant rotad name n0.a.test A;",
            "grant rotad name n1.a.test A AAAA;",
            "grant rotad name pop3.sub.a.test CNAME;",
            "grant rotad name web.sub.a.test A AAAA;",
            "grant rotad name web0.sub.a.test A;",
            "grant rotad name web1.sub.a.test A AAAA;",
        ]
    );
    assert_eq!(grants(&name("k"), &zone, false, &[id("imap.a.test A")]), ["grant k name imap.a.test A;"]);
}

#[test]
fn a_zone_that_takes_no_updates_is_told_with_what_queries_know() {
    let (zone, mname) = (name("a.test"), name("ns.a.test"));
    for (verdict, role, is_marked, part) in [
        (Verdict::Refused, Some(Role::Secondary(60)), true, "a secondary of it (its copy expires in 60 s)"),
        (Verdict::Refused, Some(Role::Primary), true, "it is frozen (`rndc thaw a.test`)"),
        (Verdict::Refused, None, false, "the zone has no `update-policy`"),
        (Verdict::NotAuth, None, false, "does not serve a.test as primary"),
    ] {
        let words = no_updates(&zone, &verdict, role, &mname, is_marked);
        assert!(words.contains(part), "{words}");
    }
}

#[test]
fn the_text_has_what_is_wrong_last() {
    let zone = |zone: &str, error: Option<&str>, missing: &[&str]| ZoneFinding {
        zone: zone.to_owned(),
        mname: None,
        needed: 3,
        error: error.map(str::to_owned),
        missing: missing.iter().map(|&line| line.to_owned()).collect(),
        needed_unless_frozen: Vec::new(),
        is_written: true,
    };
    let key = |key: &str, error: Option<&str>| KeyFinding { key: key.to_owned(), error: error.map(str::to_owned) };
    let mut report = Report {
        server: "127.0.0.1:53".to_owned(),
        unreachable: None,
        keys: vec![key("key \"new\"", Some("named does not know key \"new\" (BADKEY)")), key("key \"old\"", None)],
        clock_offset: Some(-7),
        zones: vec![
            zone("a.test", Some("1 of 3 grants are missing; put these lines:"), &["grant old name a.test MX;"]),
            zone("b.test", None, &[]),
        ],
        notes: Vec::new(),
    };
    assert!(!report.is_well());
    insta::assert_snapshot!(report, @r#"
    127.0.0.1:53: BIND answers over TCP
    ! named does not know key "new" (BADKEY)
    key "old": accepted
    clock: 7 s behind BIND's; up to 300 s are accepted
    b.test: all 3 grants are there
    ! a.test: 1 of 3 grants are missing; put these lines:
        grant old name a.test MX;
    "#);
    let lines = std::mem::take(&mut report.zones[0].missing);
    report.zones[0].needed_unless_frozen = lines;
    assert!(report.to_string().ends_with("put these lines:\n    grant old name a.test MX;\n"), "{report}");
    report.zones.remove(0);
    assert!(report.is_well(), "a second key may be one that BIND does not know yet, or any more");
    report.zones = vec![zone("c.test", None, &[]); 30];
    assert!(report.to_string().ends_with("30 zones: all is well\n"), "{report}");
    report.keys.pop();
    assert!(!report.is_well());
    let gone = Report { unreachable: Some("refused".to_owned()), ..Report::default() };
    assert!(!gone.is_well());
    assert_eq!(gone.to_string(), "BIND cannot be reached over TCP: refused\n");
}

#[test]
fn e7_data_that_bind_does_not_take_are_told_with_the_cause() {
    let zone = name("a.test");
    let mx = Rdata::Mx { preference: 10, exchange: name("mx.a.test") };
    let needs = [(id("a.test MX"), [mx].into()), (id("imap.a.test A"), [Rdata::A([192, 0, 2, 1].into())].into())];
    let mut reading = Reading {
        soa: Soa { serial: 1, mname: name("ns.a.test") },
        generation: GenerationRrset::Absent,
        rrsets: BTreeMap::new(),
        others: BTreeMap::new(),
        blocked: BTreeMap::new(),
    };
    let words = wrong_data(&zone, &needs, &[id("a_b.a.test A")], &reading).unwrap();
    assert!(words.starts_with("named refuses the data of a_b.a.test A") && words.contains("`check-names`"), "{words}");
    assert!(words.contains("no address stands at mx.a.test") && words.contains("`check-integrity`"), "{words}");
    reading.blocked.insert(name("mx.a.test"), Occlusion::Dname(zone.clone()));
    let words = wrong_data(&zone, &needs, &[], &reading).unwrap();
    assert!(words.starts_with("mx.a.test lies below the DNAME at a.test"), "{words}");
    reading.blocked.clear();
    let mut given = needs.to_vec();
    given.push((id("mx.a.test AAAA"), [Rdata::Aaaa([0; 16].into())].into()));
    assert_eq!(wrong_data(&zone, &given, &[], &reading), None);
}
