//! What operators ask of the running daemon, and what it has to wait for before it can answer.

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::sleep_until,
};

use super::{Reconcile, Save, clocks, link::Source};
use crate::{
    control::{Answer, Command},
    event::{Event, Kind},
    exit::Exit,
    io::{
        clock, journal,
        watch::{Look, Looked},
    },
    rota::{Judged, Reply, Ticket},
    text,
    tsig::Keys,
};

/// How long a reload waits for the zones to be read, so that the file can be judged.
const JUDGED_WITHIN: Duration = Duration::from_secs(30);

/// Beside `bind.timeout`, how long a hold waits for what is under way.
const MARGIN: Duration = Duration::from_secs(1);

/// How often keys that BIND refuses are tried again.
const TRY_KEYS_EVERY: Duration = Duration::from_secs(30);

/// Zones that an answer names.
const NAMED: usize = 10;

/// What the loop has set going and hears of later.
#[derive(Debug)]
pub(super) enum Later {
    /// The file was looked at for somebody.
    Looked(Wish, Looked),
    /// What was done is saved, or is not.
    Saved(Answer, oneshot::Sender<Answer>, Waits, io::Result<()>),
    /// Keys were read, or cannot be.
    Loaded(Source, Result<Keys, String>),
    /// New keys were tried: why BIND refuses them, if it does, and whether that is told already.
    Tried(Arc<Keys>, Option<String>, bool),
}

/// What somebody asks who has the file looked at first.
#[derive(Debug)]
pub(super) enum Wish {
    Accept(Option<String>, oneshot::Sender<Answer>),
    /// `withdraw` or `restore`.
    LeftOver(Command, oneshot::Sender<Answer>),
    Reload(oneshot::Sender<Answer>),
}

/// What an answer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    Nothing,
    /// The newest file is to be judged.
    Judgement,
    /// Nothing of ours is to be under way.
    Quiet,
}

/// An answer that waits, and until when.
#[derive(Debug)]
pub(super) struct Waiting {
    waits: Waits,
    answer: Answer,
    reply: oneshot::Sender<Answer>,
    pub(super) until: Instant,
}

/// What the loop has set going.
#[derive(Debug)]
pub struct Pending {
    later: mpsc::UnboundedSender<Later>,
    pub(super) heard: mpsc::UnboundedReceiver<Later>,
    /// Who waits for an answer.
    pub(super) waiting: Vec<Waiting>,
    /// Who waits for the rota.
    tickets: BTreeMap<Ticket, oneshot::Sender<Answer>>,
    /// The keys that are being tried.
    trying: Option<Trying>,
    /// Keys that are being read, or will be once more.
    loading: Option<AbortHandle>,
}

/// Keys that are being tried.
#[derive(Debug)]
struct Trying {
    keys: Arc<Keys>,
    /// Whether it is told that BIND refuses them.
    is_told: bool,
    task: Option<AbortHandle>,
}

impl Default for Pending {
    fn default() -> Self {
        let (later, heard) = mpsc::unbounded_channel();
        Self { later, heard, waiting: Vec::new(), tickets: BTreeMap::new(), trying: None, loading: None }
    }
}

impl Pending {
    /// Whether these are the newest keys.
    fn is_trying(&self, keys: &Arc<Keys>) -> bool {
        self.trying.as_ref().is_some_and(|trying| Arc::ptr_eq(&trying.keys, keys))
    }
}

impl Reconcile {
    /// Does what an operator asks.
    pub(super) fn obey(&mut self, command: Command, reply: oneshot::Sender<Answer>) {
        let (tell, looked) = oneshot::channel();
        let (wish, wanted) = match command {
            Command::Accept { id } => (Wish::Accept(id, reply), Look::Accept(tell)),
            Command::Reload => (Wish::Reload(reply), Look::Reload(tell)),
            // What has just been taken out of the file is left over.
            command @ (Command::Restore { .. } | Command::Withdraw { .. }) => {
                (Wish::LeftOver(command, reply), Look::Accept(tell))
            }
            command => return self.obey_at_once(command, reply, None),
        };
        let (look, later) = (self.look.clone(), self.pending.later.clone());
        tokio::spawn(async move {
            let looked = match look.send(wanted).await {
                Ok(()) => looked.await.unwrap_or_else(|_| Err("rotad stops".to_owned())),
                Err(_) => Err("rotad stops".to_owned()),
            };
            // Nobody listens any more: the loop has ended.
            let _ = later.send(Later::Looked(wish, looked));
        });
    }

