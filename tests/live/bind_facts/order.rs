//! Order, loss, replay and rivalry.

use std::{io::Read, time::Duration};

use hickory_proto::op::{Message, ResponseCode};
use rotad::{
    dns::RrType::A,
    io::keys,
    update::{Update, Verdict},
};
use tokio::task::JoinSet;

use super::{Writer, ZONE, name, record, set};
use crate::support::named::{KEY, Named, Zone, exchange, primary};

#[tokio::test]
async fn of_many_parallel_writers_exactly_one_wins() {
    for zone in [
        Zone::new(ZONE),
        Zone::new(ZONE).statement("dnssec-policy default; inline-signing no;"),
        Zone::new(ZONE).statement("dnssec-policy default; inline-signing yes;"),
    ] {
        let named = Named::builder().zone(zone).start();
        let mut rivals = JoinSet::new();
        for rival in 1..=40 {
            let mut writer = Writer::new(named.primary(), ZONE);
            rivals
                .spawn(async move { writer.push(&[set("imap.example.org", A, &[&format!("192.0.2.{rival}")])]).await });
        }
        let verdicts = rivals.join_all().await;
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Applied).count(), 1);
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::GuardFailed).count(), 39);
        assert_eq!(named.a("imap.example.org").len(), 1);
    }
}

#[tokio::test]
async fn a_captured_message_sent_again_changes_nothing() {
    let named = Named::with_zone(ZONE);
    let mut writer = Writer::new(named.primary(), ZONE);
    let keys = keys::load(&named.bind_with(&named.key_file(KEY)).key, false).unwrap();
    let now = rotad::io::clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    writer.push(&[set("imap.example.org", A, &["192.0.2.1", "192.0.2.2"])]).await;
    let message = writer.update(&[set("imap.example.org", A, &["192.0.2.1"])]).message().unwrap();
    let captured = keys.iter().next().unwrap().sign(&message, message.id, now).unwrap().bytes;
    let send = || Message::from_vec(&exchange(named.address(), &captured).unwrap()).unwrap().response_code;
    assert_eq!(send(), ResponseCode::NoError);
    writer.generation += 1;
    writer.guard = (&record(writer.generation)).into();
    // The node is back: without the record, the captured message would take it out again.
    assert_eq!(writer.push(&[set("imap.example.org", A, &["192.0.2.1", "192.0.2.2"])]).await, Verdict::Applied);
    let serial = named.serial(ZONE);
    assert_eq!(send(), ResponseCode::NXRRSet);
    assert_eq!((named.serial(ZONE), named.a("imap.example.org").len()), (serial, 2));
}

#[tokio::test]
async fn messages_on_one_connection_keep_their_order() {
    let named = Named::with_zone(ZONE);
    let mut bind = named.bind_with(&named.key_file(KEY));
    bind.max_in_flight = 90;
    let sender = std::sync::Arc::new(primary(&bind));
    let mut chain = JoinSet::new();
    let mut writer = Writer::new(named.primary(), ZONE);
    for generation in 1..=300 {
        // Each message requires the one before it: one that overtakes another fails.
        let update = writer.update(&[]);
        writer.generation = generation;
        writer.guard = (&record(generation)).into();
        let sender = sender.clone();
        chain.spawn(async move { sender.update_unchecked(&update).await.expect("an answer") });
    }
    assert!(chain.join_all().await.into_iter().all(|verdict| verdict == Verdict::Applied));
    assert_eq!(named.txt("_rotad.example.org"), [record(300).to_string()].into());
}

#[tokio::test]
async fn over_the_update_quota_bind_is_silent() {
    let zones: Vec<String> = (0..64).map(|at| format!("z{at}.example")).collect();
    let builder = Named::builder().option("update-quota 1;");
    let named = zones.iter().fold(builder, |named, zone| named.zone(Zone::new(zone))).start();
    let mut bind = named.bind_with(&named.key_file(KEY));
    // What is slow alone has an answer by then, on a busy machine as well.
    (bind.connections, bind.max_in_flight, bind.timeout) = (16, 64, Duration::from_secs(8));
    let sender = std::sync::Arc::new(primary(&bind));
    // Two updates must meet in BIND for one of them to be over the quota: some round sees to it.
    for round in 1.. {
        let mut pushes = JoinSet::new();
        for zone in &zones {
            let update = Writer::new(named.primary(), zone).update(&[]);
            let sender = sender.clone();
            pushes.spawn(async move { sender.update_unchecked(&update).await });
        }
        let results = pushes.join_all().await;
        let lost: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        assert!(lost.len() < zones.len(), "nothing was answered: {lost:?}");
        assert!(lost.iter().all(|lost| lost.sent && lost.reason.contains("no answer in 8s")), "{lost:?}");
        if !lost.is_empty() {
            break;
        }
        assert!(round < 20, "{round} times all updates were answered");
    }
}

