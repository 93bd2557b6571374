//! A BIND with zones that are as rotad wants them, three nodes that work, and the cluster.yaml that says so.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, SystemTime},
};

use rotad::{
    dns::{OwnerName, Rdata, RrType, Rrset, RrsetId, Ttl},
    plan::Change,
    state::State,
    update::GenerationRecord,
};
use tempfile::TempDir;

use crate::support::{
    named::{Named, Zone},
    node::{Node, Script},
};

/// The node that dies.
pub const VICTIM: usize = 1;
const NODES: usize = 3;
/// What a node listens for: imap, smtp, web.
const DOORS: u16 = 3;
/// How far a file's time stamp may lie behind the clock: the kernel takes it from the last tick of a timer.
const TICK: Duration = Duration::from_millis(10);
/// Of all checks: twelve in all, four a node.
pub const TIMING: &str = "interval: 100ms, fast_interval: 100ms, timeout: 90ms, rise: 3, fall: 3";
const TTL: Ttl = Ttl(60);

/// How many there have been: each has ports of its own.
static WORLDS: AtomicU16 = AtomicU16::new(0);

/// Everything that one contender needs.
pub struct World {
    pub named: Named,
    pub directory: TempDir,
    /// Those of each node.
    doors: Vec<Vec<Node>>,
    pub zones: usize,
    owner: String,
}

impl World {
    /// With so many zones, BIND's files in `storage`.
    pub fn new(zones: usize, storage: &Path) -> Self {
        let owner = State::new("mail", "the bench").me.owner;
        let mut named = Named::builder().stored_in(storage);
        for at in 0..zones {
            named = named.zone(Zone::new(&name(at)).records(&records(&owner)));
        }
        let named = named.start();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let port = 21_430 + DOORS * WORLDS.fetch_add(1, Ordering::Relaxed);
        let doors = (0..NODES).map(|node| doors(node, port)).collect();
        let world = Self { named, directory, doors, zones, owner };
        world.write_files();
        world
    }

    fn write_files(&self) {
        let here = self.directory.path();
        let list: String = (0..self.zones).fold(String::new(), |mut list, at| {
            writeln!(list, "{}", name(at)).expect("a String grows");
            list
        });
        fs::write(here.join("domains.txt"), list).expect("a list");
        // Away from BIND's directory: rotad watches the folder of its key.
        fs::copy(self.named.key_file("rotad"), here.join("rotad.key")).expect("a key");
        fs::create_dir(here.join("state")).expect("a folder");
        fs::write(here.join("state/state"), State::new("mail", "the bench").encode()).expect("a state");
        let mut nodes = String::new();
        for (at, doors) in self.doors.iter().enumerate() {
            let address = doors[0].address().ip();
            writeln!(nodes, "  node0{at}: {{ addresses: [{address}] }}").expect("a String grows");
        }
        let port = |at: usize| self.doors[0][at].address().port();
        let yaml = format!(
            "bind: {{ server: \"{server}\", key_file: {key} }}\n\
             cluster: mail\nstate_dir: {here}/state\nstatus_socket: {here}/status.sock\n\
             defaults: {{ flap_hold: false }}\n\
             nodes:\n{nodes}checks:\n\
             \x20 imap: {{ kind: imap, port: {imap}, {TIMING} }}\n\
             \x20 port: {{ kind: tcp, port: {imap}, {TIMING} }}\n\
             \x20 smtp: {{ kind: smtp, port: {smtp}, {TIMING} }}\n\
             \x20 web: {{ kind: http, port: {web}, path: /, {TIMING} }}\n\
             services:\n\
             \x20 imap: {{ publish: address, name: imap, checks: [imap, port] }}\n\
             \x20 smtp: {{ publish: address, name: smtp, checks: [smtp] }}\n\
             \x20 webmail: {{ publish: address, name: webmail, checks: [web], pinned: {{ name: \"webmail{{index}}\" }} }}\n\
             \x20 mx: {{ publish: mx, preference: 10, exchange: \"{{node}}.mx.invalid\", checks: [smtp] }}\n\
             domains: {{}}\n\
             domain_lists: [ {{ file: domains.txt, services: [imap, smtp, webmail, mx] }} ]\n",
            server = self.named.address(),
            key = here.join("rotad.key").display(),
            here = here.display(),
            imap = port(0),
            smtp = port(1),
            web = port(2),
        );
        fs::write(self.file(), yaml).expect("cluster.yaml");
    }

    /// Puts another text in a place of cluster.yaml, before rotad is started.
    pub fn edit(&self, from: &str, to: &str) {
        let yaml = fs::read_to_string(self.file()).expect("cluster.yaml");
        assert!(yaml.contains(from), "{from:?} in {yaml}");
        fs::write(self.file(), yaml.replace(from, to)).expect("cluster.yaml");
    }

