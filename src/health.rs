//! Up or down: the rise/fall machine of one target, and the health of all of them at one moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    check::{Outcome, Target, Timing, Warning},
    cluster::{AdminState, Cluster},
    event::{Event, Kind},
    flap::{Flaps, Hold},
    text,
};

#[cfg(test)]
mod tests;
mod trial;
mod wish;

pub use self::{
    trial::{Silence, Trial},
    wish::{Asked, PastWish, Wishes},
};

/// What we hold of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// `rise` passes in a row.
    Up,
    /// `fall` failures in a row.
    Down,
    /// Not decided yet, or we cannot ask: changes nothing in DNS.
    Unknown,
}

impl State {
    /// The word of `status` and of the journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

/// The health of one target.
///
/// ```text
///              rise passes                  fall failures
///   +---------+----------> +------+ ----------------------> +------+
///   | Unknown |            |  Up  |                         | Down |
///   +---------+            +------+ <---------------------- +------+
///     |    ^                  |            rise passes         |  ^
///     |    |                  v                                v  |
///     |    +------------------+--------------------------------+  |
///     |           fall probes that could not be made              |
///     +-----------------------------------------------------------+
///                          fall failures
/// ```
///
/// A node that keeps going down is held down for a while after its `rise` passes: see [`flap`](crate::flap).
///
/// A node that asks to be taken out ([`Outcome::Out`]) is down at once: its own word leaves nothing in doubt, and stands
/// until it says otherwise. Its return takes `rise` passes like any other, but is no end of a flap: it was asked for. A busy
/// node counts as a failing one; what it refuses while it is held does not begin the hold anew, for our own questions may
/// be what is too much for it.
///
/// "In a row" counts answers: a probe that could not be made ([`Outcome::Unknown`]) neither counts nor breaks a row.
/// Only a whole row of such probes, as long as `fall`, makes a decided target unknown, and then it is decided anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The decided state.
    pub state: State,
    /// When it was decided (or when we began to watch).
    pub since: Instant,
    /// What decided, in words; `None`: nothing has yet.
    pub why: Option<Arc<str>>,
    /// What it asks for itself, until it says otherwise; [`AdminState::Ready`]: nothing.
    pub wish: AdminState,
    /// Whether it has refused us for being busy since it was up or failed otherwise.
    pub was_busy: bool,
    /// What the last probe found; `None` before the first one ended.
    pub last: Option<Outcome>,
    /// When the last probe ended.
    pub last_at: Option<Instant>,
    /// How long the last probe took.
    pub took: Option<Duration>,
    /// Passes in a row.
    pub passes: u32,
    /// Failures in a row.
    pub failures: u32,
    /// When it was last heard to be well, or to ask to be out: when that probe was begun, for what it says is no newer.
    pub passed_at: Option<Instant>,
    /// When it began to fail: the first failure since the last pass; while it is down, of the row that took it down.
    pub failing_since: Option<Instant>,
    /// Whether it was up at the last decision; unknown is none.
    pub was_up: bool,
    /// When it went down after it had been up.
    pub flaps: Flaps,
    /// When it went down last although it had been up, or its node well before an edit: what a suspicion counts.
    pub fell: Option<Instant>,
    /// What is asked, or how, is new, and the answers have not decided anything under it yet.
    pub trial: Option<Trial>,
    /// The wait of a target that passes again, but went down too often.
    pub hold: Option<Hold>,
    /// How it stood before we began to watch it anew, until it is decided.
    pub before: Option<Before>,
    /// What people know of it from before a gap: to be found so again is no news.
    pub told: Option<State>,
    /// Probes in a row that could not be made.
    pub unmade: u32,
    /// What the last answer warned of, if it passed.
    pub warning: Option<Warning>,
    /// Probes so far, whatever they found, capped at `u32::MAX`.
    pub answers: u32,
}

