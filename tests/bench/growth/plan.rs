//! The parts that decide without a zone's life: the file, its layout, and the plan of every zone after a death, zone by zone.

use rotad::{
    config::Source,
    desired,
    io::clock,
    layout::Layout,
    plan::{self, Inputs, Rrsets},
    settling::Settling,
    standings::Standings,
};

use super::{Growth, SLOPE, cluster, timed};
use crate::table::Table;

/// With the ten of [`cluster::of`] the last is as many as a file may have.
const SIZES: [usize; 5] = [100, 1_000, 10_000, 100_000, 999_990];

pub fn run(table: &mut Table) {
    let whats = ["loading and checking the file, domains in a list", "the layout", "the plan of all zones"];
    let mut growths = whats.map(Growth::of);
    for domains in SIZES {
        for (growth, cost) in growths.iter_mut().zip(plan(domains)) {
            growth.costs.push((domains, cost));
        }
    }
    for growth in &growths {
        growth.judge(table, SLOPE);
    }
}

/// CPU seconds of each.
fn plan(domains: usize) -> [f64; 3] {
    let [mut loading, mut placing, mut planning] = [0.0; 3];
    let file = Source::new("cluster.yaml", &cluster::by_list());
    let list = Source::new(cluster::LIST, &cluster::list(domains));
    let cluster = timed(&mut loading, || cluster::checked(&file, list));
    let layout = timed(&mut placing, || Layout::new(&cluster));

    let stand = |down| Standings::new(&cluster, &cluster::health(&cluster, clock::now(), down), &Settling::default());
    let (up, dead) = (stand(None), stand(Some(("node01", None))));
    let all_down = cluster.safety.all_down;
    let mut changed = 0;
    for zone in layout.zones.values() {
        let recipes = desired::recipes(&cluster, zone, &up);
        let sets = recipes.into_iter().filter_map(|(id, recipe)| {
            let set = desired::settle(&id, &recipe, all_down, None, None)?;
            Some((id, set))
        });
        let published: Rrsets = sets.collect();
        let owned = published.iter().map(|(id, set)| (id.clone(), set.rdata.clone())).collect();
        let plan = timed(&mut planning, || {
            plan::diff(Inputs {
                recipes: &desired::recipes(&cluster, zone, &dead),
                all_down,
                published: &published,
                owned: &owned,
                is_known: &|_, _| true,
                is_target_elsewhere: &|_| false,
            })
        });
        changed += usize::from(!plan.changes.is_empty());
    }
    assert_eq!(changed, domains + 10, "every zone has the node");
    [loading, placing, planning]
}
