//! Unix sockets of the daemon: few clients at a time, one short exchange each, and nobody is waited for.

use std::{
    fs::{self, Permissions},
    future::Future,
    io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

/// Clients served at the same time; the others wait in the socket's backlog.
pub const CLIENTS: usize = 64;

/// From connect to the last byte of the answer. A client that does not read is not waited for.
const DEADLINE: Duration = Duration::from_secs(5);

/// Pause after a failed accept, which is a lack of descriptors as a rule.
const BREATH: Duration = Duration::from_millis(100);

/// Makes a socket; its mode says who may connect. What a dead daemon left in its place is removed: call this with the
/// state directory's lock held.
pub fn bind(path: &Path, mode: u32) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "another file is in its place")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(listener)
}

/// Serves until `shutdown`; clients that are being served end with it.
pub async fn serve<F>(listener: UnixListener, answer: impl Fn(UnixStream) -> F, shutdown: impl Future<Output = ()>)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    tokio::select! {
        () = accept(listener, answer) => {}
        () = shutdown => {}
    }
}

async fn accept<F>(listener: UnixListener, answer: impl Fn(UnixStream) -> F)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(CLIENTS));
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        // The semaphore is never closed.
        let Ok(seat) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((client, _)) => {
                let answered = answer(client);
                clients.spawn(async move {
                    // A client that leaves or stalls has only itself to blame.
                    let _ = timeout(DEADLINE, answered).await;
                    drop(seat);
                });
            }
            Err(error) => {
                tracing::debug!(target: "rotad", "unix socket: accept: {error}");
                sleep(BREATH).await;
            }
        }
    }
}
