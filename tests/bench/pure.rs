//! What the pure parts take, each by itself, for one zone of a mail host: `cargo bench --bench pure`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "as in any bench")]
#![allow(missing_docs, reason = "criterion's macros make functions")]

#[allow(dead_code, reason = "the bench of growth uses the rest")]
#[path = "growth/cluster.rs"]
mod cluster;

use std::{collections::BTreeMap, hint::black_box, path::Path, sync::Arc};

use criterion::{Criterion, criterion_group, criterion_main};
use rotad::{
    cluster::Cluster,
    config::{Draft, Source},
    desired,
    dns::OwnerName,
    io::clock,
    layout::{Layout, ZoneLayout},
    plan::{self, Inputs, Plan, Rrsets},
    settling::Settling,
    standings::Standings,
    tsig::Keys,
    update::{GenerationRecord, Update, in_safe_order},
    zone::Owned,
};

const DOMAINS: usize = 1_000;
const KEY: &str = "key \"rotad\" { algorithm hmac-sha256; secret \"c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDMyIGI=\"; };";

/// One zone, published while every node was up; then node01 died.
struct Zone {
    cluster: Arc<Cluster>,
    layout: Layout,
    name: OwnerName,
    dead: Standings,
    published: Rrsets,
    owned: Owned,
}

impl Zone {
    fn new() -> Self {
        let cluster = cluster::of(DOMAINS);
        let layout = Layout::new(&cluster);
        let name = layout.zones.keys().next().unwrap().clone();
        let stand =
            |down| Standings::new(&cluster, &cluster::health(&cluster, clock::now(), down), &Settling::default());
        let (up, dead) = (stand(None), stand(Some(("node01", None))));
        let published: Rrsets = desired::recipes(&cluster, &layout.zones[&name], &up)
            .iter()
            .filter_map(|(id, recipe)| {
                Some((id.clone(), desired::settle(id, recipe, cluster.safety.all_down, None, None)?))
            })
            .collect();
        let owned = published.iter().map(|(id, set)| (id.clone(), set.rdata.clone())).collect();
        Self { cluster, layout, name, dead, published, owned }
    }

    fn layout(&self) -> &ZoneLayout {
        &self.layout.zones[&self.name]
    }

    fn plan(&self, recipes: &BTreeMap<rotad::dns::RrsetId, desired::Recipe>) -> Plan {
        plan::diff(Inputs {
            recipes,
            all_down: self.cluster.safety.all_down,
            published: &self.published,
            owned: &self.owned,
            is_known: &|_, _| true,
            is_target_elsewhere: &|_| false,
        })
    }

    fn update(&self) -> Update {
        let recipes = desired::recipes(&self.cluster, self.layout(), &self.dead);
        let record = GenerationRecord { cluster: "mail".into(), owner: "0123456789abcdef".into(), generation: 41 };
        let changes = in_safe_order(self.plan(&recipes).changes);
        assert!(changes.len() > 4, "the node was in most sets");
        Update {
            zone: self.name.clone(),
            guard: (&record).into(),
            record: record.next(),
            changes,
            exact: true,
            is_last: false,
        }
    }
}

fn zones(c: &mut Criterion) {
    let zone = Zone::new();
    let recipes = desired::recipes(&zone.cluster, zone.layout(), &zone.dead);
    let update = zone.update();
    let message = update.message().unwrap();
    let keys = Keys::parse(KEY, "here", false).unwrap();
    let key = keys.iter().next().unwrap();

    let mut group = c.benchmark_group("one zone");
    group.bench_function("recipes", |b| b.iter(|| desired::recipes(&zone.cluster, zone.layout(), &zone.dead)));
    group.bench_function("diff", |b| b.iter(|| zone.plan(&recipes)));
    group.bench_function("safe order", |b| b.iter(|| in_safe_order(update.changes.clone())));
    group.bench_function("split", |b| b.iter(|| update.clone().split()));
    group.bench_function("message", |b| b.iter(|| update.message().unwrap()));
    group.bench_function("signature", |b| b.iter(|| key.sign(&message, 0, 1_800_000_000).unwrap()));
    group.finish();
}

fn cluster_wide(c: &mut Criterion) {
    let (file, list) =
        (Source::new("cluster.yaml", &cluster::by_list()), Source::new("domains.txt", &cluster::list(DOMAINS)));
    let whole = Source::new("cluster.yaml", &cluster::by_map(DOMAINS));
    let cluster = cluster::of(DOMAINS);
    let health = cluster::health(&cluster, clock::now(), None);

    let mut group = c.benchmark_group(format!("{DOMAINS} domains"));
    group.bench_function("load from a list", |b| b.iter(|| cluster::checked(&file, list.clone())));
    group.bench_function("load from cluster.yaml", |b| {
        b.iter(|| Draft::new(black_box(&whole), Path::new("")).check(BTreeMap::new()).cluster.unwrap());
    });
    group.bench_function("layout", |b| b.iter(|| Layout::new(&cluster)));
    group.bench_function("standings", |b| b.iter(|| Standings::new(&cluster, &health, &Settling::default())));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(std::time::Duration::from_secs(2));
    targets = zones, cluster_wide
}
criterion_main!(benches);
