//! The question and the verdict of an HTTP check (RFC 9112).

use std::net::IpAddr;

use super::Http;

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

    /// Why a status is not accepted, if it is not. Redirects are answers like others: none is followed.
    #[must_use]
    pub fn refuses_status(&self, status: u16) -> Option<String> {
        (!self.status.contains(&status)).then(|| format!("status {status}"))
    }

    /// Why a body is not accepted, if it is not; `body` is its first 8 KiB.
    #[must_use]
    pub fn refuses_body(&self, body: &[u8]) -> Option<String> {
        let wanted = self.body.as_deref()?;
        let found = wanted.is_empty() || body.windows(wanted.len()).any(|window| window == wanted.as_bytes());
        (!found).then(|| format!("the body's first 8 KiB do not contain {wanted:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: Option<&str>, status: &[u16], body: Option<&str>) -> Http {
        Http {
            port: 80,
            path: "/".to_owned(),
            host: host.map(str::to_owned),
            status: status.to_vec(),
            body: body.map(str::to_owned),
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
        assert_eq!(http.refuses_status(503), Some("status 503".to_owned()));
        for (body, refused) in [("<a>login</a>", false), ("login", false), ("log", true), ("", true), ("LOGIN", true)] {
            assert_eq!(http.refuses_body(body.as_bytes()).is_some(), refused, "{body}");
        }
        assert_eq!(check(None, &[200], None).refuses_body(b""), None);
        assert_eq!(check(None, &[200], Some("")).refuses_body(b""), None);
    }
}
