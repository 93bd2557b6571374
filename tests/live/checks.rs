//! The plain checks against scripted nodes: rows A6 to A9 and A14 to A16 of the faults that rotad must stand.

mod exec;
mod kinds;
mod memory;
mod network;
mod real;
mod tls;

use std::{
    env::current_exe,
    fs::File,
    net::{IpAddr, Ipv4Addr, TcpListener},
    process::Command,
    sync::Arc,
    time::Duration,
};

use rotad::{
    check::{Check, Http, Kind, Outcome, Target, Timing, Tls, http::Method, tls::Begin},
    cluster::{CheckName, NodeName},
    io::{
        monitor::ask_once,
        probe::{self, Trusts},
    },
};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::support::node::{Node, Script};

/// Never reached in a test that goes well.
const LONG: Duration = Duration::from_secs(20);
/// Reached on purpose.
const SHORT: Duration = Duration::from_secs(1);

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The kinds of check, without what is special to each.
#[derive(Debug, Clone, Copy)]
enum P {
    Tcp,
    Smtp,
    Imap,
    Pop3,
    Http,
    Lmtp,
    Agent,
    /// SMTP with TLS from the start, and whatever certificate.
    Smtps,
}

/// Asks once, as the node "node01".
async fn probe(check: &Check, address: IpAddr) -> Outcome {
    let target = Target { node: NodeName::new("node01"), check: CheckName::new("check"), address };
    let (found, _) = ask_once([(target.clone(), Arc::new(check.clone()))]).await.remove(&target).expect("it was asked");
    found
}

/// One deadline for a probe; nothing else of it matters here.
fn timing(timeout: Duration) -> Timing {
    let interval = 2 * timeout;
    Timing {
        interval,
        fast_interval: timeout,
        down_interval: interval,
        timeout,
        rise: 3,
        fall: 3,
        jitter: 0,
        flap_hold: None,
    }
}

fn check(protocol: P, port: u16, timeout: Duration) -> Check {
    let kind = match protocol {
        P::Tcp => Kind::Tcp { port },
        P::Smtp | P::Smtps => Kind::Smtp { port, helo: None },
        P::Lmtp => Kind::Lmtp { port, helo: None },
        P::Agent => Kind::Agent { port },
        P::Imap => Kind::Imap { port },
        P::Pop3 => Kind::Pop3 { port },
        P::Http => Kind::Http(Arc::new(Http {
            port,
            method: Method::Get,
            path: "/health?full=1".to_owned(),
            host: Some("webmail.example.org".to_owned()),
            status: vec![200, 302],
            header: None,
            body: Some("login".to_owned()),
        })),
    };
    let timing = timing(timeout);
    let tls = Tls { begin: Begin::Implicit, name: None, verify: false, authorities: None, min_days: 0 };
    Check { kind, tls: matches!(protocol, P::Smtps).then_some(tls), timing }
}

fn pass(text: &str) -> Outcome {
    Outcome::Pass(text.to_owned())
}

fn busy(text: &str) -> Outcome {
    Outcome::Busy(text.to_owned())
}

fn fail(text: &str) -> Outcome {
    Outcome::Fail(text.to_owned())
}

/// A probe that found no room at once: brief ones are asked like all others then.
async fn probe_late(check: &Check, address: IpAddr) -> Outcome {
    probe::probe(&Trusts::default(), check, &NodeName::new("node01"), address).await
}

/// Starts a node and asks it once; the node stays for questions about what it has seen.
async fn ask(protocol: P, script: Script, timeout: Duration) -> (Outcome, Node) {
    let node = Node::start("127.0.0.1:0", script);
    let outcome = probe(&check(protocol, node.address().port(), timeout), LOCAL).await;
    (outcome, node)
}

/// Asks a node of each row, all at the same time, and compares.
async fn table(rows: Vec<(P, Script, Outcome)>, timeout: Duration) {
    let asked: Vec<_> = rows
        .into_iter()
        .map(|(protocol, script, expected)| {
            tokio::spawn(async move { (protocol, expected, ask(protocol, script, timeout).await) })
        })
        .collect();
    for row in asked {
        let (protocol, expected, (outcome, node)) = row.await.expect("a probe does not panic");
        assert_eq!(outcome, expected, "{protocol:?}, {:?}", node.seen());
    }
}

