//! How a zone is read.

use rotad::{
    dns::RrType::{A, Aaaa, Cname, Mx},
    io::primary::ReadError,
    update::{GenerationRrset, TsigTrouble, Unusable, Verdict},
};

use super::{Writer, ZONE, name, record, rrset, set};
use crate::support::named::{KEY, Named, Zone, eventually, primary};

const RECORDS: &str = "all A 192.0.2.1\nall A 192.0.2.2\nall AAAA 2001:db8::1\nall MX 10 all\nall TXT text\n\
    all SRV 0 0 5060 all\nalias CNAME all\nonly TXT text\na.b.deep A 192.0.2.1\nUPPER A 192.0.2.3\nodd\\.label CNAME all\n\
    sub NS ns.sub\nns.sub A 192.0.2.5";

fn owners(names: &[&str]) -> std::collections::BTreeSet<rotad::dns::OwnerName> {
    names.iter().map(|owner| name(&format!("{owner}.{ZONE}"))).collect()
}

#[tokio::test]
async fn any_tells_all_that_a_name_holds() {
    for dnssec in ["", "dnssec-policy default; inline-signing no;", "dnssec-policy default; inline-signing yes;"] {
        let zone = Zone::new(ZONE).records(RECORDS).statement(dnssec);
        let named = Named::builder().zone(zone).option("minimal-any yes; minimal-responses yes;").start();
        let mut writer = Writer::new(named.primary(), ZONE);
        let reading = writer.primary.read(&name(ZONE), &owners(&["all"])).await.unwrap();
        assert_eq!((&reading.generation, reading.soa.mname), (&GenerationRrset::Absent, name("ns.invalid")));
        assert_eq!(writer.push(&[]).await, Verdict::Applied);
        let asked = owners(&["all", "alias", "only", "b.deep", "upper", "nobody", "odd\\.label"]);
        let mut readings = 0;
        let reading = loop {
            let reading = writer.primary.read(&name(ZONE), &asked).await.unwrap();
            if reading.generation.record() == Some(&record(1)) {
                break reading;
            }
            // The signed copy of an inline-signing zone follows the update a moment later.
            readings += 1;
            assert!(dnssec.ends_with("inline-signing yes;") && readings < 10_000, "{reading:?}");
        };
        let held: Vec<String> = reading.rrsets.keys().map(ToString::to_string).collect();
        let expected = ["alias.example.org CNAME", "all.example.org A", "all.example.org AAAA", "all.example.org MX"];
        assert_eq!(held[..4], expected);
        assert_eq!(held[4..], ["odd\\.label.example.org CNAME", "upper.example.org A"]);
        for (id, held) in &reading.rrsets {
            let texts: &[&str] = match (id.owner.as_str(), id.rtype) {
                ("all.example.org", A) => &["192.0.2.1", "192.0.2.2"],
                ("all.example.org", Aaaa) => &["2001:db8::1"],
                ("all.example.org", Mx) | (_, Cname) => &["all.example.org"],
                _ => &["192.0.2.3"],
            };
            assert_eq!(held, &rrset(id.rtype, 300, texts), "{id}");
        }
    }
}

#[tokio::test]
async fn a_large_set_and_many_names_come_whole() {
    let addresses: Vec<String> = (1..=90).map(|last| format!("192.0.2.{last}")).collect();
    let zone = addresses.iter().fold(Zone::new(ZONE), |zone, address| zone.records(&format!("imap A {address}")));
    let zone = (0..500).fold(zone, |zone, at| zone.records(&format!("n{at} A 192.0.2.1")));
    let named = Named::builder().zone(zone).start();
    let mut asked: std::collections::BTreeSet<_> = (0..500).map(|at| name(&format!("n{at}.{ZONE}"))).collect();
    asked.insert(name("imap.example.org"));
    let reading = named.primary().read(&name(ZONE), &asked).await.unwrap();
    assert_eq!(reading.rrsets.len(), 501);
    assert_eq!(reading.rrsets.values().map(|rrset| rrset.rdata.len()).sum::<usize>(), 590);
}

