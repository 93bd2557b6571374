//! Scripted nodes: what a mail or web server says to one connection, as a list of steps.
//!
//! A node runs on a thread of its own, so that tests may block or not as they like. It listens when
//! [`Node::start`] returns, and every socket of it is closed when [`Node::stop`] returns.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    thread,
    time::Duration,
};

use rustix::net::{Shutdown, shutdown};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::oneshot,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};

use super::named::eventually;

/// What a node does with each connection. When the steps are done it closes.
#[derive(Clone, Default)]
pub struct Script(Vec<Step>);

#[derive(Clone)]
enum Step {
    Expect(String),
    Quiet(Duration),
    Send(Vec<u8>),
    Drip(Vec<u8>, Duration),
    Flood(u64),
    Reset,
    Hang,
    Any,
    Tls(Arc<ServerConfig>),
}

/// A connection, plain or secured.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {
    /// The bare connection, if it is one.
    fn tcp(&self) -> Option<&TcpStream>;
}

impl Wire for TcpStream {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl Wire for TlsStream<BufReader<Box<dyn Wire>>> {
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}

impl Script {
    /// Accepts, and closes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a line, which must begin so.
    pub fn expect(self, beginning: &str) -> Self {
        self.and(Step::Expect(beginning.to_owned()))
    }

    /// For so long the peer must say nothing.
    pub fn quiet(self, span: Duration) -> Self {
        self.and(Step::Quiet(span))
    }

    /// Sends this.
    pub fn send(self, octets: impl AsRef<[u8]>) -> Self {
        self.and(Step::Send(octets.as_ref().to_vec()))
    }

    /// Sends this, one octet at a time.
    pub fn drip(self, octets: impl AsRef<[u8]>, every: Duration) -> Self {
        self.and(Step::Drip(octets.as_ref().to_vec(), every))
    }

    /// Sends so many octets without an end of line.
    pub fn flood(self, octets: u64) -> Self {
        self.and(Step::Flood(octets))
    }

    /// Closes by RST.
    pub fn reset(self) -> Self {
        self.and(Step::Reset)
    }

    /// Says nothing more, and closes when the peer does.
    pub fn hang(self) -> Self {
        self.and(Step::Hang)
    }

    /// Reads what comes first, whatever it is.
    pub fn any(self) -> Self {
        self.and(Step::Any)
    }

    /// Shakes hands as a TLS server; what follows is under TLS.
    pub fn tls(self, server: &Arc<ServerConfig>) -> Self {
        self.and(Step::Tls(Arc::clone(server)))
    }

    /// Does what `other` does next.
    pub fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    fn and(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }

    /// A port that accepts.
    pub fn tcp() -> Self {
        Self::new().hang()
    }

    /// A mail server on port 25.
    pub fn smtp() -> Self {
        Self::new()
            .send("220 mx ESMTP\r\n")
            .expect("EHLO ")
            .send("250-mx\r\n250-PIPELINING\r\n250 SIZE 1000\r\n")
            .expect("QUIT")
            .send("221 2.0.0 bye\r\n")
    }

    /// A mail store on port 143.
    pub fn imap() -> Self {
        Self::new()
            .send("* OK [CAPABILITY IMAP4rev1] ready\r\n")
            .expect("a CAPABILITY")
            .send("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\na OK listed\r\n")
            .expect("a LOGOUT")
            .send("* BYE logging out\r\na OK done\r\n")
    }

    /// A mail store on port 110.
    pub fn pop3() -> Self {
        Self::new().send("+OK ready\r\n").expect("CAPA").send("+OK\r\nUSER\r\n.\r\n").expect("QUIT").send("+OK bye\r\n")
    }

