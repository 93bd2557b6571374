//! `checks`: one arm here for each kind.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{defaults, field::Field, problem::Report, settings::own_name, shape, tree::Value};
use crate::{
    check::{Check, Http, Kind, Timing},
    cluster::CheckName,
};

/// The kinds, as the file writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Tcp,
    Smtp,
    Imap,
    Pop3,
    Http,
}

const KINDS: [(&str, Word); 5] =
    [("tcp", Word::Tcp), ("smtp", Word::Smtp), ("imap", Word::Imap), ("pop3", Word::Pop3), ("http", Word::Http)];

/// Reads `checks`. One that has problems is left out; `names` has it all the same.
pub(super) fn read<'a>(
    field: Field<'a>,
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
        if let Some(check) = check(&format!("check \"{name}\""), entry, report) {
            checks.insert(name, check);
        }
    }
    checks
}

fn check(object: &str, field: Field<'_>, report: &mut Report) -> Option<Check> {
    let shape::Check {
        kind,
        port,
        interval,
        fast_interval,
        timeout,
        rise,
        fall,
        path,
        host,
        status,
        body,
        tls,
        tls_verify,
        tls_name,
        command,
    } = shape::Check::read(object, field, report)?;
    let before = report.count();
    let timing = timing(object, [interval, fast_interval, timeout], [rise, fall], report);
    let Some(kind) = kind else {
        report.problem(field.key_at, format!("{object}: has no kind; write \"kind: tcp\", smtp, imap, pop3 or http"));
        return None;
    };
    if matches!(&kind.node.value, Value::Scalar(text) if text == "exec") {
        kind.problem("exec checks are not available in this version; check a port of the node instead", report);
        return None;
    }
    let word = kind.word(&KINDS, report)?;

    let only = |fields: &[Option<Field<'_>>], kinds: &str, report: &mut Report| {
        for field in fields.iter().flatten() {
            report.problem(field.key_at, format!("{object}: \"{}\" belongs to kind: {kinds}; leave it out", field.key));
        }
    };
    if word != Word::Http {
        only(&[path, host, status, body], "http", report);
    }
    only(&[command], "exec", report);
    without_tls(object, tls, &[tls_verify, tls_name], report);

    let mut port = |usual: Option<u16>| match (port, usual) {
        (Some(port), _) => port.number(1..=u16::MAX, report),
        (None, Some(usual)) => Some(usual),
        (None, None) => {
            report.problem(field.key_at, format!("{object}: a tcp check needs a port; write \"port: 4190\""));
            None
        }
    };
    let kind = match word {
        Word::Tcp => Kind::Tcp { port: port(None)? },
        Word::Smtp => Kind::Smtp { port: port(Some(25))? },
        Word::Imap => Kind::Imap { port: port(Some(143))? },
        Word::Pop3 => Kind::Pop3 { port: port(Some(110))? },
        Word::Http => Kind::Http(http(port(Some(80)), [path, host, status, body], report)?),
    };
    (report.count() == before).then_some(Check { kind, timing: timing? })
}

/// TLS is part of the format; what asks by it comes with a later version.
fn without_tls(object: &str, tls: Option<Field<'_>>, details: &[Option<Field<'_>>], report: &mut Report) {
    let words = [("none", false), ("starttls", true), ("implicit", true)];
    match tls.map(|field| (field, field.word(&words, report))) {
        Some((field, Some(true))) => {
            field.problem(
                "TLS is not available in this version; write \"tls: none\" and a port without TLS, or check the port by \
                 kind: tcp",
                report,
            );
        }
        Some((_, None)) => {}
        Some((_, Some(false))) | None => {
            for field in details.iter().flatten() {
                report.problem(
                    field.key_at,
                    format!("{object}: \"{}\" says nothing without TLS; leave it out", field.key),
                );
            }
        }
    }
}

fn timing(
    object: &str,
    [interval, fast_interval, timeout]: [Option<Field<'_>>; 3],
    [rise, fall]: [Option<Field<'_>>; 2],
    report: &mut Report,
) -> Option<Timing> {
    let mut duration = |field: Option<Field<'_>>, default: Duration| {
        field.map_or(Some(default), |field| field.duration(defaults::INTERVAL_RANGE, report))
    };
    let steady = duration(interval, defaults::INTERVAL);
    // A short interval brings the two others down with it, so that it can be written alone.
    let most = steady.unwrap_or(defaults::INTERVAL);
    let fast = duration(fast_interval, defaults::FAST_INTERVAL.min(most));
    let deadline = duration(timeout, defaults::TIMEOUT.min(most / 2));
    let mut count = |field: Option<Field<'_>>, default: u32| {
        field.map_or(Some(default), |field| field.number(defaults::COUNT_RANGE, report))
    };
    let (rise, fall) = (count(rise, defaults::RISE), count(fall, defaults::FALL));
    let (steady, fast, deadline) = (steady?, fast?, deadline?);

    let place = |field: Option<Field<'_>>| field.or(interval).map(|field| field.node.at).unwrap_or_default();
    let show = humantime::format_duration;
    if deadline >= steady {
        report.problem(
            place(timeout),
            format!(
                "{object}: timeout: {} is not shorter than the interval of {}; write a shorter timeout or a longer \
                 interval",
                show(deadline),
                show(steady)
            ),
        );
    }
    if fast > steady {
        report.problem(
            place(fast_interval),
            format!(
                "{object}: fast_interval: {} is longer than the interval of {}; write that at most",
                show(fast),
                show(steady)
            ),
        );
    }
    Some(Timing { interval: steady, fast_interval: fast, timeout: deadline, rise: rise?, fall: fall? })
}

fn http(port: Option<u16>, [path, host, status, body]: [Option<Field<'_>>; 4], report: &mut Report) -> Option<Http> {
    let path = path.map_or_else(|| Some(defaults::HTTP_PATH.to_owned()), |field| http_path(field, report));
    let host = host.map_or(Some(None), |field| http_host(field, report).map(Some));
    let status = status.map_or_else(|| Some(vec![defaults::HTTP_STATUS]), |field| http_status(field, report));
    let body = body.map_or(Some(None), |field| {
        let text = field.text("text that the page must contain", report)?;
        if text.is_empty() {
            field.problem("every page contains nothing; write the text that it must contain", report);
        }
        Some(Some(text.to_owned()))
    });
    Some(Http { port: port?, path: path?, host: host?, status: status?, body: body? })
}

fn http_path(field: Field<'_>, report: &mut Report) -> Option<String> {
    let path = field.text("a path such as \"/\"", report)?;
    if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(path.to_owned());
    }
    field.problem(
        &format!("{path:?} is no path of a request; begin with \"/\" and write blanks and others as %20"),
        report,
    );
    None
}

fn http_host(field: Field<'_>, report: &mut Report) -> Option<String> {
    let host = field.text("a host name for the Host header", report)?;
    let good = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'[' | b']'));
    if good {
        return Some(host.to_owned());
    }
    field.problem(&format!("{host:?} is no Host header; write a host name such as webmail.example.org"), report);
    None
}

fn http_status(field: Field<'_>, report: &mut Report) -> Option<Vec<u16>> {
    let items = field.items("a list of status codes, such as [200, 302]", report)?;
    if items.is_empty() {
        field.problem("the list is empty: no answer would do; write [200]", report);
        return None;
    }
    // Every item is looked at before one that is wrong spoils the list.
    let codes: Vec<_> = items.into_iter().map(|item| item.number(100..=599, report)).collect();
    codes.into_iter().collect()
}
