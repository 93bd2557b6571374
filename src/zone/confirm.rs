//! What a reading shows of our messages: what is there is told, what BIND has ignored is noted, and what somebody has made
//! of it since is put back.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    READ_EVERY, SERIAL_EVERY, Sent, Trouble, Turn, Zone, drift::is_put_back, hidden::Hidden, pending::View, words,
};
use crate::{
    dns::{OwnerName, RrType, Rrset, RrsetId},
    event::{Event, Kind},
    plan::{self, Change, Rrsets},
    update::Reading,
};

/// What a reading shows of a message that BIND has acknowledged.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) rrsets: &'a Rrsets,
    pub(super) others: &'a BTreeMap<OwnerName, String>,
    pub(super) hidden: &'a Hidden,
    /// Whether nobody else has changed the zone until it was read.
    pub(super) is_ours_alone: bool,
    /// Whether BIND has acknowledged it. The record of one without an answer may be that of a copy of this machine.
    pub(super) is_acknowledged: bool,
}

impl Zone {
    /// NOERROR is not "applied" (measured): what was changed is read, and only then told.
    pub(super) fn read_back(&mut self, turn: Turn<'_>, reading: Reading) -> Vec<Event> {
        let generation = match self.pending.view(&reading.generation, turn.me) {
            View::Behind => return self.is_shown_late(turn.now),
            View::UpTo(generation) => generation,
            // Somebody wrote after us: the whole reading tells who, and what is left of ours.
            View::Other => {
                self.lose_sight();
                return Vec::new();
            }
        };
        let names = std::mem::take(&mut self.asked);
        let ours: BTreeSet<_> = self.pending.changes().map(|change| change.id.clone()).collect();
        let (Some(sent), Some(seen)) = (self.pending.take_up_to(generation), &mut self.seen) else { return Vec::new() };
        let is_ours_alone = reading.soa.serial == seen.serial.wrapping_add(sent.steps);
        if !is_ours_alone {
            // A hand edit beside our message, perhaps: the serial will not tell of it again. Or BIND takes the date for
            // the serial, or signs; so it is the next look that reads, not this one.
            self.reread_at.get_or_insert(turn.now + SERIAL_EVERY);
        }
        seen.serial = reading.soa.serial;
        seen.hidden.retain(|name, _| !names.contains(name));
        seen.hidden.extend(reading.blocked.clone());
        seen.others.retain(|name, _| !names.contains(name));
        seen.others.extend(reading.others.clone());
        // What stands in the way of ours counts at once, or ours would be sent again.
        let is_about_ours = |id: &RrsetId| ours.contains(id) || plan::in_the_way(id).any(|other| ours.contains(&other));
        let beside = |id: &RrsetId| names.contains(&id.owner) && !is_about_ours(id);
        let mut published = reading.rrsets;
        let is_other = seen.rrsets.iter().any(|(id, set)| beside(id) && published.get(id) != Some(set))
            || published.keys().any(|id| beside(id) && !seen.rrsets.contains_key(id));
        if is_other {
            // What is not ours to tell of here is told by the whole reading.
            self.read_at = None;
        }
        published.retain(|id, _| !beside(id));
        published
            .extend(seen.rrsets.iter().filter(|(id, _)| !is_about_ours(id)).map(|(id, set)| (id.clone(), set.clone())));
        let found = published.clone();
        self.pending.apply(self.memory.ttl_limit, &mut published);
        seen.rrsets = published;
        self.polled_at = Some(turn.now);
        let (others, hidden) = (&reading.others, &reading.blocked);
        self.confirm(turn, sent, Found { rrsets: &found, others, hidden, is_ours_alone, is_acknowledged: true })
    }

    /// Tells of the changes of an applied message that are there, and notes those that are not.
    pub(super) fn confirm(&mut self, turn: Turn<'_>, sent: Sent, found: Found<'_>) -> Vec<Event> {
        let Found { rrsets: found, others, hidden, is_ours_alone, is_acknowledged } = found;
        let Sent { changes, why, generation, .. } = sent;
        let learned = self.learn_limit(&changes, found, is_ours_alone);
        let mut events: Vec<_> = learned.event.into_iter().collect();
        let is_there = |change: &Change| {
            found.get(&change.id) == change.after.as_ref() || self.is_there_lowered(change, found, learned.is_doubtful)
        };
        let (there, ignored): (Vec<_>, Vec<_>) = changes.into_iter().zip(why).partition(|(change, _)| is_there(change));
        self.own(there.iter().map(|(change, why)| (change, why.as_ref())));
        for (mut change, why) in there {
            self.troubles.remove(&change.id);
            // With the TTL that BIND let it have.
            change.after = found.get(&change.id).cloned();
            if change.before == change.after {
                continue;
            }
            let words = words::change(&change, why.as_ref());
            let event = Event::new(Kind::Published, format!("{words} (generation {generation})"));
            events.push(event.zone(&self.name).rrset(&change.id).generation(generation));
        }
        // What is hidden may well have been applied.
        for (change, why) in ignored.into_iter().filter(|(change, _)| !hidden.contains_key(&change.id.owner)) {
            if was_edited_since(&change, found) {
                // It was applied, and what somebody made of it since is put back like any edit by hand. What stands where
                // we have deleted ours is theirs.
                self.troubles.remove(&change.id);
                let is_certain = is_acknowledged || self.memory.owned.contains_key(&change.id);
                if is_certain || change.after.is_none() {
                    self.own(std::iter::once((&change, why.as_ref())));
                }
                if is_certain && change.after.is_some() {
                    let sets = (change.after.as_ref(), found.get(&change.id));
                    events.push(self.edited(&change.id, sets, is_put_back(turn)));
                }
                continue;
            }
            let words = words::ignored(&change, found);
            if let Some(event) = self.give_up(&change.id, &words) {
                events.push(event);
                continue;
            }
            let is_alias = change.id.rtype == RrType::Cname;
            if plan::in_the_way(&change.id).any(|id| found.contains_key(&id))
                || is_alias && others.contains_key(&change.id.owner)
            {
                // Somebody was quicker: what is seen in the way is told by what is planned next.
                continue;
            }
            let is_foreign = is_alias && change.after.is_some();
            let change_now = (found.get(&change.id).cloned(), change.after);
            // Where somebody may have taken part of it away since, BIND is asked once more.
            let is_doubtful = !is_ours_alone && change_now.0 != change.before;
            let until = if is_doubtful { turn.now } else { turn.now + READ_EVERY };
            let trouble = Trouble { words, tries: 1, until, change: change_now, is_foreign, is_refused: false };
            self.troubles.insert(change.id, trouble);
        }
        events
    }
}

/// Whether a set is neither what it was before a change nor what BIND can have made of it: somebody edited it after our
/// message. A quota leaves a part of what was sent, and TTLs are only lowered.
fn was_edited_since(Change { id, before, after }: &Change, found: &Rrsets) -> bool {
    let sent = || before.iter().chain(after).flat_map(|set| &set.rdata);
    match found.get(id) {
        Some(found) => {
            let is_raised = |set: &Rrset| found.rdata == set.rdata && found.ttl > set.ttl;
            let is_new = Some(found) != before.as_ref();
            found.rdata.iter().any(|rdata| !sent().any(|sent| sent == rdata))
                || is_new && after.as_ref().is_some_and(is_raised)
        }
        // An alias may have been ignored for what nobody sees.
        None => before.is_some() && after.is_some() && id.rtype != RrType::Cname,
    }
}
