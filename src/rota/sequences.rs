//! Random lives of one or two rotas with a BIND that loses, delays and repeats, people who edit by hand, and files
//! that change. The checks of [`World`] run after every message; in the end everything is as it should be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
    time::Duration,
};

use proptest::prelude::*;

use super::model::{Client, Content, Fate, World, cluster, id, name, targets};
use crate::{
    check::Outcome,
    cluster::Cluster,
    control::Selection,
    desired,
    dns::{RrType, Ttl},
    health::State,
    layout::Layout,
    plan::Rrsets,
    settling::Settling,
    standings::Standings,
    status::ZoneState,
    update::Update,
    zone::Zone,
};

/// The files that the cluster goes through.
static FILES: LazyLock<Vec<Arc<Cluster>>> = LazyLock::new(|| {
    let nodes = "
nodes:
  n0: { addresses: [192.0.2.10] }
  n1: { addresses: [192.0.2.11, \"2001:db8::11\"] }
  n2: { addresses: [192.0.2.12] }
checks:
  smtp: { kind: smtp }
  imap: { kind: imap }
services:
  imap: { publish: address, name: imap, checks: [imap] }
  pinned: { publish: address, name: web, checks: [imap], pinned: { name: \"web{index}\", when_down: repoint } }
  own_mx: { publish: mx, preference: 10, exchange: \"{node}.{domain}\", checks: [smtp] }
  far_mx: { publish: mx, preference: 20, exchange: \"{node}.a.test\", checks: [smtp], min_healthy: 2 }
  pop: { publish: alias, name: pop, target: imap.a.test }
  popped: { publish: address, name: pop, checks: [imap] }
safety: { max_change: 100% }
";
    let domains = [
        "domains: { a.test: { services: [imap, own_mx, pop] }, b.test: { services: [far_mx, imap] } }",
        "domains: { a.test: { services: [imap, own_mx, popped] }, b.test: { services: [far_mx] } }",
        "domains: { a.test: { services: [imap, pinned] }, b.test: { services: [own_mx] } }",
        "domains: { a.test: { services: [imap], nodes: [n0, n1] } }",
        "domains: { a.test: { services: [own_mx, far_mx], nodes: [n1, n2] }, b.test: { services: [imap, far_mx] } }",
    ];
    let mut files: Vec<String> = domains.iter().map(|domains| format!("{nodes}{domains}\n")).collect();
    files.push(files[0].replace("192.0.2.12]", "192.0.2.12], admin_state: drain"));
    files.push(files[0].replace("192.0.2.12]", "192.0.2.13]").replace("ttl: 60s", "ttl: 30s"));
    files.push(files[1].replace("safety: {", "safety: { all_down: all,"));
    // Other questions, other times, other checks of a service, other addresses of all nodes, another preference.
    files.push(files[0].replace("imap: { kind: imap }", "imap: { kind: imap, port: 144 }"));
    files.push(files[0].replace("smtp: { kind: smtp }", "smtp: { kind: smtp, interval: 20s }"));
    files.push(files[0].replace("name: imap, checks: [imap]", "name: imap, checks: [imap, smtp]"));
    files.push(files[0].replace("192.0.2.1", "192.0.2.2"));
    files.push(files[0].replace("preference: 10", "preference: 15"));
    let deleting: Vec<_> = files.iter().map(|yaml| yaml.replace("safety: {", "safety: { left_over: delete,")).collect();
    files.iter().chain(&deleting).map(|yaml| cluster(yaml)).collect()
});

/// What people put where; "-" takes it away.
const BY_HAND: [(&str, &str, &str); 10] = [
    ("a.test", "imap.a.test A", "60 192.0.2.11"),
    ("a.test", "imap.a.test A", "-"),
    ("a.test", "imap.a.test A", "300 203.0.113.9"),
    ("a.test", "a.test MX", "60 10:mx.elsewhere.test"),
    ("a.test", "n0.a.test A", "60 192.0.2.10"),
    ("a.test", "n2.a.test A", "-"),
    ("b.test", "imap.b.test A", "60 203.0.113.9 192.0.2.10"),
    ("b.test", "b.test MX", "-"),
    ("a.test", "www.a.test A", "60 203.0.113.80"),
    ("b.test", "imap.b.test AAAA", "60 2001:db8::99"),
];

/// What a probe finds.
const FOUND: [fn() -> Outcome; 3] = [pass, fail, unmade];

fn pass() -> Outcome {
    Outcome::Pass("* OK ready".to_owned())
}

fn fail() -> Outcome {
    Outcome::Fail("connection refused".to_owned())
}

fn unmade() -> Outcome {
    Outcome::Unknown("network unreachable from here".to_owned())
}

#[derive(Debug, Clone)]
enum Event {
    Node(usize, State),
    Probe(usize, Outcome),
    Edit(usize, usize),
    Start(usize),
    Finish(usize, usize, Fate),
    Run(usize),
    Deliver(usize),
    Replay(usize),
    Pass(u64),
    ByHand(usize),
    Alias,
    NoRecord,
    Keep,
    Restore,
    Refuse(&'static str),
    Fail(&'static str),
    Quota(&'static str),
    Freeze,
    Thaw,
    Behind(&'static str),
    CatchUp,
    Cut(&'static str),
    Uncut,
    Lower(Option<u32>),
    Beside(bool),
    Adopt(usize),
    Sync(usize),
    Save(usize),
    StandStill(usize),
    Kill(usize, usize),
    Withdraw(usize),
    PutBack(usize),
}

/// What may happen to one rota.
fn event_of_one() -> impl Strategy<Value = Event> {
    prop_oneof![30 => event(1), 1 => Just(Event::Withdraw(0)), 1 => Just(Event::PutBack(0))]
}

fn event(rotas: usize) -> impl Strategy<Value = Event> {
    // Two rotas keep what leaves their files: what one of them deletes the other may list.
    let files = if rotas == 1 { FILES.len() } else { FILES.len() / 2 };
    let state = prop_oneof![Just(State::Up), Just(State::Down), Just(State::Unknown)];
    let fate = prop_oneof![4 => Just(Fate::Answered), 1 => Just(Fate::AnswerLost), 1 => Just(Fate::Late), 1 => Just(Fate::Unsent)];
    let owner =
        || prop_oneof![Just("imap.a.test"), Just("n0.a.test"), Just("pop.a.test"), Just("b.test"), Just("a.test")];
    prop_oneof![
        6 => (0..3_usize, state).prop_map(|(node, state)| Event::Node(node, state)),
        4 => (0..3_usize, 0..3_usize).prop_map(|(node, found)| Event::Probe(node, FOUND[found]())),
        3 => (0..rotas, 0..files).prop_map(|(at, file)| Event::Edit(at, file)),
        10 => (0..rotas).prop_map(Event::Start),
        12 => (0..rotas, 0..4_usize, fate).prop_map(|(at, flight, fate)| Event::Finish(at, flight, fate)),
        6 => (0..rotas).prop_map(Event::Run),
        3 => (0..8_usize).prop_map(Event::Deliver),
        2 => (0..8_usize).prop_map(Event::Replay),
        4 => (1..200_u64).prop_map(Event::Pass),
        3 => (0..BY_HAND.len()).prop_map(Event::ByHand),
        1 => Just(Event::Alias),
        1 => Just(Event::NoRecord),
        1 => Just(Event::Keep),
        1 => Just(Event::Restore),
        2 => owner().prop_map(Event::Refuse),
        1 => owner().prop_map(Event::Fail),
        1 => owner().prop_map(Event::Quota),
        1 => Just(Event::Freeze),
        3 => Just(Event::Thaw),
        3 => prop_oneof![Just("a.test"), Just("b.test")].prop_map(Event::Behind),
        2 => Just(Event::CatchUp),
        1 => prop_oneof![Just(None), Just(Some(40))].prop_map(Event::Lower),
        1 => any::<bool>().prop_map(Event::Beside),
        1 => owner().prop_map(Event::Cut),
        1 => Just(Event::Uncut),
        1 => (0..rotas).prop_map(Event::Adopt),
        1 => (0..rotas).prop_map(Event::Sync),
        2 => (0..rotas).prop_map(Event::Save),
        2 => (0..rotas).prop_map(Event::StandStill),
        2 => (0..rotas, 0..files).prop_map(|(at, file)| Event::Kill(at, file)),
    ]
}

/// A life so far.
struct Life {
    world: World,
    kept: BTreeMap<crate::dns::OwnerName, Content>,
    saved: Vec<BTreeMap<crate::dns::OwnerName, Arc<crate::zone::Memory>>>,
    /// The file on disk of each rota.
    files: Vec<Arc<Cluster>>,
    /// A zone came from a backup, or lost its record: what was signed before that is too old by now to be applied.
    restored: bool,
}

impl Life {
    fn new(owners: &[&str]) -> Self {
        let mut world = World::new(&FILES[0]);
        world.bind.zones.insert(name("b.test"), Content::default());
        world.zone("a.test").edit("mail.a.test A", "3600 203.0.113.1");
        world.health = FILES.iter().flat_map(|file| targets(file)).map(|target| (target, State::Unknown)).collect();
        world.clients = owners.iter().map(|owner| Client::new(world.now, owner, &FILES[0], BTreeMap::new())).collect();
        world.adopted = Some(BTreeSet::new());
        world.tell_health();
        let kept = world.bind.zones.clone();
        let rotas = owners.len();
        Self {
            world,
            kept,
            saved: vec![BTreeMap::new(); rotas],
            files: vec![Arc::clone(&FILES[0]); rotas],
            restored: false,
        }
    }

    fn happen(&mut self, event: &Event) {
        let world = &mut self.world;
        match *event {
            Event::Node(node, state) => world.node(&format!("n{node}"), state),
            Event::Probe(node, ref found) => world.probe(&format!("n{node}"), found),
            Event::Edit(at, file) => {
                self.files[at] = Arc::clone(&FILES[file]);
                world.edit(at, &FILES[file]);
            }
            Event::Start(at) => {
                let now = world.now;
                world.clients[at].start(now);
            }
            Event::Finish(at, flight, fate) => {
                if flight < world.clients[at].in_flight.len() {
                    let fate = if self.restored && fate == Fate::Late { Fate::Unsent } else { fate };
                    world.finish(at, flight, fate);
                }
            }
            Event::Run(at) => world.settle(at),
            Event::Deliver(at) => {
                if at < world.late.len() {
                    let sent = world.late.remove(at);
                    world.deliver(&sent);
                }
            }
            Event::Replay(_) if self.restored => {}
            Event::Replay(back) => {
                if let Some(at) = world.sent.len().checked_sub(back + 1) {
                    let sent = world.sent[at].clone();
                    world.deliver(&sent);
                }
            }
            Event::Pass(seconds) => {
                world.now += Duration::from_secs(seconds);
            }
            Event::ByHand(at) => {
                let (zone, id, content) = BY_HAND[at];
                world.zone(zone).edit(id, content);
            }
            Event::Alias => {
                let zone = world.zone("a.test");
                zone.rrsets.retain(|id, _| id.owner != name("imap.a.test"));
                zone.edit("imap.a.test CNAME", "60 elsewhere.test");
            }
            // Between two rotas this would undo the lock itself.
            Event::NoRecord if world.clients.len() > 1 => {}
            Event::NoRecord => self.lose_record(),
            Event::Keep => self.kept = world.bind.zones.clone(),
            Event::Restore => {
                world.bind.zones = self.kept.clone();
                world.bind.behind.clear();
                world.late.clear();
                self.restored = true;
            }
            Event::Refuse(owner) => {
                world.bind.refused.insert(name(owner));
            }
            Event::Fail(owner) => {
                world.bind.failing.insert(name(owner));
            }
            Event::Quota(owner) => {
                world.bind.quota.insert(name(owner), 1);
            }
            Event::Freeze => {
                world.bind.frozen.insert(name("a.test"));
            }
            Event::Thaw => self.thaw(),
            Event::Behind(zone) => world.bind.fall_behind(&name(zone)),
            Event::CatchUp => world.bind.behind.clear(),
            // What is at the apex cannot be hidden.
            Event::Cut("a.test" | "b.test") => {}
            Event::Cut(owner) => {
                world.zone("a.test").cuts.insert(name(owner));
                world.zone("a.test").serial += 1;
            }
            Event::Uncut => self.uncut(),
            Event::Lower(limit) => world.bind.max_ttl = limit.map(Ttl),
            Event::Beside(comes) => self.beside(comes),
            Event::Adopt(at) => world.adopt_all_sets(at),
            Event::Sync(at) => world.clients[at].rota.begin_all_anew(),
            Event::Withdraw(at) => self.withdraw(at),
            Event::PutBack(at) => {
                let rota = &mut world.clients[at].rota;
                rota.restore(world.now, &[Selection::ALL]);
                // Who asked does not wait.
                rota.answers(world.now + Duration::from_hours(1));
            }
            Event::StandStill(at) => world.stand_still(at),
            Event::Save(at) => self.saved[at] = world.clients[at].remembered(),
            Event::Kill(at, file) => {
                self.files[at] = Arc::clone(&FILES[file]);
                let saved = self.saved[at].clone();
                world.restart(at, &FILES[file], saved);
                if self.restored {
                    world.late.clear();
                }
            }
        }
    }

    fn uncut(&mut self) {
        for zone in self.world.bind.zones.values_mut() {
            if !std::mem::take(&mut zone.cuts).is_empty() {
                zone.serial += 1;
            }
        }
    }

    /// Somebody puts records of other types where the file has an alias, or takes them away.
    fn beside(&mut self, comes: bool) {
        let (zone, owner) = (self.world.zone("a.test"), name("pop.a.test"));
        zone.serial += 1;
        if !comes {
            zone.others.remove(&owner);
        } else if !zone.rrsets.contains_key(&id("pop.a.test CNAME")) {
            zone.others.insert(owner, "TXT".to_owned());
        }
    }

    fn lose_record(&mut self) {
        let world = &mut self.world;
        world.zone("a.test").generation.clear();
        world.bind.behind.clear();
        world.zone("a.test").serial += 1;
        world.late.clear();
        world.sent.clear();
        self.restored = true;
        // A backup with a higher number than the new record could not be told from a copy of this machine.
        self.kept = world.bind.zones.clone();
    }

    fn withdraw(&mut self, at: usize) {
        let rota = &mut self.world.clients[at].rota;
        let all = rota.zones().values().flat_map(|zone| zone.memory().left_over.keys());
        self.world.withdrawn.extend(all.cloned());
        rota.withdraw(self.world.now, &Selection::ALL, false);
        rota.answers(self.world.now + Duration::from_hours(1));
    }

    fn thaw(&mut self) {
        let bind = &mut self.world.bind;
        bind.refused.clear();
        bind.failing.clear();
        bind.quota.clear();
        bind.frozen.clear();
    }

    /// Everybody is healthy, BIND does what it is asked, people took away what only people may take away.
    fn heal(&mut self) {
        self.thaw();
        self.uncut();
        self.beside(false);
        let world = &mut self.world;
        for sent in std::mem::take(&mut world.late) {
            world.deliver(&sent);
        }
        for zone in world.bind.zones.values_mut() {
            if zone.rrsets.remove(&id("imap.a.test CNAME")).is_some() {
                zone.serial += 1;
            }
        }
        for target in world.health.keys().cloned().collect::<Vec<_>>() {
            world.decide(target, State::Up);
        }
        for at in 0..world.clients.len() {
            while !world.clients[at].in_flight.is_empty() {
                world.finish(at, 0, Fate::Answered);
            }
        }
        // A copy that misses a message of ours is woken by another one alone; of what people do nobody knows to wait.
        world.bind.wakes = true;
        let knows = |zone: &crate::dns::OwnerName| {
            world
                .clients
                .iter()
                .any(|client| client.rota.zones().get(zone).is_some_and(Zone::has_something_to_read_back))
        };
        let (behind, _): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut world.bind.behind).into_iter().partition(|(zone, _)| knows(zone));
        world.bind.behind = behind;
        world.tell_health();
        world.bind.max_ttl = None;
        world.pass(Duration::from_mins(20));
        for client in &mut world.clients {
            client.rota.begin_all_anew();
        }
        // What strangers hold is taken over.
        for at in 0..world.clients.len() {
            world.adopt_all_sets(at);
        }
        world.pass(Duration::from_mins(20));
    }

    /// After a gap one node works, one is dead, and one has answered once and cannot be asked since.
    fn ask_anew(&mut self, [well, dead, mute]: [&str; 3]) {
        let world = &mut self.world;
        world.stand_still(0);
        world.ask_anew();
        world.probe(mute, &pass());
        for _ in 0..12 {
            world.probe(well, &pass());
            world.probe(dead, &fail());
            world.probe(mute, &unmade());
            world.pass(Duration::from_secs(10));
        }
    }

    /// Whether the zones are as the file of a rota wants them; foreign ones are left out.
    fn check_right(&self, at: usize) {
        let client = &self.world.clients[at];
        let cluster = client.rota.cluster();
        assert_eq!(**cluster, *self.files[at]);
        let standings = Standings::new(cluster, &self.world.view(), &Settling::default());
        for (zone, layout) in &Layout::new(cluster).zones {
            let state = client.rota.zones()[zone].state();
            if state == ZoneState::Foreign || state == ZoneState::Standby {
                continue;
            }
            // The address of a name that a zone of somebody else still has as an MX target waits for ever.
            let waits = client.rota.zones()[zone].waits_for_others();
            let expected = if waits { ZoneState::Pending } else { ZoneState::InSync };
            assert!(client.rota.zones()[zone].foreign().is_empty(), "{:?}", client.rota.zones()[zone].foreign());
            assert_eq!(state, expected, "{zone}: {:?}", client.rota.zones()[zone].error());
            // So does that of an MX that is left over.
            let mut left = client.rota.zones().values().flat_map(|zone| zone.memory().left_over.keys());
            let somebody = self.files.len() > 1 || left.any(|id| id.rtype == RrType::Mx);
            assert!(!waits || somebody, "{zone}: nobody else is there to wait for");
            let published = &self.world.bind.zones[zone].rrsets;
            for (id, recipe) in desired::recipes(cluster, layout, &standings) {
                let set = published.get(&id);
                let wanted = desired::settle(&id, &recipe, cluster.safety.all_down, set, None);
                assert_eq!(set, wanted.as_ref(), "{id}");
                assert!(set.is_some(), "{id} is missing");
            }
        }
    }
}

fn live(owners: &[&str], events: &[Event]) -> Life {
    let mut life = Life::new(owners);
    for event in events {
        life.happen(event);
    }
    life.heal();
    life
}

fn unmanaged(rrsets: &Rrsets) -> BTreeSet<String> {
    let ours = |owner: &str| owner.starts_with("mail.");
    let lines = rrsets.iter().filter(|(id, _)| ours(id.owner.as_str()) && id.rtype == RrType::A);
    lines.map(|(id, set)| format!("{id} {set:?}")).collect()
}

proptest! {
    #[test]
    fn whatever_happens_to_one_rota_its_zones_come_out_right(
        events in prop::collection::vec(event_of_one(), 0..120),
        roles in Just(["n0", "n1", "n2"]).prop_shuffle(),
    ) {
        let mut life = live(&["us"], &events);
        life.check_right(0);
        life.ask_anew(roles);
        life.check_right(0);
        for zone in life.world.clients[0].rota.zones().values() {
            prop_assert_ne!(zone.state(), ZoneState::Standby, "{:?}", zone.error());
        }
        prop_assert_eq!(unmanaged(&life.world.bind.zones[&name("a.test")].rrsets).len(), 1);
        // 7: nothing more is wanted, and a restart moves no serial.
        let writes = life.world.sent.len();
        life.world.pass(Duration::from_mins(20));
        let (file, saved) = (Arc::clone(&life.files[0]), life.world.clients[0].remembered());
        life.world.restart(0, &file, saved);
        life.world.pass(Duration::from_mins(20));
        let more: Vec<&Update> = life.world.sent.iter().skip(writes).map(|sent| &**sent.update).collect();
        prop_assert!(more.is_empty(), "{:?}", more);
    }

    #[test]
    fn two_rotas_never_fight(
        twins in any::<bool>(),
        events in prop::collection::vec(event(2), 0..120),
    ) {
        let owners = if twins { ["us", "us"] } else { ["us", "them"] };
        let mut life = live(&owners, &events);
        // Their files may differ, and then each is right for whoever owns the zone.
        for at in 0..2 {
            if !twins {
                life.check_right(at);
            }
        }
        let writes = life.world.sent.len();
        life.world.pass(Duration::from_hours(1));
        prop_assert_eq!(life.world.sent.len(), writes, "they go on writing");
    }
}

#[test]
fn twins_of_which_one_starts_anew_behind_an_old_copy_end_in_standby() {
    let events = [
        Event::Node(0, State::Up),
        Event::Run(0),
        Event::Node(1, State::Up),
        Event::Probe(0, pass()),
        Event::Behind("a.test"),
        Event::Run(0),
        Event::Run(1),
        Event::Kill(1, 0),
    ];
    let mut life = live(&["us", "us"], &events);
    let writes = life.world.sent.len();
    life.world.pass(Duration::from_hours(1));
    assert_eq!(life.world.sent.len(), writes, "they go on writing");
    // Who starts anew takes for its own what it finds, and one message that may have been late.
    for state in [State::Down, State::Up] {
        life.world.node("n0", state);
        life.world.pass(Duration::from_hours(1));
    }
    let states = [0, 1].map(|at| life.world.clients[at].state("a.test"));
    assert!(states.contains(&ZoneState::InSync) && states.contains(&ZoneState::Standby), "{states:?}");
}

#[test]
fn a_record_and_a_set_that_go_behind_an_old_copy_stop_nothing() {
    for after_gap in [false, true] {
        let mut events = vec![Event::Alias, Event::Node(0, State::Up), Event::Behind("a.test"), Event::Run(0)];
        events.push(Event::Adopt(0));
        events.extend(after_gap.then_some(Event::StandStill(0)));
        events.extend([Event::NoRecord, Event::Behind("a.test")]);
        live(&["us"], &events).check_right(0);
    }
}

#[test]
fn a_message_of_a_twin_makes_no_strangers_set_ours() {
    let events = [
        Event::Run(1),
        Event::Node(0, State::Up),
        Event::Refuse("imap.a.test"),
        Event::ByHand(3),
        Event::Start(1),
        Event::Deliver(0),
        Event::StandStill(1),
    ];
    live(&["us", "us"], &events);
}

#[test]
fn a_hand_edit_behind_a_copy_that_our_message_wakes_stops_nothing() {
    let events = [
        Event::Kill(0, 2),
        Event::Behind("b.test"),
        Event::Run(0),
        Event::Node(0, State::Up),
        Event::Kill(0, 4),
        Event::Run(0),
        Event::CatchUp,
        Event::Behind("b.test"),
        Event::ByHand(9),
    ];
    live(&["us"], &events).check_right(0);
}

#[test]
fn an_alias_that_takes_the_place_of_addresses_leaves_no_name_bare_for_what_a_stranger_has_put_there_since() {
    let events = [
        Event::Edit(0, 7),
        Event::Node(0, State::Up),
        Event::Run(0),
        Event::Beside(true),
        Event::Edit(0, 5),
        Event::Run(0),
    ];
    live(&["us"], &events).check_right(0);
}
