//! Writes events to the journal: native fields under systemd, plain lines elsewhere.
//!
//! Events go through a bounded queue to a thread of their own, because the journal may stand still (journald is stopped, a
//! pipe is not read) and the loop may not. What does not fit in the queue is dropped and counted.
//!
//! `ROTAD_LOG` filters as `RUST_LOG` does elsewhere (`ROTAD_LOG=debug`). Debugging lines take no queue: they are for a
//! person who watches.

use std::{
    fmt,
    io::stderr,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::Duration,
};

use tracing::{Subscriber, field::Field};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Writer, debug_fn},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::{
    event::{Event, Kind, Level, fold::Fold, wave::Waves},
    io::clock,
    text,
};

/// Events that wait for the journal: enough for a line about each of ten thousand zones.
const QUEUE_LENGTH: usize = 16_384;

/// Octets that wait for it: that many lines of the usual length.
const QUEUE_SIZE: usize = 8 << 20;

/// How often the folded repetitions are looked at.
const FOLD_TICK: Duration = Duration::from_secs(5);

/// How long the last lines may take at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// What is written unless `ROTAD_LOG` says otherwise: our events, and nothing of the libraries but trouble.
const FILTER: &str = "warn,rotad=info";

/// The queue's end; `None` before [`init`] and after the farewell.
static QUEUE: RwLock<Option<SyncSender<Event>>> = RwLock::new(None);

/// Octets that are in the queue.
static QUEUED: AtomicUsize = AtomicUsize::new(0);

/// Events that found the queue full since the last that did not.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Whether there are several zones, so that what befalls one may befall others.
static MANY_ZONES: AtomicBool = AtomicBool::new(true);

/// Tells how many zones there are: where there is one, nothing waits for others like it.
pub fn set_zones(many: usize) {
    MANY_ZONES.store(many > 1, Ordering::Relaxed);
}

