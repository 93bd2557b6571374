//! Hands the snapshot to whoever connects to the status socket: one JSON document, then the end.

use std::{future::Future, io, sync::Arc};

use tokio::{
    io::AsyncWriteExt,
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
};

use crate::{io::local_socket, status::Status};

/// One wish for a snapshot; the daemon answers it.
pub type Request = oneshot::Sender<Arc<Status>>;

/// Mode of the socket: its owner and group.
pub const MODE: u32 = 0o660;

/// Serves until `shutdown`; clients that are being served end with it.
pub async fn run(listener: UnixListener, requests: mpsc::Sender<Request>, shutdown: impl Future<Output = ()>) {
    local_socket::serve(listener, local_socket::DEADLINE, |client, _| answer(client, requests.clone()), shutdown).await;
}

async fn answer(mut client: UnixStream, requests: mpsc::Sender<Request>) -> io::Result<()> {
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
