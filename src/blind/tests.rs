use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    check::{Timing, tests::timing},
    cluster::CheckName,
    flap,
    health::Trial,
    io::clock,
};

const SECOND: Duration = Duration::from_secs(1);

fn rules() -> Rules {
    let (longest_return, has_references, publishes_all) = (16 * SECOND, false, false);
    Rules { share: 100, within: 10 * SECOND, longest_return, has_references, publishes_all }
}

/// Nodes with some targets each, that are asked when the test says.
struct World {
    rules: Rules,
    timing: Timing,
    health: BTreeMap<Target, Health>,
    blind: Blind,
    now: Instant,
}

impl World {
    /// Nodes n0, n1 and so on with so many checks each, all of them up.
    fn new(nodes: usize, checks: usize) -> Self {
        let now = clock::now();
        let target = |node, check| Target {
            node: NodeName::new(&format!("n{node}")),
            check: CheckName::new(&format!("c{check}")),
            address: "192.0.2.1".parse().unwrap(),
        };
        let targets = (0..nodes).flat_map(|node| (0..checks).map(move |check| target(node, check)));
        let health = targets.map(|target| (target, Health::new(now))).collect();
        let timing = Timing { rise: 2, fall: 2, ..timing() };
        let mut world = Self { rules: rules(), timing, health, blind: Blind::default(), now };
        for _ in 0..2 {
            world.ask("", true);
        }
        world
    }

    /// A second later all targets whose names begin so pass or fail, and that is judged; what is told.
    fn ask(&mut self, targets: &str, passes: bool) -> String {
        self.now += SECOND;
        for (target, health) in &mut self.health {
            if format!("{} {}", target.node, target.check).starts_with(targets) {
                let text = "as asked".to_owned();
                let outcome = if passes { Outcome::Pass(text) } else { Outcome::Fail(text) };
                health.observe(&self.timing, self.now, outcome, SECOND);
            }
        }
        self.judge()
    }

    fn judge(&mut self) -> String {
        let told = self.blind.judge(self.now, &self.rules, self.health.iter());
        told.map_or(String::new(), |event| event.message)
    }

    /// The same, so often that it decides.
    fn all(&mut self, targets: &str, pass: bool) -> String {
        self.ask(targets, pass) + &self.ask(targets, pass)
    }

    fn wait(&mut self, seconds: u32) -> String {
        self.now += SECOND * seconds;
        self.judge()
    }

    fn suspects(&self) -> Vec<String> {
        self.blind.suspects().iter().map(|target| format!("{} {}", target.node, target.check)).collect()
    }
}

#[test]
fn a_node_that_dies_alone_is_suspected_until_another_is_heard() {
    let mut world = World::new(3, 1);
    assert_eq!(world.all("n0", false), "");
    assert_eq!(world.suspects(), ["n0 c0"], "nobody has been heard since");
    world.ask("n2", true);
    assert_eq!(world.suspects(), [""; 0]);
    // Nor is it suspected again.
    world.all("n1", false);
    assert_eq!(world.suspects(), ["n1 c0"]);
    world.ask("n2", true);
    assert_eq!(world.suspects(), [""; 0]);
    assert!(!world.blind.is_suspicious());
}

#[test]
fn who_asks_to_be_out_is_no_victim_of_our_network() {
    let mut world = World::new(2, 1);
    world.now += SECOND;
    for health in world.health.values_mut() {
        let asks = Outcome::Out("agent says \"drain\"".to_owned());
        assert!(health.observe(&world.timing, world.now, asks, SECOND).matters);
    }
    assert_eq!((world.judge(), world.suspects()), (String::new(), vec![]));
    // Nor does it count for one when others fall.
    let mut world = World::new(3, 1);
    let first = world.health.values_mut().next().unwrap();
    first.observe(&world.timing, world.now, Outcome::Maint("agent says \"maint\"".to_owned()), SECOND);
    assert_eq!(world.all("n1", false), "");
    assert!(!world.blind.is_blind());
}

