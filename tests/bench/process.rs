//! What a process has used, as the kernel counts it.

use std::{fs, time::Duration};

/// Ticks of `/proc/PID/stat` in a second: 100 in user space, whatever the kernel was built with.
const TICKS: f64 = 100.0;

/// CPU time of a process with all its threads, user and system.
pub fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // The name may have spaces: the fields count from its closing parenthesis.
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
    Duration::from_secs_f64(ticks as f64 / TICKS)
}

/// Resident memory in MiB: now, and at its highest.
pub fn rss(pid: u32) -> (f64, f64) {
    (memory(pid, "VmRSS:").expect("it runs"), highest(pid).expect("it runs"))
}

/// The highest memory in MiB of a process that has any: one that has ended has none.
pub fn highest(pid: u32) -> Option<f64> {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, field: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}
