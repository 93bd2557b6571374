use std::str::FromStr;

use hickory_proto::rr::Name;

use super::*;
use crate::update::reading::{query, soa_of};

const ZONE: &str = "example.org";
const IMAP: &str = "imap.example.org";
const OWN_SOA: &str = "example.org SOA";
const OWN_NS: &str = "example.org NS";
const POLICY: &str = "rpz.test SOA";

fn name(text: &str) -> OwnerName {
    OwnerName::from_presentation(text)
}

/// A record: its owner, its type and some data.
fn record(text: &str) -> Record {
    let (owner, rtype) = text.split_once(' ').unwrap();
    let (rtype, data) = match rtype {
        "SOA" => (RecordType::SOA, "ns.invalid. h.invalid. 7 1 1 1 1"),
        "NS" => (RecordType::NS, "ns.invalid."),
        "A" => (RecordType::A, "192.0.2.1"),
        _ => (RecordType::CNAME, "www.elsewhere.test."),
    };
    let owner = Name::from_str(&format!("{owner}.")).unwrap();
    Record::from_rdata(owner, 60, RData::try_from_str(rtype, data).unwrap())
}

/// An authoritative answer about a name with these records in its three sections; none at all is NXDOMAIN.
fn answer(owner: &str, asked: RecordType, [answers, authority, additional]: [&[&str]; 3]) -> Message {
    let mut message = query(&name(owner), asked).unwrap().into_response();
    message.metadata.authoritative = true;
    if answers.is_empty() {
        message.metadata.response_code = ResponseCode::NXDomain;
    }
    message.add_answers(answers.iter().map(|text| record(text)));
    message.add_authorities(authority.iter().map(|text| record(text)));
    message.add_additionals(additional.iter().map(|text| record(text)));
    message
}

/// How many records there are and whether they are certainly the zone's; or what hides them.
fn seen(owner: &str, asked: RecordType, sections: [&[&str]; 3]) -> Result<(usize, bool), Occlusion> {
    let answer = answer(owner, asked, sections);
    match look(&name(ZONE), &name(owner), &[answer]).unwrap() {
        Look::Held { records, is_sure } => Ok((records.len(), is_sure)),
        Look::Occluded(why) => Err(why),
    }
}

#[test]
fn e5_nothing_is_absent_but_what_the_zones_own_soa_says_is() {
    let by = |zone: &str| Err(Occlusion::Rewritten(Some(name(zone))));
    let nobody = || Err(Occlusion::Rewritten(None));
    let a = ["imap.example.org A"];
    let alias = ["imap.example.org CNAME"];
    for asked in [RecordType::ANY, RecordType::A, RecordType::CNAME] {
        for (sections, right) in [
            // BIND (`minimal-responses` or not), Knot and PowerDNS say it so.
            ([&[][..], &[OWN_SOA], &[]], Ok((0, true))),
            // `response-policy`: NXDOMAIN and NODATA, with the policy's SOA and without (`add-soa no`).
            ([&[], &[], &[POLICY]], by("rpz.test")),
            ([&[], &[], &[]], nobody()),
            ([&[], &[OWN_SOA], &[POLICY]], by("rpz.test")),
            // The zone is no longer served, and its parent is; a child is.
            ([&[], &["org SOA"], &[]], by("org")),
            ([&[], &[OWN_SOA, "imap.example.org SOA"], &[]], Err(Occlusion::ChildZone(name(IMAP)))),
            ([&[], &["other.test SOA"], &[]], by("other.test")),
        ] {
            assert_eq!(seen(IMAP, asked, sections), right, "{asked} {sections:?}");
            let apex = seen(ZONE, asked, sections);
            assert_eq!(apex.is_ok(), sections[1].contains(&OWN_SOA) && sections[2].is_empty(), "{asked} {sections:?}");
        }
        // There is something: a policy's own data, and those of the zone.
        for (sections, right) in [
            ([&a[..], &[OWN_NS], &[]], Ok((1, true))),
            ([&a, &[], &[]], Ok((1, false))),
            ([&a, &["rpz.test NS"], &[]], by("rpz.test")),
            ([&a, &[], &[POLICY]], by("rpz.test")),
            ([&a, &["org NS"], &[]], by("org")),
        ] {
            assert_eq!(seen(IMAP, asked, sections), right, "{asked} {sections:?}");
        }
    }
    // Behind an alias the answer goes on in another zone, which says whose its target is.
    for right in ["elsewhere.test SOA", "elsewhere.test NS", OWN_SOA] {
        assert_eq!(seen(IMAP, RecordType::A, [&alias, &[right], &[]]), Ok((1, false)));
    }
    assert_eq!(seen(IMAP, RecordType::ANY, [&alias, &["rpz.test NS"], &[]]), by("rpz.test"));
}

#[test]
fn e5_a_doubt_ends_with_an_answer_that_says_whose_it_is() {
    let hidden = |sections| hidden_at(&name(ZONE), &name(IMAP), &answer(IMAP, RecordType::SOA, sections));
    assert_eq!(hidden([&[], &[OWN_SOA], &[]]), None);
    assert_eq!(hidden([&["imap.example.org CNAME"], &[], &[]]), None, "an alias is no apex");
    assert_eq!(hidden([&["imap.example.org SOA"], &[], &[]]), Some(Occlusion::ChildZone(name(IMAP))));
    assert_eq!(hidden([&[], &[], &[]]), Some(Occlusion::Rewritten(None)));
    assert_eq!(hidden([&[], &[], &[POLICY]]), Some(Occlusion::Rewritten(Some(name("rpz.test")))));
    let mut failed = answer(IMAP, RecordType::SOA, [&[], &[], &[]]);
    failed.metadata.response_code = ResponseCode::ServFail;
    assert_eq!(hidden_at(&name(ZONE), &name(IMAP), &failed), Some(Occlusion::Unanswered("SERVFAIL".into())));
}

#[test]
fn e5_an_apex_that_a_policy_rewrites_is_told_as_that() {
    let soa = |sections| soa_of(&name(ZONE), &answer(ZONE, RecordType::SOA, sections));
    assert!(soa([&[OWN_SOA], &[OWN_NS], &[]]).is_ok());
    assert_eq!(soa([&[], &["org SOA"], &[]]), Err(Unusable::NotServed));
    for sections in [[&[][..], &[], &[]], [&[], &[], &[POLICY]], [&["example.org CNAME"], &[], &[POLICY]]] {
        let said = soa(sections).unwrap_err().to_string();
        assert!(said.contains("response-policy") && said.starts_with("example.org is answered"), "{said}");
    }
}
