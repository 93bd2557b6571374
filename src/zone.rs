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
    dns::{OwnerName, RdataSet, RrType, Rrset, RrsetId, Ttl},
    event::Event,
    plan::{self, Change, Inputs, Plan, Rrsets},
    status::ZoneState,
    update::{GenerationRrset, Update},
};

mod answer;
mod hidden;
mod look;
mod memory;
mod owner;
#[cfg(test)]
mod tests;
mod trouble;
mod turn;
mod words;

use self::{
    hidden::Hidden,
    look::READ_EVERY,
    owner::is_known,
    trouble::{Portion, Trouble, skip_troubles},
};
pub use self::{
    look::{EARLY, SERIAL_EVERY},
    memory::{LeftOver, Mark, Memory, Owned},
    turn::{Done, Failure, Identity, Preview, Step, Turn},
};

/// First and longest wait before something that BIND refused is tried again.
pub const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// How often in a row a zone may be other than expected before that is a failure.
const PATIENCE: u32 = 3;

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
    /// What it held when it was last seen, until it is read again: tells a hand edit from our own doing.
    believed: Option<Seen>,
    /// The names that are being read.
    asked: BTreeSet<OwnerName>,
    /// The generation that we know to be ours.
    generation: Option<u64>,
    /// A generation that a message without an answer may have brought about, of this life or of an earlier one.
    maybe: Option<u64>,
    /// The message without an answer, until the record tells what became of it.
    lost: Option<Sent>,
    /// Somebody else writes under our name: a copy of this machine.
    twin: bool,
    /// Whether it has something to delete once no MX of another zone points to it.
    waits: bool,
    /// The last turn found it as it should be, and since then nothing has happened but time.
    at_rest: bool,
    /// Take the zone over at the next read, whoever owns it.
    adopt: bool,
    /// What the state directory remembers, or will.
    memory: Arc<Memory>,
    /// Whether it may still be as it was left by an earlier run.
    may_be_as_left: bool,
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
    /// Those of them whose data are hidden: at these we know nothing either.
    hidden: Hidden,
}

/// The message under way; while it is, nothing else is sent. Once BIND applied it, it is to be read back.
#[derive(Debug)]
struct Sent {
    changes: Vec<Change>,
    /// What each change was made from: its words are made when it is told, for a dead node has thousands of them.
    why: Vec<Option<Recipe>>,
    generation: u64,
    /// Once BIND applied it: until when the reading may still show the zone as it was.
    visible_by: Instant,
}

