//! The loop: wakes on change, hands the newest snapshot to [`Rota`], and carries out what it says.

use std::{
    collections::BTreeMap,
    future::Future,
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{sleep_until, timeout, timeout_at},
};

use crate::{
    cluster::Cluster,
    dns::OwnerName,
    event::Kind,
    flap,
    health::HealthView,
    io::{
        clock, control_server, journal,
        monitor::Monitor,
        primary::{Cause, Lost, Primary, ReadError},
        pulse::Pulse,
        status_server::Request,
        systemd::{self, Watchdog},
        watch::{Current, Look},
    },
    overrides::Hold,
    rota::Rota,
    status::{self, Clocks, Status},
    update::Verdict,
    zone::{Done, Failure, Memory, Silence, Step, UNSIGNED},
};

mod link;
mod operator;

pub use self::{link::Link, operator::Pending};

/// How long a stop waits for answers that are under way.
const FAREWELL: Duration = Duration::from_secs(5);

/// How often what we published is handed on to be saved, and systemd is told how things stand while more is to be done.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// How long an answer waits at most for others: see [`Reconcile::gather`].
const GATHER: Duration = Duration::from_millis(2);

/// Between pings of a watchdog that nobody set.
const FOREVER: Duration = Duration::from_hours(1);

/// What is remembered, zone by zone.
pub type Published = BTreeMap<OwnerName, Arc<Memory>>;

/// What outlives the process and changes while it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// What we published.
    pub zones: Published,
    /// What an operator holds.
    pub hold: Option<Hold>,
    /// The hash of the newest file that was let through.
    pub file: Option<String>,
    /// What is held against targets that flap, and what agents ask for, are made from it. Empty: as it was at the start.
    pub health: Arc<HealthView>,
}

/// Asks for [`Remembered`] to be saved now, and takes what came of it.
pub type Save = oneshot::Sender<io::Result<()>>;

/// All that the loop listens to and speaks to.
#[derive(Debug)]
pub struct Reconcile {
    /// What to decide with.
    pub rota: Rota,
    /// BIND.
    pub link: Link,
    /// The file.
    pub current: watch::Receiver<Arc<Current>>,
    /// The cluster in force, for the monitor: an edit that waits for `rotad accept` is not in force.
    pub in_force: watch::Sender<Arc<Cluster>>,
    /// Health.
    pub monitor: Monitor,
    /// Whether we stood still.
    pub pulse: Pulse,
    /// Who asks for the status.
    pub requests: mpsc::Receiver<Request>,
    /// What operators ask.
    pub commands: mpsc::Receiver<control_server::Request>,
    /// What is to be remembered.
    pub remembered: watch::Sender<Remembered>,
    /// Has it saved now.
    pub saves: mpsc::Sender<Save>,
    /// The file's path, for the status.
    pub file: PathBuf,
    /// Has the file looked at now.
    pub look: mpsc::Sender<Look>,
    /// When the file in force was read.
    pub loaded_at: SystemTime,
    /// The signals that were heeded.
    pub signals: u64,
    /// The [`Rota::revision`] that was handed on last.
    pub revision: u64,
    /// What systemd was told last; it is told again when that changes.
    pub headline: String,
    /// What was set going, and is heard of later.
    pub pending: Pending,
}

