//! What is done with each reader of a stranger's octets, and what must hold whatever they are.
//!
//! Plain functions: `cargo test --test fuzz` runs the corpus through them, `cargo +nightly fuzz run --fuzz-dir tests/fuzz
//! NAME` searches for more.

use std::sync::Arc;

use hickory_proto::{op::ResponseCode, rr};
use rotad::{
    check::{
        Dns, Http, Outcome, agent,
        exec::{self, End},
        http::{Header, Method},
        imap, pop3,
        smtp::ReplyReader,
        text::{LIMIT, Lines, printable},
        tls::Authorities,
    },
    state::{State, sealed},
};

/// What is shown of a peer is short, and a terminal obeys none of it.
fn harmless(shown: &str) {
    assert!(shown.chars().count() <= 200, "{} characters", shown.chars().count());
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
}

/// Gives `take` each line of what a peer says, in portions of that size. What it makes of them, and how much was kept.
fn hear<T>(said: &[u8], portion: usize, mut take: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
    let mut lines = Lines::default();
    for octets in said.chunks(portion) {
        lines.push(octets);
        while let Some(line) = lines.take_line() {
            if let Some(taken) = take(line) {
                return Some(taken);
            }
        }
        assert!(lines.room() <= LIMIT && lines.rest().len() <= LIMIT);
    }
    None
}

/// Reads the same twice, whole and octet by octet: the network's portions must not matter.
fn read<T: PartialEq + std::fmt::Debug, R: FnMut(&[u8]) -> Option<T>>(
    said: &[u8],
    reader: impl Fn() -> R,
) -> Option<T> {
    let (whole, octets) = (hear(said, said.len().max(1), reader()), hear(said, 1, reader()));
    assert_eq!(whole, octets);
    whole
}

/// An SMTP or LMTP reply.
pub fn smtp(said: &[u8]) {
    let reply = read(said, || {
        let mut reader = ReplyReader::default();
        move |line: &[u8]| reader.line(line)
    });
    if let Some(reply) = reply {
        assert!(reply.code.is_none_or(|code| code <= 999));
        harmless(reply.refusal("banner").reason());
    }
}

/// An IMAP greeting, and the answer to a command.
pub fn imap(said: &[u8]) {
    if let Some((_, shown)) = read(said, || |line: &[u8]| Some((imap::is_welcome(line), printable(line)))) {
        harmless(&shown);
    }
    read(said, || {
        let mut offered = false;
        move |line: &[u8]| {
            offered |= imap::offers_starttls(line);
            imap::completion(line).map(|obeyed| (obeyed, offered))
        }
    });
}

/// A POP3 greeting, and the answer to CAPA.
pub fn pop3(said: &[u8]) {
    if let Some((_, shown)) = read(said, || |line: &[u8]| Some((pop3::is_ok(line), printable(line)))) {
        harmless(&shown);
    }
    read(said, || {
        let mut reader = pop3::CapabilitiesReader::default();
        move |line: &[u8]| reader.line(line)
    });
}

/// An agent's line.
pub fn agent(said: &[u8]) {
    harmless(agent::verdict(said).reason());
    read(said, || |line: &[u8]| Some(agent::verdict(line)));
}

/// An answer over DNS; the first two octets are the question's id.
pub fn dns(said: &[u8]) {
    let Some((id, datagram)) = said.split_first_chunk() else { return };
    let question = Dns { port: 53, name: rr::Name::root(), rtype: rr::RecordType::SOA, rcode: ResponseCode::NoError };
    if let Some(Ok(shown) | Err(shown)) = question.verdict(u16::from_be_bytes(*id), datagram) {
        harmless(&shown);
    }
}

/// An answer over HTTP.
pub fn http(said: &[u8]) {
    let question = Arc::new(Http {
        port: 80,
        method: Method::Get,
        path: "/".to_owned(),
        host: None,
        status: vec![200],
        header: Some(Header { name: "x-ready".to_owned(), contains: "yes".to_owned() }),
        body: Some("login".to_owned()),
    });
    let hear = |portion: usize| {
        let (_, mut answer) = question.ask("node00")?;
        said.chunks(portion).find_map(|octets| answer.take(octets)).unwrap_or_else(|| answer.end())
    };
    let verdict = hear(said.len().max(1));
    // Octet by octet, unless that were thousands of looks at the same head.
    assert_eq!(verdict, hear(said.len().div_ceil(300).max(1)));
    match verdict {
        Ok(seen) => assert_eq!(seen, "status 200"),
        Err(refused) => harmless(refused.reason()),
    }
}

/// What a monitoring plugin printed.
pub fn exec(said: &[u8]) {
    for code in 0..=3 {
        harmless(exec::verdict(End::Exit(code), said).reason());
    }
    assert!(matches!(exec::verdict(End::Signal(9), said), Outcome::Unknown(_)));
}

/// A `tls_ca` file.
pub fn authorities(text: &[u8]) {
    if let Err(error) = Authorities::parse(&String::from_utf8_lossy(text)) {
        harmless(&error);
    }
}

/// A state file, as it is and with a good checksum: what is read of it is written, and read again, the same.
pub fn state(file: &[u8]) {
    let text = String::from_utf8_lossy(file);
    let body = text.lines().next_back().unwrap_or_default();
    for file in [sealed(body), text.into_owned()] {
        if let Ok(state) = State::decode(&file) {
            let written = state.encode();
            assert_eq!(State::decode(&written).map(|again| again.encode()), Ok(written));
        }
    }
}
