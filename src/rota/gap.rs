//! After a time in which the process stood still.

use std::{sync::Arc, time::Duration};

use super::Rota;
use crate::{
    event::{Event, Kind},
    settling::Settling,
    standings::Standings,
    status::Clocks,
    text,
};

#[cfg(test)]
mod tests;

impl Rota {
    /// The loop stood still, for the time with this number: all that was observed is stale, and so is every plan made
    /// of it. As at the start, nothing is written before the zones were read and every check has answered.
    pub fn stood_still(&mut self, clocks: Clocks, number: u64, lasted: Duration) -> Event {
        self.gaps = number;
        self.overrides.stood_still(clocks);
        self.health = Arc::default();
        self.settling = Settling::all(&self.cluster);
        self.standings = Standings::new(self.deciding(), &self.health, &self.settling);
        self.round_began = clocks.now;
        self.first_round_done = false;
        self.stale = self.queue.busy().cloned().collect();
        for (_, zone) in self.zones.iter_mut().filter(|(name, _)| !self.queue.is_busy(name)) {
            self.tally.remove(zone);
            zone.forget();
            self.tally.add(zone);
        }
        self.call_all();
        let words = format!(
            "rotad stood still for {} (suspended, or stopped by a signal): all that it saw before is stale, and nothing \
             is written before every check has answered again",
            text::age(lasted)
        );
        Event::new(Kind::Gap, words)
    }
}
