//! 220 banner, EHLO, 250, QUIT. Never MAIL FROM: a check leaves no half-open transaction in the node's log.

use super::{
    Talk,
    peer::{Peer, bad_banner},
};
use crate::check::{
    Outcome,
    smtp::{ReplyReader, ehlo},
};

pub(super) async fn talk(peer: &mut Peer) -> Talk {
    let mut banner = ReplyReader::default();
    let banner = peer.hear("banner", |line| banner.line(line)).await?;
    let Some(code) = banner.code else { return Err(bad_banner(&banner.line)) };
    let verdict = if code == 220 { greet(peer).await } else { Err(bad_banner(&banner.line)) };
    let mut reply = ReplyReader::default();
    peer.goodbye(b"QUIT\r\n", |line| reply.line(line).is_some()).await;
    verdict.map(|()| banner.line)
}

async fn greet(peer: &mut Peer) -> Talk<()> {
    let host = rustix::system::uname();
    let local = peer.stream.local_addr().map_err(|error| super::blame(&error))?.ip();
    peer.send(ehlo(&host.nodename().to_string_lossy(), local).as_bytes()).await?;
    let mut answer = ReplyReader::default();
    let answer = peer.hear("answer to EHLO", |line| answer.line(line)).await?;
    if answer.code == Some(250) { Ok(()) } else { Err(Outcome::Fail(format!("EHLO answered \"{}\"", answer.line))) }
}
