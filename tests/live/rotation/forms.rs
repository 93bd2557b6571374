//! Every form of records that a mail cluster publishes.

use super::*;

#[test]
fn shared_addresses_of_several_services() {
    let mut rota = Rota::new()
        .nodes(3)
        .service(IMAP)
        .service("pop: { publish: address, name: pop, checks: [imap] }")
        .service("relay: { publish: address, name: smtp, checks: [smtp], ttl: 30s }")
        .domain("mydomain.org", "services: [imap, pop, relay]")
        .domain("other.org", "services: [pop]")
        .start();
    for name in ["imap.mydomain.org", "pop.mydomain.org", "smtp.mydomain.org", "pop.other.org"] {
        rota.expect_a(name, ["node00", "node01", "node02"]);
    }
    rota.expect_a("imap.other.org", []);
    rota.kill_check("node01", "imap");
    for name in ["imap.mydomain.org", "pop.mydomain.org", "pop.other.org"] {
        rota.expect_a(name, ["node00", "node02"]);
    }
    rota.expect_a("smtp.mydomain.org", ["node00", "node01", "node02"]);
    let records = rota.records("mydomain.org");
    let ttl =
        |name: &str, ttl: u32| records.iter().filter(|line| line.starts_with(&format!("{name}. {ttl} IN A"))).count();
    assert_eq!([ttl("imap.mydomain.org", 60), ttl("smtp.mydomain.org", 30)], [2, 3], "{records:?}");
}

#[test]
fn exchanges_outside_of_every_managed_domain() {
    let mut rota = Rota::new()
        .nodes(2)
        .service("inbound: { publish: mx, preference: 20, exchange: \"{node}.mail.example.net\", checks: [smtp] }")
        .domain("mydomain.org", "services: [inbound]")
        .start();
    rota.expect_mx("mydomain.org", ["20 node00.mail.example.net", "20 node01.mail.example.net"]);
    rota.kill("node00");
    rota.expect_mx("mydomain.org", ["20 node01.mail.example.net"]);
    rota.revive("node00");
    rota.expect_mx("mydomain.org", ["20 node00.mail.example.net", "20 node01.mail.example.net"]);
}

#[test]
fn exchanges_in_another_managed_domain() {
    let mut rota = Rota::new()
        .nodes(3)
        .service(IMAP)
        .service("inbound: { publish: mx, preference: 10, exchange: \"{node}.mail.example.org\", checks: [smtp] }")
        .domain("mail.example.org", "services: [imap]")
        .domain("mydomain.org", "services: [inbound]")
        .safety("left_over: delete")
        .start();
    let all = ["10 node00.mail.example.org", "10 node01.mail.example.org", "10 node02.mail.example.org"];
    rota.expect_mx("mydomain.org", all);
    for node in ["node00", "node01", "node02"] {
        rota.expect_a(&format!("{node}.mail.example.org"), [node]);
    }
    // Health moves the MX alone: the hosts' zone is not even written.
    let hosts = rota.serial("mail.example.org");
    rota.kill_check("node01", "smtp");
    rota.expect_mx("mydomain.org", ["10 node00.mail.example.org", "10 node02.mail.example.org"]);
    rota.expect_in_sync();
    assert_eq!(rota.serial("mail.example.org"), hosts);

    // Membership moves both, the MX first.
    rota.take_out("node00:");
    rota.expect_a("node00.mail.example.org", []);
    rota.expect_mx("mydomain.org", ["10 node02.mail.example.org"]);
    rota.expect_in_sync();
}

#[test]
fn an_alias() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .service("alias: { publish: alias, name: pop3, target: imap.mail.example.org }")
        .domain("mail.example.org", "services: [imap]")
        .domain("mydomain.org", "services: [alias]")
        .start();
    rota.expect_cname("pop3.mydomain.org", "imap.mail.example.org");
    rota.kill("node01");
    rota.expect_a("imap.mail.example.org", ["node00"]);
    rota.edit("target: imap.mail.example.org", "target: pop.example.net");
    rota.expect_cname("pop3.mydomain.org", "pop.example.net");
}

