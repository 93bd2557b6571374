//! `rotad run` beside a file, and the other commands to it.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use rotad::io::clock;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::DEADLINE;

/// What a command said.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// A line of the journal.
#[derive(Debug, Clone)]
pub struct Line {
    /// When it came.
    #[allow(dead_code, reason = "the soak wants it")]
    pub at: Instant,
    /// All of it.
    pub text: String,
}

/// The daemon of a file, which runs or does not.
pub struct Daemon {
    file: PathBuf,
    /// `$ROTAD_LOG`, for the commands too.
    log: Option<&'static str>,
    /// What stands before the program: `faketime` and the like.
    before: Vec<String>,
    journal: Arc<Mutex<Vec<Line>>>,
    child: Option<Child>,
}

impl Daemon {
    /// Not started as yet.
    pub fn new(file: &Path, log: Option<&'static str>) -> Self {
        Self { file: file.to_owned(), log, before: Vec::new(), journal: Arc::default(), child: None }
    }

    /// From now on the daemon is started by this program: `["setpriv", "--reuid=65534"]`.
    pub fn started_by(&mut self, before: &[&str]) {
        self.before = before.iter().map(|&word| word.to_owned()).collect();
    }

    fn command(&self) -> Command {
        let mut words = self.before.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_rotad")]);
        let mut command = Command::new(words.next().expect("the program at least"));
        command.args(words).arg("--config").arg(&self.file).stdin(Stdio::null());
        for variable in ["ROTAD_LOG", "JOURNAL_STREAM", "NOTIFY_SOCKET", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"] {
            command.env_remove(variable);
        }
        command.envs(self.log.map(|filter| ("ROTAD_LOG", filter)));
        command
    }

