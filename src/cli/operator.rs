//! `rotad accept`, `adopt`, `hold`, `release`, `reload` and `sync`: what an operator asks of the running daemon.

use std::{path::Path, time::Duration};

use crate::{
    cli::{
        Failure,
        ask::{ask_patiently, daemon_of},
        out,
    },
    control::{Answer, Command},
    exit::Exit,
    io::{control_server, systemd},
};

/// The longest hold that ends by itself; who needs more leaves its end open.
const LONGEST: Duration = Duration::from_hours(24 * 366);

/// How long the daemon may take: a hold waits for what is under way, a reload for the zones.
const PATIENCE: Duration = control_server::DEADLINE;

/// Asks, and says what became of it.
///
/// # Errors
/// [`Failure`] when the daemon cannot be asked.
pub async fn run(file: &Path, command: &Command) -> Result<Exit, Failure> {
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    let ask = async |socket: &Path| ask_patiently::<Answer>(&systemd::control_socket(socket), &line, PATIENCE).await;
    let (_, Answer { done, words, exit }) = daemon_of(file, ask).await?;
    if done {
        out::print(format_args!("{words}\n"))?;
        Ok(Exit::Done)
    } else {
        out::warn(format_args!("rotad: {words}"));
        Ok(exit.map_or(Exit::Failed, Exit::of))
    }
}

/// `hold`, as the person at this terminal.
#[must_use]
pub fn hold(lasting: Option<Duration>, reason: Option<String>) -> Command {
    let by = ["SUDO_USER", "LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok());
    Command::Hold { seconds: lasting.map(|lasting| lasting.as_secs()), by, reason }
}

/// Reads `--for`.
///
/// # Errors
/// In words.
pub fn duration(text: &str) -> Result<Duration, String> {
    let lasting =
        humantime::parse_duration(text).map_err(|_| "write a time with its unit, such as \"2h\" or \"1h 30m\"")?;
    if (Duration::from_secs(1)..=LONGEST).contains(&lasting) {
        Ok(lasting)
    } else {
        Err("from 1s to 366d; leave --for out to hold until `rotad release`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_bounds() {
        for (text, seconds) in [
            ("2h", Some(7_200)),
            ("1h 30m", Some(5_400)),
            ("1s", Some(1)),
            ("5", None),
            ("0s", None),
            ("400d", None),
            ("-1h", None),
            ("", None),
        ] {
            assert_eq!(duration(text).ok().map(|lasting| lasting.as_secs()), seconds, "{text:?}");
        }
    }
}
