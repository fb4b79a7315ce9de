//! `snapshot build` and `snapshot verify`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use engine::Day;
use snapshots::{BuildOptions, BuildReport, GateLimits, build, open_current};

use super::options::{self, CommandError, SecretsFile, SnapshotsDir};
use super::output;
use super::progress::BuildBars;
use super::secrets::Secrets;

#[derive(Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Build a generation from a nightly extract, verify it, and publish it
    Build(BuildArgs),
    /// Open the current generation as a server would, checking every byte
    Verify(VerifyArgs),
}

#[derive(Args)]
pub(crate) struct BuildArgs {
    /// The nightly extract, CSV
    #[arg(long, value_name = "FILE")]
    extract: PathBuf,
    #[command(flatten)]
    snapshots: SnapshotsDir,
    #[command(flatten)]
    secrets: SecretsFile,
    /// The day for which the extract was made; today in Tehran if not given
    #[arg(long, value_name = "DATE", value_parser = options::day)]
    as_of: Option<Day>,
    /// Largest share of rejected rows with which a generation is published, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.005, value_parser = share)]
    max_rejected: f64,
    /// Publish although gates refuse, for this reason
    #[arg(long, value_name = "REASON")]
    accept: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    snapshots: SnapshotsDir,
    #[command(flatten)]
    secrets: SecretsFile,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "give a number from 0 to 1".to_owned())
}

pub(super) fn run(command: &SnapshotCommand) -> Result<(), CommandError> {
    match command {
        SnapshotCommand::Build(args) => run_build(args),
        SnapshotCommand::Verify(args) => run_verify(args),
    }
}

fn run_build(args: &BuildArgs) -> Result<(), CommandError> {
    let secrets = Secrets::load(&args.secrets.path)?;
    let bars = BuildBars::default();
    let show = |progress| bars.show(progress);
    let as_of = options::day_or_today(args.as_of)?;
    let key = secrets.current_mobile_key()?;
    let mut build_options = BuildOptions::new(&args.extract, &args.snapshots.dir, key, as_of);
    build_options.limits = GateLimits {
        max_rejected: args.max_rejected,
        max_incomplete: args.max_rejected.max(GateLimits::default().max_incomplete),
        ..GateLimits::default()
    };
    build_options.accept = args.accept.clone();
    build_options.progress = &show;
    let report = build(&build_options);
    bars.finish();
    let report = report?;
    if args.json { output::json(&report) } else { output::line(&summary(&report)) }
}

fn summary(report: &BuildReport) -> String {
    let BuildReport { generation, rows, people, incomplete, entitlements, rejected, duplicates, .. } = report;
    let warnings: Vec<_> = report.warnings.iter().map(|(code, count)| format!("{code} {count}")).collect();
    let warnings = if warnings.is_empty() { "none".to_owned() } else { warnings.join(", ") };
    format!(
        "published {generation}\n\
         {rows} rows: {entitlements} entitlements, {duplicates} duplicates, {rejected} rejected (see {})\n\
         {people} people, {incomplete} incomplete\n\
         warnings: {warnings}",
        report.rejects_path.display()
    )
}

fn run_verify(args: &VerifyArgs) -> Result<(), CommandError> {
    let secrets = Secrets::load(&args.secrets.path)?;
    let generation = open_current(&args.snapshots.dir, secrets.mobile_keys())?;
    let content = &generation.content;
    output::line(&format!(
        "{} is whole: {} people, {} incomplete, {} entitlements",
        generation.name, content.people, content.incomplete, content.entitlements
    ))
}
