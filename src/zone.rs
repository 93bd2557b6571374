//! One zone's life: read, plan, write, read back. It says what to do next; others do it.
//!
//! ```text
//!                 nothing seen                       difference, may write
//!   +--------+  ------------->  Read  --> seen -----------------------------> Write
//!   | dirty  |                   ^         | no difference                      | NOERROR
//!   +--------+                   |         v                                    v
//!       ^                        |      in_sync --- 60 s ---> Serial          Read back --> in_sync, or failing
//!       |                        +-- serial moved, 15 min -------+              | with what BIND ignored
//!       +--- health, file, timer     answer lost, guard failed <----------------+
//! ```
//!
//! Whatever happens, the next step is worked out from the newest snapshot: no step is queued.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    desired::Recipe,
    dns::{OwnerName, Rdata, RrsetId},
    event::Event,
    plan::{self, Change, Inputs, Plan, Rrsets},
    status::ZoneState,
    update::{self, GenerationRecord, GenerationRrset, Guard, Update},
};

mod answer;
mod owner;
#[cfg(test)]
mod tests;
mod trouble;
mod turn;
mod words;

pub use self::turn::{Done, Failure, Identity, Preview, Step, Turn};
use self::{
    owner::{is_known, remember},
    trouble::{Portion, Trouble, skip_troubles},
};

/// How often the SOA serial is looked at: a hand edit is put back within about this time.
pub const SERIAL_EVERY: Duration = Duration::from_mins(1);
/// How often the owned `RRsets` are read although the serial stands still; also when an ignored change is tried again.
pub const READ_EVERY: Duration = Duration::from_mins(15);
/// First and longest wait before something that BIND refused is tried again.
pub const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// What we published, by `RRset`.
pub type Owned = BTreeMap<RrsetId, BTreeSet<Rdata>>;

/// One zone.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own; no two make a state together")]
pub struct Zone {
    name: OwnerName,
    state: ZoneState,
    error: Option<String>,
    /// Whether the journal has the trouble that it is in.
    told: bool,
    /// The zone as last read, with our own changes applied to it. `None`: must be read.
    seen: Option<Seen>,
    /// What it held when we last were sure: tells a hand edit from our own doing.
    believed: Option<Rrsets>,
    /// The names that are being read.
    asked: BTreeSet<OwnerName>,
    /// The generation that we know to be ours.
    generation: Option<u64>,
    /// A generation that a message without an answer may have brought about.
    maybe: Option<u64>,
    /// Somebody else writes under our name: a copy of this machine.
    twin: bool,
    /// Whether it has something to delete once no MX of another zone points to it.
    waits: bool,
    /// Take the zone over at the next read, whoever owns it.
    adopt: bool,
    /// What the state directory remembers, or will.
    owned: Arc<Owned>,
    /// The message under way or to be verified.
    sent: Option<Sent>,
    /// Changes that BIND refused or ignored.
    troubles: BTreeMap<RrsetId, Trouble>,
    /// How much of a plan goes into a message: halved while BIND refuses.
    portion: Portion,
    /// Failures in a row of the zone as a whole.
    failures: u32,
    wake_at: Option<Instant>,
    read_at: Option<Instant>,
    polled_at: Option<Instant>,
}

#[derive(Debug)]
struct Seen {
    serial: u32,
    generation: GenerationRrset,
    rrsets: Rrsets,
    /// The names that were read: at others we know nothing.
    names: BTreeSet<OwnerName>,
}

/// The message under way; while it is, nothing else is sent. Once BIND applied it, it is to be read back.
#[derive(Debug)]
struct Sent {
    changes: Vec<Change>,
    /// Each change in words.
    why: Vec<String>,
    generation: u64,
    /// Once BIND applied it: until when the reading may still show the zone as it was.
    visible_by: Instant,
}

impl Zone {
    /// A zone that nothing is known of but what the state directory remembers.
    #[must_use]
    pub fn new(name: OwnerName, owned: Arc<Owned>) -> Self {
        Self {
            name,
            state: ZoneState::Pending,
            error: None,
            told: false,
            seen: None,
            believed: None,
            asked: BTreeSet::new(),
            generation: None,
            maybe: None,
            twin: false,
            waits: false,
            adopt: false,
            owned,
            sent: None,
            troubles: BTreeMap::new(),
            portion: Portion::Whole,
            failures: 0,
            wake_at: None,
            read_at: None,
            polled_at: None,
        }
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> ZoneState {
        self.state
    }

    /// What is wrong, in words.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The generation and serial as last read.
    #[must_use]
    pub fn marks(&self) -> (Option<u64>, Option<u32>) {
        let generation = self.seen.as_ref().and_then(|seen| seen.generation.record()).map(|record| record.generation);
        (generation.or(self.generation), self.seen.as_ref().map(|seen| seen.serial))
    }

    /// What we published in it.
    #[must_use]
    pub const fn owned(&self) -> &Arc<Owned> {
        &self.owned
    }

    /// When it wants a turn although nothing changed.
    #[must_use]
    pub const fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// Whether its content is known.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        self.seen.is_some()
    }

