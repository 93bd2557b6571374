//! Everything that touches a socket, file, clock or signal: it reads, calls the deciding part, does what that says.

pub mod clock;
pub mod control_server;
pub mod files;
pub mod instance;
pub mod journal;
pub mod keys;
pub mod local_socket;
pub mod memory;
pub mod monitor;
pub mod primary;
pub mod probe;
pub mod progress;
pub mod pulse;
pub mod read_file;
pub mod reconcile;
pub mod state;
pub mod status_server;
pub mod systemd;
pub mod watch;
