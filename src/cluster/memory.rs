//! How much memory a cluster takes when its zones are read.

use super::Cluster;

/// What rotad takes with few domains.
const BASE: u64 = 16 << 20;
/// Of a domain in a zone of its own: names, what is remembered, the zone's life. The bench of growth measures 4.1 KiB for a
/// domain with six sets.
const DOMAIN: u64 = 1_400;
/// Of a set: what is wanted, what was read, what is remembered.
const SET: u64 = 500;

/// What no domain takes less than.
pub const LEAST_MEMORY_OF_A_DOMAIN: u64 = DOMAIN + SET;

impl Cluster {
    /// Octets of memory that a daemon needs for it, about.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let mut sets: Vec<Option<u64>> = vec![None; self.profiles.len()];
        let of_domains = self.domains.iter().map(|(name, domain)| {
            let Some((profile, sets)) = self.profile(domain).zip(sets.get_mut(domain.profile.0 as usize)) else {
                return DOMAIN;
            };
            // Those of one profile have the same sets: one of them is counted.
            let sets = sets.get_or_insert_with(|| self.try_claims(name, profile).count() as u64);
            DOMAIN + SET * *sets
        });
        BASE + of_domains.sum::<u64>()
    }
}
