//! What is special to `kind: dns`.

use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RecordType},
};

use super::super::{
    defaults,
    field::{Field, name_problem},
    problem::Report,
};
use crate::{check::Dns, dns::OwnerName};

const TYPES: [(&str, RecordType); 9] = [
    ("A", RecordType::A),
    ("AAAA", RecordType::AAAA),
    ("CNAME", RecordType::CNAME),
    ("MX", RecordType::MX),
    ("NS", RecordType::NS),
    ("PTR", RecordType::PTR),
    ("SOA", RecordType::SOA),
    ("SRV", RecordType::SRV),
    ("TXT", RecordType::TXT),
];

const RCODES: [(&str, ResponseCode); 3] =
    [("NOERROR", ResponseCode::NoError), ("NXDOMAIN", ResponseCode::NXDomain), ("REFUSED", ResponseCode::Refused)];

pub(super) fn read(
    object: &str,
    check: Field<'_>,
    port: Option<u16>,
    [name, asked_type, code]: [Option<Field<'_>>; 3],
    report: &mut Report,
) -> Option<Dns> {
    let rtype = asked_type.map_or(Some(defaults::DNS_RRTYPE), |field| field.word(&TYPES, report));
    let rcode = code.map_or(Some(defaults::DNS_RCODE), |field| field.word(&RCODES, report));
    let Some(name) = name else {
        report.problem(check.key_at, format!("{object}: has no name to ask for; write \"name: example.org\""));
        return None;
    };
    Some(Dns { port: port?, name: asked_name(name, report)?, rtype: rtype?, rcode: rcode? })
}

fn asked_name(field: Field<'_>, report: &mut Report) -> Option<Name> {
    let text = field.text("a domain name", report)?;
    if text == "." {
        return Some(Name::root());
    }
    match OwnerName::parse(text) {
        Ok(name) => Name::from_ascii(format!("{name}.")).ok(),
        Err(error) => {
            field.problem(&name_problem(text, &error), report);
            None
        }
    }
}
