//! The command line: what the operator typed becomes checked options, a command runs, its result goes to
//! stdout and everything else to stderr. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.

mod ask;
mod demo;
mod diff;
mod environment;
mod extract;
mod gates;
mod generations;
mod inspect;
mod ledger;
mod options;
mod output;
mod progress;
mod provider;
mod rotate;
mod secrets;
mod serve;
mod snapshot;
mod store;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::thread;

use clap::error::ContextValue;
use clap::{CommandFactory, Error, Parser, Subcommand};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use options::CommandError;

/// A test runs these lines.
const FROM_NOTHING: &str = "\
From nothing to a service:
  estehqaq secrets init --secrets secrets.toml
  estehqaq extract synth --people 100000 --seed 1 --out extract.csv
  estehqaq snapshot build --extract extract.csv --snapshots snapshots --secrets secrets.toml
  estehqaq provider add --providers providers.toml --id shafa --name Shafa \\
      --type hospital --ownership contracted
  estehqaq serve --snapshots snapshots --ledger ledger --providers providers.toml \\
      --secrets secrets.toml --listen 127.0.0.1:8080

What `snapshot build` publishes later, a running `serve` takes up by itself within a second.";

/// Is this person covered for treatment today? The eligibility service and its tools.
#[derive(Parser)]
#[command(name = "estehqaq", version, max_term_width = 100, after_help = FROM_NOTHING)]
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
    Serve(Box<serve::ServeArgs>),
    /// The record of every answer
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
}

/// Runs the program on these arguments, the first being its own name.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match parse(args.collect()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout and are no failure; clap tells which is which.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    if let Err(error) = end_whole_on_signals(&cli.command) {
        output::note(&format!("signals end this command as they end any: {error}"));
    }
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            error.exit_code()
        }
    }
}

/// From now on SIGINT, SIGTERM and SIGHUP end a command with a word, and without half a result beside its place. Those that
/// serve drain instead; what a build or the ledger has begun, the next command clears away or goes on with.
fn end_whole_on_signals(command: &Command) -> io::Result<()> {
    if matches!(command, Command::Serve(_) | Command::Demo(_)) {
        return Ok(());
    }
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let end = move || {
        if let Some(signal) = signals.forever().next() {
            storage::discard_unfinished();
            output::note("error: ended by a signal before it was done; run the command again");
            let _ = emulate_default_handler(signal); // Ends the process, as that signal ends any.
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(end).map(drop)
}

fn parse(args: Vec<OsString>) -> Result<Cli, Error> {
    let parsed = Cli::try_parse_from(&args);
    match parsed {
        // Whoever asks for help gets it, whatever the environment holds.
        Err(error) if !error.use_stderr() => Err(error),
        // A misspelt variable is told before what is missing without it.
        parsed => environment::check(&Cli::command()).and(parsed).map_err(|error| match args.get(1) {
            Some(command) if command == "ask" => without_digits(error),
            Some(command)
                if command == "ledger"
                    && args.get(2).is_some_and(|word| word == "search" || word == "find") =>
            {
                without_digits(error)
            }
            _ => error,
        }),
    }
}

/// Clap's errors quote what was typed: with `ask`, `ledger search` and `ledger find`, an ID that stands in the wrong place.
fn without_digits(mut error: Error) -> Error {
    let masked: Vec<_> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => {
                Some((kind, ContextValue::String(text.replace(char::is_numeric, "*"))))
            }
            _ => None,
        })
        .collect();
    for (kind, value) in masked {
        error.insert(kind, value);
    }
    error
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
