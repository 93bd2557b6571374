//! `rotad run`: makes the tasks, joins them by channels, and ends them in order.

use std::{path::Path, sync::Arc};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    cli::Failure,
    cluster::Cluster,
    event::{Event, Kind},
    exit::Exit,
    io::{
        clock, files, journal, keys, monitor,
        primary::Primary,
        reconcile::{Published, Reconcile},
        state::StateDir,
        status_server, systemd,
        watch::{self as file_watch, Current},
    },
    rota::Rota,
    state::State,
    zone::Identity,
};

/// Runs until SIGTERM or SIGINT; SIGHUP reads the file at once.
///
/// # Errors
/// [`Failure`] when something that it cannot do without is not to be had at the start.
pub async fn run(file: &Path) -> Result<Exit, Failure> {
    let loaded = files::load(file)?;
    let cluster = Arc::clone(&loaded.cluster);
    let keys = keys::load(&cluster.bind.key, cluster.bind.allow_weak_keys)?;
    let directory = StateDir::open(&systemd::state_directory(&cluster.state_dir))?;
    let (state, trouble) = directory.load(&cluster.name);
    let socket = systemd::status_socket(&cluster.status_socket);
    let listener = status_server::bind(&socket).map_err(|source| Failure::socket(&socket, source))?;
    let shutdown = Shutdown::listen()?;

    journal::emit(&started(&cluster, &state.me, file));
    trouble.iter().for_each(journal::emit);
    for warning in &loaded.warnings {
        journal::emit(&Event::new(Kind::ConfigWarning, warning.headline()));
    }

    let (publish, current) = watch::channel(Arc::new(Current::new(&loaded)));
    let (in_force, followed) = watch::channel(Arc::clone(&cluster));
    let (ask, requests) = mpsc::channel(16);
    let (published, to_save) = watch::channel(state.zones.clone());
    let (stop_server, server_stops) = oneshot::channel::<()>();

    let (monitor, monitor_task) = monitor::spawn(followed);
    let watch_task = tokio::spawn(file_watch::run(file.to_owned(), loaded, publish, Shutdown::reloads()?));
    let server_task = tokio::spawn(status_server::run(listener, ask, async {
        let _ = server_stops.await;
    }));
    let keeper_task = tokio::spawn(keep(directory, state.me.clone(), to_save));
    let reconcile = Reconcile {
        rota: Rota::new(clock::now(), state.me, Arc::clone(&cluster), state.zones, false),
        primary: Arc::new(Primary::new(&cluster.bind, Arc::new(keys))),
        current,
        in_force,
        monitor,
        requests,
        published,
        file: file.to_owned(),
        key_epoch: 0,
    };
    systemd::ready();

    let stopping = async {
        let signal = shutdown.wait().await;
        systemd::stopping();
        journal::emit(&Event::new(Kind::Stopping, format!("{signal}: rotad stops, and leaves DNS as it is")));
    };
    reconcile.run(stopping).await;

    // The loop's ends of the channels are gone: the keeper saves what came last, and ends.
    let _ = stop_server.send(());
    watch_task.abort();
    monitor_task.abort();
    end(server_task).await;
    end(keeper_task).await;
    // A clean stop leaves no socket behind for somebody to wonder at.
    let _ = std::fs::remove_file(&socket);
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
        file.display(),
        cluster.name,
        cluster.nodes.len(),
        cluster.domains.len(),
        cluster.zones.len(),
        cluster.bind.server,
        me.owner,
    );
    Event::new(Kind::Started, words)
}

/// Saves what is to be remembered whenever it changes, and once more at the end. Holds the lock until then.
async fn keep(directory: StateDir, me: Identity, mut zones: watch::Receiver<Published>) {
    let directory = Arc::new(directory);
    let mut in_trouble = false;
    while zones.changed().await.is_ok() {
        let state = State { me: me.clone(), zones: zones.borrow_and_update().clone() };
        let directory = Arc::clone(&directory);
        let saved = tokio::task::spawn_blocking(move || directory.save(&state)).await;
        match saved {
            Ok(Err(error)) if !in_trouble => {
                in_trouble = true;
                let words = format!("what was published cannot be remembered: {error}; rotad goes on without");
                journal::emit(&Event::new(Kind::StateTrouble, words));
            }
            Ok(Ok(())) => in_trouble = false,
            _ => {}
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

    /// Each SIGHUP; several in a row count once.
    fn reloads() -> Result<mpsc::Receiver<()>, Failure> {
        let mut hangup = signal(SignalKind::hangup())?;
        let (reload, reloads) = mpsc::channel(1);
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                if let Err(mpsc::error::TrySendError::Closed(())) = reload.try_send(()) {
                    return;
                }
            }
        });
        Ok(reloads)
    }

    /// The name of the signal that came.
    async fn wait(mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
