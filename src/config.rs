//! cluster.yaml: from its text to a checked [`Cluster`], or to every problem that it has.
//!
//! ```text
//!  text -> tree -> shape -> bind, nodes, checks, services, domains -> cross -> Cluster
//!          places  keys     values                                    names that meet
//! ```
//!
//! A [`Draft`] is the file by itself. It says which other files it needs; with their texts it becomes the cluster.
//! `etc/cluster.yaml` is the manual of the format.

mod checks;
mod clash;
mod cross;
mod defaults;
mod domains;
mod field;
mod nodes;
mod problem;
mod references;
mod services;
mod settings;
mod shape;
#[cfg(test)]
mod tests;
mod timing;
mod tree;

#[cfg(test)]
pub(crate) mod fixture;

pub use problem::{Problem, Source};

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use self::{domains::Domains, problem::Report, tree::Node};
use crate::{
    cluster::{Cluster, NodeName, ServiceName, zones_of},
    text::count,
};

/// cluster.yaml as written.
#[derive(Debug)]
pub struct Draft<'a> {
    source: &'a Source,
    folder: PathBuf,
    root: Option<Node<'a>>,
    report: Report,
    most_domains: usize,
}

/// Domains of a file and its lists at most.
const MOST_DOMAINS: usize = 1_000_000;

/// Where a file puts the status socket, were the rest of it as broken as it may: just then people ask for the status.
#[must_use]
pub fn status_socket_of(text: &str, folder: &Path) -> PathBuf {
    let value = text.lines().find_map(|line| line.strip_prefix("status_socket:"));
    let value = value.and_then(|value| value.split(" #").next()).unwrap_or_default();
    match value.trim().trim_matches(['"', '\'']) {
        "" => defaults::STATUS_SOCKET.into(),
        path => folder.join(path),
    }
}

/// What was found beside a good cluster, or instead of one.
#[derive(Debug)]
pub struct Checked {
    /// The cluster, or the first hundred problems in the order of the files.
    pub cluster: Result<Cluster, Vec<Problem>>,
    /// How many problems there are beyond those.
    pub more_problems: usize,
    /// What deserves a look all the same, a hundred at most.
    pub warnings: Vec<Problem>,
    /// How many warnings there are beyond those.
    pub more_warnings: usize,
}

impl<'a> Draft<'a> {
    /// Reads the file's text; `folder` is where relative paths begin.
    #[must_use]
    pub fn new(source: &'a Source, folder: &Path) -> Self {
        let mut report = Report::default();
        let root = tree::read(source, &mut report);
        Self { source, folder: folder.to_owned(), root, report, most_domains: MOST_DOMAINS }
    }

    /// Refuses a file with more domains than these: there is no memory for more.
    #[must_use]
    pub fn at_most(self, domains: usize) -> Self {
        Self { most_domains: domains.min(self.most_domains), ..self }
    }

    /// The domain lists that the file names, without repetition.
    #[must_use]
    pub fn lists(&self) -> BTreeSet<PathBuf> {
        let lists = self.file().and_then(|file| file.domain_lists);
        lists.map(|field| domains::list_paths(field, &self.folder).into_iter().collect()).unwrap_or_default()
    }

    /// The `tls_ca` files that the file names, without repetition.
    #[must_use]
    pub fn authorities(&self) -> BTreeSet<PathBuf> {
        let checks = self.file().and_then(|file| file.checks);
        checks.map(|field| checks::authorities(field, &self.folder)).unwrap_or_default()
    }

    fn file(&self) -> Option<shape::File<'_>> {
        shape::File::read("", shape::root(self.root.as_ref()?), &mut Report::default())
    }

    /// Checks the whole. `lists` has a text, or why there is none, for each of [`Self::lists`] and
    /// [`Self::authorities`].
    #[must_use]
    pub fn check(self, lists: BTreeMap<PathBuf, Result<Source, String>>) -> Checked {
        let Self { source, folder, root, mut report, most_domains } = self;
        let mut sources = vec![source.clone()];
        let mut texts = BTreeMap::new();
        for (path, list) in lists {
            let text = list.map(|list| {
                let text = list.text.clone();
                sources.push(list);
                text
            });
            texts.insert(path, (sources.len() - 1, text));
        }
        let is_ours = is_ours(root.as_ref(), &source.text);
        let cluster = root.as_ref().and_then(|root| cluster(root, &folder, &texts, most_domains, &mut report));
        let [(problems, more_problems), (warnings, more_warnings)] = report.finish(&sources);
        let cluster = match cluster {
            Some(cluster) if problems.is_empty() => Ok(cluster),
            _ if is_ours => Err(problems),
            _ => {
                let first = problems.into_iter().take(1).map(|problem| problem.of_another_file(NOT_OURS)).collect();
                return Checked { cluster: Err(first), more_problems: 0, warnings: Vec::new(), more_warnings: 0 };
            }
        };
        Checked { cluster, more_problems, warnings, more_warnings }
    }
}

const NOT_OURS: &str = "none of the keys that rotad knows is in it (bind, nodes, checks, services, domains), and so nothing of it is \
                        shown; is it another file? etc/cluster.yaml is a sample to begin with";

/// Whether a file is meant to be ours: problems quote its lines, and those of another one may hold a secret.
fn is_ours(root: Option<&Node<'_>>, text: &str) -> bool {
    let is_known = |key: &str| shape::File::KEYS.contains(&key);
    match root.map(|root| &root.value) {
        Some(tree::Value::Null) => true,
        Some(tree::Value::Map(entries)) => entries.iter().any(|entry| is_known(&entry.key)),
        Some(_) => false,
        // It is not YAML: look for a line that begins with a key.
        None => text.lines().any(|line| {
            let line = line.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '{' | '"' | '\''));
            line.split_once(':').is_some_and(|(key, _)| is_known(key.trim_end_matches(['"', '\'', ' '])))
        }),
    }
}

