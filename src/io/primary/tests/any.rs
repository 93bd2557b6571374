//! Whether ANY tells all is known of a server, and the server may be another program tomorrow.

use std::net::Ipv6Addr;

use hickory_proto::rr::{
    RData, Record, RecordType,
    rdata::{A, AAAA},
};

use super::{
    transfer::{ns, part, soa},
    *,
};

/// What a server answers to a question about the zone: BIND all to ANY, Knot one `RRset` of it (RFC 8482).
fn answered(request: &(Message, Vec<u8>), is_knot: bool) -> Vec<u8> {
    let query = &request.0.queries[0];
    let name = Name::from_ascii("imap.example.org.").unwrap();
    let a = Record::from_rdata(name.clone(), 60, RData::A(A::new(192, 0, 2, 1)));
    let aaaa = Record::from_rdata(name, 60, RData::AAAA(AAAA(Ipv6Addr::LOCALHOST)));
    let records = match (query.name.to_ascii().as_str(), query.query_type) {
        ("example.org.", RecordType::SOA) => vec![soa()],
        ("example.org.", RecordType::ANY) if is_knot => vec![soa()],
        ("example.org.", RecordType::ANY) => vec![soa(), ns()],
        ("imap.example.org.", RecordType::ANY) if is_knot => vec![a],
        ("imap.example.org.", RecordType::ANY) => vec![a, aaaa],
        ("imap.example.org.", RecordType::A) => vec![a],
        ("imap.example.org.", RecordType::AAAA) => vec![aaaa],
        _ => Vec::new(),
    };
    part(request, ResponseCode::NoError, records)
}

#[tokio::test]
async fn f6_what_any_tells_is_found_out_anew_on_each_connection_and_for_other_keys() {
    let (listener, primary) = server().await;
    let anys = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&anys);
    let serve = tokio::spawn(async move {
        let mut is_knot = false;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            while stream.readable().await.is_ok() && stream.peek(&mut [0]).await.is_ok_and(|count| count > 0) {
                let request = receive(&mut stream).await;
                let query = &request.0.queries[0];
                if query.query_type == RecordType::ANY && query.name.to_ascii() == "example.org." {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                send(&mut stream, &answered(&request, is_knot)).await;
                // BIND is stopped, and Knot is started.
                if !is_knot && query.query_type == RecordType::ANY && count.load(Ordering::Relaxed) == 2 {
                    break;
                }
            }
            is_knot = true;
        }
    });
    let owners = [OwnerName::from_presentation("imap.example.org")].into();
    let sets = async || {
        let reading = primary.read(&zone(), &owners).await.unwrap();
        reading.rrsets.keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    let both = ["imap.example.org A", "imap.example.org AAAA"];
    assert_eq!(sets().await, both);
    assert_eq!(sets().await, both);
    assert_eq!(anys.load(Ordering::Relaxed), 1, "it is asked once");
    let broken = primary.broken();
    primary.ask(&zone(), any_query(&zone()).unwrap()).await.unwrap();
    broken.await;
    assert_eq!(sets().await, both, "nothing of what a server holds counts as absent");
    assert_eq!(sets().await, both);
    assert_eq!(anys.load(Ordering::Relaxed), 3, "once more");
    // Other keys may be those of another view.
    primary.set_keys(keys(KEYS));
    assert_eq!(sets().await, both);
    assert_eq!(anys.load(Ordering::Relaxed), 4);
    serve.abort();
}
