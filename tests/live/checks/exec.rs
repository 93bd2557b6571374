//! Monitoring plugins: row A19 of the faults that rotad must stand.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use rotad::{
    check::{Check, Exec, Kind, Outcome, Warning},
    io::clock,
};
use rustix::process::{Pid, Signal, kill_process};

use super::{LOCAL, LONG, SHORT, fail, pass, probe};
use crate::support::named::eventually;

pub(super) fn check(command: &[&str], timeout: Duration) -> Check {
    let (program, arguments) = command.split_first().unwrap();
    let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
    let timing = super::timing(timeout);
    Check { kind: Kind::Exec(Exec { program: PathBuf::from(program), arguments }), tls: None, timing }
}

/// Runs a script by a shell of its own.
async fn script(text: &str, timeout: Duration) -> Outcome {
    probe(&check(&["/bin/sh", "-c", text], timeout), LOCAL).await
}

fn unknown(text: &str) -> Outcome {
    Outcome::Unknown(text.to_owned())
}

/// Whether a process runs; one that has ended and was not waited for does not.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[tokio::test]
async fn a19_exit_codes() {
    let warning = Outcome::Warn { reason: "WARN 60".to_owned(), warning: Warning::Plugin("WARN 60".to_owned()) };
    for (text, expected) in [
        ("echo 'OK - fine | a=1'; echo more", pass("OK - fine")),
        ("exit 0", pass("exit status 0")),
        ("echo WARN 60; exit 1", warning),
        ("echo CRIT; exit 2", fail("CRIT")),
        ("echo usage; exit 3", unknown("exit status 3: usage")),
        ("exit 127", unknown("exit status 127")),
        ("exec timeout 0.1 sleep 600", fail("the plugin gave up by its own deadline (exit status 124)")),
        ("kill -ALRM $$", fail("the plugin gave up by its own deadline (signal 14, SIGALRM)")),
        ("kill -SEGV $$", unknown("the plugin was killed by signal 11")),
        ("printf '\\033[2J\\377'; exit 2", fail("\\u{1b}[2J\\xff")),
        ("echo to stderr >&2; cat; exit 2", fail("exit status 2 (critical)")),
    ] {
        assert_eq!(script(text, LONG).await, expected, "{text}");
    }
}

#[tokio::test]
async fn a19_programs_that_cannot_be_run() {
    for (program, cause) in [
        ("/nonexistent/check_mail", "No such file or directory (os error 2)"),
        ("/etc/passwd", "Permission denied (os error 13)"),
        ("/etc", "Permission denied (os error 13)"),
    ] {
        let outcome = probe(&check(&[program], LONG), LOCAL).await;
        assert_eq!(outcome, unknown(&format!("cannot run {program}: {cause}")));
    }
}

#[tokio::test]
async fn arguments_arrive_as_written_and_the_environment_is_bare() {
    let outcome = probe(&check(&["/bin/echo", "$NODE", "a  b", ";exit 2"], LONG), LOCAL).await;
    assert_eq!(outcome, pass("$NODE a  b ;exit 2"));
    // Cargo's own variables are in our environment. The shell adds PWD and the like to its own.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && std::env::var_os("PATH").is_some());
    let found = script("echo $NODE $ADDRESS $PATH ${CARGO_MANIFEST_DIR-none} ${HOME-none} $(pwd)", LONG).await;
    assert_eq!(found, pass("node01 127.0.0.1 /usr/bin:/bin:/usr/sbin:/sbin none none /"));
}

#[tokio::test]
async fn a19_a_plugin_that_hangs_is_killed_with_all_that_it_has_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let text = format!("sleep 600 & echo $$ $! > {}; trap '' TERM; sleep 600", file.display());
    assert_eq!(script(&text, SHORT).await, fail("the plugin did not end in 1s"));
    let pids = fs::read_to_string(file).unwrap();
    for pid in pids.split_whitespace() {
        eventually("the plugin's processes are gone", || !runs(pid));
    }
}

/// A plugin in a folder of its own.
fn plugin(folder: &Path, mode: u32) -> PathBuf {
    let path = folder.join("check_it");
    fs::write(&path, "#!/bin/sh\necho fine\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[tokio::test]
async fn d12_a_plugin_that_anybody_may_change_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let nested = folder.path().join("plugins");
    fs::create_dir(&nested).unwrap();
    let place = |path: &Path| path.canonicalize().unwrap().display().to_string();
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let file = plugin(&nested, 0o777);
    let program = file.display().to_string();
    let refused = |open: &Path| {
        let open = place(open);
        unknown(&format!("{program} is not run: anybody may write {open}: chmod o-w {open}"))
    };
    assert_eq!(probe(&check(&[&program], LONG), LOCAL).await, refused(&file));
    mode(&file, 0o755);
    assert_eq!(probe(&check(&[&program], LONG), LOCAL).await, pass("fine"));
    for open in [nested.as_path(), folder.path()] {
        mode(open, 0o777);
        assert_eq!(probe(&check(&[&program], LONG), LOCAL).await, refused(open));
        mode(open, 0o755);
    }
    // A link is as good as what it leads to, and the places on both ways.
    let link = folder.path().join("link");
    symlink(&file, &link).unwrap();
    let linked = link.display().to_string();
    assert_eq!(probe(&check(&[&linked], LONG), LOCAL).await, pass("fine"));
    mode(&file, 0o757);
    let outcome = probe(&check(&[&linked], LONG), LOCAL).await;
    assert!(outcome.reason().contains("anybody may write"), "{outcome:?}");
    mode(&file, 0o755);
    // In a folder for all only what is root's or ours.
    mode(&nested, 0o1777);
    assert_eq!(probe(&check(&[&program], LONG), LOCAL).await, pass("fine"));
    chown(&file, Some(65_534), None).unwrap();
    let outcome = probe(&check(&[&program], LONG), LOCAL).await;
    assert!(matches!(&outcome, Outcome::Unknown(why) if why.ends_with("move it to a folder of root's")), "{outcome:?}");
}

#[tokio::test]
async fn a19_children_that_a_plugin_leaves_end_with_it() {
    let Outcome::Pass(child) = script("sleep 600 & echo $!", LONG).await else { panic!("it passes") };
    eventually("the child is gone", || !runs(&child));
}

#[tokio::test]
async fn a19_a_child_that_flees_and_keeps_the_output_open_does_not_hold_us() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid").display().to_string();
    // The child says so once it has left the group.
    let text = format!("setsid sh -c 'echo $$ > {file}; exec sleep 600' & until [ -s {file} ]; do :; done; cat {file}");
    let start = clock::now();
    let Outcome::Pass(child) = script(&text, LONG).await else { panic!("it passes") };
    assert!(clock::now() - start < LONG);
    // Nobody else ends what has left the group.
    assert!(runs(&child));
    kill_process(Pid::from_raw(child.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn a19_output_without_end_is_cut() {
    assert_eq!(
        script("head -c 100000 /dev/zero | tr '\\0' x; exit 2", LONG).await,
        fail(&format!("{}...", "x".repeat(100)))
    );
    assert_eq!(script("exec yes", SHORT).await, fail("the plugin did not end in 1s"));
}
