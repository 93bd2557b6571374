//! YAML as a tree of places: what stands where, before it means anything.
//!
//! serde's derive ends at the first unknown key or wrong type, and a plain `010` is a number before anybody can ask
//! how it was written. Reading into this tree costs neither: every problem is found in one pass, and every scalar
//! is the text that the file has.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{
    Error, Location, MessageFormatter, Options, Spanned, UserMessageFormatter,
    options::{DuplicateKeyPolicy, NonFiniteFloatPolicy},
};

use super::problem::{Place, Report, Source};

/// Nodes of the YAML tree: 100,000 domains with four services each are 1.1 million.
const MAX_NODES: usize = 4_000_000;
/// Levels of nesting; the format has five.
const MAX_DEPTH: usize = 32;
/// Uses of anchors: one list shared by every domain is fine.
const MAX_ALIASES: usize = 200_000;
/// Nodes that aliases may bring in together: 100,000 domains that share one list are 600,000.
const MAX_REPLAYED: usize = 2_000_000;
/// The same for each byte of the file, with some to begin with: an alias bomb is a small file.
const REPLAYED_PER_BYTE: usize = 4;
const REPLAYED_AT_LEAST: usize = 20_000;

/// One node of the file.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it is written; for a block that is its key.
    pub at: Place,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Value {
    /// Nothing after the colon, or `~`.
    Null,
    /// A word, number or quoted text, as written.
    Scalar(String),
    /// `[a, b]`.
    List(Vec<Node>),
    /// `{a: b}`.
    Map(Vec<Entry>),
}

/// One key of a map and what belongs to it.
#[derive(Debug)]
pub(super) struct Entry {
    /// The key as written.
    pub key: String,
    /// Where the key is.
    pub at: Place,
    /// Its value.
    pub node: Node,
}

impl Value {
    /// What it is, in the words of people.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a map of keys",
        }
    }
}

/// Reads the main file; `None` and a problem when it is no YAML.
pub(super) fn read(source: &Source, report: &mut Report) -> Option<Node> {
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(&source.text, options(source.text.len())) {
        Ok(raw) => Some(resolve(raw, &source.text, None)),
        Err(error) => {
            let place = error.location().map_or(Place { line: 1, column: 1, ..Place::default() }, place);
            report.problem(place, in_words(error.without_snippet()));
            None
        }
    }
}

fn options(bytes: usize) -> Options {
    let replayed = bytes.saturating_mul(REPLAYED_PER_BYTE).saturating_add(REPLAYED_AT_LEAST).min(MAX_REPLAYED);
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_depth: MAX_DEPTH,
            max_aliases: MAX_ALIASES,
            max_recorded_anchor_events: replayed,
            enforce_alias_anchor_ratio: false,
            flow_nesting_limit: MAX_DEPTH,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: replayed },
        // Found by `shape`, which can say where the first one is and goes on.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        emit_comments: false,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn in_words(error: &Error) -> String {
    match error {
        Error::MultipleDocuments { .. } => {
            "a second YAML document begins here; keep one, without a line of \"---\" between".to_owned()
        }
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            "this alias stands inside of what it names, which has no end; write the value out".to_owned()
        }
        Error::UnknownAnchor { .. } => {
            "this alias names no anchor above it (\"&name\"); quote the value if the \"*\" is meant".to_owned()
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "the file is nested too deeply or its aliases unfold to too much; write it out".to_owned()
        }
        Error::UnsupportedTag { tag, .. } => format!("the tag {tag} means nothing here; leave it out"),
        Error::AliasError { error, .. } => in_words(error),
        other => {
            let text = UserMessageFormatter.format_message(other);
            if text.contains("tabs disallowed") {
                "a tab cannot indent YAML; write spaces".to_owned()
            } else if text.contains("mapping values are not allowed") {
                "a second \": \" in one line, or a wrong indent; quote a value that has \": \" in it".to_owned()
            } else if text.contains("recursion limit") {
                "the file is nested too deeply".to_owned()
            } else {
                format!("this is not YAML: {text}")
            }
        }
    }
}

fn place(location: Location) -> Place {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Place {
        file: 0,
        line: number(location.line()),
        column: number(location.column()),
        length: number(location.span().len()),
    }
}

/// The tree as serde builds it: a plain scalar that YAML takes for a number or a truth value has lost its spelling,
/// which is found again in the text.
enum Raw {
    Null,
    Text(String),
    Inferred,
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

fn resolve(raw: Spanned<Raw>, text: &str, key: Option<Place>) -> Node {
    let own = place(raw.referenced);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Text(scalar) => Value::Scalar(scalar),
        Raw::Inferred => Value::Scalar(spelling(text, raw.defined).to_owned()),
        Raw::List(items) => Value::List(items.into_iter().map(|item| resolve(item, text, None)).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, node)| {
                    let at = place(key.referenced);
                    Entry { key: key.value, at, node: resolve(node, text, Some(at)) }
                })
                .collect(),
        ),
    };
    let at = match (&value, key) {
        (Value::Scalar(_), _) | (_, None) => own,
        (_, Some(key)) => key,
    };
    Node { at, value }
}

fn spelling(text: &str, location: Location) -> &str {
    let span = location.span();
    let range = || {
        let start = usize::try_from(span.byte_offset()?).ok()?;
        text.get(start..start.checked_add(usize::try_from(span.byte_len()?).ok()?)?)
    };
    range().unwrap_or_default()
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Inferred)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Inferred)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Inferred)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Inferred)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Inferred)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Inferred)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
