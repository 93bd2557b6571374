//! `rotad withdraw` and `rotad restore`: what becomes of what the file no longer gives.
//!
//! The running daemon does it; without one they take the state directory's lock and do it themselves. `restore` then
//! also puts back the members of every set of the file, whatever the health: what is to be done before rotad is removed.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use tokio::time::sleep;

use crate::{
    check::targets,
    cli::{
        Failure,
        ask::{ask, daemon_of, line},
        once,
    },
    cluster::Cluster,
    control::{Answer, Command, Selection},
    dns::OwnerName,
    event::Event,
    exit::Exit,
    health::{Health, HealthView, State as Stands},
    io::{
        clock, files, journal,
        progress::Progress,
        pulse::Pulse,
        state::{Loaded, StateDir, may_make},
        systemd,
    },
    overrides::Overrides,
    rota::Rota,
    state::State,
    status::{Clocks, LeftOver, Status, ZoneState},
    zone::Scope,
};

/// How long the command waits for the daemon to have it done in DNS.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// `rotad withdraw`.
///
/// # Errors
/// [`Failure`].
pub async fn withdraw(file: &Path, name: Option<&str>, rtype: Option<&str>, forget: bool) -> Result<Exit, Failure> {
    let selection = match name {
        None => Selection::ALL,
        Some(name) => Selection::new(name, rtype).map_err(usage)?,
    };
    let command = Command::Withdraw { selection: selection.clone(), forget };
    let is_open = |left: &LeftOver| is_taken(&selection, left);
    if let Some(exit) = by_daemon(file, &command, is_open).await? {
        return Ok(exit);
    }
    let mut alone = Alone::new(file)?;
    let rota = alone.rota(HealthView::default()).limited_to(Scope::Wishes);
    alone.carry_out(rota, |rota| rota.withdraw(&selection, forget), is_open, false).await
}

/// `rotad restore`.
///
/// # Errors
/// [`Failure`].
pub async fn restore(file: &Path, names: &[String]) -> Result<Exit, Failure> {
    let selections = match names {
        [] => vec![Selection::ALL],
        names => names.iter().map(|name| Selection::new(name, None)).collect::<Result<_, _>>().map_err(usage)?,
    };
    let command = Command::Restore { selections: selections.clone() };
    let takes = |left: &LeftOver| selections.iter().any(|selection| is_taken(selection, left));
    let is_open = |left: &LeftOver| !left.missing.is_empty() && takes(left);
    if let Some(exit) = by_daemon(file, &command, is_open).await? {
        return Ok(exit);
    }
    let mut alone = Alone::new(file)?;
    let up = Arc::new(Health { state: Stands::Up, ..Health::new(alone.now) });
    let everyone: BTreeMap<_, _> =
        targets(&alone.cluster).into_iter().map(|target| (target, Arc::clone(&up))).collect();
    let health = HealthView { targets: everyone, ..HealthView::default() };
    let rota = alone.rota(health).limited_to(Scope::Restore(selections.clone()));
    // What is in the file is not left over, and restored all the same.
    let ask = |rota: &mut Rota| match rota.restore(&selections) {
        (Answer { done: false, .. }, event) => (Answer::done("every set of the file is restored"), event),
        (answer, event) => (answer, event),
    };
    alone.carry_out(rota, ask, is_open, true).await
}

fn usage(words: String) -> Failure {
    Failure { exit: Exit::Usage, error: anyhow!(words) }
}

fn is_taken(selection: &Selection, left: &LeftOver) -> bool {
    selection.takes(&OwnerName::from_presentation(&left.owner), &left.rtype)
}

