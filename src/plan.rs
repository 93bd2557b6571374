//! The difference between what is wanted and what is published.

use crate::dns::{Rrset, RrsetId};

/// One `RRset` that is to become another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which `RRset`.
    pub id: RrsetId,
    /// As published; `None`: there is none.
    pub before: Option<Rrset>,
    /// As wanted; `None`: it is to be deleted.
    pub after: Option<Rrset>,
}
