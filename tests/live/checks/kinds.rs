//! What is special to some kinds: LMTP's greeting, HTTP's method and header, DNS over UDP, the agent's words.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
    thread,
    time::Duration,
};

use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{Name, RecordType},
};
use rotad::check::{
    Check, Dns, Http, Kind, Outcome,
    http::{Header, Method},
};

use super::{LOCAL, LONG, P, SHORT, ask, check, fail, is_named, pass, probe, probe_late, table};
use crate::support::{
    named::{Named, Zone},
    node::{Node, Script},
};

fn unknown(text: &str) -> Outcome {
    Outcome::Unknown(text.to_owned())
}

#[tokio::test]
async fn lmtp_is_greeted_as_lmtp() {
    let script = Script::new().send("220 lmtp ready\r\n").expect("LHLO ").send("250 lmtp\r\n").expect("QUIT");
    let (outcome, mut node) = ask(P::Lmtp, script, LONG).await;
    node.stop();
    assert_eq!((outcome, node.seen().complaints), (pass("220 lmtp ready"), Vec::<String>::new()));
    let script = Script::new().send("220 lmtp ready\r\n").expect("LHLO ").send("500 what\r\n").expect("QUIT");
    assert_eq!(ask(P::Lmtp, script, LONG).await.0, fail("LHLO answered \"500 what\""));
}

#[tokio::test]
async fn b2_a_name_to_greet_by() {
    for (helo, said) in [("mon.example.org", "EHLO mon.example.org\r\n"), ("[192.0.2.7]", "EHLO [192.0.2.7]\r\n")] {
        let script = Script::new().send("220 mx\r\n").expect(said).send("250 mx\r\n").expect("QUIT");
        let mut node = Node::start("127.0.0.1:0", script);
        let kind = Kind::Smtp { port: node.address().port(), helo: Some(helo.into()) };
        assert_eq!(probe(&Check { kind, ..check(P::Tcp, 1, LONG) }, LOCAL).await, pass("220 mx"));
        node.stop();
        assert_eq!(node.seen().complaints, Vec::<String>::new());
    }
}

#[tokio::test]
async fn b2_a_host_without_a_domain_name_greets_by_its_address() {
    if !is_named("rotad_1", "checks::kinds::b2_a_host_without_a_domain_name_greets_by_its_address") {
        return;
    }
    for (address, said) in [("127.0.0.1", "EHLO [127.0.0.1]\r\n"), ("::1", "EHLO [IPv6:::1]\r\n")] {
        let address: IpAddr = address.parse().unwrap();
        let script = Script::new().send("220 mx\r\n").expect(said).send("250 mx\r\n").expect("QUIT");
        let mut node = Node::start(&SocketAddr::new(address, 0).to_string(), script);
        assert_eq!(probe(&check(P::Smtp, node.address().port(), LONG), address).await, pass("220 mx"));
        node.stop();
        assert_eq!(node.seen().complaints, Vec::<String>::new());
    }
}

#[tokio::test]
async fn b3_a_page_that_has_shown_enough_passes() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n<form id=login>x\r\n";
    let every = Duration::from_millis(20);
    let slow = Script::request().send(head).send("<form id=login>").drip("x".repeat(100_000), every);
    table(
        vec![
            (P::Http, slow.clone(), pass("status 200")),
            (P::Http, Script::request().send(chunked).hang(), pass("status 200")),
            // An end that never comes, and one that comes too early.
            (P::Http, Script::request().send(head).send("login").hang(), pass("status 200")),
            (P::Http, Script::request().send(head).send("login"), pass("status 200")),
            // Not before what is asked for was seen.
            (P::Http, Script::request().send(head).send("<form id=log").hang(), fail("no answer in 1s")),
            (P::Http, Script::request().send(head).drip("a slow login", every).hang(), pass("status 200")),
        ],
        SHORT,
    )
    .await;
    let node = Node::start("127.0.0.1:0", slow);
    assert_eq!(probe_late(&check(P::Http, node.address().port(), SHORT), LOCAL).await, pass("status 200"));
}

#[tokio::test]
async fn b3_a_slow_goodbye_is_no_failure() {
    let every = Duration::from_millis(100);
    let bye = "bye ".repeat(100);
    table(
        vec![
            (
                P::Smtp,
                Script::new().send("220 mx\r\n").expect("EHLO").send("250 mx\r\n").expect("QUIT").drip(&bye, every),
                pass("220 mx"),
            ),
            (
                P::Imap,
                Script::new().send("* OK\r\n").expect("a CAP").send("a OK\r\n").expect("a LOGOUT").drip(&bye, every),
                pass("* OK"),
            ),
            (
                P::Pop3,
                Script::new().send("+OK\r\n").expect("CAPA").send("-ERR\r\n").expect("QUIT").drip(&bye, every),
                pass("+OK"),
            ),
            // What follows the line that it takes is of no matter.
            (P::Agent, Script::new().send("up\n").drip(&bye, every), pass("agent says \"up\"")),
            (P::Tcp, Script::new().drip(&bye, every), pass("connection accepted")),
        ],
        SHORT,
    )
    .await;
}

