//! All zones of a cluster: who gets a turn next, and whether anything may be written at all.
//!
//! This is the whole of deciding. It is told of a new file, of new health, of time and of answers, and says which
//! step of which zone comes next; `io::reconcile` carries the steps out.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Instant, SystemTime},
};

use crate::{
    cluster::Cluster,
    control::Answer,
    desired::{Extent, Shortage},
    dns::OwnerName,
    event::{Event, Kind},
    health::HealthView,
    layout::Layout,
    overrides::Overrides,
    settling::Settling,
    standings::Standings,
    status::{Clocks, ServerState, ZoneState},
    zone::{Done, Identity, Memory, Preview, Scope, Step, Turn, Zone},
};

mod adopt;
mod alarms;
mod asking;
mod calls;
mod edits;
mod gap;
mod gate;
mod left_over;
#[cfg(test)]
pub(crate) mod model;
mod operator;
mod queue;
#[cfg(test)]
mod sequences;
mod server;
mod sync;
mod tally;
#[cfg(test)]
mod tests;
mod told;

use self::{
    alarms::Alarms,
    asking::Asking,
    edits::Edits,
    queue::Queue,
    server::{Heard, Server},
    sync::Sync,
    tally::Tally,
};
pub use self::{
    asking::{Sets, summary},
    edits::{HeldEdit, Judged},
};

/// What becomes of a command.
#[derive(Debug)]
pub enum Reply {
    /// It is done, or refused.
    Now(Answer),
    /// It is under way: [`Rota::answers`] has the answer with this ticket.
    Later(Ticket),
}

/// Tells those apart who wait for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// All zones.
#[derive(Debug)]
pub struct Rota {
    me: Identity,
    cluster: Arc<Cluster>,
    layout: Layout,
    health: Arc<HealthView>,
    /// How many gaps there have been: health from before the newest is stale.
    gaps: u64,
    /// Whose edit is still waited for: who stays published until its checks are decided.
    settling: Settling,
    standings: Standings,
    /// While the file that rotad was started with waits: the same with every node ready, for nobody has let through whom it
    /// takes out.
    undrained: Option<Arc<Cluster>>,
    shortages: BTreeMap<Shortage, Extent>,
    zones: BTreeMap<OwnerName, Zone>,
    /// Counts over `zones`: whoever changes one takes it out first.
    tally: Tally,
    /// Counts the changes of what is to be remembered.
    revision: u64,
    /// Zones that want a turn now or have one.
    queue: Queue,
    /// Zones that want a turn later.
    alarms: Alarms,
    /// Zones whose step was under way when the loop stood still.
    stale: BTreeSet<OwnerName>,
    /// Zones that wait for what others do.
    waiting: BTreeSet<OwnerName>,
    server: Server,
    overrides: Overrides,
    /// One moment on both clocks: what is stamped is stamped by it.
    clocks: Clocks,
    /// What may be written.
    scope: Scope,
    /// When the first round began: `first_round` later it ends although not every check has answered.
    round_began: Instant,
    first_round_done: bool,
    /// Whether zones are only looked at.
    looks_only: bool,
    /// What becomes of an edit that changes more than `max_change`.
    edits: Edits,
    /// The newest file, if it is not in force, or not wholly.
    held_edit: Option<HeldEdit>,
    /// The hash of the file in force.
    file: String,
    /// That of the file which an earlier run let through.
    let_through: Option<String>,
    /// Zones with a message under way.
    writing: BTreeSet<OwnerName>,
    /// Who waits for zones to be read.
    syncs: BTreeMap<Ticket, Sync>,
    /// Who waits for what becomes of `withdraw` and `restore`.
    askings: BTreeMap<Ticket, Asking>,
    /// How many tickets there have been.
    tickets: u64,
    /// When BIND last ended a connection, and every zone was looked at for that.
    broke_at: Option<Instant>,
}

