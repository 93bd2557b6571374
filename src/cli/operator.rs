//! `rotad accept`, `adopt`, `hold`, `release`, `reload` and `sync`: what an operator asks of the running daemon.

use std::{path::Path, time::Duration};

use anyhow::anyhow;

use crate::{
    cli::{Failure, ask, out},
    control::{Answer, Command},
    exit::Exit,
    io::files,
    overrides::LONGEST_REASON,
    text,
};

/// The longest hold that ends by itself; who needs more leaves its end open.
const LONGEST: Duration = Duration::from_hours(24 * 366);

/// Asks, and says what became of it.
///
/// # Errors
/// [`Failure`] when the daemon cannot be asked.
pub async fn run(file: &Path, command: &Command) -> Result<Exit, Failure> {
    let Answer { done, words, exit } = ask::command(file, command).await?;
    if done {
        out::print(format_args!("{words}\n"))?;
        Ok(Exit::Done)
    } else {
        if exit == Some(Exit::Unavailable as u8) {
            // Another daemon listens there. Of a file that is wrong that is not known to be the daemon's at all.
            files::load(file)?;
        }
        out::warn(format_args!("rotad: {words}"));
        Ok(exit.map_or(Exit::Failed, Exit::of))
    }
}

/// `hold`, as the person at this terminal.
///
/// # Errors
/// [`Failure`]: the reason is longer than is kept.
pub fn hold(lasting: Option<Duration>, reason: Option<String>) -> Result<Command, Failure> {
    if let Some(long) = reason.as_ref().map(String::len).filter(|length| *length > LONGEST_REASON) {
        let error = anyhow!("the reason has {long} octets, and at most {LONGEST_REASON} are kept: say it shorter");
        return Err(Failure { exit: Exit::Usage, error });
    }
    let by = ["SUDO_USER", "LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok());
    let by = by.map(|by| text::cut(&by).into_owned());
    Ok(Command::Hold { seconds: lasting.map(|lasting| lasting.as_secs()), by, reason })
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
    use crate::cli::ask::line;

    #[test]
    fn a_reason_has_a_bound() {
        let of = |octets: usize| hold(None, Some("x".repeat(octets)));
        assert!(matches!(of(LONGEST_REASON), Ok(Command::Hold { reason: Some(_), .. })));
        let failure = of(LONGEST_REASON + 1).unwrap_err();
        assert!(failure.exit == Exit::Usage && failure.error.to_string().contains("at most 2000"), "{failure:?}");
        // Whatever is in it, it goes to the daemon in one piece.
        let reason = Some("\u{1}".repeat(LONGEST_REASON));
        assert!(line(Path::new("cluster.yaml"), &Command::Hold { seconds: None, by: None, reason }).is_ok());
        let failure =
            line(Path::new("cluster.yaml"), &Command::Sync { zones: vec!["a.example.org".to_owned(); 100_000] })
                .unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.error.to_string().contains("1024 KiB at a time"), "{:?}", failure.error);
    }

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
