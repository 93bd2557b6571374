//! Checks: what thousands of them cost, beside HAProxy's of the same listeners, and how soon a death shows in DNS.

mod answers;
mod death;
mod failure;
mod listener;
mod load;

use crate::table::Table;

pub fn run(table: &mut Table) {
    failure::run(table);
    death::run(table);
    load::run(table);
}
