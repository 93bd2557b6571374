//! A world for tests: a model of BIND that answers as the real one was measured to, and rotas that work with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

mod bind;

pub(crate) use self::bind::{Bind, Content};
use super::Rota;
use crate::{
    check::{Outcome, Target},
    checker::Checked,
    cluster::{AdminState, CheckName, Cluster, LeftOvers, NodeName},
    config::fixture,
    desired::{self, Contribution},
    dns::{OwnerName, Rdata, RrType, Rrset, RrsetId, Ttl},
    event::{Event, Kind},
    health::{Health, HealthView, State, Trial},
    io::clock,
    layout::Layout,
    plan::{self, Change},
    settling::Settling,
    standings::{Standing, Standings},
    status::{Clocks, ZoneState},
    update::{GenerationRrset, Update, Verdict},
    zone::{Done, Failure, Identity, Memory, Silence, Step, Zone},
};

pub(crate) fn name(text: &str) -> OwnerName {
    OwnerName::from_presentation(text)
}

/// `imap.example.org A`.
pub(crate) fn id(text: &str) -> RrsetId {
    let (owner, rtype) = text.rsplit_once(' ').unwrap();
    let rtype = RrType::ALL.into_iter().find(|known| known.as_str() == rtype).unwrap();
    RrsetId { owner: name(owner), rtype }
}

/// `60 192.0.2.10 192.0.2.11`, `60 10:mx.example.org`, `60 target.example.org`: the TTL, then data without spaces.
pub(crate) fn rrset(rtype: RrType, text: &str) -> Rrset {
    let (ttl, data) = text.split_once(' ').unwrap();
    let rdata = data.split(' ').map(|data| match rtype {
        RrType::A => Rdata::A(data.parse().unwrap()),
        RrType::Aaaa => Rdata::Aaaa(data.parse().unwrap()),
        RrType::Cname => Rdata::Cname(name(data)),
        RrType::Mx => {
            let (preference, exchange) = data.split_once(':').unwrap();
            Rdata::Mx { preference: preference.parse().unwrap(), exchange: name(exchange) }
        }
    });
    Rrset { ttl: Ttl(ttl.parse().unwrap()), rdata: rdata.collect() }
}

/// The reverse, without the TTL; "-" for no set.
pub(crate) fn data(set: Option<&Rrset>) -> String {
    let text = |rdata: &Rdata| match rdata {
        Rdata::Mx { preference, exchange } => format!("{preference}:{exchange}"),
        Rdata::Cname(target) => target.to_string(),
        address => address.to_string(),
    };
    set.map_or_else(|| "-".to_owned(), |set| set.rdata.iter().map(text).collect::<Vec<_>>().join(" "))
}

pub(crate) fn identity(owner: &str) -> Identity {
    Identity { cluster: "mail".to_owned(), owner: owner.to_owned() }
}

/// A file with the usual head.
pub(crate) fn cluster(yaml: &str) -> Arc<Cluster> {
    Arc::new(fixture::cluster(&format!("{}{yaml}", fixture::HEAD)))
}

/// A rota and what it is about to do.
#[derive(Debug)]
pub(crate) struct Client {
    pub rota: Rota,
    /// Each with the file that it was made from.
    pub in_flight: Vec<(OwnerName, Step, Arc<Cluster>)>,
    pub events: Vec<Event>,
}

impl Client {
    pub fn new(
        now: Instant,
        owner: &str,
        cluster: &Arc<Cluster>,
        remembered: BTreeMap<OwnerName, Arc<Memory>>,
    ) -> Self {
        let rota = Rota::new(now, identity(owner), Arc::clone(cluster), remembered, false);
        Self { rota, in_flight: Vec::new(), events: Vec::new() }
    }

    pub fn remembered(&self) -> BTreeMap<OwnerName, Arc<Memory>> {
        self.rota.remembered()
    }

