//! `rotad withdraw` and `rotad restore`: what becomes of what the file no longer gives.
//!
//! The running daemon does it; without one they take the state directory's lock and do it themselves. `restore` then
//! also puts back the members of every set of the file, whatever the health: what is to be done before rotad is removed.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Instant};

use anyhow::anyhow;

use crate::{
    check::targets,
    cli::{Failure, ask, once, out},
    cluster::Cluster,
    control::{Answer, Command, Selection},
    dns::{OwnerName, RrType, RrsetId},
    event::{Event, Kind},
    exit::Exit,
    health::{Health, HealthView, State as Stands},
    io::{
        clock, files,
        instance::Instance,
        journal,
        pulse::Pulse,
        state::{Loaded, StateDir, may_make},
        systemd,
    },
    overrides::Overrides,
    rota::{Reply, Rota, Sets, summary},
    state::State,
    status::{Clocks, ZoneState},
    zone::Scope,
};

/// `rotad withdraw`.
///
/// # Errors
/// [`Failure`].
pub async fn withdraw(file: &Path, name: Option<&str>, rtype: Option<&str>, forget: bool) -> Result<Exit, Failure> {
    let selection = match name {
        None => Selection::ALL,
        Some(name) => Selection::new(name, rtype).map_err(usage)?,
    };
    if let Some(exit) = by_daemon(file, &Command::Withdraw { selection: selection.clone(), forget }).await? {
        return Ok(exit);
    }
    let mut alone = Alone::new(file)?;
    let rota = alone.rota(HealthView::default()).limited_to(Scope::Wishes);
    alone.carry_out(rota, |rota, now| rota.withdraw(now, &selection, forget), None).await
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
    if let Some(exit) = by_daemon(file, &Command::Restore { selections: selections.clone() }).await? {
        return Ok(exit);
    }
    let mut alone = Alone::new(file)?;
    let up = Arc::new(Health { state: Stands::Up, ..Health::new(alone.now) });
    let everyone: BTreeMap<_, _> =
        targets(&alone.cluster).into_iter().map(|target| (target, Arc::clone(&up))).collect();
    let health = HealthView { targets: everyone, ..HealthView::default() };
    let rota = alone.rota(health).limited_to(Scope::Restore(selections.clone()));
    alone.carry_out(rota, |rota, now| rota.restore(now, &selections), Some(&selections)).await
}

fn usage(words: String) -> Failure {
    Failure { exit: Exit::Usage, error: anyhow!(words) }
}

