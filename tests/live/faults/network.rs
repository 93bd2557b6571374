//! The network between rotad and BIND loses, cuts, repeats, delays and forges.

use hickory_proto::op::{Message, MessageType, ResponseCode};
use rotad::{
    cluster::Bind,
    dns::OwnerName,
    io::primary::ReadError,
    update::{GenerationRrset, Reading},
};

use super::*;
use crate::support::named::{KEY, primary};

/// Its answer to an UPDATE meets a fate: that is found out, and costs no second step of the serial.
fn lose(rota: &mut Rota, which: Which, fate: &Fate) {
    let (serial, before) = (rota.serial(ZONE), generation(rota));
    let told = rota.journal().matches("imap.mydomain.org A: removed").count();
    rota.proxy().once(which, fate.clone());
    rota.kill("node01");
    rota.proxy().expect_met();
    expect_right(rota, ["node00", "node02"]);
    assert_eq!((rota.serial(ZONE), generation(rota)), (serial + 1, before + 1), "{fate:?}");
    let now_told = rota.journal().matches("imap.mydomain.org A: removed").count();
    assert_eq!(now_told, told + 1, "{fate:?}: one change, one line\n{}", rota.journal());
    rota.revive("node01");
    expect_right(rota, NODES);
    assert_eq!(rota.serial(ZONE), serial + 2, "{fate:?}");
}

#[test]
fn b3_an_answer_that_is_lost_costs_no_second_serial() {
    let mut rota = plain();
    lose(&mut rota, Which::UpdateAnswer, &Fate::Lose);
    rota.expect_journal("BIND gives no answer: ");
    rota.expect_journal("BIND answers again, after ");
    for octets in [0, 1, 2, 14, 60] {
        lose(&mut rota, Which::UpdateAnswer, &Fate::Cut(octets));
    }
}

#[test]
fn b3_a_message_that_is_lost_is_sent_again() {
    let mut rota = plain();
    lose(&mut rota, Which::Update, &Fate::Lose);
    for octets in [0, 1, 2, 14, 200] {
        lose(&mut rota, Which::Update, &Fate::Cut(octets));
    }
}

#[test]
fn b2_named_restarts_while_a_message_is_under_way() {
    let mut rota = plain();
    // Once before it has the message, once after it applied it.
    for which in [Which::Update, Which::UpdateAnswer] {
        let serial = rota.serial(ZONE);
        rota.proxy().once(which, Fate::Hold);
        rota.kill("node01");
        rota.proxy().expect_met();
        rota.named.restart();
        rota.proxy().release();
        expect_right(&mut rota, ["node00", "node02"]);
        assert_eq!(rota.serial(ZONE), serial + 1, "{which:?}");
        rota.revive("node01");
        expect_right(&mut rota, NODES);
    }
}

/// What an attacker without the key can make of a question: an answer of this code.
fn unsigned(asked: &[u8], code: ResponseCode) -> Vec<u8> {
    let asked = Message::from_vec(asked).expect("a message");
    let mut answer = Message::response(asked.metadata.id, asked.op_code);
    answer.metadata.response_code = code;
    answer.add_queries(asked.queries.clone());
    answer.to_vec().expect("a small message")
}

#[test]
fn b15_an_answer_that_is_not_signed_is_not_believed() {
    let mut rota = plain();
    let forgeries = [
        (Fate::Answer(|asked| unsigned(asked, ResponseCode::NoError)), "NOERROR"),
        (Fate::Answer(|asked| unsigned(asked, ResponseCode::NotAuth)), "NOTAUTH"),
        (Fate::Answer(|asked| unsigned(asked, ResponseCode::NXRRSet)), "NXRRSET"),
        // What is before BIND and knows no updates, or no rights to them.
        (Fate::Answer(|asked| unsigned(asked, ResponseCode::Refused)), "REFUSED"),
        (Fate::Answer(|asked| unsigned(asked, ResponseCode::NotImp)), "NOTIMP"),
    ];
    for (forgery, code) in forgeries {
        let serial = rota.serial(ZONE);
        rota.proxy().always(Which::Update, forgery);
        rota.kill("node01");
        rota.expect_journal(&format!("get unsigned answers: the answer ({code}) is not signed, so it is not named's"));
        let forged = rota.proxy().met();
        rota.eventually("it was tried again", |rota| rota.proxy().met() > forged);
        let entry = rota.zone(ZONE);
        assert_eq!(entry["state"], "failing", "{entry}");
        assert!(entry["error"].as_str().is_some_and(|error| error.contains("something between")), "{entry}");
        assert_eq!(rota.serial(ZONE), serial);
        let journal = rota.journal();
        assert_eq!(journal.matches(&format!("get unsigned answers: the answer ({code})")).count(), 1, "{journal}");
        assert!(!journal.contains("gives no answer"), "{journal}");
        rota.proxy().heal();
        expect_right(&mut rota, ["node00", "node02"]);
        assert_eq!(rota.serial(ZONE), serial + 1, "{code}");
        rota.revive("node01");
        expect_right(&mut rota, NODES);
    }
}

