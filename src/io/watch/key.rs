//! Looks at the key file, on whatever file system it lies: one that hangs delays no other file.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};

use super::Eyes;
use crate::io::{
    clock,
    files::{Input, Inputs},
    keys::MAX_KEY,
};

/// How long a look is waited for. One that takes longer goes on, and when it ends there is another one.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads what the key file is now. It may block.
pub(super) type Read = fn(&std::path::Path, u64) -> Input;

/// The one who looks.
pub(super) struct KeyLook {
    /// Which file; `None`: the key is a credential, which never changes.
    file: Option<PathBuf>,
    eyes: Option<Eyes>,
    under_way: Option<JoinHandle<(Eyes, Inputs)>>,
    touched: Arc<Notify>,
    read: Read,
}

impl KeyLook {
    pub(super) fn new(eyes: Eyes, touched: &Arc<Notify>, read: Read) -> Self {
        Self { file: None, eyes: Some(eyes), under_way: None, touched: Arc::clone(touched), read }
    }

    /// What the file is now; where nobody can tell in time, what it was `before`.
    pub(super) async fn look(&mut self, file: Option<PathBuf>, before: &Inputs) -> Inputs {
        if file != self.file {
            // Should that look never end, it is left alone with its thread.
            self.under_way = None;
            self.file.clone_from(&file);
        }
        let Some(file) = file else { return Inputs::default() };
        if let Some(mut late) = self.under_way.take() {
            // It is not waited for once more, and what it has found is older than what is asked for now.
            match timeout(Duration::ZERO, &mut late).await {
                Ok(Ok((eyes, _))) => self.eyes = Some(eyes),
                Ok(Err(_)) => {}
                Err(_) => {
                    self.under_way = Some(late);
                    return unknown(file, before);
                }
            }
        }
        let mut look = self.begin(file.clone());
        match timeout(PATIENCE, &mut look).await {
            Ok(Ok((eyes, found))) => {
                self.eyes = Some(eyes);
                found
            }
            Ok(Err(_)) => unknown(file, before),
            Err(_) => {
                self.under_way = Some(look);
                unknown(file, before)
            }
        }
    }

    fn begin(&mut self, file: PathBuf) -> JoinHandle<(Eyes, Inputs)> {
        let eyes = self.eyes.take().unwrap_or_else(|| Eyes::open(&self.touched));
        let (touched, read, begun) = (Arc::clone(&self.touched), self.read, clock::now());
        spawn_blocking(move || {
            // The directory first: what is edited after it was read has an event.
            let (eyes, is_new) = eyes.follow(std::slice::from_ref(&file));
            let found = Inputs([(file.clone(), read(&file, MAX_KEY))].into());
            if is_new || clock::now().saturating_duration_since(begun) >= PATIENCE {
                touched.notify_one();
            }
            (eyes, found)
        })
    }
}

fn unknown(file: PathBuf, before: &Inputs) -> Inputs {
    if before.0.contains_key(&file) {
        return before.clone();
    }
    Inputs([(file, Input { most: MAX_KEY, hash: None })].into())
}
