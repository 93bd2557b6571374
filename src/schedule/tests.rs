use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{
    check::{
        Kind,
        tests::{cluster, timing},
    },
    health::State,
    io::clock,
};

const SECOND: Duration = Duration::from_secs(1);

fn tcp(port: u16) -> Check {
    Check { kind: Kind::Tcp { port }, tls: None, timing: timing() }
}

fn pass() -> Outcome {
    Outcome::Pass("accepted".to_owned())
}

fn fail() -> Outcome {
    Outcome::Fail("connection refused".to_owned())
}

/// Makes one target's next probe when it is due; the seconds since the last one was due.
fn next(schedule: &mut Schedule, last: &mut Instant, outcome: Outcome, took: Duration) -> u64 {
    let due = schedule.next_due().unwrap();
    let job = schedule.start(due).unwrap();
    assert!(schedule.start(due + 100 * SECOND).is_none(), "a probe under way is not doubled");
    schedule.finish(&job, due + took, outcome, took);
    let gap = due.saturating_duration_since(*last);
    *last = due;
    gap.as_secs()
}

#[test]
fn the_period_counts_from_the_start_of_a_probe() {
    let mut schedule = Schedule::new(clock::now());
    let now = clock::now();
    schedule.adopt(&cluster(&[("node00", &["192.0.2.10"])], &[("imap", tcp(143))]), now);
    let first = schedule.next_due().unwrap();
    assert!(now <= first && first < now + 2 * SECOND, "the first probe starts within the shorter interval");
    let mut last = first;
    // What a probe finds, the seconds that it takes, and the seconds since the start of the one before.
    for (outcome, took, gap) in [
        (pass(), 0, 0..=0),
        (pass(), 1, 2..=2),
        (pass(), 0, 2..=2),
        // Decided: up. It goes on at the node's next time.
        (pass(), 5, 0..=9),
        (fail(), 5, 10..=10),
        // In doubt: at once where the probe outlasts the fast interval.
        (fail(), 1, 5..=5),
        (fail(), 1, 2..=2),
        // Decided: down.
        (fail(), 1, 0..=9),
        (Outcome::Unknown("no descriptors".to_owned()), 1, 10..=10),
        (pass(), 1, 10..=10),
        (fail(), 1, 2..=2),
        (fail(), 1, 0..=9),
    ] {
        let told = format!("{outcome:?} in {took}s");
        let seen = next(&mut schedule, &mut last, outcome, SECOND * took);
        assert!(gap.contains(&seen), "{told}: {seen} s");
    }
}

#[test]
fn a_return_takes_no_longer_than_its_bound_however_slow_the_node_is() {
    for (took, timeout, down_interval) in [(0, 5, 10), (4, 5, 10), (5, 5, 5), (8, 9, 5), (1, 1, 1)] {
        let mut check = tcp(143);
        (check.timing.timeout, check.timing.down_interval) = (SECOND * timeout, SECOND * down_interval);
        let bound = check.timing.longest_return();
        let mut schedule = Schedule::new(clock::now());
        schedule.adopt(&cluster(&[("node00", &["192.0.2.10"])], &[("imap", check)]), clock::now());
        let mut last = clock::now();
        for _ in 0..5 {
            next(&mut schedule, &mut last, fail(), SECOND * timeout);
        }
        // It is well again when a probe has just begun, which is lost.
        let from = schedule.next_due().unwrap();
        next(&mut schedule, &mut last, fail(), SECOND * timeout);
        while schedule.view().targets.values().any(|health| health.state != State::Up) {
            next(&mut schedule, &mut last, pass(), SECOND * took);
        }
        let lasted = last + SECOND * took - from;
        assert!(lasted <= bound, "{lasted:?} is more than {bound:?}: {took} s of {timeout} s");
    }
}

