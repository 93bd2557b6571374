//! Owner names.

use std::{
    borrow::{Borrow, Cow},
    cmp::Ordering,
    fmt::{self, Write},
    str::FromStr,
    sync::Arc,
};

#[cfg(test)]
mod tests;

/// A fully qualified domain name: lower case, presentation form (RFC 1035 section 5.1), without the final dot.
///
/// Cloning shares the text. The root is `.`. A dot or any other special character within a label is escaped as BIND
/// prints it, `\.` or `\032`, so that equal names are equal texts.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OwnerName(Arc<str>);

/// Why a text is not an owner name that rotad accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or a lone dot where a name is needed.
    #[error("a domain name is needed, this is empty")]
    Empty,
    /// Two dots in a row, or a leading dot.
    #[error("a label is empty (two dots in a row, or a dot at the start)")]
    EmptyLabel,
    /// A label over 63 octets (RFC 1035 section 2.3.4).
    #[error("the label \"{label}\" has {octets} octets; DNS allows 63 at most")]
    LabelTooLong {
        /// The label's first octets.
        label: String,
        /// Its length.
        octets: usize,
    },
    /// A name over 255 octets on the wire (RFC 1035 section 2.3.4).
    #[error("the name has {0} octets; DNS allows 255 at most")]
    TooLong(usize),
    /// A character that no host name has.
    #[error("{0:?} does not belong in a domain name (letters, digits, \"-\", \"_\" and dots do)")]
    BadCharacter(char),
    /// An internationalised name in its Unicode form.
    #[error("write the ASCII form of this name")]
    NotAscii,
}

impl OwnerName {
    /// Parses a name as people write it: upper case and a final dot are accepted and normalised.
    ///
    /// # Errors
    /// [`NameError`] when a label or the name is too long, empty, or has characters that no host name has. A `*` is
    /// accepted as the whole first label (RFC 4592).
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if !text.is_ascii() {
            return Err(NameError::NotAscii);
        }
        // One length octet for each label, and the root's.
        let octets = text.len() + 2;
        if octets > 255 {
            return Err(NameError::TooLong(octets));
        }
        for (at, label) in text.split('.').enumerate() {
            if label.is_empty() {
                return Err(NameError::EmptyLabel);
            }
            if label.len() > 63 {
                return Err(NameError::LabelTooLong { label: label.chars().take(20).collect(), octets: label.len() });
            }
            if at == 0 && label == "*" {
                continue;
            }
            if let Some(bad) = label.bytes().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))) {
                return Err(NameError::BadCharacter(bad.into()));
            }
        }
        Ok(Self::lower_case(text))
    }

    /// The root.
    #[must_use]
    pub fn root() -> Self {
        Self(".".into())
    }

    /// Takes a name in presentation form, whatever its characters: what BIND serves need not be a name that we would
    /// write.
    #[must_use]
    pub fn from_presentation(text: &str) -> Self {
        if text.contains('\\') {
            let labels: Vec<_> = labels(text).map(unescaped).collect();
            return Self::from_labels(labels.iter().map(AsRef::as_ref));
        }
        let text = match text.strip_suffix('.') {
            Some("") | None => text,
            Some(rest) => rest,
        };
        Self::lower_case(text)
    }

    /// Takes the labels of a name as they are on the wire, without the root's.
    #[must_use]
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut text = String::with_capacity(64);
        for label in labels {
            if !text.is_empty() {
                text.push('.');
            }
            for octet in label {
                match octet {
                    b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => text.extend(['\\', char::from(*octet)]),
                    0x21..=0x7e => text.push(char::from(octet.to_ascii_lowercase())),
                    _ => {
                        let _ = write!(text, "\\{octet:03}");
                    }
                }
            }
        }
        if text.is_empty() { Self::root() } else { Self(text.into()) }
    }

    /// Most names are in lower case already: no need to copy them twice.
    fn lower_case(text: &str) -> Self {
        let is_lower = !text.bytes().any(|c| c.is_ascii_uppercase());
        Self(if is_lower { text.into() } else { text.to_ascii_lowercase().into() })
    }

    /// The name in lower case without the final dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with the final dot, as in a zone file.
    #[must_use]
    pub fn fqdn(&self) -> impl fmt::Display {
        fmt::from_fn(|f| if self.is_root() { f.write_str(".") } else { write!(f, "{}.", self.0) })
    }

    fn is_root(&self) -> bool {
        &*self.0 == "."
    }

    /// The labels as they are on the wire, without the root's.
    pub fn labels(&self) -> impl Iterator<Item = Cow<'_, [u8]>> {
        labels(&self.0).map(unescaped)
    }

    /// The name's length on the wire.
    fn octets(&self) -> usize {
        self.labels().map(|label| label.len() + 1).sum::<usize>() + 1
    }

    /// The name one level down: `label.self`; `@` (or an empty label) is the name itself.
    ///
    /// # Errors
    /// As [`OwnerName::parse`] for the label; [`NameError::TooLong`].
    pub fn child(&self, label: &str) -> Result<Self, NameError> {
        if label.is_empty() || label == "@" {
            return Ok(self.clone());
        }
        let head = Self::parse(label)?;
        if self.is_root() {
            return Ok(head);
        }
        let octets = head.octets() - 1 + self.octets();
        if octets > 255 {
            return Err(NameError::TooLong(octets));
        }
        Ok(Self(format!("{head}.{self}").into()))
    }

    /// Whether this name is `other` or lies below it.
    #[must_use]
    pub fn is_at_or_below(&self, other: &Self) -> bool {
        other.is_root() || self.0.strip_suffix(&*other.0).is_some_and(|head| head.is_empty() || ends_in_separator(head))
    }

    /// Whether this name lies below `other`.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        self != other && self.is_at_or_below(other)
    }

    /// The names above this one, nearest first, itself and the root not included.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (_, parent) = split(rest)?;
            rest = parent;
            (!parent.is_empty()).then_some(parent)
        })
    }
}

