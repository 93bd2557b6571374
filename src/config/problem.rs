//! What is wrong with a file, where, and what to write instead.

use std::{collections::BTreeSet, fmt, sync::Arc};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::text;

/// Characters of a line that a snippet shows: a longer line is cut around the place.
const SNIPPET: usize = 200;
/// What stands for the rest of it.
const CUT: &str = "...";
/// Characters of a long line that are shown with a mark at both ends, and how many of them before the place.
const PART: usize = SNIPPET - 2 * CUT.len();
const BEFORE: usize = PART / 2;

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

    fn at(place: Place, source: &Source, lines: &mut Lines<'_>, message: String) -> Self {
        let extract = if place.file == 0 {
            Extract::of(&lines.around(place), place)
        } else {
            // Of a list the name alone: see `is_plain`.
            let line = lines.line(place.line as usize).split('#').next().unwrap_or_default().trim_end();
            let whole = Excerpt { text: line, first: 0, is_cut: [false; 2] };
            is_plain(line.trim_start()).then(|| Extract::of(&whole, place)).flatten()
        };
        Self { file: source.name.clone(), line: place.line as usize, column: place.column as usize, message, extract }
    }

    /// The problem of a file that may be another one than was meant: neither its line nor what it quotes is shown, unless there
    /// is no word in it that could be a secret.
    pub(super) fn of_another_file(self, message: &str) -> Self {
        let is_harmless =
            |extract: &Extract| extract.text.split(|c: char| !c.is_alphanumeric()).all(|word| word.len() < 6);
        if self.extract.as_ref().is_some_and(is_harmless) {
            return self;
        }
        Self { message: message.to_owned(), extract: None, ..self }
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
        // As wide as what is shown and the line's number before it: that is cut already.
        let rendered =
            Renderer::plain().term_width(2 * SNIPPET).render(&[Group::with_level(Level::ERROR).element(snippet)]);
        for line in rendered.lines() {
            write!(f, "\n{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl Extract {
    fn of(excerpt: &Excerpt<'_>, place: Place) -> Option<Self> {
        if excerpt.text.trim().is_empty() {
            return None;
        }
        let [before, behind] = excerpt.is_cut.map(|is_cut| if is_cut { CUT } else { "" });
        let first = (place.column.saturating_sub(1) as usize).saturating_sub(excerpt.first);
        let mut shown = before.to_owned();
        let mut marked = None;
        for (at, character) in excerpt.text.chars().enumerate() {
            let start = shown.len();
            // What terminals would obey is not repeated to them.
            shown.push(if text::is_obeyed(character) && character != '\t' { '\u{fffd}' } else { character });
            if at == first {
                marked = Some(start..start);
            }
            if at >= first && at - first < place.length.max(1) as usize {
                marked = marked.map(|marked: std::ops::Range<usize>| marked.start..shown.len());
            }
        }
        // A place behind the end of the line.
        let marked = marked.unwrap_or(shown.len()..shown.len());
        shown.push_str(behind);
        Some(Self { text: shown, marked })
    }
}

/// What is shown of a line.
struct Excerpt<'a> {
    text: &'a str,
    /// The number of its first character in the line, from 0.
    first: usize,
    /// Whether something of the line stands before it, and behind it.
    is_cut: [bool; 2],
}

/// The lines of a text, asked for in ascending order: a text of millions of them, or of one line of millions of characters, is
/// walked once, and nothing is kept of it.
struct Lines<'a> {
    /// From the line `number` on.
    rest: &'a str,
    number: usize,
    /// The same from the character `first` of that line on.
    walked: &'a str,
    first: usize,
}

impl<'a> Lines<'a> {
    const fn of(text: &'a str) -> Self {
        Self { rest: text, number: 1, walked: text, first: 0 }
    }

    /// A line by its number from 1, without its end.
    fn line(&mut self, number: usize) -> &'a str {
        self.go_to(number);
        self.rest.split('\n').next().unwrap_or_default().trim_end_matches('\r')
    }

    fn go_to(&mut self, number: usize) {
        while self.number < number {
            let next = self.rest.split_once('\n').map(|(_, rest)| rest);
            self.rest = next.unwrap_or_default();
            (self.walked, self.first) = (self.rest, 0);
            self.number = next.map_or(number, |_| self.number + 1);
        }
    }

    /// What is shown of the line of a place: all of it, or of a long line the part around the place.
    fn around(&mut self, place: Place) -> Excerpt<'a> {
        self.go_to(place.line as usize);
        let (text, is_cut) = head(self.rest, SNIPPET);
        if !is_cut {
            return Excerpt { text, first: 0, is_cut: [false; 2] };
        }
        let first = (place.column.saturating_sub(1) as usize).saturating_sub(BEFORE);
        let (passed, _) = head(self.walked, first.saturating_sub(self.first));
        self.walked = self.walked.get(passed.len()..).unwrap_or_default();
        self.first = first.max(self.first);
        let (text, is_cut) = head(self.walked, PART);
        Excerpt { text, first: self.first, is_cut: [self.first > 0, is_cut] }
    }
}

