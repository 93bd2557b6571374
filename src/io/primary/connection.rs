//! One TCP connection to the primary: a task that is the sole owner of its socket.
//!
//! ```text
//!            request                    answers in any order
//!  closed ------------> connecting -> open ------------------> open
//!    ^                      |          |
//!    |   refused, timeout   |          | idle: closed in order
//!    +----------------------+----------+ timeout, garbage, reset: closed by RST, all that wait are lost
//! ```
//!
//! The answer to a transfer may be many messages: the first is handed on, the rest is passed over.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use hickory_proto::op::{Message, OpCode};
use humantime::format_duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    select,
    sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot},
    time::{sleep_until, timeout},
};

use super::{Cause, Lost};
use crate::{
    io::{clock, pulse::STILL},
    tsig::{Key, Signed},
    update::{Answer, Garbage, asks_for_all, is_transfer, is_whole, judge},
};

/// An unused connection is closed after this long: it takes one of BIND's `tcp-clients` from others. That is also before
/// BIND does it (`tcp-idle-timeout`, 30 s), so that no request meets a connection that is closing.
const IDLE: Duration = Duration::from_secs(3);

/// Octets of requests that go into one write, or a little more.
const GATHERED: usize = 8 * 1024;

/// One exchange.
pub(super) struct Request {
    /// The message, unsigned; its id is chosen here.
    pub(super) message: Arc<Message>,
    /// Signs it.
    pub(super) key: Arc<Key>,
    /// When it was asked for, since boot.
    pub(super) asked_at: Duration,
    /// Count it among those in flight, of its connection and of its kind, until it is answered or lost, whether or not
    /// anybody still waits for it.
    pub(super) permits: [OwnedSemaphorePermit; 2],
    /// Takes what came of it.
    pub(super) reply: oneshot::Sender<Result<Answer, Lost>>,
}

/// Where to and how.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) server: SocketAddr,
    pub(super) timeout: Duration,
    pub(super) wall: fn() -> SystemTime,
    /// Told when the server ends a connection: it may have been restarted.
    pub(super) broken: Arc<Notify>,
    /// Moves whenever a connection is made, and whenever one ends.
    pub(super) life: Arc<AtomicU64>,
}

impl Line {
    /// Starts the task. It ends when the sender is dropped.
    pub(super) fn open(self) -> mpsc::UnboundedSender<Request> {
        // Unbounded as a type: the permits in the requests bound it.
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(self.run(requests));
        sender
    }

    async fn run(self, mut requests: mpsc::UnboundedReceiver<Request>) {
        while let Some(first) = requests.recv().await {
            match self.connect().await {
                Ok(stream) => {
                    self.life.fetch_add(1, Ordering::Relaxed);
                    Session::new(&self, stream).run(first, &mut requests).await;
                }
                Err(reason) => {
                    // Those who queued meanwhile would wait as long for the same.
                    let mut next = Some(first);
                    while let Some(request) = next {
                        let _ =
                            request.reply.send(Err(Lost { reason: reason.clone(), sent: false, cause: Cause::Broken }));
                        next = requests.try_recv().ok();
                    }
                }
            }
        }
    }

    async fn connect(&self) -> Result<TcpStream, String> {
        let stream = match timeout(self.timeout, TcpStream::connect(self.server)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(format!("cannot connect to named at {}: {error}", self.server)),
            Err(_) => {
                return Err(format!(
                    "cannot connect to named at {}: no answer in {}",
                    self.server,
                    format_duration(self.timeout)
                ));
            }
        };
        // Small messages, each of them awaited: nothing to gather.
        stream.set_nodelay(true).map_err(|error| format!("cannot use the connection to {}: {error}", self.server))?;
        Ok(stream)
    }

    /// Seconds since 1970-01-01 UTC.
    fn epoch(&self) -> u64 {
        (self.wall)().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

/// A request that was given to the socket.
struct Waiting {
    asked: Arc<Message>,
    signed: Signed,
    key: Arc<Key>,
    deadline: Instant,
    reply: oneshot::Sender<Result<Answer, Lost>>,
    _permits: [OwnedSemaphorePermit; 2],
}

/// An open connection.
struct Session<'a> {
    line: &'a Line,
    stream: TcpStream,
    /// What is left to write of the requests that were taken.
    outgoing: Vec<u8>,
    /// Requests of which nothing was written yet, each with its place in `outgoing`.
    unsent: Vec<(u16, usize)>,
    incoming: Vec<u8>,
    waiting: BTreeMap<u16, Waiting>,
    /// How many of those that wait are transfers.
    transfers: usize,
    /// The ids of transfers that nobody waits for the rest of: not used again on this connection.
    passed_over: BTreeSet<u16>,
    next_id: u16,
    idle_until: Instant,
    /// Whether anything was answered: BIND accepts no more connections than `tcp-clients`, and leaves further ones waiting.
    is_heard: bool,
}

impl<'a> Session<'a> {
    fn new(line: &'a Line, stream: TcpStream) -> Self {
        Self {
            line,
            stream,
            outgoing: Vec::new(),
            unsent: Vec::new(),
            incoming: Vec::new(),
            waiting: BTreeMap::new(),
            transfers: 0,
            passed_over: BTreeSet::new(),
            next_id: 0,
            idle_until: clock::now() + IDLE,
            is_heard: false,
        }
    }

