//! What may come of a transfer. The server gives one record an answer where nothing else is said.

use hickory_proto::rr::{
    RData, Record, RecordType,
    rdata::{A, NS, SOA},
};

use super::{super::transfer::LARGE_ZONES, *};

/// Messages and what they say, as octets: the answer to one request.
type Reply = fn(&(Message, Vec<u8>)) -> Vec<Vec<u8>>;

pub(super) fn soa() -> Record {
    let name = |text| Name::from_ascii(text).unwrap();
    Record::from_rdata(
        name("example.org."),
        60,
        RData::SOA(SOA::new(name("ns.example.org."), name("h.example.org."), 7, 1, 1, 1, 1)),
    )
}

pub(super) fn ns() -> Record {
    let name = |text| Name::from_ascii(text).unwrap();
    Record::from_rdata(name("example.org."), 60, RData::NS(NS(name("ns.example.org."))))
}

fn address(last: u8) -> Record {
    Record::from_rdata(Name::from_ascii("imap.example.org.").unwrap(), 60, RData::A(A::new(192, 0, 2, last)))
}

/// A message of an answer, signed.
pub(super) fn part((request, mac): &(Message, Vec<u8>), code: ResponseCode, records: Vec<Record>) -> Vec<u8> {
    let mut answer = Message::response(request.id, request.op_code);
    answer.metadata.response_code = code;
    answer.metadata.authoritative = true;
    answer.add_answers(records);
    answer.add_authority(soa());
    let now = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    keys(KEYS).iter().next().unwrap().sign_answer(answer, now, mac)
}

fn coded(request: &(Message, Vec<u8>), code: ResponseCode) -> Vec<Vec<u8>> {
    vec![part(request, code, Vec::new())]
}

/// Reads twice for the first time, from a server that answers a transfer so: each reading's address, if it has one, the
/// types that were asked for, in order, and how many connections that took.
async fn first_reads(transfer: Reply) -> (Vec<Option<String>>, Vec<String>, usize) {
    let (listener, primary) = server().await;
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let connections = Arc::new(AtomicUsize::new(0));
    let (types, accepted) = (Arc::clone(&asked), Arc::clone(&connections));
    let serve = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            accepted.fetch_add(1, Ordering::Relaxed);
            while stream.readable().await.is_ok() && stream.peek(&mut [0]).await.is_ok_and(|count| count > 0) {
                let request = receive(&mut stream).await;
                let query = &request.0.queries[0];
                types.lock().unwrap().push(query.query_type.to_string());
                let replies = match query.query_type {
                    RecordType::AXFR => transfer(&request),
                    RecordType::SOA => vec![part(&request, ResponseCode::NoError, vec![soa()])],
                    RecordType::ANY if query.name.to_ascii() == "example.org." => {
                        vec![part(&request, ResponseCode::NoError, vec![soa(), ns()])]
                    }
                    RecordType::ANY if query.name.to_ascii() == "imap.example.org." => {
                        vec![part(&request, ResponseCode::NoError, vec![address(1)])]
                    }
                    _ => coded(&request, ResponseCode::NXDomain),
                };
                for reply in replies {
                    send(&mut stream, &reply).await;
                }
            }
        }
    });
    let owners = [OwnerName::from_presentation("imap.example.org")].into();
    let mut found = Vec::new();
    for _ in 0..2 {
        let reading = primary.first_read(&zone(), &owners, &[]).await.unwrap();
        assert_eq!(reading.soa.serial, 7);
        let held = |set: &crate::dns::Rrset| set.rdata.iter().map(ToString::to_string).collect::<String>();
        found.push(reading.rrsets.values().next().map(held));
    }
    serve.abort();
    let asked = asked.lock().unwrap().clone();
    (found, asked, connections.load(Ordering::Relaxed))
}

/// What is asked where a transfer tells nothing, the first time after a look at what ANY tells.
const QUESTIONS: [&str; 4] = ["TXT", "SOA", "ANY", "ANY"];

#[tokio::test]
async fn a_transfer_takes_the_place_of_the_questions() {
    let reply: Reply = |request| vec![part(request, ResponseCode::NoError, vec![soa(), address(2), soa()])];
    let (found, asked, connections) = first_reads(reply).await;
    assert_eq!(found, [Some("192.0.2.2".to_owned()), Some("192.0.2.2".to_owned())]);
    assert_eq!(asked, ["SOA", "AXFR", "SOA", "AXFR"]);
    assert_eq!(connections, 1);
}

