//! What has no bound of its own: files that are no files, texts without an end, readers that leave.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use rotad::io::clock;
use rustix::fs::{CWD, Mode, mkfifoat};

use super::support::{
    named::Zone,
    rota::{IMAP, Rota},
};

/// Longer than any command here may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A file that is good, if what it names is.
const GOOD: &str = "\
bind: { key_file: rotad.key }
nodes: { node00: { addresses: [192.0.2.10] } }
checks: { imap: { kind: imap } }
services: { imap: { publish: address, name: imap, checks: [imap] } }
domains: { mydomain.org: { services: [imap] } }
status_socket: nobody/status.sock
";

/// Runs a command to its end, which comes in time and in bounded memory.
fn rotad(file: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("prlimit");
    // The allocator reserves more than it uses; a runaway takes more than this.
    command.args(["--as=4294967296", env!("CARGO_BIN_EXE_rotad"), "--config"]).arg(file).args(arguments);
    for variable in ["ROTAD_LOG", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY"] {
        command.env_remove(variable);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let end = clock::now() + DEADLINE;
    // A few lines fit in the pipes.
    while child.try_wait().unwrap().is_none() {
        if clock::now() > end {
            child.kill().unwrap();
            panic!("{arguments:?} of {} takes longer than {DEADLINE:?}", file.display());
        }
        thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Puts something that is no file of a sensible size at a path.
fn put(kind: &str, path: &Path) {
    let _ = fs::remove_file(path);
    let _ = fs::remove_dir(path);
    match kind {
        "FIFO" => mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR).unwrap(),
        "directory" => fs::create_dir(path).unwrap(),
        "device" => std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
        _ => File::create(path).unwrap().set_len(3 << 30).unwrap(),
    }
}

#[test]
fn d8_what_is_no_regular_file_is_refused_with_words_by_every_command() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for (kind, words) in
        [("FIFO", "a FIFO"), ("directory", "a directory"), ("device", "a device"), ("3 GB", "larger than")]
    {
        put(kind, &at("cluster.yaml"));
        for command in ["status", "validate", "plan", "run", "doctor", "probe", "release"] {
            let output = rotad(&at("cluster.yaml"), &[command]);
            assert_eq!(output.status.code(), Some(78), "{kind} {command}: {output:?}");
            assert!(said(&output).contains(words), "{kind} {command}: {output:?}");
        }
        let _ = fs::remove_file(at("cluster.yaml"));
        let _ = fs::remove_dir(at("cluster.yaml"));
        fs::write(at("cluster.yaml"), format!("{GOOD}domain_lists: [{{ file: names.txt, services: [imap] }}]\n"))
            .unwrap();
        put(kind, &at("names.txt"));
        let output = rotad(&at("cluster.yaml"), &["validate"]);
        assert_eq!(output.status.code(), Some(78), "a list that is a {kind}: {output:?}");
        assert!(said(&output).contains(words), "a list that is a {kind}: {output:?}");

        fs::write(at("cluster.yaml"), GOOD.replace("kind: imap", "kind: imap, tls: implicit, tls_ca: ca.pem")).unwrap();
        put(kind, &at("ca.pem"));
        let output = rotad(&at("cluster.yaml"), &["validate"]);
        assert_eq!(output.status.code(), Some(78), "authorities that are a {kind}: {output:?}");
        assert!(said(&output).contains(words), "authorities that are a {kind}: {output:?}");

        fs::write(at("cluster.yaml"), GOOD).unwrap();
        put(kind, &at("rotad.key"));
        let output = rotad(&at("cluster.yaml"), &["plan"]);
        assert_eq!(output.status.code(), Some(78), "a key that is a {kind}: {output:?}");
        let words = if kind == "device" { "symbolic link" } else { words };
        assert!(said(&output).contains(words), "a key that is a {kind}: {output:?}");
    }
}

#[test]
fn d8_a_state_that_is_no_file_stops_no_plan() {
    let rota = Rota::new().nodes(1).service(IMAP).domain("mydomain.org", "services: [imap]").build();
    fs::create_dir(rota.path().join("state")).unwrap();
    for (kind, words) in [("FIFO", "a FIFO"), ("device", "symbolic link"), ("3 GB", "larger than")] {
        put(kind, &rota.path().join("state/state"));
        let output = rotad(&rota.file(), &["plan"]);
        assert!(said(&output).contains(words), "{kind}: {output:?}");
    }
}

#[test]
fn d7_no_other_user_reaches_the_control_socket_at_any_moment_whatever_the_umask() {
    let mut rota = Rota::new().nodes(1).service(IMAP).domain("mydomain.org", "services: [imap]").build();
    for umask in ["000", "022", "077"] {
        rota.started_by(&["sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
        for (name, allowed) in [("control.sock", 0o600), ("status.sock", 0o660)] {
            let (path, ended) = (rota.path().join(name), AtomicBool::new(false));
            let seen: BTreeSet<u32> = thread::scope(|scope| {
                let watch = scope.spawn(|| {
                    let mut seen = BTreeSet::new();
                    while !ended.load(Ordering::Acquire) {
                        seen.extend(fs::symlink_metadata(&path).map(|found| found.permissions().mode() & 0o777));
                    }
                    seen
                });
                for _ in 0..4 {
                    rota.start();
                    rota.stop();
                }
                ended.store(true, Ordering::Release);
                watch.join().unwrap()
            });
            assert!(
                seen.contains(&allowed) && seen.iter().all(|mode| mode & !allowed == 0),
                "{umask} {name}: {seen:?}"
            );
        }
    }
}

/// How often a text stands in another.
fn times(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

fn twenty_zones() -> Rota {
    let zones = (0..20).map(|at| format!("d{at:02}.example"));
    zones.fold(Rota::new().nodes(2).service(IMAP), |rota, zone| rota.domain(&zone, "services: [imap]")).build()
}

#[test]
fn c14_a_server_that_is_down_or_refuses_the_key_is_told_once_for_all_zones() {
    let mut rota = twenty_zones();
    rota.start();
    rota.expect_in_sync();
    rota.named.kill();
    rota.kill("node00");
    rota.expect_journal("BIND gives no answer");
    rota.stop();
    let plan = rota.run(&["plan"]);
    assert_eq!((plan.code, times(&format!("{}{}", plan.out, plan.err), "could not be read")), (69, 1), "{plan:?}");
    assert_eq!(times(&rota.journal(), "error: "), times(&rota.journal(), "BIND gives no answer"), "{}", rota.journal());
    assert_eq!(times(&rota.journal(), "BIND gives no answer"), 1, "{}", rota.journal());

    // Another secret than BIND's.
    let mut rota = twenty_zones();
    let key = rota.path().join("rotad.key");
    let good = fs::read_to_string(&key).unwrap();
    let secret = good.split('"').find(|part| part.ends_with('=')).unwrap().to_owned();
    fs::write(&key, good.replace(&secret, "bWFya2VyLW9mLWEtc2VjcmV0LXRoYXQtYmluZC1kb2VzLW5vdC1oYXZl")).unwrap();
    let words = "an unsigned answer says that named holds another secret for key \"rotad\"";
    for command in ["plan", "apply"] {
        let ran = rota.run(&[command]);
        let said = format!("{}{}", ran.out, ran.err);
        let journal = usize::from(command == "apply");
        assert_eq!((ran.code, times(&said, words)), (1, 1 + journal), "{ran:?}");
        assert!(said.contains("20 zones (d00.example, d01.example, d02.example, ...)"), "{ran:?}");
    }
    rota.start();
    rota.eventually("every zone has been asked", |rota| {
        let zones = rota.status()["zones"].as_array().unwrap().clone();
        zones.iter().all(|zone| zone["state"] == "failing")
    });
    assert_eq!(times(&rota.journal(), words), 1, "{}", rota.journal());
    assert_eq!(times(&rota.run(&["status"]).out, words), 1);
    rota.replace_file("rotad.key", &good);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    rota.expect_in_sync();
    rota.expect_journal("BIND accepts our signature again, after ");
    assert_eq!(times(&rota.journal(), words), 1, "{}", rota.journal());
}

#[test]
fn d14_a_reader_that_leaves_ends_a_command_quietly() {
    let mut rota = twenty_zones();
    rota.start();
    rota.expect_in_sync();
    for (arguments, code) in [
        (&["status"][..], 0),
        (&["status", "--json"], 0),
        (&["validate"], 0),
        (&["validate", "--json"], 0),
        (&["plan"], 0),
        (&["plan", "--json"], 0),
        (&["probe"], 0),
        (&["probe", "--json"], 0),
        (&["doctor"], 0),
        (&["doctor", "--json"], 0),
        (&["hold"], 0),
        (&["release"], 0),
        (&["--help"], 0),
        (&["plan", "--no-such"], 64),
        (&["adopt", "none.example"], 1),
    ] {
        // A pipe whose reader is gone before anything is written, for both outputs.
        let closed = || std::io::pipe().unwrap().1;
        for both in [false, true] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_rotad"));
            command.arg("--config").arg(rota.file()).args(arguments).stdin(Stdio::null()).stdout(closed());
            command.stderr(if both { Stdio::from(closed()) } else { Stdio::piped() });
            let output = command.spawn().unwrap().wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!said.contains("panicked") && !said.contains("Broken pipe"), "{arguments:?}: {said}");
        }
    }
}

/// A control group with as much memory as the unit has, which ends with it.
struct Group(std::path::PathBuf);

impl Group {
    /// Of the unified hierarchy if it gives memory, else of the one for memory alone.
    fn new(test: &str) -> Self {
        let name = format!("rotad-test-{}-{test}", std::process::id());
        for (root, limit) in [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")] {
            let path = Path::new(root).join(&name);
            let _ = fs::write(Path::new(root).join("cgroup.subtree_control"), "+memory");
            if fs::create_dir(&path).is_ok() {
                if path.join(limit).exists() && fs::write(path.join(limit), (512 << 20).to_string()).is_ok() {
                    return Self(path);
                }
                let _ = fs::remove_dir(&path);
            }
        }
        panic!("no control group for memory can be made: this test wants root, and cgroups that it may write");
    }

    /// What stands before a program that is to run in it.
    fn before(&self) -> [String; 4] {
        let join = format!("echo $$ > {}/cgroup.procs; exec \"$@\"", self.0.display());
        ["sh".to_owned(), "-euc".to_owned(), join, "sh".to_owned()]
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The last process may be on its way out.
        let end = clock::now() + Duration::from_secs(5);
        while fs::remove_dir(&self.0).is_err() && clock::now() < end {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn d2_a_daemon_whose_list_is_ruined_stays_alive_in_the_memory_of_the_unit_and_keeps_what_it_had() {
    let group = Group::new("list");
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .domain("mydomain.org", "services: [imap]")
        .zone("listed.org", Zone::new("listed.org"))
        .top("domain_lists: [{ file: names.txt, services: [imap] }]")
        .build();
    let before = group.before();
    rota.started_by(&before.each_ref().map(String::as_str));
    rota.replace_file("names.txt", "listed.org\n");
    rota.start();
    rota.expect_in_sync();
    rota.expect_a("imap.listed.org", ["node00", "node01"]);
    let pid = rota.pid();

    let ruined = "mail example\n".repeat(19_000_000 / 13);
    rota.replace_file("names.txt", &ruined);
    rota.expect_journal("an edit is refused, what was in force stays: ");
    let error = rota.status()["config"]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("names.txt:1") && error.contains("problems more"), "{error}");
    for command in ["validate", "reload", "plan"] {
        let ran = rota.run(&[command]);
        assert_eq!(ran.code, 78, "{command}: {ran:?}");
        assert!(ran.err.contains("names.txt:1") && ran.err.len() < 100_000, "{command}: {} octets", ran.err.len());
    }
    // Health is followed as before, in what the list gave as well.
    rota.kill("node01");
    rota.expect_a("imap.listed.org", ["node00"]);
    rota.expect_a("imap.mydomain.org", ["node00"]);
    assert_eq!(rota.pid(), pid);
    // A good edit is taken.
    rota.replace_file("names.txt", "listed.org\n# good again\n");
    rota.eventually("the list is good again", |rota| rota.status()["config"]["error"].is_null());
    // A start with it ends with words, and is not killed either.
    rota.replace_file("names.txt", &ruined);
    rota.expect_journal("an edit is refused");
    rota.stop();
    let ran = rota.run(&["run"]);
    assert!(ran.code == 78 && ran.err.contains("names.txt:1"), "{ran:?}");
}

#[test]
fn d2_a_file_of_millions_of_keys_and_values_is_judged_in_the_memory_of_the_unit() {
    let group = Group::new("tree");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.yaml");
    let filled = |before: &str, piece: &str, behind: &str| {
        let room = (8 << 20) - GOOD.len() - before.len() - behind.len() - 1;
        format!("{GOOD}{before}{}{behind}\n", piece.repeat(room / piece.len()))
    };
    let numbered = |before: &str, behind: &str| {
        let keys: Vec<_> = (0..1_000_000).map(|at| format!("{at:x}")).collect();
        format!("{GOOD}{before}{}{behind}\n", keys.join(","))
    };
    for (text, words) in [
        (filled("x: {", "a,", "}"), "more than 2,500,000 keys and values"),
        (filled("x: [", "[],", "]"), "more than 2,500,000 keys and values"),
        (numbered("safety: {", "}"), "there is no key \"0\""),
    ] {
        fs::write(&file, &text).unwrap();
        let before = group.before();
        let mut command = Command::new(&before[0]);
        command.args(&before[1..]).args(["/usr/bin/env", "-i", env!("CARGO_BIN_EXE_rotad"), "--config"]).arg(&file);
        let output = command.arg("validate").output().unwrap();
        let said = said(&output);
        let about = text.get(GOOD.len()..GOOD.len() + 20).unwrap();
        assert_eq!(output.status.code(), Some(78), "{about}: {:?} {}", output.status, &said[..said.len().min(2_000)]);
        assert!(said.contains(words) && said.len() < 100_000, "{about}: {}", &said[..said.len().min(2_000)]);
    }
}
