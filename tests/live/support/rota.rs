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
    io::{BufRead, BufReader},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use hickory_proto::rr::{RData, RecordType};
use rotad::io::clock;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    named::Named,
    node::{Node, Script},
};

mod builder;

pub use builder::Builder;

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

/// What a command said.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// A whole installation.
pub struct Rota {
    /// BIND.
    pub named: Named,
    directory: Option<TempDir>,
    yaml: String,
    members: BTreeMap<String, Member>,
    network: u16,
    /// Of each check, the same on every node.
    ports: BTreeMap<&'static str, u16>,
    log: Option<&'static str>,
    journal: Arc<Mutex<String>>,
    daemon: Option<Child>,
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
                member.doors.push(Node::start(&SocketAddr::new(*address, *port).to_string(), script));
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

    fn member(&self, node: &str) -> &Member {
        self.members.get(node).unwrap_or_else(|| panic!("there is no node {node}"))
    }

    fn doors(&mut self, node: &str, wanted: impl Fn(SocketAddr) -> bool) -> impl Iterator<Item = &mut Node> {
        let member = self.members.get_mut(node).unwrap_or_else(|| panic!("there is no node {node}"));
        member.doors.iter_mut().filter(move |door| wanted(door.address()))
    }

    /// A node stops to listen, on every port.
    pub fn kill(&mut self, node: &str) {
        self.doors(node, |_| true).for_each(Node::stop);
    }

    /// It listens again.
    pub fn revive(&mut self, node: &str) {
        self.doors(node, |_| true).for_each(Node::start_again);
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

    // --- the daemon -------------------------------------------------------------------------------------------------

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rotad"));
        command.arg("--config").arg(self.file()).stdin(Stdio::null());
        for variable in ["ROTAD_LOG", "JOURNAL_STREAM", "NOTIFY_SOCKET", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"] {
            command.env_remove(variable);
        }
        command.envs(self.log.map(|filter| ("ROTAD_LOG", filter)));
        command
    }

