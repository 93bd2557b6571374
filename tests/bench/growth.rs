//! What deciding costs with 100 to 1,000,000 domains, and that nothing grows faster than n log n.
//!
//! All of it is CPU time: pure parts are timed by the clock of their thread, and the daemon's binary by the kernel's count.

mod cluster;
mod life;
mod load;
mod plan;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::table::Table;

/// Slope of log(cost) over log(n) at most: n log n between 1,000 and 1,000,000 has 1.1, and what no longer fits in the
/// caches adds to it. A walk over all for each has 2.
const SLOPE: f64 = 1.2;

pub fn run(table: &mut Table) {
    // First, while little memory was given back: what it takes is seen.
    life::run(table);
    load::run(table);
    plan::run(table);
}

/// CPU time that this thread takes for some work, in seconds.
fn timed<T>(spent: &mut f64, work: impl FnOnce() -> T) -> T {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("it does not run backwards");
    let begin = now();
    let result = work();
    *spent += now().saturating_sub(begin).as_secs_f64();
    result
}

/// Costs of one thing at several sizes.
struct Growth {
    what: &'static str,
    costs: Vec<(usize, f64)>,
}

impl Growth {
    const fn of(what: &'static str) -> Self {
        Self { what, costs: Vec::new() }
    }

    /// A row with the cost at each size and how fast it grows, from a thousand on: below that, fixed costs hide it.
    fn judge(&self, table: &mut Table, most: f64) {
        let costs: Vec<_> = self.costs.iter().map(|(n, cost)| format!("{n}: {}", in_words(*cost))).collect();
        table.show(format!("{}, by the number of domains", self.what), costs.join(", "));
        let points: Vec<_> = self.costs.iter().filter(|(n, _)| *n >= 1_000).collect();
        let logs: Vec<_> = points.iter().map(|(n, cost)| ((*n as f64).ln(), cost.ln())).collect();
        table.at_most(format!("{}: slope of log(cost) over log(domains)", self.what), slope(&logs), most, "");
    }
}

/// Least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let both: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    both / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}

fn in_words(seconds: f64) -> String {
    match seconds {
        long if long >= 1.0 => format!("{long:.2} s"),
        long if long >= 1e-3 => format!("{:.2} ms", long * 1e3),
        short => format!("{:.2} us", short * 1e6),
    }
}