    /// `beside`: what is to be said where it is refused.
    fn obey_at_once(&mut self, command: Command, reply: oneshot::Sender<Answer>, beside: Option<String>) {
        let waits = if matches!(command, Command::Hold { .. }) { Waits::Quiet } else { Waits::Nothing };
        let (answer, events) = self.rota.obey(command, clocks());
        events.iter().for_each(journal::emit);
        let answer = match (answer, beside) {
            (Reply::Now(answer @ Answer { done: false, .. }), Some(beside)) => {
                Answer { words: format!("{}; {beside}", answer.words), ..answer }
            }
            (Reply::Now(answer), _) => answer,
            (Reply::Later(ticket), _) => {
                self.pending.tickets.insert(ticket, reply);
                return;
            }
        };
        self.answer_once_saved(waits, answer, reply);
    }

    /// What a crash may not undo is saved before it is said to be done.
    fn answer_once_saved(&mut self, waits: Waits, answer: Answer, reply: oneshot::Sender<Answer>) {
        if !self.report() {
            self.answer_when(waits, answer, reply);
            return;
        }
        self.save_and_answer(waits, answer, reply);
    }

    /// The same, be it handed on to be saved already.
    fn save_and_answer(&mut self, waits: Waits, answer: Answer, reply: oneshot::Sender<Answer>) {
        self.report();
        let (saves, later) = (self.saves.clone(), self.pending.later.clone());
        tokio::spawn(async move {
            let result = save(&saves).await;
            let _ = later.send(Later::Saved(answer, reply, waits, result));
        });
    }

    /// Goes on with what was set going.
    pub(super) fn go_on(&mut self, later: Later) {
        match later {
            Later::Looked(wish, looked) => {
                // What was found is published before it is answered.
                self.reload();
                self.grant(wish, looked);
            }
            Later::Saved(answer, reply, waits, Ok(())) => self.answer_when(waits, answer, reply),
            Later::Saved(answer, reply, _, Err(error)) => {
                let words = answer.words;
                let words = format!("{words}; but it cannot be saved, and a restart would forget it: {error}");
                let _ = reply.send(Answer::refused(words));
            }
            Later::Loaded(source, loaded) => self.take_loaded(source, loaded),
            // Newer ones are being tried by now.
            Later::Tried(keys, ..) if !self.pending.is_trying(&keys) => {}
            Later::Tried(keys, None, _) => {
                let first = if keys.iter().len() > 1 { "; the first that named knows signs" } else { "" };
                journal::emit(&Event::new(Kind::ConfigLoaded, format!("the key file was read anew: {keys}{first}")));
                self.pending.trying = None;
                self.link.take_keys(keys);
                self.rota.call_all();
            }
            Later::Tried(keys, Some(why), is_told) => {
                let refused = format!("BIND refuses the keys that the file gives now: {why}");
                self.link.refuse(refused.clone());
                if !is_told {
                    let words = format!(
                        "{refused}; the keys before stay in force, and these are tried again every {} s",
                        TRY_KEYS_EVERY.as_secs()
                    );
                    journal::emit(&Event::new(Kind::ConfigRefused, words).reason(why));
                }
                self.try_keys(keys, Some(clock::now() + TRY_KEYS_EVERY), true);
            }
        }
    }

