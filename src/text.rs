//! Words for people: ages, counts, and text of strangers made harmless.

use std::{borrow::Cow, collections::HashMap, fmt::Write as _, path::Path, time::Duration};

/// An age in its two largest units: `12s`, `5m 10s`, `2h 11m`, `3d 4h`.
#[must_use]
pub fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let (big, small) = if days > 0 {
        (format!("{days}d"), (hours % 24, 'h'))
    } else if hours > 0 {
        (format!("{hours}h"), (minutes % 60, 'm'))
    } else if minutes > 0 {
        (format!("{minutes}m"), (seconds % 60, 's'))
    } else {
        (format!("{seconds}s"), (0, ' '))
    };
    match small {
        (0, _) => big,
        (count, unit) => format!("{big} {count}{unit}"),
    }
}

/// A count with its thousands apart: `9,998`.
#[must_use]
pub fn count(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Zones that are spelled out where several have the same trouble.
const SPELLED_OUT: usize = 3;

/// Zones with the same trouble, so that it is said once: `zone a.org`, `20 zones (a.org, b.org, c.org, ...)`.
#[must_use]
pub fn zones(names: &[&str]) -> String {
    match names {
        [name] => format!("zone {name}"),
        names => {
            let spelled: Vec<_> = names.iter().take(SPELLED_OUT).copied().collect();
            let more = if names.len() > SPELLED_OUT { ", ..." } else { "" };
            format!("{} zones ({}{more})", count(names.len()), spelled.join(", "))
        }
    }
}

/// `1 zone`, `2 zones`.
#[must_use]
pub fn number_of(many: usize, one: &str) -> String {
    format!("{} {one}{}", count(many), if many == 1 { "" } else { "s" })
}

/// What is said of several zones, each cause once, in the order in which the causes came. Of several zones with one cause
/// the words say ZONE where they named one of them.
#[must_use]
pub fn by_cause<'a>(told: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(Vec<&'a str>, String)> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut causes: Vec<(Vec<&str>, &str, String)> = Vec::new();
    for (zone, words) in told {
        let general = general(words, zone);
        let place = *places.entry(general.clone()).or_insert(causes.len());
        match causes.get_mut(place) {
            Some((zones, ..)) => zones.push(zone),
            None => causes.push((vec![zone], words, general)),
        }
    }
    let one = |(zones, words, general): (Vec<&'a str>, &str, String)| {
        let words = if zones.len() == 1 { words.to_owned() } else { general };
        (zones, words)
    };
    causes.into_iter().map(one).collect()
}

/// The words with ZONE in the place of a zone's name, also where it ends the name of something in it.
#[must_use]
pub fn general(words: &str, zone: &str) -> String {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '\\');
    let mut general = String::with_capacity(words.len());
    let mut rest = words;
    while let Some((before, after)) = rest.split_once(zone).filter(|_| !zone.is_empty()) {
        let mut behind = after.chars();
        let goes_on = match behind.next() {
            Some('.') => behind.next().is_some_and(is_of_name),
            next => next.is_some_and(is_of_name),
        };
        let is_part = goes_on || before.chars().next_back().is_some_and(is_of_name);
        general.push_str(before);
        general.push_str(if is_part { zone } else { "ZONE" });
        rest = after;
    }
    general.push_str(rest);
    general
}

/// The most characters of a stranger's text that are shown: of a node, of BIND, of a file, a certificate, a plugin.
pub const SHOWN: usize = 100;

/// The most octets of a line in the journal.
pub const LINE: usize = 2_000;

/// What is left out of a text that is too long.
const GAP: &str = " ... ";

/// Whether a terminal or a reader of lines obeys a character: control characters, and those that break lines or turn the
/// direction of writing without being control characters.
#[must_use]
pub fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text on one line, with escapes for what a terminal obeys. It is as long as it is: [`cut`] and [`line()`] bound it.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut harmless = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_obeyed(c) {
            // Writing to a String cannot fail.
            let _ = write!(harmless, "{}", c.escape_default());
        } else {
            harmless.push(c);
        }
    }
    Cow::Owned(harmless)
}

