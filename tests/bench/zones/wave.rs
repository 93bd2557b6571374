//! One node of three dies, and comes back, in ten thousand zones.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, SystemTime},
};

use rotad::{dns::Rrset, io::clock, plan::Change};

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

/// Passes: the victim leaves, comes back, leaves.
const PASSES: [bool; 5] = [true, false, true, false, true];

/// Seconds of each pass.
type Times = Vec<f64>;

/// All contenders on one kind of storage.
pub fn run(table: &mut Table, words: &str, storage: &Path) {
    let ours = rotad(table, words, storage);
    let bare = bare(storage);
    let knot = knsupdate(storage);
    let later = |times: &Times| quantile(&times[1..], 0.5);
    for (pass, ours, bare, knot) in
        [("first pass", ours[0], bare[0], knot[0]), ("later passes", later(&ours), later(&bare), later(&knot))]
    {
        let what = |tail: &str| format!("{ZONES} zones, {words}, {pass}: {tail}");
        table.show(what("bare pipelining client"), format!("{bare:.2} s"));
        table.show(what("knsupdate over UDP"), format!("{knot:.2} s"));
        table.at_most(what("rotad, from detection to the last zone"), ours, knot, "s");
        table.at_least(what("rotad's rate beside the bare client's"), bare / ours, 0.95, "");
    }
}

fn rotad(table: &mut Table, words: &str, storage: &Path) -> Times {
    let mut world = World::new(ZONES, storage);
    let what = |tail: &str| format!("{ZONES} zones, {words}: {tail}");
    let each = |used: Duration, passes: usize| format!("{:.0} us", used.as_secs_f64() / (ZONES * passes) as f64 * 1e6);
    let in_sync = format!("active: zones: {ZONES} in_sync");
    let start = |table: &mut Table, how: &str| {
        let before = process::cpu(world.named.pid());
        let mut daemon = Daemon::start(&world.file());
        let ready = daemon.expect_status(&in_sync).duration_since(daemon.started);
        table.at_most(what(&format!("start in sync, {how}")), ready.as_secs_f64(), 5.0, "s");
        let used = process::cpu(daemon.pid());
        table.show(what(&format!("CPU a zone, {how}: rotad")), each(used, 1));
        let used = process::cpu(world.named.pid()).saturating_sub(before);
        table.show(what(&format!("CPU a zone, {how}: BIND")), each(used, 1));
        table.at_most(what(&format!("memory, {how}")), process::rss(daemon.pid()).1, 150.0, "MiB");
        daemon
    };
    start(table, "nothing remembered").stop();
    let mut daemon = start(table, "started again");
    let journals = world.journals(SystemTime::UNIX_EPOCH).1;
    table.must(what("zones that these starts changed"), journals, journals == 0);
    let mut times = Vec::new();
    let mut used = [Duration::ZERO; 2];
    for leaves in PASSES {
        let before = [daemon.pid(), world.named.pid()].map(process::cpu);
        let since = clock::wall();
        if leaves {
            world.kill();
        } else {
            world.revive();
        }
        let last = settled(&world, since);
        let after = [daemon.pid(), world.named.pid()].map(process::cpu);
        used = [0, 1].map(|of| used[of] + after[of].saturating_sub(before[of]));
        let detected = daemon.said(if leaves { " is down: " } else { " is up: " }, since).expect("it was detected");
        times.push(last.duration_since(detected).expect("it was after").as_secs_f64());
        let wrong = world.wrong(!leaves);
        table.must(what("zones that are wrong after the pass"), wrong, wrong == 0);
        daemon.expect_status(&in_sync);
    }
    table.show(what("CPU for each zone and pass, rotad, reading back"), each(used[0], PASSES.len()));
    table.show(what("CPU for each zone and pass, BIND"), each(used[1], PASSES.len()));
    table.at_most(what("memory at its highest"), process::rss(daemon.pid()).1, 150.0, "MiB");
    times
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

fn bare(storage: &Path) -> Times {
    let world = World::new(ZONES, storage);
    let passes = (1..).zip(PASSES).map(|(generation, leaves)| {
        let lanes = bare::sign(&world, generation, leaves, CONNECTIONS);
        let since = clock::wall();
        bare::send(world.named.address(), &lanes, IN_FLIGHT / CONNECTIONS);
        let last = settled(&world, since);
        assert_eq!(world.wrong(!leaves), 0, "it did its work");
        last.duration_since(since).expect("it was after").as_secs_f64()
    });
    passes.collect()
}

fn knsupdate(storage: &Path) -> Times {
    let world = World::new(ZONES, storage);
    let script = world.directory.path().join("script");
    let passes = PASSES.map(|leaves| {
        let zones = (0..ZONES).map(|at| commands(at, &changes(at, leaves)));
        let head = format!("server 127.0.0.1 {}\n", world.named.port);
        fs::write(&script, [head].into_iter().chain(zones).collect::<String>()).expect("a script");
        let since = clock::wall();
        let ran = Command::new("knsupdate")
            .args(["-y", &key(&world.named)])
            .arg(&script)
            .stdout(Stdio::null())
            .status()
            .expect("knsupdate starts: `bash tests/bench.sh` installs it");
        assert!(ran.success(), "knsupdate: {ran}");
        let last = settled(&world, since);
        assert_eq!(world.wrong(!leaves), 0, "it did its work");
        last.duration_since(since).expect("it was after").as_secs_f64()
    });
    passes.into()
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
