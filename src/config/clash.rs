//! Two claims on one owner name: whether they can stand together.

use crate::cluster::{Claim, Claimed, Service};

/// What is wrong when two claims meet.
pub(super) enum Clash {
    /// They cannot stand together.
    Refused(String),
    /// They can, but hardly anybody means it.
    Odd(String),
}

/// What is wrong with two claims on one owner name, each with its service.
pub(super) fn between(
    (earlier, first): (&Claim<'_>, &Service),
    (later, second): (&Claim<'_>, &Service),
) -> Option<Clash> {
    #[cfg(test)]
    crate::cluster::work::done();
    let both = || format!("{} is {} and {}", later.owner, in_words(earlier), in_words(later));
    let same_service = earlier.service == later.service;
    let same_ttl = first.ttl == second.ttl;
    let refused = match (earlier.what, later.what) {
        (Claimed::Alias(one), Claimed::Alias(other)) if one != other => {
            format!("{}, to {one} and {other}; an alias has one target: take one service out", both())
        }
        (Claimed::Exchange(_), Claimed::Alias(_)) | (Claimed::Alias(_), Claimed::Exchange(_)) => {
            format!("{}; an MX cannot point to a CNAME (RFC 2181 section 10.3): choose another name", both())
        }
        (Claimed::Alias(_), Claimed::Alias(_)) | (Claimed::Mx, Claimed::Mx) if same_ttl => return None,
        (Claimed::Alias(_), Claimed::Alias(_)) | (Claimed::Mx, Claimed::Mx) => ttls(&both(), first, second),
        (Claimed::Alias(_), _) | (_, Claimed::Alias(_)) => {
            format!("{}; nothing can stand beside a CNAME (RFC 1034 section 3.6.2): choose another name", both())
        }
        // Other types, other RRsets.
        (Claimed::Mx, _) | (_, Claimed::Mx) => return None,
        (Claimed::Pinned(_), _) | (_, Claimed::Pinned(_)) if same_service => format!(
            "{}; write \"{{node}}\" or \"{{index}}\" into the pinned name, and give each node an index of its own",
            both()
        ),
        (Claimed::Pinned(_), _) | (_, Claimed::Pinned(_)) => {
            format!("{}; a pinned name is one node's alone: choose another name", both())
        }
        _ if !same_ttl => ttls(&both(), first, second),
        (Claimed::Shared, Claimed::Exchange(_)) | (Claimed::Exchange(_), Claimed::Shared) => {
            return Some(Clash::Odd(format!("{}: its addresses follow membership, not health", both())));
        }
        (Claimed::Shared, Claimed::Shared) | (Claimed::Exchange(_), Claimed::Exchange(_)) => return None,
    };
    Some(Clash::Refused(refused))
}

/// Whether two claims on one owner name come to the same beside any third one, so that the third need be compared with
/// one of them alone: thousands of services may share a name.
pub(super) fn are_alike((one, first): (&Claim<'_>, &Service), (other, second): (&Claim<'_>, &Service)) -> bool {
    let same = match (one.what, other.what) {
        (Claimed::Shared, Claimed::Shared)
        | (Claimed::Mx, Claimed::Mx)
        | (Claimed::Exchange(_), Claimed::Exchange(_)) => true,
        (Claimed::Alias(one), Claimed::Alias(other)) => one == other,
        _ => false,
    };
    same && first.ttl == second.ttl
}

fn ttls(both: &str, first: &Service, second: &Service) -> String {
    format!("{both}, with TTLs of {}s and {}s; one set has one TTL: write the same in both", first.ttl, second.ttl)
}

fn in_words(claim: &Claim<'_>) -> String {
    let service = claim.service;
    match claim.what {
        Claimed::Shared => format!("the addresses of service \"{service}\""),
        Claimed::Pinned(node) => format!("the pinned name of node \"{node}\" in service \"{service}\""),
        Claimed::Mx => format!("the MX of service \"{service}\""),
        Claimed::Exchange(_) => format!("an MX exchange of service \"{service}\""),
        Claimed::Alias(_) => format!("the alias of service \"{service}\""),
    }
}