impl Reconcile {
    /// Runs until `shutdown`; then waits for what is under way, five seconds at most, and leaves DNS as it is.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let watchdog = Watchdog::from_env();
        let (answers, mut answered) = mpsc::unbounded_channel();
        let (mut report_at, mut ping_at) = (None, clock::now());
        tokio::pin!(shutdown);
        loop {
            // Before anything is written.
            self.notice_gap();
            let told = self.advance(&answers);
            self.answer_waiting();
            let now = clock::now();
            if told && report_at.is_none() {
                report_at = Some(now + REPORT_EVERY);
            }
            if now >= ping_at {
                watchdog.ping();
                ping_at = now + watchdog.period().unwrap_or(FOREVER);
            }
            if report_at.is_none_or(|at| at <= now) {
                report_at = None;
                self.report();
            } else if self.rota.under_way() == 0 {
                // What goes on is told now and then, but that it is done at once.
                self.tell_systemd();
            }
            self.answer_waiting();
            let late = self.pending.waiting.iter().map(|waiting| waiting.until).min();
            let wakes = [self.rota.wake_at(), report_at, Some(ping_at), late];
            let moved = tokio::select! {
                () = &mut shutdown => break,
                Some(first) = answered.recv() => {
                    self.gather(first, &mut answered).await;
                    true
                }
                Ok(()) = self.current.changed() => {
                    self.reload();
                    true
                }
                Ok(()) = self.monitor.view.changed() => {
                    self.take_health();
                    true
                }
                Some(request) = self.requests.recv() => {
                    self.answer(request);
                    false
                }
                Some((command, reply)) = self.commands.recv() => {
                    self.obey(command, reply);
                    true
                }
                () = self.link.primary.broken() => {
                    self.rota.connection_broke(clock::now());
                    false
                }
                Some(later) = self.pending.heard.recv() => {
                    self.go_on(later);
                    true
                }
                () = self.pulse.stood_still() => false,
                () = sleep_until(wakes.into_iter().flatten().min().unwrap_or(ping_at).into()) => false,
            };
            if moved && report_at.is_none() {
                report_at = Some(clock::now() + REPORT_EVERY);
            }
        }
        let last_answers = async {
            while self.rota.under_way() > 0 {
                let Some((name, done)) = answered.recv().await else { break };
                self.take_in(&name, done);
            }
        };
        // What is given up is ambiguous, and the generation record tells the next run what became of it.
        let _ = timeout(FAREWELL, last_answers).await;
        self.report();
    }

    /// Lets the rota take every step that it may take now; whether there was something to tell before.
    fn advance(&mut self, answers: &mpsc::UnboundedSender<(OwnerName, Done)>) -> bool {
        let clocks = clocks();
        let now = clocks.now;
        self.rota.set_clocks(clocks);
        journal::set_zones(self.rota.zones().len());
        let events = self.rota.tick(now);
        events.iter().for_each(journal::emit);
        let told = !events.is_empty();
        loop {
            let (step, events) = self.rota.take(now);
            events.iter().for_each(journal::emit);
            let Some((name, step)) = step else { return told };
            let (primary, answers) = (Arc::clone(&self.link.primary), answers.clone());
            tokio::spawn(async move {
                if let Some(done) = perform(&primary, &name, step).await {
                    // Nobody listens any more: the loop has ended.
                    let _ = answers.send((name, done));
                }
            });
        }
    }

    /// Takes in an answer and those that come soon after: a quarter of all that are awaited, for BIND has the rest to
    /// work on meanwhile. A turn for each costs two cores that we share with BIND an eighth of a wave on disk (measured).
    async fn gather(
        &mut self,
        (name, done): (OwnerName, Done),
        answered: &mut mpsc::UnboundedReceiver<(OwnerName, Done)>,
    ) {
        let (enough, until) = (self.rota.under_way() / 4, clock::now() + GATHER);
        self.take_in(&name, done);
        for _ in 1..enough {
            let Ok(Some((name, done))) = timeout_at(until.into(), answered.recv()).await else { break };
            self.take_in(&name, done);
        }
        while let Ok((name, done)) = answered.try_recv() {
            self.take_in(&name, done);
        }
    }

    fn take_in(&mut self, name: &OwnerName, done: Done) {
        let events = self.rota.done(clock::now(), name, done);
        events.iter().for_each(journal::emit);
        // Those that wait to be tried again may be what BIND wants now.
        if events.iter().any(|event| event.kind == Kind::KeysRefused) {
            self.try_keys_now();
        }
    }

    fn take_health(&mut self) {
        let view = self.monitor.view.borrow_and_update().clone();
        self.rota.set_health(view).iter().for_each(journal::emit);
    }

    fn notice_gap(&mut self) {
        if let Some(gap) = self.pulse.gap() {
            journal::emit(&self.rota.stood_still(clocks(), gap.number, gap.lasted));
            // The monitor may have noticed first: then this is news already.
            self.take_health();
        }
    }

    /// A new file, or a new error in it, or a signal. The keys are those of the file that is in force then.
    fn reload(&mut self) {
        let (cluster, hash, signals) = {
            let current = self.current.borrow_and_update();
            (Arc::clone(&current.cluster), current.hash.clone(), current.signals)
        };
        self.rota.set_cluster(clock::now(), cluster, &hash).iter().for_each(journal::emit);
        self.follow_file();
        if std::mem::replace(&mut self.signals, signals) != signals {
            self.read_keys_again();
            self.rota.read_all();
        }
    }

    /// Hands on what is to be remembered, if it changed, and tells systemd how things stand. Whether it changed.
    fn report(&mut self) -> bool {
        self.tell_systemd();
        self.remembered.send_if_modified(|saved| {
            let (revision, hold, file) = (self.rota.revision(), self.rota.overrides().hold(), self.rota.let_through());
            let health = self.monitor.view.borrow();
            let held_against = !health.targets.is_empty() && !flap::is_same(&health, &saved.health);
            let changed =
                (self.revision, saved.hold.as_ref(), saved.file.as_deref()) != (revision, hold, file) || held_against;
            if changed {
                saved.health = Arc::clone(&health);
                self.revision = revision;
                saved.zones = self.rota.remembered();
                saved.hold = hold.cloned();
                saved.file = file.map(str::to_owned);
            }
            changed
        })
    }

    fn tell_systemd(&mut self) {
        let headline = self.headline();
        if headline != self.headline {
            systemd::status(&headline);
            self.headline = headline;
        }
    }

    fn headline(&self) -> String {
        if let Some(words) = self.rota.server_trouble().or_else(|| self.rota.key_trouble()) {
            return format!("waiting for {}: {words}", self.rota.cluster().bind.server);
        }
        let counts: Vec<_> =
            self.rota.states().iter().map(|(state, count)| format!("{count} {}", state.as_str())).collect();
        let short = self.rota.short_of().map_or_else(String::new, |words| format!("; {words}"));
        format!("{}{short}: zones: {}", self.rota.mode().as_str(), counts.join(", "))
    }

    fn server(&self) -> status::Server {
        let address = self.rota.cluster().bind.server.to_string();
        let (state, since) = self.rota.server_state();
        status::Server { name: address.clone(), address, state, since: since.map(|at| clocks().stamp(at)) }
    }

    /// Answers with a snapshot. The monitor adds the newest results, which the published view need not have.
    fn answer(&self, request: Request) {
        let cluster = Arc::clone(self.rota.cluster());
        let snapshot = {
            let current = self.current.borrow();
            let server = self.server();
            Status {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                time: status::Stamp(clock::wall()),
                mode: self.rota.mode(),
                blocked: self.rota.blocked(),
                hold: self.rota.overrides().hold().cloned(),
                config: status::Config {
                    file: self.file.clone(),
                    loaded_at: status::Stamp(self.loaded_at),
                    hash: self.rota.file().to_owned(),
                    held_edit: self.rota.held_edit().map(|held| status::HeldEdit {
                        id: held.id.clone(),
                        changed: held.changed,
                        owned: held.owned,
                        since: clocks().stamp(held.since),
                    }),
                    error: current
                        .error
                        .clone()
                        .or_else(|| self.rota.refused_edit().map(str::to_owned))
                        .or_else(|| self.link.trouble()),
                },
                nodes: Vec::new(),
                zones: self
                    .rota
                    .zones()
                    .iter()
                    .filter(|(_, zone)| !zone.is_dormant())
                    .map(|(name, zone)| zone_status(name, zone, &server.name))
                    .collect(),
                left_over: self.rota.left_over().collect(),
                short: self.rota.short(),
                servers: vec![server],
            }
        };
        let monitor = self.monitor.clone();
        tokio::spawn(async move {
            let health = newest_health(&monitor).await;
            let nodes = status::Node::all(&cluster, &health, clocks());
            // Whoever asked may have left.
            let _ = request.send(Arc::new(Status { nodes, ..snapshot }));
        });
    }
}

