//! The state directory: damaged, unreadable, of another version, or made by somebody who means ill.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
};

use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};

use super::*;

/// The body of a state file.
fn body(file: &str) -> Value {
    serde_json::from_str(file.lines().nth(1).expect("a body")).expect("JSON")
}

#[test]
fn d2_c8_a_damaged_state_holds_until_a_person_releases_it() {
    let mut rota = plain();
    assert_eq!(rota.run(&["hold", "--reason", "the switches"]).code, 0);
    rota.stop();
    let (state, file) = (rota.path().join("state"), rota.path().join("state/state"));
    let good = fs::read(&file).unwrap();
    let before = (rota.serial(ZONE), rota.records(ZONE));
    let half = good[..good.len() / 2].to_vec();
    let edited = String::from_utf8(good.clone()).unwrap().replace("switches", "switch").into_bytes();
    let kinds =
        [("cut", half), ("edited", edited), ("zeros", vec![0; 4096]), ("empty", Vec::new()), ("noise", vec![0xff; 9])];
    rota.kill("node01");
    for (at, (what, content)) in kinds.iter().enumerate() {
        fs::write(&file, content).unwrap();
        let planned = rota.run(&["plan"]);
        assert!(planned.err.contains("the state file is damaged"), "{what}: {planned:?}");
        assert_eq!(fs::read(&file).unwrap(), *content, "plan changes nothing");
        if at == 0 {
            let applied = rota.run(&["apply", "--force"]);
            assert_eq!(applied.code, 1, "{applied:?}");
            assert!(applied.err.contains("nothing is written until `rotad release`"), "{applied:?}");
        }
        rota.start();
        rota.eventually("node01 is seen to be down", |rota| {
            let status = rota.status();
            let checks = status["nodes"][1]["checks"].as_array().unwrap();
            status["mode"] == "hold" && checks.iter().all(|check| check["state"] == "down")
        });
        rota.expect_zone_state(ZONE, "pending");
        let hold = rota.status()["hold"].clone();
        assert_eq!((&hold["by"], &hold["until"]), (&json!("rotad"), &Value::Null), "{what}");
        assert!(hold["reason"].as_str().unwrap().contains("the state file was damaged"), "{what}: {hold}");
        let aside = if at == 0 { "state.bad".to_owned() } else { format!("state.bad.{}", at + 1) };
        assert_eq!(fs::read(state.join(aside)).unwrap(), *content, "{what}: nothing is lost");
        rota.restart();
        assert_eq!(rota.status()["hold"], hold, "{what}: a restart keeps it");
        assert_eq!((rota.serial(ZONE), rota.records(ZONE)), before, "{what}");
        rota.stop();
    }
    rota.start();
    assert_eq!(rota.run(&["release"]).code, 0);
    expect_right(&mut rota, ["node00", "node02"]);
    rota.restart();
    rota.expect_in_sync();
}

