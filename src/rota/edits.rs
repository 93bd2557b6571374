//! Whether an edit of the file may take effect: one that rewrites too much waits for somebody to say so.

use std::{sync::Arc, time::Instant};

use super::Rota;
use crate::{
    cluster::Cluster,
    desired,
    dns::OwnerName,
    event::{Event, Kind},
    layout::Layout,
    standings::Standings,
    zone::Turn,
};

#[cfg(test)]
mod tests;

/// Fewer owned `RRsets` than this are too few to speak of a share (octoDNS has the same rule).
const FEW: usize = 10;

/// What becomes of changes that come from an edit of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edits {
    /// Not looked at yet: the zones must be read first.
    Unjudged,
    /// They are written.
    Free,
    /// They are too many and wait; changes that come from health go on.
    Held,
}

impl Rota {
    /// Takes in a new file. One that changes too much of what we published stays out of force.
    pub fn set_cluster(&mut self, now: Instant, cluster: Arc<Cluster>) -> Vec<Event> {
        let layout = Layout::new(&cluster);
        let mut settling = self.settling.clone();
        settling.edited(&self.cluster, &cluster);
        let standings = Standings::new(&cluster, &self.health, &settling);
        if self.edits != Edits::Unjudged
            && let Some(words) = self.too_much(now, &cluster, &layout, &standings)
        {
            let event = Event::new(Kind::TooMuchChange, format!("{words}; the file before stays in force"));
            self.refused_edit = Some(words);
            return vec![event];
        }
        if self.edits == Edits::Held {
            self.edits = Edits::Free;
        }
        self.refused_edit = None;
        self.server.set_limit(cluster.bind.max_in_flight);
        (self.cluster, self.layout, self.settling, self.standings) = (cluster, layout, settling, standings);
        self.shortages = desired::still_short(&self.shortages, &self.cluster, &self.layout, &self.standings);
        self.match_zones();
        self.tell_shortages()
    }

    /// The size of the edit in force: how many of the `RRsets` that we published it would change or delete.
    fn edit_size(&self, now: Instant, cluster: &Cluster, layout: &Layout, standings: &Standings) -> (usize, usize) {
        let sizes = self.zones.iter().map(|(name, zone)| {
            let elsewhere = |target: &OwnerName| self.is_target_elsewhere(name, target);
            let turn = self.turn(now, name, &elsewhere);
            zone.edit_size(Turn { cluster, layout: layout.zones.get(name), standings, ..turn })
        });
        sizes.fold((0, 0), |(owned, changed), (o, c)| (owned + o, changed + c))
    }

    /// Why an edit is too large to be taken without `--force`; `None`: it is not.
    fn too_much(&self, now: Instant, cluster: &Cluster, layout: &Layout, standings: &Standings) -> Option<String> {
        let (owned, changed) = self.edit_size(now, cluster, layout, standings);
        let most = cluster.safety.max_change;
        (owned >= FEW && changed * 100 > owned * usize::from(most)).then(|| {
            format!(
                "this edit would change or delete {changed} of {owned} published RRsets, more than max_change ({most}%): \
                 see `rotad plan`, then stop the daemon and run `rotad apply --force`, or raise safety.max_change"
            )
        })
    }

    /// The first look at the zones: was the file edited beyond measure while nobody watched?
    pub(super) fn judge(&mut self, now: Instant) -> Option<Event> {
        self.refused_edit = self.too_much(now, &self.cluster, &self.layout, &self.standings);
        self.edits = if self.refused_edit.is_some() { Edits::Held } else { Edits::Free };
        let words = self.refused_edit.as_ref()?;
        Some(Event::new(Kind::TooMuchChange, format!("{words}; until then only health is followed")))
    }
}
