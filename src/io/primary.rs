//! The zones' primary: signed updates and reads over TCP.
//!
//! A zone keeps to one connection, where BIND answers strictly in order; zones spread over `bind.connections`.
//! An exchange that goes wrong closes its connection by RST, which narrows the window in which BIND still applies
//! an abandoned message; the generation record shuts it.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use crate::{
    cluster::Bind,
    dns::OwnerName,
    tsig::Keys,
    update::{Reading, Soa, TsigTrouble, Unusable, Update, Verdict},
};

/// No usable answer came. What became of the request is unknown, unless it was never sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Lost {
    /// Why, in words, with the server's address.
    pub reason: String,
    /// Whether a byte of the request may have left. If not, it was certainly not applied.
    pub sent: bool,
}

/// Why a zone could not be read. Whatever was read of it so far is discarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// BIND does not accept our signature.
    #[error("{0}")]
    Tsig(TsigTrouble),
    /// The answer says nothing of the zone.
    #[error("{0}")]
    Unusable(#[from] Unusable),
    /// No usable answer came.
    #[error("{0}")]
    Lost(#[from] Lost),
}

/// A handle to the primary; its connections are made when needed and end with it.
#[derive(Debug)]
pub struct Primary {}

impl Primary {
    /// Takes the server, the limits and the keys. Connects when first used; needs a tokio runtime.
    #[must_use]
    pub fn new(bind: &Bind, keys: Arc<Keys>) -> Self {
        Self::with_clock(bind, keys, super::clock::wall)
    }

    /// The same with another wall clock for TSIG's time signed.
    #[must_use]
    pub fn with_clock(_bind: &Bind, _keys: Arc<Keys>, _clock: fn() -> SystemTime) -> Self {
        todo!()
    }

    /// Takes other keys from now on; what is in flight keeps the old ones.
    pub fn set_keys(&self, _keys: Arc<Keys>) {
        todo!()
    }

    /// Sends one message. At most `bind.max_in_flight` of them wait for an answer at a time.
    ///
    /// # Errors
    /// [`Lost`]: read the generation record before anything is sent to the zone again, if `sent`.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn update(&self, _update: &Update) -> Result<Verdict, Lost> {
        todo!()
    }

    /// Reads the generation record and all that `owners` hold.
    ///
    /// # Errors
    /// [`ReadError`]: nothing is known of the zone.
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn read(&self, _zone: &OwnerName, _owners: &BTreeSet<OwnerName>) -> Result<Reading, ReadError> {
        todo!()
    }

    /// Reads the SOA alone.
    ///
    /// # Errors
    /// [`ReadError`].
    #[expect(clippy::unused_async, reason = "signature first")]
    pub async fn soa(&self, _zone: &OwnerName) -> Result<Soa, ReadError> {
        todo!()
    }
}
