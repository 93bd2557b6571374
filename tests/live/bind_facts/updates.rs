//! Answers to an UPDATE.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime},
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};
use rotad::{
    dns::{
        RrType::{A, Aaaa, Cname, Mx},
        RrsetId,
    },
    io::primary::Primary,
    plan::Change,
    update::{GenerationRrset, TsigTrouble, Update, Verdict},
};

use super::{Writer, ZONE, name, record, rrset, set};
use crate::support::named::{KEY, Named, Zone, exchange, primary};

fn texts<const N: usize>(texts: [&str; N]) -> std::collections::BTreeSet<String> {
    texts.map(str::to_owned).into()
}

#[tokio::test]
async fn replacing_a_set_by_itself_moves_no_serial_and_by_another_moves_it_once() {
    let named = Named::with_zone(ZONE);
    let mut writer = Writer::new(named.primary(), ZONE);
    let two = set("imap.example.org", A, &["192.0.2.1", "192.0.2.2"]);
    assert_eq!(writer.push(std::slice::from_ref(&two)).await, Verdict::Applied);
    let serial = named.serial(ZONE);
    assert_eq!(writer.push_in_place(std::slice::from_ref(&two)).await, Verdict::Applied);
    assert_eq!(named.serial(ZONE), serial, "the same again");
    assert_eq!(
        writer.push_in_place(&[set("imap.example.org", A, &["192.0.2.2", "192.0.2.3"])]).await,
        Verdict::Applied
    );
    assert_eq!(named.serial(ZONE), serial + 1, "another set");
    assert_eq!(named.a("imap.example.org"), texts(["192.0.2.2", "192.0.2.3"]));
}

#[tokio::test]
async fn a_ttl_belongs_to_the_set_and_its_change_moves_the_serial() {
    let named = Named::with_zone(ZONE);
    let mut writer = Writer::new(named.primary(), ZONE);
    writer.push(&[set("imap.example.org", A, &["192.0.2.1", "192.0.2.2"])]).await;
    let serial = named.serial(ZONE);
    let id = RrsetId { owner: name("imap.example.org"), rtype: A };
    let after = Some(rrset(A, 30, &["192.0.2.1", "192.0.2.2"]));
    assert_eq!(writer.push_in_place(&[Change { id, before: None, after }]).await, Verdict::Applied);
    assert_eq!(named.serial(ZONE), serial + 1);
    named.nsupdate("update add imap.example.org 15 A 192.0.2.3").unwrap();
    let answer = named.query("imap.example.org", RecordType::A);
    assert_eq!(answer.answers.len(), 3);
    assert!(answer.answers.iter().all(|record| record.ttl == 15), "{answer}");
}

#[tokio::test]
async fn an_unsigned_update_is_refused_without_signature() {
    let named = Named::with_zone(ZONE);
    let writer = Writer::new(named.primary(), ZONE);
    let answer = exchange(named.address(), &writer.update(&[]).message().unwrap().to_vec().unwrap()).unwrap();
    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!((answer.response_code, answer.signature()), (ResponseCode::Refused, None));
}

#[tokio::test]
async fn five_causes_give_one_signed_refusal() {
    let main = Named::builder()
        .key("other", "hmac-sha256")
        .zone(Zone::read_only("none.example").records("imap A 192.0.2.9").statement("allow-transfer { any; };"))
        .zone(Zone::read_only("other.example").statement("allow-update { key other; };"))
        .zone(Zone::new("frozen.example"))
        .zone(Zone::with_policy("policy.example", &format!("grant {KEY} name imap.policy.example A;")))
        .start();
    let secondary = Named::builder().zone(Zone::secondary("none.example", main.port)).start();
    crate::support::named::eventually("the secondary has the zone", || !secondary.a("imap.none.example").is_empty());
    main.rndc(&["freeze", "frozen.example"]).unwrap();
    for (named, zone) in [
        (&main, "none.example"),
        (&main, "other.example"),
        (&main, "frozen.example"),
        (&main, "policy.example"),
        (&secondary, "none.example"),
    ] {
        let mut writer = Writer::new(named.primary(), zone);
        let verdict = writer.push(&[set(&format!("imap.{zone}"), A, &["192.0.2.1"])]).await;
        assert_eq!(verdict, Verdict::Refused, "{zone}");
        let words = verdict.words(&name(zone));
        for cause in ["key", "allow-update", "update-policy", "secondary", "frozen"] {
            assert!(words.contains(cause), "{words}");
        }
    }
    main.rndc(&["thaw", "frozen.example"]).unwrap();
    assert_eq!(Writer::new(main.primary(), "frozen.example").push(&[]).await, Verdict::Applied);
}