#[tokio::test]
async fn healthy_nodes_pass_and_are_treated_politely() {
    for (protocol, script, shown, heard) in [
        (P::Tcp, Script::tcp(), "connection accepted", &[][..]),
        (P::Smtp, Script::smtp(), "220 mx ESMTP", &["EHLO ", "QUIT"]),
        (P::Imap, Script::imap(), "* OK [CAPABILITY IMAP4rev1] ready", &["a CAPABILITY", "a LOGOUT"]),
        (P::Pop3, Script::pop3(), "+OK ready", &["CAPA", "QUIT"]),
        (
            P::Http,
            Script::http(200, "<form id=login>"),
            "status 200",
            &[
                "GET /health?full=1 HTTP/1.1",
                "host: webmail.example.org",
                "user-agent: rotad/",
                "accept: */*",
                "connection: close",
                "",
            ],
        ),
    ] {
        let (outcome, mut node) = ask(protocol, script, LONG).await;
        node.stop();
        let seen = node.seen();
        assert_eq!(outcome, pass(shown));
        assert!(seen.complaints.is_empty(), "{protocol:?}: {seen:?}");
        assert_eq!(seen.heard.len(), heard.len(), "{seen:?}");
        assert!(seen.heard.iter().zip(heard).all(|(line, beginning)| line.starts_with(beginning)), "{seen:?}");
    }
}

#[tokio::test]
async fn a_brief_probe_without_room_finds_the_same() {
    for (protocol, script, expected) in [
        (P::Tcp, Script::tcp(), pass("connection accepted")),
        (P::Http, Script::http(200, "login"), pass("status 200")),
        (P::Http, Script::http(503, "login"), busy("status 503")),
        (P::Http, Script::request().hang(), fail("no answer in 1s")),
    ] {
        let mut node = Node::start("127.0.0.1:0", script);
        let check = check(protocol, node.address().port(), SHORT);
        assert_eq!(probe_late(&check, LOCAL).await, expected);
        assert_eq!(probe(&check, LOCAL).await, expected);
        node.stop();
        assert_eq!(probe_late(&check, LOCAL).await, fail("connection refused"));
        assert_eq!(probe(&check, LOCAL).await, fail("connection refused"));
        assert_eq!(node.seen().complaints, Vec::<String>::new(), "{protocol:?}");
    }
}

#[tokio::test]
async fn says_nothing_before_the_banner() {
    let greet_delay = Duration::from_millis(300);
    for (protocol, script) in [
        (
            P::Smtp,
            Script::new().quiet(greet_delay).send("220-wait\r\n").quiet(greet_delay).send("220 mx\r\n").expect("EHLO"),
        ),
        (P::Imap, Script::new().quiet(greet_delay).send("* OK hi\r\n").expect("a CAPABILITY")),
        (P::Pop3, Script::new().quiet(greet_delay).send("+OK hi\r\n").expect("CAPA")),
    ] {
        let (_, node) = ask(protocol, script, LONG).await;
        assert_eq!(node.seen().complaints, Vec::<String>::new(), "{protocol:?}");
    }
}

#[tokio::test]
async fn a_goodbye_that_goes_unanswered_is_still_a_pass() {
    let smtp = Script::new().send("220 mx\r\n").expect("EHLO").send("250 mx\r\n");
    let imap = |greeting| Script::new().send(greeting).expect("a CAPABILITY").send("a OK\r\n");
    let pop3 = Script::new().send("+OK\r\n").expect("CAPA").send("-ERR what\r\n");
    table(
        vec![
            (P::Smtp, smtp.clone().expect("QUIT").hang(), pass("220 mx")),
            (P::Smtp, smtp.clone().expect("QUIT").reset(), pass("220 mx")),
            (P::Smtp, smtp, pass("220 mx")),
            (P::Imap, imap("* PREAUTH hi\r\n"), pass("* PREAUTH hi")),
            (P::Imap, imap("* OK hi\r\n").expect("a LOGOUT").hang(), pass("* OK hi")),
            (P::Pop3, pop3.expect("QUIT").hang(), pass("+OK")),
        ],
        LONG,
    )
    .await;
}

