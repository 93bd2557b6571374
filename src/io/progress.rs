//! Long work shows on a terminal how far it is.

use std::{
    cell::Cell,
    future::Future,
    io::{IsTerminal, Write, stderr},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::clock;
use crate::text;

/// How long it works in silence, and how often it says something then.
pub const EVERY: Duration = Duration::from_secs(1);

/// Characters of a line: one that a terminal breaks cannot be taken back.
const WIDTH: usize = 78;

/// A line at the bottom of the terminal, which is gone when this is dropped.
#[derive(Debug)]
pub struct Progress {
    is_shown: bool,
    begun: Instant,
    said_at: Cell<Option<Instant>>,
}

impl Progress {
    /// On the terminal that is the standard error; elsewhere nothing is shown.
    #[must_use]
    pub fn on_terminal() -> Self {
        Self { is_shown: stderr().is_terminal(), begun: clock::now(), said_at: Cell::new(None) }
    }

    /// Says how far it is, if that was not said a moment ago.
    pub fn say(&self, words: impl FnOnce() -> String) {
        let now = clock::now();
        let last = self.said_at.get().unwrap_or(self.begun);
        if !self.is_shown || now.saturating_duration_since(last) < EVERY {
            return;
        }
        self.said_at.set(Some(now));
        let line = line(&words(), now.saturating_duration_since(self.begun));
        let _ = write!(stderr().lock(), "\r\u{1b}[K{line}");
    }

    /// Waits for something, and says so meanwhile.
    pub async fn during<T>(self, words: impl Fn() -> String, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = sleep(EVERY) => self.say(&words),
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.said_at.get().is_some() {
            let _ = write!(stderr().lock(), "\r\u{1b}[K");
        }
    }
}

/// `(5s) 12 of 14 checks are decided`
fn line(words: &str, since: Duration) -> String {
    let line = format!("({}) {}", text::age(since), text::printable(words));
    line.chars().take(WIDTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_a_terminal_and_obeys_nobody() {
        assert_eq!(line("2 of 3 zones\u{1b}[2J", Duration::from_secs(65)), "(1m 5s) 2 of 3 zones\\u{1b}[2J");
        assert_eq!(line(&"x".repeat(1_000), Duration::ZERO).chars().count(), WIDTH);
    }
}
