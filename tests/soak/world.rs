//! BIND, the nodes, the file and rotad; what happens to them, and what each zone must hold in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

use rotad::io::clock;
use rustix::process::Signal;

use crate::{
    events::{Event, NODES},
    support::{
        named::Zone,
        rota::{IMAP, MX, Rota},
    },
};

const WEBMAIL: &str = "webmail: { publish: address, name: webmail, checks: [web], pinned: { name: \"webmail{index}\", when_down: keep } }";
const RELAY: &str = "relay: { publish: alias, name: smtp, target: relay.example.net }";
const SERVICES: &str = "services: [imap, mx, webmail, relay";
/// Services that an edit adds, one after another.
const MORE: [&str; 4] = ["pop", "sieve", "submission", "caldav"];
/// What other people keep in a zone, beside and at the names that rotad manages.
const OTHERS: &str = "@ TXT \"v=spf1 mx -all\"\nimap TXT \"theirs\"\nwww A 198.51.100.80\nftp CNAME www\n\
    _acme-challenge 30 TXT \"token one\" \"two\"\n_imaps._tcp SRV 0 1 993 imap";
/// For so long a hand edit may stand.
const FOUND: Duration = Duration::from_mins(2);

/// Everything, and what it should be like.
pub struct World {
    /// The installation.
    pub rota: Rota,
    /// What was wrong at some moment.
    pub faults: Vec<String>,
    /// The file to begin with.
    base: String,
    removed: BTreeSet<usize>,
    drained: BTreeSet<usize>,
    dead: BTreeSet<usize>,
    /// How many of [`MORE`] the file has.
    more: usize,
    zones: Vec<Held>,
    hand_edits: usize,
    looked_at: usize,
    calm_since: Instant,
}

/// What is known of a zone.
struct Held {
    /// Its records that are not rotad's.
    foreign: BTreeSet<String>,
    /// The highest generation seen.
    generation: u64,
    /// The last hand edit of a managed set.
    touched: Option<Instant>,
}

fn zone_name(at: usize) -> String {
    format!("z{at:03}.example")
}

fn node_name(at: usize) -> String {
    format!("node{at:02}")
}

impl World {
    /// With so many zones, all in sync.
    pub fn start(zones: usize) -> Self {
        let mut builder = Rota::new().safety("max_change: 100%");
        builder = builder.nodes(u8::try_from(NODES).expect("few nodes"));
        for service in [IMAP, MX, WEBMAIL, RELAY] {
            builder = builder.service(service);
        }
        for at in 0..zones {
            let name = zone_name(at);
            builder = builder.domain(&name, &format!("{SERVICES}]")).zone(&name, Zone::new(&name).records(OTHERS));
        }
        let rota = builder.build();
        let held = |at| Held { foreign: rota.records(&zone_name(at)), generation: 0, touched: None };
        let mut world = Self {
            faults: Vec::new(),
            base: rota.yaml(),
            removed: BTreeSet::new(),
            drained: BTreeSet::new(),
            dead: BTreeSet::new(),
            more: 0,
            zones: (0..zones).map(held).collect(),
            hand_edits: 0,
            looked_at: 0,
            calm_since: clock::now(),
            rota,
        };
        world.rota.start();
        let wrong = world.wait_until_right(Duration::from_mins(1));
        assert!(wrong.is_empty(), "not even at the start: {:?}\n{}", wrong.first(), world.rota.journal());
        world
    }

    // --- what happens -----------------------------------------------------------------------------------------------