#[tokio::test]
async fn a_paused_named_loses_the_message_and_the_record_tells_what_became_of_it() {
    let named = Named::with_zone(ZONE);
    let mut bind = named.bind_with(&named.key_file(KEY));
    bind.timeout = Duration::from_millis(500);
    let mut writer = Writer::new(primary(&bind), ZONE);
    writer.push(&[]).await;
    named.pause();
    let lost = writer.try_push(&[set("imap.example.org", A, &["192.0.2.1"])]).await.unwrap_err();
    assert!(lost.sent, "{lost}");
    assert_eq!(lost.to_string(), format!("named at {}: no answer in 500ms", named.address()));
    named.resume();
    writer.primary = named.primary();
    // BIND may apply the abandoned message now, later or never, RST or not: each turn reads before it writes.
    let mut turns = 0;
    loop {
        let reading = writer.primary.read(&name(ZONE), &[].into()).await.unwrap();
        writer.generation = reading.generation.record().expect("our record").generation;
        writer.guard = reading.generation;
        if writer.push(&[set("imap.example.org", A, &["192.0.2.2"])]).await == Verdict::Applied {
            break;
        }
        turns += 1;
        assert!(turns < 2, "one message was abandoned; it can overtake us once");
    }
    assert_eq!(named.a("imap.example.org"), ["192.0.2.2".to_owned()].into());
}

#[tokio::test]
async fn a_lost_answer_is_found_in_the_record_and_costs_no_second_serial() {
    let named = Named::with_zone(ZONE);
    let relay = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut bind = named.bind_with(&named.key_file(KEY));
    (bind.server, bind.timeout) = (relay.local_addr().unwrap(), Duration::from_millis(500));
    let server = named.address();
    // Hands one message on, and keeps the answer to itself.
    let relay = std::thread::spawn(move || {
        let (mut stream, _) = relay.accept().unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut message).unwrap();
        let answer = Message::from_vec(&exchange(server, &message).unwrap()).unwrap();
        (answer.response_code, stream.read(&mut length).unwrap_err().kind())
    });
    let mut writer = Writer::new(primary(&bind), ZONE);
    let change = set("imap.example.org", A, &["192.0.2.1"]);
    let lost = writer.try_push(std::slice::from_ref(&change)).await.unwrap_err();
    assert!(lost.sent, "{lost}");
    assert_eq!(relay.join().unwrap(), (ResponseCode::NoError, std::io::ErrorKind::ConnectionReset));
    writer.primary = named.primary();
    let reading = writer.primary.read(&name(ZONE), &[name("imap.example.org")].into()).await.unwrap();
    assert_eq!(reading.generation.record(), Some(&record(1)), "the lost message was applied");
    assert_eq!(reading.rrsets.get(&change.id), change.after.as_ref());
    assert_eq!(writer.push(&[change]).await, Verdict::GuardFailed, "the same message again is no news");
    assert_eq!(named.serial(ZONE), reading.soa.serial);
}

#[tokio::test]
async fn what_was_answered_survives_a_kill_and_the_next_call_connects_again() {
    let mut named = Named::with_zone(ZONE);
    let mut writer = Writer::new(named.primary(), ZONE);
    for round in 1..=5 {
        let address = format!("192.0.2.{round}");
        // The connection that died with named costs at most one call.
        let pushed = writer.try_push(&[set("imap.example.org", A, &[&address])]).await;
        let pushed =
            if pushed.is_err() { writer.try_push(&[set("imap.example.org", A, &[&address])]).await } else { pushed };
        assert_eq!(pushed.unwrap(), Verdict::Applied, "round {round}");
        named.restart();
        assert_eq!(named.a("imap.example.org"), [address].into());
    }
    named.kill();
    crate::support::named::eventually("the port is closed", || std::net::TcpStream::connect(named.address()).is_err());
    let _ = writer.try_push(&[]).await;
    let lost = writer.try_push(&[]).await.unwrap_err();
    assert!(!lost.sent && lost.reason.contains("cannot connect to named at 127.0.0.1:"), "{lost}");
}

#[tokio::test]
async fn a_foreign_record_can_be_required_to_the_byte() {
    let zone = Zone::new(ZONE)
        .records("_rotad TXT \"odd \\\"one\\\"\" \"\\255\"\n_rotad TXT \"v=1 cluster=mail owner=test generation=5\"");
    let named = Named::builder().zone(zone).start();
    let mut writer = Writer::new(named.primary(), ZONE);
    assert_eq!(writer.push(&[]).await, Verdict::GuardFailed);
    let reading = writer.primary.read(&name(ZONE), &[].into()).await.unwrap();
    assert_eq!(reading.generation.record(), None);
    let update = Update { guard: reading.generation, ..writer.update(&[]) };
    assert_eq!(writer.primary.update_unchecked(&update).await.unwrap(), Verdict::Applied);
    assert_eq!(named.txt("_rotad.example.org"), [record(1).to_string()].into(), "both were replaced");
}
