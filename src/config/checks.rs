//! `checks`: one arm here for each kind.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use self::tls::Mode;
use super::{
    defaults,
    domains::Texts,
    field::Field,
    problem::{Report, one_of},
    settings::own_name,
    shape,
    timing::{Keys, Settings},
};
use crate::{
    check::{Check, Kind, smtp, tls::Begin},
    cluster::CheckName,
    text::cut,
};

mod dns;
mod exec;
mod http;
mod tls;

/// The kinds, as the file writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Tcp,
    Smtp,
    Lmtp,
    Imap,
    Pop3,
    Http,
    Dns,
    Agent,
    Exec,
}

const KINDS: [(&str, Word); 9] = [
    ("tcp", Word::Tcp),
    ("smtp", Word::Smtp),
    ("lmtp", Word::Lmtp),
    ("imap", Word::Imap),
    ("pop3", Word::Pop3),
    ("http", Word::Http),
    ("dns", Word::Dns),
    ("agent", Word::Agent),
    ("exec", Word::Exec),
];

/// What people write for a kind, and what to write instead: how a kind is secured is said beside it.
const NO_KINDS: &[(&str, &str)] = &[
    ("https", "\"kind: http\" with \"tls: implicit\""),
    ("smtps", "\"kind: smtp\" with \"tls: implicit\""),
    ("submissions", "\"kind: smtp\" with \"tls: implicit\""),
    ("submission", "\"kind: smtp\" with \"port: 587\""),
    ("imaps", "\"kind: imap\" with \"tls: implicit\""),
    ("pop3s", "\"kind: pop3\" with \"tls: implicit\""),
    ("lmtps", "\"kind: lmtp\" with \"tls: implicit\""),
    ("tls", "\"kind: tcp\" with \"tls: implicit\""),
    ("ssl", "\"kind: tcp\" with \"tls: implicit\""),
    ("starttls", "the kind of the service, such as \"kind: smtp\", with \"tls: starttls\""),
    ("ping", PLUGIN),
    ("icmp", PLUGIN),
    ("script", PLUGIN),
    ("command", PLUGIN),
    ("plugin", PLUGIN),
    ("nagios", PLUGIN),
    ("haproxy", "\"kind: agent\""),
];
const PLUGIN: &str = "\"kind: exec\" with the \"command\" of a monitoring plugin";

/// Those that can be secured.
const WITH_TLS: [Word; 6] = [Word::Tcp, Word::Smtp, Word::Lmtp, Word::Imap, Word::Pop3, Word::Http];

impl Word {
    /// The port that everybody uses, plain and with TLS from the start (RFC 8314, and IANA's list for LMTP).
    const fn port(self, mode: Option<Mode>) -> Option<u16> {
        let implicit = matches!(mode, Some(Mode::Tls(Begin::Implicit)));
        match self {
            Self::Smtp => Some(if implicit { 465 } else { 25 }),
            Self::Lmtp => Some(24),
            Self::Imap => Some(if implicit { 993 } else { 143 }),
            Self::Pop3 => Some(if implicit { 995 } else { 110 }),
            Self::Http => Some(if implicit { 443 } else { 80 }),
            Self::Dns => Some(defaults::DNS_PORT),
            Self::Tcp | Self::Agent | Self::Exec => None,
        }
    }
}

/// What checks take from the rest of the file.
pub(super) struct Given<'a> {
    /// Where relative paths begin.
    pub folder: &'a Path,
    /// The texts of other files.
    pub texts: &'a Texts,
    /// When those are asked that do not say.
    pub defaults: Settings,
}

/// Reads `checks`. One that has problems is left out; `names` has it all the same.
pub(super) fn read<'a>(
    field: Field<'a>,
    given: &Given<'_>,
    names: &mut BTreeSet<&'a str>,
    report: &mut Report,
) -> BTreeMap<CheckName, Check> {
    let mut checks = BTreeMap::new();
    for entry in shape::entries("checks", field, "{ imap: { kind: imap } }", report).unwrap_or_default() {
        if !own_name(entry.key, entry, report) {
            continue;
        }
        let name = CheckName::new(entry.key);
        names.insert(entry.key);
        if let Some(check) = check(&format!("check \"{name}\""), entry, given, report) {
            checks.insert(name, check);
        }
    }
    checks
}

/// The files that `tls_ca` names; those that are no good are left to [`read`].
pub(super) fn authorities(field: Field<'_>, folder: &Path) -> BTreeSet<PathBuf> {
    let mut unheard = Report::default();
    let entries = shape::entries("", field, "", &mut unheard).unwrap_or_default();
    entries
        .into_iter()
        .filter_map(|entry| shape::Check::read("", entry, &mut unheard)?.tls_ca?.path(folder, &mut unheard))
        .collect()
}

