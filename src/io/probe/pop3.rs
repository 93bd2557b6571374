//! Greeting, CAPA, QUIT.

use super::{
    Talk,
    peer::{Peer, bad_banner},
};
use crate::check::{
    Outcome,
    pop3::{Capabilities, CapabilitiesReader, is_ok},
    text::printable,
};

pub(super) async fn talk(mut peer: Peer) -> Talk {
    let (welcome, greeting) = peer.hear("banner", |line| Some((is_ok(line), printable(line)))).await?;
    if !welcome {
        return Err(bad_banner(&greeting));
    }
    let verdict = session(&mut peer).await;
    peer.goodbye(b"QUIT\r\n", |_| true).await;
    verdict.map(|()| peer.pass(greeting))
}

async fn session(peer: &mut Peer) -> Talk<()> {
    let offer = capabilities(peer).await?;
    if !peer.wants_starttls() {
        return Ok(());
    }
    if !offer.stls {
        return Err(Outcome::Fail("no STLS in the answer to CAPA".to_owned()));
    }
    peer.send(b"STLS\r\n").await?;
    let (obeyed, shown) = peer.hear("answer to STLS", |line| Some((is_ok(line), printable(line)))).await?;
    if !obeyed {
        return Err(Outcome::Fail(format!("STLS answered \"{shown}\"")));
    }
    peer.secure().await?;
    // RFC 2595 section 4: what was said before does not count.
    capabilities(peer).await.map(|_| ())
}

async fn capabilities(peer: &mut Peer) -> Talk<Capabilities> {
    peer.send(b"CAPA\r\n").await?;
    let mut answer = CapabilitiesReader::default();
    peer.hear("answer to CAPA", |line| answer.line(line)).await
}
