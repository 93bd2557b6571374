//! The question and the verdict of an HTTP check (RFC 9112).

use std::net::IpAddr;

pub use self::answer::{Answer, Verdict};
use super::Outcome;

mod answer;

/// An HTTP check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Port of the node.
    pub port: u16,
    /// The request's method.
    pub method: Method,
    /// Path and query, starting with `/`.
    pub path: String,
    /// The Host header; `None`: the node's address.
    pub host: Option<String>,
    /// Accepted status codes; never empty.
    pub status: Vec<u16>,
    /// Text that the first 8 KiB of the body must contain.
    pub body: Option<String>,
    /// A header that the answer must have.
    pub header: Option<Header>,
}

/// The methods that change nothing (RFC 9110 section 9.2.1) and have an answer of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The page.
    Get,
    /// Its head alone.
    Head,
    /// What could be asked.
    Options,
}

impl Method {
    /// The word of the file and of the request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
        }
    }
}

/// A header that an answer must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name, in lower case.
    pub name: String,
    /// What its value must contain; empty: it must be there.
    pub contains: String,
}

impl Http {
    /// The Host header: as the file says, else the node's address (RFC 3986 section 3.2.2).
    #[must_use]
    pub fn host_header(&self, address: IpAddr) -> String {
        match (&self.host, address) {
            (Some(host), _) => host.clone(),
            (None, IpAddr::V4(v4)) => v4.to_string(),
            (None, IpAddr::V6(v6)) => format!("[{v6}]"),
        }
    }

    /// What a status says of the node if it is not accepted. Redirects are answers like others: none is followed.
    #[must_use]
    pub fn refuses_status(&self, status: u16) -> Option<Outcome> {
        if self.status.contains(&status) {
            return None;
        }
        let words = format!("status {status}");
        Some(if status == 503 { Outcome::Busy(words) } else { Outcome::Fail(words) })
    }

    /// Why the answer's headers are not accepted, if they are not; `values` are those of the header in question.
    #[must_use]
    pub fn refuses_header<'a>(&self, values: impl IntoIterator<Item = &'a [u8]>) -> Option<String> {
        let Header { name, contains } = self.header.as_ref()?;
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Some(format!("no header {name}"));
        }
        (!values.any(|value| is_in(contains, value))).then(|| format!("header {name} does not contain {contains:?}"))
    }

    /// Why a body is not accepted, if it is not; `body` is its first 8 KiB.
    #[must_use]
    pub fn refuses_body(&self, body: &[u8]) -> Option<String> {
        let wanted = self.body.as_deref()?;
        (!is_in(wanted, body)).then(|| format!("the body's first 8 KiB do not contain {wanted:?}"))
    }
}

fn is_in(wanted: &str, text: &[u8]) -> bool {
    wanted.is_empty() || text.windows(wanted.len()).any(|window| window == wanted.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: Option<&str>, status: &[u16], body: Option<&str>) -> Http {
        Http {
            port: 80,
            method: Method::Get,
            path: "/".to_owned(),
            host: host.map(str::to_owned),
            status: status.to_vec(),
            body: body.map(str::to_owned),
            header: None,
        }
    }

    #[test]
    fn hosts() {
        for (host, address, header) in [
            (Some("webmail.example.org"), "192.0.2.1", "webmail.example.org"),
            (None, "192.0.2.1", "192.0.2.1"),
            (None, "2001:db8::1", "[2001:db8::1]"),
        ] {
            assert_eq!(check(host, &[200], None).host_header(address.parse().unwrap()), header);
        }
    }

    #[test]
    fn verdicts() {
        let http = check(None, &[200, 302], Some("login"));
        assert_eq!(http.refuses_status(200), None);
        assert_eq!(http.refuses_status(302), None);
        assert_eq!(http.refuses_status(500), Some(Outcome::Fail("status 500".to_owned())));
        assert_eq!(http.refuses_status(503), Some(Outcome::Busy("status 503".to_owned())));
        assert_eq!(check(None, &[503], None).refuses_status(503), None);
        for (body, refused) in [("<a>login</a>", false), ("login", false), ("log", true), ("", true), ("LOGIN", true)] {
            assert_eq!(http.refuses_body(body.as_bytes()).is_some(), refused, "{body}");
        }
        assert_eq!(check(None, &[200], None).refuses_body(b""), None);
        assert_eq!(check(None, &[200], Some("")).refuses_body(b""), None);
    }

    #[test]
    fn headers() {
        for (contains, values, refused) in [
            ("", &[][..], Some("no header x-ready")),
            ("", &["anything"], None),
            ("yes", &["no", "oh yes"], None),
            ("yes", &["no", "YES"], Some("header x-ready does not contain \"yes\"")),
        ] {
            let header = Some(Header { name: "x-ready".to_owned(), contains: contains.to_owned() });
            let http = Http { header, ..check(None, &[200], None) };
            assert_eq!(http.refuses_header(values.iter().map(|value| value.as_bytes())).as_deref(), refused);
        }
        assert_eq!(check(None, &[200], None).refuses_header([]), None);
    }
}
