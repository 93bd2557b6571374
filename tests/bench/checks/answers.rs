//! What BIND answers, asked each millisecond.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Message, Query},
    rr::{Name, RData, RecordType},
};
use rotad::io::clock;

/// Longer than anything here may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// One name's addresses, and the one of them that is looked for.
pub struct Answers {
    socket: UdpSocket,
    question: Vec<u8>,
    address: IpAddr,
}

impl Answers {
    pub fn new(server: SocketAddr, name: &str, address: IpAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.connect(server).expect("an address");
        socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(format!("{name}.")).expect("a name"), RecordType::A));
        Self { socket, question: message.to_vec().expect("a small message"), address }
    }

    /// Waits until the address is among the answers, or is not; when the answer came that said so.
    pub fn until(&self, is_there: bool) -> Instant {
        let end = clock::now() + DEADLINE;
        while self.has_address() != is_there {
            assert!(clock::now() < end, "not within {DEADLINE:?}: {} in the answers: {is_there}", self.address);
            thread::sleep(Duration::from_millis(1));
        }
        clock::now()
    }

    fn has_address(&self) -> bool {
        let mut answer = [0; 4096];
        self.socket.send(&self.question).expect("named listens");
        let length = self.socket.recv(&mut answer).expect("an answer");
        let answer = Message::from_vec(&answer[..length]).expect("a DNS message");
        answer.answers.iter().any(|record| matches!(&record.data, RData::A(a) if IpAddr::from(a.0) == self.address))
    }
}

/// Numbers that look like chance, and are the same in each run.
pub struct Chance(pub u64);

impl Chance {
    /// From 0 to 1.
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1_u64 << 24) as f64
    }
}
