//! What the tests share.

pub mod node;
//! What the tests stand on.

pub mod named;
