//! `rotad run`: makes the tasks, joins them by channels, and ends them in order.

use std::{
    collections::BTreeMap,
    future::pending,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{sleep, sleep_until, timeout},
};

use crate::{
    cli::Failure,
    cluster::Cluster,
    event::{Event, Kind},
    exit::Exit,
    flap::Past,
    health::PastWish,
    io::{
        clock, control_server, files, instance, journal, keys, local_socket, monitor,
        pulse::Pulse,
        reconcile::{Link, Pending, Reconcile, Remembered, Save},
        state::{Loaded, StateDir},
        status_server, systemd,
        watch::{self as file_watch, Current, Look},
    },
    overrides::Overrides,
    rota::Rota,
    state::State,
    status::Clocks,
    text,
    zone::Identity,
};

/// How long a stop waits for the monitor's end.
const MONITOR_ENDS: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT; SIGHUP reads the file and the zones at once.
///
/// # Errors
/// [`Failure`] when something that it cannot do without is not to be had at the start.
pub async fn run(file: &Path) -> Result<Exit, Failure> {
    let loaded = files::load(file)?;
    let cluster = Arc::clone(&loaded.cluster);
    // Before the keys: what is edited meanwhile is read once more.
    let key = loaded.key_now();
    let keys = keys::load(&cluster.bind.key, cluster.bind.allow_weak_keys)?;
    let directory = StateDir::open(&systemd::state_directory(&cluster.state_dir))?;
    let Loaded { state, trouble } = directory.load(&cluster.name)?;
    let status_socket = systemd::status_socket(&cluster.status_socket);
    let control_socket = systemd::control_socket(&status_socket);
    let bind = |path, mode| local_socket::bind(path, mode).map_err(|source| Failure::socket(path, source));
    let (status_listener, status_place) = bind(&status_socket, status_server::MODE)?;
    let (control_listener, control_place) = bind(&control_socket, control_server::MODE)?;
    let shutdown = Shutdown::listen()?;
    let instance = instance::claim(&state.me, cluster.bind.server);

    journal::emit(&started(&cluster, &state.me, file));
    let rival = instance.as_ref().err().map(|words| Event::new(Kind::StateTrouble, words));
    trouble.iter().chain(&rival).for_each(journal::emit);
    for warning in &loaded.warnings {
        journal::emit(&Event::new(Kind::ConfigWarning, warning.headline()));
    }

    let (publish, current) = watch::channel(Arc::new(Current::new(&loaded)));
    let (in_force, followed) = watch::channel(Arc::clone(&cluster));
    let (ask, requests) = mpsc::channel(16);
    let (order, commands) = mpsc::channel(16);
    let (remembered, to_save) = watch::channel(Remembered {
        zones: state.zones.clone(),
        hold: state.hold.clone(),
        file: state.file.clone(),
        health: Arc::default(),
    });
    let (saves, save_now) = mpsc::channel(16);
    let (stop_servers, servers_stop) = watch::channel(());
    let stopped = || {
        let mut stop = servers_stop.clone();
        async move {
            let _ = stop.changed().await;
        }
    };

    let pulse = Pulse::start();
    let (monitor, monitor_ended) = monitor::spawn(followed, (&state.damping, &state.wishes), pulse.clone())?;
    let hash = loaded.hash.clone();
    let (look, looks) = mpsc::channel(16);
    Shutdown::reloads(look.clone())?;
    let watch_task = tokio::spawn(file_watch::run(file.to_owned(), loaded, key, publish, looks));
    let status_task = tokio::spawn(status_server::run(status_listener, ask, stopped()));
    let control_task = tokio::spawn({
        let (file, stopped) = (file.to_owned(), stopped());
        async move { control_server::run(control_listener, &file, order, stopped).await }
    });
    let kept = State { zones: BTreeMap::new(), ..state.clone() };
    let keeper_task = tokio::spawn(keep(directory, kept, to_save, save_now));
    let clocks = Clocks { now: clock::now(), wall: clock::wall() };
    let (overrides, told) = Overrides::remembered(state.hold, clocks);
    told.iter().for_each(journal::emit);
    let rota = Rota::new(clocks.now, state.me, Arc::clone(&cluster), state.zones, false);
    let reconcile = Reconcile {
        rota: rota.with_overrides(overrides).of_file(&hash, state.file),
        link: Link::new(&cluster.bind, keys),
        current,
        in_force,
        monitor,
        pulse,
        requests,
        commands,
        remembered,
        saves,
        file: file.to_owned(),
        look,
        loaded_at: clocks.wall,
        signals: 0,
        revision: 0,
        headline: String::new(),
        pending: Pending::default(),
    };
    systemd::ready();

    let stopping = async {
        let signal = shutdown.wait().await;
        systemd::stopping();
        journal::emit(&Event::new(Kind::Stopping, format!("{signal}: rotad stops, and leaves DNS as it is")));
    };
    reconcile.run(stopping).await;

    // The loop's ends of the channels are gone: the keeper saves what came last, and ends.
    drop(stop_servers);
    watch_task.abort();
    end(status_task).await;
    end(control_task).await;
    end(keeper_task).await;
    // It ends the plugins that it runs. Should one hang in the kernel, that is no reason to stay.
    let _ = timeout(MONITOR_ENDS, monitor_ended).await;
    // A clean stop leaves no sockets behind for somebody to wonder at.
    status_place.remove();
    control_place.remove();
    Ok(Exit::Done)
}

