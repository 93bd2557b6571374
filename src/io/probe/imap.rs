//! Greeting, CAPABILITY, LOGOUT.

use super::{
    Talk,
    peer::{Peer, bad_banner},
};
use crate::check::{
    Outcome,
    imap::{CAPABILITY, LOGOUT, STARTTLS, completion, is_welcome, offers_starttls},
    text::printable,
};

pub(super) async fn talk(mut peer: Peer) -> Talk {
    let (welcome, greeting) = peer.hear("banner", |line| Some((is_welcome(line), printable(line)))).await?;
    // `* BYE` is followed by the server's close, and anything else is not IMAP: nobody to take leave of.
    if !welcome {
        return Err(bad_banner(&greeting));
    }
    let verdict = session(&mut peer).await;
    peer.goodbye(LOGOUT, |line| completion(line).is_some()).await;
    verdict.map(|()| peer.pass(greeting))
}

async fn session(peer: &mut Peer) -> Talk<()> {
    let offered = command(peer, CAPABILITY, "CAPABILITY").await?;
    if !peer.wants_starttls() {
        return Ok(());
    }
    if !offered {
        return Err(Outcome::Fail("no STARTTLS in the answer to CAPABILITY".to_owned()));
    }
    command(peer, STARTTLS, "STARTTLS").await?;
    peer.secure().await?;
    // RFC 9051 section 6.2.1: what was said before does not count.
    command(peer, CAPABILITY, "CAPABILITY").await.map(|_| ())
}

/// Gives a command that must be obeyed; whether its answer lists STARTTLS.
async fn command(peer: &mut Peer, line: &[u8], verb: &str) -> Talk<bool> {
    peer.send(line).await?;
    let mut offered = false;
    let take = |line: &[u8]| {
        offered |= offers_starttls(line);
        completion(line).map(|obeyed| (obeyed, printable(line)))
    };
    match peer.hear(&format!("answer to {verb}"), take).await? {
        (true, _) => Ok(offered),
        (false, shown) => Err(Outcome::Fail(format!("{verb} answered \"{shown}\""))),
    }
}