impl Health {
    /// A target that we begin to watch.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            state: State::Unknown,
            since: now,
            why: None,
            wish: AdminState::Ready,
            was_busy: false,
            last: None,
            last_at: None,
            took: None,
            passes: 0,
            failures: 0,
            passed_at: None,
            failing_since: None,
            was_up: false,
            flaps: Flaps::new(),
            fell: None,
            trial: None,
            hold: None,
            before: None,
            told: None,
            unmade: 0,
            warning: None,
            answers: 0,
        }
    }

    /// The same, but what is held against it is remembered.
    #[must_use]
    pub fn remembering(self, flaps: Flaps, before: Option<Before>) -> Self {
        Self { flaps, before, ..self }
    }

    /// How it stands, for whoever watches it anew. `None`: it was never decided.
    #[must_use]
    pub fn stands(&self) -> Option<Before> {
        match self.state {
            State::Up => Some(Before { up: true, hold: None }),
            State::Down => Some(Before { up: false, hold: self.hold }),
            State::Unknown if self.was_up => Some(Before { up: true, hold: None }),
            State::Unknown => self.before,
        }
    }

    /// Whether it was down before, and is about to return: as from any down.
    fn returns(&self) -> bool {
        self.state == State::Down || (self.state == State::Unknown && self.before.is_some_and(|before| !before.up))
    }

    /// Takes what a probe found, which ended `now` after it `took` so long. What is to be told of it.
    ///
    /// A target that never could be asked is told as a transition from unknown to unknown, once: somebody should
    /// know that it is not watched.
    pub fn observe(&mut self, timing: &Timing, now: Instant, outcome: Outcome, took: Duration) -> News {
        let before = (self.state, self.is_reserve(), self.wish, self.trial.is_some());
        let was_well = self.trial.is_some_and(|trial| trial.was_well);
        self.answers = self.answers.saturating_add(1);
        let held = self.count(timing, now, &outcome, took);
        // An answer to a question that was asked before it became new decides nothing.
        let (silence, begun) = (self.silence(), now.checked_sub(took).unwrap_or(now));
        self.trial.take_if(|trial| begun >= trial.since && trial.is_over(timing, now, &outcome, silence));
        if held.is_some() && self.state == State::Unknown {
            // It was down before we watched it anew, and is held down as it would have been.
            (self.state, self.since, self.before) = (State::Down, now, None);
            self.why = Some(outcome.reason().into());
        }
        let unmade = self.unmade == timing.fall || (self.unmade > timing.fall && self.state != State::Unknown);
        let decided = if unmade && !self.wish_stands() {
            (self.passes, self.failures, self.hold, self.wish) = (0, 0, None, AdminState::Ready);
            Some((State::Unknown, self.unmade))
        } else if self.passes >= timing.rise && self.state != State::Up && outcome.is_pass() {
            self.hold.is_none_or(|hold| now >= hold.until).then_some((State::Up, timing.rise))
        } else if self.wish_stands() && self.state != State::Down {
            Some((State::Down, 1))
        } else if self.failures >= timing.fall && self.state != State::Down {
            Some((State::Down, self.failures))
        } else {
            None
        };
        let transition = decided.map(|(to, row)| {
            let lasted = now.saturating_duration_since(self.since);
            let from = self.state;
            if from != to {
                (self.state, self.since) = (to, now);
            }
            self.why = Some(outcome.reason().into());
            let before = if to == State::Unknown { None } else { self.before.take() };
            match to {
                State::Up => {
                    (self.was_up, self.hold, self.failing_since) = (true, None, None);
                    (self.wish, self.was_busy) = (AdminState::Ready, false);
                }
                State::Down => {
                    let was_up = std::mem::take(&mut self.was_up);
                    // It may have gone down while nobody watched.
                    if !self.wish_stands() && (was_up || before.is_some_and(|before| before.up)) {
                        self.flaps.down(now);
                    }
                    if !self.wish_stands() && (was_up || was_well) {
                        self.fell = Some(now);
                    }
                }
                State::Unknown => {}
            }
            let is_news = self.told.take() != Some(to);
            Transition { from, to, lasted, reason: outcome.reason().to_owned(), row, is_news }
        });
        if before.2 != self.wish && self.state == State::Down {
            self.why = Some(outcome.reason().into());
        }
        let notice = self.notice(&outcome);
        (self.last, self.last_at, self.took) = (Some(outcome), Some(now), Some(took));
        let matters = before != (self.state, self.is_reserve(), self.wish, self.trial.is_some());
        // Of one from before a restart a part is over.
        let held = held.map(|hold| (hold, hold.until.saturating_duration_since(now)));
        News { transition, notice, held, matters }
    }

    /// When the last probe that has ended was begun.
    #[must_use]
    pub fn asked_at(&self) -> Option<Instant> {
        self.last_at.and_then(|at| at.checked_sub(self.took.unwrap_or_default()))
    }

    /// Counts an outcome. The hold that begins with it: it would have brought the target up.
    fn count(&mut self, timing: &Timing, now: Instant, outcome: &Outcome, took: Duration) -> Option<Hold> {
        match outcome {
            Outcome::Pass(_) | Outcome::Warn { .. } => {
                (self.passes, self.failures, self.unmade) = (self.passes.saturating_add(1), 0, 0);
                self.passed_at = now.checked_sub(took);
                if !self.returns() {
                    self.failing_since = None;
                } else if self.passes >= timing.rise
                    && self.wish == AdminState::Ready
                    && (self.hold.is_none() || timing.flap_hold.is_none())
                {
                    // One that it was in already goes on.
                    let remembered = self.before.and_then(|before| before.hold);
                    let hold = |step| match remembered {
                        Some(hold) => Some(hold).filter(|hold| hold.until > now),
                        None => self.flaps.hold(step, now),
                    };
                    self.hold = timing.flap_hold.and_then(hold);
                    return self.hold;
                }
            }
            Outcome::Fail(_) | Outcome::Busy(_) => {
                (self.failures, self.unmade) = (self.failures.saturating_add(1), 0);
                self.failing_since.get_or_insert(now);
                (self.wish, self.was_busy) = (AdminState::Ready, matches!(outcome, Outcome::Busy(_)));
                if !self.was_busy {
                    self.hold = None;
                    self.before = self.before.map(|before| Before { hold: None, ..before });
                }
                if self.hold.is_none() {
                    self.passes = 0;
                }
            }
            Outcome::Out(_) | Outcome::Maint(_) => {
                (self.passes, self.failures, self.unmade) = (0, self.failures.saturating_add(1), 0);
                (self.failing_since, self.passed_at, self.hold, self.was_busy) =
                    (None, now.checked_sub(took), None, false);
                self.wish = if matches!(outcome, Outcome::Out(_)) { AdminState::Drain } else { AdminState::Down };
            }
            Outcome::Unknown(_) => self.unmade = self.unmade.saturating_add(1),
        }
        None
    }

    /// How long it could not be asked, and whether what it asked for before stands all the same.
    fn silence(&self) -> Silence {
        Silence { unmade: self.unmade, wish_stands: self.wish_stands() }
    }

    /// Whether it wants out, and has not begun to say otherwise.
    fn wish_stands(&self) -> bool {
        self.wish != AdminState::Ready && self.passes == 0
    }

    /// Whether it does its work, though it may be held down for its flapping.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.state == State::Up || self.hold.is_some()
    }

    /// Whether it is down, and yet better than nobody: it passes but is held for its flapping, or it answers that it
    /// is busy.
    #[must_use]
    pub fn is_reserve(&self) -> bool {
        self.state == State::Down && (self.hold.is_some() || matches!(self.last, Some(Outcome::Busy(_))))
    }

    /// Takes the warning of an outcome; what is to be told if it is another than before. Only a pass can end one.
    fn notice(&mut self, outcome: &Outcome) -> Option<Notice> {
        let now = match outcome {
            Outcome::Pass(_) => None,
            Outcome::Warn { warning, .. } => Some(warning.clone()),
            Outcome::Fail(_) | Outcome::Busy(_) | Outcome::Out(_) | Outcome::Maint(_) | Outcome::Unknown(_) => {
                return None;
            }
        };
        let before = std::mem::replace(&mut self.warning, now.clone());
        match (before, now) {
            (Some(before), Some(now)) if now.repeats(&before) => None,
            (_, Some(now)) => Some(Notice::Begins(now)),
            (Some(before), None) => Some(Notice::Ends(before)),
            (None, None) => None,
        }
    }

    /// Answers in a row that speak against the state; while it is unknown, answers in a row that agree.
    #[must_use]
    pub fn contrary(&self) -> u32 {
        match self.state {
            State::Up => self.failures,
            State::Down => self.passes,
            State::Unknown => self.passes.max(self.failures),
        }
    }

    /// Whether the next answers may change its state. What cannot be asked is not in doubt: asking faster would not help.
    #[must_use]
    pub fn is_in_doubt(&self, timing: &Timing) -> bool {
        let is_open = self.state == State::Unknown || self.trial.is_some();
        self.contrary() > 0 || (is_open && self.unmade < timing.fall)
    }

    /// Whether to ask it often may be what keeps it from being well: it is held, whatever it answers, or it refuses us for
    /// being busy.
    fn wants_patience(&self) -> bool {
        self.hold.is_some() || (self.was_busy && self.state != State::Up)
    }

    /// From the start of the last probe to the start of the next.
    #[must_use]
    pub fn period(&self, timing: &Timing) -> Duration {
        if self.is_in_doubt(timing) && self.wants_patience() {
            timing.interval
        } else if self.is_in_doubt(timing) {
            timing.fast_interval
        } else if let Some(trial) = self.trial {
            // Its end is noticed by a probe.
            let left = self.last_at.map_or(timing.interval, |at| trial.until.saturating_duration_since(at));
            timing.interval.min(left.max(timing.fast_interval))
        } else if self.state == State::Down {
            timing.down_interval
        } else {
            timing.interval
        }
    }

    /// Whether the first round need not wait for this target: it is decided, or has had as many answers as could
    /// have decided it.
    #[must_use]
    pub fn is_settled(&self, timing: &Timing) -> bool {
        // What is remembered is to be asked once more.
        (self.state != State::Unknown && self.answers > 0) || self.answers >= timing.rise.max(timing.fall)
    }
}

