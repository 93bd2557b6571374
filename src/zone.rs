//! One zone's life: read, plan, write, read back. It says what to do next; others do it.
//!
//! ```text
//!                 nothing seen                       difference, may write
//!   +--------+  ------------->  Read  --> seen -----------------------------> Write
//!   | dirty  |                   ^         | no difference                      | NOERROR
//!   +--------+                   |         v                                    v
//!       ^                        |      in_sync --- 60 s ---> Serial          Read back --> in_sync, or failing
//!       |                        +-- serial moved, 15 min -------+              | with what BIND ignored
//!       +--- health, file, timer     answer lost, guard failed <----------------+ not shown yet: later again,
//!                                                                                 and meanwhile it is written to
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
    dns::{OwnerName, RdataSet, RrsetId, Ttl},
    event::Event,
    plan::{self, Change, Inputs, Plan, Rrsets, held, rails::Rails},
    status::ZoneState,
    update::{GenerationRrset, Update},
};

mod answer;
mod confirm;
mod drift;
mod guard;
mod hidden;
mod left_over;
mod limit;
mod look;
mod memory;
mod outgoing;
mod owner;
mod pending;
mod show;
mod strangers;
#[cfg(test)]
mod tests;
mod trouble;
mod turn;
mod wishes;
mod words;

use self::{
    guard::Attempt,
    hidden::Hidden,
    look::READ_EVERY,
    owner::is_known,
    pending::Pending,
    trouble::{Portion, Trouble, skip_troubles},
};
pub use self::{
    look::{EARLY, SERIAL_EVERY},
    memory::{LeftOver, Mark, Memory, Owned},
    turn::{Done, Failure, Identity, Later, Preview, Scope, Silence, Step, Turn, UNSIGNED},
    wishes::{Outcome, Wish},
};

/// First and longest wait before something that BIND refused is tried again.
pub const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// How often in a row a zone may be other than expected before that is a failure.
const PATIENCE: u32 = 12;

/// Where nothing was read.
static NOTHING_BESIDE: BTreeMap<OwnerName, String> = BTreeMap::new();

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
    /// Whether they are those of messages that BIND has acknowledged.
    reads_back: bool,
    /// When the whole reading under way was begun, or the last one.
    asked_at: Option<Instant>,
    /// Somebody wants it read whole, and no reading has begun since.
    wants_reading: bool,
    /// With that reading what BIND would not take before is tried once more.
    begins_anew: bool,
    /// Somebody wants its serial looked at, and no look has begun since.
    wants_look: bool,
    /// The generation that we know to be ours.
    generation: Option<u64>,
    /// The highest generation that a message of ours may have written: also one whose answer was lost, in this run or in
    /// an earlier one. A higher one under our name is the work of a copy of this machine. `None`: this run has not read
    /// the record yet, and any generation under our name counts as ours.
    reach: Option<u64>,
    /// Whether a generation over `reach` still counts as ours, once: a message of an earlier run may have been applied
    /// after the reading that `reach` was taken from.
    has_grace: bool,
    /// The serial by which the zone was recognized, until it is read.
    recognized: Option<u32>,
    /// The message without an answer, until the record tells what became of it.
    lost: Option<Sent>,
    /// Messages that BIND has acknowledged and no reading has shown yet.
    pending: Pending,
    /// Guards that did not hold since the record was last read as `read`.
    tried: Vec<Attempt>,
    /// Up to which generation a copy of this machine may have written behind what is read: the record of a message that
    /// BIND has acknowledged is not there any more.
    sought: Option<u64>,
    /// The record as BIND let us read it last.
    read: Option<GenerationRrset>,
    /// Somebody else writes under our name: a copy of this machine.
    twin: bool,
    /// Whether it has something to delete once no MX of another zone points to it.
    waits: bool,
    /// The last turn found it as it should be, and since then nothing has happened but time.
    at_rest: bool,
    /// Take the zone over at the next read, whoever owns it.
    adopt: bool,
    /// Sets with data of strangers that an operator lets us take over.
    adopted: BTreeSet<RrsetId>,
    /// Sets with data of strangers at names of the file: they are left.
    foreign: BTreeMap<RrsetId, RdataSet>,
    /// Which sets of the file they are, or stand in the way of, as it was told.
    foreign_told: BTreeMap<RrsetId, String>,
    /// What the state directory remembers, or will.
    memory: Arc<Memory>,
    /// What operators want of what is left over.
    wishes: BTreeMap<RrsetId, Wish>,
    /// What became of such wishes, until somebody is told.
    outcomes: Vec<(RrsetId, Outcome)>,
    /// The TTL that BIND lowered one of ours to, or somebody else did: the next message tells.
    ttl_suspect: Option<Ttl>,
    /// Whether nothing is left of it but what the file no longer gives.
    dormant: bool,
    /// Whether it may still be as it was left by an earlier run.
    may_be_as_left: bool,
    /// The message under way.
    sent: Option<Sent>,
    /// Changes that BIND refused or ignored.
    troubles: BTreeMap<RrsetId, Trouble>,
    /// How much of a plan goes into a message: halved while BIND refuses.
    portion: Portion,
    /// Failures in a row of the zone as a whole.
    failures: u32,
    /// Whether others had answers while it had none.
    is_alone: bool,
    /// Guards that did not hold, in a row.
    overtaken: u32,
    /// When BIND last took the record alone, for all else was put off and is still.
    proved_alone: Option<Instant>,
    wake_at: Option<Instant>,
    read_at: Option<Instant>,
    /// When it is to be read although it was read not long ago.
    reread_at: Option<Instant>,
    polled_at: Option<Instant>,
}

