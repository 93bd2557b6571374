//! What the tests share.

pub mod node;