#[test]
fn what_a_service_did_not_need_before_is_confirmed() {
    let file = |any| {
        let nodes: &[(&str, &[&str])] = &[("node00", &["192.0.2.10"])];
        let mut file = cluster(nodes, &[("imap", tcp(143)), ("smtp", tcp(25))]);
        file.services.values_mut().for_each(|service| service.checks_any = Some(any));
        Arc::new(file)
    };
    let mut now = clock::now();
    let mut schedule = Schedule::new(now);
    let decide = |schedule: &mut Schedule, now: &mut Instant| {
        for _ in 0..40 {
            *now += SECOND;
            while let Some(job) = schedule.start(*now) {
                let outcome = if job.target.check.as_str() == "imap" { pass() } else { fail() };
                schedule.finish(&job, *now, outcome, Duration::ZERO);
            }
        }
    };
    let states = |schedule: &Schedule| schedule.view().targets.values().map(|health| health.state).collect::<Vec<_>>();
    schedule.follow(&file(1), now);
    decide(&mut schedule, &mut now);
    for (any, is_anew) in [(2, true), (1, false)] {
        schedule.follow(&file(any), now);
        assert_eq!((states(&schedule), schedule.has_open_trials()), (vec![State::Up, State::Down], is_anew));
        decide(&mut schedule, &mut now);
        assert_eq!((states(&schedule), schedule.has_open_trials()), (vec![State::Up, State::Down], false));
    }
}

#[test]
fn unchanged_targets_go_on_through_an_edit() {
    let now = clock::now();
    let nodes: &[(&str, &[&str])] = &[("node00", &["192.0.2.10"]), ("node01", &["192.0.2.11"])];
    let before = cluster(nodes, &[("imap", tcp(143)), ("smtp", tcp(25))]);
    let mut schedule = Schedule::new(now);
    schedule.adopt(&before, now);
    let mut later = now;
    for _ in 0..3 {
        later += 2 * SECOND;
        let due: Vec<_> = std::iter::from_fn(|| schedule.start(later)).collect();
        assert_eq!(due.len(), 4);
        for job in due {
            schedule.finish(&job, later, pass(), SECOND);
        }
    }
    assert!(schedule.first_round_done());
    let seen = schedule.view();
    assert!(seen.targets.values().all(|health| health.state == State::Up));

    // smtp moves to another port, node01 gets another address, node02 is new. All probes of before are under way.
    later += 10 * SECOND;
    let under_way: Vec<_> = std::iter::from_fn(|| schedule.start(later)).collect();
    let after = cluster(
        &[("node00", &["192.0.2.10"]), ("node01", &["192.0.2.99"]), ("node02", &["192.0.2.12"])],
        &[("imap", tcp(143)), ("smtp", tcp(587))],
    );
    schedule.adopt(&after, later);
    let dues = schedule.queue.len();
    for job in under_way {
        assert_eq!(schedule.finish(&job, later, fail(), SECOND), News::default());
    }
    assert_eq!(schedule.queue.len(), dues + 1, "only the unchanged target's result counts");
    let view = schedule.view();
    let states: Vec<_> =
        view.targets.iter().map(|(target, health)| (target.to_string(), health.state, health.failures)).collect();
    assert_eq!(
        states,
        [
            ("node00 imap (192.0.2.10)".to_owned(), State::Up, 1),
            ("node00 smtp (192.0.2.10)".to_owned(), State::Unknown, 0),
            ("node01 imap (192.0.2.99)".to_owned(), State::Unknown, 0),
            ("node01 smtp (192.0.2.99)".to_owned(), State::Unknown, 0),
            ("node02 imap (192.0.2.12)".to_owned(), State::Unknown, 0),
            ("node02 smtp (192.0.2.12)".to_owned(), State::Unknown, 0),
        ]
    );
    assert!(view.first_round_done, "targets that an edit adds do not take the first round back");

    // The same again changes nothing, not even what is due.
    schedule.adopt(&after, later + SECOND);
    assert_eq!(schedule.view(), view);
    assert_eq!(schedule.queue.len(), dues + 1);
}

#[test]
fn a_target_that_leaves_and_returns_begins_anew() {
    let now = clock::now();
    let with = cluster(&[("node00", &["192.0.2.10"])], &[("imap", tcp(143))]);
    let mut schedule = Schedule::new(now);
    schedule.adopt(&with, now);
    let job = schedule.start(now + 2 * SECOND).unwrap();
    schedule.adopt(&cluster(&[], &[]), now);
    schedule.adopt(&with, now);
    schedule.finish(&job, now, pass(), SECOND);
    assert!(schedule.view().targets.values().all(|health| health.answers == 0), "the old probe's result is dropped");
    assert!(schedule.start(now + 2 * SECOND).is_some());
    assert!(schedule.start(now + 2 * SECOND).is_none());
}

