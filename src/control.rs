//! What the commands ask of the running daemon, and its answer: one line of JSON each.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    dns::{OwnerName, RrType},
    exit::Exit,
    text,
};

/// The file name of the socket, which lies beside the status socket.
pub const CONTROL_SOCKET: &str = "control.sock";

/// A command, and the file of the daemon that it is meant for: two daemons may have the same socket by default, and a
/// mistyped `--config` must not reach another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The absolute path of the file.
    pub file: PathBuf,
    /// What is asked.
    pub ask: Command,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Let the edit through that waits.
    Accept {
        /// Which one it must be; `None`: whichever waits.
        id: Option<String>,
    },
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
    /// Read the file and the zones now, and say what becomes of the file.
    Reload,
    /// Give what is left over the members back that were out.
    Restore {
        /// Of these.
        selections: Vec<Selection>,
    },
    /// Read zones now, and repair what is wrong there.
    Sync {
        /// These; none: all.
        zones: Vec<String>,
    },
    /// Delete what is left over.
    Withdraw {
        /// Of this.
        selection: Selection,
        /// Leave DNS alone: forget it.
        forget: bool,
    },
}

/// Which `RRsets` are meant, as people name them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Those of this name, or of names that fit this pattern, and of the names below; `None`: all.
    name: Option<String>,
    /// Those of this name alone, of this type.
    rtype: Option<String>,
}

impl Selection {
    /// All of them.
    pub const ALL: Self = Self { name: None, rtype: None };

    /// Those of a name, or one of them.
    ///
    /// # Errors
    /// In words.
    pub fn new(name: &str, rtype: Option<&str>) -> Result<Self, String> {
        let name = if name.contains('*') {
            name.to_ascii_lowercase()
        } else {
            let name = OwnerName::parse(name).map_err(|error| format!("{name:?} is no domain name: {error}"))?;
            name.to_string()
        };
        let known = |text: &str| RrType::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(text));
        let rtype = match rtype {
            None => None,
            Some(text) => Some(known(text).ok_or_else(|| format!("{text:?} is no type that rotad publishes"))?),
        };
        Ok(Self { name: Some(name), rtype: rtype.map(|rtype| rtype.as_str().to_owned()) })
    }

    /// The name or pattern, if not all are meant.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The name, if one is meant.
    #[must_use]
    pub fn name(&self) -> Option<OwnerName> {
        self.text().filter(|text| !text.contains('*')).map(OwnerName::from_presentation)
    }

    /// Whether an `RRset` of a domain can be meant.
    #[must_use]
    pub fn takes_of(&self, domain: &OwnerName) -> bool {
        self.text().is_none_or(|text| {
            text.contains('*')
                || self.name().is_some_and(|name| name.is_at_or_below(domain) || domain.is_at_or_below(&name))
        })
    }

    /// Whether an `RRset` is meant.
    #[must_use]
    pub fn takes(&self, owner: &OwnerName, rtype: &str) -> bool {
        let Some(text) = self.text() else { return true };
        match (self.name(), &self.rtype) {
            (Some(name), None) => owner.is_at_or_below(&name),
            (Some(name), Some(only)) => *owner == name && only == rtype,
            (None, None) => text::fits(text, owner.as_str()) || owner.ancestors().any(|above| text::fits(text, above)),
            (None, Some(only)) => text::fits(text, owner.as_str()) && only == rtype,
        }
    }
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it was done.
    pub done: bool,
    /// What was done, or why not.
    pub words: String,
    /// The exit code of the command, if it is another than that of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
}

impl Answer {
    /// It was done.
    #[must_use]
    pub fn done(words: impl Into<String>) -> Self {
        Self { done: true, words: words.into(), exit: None }
    }

    /// It was not, and the command ends so.
    #[must_use]
    pub fn ended(exit: Exit, words: impl Into<String>) -> Self {
        Self { exit: Some(exit as u8), ..Self::refused(words) }
    }

    /// It was not.
    #[must_use]
    pub fn refused(words: impl Into<String>) -> Self {
        Self { done: false, words: words.into(), exit: None }
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
            (Command::Reload, r#"{"command":"reload"}"#),
            (Command::Accept { id: None }, r#"{"command":"accept","id":null}"#),
            (
                Command::Restore { selections: vec![Selection::ALL] },
                r#"{"command":"restore","selections":[{"name":null,"rtype":null}]}"#,
            ),
            (
                Command::Withdraw { selection: Selection::new("A.test.", Some("mx")).unwrap(), forget: false },
                r#"{"command":"withdraw","selection":{"name":"a.test","rtype":"MX"},"forget":false}"#,
            ),
            (Command::Sync { zones: Vec::new() }, r#"{"command":"sync","zones":[]}"#),
        ] {
            assert_eq!(serde_json::to_string(&command).unwrap(), form);
            assert_eq!(serde_json::from_str::<Command>(form).unwrap(), command);
        }
        for other in ["", "{}", "release", r#"{"command":"stop"}"#, r#"{"command":"adopt","what":[],"x":1}"#] {
            assert!(serde_json::from_str::<Command>(other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_name_means_what_is_below_it_too_and_a_type_means_itself_alone() {
        let takes = |name: &str, rtype, owner: &str, of: &str| {
            Selection::new(name, rtype).unwrap().takes(&OwnerName::from_presentation(owner), of)
        };
        for (name, rtype, owner, of, taken) in [
            ("a.test", None, "imap.a.test", "A", true),
            ("a.test", None, "a.test", "MX", true),
            ("a.test", None, "ba.test", "A", false),
            ("a.test", Some("A"), "a.test", "A", true),
            ("a.test", Some("A"), "a.test", "MX", false),
            ("a.test", Some("A"), "imap.a.test", "A", false),
        ] {
            assert_eq!(takes(name, rtype, owner, of), taken, "{name} {rtype:?} {owner} {of}");
        }
        for (name, rtype, owner, of, taken) in [
            ("*", None, "a.test", "A", true),
            ("*.Test.", None, "imap.a.test", "A", true),
            ("b*.test", None, "imap.ba.test", "A", true),
            ("b*.test", None, "imap.ab.test", "A", false),
            ("imap.*", Some("A"), "imap.a.test", "A", true),
            ("imap.*", Some("A"), "imap.a.test", "AAAA", false),
            ("a*.test", Some("A"), "imap.a.test", "A", false),
        ] {
            assert_eq!(takes(name, rtype, owner, of), taken, "{name} {rtype:?} {owner} {of}");
        }
        assert!(Selection::ALL.takes(&OwnerName::from_presentation("a.test"), "A"));
        assert!(Selection::new("a..test", None).is_err() && Selection::new("a.test", Some("TXT")).is_err());
    }
}
