//! Asks the running daemon over one of its sockets.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::anyhow;
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use crate::{
    cli::Failure,
    control::{Answer, Command, Question},
    exit::Exit,
    io::{
        control_server::{DEADLINE, LONGEST},
        files,
        progress::Progress,
        systemd,
    },
    text,
};

/// How long the daemon may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A snapshot is larger than this for no cluster; who answers with more is not rotad.
const DOCUMENT: u64 = 256 << 20;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens: exit code 69.
    #[error("rotad cannot be asked at {socket}: {cause}; is it running? (systemctl status rotad)", socket = text::path(.socket))]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// The socket is not for us: exit code 77.
    #[error("{socket} is not yours to ask: become root, or its owner; its group may ask for the status", socket = text::path(.socket))]
    Forbidden {
        /// The socket.
        socket: PathBuf,
    },
    /// An answer of another kind.
    #[error("{socket} answered, but not as rotad does; is another program behind it?", socket = text::path(.socket))]
    Garbled {
        /// The socket.
        socket: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The terminal or pipe failed.
    #[error("the status cannot be written")]
    Output(#[from] io::Error),
}

/// Lets `ask` ask the daemon of a file at its status socket. A broken edit does not stop it from being asked: the daemon
/// runs on with the file before.
///
/// # Errors
/// What `ask` says; for a daemon out of reach and a broken file, what is wrong with the file.
pub async fn daemon_of<T>(file: &Path, ask: impl AsyncFnOnce(&Path) -> Result<T, Error>) -> Result<T, Failure> {
    let loaded = files::load(file);
    let socket = match &loaded {
        Ok(loaded) => loaded.cluster.status_socket.clone(),
        Err(_) => files::status_socket_of_broken(file),
    };
    match (ask(&systemd::status_socket(&socket)).await, loaded) {
        (Err(Error::Unreachable { .. }), Err(broken)) => Err(broken.into()),
        (asked, _) => Ok(asked?),
    }
}

/// Has the daemon of a file obey a command, and shows on a terminal that it is at it.
///
/// # Errors
/// [`Failure`]: it is longer than the daemon takes, or the daemon cannot be asked.
pub(super) async fn command(file: &Path, command: &Command) -> Result<Answer, Failure> {
    let line = line(file, command)?;
    // It answers in time itself: a hold waits for what is under way, a reload and a restore for the zones.
    let ask = async |socket: &Path| ask_patiently(&systemd::control_socket(socket), &line, DEADLINE).await;
    let waits = || "rotad is at it".to_owned();
    let (_, answer) = Progress::on_terminal().during(waits, daemon_of(file, ask)).await?;
    Ok(answer)
}

/// A command to the daemon of a file, as it takes it.
///
/// # Errors
/// [`Failure`]: it is longer than the daemon takes.
pub(super) fn line(file: &Path, command: &Command) -> Result<Vec<u8>, Failure> {
    let mut line = serde_json::to_vec(&Question { file: std::path::absolute(file)?, ask: command.clone() })?;
    line.push(b'\n');
    if line.len() <= LONGEST {
        return Ok(line);
    }
    let words = format!(
        "what was written has {} KiB, and the daemon takes {} KiB at a time: name fewer at once",
        line.len() >> 10,
        LONGEST >> 10
    );
    Err(Failure { exit: Exit::Usage, error: anyhow!(words) })
}

/// Sends a question, and returns the document that comes back, as sent and as understood.
///
/// # Errors
/// [`Error`].
pub async fn ask<T: DeserializeOwned>(socket: &Path, question: &[u8]) -> Result<(String, T), Error> {
    ask_patiently(socket, question, PATIENCE).await
}

/// The same with as much patience as the question takes.
async fn ask_patiently<T: DeserializeOwned>(
    socket: &Path,
    question: &[u8],
    patience: Duration,
) -> Result<(String, T), Error> {
    let document = match timeout(patience, exchange(socket, question)).await {
        Ok(Ok(document)) if !document.is_empty() => document,
        Ok(Ok(_)) => return Err(unreachable(socket, "it is about to stop")),
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(Error::Forbidden { socket: socket.to_owned() });
        }
        Ok(Err(error)) => return Err(unreachable(socket, &error.to_string())),
        Err(_) => return Err(unreachable(socket, &format!("no answer in {patience:?}"))),
    };
    match serde_json::from_str(&document) {
        Ok(answer) => Ok((document, answer)),
        Err(source) => Err(Error::Garbled { socket: socket.to_owned(), source }),
    }
}

fn unreachable(socket: &Path, cause: &str) -> Error {
    Error::Unreachable { socket: socket.to_owned(), cause: cause.to_owned() }
}

async fn exchange(socket: &Path, question: &[u8]) -> io::Result<String> {
    let mut document = String::new();
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(question).await?;
    stream.take(DOCUMENT).read_to_string(&mut document).await?;
    Ok(document)
}
