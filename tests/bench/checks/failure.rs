//! From the failure that decides to BIND's first answer without the node, and how much of that is BIND's own.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rotad::{
    dns::{OwnerName, Rdata, RrType, Rrset, RrsetId, Ttl},
    io::{clock, primary::Primary},
    plan::Change,
    update::{GenerationRecord, GenerationRrset, Update, Verdict},
};
use tokio::runtime::Runtime;

use super::{
    answers::{Answers, Chance},
    death::{NAME, rota},
};
use crate::{
    support::{named::Zone, rota::Rota},
    table::{Table, quantile},
};

const FAILURES: usize = 100;

/// Failures in a row that decide.
const FALL: usize = 3;

/// A zone like that of the rota, which we change ourselves.
const TWIN: &str = "twin.example";

pub fn run(table: &mut Table) {
    let mut rota = rota("interval: 100ms, rise: 1, fall: 3", |builder| builder.zone(TWIN, Zone::new(TWIN)));
    rota.kill_check("node01", "imap");
    let node = Node::start(address(&rota));
    rota.start();
    rota.expect_in_sync();
    let server = rota.named.address();
    let answers = Answers::new(server, NAME, rota.ip("node01"));
    let mut twin = Twin::new(&rota);
    let twin_answers = Answers::new(server, &format!("imap.{TWIN}"), rota.ip("node01"));
    let mut chance = Chance(2);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..FAILURES {
        answers.until(true);
        thread::sleep(Duration::from_secs_f64(0.1 * chance.next()));
        node.fail();
        let gone = answers.until(false);
        ours.push((gone - node.decided()).as_secs_f64() * 1e3);
        twin.set(&["node00", "node01", "node02"], &twin_answers);
        theirs.push(twin.set(&["node00", "node02"], &twin_answers).as_secs_f64() * 1e3);
    }
    let own = quantile(&theirs, 0.5);
    let what = "third failure to BIND's answers";
    table.show("BIND's own time for such an update, median", format!("{own:.2} ms"));
    table.show("BIND's own time for such an update, p99", format!("{:.2} ms", quantile(&theirs, 0.99)));
    table.at_most(format!("{what}, beyond BIND's own median: median"), quantile(&ours, 0.5) - own, 15.0, "ms");
    table.at_most(format!("{what}, beyond BIND's own median: p99"), quantile(&ours, 0.99) - own, 50.0, "ms");
}

/// Where the imap of node01 is to listen.
fn address(rota: &Rota) -> SocketAddr {
    let yaml = rota.yaml();
    let (_, rest) = yaml.split_once("kind: imap, port: ").expect("a check");
    let port = rest.split(',').next().and_then(|port| port.parse().ok()).expect("a port");
    SocketAddr::new(rota.ip("node01"), port)
}

/// An IMAP server that fails at times: it accepts and closes at once.
struct Node(Arc<State>);

#[derive(Default)]
struct State {
    ends: AtomicBool,
    /// While it fails, when it closed each contact.
    closed: Mutex<Option<Vec<Instant>>>,
}

impl Node {
    fn start(at: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).expect("nobody listens there");
        let state = Arc::<State>::default();
        let own = Arc::clone(&state);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept()
                && !own.ends.load(Ordering::Relaxed)
            {
                let mut closed = own.closed.lock().expect("a node does not panic");
                if let Some(closed) = closed.as_mut() {
                    drop(stream);
                    closed.push(clock::now());
                } else {
                    drop(closed);
                    let _gone = talk(stream);
                }
            }
        });
        Self(state)
    }

    fn fail(&self) {
        *self.0.closed.lock().expect("a node does not panic") = Some(Vec::new());
    }

    /// Fails no longer; when the contact was closed that decided.
    fn decided(&self) -> Instant {
        let closed = self.0.closed.lock().expect("a node does not panic").take();
        closed.expect("it failed")[FALL - 1]
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // With the next contact.
        self.0.ends.store(true, Ordering::Relaxed);
    }
}

fn talk(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    stream.write_all(b"* OK ready\r\n")?;
    lines.next().transpose()?;
    stream.write_all(b"* CAPABILITY IMAP4rev1\r\na OK listed\r\n")?;
    lines.next().transpose()?;
    stream.write_all(b"* BYE logging out\r\na OK done\r\n")
}

/// The zone that is changed by us, over one connection and with the same messages.
struct Twin {
    runtime: Runtime,
    primary: Primary,
    addresses: Vec<(String, Rdata)>,
    guard: GenerationRrset,
    generation: u64,
}

impl Twin {
    fn new(rota: &Rota) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let inside = runtime.enter();
        let primary = rota.named.primary();
        drop(inside);
        let address = |node: &str| match rota.ip(node) {
            std::net::IpAddr::V4(address) => (node.to_owned(), Rdata::A(address)),
            std::net::IpAddr::V6(address) => (node.to_owned(), Rdata::Aaaa(address)),
        };
        let addresses = ["node00", "node01", "node02"].map(address).to_vec();
        Self { runtime, primary, addresses, guard: GenerationRrset::Absent, generation: 0 }
    }

    /// Gives the name the addresses of these nodes: from sending that to the first answer that shows it.
    fn set(&mut self, nodes: &[&str], answers: &Answers) -> Duration {
        let name = OwnerName::from_presentation(&format!("imap.{TWIN}"));
        let addresses = self.addresses.iter().filter(|(node, _)| nodes.contains(&node.as_str()));
        let after = Rrset { ttl: Ttl(60), rdata: addresses.map(|(_, address)| address.clone()).collect() };
        self.generation += 1;
        let record = GenerationRecord { cluster: "mail".into(), owner: "bench".into(), generation: self.generation };
        let update = Update {
            is_last: false,
            zone: OwnerName::from_presentation(TWIN),
            guard: std::mem::replace(&mut self.guard, (&record).into()),
            record,
            changes: vec![Change { id: RrsetId { owner: name, rtype: RrType::A }, before: None, after: Some(after) }],
            exact: false,
        };
        let is_there = nodes.contains(&"node01");
        let start = clock::now();
        let shown = thread::scope(|scope| {
            let shown = scope.spawn(|| answers.until(is_there));
            let verdict = self.runtime.block_on(self.primary.update_unchecked(&update));
            assert_eq!(verdict, Ok(Verdict::Applied));
            shown.join().expect("it does not panic")
        });
        shown - start
    }
}
