//! The host: its disk, its clocks, its users, and whoever comes to the sockets.

use std::{
    fs,
    io::Write,
    os::unix::{
        fs::PermissionsExt,
        net::{UnixDatagram, UnixStream},
    },
};

use rustix::process::Signal;

use super::*;

#[test]
fn d3_without_room_for_its_state_rotad_goes_on_and_says_so() {
    let mut rota = built();
    let state = rota.path().join("state");
    fs::create_dir(&state).unwrap();
    // A page for the lock, and none for the state.
    let script = format!("mount -t tmpfs -o size=4k,mode=0750 tmpfs {}; exec \"$@\"", state.display());
    rota.started_by(&["unshare", "--mount", "--propagation", "private", "sh", "-euc", &script, "sh"]);
    rota.start();
    rota.started_by(&[]);
    rota.expect_journal("the state cannot be saved: ");
    expect_right(&mut rota, NODES);
    rota.kill("node01");
    expect_right(&mut rota, ["node00", "node02"]);
    assert_eq!(rota.journal().matches("the state cannot be saved: ").count(), 1, "{}", rota.journal());
    // What must not be forgotten is not said to be done.
    let held = rota.run(&["hold"]);
    assert!(held.code == 1 && held.err.contains("a restart would forget it"), "{held:?}");
}

#[test]
fn d5_a_wall_clock_that_jumps_is_told_by_tsig_alone() {
    let mut rota = plain();
    rota.stop();
    let (now, library) = (rota.path().join("faketime"), "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1");
    assert!(
        fs::exists(library).unwrap(),
        "{library} is missing: this test needs faketime; `bash tests/run.sh` installs it"
    );
    let jump = |by: &str| fs::write(&now, by).unwrap();
    jump("+0");
    rota.started_by(&[
        "env",
        &format!("LD_PRELOAD={library}"),
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "FAKETIME_CACHE_DURATION=1",
        &format!("FAKETIME_TIMESTAMP_FILE={}", now.display()),
    ]);
    rota.start();
    rota.started_by(&[]);
    rota.expect_in_sync();
    let mut serial = rota.serial(ZONE);
    for (by, hours) in [("+3600", "our clock is 3"), ("-3600", "named's clock is 3")] {
        jump(by);
        // The fake looks at its file once a second.
        rota.eventually("the clock has jumped", |rota| {
            let time: String = rota.status()["time"].as_str().unwrap().to_owned();
            let told = humantime::parse_rfc3339(&time).unwrap();
            let away = told.duration_since(rotad::io::clock::wall()).unwrap_or_else(|error| error.duration());
            away.as_secs() > 3500
        });
        rota.kill("node01");
        let entry = rota.expect_zone_state(ZONE, "failing");
        let error = entry["error"].as_str().unwrap();
        assert!(error.contains(hours) && error.contains("BADTIME"), "{error}");
        assert_eq!(rota.serial(ZONE), serial, "{by}");
        // Health goes on by the clock that does not jump.
        rota.revive("node01");
        rota.eventually("node01 is up again", |rota| {
            rota.status()["nodes"][1]["checks"].as_array().unwrap().iter().all(|check| check["state"] == "up")
        });
        rota.kill("node01");
        jump("+0");
        rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
        rota.expect_in_sync();
        rota.revive("node01");
        expect_right(&mut rota, NODES);
        serial += 2;
    }
    assert!(!rota.journal().contains("rotad stood still"), "no gap: {}", rota.journal());
}

#[test]
fn d9_a_stop_in_the_midst_of_a_push_waits_for_the_answer() {
    let mut rota = plain();
    let serial = rota.serial(ZONE);
    rota.proxy().once(Which::UpdateAnswer, Fate::Hold);
    rota.kill("node01");
    rota.proxy().expect_met();
    rota.signal(Signal::TERM);
    rota.expect_journal("SIGTERM: rotad stops, and leaves DNS as it is");
    rota.proxy().release();
    assert_eq!(rota.stop(), Some(0));
    rota.start();
    expect_right(&mut rota, ["node00", "node02"]);
    assert_eq!(rota.serial(ZONE), serial + 1);
    // One that never comes is given up.
    rota.proxy().once(Which::UpdateAnswer, Fate::Lose);
    rota.revive("node01");
    rota.proxy().expect_met();
    assert_eq!(rota.stop(), Some(0));
    rota.start();
    expect_right(&mut rota, NODES);
    assert_eq!(rota.serial(ZONE), serial + 2);
}

