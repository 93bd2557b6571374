//! Keeps asking: one task that owns the health of every target and publishes it when it changes.

use std::{
    collections::BTreeMap,
    future::{Future, pending},
    io,
    pin::Pin,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime,
    sync::{mpsc, oneshot, watch},
    time::{sleep, sleep_until},
};

use self::{probes::Probes, references::References};
use crate::{
    blind::Rules,
    check::{Check, Outcome, Target},
    cluster::Cluster,
    event::Event,
    flap::Damping,
    health::{HealthView, News, Wishes},
    io::{
        clock, journal,
        probe::{Trusts, probe},
        progress::{EVERY, Progress},
        pulse::Pulse,
    },
    schedule::{Job, Schedule},
    status::Clocks,
    text,
};

mod probes;
mod references;
#[cfg(test)]
mod tests;

/// Publishing costs a walk over all targets: a storm of transitions is published in batches this far apart. The
/// first transition after a quiet time is published at once.
const BATCH: Duration = Duration::from_millis(20);

/// The same before the first round is over, when nothing is written, unless it takes longer than `safety.first_round`: each
/// view of thousands of targets that begin is another one, and garbage soon.
const FIRST_BATCH: Duration = Duration::from_millis(100);

/// What "at once" is: a node's checks are made in step and fall together, but for this. Who is told of one alone begins
/// to write zones that the next changes again.
const IN_STEP: Duration = Duration::from_millis(2);

/// How often suspects are judged anew: a node that is down keeps its place in DNS until then.
const JUDGE_EVERY: Duration = Duration::from_millis(50);

/// How much longer than it should last a blindness is followed by who does one thing and ends: time for its last judgement.
const LAST_JUDGEMENT: Duration = Duration::from_secs(1);

/// How long a probe that is due waits for others: to be woken up for each costs as much as half a probe.
const TOGETHER: Duration = Duration::from_millis(1);

/// How others see the monitor.
#[derive(Debug, Clone)]
pub struct Monitor {
    /// The newest published health: it changes when a target's state does, when the cluster does, and when the first
    /// round is over.
    pub view: watch::Receiver<Arc<HealthView>>,
    /// Asks for the health as it is now, with the last probe of each target.
    pub snapshots: mpsc::Sender<oneshot::Sender<Arc<HealthView>>>,
}

/// Begins to watch the cluster's targets, and follows the cluster as it changes. It ends when the cluster's sender is
/// gone; the receiver's sender is gone when it has ended, with all its probes.
///
/// On a thread of its own: who plans thousands of zones delays no probe, and probes that share a thread with their
/// sockets and timers need not wake another one up, which costs more than the rest of a probe does.
///
/// # Errors
/// The system has no thread, or no descriptors, for it.
pub fn spawn(
    cluster: watch::Receiver<Arc<Cluster>>,
    (damping, wishes): (&Damping, &Wishes),
    pulse: Pulse,
) -> io::Result<(Monitor, oneshot::Receiver<()>)> {
    let schedule = remembering(damping, wishes);
    let (publish, view) = watch::channel(Arc::default());
    let (snapshots, requests) = mpsc::channel(16);
    let (alive, ended) = oneshot::channel();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("monitor".to_owned()).spawn(move || {
        runtime.block_on(async {
            run(schedule, cluster, publish, requests, Probes::new(ask()).with_briefs(), pulse).await;
        });
        drop((runtime, alive));
    })?;
    Ok((Monitor { view, snapshots }, ended))
}

