//! TLS of checks against scripted nodes: rows A11 to A13 of the faults that rotad must stand.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use rotad::check::{
    Check, Http, Kind, Outcome, Tls, Warning,
    http::Method,
    tls::{Authorities, Begin},
};
use rustls::ServerConfig;

use super::{LOCAL, LONG, SHORT, fail, pass, probe};
use crate::support::{
    certificate::{ALWAYS, Authority, Span},
    node::{Node, Script},
};

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("ours"));

const NAME: &str = "mx.example.org";

/// A server whose certificate is good.
fn good() -> Arc<ServerConfig> {
    AUTHORITY.server(&[NAME], ALWAYS)
}

fn tls(begin: Begin) -> Tls {
    Tls {
        begin,
        name: Some(NAME.try_into().unwrap()),
        verify: true,
        authorities: Some(AUTHORITY.trusted()),
        min_days: 14,
    }
}

fn check(kind: impl Fn(u16) -> Kind, tls: Tls, port: u16, timeout: Duration) -> Check {
    let timing = super::timing(timeout);
    Check { kind: kind(port), tls: Some(tls), timing }
}

async fn ask(kind: impl Fn(u16) -> Kind, tls: Tls, script: Script, timeout: Duration) -> (Outcome, Node) {
    let node = Node::start("127.0.0.1:0", script);
    let outcome = probe(&check(kind, tls, node.address().port(), timeout), LOCAL).await;
    (outcome, node)
}

/// The same with a script that must be played to its end.
async fn ask_politely(kind: impl Fn(u16) -> Kind, tls: Tls, script: Script) -> Outcome {
    let (outcome, mut node) = ask(kind, tls, script, LONG).await;
    node.stop();
    assert_eq!(node.seen().complaints, Vec::<String>::new(), "{outcome:?}");
    outcome
}

fn warn(seen: &str, warning: &str) -> Outcome {
    Outcome::pass(seen.to_owned(), Some(Warning::Certificate(warning.to_owned())))
}

const fn tcp(port: u16) -> Kind {
    Kind::Tcp { port }
}

const fn smtp(port: u16) -> Kind {
    Kind::Smtp { port, helo: None }
}

const fn lmtp(port: u16) -> Kind {
    Kind::Lmtp { port, helo: None }
}

const fn imap(port: u16) -> Kind {
    Kind::Imap { port }
}

const fn pop3(port: u16) -> Kind {
    Kind::Pop3 { port }
}

fn http(port: u16) -> Kind {
    Kind::Http(Arc::new(Http {
        port,
        method: Method::Get,
        path: "/".to_owned(),
        host: Some(NAME.to_owned()),
        status: vec![200],
        header: None,
        body: Some("login".to_owned()),
    }))
}

/// An SMTP server that begins in plain text.
fn smtp_starttls() -> Script {
    Script::new()
        .send("220 mx ESMTP\r\n")
        .expect("EHLO ")
        .send("250-mx\r\n250-STARTTLS\r\n250 SIZE 1000\r\n")
        .expect("STARTTLS")
}

/// And goes on under TLS.
fn smtp_secured() -> Script {
    Script::new()
        .send("220 go ahead\r\n")
        .tls(&good())
        .expect("EHLO ")
        .send("250-mx\r\n250 SIZE 1000\r\n")
        .expect("QUIT")
        .send("221 bye\r\n")
}

fn imap_starttls() -> Script {
    Script::new()
        .send("* OK ready\r\n")
        .expect("a CAPABILITY")
        .send("* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\na OK\r\n")
        .expect("a STARTTLS")
}

fn pop3_starttls() -> Script {
    Script::new().send("+OK ready\r\n").expect("CAPA").send("+OK\r\nSTLS\r\n.\r\n").expect("STLS")
}

#[tokio::test]
async fn healthy_nodes_pass_under_tls() {
    let under_tls = |script| Script::new().tls(&good()).then(script);
    let begin = tls(Begin::Implicit);
    let lmtp_script = Script::new().send("220 lmtp\r\n").expect("LHLO ").send("250 lmtp\r\n").expect("QUIT");
    for (outcome, shown) in [
        (ask_politely(tcp, begin.clone(), under_tls(Script::tcp())).await, "TLS handshake done"),
        (ask_politely(smtp, begin.clone(), under_tls(Script::smtp())).await, "220 mx ESMTP"),
        (ask_politely(lmtp, begin.clone(), under_tls(lmtp_script)).await, "220 lmtp"),
        (ask_politely(imap, begin.clone(), under_tls(Script::imap())).await, "* OK [CAPABILITY IMAP4rev1] ready"),
        (ask_politely(pop3, begin.clone(), under_tls(Script::pop3())).await, "+OK ready"),
        (ask_politely(http, begin.clone(), under_tls(Script::http(200, "login"))).await, "status 200"),
    ] {
        assert_eq!(outcome, pass(shown));
    }
}

