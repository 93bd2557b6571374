//! `services`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    defaults,
    field::{Field, name_problem},
    problem::{Place, Report},
    references,
    settings::own_name,
    shape,
};
use crate::{
    cluster::{CheckName, Pattern, Pinned, Publish, Service, ServiceName, Share, WhenDown},
    dns::{OwnerName, Ttl},
    text::cut,
};

/// What services take from the rest of the file.
pub(super) struct Given<'a> {
    /// The names under `checks`.
    pub checks: &'a BTreeSet<&'a str>,
    /// The TTL of those that give none.
    pub ttl: Ttl,
    /// The minimum of those that give none.
    pub min_healthy: Share,
}

/// What `services` says: those without problems, and where each name is written.
#[derive(Debug, Default)]
pub(super) struct Services {
    /// Those without problems.
    pub good: BTreeMap<ServiceName, Service>,
    /// All of them, with the place of the name that they publish.
    pub places: BTreeMap<ServiceName, Place>,
}

/// The forms that `publish` names.
#[derive(Debug, Clone, Copy)]
enum Form {
    Address,
    Mx,
    Alias,
}

impl Form {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Mx => "mx",
            Self::Alias => "alias",
        }
    }
}

/// What people write for a form, and what to write instead.
const NO_FORMS: &[(&str, &str)] = &[
    ("a", "\"publish: address\": A for the IPv4 addresses of the nodes and AAAA for the others"),
    ("aaaa", "\"publish: address\": A for the IPv4 addresses of the nodes and AAAA for the others"),
    ("cname", "\"publish: alias\""),
];

/// Placeholders of a pinned name and of an exchange.
const NODE_AND_INDEX: &[&str] = &["{node}", "{index}"];
const ALL_PLACEHOLDERS: &[&str] = &["{node}", "{index}", "{domain}"];

/// Reads `services`.
pub(super) fn read(field: Field<'_>, given: &Given<'_>, report: &mut Report) -> Services {
    let mut services = Services::default();
    for entry in
        shape::entries("services", field, "{ imap: { publish: address, name: imap } }", report).unwrap_or_default()
    {
        if !own_name(entry.key, entry, report) {
            continue;
        }
        let name = ServiceName::new(entry.key);
        let object = format!("service \"{name}\"");
        services.places.insert(name.clone(), entry.key_at);
        let Some(shape) = shape::Service::read(&object, entry, report) else { continue };
        if let Some(field) = shape.exchange.or(shape.name) {
            services.places.insert(name.clone(), field.node.at);
        }
        let before = report.count();
        let service = service(&object, entry, &shape, given, report);
        if report.count() == before {
            services.good.extend(service.map(|service| (name, service)));
        }
    }
    services
}

fn service(
    object: &str,
    field: Field<'_>,
    shape: &shape::Service<'_>,
    given: &Given<'_>,
    report: &mut Report,
) -> Option<Service> {
    let shape::Service { publish, name, checks, checks_any, ttl, min_healthy, pinned, preference, exchange, target } =
        *shape;
    let ttl = ttl.map_or(Some(given.ttl), |field| field.ttl(report));
    let min_healthy_share = min_healthy.map_or(Some(given.min_healthy), |field| field.share(report));
    let names = checks.map_or(Some(Vec::new()), |field| {
        let names = references::read(object, field, "check", given.checks, report)?;
        Some(names.into_iter().map(CheckName::new).collect())
    });
    let any = checks_any.map_or(Some(None), |field| {
        let most = names.as_ref().map_or(usize::MAX, |names| names.len().max(1));
        field.number(1..=most, report).map(Some)
    });

    let Some(publish) = publish else {
        report.problem(
            field.key_at,
            format!("{object}: does not say what it publishes; write \"publish: address\", mx or alias"),
        );
        return None;
    };
    let forms = [Form::Address, Form::Mx, Form::Alias].map(|form| (form.as_str(), form));
    let form = publish.word_or(&forms, NO_FORMS, report)?;
    let foreign: &[Option<Field<'_>>] = match form {
        Form::Address => &[preference, exchange, target],
        Form::Mx => &[name, pinned, target],
        // An alias follows no health.
        Form::Alias => &[preference, exchange, pinned, checks, checks_any, min_healthy],
    };
    for field in foreign.iter().flatten() {
        let text = format!("{object}: \"{}\" does not belong to publish: {}; leave it out", field.key, form.as_str());
        report.problem(field.key_at, text);
    }
    let need = |given: &Option<Field<'_>>, example: &str, report: &mut Report| {
        if given.is_none() {
            report.problem(field.key_at, format!("{object}: incomplete; write {example}"));
        }
    };
    let publish = match form {
        Form::Address => {
            need(&name, "name: imap", report);
            let name = name.and_then(|field| relative_name(field, report));
            let pinned = pinned.map_or(Some(None), |field| self::pinned(object, field, report).map(Some));
            Publish::Address { name: name?, pinned: pinned? }
        }
        Form::Mx => {
            let preference = preference.map_or(Some(defaults::PREFERENCE), |field| field.number(0..=u16::MAX, report));
            need(&exchange, "exchange: \"{node}.mail.example.org\"", report);
            let exchange = exchange.and_then(|field| exchange_pattern(field, report));
            Publish::Mx { preference: preference?, exchange: exchange? }
        }
        Form::Alias => {
            need(&name, "name: pop3", report);
            need(&target, "target: imap.mail.example.org", report);
            let name = name.and_then(|field| relative_name(field, report));
            let target = target.and_then(|field| field.name(report));
            Publish::Alias { name: name?, target: target? }
        }
    };
    Some(Service { publish, checks: names?, checks_any: any?, ttl: ttl?, min_healthy: min_healthy_share? })
}