async fn end(task: JoinHandle<()>) {
    // A task that panicked has ended the process already.
    let _ = task.await;
}

fn started(cluster: &Cluster, me: &Identity, file: &Path) -> Event {
    let words = format!(
        "rotad {} has read {}: cluster {}, {} nodes, {} domains in {} zones on {}, as instance {}",
        env!("CARGO_PKG_VERSION"),
        text::path(file),
        cluster.name,
        cluster.nodes.len(),
        cluster.domains.len(),
        cluster.zones.len(),
        cluster.bind.server,
        me.owner,
    );
    Event::new(Kind::Started, words)
}

/// After a save it rests so many times as long as the save took: with ten thousand zones that change, saving every second
/// would take a tenth of a core from BIND.
const RESTS: u32 = 20;
/// But not for longer: a save that takes half a second and more waits for the disk, not for a core, and a crash forgets
/// what came since the last one.
const LONGEST_REST: Duration = Duration::from_secs(10);

/// How soon a save that failed is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(30);

fn rest_after(save: Duration) -> Duration {
    save.saturating_mul(RESTS).min(LONGEST_REST)
}

/// Waits for a change, and with it until then; a sender that is gone is not waited for.
async fn changed_after(newest: &mut watch::Receiver<Remembered>, then: Instant) -> Result<(), watch::error::RecvError> {
    let gone = async |mut newest: watch::Receiver<Remembered>| {
        // No value satisfies: this ends with the sender.
        let _ = newest.wait_for(|_| false).await;
    };
    tokio::select! {
        () = sleep_until(then.into()) => {}
        () = gone(newest.clone()) => {}
    }
    newest.changed().await
}

/// Saves what is to be remembered whenever it changes, when somebody waits for it, and once more at the end, beside what
/// else is kept. Holds the lock until then.
async fn keep(
    directory: StateDir,
    mut kept: State,
    mut newest: watch::Receiver<Remembered>,
    mut save_now: mpsc::Receiver<Save>,
) {
    let directory = Arc::new(directory);
    let mut in_trouble = false;
    let mut rests_until = clock::now();
    loop {
        // What was in the way may be gone: the state is saved then, though nothing has changed since.
        let again = async { if in_trouble { sleep(SAVE_AGAIN).await } else { pending().await } };
        let waits = tokio::select! {
            changed = changed_after(&mut newest, rests_until) => match changed {
                Ok(()) => None,
                Err(_) => return,
            },
            Some(waits) = save_now.recv() => Some(waits),
            () = again => None,
        };
        let begins = clock::now();
        let Remembered { zones, hold, file, health } = newest.borrow_and_update().clone();
        if !health.targets.is_empty() {
            let clocks = Clocks { now: begins, wall: clock::wall() };
            (kept.damping, kept.wishes) = (Past::of_all(&health, clocks), PastWish::of_all(&health, clocks));
        }
        let state = State { zones, hold, file, ..kept.clone() };
        let directory = Arc::clone(&directory);
        let saved = tokio::task::spawn_blocking(move || directory.save(&state)).await;
        let saved = saved.unwrap_or_else(|panicked| Err(panicked.into()));
        match &saved {
            Err(error) if !in_trouble => {
                let words = format!("the state cannot be saved: {error}; rotad goes on without, and tries again");
                journal::emit(&Event::new(Kind::StateTrouble, words));
            }
            Ok(()) if in_trouble => {
                journal::emit(&Event::new(Kind::StateSaved, "the state is saved again: a restart forgets nothing"));
            }
            Ok(()) | Err(_) => {}
        }
        in_trouble = saved.is_err();
        let ended = clock::now();
        rests_until = ended + rest_after(ended.duration_since(begins));
        if let Some(waits) = waits {
            // Whoever asked may have left.
            let _ = waits.send(saved);
        }
    }
}

/// The signals that end the daemon, or make it read the file.
struct Shutdown {
    terminate: Signal,
    interrupt: Signal,
}

impl Shutdown {
    fn listen() -> Result<Self, Failure> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Each SIGHUP asks for a look at the file; several in a row count once.
    fn reloads(look: mpsc::Sender<Look>) -> Result<(), Failure> {
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                if let Err(mpsc::error::TrySendError::Closed(_)) = look.try_send(Look::Signal) {
                    return;
                }
            }
        });
        Ok(())
    }

    /// The name of the signal that came.
    async fn wait(mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_slow_save_the_keeper_does_not_rest_for_minutes() {
        for (save_ms, rest_ms) in [(0, 0), (5, 100), (50, 1_000), (500, 10_000), (30_000, 10_000)] {
            let rest = rest_after(Duration::from_millis(save_ms));
            assert_eq!(rest, Duration::from_millis(rest_ms), "after {save_ms} ms");
        }
        assert_eq!(rest_after(Duration::MAX), LONGEST_REST);
    }
}
