//! One key and its value, and the readers that turn a value into a word of the domain or say what to write instead.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::{Component, Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use hickory_proto::rr::Name;

use super::{
    problem::{Place, Report, one_of},
    tree::{Node, Value},
};
use crate::{
    cluster::Share,
    dns::{NameError, OwnerName, Ttl},
    text::cut,
};

/// Octets of a value: the longest path that Linux takes.
const LONGEST: usize = 4096;

/// One key and its value, or one item of the list that belongs to the key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    /// What it belongs to, as messages begin: `check "smtp"`. Empty at the top of the file.
    pub object: &'a str,
    /// The key.
    pub key: &'a str,
    /// Where the key is.
    pub key_at: Place,
    /// The value.
    pub node: &'a Node<'a>,
}

impl<'a> Field<'a> {
    /// Reports a problem with this value.
    pub fn problem(&self, message: &str, report: &mut Report) {
        report.problem(self.node.at, self.message(message));
    }

    /// Reports that this value deserves a look.
    pub fn warning(&self, message: &str, report: &mut Report) {
        report.warning(self.node.at, self.message(message));
    }

    fn message(&self, message: &str) -> String {
        match self.object {
            "" => format!("{}: {message}", self.key),
            object => format!("{object}: {}: {message}", self.key),
        }
    }

    /// Reports that something else is needed here.
    pub fn expected(&self, what: &str, report: &mut Report) {
        match self.node.value {
            Value::Null => {
                report.problem(self.key_at, self.message(&format!("is empty; write {what}, or leave the key out")));
            }
            ref other => self.problem(&format!("this is {}; write {what}", other.kind()), report),
        }
    }

