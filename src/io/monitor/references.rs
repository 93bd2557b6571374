//! Asks others than the nodes whether we are blind.

use std::{
    future::pending,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use crate::cluster::Cluster;

/// How often they are asked while something is suspected.
const EVERY: Duration = Duration::from_secs(1);

/// How long an answer may take: time for a lost SYN to be sent once more.
const PATIENCE: Duration = Duration::from_secs(3);

/// What they say now is known after this long.
pub(super) const KNOWN_AFTER: Duration = EVERY.saturating_add(PATIENCE);

/// The addresses that must answer, and who is being asked.
pub(super) struct References {
    addresses: Vec<SocketAddr>,
    asking: JoinSet<(Instant, bool)>,
    ask_at: Option<Instant>,
}

impl References {
    /// Those that the file gives, and BIND where it is on another host: here it would answer were every cable cut.
    pub(super) fn of(cluster: &Cluster) -> Self {
        let bind = Some(cluster.bind.server).filter(|bind| !is_here(bind.ip()));
        let addresses = cluster.safety.references.iter().copied().chain(bind).collect();
        Self { addresses, asking: JoinSet::new(), ask_at: None }
    }

    /// Whether there are any.
    pub(super) fn exist(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// Asks all of them, unless that was done a moment ago.
    pub(super) fn ask(&mut self, now: Instant) {
        if !self.exist() || self.ask_at.is_some_and(|at| now < at) {
            return;
        }
        self.ask_at = Some(now + EVERY);
        let addresses = self.addresses.clone();
        self.asking.spawn(async move { (now, all_answer(addresses).await) });
    }

    /// Waits until all have answered; when they were asked. Nothing is lost if it is dropped while it waits.
    pub(super) async fn answered(&mut self) -> Instant {
        while let Some(asked) = self.asking.join_next().await {
            if let Ok((asked_at, true)) = asked {
                return asked_at;
            }
        }
        pending().await
    }
}

async fn all_answer(addresses: Vec<SocketAddr>) -> bool {
    let mut all: JoinSet<_> = addresses.into_iter().map(|at| timeout(PATIENCE, TcpStream::connect(at))).collect();
    while let Some(answer) = all.join_next().await {
        if !matches!(answer, Ok(Ok(Ok(_)))) {
            return false;
        }
    }
    true
}

/// Whether an address is one of this host: only those can be bound.
fn is_here(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::{check::tests::cluster, io::clock};

    fn references(bind: &str, references: Vec<SocketAddr>) -> References {
        let mut cluster = cluster(&[], &[]);
        cluster.bind.server = bind.parse().unwrap();
        cluster.safety.references = references;
        References::of(&cluster)
    }

    #[test]
    fn a_primary_on_this_host_proves_nothing() {
        for (bind, counts) in
            [("127.0.0.1:53", false), ("127.3.2.1:53", false), ("[::1]:53", false), ("192.0.2.1:53", true)]
        {
            assert_eq!(references(bind, Vec::new()).exist(), counts, "{bind}");
        }
    }

    #[tokio::test]
    async fn every_one_of_them_must_answer() {
        let (one, other) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (here, there) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        let mut both = references("127.0.0.1:53", vec![here, there]);
        let now = clock::now();
        both.ask(now);
        assert_eq!(timeout(PATIENCE, both.answered()).await, Ok(now));
        drop(other);
        both.ask(now);
        assert!(both.asking.is_empty(), "not so soon");
        both.ask(now + EVERY);
        assert_eq!(both.asking.join_next().await.unwrap().unwrap(), (now + EVERY, false));
    }
}
