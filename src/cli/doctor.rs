//! `rotad doctor`: asks the real BIND whether everything that rotad will ever do is possible, and changes nothing.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use tokio::{sync::Semaphore, task::JoinSet, time::sleep};

use crate::{
    cli::{Failure, out},
    cluster::Cluster,
    dns::OwnerName,
    doctor::{
        KeyFinding, Need, Report, ZoneFinding, first_write, forwards, grants, in_the_way, needs, no_updates, wrong_data,
    },
    exit::Exit,
    io::{
        clock, files, keys,
        primary::{Lost, Primary, ReadError},
        progress::Progress,
    },
    plan,
    tsig::{Key, Keys},
    update::{GenerationRrset, Role, TsigTrouble, Verdict, role_of, role_query, time_signed},
};

/// Zones that are looked at at once.
const AT_ONCE: usize = 32;

/// Names asked about in one message: with the longest of names it stays below 64 KiB.
const IN_ONE_MESSAGE: usize = 200;

/// Sets whose data are asked about in one message.
const SETS_IN_ONE_MESSAGE: usize = 20;

/// A secondary that was refreshed in this very second looks like a primary; after this long it does not.
const NEXT_SECOND: Duration = Duration::from_millis(1_100);

/// Looks, and says what was found.
///
/// # Errors
/// [`Failure`] when the file or the keys cannot be used.
pub async fn run(file: &Path, json: bool) -> Result<Exit, Failure> {
    let cluster = files::load(file)?.cluster;
    let keys = keys::load(&cluster.bind.key, cluster.bind.allow_weak_keys)?;
    let waits = || format!("{} is asked about every zone", cluster.bind.server);
    let report = Progress::on_terminal().during(waits, examine(&cluster, &keys)).await;
    if json {
        out::print_json(&report)?;
    } else {
        out::print(&report)?;
    }
    Ok(if report.unreachable.is_some() {
        Exit::Unavailable
    } else if report.is_well() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

async fn examine(cluster: &Cluster, keys: &Keys) -> Report {
    let mut report = Report { server: cluster.bind.server.to_string(), ..Report::default() };
    let needs = needs(cluster);
    let Some(zone) = needs.keys().next() else { return report };
    let mut accepted = None;
    for key in keys {
        let primary = Primary::new(&cluster.bind, Arc::new(Keys::one(key)));
        let error = match greet(&primary, zone).await {
            Err(ReadError::Lost(Lost { reason, .. })) => return Report { unreachable: Some(reason), ..report },
            Err(ReadError::Tsig(trouble)) => {
                if let TsigTrouble::BadTime { server_time, our_time } = trouble {
                    report.clock_offset = our_time.checked_signed_diff(server_time);
                }
                Some(trouble.to_string())
            }
            Err(ReadError::Unusable(_)) => None,
            Ok(theirs) => {
                let ours = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                report.clock_offset = theirs.and_then(|theirs| ours.checked_signed_diff(theirs));
                None
            }
        };
        if error.is_none() && accepted.is_none() {
            accepted = Some((Arc::new(primary), Arc::clone(key)));
        }
        report.keys.push(KeyFinding { key: key.label().to_string(), error });
    }
    // Without a key nothing of the zones can be asked.
    if let Some((primary, key)) = accepted {
        report.zones = examine_zones(&primary, &key, needs).await;
        let fresh = report.zones.iter().filter(|zone| zone.error.is_none() && !zone.is_written);
        report.notes.extend(first_write(&fresh.map(|zone| zone.zone.as_str()).collect::<Vec<_>>()));
    }
    report
}

/// Asks whether a key is accepted; BIND's clock.
async fn greet(primary: &Primary, zone: &OwnerName) -> Result<Option<u64>, ReadError> {
    Ok(time_signed(&primary.ask(zone, role_query(zone)?).await?))
}

async fn examine_zones(
    primary: &Arc<Primary>,
    key: &Arc<Key>,
    needs: impl IntoIterator<Item = (OwnerName, Vec<Need>)>,
) -> Vec<ZoneFinding> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut zones = JoinSet::new();
    for (zone, sets) in needs {
        let (primary, key, room) = (Arc::clone(primary), Arc::clone(key), Arc::clone(&room));
        zones.spawn(async move {
            let _seat = room.acquire().await;
            examine_zone(&primary, &key, &zone, sets).await
        });
    }
    let mut found = zones.join_all().await;
    found.sort_by(|one, other| one.zone.cmp(&other.zone));
    found
}

async fn examine_zone(primary: &Primary, key: &Key, zone: &OwnerName, sets: Vec<Need>) -> ZoneFinding {
    let mut finding = ZoneFinding {
        zone: zone.to_string(),
        mname: None,
        needed: sets.len() + 1,
        error: None,
        missing: Vec::new(),
        needed_unless_frozen: Vec::new(),
        is_written: false,
    };
    if let Err(error) = find(primary, key, zone, &sets, &mut finding).await {
        finding.error = Some(error.to_string());
    }
    finding
}

async fn find(
    primary: &Primary,
    key: &Key,
    zone: &OwnerName,
    sets: &[Need],
    finding: &mut ZoneFinding,
) -> Result<(), ReadError> {
    let mut ids: Vec<_> = sets.iter().map(|(id, _)| id.clone()).collect();
    // The exchanges, too, as far as they lie in the zone: each needs an address.
    let exchanges = sets.iter().flat_map(|(_, rdata)| rdata).filter_map(plan::exchange);
    let exchanges = exchanges.filter(|host| host.is_at_or_below(zone)).cloned();
    let owners: BTreeSet<_> = ids.iter().map(|id| id.owner.clone()).chain(exchanges).collect();
    let reading = primary.read(zone, &owners).await?;
    // What cannot stand beside them is to be deleted, if rotad takes it over.
    let in_the_way = in_the_way(&ids, &reading);
    ids.extend(in_the_way.iter().cloned());
    finding.needed = ids.len() + 1;
    let mname = reading.soa.mname.clone();
    finding.mname = Some(mname.to_string());
    finding.is_written = reading.generation.record().is_some();
    let key = &key.label().name;
    let at_all = primary.permission(zone, false, &[]).await?;
    if at_all != Verdict::GuardFailed {
        let role = role(primary, zone).await?;
        let is_marked = reading.generation != GenerationRrset::Absent;
        finding.error = Some(no_updates(zone, &at_all, role, &mname, is_marked));
        // A zone that was written before has its lines.
        if at_all == Verdict::Refused && !is_marked && !matches!(role, Some(Role::Secondary(_))) {
            finding.needed_unless_frozen = grants(key, zone, true, &ids);
        }
        return Ok(());
    }
    let no_record = primary.permission(zone, true, &[]).await? != Verdict::GuardFailed;
    let mut missing = Vec::new();
    for part in ids.chunks(IN_ONE_MESSAGE) {
        if primary.permission(zone, false, part).await? == Verdict::GuardFailed {
            continue;
        }
        for id in part {
            if primary.permission(zone, false, std::slice::from_ref(id)).await? != Verdict::GuardFailed {
                missing.push(id.clone());
            }
        }
    }
    finding.missing = grants(key, zone, no_record, &missing);
    let count = missing.len() + usize::from(no_record);
    if count > 0 {
        let instead: Vec<_> = missing.iter().filter(|id| in_the_way.contains(id)).map(ToString::to_string).collect();
        let instead = if instead.is_empty() {
            String::new()
        } else {
            let list = instead.join(", ");
            format!(
                " (of {list}, which stands in the way of what the file gives, and is to be deleted by rotad or by hand)"
            )
        };
        finding.error = Some(format!(
            "{count} of {} grants are missing{instead}; put these lines into its `update-policy`, then run `rndc reconfig`:",
            finding.needed
        ));
        return Ok(());
    }
    if let Some(Role::Secondary(_)) = role_of(&primary.ask(zone, role_query(zone)?).await?) {
        finding.error = Some(forwards(&mname));
        return Ok(());
    }
    let mut refused = Vec::new();
    for part in sets.chunks(SETS_IN_ONE_MESSAGE) {
        // Sets of many records may not fit in one message.
        match primary.trial(zone, part).await {
            Ok(Verdict::Refused) => {}
            Err(lost) if !lost.sent => {}
            Ok(_) => continue,
            Err(lost) => return Err(lost.into()),
        }
        for set in part {
            if primary.trial(zone, std::slice::from_ref(set)).await? == Verdict::Refused {
                refused.push(set.0.clone());
            }
        }
    }
    finding.error = wrong_data(zone, sets, &refused, &reading);
    Ok(())
}

async fn role(primary: &Primary, zone: &OwnerName) -> Result<Option<Role>, ReadError> {
    let first = role_of(&primary.ask(zone, role_query(zone)?).await?);
    if first != Some(Role::Primary) {
        return Ok(first);
    }
    sleep(NEXT_SECOND).await;
    Ok(role_of(&primary.ask(zone, role_query(zone)?).await?))
}
