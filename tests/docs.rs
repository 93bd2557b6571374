//! The documents say what the code says.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails as the test does")]

use std::{collections::BTreeSet, fs, iter::successors, path::Path, time::SystemTime};

use rotad::{
    cluster::AdminState,
    event::{Kind, Level},
    health::State,
    overrides::Hold,
    status::{self, Mode, ServerState, Stamp, Status, ZoneState},
};
use serde_json::Value;

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

/// A status in which everything is there. A field that is new does not compile before it has a line here.
fn whole_status() -> Status {
    let (text, now) = (String::new, Stamp(SystemTime::UNIX_EPOCH));
    let texts = || vec![text()];
    let address = "192.0.2.10".parse().unwrap();
    let held_edit = status::HeldEdit { id: text(), changed: 0, owned: 0, since: now };
    let check = status::Check {
        check: text(),
        address,
        state: "up".into(),
        since: now,
        reason: Some(text()),
        warning: Some(text()),
        held_until: Some(now),
    };
    Status {
        version: text(),
        time: now,
        mode: Mode::Active,
        blocked: vec![Mode::Hold],
        hold: Some(Hold { since: now, until: Some(now), by: Some(text()), reason: Some(text()) }),
        config: status::Config {
            file: "/".into(),
            loaded_at: now,
            hash: text(),
            error: Some(text()),
            held_edit: Some(held_edit),
        },
        nodes: vec![status::Node {
            name: text(),
            addresses: vec![address],
            admin_state: "ready".into(),
            checks: vec![check],
        }],
        zones: vec![status::Zone {
            zone: text(),
            server: text(),
            state: ZoneState::InSync,
            generation: Some(1),
            serial: Some(1),
            error: Some(text()),
            foreign: texts(),
        }],
        short: vec![status::Short {
            service: text(),
            rtype: "A".into(),
            nodes: texts(),
            healthy: 0,
            needed: 1,
            kept: texts(),
        }],
        left_over: vec![status::LeftOver {
            owner: text(),
            rtype: text(),
            zone: text(),
            server: text(),
            since: now,
            data: texts(),
            missing: texts(),
        }],
        servers: vec![status::Server { name: text(), address: text(), state: ServerState::Up, since: Some(now) }],
    }
}

/// The places in a document that hold something, such as `zones[].foreign[]`.
fn places(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                places(value, &at, found);
            }
        }
        Value::Array(items) => {
            assert!(!items.is_empty(), "{at} is empty: what is in it is not seen");
            for item in items {
                places(item, &format!("{at}[]"), found);
            }
        }
        Value::Null => panic!("{at} is null: what is in it is not seen"),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => drop(found.insert(at.to_owned())),
    }
}

#[test]
fn the_fields_of_the_status_are_documented() {
    let document = read("docs/status.md");
    let fields = rows(&document, "Fields");
    let mut documented: BTreeSet<String> = fields.iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    assert_eq!(documented.len(), fields.len(), "a field has two rows");
    // They may be null as a whole.
    assert!(documented.remove("hold") && documented.remove("config.held_edit"));
    let mut real = BTreeSet::new();
    places(&serde_json::to_value(whole_status()).unwrap(), "", &mut real);
    assert_eq!(documented, real);
}

/// The word of a value in the document.
fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}

/// All values of a type: `next` is a match, so that a new one does not compile before it has its place there.
fn all<T: Copy>(first: T, next: fn(T) -> Option<T>) -> impl Iterator<Item = T> {
    successors(Some(first), move |value| next(*value))
}

#[test]
fn the_words_of_the_status_are_documented() {
    // In this order one of them is the mode.
    let modes = all(Mode::Hold, |mode| match mode {
        Mode::Hold => Some(Mode::Starting),
        Mode::Starting => Some(Mode::Blind),
        Mode::Blind => Some(Mode::Active),
        Mode::Active => None,
    });
    let admin_states = all(AdminState::Ready, |state| match state {
        AdminState::Ready => Some(AdminState::Drain),
        AdminState::Drain => Some(AdminState::Down),
        AdminState::Down => None,
    });
    let states = all(State::Up, |state| match state {
        State::Up => Some(State::Down),
        State::Down => Some(State::Unknown),
        State::Unknown => None,
    });
    let zone_states = all(ZoneState::Failing, |state| match state {
        ZoneState::Failing => Some(ZoneState::Foreign),
        ZoneState::Foreign => Some(ZoneState::Standby),
        ZoneState::Standby => Some(ZoneState::Pending),
        ZoneState::Pending => Some(ZoneState::InSync),
        ZoneState::InSync => None,
    });
    let server_states = all(ServerState::Up, |state| match state {
        ServerState::Up => Some(ServerState::Silent),
        ServerState::Silent => Some(ServerState::KeyRefused),
        ServerState::KeyRefused => None,
    });
    let mut real = Vec::new();
    real.extend(modes.map(|value| ("mode", word(value))));
    real.extend(admin_states.map(|value| ("nodes[].admin_state", value.as_str().to_owned())));
    real.extend(states.map(|value| ("nodes[].checks[].state", value.as_str().to_owned())));
    real.extend(zone_states.map(|value| ("zones[].state", word(value))));
    real.extend(server_states.map(|value| ("servers[].state", word(value))));
    let document = read("docs/status.md");
    let documented: Vec<_> = rows(&document, "Words")
        .iter()
        .map(|row| (row[0].trim_matches('`'), row[1].trim_matches('`').to_owned()))
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

/// The modules of a file.
fn modules<'a>(source: &'a str, above: &'a str) -> impl Iterator<Item = String> + 'a {
    let names = source.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.map(move |name| format!("{above}{name}"))
}

#[test]
fn the_architecture_has_a_row_for_each_module() {
    let document = read("docs/architecture.md");
    let rows = [rows(&document, "Deciding, in reading order"), rows(&document, "Doing")].concat();
    let named: BTreeSet<String> = rows
        .iter()
        .flat_map(|row| row[0].split(", "))
        .map(|name| name.trim_matches('`').to_owned())
        // Parts of a module.
        .filter(|name| !name.contains("::"))
        .collect();
    let (crate_root, doing) = (read("src/lib.rs"), read("src/io.rs"));
    let deciding = modules(&crate_root, "").filter(|name| name != "io");
    let real: BTreeSet<String> = deciding.chain(modules(&doing, "io/")).collect();
    assert_eq!(named, real);
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
    // The trials that are mended; A9, A12, B1, B5 to B10, C10, D1, D4 and D13 are still to come.
    let wanted =
        [("A", 1..=8), ("A", 10..=11), ("B", 2..=4), ("C", 1..=9), ("C", 11..=18), ("D", 2..=3), ("D", 5..=12)];
    let wanted = wanted.into_iter().chain([("D", 14..=16), ("E", 1..=12), ("F", 1..=7)]);
    let wanted = wanted.flat_map(|(letter, numbers)| numbers.map(move |number: u32| format!("{letter}{number}")));
    let missing: Vec<_> = wanted.filter(|trial| !named.contains(trial)).collect();
    assert!(missing.is_empty(), "no row of the trials has {missing:?}");
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
