//! Ten thousand zones in which nothing happens, and twelve checks at one second.

use std::{path::Path, thread, time::Duration};

use super::{
    ZONES,
    daemon::Daemon,
    world::{TIMING, World},
};
use crate::{process, table::Table};

/// Long enough for one look at the serial of every zone.
const SPAN: Duration = Duration::from_mins(1);

/// Runs the part.
pub fn run(table: &mut Table) {
    let world = World::new(ZONES, Path::new("/dev/shm"));
    world.edit(TIMING, "interval: 1s, fast_interval: 500ms, timeout: 400ms, rise: 2, fall: 3");
    let (daemon, _) = Daemon::start_in_sync(&world.file(), ZONES);
    let before = process::cpu(daemon.pid());
    thread::sleep(SPAN);
    let used = process::cpu(daemon.pid()).saturating_sub(before);
    let share = used.as_secs_f64() / SPAN.as_secs_f64() * 100.0;
    table.at_most(format!("{ZONES} zones and 12 checks, nothing happens: CPU of a core"), share, 1.0, "%");
    table.at_most("memory then", process::rss(daemon.pid()).0, 150.0, "MiB");
}
