//! Who gets a turn next, and who has one.
//!
//! Each connection to BIND has a lane, and as far as urgency allows the lanes are kept equally full: BIND serves a
//! connection strictly serially (measured), and with zones taken as they come, one connection stands empty while messages
//! queue at another. With 32 in flight that keeps 4 connections busy for about 32/35 of the time, and 16 for 32/47.

use std::collections::{BTreeMap, BTreeSet};

use crate::{cluster::connection_of, dns::OwnerName};

/// Which zones come first when many want a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// Clients look up addresses in it.
    Clients,
    /// Mail servers do, which try the next exchange.
    Exchanges,
    /// It was written, and is to be read back.
    ReadBack,
}

/// All zones that want a turn or have one.
#[derive(Debug)]
pub(super) struct Queue(Vec<Lane>);

/// The zones of one connection.
#[derive(Debug, Clone, Default)]
struct Lane {
    /// Those that want a turn, most urgent first.
    ready: BTreeSet<(Urgency, OwnerName)>,
    /// Those with a step under way.
    busy: BTreeMap<OwnerName, u64>,
}

impl Queue {
    /// With a lane for each connection; one at least.
    pub(super) fn new(connections: usize) -> Self {
        Self(vec![Lane::default(); connections.max(1)])
    }

    /// Has as many lanes from now on. What has a step under way or wants a turn goes over to the lane that is its own then.
    pub(super) fn set_connections(&mut self, connections: usize) {
        if self.0.len() == connections.max(1) {
            return;
        }
        let old = std::mem::replace(self, Self::new(connections));
        for Lane { ready, busy } in old.0 {
            for (urgency, zone) in ready {
                self.call(urgency, zone);
            }
            for (zone, began) in busy {
                self.begin(zone, began);
            }
        }
    }

    /// Whether nobody wants a turn.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|lane| lane.ready.is_empty())
    }

    /// How many steps are under way.
    pub(super) fn under_way(&self) -> usize {
        self.0.iter().map(|lane| lane.busy.len()).sum()
    }

    /// Whether a zone has a step under way.
    pub(super) fn is_busy(&self, zone: &OwnerName) -> bool {
        self.0.get(connection_of(zone, self.0.len())).is_some_and(|lane| lane.busy.contains_key(zone))
    }

    /// The zones with a step under way.
    pub(super) fn busy(&self) -> impl Iterator<Item = &OwnerName> {
        self.0.iter().flat_map(|lane| lane.busy.keys())
    }

    /// The zones that want a turn.
    pub(super) fn ready(&self) -> impl Iterator<Item = &OwnerName> {
        self.0.iter().flat_map(|lane| &lane.ready).map(|(_, zone)| zone)
    }

    /// A zone wants a turn.
    pub(super) fn call(&mut self, urgency: Urgency, zone: OwnerName) {
        if let Some(lane) = self.lane(&zone) {
            lane.ready.insert((urgency, zone));
        }
    }

    /// Who comes next: of the most urgent one whose connection has the least under way, and of these the first by name.
    pub(super) fn pop(&mut self) -> Option<OwnerName> {
        let order = |lane: &Lane| {
            let (urgency, zone) = lane.ready.first()?;
            Some((*urgency, lane.busy.len(), zone.clone()))
        };
        let lanes = self.0.iter_mut().filter(|lane| !lane.ready.is_empty());
        lanes.min_by_key(|lane| order(lane))?.ready.pop_first().map(|(_, zone)| zone)
    }

    /// A step begins, after so many answers.
    pub(super) fn begin(&mut self, zone: OwnerName, answers: u64) {
        if let Some(lane) = self.lane(&zone) {
            lane.busy.insert(zone, answers);
        }
    }

    /// A step has ended; after how many answers it began.
    pub(super) fn end(&mut self, zone: &OwnerName) -> Option<u64> {
        self.lane(zone)?.busy.remove(zone)
    }

    fn lane(&mut self, zone: &OwnerName) -> Option<&mut Lane> {
        let at = connection_of(zone, self.0.len());
        self.0.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(many: usize) -> Vec<OwnerName> {
        (0..many).map(|at| OwnerName::parse(&format!("z{at:03}.test")).unwrap()).collect()
    }

    #[test]
    fn connections_get_the_same_work_as_long_as_each_has_some() {
        let mut queue = Queue::new(4);
        for zone in zones(400) {
            queue.call(Urgency::Clients, zone);
        }
        let mut under_way = Vec::new();
        for round in 0..200 {
            let next = queue.pop().unwrap();
            queue.begin(next.clone(), 0);
            assert!(queue.is_busy(&next));
            under_way.push(next);
            let counts: Vec<_> = queue.0.iter().map(|lane| lane.busy.len()).collect();
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
            // Answers come in any order.
            if under_way.len() == 32 {
                queue.end(&under_way.swap_remove(round * 7 % 32));
            }
        }
        assert_eq!(queue.under_way(), under_way.len());
    }

    #[test]
    fn the_urgent_come_first_though_they_share_a_connection() {
        let mut queue = Queue::new(4);
        let all = zones(100);
        let (here, elsewhere): (Vec<_>, Vec<_>) = all.into_iter().partition(|zone| connection_of(zone, 4) == 0);
        for zone in elsewhere {
            queue.call(Urgency::Exchanges, zone);
        }
        for zone in &here {
            queue.call(Urgency::Clients, zone.clone());
        }
        for zone in &here {
            assert_eq!(queue.pop().as_ref(), Some(zone));
            queue.begin(zone.clone(), 0);
        }
        assert!(!queue.is_empty() && queue.pop().is_some_and(|zone| !here.contains(&zone)));
    }
}
