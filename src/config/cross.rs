//! What no single entry can know: which owner names meet, and whether they can live together.
//!
//! Domains share profiles, so the names of a profile are laid out once, with its first domain as the example; what
//! is left for each domain is its length and the domains above it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    clash::{self, Clash},
    problem::{Place, Report},
};
use crate::{
    cluster::{Claim, Claimed, Cluster, Domain, Profile, ProfileId, Publish, Service, ServiceName},
    dns::{NameError, OwnerName},
};

mod preferences;
mod sizes;

/// Claims on one owner name that are told apart: fewer than this can stand together there.
const KINDS: usize = 8;
/// First label of the generation record's owner name.
const RESERVED: &str = "_rotad";
/// Octets of a name on the wire (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 255;

/// Where things are written.
pub(super) struct Places<'a> {
    /// The name that each service publishes.
    pub services: &'a BTreeMap<ServiceName, Place>,
    /// Each profile, where it is written first.
    pub profiles: &'a [Place],
    /// Each domain.
    pub domains: &'a HashMap<OwnerName, Place>,
}

/// Checks a cluster as a whole.
pub(super) fn check(cluster: &Cluster, places: &Places<'_>, report: &mut Report) {
    let mut cross = Cross { cluster, places, report, told: BTreeSet::new(), no_hosts: BTreeSet::new() };
    let names = cross.profiles();
    cross.exchanges(&names);
    for (name, domain) in &cluster.domains {
        if let Some(layout) = names.get(&domain.profile) {
            cross.domain(name, domain, layout, &names);
        }
    }
}

struct Cross<'a> {
    cluster: &'a Cluster,
    places: &'a Places<'a>,
    report: &'a mut Report,
    /// Pairs of services that have been told of: a thousand domains make no thousand problems.
    told: BTreeSet<(&'a ServiceName, &'a ServiceName, bool)>,
    /// Services whose names BIND would refuse.
    no_hosts: BTreeSet<&'a ServiceName>,
}

/// The names that a profile gives to each of its domains.
#[derive(Default)]
struct Layout<'a> {
    /// By the part before the domain; empty for the domain itself. Of claims that are alike, the first.
    relative: BTreeMap<String, Vec<Claim<'a>>>,
    /// The same from the last label to the first: those that lie below a name, where another domain may sit, stand together.
    by_tail: BTreeMap<String, String>,
    /// Exchanges whose place depends on more than the domain they belong to.
    foreign: Vec<Claim<'a>>,
    /// The longest name in octets, without the domain.
    longest: usize,
    /// A service that gives the domain names that hosts have: addresses and MX.
    of_hosts: Option<&'a ServiceName>,
    /// A service that makes the domain itself an alias.
    apex_alias: Option<&'a ServiceName>,
    /// The domain in which an alias would have itself as its target, and the service.
    self_aliases: HashMap<&'a str, &'a ServiceName>,
}

impl<'a> Cross<'a> {
    fn place(&self, service: &ServiceName) -> Place {
        self.places.services.get(service).copied().unwrap_or_default()
    }

    fn domain_place(&self, domain: &OwnerName) -> Place {
        self.places.domains.get(domain).copied().unwrap_or_default()
    }

