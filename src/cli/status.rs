//! `rotad status`: asks the running daemon and shows what it says.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{io::AsyncReadExt, net::UnixStream, time::timeout};

use crate::{
    cli::Failure,
    io::{files, systemd},
    status::Status,
};

/// How long the daemon may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A snapshot is larger than this for no cluster; who answers with more is not rotad.
const DOCUMENT: u64 = 256 << 20;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens: exit code 69.
    #[error("rotad cannot be asked at {socket}: {cause}; is it running? (systemctl status rotad)", socket = .socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// The socket is not for us: exit code 77.
    #[error("{socket} is not yours to ask; become root, or join the group that owns it", socket = .socket.display())]
    Forbidden {
        /// The socket.
        socket: PathBuf,
    },
    /// An answer that is no snapshot.
    #[error("{socket} answered, but not with a rotad status; is another program behind it?", socket = .socket.display())]
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

/// Asks the daemon of a file. A broken edit does not stop it from being asked: the daemon runs on with the file before,
/// and its status says so.
pub async fn of_file(file: &Path, json: bool, watch: bool) -> Result<(), Failure> {
    let loaded = files::load(file);
    let socket = match &loaded {
        Ok(loaded) => loaded.cluster.status_socket.clone(),
        Err(_) => files::status_socket_of_broken(file),
    };
    match (run(&systemd::status_socket(&socket), json, watch).await, loaded) {
        (Err(Error::Unreachable { .. }), Err(broken)) => Err(broken.into()),
        (asked, _) => Ok(asked?),
    }
}

/// Shows the snapshot: as text, or with `json` as the daemon sent it; with `watch` again each second until Ctrl-C.
pub async fn run(socket: &Path, json: bool, watch: bool) -> Result<(), Error> {
    let mut out = io::stdout();
    let terminal = out.is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    loop {
        let (document, status) = ask(socket).await?;
        let text = if json { document } else { status.human(colour) };
        let clear = if watch && terminal { "\u{1b}[H\u{1b}[2J" } else { "" };
        match write!(out, "{clear}{text}").and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        if !watch {
            return Ok(());
        }
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// The document as sent, and its meaning.
async fn ask(socket: &Path) -> Result<(String, Status), Error> {
    let document = match timeout(PATIENCE, read(socket)).await {
        Ok(Ok(document)) if !document.is_empty() => document,
        Ok(Ok(_)) => return Err(unreachable(socket, "it is about to stop")),
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(Error::Forbidden { socket: socket.to_owned() });
        }
        Ok(Err(error)) => return Err(unreachable(socket, &error.to_string())),
        Err(_) => return Err(unreachable(socket, &format!("no answer in {PATIENCE:?}"))),
    };
    match serde_json::from_str(&document) {
        Ok(status) => Ok((document, status)),
        Err(source) => Err(Error::Garbled { socket: socket.to_owned(), source }),
    }
}

fn unreachable(socket: &Path, cause: &str) -> Error {
    Error::Unreachable { socket: socket.to_owned(), cause: cause.to_owned() }
}

async fn read(socket: &Path) -> io::Result<String> {
    let mut document = String::new();
    UnixStream::connect(socket).await?.take(DOCUMENT).read_to_string(&mut document).await?;
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_trouble_has_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("status.sock");
        let words = |error: Error| error.to_string().replace(&*socket.to_string_lossy(), "SOCKET");

        let absent = run(&socket, false, false).await.unwrap_err();
        assert!(matches!(absent, Error::Unreachable { .. }));
        assert_eq!(
            words(absent),
            "rotad cannot be asked at SOCKET: No such file or directory (os error 2); is it running? (systemctl status rotad)"
        );

        for (answer, words_then) in [
            ("", "rotad cannot be asked at SOCKET: it is about to stop; is it running? (systemctl status rotad)"),
            ("{}", "SOCKET answered, but not with a rotad status; is another program behind it?"),
        ] {
            let listener = tokio::net::UnixListener::bind(&socket).unwrap();
            let serve = async {
                let (mut client, _) = listener.accept().await.unwrap();
                tokio::io::AsyncWriteExt::write_all(&mut client, answer.as_bytes()).await.unwrap();
            };
            let (answered, ()) = tokio::join!(run(&socket, true, false), serve);
            assert_eq!(words(answered.unwrap_err()), words_then);
            std::fs::remove_file(&socket).unwrap();
        }
    }
}