#[test]
fn d13_an_error_that_comes_back_is_told_once() {
    let mut rota = plain();
    rota.proxy().always(Which::ReadAnswer, Fate::Cut(30));
    rota.proxy().once(Which::Update, Fate::Cut(1));
    rota.kill("node01");
    rota.proxy().expect_met();
    rota.proxy().always(Which::ReadAnswer, Fate::Cut(30));
    rota.eventually("it was tried several times", |rota| rota.proxy().met() >= 5);
    let journal = rota.journal();
    assert_eq!(journal.matches("BIND gives no answer").count(), 1, "{journal}");
    rota.proxy().heal();
    expect_right(&mut rota, ["node00", "node02"]);
    // A steady state is silent.
    let lines = rota.journal().lines().count();
    rota.run(&["status"]);
    expect_right(&mut rota, ["node00", "node02"]);
    assert_eq!(rota.journal().lines().count(), lines, "{}", rota.journal());
}

#[test]
fn d14_nobody_who_comes_to_the_sockets_stops_anything() {
    let mut rota = plain();
    let endless = vec![b'x'; 64 * 1024];
    let mut clients: Vec<UnixStream> = Vec::new();
    // The other socket is its owner's alone.
    for (socket, many) in [("status.sock", 1000), ("control.sock", 60)] {
        for number in 0..many {
            // A backlog that is full makes the client wait, and not the daemon.
            let Ok(mut client) = UnixStream::connect(rota.path().join(socket)) else { continue };
            client.set_nonblocking(true).unwrap();
            match number % 3 {
                0 => {}
                1 => drop(client.write(b"\xff\xfeGET / HTTP/1.1\r\n\r\n\0\0{{{{")),
                _ => drop(client.write(&endless)),
            }
            clients.push(client);
        }
    }
    assert!(clients.len() > 500, "{}", clients.len());
    // The daemon does its work...
    rota.kill("node01");
    rota.expect_a("imap.mydomain.org", ["node00", "node02"]);
    // ... and is done with the clients after their time.
    expect_right(&mut rota, ["node00", "node02"]);
    assert_eq!(rota.run(&["hold"]).code, 0);
    assert_eq!(rota.run(&["release"]).code, 0);
    drop(clients);
    rota.revive("node01");
    expect_right(&mut rota, NODES);
}

#[test]
fn d17_a_state_that_is_older_than_the_zone_costs_nothing() {
    let mut rota = plain();
    let (state, kept) = (rota.path().join("state/state"), rota.path().join("kept"));
    rota.stop();
    fs::copy(&state, &kept).unwrap();
    rota.edit("domains:\n", "safety: { left_over: delete }\ndomains:\n");
    // A later life: another service, and a death.
    rota.edit("services: [imap, mx]", "services: [imap, mx, pop]");
    rota.edit("services:\n", "services:\n  pop: { publish: address, name: pop, checks: [imap] }\n");
    rota.kill("node01");
    rota.start();
    rota.expect_a("pop.mydomain.org", ["node00", "node02"]);
    expect_right(&mut rota, ["node00", "node02"]);
    rota.stop();
    let before = (rota.serial(ZONE), rota.records(ZONE));
    fs::copy(&kept, &state).unwrap();
    rota.start();
    rota.expect_in_sync();
    assert_eq!((rota.serial(ZONE), rota.records(ZONE)), before);
    // What the zone holds of ours is ours again: it goes with its service.
    rota.edit("services: [imap, mx, pop]", "services: [imap, mx]");
    rota.expect_a("pop.mydomain.org", []);
    expect_right(&mut rota, ["node00", "node02"]);
}

#[test]
fn d19_a_state_directory_of_somebody_else_is_named() {
    let rota = built();
    let state = rota.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(rota.path().join("rotad.key"), Some(65534), Some(65534)).unwrap();
    for command in ["run", "apply"] {
        let ran = rota.run_as_nobody(&[command]);
        assert_eq!(ran.code, 77, "{command}: {ran:?}");
        assert!(ran.err.contains(&state.display().to_string()), "{command}: {ran:?}");
    }
    assert_eq!(rota.serial(ZONE), 1);
}

#[test]
fn b1_d7_the_manager_hears_that_bind_is_waited_for_and_that_the_loop_turns() {
    let mut rota = built();
    rota.named.kill();
    let socket = rota.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(std::time::Duration::from_secs(15))).unwrap();
    let hear = |what: &str| {
        let mut message = [0; 512];
        loop {
            let length = manager.recv(&mut message).unwrap_or_else(|error| panic!("{what}: {error}"));
            if String::from_utf8_lossy(&message[..length]).contains(what) {
                return;
            }
        }
    };
    rota.started_by(&["env", &format!("NOTIFY_SOCKET={}", socket.display()), "WATCHDOG_USEC=1000000"]);
    rota.start();
    rota.started_by(&[]);
    hear("READY=1");
    hear("STATUS=waiting for 127.0.0.1:");
    // Whether BIND is there or not makes no difference to the loop.
    for _ in 0..3 {
        hear("WATCHDOG=1");
    }
    rota.named.restart();
    hear("STATUS=active: zones: 1 in_sync");
    for _ in 0..3 {
        hear("WATCHDOG=1");
    }
    rota.signal(Signal::TERM);
    hear("STOPPING=1");
    assert_eq!(rota.stop(), Some(0));
}
