//! `domains` and `domain_lists`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    path::{Path, PathBuf},
};

use super::{
    field::{Field, name_problem},
    problem::{Place, Report, is_plain},
    references, shape,
    tree::Value,
};
use crate::{
    cluster::{Domain, NodeName, Profile, ProfileId, ServiceName},
    dns::OwnerName,
    text::{self, cut},
};

/// Characters of a word in a list that its place spans at most.
const PLACE: usize = 300;

/// What domains take from the rest of the file.
pub(super) struct Given<'a> {
    /// The names under `nodes`.
    pub nodes: &'a BTreeSet<&'a str>,
    /// The same, as a domain has them that lists none.
    pub all_nodes: BTreeSet<NodeName>,
    /// The names under `services`.
    pub services: BTreeSet<&'a str>,
}

/// What `domains` and `domain_lists` say.
#[derive(Debug, Default)]
pub(super) struct Domains {
    /// The domains.
    pub all: BTreeMap<OwnerName, Domain>,
    /// The distinct (services, nodes) pairs.
    pub profiles: Vec<Profile>,
    /// Where each profile is written first.
    pub profile_places: Vec<Place>,
    /// Where each domain is written.
    pub places: HashMap<OwnerName, Place>,
    ids: HashMap<Profile, ProfileId>,
    most: usize,
    is_over: bool,
}

/// The text of a domain list, or why it could not be read.
pub(super) type ListText = Result<std::sync::Arc<str>, String>;

/// What the files hold that cluster.yaml names, by path and with the number that places give them.
pub(super) type Texts = BTreeMap<PathBuf, (usize, ListText)>;

