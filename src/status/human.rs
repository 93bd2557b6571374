//! The snapshot as people read it at 3 a.m.: what is wrong first, ages instead of times, ten thousand zones in a line.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Check, Mode, Node, Short, Status, ZoneState, age};
use crate::text::{self, count, printable};

/// Zones shown by name; who needs more has `--json`.
const ZONES: usize = 20;
/// The same for what is left over.
const LEFT_OVER: usize = 10;

/// Words in colour, or as they are.
struct Paint(bool);

impl Paint {
    fn red(&self, word: &str) -> String {
        self.with("31", word)
    }

    fn yellow(&self, word: &str) -> String {
        self.with("33", word)
    }

    fn green(&self, word: &str) -> String {
        self.with("32", word)
    }

    fn with(&self, code: &str, word: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() }
    }
}

impl Status {
    /// The snapshot as text; `colour` for a terminal.
    #[must_use]
    pub fn human(&self, colour: bool) -> String {
        let paint = Paint(colour);
        let mut out = String::new();
        // Writing to a String cannot fail; the results below are dropped for that reason.
        let _ = self.write_head(&mut out, &paint);
        let _ = self.write_short(&mut out, &paint);
        let _ = self.write_nodes(&mut out, &paint);
        let _ = self.write_zones(&mut out, &paint);
        let _ = self.write_left_over(&mut out, &paint);
        out
    }

    fn write_head(&self, out: &mut String, paint: &Paint) -> std::fmt::Result {
        let mode = match self.mode {
            Mode::Active if !self.short.is_empty() => paint.red("active, with too few healthy nodes"),
            Mode::Active => paint.green("active"),
            Mode::Starting => paint.yellow("starting: nothing is written before the first round of checks is over"),
            Mode::Hold => paint.yellow(&match &self.hold {
                Some(hold) => format!("hold: {}", hold.words()),
                None => "hold".to_owned(),
            }),
            Mode::Blind if self.blocked.contains(&Mode::Blind) => {
                paint.red("blind: too many nodes went down at once, nothing is written")
            }
            Mode::Blind => paint.red("blind: too many nodes went down at once, every node is published"),
        };
        let file = self.config.file.to_string_lossy();
        writeln!(out, "rotad {}  {mode}", printable(&self.version))?;
        writeln!(out, "{}, loaded {} ago", printable(&file), text::age(age(self.config.loaded_at, self.time)))?;
        if let Some(error) = &self.config.error {
            writeln!(out, "{}: the newest edit is not in force:", paint.red("error"))?;
            for line in error.lines() {
                writeln!(out, "  {}", printable(line))?;
            }
        }
        Ok(())
    }

    fn write_short(&self, out: &mut String, paint: &Paint) -> std::fmt::Result {
        if self.short.is_empty() {
            return Ok(());
        }
        let head = paint.red("too few healthy nodes");
        writeln!(out, "\n{head}: until enough are back, `all_down` says what these sets hold")?;
        for Short { service, rtype, nodes, healthy, needed, kept } in &self.short {
            let kept = if kept.is_empty() { "nothing".to_owned() } else { kept.join(", ") };
            let (set, kept) = (format!("{service} {rtype}"), printable(&kept).into_owned());
            let all = nodes.len();
            writeln!(out, "  {}: {healthy} of {all} healthy, {needed} needed; holds {kept}", printable(&set))?;
        }
        Ok(())
    }

    fn write_nodes(&self, out: &mut String, paint: &Paint) -> std::fmt::Result {
        writeln!(out, "\nnodes: {}", count(self.nodes.len()))?;
        let mut nodes: Vec<&Node> = self.nodes.iter().collect();
        nodes.sort_by_key(|node| urgency(node));
        let wide = nodes.iter().map(|node| node.name.chars().count()).max().unwrap_or(0);
        for node in nodes {
            let admin = if node.admin_state == "ready" { String::new() } else { format!(" ({})", node.admin_state) };
            let is_plain = |check: &&Check| check.state == "up" && check.warning.is_none();
            let (up, other): (Vec<&Check>, Vec<&Check>) = node.checks.iter().partition(is_plain);
            let up = self.up(&up, paint);
            let head = format!("{:wide$}{admin}", node.name);
            let head = printable(&head);
            if other.is_empty() {
                writeln!(out, "  {head}  {}", up.as_deref().unwrap_or("no checks"))?;
                continue;
            }
            writeln!(out, "  {}", head.trim_end())?;
            for check in other {
                let state = match (&*check.state, &check.warning) {
                    ("down", _) => paint.red("down"),
                    ("up", Some(_)) => paint.yellow("up with a warning"),
                    (other, _) => paint.yellow(&printable(other)),
                };
                let age = text::age(age(check.since, self.time));
                let warning = check.warning.as_deref().filter(|_| check.state == "up");
                let reason = printable(warning.or(check.reason.as_deref()).unwrap_or("no answer yet"));
                writeln!(out, "    {} ({}) {state} for {age}: {reason}", printable(&check.check), check.address)?;
            }
            if let Some(up) = up {
                writeln!(out, "    {up}")?;
            }
        }
        Ok(())
    }

