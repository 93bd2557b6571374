//! A whole installation: `named`, nodes, cluster.yaml and the daemon, in one place that ends with the test.
//!
//! ```text
//! let mut rota = Rota::new().nodes(3).service(IMAP).domain("mydomain.org", "services: [imap]").start();
//! rota.kill("node01");
//! rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use hickory_proto::rr::RecordType;
use rotad::{io::clock, state::State};
use tempfile::TempDir;

use super::{
    named::Named,
    node::{Gone, Node, Script},
    proxy::Proxy,
};

mod builder;
mod daemon;

pub use builder::Builder;
pub use daemon::Daemon;

/// How long anything may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(15);

/// `imap.<domain>`, a set of addresses.
pub const IMAP: &str = "imap: { publish: address, name: imap, checks: [imap] }";
/// The MX of a domain, to host names that live in it.
pub const MX: &str = "mx: { publish: mx, preference: 10, exchange: \"{node}.{domain}\", checks: [smtp] }";

/// One node of the file.
struct Member {
    name: String,
    addresses: Vec<IpAddr>,
    /// What listens: one for each address and port.
    doors: Vec<Node>,
}

impl Member {
    fn new(name: String, addresses: Vec<IpAddr>) -> Self {
        Self { name, addresses, doors: Vec::new() }
    }

    fn line(&self) -> String {
        let addresses: Vec<_> = self.addresses.iter().map(|address| format!("\"{address}\"")).collect();
        format!("{}: {{ addresses: [{}] }}", self.name, addresses.join(", "))
    }
}

/// A whole installation; it speaks through its daemon.
pub struct Rota {
    /// BIND.
    pub named: Named,
    directory: Option<TempDir>,
    yaml: String,
    members: BTreeMap<String, Member>,
    gone: Gone,
    network: u16,
    /// Of each check, the same on every node.
    ports: BTreeMap<&'static str, u16>,
    daemon: Daemon,
    /// What is between the daemon and BIND, if there is something.
    proxy: Option<Proxy>,
}

impl Rota {
    /// Without nodes, services and domains as yet.
    #[expect(clippy::new_ret_no_self, reason = "a story begins with what it is about")]
    pub fn new() -> Builder {
        Builder::default()
    }

    // --- the file ---------------------------------------------------------------------------------------------------

    /// Where the installation lives.
    pub fn path(&self) -> &Path {
        self.directory.as_ref().expect("it is taken on drop alone").path()
    }

    /// cluster.yaml.
    pub fn file(&self) -> PathBuf {
        self.path().join("cluster.yaml")
    }

    /// The file as it was written last.
    pub fn yaml(&self) -> String {
        self.yaml.clone()
    }

    /// Puts another file in the place of the file, as editors do.
    pub fn write(&mut self, yaml: &str) {
        yaml.clone_into(&mut self.yaml);
        self.replace_file("cluster.yaml", yaml);
    }

    /// The same for a file beside it.
    pub fn replace_file(&self, name: &str, text: &str) {
        let new = self.path().join(format!(".{name}.new"));
        fs::write(&new, text).expect("a new file");
        fs::rename(new, self.path().join(name)).expect("it takes the old one's place");
    }

    /// Edits the file: `from`, which stands in it once, becomes `to`.
    pub fn edit(&mut self, from: &str, to: &str) {
        assert_eq!(self.yaml.matches(from).count(), 1, "{from:?} in {}", self.yaml);
        self.write(&self.yaml.replace(from, to));
    }

    /// Edits the file: the line that begins with `start` goes.
    pub fn take_out(&mut self, start: &str) {
        let line = self.yaml.lines().find(|line| line.trim_start().starts_with(start)).expect("the line").to_owned();
        self.edit(&format!("{line}\n"), "");
    }

    // --- the daemon -------------------------------------------------------------------------------------------------

