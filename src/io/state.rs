//! The state directory: one holder at a time, and a file that is whole or not there.
//!
//! rotad may be started by root, and the directory may be where somebody else can write: nothing in it is opened through
//! a symbolic link, and what belongs to another user is not used.

use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::{AtFlags, FlockOperation, Mode, OFlags, flock, linkat, openat, renameat, unlinkat},
    io::Errno,
    process::geteuid,
};

use super::{
    clock,
    read_file::{Links, ReadError, read_file},
};
use crate::{
    event::{Event, Kind},
    overrides::Hold,
    state::{Damage, State},
    status::Stamp,
    text,
    zone::Identity,
};

#[cfg(test)]
mod tests;

/// Bytes of the state file: ten thousand zones are 10 MB, and reading it has to fit the unit's `MemoryMax`.
const MAX_STATE: u64 = 256 << 20;
/// Bytes of a file with a machine's id: it has 33.
const MAX_MACHINE_ID: u64 = 4096;
/// How many damaged files are kept.
const KEPT: usize = 9;
/// Whoever may look at the state: the owner, and the group for backups.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP);

/// The state directory, held for this process alone until it is dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    directory: File,
    _lock: File,
    /// Whether a damaged state file is there of which no copy could be made: it is not written over.
    is_barred: AtomicBool,
}

/// What was found in the state directory.
#[derive(Debug)]
pub struct Loaded {
    /// What is remembered.
    pub state: State,
    /// What is to be told of it.
    pub trouble: Option<Event>,
}

/// Why the state cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another rotad has it: exit code 75.
    #[error(
        "{path}: another rotad holds this state directory (pid {pid}): ask that one (`rotad accept` lets an edit through that waits, `rotad reload` has the file read), or stop it first", path = text::path(.path)
    )]
    Held {
        /// The directory.
        path: PathBuf,
        /// Who holds it.
        pid: String,
    },
    /// Exit code 77.
    #[error("{}: the state cannot be used: {cause}", text::path(.path))]
    Forbidden {
        /// The directory or file.
        path: PathBuf,
        /// Why, and what to do.
        cause: String,
    },
    /// The state is another cluster's: exit code 78.
    #[error(
        "{path}: the state is that of cluster \"{theirs}\", and the file says \"{ours}\": give each cluster a state_dir of its own; if this one was renamed, move the state away and adopt its zones (`rotad adopt`)", path = text::path(.path)
    )]
    OtherCluster {
        /// The file.
        path: PathBuf,
        /// Its cluster.
        theirs: String,
        /// The file's.
        ours: String,
    },
    /// Anything else.
    #[error("{}: the state cannot be used: {cause}", text::path(.path))]
    Failed {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        cause: ReadError,
    },
}

impl StateError {
    fn system(path: &Path, error: impl Into<io::Error>) -> Self {
        let (path, source) = (path.to_owned(), error.into());
        match source.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::Forbidden {
                path,
                cause: format!(
                    "{source} for uid {}; it must belong to the user that rotad runs as, and a command by hand is run as that \
                     user or as root (runuser -u USER -- rotad ...)",
                    geteuid().as_raw()
                ),
            },
            _ if Errno::from_io_error(&source) == Some(Errno::LOOP) => Self::forbidden(&path, "it is a symbolic link"),
            _ => Self::Failed { path, cause: source.into() },
        }
    }

    fn forbidden(path: &Path, found: &str) -> Self {
        let cause = format!(
            "{found}, and a regular file of rotad belongs there: find out who made it, stop rotad, and move it away"
        );
        Self::Forbidden { path: path.to_owned(), cause }
    }

    /// Of a file that is there and was not read.
    fn unread(path: &Path, error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::system(path, error),
            ReadError::NotRegular(_) | ReadError::Link => {
                Self::Forbidden { path: path.to_owned(), cause: error.to_string() }
            }
            ReadError::TooLarge(_) => Self::Failed { path: path.to_owned(), cause: error },
        }
    }
}