#[tokio::test]
async fn a6_accepts_and_never_speaks() {
    table(
        vec![
            (P::Tcp, Script::new().hang(), pass("connection accepted")),
            (P::Smtp, Script::new().hang(), fail("no banner in 1s")),
            (P::Imap, Script::new().hang(), fail("no banner in 1s")),
            (P::Pop3, Script::new().hang(), fail("no banner in 1s")),
            (P::Http, Script::request().hang(), fail("no answer in 1s")),
            (P::Smtp, Script::new().send("220 mx\r\n").hang(), fail("no answer to EHLO in 1s")),
            (P::Imap, Script::new().send("* OK hi\r\n").hang(), fail("no answer to CAPABILITY in 1s")),
            (P::Pop3, Script::new().send("+OK hi\r\n").hang(), fail("no answer to CAPA in 1s")),
        ],
        SHORT,
    )
    .await;
}

#[tokio::test]
async fn a6_a_full_backlog_is_a_connect_timeout() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fill = Vec::new();
    while let Ok(connected) = timeout(SHORT, TcpStream::connect(address)).await {
        fill.push(connected.unwrap());
    }
    assert_eq!(probe(&check(P::Tcp, address.port(), SHORT), LOCAL).await, fail("connect timeout (1s)"));
}

#[tokio::test]
async fn a7_one_deadline_for_the_whole_probe() {
    let every = Duration::from_millis(20);
    let endless = "220-x\r\n".repeat(1_000);
    let head = "HTTP/1.1 200 OK\r\n".to_owned() + &"X-Slow: 1\r\n".repeat(1_000);
    table(
        vec![
            (P::Smtp, Script::new().drip([b'2'; 1_000], every), fail("no banner in 1s")),
            (P::Smtp, Script::new().drip(&endless, every), fail("no banner in 1s")),
            (
                P::Smtp,
                Script::new().send("220 mx\r\n").expect("EHLO").drip("250-x\r\n".repeat(1_000), every),
                fail("no answer to EHLO in 1s"),
            ),
            (P::Imap, Script::new().drip([b'*'; 1_000], every), fail("no banner in 1s")),
            (P::Pop3, Script::new().drip([b'+'; 1_000], every), fail("no banner in 1s")),
            (P::Http, Script::request().drip(head, every), fail("no answer in 1s")),
        ],
        SHORT,
    )
    .await;
}

#[tokio::test]
async fn a8_an_endless_banner_is_read_to_8_kib() {
    const GIB: u64 = 1 << 30;
    let too_long = "more than 8 KiB without an end of line";
    let endless_lines = "250-more\r\n".repeat(2_000);
    for (protocol, script, expected) in [
        (P::Smtp, Script::new().flood(GIB), fail(too_long)),
        (P::Imap, Script::new().flood(GIB), fail(too_long)),
        (P::Pop3, Script::new().flood(GIB), fail(too_long)),
        (P::Http, Script::request().flood(GIB), fail("not HTTP: invalid HTTP version")),
        (
            P::Http,
            Script::request().send("HTTP/1.1 200 OK\r\nX: ").flood(GIB),
            fail("not HTTP: more than 8 KiB before the end of a head"),
        ),
        (
            P::Http,
            Script::request().send("HTTP/1.1 200 OK\r\n\r\n").flood(GIB),
            fail("the body's first 8 KiB do not contain \"login\""),
        ),
        (
            P::Smtp,
            Script::new().send("220 mx\r\n").expect("EHLO").send(endless_lines).hang(),
            fail("more than 8 KiB of answers"),
        ),
        (
            P::Imap,
            Script::new().send("* OK hi\r\n").expect("a CAPABILITY").send("a OK\r\n").expect("a LOGOUT").flood(GIB),
            pass("* OK hi"),
        ),
    ] {
        let (outcome, mut node) = ask(protocol, script, LONG).await;
        node.stop();
        assert_eq!(outcome, expected, "{protocol:?}");
        // What the node got rid of went into socket buffers: nobody read on.
        assert!(node.seen().flooded < GIB / 16, "{} octets were taken", node.seen().flooded);
    }
}