    /// Lets it happen; an event that would change nothing is skipped.
    pub fn happen(&mut self, event: Event) {
        match event {
            Event::Dies(node) => {
                if self.dead.insert(node) {
                    self.rota.kill(&node_name(node));
                }
            }
            Event::Returns(node) => {
                if self.dead.remove(&node) {
                    self.rota.revive(&node_name(node));
                }
            }
            Event::Drain(node) => {
                toggle(&mut self.drained, node);
                self.write_file();
            }
            Event::Remove(node) => {
                toggle(&mut self.removed, node);
                self.write_file();
            }
            Event::AddService => {
                self.more = MORE.len().min(self.more + 1);
                self.write_file();
            }
            Event::BreakFile => self.rota.write("nodes: [this is\n"),
            Event::AddToManaged(zone) => self.touch(zone, "update add imap.ZONE 60 A 198.51.100.99"),
            Event::DeleteManaged(zone) => self.touch(zone, "update delete imap.ZONE A\nupdate delete ZONE MX"),
            Event::TouchTtl(zone) => self.touch(zone, "update add webmail.ZONE 7 A 198.51.100.99"),
            Event::AddForeign(zone) => self.add_foreign(zone),
            Event::DeleteForeign(zone) => self.delete_foreign(zone),
            Event::RotadPauses(pause) => {
                self.rota.signal(Signal::STOP);
                thread::sleep(Duration::from_millis(pause));
                self.rota.signal(Signal::CONT);
            }
            Event::RotadDies => {
                self.rota.kill_daemon();
                // A file that is broken at that moment would end the start.
                self.write_file();
                self.rota.start();
            }
            Event::BindDies => {
                self.rota.named.kill();
                thread::sleep(Duration::from_secs(2));
                self.rota.named.restart();
            }
        }
    }

    /// Whether there are services that no edit has added so far.
    pub fn lacks_services(&self) -> bool {
        self.more < MORE.len()
    }

    /// The file as it should be now.
    fn write_file(&mut self) {
        let mut yaml = String::new();
        for line in self.base.lines() {
            let node = (0..NODES).find(|node| line.starts_with(&format!("  {}: {{", node_name(*node))));
            match node {
                Some(node) if self.removed.contains(&node) => continue,
                Some(node) if self.drained.contains(&node) => yaml += &line.replace("{ ", "{ admin_state: drain, "),
                _ => yaml += &line.replace(SERVICES, &[&[SERVICES], &MORE[..self.more]].concat().join(", ")),
            }
            yaml.push('\n');
            if line == "services:" {
                for name in &MORE[..self.more] {
                    writeln!(yaml, "  {name}: {{ publish: address, name: {name}, checks: [imap] }}").expect("it grows");
                }
            }
        }
        self.rota.write(&yaml);
    }

    /// Somebody edits what is ours.
    fn touch(&mut self, zone: usize, script: &str) {
        self.zones[zone].touched = Some(clock::now());
        self.nsupdate(zone, script);
    }

    fn nsupdate(&self, zone: usize, script: &str) {
        let name = zone_name(zone);
        let script = format!("zone {name}\n{}", script.replace("ZONE", &name));
        self.rota.named.nsupdate(&script).unwrap_or_else(|error| panic!("{script}: {error}"));
    }

    fn add_foreign(&mut self, zone: usize) {
        self.hand_edits += 1;
        let owner = format!("hand{}.{}.", self.hand_edits, zone_name(zone));
        let address = format!("198.51.100.{}", self.hand_edits % 250);
        self.nsupdate(zone, &format!("update add {owner} 77 A {address}"));
        self.zones[zone].foreign.insert(format!("{owner} 77 IN A {address}"));
    }

    fn delete_foreign(&mut self, zone: usize) {
        let foreign = &mut self.zones[zone].foreign;
        let Some(line) = foreign.iter().find(|line| line.starts_with("hand") || line.starts_with("www")).cloned()
        else {
            return;
        };
        foreign.remove(&line);
        let owner = line.split(' ').next().unwrap_or_default().to_owned();
        self.nsupdate(zone, &format!("update delete {owner} A"));
    }

    // --- what is looked at ------------------------------------------------------------------------------------------

    /// Looks at a few zones, others each time: whether a set is empty, whether a generation went back.
    pub fn look(&mut self) {
        for _ in 0..5 {
            let at = self.looked_at % self.zones.len();
            self.looked_at += 101;
            let zone = zone_name(at);
            let records = self.rota.records(&zone);
            let generation = generation(&records);
            let held = &mut self.zones[at];
            if generation < held.generation {
                self.faults.push(format!("{zone}: the generation went from {} to {generation}", held.generation));
            }
            held.generation = generation;
            let is_touched = held.touched.is_some_and(|at| clock::now().duration_since(at) < FOUND);
            for start in [format!("imap.{zone}. 60 IN A "), format!("{zone}. 60 IN MX ")] {
                if !is_touched && !records.iter().any(|line| line.starts_with(&start)) {
                    self.faults.push(format!("{start}is empty"));
                }
            }
            for lost in self.zones[at].foreign.difference(&records) {
                self.faults.push(format!("lost: {lost}"));
            }
        }
    }

