//! Whether it is the nodes that went down, or we that went blind.
//!
//! When every node goes down at once, our own network is the likelier cause, and taking them out of DNS would make an
//! outage of what is none. They do not go down in the same instant, though: each is asked in its own time. Hence two
//! levels of suspicion:
//!
//! ```text
//!   a target goes down, and since      +-----------+   blind_share of the nodes are down,   +-------+
//!   its first failure fewer nodes have |           |   at least two                         |       |
//!   been heard than would rule it out  |  suspect  | -------------------------------------> | blind |
//!   ---------------------------------> |           |                                        |       |
//!                                      +-----------+                                        +-------+
//!           down  <------- others are heard, |            nodes are back, or the references     |
//!                          or a reference    |            answer, for as long as a return takes v
//!            up   <--------------------------+--------------------------------------->  down, or up
//! ```
//!
//! - A start, and a gap in which we stood still, are no different: who has not been asked yet counts as up.
//! - A suspect keeps its place in DNS. That lasts a moment as a rule: until another node answers.
//! - While we are blind, nothing is written at all, but for `all_down: all`, which publishes every node. It ends when the
//!   nodes or the references have been back for as long as every node needs to show that it is well; who is down then is
//!   down.
//! - Without references, any node that answers stands in for them. If none does, we stay blind: what `all_down` says
//!   of a set without healthy nodes is the same either way.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::{
    check::{Outcome, Target},
    cluster::{AdminState, AllDown, Cluster, NodeName},
    event::{Event, Kind},
    health::{Health, State},
    text,
};

#[cfg(test)]
mod tests;

/// The smallest number of nodes that can make us suspect ourselves.
const FEW: usize = 2;

/// What a suspicion is judged by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Percent of the nodes that must go down.
    pub share: u8,
    /// How near to each other.
    pub within: Duration,
    /// How long a node that is well may need to show it.
    pub longest_return: Duration,
    /// Whether there is anything but the nodes that could answer.
    pub has_references: bool,
    /// Whether every node is published where nobody is healthy: `all_down: all`.
    pub publishes_all: bool,
}

impl Rules {
    /// Those of a file.
    #[must_use]
    pub fn new(cluster: &Cluster, has_references: bool) -> Self {
        let returns = cluster.checks.values().map(|check| check.timing.longest_return());
        Self {
            share: cluster.safety.blind_share,
            within: cluster.safety.blind_within,
            longest_return: returns.max().unwrap_or_default(),
            has_references,
            publishes_all: cluster.safety.all_down == AllDown::All,
        }
    }

    /// Whether so many of all nodes are enough to suspect ourselves.
    const fn are_met(&self, some: usize, all: usize) -> bool {
        some >= FEW && some * 100 >= all * self.share as usize
    }
}

/// What is suspected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blind {
    suspects: BTreeSet<Target>,
    /// Since when we are blind; `None`: we are not.
    since: Option<Instant>,
    /// The nodes that were watched then: one that an edit adds may well be in another network.
    nodes: BTreeSet<NodeName>,
    /// Since when the references answer or enough nodes are back.
    back_since: Option<Instant>,
    /// When a reference was asked that answered.
    referred_at: Option<Instant>,
    /// What began to fail up to here is not suspected any more.
    settled: Option<Instant>,
}

/// One node, all its targets together.
#[derive(Debug, Default)]
struct Seen<'a> {
    node: Option<&'a NodeName>,
    is_well: bool,
    heard: Option<Instant>,
    fell: Option<Instant>,
    is_suspect: bool,
}

impl Blind {
    /// The targets that are down, but keep their place.
    #[must_use]
    pub const fn suspects(&self) -> &BTreeSet<Target> {
        &self.suspects
    }

    /// Whether we take ourselves for blind.
    #[must_use]
    pub const fn is_blind(&self) -> bool {
        self.since.is_some()
    }

    /// Whether something is suspected: it is to be judged again soon.
    #[must_use]
    pub fn is_suspicious(&self) -> bool {
        self.is_blind() || !self.suspects.is_empty()
    }

    /// The suspects after an edit, some of which may be asked something else now.
    pub fn follow(&mut self, suspects: BTreeSet<Target>) {
        if self.is_blind() {
            self.nodes.extend(suspects.iter().map(|target| target.node.clone()));
        }
        self.suspects = suspects;
    }

    /// All references answered a question that was asked then.
    pub fn referred(&mut self, asked_at: Instant) {
        self.referred_at = self.referred_at.max(Some(asked_at));
    }

