//! What is special to `kind: exec`.

use std::path::PathBuf;

use super::super::{field::Field, problem::Report};
use crate::{
    check::{Exec, exec::PLACEHOLDERS},
    text::cut,
};

const EXAMPLE: &str = "[/usr/lib/nagios/plugins/check_dummy, \"0\"]";

pub(super) fn read(object: &str, check: Field<'_>, command: Option<Field<'_>>, report: &mut Report) -> Option<Exec> {
    let Some(command) = command else {
        report.problem(check.key_at, format!("{object}: has no command; write \"command: {EXAMPLE}\""));
        return None;
    };
    let items = command.items(&format!("a list of the program and its arguments: {EXAMPLE}"), report)?;
    // Every item is looked at before one that is wrong spoils the list.
    let words: Vec<_> = items.iter().enumerate().map(|(at, item)| word(*item, at > 0, report)).collect();
    let words: Vec<_> = words.into_iter().collect::<Option<_>>()?;
    let Some((program, arguments)) = words.split_first() else {
        command.problem(&format!("the list is empty; write {EXAMPLE}"), report);
        return None;
    };
    if !program.starts_with('/') {
        let problem = format!(
            "\"{program}\" is no absolute path, and no shell looks for it; write {EXAMPLE}",
            program = cut(program)
        );
        command.problem(&problem, report);
        return None;
    }
    Some(Exec { program: PathBuf::from(program), arguments: arguments.to_vec() })
}

fn word(field: Field<'_>, is_argument: bool, report: &mut Report) -> Option<String> {
    let text = field.text("one word of the command", report)?;
    if text.contains('\0') {
        field.problem("a NUL cannot be handed to a program", report);
        return None;
    }
    let known: &[&str] = if is_argument { &PLACEHOLDERS } else { &[] };
    let plain = known.iter().fold(text.to_owned(), |text, placeholder| text.replace(placeholder, ""));
    if plain.contains(['{', '}']) {
        let problem = if is_argument {
            format!("{:?} has a brace that is filled in by nothing; known are {}", cut(text), PLACEHOLDERS.join(", "))
        } else {
            format!("{:?}: nothing is filled in into the program's path; leave the braces out", cut(text))
        };
        field.problem(&problem, report);
        return None;
    }
    Some(text.to_owned())
}
