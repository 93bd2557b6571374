//! Which zones come first, and how many messages wait for an answer, as seen from between rotad and BIND.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use hickory_proto::op::{Message, OpCode};
use rotad::io::clock;

use super::{
    daemon::Daemon,
    wave::settled,
    world::{World, name},
};
use crate::table::Table;

const ZONES: usize = 1_000;
/// The first by name have an MX alone.
const MX_ONLY: usize = 500;
const IN_FLIGHT: usize = 8;

/// What passed.
#[derive(Debug, Default)]
struct Seen {
    /// The zones of the messages, in their order.
    zones: Vec<String>,
    waiting: usize,
    most: usize,
}

/// Runs the part.
pub fn run(table: &mut Table) {
    let mut world = World::new(ZONES, Path::new("/dev/shm"));
    let (server, seen) = relay(world.named.address());
    world.edit(&world.named.address().to_string(), &server.to_string());
    world.edit("bind: {", &format!("bind: {{ max_in_flight: {IN_FLIGHT},"));
    let list = |from, to| (from..to).map(name).collect::<Vec<_>>().join("\n");
    std::fs::write(world.directory.path().join("mx.txt"), list(0, MX_ONLY)).expect("a list");
    std::fs::write(world.directory.path().join("domains.txt"), list(MX_ONLY, ZONES)).expect("a list");
    world.edit("domain_lists: [ ", "domain_lists: [ { file: mx.txt, services: [mx] }, ");
    let (_daemon, _) = Daemon::start_in_sync(&world.file(), ZONES);
    let since = clock::wall();
    world.kill();
    settled(&world, since);
    let seen = seen.lock().expect("nobody panics");
    table.must(
        format!("messages that wait for an answer, max_in_flight {IN_FLIGHT}: the most"),
        seen.most,
        seen.most <= IN_FLIGHT && seen.most > IN_FLIGHT / 2,
    );
    // The first message to each: a check that falls a moment later brings a second one to some zones.
    let mut firsts: Vec<&String> = Vec::new();
    for zone in &seen.zones {
        if !firsts.contains(&zone) {
            firsts.push(zone);
        }
    }
    let has_clients = |zone: &&String| **zone >= name(MX_ONLY);
    let end = firsts.iter().rposition(has_clients).expect("some were written");
    let early = firsts[..end].iter().filter(|zone| !has_clients(zone)).count();
    table.must(
        format!("zones with an MX alone ({MX_ONLY}) that came before the last zone with client names"),
        early,
        early <= IN_FLIGHT,
    );
}

/// Listens between rotad and a server.
fn relay(server: SocketAddr) -> (SocketAddr, Arc<Mutex<Seen>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("its address");
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let counts = Arc::clone(&seen);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(server).expect("BIND listens");
            for stream in [&client, &server] {
                stream.set_nodelay(true).expect("a socket");
            }
            let ways = [(&client, &server, true), (&server, &client, false)];
            for (from, to, asks) in ways.map(|(from, to, asks)| (from.try_clone(), to.try_clone(), asks)) {
                let (mut from, mut to) = (from.expect("a socket"), to.expect("a socket"));
                let counts = Arc::clone(&counts);
                thread::spawn(move || while pass(&mut from, &mut to, asks, &counts).is_ok() {});
            }
        }
    });
    (address, seen)
}

/// Passes one message on.
fn pass(from: &mut TcpStream, to: &mut TcpStream, asks: bool, seen: &Mutex<Seen>) -> std::io::Result<()> {
    let mut length = [0; 2];
    from.read_exact(&mut length)?;
    let mut message = length.to_vec();
    message.resize(2 + usize::from(u16::from_be_bytes(length)), 0);
    from.read_exact(&mut message[2..])?;
    let read = Message::from_vec(&message[2..]).expect("a DNS message");
    if read.op_code == OpCode::Update {
        let mut seen = seen.lock().expect("nobody panics");
        if asks {
            seen.waiting += 1;
            seen.most = seen.most.max(seen.waiting);
            seen.zones.push(read.queries[0].name().to_ascii().trim_end_matches('.').to_owned());
        } else {
            seen.waiting -= 1;
        }
    }
    to.write_all(&message)
}
