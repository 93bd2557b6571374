//! placeholder
use crate::{cluster::Cluster, io::files::Loaded};
use std::{path::PathBuf, sync::Arc, time::SystemTime};
use tokio::sync::{mpsc, watch};
/// cur
#[derive(Debug)]
pub struct Current {
    /// c
    pub cluster: Arc<Cluster>,
    /// l
    pub loaded_at: SystemTime,
    /// e
    pub error: Option<String>,
    /// k
    pub key_epoch: u64,
}
/// run
pub async fn run(
    _path: PathBuf,
    _initial: Loaded,
    _publish: watch::Sender<Arc<Current>>,
    mut reload: mpsc::Receiver<()>,
) {
    while reload.recv().await.is_some() {}
}
