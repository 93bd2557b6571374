//! `kill -9` of rotad at every step of a push, and at any other moment.

use std::{thread, time::Duration};

use super::*;

/// The steps of a push, as the network sees them.
const STEPS: [(&str, Which, Fate); 5] = [
    ("before BIND has the message", Which::Update, Fate::Hold),
    ("the message is lost", Which::Update, Fate::Lose),
    ("BIND has applied it, the answer is under way", Which::UpdateAnswer, Fate::Hold),
    ("half of the answer has come", Which::UpdateAnswer, Fate::Cut(20)),
    ("it is being read back", Which::ReadAnswer, Fate::Hold),
];

#[test]
fn d1_kill_9_at_each_step_of_a_push() {
    let mut rota = plain();
    for (step, which, fate) in STEPS {
        // What the network still holds arrives before the next life, or in the middle of it.
        for late in [false, true] {
            rota.expect_in_sync();
            let (serial, before) = (rota.serial(ZONE), generation(&rota));
            rota.proxy().once(which, fate.clone());
            rota.kill("node01");
            rota.proxy().expect_met();
            rota.kill_daemon();
            if !late {
                rota.proxy().release();
            }
            rota.start();
            if late {
                rota.proxy().release();
            }
            expect_right(&mut rota, ["node00", "node02"]);
            rota.proxy().release();
            expect_right(&mut rota, ["node00", "node02"]);
            let (steps, generations) = (rota.serial(ZONE) - serial, generation(&rota) - before);
            assert!((1..=2).contains(&steps), "{step}, late: {late}: {steps} steps of the serial\n{}", rota.journal());
            assert_eq!(u64::from(steps), generations, "{step}");
            rota.revive("node01");
            expect_right(&mut rota, NODES);
        }
    }
    assert!(!rota.journal().contains("standby"), "nobody takes himself for another: {}", rota.journal());
}

#[test]
fn d1_kill_9_at_any_moment() {
    let mut rota = plain();
    for round in 0..12 {
        let serial = rota.serial(ZONE);
        rota.kill("node01");
        // Not a wait for anything: from the first failed check to the end of the push there is every moment in it.
        thread::sleep(Duration::from_millis(40 * round));
        rota.kill_daemon();
        rota.start();
        expect_right(&mut rota, ["node00", "node02"]);
        assert!(rota.serial(ZONE) - serial <= 2, "round {round}");
        rota.revive("node01");
        expect_right(&mut rota, NODES);
    }
}

#[test]
fn d11_a_crash_loop_writes_nothing() {
    let mut rota = plain();
    rota.kill_daemon();
    let before = (rota.serial(ZONE), rota.records(ZONE));
    // Everything is dead, and every life ends before it can know.
    for node in NODES {
        rota.kill(node);
    }
    for _ in 0..10 {
        rota.start();
        rota.kill_daemon();
    }
    assert_eq!((rota.serial(ZONE), rota.records(ZONE)), before);
    for node in NODES {
        rota.revive(node);
    }
    rota.start();
    expect_right(&mut rota, NODES);
    assert_eq!((rota.serial(ZONE), rota.records(ZONE)), before);
}