#[tokio::test]
async fn starttls_is_asked_for_and_everything_again_after_it() {
    let begin = tls(Begin::Starttls);
    assert_eq!(ask_politely(smtp, begin.clone(), smtp_starttls().then(smtp_secured())).await, pass("220 mx ESMTP"));
    let imap_secured = Script::new()
        .send("a OK go ahead\r\n")
        .tls(&good())
        .expect("a CAPABILITY")
        .send("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\na OK\r\n")
        .expect("a LOGOUT")
        .send("* BYE\r\na OK\r\n");
    assert_eq!(ask_politely(imap, begin.clone(), imap_starttls().then(imap_secured)).await, pass("* OK ready"));
    let pop3_secured = Script::new()
        .send("+OK go ahead\r\n")
        .tls(&good())
        .expect("CAPA")
        .send("+OK\r\nUSER\r\n.\r\n")
        .expect("QUIT")
        .send("+OK\r\n");
    assert_eq!(ask_politely(pop3, begin, pop3_starttls().then(pop3_secured)).await, pass("+OK ready"));
}

#[tokio::test]
async fn a11_what_is_wrong_with_a_certificate() {
    let expired: Span = [(2020, 1, 1), (2021, 11, 1)];
    let later: Span = [(2150, 3, 1), (2200, 1, 1)];
    let stranger = Authority::new("a stranger");
    for (server, wrong) in [
        (AUTHORITY.server(&[NAME], expired), "certificate expired on 2021-11-01"),
        (AUTHORITY.server(&[NAME], later), "certificate is not valid before 2150-03-01"),
        (
            AUTHORITY.server(&["other.example", "192.0.2.1"], ALWAYS),
            "certificate is for other.example, 192.0.2.1, not for mx.example.org",
        ),
        (stranger.server(&[NAME], ALWAYS), "certificate is of an unknown authority"),
    ] {
        let verify = tls(Begin::Implicit);
        let script = Script::new().tls(&server).then(Script::imap());
        let (outcome, _node) = ask(imap, verify.clone(), script.clone(), LONG).await;
        assert_eq!(outcome, fail(wrong));
        // The same by STARTTLS.
        let starttls = smtp_starttls().send("220 go\r\n").tls(&server);
        let (outcome, _node) = ask(smtp, Tls { begin: Begin::Starttls, ..verify.clone() }, starttls, LONG).await;
        assert_eq!(outcome, fail(wrong));
        // And with a blind eye: the node stays in, and what is wrong is told all the same.
        let outcome = ask_politely(imap, Tls { verify: false, ..verify }, script).await;
        let seen = "* OK [CAPABILITY IMAP4rev1] ready";
        assert_eq!(outcome, warn(seen, &format!("{wrong} (tls_verify is off)")));
        assert_eq!(outcome.reason(), format!("{seen}; {wrong} (tls_verify is off)"));
    }
}

#[tokio::test]
async fn a11_the_address_is_the_name_unless_there_is_another() {
    let by_address = Tls { name: None, ..tls(Begin::Implicit) };
    let script = |names: &[&str]| Script::new().tls(&AUTHORITY.server(names, ALWAYS)).then(Script::pop3());
    assert_eq!(ask_politely(pop3, by_address.clone(), script(&["127.0.0.1"])).await, pass("+OK ready"));
    let (outcome, _node) = ask(pop3, by_address, script(&[NAME]), LONG).await;
    assert_eq!(outcome, fail("certificate is for mx.example.org, not for 127.0.0.1"));
}

#[tokio::test]
async fn a11_the_machine_trusts_no_authority_of_a_test() {
    let platform = Tls { authorities: None, ..tls(Begin::Implicit) };
    let (outcome, _node) = ask(tcp, platform, Script::new().tls(&good()), LONG).await;
    assert_eq!(outcome, fail("certificate is of an unknown authority"));
}