#[test]
fn b15_a_forged_key_error_starts_a_retry_and_no_belief() {
    let mut rota = plain();
    let serial = rota.serial(ZONE);
    // Our own message sent back as a refusal (QR, NOTAUTH), with BADKEY in its TSIG record: RFC 8945 section 4.2 has
    // the error in the last four octets but two. Such an answer has no signature by its nature.
    rota.proxy().once(
        Which::Update,
        Fate::Answer(|asked| {
            let mut answer = asked.to_vec();
            let error = answer.len() - 3;
            answer[2] |= 0x80;
            answer[3] = 9;
            answer[error] = 17;
            answer
        }),
    );
    rota.kill("node01");
    rota.expect_journal("(BADKEY)");
    expect_right(&mut rota, ["node00", "node02"]);
    assert_eq!(rota.serial(ZONE), serial + 1);
}

#[test]
fn b16_an_answer_to_something_else_is_not_believed() {
    let mut rota = plain();
    // Signed by BIND, and bent on the way.
    let bends = [
        Fate::Replace(|answer| [&[answer[0] ^ 0x55], &answer[1..]].concat()),
        // Not QR; not the opcode UPDATE: RFC 1035 section 4.1.1.
        Fate::Replace(|answer| [&answer[..2], &[answer[2] & 0x7f], &answer[3..]].concat()),
        Fate::Replace(|answer| [&answer[..2], &[answer[2] & 0x87], &answer[3..]].concat()),
        Fate::Replace(|answer| {
            let mut other = Message::from_vec(answer).expect("a message");
            other.queries[0].name = "elsewhere.example.".parse().expect("a name");
            other.metadata.message_type = MessageType::Response;
            other.to_vec().expect("a small message")
        }),
    ];
    for bend in bends {
        lose(&mut rota, Which::UpdateAnswer, &bend);
    }
    let journal = rota.journal();
    for words in ["an answer that nobody waits for", "the answer belongs to another question"] {
        assert!(journal.contains(words), "{words}: {journal}");
    }
}

#[test]
fn b29_a_captured_message_that_is_sent_again_changes_nothing() {
    let mut rota = plain();
    rota.kill("node01");
    expect_right(&mut rota, ["node00", "node02"]);
    rota.revive("node01");
    expect_right(&mut rota, NODES);
    let captured = rota.proxy().updates();
    assert_eq!(captured.len(), 3);
    let (serial, before) = (rota.serial(ZONE), generation(&rota));
    for message in captured.iter().chain(captured.iter().rev()) {
        let answer = Message::from_vec(&exchange(rota.named.address(), message).unwrap()).unwrap();
        // The first one was "no record there yet", the others "this record".
        assert!(matches!(answer.response_code, ResponseCode::NXRRSet | ResponseCode::YXRRSet), "{answer}");
    }
    expect_right(&mut rota, NODES);
    assert_eq!((rota.serial(ZONE), generation(&rota)), (serial, before));
}

#[test]
fn b29_a_message_that_the_network_doubles_is_applied_once() {
    let mut rota = plain();
    let serial = rota.serial(ZONE);
    rota.proxy().always(Which::Update, Fate::Twice);
    rota.kill("node01");
    expect_right(&mut rota, ["node00", "node02"]);
    assert_eq!(rota.serial(ZONE), serial + 1);
    rota.revive("node01");
    expect_right(&mut rota, NODES);
    assert_eq!(rota.serial(ZONE), serial + 2);
}

