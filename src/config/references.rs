//! Lists of names that another part of the file defines.

use std::collections::{BTreeSet, HashSet};

use super::{field::Field, problem::Report};

use crate::text::cut;

/// The names that a list refers to. `what` is one of them ("node"), `known` are those that the file defines.
pub(super) fn read<'a>(
    object: &str,
    field: Field<'a>,
    what: &str,
    known: &BTreeSet<&str>,
    report: &mut Report,
) -> Option<Vec<&'a str>> {
    let items = field.items(&format!("a list of {what}s"), report)?;
    let before = report.count();
    let mut names: Vec<&str> = Vec::with_capacity(items.len());
    let mut seen = HashSet::with_capacity(items.len());
    for item in items {
        let Some(text) = item.text(&format!("the name of a {what}"), report) else { continue };
        if !known.contains(text) {
            let near = report.did_you_mean(text, known.iter().copied());
            report.problem(
                item.node.at,
                format!("{object} uses {what} \"{text}\", which no \"{what}s\" entry defines{near}", text = cut(text)),
            );
        } else if !seen.insert(text) {
            item.problem(&format!("\"{text}\" is listed twice; keep one", text = cut(text)), report);
        } else {
            names.push(text);
        }
    }
    (report.count() == before).then_some(names)
}
