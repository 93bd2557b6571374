//! The whole daemon as people meet it: a real `named`, nodes that die and come back, a file that is edited.

mod health;

use super::support::{
    named::Zone,
    rota::{IMAP, MX, Rota},
};