impl Zone {
    /// A zone that nothing is known of but what the state directory remembers.
    #[must_use]
    pub fn new(name: OwnerName, memory: Arc<Memory>) -> Self {
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
            lost: None,
            twin: false,
            waits: false,
            at_rest: false,
            adopt: false,
            may_be_as_left: memory.mark.is_some(),
            memory,
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

    /// What is to be remembered of it.
    #[must_use]
    pub const fn memory(&self) -> &Arc<Memory> {
        &self.memory
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
        self.memory.owned.is_empty() && self.sent.is_none() && self.lost.is_none()
    }

    /// Whether it has something to delete once no MX of another zone points to it.
    #[must_use]
    pub const fn waits_for_others(&self) -> bool {
        self.waits
    }

    /// The exchange of each MX in it. `None`: it could point anywhere, for nothing is known of a zone before it is
    /// read. While it cannot be read, what we published counts: one zone out of reach must not stop the cleaning of all
    /// others.
    #[must_use]
    pub fn targets(&self) -> Option<Vec<&OwnerName>> {
        match &self.seen {
            Some(seen) => {
                let seen_sets = seen.rrsets.iter().map(|(id, set)| (id, &set.rdata));
                Some(exchanges(seen_sets.chain(self.hidden_owned(seen))))
            }
            // It may never be read again; but a lost message may have written an MX that we do not remember.
            None if self.state == ZoneState::Failing && self.lost.is_none() => {
                Some(exchanges(self.memory.owned.iter()))
            }
            None => None,
        }
    }

    /// How many `RRsets` the zone holds for us, and how many of them an edit would change or delete now.
    #[must_use]
    pub fn edit_size(&self, turn: Turn<'_>) -> (usize, usize) {
        let recipes = turn.recipes();
        let is_ours = self.seen.as_ref().is_none_or(|seen| self.not_ours(turn, seen, &recipes).is_none());
        if !is_ours {
            return (self.memory.owned.len(), 0);
        }
        // An edit counts although BIND is out of reach: what we published stands in for what cannot be read.
        let published = self.seen.as_ref().map_or_else(|| self.remembered(&recipes), |seen| seen.rrsets.clone());
        let plan = self.diff(turn, &published, &recipes);
        let by_edit = |change: &&Change| {
            self.memory.owned.contains_key(&change.id) && plan::is_by_edit(change, recipes.get(&change.id))
        };
        (self.memory.owned.len(), plan.changes.iter().filter(by_edit).count())
    }

    /// What the zone holds as far as we remember. TTLs are not remembered.
    fn remembered(&self, recipes: &BTreeMap<RrsetId, Recipe>) -> Rrsets {
        let sets = self.memory.owned.iter().map(|(id, rdata)| {
            let ttl = recipes.get(id).map_or(Ttl(0), |recipe| recipe.ttl);
            (id.clone(), Rrset { ttl, rdata: rdata.clone() })
        });
        sets.collect()
    }

    /// The plan for the zone as it stands, for showing; `None` while it has not been read.
    #[must_use]
    pub fn preview(&self, turn: Turn<'_>) -> Option<Preview> {
        let seen = self.seen.as_ref()?;
        let recipes = turn.recipes();
        let plan = self.diff(turn, &seen.rrsets, &recipes);
        let claim = self.claims(seen, &recipes);
        let is_first = seen.generation.record().is_none();
        Some(Preview { zone: self.name.clone(), plan, claim, is_first, not_ours: self.not_ours(turn, seen, &recipes) })
    }

    /// Whether it waits for nothing but the next look at its serial.
    #[must_use]
    pub const fn is_at_rest(&self) -> bool {
        self.at_rest
    }

    /// Something that its turn is worked out from has changed.
    pub const fn stir(&mut self) {
        self.at_rest = false;
    }

    /// The next step. [`Zone::wake_at`] says when to ask again though nothing changes.
    pub fn next(&mut self, turn: Turn<'_>) -> (Step, Vec<Event>) {
        self.wake_at = None;
        self.waits = false;
        if let Some(sent) = &self.sent {
            return (Step::Read(sent.changes.iter().map(|change| change.id.owner.clone()).collect()), Vec::new());
        }
        if self.may_be_as_left {
            return (Step::Serial, Vec::new());
        }
        // Thousands of zones come by every minute for nothing but this.
        if self.at_rest && self.must_look(turn.now) && !self.must_read(turn.now) {
            return (Step::Serial, Vec::new());
        }
        let mut recipes = turn.recipes();
        let names = self.names(&recipes);
        let Some(seen) = self.seen.as_ref().filter(|seen| names.is_subset(&seen.names)) else {
            return (self.read_all(names), Vec::new());
        };
        if let Some((state, words)) = self.not_ours(turn, seen, &recipes) {
            let events = self.enter(state, Some(words), None);
            return (self.poll(turn, names), events);
        }
        let mut plan = self.diff(turn, &seen.rrsets, &recipes);
        let claim = self.claims(seen, &recipes) || self.lost.is_some();
        let held = turn.hold_edits && hold_edits(&mut plan, &recipes);
        skip_troubles(&mut self.troubles, turn.now, &mut plan);
        plan::keep_names(&mut plan.changes, &seen.rrsets, &recipes);
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
            self.remember(turn, &recipes, state == ZoneState::InSync);
            let events = self.enter(state, words, None);
            return (self.poll(turn, names), events);
        }
        if !turn.may_write {
            let events = self.wait();
            return (self.poll(turn, names), events);
        }
        let changes = self.portion.of(plan.changes);
        // After a record that was deleted we go on from the last one: generations only grow.
        let generation = self.marks().0.unwrap_or(0).saturating_add(1);
        let record = turn.me.record(generation);
        let guard = seen.generation.clone();
        // What does not fit is planned again next turn, from what is published then.
        let whole = Update { zone: self.name.clone(), guard, record, changes };
        let Some(update) = whole.split().into_iter().next() else { return (Step::Rest, Vec::new()) };
        self.sent = Some(Sent {
            why: update.changes.iter().map(|change| recipes.remove(&change.id)).collect(),
            changes: update.changes.clone(),
            generation,
            visible_by: turn.now,
        });
        (Step::Write(update), self.wait())
    }