    /// Takes one step.
    pub fn start(&mut self, now: Instant) -> bool {
        self.events.extend(self.rota.tick(now));
        let (step, events) = self.rota.take(now);
        self.events.extend(events);
        self.assert_all_passed();
        let Some((zone, step)) = step else { return false };
        if let Step::Write(update) = &step {
            self.check_leaving(update);
        }
        assert!(self.in_flight.iter().all(|(other, ..)| *other != zone), "two steps under way in {zone}");
        self.in_flight.push((zone, step, Arc::clone(self.rota.cluster())));
        true
    }

    /// 13: whoever is in the file, is ready, and leaves a shared set, is known to be down by what the file asks.
    fn check_leaving(&self, update: &Update) {
        let (cluster, health) = (&self.rota.cluster, &self.rota.health);
        let layout = Layout::new(cluster);
        let Some(layout) = layout.zones.get(&update.zone) else { return };
        let recipes = desired::recipes(cluster, layout, &Standings::new(cluster, health, &Settling::default()));
        for change in &update.changes {
            let (Some(before), Some(recipe)) = (&change.before, recipes.get(&change.id)) else { continue };
            let stays = |rdata: &Rdata| change.after.as_ref().is_some_and(|after| after.rdata.contains(rdata));
            for rdata in before.rdata.iter().filter(|rdata| !stays(rdata)) {
                let members = recipe.contributions.iter().filter_map(|contribution| match contribution {
                    Contribution::Pool { members, .. } => members.iter().find(|member| member.rdata == *rdata),
                    Contribution::Pinned { .. } | Contribution::Fixed(_) | Contribution::Hosts(_) => None,
                });
                for member in members.filter(|member| member.admin_state == AdminState::Ready) {
                    let is_down = matches!(member.state, Standing::Down | Standing::Reserve);
                    assert!(is_down, "{} leaves {} and is {:?}", member.node, change.id, member.state);
                }
            }
        }
    }

    pub fn finish(&mut self, now: Instant, zone: &OwnerName, done: Done) {
        let events = self.rota.done(now, zone, done);
        self.events.extend(events);
    }

    /// No message was stopped by the checker.
    fn assert_all_passed(&self) {
        let stopped = self.events.iter().find(|event| event.kind == Kind::MessageStopped);
        assert!(stopped.is_none(), "{stopped:?}");
    }

    pub fn zone(&self, zone: &str) -> &Zone {
        &self.rota.zones()[zone]
    }

    pub fn state(&self, zone: &str) -> ZoneState {
        self.zone(zone).state()
    }

    pub fn error(&self, zone: &str) -> &str {
        self.zone(zone).error().unwrap_or_default()
    }

    /// The lines of a kind so far, which are then forgotten.
    pub fn told(&mut self, kind: Kind) -> Vec<String> {
        let events = std::mem::take(&mut self.events);
        events.into_iter().filter(|event| event.kind == kind).map(|event| event.message).collect()
    }
}

/// What becomes of a message on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    /// BIND does what is asked, and the answer is lost.
    AnswerLost,
    /// Given up, but BIND may get to it later.
    Late,
    /// The connection is refused.
    Unsent,
}

/// One BIND, one or more rotas, one clock, one health.
#[derive(Debug)]
pub(crate) struct World {
    pub now: Instant,
    pub bind: Bind,
    pub clients: Vec<Client>,
    pub health: BTreeMap<Target, State>,
    /// Targets that are asked something new since an edit, and have not answered.
    pub trials: BTreeSet<Target>,
    /// The whole health of those that are asked probe by probe.
    pub asked: BTreeMap<Target, Health>,
    gaps: u64,
    /// Messages that were given up, with the file that they come from.
    pub late: Vec<Sent>,
    /// Every message that was sent.
    pub sent: Vec<Sent>,
    /// What operators have withdrawn so far.
    pub withdrawn: BTreeSet<RrsetId>,
    /// Sets that any message has written, or taken over because their data were known.
    pub written: BTreeSet<RrsetId>,
    /// Sets of strangers that operators let us take over; `None`: nobody looks.
    pub adopted: Option<BTreeSet<RrsetId>>,
}

/// A message and the file in force when it was made.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub update: Box<Checked>,
    pub cluster: Arc<Cluster>,
}