/// A name relative to the domain; `@` is the domain itself.
fn relative_name(field: Field<'_>, report: &mut Report) -> Option<String> {
    let text = field.text("a name relative to the domain, such as imap; \"@\" is the domain itself", report)?;
    relative(text, text, field, report).then(|| text.to_ascii_lowercase())
}

/// Whether `filled` is good as a relative name; `text` is how it is written.
fn relative(text: &str, filled: &str, field: Field<'_>, report: &mut Report) -> bool {
    if filled == "@" {
        return true;
    }
    if text.ends_with('.') {
        field.problem(
            &format!(
                "\"{text}\" is absolute; names are relative to the domain: leave the final dot out",
                text = cut(text)
            ),
            report,
        );
        return false;
    }
    match OwnerName::parse(filled) {
        Ok(_) => true,
        Err(error) => {
            field.problem(&name_problem(text, &error), report);
            false
        }
    }
}

fn pinned(object: &str, field: Field<'_>, report: &mut Report) -> Option<Pinned> {
    let object = format!("{object} pinned");
    let shape::Pinned { name, when_down } = shape::Pinned::read(&object, field, report)?;
    let words = [("repoint", WhenDown::Repoint), ("pool", WhenDown::Pool), ("keep", WhenDown::Keep)];
    let when_down = when_down.map_or(Some(defaults::WHEN_DOWN), |field| field.word(&words, report));
    let Some(name) = name else {
        report.problem(field.key_at, format!("{object}: needs a name for each node; write name: \"webmail{{index}}\""));
        return None;
    };
    let text = pattern(name, NODE_AND_INDEX, "\"webmail{index}\"", report)?;
    let filled = text.replace("{node}", "n").replace("{index}", "0");
    relative(text, &filled, name, report)
        .then(|| Pinned { name: Pattern(text.to_ascii_lowercase()), when_down: WhenDown::Keep })
        .and_then(|pinned| Some(Pinned { when_down: when_down?, ..pinned }))
}

fn exchange_pattern(field: Field<'_>, report: &mut Report) -> Option<Pattern> {
    let text = pattern(field, ALL_PLACEHOLDERS, "\"{node}.mail.example.org\"", report)?;
    let filled = text.replace("{node}", "n").replace("{index}", "0").replace("{domain}", "d.example");
    if let Err(error) = OwnerName::parse(&filled) {
        field.problem(&name_problem(text, &error), report);
        return None;
    }
    if !filled.trim_end_matches('.').contains('.') {
        field.problem(
            &format!(
                "\"{text}\" is relative, an exchange is a full name; write \"{text}.{{domain}}\"",
                text = cut(text)
            ),
            report,
        );
        return None;
    }
    Some(Pattern(text.to_ascii_lowercase()))
}

/// The text of a pattern without placeholders that have no meaning there.
fn pattern<'a>(field: Field<'a>, placeholders: &[&str], example: &str, report: &mut Report) -> Option<&'a str> {
    let text = field.text(&format!("a name with placeholders, such as {example}"), report)?;
    let mut rest = text.to_owned();
    for placeholder in placeholders {
        rest = rest.replace(placeholder, "");
    }
    if let Some(from) = rest.find(['{', '}']) {
        let wrong = rest.get(from..).and_then(|wrong| wrong.split_inclusive('}').next()).unwrap_or_default();
        field.problem(
            &format!("\"{wrong}\" is no placeholder here; there are {}", placeholders.join(", "), wrong = cut(wrong)),
            report,
        );
        return None;
    }
    Some(text)
}
