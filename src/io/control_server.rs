//! Takes the commands of the socket's owner: one line of JSON from the client, one line back, the end.
//!
//! A socket of its own beside the status socket, because the file's mode is what tells who may do what: in a user
//! namespace (`PrivateUsers=yes`) a peer's uid says nothing.

use std::{
    future::Future,
    io,
    path::{self, Path},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::timeout,
};

use crate::{
    control::{Answer, Command, Question},
    exit::Exit,
    io::{
        files,
        local_socket::{self, Spoken},
    },
    text,
};

/// Mode of the socket: its owner alone.
pub const MODE: u32 = 0o600;

/// Bytes of a request: thousands of zones may be named.
pub const LONGEST: usize = 1 << 20;

/// From connect to the last byte of the answer: a hold waits for what is under way.
pub const DEADLINE: Duration = Duration::from_mins(5);

/// One command; the daemon answers it.
pub type Request = (Command, oneshot::Sender<Answer>);

/// Serves until `shutdown`. `file` is the daemon's: who asks for another one's is refused.
pub async fn run(
    listener: UnixListener,
    file: &Path,
    requests: mpsc::Sender<Request>,
    shutdown: impl Future<Output = ()>,
) {
    let file: Arc<Path> = path::absolute(file).unwrap_or_else(|_| file.to_owned()).into();
    let answer = |client, spoken| answer(client, spoken, Arc::clone(&file), requests.clone());
    local_socket::serve(listener, DEADLINE, answer, shutdown).await;
}

async fn answer(
    mut client: UnixStream,
    spoken: Spoken,
    file: Arc<Path>,
    requests: mpsc::Sender<Request>,
) -> io::Result<()> {
    let mut line = String::new();
    let (reader, mut writer) = client.split();
    // One octet more: a longer request is told so, not misunderstood.
    let mut reader = BufReader::new(reader.take(LONGEST as u64 + 1));
    // Whoever connects and says nothing takes nobody's place for long.
    timeout(local_socket::DEADLINE, reader.read_line(&mut line)).await??;
    spoken.set();
    let answer = match serde_json::from_str(&line) {
        _ if line.len() > LONGEST => Answer::ended(Exit::Usage, format!("a request has at most {} KiB", LONGEST >> 10)),
        Ok(Question { file: other, .. }) if !is_same(&file, &other).await => Answer::ended(
            Exit::Unavailable,
            format!(
                "the daemon that listens here runs {}, and not {}: nothing was done; --config says which file",
                text::path(&file),
                text::path(&other)
            ),
        ),
        Ok(Question { ask: command, .. }) => {
            let (reply, answer) = oneshot::channel();
            // Without a daemon to answer the client sees an empty document.
            if requests.send((command, reply)).await.is_err() {
                return Ok(());
            }
            let Ok(answer) = answer.await else { return Ok(()) };
            answer
        }
        Err(error) => Answer::refused(format!("this is no command: {error}")),
    };
    let mut document = serde_json::to_vec(&answer)?;
    document.push(b'\n');
    writer.write_all(&document).await?;
    writer.shutdown().await
}

async fn is_same(ours: &Arc<Path>, other: &Path) -> bool {
    let (ours, other) = (Arc::clone(ours), other.to_owned());
    // A file system that hangs must not keep the loop.
    spawn_blocking(move || files::is_same_file(&ours, &other)).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    async fn ask(path: &Path, line: &[u8]) -> String {
        let mut client = UnixStream::connect(path).await.unwrap();
        client.write_all(line).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn one_command_one_answer() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let (listener, _) = local_socket::bind(&path, MODE).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let (requests, mut commands) = mpsc::channel::<Request>(1);
        let file = directory.path().join("cluster.yaml");
        let ours = file.clone();
        let server = tokio::spawn(async move { run(listener, &ours, requests, std::future::pending()).await });
        let daemon = tokio::spawn(async move {
            while let Some((command, reply)) = commands.recv().await {
                let _ = reply.send(Answer::done(format!("{command:?}")));
            }
        });
        let of =
            |file: &Path, command: &str| format!("{{\"file\":{:?},\"ask\":{command}}}\n", file.display().to_string());
        let release = of(&file, "{\"command\":\"release\"}");
        assert_eq!(ask(&path, release.as_bytes()).await, "{\"done\":true,\"words\":\"Release\"}\n");
        let long = of(&file, &format!("{{\"command\":\"sync\",\"zones\":[\"{}\"]}}", "x".repeat(64 << 10)));
        assert!(ask(&path, long.as_bytes()).await.starts_with("{\"done\":true,"));
        let longer = "x".repeat(LONGEST + 1);
        let answer = ask(&path, longer.as_bytes()).await;
        assert!(answer.contains("at most 1024 KiB") && answer.contains("\"exit\":64"), "{answer}");
        let endless = vec![b'x'; 8 * 1024 - 1];
        for garbage in [&b"\n"[..], b"stop\n", b"\xff\xfe\n", &endless] {
            let mut client = UnixStream::connect(&path).await.unwrap();
            client.write_all(garbage).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert!(answer.is_empty() || answer.starts_with("{\"done\":false,"), "{answer}");
        }
        server.abort();
        daemon.abort();
    }
}
