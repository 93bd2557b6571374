//! What the commands ask of the running daemon, and its answer: one line of JSON each.

use serde::{Deserialize, Serialize};

/// The file name of the socket, which lies beside the status socket.
pub const CONTROL_SOCKET: &str = "control.sock";

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Take a zone over that is foreign or on standby.
    Adopt {
        /// The zone.
        zone: String,
    },
    /// Write nothing.
    Hold {
        /// For so long; `None`: until it is released.
        seconds: Option<u64>,
        /// Who asks.
        by: Option<String>,
        /// Why.
        reason: Option<String>,
    },
    /// Write again.
    Release,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub done: bool,
    /// What was done, or why not.
    pub words: String,
}

impl Answer {
    /// It was done.
    #[must_use]
    pub fn done(words: impl Into<String>) -> Self {
        Self { done: true, words: words.into() }
    }

    /// It was not.
    #[must_use]
    pub fn refused(words: impl Into<String>) -> Self {
        Self { done: false, words: words.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_have_one_form() {
        for (command, form) in [
            (Command::Adopt { zone: "example.org".into() }, r#"{"command":"adopt","zone":"example.org"}"#),
            (
                Command::Hold { seconds: Some(60), by: None, reason: Some("a \"reason\"\n".into()) },
                r#"{"command":"hold","seconds":60,"by":null,"reason":"a \"reason\"\n"}"#,
            ),
            (Command::Release, r#"{"command":"release"}"#),
        ] {
            assert_eq!(serde_json::to_string(&command).unwrap(), form);
            assert_eq!(serde_json::from_str::<Command>(form).unwrap(), command);
        }
        for other in ["", "{}", "release", r#"{"command":"stop"}"#, r#"{"command":"adopt","zone":"a","x":1}"#] {
            assert!(serde_json::from_str::<Command>(other).is_err(), "{other}");
        }
    }
}