/// A writer whose key file has this text.
fn writer_with_key(named: &Named, text: &str) -> Writer {
    let path = named.path().join("ours.key");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    Writer::new(primary(&named.bind_with(&path)), ZONE)
}

#[tokio::test]
async fn an_unknown_key_and_a_wrong_secret_are_told_apart() {
    let named = Named::with_zone(ZONE);
    let good = fs::read_to_string(named.key_file(KEY)).unwrap();
    let unknown = writer_with_key(&named, &good.replace(KEY, "stranger")).push(&[]).await;
    assert!(
        matches!(&unknown, Verdict::Tsig(TsigTrouble::BadKey(key)) if key.name.as_str() == "stranger"),
        "{unknown:?}"
    );
    let algorithm = writer_with_key(&named, &good.replace("sha256", "sha512")).push(&[]).await;
    assert!(matches!(algorithm, Verdict::Tsig(TsigTrouble::BadKey(_))), "{algorithm:?}");
    let wrong = "key \"rotad\" { algorithm hmac-sha256; secret \"bm90IHRoZSBzZWNyZXQ=\"; };";
    let wrong = writer_with_key(&named, wrong).push(&[]).await;
    assert!(matches!(wrong, Verdict::Tsig(TsigTrouble::BadSig(_))), "{wrong:?}");
    let words = wrong.words(&name(ZONE));
    for part in ["\"rotad\"", "hmac-sha256", "ours.key:1", "BADSIG"] {
        assert!(words.contains(part), "{words}");
    }
    assert_eq!(named.txt("_rotad.example.org"), texts([]), "nothing was written");
}

#[tokio::test]
async fn of_two_keys_the_one_that_works_is_used() {
    let named = Named::with_zone(ZONE);
    let good = fs::read_to_string(named.key_file(KEY)).unwrap();
    let both = format!("{}\n{good}", good.replace(KEY, "retired"));
    let mut writer = writer_with_key(&named, &both);
    assert_eq!(writer.push(&[]).await, Verdict::Applied);
    let refusals = |named: &Named| named.log().matches("retired").count();
    let before = refusals(&named);
    assert_eq!(writer.push(&[]).await, Verdict::Applied);
    assert_eq!(refusals(&named), before, "the working key is remembered");
}

#[tokio::test]
async fn every_algorithm_signs_and_verifies() {
    let algorithms = ["hmac-md5", "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"];
    let keys = algorithms.map(|algorithm| format!("key {algorithm};")).join(" ");
    let zone = Zone::read_only(ZONE).statement(&format!("allow-update {{ {keys} }};"));
    let named =
        algorithms.iter().fold(Named::builder().zone(zone), |named, algorithm| named.key(algorithm, algorithm)).start();
    let mut writer = Writer::new(named.primary(), ZONE);
    for algorithm in algorithms {
        writer.primary = primary(&named.bind_with(&named.key_file(algorithm)));
        assert_eq!(writer.push(&[]).await, Verdict::Applied, "{algorithm}");
    }
}

#[tokio::test]
async fn clocks_that_differ_are_told_by_how_much() {
    fn an_hour_ahead() -> SystemTime {
        rotad::io::clock::wall() + Duration::from_hours(1)
    }
    fn an_hour_behind() -> SystemTime {
        rotad::io::clock::wall() - Duration::from_hours(1)
    }
    fn within_the_fudge() -> SystemTime {
        rotad::io::clock::wall() + Duration::from_secs(290)
    }
    let named = Named::with_zone(ZONE);
    let bind = named.bind_with(&named.key_file(KEY));
    let keys = || std::sync::Arc::new(rotad::io::keys::load(&bind.key, false).unwrap());
    for (clock, words) in [
        (an_hour_ahead as fn() -> SystemTime, "our clock is 3600 s ahead of named's"),
        (an_hour_behind, "named's clock is 3600 s ahead of ours"),
    ] {
        let verdict = Writer::new(Primary::with_clock(&bind, keys(), clock), ZONE).push(&[]).await;
        let Verdict::Tsig(TsigTrouble::BadTime { server_time, our_time }) = verdict else { panic!("{verdict:?}") };
        assert!((3599..=3601).contains(&server_time.abs_diff(our_time)), "{server_time} {our_time}");
        let told = verdict.words(&name(ZONE));
        assert!(told.contains(words) || told.contains("3599") || told.contains("3601"), "{told}");
    }
    assert_eq!(
        Writer::new(Primary::with_clock(&bind, keys(), within_the_fudge), ZONE).push(&[]).await,
        Verdict::Applied
    );
}

