//! 220 banner, EHLO, 250, QUIT. Never MAIL FROM: a check leaves no half-open transaction in the node's log.

use super::{
    Talk,
    peer::{Peer, bad_banner},
};
use crate::check::{
    Outcome,
    smtp::{Hello, Reply, ReplyReader},
};

pub(super) async fn talk(mut peer: Peer, hello: Hello, name: Option<&str>) -> Talk {
    let banner = reply(&mut peer, "banner").await?;
    let verdict = match banner.code {
        Some(220) => greet(&mut peer, hello, name).await,
        Some(_) => Err(banner.refusal("banner")),
        // Not SMTP: nobody to take leave of.
        None => return Err(bad_banner(&banner.line)),
    };
    let mut answer = ReplyReader::default();
    peer.goodbye(b"QUIT\r\n", |line| answer.line(line).is_some()).await;
    verdict.map(|()| peer.pass(banner.line))
}

async fn greet(peer: &mut Peer, hello: Hello, name: Option<&str>) -> Talk<()> {
    let offer = say_hello(peer, hello, name).await?;
    if !peer.wants_starttls() {
        return Ok(());
    }
    if !offer.starttls {
        return Err(Outcome::Fail(format!("no STARTTLS in the answer to {}", hello.as_str())));
    }
    peer.send(b"STARTTLS\r\n").await?;
    let answer = reply(peer, "answer to STARTTLS").await?;
    if answer.code != Some(220) {
        return Err(answer.refusal("STARTTLS answered"));
    }
    peer.secure().await?;
    // RFC 3207 section 4.2: what was said before does not count.
    say_hello(peer, hello, name).await.map(|_| ())
}

async fn say_hello(peer: &mut Peer, hello: Hello, name: Option<&str>) -> Talk<Reply> {
    let (verb, host) = (hello.as_str(), rustix::system::uname());
    let line = match name {
        Some(name) => format!("{verb} {name}\r\n"),
        None => hello.line(&host.nodename().to_string_lossy(), peer.local()),
    };
    peer.send(line.as_bytes()).await?;
    let answer = reply(peer, &format!("answer to {verb}")).await?;
    if answer.code == Some(250) { Ok(answer) } else { Err(answer.refusal(&format!("{verb} answered"))) }
}

async fn reply(peer: &mut Peer, what: &str) -> Talk<Reply> {
    let mut reply = ReplyReader::default();
    peer.hear(what, |line| reply.line(line)).await
}