fn clocks() -> Clocks {
    Clocks { now: clock::now(), wall: clock::wall() }
}

fn zone_status(name: &OwnerName, zone: &crate::zone::Zone, server: &str) -> status::Zone {
    let (generation, serial) = zone.marks();
    status::Zone {
        zone: name.to_string(),
        server: server.to_owned(),
        state: zone.state(),
        generation,
        serial,
        error: zone.error().map(str::to_owned),
        foreign: zone.foreign_names().into_iter().map(ToString::to_string).collect(),
    }
}

async fn newest_health(monitor: &Monitor) -> Arc<HealthView> {
    let (ask, answer) = tokio::sync::oneshot::channel();
    if monitor.snapshots.send(ask).await.is_ok()
        && let Ok(view) = answer.await
    {
        return view;
    }
    monitor.view.borrow().clone()
}

/// Carries out one step; `None`: there was nothing to do.
pub async fn perform(primary: &Primary, name: &OwnerName, step: Step) -> Option<Done> {
    Some(match step {
        Step::Rest => return None,
        Step::Read(owners) => Done::Read(primary.read(name, &owners).await.map_err(read_failure)),
        Step::FirstRead { names, domains } => {
            Done::Read(primary.first_read(name, &names, &domains).await.map_err(read_failure))
        }
        Step::Serial => Done::Serial(primary.soa(name).await.map(|soa| soa.serial).map_err(read_failure)),
        Step::Write(update) => Done::Write(primary.update(&update).await.map_err(lost)),
    })
}

fn read_failure(error: ReadError) -> Failure {
    match error {
        ReadError::Lost(why) => lost(why),
        ReadError::Tsig(trouble) => {
            let code = Verdict::Tsig(trouble.clone()).code().to_owned();
            Failure { words: trouble.to_string(), code: Some(code), sent: false, silence: Silence::None }
        }
        ReadError::Unusable(unusable) => Failure {
            words: unusable.to_string(),
            code: Some(unusable.code().to_owned()),
            sent: false,
            silence: Silence::None,
        },
    }
}

fn lost(why: Lost) -> Failure {
    let silence = match why.cause {
        Cause::Silent | Cause::Unheard | Cause::Behind | Cause::Unsigned => Silence::Server,
        Cause::Broken | Cause::Odd => Silence::None,
    };
    let code = (why.cause == Cause::Unsigned).then(|| UNSIGNED.to_owned());
    Failure { words: why.reason, code, sent: why.sent, silence }
}
