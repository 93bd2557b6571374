//! `rotad sync`: zones are read now.

use std::fs;

use rustix::process::Signal;

use super::*;

/// Somebody freezes a zone, takes a line out of its file without a new serial, and thaws it.
fn take_out(rota: &mut Rota, zone: &str, name: &str) {
    rota.named.rndc(&["freeze", zone]).unwrap();
    let file = rota.named.path().join(format!("{zone}.zone"));
    rota.eventually("the zone file is written", |_| {
        let text = fs::read_to_string(&file).unwrap();
        text.contains("generation=") && text.contains(name)
    });
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(name), "{text}");
    let mut cut = String::new();
    let mut skips = false;
    for line in text.lines() {
        // A line that begins with white space belongs to the name above.
        skips = if line.starts_with(char::is_whitespace) { skips } else { line.starts_with(name) };
        if !skips {
            cut.push_str(line);
            cut.push('\n');
        }
    }
    fs::write(&file, cut).unwrap();
    rota.named.rndc(&["thaw", zone]).unwrap();
}

#[test]
fn c3_what_no_serial_tells_is_repaired_by_sync_and_beside_a_write() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .service(MX)
        .domain("mydomain.org", "services: [imap, mx]")
        .domain("beside.org", "services: [imap]")
        .start();
    rota.expect_in_sync();
    let serial = rota.serial("mydomain.org");
    take_out(&mut rota, "mydomain.org", "imap");
    rota.eventually("it is gone", |rota| rota.named.a("imap.mydomain.org").is_empty());
    assert_eq!(rota.serial("mydomain.org"), serial);
    let ran = rota.run(&["sync"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("imap.mydomain.org A was changed by somebody else"), "{ran:?}");
    assert!(ran.out.ends_with("2 zones read\n"), "{ran:?}");
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    let ran = rota.run(&["sync", "beside.org"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "1 zone read: nothing had been changed by anybody else\n"), "{ran:?}");
    // A signal reads as well; and a message that finds its guard true, and a set other than it was, has the zone read.
    take_out(&mut rota, "mydomain.org", "imap");
    rota.signal(Signal::HUP);
    rota.expect_a("imap.mydomain.org", ["node00", "node01"]);
    take_out(&mut rota, "beside.org", "imap");
    rota.kill("node01");
    rota.expect_a("imap.beside.org", ["node00"]);
    rota.revive("node01");
    rota.expect_a("imap.beside.org", ["node00", "node01"]);
    let ran = rota.run(&["sync", "nowhere.net"]);
    assert!(ran.code == 1 && ran.err.contains("nowhere.net is no zone"), "{ran:?}");
}
