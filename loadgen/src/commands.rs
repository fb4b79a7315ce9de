//! What each subcommand does: arguments in, a document out, an exit code.

use std::io::Write;
use std::sync::Arc;

use crate::base_url::BaseUrl;
use crate::cli::{Cli, Command, RunArgs};
use crate::config::{self, ConfigError, SetupError};
use crate::live::{Live, LiveFeed, Show};
use crate::result::{
    self, Document, DocumentError, OutputArgs, OutputError, ReportError, RunResult, Verdict,
};
use crate::run::{self, RunError, Setup};
use crate::scenario::Scenario;

/// Why there is no result. The message says what failed and what to do.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Failure(#[from] FailureCause);

#[derive(Debug, thiserror::Error)]
pub(crate) enum FailureCause {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Report(ReportError),
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl Failure {
    /// 2 when the arguments were at fault, 1 for what happened while following them.
    pub fn exit_code(&self) -> u8 {
        match self.0 {
            FailureCause::Config(_) | FailureCause::Output(OutputError::NoIntervals) => 2,
            _ => 1,
        }
    }
}

/// Does what the arguments ask for: the result goes to `out`, progress to `notes`. The exit code says what the
/// result comes to: 0 met, 3 missed, 4 invalid.
///
/// # Errors
/// When the arguments contradict each other, a file cannot be used, or no connection can be opened. A
/// server that answers wrongly is a result, not an error.
pub fn execute(cli: Cli, out: &mut dyn Write, notes: Box<dyn Write + Send>) -> Result<u8, Failure> {
    Ok(match cli.command {
        Command::Run(args) => run_command(&args, out, notes)?,
        Command::Report(args) => {
            result::report(&args, out).map_err(FailureCause::Report)?;
            0
        }
        _ => 1,
    })
}

fn run_command(
    args: &RunArgs,
    out: &mut dyn Write,
    notes: Box<dyn Write + Send>,
) -> Result<u8, FailureCause> {
    let url = BaseUrl::parse(&args.url).map_err(ConfigError::Url)?;
    let scenario = config::run_scenario(args)?;
    let share = config::shard(args.shard.as_deref())?;
    let mut setup = config::setup(&args.traffic, &scenario)?;
    (setup.share, setup.start_at) = (share, config::start_at(args.start_at));
    let result = shown_run(&setup, &scenario, &url, notes)?;
    let verdict = result.verdict.verdict;
    write(&args.output, result, verdict, out)
}

fn shown_run(
    setup: &Setup,
    scenario: &Scenario,
    url: &BaseUrl,
    notes: Box<dyn Write + Send>,
) -> Result<RunResult, RunError> {
    let feed = Arc::new(LiveFeed::default());
    let live = Live::start(Arc::clone(&feed), Show::for_stderr(), notes);
    let result = run::run(setup, scenario, url, &feed);
    live.finish();
    result
}

fn write(
    output: &OutputArgs,
    document: impl Into<Document>,
    verdict: Verdict,
    out: &mut dyn Write,
) -> Result<u8, FailureCause> {
    output.write(&document.into(), out)?;
    Ok(verdict.exit_code())
}