/// A path as it may stand in a message: whatever a terminal or a reader of lines obeys is escaped.
#[must_use]
pub fn path(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

/// The first [`SHOWN`] characters of a text, and dots if there are more.
#[must_use]
pub fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => Cow::Owned(format!("{}...", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

/// A stranger's text as it may stand in a sentence, between quotes or without: control characters, quotes and what is not
/// UTF-8 are escaped, and it is cut after [`SHOWN`] characters.
#[must_use]
pub fn foreign(text: &[u8]) -> String {
    let mut shown = String::new();
    // An escape has a character at least.
    for chunk in text.get(..text.len().min(4 * (SHOWN + 1))).unwrap_or_default().utf8_chunks() {
        for c in chunk.valid().chars() {
            // An apostrophe does no harm inside double quotes; `escape_debug` escapes it all the same.
            if c == '\'' { shown.push(c) } else { shown.extend(c.escape_debug()) }
        }
        shown.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    match cut(&shown) {
        Cow::Owned(cut) => cut,
        Cow::Borrowed(_) => shown,
    }
}

/// A message on one line of at most `most` octets: of a longer one the midst is left out, for it begins with the object and
/// ends with the next step.
#[must_use]
pub fn line(message: &str, most: usize) -> Cow<'_, str> {
    let whole = printable(message);
    if whole.len() <= most {
        return whole;
    }
    let room = most.saturating_sub(GAP.len());
    let head = whole.floor_char_boundary(room / 3 * 2);
    let tail = whole.ceil_char_boundary(whole.len() - room / 3);
    let part = |range: std::ops::Range<usize>| whole.get(range).unwrap_or_default();
    Cow::Owned(format!("{}{GAP}{}", part(0..head), part(tail..whole.len())))
}

/// Whether a name fits a pattern, in which `*` stands for any text. Case does not matter, nor does a dot at the end.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    let pattern = pattern.strip_suffix('.').unwrap_or(pattern).to_ascii_lowercase();
    matches(pattern.as_bytes(), name.to_ascii_lowercase().as_bytes())
}

fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Where to go on if what follows the last `*` does not fit: with one octet more for that `*`.
    let (mut at, mut from, mut last) = (0, 0, None);
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                last = Some((at, from));
                at += 1;
            }
            octet if octet.is_some() && octet == text.get(from) => (at, from) = (at + 1, from + 1),
            _ => match last {
                Some((star, taken)) => {
                    last = Some((star, taken + 1));
                    (at, from) = (star + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|octet| *octet == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (310, "5m 10s"),
            (3600, "1h"),
            (7_860, "2h 11m"),
            (7_899, "2h 11m"),
            (86_400, "1d"),
            (273_600, "3d 4h"),
            (u64::MAX, "213503982334601d 7h"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn counts_have_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (9_998, "9,998"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn one_cause_of_several_zones_is_said_once() {
        let told = [
            ("a.org", "named does not serve a.org as primary: correct _rotad.a.org (a.org.uk, ba.org)"),
            ("b.org", "named does not serve b.org as primary: correct _rotad.b.org (a.org.uk, ba.org)"),
            ("c.org", "the zone c.org is frozen: `rndc thaw c.org`."),
        ];
        let causes = by_cause(told);
        assert_eq!(causes.len(), 2, "{causes:?}");
        let words = "named does not serve ZONE as primary: correct _rotad.ZONE (a.org.uk, ba.org)";
        assert_eq!((causes[0].0.len(), causes[0].1.as_str()), (2, words), "a.org.uk is another name");
        let told = [
            ("a.org", "mail.a.org MX: `rndc thaw a.org`."),
            ("c.org", "c.org: full"),
            ("b.org", "mail.b.org MX: `rndc thaw b.org`."),
        ];
        assert_eq!(
            by_cause(told),
            [
                (vec!["a.org", "b.org"], "mail.ZONE MX: `rndc thaw ZONE`.".to_owned()),
                (vec!["c.org"], "c.org: full".to_owned()),
            ]
        );
    }

    #[test]
    fn strangers_cannot_steer_the_terminal() {
        for (text, harmless) in [
            ("220 mx ESMTP", "220 mx ESMTP"),
            ("grüße", "grüße"),
            ("554 go\r\nnode01 is up", "554 go\\r\\nnode01 is up"),
            ("\u{1b}[2J\0\u{9b}", "\\u{1b}[2J\\u{0}\\u{9b}"),
            ("a\u{2028}b\u{202e}c", "a\\u{2028}b\\u{202e}c"),
        ] {
            assert_eq!(printable(text), harmless);
        }
    }

    #[test]
    fn a_strangers_text_does_no_harm() {
        for (text, shown) in [
            (&b"220 mx ESMTP"[..], "220 mx ESMTP"),
            (b"", ""),
            (b"it's", "it's"),
            (b"say \"hi\" \\", "say \\\"hi\\\" \\\\"),
            (b"\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}"),
            (b"a\0b\rc\td", "a\\0b\\rc\\td"),
            (b"\xff\xfe caf\xc3\xa9", "\\xff\\xfe caf\u{e9}"),
            ("\u{202e}gpj.exe".as_bytes(), "\\u{202e}gpj.exe"),
            (b"x\nNODE=node99", "x\\nNODE=node99"),
        ] {
            assert_eq!(foreign(text), shown);
        }
    }

    #[test]
    fn d9_a_text_is_as_long_as_it_may_be_and_no_longer() {
        assert_eq!(foreign(&[b'a'; 100]), "a".repeat(100));
        assert_eq!(cut(&"a".repeat(100)), "a".repeat(100));
        for long in [101, 8 << 20] {
            assert_eq!(foreign(&vec![b'a'; long]), format!("{}...", "a".repeat(100)));
            assert_eq!(cut(&"\u{e9}".repeat(long)), format!("{}...", "\u{e9}".repeat(100)));
            assert_eq!(foreign(&vec![0xff; long]).chars().count(), 103);
        }
        assert_eq!(line("short\n", 10), "short\\n");
        for text in ["a", "\u{e9}", "\u{1f600}", "\n"] {
            let message = format!("node01: {}; run it again", text.repeat(100_000));
            let cut = line(&message, LINE);
            assert!((LINE - 10..=LINE).contains(&cut.len()), "{}", cut.len());
            assert!(cut.starts_with("node01: ") && cut.contains(GAP) && cut.ends_with("; run it again"));
        }
    }
}
