//! What a zone transfer tells, beside the questions for each name.

use hickory_proto::{op::ResponseCode, rr::RecordType};
use rotad::{
    io::primary::ReadError,
    update::{Reading, Unusable},
};

use super::{ZONE, name};
use crate::support::named::{Named, VERSION, Zone, eventually};

/// Something of all that a transfer shows otherwise than the answers do.
const RECORDS: &str = "imap A 192.0.2.1\nimap A 192.0.2.2\nimap AAAA 2001:db8::1\nimap MX 10 imap\nimap TXT text\n\
    www CNAME imap\n_rotad TXT \"v=1 cluster=mail owner=test generation=7\"\n* A 192.0.2.99\n* TXT x\n\
    sub NS ns.sub\nns.sub A 192.0.2.5\ntree DNAME example.net.\na.b.deep A 192.0.2.1\nodd\\.label CNAME imap\nUPPER A 192.0.2.3\n\
    caa CAA 0 issue \"ca.example.net\"\nsrv SRV 0 0 5060 imap\nkey SSHFP 1 1 123456789abcdef67890123456789abcdef67890\n\
    loc LOC 52 22 23 N 4 53 32 E -2.00m 0.00m 10000m 10m\nnaptr NAPTR 100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:a@example.net!\" .\n\
    tlsa TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\nhttps HTTPS 1 . alpn=h2\n\
    host HINFO PC Linux\nptr PTR imap\nrp RP hostmaster.invalid. text.invalid.\nnew TYPE65280 \\# 3 010203";

fn owners(names: &[&str]) -> std::collections::BTreeSet<rotad::dns::OwnerName> {
    names.iter().map(|owner| if *owner == "@" { name(ZONE) } else { name(&format!("{owner}.{ZONE}")) }).collect()
}

/// How many transfers it has served.
fn served(named: &Named) -> usize {
    named.log().matches("AXFR ended").count()
}

#[tokio::test]
async fn a_transfer_tells_what_the_questions_tell() {
    for dnssec in ["", "dnssec-policy default; inline-signing no;", "dnssec-policy default; inline-signing yes;"] {
        let zone = Zone::new(ZONE).records(RECORDS).statement(dnssec);
        let named = Named::builder().zone(zone).option("querylog yes; allow-transfer { any; };").start();
        if !dnssec.is_empty() {
            let signature = || named.query("upper.example.org", RecordType::RRSIG).answers.pop();
            eventually("the zone is signed", || signature().is_some());
        }
        let primary = named.primary();
        let asked = owners(&["@", "imap", "www", "nobody", "a.b.deep", "b.deep", "odd\\.label", "upper", "caa"]);
        let whole = primary.first_read(&name(ZONE), &asked, &[]).await.unwrap();
        eventually("the transfer is logged", || served(&named) == 1);
        assert!(!named.log().contains("IN ANY"), "every record was understood, and nothing asked: {}", named.log());
        let by_name = primary.read(&name(ZONE), &asked).await.unwrap();
        assert_eq!((&whole.generation, &whole.rrsets), (&by_name.generation, &by_name.rrsets), "{dnssec}");
        assert_eq!(whole.rrsets.len(), 7);
        for owner in ["sub", "imap.sub", "tree", "a.tree"] {
            let whole = primary.first_read(&name(ZONE), &owners(&[owner]), &[]).await.unwrap();
            let by_name = primary.read(&name(ZONE), &owners(&[owner])).await.unwrap();
            // The serial may move between the two: the zone is still being signed.
            let content =
                |reading: &Reading| (reading.generation.clone(), reading.rrsets.clone(), reading.blocked.clone());
            assert_eq!(content(&whole), content(&by_name), "{owner}");
            assert_eq!(whole.blocked.is_empty(), owner == "tree", "{owner}");
        }
    }
}

/// Which is why the first reading of a zone does not rely on one.
#[tokio::test]
async fn without_allow_transfer_9_18_gives_the_zone_to_everybody_and_9_20_to_nobody() {
    let named = Named::builder().zone(Zone::new(ZONE).records(RECORDS)).start();
    let answer = named.query(ZONE, RecordType::AXFR);
    let is_open = VERSION.starts_with("9.18.");
    assert_eq!(answer.answers.len() > 1, is_open, "{}: {answer}", *VERSION);
    assert_eq!(answer.response_code == ResponseCode::Refused, !is_open, "{}: {answer}", *VERSION);
    let reading = named.primary().first_read(&name(ZONE), &owners(&["imap"]), &[]).await.unwrap();
    assert_eq!(reading.rrsets.len(), 3);
}

#[tokio::test]
async fn who_may_not_transfer_asks_and_tries_no_more() {
    let zones = (0..20).map(|at| format!("z{at}.example"));
    let builder = zones.clone().fold(Named::builder().option("allow-transfer { none; };"), |builder, zone| {
        builder.zone(Zone::new(&zone).records("imap A 192.0.2.1"))
    });
    let named = builder.start();
    let primary = named.primary();
    for zone in zones {
        let reading = primary.first_read(&name(&zone), &[name(&format!("imap.{zone}"))].into(), &[]).await.unwrap();
        assert_eq!(reading.rrsets.len(), 1);
    }
    assert_eq!((served(&named), named.log().matches("zone transfer 'z0.example/AXFR/IN' denied").count()), (0, 1));
    assert_eq!(named.log().matches("denied").count(), 1, "{}", named.log());
}

#[tokio::test]
async fn who_may_not_ask_reads_nothing_though_transfers_are_open() {
    let named = Named::builder()
        .zone(Zone::new(ZONE).records(RECORDS).statement("allow-query { none; }; allow-transfer { any; };"))
        .start();
    let error = named.primary().first_read(&name(ZONE), &owners(&["imap"]), &[]).await.unwrap_err();
    assert_eq!(error, ReadError::Unusable(Unusable::Refused));
    assert_eq!(served(&named), 0);
}

#[tokio::test]
async fn large_zones_and_used_up_transfers_are_asked_for_by_name() {
    let large = (0..20_000).fold(Zone::new(ZONE), |zone, at| zone.records(&format!("host-{at} A 192.0.2.1")));
    let zones = (0..100).map(|at| format!("z{at}.example"));
    let builder = Named::builder()
        .zone(large.records("imap A 192.0.2.1"))
        .option("transfers-out 1; querylog yes; allow-transfer { any; };");
    let named =
        zones.clone().fold(builder, |builder, zone| builder.zone(Zone::new(&zone).records("imap A 192.0.2.1"))).start();
    let primary = std::sync::Arc::new(named.primary());
    let readings: Vec<_> = [ZONE.to_owned()]
        .into_iter()
        .chain(zones)
        .map(|zone| {
            let primary = primary.clone();
            tokio::spawn(
                async move { primary.first_read(&name(&zone), &[name(&format!("imap.{zone}"))].into(), &[]).await },
            )
        })
        .collect();
    for reading in readings {
        assert_eq!(reading.await.unwrap().unwrap().rrsets.len(), 1);
    }
    eventually("transfers are logged", || served(&named) > 0);
    assert!(named.log().contains("query: imap.example.org IN ANY"), "the large zone came in many messages");
}
