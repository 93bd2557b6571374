//! What commands print. A reader that leaves (`rotad plan | head -1`) is no error, and neither is one that was never there.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write, stderr, stdout},
};

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
    print(format_args!("{}\n", serde_json::to_string_pretty(value)?))
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
