//! Loads the TSIG keys.

use crate::{cluster::KeySource, tsig::Keys};

/// Why the keys could not be loaded: names the file, the cause and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub String);

/// Reads the keys and refuses a file that others can read or write.
///
/// # Errors
/// [`LoadError`].
pub fn load(_source: &KeySource, _allow_weak: bool) -> Result<Keys, LoadError> {
    todo!()
}