#[tokio::test]
async fn a11_no_tls_or_an_old_one() {
    // A record of TLS 1.0 with the fatal alert "protocol_version", and one with a ServerHello of TLS 1.0.
    let alert = [0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46];
    let mut hello = vec![0x16, 0x03, 0x01, 0x00, 0x2a, 0x02, 0x00, 0x00, 0x26, 0x03, 0x01];
    hello.extend([7; 32]);
    hello.extend([0x00, 0x00, 0x2f, 0x00]);
    // A record that is as long as they may be.
    let mut slow = vec![0x16, 0x03, 0x03, 0x3f, 0x00];
    slow.resize(1_000, 0);
    for (script, timeout, expected) in [
        (
            Script::new().any().send(alert),
            LONG,
            "the node speaks neither TLS 1.2 nor 1.3 (received fatal alert: ProtocolVersion)",
        ),
        (
            Script::new().any().send(hello),
            LONG,
            "the node speaks neither TLS 1.2 nor 1.3 (peer is incompatible: ServerDoesNotSupportTls12Or13)",
        ),
        (
            Script::smtp(),
            LONG,
            "the node answers in plain text where TLS is expected (received corrupt message of type InvalidContentType)",
        ),
        (
            Script::new().any().send("HTTP/1.1 400 Bad Request\r\n\r\n"),
            LONG,
            "the node answers in plain text where TLS is expected (received corrupt message of type InvalidContentType)",
        ),
        (Script::new().any(), LONG, "closed in the TLS handshake"),
        (Script::new().any().reset(), LONG, "connection reset"),
        (Script::new().hang(), SHORT, "no TLS handshake in 1s"),
        (Script::new().any().drip(slow, Duration::from_millis(20)), SHORT, "no TLS handshake in 1s"),
    ] {
        let (outcome, _node) = ask(smtp, tls(Begin::Implicit), script, timeout).await;
        assert_eq!(outcome, fail(expected));
    }
}

#[tokio::test]
async fn a12_a_certificate_that_ends_soon_is_a_warning() {
    // A day of the calendar that is no more than 40 days ahead, whatever today is.
    let now = rotad::io::clock::wall() + Duration::from_hours(24 * 30);
    let day = humantime::format_rfc3339_seconds(now).to_string()[..10].to_owned();
    let parts: Vec<&str> = day.split('-').collect();
    let until = (parts[0].parse().unwrap(), parts[1].parse().unwrap(), parts[2].parse().unwrap());
    let script = Script::new().tls(&AUTHORITY.server(&[NAME], [(2020, 1, 1), until])).then(Script::pop3());
    for (min_days, verify, expected) in [
        (40, true, warn("+OK ready", &format!("certificate expires on {day}"))),
        (40, false, warn("+OK ready", &format!("certificate expires on {day}"))),
        (14, true, pass("+OK ready")),
        (0, true, pass("+OK ready")),
    ] {
        let tls = Tls { min_days, verify, ..tls(Begin::Implicit) };
        assert_eq!(ask_politely(pop3, tls, script.clone()).await, expected);
    }
}

#[tokio::test]
async fn a13_starttls_that_is_missing_refused_or_preceded_by_plain_text() {
    let smtp_quit = |answer: &str| smtp_starttls().send(answer).expect("QUIT").send("221 bye\r\n");
    let begin = tls(Begin::Starttls);
    for (outcome, expected) in [
        (ask_politely(smtp, begin.clone(), Script::smtp()).await, "no STARTTLS in the answer to EHLO"),
        (ask_politely(imap, begin.clone(), Script::imap()).await, "no STARTTLS in the answer to CAPABILITY"),
        (ask_politely(pop3, begin.clone(), Script::pop3()).await, "no STLS in the answer to CAPA"),
        (
            ask_politely(smtp, begin.clone(), smtp_quit("454 4.7.0 no TLS today\r\n")).await,
            "STARTTLS answered \"454 4.7.0 no TLS today\"",
        ),
        (
            ask_politely(imap, begin.clone(), imap_starttls().send("a NO later\r\n").expect("a LOGOUT")).await,
            "STARTTLS answered \"a NO later\"",
        ),
        (
            ask_politely(pop3, begin.clone(), pop3_starttls().send("-ERR later\r\n").expect("QUIT")).await,
            "STLS answered \"-ERR later\"",
        ),
        (
            ask_politely(smtp, begin.clone(), smtp_quit("220 go\r\n250 injected\r\n")).await,
            "plain text after STARTTLS before the TLS handshake",
        ),
        (
            ask_politely(imap, begin.clone(), imap_starttls().send("a OK go\r\n* injected")).await,
            "plain text after STARTTLS before the TLS handshake",
        ),
        (
            ask(smtp, begin.clone(), smtp_starttls().send("220 go\r\n").any().send("250 late\r\n"), LONG).await.0,
            "the node answers in plain text where TLS is expected (received corrupt message of type InvalidContentType)",
        ),
    ] {
        assert_eq!(outcome, fail(expected));
    }
}

#[test]
fn a_file_of_authorities_may_hold_several_and_other_things() {
    let (_, key) = AUTHORITY.issue(&[NAME], ALWAYS);
    let text = format!("# ours\n{}\n{}{}", AUTHORITY.pem(), key.serialize_pem(), Authority::new("a stranger").pem());
    assert_eq!(Authorities::parse(&text).unwrap().roots().len(), 2);
}
