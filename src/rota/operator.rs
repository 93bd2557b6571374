//! What operators ask of the running rota.

use std::time::Duration;

use super::Rota;
use crate::{
    control::{Answer, Command},
    dns::OwnerName,
    event::{Event, Kind},
    overrides::{Hold, Overrides},
    status::{Clocks, Mode, ZoneState},
};

#[cfg(test)]
mod tests;

impl Rota {
    /// The same with what operators have set.
    #[must_use]
    pub fn with_overrides(self, overrides: Overrides) -> Self {
        Self { overrides, ..self }
    }

    /// What operators have set.
    #[must_use]
    pub const fn overrides(&self) -> &Overrides {
        &self.overrides
    }

    /// Does what an operator asks: what became of it, and the event to tell. Without an event nothing was changed.
    pub fn obey(&mut self, command: Command, clocks: Clocks) -> (Answer, Option<Event>) {
        match command {
            Command::Adopt { zone } => match self.adopt(&zone) {
                Ok(event) => (Answer::done(format!("{}{}", event.message, self.when())), Some(event)),
                Err(words) => (Answer::refused(words), None),
            },
            Command::Hold { seconds, by, reason } => {
                let lasting = seconds.map(Duration::from_secs);
                let event = self.overrides.begin(Hold::new(clocks, lasting, by, reason), clocks);
                (Answer::done(event.message.clone()), Some(event))
            }
            Command::Release => {
                let event = self.overrides.release();
                self.call_all();
                let words = event.as_ref().map_or("nothing was held", |event| &event.message);
                (Answer::done(words), event)
            }
        }
    }

    /// Takes a zone over at its next turn, by compare-and-swap on the record as it was read.
    fn adopt(&mut self, name: &str) -> Result<Event, String> {
        let name = OwnerName::parse(name).map_err(|error| format!("{name:?} is no zone: {error}"))?;
        let Some(zone) = self.zones.get_mut(&name) else {
            return Err(format!("{name} is no zone of the file in force; `rotad status --json` lists them"));
        };
        let state = zone.state();
        if !matches!(state, ZoneState::Foreign | ZoneState::Standby) {
            return Err(format!(
                "{name} is {}, and there is nothing to take over: only a foreign or standby zone is",
                state.as_str()
            ));
        }
        zone.adopt();
        self.call(&name);
        let words = format!("{name}: is taken over, was {}", state.as_str());
        Ok(Event::new(Kind::ZoneAdopted, words).zone(&name))
    }

    /// When that will be, if not at once.
    fn when(&self) -> &'static str {
        match self.mode() {
            Mode::Active => "",
            Mode::Hold => ", once `rotad release` lets it write",
            Mode::Starting | Mode::Blind => ", once every check has answered",
        }
    }
}