#[derive(Debug)]
struct Seen {
    serial: u32,
    generation: GenerationRrset,
    rrsets: Rrsets,
    /// The names that were read: at others we know nothing.
    names: BTreeSet<OwnerName>,
    /// Those of them that hold other types, in the way of a CNAME.
    others: BTreeMap<OwnerName, String>,
    /// Those of them whose data are hidden: at these we know nothing either.
    hidden: Hidden,
}

/// A message of ours.
#[derive(Debug)]
struct Sent {
    changes: Vec<Change>,
    /// What each change was made from: its words are made when it is told, for a dead node has thousands of them.
    why: Vec<Option<Recipe>>,
    /// The record that it required.
    guard: GenerationRrset,
    /// Whether it required the sets that it changes to be as they were read.
    exact: bool,
    generation: u64,
    /// By how much it moves the serial.
    steps: u32,
    /// Whether it takes the generation record away.
    is_last: bool,
}

impl Zone {
    /// A zone that nothing is known of but what the state directory remembers.
    #[must_use]
    pub fn new(name: OwnerName, mut memory: Arc<Memory>) -> Self {
        if memory.generation.is_some_and(|generation| generation >= memory::SPENT) {
            Arc::make_mut(&mut memory).generation = None;
        }
        Self {
            name,
            state: ZoneState::Pending,
            error: None,
            told: false,
            seen: None,
            believed: None,
            asked: BTreeSet::new(),
            asked_at: None,
            wants_reading: false,
            begins_anew: false,
            wants_look: false,
            reads_back: false,
            generation: None,
            reach: None,
            has_grace: false,
            recognized: None,
            lost: None,
            pending: Pending::default(),
            tried: Vec::new(),
            sought: None,
            read: None,
            twin: false,
            waits: false,
            at_rest: false,
            adopt: false,
            adopted: BTreeSet::new(),
            foreign: BTreeMap::new(),
            foreign_told: BTreeMap::new(),
            may_be_as_left: memory.mark.is_some(),
            wishes: BTreeMap::new(),
            ttl_suspect: None,
            outcomes: Vec::new(),
            dormant: memory.owned.is_empty() && !memory.left_over.is_empty(),
            memory,
            sent: None,
            troubles: BTreeMap::new(),
            portion: Portion::Whole,
            failures: 0,
            is_alone: false,
            overtaken: 0,
            proved_alone: None,
            wake_at: None,
            read_at: None,
            reread_at: None,
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

    /// Whether it has no answers although the server gives others: its silence says nothing of the server.
    #[must_use]
    pub const fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Whether its content is known.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        self.seen.is_some()
    }

    /// Whether its content is known, or known to be out of reach for now.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.seen.is_some() || self.state == ZoneState::Failing || self.dormant
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
        if self.seen.is_some() && self.pending.must_look(turn.now) {
            return (self.read_pending(), Vec::new());
        }
        if let Some(step) = self.end(turn) {
            return (step, self.tell_end().into_iter().collect());
        }
        if self.may_be_as_left {
            return (self.look(), Vec::new());
        }
        // Thousands of zones come by every minute for nothing but this.
        if self.at_rest && self.must_look(turn.now) && !self.must_read(turn.now) {
            return (self.look(), Vec::new());
        }
        let mut recipes = turn.recipes();
        let mut told: Vec<_> = self.part_with(turn, &recipes).into_iter().collect();
        if self.has_nothing_to_do(turn) {
            // Either all of it is left over now, or it comes to its end at the next turn.
            let (step, events) = self.next(turn);
            told.extend(events);
            return (step, told);
        }
        let names = self.names(&recipes);
        if self.wants_reading || self.seen.as_ref().is_none_or(|seen| !names.is_subset(&seen.names)) {
            return (self.read_all(turn, names), told);
        }
        self.take_back(turn, &recipes);
        let (step, events) = self.plan_and_write(turn, &mut recipes, names);
        told.extend(events);
        (step, told)
    }