#[tokio::test]
async fn http_asks_by_its_method_and_looks_for_a_header() {
    let answer = |head: &str| format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 5\r\n\r\n");
    for (method, head, expected) in [
        (Method::Head, "X-Ready: oh yes\r\n", pass("status 200")),
        (Method::Options, "x-ready: no\r\nx-ready: yes\r\n", pass("status 200")),
        (Method::Head, "X-Ready: no\r\n", fail("header x-ready does not contain \"yes\"")),
        (Method::Head, "", fail("no header x-ready")),
        (Method::Head, "X-Ready: \u{e9}yes\r\n", pass("status 200")),
    ] {
        let script = Script::new().expect(&format!("{} /health", method.as_str())).any().send(answer(head));
        let node = Node::start("127.0.0.1:0", script);
        let kind = Kind::Http(Arc::new(Http {
            port: node.address().port(),
            method,
            path: "/health".to_owned(),
            host: None,
            status: vec![200],
            header: Some(Header { name: "x-ready".to_owned(), contains: "yes".to_owned() }),
            body: None,
        }));
        let outcome = probe(&Check { kind, ..check(P::Tcp, 1, LONG) }, LOCAL).await;
        assert_eq!(outcome, expected, "{head}");
    }
}

#[tokio::test]
async fn an_agent_says_how_its_node_is() {
    let says = |text: &str| Script::new().send(text);
    let silent = |why: &str| unknown(&format!("the agent is silent: {why}"));
    table(
        vec![
            (P::Agent, says("up\n"), pass("agent says \"up\"")),
            (P::Agent, says("75%\r\n"), pass("agent says \"75%\"")),
            (P::Agent, says("ready\nmaint\n"), pass("agent says \"ready\"")),
            // The end of the connection ends the line, too.
            (P::Agent, says("drain"), Outcome::Out("agent says \"drain\"".to_owned())),
            (P::Agent, says("maint # disk\n"), Outcome::Maint("agent says \"maint # disk\"".to_owned())),
            (P::Agent, says("down#db\n"), fail("agent says \"down#db\"")),
            (P::Agent, says("220 mx\n"), unknown("agent says \"220 mx\", which is no state")),
            (P::Agent, Script::new(), silent("closed before the word of the agent")),
            (P::Agent, Script::new().reset(), silent("connection reset")),
            (P::Agent, says("up").hang(), silent("no word of the agent in 1s")),
        ],
        SHORT,
    )
    .await;
    let mut node = Node::start("127.0.0.1:0", says("up\n"));
    node.stop();
    let outcome = probe(&check(P::Agent, node.address().port(), LONG), LOCAL).await;
    assert_eq!(outcome, silent("connection refused"));
}

fn dns(port: u16, name: &str, rcode: ResponseCode) -> Check {
    let name = Name::from_ascii(name).unwrap();
    Check { kind: Kind::Dns(Dns { port, name, rtype: RecordType::SOA, rcode }), ..check(P::Tcp, 1, SHORT) }
}

#[tokio::test]
async fn a_dns_server_answers() {
    let named = Named::builder().zone(Zone::new("example.org")).start();
    let (address, port) = (named.address().ip(), named.address().port());
    for (name, rcode, expected) in [
        ("example.org.", ResponseCode::NoError, pass("example.org. SOA: NOERROR")),
        ("nobody.example.org.", ResponseCode::NoError, fail("rcode NXDOMAIN")),
        ("nobody.example.org.", ResponseCode::NXDomain, pass("nobody.example.org. SOA: NXDOMAIN")),
        ("example.com.", ResponseCode::Refused, pass("example.com. SOA: REFUSED")),
    ] {
        assert_eq!(probe(&dns(port, name, rcode), address).await, expected);
    }
    drop(named);
    assert_eq!(probe(&dns(port, "example.org.", ResponseCode::NoError), address).await, fail("connection refused"));
}

#[tokio::test]
async fn a_dns_server_that_is_silent_or_answers_another_question() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    let ask = dns(port, "example.org.", ResponseCode::NoError);
    assert_eq!(probe(&ask, LOCAL).await, fail("no answer in 1s"));
    let server = thread::spawn(move || {
        let mut query = [0; 512];
        // The silent one's question is still there.
        socket.recv_from(&mut query).unwrap();
        let (length, peer) = socket.recv_from(&mut query).unwrap();
        let query = Message::from_vec(&query[..length]).unwrap();
        let mut answer = Message::response(query.metadata.id ^ 1, OpCode::Query);
        answer.metadata.response_code = ResponseCode::Refused;
        for datagram in [b"220 mx ESMTP\r\n".to_vec(), Vec::new(), answer.to_vec().unwrap()] {
            socket.send_to(&datagram, peer).unwrap();
        }
        answer.metadata.id ^= 1;
        answer.metadata.response_code = ResponseCode::NoError;
        socket.send_to(&answer.to_vec().unwrap(), peer).unwrap();
    });
    assert_eq!(probe(&ask, LOCAL).await, pass("example.org. SOA: NOERROR"));
    server.join().unwrap();
}