#[test]
fn the_first_round_waits_for_every_target() {
    let now = clock::now();
    let mut schedule = Schedule::new(now);
    schedule.adopt(&cluster(&[("node00", &["192.0.2.10", "2001:db8::10"])], &[("imap", tcp(143))]), now);
    for round in 1..=3 {
        let later = now + round * 2 * SECOND;
        let due: Vec<_> = std::iter::from_fn(|| schedule.start(later)).collect();
        for job in due {
            assert!(!schedule.first_round_done());
            // One goes to and fro, one cannot be asked: both have had three answers in the end.
            let outcome = match (job.target.address.is_ipv6(), round) {
                (true, _) => Outcome::Unknown("network unreachable from here".to_owned()),
                (false, 2) => fail(),
                (false, _) => pass(),
            };
            schedule.finish(&job, later, outcome, SECOND);
        }
    }
    assert!(schedule.first_round_done());
    assert!(schedule.view().first_round_done);
}

#[test]
fn nothing_to_ask_is_a_round_that_is_over() {
    let mut schedule = Schedule::new(clock::now());
    schedule.adopt(&cluster(&[("node00", &["192.0.2.10"])], &[]), clock::now());
    assert!(schedule.first_round_done());
    assert_eq!(schedule.next_due(), None);
}

/// The times of a target's probes within `span`, each of which takes so long and finds this.
fn starts(check: &Check, found: &Outcome, took: Duration, span: Duration) -> Vec<Duration> {
    let begin = clock::now();
    let mut schedule = Schedule::new(begin);
    schedule.adopt(&cluster(&[("node00", &["192.0.2.10"])], &[("imap", check.clone())]), begin);
    let mut starts = Vec::new();
    while let Some(due) = schedule.next_due().filter(|due| *due < begin + span) {
        starts.push(due - begin);
        let job = schedule.start(due).unwrap();
        schedule.finish(&job, due + took, found.clone(), took);
    }
    starts
}

/// The shortest and the longest time between two starts, and how many there are.
fn gaps(starts: &[Duration]) -> (Duration, Duration, usize) {
    let gaps: Vec<_> = starts.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    (*gaps.iter().min().unwrap(), *gaps.iter().max().unwrap(), gaps.len())
}

#[test]
fn jitter_stays_within_its_share_and_the_rate_holds() {
    for (jitter, took) in [(0, 0), (10, 0), (10, 4), (50, 0), (50, 4)] {
        let mut check = tcp(143);
        check.timing.jitter = jitter;
        let hours = starts(&check, &pass(), SECOND * took, SECOND * 36_000);
        assert!(hours == starts(&check, &pass(), SECOND * took, SECOND * 36_000), "the same in each run");
        let steady = &hours[4..];
        let (shortest, longest, many) = gaps(steady);
        let share = SECOND * u32::from(jitter) / 10;
        assert!(
            shortest + share >= 10 * SECOND && longest <= 10 * SECOND + share,
            "{jitter}%: {shortest:?} {longest:?}"
        );
        assert!((3_597..=3_600).contains(&many), "{many} probes in ten hours");
        // None comes later than it would without jitter, and they do not bunch at one end of the share.
        let plain = starts(&tcp(143), &pass(), SECOND * took, SECOND * 36_000);
        let early: Vec<_> =
            plain.iter().zip(&hours).map(|(plain, jittered)| plain.checked_sub(*jittered).unwrap()).collect();
        let mean = early.iter().sum::<Duration>() / u32::try_from(early.len()).unwrap();
        assert!(early.iter().all(|early| *early <= share));
        assert!(mean >= share * 45 / 100 && mean <= share * 55 / 100, "{jitter}%: {mean:?} early on average");
    }
}

#[test]
fn the_rate_holds_while_every_probe_times_out() {
    let mut check = tcp(143);
    (check.timing.jitter, check.timing.down_interval) = (10, 7 * SECOND);
    let dead = starts(&check, &fail(), 5 * SECOND, SECOND * 7_000);
    // Undecided at first: at once where a probe outlasts the fast interval.
    assert_eq!(gaps(&dead[..3]), (5 * SECOND, 5 * SECOND, 2));
    let (shortest, longest, many) = gaps(&dead[4..]);
    assert!(
        shortest >= Duration::from_millis(6_300) && longest <= Duration::from_millis(7_700),
        "{shortest:?} {longest:?}"
    );
    assert!((996..=999).contains(&many), "{many}");
    // A probe that outlasts its own period is not piled up behind: the next one comes at once, and no two overlap.
    check.timing.down_interval = 2 * SECOND;
    let (shortest, longest, _) = gaps(&starts(&check, &fail(), 5 * SECOND, SECOND * 700));
    assert_eq!((shortest, longest), (5 * SECOND, 5 * SECOND));
}

