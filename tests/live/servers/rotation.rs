//! Start, a node's death and return, a hand edit, a restart, and other people's data.

use std::collections::BTreeSet;

use crate::support::{
    named::{Product, Zone},
    rota::{IMAP, MX, Rota},
};

const ZONE: &str = "mydomain.org";

/// What other people keep in the zone; the wildcard answers for names of ours that are not there yet.
const OTHERS: &str = "@ TXT \"v=spf1 mx -all\"\nwww A 192.0.2.80\nftp CNAME www\n* A 192.0.2.66\n* MX 5 stranger.example.\n\
    odd.pop TXT \"below\"\nshop.sub NS ns.elsewhere.example.\n";

/// Everything of the zone that the file does not name.
fn others(rota: &Rota) -> BTreeSet<String> {
    let is_ours = |line: &String| {
        let starts = ["_rotad.", "imap.", "pop.", "mail.", "node0"].iter().any(|start| line.starts_with(start));
        starts || line.starts_with("mydomain.org.") && line.contains(" MX ") || line.contains(" RRSIG ")
    };
    rota.records(ZONE).into_iter().filter(|line| !is_ours(line)).collect()
}

fn whole_rotation(product: Product) {
    let mut rota = Rota::new()
        .product(product)
        .nodes(3)
        .service(IMAP)
        .service(MX)
        .service("pop: { publish: address, name: pop, checks: [imap] }")
        .service("shop: { publish: address, name: shop.sub, checks: [imap] }")
        .service("mail: { publish: alias, name: mail, target: imap.example.net }")
        .domain(ZONE, "services: [imap, mx, pop, mail]")
        .domain("beside.org", "services: [imap]")
        .domain("taken.org", "services: [imap]")
        .domain("shop.sub.mydomain.org", "services: [imap], zone: mydomain.org")
        .zone(ZONE, Zone::new(ZONE).records(OTHERS))
        .zone("taken.org", Zone::new("taken.org").records("imap AAAA 2001:db8::1\nimap A 198.51.100.9\nimap TXT x"))
        .build();
    let before = others(&rota);
    rota.start();
    let all = ["node00", "node01", "node02"];
    rota.expect_a("imap.mydomain.org", all);
    rota.expect_a("pop.mydomain.org", all);
    rota.expect_cname("mail.mydomain.org", "imap.example.net");
    rota.expect_mx(ZONE, ["10 node00.mydomain.org", "10 node01.mydomain.org", "10 node02.mydomain.org"]);
    rota.expect_zone_state("beside.org", "in_sync");
    // A stranger is seen, whatever of it ANY shows.
    let taken = rota.expect_zone_state("taken.org", "foreign");
    assert!(taken["error"].as_str().unwrap().contains("198.51.100.9"), "{taken}");
    // What is delegated is blocked, the rest goes on.
    let entry = rota.expect_zone_state(ZONE, "failing");
    assert!(entry["error"].as_str().unwrap().contains("which the zone delegates"), "{entry}");

    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
    rota.expect_mx(ZONE, ["10 node00.mydomain.org", "10 node02.mydomain.org"]);
    rota.revive("node01");
    rota.expect_a("imap.mydomain.org", all);
    rota.expect_a("imap.beside.org", all);

    // A hand edit is put back: it is found at the latest at the next start.
    rota.expect_zone_state("beside.org", "in_sync");
    rota.stop();
    rota.named
        .nsupdate("zone beside.org\nupdate delete imap.beside.org A\nupdate add imap.beside.org 60 A 198.51.100.1")
        .unwrap();
    rota.start();
    rota.expect_a("imap.beside.org", all);
    rota.expect_zone_state("beside.org", "in_sync");

    let serial = rota.serial("beside.org");
    rota.restart();
    rota.expect_zone_state("beside.org", "in_sync");
    assert_eq!(rota.serial("beside.org"), serial, "a restart with nothing changed moves no serial");
    rota.kill("node02");
    rota.expect_a("imap.beside.org", ["node00", "node01"]);

    // The server ends and comes back.
    rota.named.restart();
    rota.revive("node02");
    rota.expect_a("imap.beside.org", all);
    rota.expect_a("imap.mydomain.org", all);
    assert_eq!(others(&rota), before, "other people's data are as they were");
    assert_eq!(rota.named.a("imap.taken.org"), ["198.51.100.9".to_owned()].into());
}

#[test]
#[ignore = "needs Knot DNS: tests/run.sh --real"]
fn e8_knot_is_a_primary_like_bind() {
    whole_rotation(Product::Knot);
}

#[test]
#[ignore = "needs PowerDNS: tests/run.sh --real"]
fn e8_powerdns_is_a_primary_like_bind() {
    whole_rotation(Product::PowerDns);
}
