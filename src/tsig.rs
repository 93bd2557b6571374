//! TSIG (RFC 8945): the keys, and what they sign and verify.
//!
//! The record and the bytes that are digested are hickory-proto's; the HMAC is computed here, so that a secret lives
//! in memory that is wiped, and so that SHA-1 and MD5 work where `allow_weak_keys` permits them.

mod clauses;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use hickory_proto::{
    ProtoError,
    op::Message,
    rr::{
        Name,
        rdata::{
            TSIG,
            tsig::{TsigAlgorithm, make_tsig_record, message_tbs, signed_bitmessage_to_buf},
        },
    },
    serialize::binary::{BinEncodable, BinEncoder, NameEncoding},
};
use hmac::{Hmac, KeyInit, Mac, digest::InvalidLength};
use zeroize::Zeroizing;

pub use self::clauses::KeyError;
use crate::dns::OwnerName;

/// How far the clocks of signer and verifier may differ, in seconds (RFC 8945 section 10 recommends this value).
pub const FUDGE: u16 = 300;

/// The algorithms of BIND's `key` clause (RFC 8945 section 6), truncated forms left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// hmac-md5: weak.
    HmacMd5,
    /// hmac-sha1: weak.
    HmacSha1,
    /// hmac-sha224.
    HmacSha224,
    /// hmac-sha256: what `tsig-keygen` makes.
    HmacSha256,
    /// hmac-sha384.
    HmacSha384,
    /// hmac-sha512.
    HmacSha512,
}

impl Algorithm {
    const ALL: [Self; 6] =
        [Self::HmacMd5, Self::HmacSha1, Self::HmacSha224, Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    /// The word of the `key` clause.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacMd5 => "hmac-md5",
            Self::HmacSha1 => "hmac-sha1",
            Self::HmacSha224 => "hmac-sha224",
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    /// Whether it is accepted only with `allow_weak_keys`.
    #[must_use]
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::HmacMd5 | Self::HmacSha1)
    }

    const fn on_the_wire(self) -> TsigAlgorithm {
        match self {
            Self::HmacMd5 => TsigAlgorithm::HmacMd5,
            Self::HmacSha1 => TsigAlgorithm::HmacSha1,
            Self::HmacSha224 => TsigAlgorithm::HmacSha224,
            Self::HmacSha256 => TsigAlgorithm::HmacSha256,
            Self::HmacSha384 => TsigAlgorithm::HmacSha384,
            Self::HmacSha512 => TsigAlgorithm::HmacSha512,
        }
    }
}

/// Which key, in words for people: never the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLabel {
    /// The key's name.
    pub name: OwnerName,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Where it was read, such as `/etc/rotad/rotad.key:1`.
    pub source: Arc<str>,
}

impl fmt::Display for KeyLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key \"{}\" ({}, from {})", self.name, self.algorithm.as_str(), self.source)
    }
}

/// One key.
#[derive(PartialEq, Eq)]
pub struct Key {
    label: KeyLabel,
    name: Name,
    secret: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("label", &self.label).field("secret", &"<secret>").finish_non_exhaustive()
    }
}

/// A signed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The message as it goes out, without the length that TCP puts before it.
    pub bytes: Vec<u8>,
    /// Its signature; the answer's signature covers it.
    pub mac: Vec<u8>,
    /// Time signed: seconds since 1970-01-01 UTC.
    pub time: u64,
}

/// Why an answer's signature does not count.
#[derive(Debug, thiserror::Error)]
pub enum Unverified {
    /// The signature's record is missing or garbled.
    #[error("no TSIG signature can be read")]
    Unreadable(#[source] ProtoError),
    /// Another key signed.
    #[error("signed with another key or algorithm")]
    OtherKey,
    /// The signature does not fit the message.
    #[error("the signature does not fit")]
    WrongMac,
}

impl Key {
    /// Name, algorithm and where it came from.
    #[must_use]
    pub const fn label(&self) -> &KeyLabel {
        &self.label
    }

    /// Signs a request (RFC 8945 section 5.1), which goes out with this id in the place of its own.
    ///
    /// # Errors
    /// When the message does not fit in 64 KiB.
    pub fn sign(&self, message: &Message, id: u16, time: u64) -> Result<Signed, ProtoError> {
        let algorithm = self.label.algorithm.on_the_wire();
        let unsigned = TSIG::new(algorithm, time, FUDGE, Vec::new(), id, None, Vec::new());
        let encoded = Encoded::new(message, id)?;
        let mac = self.mac(&message_tbs(&encoded, &unsigned, &self.name)?)?;
        let signature = make_tsig_record(self.name.clone(), unsigned.set_mac(mac.clone()));
        let Encoded(mut bytes) = encoded;
        bytes.extend(signature.to_bytes()?);
        if bytes.len() > usize::from(u16::MAX) {
            return Err(ProtoError::from("the message does not fit in 64 KiB"));
        }
        // The signature is one more additional record (RFC 1035 section 4.1.1, ARCOUNT).
        if let Some([high, low]) = bytes.get_mut(10..12) {
            [*high, *low] = u16::from_be_bytes([*high, *low]).saturating_add(1).to_be_bytes();
        }
        Ok(Signed { bytes, mac, time })
    }