#[test]
fn a_node_that_is_down_has_an_interval_of_its_own() {
    let mut schedule = Schedule::new(clock::now());
    let mut check = tcp(143);
    check.timing.down_interval = 60 * SECOND;
    schedule.adopt(&cluster(&[("node00", &["192.0.2.10"])], &[("imap", check)]), clock::now());
    let mut last = schedule.next_due().unwrap();
    for (outcome, gap) in [
        (fail(), 0..=0),
        (fail(), 2..=2),
        (fail(), 2..=2),
        // Down.
        (fail(), 0..=59),
        // A sign of life.
        (pass(), 60..=60),
        (fail(), 2..=2),
        (fail(), 0..=59),
        (pass(), 60..=60),
        (pass(), 2..=2),
        (pass(), 2..=2),
        // Up.
        (pass(), 0..=9),
        (pass(), 10..=10),
    ] {
        let seen = next(&mut schedule, &mut last, outcome, Duration::ZERO);
        assert!(gap.contains(&seen), "{seen} s, not {gap:?}");
    }
}

#[test]
fn who_could_rule_a_suspicion_out_is_heard_at_once() {
    let nodes: &[(&str, &[&str])] =
        &[("node00", &["192.0.2.10"]), ("node01", &["192.0.2.11"]), ("node02", &["192.0.2.12"])];
    let mut slow = tcp(143);
    (slow.timing.interval, slow.timing.fast_interval) = (3_600 * SECOND, SECOND);
    slow.timing.down_interval = slow.timing.interval;
    let cluster = cluster(nodes, &[("imap", slow)]);
    let rules = Rules::new(&cluster, false);
    let mut schedule = Schedule::new(clock::now());
    schedule.adopt(&cluster, clock::now());
    let ask = |schedule: &mut Schedule, outcome: Outcome| {
        let due = schedule.next_due().unwrap();
        let job = schedule.start(due).unwrap();
        let node = job.target.node.clone();
        schedule.finish(&job, due, outcome, Duration::ZERO);
        assert_eq!(schedule.judge(due, &rules), None);
        (node, due)
    };
    // All are up, and asked again after an hour: two pass, the last one fails.
    let others: Vec<_> = (0..11).map(|_| ask(&mut schedule, pass()).0).skip(9).collect();
    let (dead, failed) = ask(&mut schedule, fail());
    for _ in 0..2 {
        assert_eq!(ask(&mut schedule, fail()).0, dead);
    }
    assert!(schedule.is_suspicious(), "nobody has been heard since, and would not be for an hour");
    for _ in 0..2 {
        let (node, due) = ask(&mut schedule, pass());
        assert!(others.contains(&node) && due <= failed + 2 * SECOND);
    }
    assert!(!schedule.is_suspicious());
    assert!(schedule.next_due().unwrap() > failed + 60 * SECOND, "and nobody is asked once more");
}

#[test]
fn starts_are_spread_and_the_same_in_each_run() {
    let addresses: Vec<_> = (0..200).map(|n| format!("192.0.2.{n}")).collect();
    let names: Vec<_> = (0..200).map(|n| format!("node{n:03}")).collect();
    let nodes: Vec<_> = addresses.iter().map(|address| [address.as_str()]).collect();
    let nodes: Vec<_> = names.iter().zip(&nodes).map(|(name, address)| (name.as_str(), &address[..])).collect();
    let cluster = cluster(&nodes, &[("imap", tcp(143))]);
    let starts = || {
        let now = clock::now();
        let mut schedule = Schedule::new(now);
        schedule.adopt(&cluster, now);
        let queue = schedule.queue.iter();
        queue
            .map(|Reverse((due, place))| (*due - now, schedule.watched[*place].target.clone()))
            .collect::<BTreeSet<_>>()
    };
    let first = starts();
    assert_eq!(first, starts());
    for tenth in 0..10 {
        let (from, to) = (SECOND * tenth / 5, SECOND * (tenth + 1) / 5);
        let here = first.iter().filter(|(offset, _)| (from..to).contains(offset)).count();
        assert!((5..40).contains(&here), "{here} of 200 in the tenth {tenth} of the window");
    }
}

