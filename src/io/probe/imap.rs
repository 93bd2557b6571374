//! Greeting, LOGOUT.

use super::{
    Talk,
    peer::{Peer, bad_banner},
};
use crate::check::{
    imap::{LOGOUT, is_tagged, is_welcome},
    text::printable,
};

pub(super) async fn talk(peer: &mut Peer) -> Talk {
    let greeting = peer.hear("banner", |line| Some((is_welcome(line), printable(line)))).await?;
    match greeting {
        (true, shown) => {
            peer.goodbye(LOGOUT, is_tagged).await;
            Ok(shown)
        }
        // `* BYE` is followed by the server's close, and anything else is not IMAP: nobody to take leave of.
        (false, shown) => Err(bad_banner(&shown)),
    }
}
