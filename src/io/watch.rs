//! Watches cluster.yaml, its domain lists and the key file, and publishes what is in force.
//!
//! The directories are watched, not the files: editors rename over a file and Kubernetes swaps a symbolic link beside
//! it, so any event there makes us look. What decides is the content's hash. A slow poll beside it finds what inotify
//! cannot see (a directory swapped as a whole, a network file system, no watches left).

mod key;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout_at},
};

use self::key::KeyLook;
use super::{
    clock,
    files::{self, Input, Inputs, LoadError, Loaded},
    journal::emit,
};
use crate::{
    cluster::Cluster,
    event::{Event, Kind},
    text,
};

/// What is in force.
#[derive(Debug, Clone)]
pub struct Current {
    /// The last good file.
    pub cluster: Arc<Cluster>,
    /// A hash of its content.
    pub hash: String,
    /// When it was read.
    pub loaded_at: SystemTime,
    /// What is wrong with a later edit, if it was refused.
    pub error: Option<String>,
    /// Grows whenever the content of the key file has changed: who signs reads it again.
    pub key_epoch: u64,
    /// Grows with each SIGHUP that found a good file: the zones are read anew.
    pub signals: u64,
    /// The keys of the file whose new values wait for a start.
    pub waits: Vec<&'static str>,
}

impl Current {
    /// What the file says that only a start takes, and how; `None`: nothing.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        (!self.waits.is_empty()).then(|| {
            format!("{} changed, which is taken only at a start: systemctl restart rotad", self.waits.join(", "))
        })
    }

    /// What is in force after the first load.
    #[must_use]
    pub fn new(loaded: &Loaded) -> Self {
        let cluster = Arc::clone(&loaded.cluster);
        Self {
            cluster,
            hash: loaded.hash.clone(),
            loaded_at: clock::wall(),
            error: None,
            key_epoch: 0,
            signals: 0,
            waits: Vec::new(),
        }
    }
}

/// What somebody who asked for a look is told: the hash of the file as it was published, or everything that is wrong with
/// it.
pub type Looked = Result<String, String>;

/// Asks for a look at once.
#[derive(Debug)]
pub enum Look {
    /// By a signal, which wants no answer.
    Signal,
    /// By `rotad reload`.
    Reload(oneshot::Sender<Looked>),
    /// Before an edit is accepted: that the file is as it was is not worth a line.
    Accept(oneshot::Sender<Looked>),
}

impl Look {
    fn answer(self, looked: &Looked) {
        match self {
            Self::Signal => {}
            // Whoever asked may have left.
            Self::Reload(reply) | Self::Accept(reply) => drop(reply.send(looked.clone())),
        }
    }
}

/// How eagerly files are looked at.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// An edit is over when nothing has happened for this long.
    quiet: Duration,
    /// A directory that is never quiet is looked at all the same.
    patience: Duration,
    /// The poll beside inotify.
    poll: Duration,
}

const PACE: Pace =
    Pace { quiet: Duration::from_millis(250), patience: Duration::from_secs(1), poll: Duration::from_secs(30) };

/// Watches the files behind `initial`, which was read from `path`, and publishes every change to `current`; `reload`
/// (SIGHUP) makes it look at once. `key` is the key file as it was when the keys were read. Ends when nobody listens to
/// `current` any more.
pub async fn run(
    path: PathBuf,
    initial: Loaded,
    key: Inputs,
    current: watch::Sender<Arc<Current>>,
    reload: mpsc::Receiver<Look>,
) {
    let touched = Arc::new(Notify::new());
    let eyes = Eyes::open(&touched);
    let keys = KeyLook::new(Eyes::open(&touched), &touched, Input::of);
    Watch::new(path, initial, (key, keys), current).run(eyes, &touched, reload, PACE).await;
}

/// The inotify side: which directories are watched.
struct Eyes {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    /// Directories that could not be watched, so that each is told once.
    blind: BTreeSet<PathBuf>,
}

