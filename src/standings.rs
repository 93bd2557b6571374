//! How each node stands for each service: the checks of a service folded into one word for each node address.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use crate::{
    check::{Check, Kind, Target},
    cluster::{AdminState, CheckName, Cluster, NodeName, Profile, ProfileId, Service, ServiceName},
    desired::parts::{self, Part},
    health::{Health, HealthView, State},
    settling::{Changed, Settling},
};

#[cfg(test)]
mod tests;

/// How a node stands for a service, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It does its work.
    Up,
    /// Not decided: we cannot ask.
    Unknown,
    /// Not decided yet under the newest file, and waited for.
    Awaited,
    /// Down, but perhaps for a fault of our own: it keeps its place.
    Suspect,
    /// Down, but better than nobody: busy, or held for its flapping.
    Reserve,
    /// Down.
    Down,
}

impl Standing {
    /// The word of the journal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Unknown | Self::Awaited => "unknown",
            Self::Reserve => "in reserve",
            Self::Suspect | Self::Down => "down",
        }
    }

    /// Whether nothing is known of it.
    #[must_use]
    pub const fn is_undecided(self) -> bool {
        matches!(self, Self::Unknown | Self::Awaited)
    }

    fn new(target: &Target, health: &Health, view: &HealthView) -> Self {
        match health.state {
            State::Up => Self::Up,
            State::Unknown if health.trial.is_some() => Self::Awaited,
            State::Unknown => Self::Unknown,
            State::Down if view.suspects.contains(target) => Self::Suspect,
            State::Down if health.is_reserve() => Self::Reserve,
            State::Down => Self::Down,
        }
    }
}

/// How a node's address stands for a service, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stand {
    /// What the checks say that have a say.
    pub standing: Standing,
    /// What the node asks for itself, by its agent.
    pub wish: AdminState,
    /// What decided: the wish if there is one, else the standing.
    pub why: Option<Why>,
}

impl Stand {
    /// A node that nothing is known of.
    const UNKNOWN: Self = Self { standing: Standing::Unknown, wish: AdminState::Ready, why: None };

    /// Whether the same follows from both.
    fn decides_as(&self, other: &Self) -> bool {
        (self.standing, self.wish) == (other.standing, other.wish)
    }
}

/// The check that decided, and its words. Members carry it into every set: it is cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The check.
    pub check: CheckName,
    /// What it found; `None`: nothing yet.
    pub words: Option<Arc<str>>,
}

/// What one check says of an address.
#[derive(Debug, Clone)]
struct Voice {
    standing: Standing,
    wish: AdminState,
    /// An agent that answers no more: it has no say.
    is_silent: bool,
    /// The question is new, and not all whom it is asked of have answered it.
    is_new: bool,
    since: Option<Instant>,
    why: Why,
}

/// Whether a target is an agent that answers no more. Before it had as many chances as decide, it may still answer.
#[must_use]
pub fn is_silent_agent(cluster: &Cluster, target: &Target, health: &Health) -> bool {
    let is_silent = |check: &Check| matches!(check.kind, Kind::Agent { .. }) && health.unmade >= check.timing.fall;
    health.state == State::Unknown && cluster.checks.get(&target.check).is_some_and(is_silent)
}

impl Voice {
    fn new(cluster: &Cluster, view: &HealthView, target: &Target, changed: Option<&Changed>) -> Self {
        let is_new = changed.is_some_and(|changed| changed.covers(target));
        let Some(health) = view.targets.get(target) else {
            // It is about to be asked.
            let (standing, wish) = (Standing::Awaited, AdminState::Ready);
            let why = Why { check: target.check.clone(), words: None };
            return Self { standing, wish, is_silent: false, is_new, since: None, why };
        };
        let is_silent = is_silent_agent(cluster, target, health);
        let words = match health.hold {
            Some(hold) => Some(format!("held down for its flapping, {}", hold.ordinal()).into()),
            None => health.why.clone(),
        };
        Self {
            standing: Standing::new(target, health, view),
            wish: health.wish,
            is_silent,
            is_new,
            since: Some(health.since),
            why: Why { check: target.check.clone(), words },
        }
    }
}

