//! Many [`knock`](super::tcp::knock)s at once, without a task, a timer and a registration for each: most of what such a
//! probe costs would be those.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::pending,
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    net::sockopt::socket_error,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::sleep_until,
};

use super::{peer::unconnected, tcp};
use crate::{check::Outcome, io::clock};

/// Events that are taken from the kernel at a time.
const EVENTS: usize = 256;

/// Connections that are being made; `K` says what each is for, and is handed back with what was found and how long
/// that took.
pub(in crate::io) struct Knocks<K> {
    /// Readable when a connection was made or refused.
    epoll: AsyncFd<OwnedFd>,
    waiting: BTreeMap<u64, Knock<K>>,
    deadlines: BTreeSet<(Instant, u64)>,
    next: u64,
    events: Vec<Event>,
    ended: VecDeque<(K, Outcome, Duration)>,
}

struct Knock<K> {
    /// Closing it takes it out of `epoll`, and resets the connection.
    socket: OwnedFd,
    what: K,
    start: Instant,
    patience: Duration,
}

impl<K> Knocks<K> {
    /// None as yet. Needs a tokio runtime.
    pub(in crate::io) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that may change their descriptor; this one cannot"
        )]
        let epoll = AsyncFd::with_interest(epoll, Interest::READABLE)?;
        Ok(Self {
            epoll,
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            next: 0,
            events: Vec::with_capacity(EVENTS),
            ended: VecDeque::new(),
        })
    }

    /// Begins one.
    pub(in crate::io) fn begin(&mut self, at: SocketAddr, patience: Duration, what: K) {
        let start = clock::now();
        let token = self.next;
        let begun = tcp::begin(at).and_then(|socket| {
            epoll::add(&self.epoll, &socket, EventData::new_u64(token), EventFlags::OUT | EventFlags::ET)?;
            Ok(socket)
        });
        match begun {
            Ok(socket) => {
                self.next += 1;
                self.deadlines.insert((start + patience, token));
                self.waiting.insert(token, Knock { socket, what, start, patience });
            }
            Err(error) => self.ended.push_back((what, tcp::verdict(Err(error)), Duration::ZERO)),
        }
    }

    /// Whether there are none, not even one that has ended.
    pub(in crate::io) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.ended.is_empty()
    }

    /// One that has ended.
    pub(in crate::io) fn next_if_ended(&mut self) -> Option<(K, Outcome, Duration)> {
        if self.ended.is_empty() && !self.waiting.is_empty() {
            self.take();
        }
        self.ended.pop_front()
    }

    /// Waits until one may have ended. Nothing is lost if it is dropped while it waits.
    pub(in crate::io) async fn wait(&mut self) {
        let Some((deadline, _)) = self.deadlines.first() else { return pending().await };
        tokio::select! {
            Ok(mut ready) = self.epoll.readable() => ready.clear_ready(),
            () = sleep_until((*deadline).into()) => {}
        }
    }

    /// Takes what the kernel has decided, and what is too late.
    fn take(&mut self) {
        loop {
            self.events.clear();
            let taken = epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&Timespec::default()));
            let now = clock::now();
            for event in self.events.drain(..) {
                let (token, flags) = (event.data.u64(), event.flags);
                let Some(Knock { socket, what, start, patience }) = self.waiting.remove(&token) else { continue };
                self.deadlines.remove(&(start + patience, token));
                let has_failed = flags.intersects(EventFlags::ERR | EventFlags::HUP);
                let found = if has_failed { socket_error(&socket).unwrap_or_else(Err) } else { Ok(()) };
                let outcome = tcp::verdict(found.map_err(io::Error::from));
                self.ended.push_back((what, outcome, now.saturating_duration_since(start)));
            }
            while let Some((deadline, token)) = self.deadlines.first().copied()
                && deadline <= now
            {
                self.deadlines.remove(&(deadline, token));
                if let Some(Knock { what, start, patience, .. }) = self.waiting.remove(&token) {
                    self.ended.push_back((what, unconnected(patience), now.saturating_duration_since(start)));
                }
            }
            // After an interruption, what is there is taken next time.
            if taken != Ok(EVENTS) {
                return;
            }
        }
    }
}
