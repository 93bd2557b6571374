//! Hands the snapshot to whoever connects to the status socket: one JSON document, then the end.

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
    io::AsyncWriteExt,
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::status::Status;

/// One wish for a snapshot; the daemon answers it.
pub type Request = oneshot::Sender<Arc<Status>>;

/// Clients served at the same time; the others wait in the socket's backlog.
const CLIENTS: usize = 64;

/// From connect to the last byte of the answer. A client that does not read is not waited for.
const DEADLINE: Duration = Duration::from_secs(5);

/// Pause after a failed accept, which is a lack of descriptors as a rule.
const BREATH: Duration = Duration::from_millis(100);

/// Makes the socket, for its owner and group. What a dead daemon left in its place is removed: call this with the state
/// directory's lock held.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "another file is in its place")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Serves until `shutdown`; clients that are being served end with it.
pub async fn run(listener: UnixListener, requests: mpsc::Sender<Request>, shutdown: impl Future<Output = ()>) {
    tokio::select! {
        () = accept(listener, requests) => {}
        () = shutdown => {}
    }
}

async fn accept(listener: UnixListener, requests: mpsc::Sender<Request>) {
    let room = Arc::new(Semaphore::new(CLIENTS));
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        // The semaphore is never closed.
        let Ok(seat) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((client, _)) => {
                let requests = requests.clone();
                clients.spawn(async move {
                    // A client that leaves or stalls has only itself to blame.
                    let _ = timeout(DEADLINE, answer(client, &requests)).await;
                    drop(seat);
                });
            }
            Err(error) => {
                tracing::debug!(target: "rotad", "status socket: accept: {error}");
                sleep(BREATH).await;
            }
        }
    }
}

async fn answer(mut client: UnixStream, requests: &mpsc::Sender<Request>) -> io::Result<()> {
    let (request, status) = oneshot::channel();
    // Without a daemon to answer the client sees an empty document.
    if requests.send(request).await.is_err() {
        return Ok(());
    }
    let Ok(status) = status.await else { return Ok(()) };
    let mut document = serde_json::to_vec(&*status)?;
    document.push(b'\n');
    client.write_all(&document).await?;
    client.shutdown().await?;
    // What a client wrote, though nobody asked, would turn the end of its reading into an error.
    let _ = client.try_read(&mut [0; 8192]);
    Ok(())
}

#[cfg(test)]
mod tests;
