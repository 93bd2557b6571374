//! When each target is asked next: the order of the probes and the health that they add up to.
//!
//! A target is either waiting in the queue or being asked, so that no probe is ever doubled: [`Schedule::start`]
//! takes it out of the queue and [`Schedule::finish`] puts it back. Starts are at a fixed rate: a period counts from
//! the time at which the last probe was due, however long it took. Jitter brings each forward from there by a part of
//! the period, and does not add up: the rate holds, and nothing is found later than without.
//!
//! What one node is asked is asked in step, so that its checks fall together and no zone is written twice. Each node
//! has times of its own, which come once a period; a check that was in doubt goes on at the next of them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    blind::{Blind, Rules},
    check::{Check, Kind, Outcome, Target, targets},
    cluster::{AdminState, Cluster, NodeName, SETTLE},
    event::Event,
    flap::Damping,
    health::{Health, HealthView, News, State, Trial, Wishes},
    settling::Settling,
    status::Clocks,
};

mod heritage;
#[cfg(test)]
mod tests;

use self::heritage::Heritage;

/// All targets, their health, and when each is due.
#[derive(Debug)]
pub struct Schedule {
    /// What the times of nodes are counted from.
    epoch: Instant,
    /// In the order of the targets.
    watched: Vec<Watched>,
    /// Due times and places in `watched`, earliest first. Entries of targets that were brought forward since are skipped
    /// when they are due.
    queue: BinaryHeap<Reverse<(Instant, usize)>>,
    next_watch: Watch,
    /// Targets that the first round waits for.
    unsettled: usize,
    first_round_done: bool,
    blind: Blind,
    gaps: u64,
    /// The file that the targets are of.
    of: Option<Arc<Cluster>>,
    /// What an earlier run remembered of targets that this one has not begun to watch, and what is held against targets out
    /// of the file, or asked for by their agents.
    remembered: Arc<BTreeMap<Target, Health>>,
}

/// Targets out of the file of which something is remembered at most.
const REMEMBERED: usize = 10_000;

/// One span of watching a target with one definition of its check. What belongs to an earlier one is dropped.
type Watch = u64;

#[derive(Debug, Clone)]
struct Watched {
    target: Target,
    watch: Watch,
    check: Arc<Check>,
    health: Arc<Health>,
    /// When it is asked next; `None`: it is being asked.
    due: Option<Instant>,
    /// The same without jitter, or of the probe under way.
    nominal: Instant,
    /// Its node's: what the node's times and their jitter are made from.
    seed: u64,
}

impl Watched {
    fn is_settled(&self) -> bool {
        self.health.is_settled(&self.check.timing)
    }

    fn is_on_open_trial(&self) -> bool {
        self.health.trial.is_some() && self.health.unmade < self.check.timing.fall
    }
}

/// When a target is asked for the first time: spread over the shorter interval, so that nodes do not go in step and
/// the first round is quick all the same.
fn first_due(check: &Check, now: Instant, seed: u64) -> Instant {
    now + part(check.timing.interval.min(check.timing.fast_interval), seed)
}

/// A probe that is to be made now.
#[derive(Debug, Clone)]
pub struct Job {
    /// Who is asked what.
    pub target: Target,
    /// The check's definition.
    pub check: Arc<Check>,
    watch: Watch,
    /// Where the target was in the schedule when this began; an edit moves targets.
    place: usize,
}