/// Whether a command that ends soon may make the state directory. What root makes would stop the start of a daemon of
/// another user, and the owner of the key tells that there is one.
///
/// # Errors
/// [`StateError::Forbidden`] with what to do.
pub fn may_make(path: &Path, key: Option<&Path>) -> Result<(), StateError> {
    let owner = key.and_then(|key| fs::symlink_metadata(key).ok()).map_or(0, |key| key.uid());
    if owner == 0 || !geteuid().is_root() || fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    let cause = format!(
        "it is not there yet, and the key file belongs to uid {owner}, as which rotad seems to run: what root makes here \
         would stop its start; run this command as that user (runuser -u USER -- rotad ...), or start rotad first"
    );
    Err(StateError::Forbidden { path: path.to_owned(), cause })
}

impl StateDir {
    /// Makes the directory if need be, and takes its lock.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let failed = |error| StateError::system(path, error);
        fs::DirBuilder::new().recursive(true).mode(0o750).create(path).map_err(failed)?;
        // systemd links the directory of a dynamic user, so that a link to it is followed.
        let directory = File::open(path).map_err(failed)?;
        let about = directory.metadata().map_err(failed)?;
        ours(path, &about)?;
        if about.mode() & 0o002 != 0 {
            let cause = format!(
                "everybody can write it; run `chmod o-w {}` where it is the daemon's user's, which must be able to write it; \
                 else give it to that user first",
                text::path(path)
            );
            return Err(StateError::Forbidden { path: path.to_owned(), cause });
        }
        for name in ["lock", "state", "state.new", "state.bad"] {
            let file = path.join(name);
            match fs::symlink_metadata(&file) {
                Ok(about) => regular(&file, &about)?,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(StateError::system(&file, error)),
            }
        }
        let lock = lock(path, &directory)?;
        Ok(Self { path: path.to_owned(), directory, _lock: lock, is_barred: AtomicBool::new(false) })
    }

    /// What is remembered. A damaged file is set aside and told, and nothing is written to DNS until a person says so: it
    /// may have had an operator's hold, and has what was published before.
    ///
    /// # Errors
    /// [`StateError`]: there is a file that cannot be read, and nothing was changed.
    pub fn load(&self, cluster: &str) -> Result<Loaded, StateError> {
        let file = self.path.join("state");
        let (damage, bytes) = match read(&file, cluster)? {
            Found::State(state) => return Ok(Loaded { state: *state, trouble: None }),
            Found::Nothing => {
                let state = newcomer(cluster);
                let trouble = without_machine_id(&state.me);
                return Ok(Loaded { state, trouble });
            }
            Found::Damaged(damage, bytes) => (damage, bytes),
        };
        let kept = match self.set_aside(&bytes) {
            Ok(name) => format!("a copy is kept as {}", text::path(&self.path.join(name))),
            Err(error) => {
                self.is_barred.store(true, Ordering::Relaxed);
                format!(
                    "no copy of it can be kept: {error}; so it is not written over, and nothing is remembered over a \
                     restart until it can be, or somebody takes {} away",
                    text::path(&file)
                )
            }
        };
        let found = format!("the state file was damaged: {damage}; {kept}");
        let state = State { hold: Some(damage_hold(&found)), ..newcomer(cluster) };
        // A restart holds as well: by this, or by the damaged file that is still there.
        let is_barred = self.is_barred.load(Ordering::Relaxed);
        let saved = if is_barred { None } else { self.save(&state).err() };
        let saved = saved.map(|error| format!("; the hold cannot be saved: {error}"));
        let words = format!(
            "{}: the state file cannot be used: {damage}; {kept}{}; what was published before and what an operator held is \
             not known, so nothing is written until `rotad release`",
            text::path(&file),
            saved.unwrap_or_default()
        );
        Ok(Loaded { state, trouble: Some(Event::new(Kind::StateTrouble, words).reason(damage.to_string())) })
    }

    /// Keeps a copy of a damaged file beside those before it. The file itself stays until a good one takes its place.
    fn set_aside(&self, bytes: &[u8]) -> io::Result<String> {
        let names = (1..=KEPT).map(|number| match number {
            1 => "state.bad".to_owned(),
            number => format!("state.bad.{number}"),
        });
        for name in names {
            match openat(&self.directory, &name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | NEVER, MODE) {
                Ok(new) => {
                    let mut new = File::from(new);
                    let copied = new.write_all(bytes).and_then(|()| new.sync_all());
                    return copied.or_else(|error| self.name_again(&name).map_err(|_| error)).map(|()| name);
                }
                Err(Errno::EXIST) => {
                    let same = read_file(&self.path.join(&name), MAX_STATE, Links::Refuse);
                    if same.is_ok_and(|same| **same.bytes == *bytes) {
                        return Ok(name);
                    }
                }
                // Nothing can be made in the folder.
                Err(error) => return self.name_again(&name).map_err(|_| error.into()).map(|()| name),
            }
        }
        Err(io::Error::other(format!("there are {KEPT} already (state.bad and so on): look at them and remove them")))
    }

    /// Gives the state file a second name, which it keeps when another file takes its place: that needs no room.
    fn name_again(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        linkat(&self.directory, "state", &self.directory, name, AtFlags::empty())?;
        self.directory.sync_all()
    }

    /// Tries once more to keep a copy of a damaged file: whatever stood in the way may be gone.
    fn make_way(&self) -> io::Result<()> {
        let file = self.path.join("state");
        let kept = match read_file(&file, MAX_STATE, Links::Refuse) {
            Ok(content) => self.set_aside(&content.bytes).map(drop),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        };
        kept.map_err(|error| {
            let words = format!(
                "{} is damaged and not written over, for no copy of it can be kept: {error}; make room for a copy, or take \
                 the file away",
                text::path(&file)
            );
            io::Error::new(error.kind(), words)
        })?;
        self.is_barred.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Writes what is to be remembered, whole or not at all.
    ///
    /// # Errors
    /// What the system said; the file before is still there. So it is if it is damaged and no copy of it can be kept, and if
    /// the new one would be larger than what the next start reads.
    pub fn save(&self, state: &State) -> io::Result<()> {
        if self.is_barred.load(Ordering::Relaxed) {
            self.make_way()?;
        }
        self.check_place()?;
        let content = state.encode();
        check_size(content.len())?;
        // Whatever has the name, nothing is written into it.
        match unlinkat(&self.directory, "state.new", AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let new = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | NEVER;
        let mut file = File::from(openat(&self.directory, "state.new", new, MODE)?);
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        renameat(&self.directory, "state.new", &self.directory, "state")?;
        self.directory.sync_all()
    }
}

impl StateDir {
    /// Whether the directory that we hold is the one that a start would find.
    fn check_place(&self) -> io::Result<()> {
        let (held, found) = (self.directory.metadata()?, fs::metadata(&self.path));
        if found.as_ref().is_ok_and(|found| (found.dev(), found.ino()) == (held.dev(), held.ino())) {
            return Ok(());
        }
        let words = format!(
            "{} was moved or replaced while rotad runs, and a start would not find what is saved in the old one: put it back, or \
             restart rotad",
            text::path(&self.path)
        );
        Err(io::Error::new(found.err().map_or(ErrorKind::Other, |error| error.kind()), words))
    }
}

fn check_size(bytes: usize) -> io::Result<()> {
    if bytes as u64 <= MAX_STATE {
        return Ok(());
    }
    let words = format!(
        "it has {} MiB, and a start reads at most {} MiB; share the domains out between several rotads",
        bytes >> 20,
        MAX_STATE >> 20
    );
    Err(io::Error::new(ErrorKind::FileTooLarge, words))
}

/// Never through a link, never waiting for somebody, never a terminal of ours, never for a child.
const NEVER: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Takes the lock, and writes into it who has it.
fn lock(path: &Path, directory: &File) -> Result<File, StateError> {
    let file = path.join("lock");
    let failed = |error: io::Error| StateError::system(&file, error);
    let opened = openat(directory, "lock", OFlags::RDWR | OFlags::CREATE | NEVER, MODE);
    let mut lock = File::from(opened.map_err(|error| failed(error.into()))?);
    let about = lock.metadata().map_err(failed)?;
    regular(&file, &about)?;
    if about.nlink() != 1 {
        return Err(StateError::forbidden(&file, "it has more than one name"));
    }
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            let _ = (&lock).take(32).read_to_string(&mut pid);
            let pid = Some(pid.trim()).filter(|pid| !pid.is_empty() && pid.bytes().all(|digit| digit.is_ascii_digit()));
            return Err(StateError::Held { path: path.to_owned(), pid: pid.unwrap_or("unknown").to_owned() });
        }
        Err(error) => return Err(failed(error.into())),
    }
    // The pid is for people; a full disk must not stop us.
    let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
    Ok(lock)
}

