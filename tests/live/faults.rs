//! What goes wrong in the world, and what must become of it: `tests/FAULTS.md` has the list.

mod behind;
mod bind;
mod file;
mod hidden;
mod host;
mod killed;
mod late;
mod lives;
mod network;
mod rivals;
mod state;

use super::support::{
    named::{Zone, exchange},
    proxy::{Fate, Which},
    rota::{IMAP, Rota},
};

/// The MX of a domain by the same check as its addresses: the death of a node is one transition, and one message.
const MX: &str = "mx: { publish: mx, preference: 10, exchange: \"{node}.{domain}\", checks: [imap] }";

const ZONE: &str = "mydomain.org";
const NODES: [&str; 3] = ["node00", "node01", "node02"];

/// What other people keep in the zone.
const OTHERS: &str = "@ TXT \"v=spf1 mx -all\"\n_acme-challenge 30 TXT \"token one\" \"two\"\n\
    mail._domainkey TXT \"v=DKIM1; k=rsa; p=MIGf\"\nwww A 192.0.2.80\nftp CNAME www";

/// Three nodes and a zone that is not ours alone, with a network between rotad and BIND that does as it is told.
fn built() -> Rota {
    Rota::new()
        .proxy()
        .nodes(3)
        .service(IMAP)
        .service(MX)
        .domain(ZONE, "services: [imap, mx]")
        .zone(ZONE, Zone::new(ZONE).records(OTHERS))
        .build()
}

/// The same, running, with everything in sync.
fn plain() -> Rota {
    impatient("2s")
}

/// The same, with another timeout for an answer of BIND.
fn impatient(timeout: &str) -> Rota {
    let mut rota = built();
    if timeout != "2s" {
        rota.edit("timeout: 2s", &format!("timeout: {timeout}"));
    }
    rota.start();
    rota.expect_in_sync();
    rota
}

/// The zone is as it should be with these nodes up, and everybody else's data is as it was.
fn expect_right<const N: usize>(rota: &mut Rota, nodes: [&str; N]) {
    rota.expect_a("imap.mydomain.org", nodes);
    rota.expect_mx(ZONE, nodes.map(|node| format!("10 {node}.mydomain.org")).each_ref().map(String::as_str));
    rota.expect_in_sync();
    rota.expect_a("imap.mydomain.org", nodes);
    for node in NODES {
        rota.expect_a(&format!("{node}.mydomain.org"), [node]);
    }
    assert_eq!(rota.named.txt(ZONE).len(), 1);
    assert_eq!(rota.named.txt("_acme-challenge.mydomain.org").len(), 1);
    assert_eq!(rota.named.txt("mail._domainkey.mydomain.org").len(), 1);
    assert_eq!(rota.named.a("www.mydomain.org").len(), 1);
    assert_eq!(rota.named.cname("ftp.mydomain.org").len(), 1);
    assert_eq!(rota.named.txt("_rotad.mydomain.org").len(), 1);
}

/// The generation that the zone's record has.
fn generation(rota: &Rota) -> u64 {
    let record = rota.named.txt("_rotad.mydomain.org").pop_first().expect("a record");
    record.rsplit_once("generation=").expect("a generation").1.parse().expect("a number")
}