#[tokio::test]
async fn a_zone_that_is_not_served_and_a_name_outside_the_zone() {
    let named = Named::with_zone(ZONE);
    assert_eq!(Writer::new(named.primary(), "elsewhere.example").push(&[]).await, Verdict::NotAuth);
    let outside = set("imap.elsewhere.example", A, &["192.0.2.1"]);
    assert_eq!(Writer::new(named.primary(), ZONE).push(&[outside]).await, Verdict::NotZone);
}

#[tokio::test]
async fn a_failed_guard_changes_nothing() {
    let named = Named::with_zone(ZONE);
    let mut writer = Writer::new(named.primary(), ZONE);
    writer.push(&[]).await;
    let serial = named.serial(ZONE);
    let change = set("imap.example.org", A, &["192.0.2.1"]);
    for guard in [GenerationRrset::Absent, (&record(7)).into()] {
        let update = Update { guard, ..writer.update(std::slice::from_ref(&change)) };
        assert_eq!(writer.primary.update_unchecked(&update).await.unwrap(), Verdict::GuardFailed);
    }
    assert_eq!(named.serial(ZONE), serial);
}

#[tokio::test]
async fn a_set_that_is_not_as_it_was_read_is_neither_deleted_nor_made_nor_replaced() {
    let records = "imap A 192.0.2.1\nalias CNAME Target.Elsewhere.Test.\n@ MX 10 MX.Elsewhere.Test.";
    let named = Named::builder().zone(Zone::new(ZONE).records(records)).start();
    let mut writer = Writer::new(named.primary(), ZONE);
    writer.push(&[]).await;
    let change = |owner: &str, rtype, before: &[&str], after: &[&str]| {
        let set = |data: &[&str]| (!data.is_empty()).then(|| rrset(rtype, 300, data));
        Change { id: RrsetId { owner: name(owner), rtype }, before: set(before), after: set(after) }
    };
    for (change, is_as_read) in [
        (change("imap.example.org", A, &[], &["192.0.2.2"]), false),
        (change("imap.example.org", A, &["192.0.2.2"], &[]), false),
        (change("imap.example.org", A, &["192.0.2.2"], &["192.0.2.3"]), false),
        (change("other.example.org", A, &["192.0.2.2"], &[]), false),
        (change("other.example.org", A, &[], &["192.0.2.2"]), true),
        (change("imap.example.org", A, &["192.0.2.1"], &["192.0.2.3"]), true),
        (change("imap.example.org", A, &["192.0.2.3"], &[]), true),
        // Whatever the case of a name, and the TTL.
        (change("alias.example.org", Cname, &["target.elsewhere.test"], &[]), true),
        (change("example.org", Mx, &["mx.elsewhere.test"], &["mx.other.test"]), true),
    ] {
        let update = Update { exact: true, ..writer.update(std::slice::from_ref(&change)) };
        let verdict = writer.primary.update_unchecked(&update).await.unwrap();
        assert_eq!(verdict, if is_as_read { Verdict::Applied } else { Verdict::GuardFailed }, "{change:?}");
        if is_as_read {
            writer.took(&update);
        }
    }
}

#[tokio::test]
async fn an_address_beside_a_cname_is_ignored_and_the_rest_applied() {
    let named =
        Named::builder().zone(Zone::new(ZONE).records("imap CNAME host\npop A 192.0.2.9\nhost A 192.0.2.9")).start();
    let mut writer = Writer::new(named.primary(), ZONE);
    let changes = [
        set("imap.example.org", A, &["192.0.2.1"]),
        set("pop.example.org", Cname, &["host.example.org"]),
        set("smtp.example.org", A, &["192.0.2.1"]),
    ];
    assert_eq!(writer.push(&changes).await, Verdict::Applied);
    assert_eq!(named.cname("imap.example.org"), texts(["host.example.org."]));
    assert_eq!(named.a("pop.example.org"), texts(["192.0.2.9"]));
    assert_eq!(named.a("smtp.example.org"), texts(["192.0.2.1"]));
}