#[test]
fn b32_while_named_is_slow_the_newest_plan_waits_and_no_others() {
    let mut rota = impatient("15s");
    let serial = rota.serial(ZONE);
    rota.proxy().once(Which::UpdateAnswer, Fate::Hold);
    rota.kill("node01");
    rota.proxy().expect_met();
    // What happens meanwhile comes to nothing, but for the last of it.
    for round in 1..=2 {
        let seen = |rota: &mut Rota, state: &str| {
            rota.eventually(&format!("node02 is seen {state}"), |rota| {
                let status = rota.status();
                let checks = status["nodes"][2]["checks"].as_array().unwrap();
                checks.iter().all(|check| check["state"] == state)
            });
        };
        rota.kill("node02");
        seen(&mut rota, "down");
        if round == 1 {
            rota.revive("node02");
            seen(&mut rota, "up");
        }
    }
    assert_eq!(rota.serial(ZONE), serial + 1);
    rota.proxy().release();
    expect_right(&mut rota, ["node00"]);
    assert_eq!(rota.serial(ZONE), serial + 2, "one message more, whatever happened in between");
}

#[test]
fn b32_with_every_answer_late_the_zone_still_follows() {
    let mut rota = plain();
    rota.proxy().always(Which::UpdateAnswer, Fate::Late(std::time::Duration::from_secs(1)));
    let serial = rota.serial(ZONE);
    rota.kill("node01");
    expect_right(&mut rota, ["node00", "node02"]);
    rota.revive("node01");
    expect_right(&mut rota, NODES);
    assert_eq!(rota.serial(ZONE), serial + 2);
    assert!(!rota.journal().contains("BIND gives no answer"), "{}", rota.journal());
}

/// A reading is whole or an error, wherever the network cuts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn b37_a_read_that_is_cut_anywhere_is_discarded_whole() {
    let rota = built();
    rota.named
        .nsupdate("zone mydomain.org\nupdate add node00.mydomain.org 60 A 192.0.2.1\nupdate add imap.mydomain.org 60 A 192.0.2.1\nupdate add imap.mydomain.org 60 A 192.0.2.2\nupdate add mydomain.org 60 MX 10 node00.mydomain.org\nupdate add _rotad.mydomain.org 0 TXT \"v=1 cluster=mail owner=us generation=7\"")
        .unwrap();
    let bind = Bind { server: rota.proxy().address(), ..rota.named.bind_with(&rota.named.key_file(KEY)) };
    let names = ["imap.mydomain.org", "mydomain.org"].map(OwnerName::from_presentation).into();
    let zone = OwnerName::from_presentation(ZONE);
    let primary = primary(&bind);
    let whole: Reading = primary.read(&zone, &names).await.unwrap();
    assert!(
        matches!(&whole.generation, GenerationRrset::Present { record: Some(record), .. } if record.generation == 7)
    );
    assert_eq!(whole.rrsets.len(), 2);
    let answers = rota.proxy().read_answers();
    assert!(answers.len() > 3, "SOA, record, and each name: {answers:?}");
    let mut cuts = 0;
    // BIND need not answer in the order in which it was asked: each of them may be the longest.
    let longest = answers.iter().max().unwrap() + 2;
    for number in 0..answers.len() {
        for octets in (0..40).chain((40..longest).step_by(4)) {
            rota.proxy().after(number, Which::ReadAnswer, Fate::Cut(octets));
            match primary.read(&zone, &names).await {
                Err(ReadError::Lost(_)) => cuts += 1,
                read => assert_eq!(read.as_ref(), Ok(&whole), "answer {number}, {octets} octets of it"),
            }
        }
    }
    assert!(cuts > 40 * answers.len(), "{cuts}");
    rota.proxy().heal();
    assert_eq!(primary.read(&zone, &names).await.unwrap(), whole);
}

#[test]
fn b37_a_restart_over_a_network_that_cuts_every_read_changes_nothing() {
    let mut rota = plain();
    let before = (rota.serial(ZONE), rota.records(ZONE));
    rota.stop();
    rota.proxy().always(Which::ReadAnswer, Fate::Cut(40));
    rota.start();
    rota.expect_zone_state(ZONE, "failing");
    let cut = rota.proxy().met();
    rota.eventually("it is tried again", |rota| rota.proxy().met() > cut + 1);
    assert_eq!((rota.serial(ZONE), rota.records(ZONE)), before);
    rota.proxy().heal();
    expect_right(&mut rota, NODES);
    assert_eq!((rota.serial(ZONE), rota.records(ZONE)), before);
}

#[test]
fn a_plan_sends_no_update() {
    let rota = built();
    let (code, text) = rota.plan();
    assert_eq!(code, 3, "{text}");
    assert!(!rota.proxy().read_answers().is_empty(), "it was listened in the right place");
    assert_eq!(rota.proxy().updates(), Vec::<Vec<u8>>::new());
    assert_eq!(rota.run(&["apply"]).code, 0);
    assert_eq!(rota.proxy().updates().len(), 1, "and an update would have been heard");
}
