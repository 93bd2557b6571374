//! The first line that an agent sends.

use super::{Talk, peer::Peer};
use crate::check::{Outcome, agent::verdict};

/// An agent that cannot be asked says nothing of the node: whether the node does its work is for the other checks
/// to find (HAProxy holds it likewise).
pub(super) async fn talk(peer: Talk<Peer>) -> Outcome {
    let mut peer = match peer {
        Ok(peer) => peer,
        Err(refusal) => return silent(&refusal),
    };
    match (peer.hear("word of the agent", |line| Some(verdict(line))).await, peer.rest()) {
        (Ok(outcome), _) => outcome,
        // HAProxy takes the end of the connection for the end of the line.
        (Err(_), Some(rest)) => verdict(rest),
        (Err(refusal), None) => silent(&refusal),
    }
}

fn silent(refusal: &Outcome) -> Outcome {
    Outcome::Unknown(format!("the agent is silent: {}", refusal.reason()))
}
