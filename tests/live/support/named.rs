//! A private `named`: own port, directory and keys; it ends with the test.
//!
//! It is the installed one, or that of the folder in `$ROTAD_TEST_BIND`, as `tests/bind.sh` prints it.

mod product;
mod zone;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs::{self, File},
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        linux::net::SocketAddrExt,
        unix::{self, fs::OpenOptionsExt, net::UnixListener},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use hickory_proto::{
    op::{Message, Query},
    rr::{Name, RData, Record, RecordType},
};
use rotad::{
    cluster::{Bind, KeySource},
    io::{clock, keys, primary::Primary},
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use product::Product;
pub use zone::Zone;

/// The key that zones accept updates from unless they say otherwise.
pub const KEY: &str = "rotad";

const DEADLINE: Duration = Duration::from_secs(20);

/// What `named -v` says: "9.18.49-1~deb12u3-Debian". The first test that asks shows it, past what is captured.
pub static VERSION: LazyLock<String> = LazyLock::new(|| {
    let output = of_bind("named").arg("-v").output().unwrap_or_else(|error| missing("named", &error));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = said.split_whitespace().nth(1).unwrap_or_else(|| panic!("no version: {output:?}")).to_owned();
    let _closed = writeln!(std::io::stderr(), "the named of these tests is BIND {version}");
    version
});

/// Waits until `state` holds.
pub fn eventually(what: &str, mut state: impl FnMut() -> bool) {
    let end = clock::now() + DEADLINE;
    while !state() {
        assert!(clock::now() < end, "not within {DEADLINE:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// How a `named` is to be.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    zones: Vec<Zone>,
    keys: Vec<(String, String)>,
    options: String,
    storage: Option<PathBuf>,
    product: Product,
}

impl Builder {
    /// Puts its directory here, not where temporary files go.
    #[allow(dead_code, reason = "the benches compare storages")]
    pub fn stored_in(mut self, storage: &Path) -> Self {
        self.storage = Some(storage.to_owned());
        self
    }

    /// Another server than BIND.
    #[allow(dead_code, reason = "the benches ask BIND alone")]
    pub const fn product(mut self, product: Product) -> Self {
        self.product = product;
        self
    }

    /// Adds a zone.
    pub fn zone(mut self, zone: Zone) -> Self {
        self.zones.push(zone);
        self
    }

    /// Adds a key beside [`KEY`].
    pub fn key(mut self, name: &str, algorithm: &str) -> Self {
        self.keys.push((name.into(), algorithm.into()));
        self
    }

    /// Adds a statement to `options`.
    pub fn option(mut self, text: &str) -> Self {
        self.options.push_str(text);
        self.options.push('\n');
        self
    }

    /// Starts it, and waits until it serves.
    pub fn start(self) -> Named {
        LazyLock::force(&VERSION);
        let storage = self.storage.unwrap_or_else(std::env::temp_dir);
        let directory = tempfile::Builder::new().prefix("named-").tempdir_in(storage).expect("a temporary directory");
        let mut made = vec![("rndc".to_owned(), "hmac-sha256".to_owned()), (KEY.to_owned(), "hmac-sha256".to_owned())];
        made.extend(self.keys);
        for (name, algorithm) in &made {
            keygen(directory.path(), name, algorithm);
        }
        for zone in self.zones.iter().filter(|zone| !zone.records.is_empty()) {
            fs::write(directory.path().join(format!("{}.zone", zone.name)), &zone.records).expect("a zone file");
        }
        let keys = made.into_iter().map(|(name, _)| name).collect();
        let mut named = Named {
            directory: Some(directory),
            port: 0,
            control: 0,
            claims: Vec::new(),
            child: None,
            zones: self.zones,
            keys,
            options: self.options,
            product: self.product,
        };
        // A free port may be taken by something else than a test before named binds it.
        for _ in 0..5 {
            let ((port, first), (control, second)) = (free_port(), free_port());
            (named.port, named.control, named.claims) = (port, control, vec![first, second]);
            named.configure();
            if named.spawn() {
                return named;
            }
        }
        panic!("named found no free port in five attempts: {}", named.log());
    }
}

/// A running `named`.
#[derive(Debug)]
pub struct Named {
    directory: Option<TempDir>,
    /// UDP and TCP, on 127.0.0.1 and `::1`.
    pub port: u16,
    control: u16,
    /// Keep both ports from other tests.
    claims: Vec<UnixListener>,
    child: Option<Child>,
    zones: Vec<Zone>,
    keys: Vec<String>,
    options: String,
    product: Product,
}

impl Named {
    /// Without zones as yet.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// With one zone that [`KEY`] may update.
    pub fn with_zone(name: &str) -> Self {
        Self::builder().zone(Zone::new(name)).start()
    }

    /// Where it lives.
    pub fn path(&self) -> &Path {
        self.directory.as_ref().expect("it is taken on drop alone").path()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The file of a key: one clause, mode 0600.
    pub fn key_file(&self, name: &str) -> PathBuf {
        self.path().join(format!("{name}.key"))
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path().join("named.log")).unwrap_or_default()
    }

    /// How rotad reaches it with the key of a file.
    pub fn bind_with(&self, key_file: &Path) -> Bind {
        Bind {
            server: self.address(),
            key: KeySource::File(key_file.into()),
            timeout: Duration::from_secs(5),
            connections: 1,
            max_in_flight: 32,
            allow_weak_keys: true,
        }
    }

    /// rotad's handle to it, with [`KEY`].
    pub fn primary(&self) -> Primary {
        primary(&self.bind_with(&self.key_file(KEY)))
    }

    fn configure(&self) {
        let mut conf = format!(
            "options {{ directory \"{directory}\"; pid-file none; {lock} session-keyfile none;\n\
             listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 port {port} {{ ::1; }};\n\
             notify no; recursion no; dnssec-validation no; {options} }};\n\
             controls {{ inet 127.0.0.1 port {control} allow {{ 127.0.0.1; }} keys {{ rndc; }}; }};\n",
            directory = self.path().display(),
            // 9.20 has no lock file any more, and refuses the option.
            lock = if VERSION.starts_with("9.18.") { "lock-file none;" } else { "" },
            port = self.port,
            control = self.control,
            options = self.options,
        );
        for key in &self.keys {
            writeln!(conf, "include \"{key}.key\";").expect("a String grows");
        }
        for Zone { name, statements, .. } in &self.zones {
            writeln!(conf, "zone \"{name}\" {{ {statements} file \"{name}.zone\"; }};").expect("a String grows");
        }
        fs::write(self.path().join("named.conf"), conf).expect("named.conf");
        self.product.configure(self);
    }

    /// Starts the process and waits until it serves; false: another process has the port.
    fn spawn(&mut self) -> bool {
        let log = File::create(self.path().join("named.log")).expect("a log");
        let child = self.product.command(self).stderr(log).stdout(Stdio::null()).spawn();
        self.child = Some(child.unwrap_or_else(|error| missing("named", &error)));
        let product = self.product;
        let mut log = String::new();
        eventually("named runs", || {
            log = self.log();
            let ended = self.child.as_mut().expect("just started").try_wait().expect("its state");
            let taken = product.is_port_taken(&log);
            assert!(ended.is_none() || taken, "named has ended: {log}");
            taken || product.is_up(&log)
        });
        // It says "running" even when it could not listen.
        let taken = product.is_port_taken(&self.log());
        if taken {
            self.kill();
        }
        !taken
    }

    /// Adds a zone while it runs.
    pub fn add_zone(&mut self, zone: Zone) {
        fs::write(self.path().join(format!("{}.zone", zone.name)), &zone.records).expect("a zone file");
        let name = zone.name.clone();
        self.zones.push(zone);
        self.reconfigure();
        eventually("the zone is served", || {
            self.query(&name, RecordType::SOA).answers.iter().any(|soa| soa.name.to_ascii() == format!("{name}."))
        });
    }

    /// Takes a zone out while it runs.
    pub fn take_out_zone(&mut self, name: &str) {
        self.zones.retain(|zone| zone.name != name);
        self.reconfigure();
    }

    fn reconfigure(&self) {
        self.configure();
        self.rndc(&["reconfig"]).expect("rndc reconfig");
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid().cast_signed()).expect("a process id"), signal)
            .expect("it can be signalled");
    }

    /// SIGSTOP: it keeps its sockets and answers nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGKILL; it stays down.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGKILL, and starts it again on the same port.
    pub fn restart(&mut self) {
        self.kill();
        eventually("its port is free again", || self.spawn());
    }

    /// Runs `rndc`.
    pub fn rndc(&self, arguments: &[&str]) -> Result<(), String> {
        let mut rndc = of_bind("rndc");
        rndc.args(["-s", "127.0.0.1", "-p", &self.control.to_string(), "-k"])
            .arg(self.key_file("rndc"))
            .args(arguments);
        said(&rndc.output().unwrap_or_else(|error| missing("rndc", &error)))
    }

    /// Changes a zone by hand, past rotad.
    pub fn nsupdate(&self, script: &str) -> Result<(), String> {
        self.nsupdate_as(KEY, script)
    }

    /// The same with another key.
    pub fn nsupdate_as(&self, key: &str, script: &str) -> Result<(), String> {
        let mut nsupdate = of_bind("nsupdate");
        nsupdate.arg("-k").arg(self.key_file(key)).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = nsupdate.spawn().unwrap_or_else(|error| missing("nsupdate", &error));
        let script = format!("server 127.0.0.1 {}\n{script}\nsend\n", self.port);
        child.stdin.take().expect("it is piped").write_all(script.as_bytes()).expect("nsupdate reads");
        said(&child.wait_with_output().expect("nsupdate ends"))
    }

    /// Asks over TCP, unsigned.
    pub fn query(&self, name: &str, rtype: RecordType) -> Message {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_ascii(format!("{name}.")).expect("a name"), rtype));
        let answer = exchange(self.address(), &message.to_vec().expect("a small message"));
        Message::from_vec(&answer.expect("an answer")).expect("a DNS message")
    }

    /// Every record of a zone, without the last SOA, in as many messages as it takes.
    pub fn transfer(&self, zone: &str) -> Vec<Record> {
        let mut asked = Message::query();
        asked.add_query(Query::query(Name::from_ascii(format!("{zone}.")).expect("a name"), RecordType::AXFR));
        let mut stream = TcpStream::connect(self.address()).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        send(&mut stream, &asked.to_vec().expect("a small message")).expect("it reads");
        let mut records: Vec<Record> = Vec::new();
        loop {
            let answer = receive(&mut stream).expect("an answer");
            let answer = Message::from_vec(&answer).expect("a DNS message");
            assert!(!answer.answers.is_empty(), "{zone} is transferred: {answer}");
            records.extend(answer.answers);
            if records.len() > 1 && records.last().is_some_and(|last| matches!(last.data, RData::SOA(_))) {
                records.pop();
                return records;
            }
        }
    }

    fn data(&self, name: &str, rtype: RecordType) -> BTreeSet<String> {
        let answer = self.query(name, rtype);
        answer
            .answers
            .iter()
            .filter(|record| record.record_type() == rtype)
            .map(|record| record.data.to_string())
            .collect()
    }

    /// The addresses of a name.
    pub fn a(&self, name: &str) -> BTreeSet<String> {
        self.data(name, RecordType::A)
    }

    /// The IPv6 addresses of a name.
    pub fn aaaa(&self, name: &str) -> BTreeSet<String> {
        self.data(name, RecordType::AAAA)
    }

    /// The MX records of a name: `10 mx.example.org.`
    pub fn mx(&self, name: &str) -> BTreeSet<String> {
        self.data(name, RecordType::MX)
    }

    /// The canonical name of a name.
    pub fn cname(&self, name: &str) -> BTreeSet<String> {
        self.data(name, RecordType::CNAME)
    }

    /// The texts of a name.
    pub fn txt(&self, name: &str) -> BTreeSet<String> {
        self.data(name, RecordType::TXT)
    }

    /// The serial of a zone.
    pub fn serial(&self, zone: &str) -> u32 {
        let answer = self.query(zone, RecordType::SOA);
        let serial = answer.answers.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some(soa.serial),
            _ => None,
        });
        serial.unwrap_or_else(|| panic!("{zone} is not served: {answer}"))
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking()
            && let Some(directory) = self.directory.take()
        {
            eprintln!("named's files are kept in {}", directory.keep().display());
        }
    }
}

