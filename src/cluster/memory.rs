//! How much memory a cluster takes when its zones are read.

use super::{Claimed, Cluster};

/// What rotad takes with few domains.
const BASE: u64 = 16 << 20;
/// Of a domain in a zone of its own, with the zone's life and its trouble, at a reload, when the new file stands beside the
/// old one. Measured with zones that BIND does not serve (the list is saved before named.conf is): 3.2 to 3.6 KiB of a domain
/// with one set, 4.3 KiB after six reloads, when it grows no more. The bench of growth measures 4.1 KiB of one with six sets
/// that are in sync; reloads add the same 0.8 KiB.
const DOMAIN: u64 = 4_350;
/// Of an octet of its name: measured 5 with zones that are not served.
const OCTET: u64 = 6;
/// Of a set: what is wanted, what was read, what is remembered. And of each octet of the domain's name there.
const SET: (u64, u64) = (110, 1);
/// Of a host in the domain that an MX points to, beside its set: a domain with three such hosts, their MX and one more set takes
/// 5.4 KiB, and 8.7 KiB while an edit is checked, for the names of all of them are held against each other.
const HOST: u64 = 1_500;

/// What no domain takes less than.
pub const LEAST_MEMORY_OF_A_DOMAIN: u64 = DOMAIN + SET.0;

impl Cluster {
    /// Octets of memory that a daemon needs for it, about, at its highest.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let mut profiles: Vec<Option<(u64, u64)>> = vec![None; self.profiles.len()];
        let of_domains = self.domains.iter().map(|(name, domain)| {
            let octets = name.as_str().len() as u64;
            let own = DOMAIN + OCTET * octets;
            let Some((profile, known)) = self.profile(domain).zip(profiles.get_mut(domain.profile.0 as usize)) else {
                return own;
            };
            // Those of one profile have the same sets and hosts: one of them is counted.
            let (sets, hosts) = *known.get_or_insert_with(|| {
                let mut hosts = 0;
                let sets = self.claims(name, profile).filter(|claim| {
                    let is_exchange = matches!(claim.what, Claimed::Exchange(_));
                    hosts += u64::from(is_exchange && claim.owner.is_at_or_below(name));
                    !is_exchange || claim.owner.is_at_or_below(name)
                });
                (sets.count() as u64, hosts)
            });
            own + sets * (SET.0 + SET.1 * octets) + hosts * HOST
        });
        BASE + of_domains.sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::fixture;

    /// What was measured at the highest, in MiB, and may be let in where that is the limit; with a tenth more, nothing is
    /// refused that lives.
    #[test]
    fn h3_what_a_cluster_needs_is_what_was_measured_at_a_reload() {
        let services: Vec<_> = (0..6).map(|at| format!("  s{at}: {{ publish: address, name: n{at} }}\n")).collect();
        let services = services.concat();
        let head = format!(
            "nodes: {{ n1: {{ addresses: [192.0.2.1] }}, n2: {{ addresses: [192.0.2.2] }}, n3: {{ addresses: [192.0.2.3] }} }}\n\
             services:\n{services}  mx: {{ publish: mx, exchange: \"{{node}}.{{domain}}\" }}\n\
             \x20 out: {{ publish: mx, exchange: \"{{node}}.mx.example.net\" }}\ndomains:\n"
        );
        let long = format!("{}.{}.{}.", "l".repeat(60), "o".repeat(60), "n".repeat(60));
        for (what, services, label, least, most) in [
            ("one set", "s0", "", 4_378, 4_700),
            ("six sets", "s0, s1, s2, s3, s4, s5", "", 5_050, 5_300),
            ("an MX of hosts of its own", "s0, mx", "", 9_400, 10_000),
            ("an MX of hosts elsewhere", "s0, out", "", 4_378, 4_900),
            ("a long name", "s0", long.as_str(), 4_886, 6_000),
        ] {
            let file = |many: usize| {
                let domains = (0..many).map(|at| format!("  {label}d{at:05}.test: {{ services: [{services}] }}\n"));
                fixture::cluster(&format!("{}{head}{}", fixture::HEAD, domains.collect::<Vec<_>>().concat())).memory()
            };
            let each = (file(60) - file(10)) / 50;
            assert!((least..most).contains(&each), "{what}: {each}");
        }
    }
}
