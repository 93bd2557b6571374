//! The unit file, judged by systemd itself.

use std::{fs, path::Path, process::Command};

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/rotad.service");

/// `systemd-analyze` on the file: whether it succeeded, and all that it said.
fn analyze(arguments: &[&str], file: &Path) -> (bool, String) {
    let output = Command::new("systemd-analyze").args(arguments).arg(file).output().expect("systemd-analyze runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn systemd_accepts_every_line() {
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("rotad.service");
    // The program is not installed here: the one that was built stands in for it.
    let text = fs::read_to_string(UNIT).unwrap();
    assert!(text.contains("ExecStart=/usr/bin/rotad run\n"));
    fs::write(&unit, text.replace("/usr/bin/rotad", env!("CARGO_BIN_EXE_rotad"))).unwrap();
    let (success, said) = analyze(&["verify"], &unit);
    // An unknown key is told, yet no failure; trouble of the machine's other units is not ours.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("rotad")).collect();
    assert!(success && ours.is_empty(), "{said}");
}

#[test]
fn the_sandbox_is_tight() {
    let (success, said) = analyze(&["security", "--offline=true", "--threshold=15"], Path::new(UNIT));
    assert!(success, "{said}");
}

#[test]
fn it_is_started_again_unless_the_file_is_wrong() {
    let text = fs::read_to_string(UNIT).unwrap();
    for line in [
        "Restart=always",
        "RestartSec=2",
        "StartLimitIntervalSec=0",
        // Wrong usage, no permission, a wrong file: another start would end the same way.
        "RestartPreventExitStatus=64 77 78",
        "WatchdogSec=30",
        "MemoryMax=512M",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn d12_what_a_plugin_leaves_behind_ends_with_the_service() {
    let text = fs::read_to_string(UNIT).unwrap();
    for line in ["KillMode=control-group", "TasksMax=512"] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn a_panic_ends_the_whole_process() {
    let manifest = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let release = manifest.split("[profile.release]").nth(1).unwrap();
    assert!(release.split("\n[").next().unwrap().lines().any(|line| line == "panic = \"abort\""), "{release}");
}