/// Whether somebody else could have made it.
fn ours(path: &Path, about: &fs::Metadata) -> Result<(), StateError> {
    let (owner, us) = (about.uid(), geteuid().as_raw());
    if owner == us || owner == 0 {
        return Ok(());
    }
    let cause = format!(
        "it belongs to uid {owner}, and this is uid {us}: run this command as its owner (runuser -u USER -- rotad ...)"
    );
    Err(StateError::Forbidden { path: path.to_owned(), cause })
}

fn regular(path: &Path, about: &fs::Metadata) -> Result<(), StateError> {
    let kind = about.file_type();
    let found = match kind {
        _ if kind.is_file() => return ours(path, about),
        _ if kind.is_symlink() => "it is a symbolic link",
        _ if kind.is_dir() => "it is a directory",
        _ if kind.is_fifo() => "it is a FIFO",
        _ => "it is no regular file",
    };
    Err(StateError::forbidden(path, found))
}

/// What a state file is.
enum Found {
    State(Box<State>),
    Nothing,
    Damaged(Damage, Vec<u8>),
}

fn read(file: &Path, cluster: &str) -> Result<Found, StateError> {
    let mut content = match read_file(file, MAX_STATE, Links::Refuse) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(StateError::unread(file, error)),
    };
    let bytes = std::mem::take(&mut *content.bytes);
    match std::str::from_utf8(&bytes).map_err(|_| Damage::Format).and_then(State::decode) {
        Ok(state) if state.me.cluster == cluster => Ok(Found::State(Box::new(state))),
        Ok(state) => {
            Err(StateError::OtherCluster { path: file.to_owned(), theirs: state.me.cluster, ours: cluster.to_owned() })
        }
        Err(damage) => Ok(Found::Damaged(damage, bytes)),
    }
}