#[tokio::test]
async fn a9_the_peers_own_words_escaped() {
    let smtp = |answer: &str| Script::new().send("220 mx\r\n").expect("EHLO").send(answer).expect("QUIT");
    table(
        vec![
            (
                P::Smtp,
                Script::new().send("220-mx\r\n220-more\r\n220 go\r\n").expect("EHLO").send("250 mx\r\n"),
                pass("220-mx"),
            ),
            (P::Smtp, Script::new().send("554 5.7.1 no\r\n").expect("QUIT"), fail("banner \"554 5.7.1 no\"")),
            (P::Smtp, Script::new().send("421 busy\r\n"), busy("banner \"421 busy\"")),
            (P::Smtp, smtp("421 4.3.2 later\r\n"), busy("EHLO answered \"421 4.3.2 later\"")),
            (P::Smtp, Script::new().send("SSH-2.0-OpenSSH_9.2\r\n"), fail("banner \"SSH-2.0-OpenSSH_9.2\"")),
            (P::Smtp, Script::new().send(b"220\0\x1b[2J\xff\r\n"), fail("banner \"220\\0\\u{1b}[2J\\xff\"")),
            (P::Smtp, Script::new().send(b"\x80\x81\n"), fail("banner \"\\x80\\x81\"")),
            (P::Smtp, Script::new().send("220-mx\r\n250 no\r\n"), fail("banner \"250 no\"")),
            (P::Smtp, smtp("502 5.5.2 what\r\n"), fail("EHLO answered \"502 5.5.2 what\"")),
            (P::Smtp, smtp("451-later\r\n451 please\r\n"), fail("EHLO answered \"451-later\"")),
            (P::Smtp, Script::new(), fail("closed before the banner")),
            (P::Smtp, Script::new().send("220-mx\r\n"), fail("closed before the banner")),
            (P::Smtp, Script::new().send("220 mx\r\n").expect("EHLO"), fail("closed before the answer to EHLO")),
            (P::Smtp, Script::new().reset(), fail("connection reset")),
            (P::Imap, Script::new().send("* BYE too many\r\n"), fail("banner \"* BYE too many\"")),
            (
                P::Imap,
                Script::new().send("* OK hi\r\n").expect("a CAPABILITY").send("a BAD what\r\n").expect("a LOGOUT"),
                fail("CAPABILITY answered \"a BAD what\""),
            ),
            (P::Imap, Script::pop3(), fail("banner \"+OK ready\"")),
            (P::Pop3, Script::new().send("-ERR [SYS/TEMP] no\r\n"), fail("banner \"-ERR [SYS/TEMP] no\"")),
            (P::Pop3, Script::smtp(), fail("banner \"220 mx ESMTP\"")),
            (P::Http, Script::http(503, "login"), busy("status 503")),
            (P::Http, Script::http(500, "login"), fail("status 500")),
            (P::Http, Script::http(200, "maintenance"), fail("the body's first 8 KiB do not contain \"login\"")),
            (P::Http, Script::request().send("220 mx\r\n"), fail("not HTTP: invalid HTTP version")),
            (P::Http, Script::request(), fail("closed before the end of the answer")),
            (
                P::Http,
                Script::request().send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
                fail("not HTTP: chunk length cannot be read as a number"),
            ),
            (P::Http, Script::request().reset(), fail("connection reset")),
            (
                P::Http,
                Script::request().send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nlog"),
                fail("closed before the end of the answer"),
            ),
        ],
        LONG,
    )
    .await;
    let long = Script::new().send([b"554 ".as_slice(), &[b'x'; 5_000], b"\r\n"].concat());
    let (outcome, _node) = ask(P::Smtp, long, LONG).await;
    assert_eq!(outcome, fail(&format!("banner \"554 {}...\"", "x".repeat(96))));
}

#[tokio::test]
async fn redirects_are_answers_like_others() {
    let redirect = "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 5\r\n\r\nlogin";
    let (outcome, node) = ask(P::Http, Script::request().send(redirect), LONG).await;
    assert_eq!((outcome, node.seen().connections), (pass("status 302"), 1));
}

