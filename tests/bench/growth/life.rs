//! The life of all zones of a file: looked at, written when a node dies, edited. BIND is a function that answers at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use rotad::{
    cluster::Cluster,
    dns::{OwnerName, Rdata, RdataSet, RrType, Rrset, RrsetId, Ttl},
    io::clock,
    plan::Rrsets,
    rota::Rota,
    status,
    tsig::{Key, Keys},
    update::{GenerationRecord, Reading, Soa, Update, Verdict},
    zone::{Done, Identity, Step},
};

use super::{Growth, SLOPE, cluster, timed};
use crate::{process, table::Table};

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];
const KEY: &str = "key \"rotad\" { algorithm hmac-sha256; secret \"c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDMyIGI=\"; };";
const ROUNDS: u32 = 200;
/// One round of nothing takes less than a clock can tell, and much less than an interrupt.
const IDLE_ROUNDS: u32 = 100_000;

/// What is measured at each size, in the order of a life.
const LOOK: &str = "the first look at all zones";
const IDLE: &str = "a turn with nothing to do";
const FEW: &str = "news of a check that ten domains have";
const DEATH: &str = "news that a node died, until every zone's message is signed";
const READ_BACK: &str = "the answers to them, until all is read back and told";
const STATUS: &str = "the status as JSON";
const EDIT: &str = "an edit that adds a domain";
const REMOVAL: &str = "an edit that takes a tenth of the domains out";

pub fn run(table: &mut Table) {
    let whats = [LOOK, IDLE, FEW, DEATH, READ_BACK, STATUS, EDIT, REMOVAL];
    let mut growths = whats.map(Growth::of);
    for domains in SIZES {
        let mut costs = Costs::default();
        live(domains, &mut costs, table);
        for growth in &mut growths {
            growth.costs.push((domains, *costs.of(growth.what)));
        }
    }
    for growth in &growths {
        let most = match growth.what {
            // They depend on the number of domains not at all: they may waver, but not grow.
            IDLE | FEW => 0.3,
            // One look at each zone, in the caches or not.
            STATUS => 1.3,
            _ => SLOPE,
        };
        growth.judge(table, most);
    }
}

