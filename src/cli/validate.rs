//! `rotad validate`: every problem of the file, or what it amounts to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::Write,
    path::Path,
};

use serde::Serialize;

use crate::{
    cli::out,
    cluster::{AdminState, Cluster, NodeName, ProfileId, Publish, WhenDown},
    config::Problem,
    exit::Exit,
    io::{
        files,
        keys::{self, LoadError},
        read_file::ReadError,
    },
    text,
};

/// What a good file amounts to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Nodes.
    pub nodes: usize,
    /// Addresses of all nodes.
    pub addresses: usize,
    /// Checks.
    pub checks: usize,
    /// Services.
    pub services: usize,
    /// Domains.
    pub domains: usize,
    /// Zones that are written.
    pub zones: usize,
    /// For each node, the zones that are written when it dies.
    pub fan_out: Vec<FanOut>,
}

/// How far the death of one node is felt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FanOut {
    /// The node.
    pub node: String,
    /// Zones that have the node in an `RRset` that follows its health.
    pub zones: usize,
}

impl Summary {
    /// Counts.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        let zones = fan_out(cluster);
        let count = |node: &NodeName| zones.get(node).copied().unwrap_or_default();
        Self {
            nodes: cluster.nodes.len(),
            addresses: cluster.nodes.values().map(|node| node.addresses.len()).sum(),
            checks: cluster.checks.len(),
            services: cluster.services.len(),
            domains: cluster.domains.len(),
            zones: cluster.zones.len(),
            fan_out: cluster
                .nodes
                .keys()
                .map(|node| FanOut { node: node.as_str().to_owned(), zones: count(node) })
                .collect(),
        }
    }
}

/// The zones that each node's death writes. Most zones have the same few profiles, so these are counted first.
fn fan_out(cluster: &Cluster) -> BTreeMap<&NodeName, usize> {
    let mut zones_by_profiles: BTreeMap<BTreeSet<ProfileId>, usize> = BTreeMap::new();
    for domains in cluster.zones.values() {
        let profiles = domains.iter().filter_map(|name| cluster.domains.get(name)).map(|domain| domain.profile);
        *zones_by_profiles.entry(profiles.collect()).or_default() += 1;
    }
    let felt: Vec<BTreeSet<&NodeName>> = (0..cluster.profiles.len()).map(|index| felt(cluster, index)).collect();
    let mut zones = BTreeMap::new();
    for (profiles, count) in zones_by_profiles {
        let nodes: BTreeSet<&NodeName> =
            profiles.iter().filter_map(|id| felt.get(id.0 as usize)).flatten().copied().collect();
        for node in nodes {
            *zones.entry(node).or_default() += count;
        }
    }
    zones
}

/// The nodes of a profile whose death changes a set of it.
fn felt(cluster: &Cluster, index: usize) -> BTreeSet<&NodeName> {
    let Some(profile) = cluster.profiles.get(index) else { return BTreeSet::new() };
    let services = profile.services.iter().filter_map(|name| cluster.services.get(name));
    let services: Vec<_> = services.filter(|service| !service.checks.is_empty()).collect();
    let shared = services.iter().any(|service| !matches!(service.publish, Publish::Alias { .. }));
    let pinned = services.iter().any(|service| match &service.publish {
        Publish::Address { pinned: Some(pinned), .. } => pinned.when_down != WhenDown::Keep,
        _ => false,
    });
    let nodes = profile.nodes.iter().filter(|name| match cluster.nodes.get(*name).map(|node| node.admin_state) {
        Some(AdminState::Ready) => shared,
        Some(AdminState::Drain) => pinned,
        Some(AdminState::Down) | None => false,
    });
    nodes.collect()
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} nodes with {} addresses, {} checks, {} services, {} domains in {} zones",
            self.nodes, self.addresses, self.checks, self.services, self.domains, self.zones
        )?;
        write!(f, "zones written when a node dies:")?;
        let width = self.fan_out.iter().map(|fan_out| fan_out.node.len()).max().unwrap_or_default();
        for FanOut { node, zones } in &self.fan_out {
            write!(f, "\n  {node:width$}  {zones}")?;
        }
        Ok(())
    }
}