    /// The step of a zone that is read.
    fn plan_and_write(
        &mut self,
        turn: Turn<'_>,
        recipes: &mut BTreeMap<RrsetId, Recipe>,
        names: BTreeSet<OwnerName>,
    ) -> (Step, Vec<Event>) {
        let stays: BTreeSet<OwnerName> = self.left_over_targets().into_iter().cloned().collect();
        let elsewhere = |name: &OwnerName| stays.contains(name) || (turn.is_target_elsewhere)(name);
        let turn = Turn { is_target_elsewhere: &elsewhere, ..turn };
        let Some(seen) = &self.seen else { return (self.read_all(turn, names), Vec::new()) };
        if let Some((state, words)) = self.not_ours(turn, seen, recipes) {
            self.foreign.clear();
            self.foreign_told.clear();
            let mut events: Vec<_> = self.give_up_wishes(&words).into_iter().collect();
            events.extend(self.enter(state, Some(words), None));
            return (self.poll(turn, names), events);
        }
        let Some(attempt) = self.attempt(turn.me, seen) else {
            return (Step::Rest, self.is_not_what_is_read(turn.now));
        };
        let published = self.published(turn.me, seen, &attempt).into_owned();
        let strangers = self.strangers(turn, &published, recipes);
        let mut plan = self.wanted(turn, &published, recipes, &strangers);
        let everything = *turn.scope == Scope::Everything;
        let claim = everything && (self.claims(seen, recipes) || self.is_behind_memory(turn.me, seen));
        let mut claim = claim || self.lost.is_some();
        let proves = turn.may_write && self.pending.must_prove(turn.now);
        // What was taken over, or went, is no matter of leave any more.
        let owned = &self.memory.owned;
        self.adopted.retain(|id| !owned.contains_key(id) && published.contains_key(id));
        let held = turn.hold_edits && held::hold_edits(&mut plan, recipes, &published, (owned, &self.memory.missing));
        let mut events = self.add_wishes(turn, &published, &mut plan);
        self.limit(turn.scope, &mut plan);
        skip_troubles(&mut self.troubles, turn.now, &mut plan);
        let is_put_off = self.puts_off(turn.me, &attempt, &mut plan);
        let wished = self.wished(&plan);
        self.rails(turn, &self.with_hidden(&published), recipes).keep(&mut plan);
        events.extend(self.give_up_targets(wished, &plan));
        self.add_unseen_strangers(&mut plan);
        let foreign = self.all_strangers(strangers, &published, &plan);
        if is_put_off {
            if plan.changes.is_empty() && self.has_proved_alone(turn.now) {
                events.extend(self.is_not_what_is_read(turn.now));
                return (Step::Rest, events);
            }
            // The record alone is written, now and then, until a reading shows the sets as they are.
            claim = true;
        }
        events.extend(self.tell_strangers(foreign, &mut plan.foreign));
        if plan.changes.is_empty() && !claim && !proves {
            self.waits = !plan.waiting.is_empty();
            let (state, words) = self.without_changes(turn, recipes, &plan);
            // A zone that waits for `rotad accept` alone is recognized by its serial after a restart as well.
            let is_as_it_should = state == ZoneState::InSync;
            let state = if held && is_as_it_should { ZoneState::Pending } else { state };
            // What was put off is not settled before the record that was written for it is shown.
            if self.proved_alone.is_none() || self.pending.is_empty() {
                (self.failures, self.is_alone) = (0, false);
                (self.overtaken, self.proved_alone) = (0, None);
            }
            self.portion = Portion::Whole;
            events.extend(self.remember(turn, recipes, is_as_it_should));
            events.extend(self.enter(state, words, None));
            return (self.poll(turn, names), events);
        }
        if !turn.may_write {
            // It can be read; whether it can be written is seen when it may be.
            let wrong = self.what_is_wrong(&plan);
            let state = if wrong.is_some() { ZoneState::Failing } else { ZoneState::Pending };
            let words = wrong.or_else(|| self.behind(turn.now));
            events.extend(self.enter(state, words, None));
            return (self.poll(turn, names), events);
        }
        if plan.changes.is_empty() {
            self.pending.proving();
        }
        if self.adopt {
            self.adopted.extend(recipes.keys().filter(|id| !self.memory.owned.contains_key(*id)).cloned());
        }
        let changes = self.portion.of(plan.changes);
        let generation = self.next_generation(&attempt.guard);
        // What does not fit is planned again next turn, from what is published then.
        let record = turn.me.record(generation);
        let (zone, guard, exact) = (self.name.clone(), attempt.guard.clone(), attempt.exact);
        let whole = Update { zone, guard, record, changes, exact, is_last: false };
        let Some(update) = whole.split().into_iter().next() else { return (Step::Rest, events) };
        let changes = update.changes.clone();
        // Nobody's health has decided it.
        let is_restored = matches!(turn.scope, Scope::Restore(_));
        let update = match self.checked(turn, recipes, &attempt, update) {
            Ok(checked) => checked,
            Err(violation) => {
                events.extend(self.stopped(turn.now, &violation, changes));
                return (Step::Rest, events);
            }
        };
        self.sent = Some(Sent {
            why: changes.iter().map(|change| recipes.remove(&change.id).filter(|_| !is_restored)).collect(),
            changes,
            guard: attempt.guard,
            exact: attempt.exact,
            generation,
            steps: 1,
            is_last: false,
        });
        events.extend(self.wait(turn.now));
        (Step::Write(Box::new(update)), events)
    }

