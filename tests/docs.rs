//! The documents say what the code says.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails as the test does")]

use std::{fs, path::Path};

use rotad::event::{Kind, Level};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The cells of the table rows under a heading.
fn rows<'a>(document: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let section = document.split_once(&format!("\n## {heading}\n")).unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    let table = section.lines().filter(|line| line.starts_with('|')).skip(2);
    table.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn the_journal_s_kinds_are_documented() {
    let document = read("docs/journal.md");
    let documented: Vec<[String; 3]> =
        rows(&document, "Kinds").iter().map(|row| [row[0], row[1], row[2]].map(str::to_owned)).collect();
    let level = |kind: Kind| match kind.level() {
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Error => "error",
    };
    let real: Vec<[String; 3]> = Kind::ALL
        .iter()
        .map(|kind| [kind.name().to_owned(), format!("`{}`", kind.message_id()), level(*kind).to_owned()])
        .collect();
    assert_eq!(documented, real);
}

#[test]
fn message_ids_are_ids_and_unique() {
    let mut ids: Vec<&str> = Kind::ALL.iter().map(|kind| kind.message_id()).collect();
    assert!(ids.iter().all(|id| id.len() == 32 && id.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), Kind::ALL.len());
}

#[test]
fn each_dependency_has_its_reason() {
    let manifest = read("Cargo.toml");
    let document = read("docs/dependencies.md");
    let mut in_dependencies = false;
    let mut commented = false;
    let mut dependencies = 0;
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.ends_with("dependencies]");
        } else if line.starts_with('#') {
            commented = true;
        } else if line.is_empty() {
            commented = false;
        } else if in_dependencies {
            let name = line.split_once(" = ").unwrap().0;
            dependencies += 1;
            assert!(commented, "Cargo.toml: {name} has no comment above it");
            assert!(document.contains(&format!("`{name}`")), "docs/dependencies.md does not name {name}");
            commented = false;
        }
    }
    assert!(dependencies > 20, "the manifest is read as it is written: {dependencies}");
}

#[test]
fn the_architecture_fits_its_page() {
    let lines = read("docs/architecture.md").lines().count();
    assert!(lines <= 150, "docs/architecture.md has {lines} lines");
}
