//! `rotad plan` and `rotad apply`: the daemon's own loop, run until it has nothing left to do.

use std::{path::Path, sync::Arc};

use anyhow::anyhow;
use tokio::{
    task::JoinSet,
    time::{sleep_until, timeout},
};

use crate::{
    cli::{Failure, ask, out, report::Report},
    cluster::Cluster,
    event::Event,
    exit::Exit,
    flap::Past,
    health::PastWish,
    io::{
        clock, files,
        instance::{self, Instance},
        journal, keys, monitor,
        primary::Primary,
        progress::{EVERY, Progress},
        pulse::Pulse,
        reconcile::perform,
        state::{self, Loaded, StateDir},
        systemd,
    },
    overrides::{Hold, Overrides},
    rota::Rota,
    state::State,
    status::{Clocks, Mode, Status, ZoneState},
    text::{self, age},
    zone::Zone,
};

/// `rotad plan`: what would be changed now. Never writes.
pub async fn plan(file: &Path, json: bool) -> Result<Exit, Failure> {
    let files::Loaded { cluster, hash, .. } = files::load(file)?;
    let primary = primary(&cluster)?;
    let directory = systemd::state_directory(&cluster.state_dir);
    let mut state = state::peek(&directory, &cluster.name).unwrap_or_else(|cause| {
        out::warn(format_args!("{cause}; what was published before is not known here"));
        state::newcomer(&cluster.name)
    });
    let mut pulse = Pulse::start();
    let socket = systemd::status_socket(&cluster.status_socket);
    let waits = waits(&socket, file, state.hold.as_ref()).await;
    let rota = rota(&cluster, &mut state, false, &mut pulse).await.of_file(&hash, state.file.clone()).looking_only();
    let rota = run(rota, &primary, &mut pulse, journal::emit).await?;
    let is_blind = is_blind(&rota);
    let waits = waits.or_else(|| is_blind.then(|| BLIND.to_owned()));
    let report = Report::new(&rota, &state.me, clock::now()).waiting_for(waits);
    if is_blind && !report.has_changes() {
        out::warn(BLIND);
    }
    if json {
        out::print_json(&report)?;
    } else {
        out::print(&report)?;
    }
    Ok(if rota.server_trouble().is_some() {
        Exit::Unavailable
    } else if report.is_partial() {
        Exit::Failed
    } else if report.has_changes() {
        Exit::Changes
    } else {
        Exit::Done
    })
}

/// Why nothing is written for now, as the running daemon of the file says it, or else the state that it left. What the
/// daemon of another file does says nothing of this one.
async fn waits(socket: &Path, file: &Path, left: Option<&Hold>) -> Option<String> {
    let asked = ask::ask::<Status>(socket, b"").await.ok().map(|(_, status)| status);
    let ours = asked.filter(|status| files::is_same_file(&status.config.file, file));
    let words = |hold: &Hold| format!("held: {}", hold.words());
    let Some(status) = ours else { return left.map(words) };
    match (status.hold.as_ref(), status.blocked.first()) {
        (Some(hold), _) => Some(words(hold)),
        (None, Some(Mode::Blind)) => {
            Some("rotad is blind, and writes nothing before nodes or references answer".to_owned())
        }
        (None, Some(_)) => Some("rotad starts, and writes nothing before its first round of checks".to_owned()),
        (None, None) => None,
    }
}

/// What is said where our own round of checks finds us blind, as the daemon would be.
const BLIND: &str = "blind: too many nodes went down at once, which is more likely our own network: who is down is not taken \
                     out, and nothing is written before nodes return or the references answer";

/// Whether nothing is written for that.
fn is_blind(rota: &Rota) -> bool {
    rota.blocked().contains(&Mode::Blind)
}

