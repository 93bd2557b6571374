//! The way to BIND: by which keys, and how the file says that it is used.

use std::sync::Arc;

use crate::{
    cluster::{Bind, KeySource},
    dns::OwnerName,
    io::{
        keys::{self, LoadError},
        primary::{Primary, ReadError},
    },
    tsig::Keys,
};

/// The connections to BIND, and what they were made with. The server is that of the start.
#[derive(Debug)]
pub struct Link {
    pub(super) primary: Arc<Primary>,
    bind: Bind,
    keys: Arc<Keys>,
    /// Where the newest keys came from.
    source: (KeySource, bool, u64),
}

impl Link {
    /// Connects when first used.
    #[must_use]
    pub fn new(bind: &Bind, keys: Keys) -> Self {
        let keys = Arc::new(keys);
        let primary = Arc::new(Primary::new(bind, Arc::clone(&keys)));
        Self { primary, bind: bind.clone(), keys, source: (bind.key.clone(), bind.allow_weak_keys, 0) }
    }

    /// Takes what the file in force says; the keys, if they are to be taken anew: their file was edited, or is another.
    /// What is under way keeps its connections.
    pub(super) fn follow(&mut self, bind: &Bind, key_epoch: u64) -> Option<Result<Keys, LoadError>> {
        let used = |bind: &Bind| (bind.timeout, bind.connections, bind.max_in_flight);
        let is_other = used(bind) != used(&self.bind);
        self.bind = Bind { server: self.bind.server, ..bind.clone() };
        if is_other {
            self.primary = Arc::new(Primary::new(&self.bind, Arc::clone(&self.keys)));
        }
        let source = (bind.key.clone(), bind.allow_weak_keys, key_epoch);
        if source == self.source {
            return None;
        }
        self.source = source;
        Some(keys::load(&bind.key, bind.allow_weak_keys))
    }

    /// From the next message on.
    pub(super) fn take_keys(&mut self, keys: Arc<Keys>) {
        self.primary.set_keys(Arc::clone(&keys));
        self.keys = keys;
    }

    /// Asks BIND whether it takes these keys: a connection of its own, one question. `None` if it does, or nobody can say.
    pub(super) fn tries(&self, keys: Arc<Keys>, zone: OwnerName) -> impl Future<Output = Option<String>> + use<> {
        let bind = Bind { connections: 1, ..self.bind.clone() };
        async move {
            match Primary::new(&bind, keys).soa(&zone).await {
                Err(ReadError::Tsig(trouble)) => Some(trouble.to_string()),
                Ok(_) | Err(ReadError::Unusable(_) | ReadError::Lost(_)) => None,
            }
        }
    }
}
