//! rotad is stopped and goes on later: what it saw before is stale.

use std::{thread, time::Duration};

use rustix::process::Signal;

use super::*;

/// Longer than what rotad takes for a busy machine.
const LONG: Duration = Duration::from_secs(7);

fn plain() -> Rota {
    Rota::new().nodes(3).service(IMAP).service(MX).domain("mydomain.org", "services: [imap, mx]").start()
}

/// SIGSTOP, then what happens meanwhile, then SIGCONT.
fn sleep_through(rota: &mut Rota, meanwhile: impl FnOnce(&mut Rota)) {
    rota.signal(Signal::STOP);
    meanwhile(rota);
    thread::sleep(LONG);
    rota.signal(Signal::CONT);
}

#[test]
fn after_a_gap_every_check_answers_before_anything_is_written() {
    let mut rota = plain();
    // It goes to sleep in the belief that node01 is dead and about to be taken out.
    rota.named.pause();
    rota.kill("node01");
    rota.expect_journal("node01 imap (");
    sleep_through(&mut rota, |rota| {
        rota.revive("node01");
        rota.kill("node02");
        rota.named.resume();
    });
    rota.expect_journal("rotad stood still for ");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org", "10 node01.mydomain.org"]);
    rota.expect_in_sync();
    let journal = rota.journal();
    let after = journal.split("rotad stood still for ").nth(1).unwrap();
    let (before_round, written) = after.split_once("writing may begin").unwrap();
    assert!(!before_round.contains("now "), "nothing is written before: {before_round}");
    assert!(!written.contains("node01 is down"), "what was believed before does not count: {written}");
}

#[test]
fn with_nothing_changed_a_gap_moves_no_serial() {
    let mut rota = plain();
    let before = rota.serial("mydomain.org");
    sleep_through(&mut rota, |_| {});
    rota.expect_journal("rotad stood still for ");
    rota.eventually("another first round", |rota| rota.journal().matches("writing may begin").count() == 2);
    rota.expect_in_sync();
    assert_eq!(rota.serial("mydomain.org"), before);
    // All nodes die while it sleeps: too few are left, and what is published stays.
    sleep_through(&mut rota, |rota| ["node00", "node01", "node02"].into_iter().for_each(|node| rota.kill(node)));
    rota.expect_journal("too few healthy nodes");
    assert_eq!(rota.serial("mydomain.org"), before);
}

#[test]
fn what_another_instance_took_over_meanwhile_stays_its_own() {
    let mut rota = plain();
    sleep_through(&mut rota, |rota| {
        rota.kill("node01");
        rota.named
            .nsupdate("zone mydomain.org\nupdate delete _rotad.mydomain.org TXT\nupdate add _rotad.mydomain.org 0 TXT \"v=1 cluster=mail owner=somebody generation=50\"")
            .unwrap();
    });
    let before = rota.serial("mydomain.org");
    rota.expect_zone_state("mydomain.org", "standby");
    rota.eventually("another first round", |rota| rota.journal().matches("writing may begin").count() == 2);
    rota.expect_journal("node01 imap (");
    assert_eq!(rota.serial("mydomain.org"), before);
}