    /// The last state: a valid file with all nodes, of which one is dead and another drained.
    pub fn calm(&mut self) {
        self.removed.clear();
        self.drained = BTreeSet::from([2]);
        (0..NODES - 1).for_each(|node| self.happen(Event::Returns(node)));
        self.write_file();
        self.happen(Event::Dies(1));
        self.calm_since = clock::now();
    }

    /// For how long nothing has happened.
    pub fn calm_for(&self) -> Duration {
        clock::now().duration_since(self.calm_since)
    }

    /// Waits until every zone holds what it should, to the byte; what is wrong after that time.
    pub fn wait_until_right(&mut self, patience: Duration) -> Vec<String> {
        let end = clock::now() + patience;
        loop {
            let wrong: Vec<String> = (0..self.zones.len()).filter_map(|at| self.wrong(at)).collect();
            if wrong.is_empty() || clock::now() > end {
                return wrong;
            }
            thread::sleep(Duration::from_secs(1));
        }
    }

    /// Waits until the daemon says that every zone is in sync.
    pub fn wait_until_in_sync(&mut self, patience: Duration) -> bool {
        let end = clock::now() + patience;
        while clock::now() < end {
            let status = self.rota.status();
            let zones = status["zones"].as_array().expect("a list");
            if status["mode"] == "active" && zones.iter().all(|zone| zone["state"] == "in_sync") {
                return true;
            }
            thread::sleep(Duration::from_millis(200));
        }
        false
    }

    /// The serials of all zones.
    pub fn serials(&self) -> Vec<u32> {
        (0..self.zones.len()).map(|at| self.rota.serial(&zone_name(at))).collect()
    }

    /// What a zone holds too much or too little.
    fn wrong(&self, at: usize) -> Option<String> {
        let zone = zone_name(at);
        let mut wanted = self.managed(&zone);
        wanted.extend(self.zones[at].foreign.iter().cloned());
        let held: BTreeSet<_> =
            self.rota.records(&zone).into_iter().filter(|line| !line.starts_with("_rotad.")).collect();
        let (missing, surplus): (Vec<_>, Vec<_>) =
            (wanted.difference(&held).collect(), held.difference(&wanted).collect());
        (held != wanted).then(|| format!("{zone}: missing {missing:?}, too much {surplus:?}"))
    }

    /// What rotad should publish in a zone, said once more in other words than rotad's.
    fn managed(&self, zone: &str) -> BTreeSet<String> {
        let addresses: BTreeMap<usize, String> = (0..NODES)
            .filter(|node| !self.removed.contains(node))
            .map(|node| (node, self.rota.ip(&node_name(node)).to_string()))
            .collect();
        let serving = addresses.iter().filter(|(node, _)| !self.drained.contains(node) && !self.dead.contains(node));
        let mut lines = BTreeSet::from([format!("smtp.{zone}. 60 IN CNAME relay.example.net.")]);
        for (node, address) in serving {
            for label in ["imap", "webmail"].iter().chain(&MORE[..self.more]) {
                lines.insert(format!("{label}.{zone}. 60 IN A {address}"));
            }
            lines.insert(format!("{zone}. 60 IN MX 10 node{node:02}.{zone}."));
        }
        for (node, address) in &addresses {
            lines.insert(format!("node{node:02}.{zone}. 60 IN A {address}"));
            lines.insert(format!("webmail{node:02}.{zone}. 60 IN A {address}"));
        }
        lines
    }
}

fn toggle(set: &mut BTreeSet<usize>, node: usize) {
    if !set.remove(&node) {
        set.insert(node);
    }
}

/// The generation that the record among these tells.
fn generation(records: &BTreeSet<String>) -> u64 {
    let record = records.iter().find_map(|line| line.split_once("generation="));
    record.map_or(0, |(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0))
}
