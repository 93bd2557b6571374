//! The sample is the manual: what it says of keys, defaults and ranges is what the code does.

use std::path::Path;

use super::{Checked, Draft, Source, defaults, problem::did_you_mean, shape, status_socket_of};

mod bounds;

const SAMPLE: &str = include_str!("../../etc/cluster.yaml");

fn check(text: &str) -> Checked {
    Draft::new(&Source::new("cluster.yaml", text), Path::new("etc")).check([].into())
}

/// A line of the sample that tells of a default: `indent key: value   # default DEFAULT, LOW-HIGH: ...`.
struct Line {
    number: usize,
    key: String,
    default: String,
    range: Option<(String, String)>,
}

fn lines_with_defaults() -> Vec<Line> {
    let tells = |(number, line): (usize, &str)| {
        let (setting, comment) = line.split_once('#')?;
        let (key, _) = setting.split_once(':')?;
        let (_, said) = comment.split_once("default ")?;
        let mut words = said.split_whitespace().map(|word| word.trim_end_matches([',', ';', ':', ')']));
        let default = words.next()?.to_owned();
        let range = words.find_map(|word| word.split_once('-'));
        let range = range.filter(|(low, _)| low.starts_with(|first: char| first.is_ascii_digit()));
        let range = range.map(|(low, high)| (low.to_owned(), high.to_owned()));
        Some(Line { number, key: key.to_owned(), default, range })
    };
    SAMPLE.lines().enumerate().filter_map(tells).collect()
}

/// The sample with one line replaced.
fn with_line(number: usize, replacement: &str) -> String {
    let lines = SAMPLE.lines().enumerate();
    lines.map(|(at, line)| if at == number { replacement } else { line }).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_sample_shows_every_key() {
    for (name, keys) in shape::ALL {
        for key in *keys {
            let shown = SAMPLE.lines().any(|line| {
                line.match_indices(key).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    let after = line[at + key.len()..].chars().next();
                    before.is_none_or(|c| matches!(c, ' ' | '{' | '`'))
                        && after.is_none_or(|c| matches!(c, ':' | ' ' | ','))
                })
            });
            assert!(shown, "etc/cluster.yaml does not show {key} ({name})");
        }
    }
}

#[test]
fn the_defaults_of_the_sample_are_those_of_the_code() {
    let lines = lines_with_defaults();
    assert!(lines.len() >= 25, "{} lines tell of a default", lines.len());
    for Line { number, key, default, .. } in lines {
        // `{domain}` names the keys that have no default of their own.
        let written = check(&with_line(number, &format!("{key}: {default}"))).cluster;
        let left_out = check(&with_line(number, "")).cluster;
        assert!(written.is_ok(), "{key}: {default}: {written:?}");
        assert_eq!(written, left_out, "line {}: {key}: {default}", number + 1);
    }
}

#[test]
fn the_ranges_of_the_sample_are_those_of_the_code() {
    let mut ranges = 0;
    for Line { number, key, default, range } in lines_with_defaults() {
        let Some((low, high)) = range else { continue };
        ranges += 1;
        let value = |value: &str| if default.starts_with('[') { format!("[{value}]") } else { value.to_owned() };
        let problems = |text: &str| {
            let checked = check(&with_line(number, &format!("{key}: {}", value(text))));
            checked.cluster.err().into_iter().flatten().map(|problem| problem.message).collect::<Vec<_>>()
        };
        let beyond = match low.trim_start_matches(|c: char| c.is_ascii_digit()) {
            "%" => "250%",
            "" => "999999999",
            _ => "1us",
        };
        for good in [&low, &high] {
            assert!(!problems(good).iter().any(|text| text.contains("out of range")), "{key}: {good}");
        }
        let found = problems(beyond);
        assert!(found.iter().any(|text| text.contains(&format!("write {low} to {high}"))), "{key}: {found:?}");
    }
    assert!(ranges >= 8, "{ranges} ranges");
}

#[test]
fn suggestions_are_near() {
    let known = ["node00", "node03", "alpha", "imap", "fast_interval"];
    for (written, expected) in [
        ("n3", "; did you mean \"node03\"?"),
        ("nodeo3", "; did you mean \"node03\"?"),
        ("Imap", "; did you mean \"imap\"?"),
        ("fastinterval", "; did you mean \"fast_interval\"?"),
        ("smtp", ""),
        ("", ""),
    ] {
        assert_eq!(did_you_mean(written, known), expected, "{written}");
    }
}

#[test]
fn a_problem_shows_the_part_of_a_long_line() {
    let text = format!("bind: {{ key_file: {} }}\n{} nope: 1", "k".repeat(300), "#".repeat(3));
    let problems = check(&text).cluster.unwrap_err();
    assert!(problems.iter().all(|problem| problem.to_string().lines().all(|line| line.len() < 210)));
    // However long it is, and wherever in it: 200 characters around the place, which is marked.
    for (before, behind) in [(0, 150), (0, 250), (90, 400), (600, 0), (800, 30), (3_000, 3_000), (4_000_000, 4_000_000)]
    {
        let (before, behind) = ("é".repeat(before / 2), "b".repeat(behind));
        let text = format!("bind: {{ x: \"{before}\", nope: \"{behind}\" }}\n");
        let found = check(&text).cluster.unwrap_err().into_iter().find(|found| found.message.contains("nope")).unwrap();
        let shown = found.to_string();
        let [line, marks] = shown.lines().rev().take(2).collect::<Vec<_>>()[..] else { panic!("{shown}") };
        let (line, marks) = (marks.split_once(" | ").unwrap().1, line.split_once(" | ").unwrap().1);
        assert!(line.chars().count() <= 200, "{shown}");
        let marked: String =
            line.chars().zip(marks.chars()).filter(|(_, mark)| *mark == '^').map(|(shown, _)| shown).collect();
        assert_eq!(marked, "nope", "{shown}");
        let is_whole = text.chars().count() <= 201;
        assert_eq!(line == text.trim_end(), is_whole, "{shown}");
        assert_eq!(line.starts_with("...") || line.ends_with("..."), !is_whole, "{shown}");
    }
    // Many places in one long line: it is walked once.
    let keys: Vec<_> = (0..200_000).map(|at| format!("nope{at}: 1")).collect();
    let text = format!("bind: {{ {} }}\n", keys.join(", "));
    let problems = check(&text).cluster.unwrap_err();
    assert_eq!(problems.len(), 100);
    for (at, problem) in problems.iter().enumerate().skip(1) {
        assert!(problem.to_string().contains(&format!("nope{}: 1", at - 1)), "{problem}");
    }
    // Columns count characters, not bytes.
    let text = SAMPLE.replace("port: 110 }", "host: \"é\", nope: 1 }");
    let problems = check(&text).cluster.unwrap_err();
    let place = problems.iter().find(|problem| problem.message.contains("nope")).map(|problem| problem.column);
    assert_eq!(place, Some(34));
}

#[test]
fn a_broken_file_still_tells_where_its_daemon_is() {
    let cases = [
        ("nodes: [\nstatus_socket: /tmp/x.sock\n", "/tmp/x.sock"),
        ("status_socket: \"x.sock\"   # beside this file\n\tnodes:", "/etc/rotad/x.sock"),
        ("  status_socket: /not/at/the/top", defaults::STATUS_SOCKET),
        ("status_socket:\n", defaults::STATUS_SOCKET),
        ("", defaults::STATUS_SOCKET),
    ];
    for (text, path) in cases {
        assert_eq!(status_socket_of(text, Path::new("/etc/rotad")), Path::new(path), "{text:?}");
    }
}
