//! Whether BIND answers, and how much may be asked of it at once.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    dns::OwnerName,
    event::{Event, Kind},
    status::ServerState,
    text,
    update::Verdict,
    zone::{Done, Failure, Silence},
};

/// First and longest wait before a server that gave no answer is asked again: one question, which costs next to nothing,
/// and until it is answered a dead node stays in DNS.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// BIND, as seen from its answers.
#[derive(Debug)]
pub(super) struct Server {
    /// `bind.max_in_flight`.
    limit: usize,
    /// How many steps may be under way: halved when an answer stays out, for BIND drops in silence what is over its
    /// `update-quota` (measured), and grown by one with each answer.
    window: usize,
    /// How many answers have come.
    answers: u64,
    silence: Option<Outage>,
    /// That it does not accept our signature.
    refusal: Option<Refusal>,
    /// That something before it answers updates.
    unsigned: Option<Refusal>,
}

/// What became of an update.
#[derive(Debug)]
pub(super) enum Heard {
    /// It was answered without a signature: so these words.
    Unsigned(String),
    /// The answer was signed.
    Signed,
    /// It was none, or there was no answer.
    Nothing,
}

impl Heard {
    pub(super) fn of(done: &Done) -> Self {
        match done {
            Done::Write(Ok(_)) => Self::Signed,
            Done::Write(Err(failure)) if failure.is_unsigned() => Self::Unsigned(failure.words.clone()),
            _ => Self::Nothing,
        }
    }
}

/// From the first zone with a trouble that is told once for all of them, until none has it any more.
#[derive(Debug)]
struct Refusal {
    since: Instant,
    zones: BTreeSet<OwnerName>,
    words: String,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    tries: u32,
    until: Instant,
    words: String,
    /// The zones that were asked in vain: another one tells whether it is the server that is silent, or they are.
    zones: BTreeSet<OwnerName>,
}

