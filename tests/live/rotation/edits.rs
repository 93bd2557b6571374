//! The file is edited while the daemon runs.

use std::fs;

use hickory_proto::rr::RecordType;
use rustix::process::Signal;

use super::*;

/// What other people keep in a zone.
const OTHERS: &str = "@ TXT \"v=spf1 mx -all\"\n_acme-challenge 30 TXT \"token one\" \"two\"\n\
    mail._domainkey TXT \"v=DKIM1; k=rsa; p=MIGf\"\nwww A 192.0.2.80\nnode09 AAAA 2001:db8::9\nftp CNAME www\n\
    @ CAA 0 issue \"ca.example.net\"";

const NODES: [&str; 3] = ["node00", "node01", "node02"];

/// The records of a zone that are not the generation record.
fn without_record(rota: &Rota, zone: &str) -> std::collections::BTreeSet<String> {
    rota.records(zone).into_iter().filter(|line| !line.starts_with("_rotad.")).collect()
}

#[test]
fn a_drained_node_leaves_the_shared_sets_and_keeps_its_own_name() {
    let mut rota =
        Rota::new().nodes(2).service(WEBMAIL).service(MX).domain("mydomain.org", "services: [webmail, mx]").start();
    rota.edit("node01: {", "node01: { admin_state: drain,");
    rota.expect_a("webmail.mydomain.org", ["node00"]);
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org"]);
    rota.expect_a("webmail01.mydomain.org", ["node01"]);
    rota.expect_a("node01.mydomain.org", ["node01"]);
    rota.expect_journal("(node01 is drained)");
    assert_eq!(rota.status()["nodes"][1]["admin_state"], "drain");

    rota.edit("admin_state: drain", "admin_state: ready");
    rota.expect_a("webmail.mydomain.org", ["node00", "node01"]);
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org", "10 node01.mydomain.org"]);
}

#[test]
fn a_node_that_is_set_down_leaves_its_own_name_too() {
    let mut rota = Rota::new().nodes(2).service(WEBMAIL).domain("mydomain.org", "services: [webmail]").start();
    rota.edit("node01: {", "node01: { admin_state: down,");
    rota.expect_a("webmail.mydomain.org", ["node00"]);
    rota.expect_a("webmail01.mydomain.org", ["node00"]);
}

#[test]
fn a_new_node_joins_and_a_removed_one_goes() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(WEBMAIL)
        .service(MX)
        .domain("mydomain.org", "services: [webmail, mx]")
        .safety("left_over: delete")
        .start();
    rota.new_node("node02");
    rota.expect_a("webmail.mydomain.org", ["node00", "node01", "node02"]);
    rota.expect_a("webmail02.mydomain.org", ["node02"]);
    rota.expect_mx("mydomain.org", ["10 node00.mydomain.org", "10 node01.mydomain.org", "10 node02.mydomain.org"]);
    rota.expect_a("node02.mydomain.org", ["node02"]);
    rota.expect_in_sync();

    let before = rota.serial("mydomain.org");
    rota.take_out("node00:");
    rota.expect_a("webmail.mydomain.org", ["node01", "node02"]);
    rota.expect_mx("mydomain.org", ["10 node01.mydomain.org", "10 node02.mydomain.org"]);
    rota.expect_a("webmail00.mydomain.org", []);
    rota.expect_a("node00.mydomain.org", []);
    rota.expect_in_sync();
    assert_eq!(rota.serial("mydomain.org"), before + 1, "the MX and the addresses of its hosts go together");
}

#[test]
fn a_domain_that_is_taken_out_leaves_the_zone_as_it_was() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(WEBMAIL)
        .service(MX)
        .domain("stays.org", "services: [webmail, mx]")
        .domain("gone.org", "services: [mx, webmail]")
        .safety("max_change: 60%")
        .zone("gone.org", Zone::new("gone.org").records(OTHERS))
        .safety("left_over: delete")
        .build();
    let before = rota.records("gone.org");
    rota.start();
    rota.expect_in_sync();
    let full = rota.records("gone.org");
    assert!(full.is_superset(&before), "{full:?}");
    assert_eq!(full.len(), before.len() + 9, "two shared sets and two of each node's own, and the record: {full:?}");

    rota.take_out("gone.org:");
    rota.eventually("everything of ours has gone", |rota| rota.records("gone.org") == before);
    rota.expect_a("webmail.stays.org", ["node00", "node01"]);
    rota.expect_in_sync();
    assert!(rota.zone("gone.org").is_null(), "it is not ours any more");
}