    /// Starts the daemon, and waits until it can be asked.
    pub fn start(&mut self) {
        assert!(self.daemon.is_none(), "it runs already");
        let mut child =
            self.command().arg("run").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("rotad starts");
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let journal = Arc::clone(&self.journal);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut journal = journal.lock().expect("whoever writes does not panic");
                journal.push_str(&line);
                journal.push('\n');
            }
        });
        self.daemon = Some(child);
        self.eventually("rotad can be asked", |rota| {
            let ended = rota.daemon.as_mut().expect("just started").try_wait().expect("its state");
            assert!(ended.is_none(), "rotad has ended: {}", rota.journal());
            rota.try_status().is_some()
        });
    }

    /// The daemon's process.
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("it runs").id()
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid().cast_signed()).expect("a process id"), signal).expect("it runs");
    }

    /// SIGTERM; the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        let mut code = None;
        self.eventually("rotad has ended", |rota| {
            let ended = rota.daemon.as_mut().expect("it runs").try_wait().expect("its state");
            code = ended.map(|status| status.code());
            ended.is_some()
        });
        self.daemon = None;
        code.flatten()
    }

    /// Stops it, and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// SIGKILL.
    pub fn kill_daemon(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// What the daemons of this installation have written so far.
    pub fn journal(&self) -> String {
        self.journal.lock().expect("whoever writes does not panic").clone()
    }

    /// Waits until a line of the journal has this.
    pub fn expect_journal(&mut self, text: &str) {
        self.eventually(&format!("the journal has {text:?}"), |rota| rota.journal().contains(text));
    }

    // --- commands ---------------------------------------------------------------------------------------------------

    /// Runs another command of rotad to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command();
        command.args(arguments);
        self.finish(command, arguments)
    }

    /// The same as a user who may do nothing here but read the file.
    pub fn run_as_nobody(&self, arguments: &[&str]) -> Ran {
        fs::set_permissions(self.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        // The build may lie where nobody may go.
        let program = self.path().join("rotad");
        fs::copy(env!("CARGO_BIN_EXE_rotad"), &program).expect("a copy");
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
        command.arg("--config").arg(self.file()).args(arguments).stdin(Stdio::null());
        self.finish(command, arguments)
    }

    fn finish(&self, mut command: Command, arguments: &[&str]) -> Ran {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("rotad starts");
        let end = clock::now() + DEADLINE;
        while child.try_wait().expect("its state").is_none() {
            if clock::now() > end {
                let _ = child.kill();
                panic!("rotad {arguments:?} takes more than {DEADLINE:?}; {}", self.journal());
            }
            thread::sleep(Duration::from_millis(5));
        }
        let output = child.wait_with_output().expect("it has ended");
        Ran {
            code: output.status.code().expect("no signal ended it"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// `rotad plan`: its exit code and what it shows.
    pub fn plan(&self) -> (i32, String) {
        let Ran { code, out, err } = self.run(&["plan"]);
        (code, out + &err)
    }

    /// `rotad status --json`, if the daemon can be asked.
    fn try_status(&self) -> Option<Value> {
        let ran = self.run(&["status", "--json"]);
        (ran.code == 0).then(|| serde_json::from_str(&ran.out).expect("JSON"))
    }

    /// `rotad status --json`.
    pub fn status(&self) -> Value {
        self.try_status().unwrap_or_else(|| panic!("rotad cannot be asked: {}", self.journal()))
    }

    /// The entry of a zone in the status.
    pub fn zone(&self, zone: &str) -> Value {
        let status = self.status();
        let mut zones = status["zones"].as_array().expect("a list").iter();
        zones.find(|entry| entry["zone"] == zone).cloned().unwrap_or(Value::Null)
    }

    // --- waiting ----------------------------------------------------------------------------------------------------

    /// Waits until `state` holds; what the daemon wrote explains why it does not.
    pub fn eventually(&mut self, what: &str, mut state: impl FnMut(&mut Self) -> bool) {
        let end = clock::now() + DEADLINE;
        while !state(self) {
            if clock::now() > end {
                let zones = self.try_status().map(|status| status["zones"].to_string()).unwrap_or_default();
                panic!("not within {DEADLINE:?}: {what}\n{}\n{zones}", self.journal());
            }
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

    /// Waits until the status gives a zone this state, and returns the zone's entry.
    pub fn expect_zone_state(&mut self, zone: &str, state: &str) -> Value {
        let mut entry = Value::Null;
        self.eventually(&format!("{zone} is {state}"), |rota| {
            entry = rota.zone(zone);
            entry["state"] == state
        });
        entry
    }

    /// Waits until the first round is over and every zone is in sync.
    pub fn expect_in_sync(&mut self) {
        self.eventually("every zone is in sync", |rota| {
            let status = rota.status();
            let zones = status["zones"].as_array().expect("a list");
            status["mode"] == "active" && zones.iter().all(|zone| zone["state"] == "in_sync")
        });
    }

    // --- BIND -------------------------------------------------------------------------------------------------------

    /// The serial of a zone.
    pub fn serial(&self, zone: &str) -> u32 {
        self.named.serial(zone)
    }

    /// Every record of a zone but the SOA, as lines of a zone file.
    pub fn records(&self, zone: &str) -> BTreeSet<String> {
        let answer = self.named.query(zone, RecordType::AXFR);
        assert!(matches!(answer.answers.last().expect("a transfer").data, RData::SOA(_)), "the whole zone: {answer}");
        answer
            .answers
            .iter()
            .filter(|record| record.record_type() != RecordType::SOA)
            .map(ToString::to_string)
            .collect()
    }
}

impl Drop for Rota {
    fn drop(&mut self) {
        if self.daemon.is_some() && !thread::panicking() {
            self.stop();
        }
        self.kill_daemon();
        if thread::panicking()
            && let Some(directory) = self.directory.take()
        {
            eprintln!("rotad's files are kept in {}\n{}", directory.keep().display(), self.journal());
        }
    }
}
