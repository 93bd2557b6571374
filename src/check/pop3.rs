//! POP3 replies (RFC 1939 section 3), as far as a health check needs them.

/// Whether a reply is positive: `+OK` alone or followed by a text.
#[must_use]
pub fn is_ok(line: &[u8]) -> bool {
    line.strip_prefix(b"+OK").is_some_and(|rest| matches!(rest.first(), None | Some(b' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        for (line, ok) in [
            ("+OK", true),
            ("+OK Dovecot ready. <1896.697170952@dbc.mtview.ca.us>", true),
            ("+OKAY", false),
            ("-ERR busy", false),
            ("* OK", false),
            ("", false),
        ] {
            assert_eq!(is_ok(line.as_bytes()), ok, "{line}");
        }
    }
}
