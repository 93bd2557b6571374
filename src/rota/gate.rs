//! Whether anything may be written, and every reason why not.

use std::collections::BTreeSet;

use super::{Rota, edits::Edits};
use crate::{cluster::AllDown, dns::OwnerName, status::Mode};

impl Rota {
    /// What rotad is doing on the whole.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.reasons().next().unwrap_or(Mode::Active)
    }

    /// Every reason why nothing is written now.
    #[must_use]
    pub fn blocked(&self) -> Vec<Mode> {
        self.reasons().filter(|reason| *reason != Mode::Blind || !self.may_write_blind()).collect()
    }

    /// What keeps us from our ordinary course, the first that people should know first.
    fn reasons(&self) -> impl Iterator<Item = Mode> {
        let is_starting = !self.first_round_done || self.edits == Edits::Unjudged;
        let reasons = [
            (Mode::Hold, self.overrides.hold().is_some()),
            (Mode::Starting, is_starting),
            (Mode::Blind, self.health.blind),
        ];
        reasons.into_iter().filter_map(|(mode, holds)| holds.then_some(mode))
    }

    /// Whether the zones are written though we are blind: `all_down: all` then publishes every node, and takes none out.
    fn may_write_blind(&self) -> bool {
        let nobody_is_well = || !self.health.targets.values().any(|health| health.is_well());
        self.cluster.safety.all_down == AllDown::All && nobody_is_well()
    }

    /// Whether anything may be written.
    pub(super) fn may_write(&self) -> bool {
        !self.looks_only && self.blocked().is_empty()
    }

    /// `what`, and what it waits for, if it does.
    pub(super) fn once_it_may(&self, what: &str) -> String {
        if let Some(hold) = self.overrides.hold() {
            return format!("{what} once the hold is over: {}", hold.words());
        }
        let blocked = self.blocked();
        if blocked.contains(&Mode::Starting) && !self.first_round_done {
            format!("{what} once every check has answered")
        } else if blocked.contains(&Mode::Blind) {
            format!("{what} once rotad is no longer blind")
        } else {
            what.to_owned()
        }
    }

    /// Why the newest file is not in force, or not wholly.
    #[must_use]
    pub fn refused_edit(&self) -> Option<&str> {
        self.held_edit.as_ref().map(|held| held.words.as_str())
    }

    /// The zones in which a message of ours may still change something.
    #[must_use]
    pub fn may_still_change(&self) -> BTreeSet<&OwnerName> {
        let lost = self.zones.iter().filter(|(_, zone)| zone.has_lost_message()).map(|(name, _)| name);
        self.writing.iter().chain(lost).collect()
    }
}
