//! Two daemons that mean the same zones.

use std::fs;

use rotad::state::State;
use rustix::process::Signal;

use super::*;
use crate::support::rota::Daemon;

/// Whose the zone is by its record.
fn owner(rota: &Rota) -> String {
    let record = rota.named.txt("_rotad.mydomain.org").pop_first().expect("a record");
    record.split_once("owner=").expect("an owner").1.split(' ').next().expect("a word").to_owned()
}

/// A daemon on another host that stands by.
fn second(rota: &Rota) -> Daemon {
    let mut other = rota.on_another_host();
    other.start();
    other.expect_zone_state(ZONE, "standby");
    other
}

#[test]
fn b26_the_second_of_two_hosts_stands_by_until_it_is_told_to_adopt() {
    let mut rota = plain();
    let (first, serial) = (owner(&rota), rota.serial(ZONE));
    let mut other = second(&rota);
    other.expect_journal(&first);
    assert!(other.zone(ZONE)["error"].as_str().unwrap().contains("rotad adopt mydomain.org"));
    // The first one goes on, alone.
    rota.kill("node01");
    expect_right(&mut rota, ["node00", "node02"]);
    let down = format!("node01 imap ({}) is down", rota.ip("node01"));
    other.expect_journal(&down);
    assert_eq!((owner(&rota), rota.serial(ZONE)), (first.clone(), serial + 1));

    // Over to the second one, which finds the zone right: the record alone is written.
    assert_eq!(other.run(&["adopt", ZONE]).code, 0);
    other.expect_in_sync();
    let next = owner(&rota);
    assert_ne!(next, first);
    assert_eq!(rota.serial(ZONE), serial + 2);
    // Both see a change; the one who wrote the record writes it, and the other stands by from now on.
    rota.kill("node02");
    rota.expect_zone_state(ZONE, "standby");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    other.expect_in_sync();
    assert_eq!((owner(&rota), rota.serial(ZONE)), (next, serial + 3), "{}", other.journal());

    // And back.
    assert_eq!(rota.run(&["adopt", ZONE]).code, 0);
    rota.expect_in_sync();
    assert_eq!(owner(&rota), first);
    rota.revive("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    other.expect_zone_state(ZONE, "standby");
}

/// Stopped with a plan on its way, while another one takes over: neither that plan nor any other of the sleeper counts.
#[test]
fn b27_who_wakes_up_finds_that_another_took_over_round_after_round() {
    let mut rota = plain();
    let mut other = second(&rota);
    for round in 0..5 {
        rota.proxy().once(Which::Update, Fate::Hold);
        rota.kill("node01");
        rota.proxy().expect_met();
        rota.signal(Signal::STOP);
        assert_eq!(other.run(&["adopt", ZONE]).code, 0);
        other.expect_in_sync();
        let theirs = owner(&rota);
        // The world turns while it sleeps; what it had sent arrives.
        rota.revive("node01");
        rota.kill("node02");
        rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
        rota.proxy().release();
        rota.signal(Signal::CONT);
        rota.expect_zone_state(ZONE, "standby");
        other.expect_in_sync();
        rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
        assert_eq!(owner(&rota), theirs, "round {round}");
        // Back to the first one, for the next round.
        rota.revive("node02");
        rota.expect_a("imap.mydomain.org", NODES);
        other.expect_in_sync();
        assert_eq!(rota.run(&["adopt", ZONE]).code, 0);
        rota.expect_in_sync();
        // The other one learns of it when it is about to write.
        rota.kill("node02");
        expect_right(&mut rota, ["node00", "node01"]);
        other.expect_zone_state(ZONE, "standby");
        rota.revive("node02");
        expect_right(&mut rota, NODES);
    }
}

#[test]
fn d22_of_two_copies_of_one_machine_one_stands_by() {
    let mut rota = plain();
    let mut copy = rota.on_another_host();
    fs::copy(rota.path().join("state/state"), rota.path().join("there/state/state")).unwrap();
    // A command that writes once does not write beside the daemon, and a daemon says so at its start.
    let serial = rota.serial(ZONE);
    for command in [&["apply"][..], &["withdraw", "--all"], &["restore", "--all"]] {
        let ran = copy.run(command);
        assert!(ran.code == 75 && ran.err.contains("as the same instance"), "{command:?}: {ran:?}");
    }
    copy.start();
    copy.expect_journal("as the same instance");
    copy.expect_in_sync();
    assert_eq!(rota.serial(ZONE), serial);
    // Both know of it, both write it; one of them is first. The copy may take a first step that is not its own for
    // one that was late from an earlier life; the second tells.
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
    let down = format!("node01 imap ({}) is down", rota.ip("node01"));
    for daemon in [&mut *rota, &mut copy] {
        daemon.expect_journal(&down);
        daemon.expect_in_sync();
    }
    assert_eq!(rota.serial(ZONE), serial + 1, "no fight");
    rota.revive("node01");
    rota.expect_a("imap.mydomain.org", NODES);
    rota.eventually("one of the two stands by", |rota| {
        let mut states = [rota.zone(ZONE), copy.zone(ZONE)].map(|entry| entry["state"].as_str().unwrap().to_owned());
        states.sort_unstable();
        states == ["in_sync", "standby"]
    });
    assert!(format!("{}{}", rota.journal(), copy.journal()).contains("a copy of this machine"), "{}", copy.journal());
    assert_eq!(rota.serial(ZONE), serial + 2, "no fight");
}

#[test]
fn d18_who_we_are_is_kept_when_the_machine_gets_another_id() {
    let mut rota = built();
    let before = State::new("mail", "the id that this machine had");
    fs::create_dir(rota.path().join("state")).unwrap();
    fs::write(rota.path().join("state/state"), before.encode()).unwrap();
    rota.start();
    expect_right(&mut rota, NODES);
    assert_eq!(owner(&rota), before.me.owner);
    let serial = rota.serial(ZONE);
    rota.restart();
    rota.expect_in_sync();
    assert_eq!((owner(&rota), rota.serial(ZONE)), (before.me.owner, serial));
    // Only with the state lost as well is it somebody else, who stands by.
    rota.stop();
    fs::remove_dir_all(rota.path().join("state")).unwrap();
    rota.start();
    rota.expect_zone_state(ZONE, "standby");
    assert_eq!(rota.serial(ZONE), serial);
}
