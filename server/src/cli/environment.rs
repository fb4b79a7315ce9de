//! Refuses environment variables that look like settings and are none: a misspelt one would be ignored.

use std::collections::HashSet;
use std::env;

use clap::error::ErrorKind;
use clap::{Command, Error};

const PREFIX: &str = "ESTEHQAQ_";

/// An error that names the first unknown `ESTEHQAQ_` variable.
///
/// Kubernetes sets `ESTEHQAQ_SERVICE_...` and `ESTEHQAQ_PORT...` beside a service of this name; those are
/// passed over.
pub(super) fn check(command: &Command) -> Result<(), Error> {
    let mut known = HashSet::new();
    collect(command, &mut known);
    let given = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let unknown = given.filter(|name| {
        let rest = name.strip_prefix(PREFIX);
        rest.is_some_and(|rest| !rest.starts_with("SERVICE_") && !rest.starts_with("PORT"))
            && !known.contains(name)
    });
    match unknown.min() {
        None => Ok(()),
        Some(name) => Err(command.clone().error(
            ErrorKind::UnknownArgument,
            format!(
                "the environment variable {name} is no setting; remove it, or see `estehqaq serve --help`"
            ),
        )),
    }
}

fn collect(command: &Command, known: &mut HashSet<String>) {
    let names = command.get_arguments().filter_map(|argument| argument.get_env());
    known.extend(names.filter_map(|name| name.to_str().map(str::to_owned)));
    command.get_subcommands().for_each(|command| collect(command, known));
}
