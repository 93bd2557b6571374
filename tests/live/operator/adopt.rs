//! `rotad adopt`: the zone of strangers, of another cluster, of another instance.

use super::*;

fn contact(records: &str) -> Rota {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .domain("mydomain.org", "services: [imap]")
        .zone("mydomain.org", Zone::new("mydomain.org").records(records))
        .build();
    rota.start();
    rota
}

#[test]
fn what_was_not_ours_is_taken_over_from_the_record_that_was_read() {
    for (records, state, generation) in [
        ("imap A 198.51.100.9", "foreign", 1),
        ("_rotad TXT \"hello\"", "foreign", 1),
        ("_rotad 0 TXT \"v=1 cluster=other owner=somebody generation=7\"\nimap A 198.51.100.9", "foreign", 8),
        ("_rotad 0 TXT \"v=1 cluster=mail owner=somebody generation=7\"", "standby", 8),
    ] {
        let mut rota = contact(&format!("{records}\nwww A 203.0.113.80\n@ TXT \"v=spf1 -all\""));
        rota.expect_zone_state("mydomain.org", state);
        rota.expect_journal("writing may begin");
        assert_eq!(rota.serial("mydomain.org"), 1, "{records}");
        let ran = rota.run(&["adopt", "MyDomain.org."]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(ran.out, format!("mydomain.org: is taken over, was {state}\n"));
        rota.expect_in_sync();
        rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
        rota.expect_journal(&format!("mydomain.org: is taken over, was {state}"));
        let record = rota.named.txt("_rotad.mydomain.org");
        assert_eq!(record.len(), 1, "{records}");
        assert!(record.first().unwrap().ends_with(&format!(" generation={generation}")), "{records}: {record:?}");
        assert_eq!(rota.serial("mydomain.org"), 2, "{records}: one message");
        // What is not ours is not touched.
        assert_eq!(rota.named.a("www.mydomain.org").len(), 1);
        assert_eq!(rota.named.txt("mydomain.org").len(), 1);
        // It stays ours.
        rota.restart();
        rota.expect_in_sync();
        assert_eq!(rota.serial("mydomain.org"), 2, "{records}");
    }
}

#[test]
fn while_held_a_zone_is_adopted_later() {
    let mut rota = contact("imap A 198.51.100.9");
    rota.expect_zone_state("mydomain.org", "foreign");
    assert_eq!(rota.run(&["hold"]).code, 0);
    let ran = rota.run(&["adopt", "mydomain.org"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("once `rotad release` lets it write"), "{ran:?}");
    rota.expect_zone_state("mydomain.org", "pending");
    assert_eq!(rota.serial("mydomain.org"), 1);
    assert_eq!(rota.run(&["release"]).code, 0);
    rota.expect_in_sync();
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
}