fn check(object: &str, field: Field<'_>, given: &Given<'_>, report: &mut Report) -> Option<Check> {
    let shape::Check {
        kind,
        port,
        interval,
        fast_interval,
        down_interval,
        timeout,
        rise,
        fall,
        jitter,
        flap_hold,
        method,
        path,
        host,
        status,
        header,
        body,
        name,
        rrtype,
        rcode,
        command,
        helo,
        tls,
        tls_verify,
        tls_name,
        tls_ca,
        tls_min_days,
    } = shape::Check::read(object, field, report)?;
    let before = report.count();
    let keys = Keys { interval, fast_interval, down_interval, timeout, rise, fall, jitter, flap_hold };
    let settings = keys.read(report);
    let Some(kind) = kind else {
        let kinds = one_of(&KINDS.map(|(word, _)| word));
        report.problem(field.key_at, format!("{object}: has no kind; write \"kind: tcp\"; known are {kinds}"));
        return None;
    };
    let word = kind.word_or(&KINDS, NO_KINDS, report);
    let settings = settings.map(|settings| settings.over(given.defaults));
    // The next start of a plugin waits for the end of this one.
    let may_outlast = word == Some(Word::Exec);
    let timing =
        settings.map(|settings| settings.timing(object, |interval| usual_timeout(word, interval), may_outlast, report));
    let word = word?;

    let mut only = |fields: &[Option<Field<'_>>], kinds: &[Word]| {
        for field in fields.iter().flatten().filter(|_| !kinds.contains(&word)) {
            let kinds: Vec<_> = KINDS.iter().filter(|(_, of)| kinds.contains(of)).map(|(word, _)| *word).collect();
            let kinds = one_of(&kinds).replace('"', "");
            report.problem(field.key_at, format!("{object}: \"{}\" belongs to kind: {kinds}; leave it out", field.key));
        }
    };
    only(&[method, path, host, status, header, body], &[Word::Http]);
    only(&[name, rrtype, rcode], &[Word::Dns]);
    only(&[command], &[Word::Exec]);
    only(&[helo], &[Word::Smtp, Word::Lmtp]);
    only(&[port], &[Word::Tcp, Word::Smtp, Word::Lmtp, Word::Imap, Word::Pop3, Word::Http, Word::Dns, Word::Agent]);
    only(&[tls, tls_verify, tls_name, tls_ca, tls_min_days], &WITH_TLS);

    let helo = helo.map_or(Some(None), |field| greeting(field, report).map(Some));
    let mode = tls.map_or(Some(Mode::Plain), |field| tls::mode(field, word, report));
    let details = tls::Details { verify: tls_verify, name: tls_name, ca: tls_ca, min_days: tls_min_days };
    let tls = match mode {
        Some(Mode::Tls(begin)) => tls::read(begin, details, host, given.folder, given.texts, report).map(Some),
        Some(Mode::Plain) => {
            if WITH_TLS.contains(&word) {
                details.refuse(object, report);
            }
            Some(None)
        }
        None => None,
    };
    let port = match (port, word.port(mode)) {
        (Some(port), _) => port.number(1..=u16::MAX, report),
        (None, Some(usual)) => Some(usual),
        (None, None) if word == Word::Exec => None,
        (None, None) => {
            report.problem(field.key_at, format!("{object}: this kind has no usual port; write \"port: 4190\""));
            None
        }
    };
    let kind = match word {
        Word::Tcp => Kind::Tcp { port: port? },
        Word::Smtp => Kind::Smtp { port: port?, helo: helo? },
        Word::Lmtp => Kind::Lmtp { port: port?, helo: helo? },
        Word::Imap => Kind::Imap { port: port? },
        Word::Pop3 => Kind::Pop3 { port: port? },
        Word::Agent => Kind::Agent { port: port? },
        Word::Http => Kind::Http(Arc::new(http::read(port, [method, path, host, status, header, body], report)?)),
        Word::Dns => Kind::Dns(dns::read(object, field, port, [name, rrtype, rcode], report)?),
        Word::Exec => Kind::Exec(exec::read(object, field, command, report)?),
    };
    (report.count() == before).then_some(Check { kind, tls: tls?, timing: timing? })
}

/// The name that we greet by.
fn greeting(field: Field<'_>, report: &mut Report) -> Option<Arc<str>> {
    let text = field.text("the name to greet by, such as mon.example.org", report)?;
    if smtp::is_domain_name(text) || smtp::is_address_literal(text) {
        return Some(text.into());
    }
    let problem = format!(
        "{:?} is neither a domain name with a dot (letters, digits and hyphens) nor an address literal, and servers refuse \
         all else; write mon.example.org, [192.0.2.1] or [IPv6:2001:db8::1]",
        cut(text)
    );
    field.problem(&problem, report);
    None
}

/// The timeout of a check that gives none.
fn usual_timeout(word: Option<Word>, interval: Duration) -> Duration {
    match word {
        // Above postscreen's wait, as long as the interval lets it.
        Some(Word::Smtp) => defaults::SMTP_TIMEOUT.min(interval * 4 / 5),
        _ => defaults::TIMEOUT.min(interval / 2),
    }
}