#[test]
fn who_is_heard_meanwhile_clears_us_at_once() {
    let mut world = World::new(3, 2);
    world.ask("n0 c0", false);
    world.ask("n1 c1", true);
    world.ask("n0 c0", false);
    assert_eq!(world.suspects(), [""; 0]);
    // Another check of the same node will do.
    world.ask("n1 c0", false);
    world.ask("n1 c1", true);
    world.ask("n1 c0", false);
    assert_eq!(world.suspects(), [""; 0]);
}

#[test]
fn who_was_asked_before_it_began_says_nothing_of_it() {
    let mut world = World::new(3, 1);
    world.all("n0", false);
    // Its answer was under way when n0 failed for the first time, and is looked at later.
    let n1 = world.health.values_mut().nth(1).unwrap();
    n1.observe(&world.timing, world.now, Outcome::Pass("late".to_owned()), 3 * SECOND);
    world.judge();
    assert_eq!(world.suspects(), ["n0 c0"]);
    world.ask("n1", true);
    assert_eq!(world.suspects(), [""; 0]);
}

#[test]
fn where_every_node_is_published_nobody_says_that_nothing_is_written() {
    let mut world = World::new(3, 1);
    world.rules.publishes_all = true;
    let told = ["n0", "n1", "n2"].map(|node| world.all(node, false)).concat();
    assert!(told.ends_with("more likely our own network: nobody is taken out until nodes return"), "{told}");
}

#[test]
fn when_all_go_down_at_once_we_are_blind_until_they_are_back() {
    let mut world = World::new(3, 2);
    assert_eq!(world.all("n0", false), "");
    assert_eq!(world.suspects(), ["n0 c0", "n0 c1"]);
    assert_eq!(world.all("n1", false), "");
    world.ask("n2 c1", false);
    assert_eq!(
        world.all("n2", false),
        "blind: 3 of 3 nodes went down within 10s, which is more likely our own network: nothing is written until \
         nodes return"
    );
    assert!(world.blind.is_blind());
    assert_eq!(world.wait(3_600), "", "for as long as nobody answers");
    assert_eq!(world.suspects().len(), 6);
    assert_eq!(world.ask("", true), "", "one pass is a sign of life, no return");
    assert_eq!(world.suspects().len(), 6);
    world.ask("", false);
    // Nodes come back one by one: the others are given the time.
    world.all("n1", true);
    assert!(world.blind.is_blind());
    world.all("n0", true);
    assert_eq!(world.suspects(), ["n2 c0", "n2 c1"]);
    assert_eq!(world.all("n2", true), "no longer blind, after 1h: no node is down any more");
    assert!(!world.blind.is_suspicious());
}

#[test]
fn who_does_not_come_back_with_the_others_is_down() {
    let mut world = World::new(3, 1);
    world.all("", false);
    assert!(world.blind.is_blind());
    world.all("n0", true);
    assert_eq!(world.wait(10), "");
    // One that goes down again begins the wait anew.
    world.all("n0", false);
    world.wait(60);
    assert!(world.blind.is_blind());
    world.all("n0", true);
    assert_eq!(world.wait(15), "");
    assert_eq!(world.wait(1), "no longer blind, after 1m 32s: still down, and taken for it: n1, n2");
    assert_eq!(world.suspects(), [""; 0]);
    assert_eq!(world.wait(60), "", "and that is settled");
    assert_eq!(world.suspects(), [""; 0]);
    // A new outage is a new suspicion, of those that were up.
    world.all("n1", true);
    world.all("n0", false);
    assert_eq!(world.suspects(), ["n0 c0"]);
    assert!(world.all("n1", false).starts_with("blind: 2 of 2 nodes"));
    assert_eq!(world.suspects(), ["n0 c0", "n1 c0"]);
}

