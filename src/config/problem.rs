//! What is wrong with a file, where, and what to write instead.

use std::{fmt, sync::Arc};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// Bytes of a line that is shown at all: finding a place in a longer one, for each of many problems, takes too long.
const SNIPPET_LINE: usize = 1024;
/// Characters of a long line that a snippet shows on each side of the place.
const SNIPPET_RADIUS: usize = 60;

/// The text of one input file under the name that messages give it.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file's name in messages.
    pub name: String,
    /// Its text, without a byte order mark.
    pub text: Arc<str>,
}

impl Source {
    /// A file's text. A byte order mark at its start is dropped: it says nothing and would shift the columns.
    #[must_use]
    pub fn new(name: impl Into<String>, text: &str) -> Self {
        Self { name: name.into(), text: text.strip_prefix('\u{feff}').unwrap_or(text).into() }
    }
}

/// Where something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Place {
    /// Which input: 0 is cluster.yaml, the lists follow.
    pub file: u32,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// In characters.
    pub length: u32,
}

impl Place {
    /// A place, kept small: a large file has a million of them.
    pub fn new(file: usize, line: usize, column: usize, length: usize) -> Self {
        let [file, line, column, length] =
            [file, line, column, length].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        Self { file, line, column, length }
    }
}

/// One thing that is wrong, or deserves a look, in one of the files.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The file's name as given.
    pub file: String,
    /// The line, from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// The column in characters, from 1; 0 when the file as a whole is meant.
    pub column: usize,
    /// What is wrong with which object, and what to write instead.
    pub message: String,
    #[serde(skip)]
    extract: Option<Extract>,
}

/// The part of a line that a snippet shows, and the bytes in it that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Extract {
    text: String,
    marked: std::ops::Range<usize>,
}

impl Problem {
    /// A problem with a file as a whole: it cannot be read, or is no text.
    #[must_use]
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, column: 0, message: message.into(), extract: None }
    }

    /// A problem at a place whose line cannot be shown.
    #[must_use]
    pub fn of_place(file: impl Into<String>, line: usize, column: usize, message: impl Into<String>) -> Self {
        Self { line, column, ..Self::of_file(file, message) }
    }

    fn at(place: Place, source: &Source, lines: &Lines, message: String) -> Self {
        let line = place.line as usize;
        Self {
            file: source.name.clone(),
            line,
            column: place.column as usize,
            message,
            extract: Extract::of(lines.line(&source.text, line), place),
        }
    }

    /// The problem in one line: `file:line:column: message`.
    #[must_use]
    pub fn headline(&self) -> String {
        match (self.line, self.column) {
            (0, _) => format!("{}: {}", self.file, self.message),
            (line, column) => format!("{}:{line}:{column}: {}", self.file, self.message),
        }
    }
}

/// The headline, and the line with the place marked under it.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        let Some(Extract { text, marked }) = &self.extract else { return Ok(()) };
        let snippet = Snippet::source(text.as_str())
            .line_start(self.line)
            .annotation(AnnotationKind::Primary.span(marked.clone()));
        let rendered = Renderer::plain().render(&[Group::with_level(Level::ERROR).element(snippet)]);
        for line in rendered.lines() {
            write!(f, "\n{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl Extract {
    fn of(line: &str, place: Place) -> Option<Self> {
        if line.len() > SNIPPET_LINE {
            return None;
        }
        let first = place.column.saturating_sub(1) as usize;
        let skipped = first.saturating_sub(SNIPPET_RADIUS);
        let mut text = String::new();
        let mut marked = 0..0;
        let window = line.chars().skip(skipped).take(2 * SNIPPET_RADIUS);
        for (at, character) in window.enumerate().map(|(offset, character)| (offset + skipped, character)) {
            if at == first {
                marked = text.len()..text.len();
            }
            // What terminals would obey is not repeated to them.
            text.push(if character.is_control() && character != '\t' { '\u{fffd}' } else { character });
            if at >= first && at < first + place.length.max(1) as usize {
                marked.end = text.len();
            }
        }
        if first >= line.chars().count() {
            marked = text.len()..text.len();
        }
        (!text.trim().is_empty()).then_some(Self { text, marked })
    }
}

/// Where the lines of a text begin.
#[derive(Debug)]
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// A line by its number from 1, without its end.
    fn line<'a>(&self, text: &'a str, number: usize) -> &'a str {
        let bound = |index: usize| self.0.get(index).copied().unwrap_or(text.len());
        let index = number.saturating_sub(1);
        text.get(bound(index)..bound(index + 1)).unwrap_or_default().trim_end_matches(['\n', '\r'])
    }
}

/// Collects what is found while the files are read.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: Vec<(Place, String)>,
    warnings: Vec<(Place, String)>,
}

impl Report {
    /// Something that refuses the file.
    pub fn problem(&mut self, place: Place, message: impl AsRef<str>) {
        self.problems.push((place, printable(message.as_ref())));
    }

    /// Something that deserves a look.
    pub fn warning(&mut self, place: Place, message: impl AsRef<str>) {
        self.warnings.push((place, printable(message.as_ref())));
    }

    /// How many problems there are so far.
    pub fn count(&self) -> usize {
        self.problems.len()
    }

    /// Problems and warnings, each in the order of the files.
    pub fn finish(self, sources: &[Source]) -> (Vec<Problem>, Vec<Problem>) {
        let lines: Vec<Lines> = sources.iter().map(|source| Lines::of(&source.text)).collect();
        let place = |mut found: Vec<(Place, String)>| -> Vec<Problem> {
            found.sort();
            found.dedup();
            found
                .into_iter()
                .filter_map(|(place, message)| {
                    Some(Problem::at(
                        place,
                        sources.get(place.file as usize)?,
                        lines.get(place.file as usize)?,
                        message,
                    ))
                })
                .collect()
        };
        (place(self.problems), place(self.warnings))
    }
}

/// A message that repeats what the file has, without what terminals and line readers would obey.
fn printable(message: &str) -> String {
    message.replace(char::is_control, "\u{fffd}")
}

/// Words less alike than this (Jaro-Winkler, 0 to 1) are no slip of the fingers.
const ALIKE: f64 = 0.78;

/// The known word nearest to what was written, as the end of a message; empty when none is near.
pub(super) fn did_you_mean<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let written = written.to_lowercase();
    known
        .into_iter()
        .map(|word| {
            (if abbreviates(&written, word) { 1.0 } else { strsim::jaro_winkler(&written, &word.to_lowercase()) }, word)
        })
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| format!("; did you mean \"{word}\"?"))
        .unwrap_or_default()
}

/// Whether `short` is `word` with letters left out after the first, as "n3" is of "node03".
fn abbreviates(short: &str, word: &str) -> bool {
    let mut letters = word.chars();
    short.chars().next() == word.chars().next()
        && short.len() > 1
        && short.chars().all(|letter| letters.any(|other| other == letter))
}

/// `"a", "b" or "c"`.
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("\"{only}\""),
        [head @ .., last] => {
            let head: Vec<String> = head.iter().map(|word| format!("\"{word}\"")).collect();
            format!("{} or \"{last}\"", head.join(", "))
        }
    }
}