#[tokio::test]
async fn nobody_listens_until_somebody_does() {
    let mut node = Node::start("127.0.0.1:0", Script::imap());
    let check = check(P::Imap, node.address().port(), LONG);
    let up = pass("* OK [CAPABILITY IMAP4rev1] ready");
    assert_eq!(probe(&check, LOCAL).await, up);
    node.stop();
    assert_eq!(probe(&check, LOCAL).await, fail("connection refused"));
    node.start_again();
    assert_eq!(probe(&check, LOCAL).await, up);
    node.restart(Script::new().send("* BYE maintenance\r\n"));
    assert_eq!(probe(&check, LOCAL).await, fail("banner \"* BYE maintenance\""));
}

#[tokio::test]
async fn a14_a15_families_are_asked_apart() {
    let v6: IpAddr = "::1".parse().unwrap();
    let only_v6 = Node::start("[::1]:0", Script::smtp());
    let asked = check(P::Smtp, only_v6.address().port(), LONG);
    assert_eq!(probe(&asked, v6).await, pass("220 mx ESMTP"));
    assert_eq!(probe(&asked, LOCAL).await, fail("connection refused"));

    let only_v4 = Node::start("127.0.0.1:0", Script::smtp());
    let asked = check(P::Smtp, only_v4.address().port(), LONG);
    assert_eq!(probe(&asked, LOCAL).await, pass("220 mx ESMTP"));
    assert_eq!(probe(&asked, v6).await, fail("connection refused"));
}

#[tokio::test]
async fn a16_what_we_cannot_ask_says_nothing_of_the_node() {
    // TCP to a broadcast address has no route: ENETUNREACH from our own kernel, and no packet.
    let broadcast = "127.255.255.255".parse().unwrap();
    for protocol in [P::Tcp, P::Smtp, P::Imap, P::Pop3, P::Http] {
        let outcome = probe(&check(protocol, 9, LONG), broadcast).await;
        assert_eq!(outcome, Outcome::Unknown("network unreachable from here".to_owned()), "{protocol:?}");
    }
}

/// Runs an ignored test in a process of its own.
fn run_alone(test: &str) {
    let run = Command::new(current_exe().unwrap()).args(["--exact", test, "--ignored"]).output().unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && told.contains("1 passed"), "{told}");
}

/// Runs this test once more where the host has another name, and says whether this is that run.
fn is_named(name: &str, test: &str) -> bool {
    if rustix::system::uname().nodename().to_string_lossy() == name {
        return true;
    }
    let output = Command::new("unshare")
        .args([
            "--uts",
            "--",
            "sh",
            "-euc",
            "hostname \"$1\" || echo \"$1\" > /proc/sys/kernel/hostname; shift; exec \"$@\"",
            "sh",
        ])
        .arg(name)
        .arg(current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .output()
        .expect("unshare (util-linux) runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

#[test]
fn a16_without_descriptors_nothing_is_said_of_the_node() {
    run_alone("checks::without_descriptors");
}

#[tokio::test]
#[ignore = "uses up a process's descriptors: run by a16_without_descriptors_nothing_is_said_of_the_node in one of its own"]
async fn without_descriptors() {
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: Some(64) }).unwrap();
    // The kernel accepts for it: a scripted node would need descriptors of its own.
    let node = TcpListener::bind("127.0.0.1:0").unwrap();
    let check = check(P::Tcp, node.local_addr().unwrap().port(), LONG);
    let taken: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let outcome = probe(&check, LOCAL).await;
    drop(taken);
    assert_eq!(outcome, Outcome::Unknown("too many open files here; raise LimitNOFILE".to_owned()));
    assert_eq!(probe(&check, LOCAL).await, pass("connection accepted"));
}

#[tokio::test]
async fn a9_a_node_that_does_not_wait_for_the_request_fails_whichever_is_first() {
    for (script, expected) in [
        (Script::smtp(), &["not HTTP: invalid HTTP version"][..]),
        (Script::new(), &["closed before the end of the answer", "connection reset"]),
    ] {
        for _ in 0..100 {
            let (outcome, _node) = ask(P::Http, script.clone(), LONG).await;
            let Outcome::Fail(reason) = &outcome else { panic!("{outcome:?}") };
            assert!(expected.contains(&reason.as_str()), "{reason}");
        }
    }
}
