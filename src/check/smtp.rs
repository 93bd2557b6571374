//! SMTP replies (RFC 5321 section 4.2), as far as a health check needs them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Outcome, text::printable};

/// One reply, all its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its code; `None`: this is not SMTP.
    pub code: Option<u16>,
    /// Its first line, or the line that is not SMTP, printable.
    pub line: String,
    /// Whether it is an answer to EHLO that offers STARTTLS (RFC 3207).
    pub starttls: bool,
}

impl Reply {
    /// What a reply with another code than wanted says of the node; `what` begins the words. 421 (section 4.3.2) is how a server closes
    /// that cannot take more.
    #[must_use]
    pub fn refusal(&self, what: &str) -> Outcome {
        let words = format!("{what} \"{}\"", self.line);
        if self.code == Some(421) { Outcome::Busy(words) } else { Outcome::Fail(words) }
    }
}

/// Reads one reply, line by line.
#[derive(Debug, Default)]
pub struct ReplyReader {
    first: Option<Reply>,
}

impl ReplyReader {
    /// Takes the next line; the reply once it is complete. A line that does not belong ends it without a code.
    pub fn line(&mut self, line: &[u8]) -> Option<Reply> {
        let (code, more) = split(line);
        let mut reply = match self.first.take() {
            Some(first) if first.code != code => Reply { code: None, line: printable(line), starttls: false },
            Some(first) => first,
            None => Reply { code, line: printable(line), starttls: false },
        };
        reply.starttls |= code == Some(250) && line.get(4..).is_some_and(|word| word.eq_ignore_ascii_case(b"STARTTLS"));
        if more && reply.code.is_some() {
            self.first = Some(reply);
            return None;
        }
        Some(reply)
    }
}

/// The code of a reply's line, if it is one, and whether more lines follow.
fn split(line: &[u8]) -> (Option<u16>, bool) {
    let Some((digits, rest)) = line.split_at_checked(3) else { return (None, false) };
    let more = match rest.first() {
        None | Some(b' ') => false,
        Some(b'-') => true,
        Some(_) => return (None, false),
    };
    let code =
        digits.iter().try_fold(0, |code, digit| digit.is_ascii_digit().then(|| code * 10 + u16::from(digit - b'0')));
    (code, more && code.is_some())
}

/// How a server is greeted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hello {
    /// SMTP.
    Ehlo,
    /// LMTP (RFC 2033 section 4.1).
    Lhlo,
}

impl Hello {
    /// The command.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ehlo => "EHLO",
            Self::Lhlo => "LHLO",
        }
    }

    /// The line: by this host's name if that is a domain name, else by the address that we ask from (RFC 5321 section
    /// 4.1.4). Postfix and Exim refuse `vm` and `rotad_1`.
    #[must_use]
    pub fn line(self, host: &str, local: IpAddr) -> String {
        let verb = self.as_str();
        let host = host.strip_suffix('.').unwrap_or(host);
        match local.to_canonical() {
            _ if is_domain_name(host) => format!("{verb} {host}\r\n"),
            IpAddr::V4(v4) => format!("{verb} [{v4}]\r\n"),
            IpAddr::V6(v6) => format!("{verb} [IPv6:{v6}]\r\n"),
        }
    }
}

/// Whether a server that checks takes this for the name of a host: labels of letters, digits and hyphens (RFC 1123 section
/// 2.1), at least two of them, the last no number: that would be an address.
#[must_use]
pub fn is_domain_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253
        && text.contains('.')
        && text.split('.').all(is_label)
        && !last.bytes().all(|octet| octet.is_ascii_digit())
}

