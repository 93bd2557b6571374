//! Many brief probes at once, without a task, a timer, a socket and a registration for each: half of what such a probe
//! costs would be those. Brief are a [`knock`](super::tcp::knock) and a plain HTTP request, whose first packet takes the
//! place of the handshake's last. A reset ends both.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::pending,
    io,
    net::IpAddr,
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

use super::{
    Talk, error,
    http::Exchange,
    peer::{late, unconnected},
    tcp,
};
use crate::{
    check::{Check, Kind, Outcome},
    io::clock,
};

/// Events that are taken from the kernel at a time.
const EVENTS: usize = 256;

/// Sockets that are kept for later probes.
pub(crate) const IDLE: usize = 64;

/// The port that a check's probe goes to if that is a brief one.
pub(crate) fn port(check: &Check) -> Option<u16> {
    match &check.kind {
        // The node may want to hear how TLS ends.
        _ if check.tls.is_some() => None,
        Kind::Tcp { port } => Some(*port),
        Kind::Http(question) => Some(question.port),
        _ => None,
    }
}

/// Probes under way; `K` says what each is for, and is handed back with what was found and how long that took.
pub(crate) struct Briefs<K> {
    /// Readable when the state of a connection has changed.
    epoll: AsyncFd<OwnedFd>,
    /// By their sockets' numbers.
    waiting: BTreeMap<u64, Brief<K>>,
    deadlines: BTreeSet<(Instant, u64)>,
    next: u64,
    idle: Vec<Socket>,
    ended: VecDeque<(K, Outcome, Duration)>,
}

struct Brief<K> {
    socket: Socket,
    what: K,
    start: Instant,
    patience: Duration,
    is_connected: bool,
    /// What is said then.
    exchange: Option<Box<Exchange>>,
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

impl<K> Brief<K> {
    /// Goes on as far as that is possible: the outcome, or `None` until there is more news. `news`: what epoll says.
    fn go_on(&mut self, news: EventFlags) -> Option<Outcome> {
        if !self.is_connected {
            let has_failed = news.intersects(EventFlags::ERR | EventFlags::HUP);
            let found = if has_failed { socket_error(&self.socket.descriptor).flatten() } else { Ok(()) };
            if let Err(refused) = found {
                return Some(error::from_network(&refused.into()));
            }
            self.is_connected = true;
        }
        match &mut self.exchange {
            Some(exchange) => exchange.go_on(&self.socket.descriptor, !(news - EventFlags::OUT).is_empty()),
            None => Some(tcp::accepted()),
        }
    }

    /// What it means that its time is over.
    fn late(&self) -> Outcome {
        if self.is_connected { late("answer", self.patience) } else { unconnected(self.patience) }
    }
}

impl<K> Briefs<K> {
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

    /// Begins one, at the [`port`] of its check.
    pub(crate) fn begin(&mut self, check: &Check, address: IpAddr, port: u16, what: K) {
        let (start, patience) = (clock::now(), check.timing.timeout);
        match self.connect(check, address, port) {
            Ok((socket, exchange)) => {
                let number = socket.number;
                self.deadlines.insert((start + patience, number));
                let brief = Brief { socket, what, start, patience, is_connected: false, exchange };
                self.waiting.insert(number, brief);
            }
            Err(unmade) => self.ended.push_back((what, unmade, Duration::ZERO)),
        }
    }

    /// Begins to connect; with it, what is to be said then.
    fn connect(&mut self, check: &Check, address: IpAddr, port: u16) -> Talk<(Socket, Option<Box<Exchange>>)> {
        let exchange = match &check.kind {
            Kind::Http(question) => Some(Box::new(Exchange::new(question, address)?)),
            _ => None,
        };
        let begun = self.socket(address.is_ipv4()).and_then(|socket| {
            tcp::hold_back(&socket.descriptor)?;
            tcp::begin(&socket.descriptor, (address, port).into())?;
            Ok(socket)
        });
        begun.map(|socket| (socket, exchange)).map_err(|refused| error::at_once(&refused))
    }