impl World {
    /// A world with one rota, and health in which every node is up.
    pub fn new(cluster: &Arc<Cluster>) -> Self {
        let now = clock::now();
        let mut world = Self {
            now,
            bind: Bind::default(),
            clients: vec![Client::new(now, "us", cluster, BTreeMap::new())],
            health: BTreeMap::new(),
            trials: BTreeSet::new(),
            asked: BTreeMap::new(),
            gaps: 0,
            late: Vec::new(),
            sent: Vec::new(),
            withdrawn: BTreeSet::new(),
            written: BTreeSet::new(),
            adopted: None,
        };
        for zone in cluster.zones.keys() {
            world.bind.zones.insert(zone.clone(), Content { serial: 1, ..Content::default() });
        }
        world.all(State::Up);
        world
    }

    pub fn us(&mut self) -> &mut Client {
        &mut self.clients[0]
    }

    pub fn zone(&mut self, zone: &str) -> &mut Content {
        self.bind.zones.entry(name(zone)).or_default()
    }

    /// Every target of the first rota's file stands so.
    pub fn all(&mut self, state: State) {
        let cluster = Arc::clone(self.clients[0].rota.cluster());
        self.health = targets(&cluster).map(|target| (target, state)).collect();
        self.trials.clear();
        self.asked.clear();
        self.tell_health();
    }

    /// Nothing is known of anybody, and everybody is asked anew.
    pub fn ask_anew(&mut self) {
        self.asked.clear();
        self.trials = self.health.keys().cloned().collect();
        self.health.values_mut().for_each(|state| *state = State::Unknown);
        self.tell_health();
    }

    /// What each check of a node finds once.
    pub fn probe(&mut self, node: &str, outcome: &Outcome) {
        let cluster = Arc::clone(self.clients[0].rota.cluster());
        for target in self.health.keys().filter(|target| target.node.as_str() == node).cloned().collect::<Vec<_>>() {
            let Some(check) = cluster.checks.get(&target.check) else { continue };
            let begun = self.health_of(&target);
            let health = self.asked.entry(target.clone()).or_insert(begun);
            health.observe(&check.timing, self.now, outcome.clone(), Duration::ZERO);
            if health.trial.is_none() {
                self.trials.remove(&target);
            }
            self.health.insert(target, health.state);
        }
        self.tell_health();
    }

    /// All targets of a node stand so.
    pub fn node(&mut self, node: &str, state: State) {
        for target in self.health.keys().filter(|target| target.node.as_str() == node).cloned().collect::<Vec<_>>() {
            self.decide(target, state);
        }
        self.tell_health();
    }

    /// A check of a node has answered; that is told later.
    pub fn decide(&mut self, target: Target, state: State) {
        if state != State::Unknown {
            self.trials.remove(&target);
        }
        self.asked.remove(&target);
        self.health.insert(target, state);
    }

    fn health_of(&self, target: &Target) -> Health {
        let begun = || {
            let trial = self.trials.contains(target).then(|| Trial::new(self.now, Duration::from_mins(1), false));
            let state = self.health.get(target).copied().unwrap_or(State::Unknown);
            Health { state, trial, ..Health::new(self.now) }
        };
        self.asked.get(target).cloned().unwrap_or_else(begun)
    }

    pub fn view(&self) -> Arc<HealthView> {
        let targets = self.health.keys().map(|target| (target.clone(), Arc::new(self.health_of(target)))).collect();
        Arc::new(HealthView { targets, first_round_done: true, gaps: u64::MAX, ..HealthView::default() })
    }

    pub fn clocks(&self) -> Clocks {
        Clocks { now: self.now, wall: SystemTime::UNIX_EPOCH }
    }

    /// A rota stands still, and has no health since.
    pub fn stand_still(&mut self, at: usize) {
        let clocks = self.clocks();
        self.gaps += 1;
        let event = self.clients[at].rota.stood_still(clocks, self.gaps, Duration::from_secs(10));
        self.clients[at].events.push(event);
    }

    pub fn tell_health(&mut self) {
        let view = self.view();
        for client in &mut self.clients {
            let events = client.rota.set_health(Arc::clone(&view));
            client.events.extend(events);
        }
    }

