//! Greeting, QUIT.

use super::{
    Talk,
    peer::{Peer, bad_banner},
};
use crate::check::{pop3::is_ok, text::printable};

pub(super) async fn talk(peer: &mut Peer) -> Talk {
    let greeting = peer.hear("banner", |line| Some((is_ok(line), printable(line)))).await?;
    match greeting {
        (true, shown) => {
            peer.goodbye(b"QUIT\r\n", |_| true).await;
            Ok(shown)
        }
        (false, shown) => Err(bad_banner(&shown)),
    }
}