/// Asks every target of the cluster, fast, until each is decided or cannot be asked, and judges whether we are blind, as
/// the daemon does: what `plan` and `apply` work with. Who cannot be asked is not waited for: no daemon goes on to ask.
/// A suspicion is followed for as long as it may end by itself. `tell` takes what is to be told of it.
pub async fn settle(
    cluster: &Cluster,
    (damping, wishes): (&Damping, &Wishes),
    pulse: &mut Pulse,
    progress: &Progress,
    tell: impl Fn(&Event),
) -> HealthView {
    let mut schedule = remembering(damping, wishes);
    let mut probes = Probes::new(ask()).with_briefs();
    schedule.adopt(cluster, clock::now());
    let mut references = References::of(cluster);
    let rules = Rules::new(cluster, references.exist());
    let mut doubt = Doubt::new(clock::now());
    // When suspects are to be judged; `None`: there are none.
    let mut judge_at = None;
    loop {
        let now = clock::now();
        if judge_at.is_some_and(|at| at <= now) {
            if let Some(event) = schedule.judge(now, &rules) {
                doubt.judged_at = now;
                tell(&event);
            }
            judge_at = schedule.is_suspicious().then(|| now + JUDGE_EVERY);
            if judge_at.is_some() {
                references.ask(now);
            }
        }
        if !schedule.first_round_done() || schedule.has_open_trials() {
            doubt.begin_anew();
        } else if judge_at.is_none() || doubt.is_hopeless(now, &rules, &schedule) {
            return schedule.view().concluded();
        }
        progress.say(|| undecided(&schedule));
        tokio::select! {
            news = turn(&mut schedule, &mut probes, pulse) => {
                if news.iter().any(|(_, news)| news.matters) {
                    judge_at.get_or_insert(clock::now() + IN_STEP);
                }
            }
            asked_at = references.answered() => {
                schedule.referred(asked_at);
                doubt.referred_at = Some(asked_at);
                judge_at = Some(clock::now());
            }
            () = at(judge_at) => {}
            () = sleep(EVERY) => {}
        }
    }
}

/// How long somebody who does one thing and ends waits for the end of a suspicion.
#[derive(Debug)]
struct Doubt {
    /// Since when nothing else is waited for.
    since: Option<Instant>,
    /// Since when it may end by itself: somebody answers.
    hope_since: Option<Instant>,
    /// When the references were asked that have answered.
    referred_at: Option<Instant>,
    /// When a judgement last came out otherwise than the one before.
    judged_at: Instant,
}

impl Doubt {
    const fn new(now: Instant) -> Self {
        Self { since: None, hope_since: None, referred_at: None, judged_at: now }
    }

    /// Something else is waited for.
    fn begin_anew(&mut self) {
        (self.since, self.hope_since) = (None, None);
    }

    /// Whether nobody answers who could end it, or has not ended it in the time that every node needs to show that it is
    /// well. Costs a walk over all targets.
    fn is_hopeless(&mut self, now: Instant, rules: &Rules, schedule: &Schedule) -> bool {
        let since = *self.since.get_or_insert(now);
        let view = schedule.view();
        let is_answered = if rules.has_references {
            self.referred_at.is_some_and(|asked| asked > self.judged_at)
        } else {
            view.targets.values().any(|health| health.is_well())
        };
        // Who is suspected alone is cleared, or not, by the next answers of the others.
        if !view.blind || is_answered {
            let hope_since = *self.hope_since.get_or_insert(now);
            return now.saturating_duration_since(hope_since) >= rules.longest_return + LAST_JUDGEMENT;
        }
        self.hope_since = None;
        let patience = if rules.has_references { references::KNOWN_AFTER } else { Duration::ZERO };
        now.saturating_duration_since(since) >= patience
    }
}

/// `12 of 14 checks are decided, node01 imap (192.0.2.11) is asked again`
fn undecided(schedule: &Schedule) -> String {
    let (all, open) = (schedule.size(), schedule.undecided().count());
    let decided = format!("{} of {} checks are decided", text::count(all - open), text::count(all));
    match schedule.undecided().next() {
        Some(first) => format!("{decided}, {first} is asked again"),
        None => decided,
    }
}

/// A schedule that knows what an earlier run held against targets, and what their agents asked for.
fn remembering(damping: &Damping, wishes: &Wishes) -> Schedule {
    let clocks = Clocks { now: clock::now(), wall: clock::wall() };
    Schedule::new(clocks.now).remembering(damping, wishes, clocks)
}

/// Asks each of these once, now: what was found, and how long that took.
pub async fn ask_once(
    questions: impl IntoIterator<Item = (Target, Arc<Check>)>,
) -> BTreeMap<Target, (Outcome, Duration)> {
    let mut probes = Probes::new(ask()).with_briefs();
    for (target, check) in questions {
        probes.launch(&target.clone(), check, target);
    }
    let mut found = BTreeMap::new();
    while let Some((target, outcome, took)) = probes.next().await {
        found.insert(target, (outcome, took));
    }
    found
}

