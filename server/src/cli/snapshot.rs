//! `snapshot build` and `snapshot verify`; the other commands of `snapshot` are in `generations`,
//! `inspect` and `diff`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use engine::Day;
use snapshots::{BuildOptions, BuildReport, MemoryBound, build, open_signed_generation};

use super::diff::{self, DiffArgs};
use super::gates::GateSettings;
use super::generations::{
    self, KeygenArgs, ListArgs, PruneArgs, PublishArgs, RollbackArgs, operator, signing_key, store,
};
use super::inspect::{self, InspectArgs};
use super::options::{self, CommandError, SecretsFile, SnapshotsDir, WhichGeneration};
use super::output;
use super::progress::BuildBars;
use super::secrets::Secrets;

#[derive(Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Build a generation from a nightly extract, verify it, and publish it
    Build(BuildArgs),
    /// Open a generation as a server would: every byte, every record, its signatures, its self-test
    Verify(VerifyArgs),
    /// Make a key pair for signing generations
    Keygen(KeygenArgs),
    /// The generations and where each stands
    List(ListArgs),
    /// All of one generation, and how each gate judges it
    Inspect(InspectArgs),
    /// What became of the people from one generation to another
    Diff(DiffArgs),
    /// Make a generation that is there the current one
    Publish(PublishArgs),
    /// Go back to the generation before; the current one is not published again by accident
    Rollback(RollbackArgs),
    /// Remove old generations
    Prune(PruneArgs),
}

#[derive(Args)]
pub(crate) struct BuildArgs {
    /// The nightly extract, CSV or Parquet; its first bytes tell which
    #[arg(long, value_name = "FILE")]
    extract: PathBuf,
    #[command(flatten)]
    snapshots: SnapshotsDir,
    #[command(flatten)]
    secrets: SecretsFile,
    /// The day for which the extract was made; today in Tehran if not given
    #[arg(long, value_name = "DATE", value_parser = options::day)]
    as_of: Option<Day>,
    #[command(flatten)]
    gates: GateSettings,
    /// Publish although gates refuse, for this reason
    #[arg(long, value_name = "REASON", value_parser = options::reason)]
    accept: Option<String>,
    /// Memory to use at most, such as 2GiB; rows beyond it are put aside on disk [default: 4GiB, or less on a
    /// small machine]
    #[arg(long, value_name = "BYTES")]
    memory: Option<MemoryBound>,
    /// Sign the generation with the key in this file
    #[arg(long, value_name = "FILE", env = "ESTEHQAQ_SIGNING_KEY")]
    signing_key: Option<PathBuf>,
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
    /// The generation: its name, `current`, or `previous`, where a rollback would lead
    #[arg(value_name = "GENERATION", default_value = "current")]
    generation: WhichGeneration,
    /// Take it only if it is signed with a key in this file, one a line, as `serve --public-key` does
    #[arg(long, value_name = "FILE", env = "ESTEHQAQ_PUBLIC_KEY")]
    public_key: Option<PathBuf>,
}

pub(super) fn run(command: &SnapshotCommand) -> Result<(), CommandError> {
    match command {
        SnapshotCommand::Build(args) => run_build(args),
        SnapshotCommand::Verify(args) => run_verify(args),
        SnapshotCommand::Keygen(args) => generations::keygen(args),
        SnapshotCommand::List(args) => generations::list(args),
        SnapshotCommand::Inspect(args) => inspect::run(args),
        SnapshotCommand::Diff(args) => diff::run(args),
        SnapshotCommand::Publish(args) => generations::publish(args),
        SnapshotCommand::Rollback(args) => generations::rollback(args),
        SnapshotCommand::Prune(args) => generations::prune(args),
    }
}

fn run_build(args: &BuildArgs) -> Result<(), CommandError> {
    let secrets = Secrets::load(&args.secrets.path)?;
    let bars = BuildBars::default();
    let show = |progress| bars.show(progress);
    let as_of = options::day_or_today(args.as_of)?;
    let key = secrets.current_mobile_key()?;
    let mut build_options = BuildOptions::new(&args.extract, &args.snapshots.dir, key, as_of);
    build_options.limits = args.gates.limits();
    build_options.signing_key = signing_key(args.signing_key.as_deref())?;
    build_options.memory = args.memory.unwrap_or_default();
    build_options.by = operator();
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
    let public_keys = args.public_key.as_deref().map_or(Ok(Vec::new()), options::read_public_keys)?;
    let name = args.generation.name(&store(&args.snapshots))?;
    let keys = secrets.mobile_keys();
    let generation = open_signed_generation(&args.snapshots.dir, &name, keys, &public_keys)?;
    generation.self_test().map_err(|error| CommandError::failed(format!("{name}: {error}")))?;
    let content = &generation.content;
    output::line(&format!(
        "{} is whole: {} people, {} incomplete, {} entitlements",
        generation.name, content.people, content.incomplete, content.entitlements
    ))
}