impl Domains {
    /// None as yet, and never more than these.
    pub fn at_most(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Whether there are more than that.
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    fn profile(&mut self, profile: Profile, place: Place) -> Option<ProfileId> {
        match self.ids.entry(profile) {
            Entry::Occupied(id) => Some(*id.get()),
            Entry::Vacant(slot) => {
                let id = ProfileId(u32::try_from(self.profiles.len()).ok()?);
                self.profiles.push(slot.key().clone());
                self.profile_places.push(place);
                slot.insert(id);
                Some(id)
            }
        }
    }

    fn add(&mut self, name: OwnerName, domain: Domain, place: Place, report: &mut Report) {
        if let Some(first) = self.places.get(&name) {
            let elsewhere = if first.file == place.file { "" } else { "in another file, " };
            report.problem_of(place, || {
                format!("domain \"{name}\" is listed twice, first {elsewhere}in line {}; keep one", first.line)
            });
            return;
        }
        if self.all.len() >= self.most {
            self.is_over = true;
            return;
        }
        self.places.insert(name.clone(), place);
        self.all.insert(name, domain);
    }
}

/// Reads `domains`.
pub(super) fn read(field: Field<'_>, given: &Given<'_>, domains: &mut Domains, report: &mut Report) {
    for entry in shape::entries("domains", field, "{ mydomain.org: { services: [imap] } }", report).unwrap_or_default()
    {
        let object = format!("domain \"{}\"", cut(entry.key));
        let name = domain_name(entry.key, entry.key_at, report);
        let Some(shape) = shape::Domain::read(&object, entry, report) else { continue };
        let shape::Domain { services, nodes, zone } = shape;
        let place = services.map_or(entry.key_at, |field| field.node.at);
        let profile = profile(&object, entry, services, nodes, given, report);
        let Some(name) = name else { continue };
        let zone = zone.map_or_else(|| Some(name.clone()), |field| self::zone(field, &name, report));
        if let (Some(zone), Some(profile)) = (zone, profile.and_then(|profile| domains.profile(profile, place))) {
            domains.add(name, Domain { zone, profile }, entry.key_at, report);
        }
    }
}

fn domain_name(text: &str, place: Place, report: &mut Report) -> Option<OwnerName> {
    match OwnerName::parse(text) {
        Ok(name) if name.as_str().starts_with("_rotad.") => report.problem_of(place, || {
            format!("domain \"{name}\" is where the generation record of the zone above lives; choose another name")
        }),
        Ok(name) if name.as_str().starts_with('*') => {
            report.problem_of(place, || format!("domain \"{name}\" is a wildcard, a domain is one name"));
        }
        Ok(name) => return Some(name),
        Err(error) => report.problem_of(place, || format!("domain {}", name_problem(text, &error))),
    }
    None
}

fn zone(field: Field<'_>, domain: &OwnerName, report: &mut Report) -> Option<OwnerName> {
    let zone = field.name(report)?;
    if domain.is_at_or_below(&zone) {
        return Some(zone);
    }
    field.problem(
        &format!("{domain} does not lie in \"{zone}\"; write the zone that holds it, or leave it out"),
        report,
    );
    None
}

/// Who serves what.
fn profile(
    object: &str,
    field: Field<'_>,
    services: Option<Field<'_>>,
    nodes: Option<Field<'_>>,
    given: &Given<'_>,
    report: &mut Report,
) -> Option<Profile> {
    let nodes = match nodes {
        None => Some(given.all_nodes.clone()),
        Some(field) => {
            refuse_empty(field, report);
            let names = references::read(object, field, "node", given.nodes, report);
            names.map(|names| names.into_iter().map(NodeName::new).collect())
        }
    };
    let Some(services) = services else {
        report.problem(field.key_at, format!("{object}: has no services; write \"services: [imap]\""));
        return None;
    };
    refuse_empty(services, report);
    let services = references::read(object, services, "service", &given.services, report)?;
    Some(Profile { services: services.into_iter().map(ServiceName::new).collect(), nodes: nodes? })
}

/// A list that leaves a domain without anything.
fn refuse_empty(field: Field<'_>, report: &mut Report) {
    if matches!(&field.node.value, Value::List(items) if items.is_empty()) {
        field.problem(
            "the list is empty: all that it gives would be out of the file; take the entry out if that is meant",
            report,
        );
    }
}

/// The files that `domain_lists` names, in order; those that are no good are left to [`read_lists`].
pub(super) fn list_paths(field: Field<'_>, folder: &Path) -> Vec<PathBuf> {
    let mut unheard = Report::default();
    let items = field.items("", &mut unheard).unwrap_or_default();
    items
        .into_iter()
        .filter_map(|item| shape::DomainList::read("", item, &mut unheard)?.file?.path(folder, &mut unheard))
        .collect()
}

/// Reads `domain_lists`.
pub(super) fn read_lists(
    field: Field<'_>,
    folder: &Path,
    given: &Given<'_>,
    texts: &Texts,
    domains: &mut Domains,
    report: &mut Report,
) {
    const WHAT: &str = "a list such as [{ file: customers.txt, services: [imap] }]";
    let mut seen = BTreeSet::new();
    for item in field.items(WHAT, report).unwrap_or_default() {
        let Some(shape) = shape::DomainList::read("domain list", item, report) else { continue };
        let shape::DomainList { file, services, nodes } = shape;
        let Some(file) = file else {
            report.problem(item.node.at, "domain list: has no file; write \"file: customers.txt\"");
            continue;
        };
        let path = file.path(folder, report);
        let object = format!("domain list \"{}\"", text::path(path.as_deref().unwrap_or(Path::new(""))));
        let place = services.map_or(item.node.at, |field| field.node.at);
        let profile = profile(&object, Field { key_at: item.node.at, ..item }, services, nodes, given, report)
            .and_then(|profile| domains.profile(profile, place));
        let Some(path) = path else { continue };
        if !seen.insert(path.clone()) {
            file.problem("this file is listed twice; keep one", report);
            continue;
        }
        match texts.get(&path) {
            Some((number, Ok(text))) => {
                let before = report.count();
                let names = list_names(text, *number, domains.most, report);
                if names.is_empty() && report.count() == before {
                    file.problem(
                        &format!(
                            "{} lists no domain: all that it listed would be out of the file; take the entry out if \
                             that is meant",
                            text::path(&path)
                        ),
                        report,
                    );
                }
                if let Some(profile) = profile {
                    for (name, place) in names {
                        let zone = name.clone();
                        domains.add(name, Domain { zone, profile }, place, report);
                    }
                }
            }
            Some((_, Err(cause))) => file.problem(&format!("cannot read {}: {cause}", text::path(&path)), report),
            None => file.problem("the file was not read", report),
        }
    }
}

/// The names in a list: one a line, `#` begins a comment.
///
/// A file that was not meant may stand in its place, with secrets in it: nothing of it is repeated that could not be a name,
/// and if more of its lines are wrong than right, the others are no names either.
fn list_names(text: &str, file: usize, most: usize, report: &mut Report) -> Vec<(OwnerName, Place)> {
    let mut names = Vec::new();
    let before = report.count();
    for (index, line) in text.lines().enumerate() {
        // One over: then it is told.
        if names.len() > most {
            break;
        }
        let line = line.split('#').next().unwrap_or_default();
        let word = line.trim();
        if word.is_empty() {
            continue;
        }
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        let place = Place::new(file, index + 1, indent + 1, word.chars().take(PLACE).count());
        if word.contains(char::is_whitespace) {
            report.problem_of(place, || "domain: one name a line; write the others on lines of their own".to_owned());
        } else if !is_plain(word) {
            report.problem_of(place, || "domain: this line is no domain name; write one name a line".to_owned());
        } else {
            names.extend(domain_name(word, place, report).map(|name| (name, place)));
        }
    }
    if report.count() - before > names.len() {
        names.clear();
    }
    names
}
