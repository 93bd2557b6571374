use std::time::{Duration, SystemTime};

use super::*;
use crate::{
    blind::Rules,
    check::{
        Kind, Outcome, Timing,
        tests::{cluster, timing},
    },
    cluster::{AdminState, Cluster},
    flap::Past,
    health::{
        PastWish,
        State::{self, Down, Unknown, Up},
    },
    io::clock,
    schedule::Schedule,
    status::Clocks,
};

const SECOND: Duration = Duration::from_secs(1);
const NODES: &[(&str, &[&str])] = &[("n0", &["192.0.2.10"]), ("n1", &["192.0.2.11"]), ("n2", &["192.0.2.12"])];

fn tcp(port: u16) -> Check {
    Check { kind: Kind::Tcp { port }, tls: None, timing: timing() }
}

/// Three nodes with one check.
fn file(name: &str, check: Check) -> Cluster {
    cluster(NODES, &[(name, check)])
}

/// A schedule, its clock, and whom the nodes answer.
struct World {
    schedule: Schedule,
    now: Instant,
    rules: Rules,
    told: Vec<String>,
}

impl World {
    fn new(file: &Cluster) -> Self {
        let now = clock::now();
        let rules = Rules::new(file, false);
        let mut world = Self { schedule: Schedule::new(now), now, rules, told: Vec::new() };
        world.edit(file);
        world
    }

    fn edit(&mut self, file: &Cluster) {
        self.schedule.adopt(file, self.now);
        self.rules = Rules::new(file, false);
        self.judge();
    }

    /// For so long every probe that is due is made; `answer` says what a node says.
    fn pass(&mut self, seconds: u32, answer: impl Fn(&Target) -> Outcome) {
        for _ in 0..seconds * 4 {
            self.now += SECOND / 4;
            while let Some(job) = self.schedule.start(self.now) {
                let outcome = answer(&job.target);
                self.schedule.finish(&job, self.now, outcome, Duration::ZERO);
            }
            self.judge();
        }
    }

    fn judge(&mut self) {
        let told = self.schedule.judge(self.now, &self.rules);
        self.told.extend(told.map(|event| event.message));
    }

    fn states(&self) -> Vec<State> {
        self.schedule.view().targets.values().map(|health| health.state).collect()
    }

    fn on_trial(&self) -> usize {
        self.schedule.view().targets.values().filter(|health| health.trial.is_some()).count()
    }
}

fn well(_: &Target) -> Outcome {
    Outcome::Pass("accepted".to_owned())
}

fn refused(_: &Target) -> Outcome {
    Outcome::Fail("connection refused".to_owned())
}

fn unmade(_: &Target) -> Outcome {
    Outcome::Unknown("no descriptors".to_owned())
}

#[test]
fn what_is_asked_as_before_keeps_its_state() {
    let slower = Check { timing: Timing { interval: 20 * SECOND, ..timing() }, ..tcp(143) };
    for (what, name, check, state, on_trial) in [
        ("nothing", "imap", tcp(143), Up, 0),
        ("another name", "imap2", tcp(143), Up, 0),
        ("other times", "imap", slower.clone(), Up, 3),
        ("both", "imap2", slower, Up, 3),
        ("another port", "imap", tcp(144), Unknown, 3),
    ] {
        let mut world = World::new(&file("imap", tcp(143)));
        world.pass(60, well);
        world.edit(&file(name, check));
        assert_eq!((world.states(), world.on_trial()), (vec![state; 3], on_trial), "{what}");
        world.pass(30, well);
        assert_eq!((world.states(), world.on_trial()), (vec![Up; 3], 0), "{what}");
        assert_eq!(world.told, Vec::<String>::new(), "{what}");
    }
}

