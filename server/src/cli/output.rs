//! Results go to stdout; errors and remarks to stderr.

use std::io::{self, Write};

use serde::Serialize;

use super::options::CommandError;

/// Writes a line of the result. A closed pipe ends the output and is no failure of the command.
pub(super) fn line(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout();
    tolerate_closed_pipe(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// Writes what cannot be shown again. A closed pipe is a failure here: whoever reads it would have nothing.
pub(super) fn shown_once(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Writes a result as one JSON object on one line.
pub(super) fn json(value: &impl Serialize) -> Result<(), CommandError> {
    line(&serde_json::to_string(value)?)
}

/// Tells what belongs to no line of the result.
pub(super) fn note(text: &str) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Tells an error.
pub(super) fn error(error: &CommandError) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "error: {error}");
}

pub(super) fn tolerate_closed_pipe(written: io::Result<()>) -> Result<(), CommandError> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CommandError::failed(format!(
            "cannot write the result to stdout: {error}; see where it goes"
        ))),
        _ => Ok(()),
    }
}
