//! How an installation is to be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

use super::{
    super::{
        named::{KEY, Named, Product, Zone},
        node::Gone,
        proxy::Proxy,
    },
    Daemon, Member, Rota,
};

/// How an installation is to be.
#[derive(Default)]
pub struct Builder {
    nodes: Vec<Member>,
    services: Vec<String>,
    domains: Vec<String>,
    top: String,
    safety: Vec<String>,
    zones: BTreeMap<String, Zone>,
    network: Option<u16>,
    keys: Vec<(String, String)>,
    log: Option<&'static str>,
    options: Vec<String>,
    proxy: bool,
    product: Product,
}

impl Builder {
    /// Adds so many nodes: node00, node01 and so on, each with an IPv4 address.
    pub fn nodes(mut self, many: u8) -> Self {
        for _ in 0..many {
            let address = self.next_address();
            self.nodes.push(Member::new(format!("node{:02}", self.nodes.len()), vec![address]));
        }
        self
    }

    /// Adds a node with an address of its own.
    pub fn node(mut self, name: &str, address: &str) -> Self {
        self.nodes.push(Member::new(name.to_owned(), vec![address.parse().expect("an address")]));
        self
    }

    /// Gives a node one more address.
    pub fn address(mut self, node: &str, address: &str) -> Self {
        let member = self.nodes.iter_mut().find(|member| member.name == node).expect("a node of the builder");
        member.addresses.push(address.parse().expect("an address"));
        self
    }

    /// Adds a line of `services`.
    pub fn service(mut self, line: &str) -> Self {
        self.services.push(line.to_owned());
        self
    }

    /// Adds a domain, and its zone unless there is one; `rest` is what stands in its braces.
    pub fn domain(mut self, name: &str, rest: &str) -> Self {
        self.domains.push(format!("{name}: {{ {rest} }}"));
        if !rest.contains("zone:") {
            self.zones.entry(name.to_owned()).or_insert_with(|| Zone::new(name));
        }
        self
    }

    /// Adds a zone to `named`, instead of the one that a domain of its name would get.
    pub fn zone(mut self, name: &str, zone: Zone) -> Self {
        self.zones.insert(name.to_owned(), zone);
        self
    }

    /// Adds a line of `safety`.
    pub fn safety(mut self, line: &str) -> Self {
        self.safety.push(line.to_owned());
        self
    }

    /// Adds lines at the top of the file.
    pub fn top(mut self, lines: &str) -> Self {
        self.top.push_str(lines);
        self.top.push('\n');
        self
    }

    /// `named` knows one more key.
    pub fn key(mut self, name: &str, algorithm: &str) -> Self {
        self.keys.push((name.to_owned(), algorithm.to_owned()));
        self
    }

    /// What rotad and its commands log, as `$ROTAD_LOG` says it.
    pub fn log(mut self, filter: &'static str) -> Self {
        self.log = Some(filter);
        self
    }

    /// Adds a statement to the options of `named`.
    pub fn named_option(mut self, text: &str) -> Self {
        self.options.push(text.to_owned());
        self
    }

    /// Another primary than BIND.
    #[allow(dead_code, reason = "the benches ask BIND alone")]
    pub fn product(mut self, product: Product) -> Self {
        self.product = product;
        self
    }

    /// The daemon reaches `named` through a [`Proxy`].
    pub fn proxy(mut self) -> Self {
        self.proxy = true;
        self
    }

    /// The address of a node that is or will be: to write it into a zone beforehand.
    pub fn address_of(&mut self, node: u8) -> Ipv4Addr {
        let network = *self.network.get_or_insert_with(network);
        let [high, low] = network.to_be_bytes();
        Ipv4Addr::new(127, high, low, node + 1)
    }

    fn next_address(&mut self) -> IpAddr {
        let next = u8::try_from(self.nodes.len()).expect("few nodes");
        self.address_of(next).into()
    }

