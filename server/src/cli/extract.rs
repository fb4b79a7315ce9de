//! `extract synth`: a population to try things with.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use engine::Day;
use synth::{SynthOptions, TargetsOptions, synthesize};

use super::options::{self, CommandError};
use super::output;
use super::progress::Bar;

#[derive(Subcommand)]
pub(crate) enum ExtractCommand {
    /// Make a realistic extract of any size; the same seed gives the same bytes
    Synth(SynthArgs),
}

#[derive(Args)]
pub(crate) struct SynthArgs {
    /// How many people, 1 to 90 million
    #[arg(long, value_name = "N", value_parser = options::people())]
    people: u64,
    /// Another seed makes other people
    #[arg(long, value_name = "S")]
    seed: u64,
    /// The extract, CSV
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The day on which the people are as they are; fixed, so that the same seed gives the same bytes
    #[arg(long, value_name = "DATE", value_parser = options::day, default_value = "2026-11-22")]
    as_of: Day,
    /// Also write a sample of inquiries with the answers they must get, NDJSON
    #[arg(long, value_name = "FILE")]
    targets: Option<PathBuf>,
    /// How many inquiries
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "targets")]
    targets_count: u64,
}

pub(super) fn run(command: ExtractCommand) -> Result<(), CommandError> {
    let ExtractCommand::Synth(args) = command;
    let count = args.targets_count;
    let options = SynthOptions {
        people: args.people,
        seed: args.seed,
        as_of: options::civil(args.as_of),
        out: args.out,
        targets: args.targets.map(|path| TargetsOptions { path, count }),
    };
    let bar = Bar::new("making people", args.people);
    let report = synthesize(&options, &|people| bar.set(people))?;
    bar.finish();
    let out = options.out.display();
    output::line(&format!("{out}: {} people, {} rows, {} bytes", report.people, report.rows, report.bytes))?;
    match options.targets {
        Some(targets) => output::line(&format!("{}: {} inquiries", targets.path.display(), report.targets)),
        None => Ok(()),
    }
}