    /// The state in which there is nothing to write, and why.
    fn without_changes(
        &self,
        turn: Turn<'_>,
        recipes: &BTreeMap<RrsetId, Recipe>,
        plan: &Plan,
    ) -> (ZoneState, Option<String>) {
        if let Some(wrong) = self.what_is_wrong(plan) {
            return (ZoneState::Failing, Some(wrong));
        }
        let hidden = || self.hidden_until(turn, recipes);
        match plan.waiting.first().map(words::waiting).or_else(hidden) {
            Some(words) => (ZoneState::Pending, Some(words)),
            None if !self.pending.is_empty() => (ZoneState::Pending, self.behind(turn.now)),
            None => (ZoneState::InSync, None),
        }
    }

    /// Something is to be written. What failed stays so until it succeeds.
    fn wait(&mut self, now: Instant) -> Vec<Event> {
        if self.state == ZoneState::Failing {
            return Vec::new();
        }
        self.enter(ZoneState::Pending, self.behind(now), None)
    }

    /// The names that must be read: those of the file, those that we own, those that we may have written, and those of
    /// which an operator wants something. And before a name goes, the names above it: somebody's MX may stand there and
    /// point to it.
    fn names(&self, recipes: &BTreeMap<RrsetId, Recipe>) -> BTreeSet<OwnerName> {
        let sent = self.lost.iter().chain(self.pending.messages());
        let sent = sent.flat_map(|sent| &sent.changes).map(|change| &change.id);
        let leaving = self.memory.owned.keys().filter(|id| !recipes.contains_key(*id)).chain(self.wishes.keys());
        let above = leaving.flat_map(|id| id.owner.ancestors()).map(OwnerName::from_presentation);
        let above = above.filter(|name| name.is_at_or_below(&self.name));
        let back = self.memory.left_over.keys().filter(|id| left_over::is_given(id, recipes));
        let here = recipes.keys().chain(self.memory.owned.keys()).chain(sent).chain(self.wishes.keys()).chain(back);
        here.map(|id| id.owner.clone()).chain(above).chain(self.hosts_to_restore().cloned()).collect()
    }