    /// Judges anew, by the health of all targets in order; what is to be told.
    pub fn judge<'a>(
        &mut self,
        now: Instant,
        rules: &Rules,
        targets: impl Iterator<Item = (&'a Target, &'a Health)> + Clone,
    ) -> Option<Event> {
        if self.since.is_none() {
            self.settled = self.settled.max(self.referred_at);
        }
        let nodes = self.nodes(targets.clone());
        // While we are blind, who is asked something else by an edit is as suspect as it was.
        let is_open =
            |target: &Target, health: &Health| self.is_blind() && is_on_trial(health) && self.suspects.contains(target);
        let fell_now = |at: Option<Instant>| at.is_some_and(|at| now.saturating_duration_since(at) <= rules.within);
        // Those that were up when it began.
        let counts = |node: &Seen<'_>| !self.is_blind() || node.node.is_some_and(|node| self.nodes.contains(node));
        let base = nodes.iter().filter(|node| node.is_well || node.is_suspect || fell_now(node.fell));
        let base: Vec<_> = base.filter(|node| counts(node)).collect();
        let down = base.iter().filter(|node| !node.is_well).count();
        let candidates = targets.filter(|(target, health)| {
            let may_be = self.suspects.contains(target) || fell_now(health.fell);
            health.state == State::Down && may_be && self.failing(health).is_some() || is_open(target, health)
        });
        let heard_before = |at| base.iter().filter(|node| node.heard.is_none_or(|heard| heard < at)).count();
        let is_met = rules.are_met(down, base.len());
        let was_blind = self.is_blind();
        let suspects: BTreeSet<_> = candidates
            .filter(|(_, health): &(&Target, &Health)| {
                let silent = || self.failing(health).map_or(0, heard_before);
                was_blind || is_met || rules.are_met(silent(), base.len())
            })
            .map(|(target, _)| target.clone())
            .collect();
        self.suspects = suspects;
        match self.since {
            None if is_met && !self.suspects.is_empty() => {
                let begun = begins(down, base.len(), rules);
                (self.since, self.back_since) = (Some(now), None);
                self.nodes = nodes.iter().filter_map(|seen| seen.node.cloned()).collect();
                Some(begun)
            }
            None => None,
            Some(since) => {
                let enough = if rules.has_references { !is_met } else { down < base.len() };
                self.is_over(now, since, enough, rules).then(|| self.end(now, since))
            }
        }
    }

    /// When a target began to fail, if that is not settled.
    fn failing(&self, health: &Health) -> Option<Instant> {
        health.failing_since.filter(|at| self.settled.is_none_or(|settled| *at > settled))
    }

    fn nodes<'a>(&self, targets: impl Iterator<Item = (&'a Target, &'a Health)>) -> Vec<Seen<'a>> {
        let mut nodes: Vec<Seen<'_>> = Vec::new();
        for (target, health) in targets {
            if nodes.last().and_then(|seen| seen.node) != Some(&target.node) {
                nodes.push(Seen { node: Some(&target.node), ..Seen::default() });
            }
            let Some(seen) = nodes.last_mut() else { continue };
            // Who asks to be out is heard, and no victim of our network. Who was well when an edit asked something else of
            // it, or when nobody watched, is taken for well until it has answered, or cannot be asked.
            let was_well = health.trial.is_some_and(|trial| trial.was_well);
            let cannot_be_asked = matches!(health.last, Some(Outcome::Unknown(_)));
            let is_new = was_well && is_on_trial(health) && !cannot_be_asked && !self.suspects.contains(target);
            seen.is_well |= health.is_well() || health.wish != AdminState::Ready || is_new;
            seen.heard = seen.heard.max(health.passed_at);
            seen.is_suspect |= self.suspects.contains(target);
            if health.state == State::Down && self.failing(health).is_some() {
                seen.fell = seen.fell.max(health.fell);
            }
        }
        nodes
    }

    /// Whether what made us doubt ourselves has been gone for long enough.
    fn is_over(&mut self, now: Instant, since: Instant, enough: bool, rules: &Rules) -> bool {
        let has_answer = self.referred_at.is_some_and(|asked| asked > since);
        if self.suspects.is_empty() {
            return true;
        }
        if !enough && !has_answer {
            self.back_since = None;
            return false;
        }
        let back_since = *self.back_since.get_or_insert(now);
        now.saturating_duration_since(back_since) >= rules.longest_return
    }

    fn end(&mut self, now: Instant, since: Instant) -> Event {
        let nodes: BTreeSet<_> = self.suspects.iter().map(|target| target.node.as_str()).collect();
        let rest = match nodes.len() {
            0 => "no node is down any more".to_owned(),
            _ => format!("still down, and taken for it: {}", Vec::from_iter(nodes).join(", ")),
        };
        let lasted = text::age(now.saturating_duration_since(since));
        *self = Self { settled: Some(now), ..Self::default() };
        Event::new(Kind::BlindOver, format!("no longer blind, after {lasted}: {rest}")).reason(rest)
    }
}

/// Whether what is asked is new, and nothing is decided.
fn is_on_trial(health: &Health) -> bool {
    health.state == State::Unknown && health.trial.is_some()
}

fn begins(down: usize, all: usize, rules: &Rules) -> Event {
    let reason = format!("{down} of {all} nodes went down within {}", humantime::format_duration(rules.within));
    let until = if rules.has_references { "the references answer or nodes return" } else { "nodes return" };
    let then = if rules.publishes_all { "nobody is taken out" } else { "nothing is written" };
    let words = format!("blind: {reason}, which is more likely our own network: {then} until {until}");
    Event::new(Kind::Blind, words).reason(reason)
}
