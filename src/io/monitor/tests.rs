//! With paused time: the clock goes on only when every task waits, so that minutes pass in no time.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::*;
use crate::{
    check::{
        Exec, Kind, Timing,
        tests::{cluster, timing},
    },
    event::Kind::{Blind, BlindOver},
    health::State,
};

/// Nodes that answer as the test says, without sockets.
#[derive(Clone, Default)]
struct Nodes {
    down: Arc<Mutex<BTreeSet<IpAddr>>>,
    asked: Arc<Mutex<Vec<(IpAddr, u16, Instant)>>>,
    at_once: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
    takes: Duration,
}

impl Nodes {
    fn taking(takes: Duration) -> Self {
        Self { takes, ..Self::default() }
    }

    fn down(&self, address: &str) {
        self.down.lock().unwrap().insert(address.parse().unwrap());
    }

    fn watch(&self, cluster: Cluster) -> Watching {
        let nodes = self.clone();
        let ask = move |check: Arc<Check>, target: Target| {
            let nodes = nodes.clone();
            async move {
                let address = target.address;
                let port = if let Kind::Tcp { port } = check.kind { port } else { 0 };
                nodes.asked.lock().unwrap().push((address, port, clock::now()));
                let now = nodes.at_once.fetch_add(1, Ordering::Relaxed) + 1;
                nodes.most_at_once.fetch_max(now, Ordering::Relaxed);
                sleep(nodes.takes).await;
                nodes.at_once.fetch_sub(1, Ordering::Relaxed);
                if nodes.down.lock().unwrap().contains(&address) {
                    Outcome::Fail("connection refused".to_owned())
                } else {
                    Outcome::Pass("connection accepted".to_owned())
                }
            }
        };
        let (edit, clusters) = watch::channel(Arc::new(cluster));
        let (publish, view) = watch::channel(Arc::default());
        let (snapshots, requests) = mpsc::channel(1);
        let pulse = Pulse::start();
        let task = tokio::spawn(run(
            Schedule::new(clock::now()),
            clusters,
            publish,
            requests,
            Probes::new(ask),
            pulse.clone(),
        ));
        Watching { edit, monitor: Monitor { view, snapshots }, task, pulse }
    }
}

struct Watching {
    edit: watch::Sender<Arc<Cluster>>,
    monitor: Monitor,
    task: JoinHandle<()>,
    pulse: Pulse,
}

impl Watching {
    /// Waits until the published view is so.
    async fn until(&mut self, so: impl Fn(&HealthView) -> bool) -> Arc<HealthView> {
        let found = timeout(Duration::from_mins(10), self.monitor.view.wait_for(|view| so(view))).await;
        Arc::clone(&found.expect("within ten minutes of paused time").expect("the monitor runs"))
    }

    async fn snapshot(&self) -> Arc<HealthView> {
        let (ask, answer) = oneshot::channel();
        self.monitor.snapshots.send(ask).await.unwrap();
        answer.await.unwrap()
    }
}

fn tcp(port: u16) -> Check {
    Check { kind: Kind::Tcp { port }, tls: None, timing: timing() }
}

fn all(view: &HealthView, state: State) -> bool {
    !view.targets.is_empty() && view.targets.values().all(|health| health.state == state)
}

