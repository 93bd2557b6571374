//! POP3 replies (RFC 1939 section 3), as far as a health check needs them.

/// Whether a reply is positive: `+OK` alone or followed by a text.
#[must_use]
pub fn is_ok(line: &[u8]) -> bool {
    line.strip_prefix(b"+OK").is_some_and(|rest| matches!(rest.first(), None | Some(b' ')))
}

/// An answer to CAPA (RFC 2449 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether STLS (RFC 2595) is among them. A server that knows no CAPA has none.
    pub stls: bool,
}

/// Reads an answer to CAPA, line by line.
#[derive(Debug, Default)]
pub struct CapabilitiesReader {
    listing: Option<Capabilities>,
}

impl CapabilitiesReader {
    /// Takes the next line; the answer once it is complete.
    pub fn line(&mut self, line: &[u8]) -> Option<Capabilities> {
        match &mut self.listing {
            Some(_) if line == b"." => self.listing.take(),
            Some(listing) => {
                listing.stls |= line.eq_ignore_ascii_case(b"STLS");
                None
            }
            None if is_ok(line) => {
                self.listing = Some(Capabilities { stls: false });
                None
            }
            None => Some(Capabilities { stls: false }),
        }
    }
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

    #[test]
    fn capabilities() {
        for (lines, taken, stls) in [
            (&["+OK", "TOP", "STLS", ".", "+OK"][..], 4, true),
            (&["+OK list follows", "stls", "."], 3, true),
            (&["+OK", "STLS 1", "."], 3, false),
            (&["-ERR what", "STLS"], 1, false),
        ] {
            let mut reader = CapabilitiesReader::default();
            let found = lines.iter().zip(1..).find_map(|(line, count)| Some((count, reader.line(line.as_bytes())?)));
            assert_eq!(found, Some((taken, Capabilities { stls })), "{lines:?}");
        }
        let mut reader = CapabilitiesReader::default();
        assert_eq!(["+OK", "STLS", ".."].iter().find_map(|line| reader.line(line.as_bytes())), None);
    }
}