/// The first label and what is behind its dot, which is the first one that no backslash stands before.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let at = text.bytes().position(|octet| {
        let separates = octet == b'.' && !escaped;
        escaped = octet == b'\\' && !escaped;
        separates
    })?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Whether a text ends in a dot that separates labels.
fn ends_in_separator(text: &str) -> bool {
    text.strip_suffix('.')
        .is_some_and(|label| label.bytes().rev().take_while(|octet| *octet == b'\\').count().is_multiple_of(2))
}

/// The labels of a name, escaped as they are.
fn labels(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let (label, behind) = split(text).map_or((text, None), |(label, behind)| (label, Some(behind)));
        rest = behind;
        Some(label)
    })
    .filter(|label| !label.is_empty())
}

/// RFC 1035 section 5.1: `\X` is X, and `\DDD` the octet of that number.
fn unescaped(label: &str) -> Cow<'_, [u8]> {
    if !label.contains('\\') {
        return Cow::Borrowed(label.as_bytes());
    }
    let mut octets = Vec::with_capacity(label.len());
    let mut rest = label.as_bytes();
    while let Some((octet, behind)) = rest.split_first() {
        rest = behind;
        if *octet != b'\\' {
            octets.push(*octet);
            continue;
        }
        let number = behind.split_first_chunk::<3>().and_then(|(digits, behind)| {
            let digits = digits.iter().all(u8::is_ascii_digit).then(|| str::from_utf8(digits).ok())??;
            Some((digits.parse().ok()?, behind))
        });
        if let Some((octet, behind)) = number.or_else(|| behind.split_first().map(|(octet, behind)| (*octet, behind))) {
            octets.push(octet);
            rest = behind;
        }
    }
    Cow::Owned(octets)
}

/// As text. A clone is found equal without a look at it.
impl Ord for OwnerName {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.as_bytes().cmp(other.0.as_bytes()) }
    }
}

impl PartialOrd for OwnerName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Borrow<str> for OwnerName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for OwnerName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