    /// Starts the daemon, and waits until it can be asked.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let mut child =
            self.command().arg("run").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("rotad starts");
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let journal = Arc::clone(&self.journal);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line = Line { at: clock::now(), text: line };
                journal.lock().expect("whoever writes does not panic").push(line);
            }
        });
        self.child = Some(child);
        self.eventually("rotad can be asked", |daemon| {
            let ended = daemon.child.as_mut().expect("just started").try_wait().expect("its state");
            assert!(ended.is_none(), "rotad has ended: {}", daemon.journal());
            daemon.try_status().is_some()
        });
    }

    /// How it ended by itself, if it did.
    #[allow(dead_code, reason = "the soak watches it")]
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().expect("its state")
    }

    /// Whether it was started and not stopped.
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// The daemon's process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Sends the daemon a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid().cast_signed()).expect("a process id"), signal).expect("it runs");
    }

    /// SIGTERM; the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        let mut code = None;
        self.eventually("rotad has ended", |daemon| {
            let ended = daemon.child.as_mut().expect("it runs").try_wait().expect("its state");
            code = ended.map(|status| status.code());
            ended.is_some()
        });
        self.child = None;
        code.flatten()
    }

    /// Stops it, and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// SIGKILL.
    pub fn kill_daemon(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// What the daemons of this file have written so far.
    pub fn journal(&self) -> String {
        self.lines().iter().flat_map(|line| [line.text.as_str(), "\n"]).collect()
    }

    /// The lines of the journal from the n-th on.
    #[allow(dead_code, reason = "the soak asks when they came")]
    pub fn lines_from(&self, n: usize) -> Vec<Line> {
        self.lines().get(n..).unwrap_or_default().to_vec()
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.journal.lock().expect("whoever writes does not panic")
    }

    // --- commands ---------------------------------------------------------------------------------------------------

    /// Runs another command of rotad to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command();
        command.args(arguments);
        self.finish(command, arguments)
    }

    /// Begins another command, whose words nobody hears.
    pub fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.command();
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("rotad starts")
    }

    /// The same as a user who may do nothing here but read the file.
    pub fn run_as_nobody(&self, arguments: &[&str]) -> Ran {
        let folder = self.file.parent().expect("a folder");
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("it is ours");
        // The build may lie where nobody may go.
        let program = folder.join("rotad");
        fs::copy(env!("CARGO_BIN_EXE_rotad"), &program).expect("a copy");
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
        command.arg("--config").arg(&self.file).args(arguments).stdin(Stdio::null());
        self.finish(command, arguments)
    }

    fn finish(&self, mut command: Command, arguments: &[&str]) -> Ran {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("rotad starts");
        // A pipe that nobody reads is full after 64 KiB, and then the command would not end.
        let (out, err) = (text_of(child.stdout.take()), text_of(child.stderr.take()));
        let end = clock::now() + DEADLINE;
        while child.try_wait().expect("its state").is_none() {
            if clock::now() > end {
                let _ = child.kill();
                panic!("rotad {arguments:?} takes more than {DEADLINE:?}; {}", self.journal());
            }
            thread::sleep(Duration::from_millis(5));
        }
        let status = child.wait().expect("it has ended");
        Ran {
            code: status.code().expect("no signal ended it"),
            out: out.join().expect("text"),
            err: err.join().expect("text"),
        }
    }

    /// `rotad plan`: its exit code and what it shows.
    pub fn plan(&self) -> (i32, String) {
        let Ran { code, out, err } = self.run(&["plan"]);
        (code, out + &err)
    }

    /// `rotad status --json`, if the daemon can be asked.
    pub fn try_status(&self) -> Option<Value> {
        let ran = self.run(&["status", "--json"]);
        (ran.code == 0).then(|| serde_json::from_str(&ran.out).expect("JSON"))
    }

    /// `rotad status --json`.
    pub fn status(&self) -> Value {
        self.try_status().unwrap_or_else(|| panic!("rotad cannot be asked: {}", self.journal()))
    }

    /// The entry of a zone in the status.
    pub fn zone(&self, zone: &str) -> Value {
        let status = self.status();
        let mut zones = status["zones"].as_array().expect("a list").iter();
        zones.find(|entry| entry["zone"] == zone).cloned().unwrap_or(Value::Null)
    }

    // --- waiting ----------------------------------------------------------------------------------------------------

    /// Waits until `state` holds; what the daemon wrote explains why it does not.
    fn eventually(&mut self, what: &str, mut state: impl FnMut(&mut Self) -> bool) {
        let end = clock::now() + DEADLINE;
        while !state(self) {
            assert!(clock::now() <= end, "not within {DEADLINE:?}: {what}\n{}", self.explain());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The journal, and what the zones are like.
    pub fn explain(&self) -> String {
        let zones = self.try_status().map(|status| status["zones"].to_string()).unwrap_or_default();
        format!("{}\n{zones}", self.journal())
    }

    /// Waits until a line of the journal has this.
    pub fn expect_journal(&mut self, text: &str) {
        self.eventually(&format!("the journal has {text:?}"), |daemon| daemon.journal().contains(text));
    }

    /// Waits until the status gives a zone this state, and returns the zone's entry.
    pub fn expect_zone_state(&mut self, zone: &str, state: &str) -> Value {
        let mut entry = Value::Null;
        self.eventually(&format!("{zone} is {state}"), |daemon| {
            entry = daemon.zone(zone);
            entry["state"] == state
        });
        entry
    }

    /// Waits until the first round is over and every zone is in sync.
    pub fn expect_in_sync(&mut self) {
        self.eventually("every zone is in sync", |daemon| {
            let status = daemon.status();
            let zones = status["zones"].as_array().expect("a list");
            status["mode"] == "active" && zones.iter().all(|zone| zone["state"] == "in_sync")
        });
    }
}

/// Reads a pipe to its end, beside whatever else is done.
fn text_of(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    let mut pipe = pipe.expect("it is piped");
    thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("text");
        text
    })
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.child.is_some() && !thread::panicking() {
            self.stop();
        }
        self.kill_daemon();
        // The last look at each message found a fault: whatever the test was about, it fails.
        assert!(thread::panicking() || !self.journal().contains("a message was not sent"), "{}", self.journal());
    }
}