/// Makes probes, and what they share. Boxed: as a part of its task a probe would be held twice, once as given and
/// once as awaited.
fn ask() -> impl Fn(Arc<Check>, Target) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
    let trusts = Arc::<Trusts>::default();
    move |check, target| {
        let trusts = Arc::clone(&trusts);
        Box::pin(async move { probe(&trusts, &check, &target.node, target.address).await })
    }
}

async fn run<A, F>(
    mut schedule: Schedule,
    mut cluster: watch::Receiver<Arc<Cluster>>,
    publish: watch::Sender<Arc<HealthView>>,
    mut requests: mpsc::Receiver<oneshot::Sender<Arc<HealthView>>>,
    mut probes: Probes<A, Job>,
    mut pulse: Pulse,
) where
    A: Fn(Arc<Check>, Target) -> F,
    F: Future<Output = Outcome> + Send + 'static,
{
    cluster.mark_changed();
    // When the view is to be published; `None`: nothing has changed.
    let mut publish_at = None;
    let mut published_at = clock::now();
    // When suspects are to be judged; `None`: there are none.
    let mut judge_at = None;
    let mut references = References::of(&cluster.borrow());
    let mut rules = Rules::default();
    loop {
        tokio::select! {
            news = turn(&mut schedule, &mut probes, &mut pulse) => {
                let another_round = schedule.is_of_another_round(&publish.borrow());
                if another_round || news.iter().any(|(_, news)| news.matters) {
                    let batch = if schedule.first_round_done() { BATCH } else { FIRST_BATCH };
                    let soon = (clock::now() + IN_STEP).max(published_at + batch);
                    publish_at = Some(publish_at.map_or(soon, |at| soon.min(at)));
                }
                for (target, news) in news {
                    news.events(&target).for_each(|event| journal::emit(&event));
                }
            }
            changed = cluster.changed() => {
                if changed.is_err() {
                    return;
                }
                let newest = Arc::clone(&cluster.borrow_and_update());
                schedule.follow(&newest, clock::now());
                probes.forget_idle_addresses();
                references = References::of(&newest);
                rules = Rules::new(&newest, references.exist());
                publish_at = Some(clock::now());
            }
            Some(request) = requests.recv() => {
                // Who asked and went away meanwhile needs no answer.
                let _gone = request.send(Arc::new(schedule.view()));
            }
            asked_at = references.answered() => {
                schedule.referred(asked_at);
                judge_at = Some(clock::now());
            }
            () = at([publish_at, judge_at].into_iter().flatten().min()) => {
                let now = clock::now();
                schedule.judge(now, &rules).iter().for_each(journal::emit);
                judge_at = schedule.is_suspicious().then(|| now + JUDGE_EVERY);
                if judge_at.is_some() {
                    references.ask(now);
                }
                if publish_at.is_some_and(|at| at <= now) || !schedule.suspects_as(&publish.borrow()) {
                    publish.send_replace(Arc::new(schedule.view()));
                    (publish_at, published_at) = (None, now);
                }
            }
        }
    }
}

/// Waits until a probe is due or has ended, then does all that is due and takes all that has ended. After a gap all
/// begins anew: a probe that ended while we stood still does not count. Nothing is lost if it is dropped while it waits.
async fn turn<A, F>(schedule: &mut Schedule, probes: &mut Probes<A, Job>, pulse: &mut Pulse) -> Vec<(Target, News)>
where
    A: Fn(Arc<Check>, Target) -> F,
    F: Future<Output = Outcome> + Send + 'static,
{
    let mut ended = tokio::select! {
        Some(ended) = probes.next() => Some(ended),
        () = at(schedule.next_due().map(|due| due + TOGETHER)) => None,
        () = pulse.stood_still() => None,
    };
    let now = clock::now();
    if let Some(gap) = pulse.gap() {
        schedule.start_over(now, gap.number);
    }
    let mut all = Vec::new();
    while let Some((job, outcome, took)) = ended {
        let news = schedule.finish(&job, now, outcome, took);
        if news != News::default() {
            all.push((job.target, news));
        }
        ended = probes.next_if_ended();
    }
    while let Some(job) = schedule.start(now) {
        probes.launch(&job.target.clone(), Arc::clone(&job.check), job);
    }
    all
}

/// Waits until then; for ever if there is no then.
async fn at(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then.into()).await,
        None => pending().await,
    }
}