/// rotad's handle to a server.
pub fn primary(bind: &Bind) -> Primary {
    Primary::new(bind, Arc::new(keys::load(&bind.key, bind.allow_weak_keys).expect("a key file")))
}

/// Sends one message on a connection of its own and returns the answer.
pub fn exchange(server: SocketAddr, message: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    send(&mut stream, message)?;
    receive(&mut stream)
}

fn send(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    stream.write_all(&u16::try_from(message.len()).expect("a small message").to_be_bytes())?;
    stream.write_all(message)
}

fn receive(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// A port that no other test of this network namespace has while the second value lives. named listens with
/// `SO_REUSEPORT`: two of them on one port are not refused, each gets a part of the questions.
fn free_port() -> (u16, UnixListener) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Below the range from which the kernel takes the ports of connections and of listeners that ask for any.
        let step = std::process::id().wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 5_000;
        let port = 10_000 + u16::try_from(step).expect("below 5000");
        let name = unix::net::SocketAddr::from_abstract_name(format!("rotad-tests-port-{port}")).expect("a name");
        let Ok(claim) = UnixListener::bind_addr(&name) else { continue };
        let v6: IpAddr = "::1".parse().expect("an address");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && TcpListener::bind((v6, port)).is_ok()
            && UdpSocket::bind((v6, port)).is_ok()
        {
            return (port, claim);
        }
    }
}

fn keygen(directory: &Path, name: &str, algorithm: &str) {
    let output = of_bind("tsig-keygen").args(["-a", algorithm, name]).output();
    let output = output.unwrap_or_else(|error| missing("tsig-keygen", &error));
    said(&output).expect("tsig-keygen makes a key");
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(directory.join(format!("{name}.key")))
        .expect("a key file");
    file.write_all(&output.stdout).expect("a key file");
}

/// A program of BIND, of the folder in `$ROTAD_TEST_BIND` if there is one.
fn of_bind(program: &str) -> Command {
    let folder = std::env::var_os("ROTAD_TEST_BIND");
    folder.map_or_else(|| command(program), |folder| Command::new(Path::new(&folder).join(program)))
}

/// Debian keeps named and its tools in /usr/sbin, which is not on everybody's path.
fn command(program: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

fn missing(program: &str, error: &std::io::Error) -> ! {
    panic!("{program} does not start ({error}): these tests need bind9; `bash tests/run.sh` installs it");
}

/// What a program that failed has said.
fn said(output: &Output) -> Result<(), String> {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(text) }
}
