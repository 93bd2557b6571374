//! What operators ask of rotad, and what keeps it from doing harm when it was asked for nothing.

mod adopt;
mod doctor;
mod gap;
mod hold;
mod keys;
mod left_over;
mod restored;
mod said;
mod sync;

use super::support::{
    named::Zone,
    proxy::{Fate, Which},
    rota::{IMAP, MX, Rota},
};