impl Server {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, window: limit, answers: 0, silence: None, refusal: None, unsigned: None }
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.window = self.window.min(limit);
    }

    /// Whether it can be worked with, and since when it cannot.
    pub(super) fn state(&self) -> (ServerState, Option<Instant>) {
        match (&self.silence, &self.refusal) {
            (Some(silence), _) => (ServerState::Silent, Some(silence.since)),
            (None, Some(refusal)) => (ServerState::KeyRefused, Some(refusal.since)),
            (None, None) => (ServerState::Up, None),
        }
    }

    /// Why it is waited for.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.silence.as_ref().map(|silence| silence.words.as_str())
    }

    /// Whether one more step may be taken. While BIND is silent, one at a time, to see whether it is back.
    pub(super) fn has_room(&self, now: Instant, under_way: usize) -> bool {
        match &self.silence {
            None => under_way < self.window,
            Some(silence) => under_way == 0 && now >= silence.until,
        }
    }

    /// Whether a zone was asked in vain since it fell silent.
    pub(super) fn was_asked_in_vain(&self, zone: &OwnerName) -> bool {
        self.silence.as_ref().is_some_and(|silence| silence.zones.contains(zone))
    }

    /// How often it was asked in vain since it fell silent.
    pub(super) fn tries(&self) -> u32 {
        self.silence.as_ref().map_or(0, |silence| silence.tries)
    }

    /// Somebody wants to know now: a silent server is tried once more at once.
    pub(super) fn ask_now(&mut self, now: Instant) {
        if let Some(silence) = &mut self.silence {
            silence.until = silence.until.min(now);
        }
    }

    /// When the server is to be tried again, if it is silent.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.silence.as_ref().map(|silence| silence.until)
    }

    /// Why no zone can be asked, if BIND does not accept our signature.
    pub(super) fn key_trouble(&self) -> Option<&str> {
        self.refusal.as_ref().map(|refusal| refusal.words.as_str())
    }

    /// Takes in whether an answer accepts our signature: told once, however many zones it is asked about. `is_zone` says which
    /// zones there are.
    pub(super) fn recognized(
        &mut self,
        now: Instant,
        (zone, done): (&OwnerName, &Done),
        address: SocketAddr,
        is_zone: impl Fn(&OwnerName) -> bool,
    ) -> Option<Event> {
        if let Some((words, code)) = key_trouble(done) {
            if let Some(refusal) = &mut self.refusal {
                refusal.zones.insert(zone.clone());
                refusal.words = words;
                return None;
            }
            let message = format!("{address}: {words}; DNS stays as it is, and every zone is tried again");
            self.refusal = Some(Refusal { since: now, zones: [zone.clone()].into(), words: words.clone() });
            return Some(Event::new(Kind::KeysRefused, message).rcode(code).reason(words));
        }
        // Neither silence nor what somebody else answers says anything of the key.
        if done.failure().is_some_and(|failure| failure.code.is_none() || failure.is_unsigned()) {
            return None;
        }
        let refusal = self.refusal.as_mut()?;
        refusal.zones.remove(zone);
        refusal.zones.retain(is_zone);
        if !refusal.zones.is_empty() {
            return None;
        }
        let lasted = text::age(now.duration_since(self.refusal.take()?.since));
        Some(Event::new(Kind::KeysAccepted, format!("{address}: BIND accepts our signature again, after {lasted}")))
    }

    /// Takes in what became of an update of a zone, and whether the zone has nothing to write now: told once, however many
    /// zones it is.
    pub(super) fn update_heard(
        &mut self,
        now: Instant,
        (zone, heard): (&OwnerName, Heard),
        has_none_left: bool,
        is_zone: impl Fn(&OwnerName) -> bool,
    ) -> Option<Event> {
        if let Heard::Unsigned(words) = heard {
            if let Some(unsigned) = &mut self.unsigned {
                unsigned.zones.insert(zone.clone());
                return None;
            }
            let message = format!("{words}; DNS stays as it is, and every zone is tried again");
            self.unsigned = Some(Refusal { since: now, zones: [zone.clone()].into(), words: words.clone() });
            return Some(Event::new(Kind::UpdatesUnsigned, message).reason(words));
        }
        let unsigned = self.unsigned.as_mut()?;
        if has_none_left || matches!(heard, Heard::Signed) {
            unsigned.zones.remove(zone);
        }
        unsigned.zones.retain(is_zone);
        if !unsigned.zones.is_empty() {
            return None;
        }
        let lasted = text::age(now.duration_since(self.unsigned.take()?.since));
        let words = if matches!(heard, Heard::Signed) {
            "updates get signed answers again"
        } else {
            "no zone has an update left that got an unsigned answer"
        };
        Some(Event::new(Kind::UpdatesSigned, format!("{words}, after {lasted}")))
    }

    /// How many answers have come: a step that begins now is told from one that began before others were answered.
    pub(super) const fn answers(&self) -> u64 {
        self.answers
    }

    /// Takes in that an answer came, or did not, to a step that began after so many answers. Where others were answered
    /// meanwhile, it is the zone that is silent: a slow helper of its `update-policy`, or a zone too large to be written
    /// in time. Then nobody else waits for it; and where that is known of the zone (`is_alone`), its silence says no more of
    /// the server.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        (zone, done): (&OwnerName, &mut Done),
        (began, is_alone): (u64, bool),
        address: SocketAddr,
    ) -> Option<Event> {
        match done {
            // Of BIND it says nothing, neither that it answers nor that it does not: the zone has been read.
            Done::Write(Err(failure)) if failure.is_unsigned() => None,
            Done::Read(Err(failure)) | Done::Serial(Err(failure)) | Done::Write(Err(failure))
                if failure.code.is_none() || failure.is_unsigned() =>
            {
                if failure.silence == Silence::Server && (is_alone || self.answers > began) {
                    failure.silence = Silence::Zone;
                    return None;
                }
                let lost = self.lost(now, failure, address);
                if let Some(silence) = &mut self.silence {
                    silence.zones.insert(zone.clone());
                }
                lost
            }
            _ => {
                self.answers = self.answers.wrapping_add(1);
                self.window = self.limit.min(self.window.saturating_add(1));
                let silence = self.silence.take()?;
                let lasted = text::age(now.duration_since(silence.since));
                Some(Event::new(Kind::PrimaryBack, format!("{address}: BIND answers again, after {lasted}")))
            }
        }
    }

    fn lost(&mut self, now: Instant, failure: &Failure, address: SocketAddr) -> Option<Event> {
        match &mut self.silence {
            // What was under way when the server fell silent is lost with it: one silence, not many.
            Some(silence) if now < silence.until => None,
            Some(silence) => {
                silence.tries = silence.tries.saturating_add(1);
                silence.until = now + wait(silence.tries);
                None
            }
            None => {
                self.window = (self.window / 2).max(1);
                let cause = failure.words.clone();
                let words = format!("BIND gives no answer: {cause}; DNS stays as it is, and {address} is tried again");
                self.silence = Some(Outage {
                    since: now,
                    tries: 1,
                    until: now + wait(1),
                    words: cause.clone(),
                    zones: BTreeSet::new(),
                });
                Some(Event::new(Kind::PrimaryLost, words).reason(cause))
            }
        }
    }
}

/// The words and the code of an answer that does not accept our signature.
fn key_trouble(done: &Done) -> Option<(String, String)> {
    if let Done::Write(Ok(verdict @ Verdict::Tsig(trouble))) = done {
        return Some((trouble.to_string(), verdict.code().to_owned()));
    }
    let failure = done.failure().filter(|failure| failure.is_of_key())?;
    Some((failure.words.clone(), failure.code.clone()?))
}

fn wait(tries: u32) -> Duration {
    RETRY.1.min(RETRY.0.saturating_mul(1 << tries.saturating_sub(1).min(10)))
}