    fn service(&self, name: &ServiceName) -> Option<&'a Service> {
        self.cluster.services.get(name)
    }

    /// Lays out every profile that a domain has, with the first of its domains as the example.
    fn profiles(&mut self) -> HashMap<ProfileId, Layout<'a>> {
        let mut layouts = HashMap::new();
        for (example, domain) in &self.cluster.domains {
            if layouts.contains_key(&domain.profile) {
                continue;
            }
            if let Some(profile) = self.cluster.profile(domain) {
                self.sizes(example, domain.profile, profile);
                let layout = self.layout(example, profile);
                layouts.insert(domain.profile, layout);
            }
        }
        layouts
    }

    fn layout(&mut self, example: &'a OwnerName, profile: &'a Profile) -> Layout<'a> {
        let mut layout = Layout::default();
        let claims: Vec<_> = self.cluster.try_claims(example, profile).collect();
        for (service, claim) in claims {
            let claim = match claim {
                Ok(claim) => claim,
                Err((name, error)) => {
                    // Too long for the example is told, as for every domain, by its length.
                    let relative =
                        name.strip_suffix(example.as_str()).filter(|_| matches!(error, NameError::TooLong(_)));
                    match relative {
                        Some(relative) => layout.longest = layout.longest.max(relative.trim_end_matches('.').len()),
                        None => self.bad_name(example, service, &name, &error),
                    }
                    continue;
                }
            };
            self.host_name(example, &claim);
            if !matches!(claim.what, Claimed::Alias(_)) {
                layout.of_hosts.get_or_insert(claim.service);
            }
            let follows_domain = match self.service(service).map(|service| &service.publish) {
                Some(Publish::Mx { exchange, .. }) if matches!(claim.what, Claimed::Exchange(_)) => {
                    exchange.0 == "{domain}" || exchange.0.ends_with(".{domain}")
                }
                _ => true,
            };
            match before(&claim.owner, example).filter(|_| follows_domain).map(str::to_owned) {
                Some(relative) => {
                    if relative == RESERVED {
                        self.reserved(&claim);
                    }
                    layout.longest = layout.longest.max(relative.len());
                    if let Claimed::Alias(target) = claim.what {
                        if relative.is_empty() {
                            layout.apex_alias.get_or_insert(service);
                        }
                        if let Some(domain) = behind(target, &relative) {
                            layout.self_aliases.entry(domain).or_insert(service);
                        }
                    }
                    layout.relative.entry(relative).or_default().push(claim);
                }
                None => layout.foreign.push(claim),
            }
        }
        let names = layout.relative.keys().filter(|name| !name.is_empty());
        layout.by_tail = names.map(|name| (backwards(name), name.clone())).collect();
        for claims in layout.relative.values_mut() {
            self.meet(claims);
        }
        layout
    }

    fn bad_name(&mut self, example: &OwnerName, service: &ServiceName, name: &str, error: &NameError) {
        self.report.problem(
            self.place(service),
            format!("service \"{service}\": gives \"{name}\" to domain \"{example}\", which is no name: {error}"),
        );
    }

    /// Whether BIND takes what a service adds to a domain as a host's name: its `check-names` refuses others for A, AAAA and MX,
    /// and as exchanges.
    fn host_name(&mut self, example: &OwnerName, claim: &Claim<'a>) {
        let own = before(&claim.owner, example).unwrap_or_else(|| claim.owner.as_str());
        // That name is told of as the record's own.
        let is_reserved = own.split('.').next() == Some(RESERVED);
        if matches!(claim.what, Claimed::Alias(_))
            || is_host(own)
            || is_reserved
            || !self.no_hosts.insert(claim.service)
        {
            return;
        }
        let what = if let Claimed::Exchange(_) = claim.what { "as an exchange" } else { "for addresses" };
        let text = format!(
            "service \"{}\": gives {} {what}, and BIND refuses it (check-names): {NO_HOST}",
            claim.service, claim.owner
        );
        self.report.problem(self.place(claim.service), text);
    }

    /// The generation record's name is nobody else's.
    fn reserved(&mut self, claim: &Claim<'_>) {
        let text = format!(
            "service \"{}\": {} is where the generation record of the zone lives; choose another name",
            claim.service, claim.owner
        );
        self.report.problem(self.place(claim.service), text);
    }

    /// Everything that one owner name is to hold, up to what cannot stand together. Of claims that are alike the first is
    /// left, and a handful of those that cannot stand together: thousands of services may share a name.
    fn meet(&mut self, claims: &mut Vec<Claim<'a>>) {
        let mut kinds: Vec<Claim<'a>> = Vec::new();
        let mut is_refused = false;
        for later in claims.drain(..) {
            is_refused = is_refused || kinds.iter().any(|earlier| self.clash(earlier, &later));
            if kinds.len() < KINDS && !kinds.iter().any(|earlier| self.are_alike(earlier, &later)) {
                kinds.push(later);
            }
        }
        *claims = kinds;
    }

    fn are_alike(&self, one: &Claim<'a>, other: &Claim<'a>) -> bool {
        let (first, second) = (self.service(one.service), self.service(other.service));
        first.zip(second).is_some_and(|(first, second)| clash::are_alike((one, first), (other, second)))
    }

    /// Reports what keeps two claims on one owner name from standing together.
    fn clash(&mut self, earlier: &Claim<'a>, later: &Claim<'a>) -> bool {
        let (Some(first), Some(second)) = (self.service(earlier.service), self.service(later.service)) else {
            return false;
        };
        let Some(clash) = clash::between((earlier, first), (later, second)) else { return false };
        let refused = matches!(clash, Clash::Refused(_));
        let news = self.told.insert((earlier.service, later.service, refused));
        let place = self.place(later.service);
        match clash {
            Clash::Refused(text) if news => {
                self.report.problem(place, format!("service \"{}\": {text}", later.service));
            }
            Clash::Odd(text) if news => self.report.warning(place, format!("service \"{}\": {text}", later.service)),
            Clash::Refused(_) | Clash::Odd(_) => {}
        }
        refused
    }

    /// Exchanges outside of the domains that they belong to: in another domain of the file, or nowhere.
    fn exchanges(&mut self, layouts: &HashMap<ProfileId, Layout<'a>>) {
        let mut hosts: BTreeMap<OwnerName, Claim<'a>> = BTreeMap::new();
        let per_profile =
            layouts.iter().flat_map(|(id, layout)| layout.foreign.iter().map(|claim| (claim.clone(), Some(*id))));
        let mut claims: Vec<(Claim<'a>, Option<ProfileId>)> = per_profile.collect();
        // `{domain}` in the midst of an exchange: every domain has its own.
        claims.extend(self.scattered().into_iter().map(|claim| (claim, None)));
        claims.sort_by(|(a, _), (b, _)| (&a.owner, a.service).cmp(&(&b.owner, b.service)));
        for (claim, of) in claims {
            let Some((home, domain)) = self.cluster.domain_of(&claim.owner) else { continue };
            if claim.owner.as_str().split('.').next() == Some(RESERVED) {
                self.reserved(&claim);
            }
            self.settle(&claim, home, layouts.get(&domain.profile));
            if of == Some(domain.profile) {
                self.exchange_at_home(&claim, home, layouts.get(&domain.profile));
            }
            match hosts.get(&claim.owner).cloned() {
                Some(first) => {
                    self.clash(&first, &claim);
                }
                None => {
                    hosts.insert(claim.owner.clone(), claim);
                }
            }
        }
    }

    fn scattered(&mut self) -> Vec<Claim<'a>> {
        let cluster = self.cluster;
        let scattered = |service: &ServiceName| match cluster.services.get(service).map(|service| &service.publish) {
            Some(Publish::Mx { exchange, .. }) => {
                exchange.names_domain() && exchange.0 != "{domain}" && !exchange.0.ends_with(".{domain}")
            }
            _ => false,
        };
        let of_profile = |profile: &'a Profile| profile.services.iter().filter(|name| scattered(name)).collect();
        let profiles: Vec<Vec<&ServiceName>> = cluster.profiles.iter().map(of_profile).collect();
        let domains = cluster.domains.iter().filter_map(|(name, domain)| {
            Some((name, cluster.profile(domain)?, profiles.get(domain.profile.0 as usize)?))
        });
        let names = domains
            .flat_map(|(name, profile, services)| {
                let claims = services.iter().flat_map(move |service| cluster.try_claims_of(name, profile, service));
                claims.map(move |claim| (name, claim))
            })
            .filter(|(_, (_, claim))| claim.as_ref().map_or(true, |claim| matches!(claim.what, Claimed::Exchange(_))));
        let mut claims = Vec::new();
        for (domain, (service, claim)) in names {
            match claim {
                // Those that are nobody's business here would be as many as domains times nodes.
                Ok(claim) if cluster.domain_of(&claim.owner).is_some() => claims.push(claim),
                Ok(_) => {}
                Err((name, error)) => self.bad_name(domain, service, &name, &error),
            }
        }
        claims
    }

    /// An exchange against what the domain that it falls in has at that name.
    fn settle(&mut self, exchange: &Claim<'a>, home: &OwnerName, layout: Option<&Layout<'a>>) {
        let Some(relative) = before(&exchange.owner, home) else { return };
        let there = layout.and_then(|layout| layout.relative.get(relative));
        for claim in there.into_iter().flatten() {
            // The layout's owners are those of its example.
            let claim = Claim { owner: exchange.owner.clone(), ..claim.clone() };
            if self.clash(&claim, exchange) {
                return;
            }
        }
    }

    /// What is each domain's own: how long its names are, and which domains lie above it.
    fn domain(
        &mut self,
        name: &OwnerName,
        domain: &Domain,
        layout: &Layout<'a>,
        layouts: &HashMap<ProfileId, Layout<'a>>,
    ) {
        if let Some(service) = layout.of_hosts.filter(|_| !is_host(name.as_str())) {
            self.report.problem_of(self.domain_place(name), || {
                format!(
                    "domain \"{name}\": service \"{service}\" gives it addresses or an MX, and BIND refuses them there (check-names): \
                     {NO_HOST}"
                )
            });
        }
        // The dot between, the first length octet and the root.
        let octets = layout.longest + 1 + name.as_str().len() + 2;
        if octets > MAX_NAME {
            self.report.problem(
                self.domain_place(name),
                format!(
                    "domain \"{name}\": its longest name would have {octets} octets, DNS allows {MAX_NAME}; choose shorter \
                     names for its services"
                ),
            );
        }
        let of_zone = layout.apex_alias.filter(|_| domain.zone == *name).map(|service| {
            (
                service,
                "makes the zone's own name an alias, but SOA and NS live there and nothing can stand beside a CNAME (RFC \
                 1034 section 3.6.2); give the service a name",
            )
        });
        let of_itself = layout.self_aliases.get(name.as_str()).map(|service| {
            (*service, "makes a name an alias of itself; choose another target, or leave the service out here")
        });
        if let Some((service, wrong)) = of_zone.or(of_itself) {
            self.report
                .problem_of(self.domain_place(name), || format!("domain \"{name}\": service \"{service}\" {wrong}"));
        }
        for above in name.ancestors() {
            if above != domain.zone.as_str()
                && name.is_at_or_below(&domain.zone)
                && above.len() > domain.zone.as_str().len()
                && self.cluster.zones.contains_key(above)
            {
                self.report.problem(
                    self.domain_place(name),
                    format!(
                        "domain \"{name}\": lies in zone {above}, which is between it and zone {}; write \"zone: {above}\"",
                        domain.zone
                    ),
                );
            }
            let Some((upper, upper_domain)) = self.cluster.domains.get_key_value(above) else { continue };
            if let Some(upper_layout) = layouts.get(&upper_domain.profile) {
                self.below((name, domain, layout), (upper, upper_domain, upper_layout));
            }
        }
    }

    /// Names of the upper domain that fall on or into the lower one.
    fn below(
        &mut self,
        (name, domain, layout): (&OwnerName, &Domain, &Layout<'a>),
        (upper, upper_domain, upper_layout): (&OwnerName, &Domain, &Layout<'a>),
    ) {
        let Some(prefix) = before(name, upper) else { return };
        let tail = backwards(prefix);
        let here = upper_layout.by_tail.range(tail.clone()..).take_while(|(name, _)| name.starts_with(&tail));
        for (_, relative) in here {
            let inside = relative.strip_suffix(prefix).unwrap_or_default().trim_end_matches('.');
            for claim in upper_layout.relative.get(relative).into_iter().flatten() {
                let owner = if inside.is_empty() { name.clone() } else { name.child(inside).unwrap_or(name.clone()) };
                if let Claimed::Exchange(_) = claim.what {
                    // Its addresses are the lower domain's business.
                    self.settle(&Claim { owner, ..claim.clone() }, name, Some(layout));
                    continue;
                }
                let wrong = if domain.zone != upper_domain.zone {
                    format!("lies in zone {}, not in zone {}", domain.zone, upper_domain.zone)
                } else if let Some(own) = layout.relative.get(inside).and_then(|claims| claims.first()) {
                    format!("is also a name of domain \"{name}\" by service \"{}\"", own.service)
                } else {
                    continue;
                };
                self.report.problem_of(self.domain_place(name), || {
                    format!(
                        "domain \"{name}\": {owner}, which service \"{}\" gives to domain \"{upper}\", {wrong}; take one \
                         of the two out",
                        claim.service
                    )
                });
                break;
            }
        }
    }
}

/// What a name is that BIND refuses for hosts.
const NO_HOST: &str = "a host's name has letters, digits and \"-\" inside of its labels, no \"_\"; choose another name";

/// Whether labels are those of a host (RFC 952, RFC 1123): letters and digits, with "-" between them. Nothing at all is, too.
fn is_host(labels: &str) -> bool {
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_label = |label: &str| label.bytes().all(is_inside) && !label.starts_with('-') && !label.ends_with('-');
    labels.split('.').enumerate().all(|(at, label)| is_label(label) || (at == 0 && label == "*"))
}

/// Labels from the last to the first, each with a dot behind it.
fn backwards(labels: &str) -> String {
    labels.rsplit('.').flat_map(|label| [label, "."]).collect()
}

/// The part of `name` behind `head` and the dot between; all of it behind nothing.
fn behind<'n>(name: &'n OwnerName, head: &str) -> Option<&'n str> {
    let tail = name.as_str().strip_prefix(head)?;
    if head.is_empty() { Some(tail) } else { tail.strip_prefix('.') }
}

/// The part of `name` before `domain`, without the dot between; empty for the domain itself.
fn before<'n>(name: &'n OwnerName, domain: &OwnerName) -> Option<&'n str> {
    let head = name.as_str().strip_suffix(domain.as_str())?;
    if head.is_empty() { Some(head) } else { head.strip_suffix('.') }
}
