//! What a peer says, taken in small portions: never more than 8 KiB of it, and shown so that it can do no harm.

/// The most that is read from a peer in one probe, in octets.
pub const LIMIT: usize = 8 * 1024;

pub use crate::text::foreign as printable;

/// What a peer has said so far, cut into lines; at most [`LIMIT`] octets in all.
#[derive(Debug, Default)]
pub struct Lines {
    heard: Vec<u8>,
    /// Where the line begins that was not taken yet.
    begin: usize,
    /// Where to look for its end: nothing before this is an end of line.
    looked: usize,
}

impl Lines {
    /// How many octets may still be read.
    #[must_use]
    pub fn room(&self) -> usize {
        LIMIT.saturating_sub(self.heard.len())
    }

    /// Takes what was read; what is beyond the limit is dropped.
    pub fn push(&mut self, octets: &[u8]) {
        self.heard.extend(octets.iter().take(self.room()));
    }

    /// The next whole line, without its CRLF (or bare LF: some servers send it).
    pub fn take_line(&mut self) -> Option<&[u8]> {
        let Some(length) = self.heard.get(self.looked..)?.iter().position(|octet| *octet == b'\n') else {
            self.looked = self.heard.len();
            return None;
        };
        let end = self.looked + length;
        let line = self.heard.get(self.begin..end)?;
        self.begin = end + 1;
        self.looked = self.begin;
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// What was said since the last whole line.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        self.heard.get(self.begin..).unwrap_or_default()
    }

    /// Why no more is read, once there is no room.
    #[must_use]
    pub fn too_long(&self) -> &'static str {
        if self.begin == 0 { "more than 8 KiB without an end of line" } else { "more than 8 KiB of answers" }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_come_whole_however_they_arrive() {
        let said = b"one\r\ntwo\n\r\nrest";
        for portion in 1..said.len() {
            let mut lines = Lines::default();
            let mut taken = Vec::new();
            for octets in said.chunks(portion) {
                lines.push(octets);
                while let Some(line) = lines.take_line() {
                    taken.push(line.to_vec());
                }
            }
            assert_eq!(taken, [&b"one"[..], b"two", b""], "in portions of {portion}");
        }
    }

    #[test]
    fn a_peer_that_never_ends_a_line_fills_8_kib_and_no_more() {
        let mut lines = Lines::default();
        for _ in 0..1_000 {
            lines.push(&[b'x'; 1_000]);
            assert!(lines.take_line().is_none());
        }
        assert_eq!(lines.room(), 0);
        assert!(lines.heard.capacity() <= 2 * LIMIT);
        assert_eq!(lines.too_long(), "more than 8 KiB without an end of line");
    }

    proptest! {
        #[test]
        fn whatever_a_peer_says_is_short_and_harmless(line in proptest::collection::vec(any::<u8>(), 0..500)) {
            let shown = printable(&line);
            prop_assert!(shown.chars().count() <= crate::text::SHOWN + 3);
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
