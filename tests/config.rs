//! cluster.yaml from outside: the sample, hostile input, size, and what is accepted.

use std::{fmt::Write, fs, path::Path, time::Duration};

use proptest::prelude::*;
use rotad::{
    cli::validate::Summary,
    cluster::{Claimed, Share},
    config::{Checked, Draft, Source},
    dns::OwnerName,
    io::files,
};

fn check(text: &str) -> Checked {
    Draft::new(&Source::new("cluster.yaml", text), Path::new("")).check([].into())
}

fn headlines(checked: &Checked) -> Vec<String> {
    checked.cluster.as_ref().err().into_iter().flatten().map(rotad::config::Problem::headline).collect()
}

const GOOD: &str = "\
bind: { key_file: rotad.key }
nodes:
  node00: { addresses: [192.0.2.10] }
  node01: { addresses: [192.0.2.11, \"2001:db8::11\"] }
checks: { imap: { kind: imap } }
services:
  imap: { publish: address, name: imap, checks: [imap] }
  own_mx: { publish: mx, exchange: \"{node}.{domain}\" }
  mx: { publish: mx, exchange: \"{node}.mail.example.org\" }
domains:
  a.org: { services: [imap, own_mx] }
  b.org: { services: [imap], nodes: [node01] }
  sub.a.org: { services: [imap], zone: a.org }
  mail.example.org: { services: [mx] }
  c.org: { services: [imap, own_mx] }
";

#[test]
fn the_sample_is_good_and_says_nothing() {
    let loaded = files::load(Path::new("etc/cluster.yaml")).unwrap();
    assert_eq!(loaded.warnings, []);
}

#[test]
fn a_good_file_is_accepted_however_it_is_saved() {
    let crlf = GOOD.replace('\n', "\r\n");
    for text in [GOOD, &format!("\u{feff}{GOOD}"), &crlf, &format!("---\n{GOOD}...\n"), GOOD.trim_end()] {
        let checked = check(text);
        assert_eq!(headlines(&checked), Vec::<String>::new());
        assert_eq!(checked.warnings, []);
    }
}

#[test]
fn anchors_are_welcome() {
    let checked = check(
        &GOOD
            .replace("{ services: [imap, own_mx] }\n  b.org", "&all { services: [imap, own_mx] }\n  b.org")
            .replace("c.org: { services: [imap, own_mx] }", "c.org: *all\n  d.org: { <<: *all, nodes: [node00] }"),
    );
    assert_eq!(headlines(&checked), Vec::<String>::new());
    assert_eq!(checked.cluster.unwrap().domains.len(), 6);
}

#[test]
fn domains_share_profiles_and_zones() {
    let cluster = check(GOOD).cluster.unwrap();
    assert_eq!(cluster.profiles.len(), 4);
    let name = |text: &str| OwnerName::parse(text).unwrap();
    assert_eq!(cluster.zones[&name("a.org")], [name("a.org"), name("sub.a.org")]);
    for (host, domain) in
        [("imap.a.org", Some("a.org")), ("x.sub.a.org", Some("sub.a.org")), ("a.org", Some("a.org")), ("org", None)]
    {
        assert_eq!(cluster.domain_of(&name(host)).map(|(name, _)| name.as_str()), domain, "{host}");
    }
    let domain = name("a.org");
    let claims: Vec<_> = cluster
        .claims(&domain, cluster.profile(&cluster.domains[&domain]).unwrap())
        .map(|claim| (claim.owner.to_string(), matches!(claim.what, Claimed::Exchange(_))))
        .collect();
    let expected = [("imap.a.org", false), ("a.org", false), ("node00.a.org", true), ("node01.a.org", true)];
    assert_eq!(claims, expected.map(|(name, exchange)| (name.to_owned(), exchange)));
}

#[test]
fn what_deserves_a_look_is_no_problem() {
    let checked = check(&GOOD.replace("192.0.2.11", "192.0.2.10").replace("2001:db8::11", "::1"));
    assert_eq!(headlines(&checked), Vec::<String>::new());
    let warnings: Vec<_> = checked.warnings.iter().map(rotad::config::Problem::headline).collect();
    assert_eq!(
        warnings,
        [
            "cluster.yaml:4:25: node \"node01\": addresses: 192.0.2.10 is also an address of node \"node00\": one record \
             for both",
            "cluster.yaml:4:37: node \"node01\": addresses: ::1 is a loopback address: only this host can reach it",
        ]
    );
}

/// `from` in the good file becomes `to`, and the file is still good.
#[test]
fn forms_that_are_accepted() {
    for (from, to) in [
        ("key_file: rotad.key", "key_file: rotad.key, server: \"::1\""),
        ("key_file: rotad.key", "key_file: keys/rotad.key, server: \"[2001:db8::1]:5353\""),
        ("key_file: rotad.key", "key_credential: tsig.key"),
        ("name: imap,", "name: \"@\","),
        ("name: imap,", "name: a.b.c,"),
        ("name: imap,", "name: IMAP, min_healthy: 50%,"),
        ("kind: imap", "kind: imap, tls: none"),
        ("kind: imap", "kind: imap, interval: 1s"),
        ("kind: imap", "kind: imap, interval: 100ms, fast_interval: 50ms, timeout: 90ms"),
        ("kind: imap", "kind: http, status: [200, 302], body: x, path: \"/a?b=c%20d\", host: \"a.org:8080\""),
        ("kind: imap", "kind: imap, flap_hold: false, jitter: 0%, down_interval: 1m"),
        ("services:", "defaults: { interval: 30s, fast_interval: 5s, fall: 2, flap_hold: false }\nservices:"),
        ("services:", "defaults: {}\nservices:"),
        ("nodes: [node01]", "nodes: [node01, node00]"),
        (
            "domains:",
            "cluster: mail\nsafety: { all_down: all, references: [\"192.0.2.1:53\"], max_change: 0% }\ndomains:",
        ),
        ("exchange: \"{node}.mail.example.org\"", "exchange: mx.elsewhere.example, preference: 0"),
        ("exchange: \"{node}.{domain}\"", "exchange: \"{node}.{domain}.hosting.example\""),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        assert_eq!(headlines(&check(&text)), Vec::<String>::new(), "{to}");
    }
}

#[test]
fn a_check_says_more_than_the_defaults_and_they_more_than_what_is_built_in() {
    let timing = |defaults: &str, own: &str| {
        let text = GOOD.replace("services:\n  imap:", &format!("defaults: {{ {defaults} }}\nservices:\n  imap:"));
        let text = text.replace("kind: imap", &format!("kind: imap{own}"));
        check(&text).cluster.unwrap().checks["imap"].timing.clone()
    };
    let built_in = timing("", "");
    let seconds = Duration::from_secs;
    assert_eq!((built_in.interval, built_in.fast_interval, built_in.timeout), (seconds(10), seconds(2), seconds(5)));
    assert_eq!((built_in.down_interval, built_in.jitter, built_in.flap_hold), (seconds(10), 10, Some(seconds(30))));
    let defaults = "interval: 30s, fall: 2, jitter: 20%, flap_hold: false";
    let given = timing(defaults, "");
    assert_eq!((given.interval, given.down_interval, given.fall, given.rise), (seconds(30), seconds(30), 2, 3));
    assert_eq!((given.jitter, given.flap_hold), (20, None));
    let own = timing(defaults, ", interval: 20s, fall: 4, flap_hold: 1m, jitter: 0%");
    assert_eq!((own.interval, own.down_interval, own.fall), (seconds(20), seconds(20), 4));
    assert_eq!((own.jitter, own.flap_hold), (0, Some(seconds(60))));
    let short = timing("interval: 1s", "");
    assert_eq!((short.fast_interval, short.timeout), (seconds(1), seconds(1) / 2), "it brings the others down");
}

#[test]
fn the_summary_counts_the_zones_that_a_death_writes() {
    let fan_out = |text: &str| {
        let summary = Summary::of(&check(text).cluster.unwrap());
        summary.fan_out.into_iter().map(|felt| (felt.node, felt.zones)).collect::<Vec<_>>()
    };
    let expected = |zones: [usize; 2]| [("node00".to_owned(), zones[0]), ("node01".to_owned(), zones[1])];
    // a.org (with sub.a.org in it), b.org on node01 alone, c.org; mail.example.org follows no check.
    assert_eq!(fan_out(GOOD), expected([2, 3]));
    let drained = GOOD.replace("[192.0.2.10]", "[192.0.2.10], admin_state: drain");
    assert_eq!(fan_out(&drained), expected([0, 3]));
    let pinned = drained.replace("name: imap,", "name: imap, pinned: { name: \"imap{index}\" },");
    assert_eq!(fan_out(&pinned), expected([2, 3]));
    assert_eq!(fan_out(&GOOD.replace("checks: [imap]", "checks: []")), expected([0, 0]));
}

#[test]
fn an_exchange_that_is_a_shared_name_deserves_a_look() {
    let checked = check(&GOOD.replace("exchange: \"{node}.{domain}\"", "exchange: \"imap.{domain}\""));
    assert_eq!(headlines(&checked), Vec::<String>::new());
    let warnings: Vec<_> = checked.warnings.iter().map(rotad::config::Problem::headline).collect();
    assert_eq!(
        warnings,
        [
            "cluster.yaml:8:36: service \"own_mx\": imap.a.org is the addresses of service \"imap\" and an MX exchange of \
          service \"own_mx\": its addresses follow membership, not health"
        ]
    );
}

#[test]
fn one_exchange_with_two_preferences_deserves_a_look() {
    let warned = |exchanges: &[(&str, u16)], domains: &str| {
        let service = |(at, (exchange, preference)): (usize, &(&str, u16))| {
            format!("  mx{at}: {{ publish: mx, preference: {preference}, exchange: \"{exchange}\" }}\n")
        };
        let services = exchanges.iter().enumerate().map(service).collect::<Vec<_>>().concat();
        let (head, _) = GOOD.split_once("services:\n").unwrap();
        let checked = check(&format!("{head}services:\n{services}domains:\n{domains}"));
        assert_eq!(headlines(&checked), Vec::<String>::new(), "{services}{domains}");
        checked.warnings.iter().map(rotad::config::Problem::headline).collect::<Vec<_>>()
    };
    let both = "  b.org: { services: [mx0, mx1] }\n";
    assert_eq!(
        warned(&[("{node}.mail.example.org", 10), ("{node}.mail.example.org", 50)], both),
        ["cluster.yaml:8:49: service \"mx1\": gives node00.mail.example.org to domain \"b.org\" as an exchange with \
             preference 50, and service \"mx0\" gives it with 10: it is no backup of itself; write another exchange, or leave \
             one of the two services out there"]
    );
    let of_mail = "  b.org: { services: [mx0, mx1] }\n  mail.example.org: { services: [mx1, mx0] }\n";
    let apart = "  b.org: { services: [mx0] }\n  c.org: { services: [mx1] }\n";
    let by_nodes = "  b.org: { services: [mx0], nodes: [node00] }\n  c.org: { services: [mx1], nodes: [node01] }\n";
    for (exchanges, domains, warnings) in [
        ([("mail.example.org", 10), ("mail.example.org", 20)], both, 1),
        ([("MAIL.example.org", 20), ("mail.example.org.", 10)], both, 1),
        ([("mx{index}.{domain}", 5), ("mx{index}.{domain}", 0)], both, 1),
        ([("{node}.b.org", 5), ("{node}.{domain}", 0)], both, 1),
        // Only in one domain of those that share the services, and not the first of them.
        ([("mx.mail.example.org", 10), ("mx.{domain}", 50)], of_mail, 1),
        ([("mx.{domain}", 10), ("mx.mail.example.org", 50)], of_mail, 1),
        ([("mx.mail.example.org", 10), ("mx.{domain}", 10)], of_mail, 0),
        ([("mail.example.org", 10), ("mail.example.org", 10)], both, 0),
        ([("mail.example.org", 10), ("backup.example.org", 50)], both, 0),
        ([("{node}.mail.example.org", 10), ("{node}.mail.example.org", 50)], apart, 0),
        ([("{node}.mail.example.org", 10), ("{node}.mail.example.org", 50)], by_nodes, 0),
    ] {
        let found = warned(&exchanges, domains);
        assert_eq!(found.len(), warnings, "{exchanges:?} {domains}: {found:?}");
    }
}

#[test]
fn a_share_rounds_up() {
    let cluster = check(&GOOD.replace("name: imap,", "name: imap, min_healthy: 50%,")).cluster.unwrap();
    assert_eq!(cluster.services["imap"].min_healthy, Share::Percent(50));
    assert_eq!(cluster.services["imap"].min_healthy.of(3), 2);
}

#[test]
fn hostile_files_end_in_one_problem() {
    let deep_block = (0..5_000).fold(String::new(), |mut text, level| {
        let _ = writeln!(text, "{:level$}a:", "");
        text
    });
    let bomb = (0..30).fold("a0: &a0 [x, x]\n".to_owned(), |mut text, level| {
        let _ = writeln!(text, "a{}: &a{} [*a{level}, *a{level}]", level + 1, level + 1);
        text
    });
    for text in
        [&"[".repeat(200_000), &deep_block, &bomb, "a: &a {b: *a}", "\0", "%YAML 3.0\n---\n", "? ? ?", "- - - - -"]
    {
        let checked = check(text);
        let found = headlines(&checked);
        assert_eq!(found.len(), 1, "{found:?}");
    }
}

#[test]
fn a_file_beyond_the_cap_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.yaml");
    fs::write(&path, vec![b'#'; (8 << 20) + 1]).unwrap();
    let refused = files::load(&path).unwrap_err();
    assert_eq!(refused.headline(), format!("{}: cannot read it: it is larger than 8 MiB", path.display()));
    fs::write(&path, "").unwrap();
    assert!(files::load(&path).unwrap_err().headline().contains("the file is empty"));
    fs::remove_file(&path).unwrap();
    assert!(files::load(&path).unwrap_err().headline().contains("No such file"));
}

#[test]
fn a_hundred_thousand_domains_load() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.yaml");
    let list = (0..100_000).fold(String::new(), |mut list, number| {
        let _ = writeln!(list, "customer{number}.example.net");
        list
    });
    fs::write(folder.path().join("customers.txt"), list).unwrap();
    fs::write(&path, format!("{GOOD}domain_lists: [{{ file: customers.txt, services: [imap, own_mx, mx] }}]\n"))
        .unwrap();
    let loaded = files::load(&path).unwrap();
    assert_eq!((loaded.cluster.domains.len(), loaded.cluster.profiles.len()), (100_005, 5));

    let written = (0..100_000).fold(GOOD.to_owned(), |mut text, number| {
        let _ = writeln!(text, "  customer{number}.example.net: {{ services: [imap, own_mx] }}");
        text
    });
    assert_eq!(check(&written).cluster.unwrap().domains.len(), 100_005);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = check(&String::from_utf8_lossy(&bytes)).cluster;
    }

    /// A good file with a piece replaced gets far deeper than noise does.
    #[test]
    fn no_edit_makes_it_panic(at in 0..GOOD.len(), length in 0..40_usize, piece in "[-a-z0-9:{}\\[\\]\"'&*!%@,. \n\t\u{0}é]{0,20}") {
        let mut text = GOOD.to_owned();
        text.replace_range(at..(at + length).min(GOOD.len()), &piece);
        match check(&text).cluster {
            Ok(_) => {}
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }
}