#[test]
fn a_zone_out_of_reach_keeps_no_other_from_being_cleaned_up() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .service(MX)
        .domain("a.nowhere.org", "services: [imap, mx], zone: nowhere.org")
        .domain("gone.org", "services: [imap, mx]")
        .domain("stays.org", "services: [imap, mx]")
        .safety("left_over: delete")
        .build();
    let before = rota.records("gone.org");
    rota.start();
    rota.expect_zone_state("nowhere.org", "failing");
    rota.expect_zone_state("gone.org", "in_sync");
    rota.take_out("gone.org:");
    rota.eventually("everything of ours has gone", |rota| without_record(rota, "gone.org") == before);
    rota.kill("node01");
    rota.expect_a("imap.stays.org", ["node00"]);
}

#[test]
fn a_service_that_is_taken_out_leaves_the_others() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .service(MX)
        .domain("mydomain.org", "services: [imap, mx]")
        .zone("mydomain.org", Zone::new("mydomain.org").records(OTHERS))
        .safety("left_over: delete")
        .build();
    let before = rota.records("mydomain.org");
    rota.start();
    rota.expect_in_sync();
    rota.edit("services: [imap, mx]", "services: [imap]");
    rota.expect_mx("mydomain.org", []);
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.expect_in_sync();
    let left: Vec<_> = without_record(&rota, "mydomain.org").difference(&before).cloned().collect();
    assert_eq!(left.len(), 2, "the addresses of imap alone: {left:?}");
}

#[test]
fn what_somebody_else_put_in_our_place_is_not_deleted() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .domain("stays.org", "services: [imap]")
        .domain("gone.org", "services: [imap]")
        .safety("left_over: delete")
        .start();
    rota.stop();
    rota.named
        .nsupdate("zone gone.org\nupdate delete imap.gone.org A\nupdate add imap.gone.org 60 A 198.51.100.7")
        .unwrap();
    let before = without_record(&rota, "gone.org");
    rota.take_out("gone.org:");
    rota.start();
    rota.expect_in_sync();
    rota.kill("node01");
    rota.expect_a("imap.stays.org", ["node00"]);
    assert_eq!(rota.named.a("imap.gone.org").len(), 1);
    assert_eq!(without_record(&rota, "gone.org"), before);
}

#[test]
fn what_somebody_has_just_put_in_our_place_is_neither_deleted_nor_replaced() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .service("pop: { publish: address, name: pop, checks: [imap] }")
        .domain("gone.org", "services: [imap, pop]")
        .domain("stays.org", "services: [imap]")
        .safety("left_over: delete")
        .start();
    rota.expect_in_sync();
    // The daemon has seen none of this when the file changes: the serial is looked at once a minute.
    rota.named
        .nsupdate("zone gone.org\nupdate delete imap.gone.org A\nupdate add imap.gone.org 60 A 198.51.100.7")
        .unwrap();
    rota.take_out("gone.org:");
    rota.expect_a("pop.gone.org", []);
    rota.kill("node01");
    rota.expect_a("imap.stays.org", ["node00"]);
    assert_eq!(rota.named.a("imap.gone.org"), ["198.51.100.7".to_owned()].into());
}

#[test]
fn a_new_domain_is_published() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .domain("mydomain.org", "services: [imap]")
        .zone("new.org", Zone::new("new.org"))
        .start();
    rota.edit("domains:\n", "domains:\n  new.org: { services: [imap] }\n");
    rota.expect_a("imap.new.org", ["node00", "node01"]);
    rota.expect_zone_state("new.org", "in_sync");
}

