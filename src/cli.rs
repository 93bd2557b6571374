//! The subcommands, one file each.

pub mod probe;
pub mod status;
pub mod validate;
