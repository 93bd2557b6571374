//! What the commands ask of the running daemon, and its answer: one line of JSON each.

use serde::{Deserialize, Serialize};

/// The file name of the socket, which lies beside the status socket.
pub const CONTROL_SOCKET: &str = "control.sock";

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Take over what is foreign or on standby.
    Adopt {
        /// Zones, names, patterns; after a name perhaps a type.
        what: Vec<String>,
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
    /// Read zones now, and repair what is wrong there.
    Sync {
        /// These; none: all.
        zones: Vec<String>,
    },
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
            (
                Command::Adopt { what: vec!["a.test".into(), "A".into()] },
                r#"{"command":"adopt","what":["a.test","A"]}"#,
            ),
            (
                Command::Hold { seconds: Some(60), by: None, reason: Some("a \"reason\"\n".into()) },
                r#"{"command":"hold","seconds":60,"by":null,"reason":"a \"reason\"\n"}"#,
            ),
            (Command::Release, r#"{"command":"release"}"#),
            (Command::Sync { zones: Vec::new() }, r#"{"command":"sync","zones":[]}"#),
        ] {
            assert_eq!(serde_json::to_string(&command).unwrap(), form);
            assert_eq!(serde_json::from_str::<Command>(form).unwrap(), command);
        }
        for other in ["", "{}", "release", r#"{"command":"stop"}"#, r#"{"command":"adopt","what":[],"x":1}"#] {
            assert!(serde_json::from_str::<Command>(other).is_err(), "{other}");
        }
    }
}