/// Has the daemon do it, and waits until nothing of what was asked is open. `None`: there is no daemon.
async fn by_daemon(
    file: &Path,
    command: &Command,
    is_open: impl Fn(&LeftOver) -> bool,
) -> Result<Option<Exit>, Failure> {
    let before = match daemon_of(file, async |socket| ask::<Status>(socket, b"").await).await {
        Ok((_, status)) => status.left_over.into_iter().filter(&is_open).collect(),
        Err(failure) if failure.exit == Exit::Unavailable => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let before: Vec<LeftOver> = if matches!(command, Command::Restore { .. }) { before } else { Vec::new() };
    let line = line(file, command)?;
    let asked = daemon_of(file, async |socket| ask::<Answer>(&systemd::control_socket(socket), &line).await).await;
    let words = match asked {
        Ok((_, Answer { done: true, words, .. })) => words,
        Ok((_, Answer { done: false, words, exit })) => {
            eprintln!("rotad: {words}");
            return Ok(Some(exit.map_or(Exit::Failed, Exit::of)));
        }
        Err(failure) if failure.exit == Exit::Unavailable => return Ok(None),
        Err(failure) => return Err(failure),
    };
    println!("{words}");
    let (end, progress) = (clock::now() + PATIENCE, Progress::on_terminal());
    loop {
        let (_, status) = daemon_of(file, async |socket| ask::<Status>(socket, b"").await).await?;
        let open: Vec<_> = status.left_over.iter().filter(|left| is_open(left)).collect();
        if open.is_empty() {
            let is_back = tell_lacking(&before, &status.left_over);
            return Ok(Some(if is_back { Exit::Done } else { Exit::Failed }));
        }
        if clock::now() >= end {
            drop(progress);
            let first = open.first().map(|left| format!("{} {}", left.owner, left.rtype)).unwrap_or_default();
            eprintln!(
                "rotad: {} are under way still, {first} among them: `rotad status` and the journal tell what they wait for",
                open.len()
            );
            return Ok(Some(Exit::Failed));
        }
        progress.say(|| format!("{} RRsets are under way", open.len()));
        sleep(LOOK_EVERY).await;
    }
}

/// Tells what should have come back and has not: its cause is in the journal. Whether all of it has.
fn tell_lacking(before: &[LeftOver], now: &[LeftOver]) -> bool {
    let mut is_back = true;
    for left in before {
        let is_same =
            |other: &&LeftOver| (&other.zone, &other.owner, &other.rtype) == (&left.zone, &left.owner, &left.rtype);
        let lacks: Vec<_> = match now.iter().find(is_same) {
            Some(now) => left.missing.iter().filter(|rdata| !now.data.contains(rdata)).map(String::as_str).collect(),
            None => left.missing.iter().map(String::as_str).collect(),
        };
        if !lacks.is_empty() {
            let (LeftOver { owner, rtype, .. }, lacks) = (left, lacks.join(", "));
            eprintln!("rotad: {owner} {rtype} is not whole, {lacks} did not come back: the journal tells why");
            is_back = false;
        }
    }
    is_back
}

/// Without a daemon.
struct Alone {
    cluster: Arc<Cluster>,
    directory: StateDir,
    state: State,
    now: Instant,
}

impl Alone {
    fn new(file: &Path) -> Result<Self, Failure> {
        let cluster = files::load(file)?.cluster;
        let path = systemd::state_directory(&cluster.state_dir);
        may_make(&path, cluster.bind.key.file())?;
        let directory = StateDir::open(&path)?;
        let Loaded { state, trouble } = directory.load(&cluster.name)?;
        trouble.iter().for_each(journal::emit);
        let clocks = Clocks { now: clock::now(), wall: clock::wall() };
        let (overrides, _) = Overrides::remembered(state.hold.clone(), clocks);
        if let Some(hold) = overrides.hold() {
            let words = format!("{}; start rotad and run `rotad release` first", hold.words());
            return Err(anyhow!(words).into());
        }
        Ok(Self { cluster, directory, state, now: clocks.now })
    }

    /// All zones, with this health for the whole of it: nobody is asked.
    fn rota(&self, health: HealthView) -> Rota {
        let (me, zones) = (self.state.me.clone(), self.state.zones.clone());
        // An edit is not judged: it is not carried out.
        let mut rota = Rota::new(self.now, me, Arc::clone(&self.cluster), zones, true);
        let health = HealthView { first_round_done: true, ..health };
        let _shortages = rota.set_health(Arc::new(health));
        rota
    }

    /// Does what is asked, and says what is left of it: `counts` tells whether a zone that is not as it should be is a
    /// failure of the command.
    async fn carry_out(
        &mut self,
        mut rota: Rota,
        ask: impl FnOnce(&mut Rota) -> (Answer, Vec<Event>),
        is_open: impl Fn(&LeftOver) -> bool,
        counts: bool,
    ) -> Result<Exit, Failure> {
        let primary = once::primary(&self.cluster)?;
        rota.sort_left_over(self.now).iter().for_each(journal::emit);
        let before: Vec<_> = rota.left_over().filter(|left| counts && is_open(left)).collect();
        let (answer, _) = ask(&mut rota);
        if !answer.done {
            eprintln!("rotad: {}", answer.words);
            return Ok(Exit::Failed);
        }
        let rota = once::run(rota, &primary, &mut Pulse::start()).await?;
        self.directory.save(&State { zones: rota.remembered(), ..self.state.clone() })?;
        let wrong = rota.zones().iter().filter(|(_, zone)| counts && zone.state() != ZoneState::InSync);
        let wrong = wrong.inspect(|(name, zone)| {
            eprintln!("{name}: {}: {}", zone.state().as_str(), zone.error().unwrap_or("not written"));
        });
        let wrong = wrong.count();
        let left_over: Vec<_> = rota.left_over().collect();
        let open = left_over.iter().filter(|left| is_open(left)).count();
        if let Some(words) = rota.server_trouble() {
            eprintln!("rotad: {}: {words}", self.cluster.bind.server);
            return Ok(Exit::Unavailable);
        }
        if open == 0 && wrong == 0 && tell_lacking(&before, &left_over) {
            println!("{}", answer.words);
            return Ok(Exit::Done);
        }
        Ok(Exit::Failed)
    }
}