    /// The text of a scalar. `what` says what is needed, with an example.
    pub fn text(&self, what: &str, report: &mut Report) -> Option<&'a str> {
        let Value::Scalar(text) = &self.node.value else {
            self.expected(what, report);
            return None;
        };
        if text.len() > LONGEST {
            self.problem(&format!("\"{}\" has {} octets; write {what}", cut(text), text.len()), report);
            return None;
        }
        Some(text)
    }

    /// The items of a list.
    pub fn items(&self, what: &str, report: &mut Report) -> Option<Vec<Self>> {
        match &self.node.value {
            Value::List(items) => Some(items.iter().map(|node| Self { node, ..*self }).collect()),
            Value::Scalar(text) => {
                self.problem(&format!("this is a single value; write a list: [{text}]", text = cut(text)), report);
                None
            }
            _ => {
                self.expected(what, report);
                None
            }
        }
    }

    /// A duration with its unit, within `range`.
    pub fn duration(&self, range: RangeInclusive<Duration>, report: &mut Report) -> Option<Duration> {
        let text = self.text("a duration such as \"10s\"", report)?;
        let duration = match humantime::parse_duration(text) {
            // humantime takes a lone "0" for a duration.
            _ if text.parse::<f64>().is_ok() => {
                let plain = text.trim_start_matches('0');
                let plain = if plain.is_empty() { "0" } else { plain };
                self.problem(
                    &format!(
                        "\"{text}\" has no unit; write \"{plain}s\" for seconds",
                        text = cut(text),
                        plain = cut(plain)
                    ),
                    report,
                );
                return None;
            }
            Ok(duration) => duration,
            Err(_) => {
                self.problem(
                    &format!("\"{text}\" is no duration; write \"10s\", \"500ms\" or \"2m 30s\"", text = cut(text)),
                    report,
                );
                return None;
            }
        };
        if range.contains(&duration) {
            return Some(duration);
        }
        let (least, most) = (humantime::format_duration(*range.start()), humantime::format_duration(*range.end()));
        self.problem(&format!("\"{text}\" is out of range; write {least} to {most}", text = cut(text)), report);
        None
    }

    /// A TTL: a duration in whole seconds.
    pub fn ttl(&self, report: &mut Report) -> Option<Ttl> {
        // RFC 2181 section 8.
        let most = Duration::from_secs(u64::from(u32::MAX >> 1));
        let duration = self.duration(Duration::ZERO..=most, report)?;
        if duration.subsec_nanos() != 0 {
            self.problem("a TTL is whole seconds; write \"1s\" or more", report);
            return None;
        }
        u32::try_from(duration.as_secs()).ok().map(Ttl)
    }

    /// A whole number within `range`.
    pub fn number<T>(&self, range: RangeInclusive<T>, report: &mut Report) -> Option<T>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let (least, most) = (range.start(), range.end());
        let text = self.text(&format!("a whole number from {least} to {most}"), report)?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits && text.len() > 1 && text.starts_with('0') {
            let plain = text.trim_start_matches('0');
            let hint = match plain.parse() {
                Ok(number) if range.contains(&number) => format!("{plain} if that is meant", plain = cut(plain)),
                _ => format!("{least} to {most}"),
            };
            self.problem(
                &format!("\"{text}\" begins with 0, which some read as octal; write {hint}", text = cut(text)),
                report,
            );
            return None;
        }
        match text.parse() {
            Ok(number) if digits && range.contains(&number) => Some(number),
            _ if digits => {
                self.problem(&format!("{text} is out of range; write {least} to {most}", text = cut(text)), report);
                None
            }
            _ => {
                self.problem(
                    &format!("\"{text}\" is no whole number; write {least} to {most}", text = cut(text)),
                    report,
                );
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn truth(&self, report: &mut Report) -> Option<bool> {
        self.word(&[("true", true), ("false", false)], report)
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)], report: &mut Report) -> Option<T> {
        self.word_or(words, &[], report)
    }

    /// The same where people write other words, each with what to write instead.
    pub fn word_or<T: Copy>(&self, words: &[(&str, T)], others: &[(&str, &str)], report: &mut Report) -> Option<T> {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let text = self.text(&one_of(&known), report)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let other = others.iter().find(|(other, _)| other.eq_ignore_ascii_case(text));
            let instead = match other {
                Some((_, instead)) => (*instead).to_owned(),
                None => format!("{}{}", one_of(&known), report.did_you_mean(text, known.iter().copied())),
            };
            self.problem(&format!("\"{text}\" is not known here; write {instead}", text = cut(text)), report);
        }
        found
    }

    /// `"50%"`.
    pub fn percent(&self, range: RangeInclusive<u8>, report: &mut Report) -> Option<u8> {
        let (least, most) = (range.start(), range.end());
        let text = self.text(&format!("a share from {least}% to {most}%"), report)?;
        let wrong = match text.strip_suffix('%').map(str::parse) {
            Some(Ok(percent)) if range.contains(&percent) => return Some(percent),
            Some(_) => "is out of range",
            None => "is no share",
        };
        self.problem(&format!("\"{text}\" {wrong}; write {least}% to {most}%", text = cut(text)), report);
        None
    }

    /// A count of nodes or a share of them. Never none: an empty set is never published.
    pub fn share(&self, report: &mut Report) -> Option<Share> {
        let text = self.text("a count of nodes or a share such as \"50%\"", report)?;
        if text.ends_with('%') {
            self.percent(1..=100, report).map(Share::Percent)
        } else if text.bytes().all(|byte| byte.is_ascii_digit()) {
            self.number(1..=usize::from(u16::MAX), report).map(Share::Count)
        } else {
            self.problem(
                &format!("\"{text}\" is no count of nodes and no share; write 1 or \"50%\"", text = cut(text)),
                report,
            );
            None
        }
    }

    /// An address and port; `port` is taken when none is written.
    pub fn socket(&self, port: Option<u16>, report: &mut Report) -> Option<SocketAddr> {
        const EXAMPLES: &str = "\"192.0.2.1:53\" or \"[2001:db8::1]:53\"";
        let text = self.text(&format!("an address and port: {EXAMPLES}"), report)?;
        let bare = || text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text).parse().ok();
        if let Ok(socket) = text.parse::<SocketAddr>() {
            if socket.port() != 0 {
                return Some(socket);
            }
            self.problem("port 0 is none; write 1 to 65535", report);
            return None;
        }
        let address: Option<IpAddr> = bare();
        match (address, port) {
            (Some(address), Some(port)) => return Some(SocketAddr::new(address, port)),
            (Some(address), None) => {
                let example = SocketAddr::new(address, 53);
                self.problem(&format!("\"{text}\" has no port; write it: \"{example}\"", text = cut(text)), report);
            }
            _ if text.parse::<u16>().is_ok() => {
                self.problem(
                    &format!("\"{text}\" is a port alone; write \"127.0.0.1:{text}\"", text = cut(text)),
                    report,
                );
            }
            _ => self.problem(
                &format!(
                    "\"{text}\" is no literal address and port (names are not looked up); write {EXAMPLES}",
                    text = cut(text)
                ),
                report,
            ),
        }
        None
    }

    /// A domain name, absolute.
    pub fn name(&self, report: &mut Report) -> Option<OwnerName> {
        let text = self.text("a domain name", report)?;
        OwnerName::parse(text).map_err(|error| self.problem(&name_problem(text, &error), report)).ok()
    }

    /// A path; a relative one is taken from `folder` and cannot leave it.
    pub fn path(&self, folder: &Path, report: &mut Report) -> Option<PathBuf> {
        let text = self.text("a path", report)?;
        let path = Path::new(text);
        if text.is_empty() || text.contains('\0') {
            self.problem("this is no path", report);
            None
        } else if path.is_relative() && path.components().any(|part| part == Component::ParentDir) {
            self.problem(
                &format!(
                    "\"{text}\" leaves the folder of this file by \"..\"; write an absolute path",
                    text = cut(text)
                ),
                report,
            );
            None
        } else {
            Some(folder.join(path))
        }
    }
}

/// What is wrong with a domain name, and for an internationalised one the form that DNS has.
pub(super) fn name_problem(text: &str, error: &NameError) -> String {
    let ascii = || {
        let name = (text.len() <= LONGEST).then(|| Name::from_utf8(text).ok())??;
        let ascii = name.to_ascii();
        Some(format!("; write \"{}\"", cut(ascii.trim_end_matches('.'))))
    };
    match error {
        NameError::NotAscii => {
            format!(
                "\"{text}\" is not ASCII, DNS wants the encoded form{}",
                ascii().unwrap_or_default(),
                text = cut(text)
            )
        }
        other => format!("\"{text}\" is no domain name: {other}", text = cut(text)),
    }
}