#[test]
fn a_broken_edit_changes_nothing_until_it_is_mended() {
    let mut rota = Rota::new().nodes(2).service(IMAP).domain("mydomain.org", "services: [imap]").start();
    let before = rota.serial("mydomain.org");
    rota.edit("{ services: [imap]", "{ services: [imap, pop]");
    let line = rota.yaml().lines().position(|line| line.contains("[imap, pop]")).unwrap() + 1;
    let place = format!("{}:{line}:36: ", rota.file().display());
    rota.expect_journal(&place);
    let error = rota.status()["config"]["error"].to_string();
    assert!(error.contains(&place) && error.contains("pop"), "{error}");
    assert_eq!(rota.serial("mydomain.org"), before);

    // The file before is in force: health is followed.
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00"]);

    // Nor does a file that is no YAML at all.
    rota.edit("services:\n", "services: [\n");
    rota.eventually("the status tells of the newest edit", |rota| {
        let status = rota.status();
        status["config"]["error"].as_str().is_some_and(|error| !error.contains(&place))
    });
    rota.edit("services: [\n", "services:\n");
    rota.edit("[imap, pop]", "[imap]");
    rota.eventually("the error is gone", |rota| rota.status()["config"]["error"].is_null());
    rota.revive("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
}

#[test]
fn a_hangup_reads_the_file() {
    let mut rota = Rota::new().nodes(2).service(IMAP).domain("mydomain.org", "services: [imap]").start();
    let before = rota.serial("mydomain.org");
    rota.signal(Signal::HUP);
    rota.expect_journal("was read: nothing has changed");
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    assert_eq!(rota.serial("mydomain.org"), before + 1);
}

#[test]
fn a_list_of_domains_is_watched_too() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .domain("mydomain.org", "services: [imap]")
        .zone("one.org", Zone::new("one.org"))
        .zone("two.org", Zone::new("two.org"))
        .top("domain_lists:\n  - { file: customers.txt, services: [imap], nodes: [node01] }")
        .safety("left_over: delete")
        .build();
    rota.replace_file("customers.txt", "# customers\none.org\n");
    rota.start();
    rota.expect_a("imap.one.org", ["node01"]);
    rota.expect_in_sync();
    rota.replace_file("customers.txt", "two.org\n");
    rota.expect_a("imap.two.org", ["node01"]);
    rota.expect_a("imap.one.org", []);
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
}

/// Twelve domains of a list beside one, published.
fn hoster() -> (Rota, Vec<String>) {
    let names: Vec<String> = (0..12).map(|number| format!("d{number:02}.example.org")).collect();
    let all = names.iter().fold(Rota::new().nodes(3).service(IMAP), |rota, name| rota.zone(name, Zone::new(name)));
    let mut rota = all
        .domain("mydomain.org", "services: [imap]")
        .top("domain_lists:\n  - { file: customers.txt, services: [imap] }")
        .safety("left_over: delete")
        .build();
    rota.replace_file("customers.txt", &names.join("\n"));
    rota.start();
    rota.expect_in_sync();
    (rota, names)
}

#[test]
fn c2_a_ttl_changed_by_hand_is_no_edit_while_rotad_runs_and_while_it_does_not() {
    let (mut rota, names) = hoster();
    let by_hand = |rota: &Rota, ttl: u32| {
        for name in &names {
            let owner = format!("imap.{name}");
            let adds = NODES.map(|node| format!("update add {owner} {ttl} A {}", rota.ip(node)));
            let script = format!("zone {name}\nupdate delete {owner} A\n{}", adds.join("\n"));
            rota.named.nsupdate(&script).unwrap();
        }
    };
    let is_put_back = |rota: &mut Rota| {
        rota.eventually("every TTL is put back", |rota| {
            let ttl = |name: &String| rota.named.query(&format!("imap.{name}"), RecordType::A).answers[0].ttl;
            names.iter().all(|name| ttl(name) == 60) && rota.status()["mode"] == "active"
        });
        assert!(rota.status()["config"]["held_edit"].is_null());
        assert!(!rota.journal().contains("rotad accept"), "{}", rota.journal());
    };
    rota.eventually("the file is remembered", |rota| {
        fs::read_to_string(rota.path().join("state/state")).is_ok_and(|state| state.contains("\"file\":"))
    });
    by_hand(&rota, 3_600);
    let ran = rota.run(&["plan"]);
    assert!(ran.code == 3 && ran.out.contains("12 RRsets in 12 zones would change"), "{ran:?}");
    assert!(!ran.out.contains("rotad accept"), "{ran:?}");
    assert_eq!(rota.run(&["sync"]).code, 0);
    is_put_back(&mut rota);
    rota.stop();
    by_hand(&rota, 7_200);
    rota.start();
    is_put_back(&mut rota);
    // A TTL edited while it does not run is one.
    rota.stop();
    let yaml = rota.yaml();
    rota.write(&yaml.replace("ttl: 60s\n", "ttl: 120s\n"));
    rota.start();
    rota.expect_journal("rotad accept");
}

