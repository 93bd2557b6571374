//! What the rota as a whole tells people.

use super::Rota;
use crate::{
    cluster::AllDown,
    desired::{self, Extent, Shortage},
    dns::{RdataSet, RrsetId},
    event::{Event, Kind},
    health::State,
    status::Short,
    text,
};

/// How many of a kind are named in a line; the others are counted.
const SHOWN: usize = 10;

impl Rota {
    pub(super) fn tell_first_round(&self) -> Event {
        let undecided = self.health.targets.values().filter(|health| health.state == State::Unknown).count();
        let then = self.once_it_may("writing may begin");
        let words = match (self.health.first_round_done, undecided) {
            (true, 0) => format!("every check has answered: {then}"),
            (_, undecided) => format!("{undecided} checks are undecided, and change nothing in DNS: {then}"),
        };
        Event::new(Kind::FirstRound, words)
    }

    /// Sets that have too few healthy nodes, and those that have enough again.
    pub(super) fn tell_shortages(&mut self) -> Vec<Event> {
        if !self.first_round_done {
            return Vec::new();
        }
        let now = desired::shortages(&self.cluster, &self.layout, &self.standings, &self.shortages);
        let before = std::mem::replace(&mut self.shortages, now);
        let lost = self.shortages.iter().filter(|(short, _)| !before.contains_key(*short));
        let lost = lost.map(|(short, extent)| {
            // It names the set: two shortages at once are two troubles.
            let reason = format!("{}: {} of {} nodes healthy", name(short), extent.healthy, short.nodes.len());
            Event::new(Kind::TooFewHealthy, self.too_few(short, extent)).reason(reason)
        });
        let back = before.keys().filter(|short| !self.shortages.contains_key(*short));
        let back =
            back.map(|short| Event::new(Kind::EnoughHealthy, format!("{}: enough healthy nodes again", name(short))));
        lost.chain(back).collect()
    }

    /// The sets that have too few healthy nodes, in words.
    pub fn shortages(&self) -> impl Iterator<Item = String> {
        self.shortages.keys().map(|short| self.policy(short))
    }

    /// The same for the status.
    #[must_use]
    pub fn short(&self) -> Vec<Short> {
        let short = self.shortages.iter().map(|(short, extent)| Short {
            service: short.service.as_str().to_owned(),
            rtype: short.rtype.as_str().into(),
            nodes: short.nodes.iter().map(|node| node.as_str().to_owned()).collect(),
            healthy: extent.healthy,
            needed: extent.needed,
            kept: self.kept(short, extent).1.into_iter().flat_map(|(_, data)| data).map(ToString::to_string).collect(),
        });
        short.collect()
    }

    /// The same in a few words; `None`: there are none.
    #[must_use]
    pub fn short_of(&self) -> Option<String> {
        let words = |(short, extent): (&Shortage, &Extent)| {
            format!("{} {} ({} of {} healthy)", short.service, short.rtype, extent.healthy, short.nodes.len())
        };
        let all = || list(self.shortages.iter().map(words));
        (!self.shortages.is_empty()).then(|| format!("too few healthy nodes: {}", all()))
    }

    /// How many sets are short of nodes so, and what the first of them holds.
    fn kept(&self, short: &Shortage, extent: &Extent) -> (usize, Option<(RrsetId, &RdataSet)>) {
        let sets = || {
            self.cluster.domains.iter().flat_map(|(name, domain)| {
                let labels = extent.at.iter().filter(|(profile, _)| *profile == domain.profile);
                labels.filter_map(move |(_, label)| {
                    Some((RrsetId { owner: name.child(label).ok()?, rtype: short.rtype }, &domain.zone))
                })
            })
        };
        let first = sets().find_map(|(id, zone)| {
            let data = self.zones.get(zone)?.memory().owned.get(&id)?;
            Some((id, data))
        });
        (sets().count(), first)
    }

    fn policy(&self, short: &Shortage) -> String {
        let policy = match self.cluster.safety.all_down {
            AllDown::Hold => "what is published is held",
            AllDown::All => "every node that is not drained is published",
        };
        format!("{}: too few healthy nodes: {policy}", name(short))
    }

    fn too_few(&self, short: &Shortage, extent: &Extent) -> String {
        let (many, first) = self.kept(short, extent);
        let held = first.map_or_else(String::new, |(id, data)| {
            let verb = match many.saturating_sub(1) {
                0 => "holds".to_owned(),
                others => format!("and {} more hold", text::count(others)),
            };
            format!("; {} {verb} {}", id.owner, list(data))
        });
        format!(
            "{} ({} of {} nodes healthy, {} needed{held}); bring one back: `rotad status` tells why each is out",
            self.policy(short),
            extent.healthy,
            short.nodes.len(),
            extent.needed
        )
    }
}

fn name(short: &Shortage) -> String {
    format!("service {} {} on {}", short.service, short.rtype, list(&short.nodes))
}

/// The first of them, and how many more there are.
pub(super) fn list<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    let all: Vec<_> = all.into_iter().map(|one| one.to_string()).collect();
    let (shown, rest) = all.split_at_checked(SHOWN).unwrap_or((&all, &[]));
    match rest.len() {
        0 => shown.join(", "),
        more => format!("{} and {} more", shown.join(", "), text::count(more)),
    }
}
