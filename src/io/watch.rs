<<<<<<< HEAD
//! placeholder
use crate::cluster::Cluster;
use std::{sync::Arc, time::SystemTime};
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
=======
//! x
>>>>>>> config