#[test]
fn nodes_that_all_fail_a_changed_check_are_suspects_though_they_never_passed_it() {
    for (what, edit) in [
        ("another port", file("imap", tcp(1))),
        ("another check", file("web", tcp(1))),
        (
            "a timeout that nobody keeps",
            file("imap", Check { timing: Timing { timeout: SECOND, ..timing() }, ..tcp(143) }),
        ),
    ] {
        let mut world = World::new(&file("imap", tcp(143)));
        world.pass(60, well);
        world.edit(&edit);
        world.pass(12, refused);
        assert_eq!(world.states(), [Down; 3], "{what}");
        let view = world.schedule.view();
        assert!(view.blind && view.suspects.len() == 3, "{what}: {:?}", view.suspects);
        assert!(world.told.iter().any(|told| told.starts_with("blind: 3 of 3 nodes")), "{what}: {:?}", world.told);
    }
    // One that fails alone is none.
    let mut world = World::new(&file("imap", tcp(143)));
    world.pass(60, well);
    world.edit(&file("imap", tcp(144)));
    world.pass(12, |target| if target.node.as_str() == "n1" { refused(target) } else { well(target) });
    let view = world.schedule.view();
    assert!(!view.blind && view.suspects.is_empty(), "{:?}", view.suspects);
    assert_eq!(world.states(), [Up, Down, Up]);
}

#[test]
fn blindness_outlives_an_edit() {
    let slower = Check { timing: Timing { timeout: 4 * SECOND, ..timing() }, ..tcp(143) };
    let mut more = NODES.to_vec();
    more.push(("n3", &["192.0.2.13"]));
    for (what, edit) in [
        ("a timeout", file("imap", slower)),
        ("another name", file("imap2", tcp(143))),
        ("another port", file("imap", tcp(144))),
        ("a node more", cluster(&more, &[("imap", tcp(143))])),
        (
            "other addresses",
            cluster(
                &[("n0", &["192.0.2.20"]), ("n1", &["192.0.2.21"]), ("n2", &["192.0.2.22"])],
                &[("imap", tcp(143))],
            ),
        ),
        (
            "other names of nodes",
            cluster(&[("a", &["192.0.2.10"]), ("b", &["192.0.2.11"]), ("c", &["192.0.2.12"])], &[("imap", tcp(143))]),
        ),
    ] {
        let mut world = World::new(&file("imap", tcp(143)));
        world.pass(60, well);
        world.pass(20, refused);
        assert!(world.schedule.view().blind, "{what}");
        world.edit(&edit);
        assert!(world.schedule.view().blind, "{what}");
        world.pass(3, refused);
        // And edited again before anybody is decided.
        world.edit(&edit);
        world.pass(60, refused);
        assert!(world.schedule.view().blind, "{what}: {:?}", world.told);
        assert_eq!(world.told.len(), 1, "{what}: {:?}", world.told);
        world.pass(60, well);
        assert!(!world.schedule.view().blind, "{what}");
        assert!(world.told[1].contains("no node is down any more"), "{what}: {:?}", world.told);
    }
}

#[test]
fn who_gives_no_answer_is_waited_for_as_long_as_the_file_says() {
    let mut world = World::new(&file("imap", tcp(143)));
    world.pass(60, well);
    world.edit(&file("imap", tcp(144)));
    world.pass(55, unmade);
    assert_eq!(world.on_trial(), 3);
    world.pass(10, unmade);
    assert_eq!((world.on_trial(), world.states()), (0, vec![Unknown; 3]), "a minute is over");

    let mut short = file("imap", tcp(143));
    short.safety.settle = Some(5 * SECOND);
    world.edit(&short);
    world.pass(8, unmade);
    assert_eq!(world.on_trial(), 0);
    // Who answers is waited for until that decides, if it ever can.
    let mut slow = Check { timing: Timing { fast_interval: 10 * SECOND, ..timing() }, ..tcp(146) };
    slow.timing.interval = 10 * SECOND;
    let mut short = file("imap", slow);
    short.safety.settle = Some(5 * SECOND);
    world.edit(&short);
    world.pass(21, refused);
    assert_eq!(world.on_trial(), 3);
    world.pass(19, refused);
    assert_eq!((world.on_trial(), world.states()), (0, vec![Down; 3]));
}

