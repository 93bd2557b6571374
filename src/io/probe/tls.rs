//! TLS handshakes of probes. What is shared by many probes is made once: a configuration for each way of trusting.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use rustls_platform_verifier::Verifier;
use tokio::{sync::OnceCell, task::spawn_blocking};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Talk, peer::Wire};
use crate::{
    check::{
        Outcome, Tls, Warning,
        tls::{Authorities, Begin, end, words},
    },
    io::clock,
};

/// The ways of trusting that the checks have, each made when it is first used.
#[derive(Debug, Default)]
pub struct Trusts(Mutex<HashMap<Key, Arc<OnceCell<Trust>>>>);

/// Who is trusted, and whether that matters.
type Key = (Option<Authorities>, bool);

/// Whom a handshake trusts. Cloning shares all of it.
#[derive(Debug, Clone)]
struct Trust {
    config: Arc<ClientConfig>,
    /// Judges the certificates after a handshake; `None`: there is nobody to trust, and nothing is to be verified.
    judge: Option<Arc<dyn ServerCertVerifier>>,
}

impl Trusts {
    /// Prepares the handshake of one probe.
    pub(super) async fn handshake(&self, tls: &Tls, address: IpAddr) -> Talk<Handshake> {
        let name = tls.name.clone().unwrap_or_else(|| ServerName::from(address));
        let trust = self.trust(tls).await?;
        Ok(Handshake { trust, name, begin: tls.begin, verify: tls.verify, min_days: tls.min_days })
    }

    /// The machine's authorities are hundreds of files, read while other probes go on.
    async fn trust(&self, tls: &Tls) -> Talk<Trust> {
        let place = self.place(tls);
        let made = place.get_or_try_init(|| async {
            let tls = tls.clone();
            spawn_blocking(move || Trust::new(&tls))
                .await
                .unwrap_or_else(|error| Err(Error::General(error.to_string())))
        });
        made.await.cloned().map_err(|error| {
            Outcome::Unknown(format!("no authorities to trust here: {error}; install ca-certificates or set tls_ca"))
        })
    }

    /// Where the trust of a check is, or will be.
    fn place(&self, tls: &Tls) -> Arc<OnceCell<Trust>> {
        // A panic elsewhere leaves the map whole.
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tls.authorities.clone(), tls.verify);
        if let Some(place) = places.get(&key) {
            return Arc::clone(place);
        }
        // Those that an edit of the file has left behind.
        places.retain(|(authorities, _), _| authorities.as_ref().is_none_or(Authorities::is_shared));
        Arc::clone(places.entry(key).or_default())
    }
}

impl Trust {
    fn new(tls: &Tls) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let judge: Result<Arc<dyn ServerCertVerifier>, Error> = match &tls.authorities {
            Some(authorities) => webpki(authorities.roots(), &provider),
            None => Verifier::new(Arc::clone(&provider)).map(|verifier| Arc::new(verifier) as _),
        };
        let (judge, verifier): (_, Arc<dyn ServerCertVerifier>) = if tls.verify {
            let judge = judge?;
            (Some(Arc::clone(&judge)), judge)
        } else {
            (judge.ok(), Arc::new(Anybody(Arc::clone(&provider))))
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            // Either a real verifier, or the node's certificate is judged after the handshake, for the warning.
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        // Each probe shall see the certificate and the whole handshake.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), judge })
    }
}

fn webpki(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    verifier.map(|verifier| verifier as _).map_err(|error| Error::General(error.to_string()))
}

/// One probe's handshake.
#[derive(Debug)]
pub(super) struct Handshake {
    trust: Trust,
    name: ServerName<'static>,
    pub(super) begin: Begin,
    verify: bool,
    min_days: u16,
}

impl Handshake {
    /// Shakes hands over a connection: the secured one, and what deserves a look.
    pub(super) async fn run(
        self,
        wire: Box<dyn Wire>,
    ) -> Result<(TlsStream<Box<dyn Wire>>, Option<Warning>), io::Error> {
        let connector = TlsConnector::from(Arc::clone(&self.trust.config));
        let stream = connector.connect(self.name.clone(), wire).await?;
        let warning = self.look_at(stream.get_ref().1.peer_certificates().unwrap_or_default());
        Ok((stream, warning))
    }

    fn look_at(&self, certificates: &[CertificateDer<'_>]) -> Option<Warning> {
        let (leaf, chain) = certificates.split_first()?;
        let judge = self.trust.judge.as_ref()?;
        let now = clock::wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let verdict_in = |days: u16| {
            let then = UnixTime::since_unix_epoch(now + Duration::from_hours(24) * u32::from(days));
            judge.verify_server_cert(leaf, chain, &self.name, &[], then).err()
        };
        if !self.verify
            && let Some(error) = verdict_in(0)
        {
            return Some(Warning::Certificate(format!("{} (tls_verify is off)", words(&error))));
        }
        // What a verifier will say then knows the end of every certificate of the chain, not of the node's own alone.
        let error = (self.min_days > 0).then(|| verdict_in(self.min_days)).flatten()?;
        end(&error).map(|day| Warning::Certificate(format!("certificate expires on {day}")))
    }
}

/// What a failed handshake says of the node.
pub(super) fn refusal(error: &io::Error) -> Outcome {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return Outcome::Fail(words(error));
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Outcome::Fail("closed in the TLS handshake".to_owned()),
        _ => super::error::from_network(error),
    }
}

/// Accepts every certificate, so that the handshake goes on and can be judged afterwards. That the node holds the
/// certificate's key is still proved.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
