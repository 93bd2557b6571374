//! The exchange against scripted servers; a real BIND is asked in `tests/live`.

mod any;
mod transfer;

use std::{net::Ipv4Addr, time::Duration};

use hickory_proto::{
    op::ResponseCode,
    rr::{
        Name,
        rdata::{
            TSIG,
            tsig::{TsigAlgorithm, TsigError, make_tsig_record},
        },
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    cluster::KeySource,
    dns::{RrType, RrsetId},
    plan::Change,
    update::{GenerationRecord, GenerationRrset},
};

const KEYS: &str = "key k { algorithm hmac-sha256; secret c2VjcmV0; };";

fn keys(text: &str) -> Arc<Keys> {
    Arc::new(Keys::parse(text, "test.key", false).unwrap())
}

fn zone() -> OwnerName {
    OwnerName::from_presentation("example.org")
}

fn update(generation: u64) -> Update {
    let record = GenerationRecord { cluster: "mail".into(), owner: "test".into(), generation };
    Update { zone: zone(), guard: GenerationRrset::Absent, record, changes: Vec::new(), exact: true, is_last: false }
}

async fn server() -> (TcpListener, Arc<Primary>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let bind = Bind {
        server: listener.local_addr().unwrap(),
        key: KeySource::File("test.key".into()),
        timeout: Duration::from_millis(300),
        connections: 1,
        max_in_flight: 2,
        allow_weak_keys: false,
    };
    (listener, Arc::new(Primary::new(&bind, keys(KEYS))))
}

async fn receive(stream: &mut TcpStream) -> (Message, Vec<u8>) {
    let length = stream.read_u16().await.unwrap();
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).await.unwrap();
    let message = Message::from_vec(&bytes).unwrap();
    let mac = message.signature().unwrap().data.mac.clone();
    (message, mac)
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let mut framed = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    framed.extend_from_slice(bytes);
    stream.write_all(&framed).await.unwrap();
}

/// What a server that holds the key answers.
fn answer((request, mac): &(Message, Vec<u8>), code: ResponseCode) -> Vec<u8> {
    let mut answer = Message::response(request.id, request.op_code);
    answer.metadata.response_code = code;
    let now = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    keys(KEYS).iter().next().unwrap().sign_answer(answer, now, mac)
}

/// An unsigned answer; with a TSIG error if there is one.
fn forged((request, _): &(Message, Vec<u8>), error: Option<TsigError>) -> Vec<u8> {
    let mut answer = Message::response(request.id, request.op_code);
    if let Some(error) = error {
        answer.metadata.response_code = ResponseCode::NotAuth;
        let tsig = TSIG::new(TsigAlgorithm::HmacSha256, 0, 300, Vec::new(), request.id, Some(error), Vec::new());
        answer.set_signature(Box::new(make_tsig_record(Name::from_ascii("k.").unwrap(), tsig)));
    }
    answer.to_vec().unwrap()
}

/// Whether the peer has closed by RST.
async fn was_reset(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 1]).await, Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn a_connection_is_given_no_more_than_bind_reads_of_it_at_a_time() {
    let (listener, primary) = server().await;
    let all = tokio::spawn(async move { primary.ask_all(&zone(), vec![soa_query(&zone()).unwrap(); 100]).await });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut asked = std::collections::VecDeque::new();
    for _ in 0..PIPELINED {
        asked.push_back(receive(&mut stream).await);
    }
    let another = tokio::time::timeout(Duration::from_millis(100), stream.peek(&mut [0])).await;
    assert!(another.is_err(), "more than {PIPELINED} messages wait for an answer");
    for answered in 0..100 {
        send(&mut stream, &answer(&asked.pop_front().unwrap(), ResponseCode::NoError)).await;
        if answered + PIPELINED < 100 {
            asked.push_back(receive(&mut stream).await);
        }
    }
    assert_eq!(all.await.unwrap().unwrap().len(), 100);
}

#[tokio::test]
async fn what_waits_for_its_turn_is_not_asked_once_an_answer_is_lost() {
    let (listener, primary) = server().await;
    let all = tokio::spawn(async move { primary.ask_all(&zone(), vec![soa_query(&zone()).unwrap(); 100]).await });
    let (_silent, _) = listener.accept().await.unwrap();
    assert!(matches!(all.await.unwrap(), Err(ReadError::Lost(lost)) if lost.cause == Cause::Unheard));
    let another = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(another.is_err(), "the rest is asked on another connection");
}