    fn grant(&mut self, wish: Wish, looked: Looked) {
        match (wish, looked) {
            (Wish::Accept(_, reply), Err(problems)) => {
                let words = format!("the file is wrong now, and what was judged is not what it says:\n{problems}");
                let _ = reply.send(Answer::refused(words));
            }
            (Wish::Accept(id, reply), Ok(newest)) => {
                let answer = match self.rota.accept(id.as_deref(), &newest) {
                    Ok(events) => {
                        events.iter().for_each(journal::emit);
                        self.follow_file();
                        Answer::done(events.first().map_or("", |event| event.message.as_str()))
                    }
                    Err(words) => Answer::refused(words),
                };
                self.answer_once_saved(Waits::Nothing, answer, reply);
            }
            (Wish::LeftOver(command, reply), looked) => {
                self.rota.set_clocks(clocks());
                self.rota.sort_left_over(clock::now()).iter().for_each(journal::emit);
                let beside = looked.err().map(|problems| {
                    format!("that is so by the file that is in force, for the newest is wrong:\n{problems}")
                });
                self.obey_at_once(command, reply, beside);
            }
            (Wish::Reload(reply), Err(problems)) => {
                let words = format!("the file is wrong, what was in force stays:\n{problems}");
                let _ = reply.send(Answer::ended(Exit::Config, words));
            }
            (Wish::Reload(reply), Ok(_)) => {
                self.read_keys_again();
                self.rota.read_all();
                let waiting = self.current.borrow().waiting();
                let waiting = waiting.map_or_else(String::new, |words| format!(", but for what waits: {words}"));
                let answer = Answer::done(format!("{} is in force{waiting}", text::path(&self.file)));
                self.answer_when(Waits::Judgement, answer, reply);
            }
        }
    }

    /// Answers when what is waited for has come, or is late.
    fn answer_when(&mut self, waits: Waits, answer: Answer, reply: oneshot::Sender<Answer>) {
        let patience = match waits {
            Waits::Nothing => Duration::ZERO,
            Waits::Judgement => JUDGED_WITHIN,
            Waits::Quiet => self.rota.cluster().bind.timeout + MARGIN,
        };
        self.pending.waiting.push(Waiting { waits, answer, reply, until: clock::now() + patience });
    }

    /// Answers whom can be answered now.
    pub(super) fn answer_waiting(&mut self) {
        let now = clock::now();
        for (ticket, answer) in self.rota.answers(now) {
            match self.pending.tickets.remove(&ticket) {
                // What was withdrawn is not to be left over again after a restart.
                Some(reply) if answer.done => self.save_and_answer(Waits::Nothing, answer, reply),
                // Whoever asked may have left.
                Some(reply) => drop(reply.send(answer)),
                None => {}
            }
        }
        for waiting in std::mem::take(&mut self.pending.waiting) {
            let is_late = now >= waiting.until;
            let answer = match waiting.waits {
                Waits::Nothing => Some(waiting.answer.clone()),
                Waits::Judgement => match (self.rota.judged(), self.link.trouble()) {
                    (Judged::InForce | Judged::Held(_), _) if self.link.is_loading() => is_late.then(|| {
                        let words = "the key file is not read as yet (does its file system hang?): the keys before stay in force";
                        Answer::ended(Exit::Unavailable, words)
                    }),
                    (Judged::InForce | Judged::Held(_), Some(words)) if self.link.unread().is_some() => {
                        Some(Answer::ended(Exit::Config, words))
                    }
                    (Judged::InForce, _) => Some(waiting.answer.clone()),
                    (Judged::Held(held), _) => Some(Answer::refused(held.words.clone())),
                    (Judged::NotYet, _) => is_late.then(|| {
                        let words =
                            "the zones cannot be read as yet, and the file is not judged before: see `rotad status`";
                        Answer::ended(Exit::Unavailable, words)
                    }),
                },
                Waits::Quiet => match self.may_still_change() {
                    None => Some(waiting.answer.clone()),
                    Some(zones) => is_late.then(|| {
                        let words = &waiting.answer.words;
                        Answer::refused(format!(
                            "{words}; but what was sent before may still change {zones}: BIND has not answered"
                        ))
                    }),
                },
            };
            match answer {
                // Whoever asked may have left.
                Some(answer) => drop(waiting.reply.send(answer)),
                None => self.pending.waiting.push(waiting),
            }
        }
    }