#[test]
fn who_answered_once_and_cannot_be_asked_since_is_waited_for_no_longer() {
    for first in [well, refused] {
        let mut world = World::new(&file("imap", tcp(143)));
        let mut slow =
            Check { timing: Timing { interval: 10 * SECOND, fast_interval: 10 * SECOND, ..timing() }, ..tcp(143) };
        slow.timing.down_interval = 10 * SECOND;
        world.edit(&file("imap", slow));
        world.pass(10, first);
        assert_eq!((world.on_trial(), world.states()), (3, vec![Unknown; 3]));
        assert!(world.schedule.has_open_trials());
        world.pass(40, unmade);
        assert_eq!(world.on_trial(), 3, "its time is not over");
        assert!(!world.schedule.has_open_trials(), "no answer is to be expected");
        world.pass(30, unmade);
        assert_eq!((world.on_trial(), world.states()), (0, vec![Unknown; 3]));
    }
}

fn agent(port: u16) -> Check {
    Check { kind: Kind::Agent { port }, tls: None, timing: timing() }
}

fn silent(_: &Target) -> Outcome {
    Outcome::Unknown("the agent is silent: connection refused".to_owned())
}

/// Nodes whose agents ask to be out.
fn out(world: &World) -> Vec<String> {
    let view = world.schedule.view();
    let out = view.targets.iter().filter(|(_, health)| health.wish == AdminState::Drain);
    out.map(|(target, health)| {
        assert_eq!((health.state, health.why.as_deref()), (Down, Some("agent says \"drain\"")), "{target}");
        format!("{} {} {}", target.node, target.check, target.address)
    })
    .collect()
}

#[test]
fn a10_what_an_agent_asked_for_outlives_edits_gaps_and_its_place_in_the_file() {
    let mut world = World::new(&file("agent", agent(777)));
    let drains = |target: &Target| match target.node.as_str() {
        "n0" => Outcome::Out("agent says \"drain\"".to_owned()),
        _ => Outcome::Pass("agent says \"up\"".to_owned()),
    };
    world.pass(10, drains);
    assert_eq!(out(&world), ["n0 agent 192.0.2.10"]);
    // Asked otherwise, by another check, at other times, and never heard again.
    let slow = Check { timing: Timing { interval: 20 * SECOND, ..timing() }, ..agent(779) };
    for (name, check) in [("agent", agent(778)), ("word", agent(779)), ("word", slow)] {
        world.edit(&file(name, check));
        assert_eq!(out(&world), [format!("n0 {name} 192.0.2.10")], "at once");
        world.pass(30, silent);
        assert_eq!(out(&world), [format!("n0 {name} 192.0.2.10")]);
        assert_eq!(world.on_trial(), 2, "it is not waited for, the others are");
        world.pass(120, silent);
        assert_eq!(world.on_trial(), 0);
    }
    // The node gets another address.
    let moved: &[(&str, &[&str])] = &[("n0", &["192.0.2.20"]), ("n1", &["192.0.2.11"])];
    world.edit(&cluster(moved, &[("word", agent(779))]));
    world.pass(10, silent);
    assert_eq!(out(&world), ["n0 word 192.0.2.20"]);
    // We stand still.
    world.schedule.start_over(world.now, 1);
    assert_eq!(out(&world), ["n0 word 192.0.2.20"]);
    world.pass(10, silent);
    assert_eq!(out(&world), ["n0 word 192.0.2.20"]);
    // It is out of the file for a while.
    world.edit(&cluster(&moved[1..], &[("word", agent(779))]));
    world.pass(10, silent);
    assert!(out(&world).is_empty());
    world.edit(&cluster(moved, &[("word", agent(779))]));
    world.pass(10, silent);
    assert_eq!(out(&world), ["n0 word 192.0.2.20"]);
    // Its check is out of the file for a while: that is an operator's word.
    let mut taken = World::new(&file("agent", agent(777)));
    taken.pass(10, drains);
    taken.edit(&file("other", tcp(777)));
    taken.edit(&file("agent", agent(777)));
    assert!(out(&taken).is_empty());
    // Another kind of question is no agent's; and what it says itself counts.
    let mut other = World::new(&file("agent", agent(777)));
    other.pass(10, drains);
    other.edit(&file("agent", tcp(777)));
    other.pass(1, |_| Outcome::Unknown("no route".to_owned()));
    assert!(out(&other).is_empty());
    world.pass(30, well);
    assert!(out(&world).is_empty() && world.states() == [Up, Up], "{:?}", world.states());
}