    pub fn edit(&mut self, at: usize, cluster: &Arc<Cluster>) {
        let now = self.now;
        for zone in cluster.zones.keys() {
            self.bind.zones.entry(zone.clone()).or_default();
        }
        let client = &mut self.clients[at];
        let old = Arc::clone(client.rota.cluster());
        let events = client.rota.set_cluster(now, Arc::clone(cluster), "");
        client.events.extend(events);
        // The nodes are asked what the file in force says.
        let cluster = Arc::clone(client.rota.cluster());
        let mut settling = Settling::default();
        settling.edited(&old, &cluster);
        for target in targets(&cluster) {
            let is_asked_anew = old.checks.get(&target.check) != cluster.checks.get(&target.check);
            if is_asked_anew || !self.health.contains_key(&target) {
                self.health.insert(target.clone(), State::Unknown);
                self.asked.remove(&target);
                self.trials.insert(target);
            } else if settling.covers(&target) {
                // The state stays, and is to be confirmed.
                self.asked.remove(&target);
                self.trials.insert(target);
            }
        }
        self.tell_health();
    }

    /// The rota is killed and started anew from what it had saved.
    pub fn restart(&mut self, at: usize, cluster: &Arc<Cluster>, remembered: BTreeMap<OwnerName, Arc<Memory>>) {
        let owner = self.clients[at].rota.me.owner.clone();
        let abandoned = std::mem::take(&mut self.clients[at].in_flight);
        for (_, step, cluster) in abandoned {
            if let Step::Write(update) = step {
                self.late.push(Sent { update, cluster });
            }
        }
        self.clients[at] = Client::new(self.now, &owner, cluster, remembered);
        self.tell_health();
    }

    /// Sends a message to BIND, and looks at what it did.
    pub fn deliver(&mut self, sent: &Sent) -> Verdict {
        let before = self.bind.clone();
        let verdict = self.bind.update(&sent.update);
        if verdict == Verdict::Applied {
            self.check(&before, sent);
            self.written.extend(sent.update.changes.iter().map(|change| change.id.clone()));
            // With the record comes what is known: whatever people make of it later is put back.
            let sets = self.bind.zones.get(&sent.update.zone).into_iter().flat_map(|zone| &zone.rrsets);
            let known = sets.filter(|(_, set)| !set.rdata.iter().any(is_strange)).map(|(id, _)| id.clone());
            self.written.extend(known);
            if sent.update.is_last {
                // A message for a zone without a record would be applied: by then it is too old for TSIG.
                let is_first = |sent: &Sent| sent.update.guard == GenerationRrset::Absent;
                self.late.retain(|late| late.update.zone != sent.update.zone || !is_first(late));
                self.sent.retain(|old| old.update.zone != sent.update.zone || !is_first(old));
            }
        }
        verdict
    }