    /// cluster.yaml.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("cluster.yaml")
    }

    /// The node that dies stops to listen.
    pub fn kill(&mut self) {
        self.doors[VICTIM].iter_mut().for_each(Node::stop);
    }

    /// It listens again.
    pub fn revive(&mut self) {
        self.doors[VICTIM].iter_mut().for_each(Node::start_again);
    }

    /// The newest time stamp of BIND's journal files, and how many there are that are newer than `since`.
    pub fn journals(&self, since: SystemTime) -> (Option<SystemTime>, usize) {
        let stamps = fs::read_dir(self.named.path()).expect("BIND's directory").filter_map(|entry| {
            let entry = entry.expect("an entry");
            let is_journal = entry.path().extension().is_some_and(|end| end == "jnl");
            is_journal.then(|| entry.metadata().expect("a file").modified().expect("a time stamp"))
        });
        stamps.filter(|stamp| *stamp + TICK > since).fold((None, 0), |(newest, count), stamp| {
            (Some(newest.map_or(stamp, |newest: SystemTime| newest.max(stamp))), count + 1)
        })
    }

    /// The record that our messages write at this generation.
    pub fn record(&self, generation: u64) -> GenerationRecord {
        GenerationRecord { cluster: "mail".to_owned(), owner: self.owner.clone(), generation }
    }

    /// The zones that do not hold what they should while the victim is in or out, of all of them.
    pub fn wrong(&self, victim_is_in: bool) -> usize {
        let wanted: BTreeSet<String> =
            (0..NODES).filter(|at| victim_is_in || *at != VICTIM).map(|at| address(at).to_string()).collect();
        let wrong = |at: &usize| {
            let zone = name(*at);
            self.named.a(&format!("imap.{zone}")) != wanted
                || self.named.a(&format!("smtp.{zone}")) != wanted
                || self.named.a(&format!("webmail.{zone}")) != wanted
                || self.named.mx(&zone).len() != wanted.len()
                || self.named.a(&format!("webmail0{VICTIM}.{zone}")).contains(&address(VICTIM).to_string())
                    != victim_is_in
        };
        // A connection for each question: a share of the zones stands for all of them, the ends among them.
        let step = (self.zones / 500).max(1);
        (0..self.zones).step_by(step).chain([self.zones - 1]).filter(wrong).count()
    }
}

/// The n-th zone.
pub fn name(at: usize) -> String {
    format!("z{at:06}.example")
}

/// Of a network that another run at the same time hardly has.
fn address(node: usize) -> Ipv4Addr {
    let [.., network] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 77, network, u8::try_from(node).expect("few nodes") + 1)
}

/// A port for each check from this one on, the same on each node.
fn doors(node: usize, port: u16) -> Vec<Node> {
    let scripts = [Script::imap(), Script::smtp(), Script::http(200, "login")];
    let door =
        |(port, script): (u16, Script)| Node::start(&SocketAddr::new(address(node).into(), port).to_string(), script);
    (port..).zip(scripts).map(door).collect()
}

/// What a zone holds while all nodes work.
fn records(owner: &str) -> String {
    let mut lines = format!("$TTL {TTL}\n_rotad 0 TXT \"v=1 cluster=mail owner={owner} generation=1\"\n");
    for node in 0..NODES {
        let address = address(node);
        writeln!(lines, "imap A {address}\nsmtp A {address}\nwebmail A {address}\nwebmail0{node} A {address}")
            .expect("a String grows");
        writeln!(lines, "@ MX 10 node0{node}.mx.invalid.").expect("a String grows");
    }
    lines
}

/// What changes in a zone when the victim dies, or comes back.
pub fn changes(zone: usize, victim_leaves: bool) -> Vec<Change> {
    let zone = OwnerName::parse(&name(zone)).expect("a name");
    let set = |rdata: Vec<Rdata>| Some(Rrset { ttl: TTL, rdata: rdata.into_iter().collect() });
    let of = |nodes: &[usize], data: fn(usize) -> Rdata| set(nodes.iter().map(|node| data(*node)).collect());
    let a: fn(usize) -> Rdata = |node| Rdata::A(address(node));
    let mx: fn(usize) -> Rdata = |node| Rdata::Mx {
        preference: 10,
        exchange: OwnerName::parse(&format!("node0{node}.mx.invalid")).expect("a name"),
    };
    let (all, others) = ([0, 1, 2].as_slice(), [0, 2].as_slice());
    let sets = [
        ("@", RrType::Mx, of(all, mx), of(others, mx)),
        ("imap", RrType::A, of(all, a), of(others, a)),
        ("smtp", RrType::A, of(all, a), of(others, a)),
        ("webmail", RrType::A, of(all, a), of(others, a)),
        ("webmail01", RrType::A, of(&[1], a), of(&[2], a)),
    ];
    let change = |(label, rtype, with, without)| {
        let id = RrsetId { owner: zone.child(label).expect("a name"), rtype };
        let (before, after) = if victim_leaves { (with, without) } else { (without, with) };
        Change { id, before, after }
    };
    sets.map(change).into()
}
