//! `rotad run`, and when it said what.

use std::{
    io::{BufRead, BufReader},
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant, SystemTime},
};

use rotad::io::clock;
use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take at most.
pub const DEADLINE: Duration = Duration::from_mins(2);

/// A running daemon.
pub struct Daemon {
    child: Child,
    /// Each line with the time at which it came.
    lines: Arc<Mutex<Vec<(SystemTime, String)>>>,
    /// The last words to systemd, and when they came. They are read all the time, as systemd does.
    status: Arc<Mutex<(Option<Instant>, String)>>,
}

impl Daemon {
    /// Starts it, and waits until so many zones are in sync; how long that took.
    pub fn start_in_sync(file: &Path, zones: usize) -> (Self, Duration) {
        let started = clock::now();
        let mut daemon = Self::start(file);
        let ready = daemon.expect_in_sync(zones, started);
        (daemon, ready.duration_since(started))
    }

    /// Starts it; what it tells systemd comes to us.
    fn start(file: &Path) -> Self {
        let socket = file.with_file_name("notify.sock");
        let _ = std::fs::remove_file(&socket);
        let notices = UnixDatagram::bind(&socket).expect("a socket");
        let status: Arc<Mutex<(Option<Instant>, String)>> = Arc::default();
        let newest = Arc::clone(&status);
        // It ends with the bench.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = notices.recv(&mut buffer) {
                let words = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if words.contains("STATUS=") {
                    *newest.lock().expect("nobody panics") = (Some(clock::now()), words);
                }
            }
        });
        let mut child = Command::new(env!("CARGO_BIN_EXE_rotad"))
            .arg("--config")
            .arg(file)
            .arg("run")
            .env("NOTIFY_SOCKET", &socket)
            .env_remove("WATCHDOG_USEC")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("rotad starts");
        let lines: Arc<Mutex<Vec<_>>> = Arc::default();
        let (reader, sink) = (BufReader::new(child.stderr.take().expect("it is piped")), Arc::clone(&lines));
        thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                sink.lock().expect("nobody panics").push((clock::wall(), line));
            }
        });
        Self { child, lines, status }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// When it first said this after `since`, if it did.
    fn said(&self, text: &str, since: SystemTime) -> Option<SystemTime> {
        let lines = self.lines.lock().expect("nobody panics");
        lines.iter().find(|(at, line)| *at > since && line.contains(text)).map(|(at, _)| *at)
    }

    /// The last lines, for people.
    pub fn last_lines(&self) -> String {
        let lines = self.lines.lock().expect("nobody panics");
        lines.iter().rev().take(10).map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// Waits until it has said this since then.
    pub fn expect_said(&mut self, text: &str, since: SystemTime) -> SystemTime {
        self.expect(text, |daemon| daemon.said(text, since))
    }

    /// Waits until its own words to systemd, said since then, are that so many zones are in sync, and nothing else.
    pub fn expect_in_sync(&mut self, zones: usize, since: Instant) -> Instant {
        let wanted = format!("active: zones: {zones} in_sync");
        self.expect(&wanted, |daemon| {
            let (at, last) = daemon.status.lock().expect("nobody panics").clone();
            at.filter(|at| *at >= since && last.contains(&wanted))
        })
    }

    fn expect<T>(&mut self, wanted: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let end = clock::now() + DEADLINE;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            let runs = self.child.try_wait().expect("its state").is_none();
            assert!(runs, "rotad has ended:\n{}", self.last_lines());
            let status = &self.status.lock().expect("nobody panics").1;
            assert!(clock::now() < end, "not within {DEADLINE:?}: {wanted:?}; last: {status}\n{}", self.last_lines());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(&mut self) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a process id");
        let _ = kill_process(pid, Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}