#[tokio::test]
async fn h2_an_unsigned_answer_loses_what_it_answers_and_nothing_else() {
    let (listener, primary) = server().await;
    let calls = [1, 2].map(|generation| {
        let primary = primary.clone();
        tokio::spawn(async move { primary.update_unchecked(&update(generation)).await })
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    let (first, second) = (receive(&mut stream).await, receive(&mut stream).await);
    send(&mut stream, &forged(&first, None)).await;
    send(&mut stream, &answer(&second, ResponseCode::NoError)).await;
    let (mut lost, mut applied) = (Vec::new(), Vec::new());
    for call in calls {
        match call.await.unwrap() {
            Err(why) => lost.push(why),
            Ok(verdict) => applied.push(verdict),
        }
    }
    assert_eq!(applied, [Verdict::Applied]);
    assert!(lost[0].sent && lost[0].cause == Cause::Unsigned, "{lost:?}");
    let said = &lost[0].reason;
    assert!(said.contains("get unsigned answers: the answer (NOERROR) is not signed, so it is not named's"), "{said}");
}

#[tokio::test]
async fn whatever_is_no_answer_loses_all_that_wait_and_resets_the_connection() {
    type Reply = fn(&(Message, Vec<u8>)) -> Vec<u8>;
    let replies: [(&str, Reply, &str); 4] = [
        (
            "another id",
            |request| answer(&(Message::response(999, request.0.op_code), request.1.clone()), ResponseCode::NoError),
            "nobody waits for",
        ),
        (
            "garbage",
            |request| [&request.0.id.to_be_bytes()[..], b"TP/1.1 400 Bad Request"].concat(),
            "not a DNS message",
        ),
        ("a single octet", |_| vec![1], "without header"),
        (
            "a wrong signature",
            |request| answer(&(request.0.clone(), vec![0; 32]), ResponseCode::NoError),
            "signature is not accepted",
        ),
    ];
    for (what, reply, said) in replies {
        let (listener, primary) = server().await;
        let calls = [1, 2].map(|generation| {
            let primary = primary.clone();
            tokio::spawn(async move { primary.update_unchecked(&update(generation)).await })
        });
        let (mut stream, _) = listener.accept().await.unwrap();
        let first = receive(&mut stream).await;
        receive(&mut stream).await;
        send(&mut stream, &reply(&first)).await;
        for call in calls {
            let lost = call.await.unwrap().unwrap_err();
            assert!(lost.sent && lost.reason.contains(said), "{what}: {lost}");
        }
        assert!(was_reset(&mut stream).await, "{what}");
    }
}

#[tokio::test]
async fn silence_loses_all_that_wait_and_the_next_call_connects_again() {
    let (listener, primary) = server().await;
    let call = tokio::spawn({
        let primary = primary.clone();
        async move { primary.update_unchecked(&update(1)).await }
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    receive(&mut stream).await;
    let lost = call.await.unwrap().unwrap_err();
    assert!(lost.sent && lost.reason.contains("no answer in 300ms on a new connection"), "{lost}");
    assert!(was_reset(&mut stream).await);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = receive(&mut stream).await;
        send(&mut stream, &answer(&request, ResponseCode::NoError)).await;
        stream
    };
    let (verdict, mut stream) = tokio::join!(async { primary.update_unchecked(&update(2)).await }, serve);
    assert_eq!(verdict, Ok(Verdict::Applied));
    // The server closes an idle connection: no error, ours is closed in order, a new one is made.
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = receive(&mut stream).await;
        // Cut in the middle of the length, of the message, and together with what is not ours to know yet.
        let bytes = answer(&request, ResponseCode::NXRRSet);
        let framed = [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat();
        for piece in framed.chunks(7) {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        stream
    };
    let (verdict, _stream) = tokio::join!(async { primary.update_unchecked(&update(3)).await }, serve);
    assert_eq!(verdict, Ok(Verdict::GuardFailed));
}

#[tokio::test]
async fn a_server_that_does_not_listen_was_certainly_sent_nothing() {
    let (listener, primary) = server().await;
    drop(listener);
    let lost = primary.update_unchecked(&update(1)).await.unwrap_err();
    assert!(!lost.sent && lost.reason.starts_with("cannot connect to named at 127.0.0.1:"), "{lost}");
}

#[tokio::test]
async fn a_message_over_64_kib_is_not_sent() {
    let (_listener, primary) = server().await;
    let change = |at| Change {
        id: RrsetId { owner: OwnerName::from_presentation(&format!("host-{at}.example.org")), rtype: RrType::A },
        before: None,
        after: None,
    };
    let update = Update { changes: (0..4000).map(change).collect(), ..update(1) };
    let lost = primary.update_unchecked(&update).await.unwrap_err();
    assert!(!lost.sent && lost.reason.contains("no wire form"), "{lost}");
    assert!(update.split().len() > 1, "it is to be split first");
}

#[tokio::test]
async fn no_more_than_the_limit_is_in_flight_and_answers_may_come_in_any_order() {
    let (listener, primary) = server().await;
    let calls = [1, 2, 3].map(|generation| {
        let primary = primary.clone();
        tokio::spawn(async move { primary.update_unchecked(&update(generation)).await })
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    let (first, second) = (receive(&mut stream).await, receive(&mut stream).await);
    assert_ne!(first.0.id, second.0.id);
    // The third would have been sent by now if it were not held back: the reads below show what it waits for.
    assert_eq!(stream.try_read(&mut [0; 1]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    send(&mut stream, &answer(&second, ResponseCode::NoError)).await;
    let third = receive(&mut stream).await;
    send(&mut stream, &answer(&third, ResponseCode::Refused)).await;
    send(&mut stream, &answer(&first, ResponseCode::ServFail)).await;
    let mut verdicts = Vec::new();
    for call in calls {
        verdicts.push(call.await.unwrap().unwrap());
    }
    assert_eq!(verdicts, [Verdict::ServFail, Verdict::Applied, Verdict::Refused]);
}

#[tokio::test]
async fn keys_are_tried_in_order_and_replaced_at_run_time() {
    let (listener, primary) = server().await;
    primary.set_keys(keys(&format!("key old {{ algorithm hmac-sha256; secret b2xk; }};\n{KEYS}")));
    let call = tokio::spawn({
        let primary = primary.clone();
        async move {
            let first = primary.update_unchecked(&update(1)).await;
            let second = primary.update_unchecked(&update(2)).await;
            primary.set_keys(keys("key new { algorithm hmac-sha512; secret bmV3; };"));
            (first, second, primary.update_unchecked(&update(3)).await)
        }
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut names = Vec::new();
    for error in [Some(TsigError::BadKey), None, None, Some(TsigError::BadSig)] {
        let request = receive(&mut stream).await;
        names.push(request.0.signature().unwrap().name.to_ascii());
        let reply =
            error.map_or_else(|| answer(&request, ResponseCode::NoError), |error| forged(&request, Some(error)));
        send(&mut stream, &reply).await;
    }
    assert_eq!(names, ["old.", "k.", "k.", "new."]);
    let (first, second, third) = call.await.unwrap();
    assert_eq!((first, second), (Ok(Verdict::Applied), Ok(Verdict::Applied)));
    let Ok(Verdict::Tsig(TsigTrouble::BadSig(key))) = third else { panic!("{third:?}") };
    assert_eq!(key.to_string(), "key \"new\" (hmac-sha512, from test.key:1)");
}

#[tokio::test]
async fn the_connections_end_with_the_handle() {
    let (listener, primary) = server().await;
    let call = tokio::spawn(async move { primary.update_unchecked(&update(1)).await });
    let (mut stream, _) = listener.accept().await.unwrap();
    receive(&mut stream).await;
    call.abort();
    assert!(was_reset(&mut stream).await, "what is abandoned is reset");
}

#[tokio::test]
async fn a_zone_that_is_never_answered_holds_up_no_other() {
    let (listener, primary) = server().await;
    let (slow, other) = (OwnerName::from_presentation("slow.example"), zone());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    // As BIND does: in order, so that nothing is answered behind a question that is not.
    let serve = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                loop {
                    let request = receive(&mut stream).await;
                    if request.0.queries[0].name.to_ascii() == "slow.example." {
                        std::future::pending::<()>().await;
                    }
                    send(&mut stream, &answer(&request, ResponseCode::NoError)).await;
                }
            });
        }
    });
    let ask = |zone: &OwnerName| {
        let (primary, zone) = (primary.clone(), zone.clone());
        tokio::spawn(async move { primary.ask(&zone, soa_query(&zone).unwrap()).await })
    };
    // The first time what is behind it waits with it, and is asked again.
    let first = ask(&slow);
    tokio::task::yield_now().await;
    let behind = ask(&other);
    let Err(ReadError::Lost(lost)) = first.await.unwrap() else { panic!("answered") };
    assert!(matches!(lost.cause, Cause::Silent | Cause::Unheard), "{lost:?}");
    assert!(behind.await.unwrap().is_ok());
    // Then it has a connection of its own.
    let made = accepted.load(Ordering::Relaxed);
    let again = ask(&slow);
    for _ in 0..3 {
        assert!(ask(&other).await.unwrap().is_ok());
    }
    let Err(ReadError::Lost(lost)) = again.await.unwrap() else { panic!("answered") };
    assert!(matches!(lost.cause, Cause::Silent | Cause::Unheard), "{lost:?}");
    assert_eq!(accepted.load(Ordering::Relaxed), made + 1, "theirs was not given up for it");
    serve.abort();
}

/// A server that knows the second of two keys alone, and somebody on the way who can refuse the first.
async fn with_two_keys() -> (TcpListener, Arc<Primary>) {
    let (listener, primary) = server().await;
    primary.set_keys(keys(&format!("key forged {{ algorithm hmac-sha256; secret c2VjcmV0; }};{KEYS}")));
    (listener, primary)
}

#[tokio::test]
async fn h10_after_a_refusal_that_nobody_has_signed_our_own_message_may_be_in_the_way() {
    // The first message was applied, and its answer replaced: then the second finds another record.
    for (code, is_lost) in
        [(ResponseCode::NXRRSet, true), (ResponseCode::NoError, false), (ResponseCode::Refused, false)]
    {
        let (listener, primary) = with_two_keys().await;
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let first = receive(&mut stream).await;
            send(&mut stream, &forged(&first, Some(TsigError::BadKey))).await;
            let second = receive(&mut stream).await;
            send(&mut stream, &answer(&second, code)).await;
            // The key that works comes first now: what it says is so.
            let third = receive(&mut stream).await;
            send(&mut stream, &answer(&third, ResponseCode::NXRRSet)).await;
            stream
        };
        let calls = async { (primary.update_unchecked(&update(1)).await, primary.update_unchecked(&update(2)).await) };
        let ((first, second), _stream) = tokio::join!(calls, serve);
        match first {
            Err(lost) => assert!(is_lost && lost.sent && lost.reason.contains("may have been applied"), "{lost}"),
            Ok(verdict) => assert!(!is_lost && verdict != Verdict::GuardFailed, "{verdict:?}"),
        }
        assert_eq!(second, Ok(Verdict::GuardFailed), "{code}");
    }
}

#[tokio::test]
async fn h10_what_was_refused_without_a_signature_was_sent_whatever_comes_then() {
    let (listener, primary) = with_two_keys().await;
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let first = receive(&mut stream).await;
        // Whoever comes back finds nobody.
        drop(listener);
        send(&mut stream, &forged(&first, Some(TsigError::BadSig))).await;
        drop(stream);
    };
    let update = update(1);
    let (lost, ()) = tokio::join!(primary.update_unchecked(&update), serve);
    assert!(lost.as_ref().is_err_and(|lost| lost.sent), "{lost:?}");
}

#[tokio::test]
async fn h10_a_question_whose_answer_is_a_failed_requirement_is_answered() {
    let (listener, primary) = with_two_keys().await;
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let first = receive(&mut stream).await;
        send(&mut stream, &forged(&first, Some(TsigError::BadKey))).await;
        let second = receive(&mut stream).await;
        send(&mut stream, &answer(&second, ResponseCode::NXRRSet)).await;
        stream
    };
    let zone = zone();
    let (verdict, _stream) = tokio::join!(primary.permission(&zone, true, &[]), serve);
    assert_eq!(verdict, Ok(Verdict::GuardFailed));
}
