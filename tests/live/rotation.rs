//! The whole daemon as people meet it: a real `named`, nodes that die and come back, a file that is edited.

mod commands;
mod contact;
mod edits;
mod forms;
mod health;
mod ipv6;
mod life;
mod settling;
mod words;

use super::support::{
    named::Zone,
    rota::{Builder, IMAP, MX, Rota},
};

/// A web mail with a name for each node.
const WEBMAIL: &str =
    "webmail: { publish: address, name: webmail, checks: [web], pinned: { name: \"webmail{index}\" } }";