    /// The invariants that hold for every message that BIND applies.
    fn check(&self, before: &Bind, sent: &Sent) {
        let Sent { update, cluster } = sent;
        let nothing = Content::default();
        let (old, new) = (before.zones.get(&update.zone).unwrap_or(&nothing), &self.bind.zones[&update.zone]);
        // 1: no set that the file lists a node for is left empty.
        let layout = Layout::new(cluster);
        let standings = Standings::new(cluster, &HealthView::default(), &Settling::default());
        if let Some(zone) = layout.zones.get(&update.zone) {
            let recipes = desired::recipes(cluster, zone, &standings);
            for listed in recipes.keys() {
                let held = |content: &Content| content.stands(&listed.owner, |_| true);
                assert!(
                    !old.rrsets.contains_key(listed) || new.rrsets.contains_key(listed),
                    "{listed} was left empty by {update:?}"
                );
                assert!(!held(old) || held(new), "{} was left bare by {update:?}", listed.owner);
            }
        }
        // An edit deletes nothing that the file says is kept: what goes made room, or an operator wanted it to go.
        if cluster.safety.left_over == LeftOvers::Keep {
            let given = layout.zones.get(&update.zone);
            let given = given.map(|zone| desired::recipes(cluster, zone, &standings)).unwrap_or_default();
            for Change { id, .. } in update.changes.iter().filter(|change| change.after.is_none()) {
                let makes_room = plan::in_the_way(id).any(|other| given.contains_key(&other));
                assert!(makes_room || self.withdrawn.contains(id), "{id} was deleted by {update:?}");
            }
        }
        // 2: generations grow.
        if let Some(was) = old.record().filter(|_| !update.is_last) {
            let is = new.record().unwrap();
            assert!(is.generation > was.generation, "{was} became {is}");
        }
        // 8: no MX of the zone is left dangling that was not before.
        let (was, dangling) = (before.dangling(), self.bind.dangling());
        let dangling = dangling.difference(&was).cloned();
        let here = |name: &OwnerName| name.is_at_or_below(&update.zone);
        let dangling: Vec<_> = dangling.filter(|(id, target)| here(&id.owner) && here(target)).collect();
        assert!(dangling.is_empty(), "{dangling:?} dangle after {update:?}");
        // 9: nothing but the changes.
        let changed: BTreeSet<_> = update.changes.iter().map(|change| &change.id).collect();
        for id in old.rrsets.keys().chain(new.rrsets.keys()) {
            assert!(changed.contains(id) || old.rrsets.get(id) == new.rrsets.get(id), "{id} changed unasked");
        }
        // Of these, none that strangers hold, nobody of ours has ever written, and no operator lets us take over.
        if let Some(adopted) = &self.adopted {
            let is_theirs = |id: &RrsetId| old.rrsets.get(id).is_some_and(|set| set.rdata.iter().any(is_strange));
            let never_ours = |id: &RrsetId| !self.written.contains(id) && !adopted.contains(id);
            let hit = changed
                .iter()
                .find(|id| is_theirs(id) && never_ours(id) && old.rrsets.get(**id) != new.rrsets.get(**id));
            assert!(hit.is_none(), "{hit:?} was a stranger's before {update:?}");
        }
        // And never an empty set.
        assert!(new.rrsets.values().all(|set| !set.rdata.is_empty()));
    }

    /// What strangers hold is taken over as far as a rota sees it.
    pub fn adopt_all_sets(&mut self, at: usize) {
        let rota = &mut self.clients[at].rota;
        let foreign = rota.zones().values().flat_map(|zone| zone.foreign().keys().cloned());
        self.adopted.get_or_insert_default().extend(foreign);
        rota.adopt_all_sets();
    }

    /// Lets one step that is under way end.
    pub fn finish(&mut self, at: usize, flight: usize, fate: Fate) {
        let now = self.now;
        let (zone, step, cluster) = self.clients[at].in_flight.remove(flight);
        let lost = |sent| Failure {
            words: "no answer in 5s".to_owned(),
            code: None,
            sent,
            silence: if sent { Silence::Server } else { Silence::None },
        };
        let done = match (step, fate) {
            (Step::Rest, _) => unreachable!("a rest is not under way"),
            (Step::Read(owners) | Step::FirstRead { names: owners, .. }, Fate::Answered) => {
                Done::Read(self.bind.read(&zone, &owners))
            }
            (Step::Read(_) | Step::FirstRead { .. }, fate) => Done::Read(Err(lost(fate != Fate::Unsent))),
            (Step::Serial, Fate::Answered) => {
                Done::Serial(self.bind.read(&zone, &BTreeSet::new()).map(|reading| reading.soa.serial))
            }
            (Step::Serial, fate) => Done::Serial(Err(lost(fate != Fate::Unsent))),
            (Step::Write(update), fate) => {
                let sent = Sent { update, cluster };
                self.sent.push(sent.clone());
                match fate {
                    Fate::Answered => Done::Write(Ok(self.deliver(&sent))),
                    Fate::AnswerLost => {
                        self.deliver(&sent);
                        Done::Write(Err(lost(true)))
                    }
                    Fate::Late => {
                        self.late.push(sent);
                        Done::Write(Err(lost(true)))
                    }
                    Fate::Unsent => Done::Write(Err(lost(false))),
                }
            }
        };
        self.clients[at].finish(now, &zone, done);
    }

