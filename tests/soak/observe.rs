//! What is watched all the time: the journal, memory and open files.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

use crate::{process, support::rota::Rota, table::quantile};

const SECOND: Duration = Duration::from_secs(1);

/// The journal, read as it grows.
#[derive(Default)]
pub struct Journal {
    read: usize,
    last: HashMap<String, Instant>,
    /// Lines that came twice within a second.
    pub twice: Vec<String>,
    /// Lines that tell a panic.
    pub panics: usize,
}

impl Journal {
    /// Reads what is new.
    pub fn read(&mut self, rota: &Rota) {
        let lines = rota.lines_from(self.read);
        self.read += lines.len();
        for line in lines {
            self.panics += usize::from(line.text.contains("panicked at"));
            // After the time stamp.
            let Some((_, text)) = line.text.split_once(' ') else { continue };
            // What is to be said of the file is said once for each edit, and those come as fast.
            if text.contains("/cluster.yaml") {
                continue;
            }
            let before = self.last.insert(text.to_owned(), line.at);
            if before.is_some_and(|before| line.at.duration_since(before) < SECOND) {
                self.twice.push(text.to_owned());
            }
        }
        if let Some(newest) = self.last.values().max().copied() {
            self.last.retain(|_, at| newest.duration_since(*at) < SECOND);
        }
    }
}

/// What one process uses, sampled.
#[derive(Default)]
pub struct Usage {
    memory: Vec<f64>,
    files: Vec<f64>,
}

impl Usage {
    /// Takes a sample.
    pub fn sample(&mut self, pid: u32) {
        self.memory.push(process::rss(pid).0);
        let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs and is ours").count();
        self.files.push(files as f64);
    }

    /// Median of the first third and of the last, in MiB.
    pub fn memory(&self) -> (f64, f64) {
        thirds(&self.memory)
    }

    /// The same of open files.
    pub fn files(&self) -> (f64, f64) {
        thirds(&self.files)
    }
}

fn thirds(samples: &[f64]) -> (f64, f64) {
    let third = samples.len().div_ceil(3);
    (quantile(&samples[..third], 0.5), quantile(&samples[samples.len() - third..], 0.5))
}
