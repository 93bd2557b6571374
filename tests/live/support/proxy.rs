//! A network between rotad and `named` that does what networks do: it loses, cuts, delays, repeats and forges.
//!
//! It knows DNS messages, and keeps each that goes to the server. A [`Fate`] is given to those that a test picks; all
//! others pass. Like a real network it still delivers what it holds when the sender has long given up.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Mutex as AsyncMutex, oneshot, watch},
    task::JoinSet,
    time::sleep,
};

use super::named::eventually;

/// What becomes of a message.
#[derive(Debug, Clone)]
pub enum Fate {
    /// It arrives.
    Pass,
    /// It is lost; the connection stays.
    Lose,
    /// So many octets of it arrive, the two of its length among them; then both sides see the connection closed. One
    /// that is not longer arrives whole.
    Cut(usize),
    /// It arrives two times.
    Twice,
    /// It arrives so much later.
    Late(Duration),
    /// It arrives once [`Proxy::release`] says so.
    Hold,
    /// These octets arrive in its place.
    Replace(fn(&[u8]) -> Vec<u8>),
    /// It is lost, and the sender gets this as an answer.
    Answer(fn(&[u8]) -> Vec<u8>),
}

/// Which messages meet a fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// An UPDATE.
    Update,
    /// The answer to one.
    UpdateAnswer,
    /// The answer to a query.
    ReadAnswer,
}

impl Which {
    fn of(message: &[u8], asks: bool) -> Option<Self> {
        // RFC 1035 section 4.1.1: the opcode is in the four bits after QR; 5 is UPDATE.
        let is_update = message.get(2).is_some_and(|octet| octet >> 3 & 0xf == 5);
        match (asks, is_update) {
            (true, true) => Some(Self::Update),
            (true, false) => None,
            (false, true) => Some(Self::UpdateAnswer),
            (false, false) => Some(Self::ReadAnswer),
        }
    }
}

/// The network. It ends, with every connection, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Option<(oneshot::Sender<()>, thread::JoinHandle<()>)>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    plan: Mutex<Plan>,
    /// How often what was held has been released.
    released: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Plan {
    rule: Option<Rule>,
    /// How many have met their fate.
    met: usize,
    /// The UPDATEs that came, oldest first.
    updates: Vec<Vec<u8>>,
    /// The answers to them.
    update_answers: Vec<Vec<u8>>,
    /// How long the answers to queries were.
    read_answers: Vec<usize>,
}

#[derive(Debug)]
struct Rule {
    which: Which,
    fate: Fate,
    /// How many pass before.
    skip: usize,
    /// How many then meet it.
    times: usize,
}

impl Proxy {
    /// Listens, and hands on to `server`.
    pub fn start(server: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listener can be made so");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared { server, plan: Mutex::default(), released: watch::Sender::new(0) });
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let inner = Arc::clone(&shared);
        let thread = thread::spawn(move || runtime.block_on(serve(listener, inner, stopped)));
        Self { address, shared, running: Some((stop, thread)) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        lock(&self.shared.plan)
    }

    /// The next message of this kind meets a fate.
    pub fn once(&self, which: Which, fate: Fate) {
        self.rule(Rule { which, fate, skip: 0, times: 1 });
    }

    /// So many pass, then one meets a fate.
    pub fn after(&self, skip: usize, which: Which, fate: Fate) {
        self.rule(Rule { which, fate, skip, times: 1 });
    }

    /// Each message of this kind does, until [`Proxy::heal`].
    pub fn always(&self, which: Which, fate: Fate) {
        self.rule(Rule { which, fate, skip: 0, times: usize::MAX });
    }

    fn rule(&self, rule: Rule) {
        let mut plan = self.plan();
        plan.rule = Some(rule);
        plan.met = 0;
    }

    /// From now on everything passes; what is held stays so.
    pub fn heal(&self) {
        self.plan().rule = None;
    }

    /// Waits until a message has met the fate that was set last.
    pub fn expect_met(&self) {
        eventually("a message meets its fate", || self.plan().met > 0);
    }

    /// How many have.
    pub fn met(&self) -> usize {
        self.plan().met
    }

    /// What is held goes on.
    pub fn release(&self) {
        self.shared.released.send_modify(|times| *times += 1);
    }

    /// The UPDATEs so far.
    pub fn updates(&self) -> Vec<Vec<u8>> {
        self.plan().updates.clone()
    }

    /// The answers to them so far.
    pub fn update_answers(&self) -> Vec<Vec<u8>> {
        self.plan().update_answers.clone()
    }

    /// How many octets each answer to a query had so far.
    pub fn read_answers(&self) -> Vec<usize> {
        self.plan().read_answers.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the proxy does not panic");
        }
    }
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().expect("whoever holds it does not panic")
}

