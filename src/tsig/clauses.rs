//! The `key` clauses of named.conf.

use std::sync::Arc;

use data_encoding::BASE64;
use hickory_proto::rr::Name;
use zeroize::Zeroizing;

use super::{Algorithm, Key, KeyLabel};
use crate::dns::OwnerName;

/// Why a text is not a list of usable keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{source_name}:{line}: {problem}")]
pub struct KeyError {
    /// Where the text was read.
    pub source_name: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub problem: String,
}

/// What to do when nothing usable is there.
const HOW: &str = "make a key with `tsig-keygen NAME > FILE`";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Open,
    Close,
    End,
}

/// A problem and its line.
type Problem = (usize, String);

pub(super) fn parse(text: &str, source: &str, allow_weak: bool) -> Result<Vec<Key>, KeyError> {
    let located = |(line, problem)| KeyError { source_name: source.to_owned(), line, problem };
    let tokens = tokens(text).map_err(located)?;
    let mut clauses = Clauses { tokens: &tokens, line: 1 };
    let mut keys: Vec<Key> = Vec::new();
    while !clauses.tokens.is_empty() {
        let key = clauses.key(source, allow_weak).map_err(located)?;
        if keys.iter().any(|known| known.label.name == key.label.name) {
            return Err(located((clauses.line, format!("key \"{}\" is defined twice; leave one", key.label.name))));
        }
        keys.push(key);
    }
    if keys.is_empty() {
        return Err(located((1, format!("there is no key in it; {HOW}"))));
    }
    Ok(keys)
}

/// Cuts the text into words and punctuation, comments left out.
fn tokens(text: &str) -> Result<Vec<(usize, Token<'_>)>, Problem> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '{' | '}' | ';' => {
                found.push((
                    line,
                    if first == '{' {
                        Token::Open
                    } else if first == '}' {
                        Token::Close
                    } else {
                        Token::End
                    },
                ));
                1
            }
            '"' => {
                let quoted = rest.get(1..).unwrap_or_default();
                let end = quoted.find('"').ok_or((line, "a quoted text has no closing quote".to_owned()))?;
                found.push((line, Token::Word(quoted.get(..end).unwrap_or_default())));
                end + 2
            }
            _ if first.is_whitespace() => first.len_utf8(),
            _ if rest.starts_with('#') || rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ if rest.starts_with("/*") => rest.find("*/").ok_or((line, "a comment has no closing */".to_owned()))? + 2,
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "{};\"#".contains(c)).unwrap_or(rest.len());
                found.push((line, Token::Word(rest.get(..end).unwrap_or_default())));
                end
            }
        };
        let (passed, after) = rest.split_at_checked(taken).unwrap_or((rest, ""));
        line += passed.matches('\n').count();
        rest = after;
    }
    Ok(found)
}

/// The tokens that are left, and the line of the last one taken.
struct Clauses<'a> {
    tokens: &'a [(usize, Token<'a>)],
    line: usize,
}

impl<'a> Clauses<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let (&(line, token), rest) = self.tokens.split_first()?;
        self.tokens = rest;
        self.line = line;
        Some(token)
    }

    fn fail<T>(&self, problem: impl Into<String>) -> Result<T, Problem> {
        Err((self.line, problem.into()))
    }

    fn expect(&mut self, wanted: Token<'_>, what: &str) -> Result<(), Problem> {
        if self.next() == Some(wanted) { Ok(()) } else { self.fail(format!("{what} is missing; {HOW}")) }
    }

    fn word(&mut self, what: &str) -> Result<&'a str, Problem> {
        match self.next() {
            Some(Token::Word(word)) => Ok(word),
            _ => self.fail(format!("{what} is missing; {HOW}")),
        }
    }

    /// `key NAME { algorithm WORD; secret BASE64; };`
    fn key(&mut self, source: &str, allow_weak: bool) -> Result<Key, Problem> {
        if self.next() != Some(Token::Word("key")) {
            // The text itself stays out of the message: it may be a secret in the wrong place.
            return self.fail(format!("only `key` clauses belong here, this is something else; {HOW}"));
        }
        let line = self.line;
        let name = self.word("the key's name")?;
        let (Ok(name), Ok(mut wire)) = (OwnerName::parse(name), Name::from_ascii(name)) else {
            return self.fail("this is not a key's name: letters, digits, \"-\", \"_\" and dots make one");
        };
        wire.set_fqdn(true);
        self.expect(Token::Open, &format!("the \"{{\" of key \"{name}\""))?;
        let (mut algorithm, mut secret) = (None, None);
        loop {
            match self.next() {
                Some(Token::Word("algorithm")) => algorithm = Some(self.algorithm(&name, allow_weak)?),
                Some(Token::Word("secret")) => secret = Some(self.secret(&name)?),
                Some(Token::Close) => break,
                _ => return self.fail(format!("key \"{name}\" has `algorithm` and `secret` alone; {HOW}")),
            }
            self.expect(Token::End, "a \";\"")?;
        }
        self.expect(Token::End, "the \";\" after \"}\"")?;
        let Some(algorithm) = algorithm else {
            return Err((line, format!("key \"{name}\" has no `algorithm`; {HOW}")));
        };
        let Some(secret) = secret else { return Err((line, format!("key \"{name}\" has no `secret`; {HOW}"))) };
        let source = Arc::from(format!("{source}:{line}"));
        Ok(Key { label: KeyLabel { name, algorithm, source }, name: wire, secret })
    }

    fn algorithm(&mut self, key: &OwnerName, allow_weak: bool) -> Result<Algorithm, Problem> {
        let word = self.word(&format!("the algorithm of key \"{key}\""))?.to_ascii_lowercase();
        let word = word.strip_suffix('.').unwrap_or(&word);
        let word = if word == "hmac-md5.sig-alg.reg.int" { "hmac-md5" } else { word };
        let again = format!("write a new key with `tsig-keygen {key} > FILE`, for named and for rotad");
        match Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == word) {
            Some(weak) if weak.is_weak() && !allow_weak => self.fail(format!(
                "key \"{key}\" uses {word}, which is weak; {again} (or set `allow_weak_keys: true` under `bind`)"
            )),
            Some(algorithm) => Ok(algorithm),
            None => self.fail(format!(
                "the algorithm of key \"{key}\" is none of hmac-sha256, -sha384, -sha512 and -sha224; {again}"
            )),
        }
    }

    fn secret(&mut self, key: &OwnerName) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let word = self.word(&format!("the secret of key \"{key}\""))?;
        let dense = Zeroizing::new(word.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<_>>());
        match BASE64.decode(&dense).map(Zeroizing::new) {
            Ok(secret) if !secret.is_empty() => Ok(secret),
            _ => self.fail(format!("the secret of key \"{key}\" is not base64; {HOW}")),
        }
    }
}
