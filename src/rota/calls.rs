//! Who gets a turn: at once, at a time of its own, or never again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Rota, queue::Urgency};
use crate::{dns::OwnerName, zone::Zone};

/// How often every zone is looked at because BIND ended a connection.
const BROKE_EVERY: Duration = Duration::from_secs(30);

impl Rota {
    /// Gives every zone of the file a place, and every zone a turn.
    pub(super) fn match_zones(&mut self) {
        let missing: Vec<_> =
            self.layout.zones.keys().filter(|name| !self.zones.contains_key(*name)).cloned().collect();
        for name in missing {
            self.revision += 1;
            self.put(Zone::new(name.clone(), Arc::default()), name);
        }
        self.call_all();
    }

    /// Gives every zone a turn, whatever it waits for.
    pub fn call_all(&mut self) {
        let names: Vec<_> = self.zones.keys().cloned().collect();
        for name in &names {
            self.call(name);
        }
    }

    /// Has every zone read at its next turn, whatever is believed of it, and what is wrong there repaired.
    pub fn read_all(&mut self) {
        for zone in self.zones.values_mut() {
            zone.read_anew();
        }
        self.call_all();
    }

    /// Has the serial of every zone looked at, at its next turn: BIND may have been away, and come back with less.
    pub fn look_anew(&mut self) {
        for zone in self.zones.values_mut() {
            zone.look_anew();
        }
        self.call_all();
    }

    /// BIND ended a connection: it may have been restarted. One that ends them all the time is not asked all the time.
    pub fn connection_broke(&mut self, now: Instant) {
        if self.broke_at.is_none_or(|at| now >= at + BROKE_EVERY) {
            self.broke_at = Some(now);
            self.look_anew();
        }
    }

    /// Gives a zone a turn, for something has changed.
    pub(super) fn call(&mut self, name: &OwnerName) {
        if let Some(zone) = self.zones.get_mut(name) {
            zone.stir();
        }
        self.queue(name);
    }

    /// Puts a zone into the queue. One that has a step under way gets its turn when that is done.
    pub(super) fn queue(&mut self, name: &OwnerName) {
        if self.queue.is_busy(name) {
            return;
        }
        let has_clients = self.layout.zones.get(name).is_some_and(|zone| zone.has_client_names);
        let urgency = match self.zones.get(name) {
            Some(zone) if zone.has_something_to_read_back() => Urgency::ReadBack,
            _ if has_clients => Urgency::Clients,
            _ => Urgency::Exchanges,
        };
        self.queue.call(urgency, name.clone());
    }

    /// A zone has nothing to do now. One that is out of the file, and cleaned up, is forgotten.
    pub(super) fn put_down(&mut self, name: &OwnerName) {
        let Some(zone) = self.zones.get(name) else { return };
        if zone.waits_for_others() {
            self.waiting.insert(name.clone());
        }
        if zone.is_empty() && !self.layout.zones.contains_key(name) {
            self.revision += 1;
            self.tally.remove(zone);
            self.zones.remove(name);
            self.set_alarm(name, None);
        } else {
            let at = zone.wake_at();
            self.set_alarm(name, at);
        }
    }

    pub(super) fn set_alarm(&mut self, name: &OwnerName, at: Option<Instant>) {
        let is_at_rest = self.zones.get(name).is_some_and(Zone::is_at_rest);
        self.alarms.set(name, at, is_at_rest);
    }
}