    fn socket(&mut self, is_ipv4: bool) -> io::Result<Socket> {
        if let Some(idle) = self.idle.pop().filter(|idle| idle.is_ipv4 == is_ipv4) {
            return Ok(idle);
        }
        let (descriptor, number) = (tcp::open(is_ipv4)?, self.next);
        let news = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        epoll::add(&self.epoll, &descriptor, EventData::new_u64(number), news)?;
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
                self.go_on(number, flags, now);
            }
            while let Some((deadline, number)) = self.deadlines.first().copied()
                && deadline <= now
            {
                self.end(number, now, Brief::late);
            }
            // After an interruption, what is there is taken next time.
            if taken != Ok(EVENTS) {
                return;
            }
        }
    }

    fn go_on(&mut self, number: u64, news: EventFlags, now: Instant) {
        // What an idle socket tells is about its last connection.
        let Some(brief) = self.waiting.get_mut(&number) else { return };
        if let Some(outcome) = brief.go_on(news) {
            self.end(number, now, |_| outcome);
        }
    }

    fn end(&mut self, number: u64, now: Instant, outcome: impl FnOnce(&Brief<K>) -> Outcome) {
        let Some(brief) = self.waiting.remove(&number) else { return };
        let outcome = outcome(&brief);
        let Brief { socket, what, start, patience, is_connected, .. } = brief;
        self.deadlines.remove(&(start + patience, number));
        // One that is not connected may still be answered.
        let left = if is_connected { socket.reset() } else { None };
        if self.idle.len() < IDLE {
            self.idle.extend(left);
        }
        self.ended.push_back((what, outcome, now.saturating_duration_since(start)));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::SocketAddr,
        sync::Arc,
        thread,
    };

    use tokio::net::TcpListener;

    use super::*;
    use crate::check::{Http, Timing, http::Method, tests::timing};

    const LONG: Duration = Duration::from_secs(20);

    fn begin(briefs: &mut Briefs<u32>, kind: Kind, address: IpAddr, timeout: Duration, what: u32) {
        let check = Check { kind, tls: None, timing: Timing { timeout, ..timing() } };
        briefs.begin(&check, address, port(&check).unwrap(), what);
    }

    fn knock(briefs: &mut Briefs<u32>, at: SocketAddr, timeout: Duration, what: u32) {
        begin(briefs, Kind::Tcp { port: at.port() }, at.ip(), timeout, what);
    }

    fn question(port: u16) -> Http {
        Http {
            port,
            method: Method::Get,
            path: "/".to_owned(),
            host: None,
            status: vec![200],
            body: Some("up".to_owned()),
            header: None,
        }
    }

    fn get(briefs: &mut Briefs<u32>, at: SocketAddr, timeout: Duration, what: u32) {
        begin(briefs, Kind::Http(question(at.port()).into()), at.ip(), timeout, what);
    }

    async fn next(briefs: &mut Briefs<u32>) -> (u32, Outcome) {
        loop {
            if let Some((what, outcome, _)) = briefs.next_if_ended() {
                return (what, outcome);
            }
            briefs.wait().await;
        }
    }

    /// Answers each request on a thread of its own, until the test ends.
    fn server(answer: impl Fn(std::net::TcpStream) + Send + Sync + 'static) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, answer) = (stream.unwrap(), Arc::clone(&answer));
                thread::spawn(move || {
                    if stream.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {
                        answer(stream);
                    }
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn a_socket_tells_of_its_newest_connection_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let open_v6 = TcpListener::bind("[::1]:0").await.unwrap();
        let web = server(|mut stream| {
            // In pieces, of which the last may come when nobody listens any more.
            for piece in ["HTTP/1.1 200 OK\r\nContent-", "Length: 9\r\n\r\nup and ", "up"] {
                let _gone = stream.write_all(piece.as_bytes());
            }
        });
        let mut briefs = Briefs::new().unwrap();
        let pass = Outcome::Pass("connection accepted".to_owned());
        let answered = Outcome::Pass("status 200".to_owned());
        let refused = Outcome::Fail("connection refused".to_owned());
        let rounds = [
            (open, &pass),
            (web, &answered),
            (open, &pass),
            (closed, &refused),
            (web, &answered),
            (web, &answered),
            (open_v6.local_addr().unwrap(), &pass),
        ];
        for (round, (at, outcome)) in (0..).zip(rounds.into_iter().cycle().take(70)) {
            let begin = if at == web { get } else { knock };
            begin(&mut briefs, at, LONG, round);
            assert_eq!(next(&mut briefs).await, (round, outcome.clone()), "{at}");
        }
        assert!(briefs.is_empty() && briefs.next <= 70);
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
        let mut briefs = Briefs::new().unwrap();
        knock(&mut briefs, full.local_addr().unwrap(), Duration::from_millis(50), 1);
        assert_eq!(next(&mut briefs).await, (1, Outcome::Fail("connect timeout (50ms)".to_owned())));
        assert!(briefs.is_empty() && briefs.idle.is_empty(), "what may still be answered is not used again");

        let (keep, kept) = std::sync::mpsc::channel();
        let silent = server(move |stream| keep.send(stream).unwrap());
        get(&mut briefs, silent, Duration::from_millis(50), 2);
        assert_eq!(next(&mut briefs).await, (2, Outcome::Fail("no answer in 50ms".to_owned())));
        assert!(briefs.is_empty() && briefs.idle.len() == 1);
        let gone = kept.recv().unwrap().read(&mut [0]).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::ConnectionReset, "nothing lingers");
    }

    #[tokio::test]
    async fn who_sends_without_end_is_heard_no_longer_than_that() {
        let endless = |piece: &'static str| {
            server(move |mut stream| {
                let many = piece.repeat(1_000);
                while stream.write_all(many.as_bytes()).is_ok() {}
            })
        };
        let interim = endless("HTTP/1.1 100 Continue\r\n\r\n");
        let mut briefs = Briefs::new().unwrap();
        get(&mut briefs, interim, LONG, 1);
        let too_long = Outcome::Fail("not HTTP: more than 8 KiB before the end of a head".to_owned());
        assert_eq!(next(&mut briefs).await, (1, too_long));
        assert!(briefs.is_empty());
    }
}
