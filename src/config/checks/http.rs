//! What is special to `kind: http`.

use super::super::{defaults, field::Field, problem::Report};
use crate::check::http::{Header, Http, Method};
use crate::text::cut;

pub(super) fn read(
    port: Option<u16>,
    [method, path, host, status, header, body]: [Option<Field<'_>>; 6],
    report: &mut Report,
) -> Option<Http> {
    let methods = [Method::Get, Method::Head, Method::Options].map(|method| (method.as_str(), method));
    let verb = method.map_or(Some(defaults::HTTP_METHOD), |field| field.word(&methods, report));
    let path = path.map_or_else(|| Some(defaults::HTTP_PATH.to_owned()), |field| http_path(field, report));
    let host = host.map_or(Some(None), |field| http_host(field, report).map(Some));
    let status = status.map_or_else(|| Some(vec![defaults::HTTP_STATUS]), |field| http_status(field, report));
    let header = header.map_or(Some(None), |field| http_header(field, report).map(Some));
    let text = body.map_or(Some(None), |field| {
        let text = field.text("text that the page must contain", report)?;
        if text.is_empty() {
            field.problem("every page contains nothing; write the text that it must contain", report);
        }
        if verb == Some(Method::Head) {
            field.problem("an answer to HEAD has no body; write \"method: GET\" or leave body out", report);
        }
        Some(Some(text.to_owned()))
    });
    Some(Http { port: port?, method: verb?, path: path?, host: host?, status: status?, header: header?, body: text? })
}

/// `X-Ready: yes`, or `X-Ready` alone.
fn http_header(field: Field<'_>, report: &mut Report) -> Option<Header> {
    let text = field.text("a header of the answer, such as \"X-Ready: yes\"", report)?;
    let (name, contains) = text.split_once(':').unwrap_or((text, ""));
    // RFC 9110 section 5.6.2.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        let problem =
            format!("{name:?} is no header's name; write \"X-Ready: yes\" or \"X-Ready\" alone", name = cut(name));
        field.problem(&problem, report);
        return None;
    }
    Some(Header { name: name.to_ascii_lowercase(), contains: contains.trim().to_owned() })
}

fn http_path(field: Field<'_>, report: &mut Report) -> Option<String> {
    let path = field.text("a path such as \"/\"", report)?;
    if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(path.to_owned());
    }
    field.problem(
        &format!(
            "{path:?} is no path of a request; begin with \"/\" and write blanks and others as %20",
            path = cut(path)
        ),
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
    field.problem(
        &format!("{host:?} is no Host header; write a host name such as webmail.example.org", host = cut(host)),
        report,
    );
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