/// How a target stood when it was last decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// Whether it was up.
    pub up: bool,
    /// The wait that it was in.
    pub hold: Option<Hold>,
}

/// What one probe has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// The transition, if the probe decided.
    pub transition: Option<Transition>,
    /// The warning that began or ended with it.
    pub notice: Option<Notice>,
    /// The hold that began with it, and how long it is from now.
    pub held: Option<(Hold, Duration)>,
    /// Whether deciding may come out otherwise.
    pub matters: bool,
}

impl News {
    /// The lines of the journal.
    pub fn events(&self, target: &Target) -> impl Iterator<Item = Event> {
        let news = self.transition.as_ref().filter(|transition| transition.is_news);
        let transition = news.map(|transition| transition.event(target));
        let notice = self.notice.as_ref().map(|notice| notice.event(target));
        let held = self.held.map(|(hold, left)| {
            let message =
                format!("{target} passes again, but is held down for {}: {}", text::age(left), hold.ordinal());
            Event::new(Kind::CheckHeld, message).target(target).reason(hold.ordinal())
        });
        [transition, notice, held].into_iter().flatten()
    }
}

/// A warning that begins or ends. The node is in the rotation all the while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// From now on.
    Begins(Warning),
    /// No longer.
    Ends(Warning),
}

impl Notice {
    /// The line of the journal.
    #[must_use]
    pub fn event(&self, target: &Target) -> Event {
        let (kind, message, warning) = match self {
            Self::Begins(warning) => {
                (Kind::CheckWarning, format!("{target} passes with a warning: {warning}"), warning)
            }
            Self::Ends(warning) => {
                (Kind::CheckClear, format!("{target} passes without the warning: {warning}"), warning)
            }
        };
        Event::new(kind, message).target(target).reason(warning.to_string())
    }
}