impl Rota {
    /// A rota that has seen nothing yet. `force` lets an edit of any size through.
    #[must_use]
    pub fn new(
        now: Instant,
        me: Identity,
        cluster: Arc<Cluster>,
        remembered: BTreeMap<OwnerName, Arc<Memory>>,
        force: bool,
    ) -> Self {
        let layout = Layout::new(&cluster);
        let health = Arc::new(HealthView::default());
        let settling = Settling::all(&cluster);
        let mut rota = Self {
            round_began: now,
            server: Server::new(cluster.bind.max_in_flight),
            overrides: Overrides::default(),
            standings: Standings::new(&cluster, &health, &settling),
            undrained: None,
            settling,
            clocks: Clocks { now, wall: SystemTime::UNIX_EPOCH },
            scope: Scope::Everything,
            shortages: BTreeMap::new(),
            zones: BTreeMap::new(),
            tally: Tally::default(),
            revision: 0,
            queue: Queue::new(cluster.bind.connections),
            alarms: Alarms::default(),
            stale: BTreeSet::new(),
            gaps: 0,
            waiting: BTreeSet::new(),
            first_round_done: false,
            edits: if force { Edits::Free } else { Edits::Unjudged },
            held_edit: None,
            file: String::new(),
            let_through: None,
            writing: BTreeSet::new(),
            syncs: BTreeMap::new(),
            askings: BTreeMap::new(),
            tickets: 0,
            broke_at: None,
            looks_only: false,
            me,
            cluster,
            layout,
            health,
        };
        for (name, memory) in remembered {
            rota.put(Zone::new(name.clone(), memory), name);
        }
        rota.match_zones();
        rota
    }

    /// The same, but it never writes: for a dry run.
    #[must_use]
    pub fn looking_only(self) -> Self {
        Self { looks_only: true, ..self }
    }

    /// The wall clock, for what is stamped.
    pub const fn set_clocks(&mut self, clocks: Clocks) {
        self.clocks = clocks;
    }

    /// The file in force.
    #[must_use]
    pub const fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// The zones by name.
    #[must_use]
    pub const fn zones(&self) -> &BTreeMap<OwnerName, Zone> {
        &self.zones
    }

    /// What is to be remembered of the zones.
    #[must_use]
    pub fn remembered(&self) -> BTreeMap<OwnerName, Arc<Memory>> {
        self.zones.iter().map(|(name, zone)| (name.clone(), Arc::clone(zone.memory()))).collect()
    }

    /// A number that is another one whenever [`Rota::remembered`] is. It begins with 0 for what was given to
    /// [`Rota::new`].
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// How many zones are in each state that any is in.
    #[must_use]
    pub const fn states(&self) -> &BTreeMap<ZoneState, usize> {
        self.tally.states()
    }

    /// Whether no zone has a step under way or wants one now.
    #[cfg(test)]
    fn is_idle(&self) -> bool {
        self.queue.under_way() == 0 && self.queue.is_empty()
    }

    /// Whether BIND can be worked with, and since when it cannot.
    #[must_use]
    pub fn server_state(&self) -> (ServerState, Option<Instant>) {
        self.server.state()
    }

    /// Why BIND is waited for, if it is.
    #[must_use]
    pub fn server_trouble(&self) -> Option<&str> {
        self.server.trouble()
    }

    /// Why no zone can be asked, if BIND does not accept our signature.
    #[must_use]
    pub fn key_trouble(&self) -> Option<&str> {
        self.server.key_trouble()
    }

