//! One node of three dies, and comes back, in ten thousand zones.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, SystemTime},
};

use rotad::{dns::Rrset, io::clock, plan::Change};
use rustix::fs::sync;

use super::{
    ZONES, bare,
    daemon::{DEADLINE, Daemon},
    world::{World, changes, name},
};
use crate::{
    process,
    support::named::Named,
    table::{Table, quantile},
};

/// `bind.connections` and `bind.max_in_flight` as they are by default.
const CONNECTIONS: usize = 4;
const IN_FLIGHT: usize = 32;

/// How often all begin anew, with fresh zone files. Which of BIND's threads gets a connection is a matter of luck, and
/// it is rotad's for as long as it runs.
const FIELDS: usize = 7;

/// Passes of each field: the victim leaves, comes back, leaves.
const PASSES: [bool; 3] = [true, false, true];

/// Somebody who makes a pass over all zones of a BIND of its own.
trait Contender {
    /// Makes the n-th pass, from 0, and says how many seconds it took.
    fn pass(&mut self, number: usize, victim_leaves: bool) -> f64;
}

/// Runs the part.
pub fn run(table: &mut Table) {
    for (words, storage) in [("tmpfs", PathBuf::from("/dev/shm")), ("disk", std::env::temp_dir())] {
        on(table, words, &storage);
    }
}

/// All contenders on one kind of storage.
fn on(table: &mut Table, words: &str, storage: &Path) {
    let (mut firsts, mut laters) = (Vec::new(), Vec::new());
    for at in 0..FIELDS {
        let ours = if at == 0 { Rotad::measured(table, words, storage) } else { Rotad::new(storage) };
        let mut field = Field::new(ours, storage);
        for (number, leaves) in PASSES.into_iter().enumerate() {
            let times = field.pass(number, leaves, order(at + number));
            if number == 0 { &mut firsts } else { &mut laters }.push(times);
        }
        if at == 0 {
            field.tell(table, words);
        }
    }
    for (pass, times) in [("first passes", firsts), ("later passes", laters)] {
        let [ours, knot, whole, differences] =
            [0, 1, 2, 3].map(|who: usize| quantile(&times.iter().map(|times| times[who]).collect::<Vec<_>>(), 0.5));
        // Pass by pass: what was made one after the other is compared, and not the machine now and then.
        let rates = |who: usize| times.iter().map(|times| times[who] / times[0]).collect::<Vec<_>>();
        let beside = |who: usize| quantile(&rates(who), 0.5);
        let what = |tail: &str| format!("{ZONES} zones, {words}, median of {} {pass}: {tail}", times.len());
        table.show(what("knsupdate over UDP"), format!("{knot:.2} s"));
        table.show(what("bare pipelining client, messages as knsupdate's"), format!("{whole:.2} s"));
        table.show(what("bare pipelining client, messages as rotad's"), format!("{differences:.2} s"));
        table.at_most(what("rotad, from detection to the last zone"), ours, knot, "s");
        table.at_least(what("rotad's rate beside the bare client's, messages as knsupdate's"), beside(2), 0.95, "");
        let each: Vec<_> = rates(2).iter().map(|rate| format!("{rate:.2}")).collect();
        table.show(what("the same, pass by pass"), each.join(", "));
        table.at_least(what("rotad's rate beside the bare client's, messages as rotad's"), beside(3), 0.6, "");
    }
}

/// All contenders, each with a BIND of its own. They take turns, pass by pass: the machine is not equally fast at all
/// times.
struct Field {
    rotad: Rotad,
    knsupdate: Knsupdate,
    whole: Bare,
    differences: Bare,
    /// CPU time that rotad and its BIND took while the others ran, and how long those did.
    beside: Duration,
    lasted: Duration,
}

impl Field {
    fn new(rotad: Rotad, storage: &Path) -> Self {
        Self {
            rotad,
            knsupdate: Knsupdate(World::new(ZONES, storage)),
            whole: Bare { world: World::new(ZONES, storage), differences: false },
            differences: Bare { world: World::new(ZONES, storage), differences: true },
            beside: Duration::ZERO,
            lasted: Duration::ZERO,
        }
    }