#[test]
fn c8_a_state_that_may_not_be_read_ends_the_start() {
    let mut rota = plain();
    rota.stop();
    let (state, file) = (rota.path().join("state"), rota.path().join("state/state"));
    let good = fs::read_to_string(&file).unwrap();
    let before = (rota.serial(ZONE), rota.records(ZONE));
    rota.kill("node01");
    for (what, code, words) in [
        ("directory", 77, "it is a directory"),
        ("FIFO", 77, "it is a FIFO"),
        ("link", 77, "symbolic link"),
        ("dangling link", 77, "symbolic link"),
        ("other cluster", 78, "cluster \"web\""),
        ("other user", 77, "belongs to uid 65534"),
        ("too large", 1, "larger than"),
    ] {
        let _ = fs::remove_file(&file);
        let _ = fs::remove_dir(&file);
        match what {
            "directory" => fs::create_dir(&file).unwrap(),
            "FIFO" => mkfifoat(CWD, &file, Mode::RUSR).unwrap(),
            "link" => {
                fs::write(rota.path().join("elsewhere"), &good).unwrap();
                symlink(rota.path().join("elsewhere"), &file).unwrap();
            }
            "dangling link" => symlink("nowhere", &file).unwrap(),
            "other cluster" => fs::write(&file, rotad::state::State::new("web", "machine").encode()).unwrap(),
            "other user" => {
                fs::write(&file, &good).unwrap();
                std::os::unix::fs::chown(&file, Some(65_534), None).unwrap();
            }
            _ => fs::File::create(&file).unwrap().set_len(3 << 30).unwrap(),
        }
        let found = fs::symlink_metadata(&file).unwrap();
        for command in ["run", "apply"] {
            let ran = rota.run(&[command]);
            assert_eq!(ran.code, code, "{command}, {what}: {ran:?}");
            assert!(ran.err.contains(words) && ran.err.contains("state/state"), "{command}, {what}: {ran:?}");
        }
        let now = fs::symlink_metadata(&file).unwrap();
        assert_eq!((found.ino(), found.len(), found.mode()), (now.ino(), now.len(), now.mode()), "{what}");
        assert!(!state.join("state.bad").exists(), "{what}");
    }
    assert_eq!((rota.serial(ZONE), rota.records(ZONE)), before);
    fs::remove_file(&file).unwrap();
    fs::write(&file, good).unwrap();
    rota.start();
    expect_right(&mut rota, ["node00", "node02"]);
}

