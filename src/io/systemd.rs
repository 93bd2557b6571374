//! What systemd is told, and what it tells us by the environment. Everything is a no-op outside of it.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use sd_notify::NotifyState;

use crate::control::CONTROL_SOCKET;

/// The service works: the file is good and the loop runs.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The line that `systemctl status` shows.
pub fn status(line: &str) {
    // A newline would begin the next assignment.
    notify(&[NotifyState::Status(&crate::text::printable(line))]);
}

/// The service stops on purpose.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// The service manager's watchdog (`WatchdogSec=`): it ends us when the loop has stood still.
#[derive(Debug, Clone, Copy)]
pub struct Watchdog {
    period: Option<Duration>,
}

impl Watchdog {
    /// Reads `$WATCHDOG_USEC` and `$WATCHDOG_PID`.
    #[must_use]
    pub fn from_env() -> Self {
        Self { period: sd_notify::watchdog_enabled().map(|limit| limit / 2) }
    }

    /// How often the loop has to [`Watchdog::ping`]: half of the limit, as `sd_watchdog_enabled(3)` advises. `None`: nobody watches.
    #[must_use]
    pub const fn period(self) -> Option<Duration> {
        self.period
    }

    /// Tells that a cycle of the loop is complete.
    pub fn ping(self) {
        if self.period.is_some() {
            notify(&[NotifyState::Watchdog]);
        }
    }
}

/// The status socket: in `$RUNTIME_DIRECTORY` if systemd made one, else where the file says.
#[must_use]
pub fn status_socket(written: &Path) -> PathBuf {
    directory("RUNTIME_DIRECTORY").map_or_else(|| written.to_owned(), |directory| directory.join("status.sock"))
}

/// The control socket: beside the status socket.
#[must_use]
pub fn control_socket(status_socket: &Path) -> PathBuf {
    status_socket.with_file_name(CONTROL_SOCKET)
}

/// The state directory: `$STATE_DIRECTORY` if systemd made one, else the one of the file.
#[must_use]
pub fn state_directory(written: &Path) -> PathBuf {
    directory("STATE_DIRECTORY").unwrap_or_else(|| written.to_owned())
}

/// The first of the directories in a variable of `systemd.exec(5)`.
fn directory(variable: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os(variable)?).next().filter(|path| path.is_absolute())
}

fn notify(state: &[NotifyState]) {
    // Who started us may be gone; the work goes on, and the watchdog is the answer to silence.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(target: "rotad", "systemd was not told {state:?}: {error}");
    }
}
