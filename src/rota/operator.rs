//! What operators ask of the running rota.

use std::time::Duration;

use super::{Reply, Rota};
use crate::{
    control::{Answer, Command},
    event::Event,
    exit::Exit,
    overrides::{Hold, LONGEST_REASON, Overrides},
    status::Clocks,
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

    /// Does what an operator asks: what became of it, and the events to tell.
    pub fn obey(&mut self, command: Command, clocks: Clocks) -> (Reply, Vec<Event>) {
        let (answer, events) = match command {
            // The file is to be looked at first: see the loop.
            Command::Accept { .. } | Command::Reload => (Answer::refused("this is for the running daemon"), Vec::new()),
            Command::Adopt { what } => self.adopt(clocks.now, &what),
            Command::Sync { zones } => {
                return match self.sync(clocks.now, &zones) {
                    Ok(ticket) => (Reply::Later(ticket), Vec::new()),
                    Err(words) => (Reply::Now(Answer::refused(words)), Vec::new()),
                };
            }
            Command::Hold { reason: Some(reason), .. } if reason.len() > LONGEST_REASON => {
                let words = format!("a reason has at most {LONGEST_REASON} octets");
                (Answer::ended(Exit::Usage, words), Vec::new())
            }
            Command::Hold { seconds, by, reason } => {
                let lasting = seconds.map(Duration::from_secs);
                let event = self.overrides.begin(Hold::new(clocks, lasting, by, reason), clocks);
                (Answer::done(event.message.clone()), vec![event])
            }
            Command::Restore { selections } => return self.restore(clocks.now, &selections),
            Command::Withdraw { selection, forget } => return self.withdraw(clocks.now, &selection, forget),
            Command::Release => {
                let event = self.overrides.release().map(|event| self.tell_released(event));
                self.call_all();
                let words = event.as_ref().map_or("nothing was held", |event| &event.message);
                (Answer::done(words), event.into_iter().collect())
            }
        };
        (Reply::Now(answer), events)
    }

    /// That a hold is over, and what follows: there may be other reasons why nothing is written.
    pub(super) fn tell_released(&self, event: Event) -> Event {
        Event { message: format!("{}: {}", event.message, self.once_it_may("writing goes on")), ..event }
    }
}
