//! How long the real binary takes to load and check a large file.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use super::cluster;
use crate::{process, table::Table};

const DOMAINS: usize = 100_000;
const MANY: usize = 1_000_000;

pub fn run(table: &mut Table) {
    let folder = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).expect("it is written");
    write("map.yaml", cluster::by_map(DOMAINS));
    write("list.yaml", cluster::by_list());
    let mut row = |domains: usize, file: &str, form: &str, seconds: f64, memory: f64| {
        let (spent, peak) = validate(&folder.path().join(file));
        table.at_most(format!("rotad validate, {domains} domains {form}: CPU time"), spent, seconds, "s");
        table.at_most(format!("rotad validate, {domains} domains {form}: memory at its highest"), peak, memory, "MiB");
    };
    row(DOMAINS, "map.yaml", "in cluster.yaml", 1.0, 110.0);
    write(cluster::LIST, cluster::list(DOMAINS));
    row(DOMAINS, "list.yaml", "in a list of their own", 0.5, 60.0);
    // Ten are in cluster.yaml itself, and more than a million are refused.
    write(cluster::LIST, cluster::list(MANY - 10));
    row(MANY, "list.yaml", "in a list of their own", 5.0, 500.0);
}

/// CPU seconds and peak memory in MiB of one run, the least of three.
fn validate(file: &Path) -> (f64, f64) {
    let runs = (0..3).map(|_| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rotad"));
        command.arg("--config").arg(file).arg("validate").stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("rotad runs");
        let mut peak = 0.0_f64;
        // Until it has ended: what it used is known until it is waited for, but for its memory.
        while let Some(memory) = process::highest(child.id()) {
            peak = peak.max(memory);
            sleep(Duration::from_millis(2));
        }
        let spent = process::cpu(child.id());
        assert!(child.wait().expect("it ends").success(), "the file is good");
        (spent.as_secs_f64(), peak)
    });
    runs.reduce(|least, run| (least.0.min(run.0), least.1.min(run.1))).expect("there are three")
}