impl Eyes {
    fn open(touched: &Arc<Notify>) -> Self {
        let touched = Arc::clone(touched);
        let seen = move |event: notify::Result<notify::Event>| {
            // Every open is an access event, our own reads too.
            if !matches!(event, Ok(notify::Event { kind: EventKind::Access(_), .. })) {
                touched.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(seen);
        if let Err(error) = &watcher {
            warn_blind("files", error);
        }
        Self { watcher: watcher.ok(), ..Self::closed() }
    }

    /// Without inotify.
    const fn closed() -> Self {
        Self { watcher: None, watched: BTreeSet::new(), blind: BTreeSet::new() }
    }

    /// Watches the directories of these files and no others, again those that are new under an old name; whether there is
    /// one that was not watched before. It may block.
    fn follow(mut self, files: &[PathBuf]) -> (Self, bool) {
        let directories = directories(files);
        if let Some(watcher) = &mut self.watcher {
            for directory in self.watched.difference(&directories) {
                // It may be gone, and its watch with it.
                let _ = watcher.unwatch(directory);
            }
            for directory in &directories {
                match watcher.watch(directory, RecursiveMode::NonRecursive) {
                    Ok(()) => {
                        self.blind.remove(directory);
                    }
                    Err(error) => {
                        if self.blind.insert(directory.clone()) {
                            warn_blind(&text::path(directory), &error);
                        }
                    }
                }
            }
        }
        let is_new = !directories.is_subset(&self.watched);
        self.watched = directories;
        (self, is_new)
    }
}

fn warn_blind(what: &str, error: &notify::Error) {
    let seconds = PACE.poll.as_secs();
    let message = format!("{what}: cannot be watched, edits are found within {seconds} s by reading: {error}");
    emit(&Event::new(Kind::ConfigWarning, message).reason(error.to_string()));
}

/// The owner of what is in force.
struct Watch {
    path: PathBuf,
    /// The file as it was at the start.
    started: Arc<Cluster>,
    current: watch::Sender<Arc<Current>>,
    /// cluster.yaml and its lists as they were understood last.
    inputs: Inputs,
    /// The key file as it was published last, if there is one.
    key: Inputs,
    keys: KeyLook,
    /// Whether the last look found a file gone or empty, and waits for one more before it is told.
    doubted: bool,
}

impl Watch {
    fn new(
        path: PathBuf,
        initial: Loaded,
        (key, keys): (Inputs, KeyLook),
        current: watch::Sender<Arc<Current>>,
    ) -> Self {
        Self { path, started: initial.cluster, current, inputs: initial.inputs, key, keys, doubted: false }
    }

    async fn run(mut self, mut eyes: Eyes, touched: &Notify, mut reload: mpsc::Receiver<Look>, pace: Pace) {
        let mut poll = interval_at(Instant::now() + pace.poll, pace.poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // At every turn: a directory may have been swapped, and a new file may live elsewhere.
            let files: Vec<PathBuf> = self.inputs.0.keys().cloned().collect();
            let Ok((opened, is_new)) = spawn_blocking(move || eyes.follow(&files)).await else { return };
            eyes = opened;
            if is_new {
                // An edit between the reading and the watching has no event.
                touched.notify_one();
            }

            let mut asked: Vec<Look> = Vec::new();
            tokio::select! {
                () = self.current.closed() => return,
                Some(look) = reload.recv() => asked.push(look),
                () = touched.notified() => settle(touched, pace).await,
                // What else was edited in the same moment must not wait for the poll.
                () = sleep(pace.patience), if self.doubted => {}
                _ = poll.tick() => {}
            }
            // A storm of signals is one wish.
            while let Ok(look) = reload.try_recv() {
                asked.push(look);
            }
            let tells = asked.iter().any(|look| !matches!(look, Look::Accept(_)));
            let looked = self.look(!asked.is_empty(), tells).await;
            if looked.is_ok() && asked.iter().any(|look| matches!(look, Look::Signal)) {
                self.publish(|current| current.signals += 1);
            }
            for look in asked {
                look.answer(&looked);
            }
        }
    }

    /// Looks at the contents; understands and publishes them when they have changed, or when asked to. What was found is told
    /// if it is new, or if `tells`.
    async fn look(&mut self, asked: bool, tells: bool) -> Looked {
        let ended = |_| "rotad stops".to_owned();
        let inputs = self.inputs.clone();
        let inputs = spawn_blocking(move || inputs.again()).await.map_err(ended)?;
        let mut key = self.keys.look(self.key.0.keys().next().cloned(), &self.key).await;
        let vanished = inputs.vanished_since(&self.inputs) || key.vanished_since(&self.key);
        if vanished && !asked && !self.doubted {
            self.doubted = true;
            return Ok(self.as_published());
        }
        self.doubted = false;
        let tells = tells || inputs != self.inputs;
        if inputs != self.inputs || asked {
            let path = self.path.clone();
            let name = self.started.name.clone();
            let loaded = spawn_blocking(move || files::load(&path)?.of_cluster(&path, &name)).await.map_err(ended)?;
            match loaded {
                Ok(loaded) => {
                    if loaded.key != self.key.0.keys().next().cloned() {
                        key = self.keys.look(loaded.key.clone(), &self.key).await;
                    }
                    // Both at once: the keys are those of the file that names them.
                    let is_other = std::mem::replace(&mut self.key, key) != self.key;
                    self.accept(loaded, u64::from(is_other), tells);
                }
                Err(refused) => {
                    let problems = refused.to_string();
                    self.refuse(refused, tells);
                    return Err(problems);
                }
            }
        } else if key != self.key {
            self.key = key;
            self.publish(|current| current.key_epoch += 1);
        }
        Ok(self.as_published())
    }

    fn as_published(&self) -> String {
        self.current.borrow().hash.clone()
    }

    fn accept(&mut self, loaded: Loaded, other_keys: u64, tells: bool) {
        self.inputs = loaded.inputs;
        let waits = self.started.needs_restart(&loaded.cluster);
        let new = if waits.is_empty() {
            loaded.cluster
        } else {
            Arc::new(Arc::unwrap_or_clone(loaded.cluster).as_running(&self.started))
        };
        let (old, waited) = {
            let current = self.current.borrow();
            (Arc::clone(&current.cluster), current.waits.clone())
        };
        let mut changes = old.changes(&new);
        let is_other = !changes.is_empty();
        let newly = waits.iter().filter(|key| !waited.contains(key)).map(|key| format!("{key} changed"));
        let back = waited.iter().filter(|key| !waits.contains(key)).map(|key| format!("{key} taken back"));
        changes.splice(0..0, newly.chain(back));
        if tells || self.current.borrow().error.is_some() {
            let what = if changes.is_empty() {
                "nothing has changed since it was read last".to_owned()
            } else {
                changes.join(", ")
            };
            emit(&Event::new(Kind::ConfigLoaded, format!("{} was read: {what}", text::path(&self.path))));
            for warning in &loaded.warnings {
                emit(&Event::new(Kind::ConfigWarning, warning.headline()));
            }
        }
        let is_told = waits == waited;
        self.publish(|current| {
            current.cluster = if is_other { new } else { old };
            current.waits = waits;
            current.hash = loaded.hash;
            current.key_epoch += other_keys;
            current.loaded_at = clock::wall();
            current.error = None;
        });
        if let Some(waiting) = self.current.borrow().waiting().filter(|_| !is_told) {
            emit(&Event::new(Kind::ConfigWarning, format!("{}: {waiting}", text::path(&self.path))));
        }
    }

    fn refuse(&mut self, refused: LoadError, tells: bool) {
        let error = refused.headline();
        // The lists of the file in force are watched on: their edits count when the file is good again.
        let before = std::mem::replace(&mut self.inputs, refused.inputs);
        for (path, input) in before.0 {
            self.inputs.0.entry(path).or_insert(input);
        }
        let message = format!("an edit is refused, what was in force stays: {error}");
        if tells || self.current.borrow().error.as_ref() != Some(&error) {
            emit(&Event::new(Kind::ConfigRefused, message).reason(&*error));
        }
        self.publish(|current| current.error = Some(error));
    }

    fn publish(&self, change: impl FnOnce(&mut Current)) {
        self.current.send_modify(|current| change(Arc::make_mut(current)));
    }
}

/// The directories of some files, and of what they are symbolic links to.
fn directories(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    files
        .iter()
        .flat_map(|file| [Some(file.clone()), std::fs::canonicalize(file).ok()])
        .flatten()
        .map(|file| match file.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        })
        .collect()
}

/// Waits until an edit is over.
async fn settle(touched: &Notify, pace: Pace) {
    let end = Instant::now() + pace.patience;
    while let Ok(()) = timeout_at(end.min(Instant::now() + pace.quiet), touched.notified()).await {
        if Instant::now() >= end {
            return;
        }
    }
}