#[tokio::test]
async fn a_quota_of_the_policy_drops_the_surplus() {
    let rules = format!("grant {KEY} name imap.example.org A(2); grant {KEY} name _rotad.example.org TXT;");
    let named = Named::builder().zone(Zone::with_policy(ZONE, &rules)).start();
    let mut writer = Writer::new(named.primary(), ZONE);
    let three = set("imap.example.org", A, &["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    assert_eq!(writer.push(&[three]).await, Verdict::Applied);
    assert_eq!(named.a("imap.example.org").len(), 2);
}

#[tokio::test]
async fn the_apex_keeps_its_soa_and_ns() {
    let named = Named::with_zone(ZONE);
    named.nsupdate("update delete example.org SOA\nupdate delete example.org NS").unwrap();
    assert_eq!(named.serial(ZONE), 1);
    assert_eq!(named.query(ZONE, RecordType::NS).answers.len(), 1);
}

#[tokio::test]
async fn mx_and_the_addresses_of_its_exchange() {
    let named = Named::builder().zone(Zone::new(ZONE).records("alias CNAME mx\nmx A 192.0.2.9\n@ MX 10 mx")).start();
    let mut writer = Writer::new(named.primary(), ZONE);
    // BIND does not protect the address of an exchange...
    assert_eq!(writer.push(&[set("mx.example.org", A, &[])]).await, Verdict::Applied);
    assert_eq!(named.mx(ZONE), texts(["10 mx.example.org."]));
    // ... and refuses an MX to a name without address, or to an alias.
    for exchange in ["new.example.org", "alias.example.org"] {
        let changes = [set(ZONE, Mx, &[exchange]), set("imap.example.org", A, &["192.0.2.1"])];
        assert_eq!(writer.push(&changes).await, Verdict::Refused, "{exchange}");
        assert_eq!(named.a("imap.example.org"), texts([]), "the message is rolled back");
    }
    // In one message they go together, whatever the order of the changes.
    let changes = [set(ZONE, Mx, &["new.example.org"]), set("new.example.org", Aaaa, &["2001:db8::1"])];
    assert_eq!(writer.push(&changes).await, Verdict::Applied);
    assert_eq!(named.mx(ZONE), texts(["10 new.example.org."]));
    assert_eq!(named.aaaa("new.example.org"), texts(["2001:db8::1"]));
    assert_eq!(writer.push(&[set(ZONE, Mx, &["."])]).await, Verdict::Applied, "null MX");
}

#[tokio::test]
async fn over_a_hundred_records_roll_the_message_back() {
    let named = Named::with_zone(ZONE);
    let mut writer = Writer::new(named.primary(), ZONE);
    let addresses: Vec<String> = (1..=101).map(|last| format!("192.0.2.{last}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let good = set("pop.example.org", A, &["192.0.2.1"]);
    assert_eq!(writer.push(&[good.clone(), set("imap.example.org", A, &addresses)]).await, Verdict::ServFail);
    assert_eq!(named.a("pop.example.org"), texts([]));
    assert_eq!(writer.push(&[good, set("imap.example.org", A, &addresses[..100])]).await, Verdict::Applied);
}

#[tokio::test]
async fn one_name_that_is_not_granted_poisons_its_message_and_the_probe_finds_it() {
    let rules = format!("grant {KEY} name imap.example.org A; grant {KEY} name _rotad.example.org TXT;");
    let named = Named::builder().zone(Zone::with_policy(ZONE, &rules)).start();
    let mut writer = Writer::new(named.primary(), ZONE);
    let granted = set("imap.example.org", A, &["192.0.2.1"]);
    let not_granted = set("pop.example.org", A, &["192.0.2.1"]);
    assert_eq!(writer.push(&[granted.clone(), not_granted.clone()]).await, Verdict::Refused);
    assert_eq!(named.a("imap.example.org"), texts([]));
    assert_eq!(writer.probe(std::slice::from_ref(&granted)).await, Verdict::GuardFailed, "allowed");
    assert_eq!(writer.probe(&[not_granted]).await, Verdict::Refused, "not allowed");
    assert_eq!(named.serial(ZONE), 1, "a probe changes nothing");
    assert_eq!(writer.push(&[granted]).await, Verdict::Applied);
}

#[tokio::test]
async fn the_last_set_of_a_name_takes_the_name_along() {
    let named = Named::with_zone(ZONE);
    let mut writer = Writer::new(named.primary(), ZONE);
    writer.push(&[set("imap.example.org", A, &["192.0.2.1"])]).await;
    assert_eq!(writer.push(&[set("imap.example.org", A, &[])]).await, Verdict::Applied);
    assert_eq!(named.query("imap.example.org", RecordType::A).response_code, ResponseCode::NXDomain);
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_gives_servfail_and_old_data() {
    let zone = Zone::new(ZONE).records("imap A 192.0.2.9").statement("journal \"nowhere/example.jnl\";");
    let named = Named::builder().zone(zone).start();
    let mut writer = Writer::new(named.primary(), ZONE);
    assert_eq!(writer.push(&[set("imap.example.org", A, &["192.0.2.1"])]).await, Verdict::ServFail);
    assert_eq!(named.a("imap.example.org"), texts(["192.0.2.9"]));
}

#[tokio::test]
async fn a_hand_edit_of_a_dynamic_zone_file_is_refused() {
    let named = Named::builder().zone(Zone::new(ZONE).records("imap A 192.0.2.9")).start();
    let mut writer = Writer::new(named.primary(), ZONE);
    writer.push(&[set("imap.example.org", A, &["192.0.2.1"])]).await;
    let file = named.path().join("example.org.zone");
    let edited = fs::read_to_string(&file).unwrap().replace("192.0.2.9", "192.0.2.8").replace(" 1 3600", " 100 3600");
    fs::write(&file, edited).unwrap();
    assert!(named.rndc(&["reload", ZONE]).unwrap_err().contains("dynamic zone"));
    assert_eq!(named.a("imap.example.org"), texts(["192.0.2.1"]));
}

#[tokio::test]
async fn e7_data_that_check_names_refuses_are_found_by_a_false_requirement() {
    let named = Named::builder().zone(Zone::new(ZONE)).start();
    let primary = named.primary();
    let set = |owner: &str| {
        let id = RrsetId { owner: name(owner), rtype: A };
        (id, rrset(A, 60, &["192.0.2.1"]).rdata)
    };
    let allowed = primary.permission(&name(ZONE), false, &[set("a_b.example.org").0]).await.unwrap();
    assert_eq!(allowed, Verdict::GuardFailed, "the key may write there");
    for (owner, verdict) in [("a_b.example.org", Verdict::Refused), ("ab.example.org", Verdict::GuardFailed)] {
        assert_eq!(primary.trial(&name(ZONE), &[set(owner)]).await.unwrap(), verdict, "{owner}");
    }
    assert_eq!(named.serial(ZONE), 1);
}

#[tokio::test]
async fn an_alias_takes_no_address_away_where_somebody_has_put_something_beside_it() {
    for (rtype, data) in
        [("TXT", "hello"), ("MX", "5 elsewhere.invalid."), ("AAAA", "2001:db8::99"), ("SRV", "0 0 1 x.invalid.")]
    {
        let named = Named::with_zone(ZONE);
        let mut writer = Writer::new(named.primary(), ZONE);
        assert_eq!(writer.push(&[set("pop.example.org", A, &["192.0.2.1"])]).await, Verdict::Applied);
        named.nsupdate(&format!("update add pop.example.org 60 {rtype} {data}")).unwrap();
        let [address, alias] = [(A, &["192.0.2.1"][..]), (Cname, &[])].map(|(rtype, texts)| Change {
            before: set("pop.example.org", rtype, texts).after,
            ..set("pop.example.org", rtype, if rtype == A { &[] } else { &["imap.example.org"] })
        });
        let update = Update { exact: true, ..writer.update(&[address, alias]) };
        assert_eq!(writer.primary.update_unchecked(&update).await.unwrap(), Verdict::GuardFailed, "{rtype}");
        assert_eq!(named.a("pop.example.org").len(), 1, "{rtype}");
        named.nsupdate(&format!("update delete pop.example.org {rtype}")).unwrap();
        assert_eq!(writer.primary.update_unchecked(&update).await.unwrap(), Verdict::Applied, "{rtype}");
    }
}
