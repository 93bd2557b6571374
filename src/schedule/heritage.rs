//! What an edit hands on to targets that it makes or changes: health where the same is asked, and otherwise that the
//! node did its work, or was suspected.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Watched, first_due};
use crate::{
    blind::Blind,
    check::{Check, Target},
    cluster::NodeName,
    health::{Health, Trial},
};

#[cfg(test)]
mod tests;

/// The targets of before an edit.
pub(super) struct Heritage<'a> {
    by_address: BTreeMap<IpAddr, Vec<&'a Watched>>,
    by_node: BTreeMap<&'a NodeName, Vec<&'a Watched>>,
    /// The targets of after it.
    after: BTreeSet<Target>,
}

impl<'a> Heritage<'a> {
    pub(super) fn new(before: &'a [Watched], after: BTreeSet<Target>) -> Self {
        let mut heritage = Self { by_address: BTreeMap::new(), by_node: BTreeMap::new(), after };
        for old in before {
            heritage.by_address.entry(old.target.address).or_default().push(old);
            heritage.by_node.entry(&old.target.node).or_default().push(old);
        }
        heritage
    }

    /// Gives a target that has just begun what it inherits; whether it is suspected as one before it was.
    pub(super) fn pass_on(&self, blind: &Blind, begun: Watched, now: Instant, settle: Duration) -> (Watched, bool) {
        let is_suspect = |old: &Watched| blind.suspects().contains(&old.target);
        let is_alike = |old: &Watched| old.check.asks_like(&begun.check, old.target.node == begun.target.node);
        if let Some(old) = self.at(&begun.target).iter().find(|old| is_alike(old)) {
            let is_as_before = old.check.timing == begun.check.timing;
            let health = if is_as_before { Arc::clone(&old.health) } else { on_trial(&old.health, now, settle) };
            return (Watched { health, ..begun }, is_suspect(old));
        }
        let of_node = || self.at(&begun.target).iter().chain(self.of(&begun.target.node)).copied();
        let was_suspect = blind.is_blind() && of_node().any(is_suspect);
        let health = Health { trial: Some(trial(of_node(), now, settle)), ..Health::clone(&begun.health) };
        (Watched { health: Arc::new(health), ..begun }, was_suspect)
    }

    /// Whether a target is out of the file now.
    pub(super) fn is_gone(&self, target: &Target) -> bool {
        !self.after.contains(target)
    }

    /// The health of the agents whose place a new one takes: it was asked otherwise, or at an address or by a check that
    /// is gone.
    pub(super) fn wishes(&self, new: &Target) -> impl Iterator<Item = &'a Health> {
        let is_replaced = |old: &&&Watched| old.target == *new || self.is_gone(&old.target);
        self.of(&new.node).iter().filter(is_replaced).map(|old| &*old.health).collect::<Vec<_>>().into_iter()
    }

    /// What was asked of a node.
    fn of(&self, node: &NodeName) -> &[&'a Watched] {
        self.by_node.get(node).map_or(&[], Vec::as_slice)
    }

    /// What was asked at a target's address.
    fn at(&self, target: &Target) -> &[&'a Watched] {
        self.by_address.get(&target.address).map_or(&[], Vec::as_slice)
    }
}

impl Watched {
    /// The same question at other times: the state stays, until answers have confirmed or changed it. The next one
    /// comes no later than it would for a new target.
    pub(super) fn retimed(self, check: &Arc<Check>, now: Instant, settle: Duration) -> Self {
        let due = self.due.map(|due| due.min(first_due(check, now, self.seed)));
        Self {
            health: on_trial(&self.health, now, settle),
            check: Arc::clone(check),
            due,
            nominal: due.unwrap_or(self.nominal),
            ..self
        }
    }

    /// A trial under way is waited for as long as the newest file says.
    pub(super) fn wait_for(&mut self, settle: Duration) {
        let Some(trial) = self.health.trial else { return };
        let until = trial.since.checked_add(settle).unwrap_or(trial.until);
        if until != trial.until
            && let Some(trial) = &mut Arc::make_mut(&mut self.health).trial
        {
            trial.until = until;
        }
    }
}

/// The same state, which is to be confirmed.
fn on_trial(health: &Health, now: Instant, settle: Duration) -> Arc<Health> {
    Arc::new(Health { trial: Some(Trial::new(now, settle, did_its_work(health))), ..health.clone() })
}

/// The trial of a target whose node was asked these before. A node that nobody has watched may have done its work: that
/// all go down together is as suspect at a start as at any other time.
fn trial<'a>(before: impl Iterator<Item = &'a Watched>, now: Instant, settle: Duration) -> Trial {
    let mut before = before.peekable();
    let was_well = before.peek().is_none() || before.any(|old| did_its_work(&old.health));
    Trial::new(now, settle, was_well)
}

fn did_its_work(health: &Health) -> bool {
    health.is_well() || health.trial.is_some_and(|trial| trial.was_well)
}