/// How a node stands for a service, address by address.
type Stands = BTreeMap<IpAddr, Stand>;

/// How each node stands for each service, address by address, and what follows from it for each profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standings {
    by_service: BTreeMap<ServiceName, BTreeMap<NodeName, Stands>>,
    /// By profile.
    parts: Vec<Vec<Part>>,
}

impl Standings {
    /// Folds the checks of each service into one word for each node address. Who would leave for answers that are new
    /// does not, before all of these are there.
    #[must_use]
    pub fn new(cluster: &Cluster, health: &HealthView, settling: &Settling) -> Self {
        let mut members: BTreeMap<&ServiceName, BTreeSet<&NodeName>> = BTreeMap::new();
        for profile in &cluster.profiles {
            for service in &profile.services {
                members.entry(service).or_default().extend(&profile.nodes);
            }
        }
        let by_service = members
            .into_iter()
            .filter_map(|(name, nodes)| {
                let (service, changed) = (cluster.services.get(name)?, settling.of(name));
                let nodes = nodes.into_iter().filter_map(|node| {
                    let addresses = &cluster.nodes.get(node)?.addresses;
                    Some((node.clone(), stands(cluster, health, (service, changed), node, addresses)))
                });
                Some((name.clone(), nodes.collect()))
            })
            .collect();
        let standings = Self { by_service, parts: Vec::new() };
        let parts = cluster.profiles.iter().map(|profile| parts::of(cluster, profile, &standings)).collect();
        Self { parts, ..standings }
    }

