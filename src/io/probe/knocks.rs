//! Many [`knock`](super::tcp::knock)s at once, without a task, a timer, a socket and a registration for each: half of
//! what such a probe costs would be those.

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
    net::{connect_unspec, sockopt::socket_error},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::sleep_until,
};

use super::{peer::unconnected, tcp};
use crate::{check::Outcome, io::clock};

/// Events that are taken from the kernel at a time.
const EVENTS: usize = 256;

/// Sockets that are kept for later probes.
pub(crate) const IDLE: usize = 64;

/// Connections that are being made; `K` says what each is for, and is handed back with what was found and how long
/// that took.
pub(crate) struct Knocks<K> {
    /// Readable when a connection was made or refused.
    epoll: AsyncFd<OwnedFd>,
    /// By their sockets' numbers.
    waiting: BTreeMap<u64, Knock<K>>,
    deadlines: BTreeSet<(Instant, u64)>,
    next: u64,
    idle: Vec<Socket>,
    ended: VecDeque<(K, Outcome, Duration)>,
}

struct Knock<K> {
    socket: Socket,
    what: K,
    start: Instant,
    patience: Duration,
}

/// A socket that `epoll` knows by this number until it is closed.
struct Socket {
    descriptor: OwnedFd,
    is_ipv4: bool,
    number: u64,
}

impl Socket {
    /// Resets the connection, which leaves a socket for the next (connect(2): an address of the family `AF_UNSPEC`);
    /// `None`: the kernel does not let us.
    fn reset(self) -> Option<Self> {
        connect_unspec(&self.descriptor).ok()?;
        // The reset counts as an error of the socket, until that is asked for.
        let _reset = socket_error(&self.descriptor);
        Some(self)
    }
}

impl<K> Knocks<K> {
    /// None as yet. Needs a tokio runtime.
    pub(crate) fn new() -> io::Result<Self> {
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
            idle: Vec::new(),
            ended: VecDeque::new(),
        })
    }

    /// Begins one.
    pub(crate) fn begin(&mut self, at: SocketAddr, patience: Duration, what: K) {
        let start = clock::now();
        let begun = self.socket(at.is_ipv4()).and_then(|socket| {
            tcp::begin(&socket.descriptor, at)?;
            Ok(socket)
        });
        match begun {
            Ok(socket) => {
                self.deadlines.insert((start + patience, socket.number));
                self.waiting.insert(socket.number, Knock { socket, what, start, patience });
            }
            Err(error) => self.ended.push_back((what, tcp::verdict(Err(error)), Duration::ZERO)),
        }
    }

    fn socket(&mut self, is_ipv4: bool) -> io::Result<Socket> {
        if let Some(idle) = self.idle.pop().filter(|idle| idle.is_ipv4 == is_ipv4) {
            return Ok(idle);
        }
        let (descriptor, number) = (tcp::open(is_ipv4)?, self.next);
        epoll::add(&self.epoll, &descriptor, EventData::new_u64(number), EventFlags::OUT | EventFlags::ET)?;
        self.next += 1;
        Ok(Socket { descriptor, is_ipv4, number })
    }

    /// Whether there are none, not even one that has ended.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.ended.is_empty()
    }

    /// One that has ended.
    pub(crate) fn next_if_ended(&mut self) -> Option<(K, Outcome, Duration)> {
        if self.ended.is_empty() && !self.waiting.is_empty() {
            self.take();
        }
        self.ended.pop_front()
    }

    /// Waits until one may have ended. Nothing is lost if it is dropped while it waits.
    pub(crate) async fn wait(&mut self) {
        let Some((deadline, _)) = self.deadlines.first() else { return pending().await };
        tokio::select! {
            Ok(mut ready) = self.epoll.readable() => ready.clear_ready(),
            () = sleep_until((*deadline).into()) => {}
        }
    }

    /// Takes what the kernel has decided, and what is too late.
    fn take(&mut self) {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        loop {
            let taken = epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&Timespec::default()));
            let now = clock::now();
            for event in events.drain(..) {
                let (number, flags) = (event.data.u64(), event.flags);
                let Some(Knock { socket, what, start, patience }) = self.waiting.remove(&number) else { continue };
                self.deadlines.remove(&(start + patience, number));
                let has_failed = flags.intersects(EventFlags::ERR | EventFlags::HUP);
                let found = if has_failed { socket_error(&socket.descriptor).flatten() } else { Ok(()) };
                if found.is_ok() && self.idle.len() < IDLE {
                    self.idle.extend(socket.reset());
                }
                let outcome = tcp::verdict(found.map_err(io::Error::from));
                self.ended.push_back((what, outcome, now.saturating_duration_since(start)));
            }
            while let Some((deadline, number)) = self.deadlines.first().copied()
                && deadline <= now
            {
                self.deadlines.remove(&(deadline, number));
                if let Some(Knock { what, start, patience, .. }) = self.waiting.remove(&number) {
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn next(knocks: &mut Knocks<u32>) -> (u32, Outcome) {
        loop {
            if let Some((what, outcome, _)) = knocks.next_if_ended() {
                return (what, outcome);
            }
            knocks.wait().await;
        }
    }

    #[tokio::test]
    async fn a_socket_tells_of_its_newest_connection_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let open_v6 = TcpListener::bind("[::1]:0").await.unwrap();
        let (patience, mut knocks) = (Duration::from_secs(5), Knocks::new().unwrap());
        let pass = Outcome::Pass("connection accepted".to_owned());
        let refused = Outcome::Fail("connection refused".to_owned());
        let rounds = [(open, &pass), (open, &pass), (closed, &refused), (open_v6.local_addr().unwrap(), &pass)];
        for (round, (at, outcome)) in (0..).zip(rounds.into_iter().cycle().take(40)) {
            knocks.begin(at, patience, round);
            assert_eq!(next(&mut knocks).await, (round, outcome.clone()), "{at}");
        }
        assert!(knocks.is_empty() && knocks.next <= 40);
    }

    #[tokio::test]
    async fn who_does_not_answer_is_waited_for_no_longer_than_that() {
        // Its queue is full as soon as one connection waits in it.
        let (full, _waiting) = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            rustix::net::listen(&listener, 0).unwrap();
            let waiting = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (listener, waiting)
        };
        let mut knocks = Knocks::new().unwrap();
        knocks.begin(full.local_addr().unwrap(), Duration::from_millis(50), 1);
        assert_eq!(next(&mut knocks).await, (1, Outcome::Fail("connect timeout (50ms)".to_owned())));
        assert!(knocks.is_empty() && knocks.idle.is_empty(), "what may still be answered is not used again");
    }
}
