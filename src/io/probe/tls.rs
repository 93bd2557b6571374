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
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{error::Elapsed, timeout},
};
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
#[derive(Debug)]
pub struct Trusts {
    places: Mutex<HashMap<Key, Place>>,
    make: fn(&Tls) -> Result<Trust, Error>,
}

impl Default for Trusts {
    fn default() -> Self {
        Self { places: Mutex::default(), make: Trust::new }
    }
}

/// Who is trusted, and whether that matters.
type Key = (Option<Authorities>, bool);

/// Where a way of trusting is, or will be.
type Place = Arc<watch::Sender<Making>>;

/// How far a way of trusting is.
#[derive(Debug, Default)]
enum Making {
    /// Nobody has wanted it.
    #[default]
    Unwanted,
    /// A thread reads the authorities; another one would hang where this one does.
    UnderWay,
    Made(Trust),
    /// Whoever comes next has it made anew.
    Failed(String),
}

/// Whom a handshake trusts. Cloning shares all of it.
#[derive(Debug, Clone)]
struct Trust {
    config: Arc<ClientConfig>,
    /// Judges the certificates after a handshake; `None`: there is nobody to trust, and nothing is to be verified.
    judge: Option<Arc<dyn ServerCertVerifier>>,
}

impl Trusts {
    /// Prepares the handshake of one probe.
    pub(super) async fn handshake(&self, tls: &Tls, address: IpAddr, patience: Duration) -> Talk<Handshake> {
        let name = tls.name.clone().unwrap_or_else(|| ServerName::from(address));
        let trust = self.trust(tls, patience).await.map_err(|error| {
            Outcome::Unknown(format!("no authorities to trust here: {error}; install ca-certificates or set tls_ca"))
        })?;
        Ok(Handshake { trust, name, begin: tls.begin, verify: tls.verify, min_days: tls.min_days })
    }

    /// The machine's authorities are hundreds of files, read while other probes go on. Their file system may hang: one
    /// thread then hangs with it, however many wait.
    async fn trust(&self, tls: &Tls, patience: Duration) -> Result<Trust, String> {
        let place = self.place(tls);
        let mut progress = place.subscribe();
        let is_to_be_made = place.send_if_modified(|making| {
            let is_wanted = matches!(making, Making::Unwanted | Making::Failed(_));
            if is_wanted {
                *making = Making::UnderWay;
            }
            is_wanted
        });
        if is_to_be_made {
            let (tls, make) = (tls.clone(), self.make);
            // Whoever waits for it may leave.
            tokio::spawn(async move {
                let ended = spawn_blocking(move || make(&tls)).await;
                let trust = ended.map_err(|error| error.to_string());
                let trust = trust.and_then(|trust| trust.map_err(|error| error.to_string()));
                place.send_replace(trust.map_or_else(Making::Failed, Making::Made));
            });
        }
        let is_over = |making: &Making| matches!(making, Making::Made(_) | Making::Failed(_));
        match timeout(patience, progress.wait_for(is_over)).await {
            Ok(Ok(making)) => match &*making {
                Making::Made(trust) => Ok(trust.clone()),
                Making::Failed(error) => Err(error.clone()),
                Making::Unwanted | Making::UnderWay => Err("they are being read".to_owned()),
            },
            Ok(Err(_)) => Err("rotad stops".to_owned()),
            Err(Elapsed { .. }) => {
                let patience = humantime::format_duration(patience);
                Err(format!("they were not read in {patience} (does the file system of /etc/ssl hang?)"))
            }
        }
    }

    /// Where the trust of a check is, or will be.
    fn place(&self, tls: &Tls) -> Place {
        // A panic elsewhere leaves the map whole.
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
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

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, AtomicUsize, Ordering},
        thread,
    };

    use super::*;

    const SOON: Duration = Duration::from_millis(50);

    fn tls() -> Tls {
        Tls { begin: Begin::Implicit, name: None, verify: true, authorities: None, min_days: 0 }
    }

    async fn ask(trusts: &Trusts) -> Talk<Handshake> {
        trusts.handshake(&tls(), IpAddr::from([127, 0, 0, 1]), SOON).await
    }

    #[tokio::test]
    async fn f6_authorities_that_hang_end_no_probe_late_and_hold_one_thread() {
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        static HANGS: AtomicBool = AtomicBool::new(true);
        let trusts = Trusts {
            make: |tls| {
                BEGUN.fetch_add(1, Ordering::Relaxed);
                while HANGS.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                }
                Trust::new(&Tls { verify: false, ..tls.clone() })
            },
            ..Trusts::default()
        };
        for _ in 0..5 {
            let refused = ask(&trusts).await.unwrap_err();
            assert!(matches!(refused, Outcome::Unknown(_)), "{refused:?}");
            assert!(refused.reason().contains("they were not read in 50ms"), "{refused:?}");
        }
        assert_eq!(BEGUN.load(Ordering::Relaxed), 1, "threads that hang");
        HANGS.store(false, Ordering::Relaxed);
        // It goes on by itself, and is not begun anew.
        while ask(&trusts).await.is_err() {}
        assert_eq!(BEGUN.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn authorities_that_cannot_be_read_are_read_again_by_whoever_comes_next() {
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let trusts = Trusts {
            make: |tls| match BEGUN.fetch_add(1, Ordering::Relaxed) {
                0 => Err(Error::General("there are none".to_owned())),
                _ => Trust::new(&Tls { verify: false, ..tls.clone() }),
            },
            ..Trusts::default()
        };
        let refused = ask(&trusts).await.unwrap_err();
        assert!(refused.reason().contains("there are none; install ca-certificates or set tls_ca"), "{refused:?}");
        while ask(&trusts).await.is_err() {}
        assert_eq!(BEGUN.load(Ordering::Relaxed), 2);
    }
}
