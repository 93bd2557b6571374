//! Asks a node one question: connects, talks as the check's protocol wants it, and says goodbye, all within one
//! deadline.
//!
//! The protocols themselves are in [`crate::check`]; here bytes go to and fro.

use std::{io, net::IpAddr, time::Duration};

use rustix::io::Errno;

use self::peer::Peer;
use crate::{
    check::{Check, Kind, Outcome},
    io::clock,
};

mod http;
mod imap;
mod peer;
mod pop3;
mod smtp;

/// Asks the node at `address` once. Takes no longer than the check's timeout.
pub async fn probe(check: &Check, address: IpAddr) -> Outcome {
    let talk = async {
        let mut peer = Peer::connect(address, check.kind.port(), check.timing.timeout).await?;
        match &check.kind {
            Kind::Tcp { .. } => Ok("connection accepted".to_owned()),
            Kind::Smtp { .. } => smtp::talk(&mut peer).await,
            Kind::Imap { .. } => imap::talk(&mut peer).await,
            Kind::Pop3 { .. } => pop3::talk(&mut peer).await,
            Kind::Http(question) => http::talk(peer, question, address).await,
        }
    };
    talk.await.map_or_else(|refusal| refusal, Outcome::Pass)
}

/// The same, and how long it took.
pub async fn timed(check: &Check, address: IpAddr) -> (Outcome, Duration) {
    let start = clock::now();
    let outcome = probe(check, address).await;
    (outcome, clock::now().saturating_duration_since(start))
}

/// What a peer said: a pass in words, or the failure (or our own trouble) that ends the probe.
type Talk<T = String> = Result<T, Outcome>;

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