    /// Everything but the daemon.
    pub fn build(mut self) -> Rota {
        let mut named = Named::builder().product(self.product).option("allow-transfer { any; };");
        for zone in self.zones.values() {
            named = named.zone(zone.clone());
        }
        for option in &self.options {
            named = named.option(option);
        }
        for (name, algorithm) in &self.keys {
            named = named.key(name, algorithm);
        }
        let named = named.start();
        // Room for nodes that come later.
        self.address_of(0);
        let addresses: BTreeSet<IpAddr> = self.nodes.iter().flat_map(|member| member.addresses.clone()).collect();
        let ports = ["imap", "smtp", "web"].into_iter().map(|check| (check, free_port(&addresses))).collect();
        let directory = tempfile::Builder::new().prefix("rota-").tempdir().expect("a temporary directory");
        fs::copy(named.key_file(KEY), directory.path().join("rotad.key")).expect("the key is copied");
        let mut rota = Rota {
            yaml: String::new(),
            members: BTreeMap::new(),
            gone: Gone::default(),
            daemon: Daemon::new(&directory.path().join("cluster.yaml"), self.log),
            proxy: self.proxy.then(|| Proxy::start(named.address())),
            directory: Some(directory),
            network: self.network.expect("just set"),
            ports,
            named,
        };
        rota.write(&self.yaml(&rota));
        self.nodes.into_iter().for_each(|member| rota.seat(member));
        rota
    }

    /// The file to begin with.
    fn yaml(&self, rota: &Rota) -> String {
        // Slow while all is well and quick in doubt: a death is noticed soon, and a busy machine is no death.
        let pace = "interval: 500ms, fast_interval: 50ms, timeout: 450ms, rise: 2, fall: 2";
        let checks: Vec<String> = rota
            .ports
            .iter()
            .map(|(check, port)| match *check {
                "web" => format!("web: {{ kind: http, port: {port}, body: login, {pace} }}"),
                kind => format!("{kind}: {{ kind: {kind}, port: {port}, {pace} }}"),
            })
            .collect();
        let nodes: Vec<String> = self.nodes.iter().map(Member::line).collect();
        // A story that kills a node several times does not wait for its flaps, unless it is about them.
        let flaps = if self.top.contains("defaults:") { "" } else { "defaults: { flap_hold: false }\n" };
        let head = format!(
            "bind: {{ server: \"127.0.0.1:{port}\", key_file: rotad.key, timeout: 2s }}\ncluster: mail\nttl: 60s\n\
             state_dir: {path}/state\nstatus_socket: {path}/status.sock\n{flaps}{top}",
            port = rota.proxy.as_ref().map_or(rota.named.port, |proxy| proxy.address().port()),
            path = rota.path().display(),
            top = self.top,
        );
        [
            head,
            block("nodes", &nodes),
            block("checks", &checks),
            block("services", &self.services),
            block("domains", &self.domains),
            block("safety", &self.safety),
        ]
        .concat()
    }

    /// Everything, running, with every zone in sync.
    pub fn start(self) -> Rota {
        let mut rota = self.build();
        rota.start();
        rota.expect_in_sync();
        rota
    }
}

/// A part of the file; one without lines is left out.
fn block(key: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    format!("{key}:\n  {}\n", lines.join("\n  "))
}

/// The middle octets of addresses in 127.0.0.0/8 that no other test has: one part from the process, one counted.
fn network() -> u16 {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % 200).expect("below 200") + 20;
    (process << 8) + COUNT.fetch_add(1, Ordering::Relaxed) % 256
}

/// A port that is free on these addresses, and that no outgoing connection takes: those are from 32768 on.
fn free_port(addresses: &BTreeSet<IpAddr>) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let process = u16::try_from(std::process::id() % 17_000).expect("below 17000");
        let port = 15_000 + (process + NEXT.fetch_add(1, Ordering::Relaxed)) % 17_000;
        if addresses.iter().all(|address| TcpListener::bind((*address, port)).is_ok()) {
            return port;
        }
    }
}
