//! The other end of one probe: a stream with one deadline that is read in small portions.

use std::{
    io, mem,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, empty},
    time::{error::Elapsed, timeout_at},
};

use super::{
    Talk, error, tcp,
    tls::{self, Handshake},
};
use crate::{
    check::{Outcome, Warning, text::Lines, tls::Begin},
    io::clock,
};

/// How long an answer to our goodbye is awaited. The verdict stands by then, so waiting longer would only delay it.
const GOODBYE: Duration = Duration::from_millis(500);

/// A connection, plain or secured.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A connection to a node.
pub(super) struct Peer {
    pub(super) wire: Box<dyn Wire>,
    local: SocketAddr,
    lines: Lines,
    timeout: Duration,
    deadline: Instant,
    /// The handshake that is still to come.
    handshake: Option<Handshake>,
    is_secure: bool,
    /// Whether the peer has ended what it says.
    is_closed: bool,
    warning: Option<Warning>,
}

impl Peer {
    /// Connects, and secures the connection if that is to be done at once. The whole probe ends `timeout` from now.
    pub(super) async fn connect(
        address: IpAddr,
        port: u16,
        timeout: Duration,
        handshake: Option<Handshake>,
    ) -> Talk<Self> {
        let deadline = clock::now() + timeout;
        let connect = tcp::connect((address, port).into(), |_| Ok(()));
        let connected = timeout_at(deadline.into(), connect).await.map_err(|Elapsed { .. }| unconnected(timeout))?;
        let stream = connected?;
        let local = stream.local_addr().map_err(|refused| error::at_once(&refused))?;
        let implicit = handshake.as_ref().is_some_and(|handshake| handshake.begin == Begin::Implicit);
        let mut peer = Self {
            wire: Box::new(stream),
            local,
            lines: Lines::default(),
            timeout,
            deadline,
            handshake,
            is_secure: false,
            is_closed: false,
            warning: None,
        };
        if implicit {
            peer.secure().await?;
        }
        Ok(peer)
    }

    /// Our own address.
    pub(super) const fn local(&self) -> IpAddr {
        self.local.ip()
    }

    /// Whether the protocol's own command for TLS is to be given now.
    pub(super) const fn wants_starttls(&self) -> bool {
        self.handshake.is_some()
    }

    /// Secures the connection. What was said before, and not taken yet, would be taken for what is said under TLS: an
    /// attacker's way in (CVE-2011-0411), and a failure.
    pub(super) async fn secure(&mut self) -> Talk<()> {
        if !self.lines.rest().is_empty() {
            return Err(Outcome::Fail("plain text after STARTTLS before the TLS handshake".to_owned()));
        }
        let Some(handshake) = self.handshake.take() else { return Ok(()) };
        // Whoever has failed to secure a connection has none any more.
        let wire = mem::replace(&mut self.wire, Box::new(empty()));
        match timeout_at(self.deadline(), Box::pin(handshake.run(wire))).await {
            Ok(Ok((stream, warning))) => {
                (self.wire, self.warning, self.is_secure) = (Box::new(stream), warning, true);
                Ok(())
            }
            Ok(Err(error)) => Err(tls::refusal(&error)),
            Err(Elapsed { .. }) => Err(self.late("TLS handshake")),
        }
    }

    /// The pass of a node that showed this.
    pub(super) fn pass(self, seen: String) -> Outcome {
        Outcome::pass(seen, self.warning)
    }

    /// The failure that `what` did not come before the deadline.
    pub(super) fn late(&self, what: &str) -> Outcome {
        late(what, self.timeout)
    }

    /// When the probe ends.
    pub(super) fn deadline(&self) -> tokio::time::Instant {
        self.deadline.into()
    }

    /// Sends a line or two.
    pub(super) async fn send(&mut self, text: &[u8]) -> Talk<()> {
        let send = async {
            self.wire.write_all(text).await?;
            self.wire.flush().await
        };
        match timeout_at(self.deadline.into(), send).await {
            Ok(done) => done.map_err(|broken| error::from_network(&broken)),
            Err(Elapsed { .. }) => Err(Outcome::Fail("takes no data".to_owned())),
        }
    }

    /// Gives each line that the peer sends to `take`, until that makes `what` of them.
    pub(super) async fn hear<T>(&mut self, what: &str, take: impl FnMut(&[u8]) -> Option<T>) -> Talk<T> {
        match timeout_at(self.deadline(), self.read(what, take)).await {
            Ok(heard) => heard,
            Err(Elapsed { .. }) => Err(self.late(what)),
        }
    }

    /// Takes leave and hears the answer, so that the node sees an orderly end. Without an answer it is all the same.
    pub(super) async fn goodbye(&mut self, text: &[u8], mut is_last: impl FnMut(&[u8]) -> bool) {
        self.deadline = self.deadline.min(clock::now() + GOODBYE);
        if self.send(text).await.is_ok() {
            // The verdict is known already: no answer changes it.
            let _answer = self.hear("goodbye", |line| is_last(line).then_some(())).await;
        }
        self.close().await;
    }

    /// Ends TLS as its rules want it (`close_notify`), so that the node need not take the end for an attack. Plain
    /// connections need nothing.
    pub(super) async fn close(&mut self) {
        if self.is_secure {
            let deadline = self.deadline.min(clock::now() + GOODBYE);
            let close = async {
                self.wire.shutdown().await?;
                // What is left unread would make the kernel send a reset after it.
                self.wire.read(&mut [0; 512]).await
            };
            let _done = timeout_at(deadline.into(), close).await;
        }
    }

    async fn read<T>(&mut self, what: &str, mut take: impl FnMut(&[u8]) -> Option<T>) -> Talk<T> {
        let mut portion = [0; 512];
        loop {
            while let Some(line) = self.lines.take_line() {
                if let Some(taken) = take(line) {
                    return Ok(taken);
                }
            }
            if self.lines.room() == 0 {
                return Err(Outcome::Fail(self.lines.too_long().to_owned()));
            }
            match self.wire.read(&mut portion).await {
                Ok(length) if length > 0 => self.lines.push(portion.get(..length).unwrap_or_default()),
                // A secured connection that ends without close_notify ends all the same.
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(tls::refusal(&error)),
                _ => {
                    self.is_closed = true;
                    return Err(Outcome::Fail(format!("closed before the {what}")));
                }
            }
        }
    }

    /// What a peer that has closed said after its last whole line; `None`: it has not closed, or left nothing.
    pub(super) fn rest(&self) -> Option<&[u8]> {
        Some(self.lines.rest()).filter(|rest| self.is_closed && !rest.is_empty())
    }
}

/// The failure that `what` did not come in time.
pub(super) fn late(what: &str, timeout: Duration) -> Outcome {
    Outcome::Fail(format!("no {what} in {}", humantime::format_duration(timeout)))
}

/// The failure that no connection came in time.
pub(super) fn unconnected(timeout: Duration) -> Outcome {
    Outcome::Fail(format!("connect timeout ({})", humantime::format_duration(timeout)))
}

/// The failure that a banner is not one that invites us.
pub(super) fn bad_banner(shown: &str) -> Outcome {
    Outcome::Fail(format!("banner \"{shown}\""))
}
