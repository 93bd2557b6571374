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
        match (self.overrides.hold(), self.waits_for()) {
            (Some(hold), _) => format!("{what} once the hold is over: {}", hold.words()),
            (None, Some(waits)) => format!("{what} once {waits}"),
            (None, None) => what.to_owned(),
        }
    }

    /// What is waited for before anything is written: `rotad is no longer blind`.
    pub(super) fn waits_for(&self) -> Option<&'static str> {
        let blocked = self.blocked();
        Some(match blocked.first()? {
            Mode::Hold => "`rotad release` lets it write",
            Mode::Starting if !self.first_round_done => "every check has answered",
            _ if blocked.contains(&Mode::Blind) => "rotad is no longer blind",
            _ => "the zones are read",
        })
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