#[test]
fn a_domain_on_some_of_the_nodes() {
    let mut rota = Rota::new()
        .nodes(3)
        .service(IMAP)
        .domain("mydomain.org", "services: [imap]")
        .domain("reserved.org", "services: [imap], nodes: [node00, node01]")
        .start();
    rota.expect_a("imap.reserved.org", ["node00", "node01"]);
    let before = rota.serial("reserved.org");
    rota.kill("node02");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    rota.kill("node01");
    rota.expect_a("imap.reserved.org", ["node00"]);
    assert_eq!(rota.serial("reserved.org"), before + 1, "node02 is none of its business");
}

#[test]
fn a_domain_inside_a_larger_zone() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .service(MX)
        .domain("sub.big.org", "services: [imap, mx], zone: big.org")
        .zone("big.org", Zone::new("big.org").records("www A 192.0.2.80\nsub TXT \"theirs\""))
        .start();
    rota.expect_a("imap.sub.big.org", ["node00", "node01"]);
    rota.expect_mx("sub.big.org", ["10 node00.sub.big.org", "10 node01.sub.big.org"]);
    assert_eq!(rota.named.txt("_rotad.big.org").len(), 1);
    assert!(rota.named.txt("_rotad.sub.big.org").is_empty());
    rota.kill("node01");
    rota.expect_a("imap.sub.big.org", ["node00"]);
    assert_eq!(rota.named.txt("sub.big.org").len(), 1);
}

#[test]
fn a_name_for_each_node_and_where_it_goes_when_the_node_is_down() {
    let service = |name: &str, when_down: &str| {
        format!(
            "{name}: {{ publish: address, name: {name}, checks: [web], pinned: {{ name: \"{name}{{index}}\", when_down: {when_down} }} }}"
        )
    };
    let mut rota = Rota::new()
        .nodes(3)
        .service(&service("one", "repoint"))
        .service(&service("all", "pool"))
        .service(&service("same", "keep"))
        .domain("mydomain.org", "services: [one, all, same]")
        .start();
    let own = |rota: &mut Rota| {
        for name in ["one", "all", "same"] {
            rota.expect_a(&format!("{name}.mydomain.org"), ["node00", "node01", "node02"]);
            rota.expect_a(&format!("{name}00.mydomain.org"), ["node00"]);
            rota.expect_a(&format!("{name}01.mydomain.org"), ["node01"]);
        }
    };
    own(&mut rota);

    rota.kill("node01");
    for name in ["one", "all", "same"] {
        rota.expect_a(&format!("{name}.mydomain.org"), ["node00", "node02"]);
    }
    rota.expect_a("all01.mydomain.org", ["node00", "node02"]);
    rota.expect_a("same01.mydomain.org", ["node01"]);
    let shared = rota.named.a("all.mydomain.org");
    let stand_in = rota.named.a("one01.mydomain.org");
    assert!(stand_in.len() == 1 && stand_in.is_subset(&shared), "one healthy node: {stand_in:?}");
    rota.expect_a("one00.mydomain.org", ["node00"]);

    // With nobody left a pinned name stays: it is never removed because of health.
    rota.kill("node00");
    rota.expect_a("all01.mydomain.org", ["node02"]);
    rota.kill("node02");
    rota.expect_journal("too few healthy nodes");
    rota.revive("node01");
    rota.revive("node00");
    rota.revive("node02");
    own(&mut rota);
}

#[test]
fn the_apex_has_addresses_beside_what_others_keep_there() {
    let mut rota = Rota::new()
        .nodes(2)
        .service("site: { publish: address, name: \"@\", checks: [web] }")
        .service(MX)
        .domain("mydomain.org", "services: [site, mx]")
        .zone("mydomain.org", Zone::new("mydomain.org").records("@ TXT \"v=spf1 mx -all\""))
        .build();
    let before = rota.records("mydomain.org");
    rota.start();
    rota.expect_in_sync();
    rota.expect_a("mydomain.org", ["node00", "node01"]);
    rota.kill("node00");
    rota.expect_a("mydomain.org", ["node01"]);
    assert!(rota.records("mydomain.org").is_superset(&before));
}
