//! Readings of zones with wildcards, aliases, DNAMEs, delegations and zones below, beside what these zones hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use rotad::{
    dns::{OwnerName, RrType},
    io::primary::ReadError,
    update::{Occlusion, Reading, Unusable},
};

use super::name;
use crate::support::named::{Named, Product, Zone};

/// Zones in one round.
const ZONES: usize = 40;

/// Random numbers, the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % u64::try_from(bound).unwrap()).unwrap()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// A name of few labels, so that names meet.
    fn name(&mut self, zone: &str) -> String {
        let depth = self.below(4);
        let labels: Vec<_> = (0..depth).map(|_| self.one(&["a", "B", "c", "x\\.a", "*"])).collect();
        [labels, vec![zone]].concat().join(".")
    }
}

/// What a zone holds: owner, type and data.
type Content = BTreeMap<OwnerName, BTreeMap<String, BTreeSet<String>>>;

/// Records of every kind, drawn by lot (below a DNAME `PowerDNS` shows what there is, unlike RFC 6672), each in an update of its own: what may not stand there is refused or ignored.
fn script(dice: &mut Dice, zone: &str, has_dnames: bool) -> String {
    let mut script = format!("check-names no\nzone {zone}\n");
    for _ in 0..2 + dice.below(14) {
        let owner = dice.name(zone);
        let is_wildcard = owner.starts_with('*');
        let is_apex = owner == zone;
        let (rtype, data) = match dice.below(12) {
            0..5 => ("A", dice.one(&["192.0.2.1", "192.0.2.2"])),
            5 => ("AAAA", "2001:db8::1"),
            6..8 => ("MX", dice.one(&["10 mx.invalid.", "0 ."])),
            8 => ("TXT", "x"),
            9 if !is_apex => ("CNAME", "elsewhere.invalid."),
            10 if has_dnames && !is_wildcard && (!is_apex || dice.below(8) == 0) => ("DNAME", "tree.invalid."),
            11 if !is_wildcard && !is_apex => ("NS", "ns.invalid."),
            _ => continue,
        };
        writeln!(script, "update add {owner}. 300 {rtype} {data}\nsend").unwrap();
    }
    script
}

/// What a zone has come to hold.
fn content(named: &Named, zone: &str) -> Content {
    let mut content = Content::new();
    for record in named.transfer(zone) {
        let owner = OwnerName::from_labels(record.name.iter());
        let held = content.entry(owner).or_default();
        held.entry(record.record_type().to_string()).or_default().insert(record.data.to_string());
    }
    content
}

/// What is to be read at a name: its data, or what hides them.
fn expected(
    zone: &str,
    content: &Content,
    below: Option<&OwnerName>,
    owner: &OwnerName,
) -> Result<Vec<String>, Occlusion> {
    if let Some(below) = below.filter(|below| owner.is_at_or_below(below)) {
        return Err(Occlusion::ChildZone(below.clone()));
    }
    let has = |name: &OwnerName, rtype: &str| {
        content.get(name).is_some_and(|held: &BTreeMap<String, _>| held.contains_key(rtype))
    };
    let above: Vec<_> = owner.ancestors().map(OwnerName::from_presentation).collect();
    let from_the_top = above.iter().rev().chain([owner]).filter(|at| at.is_at_or_below(&name(zone)));
    for at in from_the_top {
        if *at != name(zone) && has(at, "NS") {
            return Err(Occlusion::Delegation(at.clone()));
        }
        if at != owner && has(at, "DNAME") {
            return Err(Occlusion::Dname(at.clone()));
        }
    }
    let held = content.get(owner).into_iter().flatten();
    let managed = held.filter(|(rtype, _)| RrType::ALL.iter().any(|known| known.as_str() == *rtype));
    Ok(managed.flat_map(|(rtype, all)| all.iter().map(move |data| format!("{rtype} {data}"))).collect())
}

fn found(reading: &Reading, owner: &OwnerName) -> Result<Vec<String>, Occlusion> {
    match reading.blocked.get(owner) {
        Some(why) => Err(why.clone()),
        None => Ok(reading
            .rrsets
            .iter()
            .filter(|(id, _)| id.owner == *owner)
            .flat_map(|(id, set)| set.rdata.iter().map(|data| format!("{} {data}", id.rtype)))
            .collect()),
    }
}

/// Every name of a zone, those that it has and others, is read as RFC 1034, 4592 and 6672 say.
pub async fn compare(product: Product, seed: u64, options: &str) {
    let mut dice = Dice(seed);
    let served: Vec<_> = (0..ZONES).map(|at| format!("z{at}.example")).collect();
    let mut builder = Named::builder().product(product).option("allow-transfer { any; }; check-names primary ignore;");
    builder = builder.option(options);
    let mut zones = Vec::new();
    for zone in &served {
        builder = builder.zone(Zone::new(zone));
        // In every third a zone of its own lies below.
        let below = (dice.below(3) == 0).then(|| dice.one(&["a", "b.a", "c", "imap"])).map(|at| format!("{at}.{zone}"));
        if let Some(below) = &below {
            builder = builder.zone(Zone::new(below).records("@ A 192.0.2.1\n* A 192.0.2.1\na CNAME a.invalid."));
        }
        zones.push((zone, below.as_deref().map(name)));
    }
    let named = builder.start();
    let primary = named.primary();
    for (zone, below) in &zones {
        // What is refused is not in the zone.
        let _ = named.nsupdate(&script(&mut dice, zone, product != Product::PowerDns));
        let content = content(&named, zone);
        let mut owners: BTreeSet<_> = content.keys().cloned().collect();
        owners.extend((0..20).map(|_| name(&dice.name(zone))));
        owners.extend([name(zone), name(&format!("*.{zone}"))]);
        let is_hidden = expected(zone, &content, below.as_ref(), &name(&format!("_rotad.{zone}"))).err();
        let readings = [primary.read(&name(zone), &owners).await, primary.first_read(&name(zone), &owners, &[]).await];
        for (reading, how) in readings.into_iter().zip(["by name", "by transfer"]) {
            let reading = match (reading, &is_hidden) {
                (Ok(reading), None) => reading,
                (Err(ReadError::Unusable(Unusable::Occluded(_, why))), Some(hidden)) if why == *hidden => continue,
                other => panic!("{zone} {how}: {other:?}"),
            };
            for owner in &owners {
                // A transfer does not tell of a zone whose apex is asked for, and no name below it.
                let is_leaf = below.as_ref() == Some(owner) && !owners.iter().any(|other| other.is_below(owner));
                if is_leaf && how == "by transfer" {
                    continue;
                }
                let right = expected(zone, &content, below.as_ref(), owner);
                let mut found = found(&reading, owner);
                if product == Product::PowerDns && right.is_err() && found.is_err() {
                    // Of two cuts it names the lower one.
                    found.clone_from(&right);
                }
                assert_eq!(found, right, "{owner} {how}\n{content:#?} {below:?}");
            }
        }
    }
}

#[tokio::test]
async fn whatever_a_zone_holds_its_own_data_are_read_and_nothing_else() {
    compare(Product::Bind, 0, "").await;
}

#[tokio::test]
async fn the_same_where_answers_do_not_say_whose_they_are() {
    compare(Product::Bind, 1, "minimal-responses yes;").await;
}