#[test]
fn a10_what_an_agent_asked_for_outlives_a_restart_with_another_file() {
    let mut world = World::new(&file("agent", agent(777)));
    world.pass(10, |_| Outcome::Out("agent says \"drain\"".to_owned()));
    let clocks = Clocks { now: world.now, wall: SystemTime::UNIX_EPOCH + 1_000 * SECOND };
    let view = world.schedule.view();
    let (damping, wishes) = (Past::of_all(&view, clocks), PastWish::of_all(&view, clocks));
    assert_eq!(wishes.len(), 3);
    let moved: &[(&str, &[&str])] = &[("n0", &["192.0.2.20"]), ("n1", &["192.0.2.11"])];
    for (check, addresses) in [(agent(777), &["n0 agent 192.0.2.20", "n1 agent 192.0.2.11"][..]), (tcp(777), &[])] {
        let later = Clocks { now: clocks.now + 60 * SECOND, wall: clocks.wall + 60 * SECOND };
        let schedule = Schedule::new(later.now).remembering(&damping, &wishes, later);
        let file = cluster(moved, &[("agent", check)]);
        let mut next = World { schedule, now: later.now, rules: Rules::new(&file, false), told: Vec::new() };
        next.edit(&file);
        assert_eq!(out(&next), addresses, "at once");
        assert!(!next.schedule.first_round_done(), "they are asked all the same");
        next.pass(10, silent);
        assert_eq!(out(&next), addresses);
        assert!(next.schedule.first_round_done());
    }
}

#[test]
fn a2_who_is_added_while_we_are_blind_proves_nothing_of_our_network() {
    let mut world = World::new(&file("imap", tcp(143)));
    world.pass(60, well);
    world.pass(12, refused);
    assert!(world.schedule.view().blind);
    let more: Vec<_> = NODES.iter().copied().chain([("n9", &["192.0.2.19"][..])]).collect();
    world.edit(&cluster(&more, &[("imap", tcp(143))]));
    let answers = |target: &Target| if target.node.as_str() == "n9" { well(target) } else { refused(target) };
    world.pass(300, answers);
    let view = world.schedule.view();
    assert!(view.blind && view.suspects.len() == 3, "{:?} {:?}", view.suspects, world.told);
    // One that was there does.
    world.pass(300, |target| if target.node.as_str() == "n2" { refused(target) } else { well(target) });
    assert!(!world.schedule.view().blind);
}

#[test]
fn a10_an_agent_under_another_name_after_a_restart_is_the_same_agent() {
    let mut world = World::new(&file("agent", agent(777)));
    world.pass(10, |_| Outcome::Out("agent says \"drain\"".to_owned()));
    let clocks = Clocks { now: world.now, wall: SystemTime::UNIX_EPOCH + 1_000 * SECOND };
    let wishes = PastWish::of_all(&world.schedule.view(), clocks);
    let renamed: &[(&str, &[&str])] = &[("m0", &["192.0.2.10"]), ("n1", &["192.0.2.11"])];
    for (check, expected) in [
        ("agent", ["m0 agent 192.0.2.10", "n1 agent 192.0.2.11"]),
        ("word", ["m0 word 192.0.2.10", "n1 word 192.0.2.11"]),
    ] {
        let file = cluster(renamed, &[(check, agent(777))]);
        let schedule = Schedule::new(world.now).remembering(&BTreeMap::default(), &wishes, clocks);
        let mut next = World { schedule, now: world.now, rules: Rules::new(&file, false), told: Vec::new() };
        next.edit(&file);
        next.pass(10, silent);
        assert_eq!(out(&next), expected);
    }
}

