//! The command line: what the operator typed becomes checked options, a command runs, its result goes to
//! stdout and everything else to stderr. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.

mod ask;
mod demo;
mod environment;
mod extract;
mod ledger;
mod options;
mod output;
mod progress;
mod provider;
mod secrets;
mod serve;
mod snapshot;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use options::CommandError;

/// Is this person covered for treatment today? The eligibility service and its tools.
///
/// A night: `estehqaq snapshot build` turns the extract into a generation and publishes it; a running
/// `estehqaq serve` takes it up by itself within a second.
#[derive(Parser)]
#[command(name = "estehqaq", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a million people, build, serve on 127.0.0.1:8080, and print what to try
    Demo(demo::DemoArgs),
    /// The secrets file: keys for mobile fingerprints, tracking codes and the ledger
    #[command(subcommand)]
    Secrets(secrets::SecretsCommand),
    /// Who may ask
    #[command(subcommand)]
    Provider(provider::ProviderCommand),
    /// Nightly extracts
    #[command(subcommand)]
    Extract(extract::ExtractCommand),
    /// Generations built from extracts
    #[command(subcommand)]
    Snapshot(snapshot::SnapshotCommand),
    /// Decide one inquiry offline, without a ledger entry; for operators
    Ask(ask::AskArgs),
    /// Answer inquiries over HTTP until SIGTERM
    Serve(serve::ServeArgs),
    /// The record of every answer
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
}

/// Runs the program on these arguments, the first being its own name.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let parsed = environment::check(&Cli::command()).and_then(|()| Cli::try_parse_from(args));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and are no failure; clap tells which is which.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            error.exit_code()
        }
    }
}

fn dispatch(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Secrets(command) => secrets::run(&command),
        Command::Provider(command) => provider::run(command),
        Command::Extract(command) => extract::run(command),
        Command::Snapshot(command) => snapshot::run(&command),
        Command::Ask(args) => ask::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Ledger(command) => ledger::run(&command),
    }
}
