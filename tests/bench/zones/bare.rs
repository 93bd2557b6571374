//! The least that can be done: messages that were signed before, pipelined, and nothing looked at but the code.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::SystemTime,
};

use rotad::{
    dns::OwnerName,
    io::{clock, keys},
    update::Update,
};

use super::world::{World, changes, name};

/// Signs a pass: one message a zone, spread over the connections. Each with its length before it. With `differences`
/// they are the very messages that rotad sends; without, whole sets, as knsupdate and nsupdate send them.
pub fn sign(
    world: &World,
    generation: u64,
    victim_leaves: bool,
    connections: usize,
    differences: bool,
) -> Vec<Vec<Vec<u8>>> {
    let bind = world.named.bind_with(&world.named.key_file("rotad"));
    let keys = keys::load(&bind.key, false).expect("a key");
    let key = keys.iter().next().expect("a key");
    let now = clock::wall().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let mut lanes = vec![Vec::new(); connections];
    for at in 0..world.zones {
        let mut changes = changes(at, victim_leaves);
        if !differences {
            for change in &mut changes {
                change.before = None;
            }
        }
        let update = Update {
            exact: differences,
            is_last: false,
            zone: OwnerName::parse(&name(at)).expect("a name"),
            guard: (&world.record(generation)).into(),
            record: world.record(generation + 1),
            changes,
        };
        let message = update.message().expect("a message");
        let id = u16::try_from(at % 0x1_0000).expect("a remainder");
        let signed = key.sign(&message, id, now).expect("it is signed").bytes;
        let mut framed = u16::try_from(signed.len()).expect("a small message").to_be_bytes().to_vec();
        framed.extend(signed);
        lanes[at % connections].push(framed);
    }
    lanes
}

/// Sends a pass, `window` messages at most waiting on each connection.
pub fn send(server: SocketAddr, lanes: &[Vec<Vec<u8>>], window: usize) {
    thread::scope(|scope| {
        for lane in lanes {
            scope.spawn(move || {
                let mut stream = TcpStream::connect(server).expect("BIND listens");
                stream.set_nodelay(true).expect("a socket");
                for message in lane.iter().take(window) {
                    stream.write_all(message).expect("BIND reads");
                }
                for next in (window..).take(lane.len()) {
                    let mut length = [0; 2];
                    stream.read_exact(&mut length).expect("an answer");
                    let mut answer = vec![0; u16::from_be_bytes(length).into()];
                    stream.read_exact(&mut answer).expect("an answer");
                    assert_eq!(answer[3] & 0x0f, 0, "NOERROR");
                    if let Some(message) = lane.get(next) {
                        stream.write_all(message).expect("BIND reads");
                    }
                }
            });
        }
    });
}