    /// What is between the daemon and BIND.
    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("built with a proxy")
    }

    /// Another daemon of the same file, with a state directory and sockets of its own, as on another host; not started.
    pub fn on_another_host(&self) -> Daemon {
        let here = self.path().display().to_string();
        let there = self.path().join("there");
        fs::create_dir_all(there.join("state")).expect("a folder");
        fs::copy(self.path().join("rotad.key"), there.join("rotad.key")).expect("the key is copied");
        let yaml = self.yaml.replace(&format!("{here}/"), &format!("{here}/there/"));
        fs::write(there.join("cluster.yaml"), yaml).expect("a file");
        fs::write(there.join("state/state"), State::new("mail", "another machine").encode()).expect("a state");
        Daemon::new(&there.join("cluster.yaml"), None)
    }

    // --- nodes ------------------------------------------------------------------------------------------------------

    /// Lets a node listen.
    fn seat(&mut self, mut member: Member) {
        for address in &member.addresses {
            for (check, port) in &self.ports {
                let script = match *check {
                    "imap" => Script::imap(),
                    "smtp" => Script::smtp(),
                    _ => Script::http(200, "login"),
                };
                member.doors.push(Node::start_among(&self.gone, &SocketAddr::new(*address, *port).to_string(), script));
            }
        }
        self.members.insert(member.name.clone(), member);
    }

    /// A new node: it listens, and is written into the file.
    pub fn new_node(&mut self, name: &str) {
        let [high, low] = self.network.to_be_bytes();
        let last = u8::try_from(self.members.len()).expect("few nodes") + 1;
        let member = Member::new(name.to_owned(), vec![Ipv4Addr::new(127, high, low, last).into()]);
        let line = member.line();
        self.seat(member);
        self.edit("nodes:\n", &format!("nodes:\n  {line}\n"));
    }

    /// Every node gets another address by one edit. It listens there if `listens` says so, and goes on to listen at the
    /// old one.
    pub fn renumber(&mut self, listens: impl Fn(&str) -> bool) {
        let mut yaml = self.yaml.clone();
        for name in self.members.keys().cloned().collect::<Vec<_>>() {
            let member = self.member(&name);
            let (old, IpAddr::V4(first)) = (member.line(), self.ip(&name)) else {
                panic!("{name} has no IPv4 address")
            };
            let [a, high, low, last] = first.octets();
            let moved = Member::new(name.clone(), vec![Ipv4Addr::new(a, high, low, last + 100).into()]);
            assert_eq!(yaml.matches(&old).count(), 1, "{old:?} in {yaml}");
            yaml = yaml.replace(&old, &moved.line());
            let left = std::mem::take(&mut self.members.get_mut(&name).expect("it is there").doors);
            if listens(&name) {
                self.seat(moved);
            } else {
                self.members.insert(name.clone(), moved);
            }
            self.members.get_mut(&name).expect("it is there").doors.extend(left);
        }
        self.write(&yaml);
    }

    fn member(&self, node: &str) -> &Member {
        self.members.get(node).unwrap_or_else(|| panic!("there is no node {node}"))
    }

    fn doors(&mut self, node: &str, wanted: impl Fn(SocketAddr) -> bool) -> impl Iterator<Item = &mut Node> {
        let member = self.members.get_mut(node).unwrap_or_else(|| panic!("there is no node {node}"));
        member.doors.iter_mut().filter(move |door| wanted(door.address()))
    }

    /// A node stops to listen, on every port.
    pub fn kill(&mut self, node: &str) {
        self.kill_together(&[node]);
    }

    /// Nodes stop to listen, all at one instant.
    pub fn kill_together(&mut self, nodes: &[&str]) {
        let doors = nodes.iter().flat_map(|node| &self.member(node).doors);
        self.gone.together(doors.map(Node::address));
        for node in nodes {
            self.doors(node, |_| true).for_each(Node::stop);
        }
    }

    /// It listens again.
    pub fn revive(&mut self, node: &str) {
        self.revive_together(&[node]);
    }

    /// Nodes listen again, all from one instant on.
    pub fn revive_together(&mut self, nodes: &[&str]) {
        for node in nodes {
            self.doors(node, |_| true).for_each(Node::listen_again);
        }
        let doors = nodes.iter().flat_map(|node| &self.member(node).doors);
        self.gone.return_together(doors.map(Node::address));
    }

    /// A node stops to listen on one address.
    pub fn kill_address(&mut self, node: &str, address: &str) {
        let address: IpAddr = address.parse().expect("an address");
        self.doors(node, |door| door.ip() == address).for_each(Node::stop);
    }

    /// One service of a node stops: imap, smtp or web.
    pub fn kill_check(&mut self, node: &str, check: &str) {
        let port = *self.ports.get(check).expect("a check");
        self.doors(node, |door| door.port() == port).for_each(Node::stop);
    }

    /// One service of a node says something else from now on.
    pub fn script(&mut self, node: &str, check: &str, script: &Script) {
        let port = self.ports[check];
        self.doors(node, |door| door.port() == port).for_each(|door| door.restart(script.clone()));
    }

    /// The addresses of nodes, of one family.
    fn addresses<'a>(&self, nodes: impl IntoIterator<Item = &'a str>, v6: bool) -> BTreeSet<String> {
        let members = nodes.into_iter().map(|node| self.member(node));
        members
            .flat_map(|member| &member.addresses)
            .filter(|address| address.is_ipv6() == v6)
            .map(ToString::to_string)
            .collect()
    }

    /// The first address of a node.
    pub fn ip(&self, node: &str) -> IpAddr {
        *self.member(node).addresses.first().expect("every node has one")
    }

    // --- waiting ----------------------------------------------------------------------------------------------------

    /// Waits until `state` holds; what the daemon wrote explains why it does not.
    pub fn eventually(&mut self, what: &str, mut state: impl FnMut(&mut Self) -> bool) {
        let end = clock::now() + DEADLINE;
        while !state(self) {
            assert!(clock::now() <= end, "not within {DEADLINE:?}: {what}\n{}", self.explain());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn expect_set(&mut self, what: &str, wanted: &BTreeSet<String>, ask: impl Fn(&Named) -> BTreeSet<String>) {
        let mut found = BTreeSet::new();
        self.eventually(&format!("{what} is {wanted:?}"), |rota| {
            found = ask(&rota.named);
            found == *wanted
        });
    }

    /// Waits until a name has exactly the IPv4 addresses of these nodes.
    pub fn expect_a<const N: usize>(&mut self, name: &str, nodes: [&str; N]) {
        let wanted = self.addresses(nodes, false);
        self.expect_set(&format!("{name} A"), &wanted, |named| named.a(name));
    }

    /// Waits until a name has exactly the IPv6 addresses of these nodes.
    pub fn expect_aaaa<const N: usize>(&mut self, name: &str, nodes: [&str; N]) {
        let wanted = self.addresses(nodes, true);
        self.expect_set(&format!("{name} AAAA"), &wanted, |named| named.aaaa(name));
    }

    /// Waits until a name has exactly these mail exchanges: `10 node00.example.org`.
    pub fn expect_mx<const N: usize>(&mut self, name: &str, exchanges: [&str; N]) {
        let wanted = exchanges.iter().map(|exchange| format!("{exchange}.")).collect();
        self.expect_set(&format!("{name} MX"), &wanted, |named| named.mx(name));
    }

    /// Waits until a name is an alias of this one.
    pub fn expect_cname(&mut self, name: &str, target: &str) {
        self.expect_set(&format!("{name} CNAME"), &BTreeSet::from([format!("{target}.")]), |named| named.cname(name));
    }

    // --- BIND -------------------------------------------------------------------------------------------------------

    /// The serial of a zone.
    pub fn serial(&self, zone: &str) -> u32 {
        self.named.serial(zone)
    }

    /// Every record of a zone but the SOA, as lines of a zone file.
    pub fn records(&self, zone: &str) -> BTreeSet<String> {
        let records = self.named.transfer(zone);
        records.iter().filter(|record| record.record_type() != RecordType::SOA).map(ToString::to_string).collect()
    }
}

impl Deref for Rota {
    type Target = Daemon;

    fn deref(&self) -> &Daemon {
        &self.daemon
    }
}

impl DerefMut for Rota {
    fn deref_mut(&mut self) -> &mut Daemon {
        &mut self.daemon
    }
}

impl Drop for Rota {
    fn drop(&mut self) {
        if self.daemon.is_running() && !thread::panicking() {
            self.daemon.stop();
        }
        self.daemon.kill_daemon();
        if thread::panicking()
            && let Some(directory) = self.directory.take()
        {
            eprintln!("rotad's files are kept in {}\n{}", directory.keep().display(), self.journal());
        }
    }
}
