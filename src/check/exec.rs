//! The verdict of a monitoring plugin (<https://www.monitoring-plugins.org/doc/guidelines.html>): its exit code, and the
//! first line that it printed.

use std::path::PathBuf;

use super::{Outcome, Warning, text::printable};

/// The most that is kept of what a plugin prints, in octets; the rest is read and forgotten.
pub const LIMIT: usize = 4 * 1024;

/// A plugin that is run on this host for each node. No shell is between: the arguments arrive as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// The program, by its absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// How a plugin ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

/// What a plugin that ended so and printed this says of the node.
#[must_use]
pub fn verdict(end: End, output: &[u8]) -> Outcome {
    let line = output.split(|octet| *octet == b'\n').next().unwrap_or_default();
    // What follows the bar is for graphs.
    let text = line.split(|octet| *octet == b'|').next().unwrap_or_default().trim_ascii();
    let says = |otherwise: String| if text.is_empty() { otherwise } else { printable(text) };
    match end {
        End::Exit(0) => Outcome::Pass(says("exit status 0".to_owned())),
        End::Exit(1) => {
            let reason = says("exit status 1 (warning)".to_owned());
            Outcome::Warn { warning: Warning::Plugin(reason.clone()), reason }
        }
        End::Exit(2) => Outcome::Fail(says("exit status 2 (critical)".to_owned())),
        End::Exit(code) if text.is_empty() => Outcome::Unknown(format!("exit status {code}")),
        End::Exit(code) => Outcome::Unknown(format!("exit status {code}: {}", printable(text))),
        End::Signal(signal) => Outcome::Unknown(format!("the plugin was killed by signal {signal}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes() {
        let ok = "OK - 12 in the queue | queue=12;50;100\nmore\n";
        for (end, output, word, reason) in [
            (End::Exit(0), ok, "pass", "OK - 12 in the queue"),
            (End::Exit(0), "", "pass", "exit status 0"),
            (End::Exit(0), "|a=1", "pass", "exit status 0"),
            (End::Exit(1), "WARNING: 60", "warning", "WARNING: 60"),
            (End::Exit(1), "", "warning", "exit status 1 (warning)"),
            (End::Exit(2), "CRITICAL\x1b[2J", "fail", "CRITICAL\\u{1b}[2J"),
            (End::Exit(2), "\n", "fail", "exit status 2 (critical)"),
            (End::Exit(3), "usage", "unknown", "exit status 3: usage"),
            (End::Exit(127), "", "unknown", "exit status 127"),
            (End::Signal(11), "half a", "unknown", "the plugin was killed by signal 11"),
        ] {
            let outcome = verdict(end, output.as_bytes());
            assert_eq!((outcome.as_str(), outcome.reason()), (word, reason), "{end:?} {output:?}");
        }
    }
}
