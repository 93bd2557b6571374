//! When each target is asked next: the order of the probes and the health that they add up to.
//!
//! A target is either waiting in the queue or being asked, so that no probe is ever doubled: [`Schedule::start`]
//! takes it out of the queue and [`Schedule::finish`] puts it back. Starts are at a fixed rate: a period counts from
//! the time at which the last probe was due, however long it took.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    check::{Check, Outcome, Target, targets},
    cluster::Cluster,
    health::{Health, HealthView, News},
};

#[cfg(test)]
mod tests;

/// All targets, their health, and when each is due.
#[derive(Debug, Default)]
pub struct Schedule {
    watched: BTreeMap<Target, Watched>,
    /// Due times, earliest first. Entries of targets that were removed or changed since are skipped when they are due.
    queue: BinaryHeap<Reverse<(Instant, Watch, Target)>>,
    next_watch: Watch,
    /// Targets that the first round waits for.
    unsettled: usize,
    first_round_done: bool,
    gaps: u64,
}

/// One span of watching a target with one definition of its check. What belongs to an earlier one is dropped.
type Watch = u64;

#[derive(Debug)]
struct Watched {
    watch: Watch,
    check: Arc<Check>,
    health: Arc<Health>,
}

impl Watched {
    fn is_settled(&self) -> bool {
        self.health.is_settled(&self.check.timing)
    }
}

/// A probe that is to be made now.
#[derive(Debug, Clone)]
pub struct Job {
    /// Who is asked what.
    pub target: Target,
    /// The check's definition.
    pub check: Arc<Check>,
    due: Instant,
    watch: Watch,
}

impl Schedule {
    /// Takes the cluster's targets. Those whose check is defined as before keep health and schedule; the others
    /// begin unknown, and results of theirs that are still under way will be dropped.
    pub fn adopt(&mut self, cluster: &Cluster, now: Instant) {
        let mut before = std::mem::take(&mut self.watched);
        let checks: BTreeMap<_, _> =
            cluster.checks.iter().map(|(name, check)| (name, Arc::new(check.clone()))).collect();
        for target in targets(cluster) {
            let Some(check) = checks.get(&target.check) else { continue };
            let watched = match before.remove(&target) {
                Some(watched) if watched.check == *check => watched,
                _ => self.begin(&target, Arc::clone(check), now),
            };
            self.watched.insert(target, watched);
        }
        self.unsettled = self.watched.values().filter(|watched| !watched.is_settled()).count();
        self.first_round_done |= self.unsettled == 0;
    }

    /// We stood still, for the time with this number: everything begins anew, and what is under way will be dropped.
    pub fn start_over(&mut self, now: Instant, gaps: u64) {
        self.gaps = gaps;
        for (target, old) in std::mem::take(&mut self.watched) {
            let watched = self.begin(&target, old.check, now);
            self.watched.insert(target, watched);
        }
        self.unsettled = self.watched.len();
        self.first_round_done = self.unsettled == 0;
    }

    fn begin(&mut self, target: &Target, check: Arc<Check>, now: Instant) -> Watched {
        let watch = self.next_watch;
        self.next_watch += 1;
        self.queue.push(Reverse((now + offset(target, &check), watch, target.clone())));
        Watched { watch, check, health: Arc::new(Health::new(now)) }
    }

    /// When the next probe is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse((due, ..))| *due)
    }

    /// The next probe that is due, if one is.
    pub fn start(&mut self, now: Instant) -> Option<Job> {
        while self.next_due()? <= now {
            let Reverse((due, watch, target)) = self.queue.pop()?;
            if let Some(watched) = self.watched.get(&target).filter(|watched| watched.watch == watch) {
                return Some(Job { check: Arc::clone(&watched.check), target, due, watch });
            }
        }
        None
    }

    /// Takes what a probe found, and queues the next. What is to be told of it.
    pub fn finish(&mut self, job: Job, now: Instant, outcome: Outcome, took: Duration) -> News {
        let watched = self.watched.get_mut(&job.target).filter(|watched| watched.watch == job.watch);
        let Some(watched) = watched else { return News::default() };
        let was_settled = watched.is_settled();
        let timing = &watched.check.timing;
        let health = Arc::make_mut(&mut watched.health);
        let news = health.observe(timing, now, outcome, took);
        let due = now.max(job.due + health.period(timing));
        if !was_settled && watched.is_settled() {
            self.unsettled -= 1;
            self.first_round_done |= self.unsettled == 0;
        }
        self.queue.push(Reverse((due, job.watch, job.target)));
        news
    }

    /// Whether every target of some moment was settled. Once done it stays done until a gap: a target that an edit
    /// adds later is unknown, which changes nothing in DNS, and holds up nobody else.
    #[must_use]
    pub const fn first_round_done(&self) -> bool {
        self.first_round_done
    }

    /// The health of every target now. Costs a walk over all of them.
    #[must_use]
    pub fn view(&self) -> HealthView {
        HealthView {
            targets: self
                .watched
                .iter()
                .map(|(target, watched)| (target.clone(), Arc::clone(&watched.health)))
                .collect(),
            first_round_done: self.first_round_done,
            gaps: self.gaps,
        }
    }

    /// Whether a view differs from [`Schedule::view`] in more than the health of targets.
    #[must_use]
    pub const fn is_of_another_round(&self, view: &HealthView) -> bool {
        view.first_round_done != self.first_round_done || view.gaps != self.gaps
    }
}

/// How long after we begin to watch a target its first probe is due: the same in each run, and spread over the
/// shorter interval, so that targets do not go in step and the first round is quick all the same.
fn offset(target: &Target, check: &Check) -> Duration {
    let window = check.timing.interval.min(check.timing.fast_interval).as_micros();
    let window = u64::try_from(window).unwrap_or(u64::MAX);
    let mut hasher = DefaultHasher::new();
    target.hash(&mut hasher);
    Duration::from_micros(hasher.finish().checked_rem(window).unwrap_or_default())
}