/// The rounds of a schedule in which every probe takes no time: when each began, and who was asked what in it.
fn rounds(
    schedule: &mut Schedule,
    many: usize,
    found: impl Fn(usize, &Target) -> Outcome,
) -> Vec<(Instant, Vec<Target>)> {
    let round = |round| {
        let now = schedule.next_due().unwrap();
        let jobs: Vec<_> = std::iter::from_fn(|| schedule.start(now)).collect();
        for job in &jobs {
            schedule.finish(job, now, found(round, &job.target), Duration::ZERO);
        }
        (now, jobs.into_iter().map(|job| job.target).collect())
    };
    (0..many).map(round).collect()
}

#[test]
fn what_one_node_is_asked_is_asked_in_step_and_again_after_one_was_in_doubt() {
    let nodes: &[(&str, &[&str])] =
        &[("node00", &["192.0.2.10", "2001:db8::10"]), ("node01", &["192.0.2.11", "2001:db8::11"])];
    let mut check = tcp(143);
    check.timing.jitter = 10;
    let checks = |names: &[&'static str]| names.iter().map(|name| (*name, check.clone())).collect::<Vec<_>>();
    let mut schedule = Schedule::new(clock::now());
    schedule.adopt(&cluster(nodes, &checks(&["imap", "smtp"])), clock::now());
    let in_step = |rounds: &[(Instant, Vec<Target>)], many: usize| {
        for (_, asked) in rounds {
            let nodes: BTreeSet<_> = asked.iter().map(|target| &target.node).collect();
            assert_eq!((nodes.len(), asked.len()), (1, many), "{asked:?}");
        }
    };
    in_step(&rounds(&mut schedule, 100, |_, _| pass()), 4);
    // One fails alone; an edit brings another; somebody is to be heard at once.
    let is_smtp = |target: &Target| target.check.as_str() == "smtp" && target.address.is_ipv4();
    rounds(&mut schedule, 20, |round, target| if round < 3 && is_smtp(target) { fail() } else { pass() });
    in_step(&rounds(&mut schedule, 100, |_, _| pass()), 4);
    let now = schedule.next_due().unwrap();
    schedule.adopt(&cluster(nodes, &checks(&["imap", "smtp", "web"])), now);
    rounds(&mut schedule, 20, |_, _| pass());
    in_step(&rounds(&mut schedule, 100, |_, _| pass()), 6);
    let now = schedule.next_due().unwrap();
    schedule.hear(now, now);
    rounds(&mut schedule, 20, |_, _| pass());
    in_step(&rounds(&mut schedule, 100, |_, _| pass()), 6);
}

proptest! {
    /// Whatever probes find, however long they take, and whatever the edits: each target is queued or under way,
    /// never both and never neither, and nothing is asked that is not in the cluster.
    #[test]
    fn no_target_is_lost_or_doubled(steps in proptest::collection::vec((0_u8..6, 0_u64..15), 1..80)) {
        let clusters = [
            cluster(&[("node00", &["192.0.2.10"]), ("node01", &["192.0.2.11"])], &[("imap", tcp(143)), ("smtp", tcp(25))]),
            cluster(&[("node00", &["192.0.2.10"])], &[("imap", tcp(143)), ("smtp", tcp(587))]),
            cluster(&[("node01", &["192.0.2.12"])], &[("imap", tcp(143))]),
        ];
        let mut now = clock::now();
        let mut schedule = Schedule::new(now);
        let mut current = &clusters[0];
        schedule.adopt(current, now);
        let mut under_way: Vec<Job> = Vec::new();
        for (step, seconds) in steps {
            now += Duration::from_secs(seconds);
            match step {
                0 => {
                    current = &clusters[usize::try_from(seconds).unwrap() % clusters.len()];
                    schedule.adopt(current, now);
                }
                1 | 2 => under_way.extend(std::iter::from_fn(|| schedule.start(now))),
                _ if !under_way.is_empty() => {
                    let job = under_way.remove(usize::try_from(seconds).unwrap() % under_way.len());
                    let outcome = if step == 3 { pass() } else { fail() };
                    schedule.finish(&job, now, outcome, SECOND);
                }
                _ => {}
            }
            let queue = schedule.queue.iter();
            let queued = queue.filter(|Reverse((due, place))| schedule.watched[*place].due == Some(*due));
            let mut places: Vec<_> = queued.map(|Reverse((_, place))| *place).collect();
            places.extend(under_way.iter().filter_map(|job| schedule.place(job)));
            prop_assert_eq!(places.len(), targets(current).len());
            prop_assert_eq!(schedule.view().targets.into_keys().collect::<BTreeSet<_>>(), targets(current));
        }
    }
}