/// Lets the last lines be written when it is dropped, for at most a second.
#[derive(Debug)]
#[must_use = "dropped at once it ends the journal"]
pub struct Farewell {
    ended: Receiver<()>,
}

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `ROTAD_LOG` is no filter.
    #[error("$ROTAD_LOG is not a filter; try ROTAD_LOG=debug")]
    Filter(#[from] tracing_subscriber::filter::FromEnvError),
    /// The journal has been started before.
    #[error("the journal has been started before")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
    /// The thread cannot be started.
    #[error("the journal's thread cannot be started")]
    Thread(#[from] std::io::Error),
}

/// Starts the journal. Under systemd, when stderr is the journal's own stream, events become native entries; else plain
/// lines on stderr.
pub fn init() -> Result<Farewell, Error> {
    let asked = std::env::var_os("ROTAD_LOG").is_some_and(|filter| !filter.is_empty());
    let filter = if asked { EnvFilter::try_from_env("ROTAD_LOG")? } else { EnvFilter::new(FILTER) };
    let native = native();
    let plain = native.is_none().then(|| {
        tracing_subscriber::fmt::layer().with_writer(stderr).event_format(Line).fmt_fields(debug_fn(plain_field))
    });
    tracing_subscriber::registry().with(filter).with(native).with(plain).try_init()?;

    let (queue, events) = mpsc::sync_channel(QUEUE_LENGTH);
    let (alive, ended) = mpsc::channel();
    thread::Builder::new().name("journal".to_owned()).spawn(move || {
        write_events(&events);
        drop::<mpsc::Sender<()>>(alive);
    })?;
    *QUEUE.write().unwrap_or_else(PoisonError::into_inner) = Some(queue);
    Ok(Farewell { ended })
}

/// Queues one event for the journal; never waits. Before [`init`] nothing happens.
pub fn emit(event: &Event) {
    let queue = QUEUE.read().unwrap_or_else(PoisonError::into_inner);
    let Some(queue) = &*queue else { return };
    let event = event.clone().bounded();
    let size = event.size();
    let waiting = QUEUED.fetch_add(size, Ordering::Relaxed);
    if waiting + size > QUEUE_SIZE || queue.try_send(event).is_err() {
        QUEUED.fetch_sub(size, Ordering::Relaxed);
        LOST.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        // Without its only sender the thread writes what is queued and ends.
        *QUEUE.write().unwrap_or_else(PoisonError::into_inner) = None;
        // Nobody sends: this ends with the thread, or in time.
        let _ = self.ended.recv_timeout(FAREWELL);
    }
}

/// The journal's thread.
fn write_events(queue: &Receiver<Event>) {
    let (mut fold, mut waves) = (Fold::default(), Waves::default());
    let mut looked = clock::now();
    let tell = |waves: &mut Waves, told: Vec<Event>, now| {
        told.into_iter().flat_map(|event| waves.push(event, now)).for_each(|event| write(&event));
    };
    loop {
        let until_wave = waves.wake_at().map(|at| at.saturating_duration_since(clock::now()));
        match queue.recv_timeout(until_wave.unwrap_or(FOLD_TICK).min(FOLD_TICK)) {
            Ok(event) => {
                QUEUED.fetch_sub(event.size(), Ordering::Relaxed);
                let now = clock::now();
                tell(&mut waves, fold.push(event, now), now);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        tell_lost();
        if clock::now().saturating_duration_since(looked) >= FOLD_TICK {
            looked = clock::now();
            tell(&mut waves, fold.due(looked), looked);
        }
        let over = if MANY_ZONES.load(Ordering::Relaxed) { waves.due(clock::now()) } else { waves.end() };
        over.iter().for_each(write);
    }
    let now = clock::now();
    tell(&mut waves, fold.end(now), now);
    waves.end().iter().for_each(write);
    tell_lost();
}

fn tell_lost() {
    let lost = LOST.swap(0, Ordering::Relaxed);
    if lost > 0 {
        write(&Event::new(Kind::LinesLost, format!("{lost} lines were lost: the journal did not take them in time")));
    }
}

/// Writes one event, with the names of its fields as they stand in the journal.
fn write(event: &Event) {
    // Once more: a summary has added its count.
    let event = event.clone().bounded();
    // A level is a constant of its call site.
    macro_rules! entry {
        ($level:ident) => {
            tracing::event!(
                target: "rotad",
                tracing::Level::$level,
                MESSAGE_ID = event.kind.message_id(),
                NODE = event.node.as_deref(),
                ADDRESS = event.address.map(tracing::field::display),
                CHECK = event.check.as_deref(),
                ZONE = event.zone.as_deref(),
                OWNER = event.owner.as_deref(),
                RRTYPE = event.rrtype,
                GENERATION = event.generation,
                RCODE = event.rcode.as_deref(),
                REASON = event.reason.as_deref(),
                "{}",
                event.message
            )
        };
    }
    match event.kind.level() {
        Level::Info => entry!(INFO),
        Level::Warning => entry!(WARN),
        Level::Error => entry!(ERROR),
    }
}

/// Writes native entries, if stderr is the journal's and journald answers.
fn native() -> Option<tracing_journald::Layer> {
    let layer = stderr_is_journal().then(tracing_journald::layer)?.ok()?;
    // The library's default for INFO is the priority "notice".
    let priorities =
        PriorityMappings { info: Priority::Informational, debug: Priority::Debug, ..PriorityMappings::new() };
    let layer = layer.with_field_prefix(None).with_priority_mappings(priorities);
    Some(layer.with_syslog_identifier("rotad".to_owned()))
}

/// Whether stderr is the stream that `$JOURNAL_STREAM` names by device and inode (`systemd.exec(5)`).
fn stderr_is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(stderr()).is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// A field on a plain line: those of the journal are left out, the message says it already.
fn plain_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(writer, "{value:?}"),
        name if name.starts_with(|c: char| c.is_ascii_uppercase()) => Ok(()),
        name => write!(writer, " {name}={value:?}"),
    }
}

/// A plain line: time, level unless it is the ordinary one, message.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        let mut message = String::new();
        ctx.format_fields(Writer::new(&mut message), event)?;
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => "error: ",
            tracing::Level::WARN => "warning: ",
            tracing::Level::INFO => "",
            _ => "debug: ",
        };
        let time = humantime::format_rfc3339_seconds(clock::wall());
        // What libraries say in debugging lines comes here, too.
        writeln!(writer, "{time} {level}{}", text::line(&message, text::LINE))
    }
}