#[tokio::test(start_paused = true)]
async fn one_probe_a_period_at_a_fixed_rate() {
    let nodes = Nodes::taking(Duration::from_secs(1));
    let mut watching = nodes.watch(cluster(&[("node00", &["192.0.2.10"])], &[("imap", tcp(143))]));
    watching.until(|view| view.first_round_done).await;
    sleep(Duration::from_secs(35)).await;
    let starts: Vec<_> = nodes.asked.lock().unwrap().iter().map(|(_, _, start)| *start).collect();
    let gaps: Vec<_> = starts.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64().round()).collect();
    assert_eq!(gaps[..2], [2.0, 2.0]);
    assert!(gaps[2] <= 10.0, "at the node's next time: {gaps:?}");
    assert_eq!(gaps[3..], [10.0, 10.0, 10.0]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_node_is_down_after_fall_failures_and_up_again_after_rise_passes() {
    let nodes = Nodes::default();
    let two: &[(&str, &[&str])] = &[("node00", &["192.0.2.10"]), ("node01", &["192.0.2.11"])];
    let mut watching = nodes.watch(cluster(two, &[("imap", tcp(143))]));
    let view = watching.until(|view| view.first_round_done).await;
    assert!(all(&view, State::Up));

    nodes.down("192.0.2.11");
    let killed = clock::now();
    let view = watching.until(|view| view.targets.values().any(|health| health.state == State::Down)).await;
    let down: Vec<_> = view
        .targets
        .iter()
        .filter(|(_, health)| health.state == State::Down)
        .map(|(target, _)| target.to_string())
        .collect();
    assert_eq!(down, ["node01 imap (192.0.2.11)"]);
    assert!(clock::now() - killed <= Duration::from_secs(10 + 2 * 2 + 1), "one interval and two fast ones");

    nodes.down.lock().unwrap().clear();
    watching.until(|view| all(view, State::Up)).await;
}

#[tokio::test(start_paused = true)]
async fn published_only_when_something_has_changed() {
    let nodes = Nodes::default();
    let mut watching = nodes.watch(cluster(&[("node00", &["192.0.2.10"])], &[("imap", tcp(143))]));
    let published = watching.until(|view| view.first_round_done).await;
    assert!(!watching.monitor.view.has_changed().unwrap());
    sleep(Duration::from_secs(100)).await;
    assert!(!watching.monitor.view.has_changed().unwrap(), "a steady state is silent");
    // A snapshot is newer than what was published.
    let answers = |view: &HealthView| view.targets.values().map(|health| health.answers).sum::<u32>();
    assert!(answers(&*watching.snapshot().await) > answers(&published));
}

#[tokio::test(start_paused = true)]
async fn follows_an_edit_without_restarting_what_is_unchanged() {
    let nodes = Nodes::default();
    let mut watching = nodes.watch(cluster(&[("node00", &["192.0.2.10"])], &[("imap", tcp(143))]));
    let before = watching.until(|view| view.first_round_done).await;
    let after = cluster(&[("node00", &["192.0.2.10"]), ("node01", &["192.0.2.11"])], &[("imap", tcp(143))]);
    watching.edit.send(Arc::new(after)).unwrap();
    let view = watching.until(|view| view.targets.len() == 2).await;
    let states: Vec<_> = view.targets.values().map(|health| (health.state, health.since)).collect();
    let since = before.targets.values().next().unwrap().since;
    assert_eq!(states[0], (State::Up, since));
    assert_eq!(states[1].0, State::Unknown);
    assert!(view.first_round_done);
    watching.until(|view| all(view, State::Up)).await;

    watching.edit.send(Arc::new(cluster(&[], &[]))).unwrap();
    watching.until(|view| view.targets.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn sixteen_at_once_to_one_address() {
    let nodes = Nodes::taking(Duration::from_secs(4));
    let checks: Vec<_> = (0..40).map(|n| (format!("check{n}"), tcp(1_000 + n))).collect();
    let checks: Vec<_> = checks.iter().map(|(name, check)| (name.as_str(), check.clone())).collect();
    let mut watching = nodes.watch(cluster(&[("node00", &["192.0.2.10"])], &checks));
    watching.until(|view| view.first_round_done).await;
    assert_eq!(nodes.most_at_once.load(Ordering::Relaxed), 16);
    let ports: BTreeSet<_> = nodes.asked.lock().unwrap().iter().map(|(_, port, _)| *port).collect();
    assert_eq!(ports.len(), 40, "those that wait get their turn");
}

#[tokio::test(start_paused = true)]
async fn eight_plugins_at_once_whatever_they_ask() {
    let nodes = Nodes::taking(Duration::from_secs(4));
    let plugin = Exec { program: "/bin/true".into(), arguments: Vec::new() };
    let exec = Check { kind: Kind::Exec(plugin), tls: None, timing: timing() };
    let names: Vec<_> = (0..30).map(|n| (format!("node{n:03}"), format!("192.0.2.{n}"))).collect();
    let addresses: Vec<_> = names.iter().map(|(_, address)| [address.as_str()]).collect();
    let all_nodes: Vec<_> =
        names.iter().zip(&addresses).map(|((name, _), address)| (name.as_str(), &address[..])).collect();
    let mut watching = nodes.watch(cluster(&all_nodes, &[("queue", exec)]));
    watching.until(|view| view.first_round_done).await;
    assert_eq!(nodes.most_at_once.load(Ordering::Relaxed), 8);
}

#[tokio::test(start_paused = true)]
async fn many_transitions_are_published_in_batches() {
    let nodes = Nodes::default();
    let names: Vec<_> = (0..250).map(|n| (format!("node{n:03}"), format!("192.0.2.{n}"))).collect();
    let addresses: Vec<_> = names.iter().map(|(_, address)| [address.as_str()]).collect();
    let all_nodes: Vec<_> =
        names.iter().zip(&addresses).map(|((name, _), address)| (name.as_str(), &address[..])).collect();
    let mut watching = nodes.watch(cluster(&all_nodes, &[("imap", tcp(143))]));
    let mut published = 0;
    while !watching.monitor.view.borrow_and_update().first_round_done {
        watching.monitor.view.changed().await.unwrap();
        published += 1;
    }
    // The first round's transitions fall into one fast interval of 2 s: at most a batch every 20 ms.
    assert!((2..=105).contains(&published), "{published}");
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_all_begins_anew_and_what_was_under_way_does_not_count() {
    let nodes = Nodes::taking(Duration::from_secs(2));
    let one: &[(&str, &[&str])] = &[("node00", &["192.0.2.10"])];
    let mut watching = nodes.watch(cluster(one, &[("imap", tcp(143))]));
    let before = watching.until(|view| view.first_round_done).await;
    assert!(all(&before, State::Up) && before.gaps == 0);
    // Just as a probe is under way, and it will fail.
    let asked = nodes.asked.lock().unwrap().len();
    while nodes.asked.lock().unwrap().len() == asked {
        sleep(Duration::from_millis(100)).await;
    }
    nodes.down("192.0.2.10");
    watching.pulse.beat(clock::since_boot() + Duration::from_mins(1));
    let view = watching.until(|view| view.gaps == 1).await;
    assert!(all(&view, State::Unknown) && !view.first_round_done);
    assert!(view.targets.values().all(|health| health.answers == 0));
    let view = watching.until(|view| view.first_round_done).await;
    assert!(all(&view, State::Down));
    assert_eq!(view.targets.values().next().unwrap().answers, 3, "the one under way is not among them");
}

#[tokio::test(start_paused = true)]
async fn ends_with_its_owner() {
    let nodes = Nodes::default();
    let Watching { edit, task, .. } = nodes.watch(cluster(&[("node00", &["192.0.2.10"])], &[("imap", tcp(143))]));
    drop(edit);
    timeout(Duration::from_secs(1), task).await.expect("it ends").expect("without a panic");
}

async fn settled(cluster: &Cluster, tell: impl Fn(&Event)) -> HealthView {
    let remembered = (&Damping::new(), &Wishes::new());
    settle(cluster, remembered, &mut Pulse::start(), &Progress::on_terminal(), tell).await
}

#[tokio::test]
async fn whoever_asks_once_is_blind_as_the_daemon_is() {
    // One node is on BIND's own host, and answers whatever becomes of the network.
    let node = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let kind = Kind::Tcp { port: node.local_addr().unwrap().port() };
    let short = Duration::from_millis(300);
    let fast = Timing { fast_interval: Duration::from_millis(10), timeout: short, down_interval: short, ..timing() };
    let check = Check { kind, tls: None, timing: fast };
    let here = ("node00", &["127.0.0.1"][..]);
    let [one, two, three] = [("node01", &["127.9.9.1"][..]), ("node02", &["127.9.9.2"]), ("node03", &["127.9.9.3"])];
    // Nobody listens there as yet.
    let reference = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (answers, silent) = (reference.local_addr().unwrap(), "127.9.9.9:9".parse().unwrap());
    let most = [here, one, two, three];
    for (what, nodes, share, references, told, is_blind) in [
        ("one of two", &[here, one][..], 60, None, &[][..], false),
        ("all", &[one, two], 100, None, &[Blind], true),
        // It is waited for as long as the daemon does before it takes them for down.
        ("most, and who answers stands in", &most, 60, None, &[Blind, BlindOver], false),
        ("most, and the references are silent", &most, 60, Some(silent), &[Blind], true),
        ("all, and the references answer", &[one, two], 100, Some(answers), &[], false),
    ] {
        let mut cluster = cluster(nodes, &[("imap", check.clone())]);
        (cluster.safety.blind_share, cluster.safety.references) = (share, Vec::from_iter(references));
        let events = Mutex::new(Vec::new());
        let view = settled(&cluster, |event| events.lock().unwrap().push(event.kind)).await;
        let mut events = events.into_inner().unwrap();
        if references == Some(answers) {
            // They may have been asked before the last node went down, or after.
            events.clear();
        }
        assert_eq!((events.as_slice(), view.blind), (told, is_blind), "{what}");
        assert_eq!(view.suspects.is_empty(), !is_blind, "{what}: {:?}", view.suspects);
        let down = view.targets.values().filter(|health| health.state == State::Down).count();
        assert_eq!(down, nodes.len() - usize::from(nodes.contains(&here)), "{what}");
    }
}

#[tokio::test]
async fn settles_with_each_address_of_a_node_for_itself() {
    let node = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let kind = Kind::Tcp { port: node.local_addr().unwrap().port() };
    let fast = Timing { fast_interval: Duration::from_millis(10), ..timing() };
    // The second address has no route: TCP to a broadcast address.
    let nodes: &[(&str, &[&str])] = &[("node00", &["127.0.0.1", "127.255.255.255", "::1"])];
    let check = Check { kind, tls: None, timing: fast };
    let view = settled(&cluster(nodes, &[("imap", check)]), |_| {}).await;
    let states: Vec<_> =
        view.targets.iter().map(|(target, health)| (target.address.to_string(), health.state)).collect();
    assert_eq!(
        states,
        [
            ("127.0.0.1".to_owned(), State::Up),
            ("127.255.255.255".to_owned(), State::Unknown),
            ("::1".to_owned(), State::Down),
        ]
    );
    assert!(view.first_round_done);
}