    /// What a profile gives to each of its domains.
    pub(crate) fn parts(&self, profile: ProfileId) -> &[Part] {
        self.parts.get(profile.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// How a node's address stands for a service.
    #[must_use]
    pub fn of(&self, service: &ServiceName, node: &NodeName, address: IpAddr) -> Stand {
        self.node(service, node).and_then(|addresses| addresses.get(&address)).cloned().unwrap_or(Stand::UNKNOWN)
    }

    /// How a whole node stands: as the best of its addresses.
    pub(crate) fn any(&self, service: &ServiceName, node: &NodeName) -> Stand {
        let addresses = self.node(service, node).into_iter().flat_map(BTreeMap::values);
        addresses.min_by_key(|stand| (stand.wish, stand.standing)).cloned().unwrap_or(Stand::UNKNOWN)
    }

    /// How an address stands that is published for several services, whatever the health.
    pub(crate) fn host(&self, services: &BTreeSet<ServiceName>, node: &NodeName, address: IpAddr) -> Standing {
        let all = || services.iter().map(|service| self.of(service, node, address).standing);
        let is_awaited = all().any(|standing| standing == Standing::Awaited);
        if is_awaited { Standing::Awaited } else { all().min().unwrap_or(Standing::Unknown) }
    }

    fn node(&self, service: &ServiceName, node: &NodeName) -> Option<&Stands> {
        self.by_service.get(service)?.get(node)
    }

    /// Whether a profile's sets can come out otherwise than under `older`.
    #[must_use]
    pub fn differ_for(&self, older: &Self, profile: &Profile) -> bool {
        profile.services.iter().any(|service| {
            let (new, old) = (self.by_service.get(service), older.by_service.get(service));
            profile.nodes.iter().any(|n| !decide_alike(new.and_then(|s| s.get(n)), old.and_then(|s| s.get(n))))
        })
    }
}

/// Whether the same follows from both, whatever the words.
fn decide_alike(new: Option<&Stands>, old: Option<&Stands>) -> bool {
    let (Some(new), Some(old)) = (new, old) else { return new.is_none() == old.is_none() };
    new.len() == old.len() && new.iter().zip(old).all(|((a, new), (b, old))| a == b && new.decides_as(old))
}

/// How the addresses of a node stand for a service.
fn stands(
    cluster: &Cluster,
    health: &HealthView,
    (service, changed): (&Service, Option<&Changed>),
    node: &NodeName,
    addresses: &BTreeSet<IpAddr>,
) -> Stands {
    let voices = |address: IpAddr| -> Vec<Voice> {
        let target = |check: &CheckName| Target { node: node.clone(), check: check.clone(), address };
        service.checks.iter().map(|check| Voice::new(cluster, health, &target(check), changed)).collect()
    };
    let mut all: Vec<(IpAddr, Vec<Voice>)> = addresses.iter().map(|address| (*address, voices(*address))).collect();
    // What an agent asks for is asked for the node. Where it cannot be heard, its word at another address counts.
    for at in 0..service.checks.len() {
        let of = |voices: &[Voice]| voices.get(at).filter(|voice| voice.wish != AdminState::Ready).cloned();
        let Some(asked) = all.iter().filter_map(|(_, voices)| of(voices)).max_by_key(|voice| voice.wish) else {
            continue;
        };
        for voice in all.iter_mut().filter_map(|(_, voices)| voices.get_mut(at)).filter(|voice| voice.is_silent) {
            *voice = asked.clone();
        }
    }
    let any = service.checks_any;
    let stand = |voices: Vec<Voice>| if changed.is_some() { combine_new(voices, any) } else { combine(voices, any) };
    all.into_iter().map(|(address, voices)| (address, stand(voices))).collect()
}

/// While answers are awaited that are new: who stands well does, and nobody worse than by what was asked before.
fn combine_new(voices: Vec<Voice>, any: Option<usize>) -> Stand {
    let now = combine(voices.clone(), any);
    if (now.standing, now.wish) == (Standing::Up, AdminState::Ready) {
        return now;
    }
    let well = |voice| Voice { standing: Standing::Up, wish: AdminState::Ready, is_silent: false, ..voice };
    let at_best = |voice: Voice| if voice.is_new { well(voice) } else { voice };
    let before = combine(voices.into_iter().map(at_best).collect(), any);
    Stand { standing: before.standing.max(Standing::Awaited), ..before }
}

/// The one whose change made the address stand so: of those that all must pass the first that failed or the last that came
/// up, of those of which any will do the other way round.
fn decisive(votes: &[Voice], standing: Standing, needed: usize) -> Option<&Voice> {
    let alike = votes.iter().filter(|voice| voice.standing == standing);
    let all_must = needed == votes.len();
    if all_must == (standing == Standing::Up) {
        alike.max_by_key(|voice| voice.since)
    } else {
        alike.min_by_key(|voice| voice.since)
    }
}

/// `any` of the checks must pass, or all of them: the address stands as the worst of those that are needed. A silent agent
/// has no say, nor has one whose node asks to be out: that is heard beside what the others find.
fn combine(voices: Vec<Voice>, any: Option<usize>) -> Stand {
    let wish = voices.iter().filter(|voice| voice.wish != AdminState::Ready).max_by_key(|voice| voice.wish).cloned();
    let nobody_to_ask = voices.is_empty();
    let mut votes = voices;
    votes.retain(|voice| !voice.is_silent && voice.wish == AdminState::Ready);
    votes.sort_by_key(|voice| voice.standing);
    let needed = any.unwrap_or(votes.len()).min(votes.len());
    let (standing, why) = match needed.checked_sub(1).and_then(|last| votes.get(last)) {
        Some(worst) => (worst.standing, decisive(&votes, worst.standing, needed).map(|voice| voice.why.clone())),
        // A service without checks counts every node as up; who asks to be out is there to ask.
        None if nobody_to_ask || wish.is_some() => (Standing::Up, None),
        None => (Standing::Unknown, None),
    };
    match wish {
        Some(voice) => Stand { standing, wish: voice.wish, why: Some(voice.why) },
        None => Stand { standing, wish: AdminState::Ready, why },
    }
}
