//! The commands, one file each.

pub mod status;
//! The subcommands, one file each.

pub mod probe;
