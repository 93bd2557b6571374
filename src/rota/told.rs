//! What the rota as a whole tells people.

use super::Rota;
use crate::{
    cluster::{AllDown, NodeName},
    desired::{self, Shortage},
    event::{Event, Kind},
    health::State,
};

impl Rota {
    pub(super) fn tell_first_round(&self) -> Event {
        let undecided = self.health.targets.values().filter(|health| health.state == State::Unknown).count();
        let words = match (self.health.first_round_done, undecided) {
            (true, 0) => "every check has answered: writing may begin".to_owned(),
            (_, undecided) => format!("{undecided} checks are undecided, and change nothing in DNS: writing may begin"),
        };
        Event::new(Kind::FirstRound, words)
    }

    /// Sets that have too few healthy nodes, and those that have enough again.
    pub(super) fn tell_shortages(&mut self) -> Vec<Event> {
        if !self.first_round_done {
            return Vec::new();
        }
        let now = desired::shortages(&self.cluster, &self.layout, &self.standings);
        let before = std::mem::replace(&mut self.shortages, now);
        let lost = self.shortages.difference(&before);
        let lost = lost.map(|short| Event::new(Kind::TooFewHealthy, too_few(short, self.cluster.safety.all_down)));
        let back = before.difference(&self.shortages);
        let back =
            back.map(|short| Event::new(Kind::EnoughHealthy, format!("{}: enough healthy nodes again", name(short))));
        lost.chain(back).collect()
    }

    /// The sets that have too few healthy nodes, in words.
    pub fn shortages(&self) -> impl Iterator<Item = String> {
        self.shortages.iter().map(|short| too_few(short, self.cluster.safety.all_down))
    }
}

fn name(short: &Shortage) -> String {
    let nodes: Vec<_> = short.nodes.iter().map(NodeName::as_str).collect();
    format!("service {} {} on {}", short.service, short.rtype, nodes.join(", "))
}

fn too_few(short: &Shortage, all_down: AllDown) -> String {
    let policy = match all_down {
        AllDown::Hold => "what is published is held",
        AllDown::All => "every node that is not drained is published",
    };
    format!("{}: too few healthy nodes: {policy}", name(short))
}
