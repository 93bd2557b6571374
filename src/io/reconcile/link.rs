//! The way to BIND: by which keys, and how the file says that it is used.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::spawn_blocking, time::sleep};

use crate::{
    cluster::{Bind, KeySource},
    dns::OwnerName,
    io::{
        keys,
        primary::{Primary, ReadError},
    },
    tsig::Keys,
};

/// How often keys are tried that nobody has judged, for BIND is away: it may have been restarted for them.
const TRY_UNTRIED_EVERY: Duration = Duration::from_secs(1);

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

/// Says why keys are untried for as long as they are being tried.
struct Untried(watch::Sender<Option<String>>);

impl Drop for Untried {
    fn drop(&mut self) {
        self.0.send_replace(None);
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
    /// Why nobody can say as yet whether it does.
    untried: watch::Sender<Option<String>>,
}

impl Link {
    /// Connects when first used.
    #[must_use]
    pub fn new(bind: &Bind, keys: Keys) -> Self {
        let keys = Arc::new(keys);
        let primary = Arc::new(Primary::new(bind, Arc::clone(&keys)));
        let source = Source { key: bind.key.clone(), allow_weak: bind.allow_weak_keys, epoch: 0 };
        Self {
            primary,
            bind: bind.clone(),
            keys,
            source,
            is_loading: false,
            unread: None,
            refused: None,
            untried: watch::Sender::default(),
        }
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
                // What was said of others is no word on these.
                (self.unread, self.refused) = (None, None);
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
        let untried = || {
            let why = self.untried.borrow();
            why.as_ref().map(|why| format!("the keys that the file gives now are not tried as yet: {why}"))
        };
        let words = self.unread.clone().or_else(|| self.refused.clone()).or_else(untried)?;
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

    /// Asks BIND whether it takes these keys, on a connection of its own: `None` if it does. While no answer comes it is
    /// asked again and again, for the keys before may well be those that it takes.
    pub(super) fn tries(&self, keys: Arc<Keys>, zone: OwnerName) -> impl Future<Output = Option<String>> + use<> {
        let bind = Bind { connections: 1, ..self.bind.clone() };
        let untried = Untried(self.untried.clone());
        async move {
            let primary = Primary::new(&bind, keys);
            // It may be that zone alone that gives no answer. Of a name that it does not serve BIND signs that it does not.
            for name in [zone, OwnerName::root()].iter().cycle() {
                match primary.soa(name).await {
                    Err(ReadError::Tsig(trouble)) => return Some(trouble.to_string()),
                    Err(ReadError::Lost(lost)) => untried.0.send_replace(Some(lost.reason)),
                    Ok(_) | Err(ReadError::Unusable(_)) => break,
                };
                sleep(TRY_UNTRIED_EVERY).await;
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    fn keys() -> Keys {
        Keys::parse("key k { algorithm hmac-sha256; secret c2VjcmV0; };", "test.key", false).unwrap()
    }

    /// Refuses the key where the root is asked for, and says nothing of any zone.
    async fn refuse(mut stream: TcpStream) {
        while let Ok(length) = stream.read_u16().await {
            let mut message = vec![0; length.into()];
            stream.read_exact(&mut message).await.unwrap();
            if message[12] == 0 {
                // QR, NOTAUTH; BADKEY in the last four octets but two: RFC 8945 section 4.2.
                let error = message.len() - 3;
                (message[2], message[3], message[error]) = (message[2] | 0x80, 9, 17);
                stream.write_all(&[&length.to_be_bytes(), message.as_slice()].concat()).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn keys_are_tried_although_a_zone_gives_no_answer() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let bind = Bind {
            server: listener.local_addr().unwrap(),
            key: KeySource::File("test.key".into()),
            timeout: Duration::from_millis(300),
            connections: 1,
            max_in_flight: 1,
            allow_weak_keys: false,
        };
        let mut link = Link::new(&bind, keys());
        let tries = link.tries(Arc::new(keys()), OwnerName::from_presentation("hangs.org"));
        let why = tokio::spawn(tries);
        let (first, _) = listener.accept().await.unwrap();
        tokio::spawn(refuse(first));
        link.untried.subscribe().wait_for(Option::is_some).await.unwrap();
        let said = link.trouble().unwrap();
        assert!(
            said.contains("are not tried as yet: named at ") && said.ends_with("the keys before stay in force"),
            "{said}"
        );
        let (second, _) = listener.accept().await.unwrap();
        tokio::spawn(refuse(second));
        let why = why.await.unwrap().unwrap();
        assert!(why.contains("(BADKEY)") && link.trouble().is_none(), "{why}");
        link.refuse(why);
        assert!(link.trouble().is_some_and(|said| said.contains("(BADKEY)")));
    }
}
