//! Asks a node one question: connects, talks as the check's protocol wants it, and says goodbye, all within one
//! deadline.
//!
//! The protocols themselves are in [`crate::check`]; here bytes go to and fro.

use std::net::IpAddr;

use self::peer::Peer;
pub use self::tls::Trusts;
use crate::{
    check::{Check, Kind, Outcome, smtp::Hello},
    cluster::NodeName,
};

mod agent;
pub(super) mod briefs;
mod dns;
mod error;
mod exec;
mod http;
mod imap;
mod peer;
mod pop3;
mod smtp;
mod tcp;
mod tls;

/// Asks a node at one of its addresses once. Takes no longer than the check's timeout, and where it has to wait for the
/// machine's authorities, which are read once, than two of them: the node has its own time. `trusts` is what all probes share.
pub async fn probe(trusts: &Trusts, check: &Check, node: &NodeName, address: IpAddr) -> Outcome {
    let timeout = check.timing.timeout;
    let connect = async |port: u16| {
        let handshake = match &check.tls {
            Some(tls) => Some(Box::pin(trusts.handshake(tls, address, timeout)).await?),
            None => None,
        };
        Peer::connect(address, port, timeout, handshake).await
    };
    // Conversations are boxed: their buffers would make the many probes that only wait for a connection as large.
    let talk = async {
        match &check.kind {
            Kind::Tcp { port } if check.tls.is_none() => Ok(tcp::knock((address, *port).into(), timeout).await),
            Kind::Tcp { port } => Ok(secured(connect(*port).await?).await),
            Kind::Smtp { port, helo } => {
                Box::pin(smtp::talk(connect(*port).await?, Hello::Ehlo, helo.as_deref())).await
            }
            Kind::Lmtp { port, helo } => {
                Box::pin(smtp::talk(connect(*port).await?, Hello::Lhlo, helo.as_deref())).await
            }
            Kind::Imap { port } => Box::pin(imap::talk(connect(*port).await?)).await,
            Kind::Pop3 { port } => Box::pin(pop3::talk(connect(*port).await?)).await,
            Kind::Http(question) => Box::pin(http::talk(connect(question.port).await?, question, address)).await,
            Kind::Dns(question) => Box::pin(dns::ask(question, address, timeout)).await,
            Kind::Agent { port } => Ok(Box::pin(agent::talk(connect(*port).await)).await),
            Kind::Exec(plugin) => Ok(Box::pin(exec::run(plugin, node, address, timeout)).await),
        }
    };
    talk.await.unwrap_or_else(|refusal| refusal).bounded()
}

async fn secured(mut peer: Peer) -> Outcome {
    peer.close().await;
    peer.pass("TLS handshake done".to_owned())
}

/// What a node showed: a pass, or the failure (or our own trouble) that ends the probe.
type Talk<T = Outcome> = Result<T, Outcome>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_that_waits_takes_little_memory() {
        let check = Check { kind: Kind::Tcp { port: 1 }, tls: None, timing: crate::check::tests::timing() };
        let (trusts, node) = (Trusts::default(), NodeName::new("node00"));
        let octets = size_of_val(&probe(&trusts, &check, &node, IpAddr::from([127, 0, 0, 1])));
        assert!(octets <= 2 * 1024, "{octets}");
    }
}
