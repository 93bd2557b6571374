//! What is held against a target, in the form that outlives the process: stamps of the wall clock.
//!
//! As with an operator's hold, what is left of it is worked out anew at the start, and a wall clock that was put back
//! meanwhile makes nothing longer than it was meant to be.

use serde::{Deserialize, Serialize};

use crate::status::Stamp;

/// What is remembered of one target that was decided at least once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Past {
    /// Whether it was up at the last decision.
    #[serde(default)]
    pub up: bool,
    /// When it went from up to down, within the last hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub downs: Vec<Stamp>,
    /// The wait that it was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<PastHold>,
}

/// A wait that a target was in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastHold {
    /// When it ends, if no failure comes.
    pub until: Stamp,
    /// How long the whole of it is.
    pub seconds: u64,
    /// Which flap it is for.
    pub flap: usize,
}