    /// What is up, and for how long all of it has been.
    fn up(&self, up: &[&Check], paint: &Paint) -> Option<String> {
        let since = up.iter().map(|check| check.since).max()?;
        let mut names: Vec<&str> = up.iter().map(|check| check.check.as_str()).collect();
        names.dedup();
        let age = text::age(age(since, self.time));
        Some(format!("{} for {age}: {}", paint.green("up"), printable(&names.join(", "))))
    }

    fn write_zones(&self, out: &mut String, paint: &Paint) -> std::fmt::Result {
        let mut counts: BTreeMap<ZoneState, usize> = BTreeMap::new();
        for zone in &self.zones {
            *counts.entry(zone.state).or_default() += 1;
        }
        let counts: Vec<String> =
            counts.into_iter().map(|(state, zones)| format!("{} {}", state_word(state, paint), count(zones))).collect();
        writeln!(out, "\nzones: {}", if counts.is_empty() { "none".to_owned() } else { counts.join(", ") })?;

        let mut wrong: Vec<_> = self.zones.iter().filter(|zone| zone.state != ZoneState::InSync).collect();
        wrong.sort_by_key(|zone| zone.state);
        // What happens to several zones for one cause is said once.
        let mut lines = Vec::new();
        for alike in wrong.chunk_by(|one, other| one.state == other.state) {
            let Some(state) = alike.first().map(|zone| zone.state) else { continue };
            let told = alike.iter().filter_map(|zone| Some((zone.zone.as_str(), zone.error.as_deref()?)));
            let told = text::by_cause(told).into_iter().map(|(zones, words)| (state, zones, Some(words)));
            let untold = alike.iter().filter(|zone| zone.error.is_none());
            lines.extend(told.chain(untold.map(|zone| (state, vec![zone.zone.as_str()], None))));
        }
        let left_out: usize = lines.iter().skip(ZONES).map(|(_, zones, _)| zones.len()).sum();
        for (state, zones, error) in lines.into_iter().take(ZONES) {
            let names = match zones.as_slice() {
                [one] => (*one).to_owned(),
                several => text::zones(several),
            };
            write!(out, "  {} {}", printable(&names), state_word(state, paint))?;
            match error {
                Some(error) => writeln!(out, ": {}", printable(&error))?,
                None => writeln!(out)?,
            }
        }
        if left_out > 0 {
            writeln!(out, "  and {} more (all of them: rotad status --json)", count(left_out))?;
        }
        self.write_foreign(out, paint)
    }

    /// Names at which strangers' data are left.
    fn write_foreign(&self, out: &mut String, paint: &Paint) -> std::fmt::Result {
        let names: Vec<_> = self.zones.iter().flat_map(|zone| &zone.foreign).map(|name| printable(name)).collect();
        if names.is_empty() {
            return Ok(());
        }
        let (word, many) = (paint.red("foreign"), count(names.len()));
        let noun = if names.len() == 1 { "name holds" } else { "names hold" };
        writeln!(
            out,
            "\n{word}: {many} {noun} data of strangers, which are left: delete them, or run `rotad adopt NAME` to take them over"
        )?;
        for name in names.iter().take(ZONES) {
            writeln!(out, "  {name}")?;
        }
        if let Some(more @ 1..) = names.len().checked_sub(ZONES) {
            writeln!(out, "  and {} more (all of them: rotad status --json)", count(more))?;
        }
        Ok(())
    }

    fn write_left_over(&self, out: &mut String, paint: &Paint) -> std::fmt::Result {
        if self.left_over.is_empty() {
            return Ok(());
        }
        let many = paint.yellow(&count(self.left_over.len()));
        writeln!(out, "\nleft over: {many} (out of the file, still in DNS; see `rotad withdraw` and `rotad restore`)")?;
        for left in self.left_over.iter().take(LEFT_OVER) {
            let age = text::age(age(left.since, self.time));
            let set = format!("{} {}: {}", left.owner, left.rtype, left.data.join(", "));
            write!(out, "  {} for {age}", printable(&set))?;
            if left.missing.is_empty() {
                writeln!(out)?;
            } else {
                writeln!(out, ", without {}", printable(&left.missing.join(", ")))?;
            }
        }
        if let Some(more @ 1..) = self.left_over.len().checked_sub(LEFT_OVER) {
            writeln!(out, "  and {} more (all of them: rotad status --json)", count(more))?;
        }
        Ok(())
    }
}

/// Down before unknown before a warning before drained before well; the sort is stable, so names stay in order.
fn urgency(node: &Node) -> u8 {
    let any = |state: &str| node.checks.iter().any(|check| check.state == state);
    if any("down") {
        0
    } else if any("unknown") {
        1
    } else if node.checks.iter().any(|check| check.warning.is_some()) {
        2
    } else {
        3 + u8::from(node.admin_state == "ready")
    }
}

fn state_word(state: ZoneState, paint: &Paint) -> String {
    let word = state.as_str();
    match state {
        ZoneState::Failing | ZoneState::Foreign => paint.red(word),
        ZoneState::Standby | ZoneState::Pending => paint.yellow(word),
        ZoneState::InSync => paint.green(word),
    }
}