/// Has the daemon do it, which answers with what became of it. `None`: there is no daemon.
async fn by_daemon(file: &Path, command: &Command) -> Result<Option<Exit>, Failure> {
    match ask::command(file, command).await {
        Ok(answer) => Ok(Some(say(&answer)?)),
        Err(failure) if failure.exit == Exit::Unavailable => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// What became of it goes to standard output, also of what was not done; that nothing was tried does not.
fn say(Answer { done, words, exit }: &Answer) -> Result<Exit, Failure> {
    if *done || *exit == Some(Exit::Failed as u8) {
        out::print(format_args!("{words}\n"))?;
    } else {
        out::warn(format_args!("rotad: {words}"));
    }
    Ok(if *done { Exit::Done } else { exit.map_or(Exit::Failed, Exit::of) })
}

/// Without a daemon.
struct Alone {
    cluster: Arc<Cluster>,
    directory: StateDir,
    _instance: Option<Instance>,
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
        let instance = once::instance(&state, &cluster)?;
        let clocks = Clocks { now: clock::now(), wall: clock::wall() };
        let (overrides, _) = Overrides::remembered(state.hold.clone(), clocks);
        if let Some(hold) = overrides.hold() {
            let words = format!("{}; start rotad and run `rotad release` first", hold.words());
            return Err(anyhow!(words).into());
        }
        Ok(Self { cluster, directory, _instance: instance, state, now: clocks.now })
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

    /// Does what is asked, and says what became of it. `restored`: the sets of the file among them are made whole, too.
    async fn carry_out(
        &mut self,
        mut rota: Rota,
        ask: impl FnOnce(&mut Rota, Instant) -> (Reply, Vec<Event>),
        restored: Option<&[Selection]>,
    ) -> Result<Exit, Failure> {
        let primary = once::primary(&self.cluster)?;
        rota.sort_left_over(self.now).iter().for_each(journal::emit);
        let (reply, _) = ask(&mut rota, self.now);
        let ticket = match (reply, restored) {
            (Reply::Later(ticket), _) => Some(ticket),
            // What is in the file is not left over, and restored all the same.
            (Reply::Now(Answer { done: false, .. }), Some(_)) => None,
            (Reply::Now(answer), _) => {
                self.directory.save(&State { zones: rota.remembered(), ..self.state.clone() })?;
                return say(&answer);
            }
        };
        let mut written = Sets::new();
        let tell = |event: &Event| {
            journal::emit(event);
            written.extend(set_of(event));
        };
        let mut rota = once::run(rota, &primary, &mut Pulse::start(), tell).await?;
        self.directory.save(&State { zones: rota.remembered(), ..self.state.clone() })?;
        let answer = ticket.and_then(|ticket| rota.answer_of(ticket));
        let mut exit = Exit::Done;
        if let Some(answer) = &answer {
            exit = say(answer)?;
        }
        if let Some(selections) = restored {
            // What is left over has its own lines.
            let given = |(zone, id): &(OwnerName, RrsetId)| {
                rota.zones().get(zone).is_some_and(|zone| zone.memory().owned.contains_key(id))
            };
            written.retain(given);
            let lines = self.of_the_file(&rota, selections, &written);
            if lines.iter().any(|(is_wrong, _)| *is_wrong) {
                exit = if exit == Exit::Done { Exit::Failed } else { exit };
            }
            for (_, line) in lines {
                out::print(format_args!("{line}\n"))?;
            }
        }
        if let Some(words) = rota.server_trouble() {
            out::warn(format_args!("rotad: {}: {words}", self.cluster.bind.server));
            return Ok(Exit::Unavailable);
        }
        Ok(exit)
    }

    /// What was restored of the sets of the file, and what is not as it should be: that comes with `true`.
    fn of_the_file(&self, rota: &Rota, selections: &[Selection], written: &Sets) -> Vec<(bool, String)> {
        let is_meant = |zone: &OwnerName| {
            self.cluster.domains.iter().any(|(name, domain)| {
                domain.zone == *zone && selections.iter().any(|selection| selection.takes_of(name))
            })
        };
        let zones = rota.zones().iter().filter(|(name, _)| is_meant(name));
        let mut lines = Vec::new();
        for (name, zone) in zones {
            let is_meant = |id: &RrsetId| selections.iter().any(|one| one.takes(&id.owner, id.rtype.as_str()));
            let foreign = zone.foreign_told().iter().filter(|(id, _)| is_meant(id));
            lines.extend(foreign.map(|(_, words)| (true, format!("not restored: {words}"))));
            if zone.state() != ZoneState::InSync {
                let words = zone.error().unwrap_or("not written");
                lines.push((true, format!("not restored: {name}: {}: {words}", zone.state().as_str())));
            }
        }
        let is_whole = lines.is_empty();
        if !written.is_empty() {
            lines.push((false, format!("restored of the file: {}", summary(written))));
        } else if is_whole {
            lines.push((false, "nothing is missing in the sets of the file".to_owned()));
        }
        lines
    }
}

/// The set that an event tells the new content of.
fn set_of(event: &Event) -> Option<(OwnerName, RrsetId)> {
    let zone = event.zone.as_deref().filter(|_| event.kind == Kind::Published)?;
    let rtype = RrType::ALL.into_iter().find(|rtype| Some(rtype.as_str()) == event.rrtype)?;
    let owner = OwnerName::from_presentation(event.owner.as_deref()?);
    Some((OwnerName::from_presentation(zone), RrsetId { owner, rtype }))
}