#[test]
fn references_rule_a_suspicion_out() {
    let mut world = World::new(2, 1);
    world.rules.has_references = true;
    world.all("n0", false);
    assert_eq!(world.suspects(), ["n0 c0"]);
    world.blind.referred(world.now);
    world.judge();
    assert_eq!(world.suspects(), [""; 0]);
    // An answer from before says nothing of what began since.
    world.all("n0", true);
    world.all("n1", false);
    assert_eq!(world.suspects(), ["n1 c0"]);
}

#[test]
fn references_end_blindness_after_the_time_of_a_return() {
    let mut world = World::new(2, 1);
    world.rules.has_references = true;
    assert!(world.all("", false).ends_with("until the references answer or nodes return"));
    world.blind.referred(world.now);
    assert_eq!(world.wait(60), "", "that was asked before");
    world.blind.referred(world.now);
    assert_eq!(world.judge(), "");
    assert_eq!(world.wait(15), "");
    assert_eq!(world.wait(1), "no longer blind, after 1m 16s: still down, and taken for it: n0, n1");
}

#[test]
fn a_smaller_share_is_enough_if_the_file_says_so() {
    for (share, dead, is_blind) in
        [(50, 1, false), (50, 2, true), (51, 2, false), (51, 3, true), (1, 1, false), (1, 2, true)]
    {
        let mut world = World::new(4, 1);
        world.rules.share = share;
        for second in 0..2 {
            for node in 0..dead {
                world.ask(&format!("n{node}"), false);
            }
            if second == 0 {
                world.ask("n3", true);
            }
        }
        assert_eq!(world.blind.is_blind(), is_blind, "{dead} of 4 with {share}%");
        // Those that are up stand in for references.
        for node in dead..4 {
            world.ask(&format!("n{node}"), true);
        }
        world.wait(16);
        assert_eq!(world.suspects(), [""; 0]);
        assert!(!world.blind.is_blind());
    }
    // With references, it is they who must answer.
    let mut world = World::new(4, 1);
    (world.rules.share, world.rules.has_references) = (50, true);
    world.all("n0", false);
    world.all("n1", false);
    world.ask("n3", true);
    world.wait(3_600);
    assert_eq!(world.suspects(), ["n0 c0", "n1 c0"]);
    world.blind.referred(world.now);
    world.judge();
    assert!(world.wait(16).starts_with("no longer blind"));
}

#[test]
fn what_is_no_outage_is_not_suspected() {
    // One node alone, or one that was left.
    let mut world = World::new(1, 2);
    world.all("n0", false);
    assert!(!world.blind.is_suspicious());
    let mut world = World::new(2, 1);
    world.all("n0", false);
    world.ask("n1", true);
    world.wait(11);
    assert_eq!(world.all("n1", false), "");
    assert!(!world.blind.is_suspicious(), "n0 has been down for long");
    // Nodes that were never seen up.
    let now = clock::now();
    let mut world = World::new(3, 1);
    world.health.values_mut().for_each(|health| *health = Health::new(now));
    world.all("", false);
    assert!(!world.blind.is_suspicious());
    // One service that dies everywhere, while the nodes answer otherwise.
    let mut world = World::new(3, 2);
    for _ in 0..2 {
        for (node, passes) in [("n0", 1), ("n1", 1), ("n2", 1)] {
            world.ask(&format!("{node} c0"), false);
            world.ask(&format!("{node} c{passes}"), true);
        }
    }
    assert!(!world.blind.is_suspicious());
}

#[test]
fn what_could_not_be_asked_in_between_hides_no_outage() {
    let mut world = World::new(2, 1);
    for health in world.health.values_mut() {
        for _ in 0..3 {
            health.observe(
                &world.timing,
                world.now,
                Outcome::Unknown("network unreachable from here".to_owned()),
                SECOND,
            );
        }
    }
    assert!(world.all("", false).starts_with("blind: 2 of 2 nodes"));
}