    /// What the passes cost rotad, and what it costs to have it alive while the others are timed.
    fn tell(&self, table: &mut Table, words: &str) {
        self.rotad.tell(table, words);
        let share = self.beside.as_secs_f64() / self.lasted.as_secs_f64() * 100.0;
        table.show(
            format!("{ZONES} zones, {words}: CPU of a core that rotad and its BIND take while the others run"),
            format!("{share:.1} %"),
        );
    }

    /// A pass of each: seconds of rotad, knsupdate, and the bare client with whole sets and with differences.
    fn pass(&mut self, number: usize, victim_leaves: bool, order: [usize; 4]) -> [f64; 4] {
        let mut times = [0.0; 4];
        for who in order {
            // Nobody pays for what somebody else left to be written.
            sync();
            let (before, since) = (self.rotad.cpu(), clock::now());
            let contender: &mut dyn Contender = match who {
                0 => &mut self.rotad,
                1 => &mut self.knsupdate,
                2 => &mut self.whole,
                _ => &mut self.differences,
            };
            times[who] = contender.pass(number, victim_leaves);
            if who > 0 {
                self.beside += self.rotad.cpu().iter().sum::<Duration>().saturating_sub(before.iter().sum());
                self.lasted += clock::now() - since;
            }
        }
        times
    }
}

/// In which order they take their turns: the other way each time, for a disk is slower after much work, and nobody is
/// always to be the one who comes then.
fn order(pass: usize) -> [usize; 4] {
    if pass.is_multiple_of(2) { [0, 1, 2, 3] } else { [3, 2, 1, 0] }
}

/// rotad itself, with a BIND that holds what it wants.
struct Rotad {
    world: World,
    daemon: Daemon,
    /// CPU time of all passes: rotad's, BIND's.
    used: [Duration; 2],
}

impl Rotad {
    /// Starts it, and waits until it knows every zone.
    fn new(storage: &Path) -> Self {
        let world = World::new(ZONES, storage);
        let (daemon, _) = Daemon::start_in_sync(&world.file(), ZONES);
        Self { world, daemon, used: [Duration::ZERO; 2] }
    }

    /// Starts it twice, and measures how long that takes.
    fn measured(table: &mut Table, words: &str, storage: &Path) -> Self {
        let world = World::new(ZONES, storage);
        let mut start = |how: &str| {
            let what = |tail: &str| format!("{ZONES} zones, {words}: {tail}");
            let before = process::cpu(world.named.pid());
            let (daemon, ready) = Daemon::start_in_sync(&world.file(), ZONES);
            table.at_most(what(&format!("start in sync, {how}")), ready.as_secs_f64(), 5.0, "s");
            let used = process::cpu(daemon.pid());
            table.show(what(&format!("CPU a zone, {how}: rotad")), each(used, 1));
            let used = process::cpu(world.named.pid()).saturating_sub(before);
            table.show(what(&format!("CPU a zone, {how}: BIND")), each(used, 1));
            table.at_most(what(&format!("memory, {how}")), process::rss(daemon.pid()).1, 150.0, "MiB");
            daemon
        };
        start("nothing remembered").stop();
        let daemon = start("started again");
        let journals = world.journals(SystemTime::UNIX_EPOCH).1;
        table.must(format!("{ZONES} zones, {words}: zones that these starts changed"), journals, journals == 0);
        Self { world, daemon, used: [Duration::ZERO; 2] }
    }

    /// CPU time so far: rotad's, BIND's.
    fn cpu(&self) -> [Duration; 2] {
        [self.daemon.pid(), self.world.named.pid()].map(process::cpu)
    }

    /// What the passes cost.
    fn tell(&self, table: &mut Table, words: &str) {
        let what = |tail: &str| format!("{ZONES} zones, {words}: {tail}");
        let [ours, bind] = self.used;
        table.show(what("CPU for each zone and pass, rotad, reading back"), each(ours, PASSES.len()));
        table.show(what("CPU for each zone and pass, BIND"), each(bind, PASSES.len()));
        table.at_most(what("memory at its highest"), process::rss(self.daemon.pid()).1, 150.0, "MiB");
    }
}