    /// Something is to be written. What failed stays so until it succeeds.
    fn wait(&mut self) -> Vec<Event> {
        if self.state == ZoneState::Failing { Vec::new() } else { self.enter(ZoneState::Pending, None, None) }
    }

    /// The names that must be read: those of the file, those that we own, and those that we may have written. And
    /// before a name goes, the names above it: somebody's MX may stand there and point to it.
    fn names(&self, recipes: &BTreeMap<RrsetId, Recipe>) -> BTreeSet<OwnerName> {
        let lost = self.lost.iter().flat_map(|sent| &sent.changes).map(|change| &change.id);
        let leaving = self.memory.owned.keys().filter(|id| !recipes.contains_key(*id));
        let above = leaving.flat_map(|id| id.owner.ancestors()).map(OwnerName::from_presentation);
        let above = above.filter(|name| name.is_at_or_below(&self.name));
        recipes.keys().chain(self.memory.owned.keys()).chain(lost).map(|id| id.owner.clone()).chain(above).collect()
    }

    fn read_all(&mut self, names: BTreeSet<OwnerName>) -> Step {
        self.asked.clone_from(&names);
        let is_first = self.read_at.is_none() && self.seen.is_none() && self.believed.is_none();
        // What went wrong once is tried the plain way.
        if is_first && self.failures == 0 { Step::FirstRead(names) } else { Step::Read(names) }
    }

    fn diff(&self, turn: Turn<'_>, published: &Rrsets, recipes: &BTreeMap<RrsetId, Recipe>) -> Plan {
        let mut plan = plan::diff(Inputs {
            recipes,
            all_down: turn.cluster.safety.all_down,
            published,
            owned: &self.memory.owned,
            is_known: &|id, rdata| is_known(turn, id, rdata),
            is_target_elsewhere: turn.is_target_elsewhere,
        });
        if let Some(seen) = &self.seen {
            hidden::leave_out(&mut plan, &seen.hidden, recipes);
        }
        plan
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
}

/// The exchange of each MX. It is asked for at every turn of a zone: no other set is looked into.
fn exchanges<'a>(sets: impl Iterator<Item = (&'a RrsetId, &'a RdataSet)>) -> Vec<&'a OwnerName> {
    sets.filter(|(id, _)| id.rtype == RrType::Mx).flat_map(|(_, rdata)| rdata).filter_map(plan::exchange).collect()
}

/// Leaves of each change that comes from an edit what comes from health; whether there were any.
fn hold_edits(plan: &mut Plan, recipes: &BTreeMap<RrsetId, Recipe>) -> bool {
    let (by_edit, mut changes): (Vec<_>, Vec<_>) = std::mem::take(&mut plan.changes)
        .into_iter()
        .partition(|change| plan::is_by_edit(change, recipes.get(&change.id)));
    changes.extend(by_edit.iter().filter_map(|change| plan::by_health(change, recipes.get(&change.id)?)));
    plan.changes = changes;
    !by_edit.is_empty()
}