fn damage_hold(found: &str) -> Hold {
    let reason = format!("{found}; see `rotad plan` before you release it");
    Hold { since: Stamp(clock::wall()), until: None, by: Some("rotad".to_owned()), reason: Some(reason) }
}

/// What is remembered, without taking the lock: for commands that only look.
///
/// # Errors
/// In words, when there is a file that cannot be used.
pub fn peek(path: &Path, cluster: &str) -> Result<State, String> {
    match read(&path.join("state"), cluster).map_err(|error| error.to_string())? {
        Found::State(state) => Ok(*state),
        Found::Nothing => Ok(newcomer(cluster)),
        Found::Damaged(damage, _) => Err(format!(
            "{}: the state file is damaged: {damage}; the daemon would hold until `rotad release`",
            text::path(&path.join("state"))
        )),
    }
}

/// Nothing is remembered yet.
#[must_use]
pub fn newcomer(cluster: &str) -> State {
    let id = machine_id().or_else(|| text_of("/proc/sys/kernel/random/boot_id"));
    // Where nothing is to be had, a number of our own: two machines must not have one name.
    State::new(cluster, &id.unwrap_or_else(|| RandomState::new().hash_one(std::process::id()).to_string()))
}

/// The machine's id: 32 hexadecimal digits, not all of them 0 (machine-id(5)). What else stands there ("uninitialized" before
/// the first boot is over) is the same on other machines.
fn machine_id() -> Option<String> {
    let ids = ["/etc/machine-id", "/var/lib/dbus/machine-id"].into_iter().filter_map(text_of);
    ids.map(|id| id.trim().to_owned()).find(|id| is_machine_id(id))
}

fn is_machine_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit()) && text.bytes().any(|digit| digit != b'0')
}

fn text_of(file: &str) -> Option<String> {
    let content = read_file(Path::new(file), MAX_MACHINE_ID, Links::Follow).ok()?;
    let text = String::from_utf8_lossy(&content.bytes).into_owned();
    (!text.trim().is_empty()).then_some(text)
}

/// That a newcomer's name is not the machine's.
fn without_machine_id(me: &Identity) -> Option<Event> {
    let words = format!(
        "there is no id of this machine in /etc/machine-id (32 hexadecimal digits): the instance {} is made at random and kept in \
         the state directory; where that is lost, its zones stand by until `rotad adopt` (systemd-machine-id-setup makes an id)",
        me.owner
    );
    machine_id().is_none().then(|| Event::new(Kind::StateTrouble, words))
}
