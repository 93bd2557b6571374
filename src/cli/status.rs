//! `rotad status`: asks the running daemon and shows what it says.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    time::Duration,
};

use crate::{
    cli::{
        Failure,
        ask::{Error, ask, daemon_of},
        out,
    },
    io::files,
    status::Status,
    text,
};

/// Asks the daemon of a file.
pub async fn of_file(file: &Path, json: bool, watch: bool) -> Result<(), Failure> {
    daemon_of(file, async |socket| run(socket, file, json, watch).await).await
}

/// Shows the snapshot: as text, or with `json` as the daemon sent it; with `watch` again each second until Ctrl-C. Says if
/// it is the daemon of another file.
pub async fn run(socket: &Path, file: &Path, json: bool, watch: bool) -> Result<(), Error> {
    let mut stdout = io::stdout();
    let terminal = stdout.is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut is_looked_at = false;
    loop {
        let (document, status) = ask::<Status>(socket, b"").await?;
        // One daemon has one file.
        if !std::mem::replace(&mut is_looked_at, true) && !files::is_same_file(&status.config.file, file) {
            let (socket, theirs, file) = (text::path(socket), text::path(&status.config.file), text::path(file));
            out::warn(format_args!(
                "rotad: this is the daemon of {theirs}, which listens at {socket}; {file} is not in force"
            ));
        }
        let text = if json { out::harmless_json(&document).into_owned() } else { status.human(colour) };
        let clear = if watch && terminal { "\u{1b}[H\u{1b}[2J" } else { "" };
        match write!(stdout, "{clear}{text}").and_then(|()| stdout.flush()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_trouble_has_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("status.sock");
        let words = |error: Error| error.to_string().replace(&*socket.to_string_lossy(), "SOCKET");

        let absent = run(&socket, Path::new("cluster.yaml"), false, false).await.unwrap_err();
        assert!(matches!(absent, Error::Unreachable { .. }));
        assert_eq!(
            words(absent),
            "rotad cannot be asked at SOCKET: No such file or directory (os error 2); is it running? (systemctl status rotad)"
        );

        for (answer, words_then) in [
            ("", "rotad cannot be asked at SOCKET: it is about to stop; is it running? (systemctl status rotad)"),
            ("{}", "SOCKET answered, but not as rotad does; is another program behind it?"),
        ] {
            let listener = tokio::net::UnixListener::bind(&socket).unwrap();
            let serve = async {
                let (mut client, _) = listener.accept().await.unwrap();
                tokio::io::AsyncWriteExt::write_all(&mut client, answer.as_bytes()).await.unwrap();
            };
            let (answered, ()) = tokio::join!(run(&socket, Path::new("cluster.yaml"), true, false), serve);
            assert_eq!(words(answered.unwrap_err()), words_then);
            std::fs::remove_file(&socket).unwrap();
        }
    }
}