/// `rotad apply`: the same, then does it once.
pub async fn apply(file: &Path, force: bool) -> Result<Exit, Failure> {
    let files::Loaded { cluster, hash, .. } = files::load(file)?;
    let primary = primary(&cluster)?;
    let path = systemd::state_directory(&cluster.state_dir);
    state::may_make(&path, cluster.bind.key.file())?;
    let directory = StateDir::open(&path)?;
    let Loaded { mut state, trouble } = directory.load(&cluster.name)?;
    trouble.iter().for_each(journal::emit);
    let _instance = instance(&state, &cluster)?;
    let mut pulse = Pulse::start();
    let (overrides, told) =
        Overrides::remembered(state.hold.clone(), Clocks { now: clock::now(), wall: clock::wall() });
    told.iter().for_each(journal::emit);
    let rota = rota(&cluster, &mut state, force, &mut pulse)
        .await
        .of_file(&hash, state.file.clone())
        .with_overrides(overrides);
    let rota = run(rota, &primary, &mut pulse, journal::emit).await?;
    let (hold, file) = (rota.overrides().hold().cloned(), rota.let_through().map(str::to_owned));
    directory.save(&State { zones: rota.remembered(), hold, file, ..state })?;
    let wrong: Vec<_> = rota.zones().iter().filter(|(_, zone)| zone.state() != ZoneState::InSync).collect();
    // What the server does to all zones is said once.
    let words = |zone: &Zone| format!("{}: {}", zone.state().as_str(), zone.error().unwrap_or("not written"));
    let said: Vec<_> = wrong.iter().map(|(name, zone)| (name.as_str(), words(zone))).collect();
    for (zones, words) in text::by_cause(said.iter().map(|(name, words)| (*name, words.as_str()))) {
        out::warn(format_args!("{}: {words}", text::zones(&zones)));
    }
    if let Some(words) = rota.refused_edit() {
        out::warn(format_args!("{words}; without the daemon `rotad apply --force` does"));
    }
    let is_blind = is_blind(&rota);
    if is_blind {
        out::warn(format_args!("{BLIND}; run it again then"));
    }
    out::print(format_args!("{} of {} zones in sync\n", rota.zones().len() - wrong.len(), rota.zones().len()))?;
    Ok(if rota.server_trouble().is_some() {
        Exit::Unavailable
    } else if wrong.is_empty() && !is_blind {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// That the daemon does not run with another state directory: it would stand by in every zone that is written beside it.
pub(super) fn instance(state: &State, cluster: &Cluster) -> Result<Option<Instance>, Failure> {
    instance::claim(&state.me, cluster.bind.server)
        .map_err(|words| Failure { exit: Exit::Locked, error: anyhow!(words) })
}

pub(super) fn primary(cluster: &Cluster) -> Result<Arc<Primary>, Failure> {
    let keys = keys::load(&cluster.bind.key, cluster.bind.allow_weak_keys)?;
    Ok(Arc::new(Primary::new(&cluster.bind, Arc::new(keys))))
}

/// `12 of 14 zones are read, 3 of them as they should be`
fn zones(rota: &Rota) -> String {
    let read = rota.zones().values().filter(|zone| zone.is_read()).count();
    let right = rota.states().get(&ZoneState::InSync).copied().unwrap_or_default();
    let all = text::count(rota.zones().len());
    format!("{} of {all} zones are read, {} are as they should be", text::count(read), text::count(right))
}

/// A rota that knows the health of every node.
async fn rota(cluster: &Arc<Cluster>, state: &mut State, force: bool, pulse: &mut Pulse) -> Rota {
    let remembered = (&state.damping, &state.wishes);
    let health = monitor::settle(cluster, remembered, pulse, &Progress::on_terminal(), journal::emit).await;
    let clocks = Clocks { now: clock::now(), wall: clock::wall() };
    // What was learnt of the nodes is saved with the rest, as the daemon does.
    (state.damping, state.wishes) = (Past::of_all(&health, clocks), PastWish::of_all(&health, clocks));
    let mut rota = Rota::new(clock::now(), state.me.clone(), Arc::clone(cluster), state.zones.clone(), force);
    rota.set_health(Arc::new(health)).iter().for_each(journal::emit);
    rota
}

/// Lets the rota run until it has nothing to do, or BIND does not answer. `tell` takes what happens.
pub(super) async fn run(
    mut rota: Rota,
    primary: &Arc<Primary>,
    pulse: &mut Pulse,
    mut tell: impl FnMut(&Event),
) -> Result<Rota, Failure> {
    let mut steps = JoinSet::new();
    let progress = Progress::on_terminal();
    loop {
        progress.say(|| zones(&rota));
        if let Some(gap) = pulse.gap() {
            return Err(anyhow!("rotad stood still for {}: what it saw is stale; run it again", age(gap.lasted)).into());
        }
        let clocks = Clocks { now: clock::now(), wall: clock::wall() };
        let now = clocks.now;
        rota.set_clocks(clocks);
        rota.tick(now).iter().for_each(&mut tell);
        while let (Some((name, step)), events) = rota.take(now) {
            events.iter().for_each(&mut tell);
            let primary = Arc::clone(primary);
            steps.spawn(async move {
                let done = perform(&primary, &name, step).await;
                (name, done)
            });
        }
        let Ok(ended) = timeout(EVERY, steps.join_next()).await else { continue };
        match ended {
            Some(Ok((name, Some(done)))) => rota.done(clock::now(), &name, done).iter().for_each(&mut tell),
            Some(_) => {}
            // An inline-signing zone shows what was written a moment later: until then it is not known to be right.
            None => match rota.wake_at().filter(|_| rota.zones().values().any(|zone| zone.is_being_read_back(now))) {
                Some(at) => sleep_until(at.into()).await,
                None => return Ok(rota),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixListener,
    };

    use super::*;
    use crate::status::Stamp;

    #[tokio::test]
    async fn the_daemon_of_another_file_keeps_nobody_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let (socket, file) = (directory.path().join("status.sock"), directory.path().join("cluster.yaml"));
        let hold = json!({ "since": "2026-11-24T11:18:20Z", "until": null, "by": null, "reason": "the switches" });
        let ours = Hold { since: Stamp(clock::wall()), until: None, by: None, reason: Some("ours".to_owned()) };
        for (mode, of, left, waits_for) in [
            ("hold", "cluster.yaml", None, Some("the switches")),
            ("hold", "other.yaml", None, None),
            ("hold", "other.yaml", Some(&ours), Some("ours")),
            ("blind", "cluster.yaml", None, Some("rotad is blind")),
            ("blind", "other.yaml", None, None),
            ("starting", "other.yaml", None, None),
        ] {
            let status = json!({
                "version": "0.1.0", "time": "2026-11-24T11:19:20Z", "mode": mode, "blocked": [mode],
                "hold": if mode == "hold" { hold.clone() } else { json!(null) },
                "config": { "file": directory.path().join(of), "loaded_at": "2026-11-24T09:08:20Z", "error": null },
                "nodes": [], "zones": [],
            });
            let listener = UnixListener::bind(&socket).unwrap();
            let serve = async {
                let (mut client, _) = listener.accept().await.unwrap();
                client.write_all(status.to_string().as_bytes()).await.unwrap();
                client.shutdown().await.unwrap();
                let _end = client.read(&mut [0]).await;
            };
            let (waits, ()) = tokio::join!(waits(&socket, &file, left), serve);
            std::fs::remove_file(&socket).unwrap();
            let is_right = waits_for.map_or(waits.is_none(), |part| waits.as_ref().unwrap().contains(part));
            assert!(is_right, "{mode} {of}: {waits:?}");
        }
        assert_eq!(waits(&socket, &file, None).await, None, "no daemon");
    }
}
