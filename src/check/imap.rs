//! IMAP lines (RFC 9051 section 7), as far as a health check needs them.

/// The goodbye, under the tag that [`is_tagged`] looks for.
pub const LOGOUT: &[u8] = b"a LOGOUT\r\n";

/// Whether a greeting invites us: `* OK` or `* PREAUTH` (section 7.1), not `* BYE`.
#[must_use]
pub fn is_welcome(line: &[u8]) -> bool {
    let mut words = line.splitn(3, |octet| *octet == b' ');
    words.next() == Some(b"*")
        && words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"OK") || word.eq_ignore_ascii_case(b"PREAUTH"))
}

/// Whether a line completes our command, not one of the untagged ones before.
#[must_use]
pub fn is_tagged(line: &[u8]) -> bool {
    line.starts_with(b"a ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings() {
        for (line, welcome) in [
            ("* OK [CAPABILITY IMAP4rev1] Dovecot ready.", true),
            ("* ok ready", true),
            ("* OK", true),
            ("* PREAUTH logged in", true),
            ("* BYE too many connections", false),
            ("* OKAY", false),
            ("*  OK", false),
            ("a OK", false),
            ("OK", false),
            ("+OK POP3", false),
            ("", false),
            ("\0", false),
        ] {
            assert_eq!(is_welcome(line.as_bytes()), welcome, "{line}");
        }
    }

    #[test]
    fn completions() {
        for (line, tagged) in [("* BYE bye", false), ("a OK done", true), ("ab OK", false), ("a", false)] {
            assert_eq!(is_tagged(line.as_bytes()), tagged, "{line}");
        }
    }
}
