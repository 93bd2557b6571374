//! What stands between rotad and its zones, from the answers to questions that change nothing: each finding in words,
//! with what to do about it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Serialize;

use crate::{
    cluster::Cluster,
    desired,
    dns::{OwnerName, RrType, RrsetId},
    health::HealthView,
    layout::Layout,
    settling::Settling,
    standings::Standings,
    text,
    tsig::FUDGE,
    update::{Role, Verdict},
};

/// Zones that are shown one by one although all is well with them; more are a count.
const FEW: usize = 20;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// BIND.
    pub server: String,
    /// Why BIND cannot be reached over TCP; then nothing else is known.
    pub unreachable: Option<String>,
    /// Each key of the key file.
    pub keys: Vec<KeyFinding>,
    /// Our clock minus BIND's, in seconds.
    pub clock_offset: Option<i64>,
    /// Each zone of the file.
    pub zones: Vec<ZoneFinding>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyFinding {
    /// Name, algorithm and place; never the secret.
    pub key: String,
    /// Why BIND does not accept it.
    pub error: Option<String>,
}

/// One zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZoneFinding {
    /// Its name.
    pub zone: String,
    /// MNAME of its SOA: the primary, as the zone says.
    pub mname: Option<String>,
    /// How many names and types rotad must be allowed to change in it.
    pub needed: usize,
    /// What is wrong, and what to do.
    pub error: Option<String>,
    /// Lines to put into the zone's `update-policy`.
    pub missing: Vec<String>,
}

impl Report {
    /// Whether rotad could do all of its work.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.unreachable.is_none()
            && self.keys.iter().any(|key| key.error.is_none())
            && self.zones.iter().all(|zone| zone.error.is_none())
    }
}

/// The `RRsets` that the file can ever need, zone by zone. The generation record comes on top of them.
#[must_use]
pub fn needs(cluster: &Cluster) -> BTreeMap<OwnerName, Vec<RrsetId>> {
    let standings = Standings::new(cluster, &HealthView::default(), &Settling::default());
    let zones = Layout::new(cluster).zones;
    let ids = |zone| desired::recipes(cluster, zone, &standings).into_keys().collect();
    zones.iter().map(|(name, zone)| (name.clone(), ids(zone))).collect()
}

/// The grants that allow these: `grant rotad name imap.example.org A AAAA;`.
#[must_use]
pub fn grants(key: &OwnerName, zone: &OwnerName, record: bool, ids: &[RrsetId]) -> Vec<String> {
    let mut types: BTreeMap<&OwnerName, BTreeSet<_>> = BTreeMap::new();
    for id in ids {
        types.entry(&id.owner).or_default().insert(id.rtype);
    }
    let record = record.then(|| format!("grant {key} name _rotad.{zone} TXT;"));
    let sets = types.into_iter().map(|(owner, types)| {
        let types: Vec<_> = types.into_iter().map(RrType::as_str).collect();
        format!("grant {key} name {owner} {};", types.join(" "))
    });
    record.into_iter().chain(sets).collect()
}

/// Why a zone takes no updates at all, as far as queries can tell.
#[must_use]
pub fn no_updates(
    zone: &OwnerName,
    verdict: &Verdict,
    role: Option<Role>,
    mname: &OwnerName,
    is_marked: bool,
) -> String {
    match (verdict, role) {
        (Verdict::Refused, Some(Role::Secondary(left))) => format!(
            "this server is a secondary of it (its copy expires in {left} s), and updates go to the primary: {mname}, says \
             the zone; correct `bind.server`"
        ),
        (Verdict::Refused, _) if is_marked => format!(
            "named refuses every update (REFUSED), and rotad has written the zone before: it is frozen (`rndc thaw \
             {zone}`), or its `update-policy` or `allow-update` was taken away; no query tells which, named's log does"
        ),
        (Verdict::Refused, _) => format!(
            "named refuses every update (REFUSED): the zone has no `update-policy`, or its `allow-update` leaves out this \
             key, or it is frozen (`rndc thaw {zone}`); no query tells which, named's log does"
        ),
        (other, _) => other.words(zone),
    }
}

/// What is told of a secondary that takes updates and hands them on.
#[must_use]
pub fn forwards(mname: &OwnerName) -> String {
    format!(
        "all grants are there, but this server is a secondary, which forwards updates to the primary: what rotad writes it \
         reads back late; set `bind.server` to the primary ({mname}, says the zone)"
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(cause) = &self.unreachable {
            return writeln!(f, "BIND cannot be reached over TCP: {cause}");
        }
        writeln!(f, "{}: BIND answers over TCP", self.server)?;
        for KeyFinding { key, error } in &self.keys {
            writeln!(f, "{}", error.as_ref().map_or_else(|| format!("{key}: accepted"), |error| format!("! {error}")))?;
        }
        if let Some(offset) = self.clock_offset {
            let side = if offset > 0 { "ahead of" } else { "behind" };
            match offset.unsigned_abs() {
                0 | 1 => writeln!(f, "clock: the same as BIND's")?,
                away => writeln!(f, "clock: {away} s {side} BIND's; up to {FUDGE} s are accepted")?,
            }
        }
        let (well, ill): (Vec<_>, Vec<_>) = self.zones.iter().partition(|zone| zone.error.is_none());
        if well.len() > FEW {
            writeln!(f, "{} zones: all is well", text::count(well.len()))?;
        } else {
            for zone in well {
                writeln!(f, "{}: all {} grants are there", zone.zone, zone.needed)?;
            }
        }
        for ZoneFinding { zone, error, missing, .. } in ill {
            writeln!(f, "! {zone}: {}", error.as_deref().unwrap_or_default())?;
            for line in missing {
                writeln!(f, "    {line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
