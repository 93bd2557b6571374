use std::{sync::Arc, time::Duration};

use crate::{
    cluster::Cluster,
    event::Kind,
    health::{HealthView, State::Down},
    rota::model::{Fate, World, cluster, data, id},
    status::Mode,
};

fn file() -> Arc<Cluster> {
    with("")
}

/// The same with lines more.
fn with(more: &str) -> Arc<Cluster> {
    let text =
        "nodes: { n0: { addresses: [192.0.2.10] }, n1: { addresses: [192.0.2.11] }, n2: { addresses: [192.0.2.12] } }
checks: { imap: { kind: imap } }
services: { imap: { publish: address, name: imap, checks: [imap] } }
domains: { a.test: { services: [imap] } }
";
    cluster(&format!("{text}{more}"))
}

fn settled() -> World {
    let mut world = World::new(&file());
    world.run();
    world.sent.clear();
    world.us().events.clear();
    world
}

#[test]
fn health_from_before_a_gap_is_left_aside() {
    let mut world = settled();
    let stale = Arc::new(HealthView { gaps: 0, ..HealthView::clone(&world.view()) });
    world.stand_still(0);
    assert_eq!(world.us().told(Kind::Gap).len(), 1);
    for _ in 0..2 {
        world.us().rota.set_health(Arc::clone(&stale));
        world.run();
        assert_eq!(world.us().rota.mode(), Mode::Starting);
    }
    // A fresh round, in which one has died meanwhile.
    world.node("n1", Down);
    world.run();
    assert_eq!(world.us().rota.mode(), Mode::Active);
    assert_eq!(world.sent.len(), 1);
    assert_eq!(data(world.zone("a.test").rrsets.get(&id("imap.a.test A"))), "192.0.2.10 192.0.2.12");
}

#[test]
fn without_fresh_health_what_is_published_stays_when_patience_ends() {
    let mut world = settled();
    world.stand_still(0);
    world.pass(Duration::from_secs(59));
    assert_eq!(world.us().rota.mode(), Mode::Starting);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.us().rota.mode(), Mode::Active);
    world.pass(Duration::from_mins(20));
    assert!(world.sent.is_empty());
}

#[test]
fn c7_an_edit_of_first_round_counts_in_the_round_that_goes_on() {
    for (edited, still, then) in [("10s", 0, 0), ("40s", 19, 1), ("2m", 99, 1)] {
        let mut world = settled();
        world.stand_still(0);
        world.pass(Duration::from_secs(20));
        let (now, edit) = (world.now, with(&format!("safety: {{ first_round: {edited} }}\n")));
        world.us().rota.set_cluster(now, edit, "");
        world.pass(Duration::from_secs(still));
        let mode = if then == 0 { Mode::Active } else { Mode::Starting };
        assert_eq!(world.us().rota.mode(), mode, "{edited}");
        world.pass(Duration::from_secs(then));
        assert_eq!(world.us().rota.mode(), Mode::Active, "{edited}");
    }
}

#[test]
fn a_message_under_way_is_not_sent_twice_and_its_answer_is_not_believed() {
    for (fate, serials) in [(Fate::Answered, 1), (Fate::AnswerLost, 1), (Fate::Unsent, 1)] {
        let mut world = settled();
        let serial = world.zone("a.test").serial;
        world.node("n1", Down);
        let now = world.now;
        assert!(world.us().start(now));
        world.stand_still(0);
        world.finish(0, 0, fate);
        world.run();
        // In the fresh round it is still dead.
        world.tell_health();
        world.pass(Duration::from_mins(2));
        assert_eq!(world.zone("a.test").serial - serial, serials, "{fate:?}");
        assert!(world.us().zone("a.test").error().is_none(), "{fate:?}");
        assert_eq!(data(world.zone("a.test").rrsets.get(&id("imap.a.test A"))), "192.0.2.10 192.0.2.12");
    }
}
