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

use sha2::{Digest, Sha256};

use crate::{
    cluster::Cluster,
    desired::{self, Recipe, Standings},
    dns::{OwnerName, Rdata, Rrset, RrsetId},
    event::{Event, Kind},
    layout::{self, ZoneLayout},
    plan::{self, Change, Inputs, Plan, Rrsets},
    status::ZoneState,
    update::{self, GenerationRecord, GenerationRrset, Guard, Reading, Update, Verdict},
};

mod words;

/// How often the SOA serial is looked at: a hand edit is put back within about this time.
pub const SERIAL_EVERY: Duration = Duration::from_mins(1);
/// How often the owned `RRsets` are read although the serial stands still; also when an ignored change is tried again.
pub const READ_EVERY: Duration = Duration::from_mins(15);
/// First and longest wait before something that BIND refused is tried again.
pub const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// What we published, by `RRset`.
pub type Owned = BTreeMap<RrsetId, BTreeSet<Rdata>>;

/// Who we are in a generation record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's name.
    pub cluster: String,
    /// This instance.
    pub owner: String,
}

/// The newest snapshot of everything that a step is worked out from.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// Now.
    pub now: Instant,
    /// The file in force.
    pub cluster: &'a Cluster,
    /// What the file puts into this zone; `None`: nothing any more.
    pub layout: Option<&'a ZoneLayout>,
    /// Health.
    pub standings: &'a Standings,
    /// Who we are.
    pub me: &'a Identity,
    /// Whether anything may be written yet.
    pub may_write: bool,
    /// Whether changes that come from an edit wait for `--force`.
    pub hold_edits: bool,
    /// Whether an MX of another zone points to a name.
    pub is_target_elsewhere: &'a dyn Fn(&OwnerName) -> bool,
}

impl Turn<'_> {
    fn recipes(&self) -> BTreeMap<RrsetId, Recipe> {
        self.layout.map(|layout| desired::recipes(self.cluster, layout, self.standings)).unwrap_or_default()
    }
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing before [`Zone::wake_at`].
    Rest,
    /// Read these names, the generation record and the SOA.
    Read(BTreeSet<OwnerName>),
    /// Read the SOA's serial.
    Serial,
    /// Send this.
    Write(Update),
}

/// What became of a step.
#[derive(Debug)]
pub enum Done {
    /// Of [`Step::Read`].
    Read(Result<Reading, Failure>),
    /// Of [`Step::Serial`].
    Serial(Result<u32, Failure>),
    /// Of [`Step::Write`].
    Write(Result<Verdict, Failure>),
}

/// A step that brought no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The cause and the next step, for people.
    pub words: String,
    /// The mnemonic of BIND's answer, if it gave one.
    pub code: Option<String>,
    /// Whether the request may have reached BIND all the same.
    pub sent: bool,
}

/// One zone.
#[derive(Debug)]
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
    /// The generation that we know to be ours.
    generation: Option<u64>,
    /// A generation that a message without an answer may have brought about.
    maybe: Option<u64>,
    /// Somebody else writes under our name: a copy of this machine.
    twin: bool,
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
}

