//! How soon a death shows in BIND's answers.

use std::{thread, time::Duration};

use rotad::io::clock;

use super::answers::{Answers, Chance};
use crate::{
    support::{
        node::Script,
        rota::{Builder, IMAP, Rota},
    },
    table::{Table, quantile},
};

/// How often a node dies for each row.
const DEATHS: usize = 8;

/// The pace that the builder of tests writes.
const PACE: &str = "interval: 500ms, fast_interval: 50ms, timeout: 450ms, rise: 2, fall: 2";

pub const NAME: &str = "imap.mydomain.org";

pub fn run(table: &mut Table) {
    let pace = "interval: 1s, fast_interval: 500ms, rise: 2, fall: 3";
    // Each with a BIND of its own, at once: they wait more than they work.
    let (refuses, silent) = thread::scope(|scope| {
        let refuses = scope.spawn(|| deaths(pace, 1.0, DEATHS, |rota| rota.kill_check("node01", "imap")));
        let hang = Script::new().hang();
        let silent = scope.spawn(move || deaths(pace, 1.0, DEATHS, |rota| rota.script("node01", "imap", &hang)));
        (refuses.join().expect("it does not panic"), silent.join().expect("it does not panic"))
    });
    let what = "death to BIND's answers, 1 s, 0.5 s in doubt, fall 3";
    show(table, &format!("{what}: refuses"), &refuses, 2.5);
    show(table, &format!("{what}: accepts and says nothing (timeout 0.5 s, the default)"), &silent, 3.5);
    let refuses =
        deaths("interval: 100ms, rise: 2, fall: 3", 0.1, 3 * DEATHS, |rota| rota.kill_check("node01", "imap"));
    show(table, "death to BIND's answers, 0.1 s, fall 3: refuses", &refuses, 0.31);
}

fn show(table: &mut Table, what: &str, seconds: &[f64], bound: f64) {
    table.show(format!("{what}, median"), format!("{:.3} s", quantile(seconds, 0.5)));
    table.at_most(format!("{what}, longest of {}", seconds.len()), quantile(seconds, 1.0), bound, "s");
}

/// Three nodes whose IMAP is asked at this pace.
pub fn rota(pace: &str, more: impl FnOnce(Builder) -> Builder) -> Rota {
    let mut rota = more(Rota::new().nodes(3).service(IMAP).domain("mydomain.org", "services: [imap]")).build();
    let yaml = rota.yaml();
    let imap = yaml.lines().find(|line| line.contains("kind: imap")).expect("a check");
    rota.edit(imap, &imap.replace(PACE, pace));
    rota
}

/// node01 dies at moments of chance in its check's interval, and comes back each time: the seconds from each death to
/// the first answer without it.
fn deaths(pace: &str, interval: f64, many: usize, kill: impl Fn(&mut Rota)) -> Vec<f64> {
    let mut rota = rota(pace, |builder| builder);
    rota.start();
    rota.expect_in_sync();
    let answers = Answers::new(rota.named.address(), NAME, rota.ip("node01"));
    let mut chance = Chance(1);
    let mut once = || {
        answers.until(true);
        thread::sleep(Duration::from_secs_f64(interval * (1.0 + chance.next())));
        let at = clock::now();
        kill(&mut rota);
        let gone = answers.until(false);
        rota.script("node01", "imap", &Script::imap());
        (gone - at).as_secs_f64()
    };
    (0..many).map(|_| once()).collect()
}