/// Whether it is an address literal (RFC 5321 section 4.1.3): `[192.0.2.1]`, `[IPv6:2001:db8::1]`.
#[must_use]
pub fn is_address_literal(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else { return false };
    match inner.split_at_checked("IPv6:".len()) {
        Some((tag, v6)) if tag.eq_ignore_ascii_case("IPv6:") => v6.parse::<Ipv6Addr>().is_ok(),
        _ => inner.parse::<Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds lines until the reply is complete; how many it took.
    fn read(lines: &[&str]) -> Option<(usize, Option<u16>, String)> {
        let mut reader = ReplyReader::default();
        lines
            .iter()
            .zip(1..)
            .find_map(|(line, count)| reader.line(line.as_bytes()).map(|reply| (count, reply.code, reply.line)))
    }

    #[test]
    fn replies() {
        for (lines, taken, code, shown) in [
            (&["220 mx ESMTP"][..], 1, Some(220), "220 mx ESMTP"),
            (&["220"], 1, Some(220), "220"),
            (&["220-mx", "220-more", "220 ready", "250 no"], 3, Some(220), "220-mx"),
            (&["220-mx", "220"], 2, Some(220), "220-mx"),
            (&["554 5.7.1 no"], 1, Some(554), "554 5.7.1 no"),
            (&["220-mx", "250 ok"], 2, None, "250 ok"),
            (&["220-mx", "noise"], 2, None, "noise"),
            (&["SSH-2.0-OpenSSH_9.2"], 1, None, "SSH-2.0-OpenSSH_9.2"),
            (&["2200 x"], 1, None, "2200 x"),
            (&["22x hello"], 1, None, "22x hello"),
            (&["22x-hello"], 1, None, "22x-hello"),
            (&["220_mx"], 1, None, "220_mx"),
            (&[""], 1, None, ""),
            (&["22"], 1, None, "22"),
            (&["\0\0\0 "], 1, None, "\\0\\0\\0 "),
        ] {
            assert_eq!(read(lines), Some((taken, code, shown.to_owned())), "{lines:?}");
        }
        assert_eq!(read(&["220-a", "220-b"]), None);
    }

    #[test]
    fn greets_by_name_or_by_address() {
        for (host, local, line) in [
            ("mon.example.org", "192.0.2.1", "EHLO mon.example.org\r\n"),
            ("mon.example.org.", "192.0.2.1", "EHLO mon.example.org\r\n"),
            ("a-1.b2", "192.0.2.1", "EHLO a-1.b2\r\n"),
            ("vm", "192.0.2.1", "EHLO [192.0.2.1]\r\n"),
            ("rotad_1", "192.0.2.1", "EHLO [192.0.2.1]\r\n"),
            ("rotad_1.example.org", "192.0.2.1", "EHLO [192.0.2.1]\r\n"),
            ("-a.example.org", "192.0.2.1", "EHLO [192.0.2.1]\r\n"),
            ("a-.example.org", "192.0.2.1", "EHLO [192.0.2.1]\r\n"),
            ("a..org", "192.0.2.1", "EHLO [192.0.2.1]\r\n"),
            ("10.0.0.7", "192.0.2.1", "EHLO [192.0.2.1]\r\n"),
            ("caf\u{e9}.example.org", "192.0.2.1", "EHLO [192.0.2.1]\r\n"),
            ("(none)", "192.0.2.1", "EHLO [192.0.2.1]\r\n"),
            ("", "2001:db8::1", "EHLO [IPv6:2001:db8::1]\r\n"),
            ("vm", "::ffff:192.0.2.1", "EHLO [192.0.2.1]\r\n"),
            ("a.b\r\nMAIL FROM:<x>", "192.0.2.1", "EHLO [192.0.2.1]\r\n"),
        ] {
            assert_eq!(Hello::Ehlo.line(host, local.parse().unwrap()), line);
        }
        assert_eq!(Hello::Lhlo.line("mon.test", "192.0.2.1".parse().unwrap()), "LHLO mon.test\r\n");
        let long = format!("{}.test", "x".repeat(64));
        assert_eq!(Hello::Lhlo.line(&long, "192.0.2.1".parse().unwrap()), "LHLO [192.0.2.1]\r\n");
    }

    #[test]
    fn starttls_is_a_word_of_its_own_in_an_answer_to_ehlo() {
        for (lines, offered) in [
            (&["250-mx", "250-STARTTLS", "250 SIZE"][..], true),
            (&["250-mx", "250 starttls"], true),
            (&["250 mx"], false),
            (&["250-mx STARTTLS", "250 XSTARTTLS"], false),
            (&["220 STARTTLS"], false),
        ] {
            let mut reader = ReplyReader::default();
            let reply = lines.iter().find_map(|line| reader.line(line.as_bytes())).unwrap();
            assert_eq!(reply.starttls, offered, "{lines:?}");
        }
    }

    #[test]
    fn a_server_that_closes_for_lack_of_room_is_busy() {
        let refusal = |code, line: &str| Reply { code, line: line.to_owned(), starttls: false }.refusal("banner");
        assert_eq!(refusal(Some(421), "421 later"), Outcome::Busy("banner \"421 later\"".to_owned()));
        assert_eq!(refusal(Some(554), "554 no"), Outcome::Fail("banner \"554 no\"".to_owned()));
        assert_eq!(refusal(None, "hi"), Outcome::Fail("banner \"hi\"".to_owned()));
    }
}
