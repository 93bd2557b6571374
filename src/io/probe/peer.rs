//! The other end of one probe: a stream with one deadline that is read in small portions.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{error::Elapsed, timeout_at},
};

use super::{Talk, blame};
use crate::{
    check::{Outcome, text::Lines},
    io::clock,
};

/// How long an answer to our goodbye is awaited. The verdict stands by then, so waiting longer would only delay it.
const GOODBYE: Duration = Duration::from_millis(500);

/// A connection to a node.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    lines: Lines,
    timeout: Duration,
    deadline: Instant,
}

impl Peer {
    /// Connects; the whole probe ends `timeout` from now.
    pub(super) async fn connect(address: IpAddr, port: u16, timeout: Duration) -> Talk<Self> {
        let deadline = clock::now() + timeout;
        match timeout_at(deadline.into(), TcpStream::connect((address, port))).await {
            Ok(Ok(stream)) => Ok(Self { stream, lines: Lines::default(), timeout, deadline }),
            Ok(Err(error)) => Err(blame(&error)),
            Err(Elapsed { .. }) => {
                Err(Outcome::Fail(format!("connect timeout ({})", humantime::format_duration(timeout))))
            }
        }
    }

    /// The failure that `what` did not come before the deadline.
    pub(super) fn late(&self, what: &str) -> Outcome {
        Outcome::Fail(format!("no {what} in {}", humantime::format_duration(self.timeout)))
    }

    /// When the probe ends.
    pub(super) fn deadline(&self) -> tokio::time::Instant {
        self.deadline.into()
    }

    /// Sends a line or two.
    pub(super) async fn send(&mut self, text: &[u8]) -> Talk<()> {
        match timeout_at(self.deadline(), self.stream.write_all(text)).await {
            Ok(sent) => sent.map_err(|error| blame(&error)),
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
    }

    async fn read<T>(&mut self, what: &str, mut take: impl FnMut(&[u8]) -> Option<T>) -> Talk<T> {
        let mut portion = [0; 512];
        loop {
            while let Some(line) = self.lines.take_line() {
                if let Some(taken) = take(line) {
                    return Ok(taken);
                }
            }
            let room = self.lines.room();
            if room == 0 {
                return Err(Outcome::Fail(self.lines.too_long().to_owned()));
            }
            match self.stream.read(&mut portion).await {
                Ok(0) => return Err(Outcome::Fail(format!("closed before the {what}"))),
                Ok(length) => self.lines.push(portion.get(..length).unwrap_or_default()),
                Err(error) => return Err(blame(&error)),
            }
        }
    }
}

/// The failure that a banner is not one that invites us.
pub(super) fn bad_banner(shown: &str) -> Outcome {
    Outcome::Fail(format!("banner \"{shown}\""))
}