impl Schedule {
    /// Without targets yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            watched: Vec::new(),
            queue: BinaryHeap::new(),
            next_watch: 0,
            unsettled: 0,
            first_round_done: false,
            blind: Blind::default(),
            gaps: 0,
            of: None,
            remembered: Arc::default(),
        }
    }

    /// The same, but what an earlier run held against targets is not forgotten, nor what their agents asked for.
    #[must_use]
    pub fn remembering(self, damping: &Damping, wishes: &Wishes, clocks: Clocks) -> Self {
        let new = || Health::new(clocks.now);
        let mut remembered: BTreeMap<_, _> =
            damping.iter().map(|(target, past)| (target.clone(), past.resume(new(), clocks))).collect();
        for (target, past) in wishes {
            let health = remembered.remove(target).unwrap_or_else(new);
            remembered.insert(target.clone(), past.resume(health, clocks));
        }
        Self { remembered: Arc::new(remembered), ..self }
    }

    /// Takes the cluster's targets. Those that are asked what they were asked before, be it at other times or under
    /// another name, keep their health; the others begin unknown. Where a service did not need an answer, or as many, it
    /// is to be confirmed. Results that are under way are dropped, but for those of targets that stay.
    pub fn follow(&mut self, cluster: &Arc<Cluster>, now: Instant) {
        let mut settling = Settling::default();
        if let Some(of) = &self.of {
            settling.edited(of, cluster);
        }
        self.take_in(cluster, &settling, now);
        self.of = Some(Arc::clone(cluster));
    }

    /// The same for a file that views need not name.
    pub fn adopt(&mut self, cluster: &Cluster, now: Instant) {
        self.take_in(cluster, &Settling::default(), now);
    }

    fn take_in(&mut self, cluster: &Cluster, settling: &Settling, now: Instant) {
        let before = std::mem::take(&mut self.watched);
        let asked = targets(cluster);
        let heritage = Heritage::new(&before, asked.clone());
        let mut stays: BTreeMap<_, _> = before.iter().map(|old| (&old.target, old.clone())).collect();
        let checks: BTreeMap<_, _> =
            cluster.checks.iter().map(|(name, check)| (name, Arc::new(check.clone()))).collect();
        let mut suspects = BTreeSet::new();
        for target in asked {
            let shared = checks.get(&target.check).filter(|check| !matches!(check.kind, Kind::Exec(_))).cloned();
            // A plugin is run in another way for each node.
            let own = || Check::of_target(cluster, &target).map(Arc::new);
            let Some(check) = shared.or_else(own) else { continue };
            let settle = cluster.safety.settle(&check.timing);
            let stays = stays.remove(&target).filter(|watched| watched.check.asks_like(&check, true));
            let (mut watched, is_suspect) = if let Some(watched) = stays {
                let is_suspect = self.blind.suspects().contains(&target);
                let is_as_before = watched.check == check && !settling.covers(&target);
                (if is_as_before { watched } else { watched.retimed(&check, now, settle) }, is_suspect)
            } else {
                let begun = self.begin(target.clone(), check, now, settle);
                let begun = self.with_wish_of_before(&heritage, begun);
                heritage.pass_on(&self.blind, begun, now, settle)
            };
            if is_suspect {
                suspects.insert(target);
            }
            watched.wait_for(settle);
            self.watched.push(watched);
        }
        // Who takes a check out of the file says that its agent asks for nothing; who takes a node out says nothing of it.
        let is_out = |target: &Target| !cluster.nodes.contains_key(&target.node);
        let gone = stays.into_values().filter(|old| is_out(&old.target) || old.health.is_held_against(now));
        self.remember(gone, now);
        if self.remembered.iter().any(|(target, health)| health.has_wish() && !is_out(target)) {
            let remembered = Arc::make_mut(&mut self.remembered).iter_mut();
            for (_, health) in remembered.filter(|(target, health)| health.has_wish() && !is_out(target)) {
                *health = Health { wish: AdminState::Ready, state: State::Unknown, why: None, ..health.clone() };
            }
        }
        self.blind.follow(suspects);
        self.unsettled = self.watched.iter().filter(|watched| !watched.is_settled()).count();
        self.first_round_done |= self.unsettled == 0;
        self.queue_all();
    }

    /// We stood still, for the time with this number: everything begins anew, and what is under way will be dropped.
    pub fn start_over(&mut self, now: Instant, gaps: u64) {
        self.gaps = gaps;
        self.blind = Blind::default();
        for old in std::mem::take(&mut self.watched) {
            let settle = self.of.as_ref().map_or(SETTLE, |of| of.safety.settle(&old.check.timing));
            let told = Some(old.health.state).filter(|state| *state != State::Unknown).or(old.health.told);
            let health = Health { told, ..of_before(&old.health, now) };
            Arc::make_mut(&mut self.remembered).insert(old.target.clone(), health);
            let watched = self.begin(old.target, old.check, now, settle);
            self.watched.push(watched);
        }
        self.unsettled = self.watched.len();
        self.first_round_done = self.unsettled == 0;
        self.queue_all();
    }

    fn begin(&mut self, target: Target, check: Arc<Check>, now: Instant, settle: Duration) -> Watched {
        let watch = self.next_watch;
        self.next_watch += 1;
        let seed = seed(&target.node);
        let due = first_due(&check, now, seed);
        let is_known = self.remembered.contains_key(&target);
        let remembered = is_known.then(|| Arc::make_mut(&mut self.remembered).remove(&target)).flatten();
        let health = remembered.unwrap_or_else(|| Health::new(now));
        // What an agent asked for stands, and is no answer to another kind of question.
        let (state, since, why, wish) = match check.kind {
            Kind::Agent { .. } if health.has_wish() => (health.state, health.since, health.why, health.wish),
            _ => (State::Unknown, now, None, AdminState::Ready),
        };
        // Nobody watched: it may have done its work, and going down together now is as suspect as at any other time.
        let trial = Some(Trial::new(now, settle, true));
        let health = Health { state, since, why, wish, trial, ..health };
        Watched { target, watch, check, health: Arc::new(health), due: Some(due), nominal: due, seed }
    }

    /// The same with what its agent asked for when it was asked otherwise, or at another address.
    fn with_wish_of_before(&self, heritage: &Heritage<'_>, begun: Watched) -> Watched {
        if begun.health.has_wish() || !matches!(begun.check.kind, Kind::Agent { .. }) {
            return begun;
        }
        // Or under another name, for which it is the same agent.
        let is_its_own = |target: &Target| {
            target.node == begun.target.node && target.check == begun.target.check
                || target.address == begun.target.address
        };
        // The file was edited while nobody watched.
        let earlier = self.remembered.iter().filter(|(target, _)| is_its_own(target) && heritage.is_gone(target));
        let wishes = heritage.wishes(&begun.target).chain(earlier.map(|(_, health)| health));
        let Some(wish) = wishes.filter(|health| health.has_wish()).max_by_key(|health| health.wish) else {
            return begun;
        };
        let health = Health::clone(&begun.health).asking_as(wish);
        Watched { health: Arc::new(health), ..begun }
    }

    /// Keeps what is held against targets that leave the file, and what their agents ask for: they may come back.
    fn remember(&mut self, gone: impl Iterator<Item = Watched>, now: Instant) {
        let is_worth_it = |health: &Health| health.has_wish() || health.is_held_against(now);
        let mut gone = gone.filter(|old| is_worth_it(&old.health)).peekable();
        if gone.peek().is_none() {
            return;
        }
        let remembered = Arc::make_mut(&mut self.remembered);
        remembered.retain(|_, health| is_worth_it(health));
        let room = REMEMBERED.saturating_sub(remembered.len());
        remembered.extend(gone.take(room).map(|old| (old.target, of_before(&old.health, now))));
    }

    /// Makes the queue anew after targets have moved.
    fn queue_all(&mut self) {
        let waiting = self.watched.iter().enumerate();
        self.queue = waiting.filter_map(|(place, watched)| Some(Reverse((watched.due?, place)))).collect();
    }

    /// Where the target of a probe that was under way is now; `None`: it is gone, or watched anew.
    fn place(&self, job: &Job) -> Option<usize> {
        let is_there = |place: &usize| self.watched.get(*place).is_some_and(|watched| watched.watch == job.watch);
        let moved = || self.watched.binary_search_by(|watched| watched.target.cmp(&job.target)).ok();
        Some(job.place).filter(is_there).or_else(|| moved().filter(is_there))
    }

    /// When the next probe is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse((due, ..))| *due)
    }

    /// The next probe that is due, if one is.
    pub fn start(&mut self, now: Instant) -> Option<Job> {
        while self.next_due()? <= now {
            let Reverse((due, place)) = self.queue.pop()?;
            if let Some(watched) = self.watched.get_mut(place).filter(|watched| watched.due == Some(due)) {
                watched.due = None;
                let (target, check) = (watched.target.clone(), Arc::clone(&watched.check));
                return Some(Job { target, check, watch: watched.watch, place });
            }
        }
        None
    }

    /// Takes what a probe found, and queues the next. What is to be told of it.
    pub fn finish(&mut self, job: &Job, now: Instant, outcome: Outcome, took: Duration) -> News {
        let Some(place) = self.place(job) else { return News::default() };
        let Some(watched) = self.watched.get_mut(place) else { return News::default() };
        let was_settled = watched.is_settled();
        let timing = &watched.check.timing;
        let health = Arc::make_mut(&mut watched.health);
        let news = health.observe(timing, now, outcome, took);
        let period = health.period(timing);
        watched.nominal = now.max(if health.is_in_doubt(timing) {
            watched.nominal + period
        } else {
            next_of_node(self.epoch, watched.nominal, period, watched.seed)
        });
        let step = micros(watched.nominal.saturating_duration_since(self.epoch));
        let early = part(period * u32::from(timing.jitter) / 100, mix(watched.seed, step));
        let due = now.max(watched.nominal.checked_sub(early).unwrap_or(now));
        watched.due = Some(due);
        if !was_settled && watched.is_settled() {
            self.unsettled -= 1;
            self.first_round_done |= self.unsettled == 0;
        }
        self.queue.push(Reverse((due, place)));
        news
    }

    /// Whether every target of some moment was settled. Once done it stays done until a gap: a target that an edit
    /// adds later is unknown, which changes nothing in DNS, and holds up nobody else.
    #[must_use]
    pub const fn first_round_done(&self) -> bool {
        self.first_round_done
    }

    /// Targets that are not settled, or on trial and can be asked: their answers decide. Costs a walk over all of them.
    pub fn undecided(&self) -> impl Iterator<Item = &Target> {
        let open = self.watched.iter().filter(|watched| !watched.is_settled() || watched.is_on_open_trial());
        open.map(|watched| &watched.target)
    }

    /// How many targets there are.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.watched.len()
    }

    /// Whether some target is on trial and can be asked: its answers decide. Costs a walk over all of them.
    #[must_use]
    pub fn has_open_trials(&self) -> bool {
        self.watched.iter().any(Watched::is_on_open_trial)
    }

    /// The health of every target now. Costs a walk over all of them.
    #[must_use]
    pub fn view(&self) -> HealthView {
        HealthView {
            targets: self.watched.iter().map(|watched| (watched.target.clone(), Arc::clone(&watched.health))).collect(),
            first_round_done: self.first_round_done,
            suspects: self.blind.suspects().clone(),
            blind: self.blind.is_blind(),
            absent: Arc::clone(&self.remembered),
            gaps: self.gaps,
            of: self.of.clone(),
        }
    }

    /// Whether a view says of suspicion what is so now.
    #[must_use]
    pub fn suspects_as(&self, view: &HealthView) -> bool {
        self.blind.is_blind() == view.blind && *self.blind.suspects() == view.suspects
    }

    /// Whether it is to be judged again soon, whatever the probes find.
    #[must_use]
    pub fn is_suspicious(&self) -> bool {
        self.blind.is_suspicious()
    }

    /// All references answered a question that was asked then.
    pub fn referred(&mut self, asked_at: Instant) {
        self.blind.referred(asked_at);
    }

    /// Judges who is down and who is only suspected, and hears at once who could rule a suspicion out. Costs a walk
    /// over all targets.
    pub fn judge(&mut self, now: Instant, rules: &Rules) -> Option<Event> {
        let targets = self.watched.iter().map(|watched| (&watched.target, &*watched.health));
        let told = self.blind.judge(now, rules, targets);
        let suspects = self.watched.iter().filter(|watched| self.blind.suspects().contains(&watched.target));
        if let Some(failing) = suspects.filter_map(|watched| watched.health.failing_since).max() {
            self.hear(now, failing);
        }
        told
    }

    /// Brings forward one probe of each node that is up, but has not been heard since `from`.
    fn hear(&mut self, now: Instant, from: Instant) {
        let is_heard = |health: &Health| health.passed_at.is_some_and(|at| at >= from);
        let heard: BTreeSet<NodeName> = self
            .watched
            .iter()
            .filter(|watched| is_heard(&watched.health))
            .map(|watched| watched.target.node.clone())
            .collect();
        let mut asked = None;
        for (place, watched) in self.watched.iter_mut().enumerate() {
            let (node, health) = (&watched.target.node, &watched.health);
            let is_steady = health.state == State::Up && health.failures == 0;
            let is_asked = health.asked_at().is_none_or(|at| at >= from);
            if is_steady && !is_asked && asked.as_ref() != Some(node) && !heard.contains(node) {
                asked = Some(node.clone());
                if watched.due.is_some_and(|due| due > now) {
                    (watched.due, watched.nominal) = (Some(now), now);
                    self.queue.push(Reverse((now, place)));
                }
            }
        }
    }

    /// Whether a view differs from [`Schedule::view`] in more than the health of targets.
    #[must_use]
    pub const fn is_of_another_round(&self, view: &HealthView) -> bool {
        view.first_round_done != self.first_round_done || view.gaps != self.gaps
    }
}

/// What stays of the health of a target that is watched anew: what is held against it, and what its agent asks for.
fn of_before(health: &Health, now: Instant) -> Health {
    Health::new(now).remembering(health.flaps.clone(), health.stands()).asking_as(health)
}

/// A number for a node: the same in each run.
fn seed(node: &NodeName) -> u64 {
    let mut hasher = DefaultHasher::new();
    node.hash(&mut hasher);
    hasher.finish()
}

/// A number for each step from a seed, spread evenly (the output function of `SplitMix64`).
const fn mix(seed: u64, step: u64) -> u64 {
    let mut z = seed.wrapping_add(step.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The first of a node's times after `from`: a period later at the latest.
fn next_of_node(epoch: Instant, from: Instant, period: Duration, seed: u64) -> Instant {
    let first = epoch + part(period, seed);
    let Some(since) = from.checked_duration_since(first) else { return first };
    let passed = Duration::from_micros(micros(since).checked_rem(micros(period)).unwrap_or_default());
    from.checked_sub(passed).unwrap_or(from) + period
}

/// A part of `whole` that a number picks: evenly, and less than all of it.
fn part(whole: Duration, number: u64) -> Duration {
    Duration::from_micros(number.checked_rem(micros(whole)).unwrap_or_default())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
