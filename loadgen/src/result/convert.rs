//! `loadgen report`: makes the other forms of a result that was written as JSON.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::result::document::{Document, DocumentError};
use crate::result::outputs::{OutputArgs, OutputError};

/// Arguments of `loadgen report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// A result that --out or --json wrote
    #[arg(value_name = "RESULT")]
    pub(crate) result: PathBuf,

    #[command(flatten)]
    pub(crate) outputs: OutputArgs,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Reads the result and writes what was asked for. Whatever its verdict, to have converted it is success.
pub(crate) fn report(args: &ReportArgs, out: &mut dyn Write) -> Result<(), ReportError> {
    let document = Document::read(&args.result)?;
    let has_intervals = matches!(document, Document::Run(_));
    Ok(args.outputs.open(has_intervals)?.write(&document, out)?)
}
