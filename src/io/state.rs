//! The state directory: one holder at a time, and a file that is whole or not there.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use super::read_file::{Links, read_file};
use crate::{
    event::{Event, Kind},
    state::{Damage, State},
};

/// Bytes of the state file: ten thousand zones are 10 MB, and reading it has to fit the unit's `MemoryMax`.
const MAX_STATE: u64 = 256 << 20;
/// Bytes of a file with a machine's id: it has 33.
const MAX_MACHINE_ID: u64 = 4096;

/// The state directory, held for this process alone until it is dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

/// Why the state directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another rotad has it: exit code 75.
    #[error(
        "{path}: another rotad holds this state directory (pid {pid}): stop it first, or give this one a state_dir of its own"
    )]
    Held {
        /// The directory.
        path: PathBuf,
        /// Who holds it.
        pid: String,
    },
    /// Exit code 77.
    #[error("{path}: the state directory cannot be used: {source}; it belongs to the user that rotad runs as")]
    Forbidden {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else.
    #[error("{path}: the state directory cannot be used: {source}")]
    Failed {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StateDir {
    /// Makes the directory if need be, and takes its lock.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn open(path: &Path) -> Result<Self, LockError> {
        let failed = |path: &Path, source: io::Error| {
            let path = path.to_owned();
            match source.kind() {
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => LockError::Forbidden { path, source },
                _ => LockError::Failed { path, source },
            }
        };
        fs::DirBuilder::new().recursive(true).mode(0o750).create(path).map_err(|source| failed(path, source))?;
        let file = path.join("lock");
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o640).open(&file);
        let mut lock = open.map_err(|source| failed(&file, source))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                let _ = lock.read_to_string(&mut pid);
                let pid = if pid.trim().is_empty() { "unknown" } else { pid.trim() };
                return Err(LockError::Held { path: path.to_owned(), pid: pid.to_owned() });
            }
            Err(error) => return Err(failed(&file, error.into())),
        }
        // The pid is for people; a full disk must not stop us.
        let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// What is remembered. A file that cannot be used is set aside and told.
    #[must_use]
    pub fn load(&self, cluster: &str) -> (State, Option<Event>) {
        let file = self.path.join("state");
        let (cause, state) = match read(&file, cluster) {
            Ok(Some(state)) => return (state, None),
            Ok(None) => return (newcomer(cluster), None),
            Err(cause) => (cause, newcomer(cluster)),
        };
        let aside = self.path.join("state.bad");
        let kept = match fs::rename(&file, &aside) {
            Ok(()) => format!("kept as {}", aside.display()),
            Err(error) => format!("left where it is: {error}"),
        };
        let words = format!(
            "{}: the state file cannot be used: {cause}; it is {kept}, and rotad goes on from the zones themselves",
            file.display()
        );
        (state, Some(Event::new(Kind::StateTrouble, words).reason(cause)))
    }

    /// Writes what is to be remembered, whole or not at all.
    ///
    /// # Errors
    /// What the system said; the file before is still there.
    pub fn save(&self, state: &State) -> io::Result<()> {
        let new = self.path.join("state.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&new)?;
        file.write_all(state.encode().as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, self.path.join("state"))?;
        File::open(&self.path)?.sync_all()
    }
}

/// What is remembered, without taking the lock: for commands that only look.
///
/// # Errors
/// In words, when there is a file that cannot be used.
pub fn peek(path: &Path, cluster: &str) -> Result<State, String> {
    Ok(read(&path.join("state"), cluster)?.unwrap_or_else(|| newcomer(cluster)))
}

fn read(file: &Path, cluster: &str) -> Result<Option<State>, String> {
    let text = match read_file(file, MAX_STATE, Links::Refuse) {
        Ok(mut content) => {
            String::from_utf8(std::mem::take(&mut *content.bytes)).map_err(|_| Damage::Format.to_string())?
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let state = State::decode(&text).map_err(|damage| damage.to_string())?;
    if state.me.cluster == cluster {
        Ok(Some(state))
    } else {
        Err(format!("it is of the cluster \"{}\", and this is \"{cluster}\"", state.me.cluster))
    }
}

/// Somebody who remembers nothing.
#[must_use]
pub fn newcomer(cluster: &str) -> State {
    let ids = ["/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/random/boot_id"];
    let ids = ids.iter().filter_map(|file| read_file(Path::new(file), MAX_MACHINE_ID, Links::Follow).ok());
    let mut ids = ids.map(|content| String::from_utf8_lossy(&content.bytes).into_owned());
    State::new(cluster, &ids.find(|id| !id.trim().is_empty()).unwrap_or_default())
}