#[derive(Debug)]
struct Trouble {
    words: String,
    tries: u32,
    until: Instant,
    /// An ignored change is tried at once when it would be another one.
    only: Option<(Option<Rrset>, Option<Rrset>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Portion {
    /// The whole plan.
    Whole,
    /// The generation record alone: is it the zone that BIND refuses, or some name?
    Record,
    /// So many parts.
    Parts(usize),
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
            generation: None,
            maybe: None,
            twin: false,
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

    /// Whether an MX in it points to this name, or could: nothing is known of a zone that was not read.
    #[must_use]
    pub fn may_target(&self, name: &OwnerName) -> bool {
        let exchanges = |seen: &Seen| {
            seen.rrsets.values().flat_map(|set| &set.rdata).filter_map(plan::exchange).any(|exchange| exchange == name)
        };
        self.seen.as_ref().is_none_or(exchanges)
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
        if let Some(sent) = &self.sent {
            return (Step::Read(sent.changes.iter().map(|change| change.id.owner.clone()).collect()), Vec::new());
        }
        let recipes = turn.recipes();
        let Some(seen) = &self.seen else {
            return (Step::Read(self.names(&recipes)), Vec::new());
        };
        if recipes.keys().any(|id| !seen.names.contains(&id.owner)) {
            return (Step::Read(self.names(&recipes)), Vec::new());
        }
        if let Some((state, words)) = self.not_ours(turn, seen, &recipes) {
            let events = self.enter(state, Some(words), None);
            return (self.poll(turn.now, &recipes), events);
        }
        let mut plan = self.diff(turn, seen, &recipes);
        let claim = self.claims(seen, &plan, &recipes);
        let held = turn.hold_edits && hold_edits(&mut plan, &recipes);
        skip_troubles(&mut self.troubles, turn.now, &mut plan);
        plan::keep_targets(&mut plan.changes, &seen.rrsets, turn.is_target_elsewhere);
        if plan.changes.is_empty() && !claim {
            let wrong = self.what_is_wrong(&plan);
            let state = if wrong.is_some() {
                ZoneState::Failing
            } else if held {
                ZoneState::Pending
            } else {
                ZoneState::InSync
            };
            self.failures = 0;
            remember(Arc::make_mut(&mut self.owned), turn, seen, &recipes);
            let events = self.enter(state, wrong, None);
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
        self.sent =
            Some(Sent { why: update.changes.iter().map(why).collect(), changes: update.changes.clone(), generation });
        (Step::Write(update), Vec::new())
    }

    /// Takes in what became of the last step. Then ask [`Zone::next`], at once or when [`Zone::wake_at`] says.
    pub fn done(&mut self, turn: Turn<'_>, done: Done) -> Vec<Event> {
        match done {
            Done::Read(Ok(reading)) => match self.sent.take() {
                Some(sent) => self.read_back(turn, sent, reading),
                None => self.read(turn, reading),
            },
            Done::Serial(Ok(serial)) => {
                self.polled_at = Some(turn.now);
                if self.seen.as_ref().is_some_and(|seen| seen.serial != serial) {
                    self.seen = None;
                }
                Vec::new()
            }
            Done::Read(Err(failure)) | Done::Serial(Err(failure)) => {
                self.sent = None;
                self.seen = None;
                self.fail(turn.now, failure.words, failure.code)
            }
            Done::Write(Ok(verdict)) => self.written(turn, &verdict),
            Done::Write(Err(failure)) => {
                let sent = self.sent.take();
                if failure.sent {
                    self.maybe = sent.map(|sent| sent.generation);
                    self.seen = None;
                }
                self.fail(turn.now, failure.words, failure.code)
            }
        }
    }

    /// A whole reading: the zone is what it says, and whose it is follows from the generation.
    fn read(&mut self, turn: Turn<'_>, reading: Reading) -> Vec<Event> {
        let mut events = Vec::new();
        let known = self.generation;
        if let Some(record) = reading.generation.record().filter(|record| is_me(record, turn.me)) {
            let forward = known.is_some_and(|known| record.generation > known);
            self.twin = forward && self.maybe != Some(record.generation) && !self.adopt;
            if !self.twin {
                events.extend(self.went_back(record.generation));
                self.generation = Some(record.generation);
                // A message of an earlier life may be late, as may one that was given up: both take the next number.
                let late = known.is_none() || (self.maybe.is_some() && known == self.generation);
                self.maybe = late.then(|| record.generation.saturating_add(1));
            }
        }
        if known.is_some() && known == self.generation && !self.twin {
            events.extend(self.drift(turn, &reading.rrsets));
        }
        self.believed = None;
        self.read_at = Some(turn.now);
        self.polled_at = Some(turn.now);
        let names = self.names(&turn.recipes());
        let Reading { soa, generation, rrsets } = reading;
        self.seen = Some(Seen { serial: soa.serial, generation, rrsets, names });
        events
    }

    /// A zone restored from a backup has an older record: we go on from it, but somebody should know.
    fn went_back(&self, generation: u64) -> Option<Event> {
        let known = self.generation.filter(|known| generation < *known)?;
        let words = format!(
            "{}: the generation went back from {known} to {generation}: was the zone restored from a backup? it is brought up to date",
            self.name
        );
        Some(Event::new(Kind::Drift, words).zone(&self.name).generation(generation))
    }

    /// Managed `RRsets` that are no longer what we last saw there: somebody edited them by hand.
    fn drift(&self, turn: Turn<'_>, now: &Rrsets) -> Vec<Event> {
        let Some(believed) = &self.believed else { return Vec::new() };
        let recipes = turn.recipes();
        let managed = recipes.keys().filter(|id| self.owned.contains_key(*id));
        managed
            .filter(|id| believed.get(*id) != now.get(*id))
            .map(|id| {
                let (before, after) = (words::set(believed.get(id)), words::set(now.get(id)));
                let words = format!("{id} was changed by somebody else, from {before} to {after}: it is put back");
                Event::new(Kind::Drift, words).zone(&self.name).rrset(id)
            })
            .collect()
    }

    /// BIND's answer to our message.
    fn written(&mut self, turn: Turn<'_>, verdict: &Verdict) -> Vec<Event> {
        if matches!(verdict, Verdict::Applied) {
            if let (Some(seen), Some(sent)) = (&mut self.seen, &self.sent) {
                let record = GenerationRecord {
                    cluster: turn.me.cluster.clone(),
                    owner: turn.me.owner.clone(),
                    generation: sent.generation,
                };
                seen.generation = (&record).into();
                self.generation = Some(sent.generation);
                self.twin = false;
                self.adopt = false;
                self.portion = self.portion.after_success();
            }
            return Vec::new();
        }
        let sent = self.sent.take();
        match verdict {
            // Somebody else wrote in between: the record tells who.
            Verdict::GuardFailed => {
                self.seen = None;
                self.believed = None;
                Vec::new()
            }
            Verdict::Refused | Verdict::ServFail => self.refused(turn.now, verdict, sent),
            other => self.fail(turn.now, other.words(&self.name), Some(other.code().to_owned())),
        }
    }

    /// BIND refused a message: is it the zone as a whole, or one name in it? Halve until that one stands alone.
    fn refused(&mut self, now: Instant, verdict: &Verdict, sent: Option<Sent>) -> Vec<Event> {
        let changes = sent.map(|sent| sent.changes).unwrap_or_default();
        match (self.portion, changes.as_slice()) {
            (Portion::Record, _) | (_, []) => {
                self.portion = Portion::Whole;
                self.fail(now, verdict.words(&self.name), Some(verdict.code().to_owned()))
            }
            (Portion::Whole, _) => {
                self.portion = Portion::Record;
                Vec::new()
            }
            (Portion::Parts(_), [guilty]) => {
                let tries = self.troubles.get(&guilty.id).map_or(0, |trouble| trouble.tries).saturating_add(1);
                let words = format!("{}: {}", guilty.id, verdict.words(&self.name));
                let trouble = Trouble { words, tries, until: now + self.backoff(tries), only: None };
                self.troubles.insert(guilty.id.clone(), trouble);
                self.portion = Portion::Parts(usize::MAX);
                Vec::new()
            }
            (Portion::Parts(_), several) => {
                self.portion = Portion::Parts(several.len().div_ceil(2));
                Vec::new()
            }
        }
    }

    /// NOERROR is not "applied" (measured): what was changed is read, and only then told.
    fn read_back(&mut self, turn: Turn<'_>, sent: Sent, reading: Reading) -> Vec<Event> {
        let Some(seen) = &mut self.seen else { return Vec::new() };
        seen.serial = reading.soa.serial;
        let still_ours = reading.generation.record().map(|record| record.generation) == Some(sent.generation);
        let read: BTreeSet<_> = sent.changes.iter().map(|change| &change.id.owner).collect();
        seen.rrsets.retain(|id, _| !read.contains(&id.owner));
        seen.rrsets.extend(reading.rrsets);
        self.polled_at = Some(turn.now);
        let mut events = Vec::new();
        for (change, why) in sent.changes.into_iter().zip(sent.why) {
            let found = seen.rrsets.get(&change.id);
            if found == change.after.as_ref() {
                self.troubles.remove(&change.id);
                let words = format!("{why} (generation {})", sent.generation);
                let event = Event::new(Kind::Published, words).zone(&self.name).rrset(&change.id);
                events.push(event.generation(sent.generation));
            } else {
                let words = words::ignored(&change, &seen.rrsets);
                let only = Some((found.cloned(), change.after));
                self.troubles.insert(change.id, Trouble { words, tries: 1, until: turn.now + READ_EVERY, only });
            }
        }
        if !still_ours {
            self.seen = None;
        }
        events
    }

    /// The zone as a whole cannot be read or written: tell it and wait.
    fn fail(&mut self, now: Instant, words: String, rcode: Option<String>) -> Vec<Event> {
        self.failures = self.failures.saturating_add(1);
        self.wake_at = Some(now + self.backoff(self.failures));
        // Without an answer it is the server that fails, not the zone: that is told once, for all zones.
        let silent = rcode.is_none() && !self.told;
        let mut events = self.enter(ZoneState::Failing, Some(words), rcode);
        if silent {
            events.clear();
        }
        self.told = !silent;
        events
    }

    /// Full jitter under a doubling ceiling. Drawn from the zone's name, so that the same inputs give the same wait.
    fn backoff(&self, tries: u32) -> Duration {
        let ceiling = RETRY.1.min(RETRY.0.saturating_mul(1 << tries.saturating_sub(1).min(10)));
        let seed = format!("{tries} {}", self.name);
        let [draw, ..] = Sha256::digest(seed).0;
        RETRY.0.max(ceiling.mul_f64(f64::from(draw) / 255.0))
    }

    /// Whose the zone is, when it is not ours to write.
    fn not_ours(
        &self,
        turn: Turn<'_>,
        seen: &Seen,
        recipes: &BTreeMap<RrsetId, Recipe>,
    ) -> Option<(ZoneState, String)> {
        if self.adopt {
            return None;
        }
        match &seen.generation {
            GenerationRrset::Absent => {
                let foreign = recipes.keys().filter(|id| !self.owned.contains_key(*id)).find_map(|id| {
                    let set = seen.rrsets.get(id)?;
                    let stranger = set.rdata.iter().find(|rdata| !is_known(turn, id, rdata))?;
                    Some(words::foreign(&self.name, id, stranger))
                });
                foreign.map(|words| (ZoneState::Foreign, words))
            }
            GenerationRrset::Present { record: None, .. } => {
                Some((ZoneState::Foreign, words::foreign_record(&self.name)))
            }
            GenerationRrset::Present { record: Some(record), .. } if record.cluster != turn.me.cluster => {
                Some((ZoneState::Foreign, words::other_cluster(&self.name, record)))
            }
            GenerationRrset::Present { record: Some(record), .. } if !is_me(record, turn.me) => {
                Some((ZoneState::Standby, words::other_owner(&self.name, record)))
            }
            GenerationRrset::Present { .. } if self.twin => Some((ZoneState::Standby, words::twin(&self.name))),
            GenerationRrset::Present { .. } => None,
        }
    }

    /// The names to read: those of the file, those that we own.
    fn names(&self, recipes: &BTreeMap<RrsetId, Recipe>) -> BTreeSet<OwnerName> {
        recipes.keys().chain(self.owned.keys()).map(|id| id.owner.clone()).collect()
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

    /// Whether the record alone is to be written: the zone is as it should be, but not marked as ours yet.
    fn claims(&self, seen: &Seen, plan: &Plan, recipes: &BTreeMap<RrsetId, Recipe>) -> bool {
        let marked = seen.generation.record().is_some() && !self.adopt;
        !marked && plan.blocked.is_empty() && recipes.keys().any(|id| seen.rrsets.contains_key(id))
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
            return Step::Read(self.names(recipes));
        }
        if due(self.polled_at, SERIAL_EVERY) {
            return Step::Serial;
        }
        let retries = self.troubles.values().map(|trouble| trouble.until).filter(|until| *until > now);
        self.wake_at = retries.chain(self.polled_at.map(|at| at + SERIAL_EVERY)).min();
        Step::Rest
    }

    /// Goes to a state, and tells it if it is news.
    fn enter(&mut self, state: ZoneState, error: Option<String>, rcode: Option<String>) -> Vec<Event> {
        let was = self.state;
        let news = (was, self.error.as_deref()) != (state, error.as_deref());
        self.state = state;
        self.error = error;
        let words = self.error.clone().unwrap_or_default();
        let kind = match state {
            _ if !news => return Vec::new(),
            ZoneState::Failing => Kind::ZoneFailing,
            ZoneState::Foreign => Kind::ZoneForeign,
            ZoneState::Standby => Kind::ZoneStandby,
            ZoneState::InSync if std::mem::take(&mut self.told) => {
                let words = format!("{}: in sync again, was {}", self.name, was.as_str());
                return vec![Event::new(Kind::ZoneRecovered, words).zone(&self.name)];
            }
            ZoneState::InSync | ZoneState::Pending => return Vec::new(),
        };
        self.told = true;
        let mut event = Event::new(kind, format!("{}: {words}", self.name)).zone(&self.name).reason(words);
        event.rcode = rcode;
        vec![event]
    }
}

/// What a zone's plan comes to, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The zone.
    pub zone: OwnerName,
    /// What would be changed.
    pub plan: Plan,
    /// Whether the zone's first generation record would be written.
    pub claim: bool,
    /// Whether the zone has no record of ours yet.
    pub is_first: bool,
    /// Why nothing would be written at all.
    pub not_ours: Option<(ZoneState, String)>,
}

impl Portion {
    fn of(self, changes: Vec<Change>) -> Vec<Change> {
        let many = match self {
            Self::Whole => usize::MAX,
            Self::Record => 0,
            Self::Parts(many) => many,
        };
        changes.into_iter().take(many).collect()
    }

    /// The record alone was accepted: some name is to blame. A part was accepted: the rest may be too.
    const fn after_success(self) -> Self {
        match self {
            Self::Whole => Self::Whole,
            Self::Record => Self::Parts(usize::MAX),
            Self::Parts(many) => Self::Parts(many),
        }
    }
}

/// What is ours: all that the file lists and the zone has, and what the file no longer lists but still holds our data.
fn remember(owned: &mut Owned, turn: Turn<'_>, seen: &Seen, recipes: &BTreeMap<RrsetId, Recipe>) {
    owned.retain(|id, ours| {
        recipes.contains_key(id)
            || seen
                .rrsets
                .get(id)
                .is_some_and(|set| plan::is_ours(id, set, ours, &|id, rdata| is_known(turn, id, rdata)))
    });
    for id in recipes.keys() {
        if let Some(set) = seen.rrsets.get(id)
            && owned.get(id) != Some(&set.rdata)
        {
            owned.insert(id.clone(), set.rdata.clone());
        }
    }
}

/// Leaves out what BIND refused or ignored until it is time to try again.
fn skip_troubles(troubles: &mut BTreeMap<RrsetId, Trouble>, now: Instant, plan: &mut Plan) {
    troubles.retain(|id, _| plan.changes.iter().any(|change| change.id == *id));
    plan.changes.retain(|change| {
        troubles.get(&change.id).is_none_or(|trouble| {
            let same = trouble.only.as_ref().is_none_or(|only| (&only.0, &only.1) == (&change.before, &change.after));
            now >= trouble.until || !same
        })
    });
}

/// Takes changes that come from an edit out of the plan; whether there were any.
fn hold_edits(plan: &mut Plan, recipes: &BTreeMap<RrsetId, Recipe>) -> bool {
    let before = plan.changes.len();
    plan.changes.retain(|change| !plan::is_by_edit(change, recipes.get(&change.id)));
    plan.changes.len() < before
}

fn is_me(record: &GenerationRecord, me: &Identity) -> bool {
    record.cluster == me.cluster && record.owner == me.owner
}

/// Whether data belongs to this cluster: a node's address, an exchange or an alias of the file.
fn is_known(turn: Turn<'_>, id: &RrsetId, rdata: &Rdata) -> bool {
    let cluster = turn.cluster;
    match rdata {
        Rdata::A(v4) => cluster.nodes.values().any(|node| node.addresses.contains(&(*v4).into())),
        Rdata::Aaaa(v6) => cluster.nodes.values().any(|node| node.addresses.contains(&(*v6).into())),
        Rdata::Mx { exchange, .. } => layout::all_exchanges(cluster, &id.owner).any(|known| known == *exchange),
        Rdata::Cname(target) => cluster.services.values().any(|service| service.is_alias_of(target)),
    }
}
