//! IMAP lines (RFC 9051 section 7), as far as a health check needs them.

/// Asks what the server can do, under the tag that [`completion`] looks for.
pub const CAPABILITY: &[u8] = b"a CAPABILITY\r\n";
/// Asks for TLS (section 6.2.1).
pub const STARTTLS: &[u8] = b"a STARTTLS\r\n";
/// The goodbye.
pub const LOGOUT: &[u8] = b"a LOGOUT\r\n";

/// Whether a greeting invites us: `* OK` or `* PREAUTH` (section 7.1), not `* BYE`.
#[must_use]
pub fn is_welcome(line: &[u8]) -> bool {
    let mut words = line.splitn(3, |octet| *octet == b' ');
    words.next() == Some(b"*")
        && words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"OK") || word.eq_ignore_ascii_case(b"PREAUTH"))
}

/// Whether a line completes our command, and if so, whether the server did as it was told.
#[must_use]
pub fn completion(line: &[u8]) -> Option<bool> {
    let mut words = line.strip_prefix(b"a ")?.split(|octet| *octet == b' ');
    Some(words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"OK")))
}

/// Whether a line lists STARTTLS among the capabilities.
#[must_use]
pub fn offers_starttls(line: &[u8]) -> bool {
    let mut words = line.split(|octet| *octet == b' ').skip_while(|word| *word == b"*");
    words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"CAPABILITY"))
        && words.any(|word| word.eq_ignore_ascii_case(b"STARTTLS"))
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
        for (line, completes) in [
            ("* BYE bye", None),
            ("a OK done", Some(true)),
            ("a ok", Some(true)),
            ("a OKAY", Some(false)),
            ("a NO later", Some(false)),
            ("a BAD what", Some(false)),
            ("ab OK", None),
            ("a", None),
            ("a ", Some(false)),
        ] {
            assert_eq!(completion(line.as_bytes()), completes, "{line}");
        }
    }

    #[test]
    fn capabilities() {
        for (line, offered) in [
            ("* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED", true),
            ("* capability imap4rev1 starttls", true),
            ("* CAPABILITY IMAP4rev1", false),
            ("* OK STARTTLS", false),
            ("* CAPABILITY XSTARTTLS", false),
            ("", false),
        ] {
            assert_eq!(offers_starttls(line.as_bytes()), offered, "{line}");
        }
    }
}
