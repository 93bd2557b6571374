//! Words for people: ages, counts, and text of strangers made harmless.

use std::{borrow::Cow, fmt::Write as _, time::Duration};

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

/// The beginning of a text: 100 characters of it, and then dots.
#[must_use]
pub fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(100) {
        Some((end, _)) => Cow::Owned(format!("{}...", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

/// The text on one line, without anything that a terminal obeys: control characters are escaped, and so are the
/// characters that break lines or turn the direction of writing without being control characters.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    let obeyed = |c: char| {
        c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut harmless = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if obeyed(c) {
            // Writing to a String cannot fail.
            let _ = write!(harmless, "{}", c.escape_default());
        } else {
            harmless.push(c);
        }
    }
    Cow::Owned(harmless)
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
}