/// CPU seconds of each thing.
#[derive(Default)]
struct Costs(BTreeMap<&'static str, f64>);

impl Costs {
    fn of(&mut self, what: &'static str) -> &mut f64 {
        self.0.entry(what).or_insert(0.0)
    }
}

/// One life at one size.
fn live(domains: usize, costs: &mut Costs, table: &mut Table) {
    let (before, _) = process::rss(std::process::id());
    let cluster = cluster::of(domains);
    let mut world = World::new(&cluster);
    let up = cluster::health(&cluster, world.now, None);
    world.rota.set_health(Arc::clone(&up));
    *costs.of(LOOK) = world.settle().all();
    let (seen, _) = process::rss(std::process::id());
    // The largest only: what smaller ones take may be memory that others gave back before.
    if Some(&domains) == SIZES.last() {
        let each = (seen - before) * 1024.0 / domains as f64;
        table.at_most(format!("memory of each of {domains} domains that have been read"), each, 6.0, "KiB");
    }

    timed(costs.of(IDLE), || {
        for _ in 0..IDLE_ROUNDS {
            world.rota.tick(world.now);
            assert!(world.rota.take(world.now).0.is_none(), "there is nothing to do");
        }
    });
    let pop = cluster::health(&cluster, world.now, Some(("node01", Some("pop"))));
    timed(costs.of(FEW), || {
        for at in 0..ROUNDS {
            world.rota.set_health(Arc::clone(if at % 2 == 0 { &pop } else { &up }));
        }
    });
    *costs.of(IDLE) /= f64::from(IDLE_ROUNDS);
    *costs.of(FEW) /= f64::from(ROUNDS);
    world.settle();

    let dead = cluster::health(&cluster, world.now, Some(("node01", None)));
    timed(costs.of(DEATH), || world.rota.set_health(dead));
    let spent = world.settle();
    assert_eq!(spent.writes, domains + 10, "every zone is written");
    *costs.of(DEATH) += spent.writing;
    *costs.of(READ_BACK) = spent.rest;
    if domains == 10_000 {
        let each = *costs.of(DEATH) / domains as f64;
        let what = "a node's death: CPU time of each of 10000 zones from the news to its signed message";
        table.at_most(what, each * 1e6, 50.0, "us");
        table.at_most("the same from the answer to the told read-back", spent.rest / domains as f64 * 1e6, 60.0, "us");
    }

    let json = timed(costs.of(STATUS), || world.status());
    assert!(json.len() > domains * 20, "each zone is in it");

    let more = cluster::of(domains + 1);
    timed(costs.of(EDIT), || world.rota.set_cluster(world.now, more, ""));
    let spent = world.settle();
    assert_eq!(spent.writes, 1, "the new zone is written");
    *costs.of(EDIT) += spent.all();
    let fewer = cluster::of(domains - domains / 10);
    timed(costs.of(REMOVAL), || world.rota.set_cluster(world.now, fewer, ""));
    let spent = world.settle();
    assert_eq!(spent.writes, 2 * (domains / 10 + 1), "each zone that left is cleaned, and then its record goes");
    *costs.of(REMOVAL) += spent.all();
}

/// CPU seconds of a rota's steps.
#[derive(Default)]
struct Spent {
    /// Until messages are signed.
    writing: f64,
    rest: f64,
    writes: usize,
}

impl Spent {
    const fn all(&self) -> f64 {
        self.writing + self.rest
    }
}

/// A rota, and a BIND in which every node is published.
struct World {
    now: Instant,
    rota: Rota,
    key: Arc<Key>,
    /// What was written and is to be read back.
    written: BTreeMap<OwnerName, Update>,
}

impl World {
    fn new(cluster: &Arc<Cluster>) -> Self {
        let now = clock::now();
        let keys = Keys::parse(KEY, "here", false).expect("a key");
        let key = keys.iter().next().expect("one").clone();
        let rota = Rota::new(now, me(), Arc::clone(cluster), BTreeMap::new(), false);
        Self { now, rota, key, written: BTreeMap::new() }
    }

    /// Takes every step that may be taken now.
    fn settle(&mut self) -> Spent {
        let (now, mut spent) = (self.now, Spent::default());
        loop {
            let mut taking = 0.0;
            let steps: Vec<_> = timed(&mut taking, || {
                self.rota.tick(now);
                std::iter::from_fn(|| self.rota.take(now).0).collect()
            });
            // What is to be read back comes last: while there is something to write, all steps are that.
            let Some((_, first)) = steps.first() else { return spent };
            *(if matches!(first, Step::Write(_)) { &mut spent.writing } else { &mut spent.rest }) += taking;
            timed(&mut spent.writing, || {
                for (_, step) in &steps {
                    if let Step::Write(update) = step {
                        // As what sends it does: the message was made when it was checked.
                        self.key.sign(update.wire(), 0, 1_800_000_000).expect("it fits");
                        spent.writes += 1;
                    }
                }
            });
            let answers: Vec<_> = steps.into_iter().map(|(zone, step)| (self.answer(&zone, step), zone)).collect();
            timed(&mut spent.rest, || {
                for (done, zone) in answers {
                    self.rota.done(now, &zone, done);
                }
            });
        }
    }

    fn answer(&mut self, zone: &OwnerName, step: Step) -> Done {
        match step {
            Step::Write(update) => {
                self.written.insert(zone.clone(), (**update).clone());
                Done::Write(Ok(Verdict::Applied))
            }
            Step::Read(names) | Step::FirstRead { names, .. } => Done::Read(Ok(self.read(zone, &names))),
            Step::Serial | Step::Rest => unreachable!("no time passes"),
        }
    }

    /// As it was written, or as it is while every node is up.
    fn read(&mut self, zone: &OwnerName, names: &BTreeSet<OwnerName>) -> Reading {
        let (record, rrsets) = match self.written.remove(zone) {
            Some(update) => {
                let sets = update.changes.into_iter().filter_map(|change| Some((change.id, change.after?)));
                (update.record, sets.collect())
            }
            None => (GenerationRecord { cluster: me().cluster, owner: me().owner, generation: 1 }, full(zone, names)),
        };
        // A record of its own for each zone: as many serials as generations.
        let serial = u32::try_from(record.generation).expect("a small one");
        Reading {
            soa: Soa { serial, mname: zone.clone() },
            generation: (&record).into(),
            rrsets,
            others: BTreeMap::new(),
            blocked: BTreeMap::new(),
        }
    }

    /// As `io::reconcile` and `io::status_server` do.
    fn status(&self) -> String {
        let zone = |(name, zone): (&OwnerName, &rotad::zone::Zone)| {
            let (generation, serial) = zone.marks();
            let error = zone.error().map(str::to_owned);
            status::Zone {
                zone: name.to_string(),
                server: String::new(),
                state: zone.state(),
                generation,
                serial,
                error,
                foreign: Vec::new(),
            }
        };
        serde_json::to_string(&self.rota.zones().iter().map(zone).collect::<Vec<_>>()).expect("it has a JSON form")
    }
}

fn me() -> Identity {
    Identity { cluster: "mail".to_owned(), owner: "0123456789abcdef".to_owned() }
}

/// What these names hold while every node is up, each record by itself as it comes off the wire.
fn full(zone: &OwnerName, names: &BTreeSet<OwnerName>) -> Rrsets {
    let address = |node: u8| Rdata::A([192, 0, 2, 10 + node].into());
    let exchange = |node: u8| Rdata::Mx {
        preference: 10,
        exchange: OwnerName::from_presentation(&format!("node{node:02}.mail.example.org")),
    };
    let sets = names.iter().map(|owner| {
        let label = owner.as_str().strip_suffix(zone.as_str()).expect("it is in the zone").trim_end_matches('.');
        let rdata: RdataSet = match (label, label.strip_prefix("webmail").and_then(|node| node.parse().ok())) {
            ("", _) => (0..3).map(exchange).collect(),
            (_, Some(node)) => [address(node)].into(),
            (_, None) => (0..3).map(address).collect(),
        };
        let rtype = if label.is_empty() { RrType::Mx } else { RrType::A };
        (RrsetId { owner: owner.clone(), rtype }, Rrset { ttl: Ttl(60), rdata })
    });
    sets.collect()
}
