//! Which data belong to a cluster, read off the file anew.

use crate::{
    cluster::{Cluster, Publish},
    dns::{OwnerName, Rdata},
};

/// Whether some data at an owner name are an address, an exchange or an alias of the file.
pub(super) fn is_known(cluster: &Cluster, at: &OwnerName, rdata: &Rdata) -> bool {
    let has_address = |address| cluster.nodes.values().any(|node| node.addresses.contains(&address));
    match rdata {
        Rdata::A(v4) => has_address((*v4).into()),
        Rdata::Aaaa(v6) => has_address((*v6).into()),
        Rdata::Cname(target) => cluster
            .services
            .values()
            .any(|service| matches!(&service.publish, Publish::Alias { target: known, .. } if known == target)),
        Rdata::Mx { exchange, .. } => cluster.services.values().any(|service| {
            let Publish::Mx { exchange: pattern, .. } = &service.publish else { return false };
            cluster.nodes.iter().any(|(name, node)| {
                let words = [("{node}", name.as_str()), ("{index}", &node.index), ("{domain}", at.as_str())];
                gives(pattern.0.trim_end_matches('.'), &words, exchange.as_str())
            })
        }),
    }
}

/// Whether a pattern comes to a text once its words are filled in, without regard to case. Asked for each node and
/// service of a message's data, so it makes no text.
fn gives(mut pattern: &str, words: &[(&str, &str)], mut text: &str) -> bool {
    loop {
        let next = words.iter().filter_map(|(word, value)| Some((pattern.find(word)?, *word, *value))).min();
        let (literal, filled, rest) = match next {
            Some((at, word, value)) => {
                let (literal, rest) = pattern.split_at_checked(at).unwrap_or((pattern, ""));
                (literal, value, rest.get(word.len()..).unwrap_or_default())
            }
            None => return text.eq_ignore_ascii_case(pattern),
        };
        for part in [literal, filled] {
            match text.split_at_checked(part.len()) {
                Some((head, tail)) if head.eq_ignore_ascii_case(part) => text = tail,
                _ => return false,
            }
        }
        pattern = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_gives_what_filling_it_in_gives() {
        let words = [("{node}", "Mx01"), ("{index}", "01"), ("{domain}", "example.org")];
        for (pattern, text, is_given) in [
            ("{node}.mail.example.net", "mx01.mail.example.net", true),
            ("{node}.mail.example.net", "mx02.mail.example.net", false),
            ("{node}.mail.example.net", "mx01.mail.example.net.org", false),
            ("mx{index}.{domain}", "mx01.example.org", true),
            ("mx{index}.{domain}", "mx01.example.com", false),
            ("{domain}", "example.org", true),
            ("mail.example.net", "MAIL.example.net", true),
            ("{node}", "mx0", false),
            ("a{index}{index}", "a0101", true),
        ] {
            assert_eq!(gives(pattern, &words, text), is_given, "{pattern} {text}");
        }
    }
}
