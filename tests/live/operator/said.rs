//! What commands and the journal say, in trouble: the truth, once, with what to do.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    process::{Command, Stdio},
};

use rustix::fs::{CWD, Mode, mkfifoat};

use super::*;
use crate::support::node::Script;

#[test]
fn a_sync_with_bind_down_says_that_nothing_was_read_and_why() {
    let mut rota = Rota::new()
        .nodes(2)
        .service(IMAP)
        .domain("mydomain.org", "services: [imap]")
        .domain("beside.org", "services: [imap]")
        .start();
    rota.named.kill();
    // Found down by it, and known to be down before.
    for _ in 0..2 {
        let ran = rota.run(&["sync"]);
        assert_eq!(ran.code, 69, "{ran:?}");
        assert!(ran.err.contains("no zone was read, and 2 zones could not be: BIND gives no answer: "), "{ran:?}");
        // Whose connection was open hears a reset first.
        let is_down = ran.err.contains("refused") || ran.err.contains("reset by peer");
        assert!(is_down && !format!("{ran:?}").contains("nothing had been changed"), "{ran:?}");
    }
    rota.named.restart();
    rota.expect_in_sync();
    assert_eq!(rota.run(&["sync"]).code, 0);
}

#[test]
fn what_is_too_long_for_the_daemon_is_refused_with_its_bound() {
    let rota = Rota::new().nodes(2).service(IMAP).domain("mydomain.org", "services: [imap]").start();
    for long in [2_001, 9_000, 100_000] {
        let ran = rota.run(&["hold", "--reason", &"x".repeat(long)]);
        assert_eq!(ran.code, 64, "{long}: {ran:?}");
        assert!(ran.err.contains("at most 2000 are kept") && ran.err.len() < 500, "{long}: {ran:?}");
        assert_eq!(rota.status()["mode"], "active");
    }
    let ran = rota.run(&["hold", "--reason", &"\u{1}".repeat(2_000)]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(rota.status()["hold"]["reason"].as_str().map(str::len), Some(2_000));
    assert_eq!(rota.run(&["release"]).code, 0);
    // Hundreds of names are one request; and what is no name is said to be none.
    let names: Vec<String> = (0..600).map(|at| format!("a-name-that-is-rather-long-{at}.example.org")).collect();
    for command in ["adopt", "sync", "restore"] {
        let words: Vec<&str> = [command].into_iter().chain(names.iter().map(String::as_str)).collect();
        let ran = rota.run(&words);
        assert!(ran.code == 1 && !ran.err.contains("is it running"), "{command}: {} {}", ran.code, ran.err);
    }
    let many: Vec<String> = (0..20).map(|at| format!("{at}{}", "x".repeat(100_000))).collect();
    let words: Vec<&str> = ["sync"].into_iter().chain(many.iter().map(String::as_str)).collect();
    let ran = rota.run(&words);
    assert!(ran.code == 64 && ran.err.contains("takes 1024 KiB at a time") && ran.err.len() < 500, "{}", ran.code);
}

/// Lines of the journal with some words.
fn lines(rota: &Rota, words: &str) -> Vec<String> {
    rota.journal().lines().filter(|line| line.contains(words)).map(str::to_owned).collect()
}

#[test]
fn a_key_that_is_not_allowed_and_domains_that_leave_are_told_once_for_all_zones() {
    let names: Vec<String> = (0..20).map(|at| format!("d{at:02}.org")).collect();
    let builder = names.iter().fold(Rota::new().nodes(2).service(IMAP), |rota, name| {
        rota.domain(name, "services: [imap]").zone(name, Zone::read_only(name))
    });
    let mut rota = builder.build();
    rota.start();
    rota.eventually("every zone is failing", |rota| {
        let status = rota.status();
        status["zones"].as_array().unwrap().iter().all(|zone| zone["state"] == "failing")
    });
    rota.expect_journal("20 zones (d00.org, d01.org, d02.org, ...): named refuses the update (REFUSED)");
    assert_eq!(lines(&rota, "REFUSED").len(), 1, "{}", rota.journal());
    let zone = rota.zone("d07.org");
    assert!(zone["error"].as_str().unwrap().contains("d07.org"), "each says what to do: {zone}");

    // Where they are published, and leave the file.
    let names: Vec<String> = (0..20).map(|at| format!("e{at:02}.org")).collect();
    let builder =
        names.iter().fold(Rota::new().nodes(2).service(IMAP), |rota, name| rota.domain(name, "services: [imap]"));
    let mut rota = builder.safety("max_change: 100%").start();
    let kept: Vec<_> =
        rota.yaml().lines().filter(|line| !line.trim_start().starts_with("e0")).map(str::to_owned).collect();
    rota.write(&(kept.join("\n") + "\n"));
    rota.expect_journal("10 zones (e00.org, e01.org, e02.org, ...): imap.ZONE A is out of the file, and stays in DNS");
    assert_eq!(lines(&rota, "out of the file").len(), 1, "{}", rota.journal());
}

#[test]
fn f6_a_key_file_that_is_none_any_more_is_told_by_validate_reload_and_status_and_dns_goes_on() {
    let mut rota = Rota::new().nodes(2).service(IMAP).domain("mydomain.org", "services: [imap]").start();
    let key = rota.path().join("rotad.key");
    let good = rota.path().join("good.key");
    fs::rename(&key, &good).unwrap();
    mkfifoat(CWD, &key, Mode::RUSR).unwrap();
    let ran = rota.run(&["validate"]);
    assert!(ran.code == 78 && ran.err.contains("rotad.key: the key file cannot be read: it is a FIFO"), "{ran:?}");
    rota.eventually("the status says so", |rota| {
        let status = rota.status();
        status["config"]["error"].as_str().is_some_and(|error| {
            error.contains("it is a FIFO, not a regular file") && error.contains("the keys before stay in force")
        })
    });
    assert_eq!(lines(&rota, "it is a FIFO").len(), 1, "{}", rota.journal());
    let ran = rota.run(&["reload"]);
    assert!(ran.code == 78 && ran.err.contains("it is a FIFO"), "{ran:?}");
    // The keys before are used on.
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00"]);
    fs::rename(&good, &key).unwrap();
    assert_eq!(rota.run(&["validate"]).code, 0);
    let ran = rota.run(&["reload"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    rota.eventually("nothing is wrong any more", |rota| rota.status()["config"]["error"].is_null());
}

#[test]
fn long_work_shows_on_a_terminal_how_far_it_is_and_elsewhere_nothing() {
    let mut rota = Rota::new().nodes(2).service(IMAP).domain("mydomain.org", "services: [imap]").build();
    let slow = "interval: 2s, fast_interval: 1s, timeout: 900ms";
    let yaml = rota.yaml().replace("interval: 500ms, fast_interval: 50ms, timeout: 450ms", slow);
    rota.write(&yaml);
    rota.script("node01", "imap", &Script::new().hang());
    let plan = format!("{} --config {} plan", env!("CARGO_BIN_EXE_rotad"), rota.file().display());
    let mut command = Command::new("script");
    command.args(["-qec", &plan, "/dev/null"]).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().expect("script of util-linux");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains(" of 2 checks are decided, node0"), "{shown:?}");
    // It is taken back before the result.
    let (_, last) = shown.rsplit_once("\u{1b}[K").expect("the line is cleared");
    assert!(last.contains("+ imap.mydomain.org.") && !last.contains("are decided"), "{shown:?}");
    assert_eq!(output.status.code(), Some(3), "{shown:?}");
    let ran = rota.run(&["plan"]);
    assert!(ran.code == 3 && ran.err.is_empty() && !ran.out.contains("are decided"), "{ran:?}");
}

#[test]
fn d16_root_leaves_nothing_that_stops_the_start_of_the_daemons_user() {
    let user = Some(65_534);
    let mut rota = Rota::new().nodes(2).service(IMAP).domain("mydomain.org", "services: [imap]").build();
    let (folder, state) = (rota.path().to_owned(), rota.path().join("state"));
    for path in [&folder, &folder.join("rotad.key"), &rota.file()] {
        chown(path, user, user).unwrap();
    }
    let owners = || {
        let all = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().metadata().unwrap().uid());
        all.collect::<std::collections::BTreeSet<_>>()
    };
    // Before there is a state directory.
    for command in [&["apply"][..], &["withdraw", "--all"], &["restore", "--all"]] {
        let ran = rota.run(command);
        assert_eq!(ran.code, 77, "{command:?}: {ran:?}");
        assert!(ran.err.contains("belongs to uid 65534") && ran.err.contains("runuser -u USER"), "{ran:?}");
        assert!(!state.exists(), "{command:?}");
    }
    assert_eq!(rota.run(&["plan"]).code, 3);
    assert!(!state.exists(), "a plan makes nothing");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let as_user = |rota: &mut Rota| {
        rota.started_by(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        rota.start();
        rota.started_by(&[]);
        rota.expect_in_sync();
    };
    as_user(&mut rota);
    assert_eq!(owners(), [65_534].into());
    rota.stop();
    // Beside one.
    for (command, code) in [("plan", 0), ("apply", 77), ("validate", 0), ("doctor", 0), ("probe", 0)] {
        let ran = rota.run(&[command]);
        assert_eq!(ran.code, code, "{command}: {ran:?}");
        assert_eq!(owners(), [65_534].into(), "{command}");
    }
    as_user(&mut rota);
}

#[test]
fn c9_a_command_reaches_the_daemon_of_its_file_and_no_other() {
    let mut rota = Rota::new().nodes(2).service(IMAP).domain("mydomain.org", "services: [imap]").start();
    let at = |name: &str| rota.path().join(name);
    // One whose default socket is the daemon's, as it is for whoever writes no status_socket.
    let of = |file: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rotad"));
        command.arg("--config").arg(at(file)).args(arguments).env("RUNTIME_DIRECTORY", rota.path());
        let output = command.stdin(Stdio::null()).output().expect("rotad starts");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), said)
    };
    fs::write(at("other.yaml"), rota.yaml()).unwrap();
    fs::write(at("broken.yaml"), "nodes: [\n").unwrap();
    mkfifoat(CWD, at("fifo.yaml"), Mode::RUSR | Mode::WUSR).unwrap();
    std::os::unix::fs::symlink("cluster.yaml", at("link.yaml")).unwrap();
    for file in ["typo.yaml", "other.yaml", "broken.yaml", "fifo.yaml"] {
        for command in
            ["hold", "release", "reload", "sync", "accept", "adopt mydomain.org", "withdraw --all", "restore --all"]
        {
            let words: Vec<_> = command.split(' ').collect();
            let (code, said) = of(file, &words);
            let is_read = file == "other.yaml" || command.ends_with("--all");
            assert_eq!(code, Some(if is_read { 69 } else { 78 }), "{file} {command}: {said}");
            assert_eq!(said.contains("cluster.yaml, and not") && said.contains("nothing was done"), is_read, "{said}");
        }
        let (code, said) = of(file, &["status"]);
        assert!(code == Some(0) && said.contains(&format!("{file} is not in force")), "{file}: {said}");
    }
    let (code, said) = of("link.yaml", &["hold"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = of("link.yaml", &["status"]);
    assert!(code == Some(0) && !said.contains("is not in force"), "{said}");
    // Somebody has removed the file: its daemon runs on, and can be asked.
    let yaml = rota.yaml();
    fs::remove_file(at("cluster.yaml")).unwrap();
    let (code, said) = of("cluster.yaml", &["release"]);
    assert_eq!(code, Some(0), "{said}");
    rota.write(&yaml);
}
