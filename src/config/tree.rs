//! YAML as a tree of places: what stands where, before it means anything.
//!
//! serde's derive ends at the first unknown key or wrong type, and a plain `010` is a number before anybody can ask
//! how it was written. This tree is put together from the parser's events: every problem is found in one pass, and
//! every scalar is the text that the file has. What the file has as it stands is not copied.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span, Tag};

use super::problem::{Place, Report, Source};
use crate::text;

/// Levels of nesting; the format has five.
const MAX_DEPTH: usize = 32;
/// Keys and values that may be written: in a file of the most bytes that is one for each three of them, and 100 MB of memory.
/// 100,000 domains with lists of their own, which fill such a file, have a million.
const MAX_WRITTEN: usize = 2_500_000;
/// Nodes that aliases may bring in together: 100,000 domains that share one list are 600,000.
const MAX_COPIED: usize = 2_000_000;
/// The same for each byte of the file, with some to begin with: an alias bomb is a small file.
const COPIED_PER_BYTE: usize = 4;
const COPIED_AT_LEAST: usize = 20_000;

const TOO_MUCH: &str = "the file is nested too deeply or its aliases unfold to too much; write it out";

/// One node of the file.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    /// Where it is written; for a block that is its key.
    pub at: Place,
    /// What it is.
    pub value: Value<'a>,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    /// Nothing after the colon, or `~`.
    Null,
    /// A word, number or quoted text, as written.
    Scalar(Cow<'a, str>),
    /// `[a, b]`.
    List(Box<[Node<'a>]>),
    /// `{a: b}`.
    Map(Box<[Entry<'a>]>),
}

/// One key of a map and what belongs to it.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    /// The key as written.
    pub key: Cow<'a, str>,
    /// Where the key is.
    pub at: Place,
    /// Its value.
    pub node: Node<'a>,
}

impl Node<'_> {
    /// Moves it to another place, with all that is in it.
    fn place(&mut self, at: Place) {
        self.at = at;
        match &mut self.value {
            Value::Null | Value::Scalar(_) => {}
            Value::List(items) => items.iter_mut().for_each(|node| node.place(at)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.at = at;
                    entry.node.place(at);
                }
            }
        }
    }
}

impl Value<'_> {
    /// What it is, in the words of people.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a map of keys",
        }
    }

    /// How many nodes it has with itself, and how many levels.
    fn size(&self) -> (usize, usize) {
        let inside: &mut dyn Iterator<Item = &Self> = match self {
            Self::Null | Self::Scalar(_) => return (1, 1),
            Self::List(items) => &mut items.iter().map(|node| &node.value),
            Self::Map(entries) => &mut entries.iter().map(|entry| &entry.node.value),
        };
        let (nodes, levels) = inside.map(Self::size).fold((0, 0), |(n, l), (nodes, levels)| (n + nodes, l.max(levels)));
        (nodes + 1, levels + 1)
    }
}

/// What is wrong, and where.
type Wrong = (Place, String);

/// Reads the main file; `None` and a problem when it is no YAML.
pub(super) fn read<'a>(source: &'a Source, report: &mut Report) -> Option<Node<'a>> {
    let mut tree = Tree::new(source.text.len());
    for next in Parser::new_from_str_with_options(&source.text, options()) {
        let taken = match next {
            Ok((event, span)) => tree.take(event, place(&span)),
            Err(error) => Err((mark(&error), in_words(&error))),
        };
        if let Err((place, words)) = taken {
            report.problem(place, words);
            return None;
        }
    }
    let nothing = Node { at: Place { line: 1, column: 1, ..Place::default() }, value: Value::Null };
    Some(tree.root.unwrap_or(nothing))
}

fn options() -> Options {
    granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    }
}

fn place(span: &Span) -> Place {
    Place::new(0, span.start.line(), span.start.col() + 1, span.len())
}

fn mark(error: &ScanError) -> Place {
    Place::new(0, error.marker().line(), error.marker().col() + 1, 0)
}

