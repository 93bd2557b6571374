//! The text of HAProxy's agent-check: what a node says of itself.
//!
//! <https://docs.haproxy.org/3.0/configuration.html#5.2-agent-check>: words apart by blanks or commas, up to `#`,
//! which begins a description. What HAProxy tells apart and rotad does not, is read alike:
//!
//! | words | meaning here |
//! |---|---|
//! | `up`, `ready`, a percentage above 0 | passes |
//! | `down`, `fail`, `stopped`, `0%` | fails: `fall` of them take the node out |
//! | `drain` | the node wants out: it leaves the shared sets at once, and keeps its pinned names |
//! | `maint` | it wants out altogether: as `admin_state: down` in the file |
//!
//! Of several words the one that is furthest down this table decides. Without any of them nothing is known. `drain` and
//! `maint` stand until the agent says otherwise, though it be silent; `down` lapses with its silence.

use super::{Outcome, text::printable};

/// What the agent's line says of the node.
#[must_use]
pub fn verdict(line: &[u8]) -> Outcome {
    let says = format!("agent says \"{}\"", printable(line));
    let text = line.split(|octet| *octet == b'#').next().unwrap_or_default();
    let words = text.split(|octet| matches!(octet, b' ' | b'\t' | b',' | b'\r'));
    match words.filter_map(wish).max() {
        Some(Wish::In) => Outcome::Pass(says),
        Some(Wish::Failed) => Outcome::Fail(says),
        Some(Wish::Out) => Outcome::Out(says),
        Some(Wish::Maint) => Outcome::Maint(says),
        None => Outcome::Unknown(format!("{says}, which is no state")),
    }
}

/// The later ones outweigh the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    In,
    Failed,
    Out,
    Maint,
}

fn wish(word: &[u8]) -> Option<Wish> {
    let word = std::str::from_utf8(word).ok()?.to_ascii_lowercase();
    match word.as_str() {
        "up" | "ready" => Some(Wish::In),
        "down" | "fail" | "stopped" => Some(Wish::Failed),
        "drain" => Some(Wish::Out),
        "maint" => Some(Wish::Maint),
        other => {
            let digits = other.strip_suffix('%')?;
            let number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
            number.then(|| if digits.bytes().all(|digit| digit == b'0') { Wish::Failed } else { Wish::In })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_agent() {
        for (line, word) in [
            ("up", "pass"),
            ("ready", "pass"),
            ("UP", "pass"),
            ("75%", "pass"),
            ("300%", "pass"),
            ("ready up 50%", "pass"),
            ("up,75%,maxconn:30", "pass"),
            ("up # 0% of the disk is free, drain later", "pass"),
            ("0%", "fail"),
            ("000%", "fail"),
            ("down", "fail"),
            ("fail # disk", "fail"),
            ("stopped", "fail"),
            ("up down", "fail"),
            ("drain", "out"),
            ("maint\r", "out"),
            ("up drain", "out"),
            ("maint down", "out"),
            ("maint drain", "out"),
            ("", "unknown"),
            ("%", "unknown"),
            ("-5%", "unknown"),
            ("upwards", "unknown"),
            ("# up", "unknown"),
            ("maxconn:30", "unknown"),
            ("220 mx ESMTP", "unknown"),
        ] {
            assert_eq!(verdict(line.as_bytes()).as_str(), word, "{line}");
        }
        assert_eq!(verdict(b"up drain"), Outcome::Out("agent says \"up drain\"".to_owned()));
        assert_eq!(verdict(b"maint drain"), Outcome::Maint("agent says \"maint drain\"".to_owned()));
        assert_eq!(verdict(b"down#\x1b").reason(), "agent says \"down#\\u{1b}\"");
        assert_eq!(verdict(b"\xff"), Outcome::Unknown("agent says \"\\xff\", which is no state".to_owned()));
    }
}
