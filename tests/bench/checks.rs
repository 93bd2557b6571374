//! Checks: what thousands of them cost, beside HAProxy's of the same listeners, and how soon a death shows in DNS.

mod listener;
mod load;

use crate::table::Table;

pub fn run(table: &mut Table) {
    load::run(table);
}
