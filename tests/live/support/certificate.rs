//! Certificates of scripted nodes, good and bad.

use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rotad::check::tls::Authorities;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// An authority that only a test trusts.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

/// From when to when a certificate is valid, as year, month and day.
pub type Span = [(i32, u8, u8); 2];

/// Long before and long after any test.
pub const ALWAYS: Span = [(2020, 1, 1), (2200, 1, 1)];

impl Authority {
    /// A new one of this name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are good names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// As `tls_ca` files hold it.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// As checks hold it.
    pub fn trusted(&self) -> Authorities {
        Authorities::parse(&self.pem()).expect("rcgen writes PEM")
    }

    /// A certificate for these names or addresses and its key.
    pub fn issue(&self, names: &[&str], [from, until]: Span) -> (Certificate, KeyPair) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names of a test are good");
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }

    /// The TLS of a node with a certificate for these names or addresses.
    pub fn server(&self, names: &[&str], span: Span) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue(names, span);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key fits");
        Arc::new(config)
    }
}
