//! Old plans that arrive late.

use std::thread;

use hickory_proto::op::{Message, ResponseCode};

use super::*;

#[test]
fn b4_a_message_that_the_network_delivers_late_changes_nothing() {
    let mut rota = impatient("500ms");
    rota.proxy().once(Which::Update, Fate::Hold);
    rota.kill("node01");
    rota.proxy().expect_met();
    rota.expect_journal("BIND gives no answer: ");
    // The world turns; the newer plan is written.
    rota.revive("node01");
    rota.kill("node02");
    expect_right(&mut rota, ["node00", "node01"]);
    let (serial, before) = (rota.serial(ZONE), generation(&rota));
    let answers = rota.proxy().update_answers().len();
    rota.proxy().release();
    rota.eventually("named answers the late message", |rota| rota.proxy().update_answers().len() > answers);
    let answer = Message::from_vec(rota.proxy().update_answers().last().unwrap()).unwrap();
    assert_eq!(answer.response_code, ResponseCode::NXRRSet);
    expect_right(&mut rota, ["node00", "node01"]);
    assert_eq!((rota.serial(ZONE), generation(&rota)), (serial, before));
}

/// named is paused with an old plan under way, the world turns, named goes on: in what order it takes what it was
/// sent is its own affair, and the newest plan is what stands in the end.
#[test]
fn b4_named_paused_and_an_old_plan_late_ends_right_100_times() {
    let rounds = |through_proxy: bool| {
        let mut builder = Rota::new().nodes(3).service(IMAP).domain(ZONE, "services: [imap]");
        if through_proxy {
            // It closes towards named in order where rotad resets: named then always takes the abandoned message.
            builder = builder.proxy();
        }
        let mut rota = builder.build();
        rota.edit("timeout: 2s", "timeout: 300ms");
        rota.start();
        rota.expect_in_sync();
        for round in 0..10 {
            let before = generation(&rota);
            let silent = rota.journal().matches("BIND gives no answer: ").count();
            rota.named.pause();
            rota.kill("node01");
            rota.eventually("the old plan was given up", |rota| {
                rota.journal().matches("BIND gives no answer: ").count() > silent
            });
            let (last, up) =
                if round % 2 == 0 { ("node01", ["node00", "node01"]) } else { ("node02", ["node00", "node02"]) };
            if round % 4 < 2 {
                // The newer plan is ready before named goes on...
                rota.revive("node01");
                rota.kill(if last == "node01" { "node02" } else { "node01" });
                rota.named.resume();
            } else {
                // ... or comes while it works off what it has.
                rota.named.resume();
                rota.revive("node01");
                rota.kill(if last == "node01" { "node02" } else { "node01" });
            }
            rota.expect_a("imap.mydomain.org", up);
            rota.expect_in_sync();
            rota.expect_a("imap.mydomain.org", up);
            // Nobody else is suspected, and no message is repeated without end.
            assert!(generation(&rota) <= before + 6, "round {round}: {}", rota.journal());
            rota.revive(if last == "node01" { "node02" } else { "node01" });
            rota.expect_a("imap.mydomain.org", NODES);
            rota.expect_in_sync();
        }
    };
    // Ten installations at a time, ten rounds each.
    thread::scope(|scope| {
        let installations: Vec<_> = (0..10).map(|number| scope.spawn(move || rounds(number % 2 == 0))).collect();
        for installation in installations {
            installation.join().expect("all ten rounds end right");
        }
    });
}
