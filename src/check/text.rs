//! What a peer says, taken in small portions: never more than 8 KiB of it, and shown so that it can do no harm.

/// The most that is read from a peer in one probe, in octets.
pub const LIMIT: usize = 8 * 1024;

/// The most characters of a peer's line that are shown.
const SHOWN: usize = 100;

/// A peer's line as it may be shown on a terminal and in the journal: control characters, quotes and what is not
/// UTF-8 are escaped, and it is cut after 100 characters.
#[must_use]
pub fn printable(line: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in line.utf8_chunks() {
        for c in chunk.valid().chars() {
            // An apostrophe does no harm inside double quotes; `escape_debug` escapes it all the same.
            if c == '\'' { shown.push(c) } else { shown.extend(c.escape_debug()) }
        }
        shown.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    if let Some((end, _)) = shown.char_indices().nth(SHOWN) {
        shown.truncate(end);
        shown.push_str("...");
    }
    shown
}

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
    fn a_peers_line_does_no_harm() {
        for (line, shown) in [
            (&b"220 mx ESMTP"[..], "220 mx ESMTP"),
            (b"", ""),
            (b"it's", "it's"),
            (b"say \"hi\" \\", "say \\\"hi\\\" \\\\"),
            (b"\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}"),
            (b"a\0b\rc\td", "a\\0b\\rc\\td"),
            (b"\xff\xfe caf\xc3\xa9", "\\xff\\xfe caf\u{e9}"),
            ("\u{202e}gpj.exe".as_bytes(), "\\u{202e}gpj.exe"),
            (b"x\nNODE=node99", "x\\nNODE=node99"),
        ] {
            assert_eq!(printable(line), shown);
        }
        assert_eq!(printable(&[b'a'; 100]), "a".repeat(100));
        assert_eq!(printable(&[b'a'; 101]), format!("{}...", "a".repeat(100)));
        assert_eq!(printable(&[0xff; LIMIT]).chars().count(), 103);
    }

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
            prop_assert!(shown.chars().count() <= SHOWN + 3);
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