    /// A web server whose every answer is this.
    pub fn http(status: u16, body: &str) -> Self {
        Self::request().send(format!(
            "HTTP/1.1 {status} as asked\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ))
    }

    /// Reads the head of an HTTP request.
    pub fn request() -> Self {
        Self::new()
            .expect("GET ")
            .expect("host: ")
            .expect("user-agent: rotad/")
            .expect("accept: ")
            .expect("connection: close")
            .expect("\r\n")
    }
}

/// The addresses of nodes that answer nothing more, though their sockets may not be closed as yet. Whoever goes together
/// goes at one instant: sockets are closed one after another, and a probe may come in between.
#[derive(Clone, Default)]
pub struct Gone(Arc<RwLock<BTreeSet<SocketAddr>>>);

impl Gone {
    /// From now on these answer nothing.
    pub fn together(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(addresses);
    }

    fn has(&self, address: SocketAddr) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&address)
    }

    /// From now on these answer again, if they listen.
    pub fn return_together(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        let mut gone = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for address in addresses {
            gone.remove(&address);
        }
    }
}

/// A node that listens, or did.
pub struct Node {
    address: SocketAddr,
    gone: Gone,
    script: Script,
    seen: Arc<Mutex<Seen>>,
    running: Option<Running>,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

/// What a node has seen, all connections together.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Connections so far.
    pub connections: usize,
    /// Lines that came, without their ends.
    pub heard: Vec<String>,
    /// Octets of the floods that were taken.
    pub flooded: u64,
    /// What did not go as the script says.
    pub complaints: Vec<String>,
}

/// A listener. A process that another test starts holds copies of all our sockets until it runs its program: what we
/// have closed may stay in use for a moment.
fn bind(address: SocketAddr) -> TcpListener {
    let mut listener = None;
    eventually(&format!("{address} is free"), || {
        listener = match TcpListener::bind(address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => None,
            other => Some(other.unwrap_or_else(|error| panic!("{address}: {error}"))),
        };
        listener.is_some()
    });
    listener.expect("it was just made")
}

impl Node {
    /// Listens on an address, "127.0.1.1:2525"; port 0 picks a free one.
    pub fn start(address: &str, script: Script) -> Self {
        Self::start_among(&Gone::default(), address, script)
    }

    /// The same for one of several that may go together.
    pub fn start_among(gone: &Gone, address: &str, script: Script) -> Self {
        let mut node = Self {
            address: address.parse().expect("an address and port"),
            gone: gone.clone(),
            script,
            seen: Arc::default(),
            running: None,
        };
        node.start_again();
        node
    }

    /// Listens again, on the same address and port, and answers.
    pub fn start_again(&mut self) {
        self.listen_again();
        self.gone.return_together([self.address]);
    }