fn in_words(error: &ScanError) -> String {
    match error.kind() {
        ErrorKind::UnknownAnchor => {
            "this alias names no anchor above it (\"&name\"); quote the value if the \"*\" is meant".to_owned()
        }
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
            "a tab cannot indent YAML; write spaces".to_owned()
        }
        ErrorKind::MappingValueNotAllowed => {
            "a second \": \" in one line, or a wrong indent; quote a value that has \": \" in it".to_owned()
        }
        ErrorKind::RecursionLimitExceeded => "the file is nested too deeply".to_owned(),
        other => format!("this is not YAML: {other}"),
    }
}

/// The tree in the making.
struct Tree<'a> {
    root: Option<Node<'a>>,
    /// The collections that are open, the innermost last.
    open: Vec<Open<'a>>,
    /// What anchors stand for, as far as they are complete.
    anchors: HashMap<usize, Value<'a>>,
    /// How many keys and values may still be written.
    to_write: usize,
    /// How many nodes may still be kept for aliases, and be brought in by them.
    to_keep: usize,
    to_copy: usize,
}

/// A collection that has not ended.
struct Open<'a> {
    at: Place,
    /// The parser's number of its anchor; 0 for none.
    anchor: usize,
    inside: Inside<'a>,
}

enum Inside<'a> {
    List(Vec<Node<'a>>),
    Map {
        entries: Vec<Entry<'a>>,
        /// What `<<` takes in.
        merges: Vec<Node<'a>>,
        key: Option<Key<'a>>,
    },
}

/// A key that waits for its value.
enum Key<'a> {
    Word(Cow<'a, str>, Place),
    Merge,
}

impl<'a> Tree<'a> {
    fn new(bytes: usize) -> Self {
        let copies = bytes.saturating_mul(COPIED_PER_BYTE).saturating_add(COPIED_AT_LEAST).min(MAX_COPIED);
        let (open, anchors) = (Vec::new(), HashMap::new());
        Self { root: None, open, anchors, to_write: MAX_WRITTEN, to_keep: copies, to_copy: copies }
    }

