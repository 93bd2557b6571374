//! What commands print. A reader that leaves (`rotad plan | head -1`) is no error, and neither is one that was never there.

use std::{
    borrow::Cow,
    fmt::Display,
    io::{self, ErrorKind, Write, stderr, stdout},
};

use crate::text;

/// Prints to the standard output, as it is.
///
/// # Errors
/// What the system said, unless nobody reads any more.
pub fn print(text: impl Display) -> io::Result<()> {
    let mut out = stdout().lock();
    quiet(write!(out, "{text}").and_then(|()| out.flush()))
}

/// Prints a value as JSON to the standard output.
///
/// # Errors
/// As [`print()`].
pub fn print_json(value: &impl serde::Serialize) -> io::Result<()> {
    print(format_args!("{}\n", harmless_json(&serde_json::to_string_pretty(value)?)))
}

/// The same document with escapes for what a terminal obeys. JSON itself escapes the control characters of ASCII alone; these
/// stand in its strings and nowhere else.
#[must_use]
pub fn harmless_json(document: &str) -> Cow<'_, str> {
    let is_harmful = |c: char| c != '\n' && text::is_obeyed(c);
    if !document.contains(is_harmful) {
        return Cow::Borrowed(document);
    }
    let escaped =
        document.chars().map(|c| if is_harmful(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() });
    Cow::Owned(escaped.collect())
}

/// Prints a line to the standard error; where to that cannot be written, nothing can be told.
pub fn warn(line: impl Display) {
    let _ = writeln!(stderr().lock(), "{line}");
}

/// A reader that has left is no error.
pub fn quiet(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h6_json_has_nothing_that_a_terminal_obeys_and_says_the_same() {
        let value =
            serde_json::json!({ "reason": "\u{1b}[31m\u{202e}x\u{9b}2J\u{2028}\n\u{7f} caf\u{e9}", "more": [1, "\t"] });
        let document = serde_json::to_string_pretty(&value).unwrap();
        let harmless = harmless_json(&document);
        assert!(!harmless.contains(|c: char| c != '\n' && text::is_obeyed(c)), "{harmless:?}");
        assert!(harmless.contains("caf\u{e9}"), "{harmless}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&harmless).unwrap(), value);
    }
}