/// The answer of `validate --json`.
#[derive(Serialize)]
struct Answer<'a> {
    file: String,
    valid: bool,
    /// The first hundred.
    problems: &'a [Problem],
    /// How many there are beyond those.
    more: usize,
    warnings: &'a [Problem],
    summary: Option<&'a Summary>,
}

/// Checks the file and prints what is wrong with it to stderr, or what it amounts to to stdout; with `json` all of
/// it to stdout as one object.
#[must_use]
pub fn run(file: &Path, json: bool) -> Exit {
    let (problems, more, warnings, summary) = match files::load(file) {
        Ok(loaded) => {
            let mut warnings = loaded.warnings.clone();
            match key_trouble(&loaded, file) {
                KeyTrouble::None => (Vec::new(), 0, warnings, Some(Summary::of(&loaded.cluster))),
                KeyTrouble::Warning(warning) => {
                    warnings.push(warning);
                    (Vec::new(), 0, warnings, Some(Summary::of(&loaded.cluster)))
                }
                KeyTrouble::Problem(problem) => (vec![problem], 0, warnings, None),
            }
        }
        Err(refused) => (refused.problems, refused.more, refused.warnings, None),
    };
    let answer = Answer {
        file: text::path(file),
        valid: problems.is_empty(),
        problems: &problems,
        more,
        warnings: &warnings,
        summary: summary.as_ref(),
    };
    let printed = if json { print_json(&answer) } else { out::quiet(print(&answer)) };
    match (printed, summary) {
        (_, None) => Exit::Config,
        (Ok(()), Some(_)) => Exit::Done,
        (Err(_), Some(_)) => Exit::Failed,
    }
}

/// What is wrong with the key file.
enum KeyTrouble {
    None,
    /// The file is good, and `run` will not be, or only for another user.
    Warning(Problem),
    /// What the file names can never be a key.
    Problem(Problem),
}

fn key_trouble(loaded: &files::Loaded, file: &Path) -> KeyTrouble {
    let bind = &loaded.cluster.bind;
    let Some(key) = bind.key.file() else { return KeyTrouble::None };
    let Err(error) = keys::load(&bind.key, bind.allow_weak_keys) else { return KeyTrouble::None };
    let problem = |words: String| Problem::of_file(text::path(file), format!("bind: key_file: {words}"));
    let LoadError::Unreadable { cause: source, .. } = &error else {
        return KeyTrouble::Warning(problem(error.to_string()));
    };
    // A key that is there, and only not ours to see, must not be written over.
    let next = match source {
        ReadError::Io(io) if io.kind() == std::io::ErrorKind::NotFound => format!(
            "make one, of the user that rotad runs as: (umask 077 && tsig-keygen rotad > {0}) && chown rotad: {0}, and \
             include a copy that named can read in named.conf",
            text::path(key)
        ),
        ReadError::Io(_) => "the user that rotad runs as must be able to read it".to_owned(),
        ReadError::NotRegular(_) | ReadError::Link | ReadError::TooLarge(_) => {
            return KeyTrouble::Problem(problem(error.to_string()));
        }
    };
    KeyTrouble::Warning(problem(format!("{}: {source}; {next}", text::path(key))))
}

fn print_json(answer: &Answer<'_>) -> std::io::Result<()> {
    out::print_json(answer)
}

fn print(answer: &Answer<'_>) -> std::io::Result<()> {
    let mut err = std::io::stderr().lock();
    for problem in answer.problems {
        writeln!(err, "{problem}\n")?;
    }
    if answer.more > 0 {
        writeln!(err, "and {} more\n", text::count(answer.more))?;
    }
    for warning in answer.warnings {
        writeln!(err, "warning: {warning}\n")?;
    }
    match (answer.summary, answer.problems.len() + answer.more) {
        (Some(summary), _) => out::print(format_args!("{} is good: {summary}\n", answer.file)),
        (None, 1) => writeln!(err, "{}: 1 problem", answer.file),
        (None, count) => writeln!(err, "{}: {} problems", answer.file, text::count(count)),
    }
}
