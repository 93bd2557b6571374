//! The zones' primary: signed updates and reads over TCP.
//!
//! A zone keeps to one connection, where BIND answers strictly in order; zones spread over `bind.connections`.
//! An exchange that goes wrong closes its connection by RST, which narrows the window in which BIND still applies
//! an abandoned message; the generation record shuts it.

mod connection;
mod room;
#[cfg(test)]
mod tests;
mod transfer;

use std::{
    collections::{BTreeSet, VecDeque},
    future::pending,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use hickory_proto::op::Message;
use tokio::{
    select,
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch},
    time::timeout,
};

use self::{
    connection::{Line, Request},
    room::Room,
    transfer::TRANSFERS,
};
use super::{clock, journal, pulse::STILL};
use crate::{
    checker::Checked,
    cluster::{Bind, connection_of},
    dns::{OwnerName, RdataSet, RrsetId},
    event::{Event, Kind},
    tsig::{Key, Keys},
    update::{
        Answer, AnyAnswer, Reading, Soa, Survey, TsigTrouble, Unusable, Update, Verdict, any_answer, any_query,
        permission_query, soa_of, soa_query, trial_query,
    },
};

/// Queries that wait for an answer, all connections together. BIND has no quota for them; this bounds our memory.
const READS: usize = 256;

/// Messages that wait for an answer on one connection. BIND reads no more than 23 from a connection before it has answered
/// the first; BIND 9.20 stops reading for good if its socket is full at such a moment (measured with 9.20.30).
const PIPELINED: usize = 22;

/// How often who waits for a place looks at the clock: far more often than [`STILL`].
const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// How often a reading is begun anew because its connection was.
const RENEWALS: usize = 3;

/// No usable answer came. What became of the request is unknown, unless it was never sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Lost {
    /// Why, in words, with the server's address.
    pub reason: String,
    /// Whether a byte of the request may have left. If not, it was certainly not applied.
    pub sent: bool,
    /// What became of it, as far as that makes a difference.
    pub cause: Cause,
}

impl Lost {
    fn unsent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), sent: false, cause: Cause::Broken }
    }
}

/// Why no usable answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The connection was not made, or broke.
    Broken,
    /// An answer came to a question for all that there is, with a record whose form is not known here.
    Odd,
    /// An answer without a signature came: something before BIND gives it.
    Unsigned,
    /// No answer came in time.
    Silent,
    /// No answer came in time on a connection that has brought none as yet.
    Unheard,
    /// No answer came in time to what was asked before it on its connection.
    Behind,
}

