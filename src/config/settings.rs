//! `bind`, `safety` and the single settings at the top of the file.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{defaults, field::Field, problem::Report, shape};
use crate::{
    cluster::{AllDown, Bind, KeySource, LeftOvers, Safety, Share},
    control::CONTROL_SOCKET,
    text::cut,
};

/// Any duration that is not nothing; a day is for ever here.
const ANY_TIME: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);

/// Reads `bind`.
pub(super) fn bind(field: Field<'_>, folder: &Path, report: &mut Report) -> Option<Bind> {
    let shape::Bind { server, key_file, key_credential, timeout, connections, max_in_flight, allow_weak_keys } =
        shape::Bind::read("bind", field, report)?;
    let key = match (key_file, key_credential) {
        (Some(file), None) => file.path(folder, report).map(KeySource::File),
        (None, Some(credential)) => credential_name(credential, report).map(KeySource::Credential),
        (Some(_), Some(credential)) => {
            report.problem(
                credential.key_at,
                "bind: key_file and key_credential are both given; keep the one that holds the TSIG key",
            );
            None
        }
        (None, None) => {
            report.problem(
                field.node.at,
                "bind: no TSIG key is given; write \"key_file: rotad.key\" (what tsig-keygen prints) or \
                 \"key_credential: NAME\" (a systemd credential)",
            );
            None
        }
    };
    let server = server.map_or(Some(defaults::SERVER), |field| field.socket(Some(defaults::DNS_PORT), report));
    let timeout = timeout.map_or(Some(defaults::BIND_TIMEOUT), |field| field.duration(ANY_TIME, report));
    let connections =
        connections.map_or(Some(defaults::CONNECTIONS), |field| field.number(defaults::CONNECTIONS_RANGE, report));
    let max_in_flight = max_in_flight
        .map_or(Some(defaults::MAX_IN_FLIGHT), |field| field.number(defaults::MAX_IN_FLIGHT_RANGE, report));
    let allow_weak_keys = allow_weak_keys.map_or(Some(defaults::ALLOW_WEAK_KEYS), |field| field.truth(report));
    Some(Bind {
        server: server?,
        key: key?,
        timeout: timeout?,
        connections: connections?,
        max_in_flight: max_in_flight?,
        allow_weak_keys: allow_weak_keys?,
    })
}

fn credential_name(field: Field<'_>, report: &mut Report) -> Option<String> {
    let name = field.text("a credential's name, as in LoadCredential=NAME:PATH", report)?;
    if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') {
        field.problem(
            &format!("\"{name}\" is no credential's name; write NAME of LoadCredential=NAME:PATH", name = cut(name)),
            report,
        );
        return None;
    }
    Some(name.to_owned())
}

/// The rota's name: it stands between blanks in the generation record.
pub(super) fn cluster_name(field: Field<'_>, report: &mut Report) -> Option<String> {
    let name = field.text("a short name such as \"mail\"", report)?;
    own_name(name, field, report).then(|| name.to_owned())
}

/// The status socket; the control socket lies beside it.
pub(super) fn status_socket(field: Field<'_>, folder: &Path, report: &mut Report) -> Option<PathBuf> {
    let path = field.path(folder, report)?;
    if path.file_name().is_none_or(|name| name == CONTROL_SOCKET) {
        field.problem("this is where the control socket goes; write another name, such as \"status.sock\"", report);
        return None;
    }
    Some(path)
}

/// Whether a name of the file's own is one word of at most 63 characters that needs no quoting anywhere.
pub(super) fn own_name(name: &str, field: Field<'_>, report: &mut Report) -> bool {
    let good = (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    if good && !(is_edge(name.as_bytes().first()) && is_edge(name.as_bytes().last())) {
        // Names are arguments of commands and plugins, and labels of names in DNS.
        report.problem(
            if field.key == name { field.key_at } else { field.node.at },
            format!("{name:?} is no name; it begins and ends with a letter or a digit"),
        );
        return false;
    }
    if !good {
        report.problem(
            if field.key == name { field.key_at } else { field.node.at },
            format!("{name:?} is no name; write 1 to 63 letters, digits, \"-\", \"_\" and dots", name = cut(name)),
        );
    }
    good
}

/// The rails, and the `min_healthy` of services that give none.
pub(super) fn safety(field: Option<Field<'_>>, report: &mut Report) -> Option<(Safety, Share)> {
    let Some(field) = field else { return Some((defaults::SAFETY, defaults::MIN_HEALTHY)) };
    let shape::Safety {
        all_down,
        min_healthy,
        first_round,
        blind_share,
        blind_within,
        references,
        max_change,
        settle,
        left_over,
    } = shape::Safety::read("safety", field, report)?;
    let or = defaults::SAFETY;
    let words = [("hold", AllDown::Hold), ("all", AllDown::All)];
    let min_healthy = min_healthy.map_or(Some(defaults::MIN_HEALTHY), |field| field.share(report));
    let all_down = all_down.map_or(Some(or.all_down), |field| field.word(&words, report));
    let first_round =
        first_round.map_or(Some(or.first_round), |field| field.duration(Duration::ZERO..=*ANY_TIME.end(), report));
    let blind_share = blind_share.map_or(Some(or.blind_share), |field| field.percent(1..=100, report));
    let blind_within = blind_within.map_or(Some(or.blind_within), |field| field.duration(ANY_TIME, report));
    let references = references.map_or(Some(or.references), |field| {
        let items = field.items("a list of addresses with ports, such as [\"192.0.2.1:53\"]", report)?;
        // Every item is looked at before one that is wrong spoils the list.
        let sockets: Vec<_> = items.into_iter().map(|item| item.socket(None, report)).collect();
        sockets.into_iter().collect()
    });
    let max_change = max_change.map_or(Some(or.max_change), |field| field.percent(0..=100, report));
    let settle =
        settle.map_or(Some(or.settle), |field| field.duration(Duration::ZERO..=*ANY_TIME.end(), report).map(Some));
    let words = [("keep", LeftOvers::Keep), ("delete", LeftOvers::Delete)];
    let left_over = left_over.map_or(Some(or.left_over), |field| field.word(&words, report));
    let safety = Safety {
        all_down: all_down?,
        first_round: first_round?,
        blind_share: blind_share?,
        blind_within: blind_within?,
        references: references?,
        max_change: max_change?,
        settle: settle?,
        left_over: left_over?,
    };
    Some((safety, min_healthy?))
}
