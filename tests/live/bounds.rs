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

use super::support::rota::{IMAP, Rota};

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
