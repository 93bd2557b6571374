//! BIND, as it was measured to answer.

use std::collections::{BTreeMap, BTreeSet};

use super::{data, id, name, rrset};
use crate::{
    dns::{OwnerName, Rdata, RdataSet, RrType, Rrset, RrsetId, Ttl},
    plan::{self, Rrsets},
    update::{GenerationRecord, GenerationRrset, Occlusion, Reading, Soa, Txt, Update, Verdict},
    zone::{Failure, Silence},
};

/// One zone of BIND.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    pub serial: u32,
    pub generation: BTreeSet<Txt>,
    pub rrsets: Rrsets,
    /// Names with records of other types, and of which.
    pub others: BTreeMap<OwnerName, String>,
    /// Names that are delegated: what the zone holds there is hidden.
    pub cuts: BTreeSet<OwnerName>,
}

impl Content {
    pub fn record(&self) -> Option<GenerationRecord> {
        GenerationRrset::new(self.generation.clone()).record().cloned()
    }

    /// What a person, or a restore, puts there.
    pub fn edit(&mut self, rrset_id: &str, content: &str) {
        self.serial += 1;
        let rrset_id = id(rrset_id);
        let alias = rrset_id.rtype == RrType::Cname;
        if content == "-" {
            self.rrsets.remove(&rrset_id);
        } else if !self.stands(&rrset_id.owner, |other| (other == RrType::Cname) != alias) {
            self.rrsets.insert(rrset_id.clone(), rrset(rrset_id.rtype, content));
        }
    }

    pub fn get(&self, rrset_id: &str) -> String {
        data(self.rrsets.get(&id(rrset_id)))
    }

    pub fn stands(&self, owner: &OwnerName, is_in_the_way: impl Fn(RrType) -> bool) -> bool {
        self.rrsets.keys().any(|id| id.owner == *owner && is_in_the_way(id.rtype))
    }
}

/// BIND, as measured on 9.18.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bind {
    pub zones: BTreeMap<OwnerName, Content>,
    /// Names that no `update-policy` grants.
    pub refused: BTreeSet<OwnerName>,
    /// Names whose update fails with SERVFAIL.
    pub failing: BTreeSet<OwnerName>,
    /// Zones that are frozen.
    pub frozen: BTreeSet<OwnerName>,
    /// Quotas of `update-policy`.
    pub quota: BTreeMap<OwnerName, usize>,
    /// Zones that are not served.
    pub gone: BTreeSet<OwnerName>,
    /// Zones whose readers see an older copy: one that is signed, or a secondary's.
    pub behind: BTreeMap<OwnerName, Content>,
    /// Whether such a copy follows at the next update (BIND 9.18), not by itself.
    pub wakes: bool,
    /// `max-zone-ttl` of every zone.
    pub max_ttl: Option<Ttl>,
    /// By how much an update moves a serial, if that is not by one.
    pub leap: Option<u32>,
    /// Whether it tells of no other types that a name holds.
    pub tells_part: bool,
}

impl Bind {
    /// From now on readers of a zone see it as it is now.
    pub fn fall_behind(&mut self, zone: &OwnerName) {
        let content = self.zones.get(zone).cloned().unwrap_or_default();
        self.behind.entry(zone.clone()).or_insert(content);
    }

