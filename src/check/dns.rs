//! The query and the verdict of a DNS check (RFC 1035).

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RecordType},
};

use crate::update::rcode;

/// A DNS check.
///
/// It goes over UDP, as nearly all queries of the world do: a server that answers over TCP alone is none to them. One
/// datagram, not repeated: `fall` is there for the one that is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Port of the node.
    pub port: u16,
    /// The name that is asked for.
    pub name: Name,
    /// The type that is asked for.
    pub rtype: RecordType,
    /// The answer that passes. NOERROR without records is an answer like others.
    pub rcode: ResponseCode,
}

impl Dns {
    /// The question.
    #[must_use]
    pub fn query(&self) -> Query {
        Query::query(self.name.clone(), self.rtype)
    }

    /// What a datagram says of the node: the answer in words, or why it is refused. `None`: it is no answer to our
    /// question, and the right one may still come.
    #[must_use]
    pub fn verdict(&self, id: u16, datagram: &[u8]) -> Option<Result<String, String>> {
        let answer = Message::from_vec(datagram).ok()?;
        let header = &answer.metadata;
        let ours = header.id == id
            && header.message_type == MessageType::Response
            && header.op_code == OpCode::Query
            // A server that refuses or fails may leave the question out.
            && (answer.queries.is_empty() || answer.queries == [self.query()]);
        if !ours {
            return None;
        }
        let code = header.response_code;
        let (name, rtype, words) = (&self.name, self.rtype, rcode(code));
        Some(if code == self.rcode { Ok(format!("{name} {rtype}: {words}")) } else { Err(format!("rcode {words}")) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check() -> Dns {
        Dns {
            port: 53,
            name: Name::from_ascii("example.org.").unwrap(),
            rtype: RecordType::SOA,
            rcode: ResponseCode::NoError,
        }
    }

    fn answer(id: u16, code: ResponseCode, queries: &[Query]) -> Vec<u8> {
        let mut message = Message::response(id, OpCode::Query);
        message.metadata.response_code = code;
        message.queries = queries.to_vec();
        message.to_vec().unwrap()
    }

    #[test]
    fn answers() {
        let asked = [check().query()];
        let other = [Query::query(Name::from_ascii("example.com.").unwrap(), RecordType::SOA)];
        for (datagram, verdict) in [
            (answer(7, ResponseCode::NoError, &asked), Some(Ok("example.org. SOA: NOERROR"))),
            (answer(7, ResponseCode::Refused, &asked), Some(Err("rcode REFUSED"))),
            (answer(7, ResponseCode::ServFail, &[]), Some(Err("rcode SERVFAIL"))),
            (answer(7, ResponseCode::NXDomain, &asked), Some(Err("rcode NXDOMAIN"))),
            (answer(8, ResponseCode::NoError, &asked), None),
            (answer(7, ResponseCode::NoError, &other), None),
            (Message::query().to_vec().unwrap(), None),
            (Vec::new(), None),
            (b"220 mx ESMTP\r\n".to_vec(), None),
        ] {
            let found = check().verdict(7, &datagram);
            assert_eq!(found, verdict.map(|told| told.map(str::to_owned).map_err(str::to_owned)));
        }
        let refusing = Dns { rcode: ResponseCode::Refused, ..check() };
        let found = refusing.verdict(7, &answer(7, ResponseCode::Refused, &asked));
        assert_eq!(found, Some(Ok("example.org. SOA: REFUSED".to_owned())));
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic(datagram in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = check().verdict(7, &datagram);
        }
    }
}
