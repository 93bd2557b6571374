//! What the tests stand on.

pub mod certificate;
pub mod named;
pub mod node;
pub mod proxy;
pub mod rota;