#[test]
fn c2_an_edit_that_changes_too_much_waits_to_be_accepted() {
    let (mut rota, _) = hoster();
    let good = rota.yaml();
    // The file as it is.
    let ran = rota.run(&["reload"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    assert!(ran.out.contains("is in force"), "{ran:?}");
    assert_eq!(rota.run(&["accept"]).code, 1);

    rota.take_out("node02:");
    let ran = rota.run(&["reload"]);
    let words = "this edit would change or delete 13 of 13 published RRsets, more than max_change (30%)";
    assert!(ran.code == 1 && ran.err.contains(words) && ran.err.contains("drained first, then removed"), "{ran:?}");
    assert!(!ran.err.contains("--force"), "{ran:?}");
    let config = rota.status()["config"].clone();
    let held = config["held_edit"].clone();
    let id = held["id"].as_str().unwrap().to_owned();
    assert_eq!((held["changed"].as_u64(), held["owned"].as_u64()), (Some(13), Some(13)));
    assert!(
        held["since"].is_string()
            && config["hash"].as_str().is_some_and(|hash| hash.len() == 64 && !hash.starts_with(&id))
    );
    assert!(ran.err.contains(&format!("`rotad accept {id}`")), "{ran:?}");
    rota.expect_journal(&format!("`rotad accept {id}`"));
    // What is beside the daemon knows it by the same name.
    let words = format!("`rotad accept {id}`");
    rota.eventually("what was published is saved", |rota| rota.run(&["plan"]).out.contains(&words));
    let ran = rota.run(&["apply"]);
    assert!(ran.code == 75 && ran.err.contains("`rotad accept`"), "{ran:?}");
    // Health is followed, and the node stays.
    rota.kill("node01");
    rota.expect_a("imap.d00.example.org", ["node00", "node02"]);
    rota.revive("node01");
    rota.expect_a("imap.d11.example.org", NODES);

    // Another one is not meant; a file that has changed since, or is wrong, is not what was judged.
    assert_eq!(rota.run(&["accept", "000000000000"]).code, 1);
    rota.write(&format!("{}# a word\n", rota.yaml()));
    let ran = rota.run(&["accept", &id]);
    assert!(ran.code == 1 && ran.err.contains("not") && ran.err.contains(&id), "{ran:?}");
    let edited = rota.yaml();
    rota.write("nodes: [\n");
    fs::write(rota.file(), format!("status_socket: {}/status.sock\nnodes: [\n", rota.path().display())).unwrap();
    assert_eq!(rota.run(&["accept"]).code, 1);
    let ran = rota.run(&["reload"]);
    assert!(ran.code == 78 && ran.err.contains("cluster.yaml:2:"), "{ran:?}");
    rota.write(&edited);
    assert_eq!(rota.run(&["reload"]).code, 1);
    let id = rota.status()["config"]["held_edit"]["id"].as_str().unwrap().to_owned();

    // A restart does not let it through, and the node that is not in the file is asked by nobody.
    rota.restart();
    rota.eventually("it waits again", |rota| rota.status()["config"]["held_edit"]["id"] == id.as_str());
    let unasked = format!("published, but not checked, for no node of this file has them: {}", rota.ip("node02"));
    let error = rota.status()["config"]["error"].as_str().unwrap().to_owned();
    assert!(error.contains(&unasked), "{error}");
    rota.expect_journal(&unasked);
    rota.expect_a("imap.d11.example.org", NODES);
    // Taken back, it waits no longer.
    rota.write(&good);
    assert_eq!(rota.run(&["reload"]).code, 0);
    let config = rota.status()["config"].clone();
    assert!(config["error"].is_null() && config["held_edit"].is_null(), "{config}");
    let waits = format!("let it through by `rotad accept {id}`");
    let held = rota.journal().matches(&waits).count();
    rota.write(&edited);
    assert_eq!(rota.run(&["reload"]).code, 1);
    // Held again, it is told again.
    rota.eventually("the journal has it", |rota| rota.journal().matches(&waits).count() == held + 1);
    let reads = rota.journal().matches("cluster.yaml was read: ").count();
    let ran = rota.run(&["accept", &id]);
    assert_eq!(ran.code, 0, "{ran:?}");
    rota.expect_journal(&format!("the edit {id} is accepted: it is in force"));
    assert_eq!(rota.journal().matches("cluster.yaml was read: ").count(), reads, "one line says it");
    rota.expect_a("imap.d00.example.org", ["node00", "node01"]);
    rota.expect_a("imap.d11.example.org", ["node00", "node01"]);
    rota.expect_in_sync();
    let config = rota.status()["config"].clone();
    assert!(config["error"].is_null() && config["held_edit"].is_null(), "{config}");
    // The next one, soon after, is told when it happens; and at the end nothing is told that is over.
    rota.take_out("node01:");
    assert_eq!(rota.run(&["reload"]).code, 1);
    assert_eq!(rota.run(&["accept"]).code, 0);
    rota.eventually("it is told", |rota| rota.journal().matches(" is accepted: it is in force").count() == 2);
    rota.stop();
    assert!(!rota.journal().contains("(once more in "), "{}", rota.journal());
    for command in [&["accept"][..], &["reload"]] {
        assert_eq!(rota.run(command).code, 69, "{command:?}");
    }
}

#[test]
fn c2_what_was_accepted_is_written_by_the_next_run_if_this_one_is_killed() {
    let (mut rota, names) = hoster();
    rota.eventually("what is owned is saved", |rota| {
        let state = fs::read_to_string(rota.path().join("state/state")).unwrap_or_default();
        names.iter().all(|name| state.contains(&format!("\"imap.{name} A\"")))
    });
    rota.take_out("node02:");
    assert_eq!(rota.run(&["reload"]).code, 1);
    // With BIND out of reach nothing of it is written before rotad is killed.
    rota.named.pause();
    let ran = rota.run(&["accept"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    rota.kill_daemon();
    rota.named.resume();
    rota.start();
    for name in &names {
        rota.expect_a(&format!("imap.{name}"), ["node00", "node01"]);
    }
    rota.expect_in_sync();
    assert!(rota.status()["config"]["held_edit"].is_null());
}

#[test]
fn c2_apply_alone_lets_an_edit_through_by_force() {
    let (mut rota, _) = hoster();
    rota.stop();
    rota.take_out("node02:");
    let ran = rota.run(&["apply"]);
    assert!(ran.code == 1 && ran.err.contains("apply --force"), "{ran:?}");
    rota.expect_a("imap.d11.example.org", NODES);
    let ran = rota.run(&["apply", "--force"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    rota.expect_a("imap.d11.example.org", ["node00", "node01"]);
    rota.start();
    rota.expect_in_sync();
    assert!(rota.status()["config"]["error"].is_null());
}

#[test]
fn c4_a_held_edit_leaves_the_aliases_alone() {
    let alias = "alias: { publish: alias, name: imap, target: imap.elsewhere.net }";
    let names: Vec<String> = (0..12).map(|number| format!("d{number:02}.example.org")).collect();
    let all = Rota::new().nodes(2).service(IMAP).service(alias);
    let mut rota = names.iter().fold(all, |rota, name| rota.domain(name, "services: [alias]")).start();
    let before: Vec<_> = names.iter().map(|name| rota.records(name)).collect();
    rota.stop();
    rota.write(&rota.yaml().replace("services: [alias]", "services: [imap]"));
    rota.start();
    rota.eventually("the edit waits", |rota| rota.status()["config"]["held_edit"]["changed"] == 12);
    rota.expect_zone_state("d00.example.org", "pending");
    rota.kill("node01");
    rota.expect_journal("node01 imap (");
    let status = rota.status();
    assert!(status["zones"].as_array().unwrap().iter().all(|zone| zone["state"] == "pending"), "{status}");
    assert_eq!(names.iter().map(|name| rota.records(name)).collect::<Vec<_>>(), before);
    assert!(!rota.journal().contains("nsupdate"), "{}", rota.journal());
    rota.revive("node01");
    assert_eq!(rota.run(&["accept"]).code, 0);
    rota.expect_a("imap.d11.example.org", ["node00", "node01"]);
    rota.expect_in_sync();
}
