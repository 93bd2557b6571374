//! Asks a node one question: connects, talks as the check's protocol wants it, and says goodbye, all within one
//! deadline.
//!
//! The protocols themselves are in [`crate::check`]; here bytes go to and fro.

use std::{io, net::IpAddr};

use rustix::io::Errno;

use self::peer::Peer;
pub use self::tls::Trusts;
use crate::{
    check::{Check, Kind, Outcome, smtp::Hello},
    cluster::NodeName,
};

mod agent;
pub(super) mod briefs;
mod dns;
mod exec;
mod http;
mod imap;
mod peer;
mod pop3;
mod smtp;
mod tcp;
mod tls;

/// Asks a node at one of its addresses once. Takes no longer than the check's timeout. `trusts` is what all probes
/// share.
pub async fn probe(trusts: &Trusts, check: &Check, node: &NodeName, address: IpAddr) -> Outcome {
    let timeout = check.timing.timeout;
    let connect = async |port: u16| {
        let handshake = check.tls.as_ref().map(|tls| trusts.handshake(tls, address)).transpose()?;
        Peer::connect(address, port, timeout, handshake).await
    };
    // Conversations are boxed: their buffers would make the many probes that only wait for a connection as large.
    let talk = async {
        match &check.kind {
            Kind::Tcp { port } if check.tls.is_none() => Ok(tcp::knock((address, *port).into(), timeout).await),
            Kind::Tcp { port } => Ok(secured(connect(*port).await?).await),
            Kind::Smtp { port } => Box::pin(smtp::talk(connect(*port).await?, Hello::Ehlo)).await,
            Kind::Lmtp { port } => Box::pin(smtp::talk(connect(*port).await?, Hello::Lhlo)).await,
            Kind::Imap { port } => Box::pin(imap::talk(connect(*port).await?)).await,
            Kind::Pop3 { port } => Box::pin(pop3::talk(connect(*port).await?)).await,
            Kind::Http(question) => Box::pin(http::talk(connect(question.port).await?, question, address)).await,
            Kind::Dns(question) => Box::pin(dns::ask(question, address, timeout)).await,
            Kind::Agent { port } => Ok(Box::pin(agent::talk(connect(*port).await)).await),
            Kind::Exec(plugin) => Ok(Box::pin(exec::run(plugin, node, address, timeout)).await),
        }
    };
    talk.await.unwrap_or_else(|refusal| refusal)
}

async fn secured(mut peer: Peer) -> Outcome {
    peer.close().await;
    peer.pass("TLS handshake done".to_owned())
}

/// What a node showed: a pass, or the failure (or our own trouble) that ends the probe.
type Talk<T = Outcome> = Result<T, Outcome>;

/// Whose fault an error is. What is not known to be the node's is ours, and says nothing of the node.
///
/// EHOSTUNREACH counts as the node's: on a shared link it is how a machine that is switched off shows (nobody
/// answers ARP), and routers report a dead host behind them so. ENETUNREACH is a missing route here.
fn blame(error: &io::Error) -> Outcome {
    let errno = Errno::from_io_error(error);
    let cause = match errno {
        Some(Errno::CONNREFUSED) => "connection refused",
        Some(Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE) => "connection reset",
        Some(Errno::TIMEDOUT) => "connection timed out",
        Some(Errno::HOSTUNREACH) => "no route to host",
        Some(Errno::HOSTDOWN) => "host is down",
        Some(Errno::NETUNREACH) => return Outcome::Unknown("network unreachable from here".to_owned()),
        Some(Errno::ADDRNOTAVAIL) => {
            return Outcome::Unknown("no local address or port to ask from".to_owned());
        }
        Some(Errno::MFILE | Errno::NFILE) => {
            return Outcome::Unknown("too many open files here; raise LimitNOFILE".to_owned());
        }
        Some(Errno::PERM | Errno::ACCESS) => {
            return Outcome::Unknown("not permitted here; a local firewall or sandbox forbids it".to_owned());
        }
        _ => return Outcome::Unknown(format!("cannot ask: {error}")),
    };
    Outcome::Fail(cause.to_owned())
}

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

    #[test]
    fn what_is_not_the_nodes_fault_says_nothing_of_the_node() {
        for (errno, outcome) in [
            (Errno::CONNREFUSED, Outcome::Fail("connection refused".into())),
            (Errno::CONNRESET, Outcome::Fail("connection reset".into())),
            (Errno::PIPE, Outcome::Fail("connection reset".into())),
            (Errno::HOSTUNREACH, Outcome::Fail("no route to host".into())),
            (Errno::TIMEDOUT, Outcome::Fail("connection timed out".into())),
            (Errno::NETUNREACH, Outcome::Unknown("network unreachable from here".into())),
            (Errno::ADDRNOTAVAIL, Outcome::Unknown("no local address or port to ask from".into())),
            (Errno::MFILE, Outcome::Unknown("too many open files here; raise LimitNOFILE".into())),
            (Errno::NFILE, Outcome::Unknown("too many open files here; raise LimitNOFILE".into())),
        ] {
            assert_eq!(blame(&errno.into()), outcome);
        }
        for errno in [Errno::PERM, Errno::ACCESS, Errno::NOBUFS, Errno::NOMEM, Errno::AFNOSUPPORT, Errno::INVAL] {
            assert!(matches!(blame(&errno.into()), Outcome::Unknown(_)), "{errno}");
        }
    }
}
