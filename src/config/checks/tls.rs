//! `tls` and the keys that belong to it.

use std::path::Path;

use rustls::pki_types::ServerName;

use super::{
    super::{defaults, domains::Texts, field::Field, problem::Report},
    Word,
};
use crate::check::tls::{Authorities, Begin, Tls};
use crate::text::{self, cut};

/// What `tls` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Plain,
    Tls(Begin),
}

/// What people write for a mode, and what to write instead.
const NO_MODES: &[(&str, &str)] =
    &[("true", BOTH), ("yes", BOTH), ("on", BOTH), ("false", "\"none\""), ("no", "\"none\""), ("off", "\"none\"")];
const BOTH: &str = "\"implicit\" (TLS from the first octet) or \"starttls\"";

pub(super) fn mode(field: Field<'_>, word: Word, report: &mut Report) -> Option<Mode> {
    let words =
        [("none", Mode::Plain), ("starttls", Mode::Tls(Begin::Starttls)), ("implicit", Mode::Tls(Begin::Implicit))];
    let mode = field.word_or(&words, NO_MODES, report)?;
    if mode == Mode::Tls(Begin::Starttls) && matches!(word, Word::Tcp | Word::Http) {
        field.problem("this kind has no STARTTLS; write \"implicit\"", report);
        return None;
    }
    Some(mode)
}

/// The keys that say more of it.
#[derive(Clone, Copy)]
pub(super) struct Details<'a> {
    pub(super) verify: Option<Field<'a>>,
    pub(super) name: Option<Field<'a>>,
    pub(super) ca: Option<Field<'a>>,
    pub(super) min_days: Option<Field<'a>>,
}

impl Details<'_> {
    /// Without TLS they say nothing.
    pub(super) fn refuse(self, object: &str, report: &mut Report) {
        let Self { verify, name, ca, min_days } = self;
        for field in [verify, name, ca, min_days].into_iter().flatten() {
            let problem = format!("{object}: \"{}\" says nothing without TLS; leave it out", field.key);
            report.problem(field.key_at, problem);
        }
    }
}

/// Reads them. The host that a web server is asked for is the one that its certificate is for.
pub(super) fn read(
    begin: Begin,
    Details { verify, name, ca, min_days }: Details<'_>,
    host: Option<Field<'_>>,
    folder: &Path,
    texts: &Texts,
    report: &mut Report,
) -> Option<Tls> {
    let verify = verify.map_or(Some(defaults::TLS_VERIFY), |field| field.truth(report));
    let days = |field: Field<'_>| field.number(defaults::TLS_MIN_DAYS_RANGE, report);
    let min_days = min_days.map_or(Some(defaults::TLS_MIN_DAYS), days);
    let name = match name {
        Some(field) => server_name(field, report).map(Some),
        None => Some(host.and_then(host_name)),
    };
    let authorities = ca.map_or(Some(None), |field| authorities(field, folder, texts, report).map(Some));
    Some(Tls { begin, name: name?, verify: verify?, authorities: authorities?, min_days: min_days? })
}

fn server_name(field: Field<'_>, report: &mut Report) -> Option<ServerName<'static>> {
    let text = field.text("a host name such as mx.example.org", report)?;
    let name = ServerName::try_from(text.to_owned()).ok();
    if name.is_none() {
        field.problem(
            &format!("{text:?} is no host's name; write one such as mx.example.org", text = cut(text)),
            report,
        );
    }
    name
}

/// The host of a Host header; `None` if it has none that a certificate could be for.
fn host_name(field: Field<'_>) -> Option<ServerName<'static>> {
    let text = field.text("", &mut Report::default())?;
    let name = text.rsplit_once(':').map_or(text, |(name, _)| name);
    ServerName::try_from(name.to_owned()).ok()
}

fn authorities(field: Field<'_>, folder: &Path, texts: &Texts, report: &mut Report) -> Option<Authorities> {
    let path = field.path(folder, report)?;
    let parsed = match &texts.get(&path)?.1 {
        Ok(text) => Authorities::parse(text).map_err(|error| format!("{}: {error}", text::path(&path))),
        Err(error) => Err(format!("{}: cannot read it: {error}", text::path(&path))),
    };
    parsed.map_err(|problem| field.problem(&format!("{problem}; name a file of PEM certificates"), report)).ok()
}
