//! Clusters for the tests of other modules, written as people write them.

use std::{collections::BTreeMap, path::Path};

use super::{Draft, Source};
use crate::cluster::Cluster;

/// The `bind` block and the cluster's name: put before what a test is about.
pub(crate) const HEAD: &str = "bind: { server: 127.0.0.1, key_credential: tsig.key }\ncluster: mail\n";

/// The cluster of a file without domain lists. Panics with the problems of a bad one.
pub(crate) fn cluster(yaml: &str) -> Cluster {
    let source = Source::new("cluster.yaml".to_owned(), yaml);
    let checked = Draft::new(&source, Path::new("")).check(BTreeMap::new());
    checked.cluster.unwrap_or_else(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", problems.join("\n"))
    })
}
