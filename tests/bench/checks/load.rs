//! Thousands of checks each second, rotad's and HAProxy's in turns.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rotad::io::clock;
use serde_json::Value;

use super::listener::{self, Listener, Speech};
use crate::{
    process,
    support::named::{KEY, Named},
    table::{Table, quantile},
};

/// From probe to probe of one target.
const INTERVAL: Duration = Duration::from_secs(1);

/// First rounds, connections to BIND and first updates are over by then.
const WARM: Duration = Duration::from_secs(5);

/// How often each is measured. They take turns: the machine is not equally fast at all times.
const TURNS: usize = 3;

/// How long is measured.
const WINDOW: Duration = Duration::from_secs(6);

/// How long it is seen how late probes are.
const LATE_WINDOW: Duration = Duration::from_secs(4);

/// Nodes of one domain: a set holds 100 records at most.
const NODES_OF_DOMAIN: u32 = 100;

pub fn run(table: &mut Table) {
    for (many, speech) in [(5_000, Speech::Nothing), (10_000, Speech::Nothing), (5_000, Speech::Page)] {
        let listener = Listener::start(speech);
        let turns = (0..TURNS).map(|_| [haproxy(&listener, many, speech), rotad(&listener, many, speech)]);
        let turns: Vec<_> = turns.collect();
        let [peer, ours] = [0, 1].map(|who| Used::median(&turns.iter().map(|turn| turn[who]).collect::<Vec<_>>()));
        let kind = if speech == Speech::Page { "HTTP" } else { "TCP" };
        let what = format!("{many} {kind} checks at 1 s");
        table.show(format!("{what}: HAProxy {}, CPU of a check", version()), format!("{:.1} us", peer.micros));
        table.at_most(format!("{what}: rotad, CPU of a check"), ours.micros, peer.micros, "us");
        table.show(format!("{what}: HAProxy, probes in the window"), format!("{:.0}", peer.probes));
        table.at_least(
            format!("{what}: rotad, probes in the window"),
            ours.probes,
            f64::from(many) * (WINDOW.as_secs_f64() - 1.0),
            "probes",
        );
        table.show(format!("{what}: HAProxy, peak RSS"), format!("{:.1} MiB", peer.rss));
        table.at_most(format!("{what}: rotad, peak RSS"), ours.rss, peer.rss, "MiB");
        table.show(format!("{what}: HAProxy, start after its time, p99"), format!("{:.1} ms", peer.late));
        table.at_most(format!("{what}: rotad, start after its time, p99"), ours.late, 100.0, "ms");
    }
}

/// What checks cost and how late they were.
#[derive(Debug, Clone, Copy)]
struct Used {
    /// Probes in the window.
    probes: f64,
    /// CPU time of one probe, user and system, all threads.
    micros: f64,
    /// The most memory, in MiB.
    rss: f64,
    /// See [`late`]; the 99th percentile in milliseconds.
    late: f64,
}

impl Used {
    /// What is in the middle of several, each value by itself.
    fn median(all: &[Self]) -> Self {
        let of = |value: fn(&Self) -> f64| quantile(&all.iter().map(value).collect::<Vec<_>>(), 0.5);
        Self {
            probes: of(|used| used.probes),
            micros: of(|used| used.micros),
            rss: of(|used| used.rss),
            late: of(|used| used.late),
        }
    }
}

/// Measures a process that asks `many` addresses: first its CPU time, then how late it is, because who looks at each
/// packet slows the process down.
fn measure(pid: u32, listener: &Listener, many: u32) -> Used {
    thread::sleep(WARM);
    let (before, connections) = (process::cpu(pid), listener::connections());
    let start = clock::now();
    thread::sleep(WINDOW);
    let used = process::cpu(pid).saturating_sub(before);
    // What others on this machine have begun is none of the process's: it makes one in each interval.
    let most = (clock::now() - start).as_secs_f64() / INTERVAL.as_secs_f64() * f64::from(many);
    let probes = ((listener::connections() - connections) as f64).min(most);
    let rss = process::rss(pid).1;
    let late = late(&listener::asked(listener.port, LATE_WINDOW));
    Used { probes, micros: used.as_secs_f64() * 1e6 / probes, rss, late: quantile(&late, 0.99) }
}

