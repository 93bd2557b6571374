//! TLS of a check: how it begins, who is trusted, and what is wrong with a node's side of it, in words.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{
    AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible, RootCertStore,
    pki_types::{
        CertificateDer, ServerName, UnixTime,
        pem::{self, PemObject},
    },
};

use super::text::printable;
use crate::text::{self, cut};

/// How a check's connection is secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// When it begins.
    pub begin: Begin,
    /// Whose certificate is expected; `None`: one for the node's address.
    pub name: Option<ServerName<'static>>,
    /// Whether a certificate that is not valid fails the check; otherwise it is a warning.
    pub verify: bool,
    /// Who is trusted; `None`: those that this machine trusts.
    pub authorities: Option<Authorities>,
    /// A certificate that ends within so many days is a warning; 0: never.
    pub min_days: u16,
}

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With the connection.
    Implicit,
    /// When the protocol's own command has been answered.
    Starttls,
}

/// The certificates of a `tls_ca` file. Cloning shares them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Authorities(Arc<Vec<CertificateDer<'static>>>);

impl Authorities {
    /// Reads a file in PEM form. Its other sections (keys, revocation lists) are left alone.
    ///
    /// # Errors
    /// Why it cannot be used, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        // Nothing of the file is quoted: it may be another than was meant.
        let found = found.map_err(|error| match error {
            pem::Error::MissingSectionEnd { .. } => "a section in it has no end",
            pem::Error::Base64Decode(_) => "a section in it is not base64",
            _ => "it is not PEM",
        })?;
        if found.is_empty() {
            return Err("there is no \"-----BEGIN CERTIFICATE-----\" in it".to_owned());
        }
        for (certificate, number) in found.iter().zip(1..) {
            let mut one = RootCertStore::empty();
            one.add(certificate.clone())
                .map_err(|error| format!("certificate {number} in it cannot be used: {}", words(&error)))?;
        }
        Ok(Self(Arc::new(found)))
    }

    /// The certificates as rustls takes them.
    #[must_use]
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        // Each was tried when it was read.
        roots.add_parsable_certificates(self.0.iter().cloned());
        roots
    }

    /// Whether somebody else holds these too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// What is wrong, in the operator's words, with rustls's own where they say more.
#[must_use]
pub fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
            format!("the node answers in plain text where TLS is expected ({error})")
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => format!("the node speaks neither TLS 1.2 nor 1.3 ({error})"),
        other => format!("TLS: {}", cut(&text::printable(&other.to_string()))),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => format!("certificate expired on {}", day(*not_after)),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("certificate is not valid before {}", day(*not_before))
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let presented = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") };
            format!("certificate is for {}, not for {}", printable(presented.as_bytes()), expected.to_str())
        }
        CertificateError::UnknownIssuer => "certificate is of an unknown authority".to_owned(),
        other => format!("certificate is not valid: {}", cut(&text::printable(&other.to_string()))),
    }
}

/// `mx.example.org` of `DnsName("mx.example.org")`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

/// The day that a certificate ends, if that is why a verifier refuses it.
#[must_use]
pub fn end(error: &Error) -> Option<String> {
    match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => Some(day(*not_after)),
        _ => None,
    }
}

/// `2026-11-01`, in UTC.
fn day(time: UnixTime) -> String {
    // A certificate may be valid for longer than a calendar has days.
    const LAST: u64 = 253_402_300_799;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs().min(LAST));
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn d3_what_a_certificate_says_is_cut_however_much_it_is() {
        let usages: Vec<_> = (0..4_000).map(|at| format!("KeyPurposeId({at})")).collect();
        let refused = CertificateError::InvalidPurposeContext {
            required: rustls::ExtendedKeyPurpose::ServerAuth,
            presented: (0..4_000).map(|at| rustls::ExtendedKeyPurpose::Other(vec![1, 3, 6, at])).collect(),
        };
        let names = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("mx.example.org").unwrap(),
            presented: usages.clone(),
        };
        for error in [Error::InvalidCertificate(refused), names.into(), Error::General(usages.concat())] {
            let said = words(&error);
            assert!(said.chars().count() < 200 && error.to_string().len() > 10_000, "{said}");
        }
    }

    #[test]
    fn what_is_wrong_in_words() {
        let now = at(0);
        let name = |name: &'static str| ServerName::try_from(name).unwrap();
        for (error, expected) in [
            (
                CertificateError::ExpiredContext { time: now, not_after: at(1_793_491_200) }.into(),
                "certificate expired on 2026-11-01",
            ),
            (
                CertificateError::NotValidYetContext { time: now, not_before: at(u64::MAX) }.into(),
                "certificate is not valid before 9999-12-31",
            ),
            (
                CertificateError::NotValidForNameContext {
                    expected: name("mx.example.org"),
                    presented: vec!["DnsName(\"a\x1b.example\")".to_owned(), "IpAddress(192.0.2.1)".to_owned()],
                }
                .into(),
                "certificate is for a\\u{1b}.example, 192.0.2.1, not for mx.example.org",
            ),
            (
                CertificateError::NotValidForNameContext { expected: name("192.0.2.1"), presented: Vec::new() }.into(),
                "certificate is for no name, not for 192.0.2.1",
            ),
            (CertificateError::UnknownIssuer.into(), "certificate is of an unknown authority"),
            (
                Error::AlertReceived(AlertDescription::ProtocolVersion),
                "the node speaks neither TLS 1.2 nor 1.3 (received fatal alert: ProtocolVersion)",
            ),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "the node answers in plain text where TLS is expected (received corrupt message of type InvalidContentType)",
            ),
        ] {
            assert_eq!(words(&error), expected);
        }
    }

    #[test]
    fn authorities_that_cannot_be_used() {
        for (text, expected) in [
            ("", "there is no \"-----BEGIN CERTIFICATE-----\" in it"),
            ("-----BEGIN CERTIFICATE-----\n", "a section in it has no end"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "a section in it is not base64"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate 1 in it cannot be used: "),
        ] {
            let error = Authorities::parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
