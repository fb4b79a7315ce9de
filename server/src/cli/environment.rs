//! Refuses environment variables that look like settings and are none: a misspelt one would be ignored.

use std::collections::HashSet;
use std::env;

use clap::error::ErrorKind;
use clap::{Command, Error};

const PREFIX: &str = "ESTEHQAQ_";

/// An error that names the first unknown `ESTEHQAQ_` variable.
///
/// Kubernetes tells where services are in variables of its own, which begin as ours do when a service is named
/// `estehqaq` or `estehqaq-desk`; those are passed over.
pub(super) fn check(command: &Command) -> Result<(), Error> {
    let mut known = HashSet::new();
    collect(command, &mut known);
    let given = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let unknown = given.filter(|(name, value)| {
        name.starts_with(PREFIX) && !known.contains(name) && !is_service_link(name, &value.to_string_lossy())
    });
    match unknown.map(|(name, _)| name).min() {
        None => Ok(()),
        Some(name) => Err(command.clone().error(
            ErrorKind::UnknownArgument,
            format!(
                "the environment variable {name} is no setting; remove it, or see `estehqaq serve --help`"
            ),
        )),
    }
}

/// `X_SERVICE_HOST`, `X_SERVICE_PORT` and `X_SERVICE_PORT_HTTP`, `X_PORT` with a URL, and `X_PORT_8080_TCP` with
/// `_PROTO`, `_PORT` or `_ADDR` behind it.
fn is_service_link(name: &str, value: &str) -> bool {
    if name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return true;
    }
    if name.ends_with("_PORT") && value.contains("://") {
        return true;
    }
    let Some((_, port)) = name.split_once("_PORT_") else { return false };
    let mut parts = port.split('_');
    let number = parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
    let protocol = parts.next().is_some_and(|part| matches!(part, "TCP" | "UDP" | "SCTP"));
    let detail = parts.next().is_none_or(|part| matches!(part, "PROTO" | "PORT" | "ADDR"));
    number && protocol && detail && parts.next().is_none()
}

fn collect(command: &Command, known: &mut HashSet<String>) {
    let names = command.get_arguments().filter_map(|argument| argument.get_env());
    known.extend(names.filter_map(|name| name.to_str().map(str::to_owned)));
    command.get_subcommands().for_each(|command| collect(command, known));
}