    /// Whether its content is known, or known to be out of reach for now.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.seen.is_some() || self.state == ZoneState::Failing
    }

    /// Whether a message of ours is to be read back: what is left is to tell of it.
    #[must_use]
    pub const fn is_being_read_back(&self) -> bool {
        self.sent.is_some()
    }

    /// Whether nothing of ours is left in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.owned.is_empty() && self.sent.is_none()
    }

    /// Whether it has something to delete once no MX of another zone points to it.
    #[must_use]
    pub const fn waits_for_others(&self) -> bool {
        self.waits
    }

    /// Whether an MX in it points to this name, or could: nothing is known of a zone that was not read.
    #[must_use]
    pub fn may_target(&self, name: &OwnerName) -> bool {
        let is_target = |rdata: &Rdata| plan::exchange(rdata) == Some(name);
        match &self.seen {
            Some(seen) => seen.rrsets.values().flat_map(|set| &set.rdata).any(is_target),
            // It may never be read again: what we published there has to do.
            None if self.state == ZoneState::Failing && self.maybe.is_none() => {
                self.owned.values().flatten().any(is_target)
            }
            None => true,
        }
    }

    /// How many `RRsets` the zone holds for us, and how many of them an edit would change or delete now.
    #[must_use]
    pub fn edit_size(&self, turn: Turn<'_>) -> (usize, usize) {
        let Some(seen) = &self.seen else { return (self.owned.len(), 0) };
        let recipes = turn.recipes();
        let plan = self.diff(turn, seen, &recipes);
        let by_edit = plan.changes.iter().filter(|change| plan::is_by_edit(change, recipes.get(&change.id))).count();
        (self.owned.len(), by_edit)
    }

    /// The plan for the zone as it stands, for showing; `None` while it has not been read.
    #[must_use]
    pub fn preview(&self, turn: Turn<'_>) -> Option<Preview> {
        let seen = self.seen.as_ref()?;
        let recipes = turn.recipes();
        let plan = self.diff(turn, seen, &recipes);
        let claim = self.claims(seen, &plan, &recipes);
        let is_first = seen.generation.record().is_none();
        Some(Preview { zone: self.name.clone(), plan, claim, is_first, not_ours: self.not_ours(turn, seen, &recipes) })
    }

    /// The next step. [`Zone::wake_at`] says when to ask again though nothing changes.
    pub fn next(&mut self, turn: Turn<'_>) -> (Step, Vec<Event>) {
        self.wake_at = None;
        self.waits = false;
        if let Some(sent) = &self.sent {
            return (Step::Read(sent.changes.iter().map(|change| change.id.owner.clone()).collect()), Vec::new());
        }
        let recipes = turn.recipes();
        let is_read = |id: &RrsetId| self.seen.as_ref().is_some_and(|seen| seen.names.contains(&id.owner));
        let Some(seen) = self.seen.as_ref().filter(|_| recipes.keys().all(is_read)) else {
            return (self.read_all(&recipes), Vec::new());
        };
        if let Some((state, words)) = self.not_ours(turn, seen, &recipes) {
            let events = self.enter(state, Some(words), None);
            return (self.poll(turn.now, &recipes), events);
        }
        let mut plan = self.diff(turn, seen, &recipes);
        let claim = self.claims(seen, &plan, &recipes);
        let held = turn.hold_edits && hold_edits(&mut plan, &recipes);
        skip_troubles(&mut self.troubles, turn.now, &mut plan);
        plan::keep_targets(&mut plan, &seen.rrsets, turn.is_target_elsewhere);
        if plan.changes.is_empty() && !claim {
            let wrong = self.what_is_wrong(&plan);
            self.waits = !plan.waiting.is_empty();
            let (state, words) = match plan.waiting.first() {
                _ if wrong.is_some() => (ZoneState::Failing, wrong),
                Some(id) => (ZoneState::Pending, Some(words::waiting(id))),
                None if held => (ZoneState::Pending, None),
                None => (ZoneState::InSync, None),
            };
            self.failures = 0;
            self.portion = Portion::Whole;
            remember(&mut self.owned, turn, &seen.rrsets, &recipes);
            let events = self.enter(state, words, None);
            return (self.poll(turn.now, &recipes), events);
        }
        if !turn.may_write {
            self.state = if self.state == ZoneState::Failing { self.state } else { ZoneState::Pending };
            return (self.poll(turn.now, &recipes), Vec::new());
        }
        if self.state == ZoneState::InSync {
            self.state = ZoneState::Pending;
        }
        let changes = self.portion.of(update::in_safe_order(plan.changes));
        let generation = seen.generation.record().map_or(0, |record| record.generation).saturating_add(1);
        let record = GenerationRecord { cluster: turn.me.cluster.clone(), owner: turn.me.owner.clone(), generation };
        let guard = Guard::Generation(seen.generation.clone());
        // What does not fit is planned again next turn, from what is published then.
        let whole = Update { zone: self.name.clone(), guard, record, changes };
        let Some(update) = whole.split().into_iter().next() else { return (Step::Rest, Vec::new()) };
        let why = |change: &Change| words::change(change, recipes.get(&change.id));
        self.believed = None;
        self.sent = Some(Sent {
            why: update.changes.iter().map(why).collect(),
            changes: update.changes.clone(),
            generation,
            visible_by: turn.now,
        });
        (Step::Write(update), Vec::new())
    }

    /// An operator takes the zone over, whoever owns it.
    pub const fn adopt(&mut self) {
        self.adopt = true;
    }

    /// What was seen of it is stale: it is to be read before anything else. A message under way may have been applied.
    pub fn forget(&mut self) {
        self.maybe = self.sent.take().map(|sent| sent.generation).or(self.maybe);
        self.believed = self.seen.take().map(|seen| seen.rrsets);
    }

    /// Reads every name of the file, and those that we own.
    fn read_all(&mut self, recipes: &BTreeMap<RrsetId, Recipe>) -> Step {
        self.asked = recipes.keys().chain(self.owned.keys()).map(|id| id.owner.clone()).collect();
        Step::Read(self.asked.clone())
    }

    fn diff(&self, turn: Turn<'_>, seen: &Seen, recipes: &BTreeMap<RrsetId, Recipe>) -> Plan {
        plan::diff(Inputs {
            recipes,
            all_down: turn.cluster.safety.all_down,
            published: &seen.rrsets,
            owned: &self.owned,
            is_known: &|id, rdata| is_known(turn, id, rdata),
            is_target_elsewhere: turn.is_target_elsewhere,
        })
    }

    fn what_is_wrong(&self, plan: &Plan) -> Option<String> {
        let troubles = self.troubles.values().map(|trouble| &trouble.words);
        let mut words: Vec<_> = plan.blocked.values().chain(troubles).map(String::as_str).collect();
        let more = words.len().saturating_sub(3);
        words.truncate(3);
        let list = words.join("; ");
        match more {
            0 => (!list.is_empty()).then_some(list),
            more => Some(format!("{list}; and {more} more")),
        }
    }

    /// The step of a zone that has nothing to write: look whether it is still what we believe.
    fn poll(&mut self, now: Instant, recipes: &BTreeMap<RrsetId, Recipe>) -> Step {
        let due = |at: Option<Instant>, every| at.is_none_or(|at| now >= at + every);
        if due(self.read_at, READ_EVERY) || due(self.polled_at, SERIAL_EVERY) {
            self.believed = self.seen.as_ref().map(|seen| seen.rrsets.clone());
        }
        if due(self.read_at, READ_EVERY) {
            return self.read_all(recipes);
        }
        if due(self.polled_at, SERIAL_EVERY) {
            return Step::Serial;
        }
        let retries = self.troubles.values().map(|trouble| trouble.until).filter(|until| *until > now);
        self.wake_at = retries.chain(self.polled_at.map(|at| at + SERIAL_EVERY)).min();
        Step::Rest
    }
}

/// Takes changes that come from an edit out of the plan; whether there were any.
fn hold_edits(plan: &mut Plan, recipes: &BTreeMap<RrsetId, Recipe>) -> bool {
    let before = plan.changes.len();
    plan.changes.retain(|change| !plan::is_by_edit(change, recipes.get(&change.id)));
    plan.changes.len() < before
}
