//! The table of a run.

use std::fmt::Display;

/// Rows, in the order in which they were measured.
#[derive(Debug, Default)]
pub struct Table(Vec<Row>);

#[derive(Debug)]
struct Row {
    what: String,
    measured: String,
    bound: String,
    kept: Option<bool>,
}

impl Table {
    /// Something that is shown without a bound.
    pub fn show(&mut self, what: impl Display, measured: impl Display) {
        self.add(what, measured, String::new(), None);
    }

    /// Something that must be at most `bound`, both in `unit`.
    pub fn at_most(&mut self, what: impl Display, measured: f64, bound: f64, unit: &str) {
        let (shown, limit) = (format!("{} {unit}", short(measured)), format!("at most {} {unit}", short(bound)));
        self.add(what, shown, limit, Some(measured <= bound));
    }

    /// Something that must be at least `bound`, both in `unit`.
    pub fn at_least(&mut self, what: impl Display, measured: f64, bound: f64, unit: &str) {
        let (shown, limit) = (format!("{} {unit}", short(measured)), format!("at least {} {unit}", short(bound)));
        self.add(what, shown, limit, Some(measured >= bound));
    }

    /// Something that must be so.
    pub fn must(&mut self, what: impl Display, measured: impl Display, kept: bool) {
        self.add(what, measured, "must be so".to_owned(), Some(kept));
    }

    fn add(&mut self, what: impl Display, measured: impl Display, bound: String, kept: Option<bool>) {
        let row = Row { what: what.to_string(), measured: measured.to_string(), bound, kept };
        // As it goes: a run takes minutes.
        eprintln!("{}", row.line());
        self.0.push(row);
    }

    /// Prints the whole table.
    pub fn print(&self) {
        println!("\n| what | measured | bound | kept |\n|---|---|---|---|");
        for row in &self.0 {
            println!("{}", row.line());
        }
    }

    /// Whether no bound was broken.
    pub fn all_kept(&self) -> bool {
        self.0.iter().all(|row| row.kept != Some(false))
    }
}

impl Row {
    fn line(&self) -> String {
        let kept = match self.kept {
            None => "",
            Some(true) => "yes",
            Some(false) => "**no**",
        };
        format!("| {} | {} | {} | {kept} |", self.what, self.measured, self.bound)
    }
}

/// Three digits that matter.
fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 10.0 => format!("{number:.1}"),
        size if size >= 1.0 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

/// The value that this share of the numbers does not exceed; `share` from 0 to 1.
pub fn quantile(numbers: &[f64], share: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}