    /// What is left over is read with the rest: nobody reads a zone for it alone, but who is shown it is shown what is.
    fn read_all(&mut self, turn: Turn<'_>, mut names: BTreeSet<OwnerName>) -> Step {
        names.extend(self.memory.left_over.keys().map(|id| id.owner.clone()));
        self.asked.clone_from(&names);
        self.asked_at = Some(turn.now);
        self.reads_back = false;
        let is_first = self.read_at.is_none() && self.seen.is_none() && self.believed.is_none() && self.failures == 0;
        self.begin_reading(turn.now);
        // Should this one fail, none counts.
        self.read_at = None;
        // What went wrong once is tried the plain way.
        if !is_first {
            return Step::Read(names);
        }
        let domains = turn.layout.into_iter().flat_map(|layout| &layout.domains);
        let domains =
            domains.filter(|domain| domain.is_below(&self.name) && names.contains(*domain)).cloned().collect();
        Step::FirstRead { names, domains }
    }

    /// Reads what BIND has acknowledged.
    fn read_pending(&mut self) -> Step {
        let changes = self.pending.messages().flat_map(|sent| &sent.changes);
        self.asked = changes.map(|change| change.id.owner.clone()).collect();
        self.reads_back = true;
        Step::Read(self.asked.clone())
    }

    fn diff(&self, turn: Turn<'_>, published: &Rrsets, recipes: &BTreeMap<RrsetId, Recipe>) -> Plan {
        let mut plan = self.wanted(turn, published, recipes, &self.strangers(turn, published, recipes));
        self.rails(turn, &self.with_hidden(published), recipes).keep(&mut plan);
        plan
    }

    fn rails<'a>(&'a self, turn: Turn<'a>, published: &'a Rrsets, recipes: &'a BTreeMap<RrsetId, Recipe>) -> Rails<'a> {
        let others = self.seen.as_ref().map_or(&NOTHING_BESIDE, |seen| &seen.others);
        Rails { recipes, published, others, owned: &self.memory.owned, is_target_elsewhere: turn.is_target_elsewhere }
    }

    /// The difference, whatever the rails say of it.
    fn wanted(
        &self,
        turn: Turn<'_>,
        published: &Rrsets,
        recipes: &BTreeMap<RrsetId, Recipe>,
        strangers: &Owned,
    ) -> Plan {
        let goes = self.adopted_in_the_way(published, recipes);
        let mut owned = self.owned_after(turn, recipes);
        if !goes.is_empty() {
            owned.to_mut().extend(goes);
        }
        let mut plan = plan::difference(Inputs {
            recipes,
            all_down: turn.cluster.safety.all_down,
            published,
            owned: &owned,
            is_known: &|id, rdata| is_known(turn, id, rdata),
            is_target_elsewhere: turn.is_target_elsewhere,
        });
        if let Some(seen) = &self.seen {
            hidden::leave_out(&mut plan, &seen.hidden, &self.memory.owned, recipes);
        }
        limit::keep_to(self.memory.ttl_limit, &mut plan);
        plan.changes.retain(|change| !strangers.contains_key(&change.id));
        plan.foreign = strangers.iter().map(|(id, data)| (id.clone(), words::foreign_set(id, data))).collect();
        self.rails(turn, published, recipes).note_strangers(&mut plan);
        plan
    }

    fn what_is_wrong(&self, plan: &Plan) -> Option<String> {
        let blocked = plan.blocked.iter().map(|(id, words)| (id, words.as_str()));
        let troubles = self.troubles.iter().filter(|(_, trouble)| !trouble.is_foreign);
        words::troubles(blocked.chain(troubles.map(|(id, trouble)| (id, trouble.words.as_str()))))
    }
}
