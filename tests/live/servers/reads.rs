//! What they hold is read type by type, or as BIND's.

use crate::{bind_facts::hidden::compare, support::named::Product};

#[tokio::test]
#[ignore = "needs Knot DNS: tests/run.sh --real"]
async fn e8_whatever_a_zone_of_knot_holds_is_read_right() {
    compare(Product::Knot, 2, "").await;
}

#[tokio::test]
#[ignore = "needs PowerDNS: tests/run.sh --real"]
async fn e8_whatever_a_zone_of_powerdns_holds_is_read_right() {
    compare(Product::PowerDns, 3, "").await;
}
