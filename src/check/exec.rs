//! The verdict of a monitoring plugin (<https://www.monitoring-plugins.org/doc/guidelines.html>): its exit code, and the
//! first line that it printed.

use std::path::PathBuf;

use super::{Outcome, Target, Warning, text::printable};

/// The most that is kept of what a plugin prints, in octets; the rest is read and forgotten.
pub const LIMIT: usize = 4 * 1024;

/// What is filled in in a plugin's arguments. No other brace may stand there, so that none is passed on by mistake.
pub const PLACEHOLDERS: [&str; 3] = ["{address}", "{node}", "{index}"];

/// A plugin that is run on this host for each node. No shell is between: the arguments arrive as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// The program, by its absolute path.
    pub program: PathBuf,
    /// Its arguments, with [`PLACEHOLDERS`] for those of a check, without for those of a target.
    pub arguments: Vec<String>,
}

impl Exec {
    /// The same with what a target has filled in.
    pub(super) fn filled_in(&self, target: &Target, index: &str) -> Self {
        let address = target.address.to_string();
        let values = [address.as_str(), target.node.as_str(), index];
        // In one pass: what a value brings along is no placeholder.
        let fill = |argument: &String| {
            let (mut filled, mut rest) = (String::new(), argument.as_str());
            while let Some((at, placeholder, value)) = PLACEHOLDERS
                .iter()
                .zip(values)
                .filter_map(|(placeholder, value)| Some((rest.find(placeholder)?, placeholder, value)))
                .min()
            {
                filled.extend([rest.get(..at).unwrap_or_default(), value]);
                rest = rest.get(at + placeholder.len()..).unwrap_or_default();
            }
            filled + rest
        };
        Self { program: self.program.clone(), arguments: self.arguments.iter().map(fill).collect() }
    }
}

/// The exit code of `timeout` (coreutils) that ran out before its command ended.
const TIMED_OUT: i32 = 124;

/// SIGALRM: of a plugin whose own alarm went off (`alarm(2)`, as the plugins of Monitoring Plugins set it).
const ALARM: i32 = 14;

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
    // What it waited for is the node, as it is for a plugin that does not end in our time.
    let gave_up = |how: &str| {
        let said = if text.is_empty() { String::new() } else { format!(": {}", printable(text)) };
        Outcome::Fail(format!("the plugin gave up by its own deadline ({how}){said}"))
    };
    match end {
        End::Exit(0) => Outcome::Pass(says("exit status 0".to_owned())),
        End::Exit(1) => {
            let reason = says("exit status 1 (warning)".to_owned());
            Outcome::Warn { warning: Warning::Plugin(reason.clone()), reason }
        }
        End::Exit(2) => Outcome::Fail(says("exit status 2 (critical)".to_owned())),
        End::Exit(TIMED_OUT) => gave_up("exit status 124"),
        End::Signal(ALARM) => gave_up("signal 14, SIGALRM"),
        End::Exit(code) if text.is_empty() => Outcome::Unknown(format!("exit status {code}")),
        End::Exit(code) => Outcome::Unknown(format!("exit status {code}: {}", printable(text))),
        End::Signal(signal) => Outcome::Unknown(format!("the plugin was killed by signal {signal}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{CheckName, NodeName};

    #[test]
    fn placeholders_are_filled_in() {
        let target = Target {
            node: NodeName::new("node01"),
            check: CheckName::new("own"),
            address: "2001:db8::11".parse().unwrap(),
        };
        let arguments = ["-H", "{address}", "{node}:{index}{index}", "{addres", "x"].map(str::to_owned).to_vec();
        let filled = Exec { program: PathBuf::from("/p"), arguments }.filled_in(&target, "{node}");
        assert_eq!(filled.arguments, ["-H", "2001:db8::11", "node01:{node}{node}", "{addres", "x"]);
    }

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
            (End::Exit(124), "", "fail", "the plugin gave up by its own deadline (exit status 124)"),
            (End::Exit(124), "IMAP|a=1", "fail", "the plugin gave up by its own deadline (exit status 124): IMAP"),
            (End::Signal(14), "", "fail", "the plugin gave up by its own deadline (signal 14, SIGALRM)"),
            // Killed by somebody else, or out of memory: that is no word of the node.
            (End::Exit(137), "", "unknown", "exit status 137"),
            (End::Signal(9), "", "unknown", "the plugin was killed by signal 9"),
            (End::Signal(15), "", "unknown", "the plugin was killed by signal 15"),
            (End::Signal(11), "half a", "unknown", "the plugin was killed by signal 11"),
        ] {
            let outcome = verdict(end, output.as_bytes());
            assert_eq!((outcome.as_str(), outcome.reason()), (word, reason), "{end:?} {output:?}");
        }
    }
}
