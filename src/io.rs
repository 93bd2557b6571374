//! Everything that touches a socket, file, clock or signal: it reads, calls the deciding part, does what that says.

pub mod clock;
pub mod files;
pub mod journal;
pub mod watch;