    /// Verifies an answer to a request that this key signed (RFC 8945 section 5.3); the caller judges its time.
    ///
    /// `answer` must be bytes that [`Message::from_vec`] accepts: hickory's walk over the message counts on it.
    ///
    /// # Errors
    /// [`Unverified`]: the answer must change no belief.
    pub fn verify(&self, answer: &[u8], request_mac: &[u8]) -> Result<(), Unverified> {
        let (digested, signature) =
            signed_bitmessage_to_buf(answer, Some(request_mac), true).map_err(Unverified::Unreadable)?;
        let (theirs, ours) = (&signature.data.algorithm, &self.label.algorithm.on_the_wire());
        // hickory compares algorithm names with case; BIND writes MD5's in lower case.
        let is_ours = theirs == ours || theirs.to_name().eq_ignore_root(&ours.to_name());
        if signature.name != self.name || !is_ours {
            return Err(Unverified::OtherKey);
        }
        if self.fits(&digested, &signature.data.mac) { Ok(()) } else { Err(Unverified::WrongMac) }
    }
}

/// A message as it goes out, but for its signature: encoded once, though it is digested and sent.
struct Encoded(Vec<u8>);

impl Encoded {
    /// Without name compression: to look for a name's earlier places takes longer than to send it again.
    fn new(message: &Message, id: u16) -> Result<Self, ProtoError> {
        let mut bytes = Vec::with_capacity(2048);
        let mut encoder = BinEncoder::new(&mut bytes);
        encoder.set_name_encoding(NameEncoding::Uncompressed);
        message.emit(&mut encoder)?;
        if let Some(place) = bytes.first_chunk_mut() {
            *place = id.to_be_bytes();
        }
        Ok(Self(bytes))
    }
}

impl BinEncodable for Encoded {
    fn emit(&self, encoder: &mut BinEncoder<'_>) -> Result<(), ProtoError> {
        encoder.emit_vec(&self.0)
    }
}

/// Feeds `$data` to the key's HMAC and hands it on.
macro_rules! with_hmac {
    ($key:expr, $data:expr, |$hmac:ident| $then:expr) => {
        match $key.label.algorithm {
            Algorithm::HmacMd5 => fed::<Hmac<md5::Md5>>(&$key.secret, $data).map(|$hmac| $then),
            Algorithm::HmacSha1 => fed::<Hmac<sha1::Sha1>>(&$key.secret, $data).map(|$hmac| $then),
            Algorithm::HmacSha224 => fed::<Hmac<sha2::Sha224>>(&$key.secret, $data).map(|$hmac| $then),
            Algorithm::HmacSha256 => fed::<Hmac<sha2::Sha256>>(&$key.secret, $data).map(|$hmac| $then),
            Algorithm::HmacSha384 => fed::<Hmac<sha2::Sha384>>(&$key.secret, $data).map(|$hmac| $then),
            Algorithm::HmacSha512 => fed::<Hmac<sha2::Sha512>>(&$key.secret, $data).map(|$hmac| $then),
        }
    };
}

/// HMAC takes secrets of any length (RFC 2104 section 2): the error is never seen.
fn fed<M: Mac + KeyInit>(secret: &[u8], data: &[u8]) -> Result<M, InvalidLength> {
    Ok(<M as KeyInit>::new_from_slice(secret)?.chain_update(data))
}

impl Key {
    fn mac(&self, data: &[u8]) -> Result<Vec<u8>, ProtoError> {
        with_hmac!(self, data, |hmac| hmac.finalize().into_bytes().to_vec())
            .map_err(|error| ProtoError::from(error.to_string()))
    }

    /// Compares in constant time.
    fn fits(&self, data: &[u8], mac: &[u8]) -> bool {
        with_hmac!(self, data, |hmac| hmac.verify_slice(mac).is_ok()).unwrap_or(false)
    }
}

/// The keys of one file, in the order of trying: two of them let a key be rotated without a gap. Never empty.
#[derive(Debug, PartialEq, Eq)]
pub struct Keys(Vec<Arc<Key>>);

impl Keys {
    /// Reads BIND `key` clauses, as `tsig-keygen` prints them. `source` says where the text was read.
    ///
    /// # Errors
    /// [`KeyError`] with the line and what to write instead; no text of the file beyond names is in it.
    pub fn parse(text: &str, source: &str, allow_weak: bool) -> Result<Self, KeyError> {
        clauses::parse(text, source, allow_weak).map(|keys| Self(keys.into_iter().map(Arc::new).collect()))
    }

    /// One key alone.
    #[must_use]
    pub fn one(key: &Arc<Key>) -> Self {
        Self(vec![Arc::clone(key)])
    }

    /// The keys, in the order of trying.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Key>> {
        self.0.iter()
    }
}

/// Which keys, in words for people: never a secret.
impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            key.label().fmt(f)?;
        }
        Ok(())
    }
}

impl<'a> IntoIterator for &'a Keys {
    type Item = &'a Arc<Key>;
    type IntoIter = std::slice::Iter<'a, Arc<Key>>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
