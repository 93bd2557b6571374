//! The documents say what the code says.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails as the test does")]

use std::{collections::BTreeSet, fs, path::Path};

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

/// The source of a test's module: `live::faults::late::...` is in `tests/live/faults/late.rs`.
fn source_of(test: &str) -> (String, &str) {
    let (module, name) = test.rsplit_once("::").unwrap_or_else(|| panic!("{test} has no module"));
    let path = module.replace("::", "/");
    let path = match path.strip_prefix("rotad/") {
        Some(path) => format!("src/{path}"),
        None => format!("tests/{path}"),
    };
    // A module of tests is a file of its own or the end of the file that it tests.
    let files = [format!("{path}.rs"), format!("{}.rs", path.trim_end_matches("/tests"))];
    let file = files.iter().find(|file| Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists());
    (read(file.unwrap_or_else(|| panic!("{test}: none of {files:?} is there"))), name)
}

/// The faults of a table, each of which names tests that exist.
fn tested(document: &str, heading: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for row in rows(document, heading) {
        let [fault, outcome, tests] = row[..] else { panic!("three cells: {row:?}") };
        assert!(!outcome.is_empty() && named.insert(fault.to_owned()), "{row:?}");
        for test in tests.split(", ") {
            let (source, name) = source_of(test.trim_matches('`'));
            let start = source.find(&format!("fn {name}(")).unwrap_or_else(|| panic!("{fault}: {test} is not there"));
            let before = source[..start].trim_end_matches("async ").trim_end();
            assert!(before.ends_with(']') && before.lines().last().unwrap().contains("test"), "{test} is no test");
        }
    }
    named
}

#[test]
fn each_fault_has_a_test_that_exists() {
    let document = read("tests/FAULTS.md");
    let mut named = tested(&document, "Rows");
    named.extend(rows(&document, "Not kept").iter().map(|row| row[0].to_owned()));
    let row = |letter: char, last: u32| (1..=last).map(move |number| format!("{letter}{number}"));
    let others = ["B17b", "D22"].map(str::to_owned);
    let expected: BTreeSet<String> =
        row('A', 27).chain(row('B', 40)).chain(row('C', 19)).chain(row('D', 19)).chain(others).collect();
    assert_eq!(named, expected);
}

#[test]
fn each_trial_has_a_test_that_exists() {
    let named = tested(&read("tests/FAULTS.md"), "Trials");
    assert!(!named.is_empty());
}

/// Each advice that has somebody change whose a file is, who may read or write it, or where it is, and why whoever follows it
/// does not stop the next start of the daemon.
const ADVICES: &[(&str, &str)] = &[
    (
        "chmod g-w,o= {path}`; else give it to a group of that user first (chgrp)",
        "only where the daemon's user keeps it",
    ),
    ("chmod o-w {}` where it is the daemon's user's", "the owner keeps what it has"),
    ("run `chmod o-w` on it\"", "it stays readable"),
    ("anybody may write {place}: chmod o-w {place}", "it stays readable"),
    ("tsig-keygen rotad > {0}) && chown rotad: {0}", "where there is no key at all, of the user of the unit"),
];

#[test]
fn h4_each_advice_on_owners_and_modes_is_known_to_let_the_daemon_start() {
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("it is text");
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            if path.file_name().is_some_and(|name| name == "tests.rs") {
                continue;
            }
            let advises = |line: &&str| {
                let words = ["chown ", "chmod ", "chgrp ", "`mv ", "`rm "];
                !line.trim_start().starts_with("//") && words.iter().any(|word| line.contains(word))
            };
            for line in code.lines().filter(advises) {
                let is_known = ADVICES.iter().any(|(advice, _)| line.contains(advice));
                assert!(is_known, "{}: is whoever follows this sure that rotad starts again? {line}", path.display());
            }
        }
    }
}
