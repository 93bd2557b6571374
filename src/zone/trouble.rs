//! What BIND refuses or ignores, and how the guilty name is found.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use crate::{
    dns::{RrType, Rrset, RrsetId},
    plan::{Change, Plan},
    update,
};

/// A change that BIND refused or ignored.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) words: String,
    pub(super) tries: u32,
    pub(super) until: Instant,
    /// What BIND let stand, and what it should have become.
    pub(super) change: (Option<Rrset>, Option<Rrset>),
    /// Ignored for data of strangers at the name, which nobody sees: the zone is none the worse.
    pub(super) is_foreign: bool,
    /// Refused, not ignored: an ignored change is tried at once when it would be another one.
    pub(super) is_refused: bool,
}

impl Trouble {
    /// Whether it is about this very change.
    pub(super) fn is_of(&self, change: &Change) -> bool {
        (&self.change.0, &self.change.1) == (&change.before, &change.after)
    }
}

/// How much of a plan goes into a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Portion {
    /// The whole plan.
    Whole,
    /// The generation record alone: is it the zone that BIND refuses, or some name?
    Record,
    /// So many parts.
    Parts(usize),
}

impl Portion {
    /// The changes of a plan that go into the next message: a first part of them in safe order. What takes the place of
    /// something deleted at the same name goes with it, or the name would be bare if that is refused.
    pub(super) fn of(self, changes: Vec<Change>) -> Vec<Change> {
        let many = match self {
            Self::Whole => return changes,
            Self::Record => 0,
            Self::Parts(many) => many,
        };
        let mut changes = update::in_safe_order(changes);
        let later = changes.split_off(many.min(changes.len()));
        let bare: BTreeSet<_> = changes.iter().filter(|c| c.after.is_none()).map(|c| c.id.owner.clone()).collect();
        // And what else goes there, for an alias stands beside nothing.
        let instead = |c: &Change| (c.after.is_none() || c.id.rtype != RrType::Mx) && bare.contains(&c.id.owner);
        changes.extend(later.into_iter().filter(instead));
        changes
    }

    /// The record alone was accepted: some name is to blame. A part was accepted: the rest may be too.
    pub(super) const fn after_success(self) -> Self {
        match self {
            Self::Whole => Self::Whole,
            Self::Record => Self::Parts(usize::MAX),
            Self::Parts(many) => Self::Parts(many),
        }
    }
}

/// Leaves out what BIND refused or ignored until it is time to try again.
pub(super) fn skip_troubles(troubles: &mut BTreeMap<RrsetId, Trouble>, now: Instant, plan: &mut Plan) {
    let is_planned = |id: &RrsetId| plan.changes.iter().any(|change| change.id == *id);
    // What was refused together with a deletion that is not needed any more is another message now.
    let gone = troubles.iter().filter(|(id, trouble)| trouble.change.1.is_none() && !is_planned(id));
    let gone: BTreeSet<_> = gone.map(|(id, _)| id.owner.clone()).collect();
    troubles.retain(|id, _| is_planned(id) && !gone.contains(&id.owner));
    plan.changes.retain(|change| {
        troubles
            .get(&change.id)
            .is_none_or(|trouble| now >= trouble.until || !(trouble.is_refused || trouble.is_of(change)))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rota::model::{id, rrset};

    #[test]
    fn what_takes_the_place_of_addresses_comes_with_the_end_of_all_of_them() {
        let change = |name: &str, before: &str, after: &str| {
            let id = id(name);
            let set = |text: &str| (text != "-").then(|| rrset(id.rtype, text));
            Change { before: set(before), after: set(after), id: id.clone() }
        };
        let all = vec![
            change("imap.a.test A", "60 192.0.2.10", "60 192.0.2.11"),
            change("pop.a.test A", "60 192.0.2.10", "-"),
            change("pop.a.test AAAA", "60 2001:db8::1", "-"),
            change("pop.a.test MX", "60 10:mx.a.test", "-"),
            change("pop.a.test CNAME", "-", "60 imap.a.test"),
        ];
        for many in 1..=all.len() {
            let part = Portion::Parts(many).of(all.clone());
            let of_pop = part.iter().filter(|change| change.id.owner.as_str() == "pop.a.test").count();
            assert!(of_pop == 0 || of_pop == 4, "{many}: {part:?}");
            assert!(part.len() >= many.min(all.len()));
        }
    }
}
