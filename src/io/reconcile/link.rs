//! The way to BIND: by which keys, and how the file says that it is used.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::{
    cluster::{Bind, KeySource},
    dns::OwnerName,
    io::{
        keys,
        primary::{Primary, ReadError},
    },
    tsig::Keys,
};

/// Where keys come from, and the count of the edits of their file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    key: KeySource,
    allow_weak: bool,
    epoch: u64,
}

impl Source {
    /// Reads them on a thread of its own, for their file system may hang.
    ///
    /// # Errors
    /// In words.
    pub(super) async fn load(self) -> Result<Keys, String> {
        let loaded = spawn_blocking(move || keys::load(&self.key, self.allow_weak)).await;
        loaded.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

/// The connections to BIND, and what they were made with. The server is that of the start.
#[derive(Debug)]
pub struct Link {
    pub(super) primary: Arc<Primary>,
    bind: Bind,
    keys: Arc<Keys>,
    /// Where the newest keys come from.
    source: Source,
    /// Whether they are being read.
    is_loading: bool,
    /// Why they cannot be read.
    unread: Option<String>,
    /// Why BIND does not take them.
    refused: Option<String>,
}

impl Link {
    /// Connects when first used.
    #[must_use]
    pub fn new(bind: &Bind, keys: Keys) -> Self {
        let keys = Arc::new(keys);
        let primary = Arc::new(Primary::new(bind, Arc::clone(&keys)));
        let source = Source { key: bind.key.clone(), allow_weak: bind.allow_weak_keys, epoch: 0 };
        Self { primary, bind: bind.clone(), keys, source, is_loading: false, unread: None, refused: None }
    }

    /// Takes what the file in force says; where the keys are to be read, if they are to be taken anew: their file was
    /// edited, or is another. What is under way keeps its connections.
    pub(super) fn follow(&mut self, bind: &Bind, key_epoch: u64) -> Option<Source> {
        let used = |bind: &Bind| (bind.timeout, bind.connections, bind.max_in_flight);
        let is_other = used(bind) != used(&self.bind);
        self.bind = Bind { server: self.bind.server, ..bind.clone() };
        if is_other {
            self.primary = Arc::new(Primary::new(&self.bind, Arc::clone(&self.keys)));
        }
        let source = Source { key: bind.key.clone(), allow_weak: bind.allow_weak_keys, epoch: key_epoch };
        if source == self.source {
            return None;
        }
        self.source.clone_from(&source);
        self.is_loading = true;
        Some(source)
    }

    /// The keys are to be read once more, if they could not be.
    pub(super) fn again(&mut self) -> Option<Source> {
        self.unread.as_ref()?;
        self.is_loading = true;
        Some(self.source.clone())
    }

    /// Takes what became of reading keys; the keys, if they are those that are wanted. Whether an error is news.
    pub(super) fn loaded(&mut self, source: &Source, loaded: Result<Keys, String>) -> Option<Result<Keys, bool>> {
        if *source != self.source {
            return None;
        }
        self.is_loading = false;
        match loaded {
            Ok(keys) => {
                self.unread = None;
                Some(Ok(keys))
            }
            Err(words) => {
                let is_news = self.unread.as_ref() != Some(&words);
                self.unread = Some(words);
                self.refused = None;
                Some(Err(is_news))
            }
        }
    }

    /// Whether the newest keys are being read.
    pub(super) const fn is_loading(&self) -> bool {
        self.is_loading
    }

    /// Why the newest keys cannot be read.
    pub(super) fn unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// Why the newest keys are not in force, if they are not.
    pub(super) fn trouble(&self) -> Option<String> {
        let words = self.unread.as_ref().or(self.refused.as_ref())?;
        Some(format!("{words}; the keys before stay in force"))
    }

    /// BIND does not take the newest keys.
    pub(super) fn refuse(&mut self, why: String) {
        self.refused = Some(why);
    }

    /// From the next message on.
    pub(super) fn take_keys(&mut self, keys: Arc<Keys>) {
        self.refused = None;
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
