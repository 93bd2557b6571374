//! Probes under way, within bounds.

use std::{collections::HashMap, future::Future, net::IpAddr, panic::resume_unwind, sync::Arc, time::Duration};

use rustix::process::{Resource, getrlimit};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
};

use crate::{
    check::{Check, Kind, Outcome, Target},
    io::{
        clock,
        probe::briefs::{self, Briefs},
    },
};

/// Probes at once to one address: a check must not be what loads a node. All that one node is asked is due at once, and
/// none of it should wait for the timeouts of the others.
const AT_ONCE_PER_ADDRESS: usize = 16;

/// Probes at once in all, if the descriptors suffice: each holds a socket and a few KiB.
const AT_ONCE: usize = 4096;

/// The same where they do not: some checks must go on.
const AT_LEAST: usize = 4;

/// Plugins at once: each is a process, and who loads this host loads BIND.
const PLUGINS_AT_ONCE: usize = 8;

/// Descriptors that are left to others: BIND's connections, the status socket and its clients, watches, state files,
/// and sockets that wait for their next probe.
const RESERVED_DESCRIPTORS: usize = 48 + briefs::IDLE;

/// What a probe is for, what it found, and how long that took.
type Ended<K> = (K, Outcome, Duration);

/// Room for one probe, until it is dropped.
type Room = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// Probes under way; `K` says what each is for. They end with their owner.
pub(super) struct Probes<A, K> {
    ask: A,
    running: JoinSet<Ended<K>>,
    /// Those that found room at once; `None`: they are asked like all others.
    briefs: Option<Briefs<(K, Room)>>,
    all: Arc<Semaphore>,
    plugins: Arc<Semaphore>,
    by_address: HashMap<IpAddr, Arc<Semaphore>>,
}

impl<A, F, K> Probes<A, K>
where
    A: Fn(Arc<Check>, Target) -> F,
    F: Future<Output = Outcome> + Send + 'static,
    K: Send + 'static,
{
    /// None under way yet; `ask` makes one.
    pub(super) fn new(ask: A) -> Self {
        let at_once = at_once(getrlimit(Resource::Nofile).current);
        Self {
            ask,
            running: JoinSet::new(),
            briefs: None,
            all: Arc::new(Semaphore::new(at_once)),
            plugins: Arc::new(Semaphore::new(PLUGINS_AT_ONCE)),
            by_address: HashMap::new(),
        }
    }

    /// The same, with a cheaper way for brief probes, of which there may be thousands. Needs a tokio runtime.
    pub(super) fn with_briefs(self) -> Self {
        // Without a descriptor for it, it goes without.
        Self { briefs: Briefs::new().ok(), ..self }
    }

    /// Begins one, or lets it wait until there is room; its time runs from when it really begins.
    pub(super) fn launch(&mut self, target: &Target, check: Arc<Check>, what: K) {
        let address_room =
            self.by_address.entry(target.address).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE_PER_ADDRESS)));
        // The address first: who waits for a slow node takes no room from the others.
        let address_room = Arc::clone(address_room);
        let room = Arc::clone(&self.all);
        if let Some(briefs) = &mut self.briefs
            && let Some(port) = briefs::port(&check)
            && let Ok(address_permit) = Arc::clone(&address_room).try_acquire_owned()
            && let Ok(permit) = Arc::clone(&room).try_acquire_owned()
        {
            briefs.begin(&check, target.address, port, (what, (address_permit, permit)));
            return;
        }
        let plugin_room = matches!(check.kind, Kind::Exec(_)).then(|| Arc::clone(&self.plugins));
        let ask = (self.ask)(check, target.clone());
        self.running.spawn(async move {
            let _address_permit = address_room.acquire().await;
            let _plugin_permit = match &plugin_room {
                Some(room) => Some(room.acquire().await),
                None => None,
            };
            let _permit = room.acquire().await;
            let start = clock::now();
            let outcome = ask.await;
            (what, outcome, clock::now().saturating_duration_since(start))
        });
    }

    /// Waits for one to end; `None`: none is under way. Nothing is lost if it is dropped while it waits.
    pub(super) async fn next(&mut self) -> Option<Ended<K>> {
        loop {
            if let Some(ended) = self.next_if_ended() {
                return Some(ended);
            }
            let briefs = self.briefs.as_mut().filter(|briefs| !briefs.is_empty());
            match briefs {
                None => return self.running.join_next().await.map(whole),
                Some(briefs) => tokio::select! {
                    Some(joined) = self.running.join_next() => return Some(whole(joined)),
                    () = briefs.wait() => {}
                },
            }
        }
    }

    /// One that has ended already.
    pub(super) fn next_if_ended(&mut self) -> Option<Ended<K>> {
        let brief = self.briefs.as_mut().and_then(Briefs::next_if_ended);
        let brief = brief.map(|((what, _room), outcome, took)| (what, outcome, took));
        brief.or_else(|| self.running.try_join_next().map(whole))
    }

    /// Forgets the addresses that no probe is under way to.
    pub(super) fn forget_idle_addresses(&mut self) {
        self.by_address.retain(|_, room| Arc::strong_count(room) > 1);
    }
}

/// Passes a probe's panic on: a target whose probe is lost would never be asked again.
fn whole<T>(joined: Result<T, JoinError>) -> T {
    joined.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}

/// How many probes may run at once with this limit of descriptors.
fn at_once(descriptors: Option<u64>) -> usize {
    let descriptors = descriptors.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    descriptors.saturating_sub(RESERVED_DESCRIPTORS).clamp(AT_LEAST, AT_ONCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_left_to_others() {
        for (limit, probes) in
            [(Some(128), 16), (Some(1_024), 912), (Some(20), 4), (Some(u64::MAX), 4_096), (None, 4_096)]
        {
            assert_eq!(at_once(limit), probes, "{limit:?}");
        }
    }
}