#[tokio::test]
async fn what_a_transfer_does_not_tell_is_asked() {
    // With what is tried again for the next zone, and what is not.
    let cases: [(&str, Reply, bool, usize); 6] = [
        ("quota", |request| coded(request, ResponseCode::ServFail), true, 1),
        ("refused", |request| coded(request, ResponseCode::Refused), false, 1),
        ("not implemented", |request| coded(request, ResponseCode::NotImp), false, 1),
        (
            // The rest comes while the questions are asked, and nobody looks at it.
            "large",
            |request| {
                let mut parts = vec![part(request, ResponseCode::NoError, vec![soa(), address(3)])];
                parts.extend((0..50).map(|last| part(request, ResponseCode::NoError, vec![address(last)])));
                parts.push([&request.0.id.to_be_bytes()[..], b"no message at all"].concat());
                parts.push(part(request, ResponseCode::NoError, vec![soa()]));
                parts
            },
            true,
            1,
        ),
        ("an odd record", |request| vec![[&request.0.id.to_be_bytes()[..], b"no message"].concat()], false, 1),
        ("a wall", |_| vec![vec![1]], false, 2),
    ];
    for (what, reply, again, took) in cases {
        let (found, asked, connections) = first_reads(reply).await;
        assert_eq!(found, [Some("192.0.2.1".to_owned()), Some("192.0.2.1".to_owned())], "{what}");
        let mut expected = [&["SOA", "AXFR", "ANY"], &QUESTIONS[..]].concat();
        expected.extend(if again { [&["SOA", "AXFR"], &QUESTIONS[..]].concat() } else { QUESTIONS.to_vec() });
        assert_eq!(asked, expected, "{what}");
        assert_eq!(connections, took, "{what}");
    }
}

#[tokio::test]
async fn a_server_of_many_large_zones_is_not_asked_for_more() {
    let (listener, primary) = server().await;
    let transfers = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&transfers);
    let serve = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        loop {
            let request = receive(&mut stream).await;
            let records = match request.0.queries[0].query_type {
                RecordType::AXFR => {
                    count.fetch_add(1, Ordering::Relaxed);
                    vec![soa()]
                }
                RecordType::SOA => vec![soa()],
                _ => Vec::new(),
            };
            send(&mut stream, &part(&request, ResponseCode::NoError, records)).await;
        }
    });
    for _ in 0..LARGE_ZONES + 10 {
        primary.first_read(&zone(), &BTreeSet::new(), &[]).await.unwrap();
    }
    assert_eq!(transfers.load(Ordering::Relaxed), LARGE_ZONES);
    primary.set_keys(keys(KEYS));
    primary.first_read(&zone(), &BTreeSet::new(), &[]).await.unwrap();
    assert_eq!(transfers.load(Ordering::Relaxed), LARGE_ZONES + 1, "another key may get what that one did not");
    serve.abort();
}

#[tokio::test]
async fn a_record_of_no_known_form_is_asked_around() {
    let (listener, primary) = server().await;
    let serve = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        loop {
            let request = receive(&mut stream).await;
            let query = &request.0.queries[0];
            let reply = match (query.query_type, query.name.to_ascii().as_str()) {
                (RecordType::SOA, _) => part(&request, ResponseCode::NoError, vec![soa()]),
                (RecordType::ANY, "example.org.") => part(&request, ResponseCode::NoError, vec![soa(), ns()]),
                (RecordType::ANY, "imap.example.org.") => [&request.0.id.to_be_bytes()[..], b"no message"].concat(),
                (RecordType::A, "imap.example.org.") => part(&request, ResponseCode::NoError, vec![address(4)]),
                _ => part(&request, ResponseCode::NoError, Vec::new()),
            };
            send(&mut stream, &reply).await;
        }
    });
    let reading = primary.read(&zone(), &[OwnerName::from_presentation("imap.example.org")].into()).await.unwrap();
    serve.abort();
    assert_eq!(reading.rrsets.values().map(|set| set.rdata.len()).collect::<Vec<_>>(), [1], "on the same connection");
}