#[tokio::test]
async fn what_is_not_the_zones_own_data_is_an_error() {
    let named = Named::builder()
        .zone(Zone::new(ZONE).records(RECORDS))
        .zone(Zone::new("closed.example").statement("allow-query { none; };"))
        .zone(Zone::new("alias.example").records("_rotad CNAME elsewhere.invalid."))
        .zone(Zone::new("both.example").records("_rotad CNAME elsewhere.invalid.\n* CNAME elsewhere.invalid."))
        .start();
    let primary = named.primary();
    let problem = async |zone: &str, owner: &str| match primary.read(&name(zone), &[name(owner)].into()).await {
        Err(ReadError::Unusable(problem)) => problem,
        other => panic!("{zone}: {other:?}"),
    };
    assert_eq!(problem("child.example.org", "imap.child.example.org").await, Unusable::NotServed);
    assert_eq!(problem("all.example.org", "all.example.org").await, Unusable::NotServed);
    assert_eq!(problem("closed.example", "imap.closed.example").await, Unusable::Refused);
    assert_eq!(problem("elsewhere.example", "elsewhere.example").await, Unusable::Refused);
    assert_eq!(problem("alias.example", "imap.alias.example").await, Unusable::Alias(name("_rotad.alias.example")));
    assert_eq!(problem("both.example", "imap.both.example").await, Unusable::Alias(name("_rotad.both.example")));
}

#[tokio::test]
async fn a_secondary_answers_reads_and_its_soa_names_the_primary() {
    let main = Named::builder()
        .zone(Zone::new(ZONE).records("imap A 192.0.2.1").statement("allow-transfer { any; };"))
        .start();
    let secondary = Named::builder().zone(Zone::secondary(ZONE, main.port)).start();
    eventually("the secondary has the zone", || !secondary.a("imap.example.org").is_empty());
    let reading = secondary.primary().read(&name(ZONE), &owners(&["imap"])).await.unwrap();
    assert_eq!(reading.soa.mname, name("ns.invalid"));
    assert_eq!(reading.rrsets.len(), 1);
}

#[tokio::test]
async fn the_serial_follows_the_updates_and_a_stranger_reads_nothing() {
    let named = Named::builder().zone(Zone::new(ZONE)).start();
    let mut writer = Writer::new(named.primary(), ZONE);
    assert_eq!(writer.primary.soa(&name(ZONE)).await.unwrap().serial, 1);
    writer.push(&[set("imap.example.org", A, &["192.0.2.1"])]).await;
    assert_eq!(writer.primary.soa(&name(ZONE)).await.unwrap().serial, named.serial(ZONE));
    let other = Named::builder().zone(Zone::new(ZONE)).start();
    let mut bind = named.bind_with(&named.key_file(KEY));
    bind.server = other.address();
    let error = primary(&bind).soa(&name(ZONE)).await.unwrap_err();
    assert!(matches!(error, ReadError::Tsig(TsigTrouble::BadSig(_))), "{error:?}");
}

#[tokio::test]
async fn what_a_wildcard_makes_up_does_not_count() {
    // An alias cannot stand beside these.
    let aliases = Zone::new("aliases.example").records("* CNAME elsewhere.invalid.\nreal A 192.0.2.1");
    let records = "* A 192.0.2.99\n* TXT \"v=spf1 -all\"\nreal A 192.0.2.99\nempty TXT x\n*.deep CNAME real\n";
    let named = Named::builder().zone(Zone::new(ZONE).records(records)).zone(aliases).start();
    let asked = ["real.aliases.example", "made-up.aliases.example"].map(name).into();
    let reading = named.primary().read(&name("aliases.example"), &asked).await.unwrap();
    assert_eq!(reading.generation, GenerationRrset::Absent, "an alias that nobody wrote");
    assert_eq!(reading.rrsets.keys().map(ToString::to_string).collect::<Vec<_>>(), ["real.aliases.example A"]);
    let asked = owners(&["real", "made-up", "empty", "a.deep"]);
    let mut writer = Writer::new(named.primary(), ZONE);
    let reading = writer.primary.read(&name(ZONE), &asked).await.unwrap();
    assert_eq!(reading.generation, GenerationRrset::Absent, "a TXT that nobody wrote");
    assert_eq!(reading.rrsets.keys().map(ToString::to_string).collect::<Vec<_>>(), ["real.example.org A"]);
    // And what is read so can be required, and written.
    assert_eq!(writer.push(&[]).await, Verdict::Applied);
    let reading = writer.primary.read(&name(ZONE), &asked).await.unwrap();
    assert_eq!(reading.generation.record(), Some(&record(1)));
}