/// By how many milliseconds each probe came after its time, as the node sees it: when the connection's first packet
/// came. A target's times are a fixed grid, one each interval, and no probe comes before its time: so a target's grid
/// is where its most punctual probe lies, and whoever lags behind, or skips a turn, is late from then on. What all
/// probes of one target are late alike is not seen.
fn late(asked: &BTreeMap<Ipv4Addr, Vec<Instant>>) -> Vec<f64> {
    let mut late = Vec::new();
    for times in asked.values() {
        let offset =
            |(turn, at): (usize, &Instant)| (*at - times[0]).as_secs_f64() - INTERVAL.as_secs_f64() * turn as f64;
        let offsets: Vec<f64> = times.iter().enumerate().map(offset).collect();
        let grid = offsets.iter().copied().fold(f64::INFINITY, f64::min);
        late.extend(offsets.iter().map(|offset| (offset - grid) * 1e3));
    }
    late
}

fn address(number: u32) -> Ipv4Addr {
    let [_, high, middle, low] = (number + 1).to_be_bytes();
    Ipv4Addr::new(127, 100 + high, middle, low)
}

fn rotad(listener: &Listener, many: u32, speech: Speech) -> Used {
    let named = Named::with_zone("load.test");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("cluster.yaml");
    fs::copy(named.key_file(KEY), directory.path().join("rotad.key")).expect("the key is copied");
    fs::write(&file, cluster(&named, directory.path(), listener.port, many, speech)).expect("a file");
    let rotad = |command: &str| {
        let mut rotad = Command::new(env!("CARGO_BIN_EXE_rotad"));
        rotad.arg("--config").arg(&file).args(command.split(' ')).stderr(Stdio::null());
        rotad
    };
    let running = Running(rotad("run").spawn().expect("rotad starts"));
    let used = measure(running.0.id(), listener, many);
    let status = rotad("status --json").output().expect("rotad starts").stdout;
    let status: Value = serde_json::from_slice(&status).expect("a status");
    let nodes = status["nodes"].as_array().expect("nodes");
    let checks = nodes.iter().flat_map(|node| node["checks"].as_array().expect("checks"));
    assert_eq!(checks.filter(|check| check["state"] == "up").count(), many as usize, "every check passes");
    used
}

/// The file: so many nodes with a check each, in as many domains as it takes.
fn cluster(named: &Named, directory: &Path, port: u16, many: u32, speech: Speech) -> String {
    let path = directory.display();
    let kind = if speech == Speech::Page { "http" } else { "tcp" };
    let mut yaml = format!(
        "bind: {{ server: \"{}\", key_file: rotad.key }}\nstate_dir: {path}/state\nstatus_socket: {path}/status.sock\n\
         checks:\n  check: {{ kind: {kind}, port: {port}, interval: 1s, fall: 3, rise: 2, jitter: 0% }}\n\
         services:\n  service: {{ publish: address, name: \"@\", checks: [check] }}\nnodes:\n",
        named.address(),
    );
    for number in 0..many {
        writeln!(yaml, "  node{number:05}: {{ addresses: [{}] }}", address(number)).expect("a String grows");
    }
    yaml.push_str("domains:\n");
    for domain in 0..many / NODES_OF_DOMAIN {
        let nodes: Vec<_> =
            (0..NODES_OF_DOMAIN).map(|node| format!("node{:05}", domain * NODES_OF_DOMAIN + node)).collect();
        let nodes = nodes.join(", ");
        writeln!(yaml, "  d{domain}.load.test: {{ services: [service], zone: load.test, nodes: [{nodes}] }}")
            .expect("a String grows");
    }
    yaml
}

fn haproxy(listener: &Listener, many: u32, speech: Speech) -> Used {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("haproxy.cfg");
    let check = if speech == Speech::Page {
        "option httpchk\n http-check send meth GET uri / ver HTTP/1.1 hdr Host load.test\n http-check expect status 200\n"
    } else {
        ""
    };
    // It does not run without a frontend.
    let mut text = format!(
        "defaults\n mode tcp\n timeout connect 1s\n timeout server 1s\n timeout client 1s\nfrontend door\n bind \
         unix@{}/door\n default_backend all\nbackend all\n {check}",
        directory.path().display()
    );
    for number in 0..many {
        writeln!(text, " server s{number} {}:{} check inter 1000 fall 3 rise 2", address(number), listener.port)
            .expect("a String grows");
    }
    fs::write(&file, text).expect("a file");
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&file).stdout(Stdio::null());
    let running = Running(command.spawn().expect("haproxy is installed"));
    measure(running.0.id(), listener, many)
}

/// "2.6.12", and its threads.
fn version() -> String {
    let output = Command::new("haproxy").arg("-v").output().expect("haproxy is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text.split_whitespace().nth(2).unwrap_or_default();
    let number = number.split('-').next().unwrap_or_default();
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{number} ({threads} threads)")
}

/// A program that ends with us.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