/// Why a zone could not be read. Whatever was read of it so far is discarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// BIND does not accept our signature.
    #[error(transparent)]
    Tsig(#[from] TsigTrouble),
    /// The answer says nothing of the zone.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// No usable answer came.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// A handle to the primary; its connections are made when needed and end with it.
#[derive(Debug)]
pub struct Primary {
    /// The way to each connection. Never empty.
    connections: Vec<Lane>,
    /// The connection of the zones that got no answer in time: on another one they would hold up those behind them.
    apart: Lane,
    slow: watch::Sender<BTreeSet<OwnerName>>,
    /// How many of the connections are used.
    room: Room,
    updates: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    keys: watch::Sender<Arc<KeyRing>>,
    /// Whether the server is on this machine.
    is_near: bool,
    broken: Arc<Notify>,
}

/// The way to one connection.
#[derive(Debug)]
struct Lane {
    requests: mpsc::UnboundedSender<Request>,
    /// [`PIPELINED`].
    pipelined: Arc<Semaphore>,
    /// Moves whenever the connection is made and whenever it ends.
    life: Arc<AtomicU64>,
    /// What the server answers to ANY, and in which life that was seen: after it the server may be another program.
    any: Mutex<Option<(u64, AnyAnswer)>>,
}

impl Lane {
    fn open(line: &Line) -> Self {
        let its_own = Line { life: Arc::default(), ..line.clone() };
        let pipelined = Arc::new(Semaphore::new(PIPELINED));
        Self { life: Arc::clone(&its_own.life), requests: its_own.open(), pipelined, any: Mutex::default() }
    }

    fn life(&self) -> u64 {
        self.life.load(Ordering::Relaxed)
    }

    fn known(&self) -> Option<(u64, AnyAnswer)> {
        let known = *self.any.lock().unwrap_or_else(PoisonError::into_inner);
        known.filter(|(life, _)| *life == self.life())
    }

    fn know(&self, any: Option<(u64, AnyAnswer)>) {
        *self.any.lock().unwrap_or_else(PoisonError::into_inner) = any;
    }
}

/// The keys, which of them BIND accepted last, and what it gives them.
#[derive(Debug)]
struct KeyRing {
    keys: Arc<Keys>,
    working: AtomicUsize,
    /// Closed once transfers have turned out to be of no use.
    transfers: Arc<Semaphore>,
    /// Zones that were too large.
    large: AtomicUsize,
}

impl KeyRing {
    /// Transfers are few at a time. From far away each would take a round trip and block its connection for long: there,
    /// many questions at a time are faster.
    fn new(keys: Arc<Keys>, is_near: bool) -> Arc<Self> {
        let transfers = Arc::new(Semaphore::new(TRANSFERS));
        if !is_near {
            transfers.close();
        }
        Arc::new(Self { keys, working: AtomicUsize::new(0), transfers, large: AtomicUsize::new(0) })
    }

    /// The keys with their places, the one that works first.
    fn in_order(&self) -> impl Iterator<Item = (usize, &Arc<Key>)> {
        let working = self.working.load(Ordering::Relaxed);
        let all = || self.keys.iter().enumerate();
        all().filter(move |(at, _)| *at == working).chain(all().filter(move |(at, _)| *at != working))
    }
}

impl Primary {
    /// Takes the server, the limits and the keys. Connects when first used; needs a tokio runtime.
    #[must_use]
    pub fn new(bind: &Bind, keys: Arc<Keys>) -> Self {
        Self::with_clock(bind, keys, clock::wall)
    }

    /// The same with another wall clock for TSIG's time signed.
    #[must_use]
    pub fn with_clock(bind: &Bind, keys: Arc<Keys>, wall: fn() -> SystemTime) -> Self {
        let broken = Arc::new(Notify::new());
        let line = Line {
            server: bind.server,
            timeout: bind.timeout,
            wall,
            broken: Arc::clone(&broken),
            life: Arc::default(),
        };
        let is_near = bind.server.ip().is_loopback();
        Self {
            connections: (0..bind.connections.max(1)).map(|_| Lane::open(&line)).collect(),
            apart: Lane::open(&line),
            slow: watch::Sender::default(),
            room: Room::new(bind),
            updates: Arc::new(Semaphore::new(bind.max_in_flight)),
            reads: Arc::new(Semaphore::new(READS)),
            keys: watch::Sender::new(KeyRing::new(keys, is_near)),
            is_near,
            broken,
        }
    }

    /// Waits until the server ends a connection that was not at an end: it may have been restarted.
    pub async fn broken(&self) {
        self.broken.notified().await;
    }

    /// Takes other keys from now on; what is in flight keeps the old ones.
    pub fn set_keys(&self, keys: Arc<Keys>) {
        self.keys.send_replace(KeyRing::new(keys, self.is_near));
        // Another key may be that of another view.
        self.connections.iter().chain([&self.apart]).for_each(|lane| lane.know(None));
    }

    /// Sends one message. At most `bind.max_in_flight` of them wait for an answer at a time.
    ///
    /// # Errors
    /// [`Lost`]: if it was sent, read the generation record before anything else is sent to the zone.
    pub async fn update(&self, checked: &Checked) -> Result<Verdict, Lost> {
        self.send_update(&checked.zone, Arc::clone(checked.wire())).await
    }

    /// The same with a message that nobody has looked at: for tests of what BIND answers.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn update_unchecked(&self, update: &Update) -> Result<Verdict, Lost> {
        let message = update.message().map_err(|error| Lost::unsent(error.to_string()))?;
        self.send_update(&update.zone, Arc::new(message)).await
    }

    async fn send_update(&self, zone: &OwnerName, message: Arc<Message>) -> Result<Verdict, Lost> {
        let (answer, refused) = self.exchange(zone, message, &self.updates).await?;
        let verdict = Verdict::from(answer);
        // Nobody signs the refusal of a key, so anybody may have made it: then it is our own message that is in the way.
        if let Some(trouble) = refused.filter(|_| verdict == Verdict::GuardFailed) {
            let reason = format!(
                "{trouble}; the message may have been applied all the same, for with another key a requirement does not hold"
            );
            return Err(Lost { reason, sent: true, cause: Cause::Broken });
        }
        Ok(verdict)
    }

    /// Reads the generation record and then all that `owners` hold.
    ///
    /// # Errors
    /// [`ReadError`]: nothing is known of the zone.
    pub async fn read(&self, zone: &OwnerName, owners: &BTreeSet<OwnerName>) -> Result<Reading, ReadError> {
        for _ in 0..RENEWALS {
            let (life, any) = self.any_answer(zone).await?;
            let read = match self.read_by(zone, owners, any).await {
                // PowerDNS answers ANY for a name without records of its own with a record of type 0 (measured).
                Err(ReadError::Lost(lost)) if lost.cause == Cause::Odd => {
                    self.read_by(zone, owners, AnyAnswer::Part).await?
                }
                read => read?,
            };
            // What ANY tells is known of the server of that connection alone.
            if any == AnyAnswer::Part || self.lane(zone).is_some_and(|lane| lane.life() == life) {
                return Ok(read);
            }
        }
        Err(Lost::unsent("the connection to named is made anew all the time").into())
    }

    async fn read_by(
        &self,
        zone: &OwnerName,
        owners: &BTreeSet<OwnerName>,
        any: AnyAnswer,
    ) -> Result<Reading, ReadError> {
        let survey = Survey::new(zone, owners, any)?;
        let answers = self.ask_all(zone, survey.questions()?).await?;
        let findings = survey.findings(&answers)?;
        let doubts = survey.doubts(&findings)?;
        let answers = if doubts.is_empty() { Vec::new() } else { self.ask_all(zone, doubts).await? };
        Ok(survey.reading(findings, &answers)?)
    }

    /// What the server answers to ANY, and in which life of the zone's connection. It is asked once on each; BIND is taken
    /// for BIND where it does not tell.
    async fn any_answer(&self, zone: &OwnerName) -> Result<(u64, AnyAnswer), ReadError> {
        if let Some(known) = self.lane(zone).and_then(Lane::known) {
            return Ok(known);
        }
        let found = any_answer(zone, &self.ask(zone, any_query(zone)?).await?);
        let lane = self.lane(zone).ok_or_else(|| Lost::unsent("rotad stops"))?;
        let life = lane.life();
        if let Some(found) = found {
            lane.know(Some((life, found)));
        }
        Ok((life, found.unwrap_or(AnyAnswer::Whole)))
    }

    /// The connection that a zone is asked for on.
    fn lane(&self, zone: &OwnerName) -> Option<&Lane> {
        let its_own = || self.connections.get(connection_of(zone, self.room.connections()));
        if self.slow.borrow().contains(zone) { Some(&self.apart) } else { its_own() }
    }

    /// Reads the SOA alone.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn soa(&self, zone: &OwnerName) -> Result<Soa, ReadError> {
        Ok(soa_of(zone, &self.ask(zone, soa_query(zone)?).await?)?)
    }

    /// Asks whether these `RRsets`, and with `record` the generation record, may be changed, and changes nothing:
    /// [`Verdict::GuardFailed`] says that they may.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn permission(&self, zone: &OwnerName, record: bool, ids: &[RrsetId]) -> Result<Verdict, Lost> {
        let message = permission_query(zone, record, ids).map_err(|error| Lost::unsent(error.to_string()))?;
        Ok(self.exchange(zone, Arc::new(message), &self.updates).await?.0.into())
    }

    /// Asks whether these `RRsets` would be taken, and changes nothing: see [`Primary::permission`].
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn trial(&self, zone: &OwnerName, sets: &[(RrsetId, RdataSet)]) -> Result<Verdict, Lost> {
        let message = trial_query(zone, sets.iter().map(|(id, rdata)| (id, rdata)));
        let message = message.map_err(|error| Lost::unsent(error.to_string()))?;
        Ok(self.exchange(zone, Arc::new(message), &self.updates).await?.0.into())
    }

    /// Asks a question about a zone; the answer is signed.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn ask(&self, zone: &OwnerName, query: Message) -> Result<Message, ReadError> {
        let answers = self.ask_all(zone, vec![query]).await?;
        answers.into_iter().next().ok_or_else(|| Lost::unsent("there is nothing to ask").into())
    }

    /// Asks many questions in one go, and takes the answers in their order.
    async fn ask_all(&self, zone: &OwnerName, queries: Vec<Message>) -> Result<Vec<Message>, ReadError> {
        let queries: Vec<_> = queries.into_iter().map(Arc::new).collect();
        let (answers, _) = match self.exchange_all(zone, &queries, &self.reads).await {
            // Another zone's silence: what was asked behind it can be asked again.
            Err(lost) if lost.cause == Cause::Behind => self.exchange_all(zone, &queries, &self.reads).await?,
            answers => answers?,
        };
        Ok(answers.into_iter().map(signed).collect::<Result<_, _>>()?)
    }

    /// Sends a message with the key that works, and where BIND does not accept that one, with the others: beside the
    /// answer, why the first of those was refused.
    async fn exchange(
        &self,
        zone: &OwnerName,
        message: Arc<Message>,
        bound: &Arc<Semaphore>,
    ) -> Result<(Answer, Option<TsigTrouble>), Lost> {
        let (answers, refused) = self.exchange_all(zone, &[message], bound).await?;
        let answer = answers.into_iter().next().ok_or_else(|| Lost::unsent("there is nothing to send"))?;
        Ok((answer, refused))
    }

    /// The same with several, one behind the other. If BIND accepts no key, the one answer says so of the first.
    async fn exchange_all(
        &self,
        zone: &OwnerName,
        messages: &[Arc<Message>],
        bound: &Arc<Semaphore>,
    ) -> Result<(Vec<Answer>, Option<TsigTrouble>), Lost> {
        let keys = self.keys.borrow().clone();
        let mut refused: Option<TsigTrouble> = None;
        for (at, key) in keys.in_order() {
            // What was refused has been sent, whatever becomes of it now.
            let was_sent = refused.is_some();
            let lost = |lost: Lost| Lost { sent: lost.sent || was_sent, ..lost };
            let mut answers = Vec::with_capacity(messages.len());
            let mut waiting = VecDeque::with_capacity(messages.len().min(PIPELINED));
            for message in messages {
                let mut sending = pin!(self.send(zone, Arc::clone(message), Arc::clone(key), bound));
                loop {
                    select! {
                        biased;
                        // With the first that is lost the others are of no use: nobody waits for their turn.
                        answer = first(&mut waiting) => answers.push(self.noted(zone, answer).map_err(lost)?),
                        sent = &mut sending => break waiting.push_back(sent.map_err(lost)?),
                    }
                }
            }
            while !waiting.is_empty() {
                let answer = first(&mut waiting).await;
                answers.push(self.noted(zone, answer).map_err(lost)?);
            }
            let trouble = answers.iter().find_map(|answer| match answer {
                Answer::Tsig(trouble @ (TsigTrouble::BadKey(_) | TsigTrouble::BadSig(_))) => Some(trouble.clone()),
                _ => None,
            });
            if let Some(trouble) = trouble {
                refused.get_or_insert(trouble);
                continue;
            }
            if let Some(trouble) = &refused
                && keys.working.swap(at, Ordering::Relaxed) != at
            {
                let message = format!("{trouble}; {} is accepted and used from now on", key.label());
                journal::emit(&Event::new(Kind::KeyRefused, message).reason(trouble.to_string()));
            }
            return Ok((answers, refused));
        }
        let trouble = refused.ok_or_else(|| Lost::unsent("there is no key"))?;
        Ok((vec![Answer::Tsig(trouble.clone())], Some(trouble)))
    }

    fn noted(&self, zone: &OwnerName, answer: Result<Answer, Lost>) -> Result<Answer, Lost> {
        self.note(zone, answer.as_ref().err().map(|lost| lost.cause));
        answer
    }

    /// Whether the zone is asked for on a connection apart from now on, or all zones on fewer connections.
    fn note(&self, zone: &OwnerName, trouble: Option<Cause>) {
        if trouble.is_none() {
            self.room.heard();
        }
        let shrinks = trouble == Some(Cause::Unheard) && !self.slow.borrow().contains(zone) && self.room.shrink();
        if shrinks {
            self.room.news().iter().for_each(journal::emit);
        }
        self.slow.send_if_modified(|slow| match trouble {
            Some(Cause::Silent | Cause::Unheard) if !shrinks => slow.insert(zone.clone()),
            Some(_) => false,
            None => slow.remove(zone),
        });
    }

    async fn send(
        &self,
        zone: &OwnerName,
        message: Arc<Message>,
        key: Arc<Key>,
        bound: &Arc<Semaphore>,
    ) -> Result<Reply, Lost> {
        let stopped = || Lost::unsent("rotad stops");
        let lane = self.lane(zone).ok_or_else(stopped)?;
        let permits = [place(bound).await?, place(&lane.pipelined).await?];
        let (reply, answer) = oneshot::channel();
        let request = Request { message, key, asked_at: clock::since_boot(), permits, reply };
        lane.requests.send(request).map_err(|_| stopped())?;
        Ok(answer)
    }
}