    /// The zones in which a message of ours may still change something, in words; `None`: there are none.
    fn may_still_change(&self) -> Option<String> {
        let zones: Vec<_> = self.rota.may_still_change().into_iter().map(ToString::to_string).collect();
        let more = zones.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let named = zones.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        (!zones.is_empty()).then(|| named + &more)
    }

    /// The file in force is another, or its keys are: the monitor, the connections and the keys follow it.
    pub(super) fn follow_file(&mut self) {
        self.in_force.send_if_modified(|cluster| {
            let is_other = !Arc::ptr_eq(cluster, self.rota.cluster());
            cluster.clone_from(self.rota.cluster());
            is_other
        });
        let key_epoch = {
            let current = self.current.borrow();
            if current.hash == self.rota.file() {
                self.loaded_at = current.loaded_at;
            }
            current.key_epoch
        };
        if let Some(source) = self.link.follow(&self.rota.cluster().bind, key_epoch) {
            self.load_keys(source, None);
        }
    }

    /// Reads keys that could not be read before: whatever was wrong may be mended.
    pub(super) fn read_keys_again(&mut self) {
        if let Some(source) = self.link.again() {
            self.load_keys(source, None);
        }
    }

    /// Reads keys, now or then, where that delays nobody.
    fn load_keys(&mut self, source: Source, then: Option<Instant>) {
        if let Some(before) = self.pending.loading.take() {
            before.abort();
        }
        let later = self.pending.later.clone();
        let task = tokio::spawn(async move {
            if let Some(then) = then {
                sleep_until(then.into()).await;
            }
            let loaded = source.clone().load().await;
            let _ = later.send(Later::Loaded(source, loaded));
        });
        self.pending.loading = Some(task.abort_handle());
    }

    fn take_loaded(&mut self, source: Source, loaded: Result<Keys, String>) {
        match self.link.loaded(&source, loaded) {
            None => {}
            Some(Ok(keys)) => self.try_keys(Arc::new(keys), None, false),
            Some(Err(is_news)) => {
                let reason = self.link.unread().unwrap_or_default().to_owned();
                if let Some(words) = self.link.trouble().filter(|_| is_news) {
                    journal::emit(&Event::new(Kind::ConfigRefused, words).reason(reason));
                }
                self.load_keys(source, Some(clock::now() + TRY_KEYS_EVERY));
            }
        }
    }

    /// Keys that wait to be tried again need not wait.
    pub(super) fn try_keys_now(&mut self) {
        let trying = self.pending.trying.as_ref().map(|trying| (Arc::clone(&trying.keys), trying.is_told));
        if let Some((keys, is_told)) = trying {
            self.try_keys(keys, None, is_told);
        }
    }

    /// Tries keys, now or then. Newer ones end that.
    fn try_keys(&mut self, keys: Arc<Keys>, then: Option<Instant>, is_told: bool) {
        if let Some(task) = self.pending.trying.take().and_then(|before| before.task) {
            task.abort();
        }
        let Some(zone) = self.rota.zones().keys().next().cloned() else {
            self.pending.trying = Some(Trying { keys: Arc::clone(&keys), is_told, task: None });
            let _ = self.pending.later.send(Later::Tried(keys, None, false));
            return;
        };
        let (tried, later) = (self.link.tries(Arc::clone(&keys), zone), self.pending.later.clone());
        let trying = Arc::clone(&keys);
        let task = tokio::spawn(async move {
            if let Some(then) = then {
                sleep_until(then.into()).await;
            }
            let why = tried.await;
            let _ = later.send(Later::Tried(keys, why, is_told));
        });
        self.pending.trying = Some(Trying { keys: trying, is_told, task: Some(task.abort_handle()) });
    }
}

async fn save(saves: &mpsc::Sender<Save>) -> io::Result<()> {
    let (reply, answer) = oneshot::channel();
    let stops = || io::Error::other("rotad stops");
    saves.send(reply).await.map_err(|_| stops())?;
    answer.await.map_err(|_| stops())?
}