#[test]
fn held_nodes_are_well() {
    let mut world = World::new(2, 1);
    world.timing.flap_hold = Some(flap::LONGEST);
    for _ in 0..2 {
        world.all("n0", false);
        world.ask("n1", true);
        world.all("n0", true);
    }
    assert!(world.health.values().next().unwrap().hold.is_some());
    world.all("n1", false);
    world.ask("n0", true);
    assert!(!world.blind.is_suspicious());
}

proptest! {
    /// Whatever the targets do: only those that are down are suspected; who was down before an outage is not; while
    /// others are heard all the time nobody is; and once the nodes are back nothing is left of it.
    #[test]
    fn suspicion_begins_and_ends(
        steps in proptest::collection::vec((0_usize..4, 0_usize..2, any::<bool>(), 0_u32..8), 1..150),
        share in 1_u8..=100,
        has_references in any::<bool>(),
    ) {
        let mut world = World::new(4, 2);
        (world.rules.share, world.rules.has_references) = (share, has_references);
        for (node, check, passes, seconds) in steps {
            if seconds == 7 {
                world.blind.referred(world.now);
            }
            world.now += SECOND * seconds;
            world.ask(&format!("n{node} c{check}"), passes);
            for target in world.blind.suspects() {
                prop_assert_eq!(world.health[target].state, State::Down);
            }
            prop_assert!(!world.blind.is_blind() || !world.blind.suspects().is_empty());
        }
        world.all("", true);
        prop_assert!(!world.blind.is_suspicious());
        // From then on, with one node that is heard every second, nobody else is suspected for long.
        world.rules.share = 100;
        for node in 1..4 {
            for _ in 0..3 {
                world.ask(&format!("n{node}"), false);
                world.ask("n0", true);
                prop_assert!(!world.blind.is_suspicious());
            }
        }
    }
}

impl World {
    /// As at a start, or after a gap: nothing is known of anybody.
    fn watched_anew(mut self) -> Self {
        for health in self.health.values_mut() {
            let trial = Some(Trial::new(self.now, 60 * SECOND, true));
            *health = Health { trial, ..Health::new(self.now).remembering(health.flaps.clone(), health.stands()) };
        }
        self.blind = Blind::default();
        self
    }
}

#[test]
fn a2_a_start_and_a_gap_in_which_all_are_found_down_are_as_suspect() {
    // Up before, or down already, because we were blind then.
    for was_blind in [false, true] {
        let mut world = World::new(3, 2);
        if was_blind {
            assert!(world.all("", false).starts_with("blind"));
        }
        let mut world = world.watched_anew();
        assert_eq!(world.all("n0", false), "");
        assert_eq!(world.all("n1", false), "", "one of three has not been asked");
        assert!(!world.blind.is_blind());
        assert!(world.all("n2", false).starts_with("blind: 3 of 3 nodes went down within 10s"));
        // They come back one after the other: nothing is written before each may have shown that it is well.
        world.all("n1", true);
        assert!(world.blind.is_blind());
        let told = world.all("n0", true) + &world.all("n2", true);
        assert!(told.contains("no node is down any more"), "{told} {:?}", world.suspects());
    }
    // Some of them are dead, and decided before the others: no suspicion that lasts.
    let mut world = World::new(5, 1).watched_anew();
    world.all("n0", false);
    world.all("n1", false);
    assert!(!world.blind.is_blind());
    for up in ["n2", "n3", "n4"] {
        world.all(up, true);
    }
    assert!(!world.blind.is_blind());
    assert_eq!(world.suspects(), [""; 0]);
    // An agent that is silent says nothing for its node.
    let mut world = World::new(2, 2).watched_anew();
    let now = world.now;
    for (_, health) in world.health.iter_mut().filter(|(target, _)| target.check.as_str() == "c1") {
        health.observe(&world.timing, now, Outcome::Unknown("silent".to_owned()), SECOND);
    }
    world.all("n0 c0", false);
    assert!(world.all("n1 c0", false).starts_with("blind"));
}