/// The first characters of a text that has more lines, as far as its line goes, and whether that goes on behind them.
fn head(text: &str, most: usize) -> (&str, bool) {
    let end = text.char_indices().enumerate().find(|(number, (_, character))| *number == most || *character == '\n');
    let Some((_, (at, character))) = end else { return (text.trim_end_matches('\r'), false) };
    let head = text.get(..at).unwrap_or_default();
    if character == '\n' { (head.trim_end_matches('\r'), false) } else { (head, true) }
}

/// Problems of which so many are shown, the first in the order of the files; the rest is counted.
const SHOWN: usize = 100;
/// Problems that say which known word was meant: to look for it among thousands of words takes its time.
const SUGGESTIONS: usize = 20;
/// Octets of a message: those that rotad writes are shorter, but for names of which each is bounded.
const MESSAGE: usize = 1_500;

/// Collects what is found while the files are read.
#[derive(Debug, Default)]
pub(super) struct Report {
    problems: Found,
    warnings: Found,
    suggestions: usize,
}

/// The first of many findings, and how many there are.
#[derive(Debug, Default)]
struct Found {
    first: BTreeSet<(Place, String)>,
    count: usize,
    /// How many of them were said before: what an anchor brings in twice is wrong twice.
    repeated: usize,
}

impl Found {
    fn add(&mut self, place: Place, message: impl FnOnce() -> String) {
        self.count += 1;
        let is_full = self.first.len() >= SHOWN;
        if is_full && self.first.last().is_some_and(|(last, _)| *last < place) {
            return;
        }
        // What a terminal would obey is not repeated to it.
        let message = text::line(&message().replace(text::is_obeyed, "\u{fffd}"), MESSAGE).into_owned();
        self.repeated += usize::from(!self.first.insert((place, message)));
        if self.first.len() > SHOWN {
            self.first.pop_last();
        }
    }

    /// Those that are shown, and how many more there are.
    fn place(self, sources: &[Source]) -> (Vec<Problem>, usize) {
        let more = self.count.saturating_sub(self.repeated + self.first.len());
        let mut walked: Option<(u32, Lines<'_>)> = None;
        let mut shown = Vec::with_capacity(self.first.len());
        for (place, message) in self.first {
            let Some(source) = sources.get(place.file as usize) else { continue };
            let lines = match &mut walked {
                Some((file, lines)) if *file == place.file => lines,
                other => &mut other.insert((place.file, Lines::of(&source.text))).1,
            };
            shown.push(Problem::at(place, source, lines, message));
        }
        (shown, more)
    }
}

impl Report {
    /// Something that refuses the file.
    pub fn problem(&mut self, place: Place, message: impl AsRef<str>) {
        self.problem_of(place, || message.as_ref().to_owned());
    }

    /// The same where there may be millions: the message is made for those that are shown.
    pub fn problem_of(&mut self, place: Place, message: impl FnOnce() -> String) {
        self.problems.add(place, message);
    }

    /// Something that deserves a look.
    pub fn warning(&mut self, place: Place, message: impl AsRef<str>) {
        self.warnings.add(place, || message.as_ref().to_owned());
    }

    /// How many problems there are so far.
    pub const fn count(&self) -> usize {
        self.problems.count
    }

    /// The known word nearest to what was written, as the end of a message; empty when none is near, or when that was asked
    /// often enough.
    pub fn did_you_mean<'a>(&mut self, written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
        if self.suggestions >= SUGGESTIONS || written.len() > LONGEST_WORD {
            return String::new();
        }
        self.suggestions += 1;
        did_you_mean(written, known)
    }

    /// Problems and warnings, each in the order of the files, and how many there are of each beyond those.
    pub fn finish(self, sources: &[Source]) -> [(Vec<Problem>, usize); 2] {
        [self.problems, self.warnings].map(|found| found.place(sources))
    }
}

/// Whether a word of a file could be a name in a list of names: letters, digits and what else names have, in labels that are
/// not too long. Nothing else of a list is repeated: it may be a file that was not meant, with a secret in it.
pub(super) fn is_plain(word: &str) -> bool {
    word.len() <= 255
        && word.split('.').all(|label| label.chars().count() <= 63)
        && word.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '*'))
}

/// A word that is longer was not meant to be one of ours.
const LONGEST_WORD: usize = 100;
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