    async fn run(mut self, first: Request, requests: &mut mpsc::UnboundedReceiver<Request>) {
        self.accept(first);
        let reason = loop {
            let until = self.waiting.values().map(|waiting| waiting.deadline).min().unwrap_or(self.idle_until);
            let (mut reader, mut writer) = self.stream.split();
            // Reading comes first: a connection that BIND has closed is noticed before a request goes into it.
            select! {
                biased;
                read = reader.read_buf(&mut self.incoming) => match read {
                    Ok(0) => {
                        self.line.broken.notify_one();
                        break "named closed the connection".to_owned();
                    }
                    Ok(_) => if let Err(reason) = self.deliver() { break reason },
                    Err(error) => {
                        self.line.broken.notify_one();
                        break error.to_string();
                    }
                },
                () = sleep_until(until.into()) => return self.give_up(),
                written = writer.write(&self.outgoing), if !self.outgoing.is_empty() => match written {
                    Ok(count) => self.written(count),
                    Err(error) => break error.to_string(),
                },
                request = requests.recv(), if self.outgoing.is_empty() => match request {
                    Some(request) => {
                        self.accept(request);
                        // One write for all that wait: many small ones cost BIND and us most of the time.
                        while self.outgoing.len() < GATHERED && let Ok(request) = requests.try_recv() {
                            self.accept(request);
                        }
                    }
                    None => break "rotad stops".to_owned(),
                },
            }
        };
        self.close(&reason, Cause::Broken);
    }

    /// Signs a request and puts it on its way. Called when nothing else is left to write, or only what was signed in
    /// the same moment: time signed is the time of writing.
    fn accept(&mut self, request: Request) {
        let Request { message, key, asked_at, permits, reply } = request;
        // We stood still: what it was made from is stale.
        if clock::since_boot().saturating_sub(asked_at) > STILL {
            let _ = reply.send(Err(Lost::unsent("it was not sent in time, and is stale")));
            return;
        }
        while self.waiting.contains_key(&self.next_id) || self.passed_over.contains(&self.next_id) {
            self.next_id = self.next_id.wrapping_add(1);
        }
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let framed = key
            .sign(&message, id, self.line.epoch())
            .map_err(|error| format!("the message has no wire form: {error}"))
            .and_then(|signed| match u16::try_from(signed.bytes.len()) {
                Ok(length) => Ok((length, signed)),
                Err(_) => Err("the message does not fit in 64 KiB".to_owned()),
            });
        let (length, mut signed) = match framed {
            Ok(framed) => framed,
            Err(reason) => {
                let _ = reply.send(Err(Lost { reason, sent: false, cause: Cause::Broken }));
                return;
            }
        };
        self.unsent.push((id, self.outgoing.len()));
        self.outgoing.extend_from_slice(&length.to_be_bytes());
        self.outgoing.append(&mut signed.bytes);
        self.transfers += usize::from(is_transfer(&message));
        let deadline = clock::now() + self.line.timeout;
        self.waiting.insert(id, Waiting { asked: message, signed, key, deadline, reply, _permits: permits });
    }

    /// So many octets have left.
    fn written(&mut self, count: usize) {
        self.outgoing.drain(..count);
        self.unsent.retain_mut(|(_, place)| {
            let is_whole = *place >= count;
            *place = place.saturating_sub(count);
            is_whole
        });
    }