#[test]
fn a10_a11_what_is_remembered_of_a_node_out_of_the_file_outlives_restarts() {
    let (all, fewer) = (file("agent", agent(777)), cluster(&NODES[1..], &[("agent", agent(777))]));
    let drains = |target: &Target| match target.node.as_str() {
        "n0" => Outcome::Out("agent says \"drain\"".to_owned()),
        _ => well(target),
    };
    let fails = |target: &Target| if target.node.as_str() == "n0" { refused(target) } else { well(target) };
    let mut world = World::new(&all);
    let answers: [fn(&Target) -> Outcome; 5] = [well, fails, well, fails, drains];
    for answer in answers {
        world.pass(10, answer);
    }
    let remembered = |world: &World| {
        let clocks = Clocks { now: world.now, wall: SystemTime::UNIX_EPOCH + 1_000 * SECOND };
        let view = world.schedule.view();
        let (damping, wishes) = (Past::of_all(&view, clocks), PastWish::of_all(&view, clocks));
        let of_node = damping.iter().filter(|(target, _)| target.node.as_str() == "n0");
        let downs: Vec<_> = of_node.map(|(_, past)| past.downs.len()).collect();
        (downs, wishes.len(), Schedule::new(world.now).remembering(&damping, &wishes, clocks))
    };
    world.edit(&fewer);
    for _ in 0..3 {
        world.pass(5, silent);
        let (downs, wishes, schedule) = remembered(&world);
        assert_eq!((downs, wishes), (vec![2], 1));
        world.schedule = schedule;
        world.edit(&fewer);
    }
    world.edit(&all);
    world.pass(5, silent);
    assert_eq!(out(&world), ["n0 agent 192.0.2.10"]);
    let (downs, wishes, _) = remembered(&world);
    assert_eq!((downs, wishes), (vec![2], 1));
    // What is not held against it any more is not kept for ever.
    world.pass(10, well);
    world.edit(&fewer);
    world.now += Duration::from_hours(2);
    world.edit(&fewer);
    assert_eq!(remembered(&world).0, Vec::<usize>::new());
}

#[test]
fn an_answer_to_a_question_of_before_an_edit_decides_nothing_of_the_edit() {
    let mut world = World::new(&file("imap", tcp(143)));
    world.pass(10, well);
    // The timeout was too short: probes are under way when it is made longer, and fail for it.
    world.now += 30 * SECOND;
    let jobs: Vec<_> = std::iter::from_fn(|| world.schedule.start(world.now)).collect();
    assert_eq!(jobs.len(), 3);
    world.now += SECOND / 2;
    let once = Timing { fall: 1, timeout: 2 * SECOND, ..timing() };
    world.edit(&file("imap", Check { timing: once, ..tcp(143) }));
    world.now += SECOND / 2;
    for job in jobs {
        world.schedule.finish(&job, world.now, Outcome::Fail("no answer in 1s".to_owned()), SECOND);
    }
    assert_eq!(world.on_trial(), 3, "whoever is published stays until the new question is answered");
    world.pass(10, well);
    assert_eq!(world.on_trial(), 0);
}

#[test]
fn who_is_found_after_a_gap_as_before_it_is_no_news() {
    let mut world = World::new(&file("imap", tcp(143)));
    let n2_is_dead = |target: &Target| if target.node.as_str() == "n2" { refused(target) } else { well(target) };
    world.pass(60, n2_is_dead);
    // Who dies in the gap is, and so is who was not decided again before the next one.
    for (name, gaps) in [("n2", 1), ("n1", 2), ("n1", 3)] {
        world.schedule.start_over(world.now, gaps);
        if gaps == 2 {
            world.schedule.start_over(world.now, gaps);
        }
        let mut told = Vec::new();
        for _ in 0..120 {
            world.now += SECOND / 4;
            while let Some(job) = world.schedule.start(world.now) {
                let outcome = if job.target.node.as_str() == name { refused(&job.target) } else { well(&job.target) };
                let news = world.schedule.finish(&job, world.now, outcome, Duration::ZERO);
                told.extend(news.events(&job.target));
            }
        }
        let told: Vec<_> = told.iter().map(|event| event.message.split(": ").next().unwrap_or_default()).collect();
        let expected: &[&str] = match gaps {
            2 => &["n1 imap (192.0.2.11) is down", "n2 imap (192.0.2.12) is up"],
            _ => &[],
        };
        let mut told = told;
        told.sort_unstable();
        assert_eq!(told, expected, "gap {gaps}");
    }
}