impl Contender for Rotad {
    fn pass(&mut self, _: usize, victim_leaves: bool) -> f64 {
        let before = self.cpu();
        let since = clock::wall();
        if victim_leaves {
            self.world.kill();
        } else {
            self.world.revive();
        }
        let news = if victim_leaves { " is down: " } else { " is up: " };
        let detected = self.daemon.expect_said(news, since);
        // As with the others, nobody looks at BIND's files while it works.
        self.daemon.expect_in_sync(ZONES, clock::now());
        let last = settled(&self.world, since);
        assert_eq!(self.world.wrong(!victim_leaves), 0, "zones that are wrong after the pass");
        let after = self.cpu();
        self.used = [0, 1].map(|of| self.used[of] + after[of].saturating_sub(before[of]));
        last.duration_since(detected).expect("it was after").as_secs_f64()
    }
}

/// CPU time for each zone and pass.
fn each(used: Duration, passes: usize) -> String {
    format!("{:.0} us", used.as_secs_f64() / (ZONES * passes) as f64 * 1e6)
}

/// The bare client of [`bare`].
struct Bare {
    world: World,
    /// Whether its messages are rotad's, with the records that differ, or knsupdate's.
    differences: bool,
}

impl Contender for Bare {
    fn pass(&mut self, number: usize, victim_leaves: bool) -> f64 {
        let lanes = bare::sign(&self.world, number as u64 + 1, victim_leaves, CONNECTIONS, self.differences);
        timed(&self.world, victim_leaves, || {
            bare::send(self.world.named.address(), &lanes, IN_FLIGHT / CONNECTIONS);
        })
    }
}

/// knsupdate over UDP.
struct Knsupdate(World);

impl Contender for Knsupdate {
    fn pass(&mut self, _: usize, victim_leaves: bool) -> f64 {
        let Self(world) = self;
        let script = world.directory.path().join("script");
        let zones = (0..ZONES).map(|at| commands(at, &changes(at, victim_leaves)));
        let head = format!("server 127.0.0.1 {}\n", world.named.port);
        fs::write(&script, [head].into_iter().chain(zones).collect::<String>()).expect("a script");
        timed(world, victim_leaves, || {
            let ran = Command::new("knsupdate")
                .args(["-y", &key(&world.named)])
                .arg(&script)
                .stdout(Stdio::null())
                .status()
                .expect("knsupdate starts: `bash tests/bench.sh` installs it");
            assert!(ran.success(), "knsupdate: {ran}");
        })
    }
}

/// Seconds from the beginning of some work to the last zone that it changed.
fn timed(world: &World, victim_leaves: bool, work: impl FnOnce()) -> f64 {
    let since = clock::wall();
    work();
    let last = settled(world, since);
    assert_eq!(world.wrong(!victim_leaves), 0, "it did its work");
    last.duration_since(since).expect("it was after").as_secs_f64()
}

/// Waits until BIND has changed every zone, and a second has passed without a change; the time of the last.
pub fn settled(world: &World, since: SystemTime) -> SystemTime {
    let end = clock::now() + DEADLINE;
    loop {
        thread::sleep(Duration::from_millis(500));
        let (newest, count) = world.journals(since);
        if let Some(newest) = newest.filter(|_| count == world.zones)
            && clock::wall().duration_since(newest).unwrap_or_default() > Duration::from_secs(1)
        {
            return newest;
        }
        assert!(clock::now() < end, "{count} of {} zones were changed in {DEADLINE:?}", world.zones);
    }
}

/// What knsupdate is to do with a zone.
fn commands(zone: usize, changes: &[Change]) -> String {
    let mut lines = vec![format!("zone {}.", name(zone))];
    for Change { id, after, .. } in changes {
        lines.push(format!("del {}. {}", id.owner, id.rtype));
        if let Some(Rrset { ttl, rdata }) = after {
            lines.extend(rdata.iter().map(|data| format!("add {}. {ttl} {} {data}", id.owner, id.rtype)));
        }
    }
    lines.push("send\n".to_owned());
    lines.join("\n")
}

/// The key as knsupdate wants it.
fn key(named: &Named) -> String {
    let clause = fs::read_to_string(named.key_file("rotad")).expect("a key file");
    let secret = clause.split('"').find(|part| part.ends_with('=')).expect("a secret in quotes");
    format!("hmac-sha256:rotad:{secret}")
}
