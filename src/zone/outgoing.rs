//! The last look at a message before it goes out.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Turn, Wish, Zone, guard::Attempt};
use crate::{
    checker::{Checked, Evidence, Violation},
    desired::Recipe,
    dns::RrsetId,
    event::{Event, Kind},
    status::ZoneState,
    update::{GenerationRrset, Update},
};

/// Before a message that did not pass is made anew: nothing but a restart or another zone content changes it.
const AGAIN: Duration = Duration::from_mins(1);

impl Zone {
    /// The message of an update, if it passes the check.
    pub(super) fn checked(
        &self,
        turn: Turn<'_>,
        recipes: &BTreeMap<RrsetId, Recipe>,
        attempt: &Attempt,
        update: Update,
    ) -> Result<Checked, Violation> {
        let seen = self.seen.as_ref().ok_or_else(|| Violation::Form("the zone has not been read".to_owned()))?;
        let guard = match &attempt.guard {
            GenerationRrset::Absent => None,
            GenerationRrset::Present { raw, .. } => Some(raw),
        };
        Checked::new(
            update,
            Evidence {
                zone: &self.name,
                cluster: turn.cluster,
                writer: (&turn.me.cluster, &turn.me.owner),
                guard,
                held: &self.published(turn.me, seen, attempt),
                is_given: &|id| recipes.contains_key(id),
                ours: &|id| {
                    let wished = || Some(&self.memory.left_over.get(id).filter(|_| self.wishes.contains_key(id))?.data);
                    self.memory.owned.get(id).or_else(wished)
                },
                comes_back: &|id, rdata| {
                    let restored = self.wishes.get(id) == Some(&Wish::Restore);
                    restored && self.memory.left_over.get(id).is_some_and(|left| left.missing.contains(rdata))
                },
                may_end: self.is_ending(turn),
                is_adopted: &|id| self.adopt || self.adopted.contains(id),
                is_hidden: &|name| seen.hidden.contains_key(name),
                is_target_elsewhere: turn.is_target_elsewhere,
            },
        )
    }

    /// A message was not sent, because it did not pass the check. The zone is read before another one is made.
    pub(super) fn stopped(&mut self, now: Instant, violation: &Violation) -> Vec<Event> {
        self.lose_sight();
        self.wake_at = Some(now + AGAIN);
        let words = format!(
            "a message was not sent, for {violation}: this is a fault of rotad, DNS stays as it is; please report it with \
             the journal and `rotad plan`"
        );
        let mut events = self.enter(ZoneState::Failing, Some(words), None);
        for event in &mut events {
            event.kind = Kind::MessageStopped;
        }
        events
    }
}
