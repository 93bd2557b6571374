//! Whether an edit of the file may take effect: one that rewrites too much waits until an operator accepts it.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Instant};

use super::{Rota, told::list};
use crate::{
    cluster::{AdminState, Cluster, NodeName},
    desired,
    dns::{OwnerName, Rdata},
    event::{Event, Kind},
    layout::{self, Layout},
    standings::Standings,
    zone::Turn,
};

#[cfg(test)]
mod tests;

/// Fewer owned `RRsets` than this are too few to speak of a share (octoDNS has the same rule).
const FEW: usize = 10;

/// Characters of a file's hash that name an edit.
const ID: usize = 12;

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

/// An edit that waits for `rotad accept`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldEdit {
    /// What it is called by.
    pub id: String,
    /// How many of the published `RRsets` it would change or delete.
    pub changed: usize,
    /// How many are published.
    pub owned: usize,
    /// Since when it waits.
    pub since: Instant,
    /// Why, and what to do.
    pub words: String,
    /// What it says; `None`: that is in force, but for what it takes away.
    cluster: Option<Arc<Cluster>>,
}

/// What has become of the newest file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged<'a> {
    /// The zones must be read first.
    NotYet,
    /// It is in force.
    InForce,
    /// It waits.
    Held(&'a HeldEdit),
}

impl Rota {
    /// The same with the hash of the file that it begins with, and that of the file which an earlier run let through.
    #[must_use]
    pub fn of_file(self, hash: &str, let_through: Option<String>) -> Self {
        Self { file: hash.to_owned(), let_through, ..self }
    }

    /// The hash of the newest file that was let through, by this run or an earlier one.
    #[must_use]
    pub fn let_through(&self) -> Option<&str> {
        if self.edits == Edits::Free { Some(&self.file) } else { self.let_through.as_deref() }
    }

    /// The hash of the file in force.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The edit that waits, if one does.
    #[must_use]
    pub const fn held_edit(&self) -> Option<&HeldEdit> {
        self.held_edit.as_ref()
    }

    /// Whether the file that rotad was started with waits, or may have to: what that leaves out is left over already.
    pub(super) fn may_wait_from_the_start(&self) -> bool {
        self.edits == Edits::Held || self.edits == Edits::Unjudged && !self.was_let_through()
    }

    /// Whether an earlier run has let the file in force through already.
    fn was_let_through(&self) -> bool {
        self.let_through.as_deref() == Some(&self.file)
    }

    /// What decides: while the file that rotad was started with waits, nobody whom it takes out is out by that.
    pub(super) fn deciding(&self) -> &Arc<Cluster> {
        self.undrained.as_ref().unwrap_or(&self.cluster)
    }

    fn set_edits(&mut self, edits: Edits) {
        self.edits = edits;
        let undrained = (edits == Edits::Held).then(|| {
            let mut cluster = Cluster::clone(&self.cluster);
            cluster.nodes.values_mut().for_each(|node| node.admin_state = AdminState::Ready);
            Arc::new(cluster)
        });
        if undrained.is_some() || self.undrained.is_some() {
            self.undrained = undrained;
            self.standings = Standings::new(self.deciding(), &self.health, &self.settling);
        }
    }