    pub fn update(&mut self, update: &Update) -> Verdict {
        if self.gone.contains(&update.zone) {
            return Verdict::NotAuth;
        }
        let names = || update.changes.iter().map(|change| &change.id.owner);
        if self.frozen.contains(&update.zone) || names().any(|name| self.refused.contains(name)) {
            return Verdict::Refused;
        }
        let zone = self.zones.entry(update.zone.clone()).or_default();
        let holds = match &update.guard {
            GenerationRrset::Absent => zone.generation.is_empty(),
            GenerationRrset::Present { raw, .. } => zone.generation == *raw,
        };
        let is_as_read = |(id, data): (&RrsetId, Option<&RdataSet>)| zone.rrsets.get(id).map(|set| &set.rdata) == data;
        let is_touched = |id: &RrsetId| update.changes.iter().any(|change| change.id == *id);
        let is_alone = |owner: &OwnerName| {
            !zone.others.contains_key(owner) && !zone.rrsets.keys().any(|id| id.owner == *owner && !is_touched(id))
        };
        if !holds || !update.required().all(is_as_read) || !update.alone().all(is_alone) {
            return Verdict::GuardFailed;
        }
        if names().any(|name| self.failing.contains(name)) {
            return Verdict::ServFail;
        }
        let mut after = zone.clone();
        after.generation = if update.is_last { BTreeSet::new() } else { BTreeSet::from([(&update.record).into()]) };
        for change in &update.changes {
            after.rrsets.remove(&change.id);
        }
        for rtype in RrType::ALL {
            for change in update.changes.iter().filter(|change| change.id.rtype == rtype) {
                let Some(set) = &change.after else { continue };
                let alias = rtype == RrType::Cname;
                let is_beside_others = alias && after.others.contains_key(&change.id.owner);
                if is_beside_others || after.stands(&change.id.owner, |other| (other == RrType::Cname) != alias) {
                    continue;
                }
                let most = self.quota.get(&change.id.owner).copied().unwrap_or(usize::MAX);
                let rdata = set.rdata.iter().take(most).cloned().collect();
                let ttl = self.max_ttl.map_or(set.ttl, |most| set.ttl.min(most));
                after.rrsets.insert(change.id.clone(), Rrset { ttl, rdata });
            }
        }
        // `check-mx`: an exchange that is added must have an address, if it lies in the zone.
        let exchanges = update.changes.iter().filter_map(|change| change.after.as_ref());
        let mut exchanges = exchanges.flat_map(|set| &set.rdata).filter_map(plan::exchange);
        let bare = |exchange: &OwnerName| {
            exchange.is_at_or_below(&update.zone)
                && !after.stands(exchange, |rtype| matches!(rtype, RrType::A | RrType::Aaaa))
        };
        if exchanges.any(bare) {
            return Verdict::Refused;
        }
        after.serial += self.leap.unwrap_or(1);
        // A copy that wakes at this update shows this one, too.
        let wakes =
            self.wakes && self.behind.get(&update.zone).is_some_and(|shown| shown.generation != zone.generation);
        *zone = after;
        if wakes {
            self.behind.remove(&update.zone);
        }
        Verdict::Applied
    }

    pub fn read(&self, zone: &OwnerName, owners: &BTreeSet<OwnerName>) -> Result<Reading, Failure> {
        if self.gone.contains(zone) {
            return Err(Failure {
                words: "not served".to_owned(),
                code: Some("NOERROR".to_owned()),
                sent: false,
                silence: Silence::None,
            });
        }
        let content = self.behind.get(zone).or_else(|| self.zones.get(zone)).cloned().unwrap_or_default();
        let hidden = |owner: &&OwnerName| {
            let cut = content.cuts.iter().find(|cut| owner.is_at_or_below(cut))?;
            Some(((*owner).clone(), Occlusion::Delegation(cut.clone())))
        };
        let blocked: BTreeMap<_, _> = owners.iter().filter_map(|owner| hidden(&owner)).collect();
        let mut others = content.others;
        others.retain(|owner, _| !self.tells_part && owners.contains(owner) && !blocked.contains_key(owner));
        let rrsets = content.rrsets.into_iter().filter(|(id, _)| owners.contains(&id.owner));
        let rrsets = rrsets.filter(|(id, _)| !blocked.contains_key(&id.owner)).collect();
        Ok(Reading {
            soa: Soa { serial: content.serial, mname: name("ns.example.org") },
            generation: GenerationRrset::new(content.generation),
            rrsets,
            others,
            blocked,
        })
    }

    /// MX records that point to a name of one of the zones that has no address.
    pub fn dangling(&self) -> BTreeSet<(RrsetId, OwnerName)> {
        let exchange = |id: &RrsetId, rdata: &Rdata| Some((id.clone(), plan::exchange(rdata)?.clone()));
        let sets = self.zones.values().flat_map(|zone| &zone.rrsets);
        let targets = sets.flat_map(|(id, set)| set.rdata.iter().filter_map(move |rdata| exchange(id, rdata)));
        targets
            .filter(|(_, target)| {
                let mut homes = self.zones.iter().filter(|(zone, _)| target.is_at_or_below(zone)).peekable();
                let known = homes.peek().is_some();
                known && !homes.any(|(_, zone)| zone.stands(target, |t| matches!(t, RrType::A | RrType::Aaaa)))
            })
            .collect()
    }
}