impl Shared {
    fn fate(&self, message: &[u8], asks: bool) -> Fate {
        let which = Which::of(message, asks);
        let mut plan = lock(&self.plan);
        match which {
            Some(Which::Update) => plan.updates.push(message.to_vec()),
            Some(Which::UpdateAnswer) => plan.update_answers.push(message.to_vec()),
            Some(Which::ReadAnswer) => plan.read_answers.push(message.len()),
            None => {}
        }
        match &mut plan.rule {
            Some(rule) if Some(rule.which) == which && rule.skip > 0 => {
                rule.skip -= 1;
                Fate::Pass
            }
            Some(rule) if Some(rule.which) == which && rule.times > 0 => {
                rule.times -= 1;
                let fate = rule.fate.clone();
                plan.met += 1;
                fate
            }
            _ => Fate::Pass,
        }
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let listener = TcpListener::from_std(listener).expect("a runtime is there");
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            Ok((client, _)) = listener.accept() => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    // Without a server the client sees the connection closed.
                    if let Ok(server) = TcpStream::connect(shared.server).await
                        && client.set_nodelay(true).and(server.set_nodelay(true)).is_ok()
                    {
                        join(client, server, &shared).await;
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Both ways of a connection.
async fn join(client: TcpStream, server: TcpStream, shared: &Shared) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (to_client, to_server) = (AsyncMutex::new(to_client), AsyncMutex::new(to_server));
    let asked = relay(from_client, &to_server, Some(&to_client), shared);
    let answered = relay(from_server, &to_client, None, shared);
    // An error closes all; an end of one way lets the other one end by itself.
    let _closed = tokio::try_join!(asked, answered);
}

type Way = AsyncMutex<OwnedWriteHalf>;

/// One way of a connection, until its end.
async fn relay(mut from: OwnedReadHalf, to: &Way, back: Option<&Way>, shared: &Shared) -> std::io::Result<()> {
    let mut is_late = false;
    while let Some(message) = receive(&mut from).await {
        // Before it is known that a message is held.
        let mut released = shared.released.subscribe();
        match shared.fate(&message, back.is_some()) {
            Fate::Pass => {
                let sent = send(to, &message).await;
                // That a client has gone ends nothing: what it sent may be held, and still arrives.
                if back.is_some() {
                    sent?;
                }
            }
            Fate::Lose => {}
            Fate::Cut(octets) => {
                let framed = frame(&message);
                let Some(beginning) = framed.get(..octets).filter(|beginning| beginning.len() < framed.len()) else {
                    send(to, &message).await?;
                    continue;
                };
                to.lock().await.write_all(beginning).await?;
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
            Fate::Twice => {
                send(to, &message).await?;
                send(to, &message).await?;
            }
            Fate::Late(span) => {
                sleep(span).await;
                send(to, &message).await?;
            }
            Fate::Hold => {
                // Its sender is in `shared`.
                let _ = released.changed().await;
                send(to, &message).await?;
                is_late = true;
            }
            Fate::Replace(other) => send(to, &other(&message)).await?,
            Fate::Answer(forge) => {
                send(back.expect("questions are answered"), &forge(&message)).await?;
            }
        }
    }
    // BIND 9.20 may answer nothing to a message that the end of the connection follows at once.
    if is_late { Ok(()) } else { to.lock().await.shutdown().await }
}

/// The next message; `None`: the peer has closed or reset the connection.
async fn receive(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let length = from.read_u16().await.ok()?;
    let mut message = vec![0; length.into()];
    from.read_exact(&mut message).await.ok()?;
    Some(message)
}

fn frame(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("it came with such a length");
    [&length.to_be_bytes(), message].concat()
}

async fn send(to: &Way, message: &[u8]) -> std::io::Result<()> {
    to.lock().await.write_all(&frame(message)).await
}