/// A change of state, for the journal and for those who decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state now.
    pub to: State,
    /// How long the state before lasted.
    pub lasted: Duration,
    /// What decided, in words.
    pub reason: String,
    /// Probes in a row that decided: `rise` or `fall`.
    pub row: u32,
    /// Whether people do not know it already, from before a gap.
    pub is_news: bool,
}

impl Transition {
    /// The line of the journal.
    #[must_use]
    pub fn event(&self, target: &Target) -> Event {
        let Self { from, to, lasted, reason, row, is_news: _ } = self;
        let kind = match to {
            State::Up => Kind::CheckUp,
            State::Down => Kind::CheckDown,
            State::Unknown => Kind::CheckUnknown,
        };
        let was =
            if from == to { String::new() } else { format!(", was {} for {}", from.as_str(), text::age(*lasted)) };
        let message = format!("{target} is {}: {reason} ({row} of {row}){was}", to.as_str());
        Event::new(kind, message).target(target).reason(reason)
    }
}

/// The health of every target at one moment: what deciding works with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthView {
    /// One entry for each target that is watched.
    pub targets: BTreeMap<Target, Arc<Health>>,
    /// What is remembered of targets that are out of the file, should they come back.
    pub absent: Arc<BTreeMap<Target, Health>>,
    /// Whether every target has had an answer that decides, or as many as would decide (the first round).
    pub first_round_done: bool,
    /// Targets that are down, but perhaps for a fault of our own: see [`blind`](crate::blind).
    pub suspects: BTreeSet<Target>,
    /// Whether we take ourselves for blind.
    pub blind: bool,
    /// How many gaps there had been when these targets began to be watched: what is older than a gap is stale.
    pub gaps: u64,
    /// The file that these are the targets of; `None`: whichever is in force.
    pub of: Option<Arc<Cluster>>,
}

impl HealthView {
    /// The same for somebody who asks no more: nobody is waited for.
    #[must_use]
    pub fn concluded(mut self) -> Self {
        for health in self.targets.values_mut().filter(|health| health.trial.is_some()) {
            Arc::make_mut(health).trial = None;
        }
        self
    }
}