    /// Lets a rota take every step that it may take now, all answered. Bounded: a rota that never rests is wrong.
    pub fn settle(&mut self, at: usize) {
        for _ in 0..2_000 {
            let now = self.now;
            while self.clients[at].start(now) {}
            if self.clients[at].in_flight.is_empty() {
                return;
            }
            self.finish(at, 0, Fate::Answered);
        }
        panic!("it never comes to rest");
    }

    /// The first rota alone.
    pub fn run(&mut self) {
        self.settle(0);
    }

    /// Time passes; every rota does what it wants to do meanwhile.
    pub fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        for at in 0..self.clients.len() {
            self.settle(at);
        }
        loop {
            let wakes = self.clients.iter().filter_map(|client| client.rota.wake_at());
            let Some(next) = wakes.min().filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            for at in 0..self.clients.len() {
                self.settle(at);
            }
        }
        self.now = until;
    }
}

/// Whether no file of a test gives this data: documentation addresses and names that stand for strangers.
fn is_strange(rdata: &Rdata) -> bool {
    match rdata {
        Rdata::A(address) => address.octets().starts_with(&[203, 0, 113]),
        Rdata::Aaaa(address) => address.segments()[7] == 0x99,
        Rdata::Mx { exchange: host, .. } | Rdata::Cname(host) => host.as_str().contains("elsewhere"),
    }
}

/// A file of so many nodes, n0 at 192.0.2.10 and so on, that serve `imap` and `pop` of each domain.
pub(crate) fn imap_and_pop(nodes: usize, domains: impl IntoIterator<Item = impl std::fmt::Display>) -> Arc<Cluster> {
    let nodes: Vec<_> = (0..nodes).map(|at| format!("n{at}: {{ addresses: [192.0.2.1{at}] }}")).collect();
    let domains: Vec<_> = domains.into_iter().map(|domain| format!("{domain}: {{ services: [imap, pop] }}")).collect();
    cluster(&format!(
        "nodes: {{ {} }}
checks: {{ imap: {{ kind: imap }} }}
services:
  imap: {{ publish: address, name: imap, checks: [imap] }}
  pop: {{ publish: address, name: pop, checks: [imap] }}
domains:
  {}
",
        nodes.join(", "),
        domains.join("\n  ")
    ))
}

/// Every target of a file.
pub(crate) fn targets(cluster: &Cluster) -> impl Iterator<Item = Target> {
    let checks: Vec<CheckName> = cluster.checks.keys().cloned().collect();
    let nodes: Vec<(NodeName, Vec<IpAddr>)> =
        cluster.nodes.iter().map(|(name, node)| (name.clone(), node.addresses.iter().copied().collect())).collect();
    nodes.into_iter().flat_map(move |(node, addresses)| {
        let checks = checks.clone();
        addresses.into_iter().flat_map(move |address| {
            let node = node.clone();
            checks.clone().into_iter().map(move |check| Target { node: node.clone(), check, address })
        })
    })
}

impl Rota {
    /// What `rotad adopt` does to a zone.
    pub(crate) fn adopt_zone(&mut self, zone: &str) {
        self.zones.get_mut(zone).unwrap().adopt();
        self.call(&name(zone));
    }

    /// What it does to a set.
    pub(crate) fn adopt_set(&mut self, zone: &OwnerName, id: RrsetId) {
        self.zones.get_mut(zone).unwrap().adopt_sets([id]);
        self.call(zone);
    }

    /// What `rotad sync` does to all zones.
    pub(crate) fn begin_all_anew(&mut self) {
        for zone in self.zones.keys().cloned().collect::<Vec<_>>() {
            self.begin_anew(&zone);
        }
    }

    /// What `rotad adopt` does to all sets.
    pub(crate) fn adopt_all_sets(&mut self) {
        for zone in self.zones.values_mut() {
            let ids: Vec<_> = zone.foreign().keys().cloned().collect();
            zone.adopt_sets(ids);
        }
        self.call_all();
    }
}