#[test]
fn d6_a_link_in_the_state_directory_leads_nowhere() {
    let mut rota = plain();
    rota.stop();
    let state = rota.path().join("state");
    let victim = rota.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    for name in ["lock", "state.new", "state.bad"] {
        let _ = fs::remove_file(state.join(name));
        symlink(&victim, state.join(name)).unwrap();
        for command in ["run", "apply"] {
            let ran = rota.run(&[command]);
            assert_eq!(ran.code, 77, "{command}, {name}: {ran:?}");
            assert!(ran.err.contains(name) && ran.err.contains("symbolic link"), "{command}, {name}: {ran:?}");
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{name}");
        fs::remove_file(state.join(name)).unwrap();
    }
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
    let ran = rota.run(&["run"]);
    assert!(ran.code == 77 && ran.err.contains("chmod o-w"), "{ran:?}");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    rota.start();
    // Whatever comes later is not written through.
    symlink(&victim, state.join("state.new")).unwrap();
    assert_eq!(rota.run(&["hold"]).code, 0);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(fs::read_to_string(state.join("state")).unwrap().contains("\"hold\""));
    assert_eq!(rota.run(&["release"]).code, 0);
}

#[test]
fn a_state_of_a_newer_version_keeps_what_it_says() {
    let mut rota = plain();
    assert_eq!(rota.run(&["hold", "--reason", "the switches"]).code, 0);
    rota.stop();
    let file = rota.path().join("state/state");
    let before = body(&fs::read_to_string(&file).unwrap());
    let mut newer = before.clone();
    newer["servers"] = json!({"ns1": {"lag": 4}});
    newer["zones"][ZONE]["_imaps._tcp.mydomain.org SRV"] = json!(["0 1 993 node00.mydomain.org."]);
    newer["zones"]["other.org"] = json!({"_imaps._tcp.other.org SRV": ["0 1 993 node00.mydomain.org."]});
    newer["marks"][ZONE]["signed"] = json!(7);
    newer["hold"]["zones"] = json!([ZONE]);
    let written = rotad::state::sealed(&newer.to_string()).replacen("rotad-state-1", "rotad-state-7", 1);
    fs::write(&file, written).unwrap();
    rota.start();
    assert_eq!(rota.status()["hold"]["reason"], "the switches");
    // It writes its state, and with it what it does not know.
    assert_eq!(rota.run(&["release"]).code, 0);
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
    rota.expect_in_sync();
    rota.stop();
    let after = body(&fs::read_to_string(&file).unwrap());
    assert_eq!(after["servers"], newer["servers"]);
    assert_eq!(after["zones"]["other.org"], newer["zones"]["other.org"]);
    let srv = "_imaps._tcp.mydomain.org SRV";
    assert_eq!(after["zones"][ZONE][srv], newer["zones"][ZONE][srv]);
    assert_eq!(after["zones"][ZONE].as_object().unwrap().len(), newer["zones"][ZONE].as_object().unwrap().len());
    assert_eq!(after.get("hold"), None, "a hold that was released does not come back");
    assert!(after["generations"][ZONE].as_u64() > before["generations"][ZONE].as_u64());
}

#[test]
fn c8_a_damaged_state_of_which_no_copy_can_be_made_is_never_written_over() {
    let mut rota = plain();
    rota.stop();
    let (state, file) = (rota.path().join("state"), rota.path().join("state/state"));
    let copies = (1..=9).map(|at| if at == 1 { "state.bad".to_owned() } else { format!("state.bad.{at}") });
    let copies: Vec<_> = copies.map(|name| state.join(name)).collect();
    for copy in &copies {
        fs::write(copy, copy.display().to_string()).unwrap();
    }
    fs::write(&file, "the only copy of what was held").unwrap();
    let before = (rota.serial(ZONE), rota.records(ZONE));
    rota.kill("node01");
    for _ in 0..2 {
        rota.start();
        rota.expect_journal("no copy of it can be kept: there are 9 already (state.bad and so on): look at them");
        rota.eventually("node01 is seen to be down", |rota| {
            let status = rota.status();
            let checks = status["nodes"][1]["checks"].as_array().unwrap();
            status["mode"] == "hold" && checks.iter().all(|check| check["state"] == "down")
        });
        rota.expect_zone_state(ZONE, "pending");
        assert_eq!((rota.serial(ZONE), rota.records(ZONE)), before);
        rota.stop();
        assert_eq!(fs::read_to_string(&file).unwrap(), "the only copy of what was held");
    }
    // A person lets it write: it does, and says that a restart holds again.
    rota.start();
    let ran = rota.run(&["release"]);
    assert!(ran.code == 1 && ran.err.contains("is damaged and not written over"), "{ran:?}");
    expect_right(&mut rota, ["node00", "node02"]);
    let applied = rota.run(&["apply"]);
    assert_eq!(applied.code, 75, "{applied:?}");
    rota.stop();
    let applied = rota.run(&["apply"]);
    assert_eq!(applied.code, 1, "{applied:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "the only copy of what was held");
    rota.start();
    rota.eventually("it holds", |rota| rota.status()["mode"] == "hold");
    // There is room for a copy: it is made, and then the state is saved.
    fs::remove_file(&copies[4]).unwrap();
    assert_eq!(rota.run(&["release"]).code, 0);
    assert_eq!(fs::read_to_string(&copies[4]).unwrap(), "the only copy of what was held");
    rota.restart();
    rota.expect_in_sync();
}

#[test]
fn c8_on_a_full_disk_a_damaged_state_is_not_written_over() {
    let mut rota = built();
    let state = rota.path().join("state");
    fs::create_dir(&state).unwrap();
    let damaged = "what was held before, and cut";
    fs::write(rota.path().join("damaged"), damaged).unwrap();
    // A page for the damaged file, one for the lock, and none for anything else.
    let script = format!(
        "mount -t tmpfs -o size=8k,mode=0750 tmpfs {0}; cp {0}/../damaged {0}/state; exec \"$@\"",
        state.display()
    );
    rota.started_by(&["unshare", "--mount", "--propagation", "private", "sh", "-euc", &script, "sh"]);
    rota.start();
    rota.started_by(&[]);
    let there = format!("/proc/{}/root{}/state", rota.pid(), state.display());
    rota.expect_journal("what was published before and what an operator held is not known");
    rota.eventually("it holds", |rota| rota.status()["mode"] == "hold");
    assert_eq!(fs::read_to_string(&there).unwrap(), damaged);
    let ran = rota.run(&["release"]);
    assert!(ran.code == 1 && ran.err.contains("a restart would forget it"), "{ran:?}");
    expect_right(&mut rota, NODES);
    rota.kill("node01");
    expect_right(&mut rota, ["node00", "node02"]);
    assert_eq!(fs::read_to_string(&there).unwrap(), damaged);
}