    /// Hands each whole answer to the one who waits for it.
    fn deliver(&mut self) -> Result<(), String> {
        if self.transfers > 0 {
            // BIND holds back its next answer until this one is acknowledged, and few requests follow that carry that: a
            // zone took 5 ms (measured). A failure costs no more than that.
            let _ = self.stream.set_quickack(true);
        }
        let mut incoming = std::mem::take(&mut self.incoming);
        let mut rest = incoming.as_slice();
        while let Some((answer, others)) = next_answer(rest) {
            rest = others;
            let id = answer.first_chunk::<2>().map(|id| u16::from_be_bytes(*id)).ok_or("an answer without header")?;
            if self.passed_over.contains(&id) {
                continue;
            }
            let waiting = self.waiting.get(&id).ok_or("an answer that nobody waits for")?;
            let is_transfer = is_transfer(&waiting.asked);
            let answer = match judge(answer, &waiting.asked, &waiting.signed, &waiting.key, self.line.epoch()) {
                Ok(answer) => Ok(answer),
                // One odd record somewhere in the zone or at the name: whoever asked for all of it can ask otherwise.
                Err(garbage @ Garbage::Undecodable(_)) if asks_for_all(&waiting.asked) => {
                    Err(Lost { reason: garbage.to_string(), sent: true, cause: Cause::Odd })
                }
                // It comes from something before BIND, which may hand on what else is asked.
                Err(garbage @ Garbage::Unsigned(_)) => {
                    Err(Lost { reason: self.unsigned(&garbage, &waiting.asked), sent: true, cause: Cause::Unsigned })
                }
                Err(garbage) => return Err(garbage.to_string()),
            };
            let goes_on = match &answer {
                Ok(Answer::Signed(message)) => !is_whole(message),
                Ok(Answer::Tsig(_)) => false,
                Err(_) => true,
            };
            if is_transfer && goes_on {
                self.passed_over.insert(id);
            }
            self.transfers -= usize::from(is_transfer);
            if let Some(waiting) = self.waiting.remove(&id) {
                let _ = waiting.reply.send(answer);
            }
        }
        incoming.drain(..incoming.len() - rest.len());
        self.incoming = incoming;
        self.idle_until = clock::now() + IDLE;
        self.is_heard = true;
        Ok(())
    }

    fn unsigned(&self, garbage: &Garbage, asked: &Message) -> String {
        let server = self.line.server;
        if asked.op_code != OpCode::Update {
            return format!("named at {server}: {garbage}");
        }
        format!(
            "updates to {server} get unsigned answers: {garbage}, so it is not named's: something between (a proxy, a forwarder, \
             a load balancer) answers for it; let `bind.server` be named itself, or have what is between hand updates on"
        )
    }

    /// An answer stays out: BIND answers in order, so that those behind it would wait, too.
    fn give_up(mut self) {
        if self.waiting.is_empty() {
            return self.close("it was idle", Cause::Broken);
        }
        let first = self.waiting.iter().min_by_key(|(_, waiting)| waiting.deadline).map(|(id, _)| *id);
        let (mut reason, cause) = (format!("no answer in {}", format_duration(self.line.timeout)), self.silence());
        if cause == Cause::Unheard {
            reason.push_str(" on a new connection (all of named's `tcp-clients` may be taken)");
        }
        let silent = first.and_then(|id| Some((id, self.waiting.remove(&id)?)));
        let words = format!("named at {}: {reason}", self.line.server);
        let unsent = first.is_some_and(|id| self.is_unsent(id));
        self.close(&format!("{reason} to what was asked before"), Cause::Behind);
        if let Some((_, waiting)) = silent {
            let _ = waiting.reply.send(Err(Lost { reason: words, sent: !unsent, cause }));
        }
    }

    /// With somebody waiting it closes by RST: a BIND that has not accepted the connection yet then drops what it has
    /// not read. One that has may still apply it (measured: 10 of 10); that is the generation record's business.
    fn close(self, reason: &str, cause: Cause) {
        if !self.waiting.is_empty() || cause == Cause::Behind {
            // If it fails, FIN it is; the generation record stands either way.
            let _ = self.stream.set_zero_linger();
        }
        // Before anybody hears of it: what was known of the server is known no longer.
        self.line.life.fetch_add(1, Ordering::Relaxed);
        let reason = format!("named at {}: {reason}", self.line.server);
        let unsent: BTreeSet<_> = self.unsent.iter().map(|(id, _)| *id).collect();
        // The socket first: whoever learns of the loss may send again at once.
        drop(self.stream);
        for (id, waiting) in self.waiting {
            let _ = waiting.reply.send(Err(Lost { reason: reason.clone(), sent: !unsent.contains(&id), cause }));
        }
    }

    const fn silence(&self) -> Cause {
        if self.is_heard { Cause::Silent } else { Cause::Unheard }
    }

    /// Whether nothing of a request was written yet.
    fn is_unsent(&self, id: u16) -> bool {
        self.unsent.iter().any(|(unsent, _)| *unsent == id)
    }
}

/// The first message of what was read, and what is behind it (RFC 1035 section 4.2.2).
fn next_answer(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk::<2>()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}
