//! What thousands of checks ask, and who notes when they do.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rotad::io::clock;
use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{AddressFamily, RecvFlags, SocketType, ipproto, recv, socket_with, sockopt},
};

/// Enough that one slow client holds up nobody.
const THREADS: usize = 4;

/// What is said to each connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// Nothing: it is closed at once.
    Nothing,
    /// A page, once the head of a request is there.
    Page,
}

/// One port of every address in 127.0.0.0/8; listens until it is dropped.
pub struct Listener {
    pub port: u16,
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Listener {
    pub fn start(speech: Speech) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        // More than std's: nobody may be refused because we had no turn for a moment.
        rustix::net::listen(&listener, 4096).expect("it listens already");
        let port = listener.local_addr().expect("it is bound").port();
        let ends = Arc::<AtomicBool>::default();
        let serve = |_| {
            let (listener, ends) = (listener.try_clone().expect("a descriptor"), Arc::clone(&ends));
            thread::spawn(move || serve(&listener, speech, &ends))
        };
        let threads = (0..THREADS).map(serve).collect();
        Self { port, ends, threads }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        for _ in &self.threads {
            let _woken = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        }
        for thread in self.threads.drain(..) {
            thread.join().expect("a listener does not panic");
        }
    }
}

fn serve(listener: &TcpListener, speech: Speech, ends: &AtomicBool) {
    while !ends.load(Ordering::Relaxed) {
        let Ok((mut stream, _)) = listener.accept() else { continue };
        if speech == Speech::Page {
            let _gone = answer(&mut stream);
        }
    }
}

fn answer(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let (mut head, mut filled) = ([0; 1024], 0);
    while !head[..filled].ends_with(b"\r\n\r\n") {
        match stream.read(&mut head[filled..])? {
            0 => return Ok(()),
            length => filled += length,
        }
    }
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
}

/// When each address was asked in this span: when the first packet of a connection (SYN) to this port came to it. Who
/// only connects may never be accepted, so the listener cannot tell. Needs root, and costs whoever asks a copy of each
/// packet.
pub fn asked(port: u16, span: Duration) -> BTreeMap<Ipv4Addr, Vec<Instant>> {
    let socket = raw_socket().unwrap_or_else(|error| panic!("a raw socket: {error}; become root"));
    let end = clock::now() + span;
    let mut asked = BTreeMap::<_, Vec<_>>::new();
    let mut packet = [0; 128];
    loop {
        let (length, _) = match recv(&socket, packet.as_mut_slice(), RecvFlags::empty()) {
            Err(Errno::AGAIN) => (0, 0),
            received => received.expect("it receives"),
        };
        let now = clock::now();
        if now > end {
            return asked;
        }
        if let Some(address) = connects_to(&packet[..length], port) {
            asked.entry(address).or_default().push(now);
        }
    }
}

fn raw_socket() -> rustix::io::Result<OwnedFd> {
    let socket =
        socket_with(AddressFamily::INET, SocketType::RAW, rustix::net::SocketFlags::CLOEXEC, Some(ipproto::TCP))?;
    sockopt::set_socket_recv_buffer_size_force(&socket, 64 << 20)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(Duration::from_millis(100)))?;
    Ok(socket)
}

/// Where a packet goes, if it opens a connection to this port.
fn connects_to(packet: &[u8], port: u16) -> Option<Ipv4Addr> {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    let words_of_header = usize::from(packet.first()? & 0x0f);
    let tcp = packet.get(words_of_header * 4..)?;
    let to_us = tcp.get(2..4)? == port.to_be_bytes();
    let opens = tcp.get(13)? & (SYN | ACK) == SYN;
    let address: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    (to_us && opens).then(|| address.into())
}

/// Connections that this machine has begun so far.
pub fn connections() -> u64 {
    let counters = fs::read_to_string("/proc/net/snmp").expect("the kernel counts");
    let mut tcp = counters.lines().filter_map(|line| line.strip_prefix("Tcp: ")).map(str::split_whitespace);
    let (names, values) = (tcp.next().expect("names"), tcp.next().expect("values"));
    let value = names.zip(values).find_map(|(name, value)| (name == "ActiveOpens").then_some(value));
    value.expect("it is counted").parse().expect("a number")
}