/// Where a problem with the file as a whole is shown.
const FILE_START: problem::Place = problem::Place { file: 0, line: 1, column: 1, length: 0 };

fn cluster<'a>(
    root: &'a Node<'a>,
    folder: &Path,
    lists: &domains::Texts,
    most_domains: usize,
    report: &mut Report,
) -> Option<Cluster> {
    let whole = shape::root(root);
    if let tree::Value::Null = root.value {
        report.problem(
            FILE_START,
            "the file is empty: all that it gave would be out of it; etc/cluster.yaml is a sample to begin with",
        );
        return None;
    }
    let shape::File {
        bind,
        cluster,
        ttl,
        state_dir,
        status_socket,
        nodes,
        defaults,
        checks,
        services,
        domains,
        domain_lists,
        safety,
    } = shape::File::read("", whole, report)?;

    refuse_missing(&[bind, nodes, services, domains.or(domain_lists)], report);
    let bind = bind.and_then(|field| settings::bind(field, folder, report));
    let name =
        cluster.map_or_else(|| Some(defaults::CLUSTER.to_owned()), |field| settings::cluster_name(field, report));
    let ttl = ttl.map_or(Some(defaults::TTL), |field| field.ttl(report));
    let state_dir = state_dir.map_or_else(|| Some(defaults::STATE_DIR.into()), |field| field.path(folder, report));
    let status_socket = status_socket
        .map_or_else(|| Some(defaults::STATUS_SOCKET.into()), |field| settings::status_socket(field, folder, report));
    let safety = settings::safety(safety, report);

    let mut node_names = BTreeSet::new();
    let nodes = nodes.map(|field| {
        let nodes = nodes::read(field, &mut node_names, report);
        if node_names.is_empty() && matches!(&field.node.value, tree::Value::Map(entries) if entries.is_empty()) {
            field
                .problem("there is no node: all that is published would be out of the file; list one at least", report);
        }
        nodes
    });
    let mut check_names = BTreeSet::new();
    let defaults = defaults.and_then(|field| timing::read_defaults(field, report)).unwrap_or_default();
    let given = checks::Given { folder, texts: lists, defaults };
    let checks = checks.map(|field| checks::read(field, &given, &mut check_names, report)).unwrap_or_default();
    let given = services::Given {
        checks: &check_names,
        ttl: ttl.unwrap_or(defaults::TTL),
        min_healthy: safety.as_ref().map_or(defaults::MIN_HEALTHY, |(_, min_healthy)| *min_healthy),
    };
    let services = services.map(|field| services::read(field, &given, report)).unwrap_or_default();
    let given = domains::Given {
        nodes: &node_names,
        all_nodes: node_names.iter().map(|name| NodeName::new(name)).collect(),
        services: services.places.keys().map(ServiceName::as_str).collect(),
    };
    let mut found = Domains::at_most(most_domains);
    let before = report.count();
    if let Some(field) = domains {
        domains::read(field, &given, &mut found, report);
    }
    if let Some(field) = domain_lists {
        domains::read_lists(field, folder, &given, lists, &mut found, report);
    }
    if let Some(field) = domain_lists.or(domains).filter(|_| found.is_over()) {
        let most = count(most_domains);
        field.problem(
            &format!(
                "there are more than {most} domains, and no memory for more; give some of them a rotad of their own"
            ),
            report,
        );
        // Whether the names of a million domains meet is not looked at, for it takes long and changes nothing.
        return None;
    }
    if let Some(field) = domains.or(domain_lists)
        && found.all.is_empty()
        && report.count() == before
    {
        field.problem("there is no domain: all of them would be out of the file; list one at least", report);
    }

    let complete = name.is_some() && bind.is_some() && state_dir.is_some() && status_socket.is_some();
    let complete = complete && nodes.is_some() && safety.is_some();
    // A part with problems is stood in for by its default, so that names that meet are found at the same time.
    let cluster = Cluster {
        name: name.unwrap_or_default(),
        bind: bind.unwrap_or(defaults::BIND),
        state_dir: state_dir.unwrap_or_default(),
        status_socket: status_socket.unwrap_or_default(),
        nodes: nodes.unwrap_or_default(),
        checks,
        services: services.good,
        zones: zones_of(&found.all),
        profiles: found.profiles,
        domains: found.all,
        safety: safety.map_or(defaults::SAFETY, |(safety, _)| safety),
    };
    let places = cross::Places { services: &services.places, profiles: &found.profile_places, domains: &found.places };
    cross::check(&cluster, &places, report);
    complete.then_some(cluster)
}

/// The parts without which there is nothing to do.
fn refuse_missing(parts: &[Option<field::Field<'_>>; 4], report: &mut Report) {
    let texts = [
        "there is no \"bind\"; write where the key is: \"bind: { key_file: rotad.key }\"",
        "there are no \"nodes\": all that is published would be out of the file; write \"nodes: { node00: { addresses: [192.0.2.10] } }\"",
        "there are no \"services\"; write what is published: \"services: { imap: { publish: address, name: imap } }\"",
        "there are no \"domains\": all of them would be out of the file; write \"domains: { mydomain.org: { services: [imap] } }\"",
    ];
    for (_, text) in parts.iter().zip(texts).filter(|(part, _)| part.is_none()) {
        report.problem(FILE_START, text);
    }
}