    /// How many steps are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.queue.under_way()
    }

    /// Takes in new health: the zones whose sets can come out otherwise get a turn.
    /// Health from before a gap is left aside.
    pub fn set_health(&mut self, health: Arc<HealthView>) -> Vec<Event> {
        if health.gaps < self.gaps {
            return Vec::new();
        }
        let was_blind = self.health.blind;
        self.health = health;
        // Answers to the questions of another file decide nothing of this one.
        if self.health.of.as_ref().is_none_or(|of| Arc::ptr_eq(of, &self.cluster)) {
            self.settling.observe(&self.cluster, &self.health);
        }
        let standings = Standings::new(self.deciding(), &self.health, &self.settling);
        let older = std::mem::replace(&mut self.standings, standings);
        if self.health.blind != was_blind {
            self.call_all();
        }
        let mut touched = BTreeSet::new();
        for (profile, zones) in self.cluster.profiles.iter().zip(&self.layout.by_profile) {
            if self.standings.differ_for(&older, profile) {
                touched.extend(zones.iter().cloned());
            }
        }
        for zone in &touched {
            self.call(zone);
        }
        self.tell_shortages()
    }

    /// Calls the zones whose time has come, and ends the first round.
    pub fn tick(&mut self, now: Instant) -> Vec<Event> {
        match self.server.wake_at() {
            None => {
                for zone in self.alarms.ring(now) {
                    self.queue(&zone);
                }
            }
            // Somebody must ask whether BIND is back: whoever is to be served anyway, or else waits the shortest.
            Some(at) if now >= at && self.queue.is_empty() => {
                if let Some(zone) = self.alarms.ring_first() {
                    self.queue(&zone);
                }
            }
            Some(_) => {}
        }
        let released = self.overrides.tick(now);
        let mut events: Vec<_> = released.map(|event| self.tell_released(event)).into_iter().collect();
        if !events.is_empty() {
            self.call_all();
        }
        if !self.first_round_done && (self.health.first_round_done || now >= self.patience_ends()) {
            self.first_round_done = true;
            // Who does one thing and ends makes no checks for it.
            if self.scope == Scope::Everything {
                events.push(self.tell_first_round());
                events.extend(self.tell_shortages());
            }
            self.call_all();
        }
        if self.edits == Edits::Unjudged && self.first_round_done && self.tally.is_settled() {
            events.extend(self.judge(now));
            self.call_all();
        }
        events
    }

    /// When the first round ends although not every check has answered, by the file in force.
    fn patience_ends(&self) -> Instant {
        self.round_began + self.cluster.safety.first_round
    }

    /// When [`Rota::tick`] has something to do although nothing happens.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        let patience = (!self.first_round_done).then(|| self.patience_ends());
        let next = match self.server.wake_at() {
            None => self.alarms.next(),
            Some(at) => {
                let anybody = || !self.queue.is_empty() || self.alarms.next().is_some();
                Some(at).filter(|_| self.queue.under_way() == 0 && anybody())
            }
        };
        [next, patience, self.overrides.wake_at(), self.syncs_wake_at(), self.askings_wake_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next step that may be taken now, and its events.
    pub fn take(&mut self, now: Instant) -> (Option<(OwnerName, Step)>, Vec<Event>) {
        let (mut tried, mut events) = (VecDeque::new(), Vec::new());
        let step = self.take_of(now, &mut tried, &mut events);
        for name in tried {
            self.queue(&name);
        }
        (step, events)
    }

    /// Who has the next turn. While BIND is silent zones go one at a time, and one that alone gets no answer would hold up all
    /// others: those that were asked in vain are set aside, and come when there are no others.
    fn pop(&mut self, tried: &mut VecDeque<OwnerName>) -> Option<OwnerName> {
        while let Some(name) = self.queue.pop() {
            if !self.server.was_asked_in_vain(&name) {
                return Some(name);
            }
            tried.push_back(name);
        }
        tried.pop_front()
    }

    fn take_of(
        &mut self,
        now: Instant,
        tried: &mut VecDeque<OwnerName>,
        events: &mut Vec<Event>,
    ) -> Option<(OwnerName, Step)> {
        while self.server.has_room(now, self.queue.under_way()) {
            let Some(name) = self.pop(tried) else { break };
            if self.queue.is_busy(&name) {
                continue;
            }
            let Some((step, told)) = self.with_zone(&name, now, Zone::next) else { continue };
            self.note_for_syncs(&name, &told);
            events.extend(told);
            events.extend(self.note_outcomes(&name));
            if step == Step::Rest {
                self.rests_for_syncs(&name);
                self.put_down(&name);
            } else {
                if matches!(step, Step::Write(_)) {
                    self.writing.insert(name.clone());
                }
                self.queue.begin(name.clone(), self.server.answers());
                return Some((name, step));
            }
        }
        None
    }

    /// Takes in what became of a step.
    pub fn done(&mut self, now: Instant, name: &OwnerName, mut done: Done) -> Vec<Event> {
        let began = self.queue.end(name).unwrap_or_default();
        self.writing.remove(name);
        if self.stale.remove(name) {
            self.with_zone(name, now, |zone, _| zone.forget());
            self.call(name);
            return Vec::new();
        }
        let address = self.cluster.bind.server;
        let is_alone = self.zones.get(name).is_some_and(Zone::is_alone);
        let began = (began, is_alone);
        let mut events: Vec<_> = self.server.answered(now, (name, &mut done), began, address).into_iter().collect();
        events.extend(self.server.recognized(now, (name, &done), address, |zone| self.zones.contains_key(zone)));
        if events.iter().any(|event| event.kind == Kind::PrimaryBack) {
            self.look_anew();
        }
        let heard = Heard::of(&done);
        let told = self.with_zone(name, now, |zone, turn| zone.done(turn, done)).unwrap_or_default();
        let is_done = self.zones.get(name).is_none_or(|zone| zone.state() == ZoneState::InSync);
        events.extend(self.server.update_heard(now, (name, heard), is_done, |zone| self.zones.contains_key(zone)));
        self.note_for_syncs(name, &told);
        events.extend(told);
        events.extend(self.note_outcomes(name));
        let wants_reading = self.zones.get(name).is_some_and(Zone::wants_reading);
        let later = self.zones.get(name).and_then(Zone::wake_at);
        match later {
            Some(at) if at > now && !wants_reading => {
                self.rests_for_syncs(name);
                self.set_alarm(name, Some(at));
            }
            _ => self.queue(name),
        }
        // Not at every answer: with many zones under way each would look at all of them.
        if self.queue.under_way() == 0 {
            for name in std::mem::take(&mut self.waiting) {
                self.call(&name);
            }
        }
        events
    }

    /// What each zone would have changed; zones that could not be read are left out.
    #[must_use]
    pub fn previews(&self, now: Instant) -> Vec<Preview> {
        // By the file as it is, though it waits.
        let standings = Standings::new(&self.cluster, &self.health, &self.settling);
        let previews = self.zones.iter().filter_map(|(name, zone)| {
            let elsewhere = |target: &OwnerName| self.is_target_elsewhere(name, target);
            let turn = self.turn(now, name, &elsewhere);
            zone.preview(Turn { cluster: &self.cluster, standings: &standings, ..turn })
        });
        previews.collect()
    }

    /// A ticket that nobody has.
    fn ticket(&mut self) -> Ticket {
        self.tickets = self.tickets.wrapping_add(1);
        Ticket(self.tickets)
    }

    /// Lets a zone work with the newest snapshot.
    fn with_zone<T>(
        &mut self,
        name: &OwnerName,
        now: Instant,
        work: impl FnOnce(&mut Zone, Turn<'_>) -> T,
    ) -> Option<T> {
        // All zones aside for the turn, which looks at the rest of us while it changes one of them.
        let mut zones = std::mem::take(&mut self.zones);
        let result = zones.get_mut(name).map(|zone| {
            let remembered = Arc::clone(zone.memory());
            self.tally.remove(zone);
            let result = work(zone, self.turn(now, name, &|target| self.tally.is_target_beside(None, target)));
            self.tally.add(zone);
            (result, !Arc::ptr_eq(&remembered, zone.memory()))
        });
        self.zones = zones;
        let (result, is_other) = result?;
        self.revision += u64::from(is_other);
        Some(result)
    }

    fn put(&mut self, zone: Zone, name: OwnerName) {
        self.tally.add(&zone);
        self.zones.insert(name, zone);
    }

    fn turn<'a>(
        &'a self,
        now: Instant,
        name: &OwnerName,
        is_target_elsewhere: &'a dyn Fn(&OwnerName) -> bool,
    ) -> Turn<'a> {
        Turn {
            now,
            clocks: self.clocks,
            scope: &self.scope,
            cluster: self.deciding(),
            layout: self.layout.zones.get(name),
            standings: &self.standings,
            me: &self.me,
            may_write: self.may_write(),
            hold_edits: self.edits == Edits::Held,
            is_let_through: self.edits == Edits::Free,
            is_target_elsewhere,
        }
    }

    fn is_target_elsewhere(&self, here: &OwnerName, target: &OwnerName) -> bool {
        self.tally.is_target_beside(self.zones.get(here), target)
    }
}
