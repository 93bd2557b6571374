//! What the service manager hears: the messages of `sd_notify(3)` on a socket that plays its part.

use std::{os::unix::net::UnixDatagram, process::Command, time::Duration};

use rotad::io::systemd::{self, Watchdog};

/// Tells this test's other half that it is that half.
const INSIDE: &str = "ROTAD_TEST_INSIDE";

#[test]
fn the_manager_hears_each_message() {
    if std::env::var_os(INSIDE).is_some() {
        let watchdog = Watchdog::from_env();
        assert_eq!(watchdog.period(), Some(Duration::from_secs(15)));
        systemd::ready();
        systemd::status("active\nREADY=0");
        watchdog.ping();
        systemd::stopping();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "notify::the_manager_hears_each_message"])
        .env(INSIDE, "1")
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "30000000")
        .env_remove("WATCHDOG_PID")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));

    manager.set_nonblocking(true).unwrap();
    let mut heard = Vec::new();
    let mut message = [0; 512];
    while let Ok(length) = manager.recv(&mut message) {
        heard.push(String::from_utf8(message[..length].to_vec()).unwrap());
    }
    assert_eq!(heard, ["READY=1\n", "STATUS=active\\nREADY=0\n", "WATCHDOG=1\n", "STOPPING=1\n"]);
}