    /// Listens again, but answers nothing before it returns: see [`Gone`].
    pub fn listen_again(&mut self) {
        assert!(self.running.is_none(), "{} listens already", self.address);
        let listener = bind(self.address);
        listener.set_nonblocking(true).expect("a listener can be made so");
        self.address = listener.local_addr().expect("it is bound");
        let (stop, stopped) = oneshot::channel();
        let talk = Talk {
            script: self.script.clone(),
            seen: Arc::clone(&self.seen),
            gone: self.gone.clone(),
            at: self.address,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let thread = thread::spawn(move || runtime.block_on(serve(listener, talk, stopped)));
        self.running = Some(Running { stop, thread });
    }

    /// Closes the port and every connection.
    pub fn stop(&mut self) {
        if let Some(Running { stop, thread }) = self.running.take() {
            drop(stop);
            thread.join().expect("a node does not panic");
        }
    }

    /// Listens again with another script.
    pub fn restart(&mut self, script: Script) {
        self.stop();
        self.script = script;
        self.start_again();
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().expect("a node does not panic")
}

/// What is done with each connection.
#[derive(Clone)]
struct Talk {
    script: Script,
    seen: Arc<Mutex<Seen>>,
    gone: Gone,
    at: SocketAddr,
}

async fn serve(listener: TcpListener, talk: Talk, mut stopped: oneshot::Receiver<()>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a runtime is there");
    let mut talks = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => {
                // A program that another test starts holds our sockets, too, until it begins: to close is not enough.
                shutdown(&listener, Shutdown::Both).expect("it listens");
                return;
            }
            Ok((stream, _)) = listener.accept() => {
                lock(&talk.seen).connections += 1;
                talks.spawn(play(stream, talk.clone()));
            }
            Some(_) = talks.join_next() => {}
        }
    }
}

/// Plays the script to one connection, and notes where it goes wrong.
async fn play(stream: TcpStream, Talk { script, seen, gone, at }: Talk) {
    let mut stream: BufReader<Box<dyn Wire>> = BufReader::new(Box::new(stream));
    for step in script.0 {
        if gone.has(at) {
            // As a port that is closed: no goodbye.
            let _is_tls = stream.get_ref().tcp().map(TcpStream::set_zero_linger);
            return;
        }
        let played = match step {
            Step::Tls(server) => match TlsAcceptor::from(server).accept(stream).await {
                Ok(secured) => {
                    stream = BufReader::new(Box::new(secured));
                    Ok(())
                }
                Err(error) => {
                    lock(&seen).complaints.push(format!("TLS: {error}"));
                    return;
                }
            },
            step => step.play(&mut stream, &seen).await,
        };
        if let Err(complaint) = played {
            lock(&seen).complaints.push(complaint);
            return;
        }
    }
    // A TLS server says goodbye; a plain one has nothing to say, and may be gone.
    if stream.get_ref().tcp().is_none() {
        let _gone = stream.shutdown().await;
    }
}

impl Step {
    async fn play(self, stream: &mut BufReader<Box<dyn Wire>>, seen: &Mutex<Seen>) -> Result<(), String> {
        match self {
            Self::Expect(beginning) => {
                let mut line = Vec::new();
                let read = stream.read_until(b'\n', &mut line).await;
                let line = String::from_utf8_lossy(&line).into_owned();
                lock(seen).heard.push(line.trim_end().to_owned());
                match read {
                    Ok(_) if line.starts_with(&beginning) => Ok(()),
                    read => Err(format!("expected {beginning:?}, got {line:?} ({read:?})")),
                }
            }
            Self::Quiet(span) => match timeout(span, stream.fill_buf()).await {
                Ok(Ok(early)) => Err(format!("expected silence, got {:?}", String::from_utf8_lossy(early))),
                Ok(Err(error)) => Err(format!("expected silence, got {error}")),
                Err(_) => Ok(()),
            },
            Self::Send(octets) => {
                stream.write_all(&octets).await.map_err(|error| format!("send: {error}"))?;
                stream.flush().await.map_err(|error| format!("flush: {error}"))
            }
            Self::Any => match stream.fill_buf().await {
                Ok(read) => {
                    let length = read.len();
                    stream.consume(length);
                    Ok(())
                }
                Err(error) => Err(format!("expected something, got {error}")),
            },
            Self::Tls(_) => Err("a handshake takes the stream".to_owned()),
            Self::Drip(octets, every) => {
                for octet in octets {
                    stream.write_u8(octet).await.map_err(|error| format!("drip: {error}"))?;
                    sleep(every).await;
                }
                Ok(())
            }
            Self::Flood(octets) => {
                let portion = vec![b'x'; 64 * 1024];
                let mut left = octets;
                while left > 0 {
                    let taken = stream.write(&portion).await.map_err(|error| format!("flood: {error}"))?;
                    lock(seen).flooded += taken as u64;
                    left = left.saturating_sub(taken as u64);
                }
                Ok(())
            }
            Self::Reset => match stream.get_ref().tcp() {
                Some(tcp) => tcp.set_zero_linger().map_err(|error| format!("reset: {error}")),
                None => Err("only a plain connection is reset".to_owned()),
            },
            Self::Hang => {
                let mut rest = Vec::new();
                // However the peer goes, it is gone.
                let _gone = stream.read_to_end(&mut rest).await;
                Ok(())
            }
        }
    }
}
