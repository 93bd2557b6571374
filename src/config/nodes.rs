//! `nodes`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{field::Field, problem::Report, settings::own_name, shape};
use crate::cluster::{AdminState, Node, NodeName};
use crate::text::cut;

const EXAMPLE: &str = "a list of literal addresses, IPv6 in quotes: [192.0.2.10, \"2001:db8::10\"]";

/// Reads `nodes`. A node that has problems is left out; `names` has it all the same, so that nobody who uses it is
/// blamed.
pub(super) fn read<'a>(
    field: Field<'a>,
    names: &mut BTreeSet<&'a str>,
    report: &mut Report,
) -> BTreeMap<NodeName, Node> {
    let entries = shape::entries("nodes", field, "{ node00: { addresses: [192.0.2.10] } }", report).unwrap_or_default();
    let mut nodes = BTreeMap::new();
    let mut holders: BTreeMap<IpAddr, NodeName> = BTreeMap::new();
    for entry in entries {
        if !own_name(entry.key, entry, report) {
            continue;
        }
        let name = NodeName::new(entry.key);
        names.insert(entry.key);
        let object = format!("node \"{name}\"");
        if let Some(node) = node(&object, &name, entry, &mut holders, report) {
            nodes.insert(name, node);
        }
    }
    nodes
}

fn node(
    object: &str,
    name: &NodeName,
    field: Field<'_>,
    holders: &mut BTreeMap<IpAddr, NodeName>,
    report: &mut Report,
) -> Option<Node> {
    let shape::Member { addresses, index, admin_state } = shape::Member::read(object, field, report)?;
    let Some(addresses) = addresses else {
        report.problem(field.key_at, format!("{object}: has no addresses; write \"addresses: [192.0.2.10]\""));
        return None;
    };
    let words = [AdminState::Ready, AdminState::Drain, AdminState::Down].map(|state| (state.as_str(), state));
    let admin_state = admin_state.map_or(Some(AdminState::default()), |field| field.word(&words, report));
    let index =
        index.map_or_else(|| Some(trailing_digits(name.as_str()).to_owned()), |field| node_index(field, report));
    Some(Node {
        addresses: self::addresses(name, addresses, holders, report)?,
        index: index?,
        admin_state: admin_state?,
    })
}

/// `01` of `node01`.
fn trailing_digits(name: &str) -> &str {
    let head = name.trim_end_matches(|c: char| c.is_ascii_digit());
    name.get(head.len()..).unwrap_or_default()
}

fn node_index(field: Field<'_>, report: &mut Report) -> Option<String> {
    let text = field.text("what \"{index}\" stands for, such as \"01\"", report)?;
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return Some(text.to_owned());
    }
    field.problem(
        &format!("{text:?} cannot be part of a name; write letters, digits and \"-\"", text = cut(text)),
        report,
    );
    None
}

fn addresses(
    name: &NodeName,
    field: Field<'_>,
    holders: &mut BTreeMap<IpAddr, NodeName>,
    report: &mut Report,
) -> Option<BTreeSet<IpAddr>> {
    let items = field.items(EXAMPLE, report)?;
    if items.is_empty() {
        field.problem("the list is empty: the node could never be published; write its address", report);
        return None;
    }
    let mut own = BTreeSet::new();
    let mut good = true;
    for item in items {
        let Some(address) = address(item, report) else {
            good = false;
            continue;
        };
        if !own.insert(address) {
            item.problem(&format!("{address} is listed twice; keep one"), report);
            good = false;
        } else if let Some(holder) = holders.insert(address, name.clone()) {
            item.warning(&format!("{address} is also an address of node \"{holder}\": one record for both"), report);
        }
    }
    good.then_some(own)
}

fn address(field: Field<'_>, report: &mut Report) -> Option<IpAddr> {
    let text = field.text(EXAMPLE, report)?;
    let Ok(address) = text.parse::<IpAddr>() else {
        field.problem(
            &format!(
                "\"{text}\" is no literal address (a name that rotad publishes would depend on itself); write \
                 192.0.2.10 or \"2001:db8::10\"",
                text = cut(text)
            ),
            report,
        );
        return None;
    };
    let wrong = match address {
        IpAddr::V4(v4) if v4.is_unspecified() => Some("no host's address".to_owned()),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("the broadcast address".to_owned()),
        IpAddr::V4(v4) if v4.is_multicast() => Some("a multicast address".to_owned()),
        IpAddr::V4(v4) if v4.is_link_local() => Some("link-local, nobody elsewhere can reach it".to_owned()),
        IpAddr::V6(v6) if v6.is_unspecified() => Some("no host's address".to_owned()),
        IpAddr::V6(v6) if v6.is_multicast() => Some("a multicast address".to_owned()),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("link-local, nobody elsewhere can reach it".to_owned()),
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map(|v4| format!("{v4} mapped into IPv6; write {v4}")),
        IpAddr::V4(_) => None,
    };
    if let Some(wrong) = wrong {
        let hint = if wrong.contains("; ") { "" } else { "; write the address that clients connect to" };
        field.problem(&format!("{address} is {wrong}{hint}"), report);
        return None;
    }
    if address.is_loopback() {
        field.warning(&format!("{address} is a loopback address: only this host can reach it"), report);
    }
    Some(address)
}
