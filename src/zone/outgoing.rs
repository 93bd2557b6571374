//! The last look at a message before it goes out.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Portion, READ_EVERY, Trouble, Turn, Wish, Zone, guard::Attempt};
use crate::{
    checker::{Checked, Evidence, Violation},
    desired::Recipe,
    dns::RrsetId,
    event::{Event, Kind},
    plan::Change,
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
        let held = self.published(turn.me, seen, attempt);
        Checked::new(
            update,
            Evidence {
                zone: &self.name,
                cluster: turn.cluster,
                writer: (&turn.me.cluster, &turn.me.owner),
                guard,
                held: &held,
                is_certain: attempt.exact,
                is_given: &|id| recipes.contains_key(id),
                ours: &|id| {
                    let wished = || Some(&self.memory.left_over.get(id).filter(|_| self.wishes.contains_key(id))?.data);
                    self.memory.owned.get(id).or_else(wished).or_else(|| self.sent_to(id, &held))
                },
                comes_back: &|id, rdata| {
                    let restored = self.wishes.get(id) == Some(&Wish::Restore);
                    restored && self.memory.left_over.get(id).is_some_and(|left| left.missing.contains(rdata))
                },
                may_end: self.is_ending(turn),
                takes_over: self.adopt,
                is_adopted: &|id| self.adopted.contains(id) || (self.adopt && recipes.contains_key(id)),
                is_hidden: &|name| seen.hidden.contains_key(name),
                is_target_elsewhere: turn.is_target_elsewhere,
            },
        )
    }

    /// A message was not sent, because it did not pass the check. What it did not pass for is left out of the messages
    /// that follow; where that is the message as a whole, the zone is read before another one is made.
    pub(super) fn stopped(&mut self, now: Instant, violation: &Violation, changes: Vec<Change>) -> Vec<Event> {
        let words = format!(
            "a message was not sent, for {violation}: this is a fault of rotad, DNS stays as it is; please report it with \
             the journal and `rotad plan`"
        );
        let event = Event::new(Kind::MessageStopped, format!("{}: {words}", self.name)).zone(&self.name);
        let event = event.reason(violation.to_string());
        self.portion = Portion::Whole;
        let is_guilty = |change: &Change| Some(&change.id.owner) == violation.owner();
        let guilty: Vec<_> = changes.into_iter().filter(is_guilty).collect();
        if guilty.is_empty() {
            self.lose_sight();
            self.wake_at = Some(now + AGAIN);
            let events = self.enter(ZoneState::Failing, Some(words), None);
            return if events.is_empty() { events } else { vec![event] };
        }
        self.wake_at = Some(now);
        for change in guilty {
            let (id, change) = (change.id, (change.before, change.after));
            let words = format!("{id}: {words}");
            self.troubles.insert(
                id,
                Trouble { words, tries: 1, until: now + READ_EVERY, change, is_foreign: false, is_refused: true },
            );
        }
        vec![event]
    }
}