/// Waits for a place. After we stood still there is none: what the message was made from is stale.
async fn place(of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Lost> {
    let mut place = pin!(Arc::clone(of).acquire_owned());
    let mut alive_at = clock::since_boot();
    loop {
        let permit = timeout(ALIVE_EVERY, &mut place).await;
        let before = std::mem::replace(&mut alive_at, clock::since_boot());
        if alive_at.saturating_sub(before) > STILL {
            return Err(Lost::unsent("it was not sent in time, and is stale"));
        }
        if let Ok(permit) = permit {
            return permit.map_err(|_| Lost::unsent("rotad stops"));
        }
    }
}

/// Where an answer comes.
type Reply = oneshot::Receiver<Result<Answer, Lost>>;

/// The answer to the first of those that wait; never, while there are none. Nothing is lost if it is dropped before.
async fn first(waiting: &mut VecDeque<Reply>) -> Result<Answer, Lost> {
    let Some(answer) = waiting.front_mut() else { return pending().await };
    let answer = answer.await.unwrap_or_else(|_| {
        Err(Lost { reason: "the connection's task has ended".into(), sent: true, cause: Cause::Broken })
    });
    waiting.pop_front();
    answer
}

fn signed(answer: Answer) -> Result<Message, TsigTrouble> {
    match answer {
        Answer::Signed(message) => Ok(message),
        Answer::Tsig(trouble) => Err(trouble),
    }
}
