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
    dns::{OwnerName, RrsetId},
    doctor::{KeyFinding, Report, ZoneFinding, forwards, grants, needs, no_updates},
    exit::Exit,
    io::{
        clock, files, keys,
        primary::{Lost, Primary, ReadError},
    },
    tsig::{Key, Keys},
    update::{GenerationRrset, Role, TsigTrouble, Verdict, role_of, role_query, time_signed},
};

/// Zones that are looked at at once.
const AT_ONCE: usize = 32;

/// Names asked about in one message: with the longest of names it stays below 64 KiB.
const IN_ONE_MESSAGE: usize = 200;

/// A secondary that was refreshed in this very second looks like a primary; after this long it does not.
const NEXT_SECOND: Duration = Duration::from_millis(1_100);

/// Looks, and says what was found.
///
/// # Errors
/// [`Failure`] when the file or the keys cannot be used.
pub async fn run(file: &Path, json: bool) -> Result<Exit, Failure> {
    let cluster = files::load(file)?.cluster;
    let keys = keys::load(&cluster.bind.key, cluster.bind.allow_weak_keys)?;
    let report = examine(&cluster, &keys).await;
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
    needs: impl IntoIterator<Item = (OwnerName, Vec<RrsetId>)>,
) -> Vec<ZoneFinding> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut zones = JoinSet::new();
    for (zone, ids) in needs {
        let (primary, key, room) = (Arc::clone(primary), Arc::clone(key), Arc::clone(&room));
        zones.spawn(async move {
            let _seat = room.acquire().await;
            examine_zone(&primary, &key, &zone, ids).await
        });
    }
    let mut found = zones.join_all().await;
    found.sort_by(|one, other| one.zone.cmp(&other.zone));
    found
}

async fn examine_zone(primary: &Primary, key: &Key, zone: &OwnerName, ids: Vec<RrsetId>) -> ZoneFinding {
    let mut finding =
        ZoneFinding { zone: zone.to_string(), mname: None, needed: ids.len() + 1, error: None, missing: Vec::new() };
    if let Err(error) = find(primary, key, zone, &ids, &mut finding).await {
        finding.error = Some(error.to_string());
    }
    finding
}

async fn find(
    primary: &Primary,
    key: &Key,
    zone: &OwnerName,
    ids: &[RrsetId],
    finding: &mut ZoneFinding,
) -> Result<(), ReadError> {
    let owners: BTreeSet<_> = ids.iter().map(|id| id.owner.clone()).collect();
    let reading = primary.read(zone, &owners).await?;
    let mname = reading.soa.mname;
    finding.mname = Some(mname.to_string());
    let key = &key.label().name;
    let at_all = primary.permission(zone, false, &[]).await?;
    if at_all != Verdict::GuardFailed {
        let role = role(primary, zone).await?;
        let is_marked = reading.generation != GenerationRrset::Absent;
        finding.error = Some(no_updates(zone, &at_all, role, &mname, is_marked));
        if at_all == Verdict::Refused && !matches!(role, Some(Role::Secondary(_))) {
            finding.missing = grants(key, zone, true, ids);
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
        finding.error = Some(format!(
            "{count} of {} grants are missing; put these lines into its `update-policy`, then run `rndc reconfig`:",
            finding.needed
        ));
    } else if let Some(Role::Secondary(_)) = role_of(&primary.ask(zone, role_query(zone)?).await?) {
        finding.error = Some(forwards(&mname));
    }
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