    /// What has become of the newest file.
    #[must_use]
    pub fn judged(&self) -> Judged<'_> {
        match &self.held_edit {
            _ if self.edits == Edits::Unjudged => Judged::NotYet,
            Some(held) => Judged::Held(held),
            None => Judged::InForce,
        }
    }

    /// Takes in a new file with its hash. One that changes too much of what we published stays out of force. The file
    /// that is in force ends the waiting of another.
    pub fn set_cluster(&mut self, now: Instant, cluster: Arc<Cluster>, hash: &str) -> Vec<Event> {
        if cluster == self.cluster {
            hash.clone_into(&mut self.file);
            let back = self.held_edit.take_if(|held| held.cluster.is_some());
            // The file that was held from the start is back, or says the same under another hash: that is its name.
            let is_renamed = self.held_edit.take_if(|held| held.id != short(hash)).is_some();
            if (back.is_some() || is_renamed) && self.edits == Edits::Held {
                self.set_edits(Edits::Unjudged);
            }
            let words = back.map(|held| format!("the edit {} that waited was taken back", held.id));
            return words.map(|words| Event::new(Kind::ConfigLoaded, words)).into_iter().collect();
        }
        if self.edits != Edits::Unjudged
            && let Some(held) = self.too_much(now, &cluster, hash)
        {
            // The same file, read again.
            if let Some(before) = self.held_edit.take_if(|before| before.id == held.id) {
                self.held_edit = Some(HeldEdit { since: before.since, ..held });
                return Vec::new();
            }
            let words = format!("{}; the file before stays in force", held.words);
            self.held_edit = Some(held);
            return vec![Event::new(Kind::TooMuchChange, words)];
        }
        self.put_in_force(cluster, hash)
    }

    /// Lets the edit through that waits, if it is the one that is meant, and still what the file says: `newest` is the
    /// hash of the file as it is now.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn accept(&mut self, id: Option<&str>, newest: &str) -> Result<Vec<Event>, String> {
        let Some(held) = &self.held_edit else {
            return Err(match self.edits {
                Edits::Unjudged => "no edit waits as yet: the zones are read first; see `rotad status`".to_owned(),
                Edits::Free | Edits::Held => "no edit waits: the newest file is in force".to_owned(),
            });
        };
        if let Some(other) = id.filter(|id| *id != held.id) {
            return Err(format!("the edit that waits is {}, not {other}; see `rotad status`", held.id));
        }
        if short(newest) != held.id {
            return Err(format!(
                "the file has changed since {} was judged: see `rotad status` and `rotad plan`, and accept what waits then",
                held.id
            ));
        }
        let accepted = Event::new(Kind::EditAccepted, format!("the edit {} is accepted: it is in force", held.id));
        let mut events = vec![accepted.reason(format!("{} of {} RRsets", held.changed, held.owned))];
        let cluster = self.held_edit.take().and_then(|held| held.cluster);
        if let Some(cluster) = cluster {
            events.extend(self.put_in_force(cluster, newest));
        } else {
            self.set_edits(Edits::Free);
            self.call_all();
        }
        Ok(events)
    }

    fn put_in_force(&mut self, cluster: Arc<Cluster>, hash: &str) -> Vec<Event> {
        if self.edits == Edits::Held {
            self.edits = Edits::Free;
        }
        (self.held_edit, self.undrained) = (None, None);
        hash.clone_into(&mut self.file);
        self.server.set_limit(cluster.bind.max_in_flight);
        self.queue.set_connections(cluster.bind.connections);
        self.settling.edited(&self.cluster, &cluster);
        self.layout = Layout::new(&cluster);
        self.standings = Standings::new(&cluster, &self.health, &self.settling);
        self.cluster = cluster;
        self.shortages = desired::still_short(&self.shortages, &self.cluster, &self.layout, &self.standings);
        self.match_zones();
        self.tell_shortages()
    }

    /// The size of an edit: how many of the `RRsets` that we published it would change or delete. Without a file before
    /// it, all that the zones hold and it does not say.
    fn edit_size(&self, now: Instant, cluster: &Cluster, before: Option<&Layout>) -> (usize, usize) {
        let layout = Layout::new(cluster);
        let standings = Standings::new(cluster, &self.health, &self.settling);
        let sizes = self.zones.iter().map(|(name, zone)| {
            let elsewhere = |target: &OwnerName| self.is_target_elsewhere(name, target);
            let turn = self.turn(now, name, &elsewhere);
            let edited = Turn { cluster, layout: layout.zones.get(name), standings: &standings, ..turn };
            zone.edit_size(edited, before.map(|_| turn))
        });
        sizes.fold((0, 0), |(owned, changed), (o, c)| (owned + o, changed + c))
    }

    /// An edit that is too large to be taken as it is; `None`: it is not.
    fn too_much(&self, now: Instant, cluster: &Arc<Cluster>, hash: &str) -> Option<HeldEdit> {
        let is_in_force = Arc::ptr_eq(cluster, &self.cluster);
        // What a file that is held itself leaves out has not been let through.
        let is_after_another = !is_in_force && self.edits == Edits::Free;
        let (owned, changed) = self.edit_size(now, cluster, is_after_another.then_some(&self.layout));
        let most = cluster.safety.max_change;
        if owned < FEW || changed * 100 <= owned * usize::from(most) {
            return None;
        }
        let id = short(hash);
        let unasked = self.unasked();
        let goes = |node: &NodeName| !cluster.nodes.contains_key(node);
        let leaves = if is_in_force { !unasked.is_empty() } else { self.cluster.nodes.keys().any(goes) };
        let advice = if leaves { "; a node is drained first, then removed" } else { "" };
        let unasked = match unasked.is_empty() {
            true => String::new(),
            // `rotad plan` prints this as well, and cannot know what a daemon with another file asks.
            false if is_in_force => {
                format!("; published, but not checked, for no node of this file has them: {}", list(unasked))
            }
            false => {
                format!("; published and asked by nobody, for no node of the file in force has them: {}", list(unasked))
            }
        };
        let words = format!(
            "this edit would change or delete {changed} of {owned} published RRsets, more than max_change ({most}%): see \
             `rotad plan`, then take it back, or let it through by `rotad accept {id}`{advice}{unasked}"
        );
        let cluster = (!is_in_force).then(|| Arc::clone(cluster));
        Some(HeldEdit { id, changed, owned, since: now, words, cluster })
    }

    /// Addresses and exchanges that are published and are no node's of the file in force: whoever is behind them is not asked,
    /// and they stay whatever becomes of it.
    fn unasked(&self) -> Vec<String> {
        let nodes: BTreeSet<_> = self.cluster.nodes.values().flat_map(|node| &node.addresses).copied().collect();
        let (mut addresses, mut exchanges) = (BTreeSet::new(), BTreeSet::new());
        for (id, data) in self.zones.values().flat_map(|zone| &zone.memory().owned) {
            let mut known = None;
            for rdata in data {
                match rdata {
                    Rdata::A(v4) => drop(addresses.insert(IpAddr::from(*v4))),
                    Rdata::Aaaa(v6) => drop(addresses.insert(IpAddr::from(*v6))),
                    Rdata::Mx { exchange, .. } => {
                        let all = || layout::all_exchanges(&self.cluster, &id.owner).collect::<BTreeSet<_>>();
                        if !known.get_or_insert_with(all).contains(exchange) {
                            exchanges.insert(exchange);
                        }
                    }
                    Rdata::Cname(_) => {}
                }
            }
        }
        let addresses = addresses.difference(&nodes).map(ToString::to_string);
        addresses.chain(exchanges.into_iter().map(ToString::to_string)).collect()
    }

    /// The first look at the zones: was the file edited beyond measure while nobody watched?
    pub(super) fn judge(&mut self, now: Instant) -> Option<Event> {
        self.held_edit = if self.was_let_through() { None } else { self.too_much(now, &self.cluster, &self.file) };
        self.set_edits(if self.held_edit.is_some() { Edits::Held } else { Edits::Free });
        let words = &self.held_edit.as_ref()?.words;
        Some(Event::new(
            Kind::TooMuchChange,
            format!("{words}; until then only the health of the members that it keeps is followed"),
        ))
    }
}

/// What an edit is called by.
fn short(hash: &str) -> String {
    hash.chars().take(ID).collect()
}