    /// Takes in what comes next in the file.
    fn take(&mut self, event: Event<'a>, at: Place) -> Result<(), Wrong> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse(tag.as_deref(), at, &["str", "int", "float", "bool", "null"])?;
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let value = match self.open.last_mut().map(|open| &mut open.inside) {
                    Some(Inside::Map { key: key @ None, .. }) if is_plain && text == "<<" => {
                        *key = Some(Key::Merge);
                        return Ok(());
                    }
                    Some(Inside::Map { key: None, .. }) => Value::Scalar(text),
                    _ if is_plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") => Value::Null,
                    _ if tag.is_some_and(|tag| tag.core_suffix() == Some("null")) => Value::Null,
                    _ => Value::Scalar(text),
                };
                self.add(Node { at, value }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                refuse(tag.as_deref(), at, &["seq"])?;
                self.begin(Open { at, anchor, inside: Inside::List(Vec::new()) })
            }
            Event::MappingStart(_, anchor, tag) => {
                refuse(tag.as_deref(), at, &["map"])?;
                let inside = Inside::Map { entries: Vec::new(), merges: Vec::new(), key: None };
                self.begin(Open { at, anchor, inside })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let node = self.copy(anchor, at)?;
                self.add(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, open: Open<'a>) -> Result<(), Wrong> {
        self.refuse_second(open.at)?;
        if self.open.len() >= MAX_DEPTH {
            return Err((open.at, TOO_MUCH.to_owned()));
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Wrong> {
        let Some(Open { at, anchor, inside }) = self.open.pop() else { return Ok(()) };
        let value = match inside {
            Inside::List(items) => Value::List(items.into()),
            Inside::Map { mut entries, merges, .. } => {
                merge(&mut entries, merges)?;
                Value::Map(entries.into())
            }
        };
        self.add(Node { at, value }, anchor)
    }

    /// Puts a node where it belongs.
    fn add(&mut self, node: Node<'a>, anchor: usize) -> Result<(), Wrong> {
        self.refuse_second(node.at)?;
        self.to_write = self.to_write.checked_sub(1).ok_or_else(|| (node.at, too_many()))?;
        if anchor != 0 {
            self.to_keep = self.left(self.to_keep, &node)?;
            self.anchors.insert(anchor, node.value.clone());
        }
        match self.open.last_mut().map(|open| &mut open.inside) {
            None => self.root = Some(node),
            Some(Inside::List(items)) => items.push(node),
            Some(Inside::Map { entries, merges, key }) => match (key.take(), node) {
                (Some(Key::Word(key, key_at)), Node { at, value }) => {
                    let at = if matches!(value, Value::Scalar(_)) { at } else { key_at };
                    entries.push(Entry { key, at: key_at, node: Node { at, value } });
                }
                (Some(Key::Merge), node) => merges.push(node),
                (None, Node { at, value: Value::Scalar(text) }) => *key = Some(Key::Word(text, at)),
                (None, Node { at, value }) => return Err((at, format!("{} is no key; write a word", value.kind()))),
            },
        }
        Ok(())
    }

    /// What an anchor stands for, as if it were written where its alias is.
    fn copy(&mut self, anchor: usize, at: Place) -> Result<Node<'a>, Wrong> {
        let Some(value) = self.anchors.get(&anchor) else {
            let words = "this alias stands inside of what it names, which has no end; write the value out";
            return Err((at, words.to_owned()));
        };
        let mut node = Node { at, value: value.clone() };
        self.to_copy = self.left(self.to_copy, &node)?;
        node.place(at);
        Ok(node)
    }

    /// What is left of an allowance after a node that is put where we are.
    fn left(&self, allowance: usize, node: &Node<'_>) -> Result<usize, Wrong> {
        let (nodes, levels) = node.value.size();
        let left = allowance.checked_sub(nodes).filter(|_| self.open.len() + levels <= MAX_DEPTH + 1);
        left.ok_or_else(|| (node.at, TOO_MUCH.to_owned()))
    }

    fn refuse_second(&self, at: Place) -> Result<(), Wrong> {
        if self.root.is_none() {
            return Ok(());
        }
        let words = "a second YAML document begins here; keep one, without a line of \"---\" between";
        Err((at, words.to_owned()))
    }
}

fn too_many() -> String {
    format!(
        "the file has more than {} keys and values, and no memory for more; list domains in a file of their own \
         (`domain_lists`)",
        text::count(MAX_WRITTEN)
    )
}

/// The types that YAML itself has may be named; no others mean anything.
fn refuse(tag: Option<&Tag>, at: Place, known: &[&str]) -> Result<(), Wrong> {
    match tag {
        Some(tag) if !tag.core_suffix().is_some_and(|name| known.contains(&name)) && tag.original() != "!" => {
            Err((at, format!("the tag {} means nothing here; leave it out", tag.original())))
        }
        _ => Ok(()),
    }
}

/// Takes in what `<<` names: keys that the map has itself win, and of several maps the first.
fn merge<'a>(own: &mut Vec<Entry<'a>>, merges: Vec<Node<'a>>) -> Result<(), Wrong> {
    if merges.is_empty() {
        return Ok(());
    }
    let mut known: HashSet<_> = own.iter().map(|entry| entry.key.clone()).collect();
    for node in merges {
        let maps = match node.value {
            Value::List(items) => items.into_vec(),
            Value::Null => Vec::new(),
            _ => vec![node],
        };
        for Node { at, value } in maps {
            let Value::Map(entries) = value else {
                return Err((at, "\"<<\" takes in the keys of another map; write \"<<: *name\"".to_owned()));
            };
            own.extend(entries.into_iter().filter(|entry| known.insert(entry.key.clone())));
        }
    }
    Ok(())
}
