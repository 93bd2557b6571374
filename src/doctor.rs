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
    dns::{OwnerName, RdataSet, RrType, RrsetId},
    health::HealthView,
    layout::Layout,
    plan,
    settling::Settling,
    standings::Standings,
    text,
    tsig::FUDGE,
    update::{Occlusion, Reading, Role, Verdict},
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
    /// What cannot be asked, and how to find it out.
    pub notes: Vec<String>,
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
    /// Lines that the zone's `update-policy` lacks.
    pub missing: Vec<String>,
    /// Lines that it needs and may have: the zone refuses every update, as a frozen one does whatever it grants.
    pub needed_unless_frozen: Vec<String>,
    /// Whether rotad has written the zone before.
    #[serde(skip)]
    pub is_written: bool,
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
pub fn needs(cluster: &Cluster) -> BTreeMap<OwnerName, Vec<Need>> {
    let standings = Standings::new(cluster, &HealthView::default(), &Settling::default());
    let zones = Layout::new(cluster).zones;
    let sets = |zone| desired::recipes(cluster, zone, &standings).into_iter().map(|(id, set)| (id, set.candidates()));
    zones.iter().map(|(name, zone)| (name.clone(), sets(zone).collect())).collect()
}

/// What the zone holds that cannot stand beside what the file needs in it.
#[must_use]
pub fn in_the_way(needed: &[RrsetId], reading: &Reading) -> BTreeSet<RrsetId> {
    let held = needed.iter().flat_map(plan::in_the_way).filter(|id| reading.rrsets.contains_key(id));
    held.filter(|id| !needed.contains(id)).collect()
}

/// What is wrong with the data themselves, of which BIND has refused these, though it would let their names and types be
/// written, and which of the zone's names are hidden or have no address.
#[must_use]
pub fn wrong_data(zone: &OwnerName, needs: &[Need], refused: &[RrsetId], reading: &Reading) -> Option<String> {
    let few = |ids: &mut dyn Iterator<Item = String>| {
        let all: Vec<_> = ids.collect();
        let more = all.len().saturating_sub(3);
        let list = all.into_iter().take(3).collect::<Vec<_>>().join(", ");
        if more == 0 { list } else { format!("{list} and {more} more") }
    };
    let mut words = Vec::new();
    if !refused.is_empty() {
        words.push(format!(
            "named refuses the data of {}, though the key may write there: `check-names` takes no \"_\" in the owner of \
             addresses and MX; use another name, or set `check-names ignore;` for the zone",
            few(&mut refused.iter().map(ToString::to_string))
        ));
    }
    let has_address = |host: &OwnerName| {
        let is_address = |id: &RrsetId| id.owner == *host && matches!(id.rtype, RrType::A | RrType::Aaaa);
        needs.iter().any(|(id, _)| is_address(id)) || reading.rrsets.keys().any(is_address)
    };
    let exchanges: BTreeSet<_> = needs.iter().flat_map(|(_, rdata)| rdata).filter_map(plan::exchange).collect();
    let mut bare = exchanges
        .into_iter()
        .filter(|host| host.is_at_or_below(zone) && !reading.blocked.contains_key(*host) && !has_address(host))
        .peekable();
    if bare.peek().is_some() {
        words.push(format!(
            "no address stands at {}, which an MX names: named refuses such an MX (`check-integrity`); add the address to \
             the zone, or correct `exchange`",
            few(&mut bare.map(ToString::to_string))
        ));
    }
    let mut causes: BTreeMap<&Occlusion, &OwnerName> = BTreeMap::new();
    for (name, why) in &reading.blocked {
        causes.entry(why).or_insert(name);
    }
    words.extend(causes.into_iter().map(|(why, name)| format!("{name} {why}")));
    (!words.is_empty()).then(|| words.join("; "))
}

/// What a first write needs that no question tells, for these zones.
#[must_use]
pub fn first_write(zones: &[&str]) -> Option<String> {
    let (first, more) = zones.split_first()?;
    let others = if more.is_empty() { String::new() } else { format!(" and {} more", text::count(more.len())) };
    Some(format!(
        "{first}{others}: rotad has not written there yet, and no question tells whether named can: for a first write it \
         must be able to make the zone's journal beside the zone's file (`rndc zonestatus {first}` names the file; \
         `runuser -u bind -- test -w DIRECTORY`). Debian's AppArmor profile lets it write below /var/lib/bind and \
         /var/cache/bind, not /etc/bind. If it cannot, the first write is answered with SERVFAIL and changes nothing"
    ))
}

/// An `RRset` that the file can need, with all its nodes.
pub type Need = (RrsetId, RdataSet);

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
             key, or it is frozen (`rndc thaw {zone}`); no query tells which, named's log does; if it is not frozen, these \
             lines are needed in its `update-policy`:"
        ),
        // The question has a prerequisite that cannot hold.
        (Verdict::Applied, _) => "named, or something before it, says that it has applied what it must refuse (NOERROR to a false \
                                  prerequisite): it is no primary that keeps to RFC 2136, and nothing is known of what may be changed"
            .to_owned(),
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
        for ZoneFinding { zone, error, missing, needed_unless_frozen, .. } in ill {
            writeln!(f, "! {zone}: {}", error.as_deref().unwrap_or_default())?;
            for line in missing.iter().chain(needed_unless_frozen) {
                writeln!(f, "    {line}")?;
            }
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
