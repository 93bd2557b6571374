//! Unix sockets of the daemon: few clients at a time, one short exchange each, and nobody is waited for.

use std::{
    fs::{self, Permissions},
    future::Future,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::{
    fs::{Mode, OFlags, fchmod, fstat, open},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind as bind_to, connect, listen, socket_with},
    process::geteuid,
};
use tokio::{
    net::{UnixListener, UnixStream},
    task::{AbortHandle, JoinSet},
    time::{sleep, sleep_until, timeout},
};

use super::clock;

/// Clients served at the same time; the others wait in the socket's backlog.
pub const CLIENTS: usize = 64;

/// From connect to the last byte of an answer that is at hand. A client that does not read is not waited for.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// How long a client may say nothing before it gives its place to one that waits.
const SILENT: Duration = Duration::from_millis(200);

/// Pause after a failed accept, which is a lack of descriptors as a rule.
const BREATH: Duration = Duration::from_millis(100);

/// Connections that wait to be accepted; the kernel takes no more than `net.core.somaxconn`.
const BACKLOG: i32 = 1024;

/// The name of a socket that we made.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    /// Held open, so that nothing else gets its inode: by now something else may have the name.
    file: OwnedFd,
}

impl Place {
    /// Removes it, if it is still ours.
    pub fn remove(self) {
        let (Ok(ours), Ok(found)) = (fstat(&self.file), fs::symlink_metadata(&self.path)) else { return };
        if (ours.st_dev, ours.st_ino) == (found.dev(), found.ino()) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a socket; its mode says who may connect, from the first moment and whatever the umask. What a dead daemon left in
/// its place is removed: call this with the state directory's lock held.
///
/// # Errors
/// What the system said, or what stands in its place: another file, a socket that somebody listens on, or that of another
/// user.
pub fn bind(path: &Path, mode: u32) -> io::Result<(UnixListener, Place)> {
    make_room(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // On Linux the name in the file system begins with the mode that the socket has, less the umask: nobody connects
    // between `bind` and a `chmod`.
    fchmod(&socket, Mode::from_raw_mode(mode))?;
    bind_to(&socket, &SocketAddrUnix::new(path)?)?;
    let file = widen(path, mode)?;
    listen(&socket, BACKLOG)?;
    Ok((UnixListener::from_std(socket.into())?, Place { path: path.to_owned(), file }))
}

/// Removes the socket of a dead daemon of ours.
fn make_room(path: &Path) -> io::Result<()> {
    let taken = |words: &str| Err(io::Error::new(io::ErrorKind::AlreadyExists, words));
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if found.is_symlink() {
        taken("a symbolic link is in its place, which is not followed")
    } else if !found.file_type().is_socket() {
        taken("another file is in its place")
    } else if ![0, geteuid().as_raw()].contains(&found.uid()) {
        taken(&format!("a socket of uid {} is in its place; if no daemon of that user runs, remove it", found.uid()))
    } else if is_listened_on(path)? {
        taken("another program listens on the socket in its place; two daemons need a status_socket each")
    } else {
        fs::remove_file(path)
    }
}

/// Whether somebody would be reached there. Asked without waiting: the backlog may be full.
fn is_listened_on(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    Ok(!matches!(connect(&socket, &SocketAddrUnix::new(path)?), Err(Errno::CONNREFUSED | Errno::NOENT)))
}

/// Gives the socket what the umask took from its mode, and returns it, open as a file. Whoever may rename in its folder
/// leads us to no other file.
fn widen(path: &Path, mode: u32) -> io::Result<OwnedFd> {
    let there: OwnedFd = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let found = fstat(&there)?;
    let is_ours = rustix::fs::FileType::from_raw_mode(found.st_mode).is_socket() && found.st_uid == geteuid().as_raw();
    match found.st_mode & 0o777 {
        _ if !is_ours => Err(io::Error::new(io::ErrorKind::AlreadyExists, "another file came into its place")),
        already if already == mode => Ok(there),
        _ => {
            fs::set_permissions(format!("/proc/self/fd/{}", there.as_raw_fd()), Permissions::from_mode(mode))?;
            Ok(there)
        }
    }
}

/// Whether a client has said what it wants. One that has not gives its place to one that waits.
#[derive(Debug, Clone, Default)]
pub struct Spoken(Arc<AtomicBool>);

impl Spoken {
    /// It has.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Serves until `shutdown`, each client for so long at most; clients that are being served end with it.
pub async fn serve<F>(
    listener: UnixListener,
    deadline: Duration,
    answer: impl Fn(UnixStream, Spoken) -> F,
    shutdown: impl Future<Output = ()>,
) where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    tokio::select! {
        () = accept(listener, deadline, answer) => {}
        () = shutdown => {}
    }
}

async fn accept<F>(listener: UnixListener, deadline: Duration, answer: impl Fn(UnixStream, Spoken) -> F)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut seats = Seats::default();
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                seats.make_room().await;
                let spoken = Spoken::default();
                let answered = answer(client, spoken.clone());
                seats.take(spoken, async move {
                    // A client that leaves or stalls has only itself to blame.
                    let _ = timeout(deadline, answered).await;
                });
            }
            Err(error) => {
                tracing::debug!(target: "rotad", "unix socket: accept: {error}");
                sleep(BREATH).await;
            }
        }
    }
}

/// The clients that are being served.
#[derive(Default)]
struct Seats {
    clients: JoinSet<()>,
    /// In the order in which they came.
    taken: Vec<(Instant, Spoken, AbortHandle)>,
}

impl Seats {
    fn take(&mut self, spoken: Spoken, client: impl Future<Output = ()> + Send + 'static) {
        self.taken.push((clock::now(), spoken, self.clients.spawn(client)));
    }

    /// Waits until there is a place. The client that has said nothing for the longest time gives its own.
    async fn make_room(&mut self) {
        loop {
            while self.clients.try_join_next().is_some() {}
            if self.clients.len() < CLIENTS {
                self.taken.retain(|(_, _, client)| !client.is_finished());
                return;
            }
            let silent = self.taken.iter().find(|(_, spoken, client)| !spoken.is_set() && !client.is_finished());
            match silent {
                Some((since, _, client)) if clock::now() >= *since + SILENT => client.abort(),
                Some((since, ..)) => {
                    let until = *since + SILENT;
                    tokio::select! {
                        _ = self.clients.join_next() => {}
                        () = sleep_until(until.into()) => {}
                    }
                    continue;
                }
                None => {}
            }
            self.clients.join_next().await;
        }
    }
}

#[cfg(test)]
mod tests;
