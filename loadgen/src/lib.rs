//! A load generator for the inquiry service that checks the answers it gets.
//!
//! The flow: `cli` (raw arguments) -> `config` (checked) -> `targets` (what to ask, what must come back)
//! -> `run` opens the connections and starts one `sender` loop on each -> `schedule` says when a loop may
//! send, `order` what, `link` and `http` carry it, `answer` judges it, `tally` counts it -> `report`.
//!
//! It depends on no other crate of this workspace: the words of the contract (statuses, reasons, notices)
//! are written down a second time in `vocabulary`, so that a shared mistake cannot cancel out. It never
//! computes an expected answer, never sends a request twice by itself, and never writes a person's ID, a
//! mobile number or a key anywhere but into a request.

mod answer;
mod base_url;
mod cli;
mod config;
mod host;
mod http;
mod keys;
mod latency;
mod link;
#[allow(dead_code)] // until the runs publish
mod live;
mod order;
mod progress;
mod report;
#[allow(dead_code, unused_imports)] // until the writers and the runs meet
mod result;
mod run;
mod schedule;
mod sender;
mod tally;
mod targets;
mod tracking;
mod vocabulary;

use std::io::Write;

pub use cli::Cli;
pub use report::Outcome;

/// Why there is no result. The message says what failed and what to do.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Failure(#[from] FailureCause);

#[derive(Debug, thiserror::Error)]
enum FailureCause {
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    #[error(transparent)]
    Keys(#[from] keys::KeysError),
    #[error(transparent)]
    Targets(#[from] targets::TargetsError),
    #[error(transparent)]
    Run(#[from] run::RunError),
    #[error("cannot write the result: {0}; give stdout somewhere to go")]
    Output(#[source] std::io::Error),
}

impl Failure {
    /// Whether the arguments were at fault, rather than what happened while following them.
    pub fn is_usage(&self) -> bool {
        matches!(self.0, FailureCause::Config(_))
    }
}

/// Does what the arguments ask for: the result goes to `out`, progress to `notes`.
///
/// # Errors
/// When the arguments contradict each other, a file cannot be used, or no connection can be opened. A
/// server that answers wrongly is a result, not an error.
pub fn execute(cli: Cli, out: &mut dyn Write, notes: &mut dyn Write) -> Result<Outcome, Failure> {
    Ok(execute_run(cli.into_run(), out, notes)?)
}

fn execute_run(
    args: cli::RunArgs,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> Result<Outcome, FailureCause> {
    let json = args.json;
    let config = config::RunConfig::check(&args)?;
    let keys = match &args.key_file {
        Some(path) => keys::read(path)?,
        None => Vec::new(),
    };
    let targets = targets::Targets::read(&args.targets, config.endpoints)?;
    let report = run::run(config, keys, targets, notes)?;
    if json { report.write_json(out) } else { report.write_text(out) }.map_err(FailureCause::Output)?;
    Ok(report.outcome())
}
