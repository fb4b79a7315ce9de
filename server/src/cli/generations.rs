//! `snapshot keygen`, `list`, `publish`, `rollback` and `prune`: the states of generations, changed one at a time and
//! written into the journal of the snapshots folder.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use snapshots::{GenerationName, PublishOptions, SigningKey, Store};
use storage::{Output, skip_bom};

use super::gates::GateSettings;
use super::options::{self, CommandError, SnapshotsDir};
use super::output;

#[derive(Args)]
pub(crate) struct KeygenArgs {
    /// The file of the key that signs, for builders alone; mode 0600
    #[arg(long, value_name = "FILE")]
    signing_key: PathBuf,
    /// The file of the key that checks, for servers
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
}

#[derive(Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    snapshots: SnapshotsDir,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    snapshots: SnapshotsDir,
    /// The generation
    #[arg(value_name = "GENERATION")]
    generation: GenerationName,
    #[command(flatten)]
    gates: GateSettings,
    /// Publish although gates refuse, or it was rolled back, for this reason
    #[arg(long, value_name = "REASON", value_parser = options::reason)]
    accept: Option<String>,
    /// Sign the changed publication.json with the key in this file
    #[arg(long, value_name = "FILE", env = "ESTEHQAQ_SIGNING_KEY")]
    signing_key: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    snapshots: SnapshotsDir,
    /// Where to; the generation before the current one if not given
    #[arg(long, value_name = "GENERATION")]
    to: Option<GenerationName>,
    /// Why; it stands in the journal
    #[arg(long, value_name = "REASON")]
    why: Option<String>,
}

#[derive(Args)]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    snapshots: SnapshotsDir,
    /// How many generations of each state stay, beside the current one
    #[arg(long, value_name = "N")]
    keep: usize,
    /// Why; it stands in the journal
    #[arg(long, value_name = "REASON")]
    why: Option<String>,
}

/// Who changes a state, as the journal has it.
pub(super) fn operator() -> String {
    format!("uid {}", rustix::process::getuid().as_raw())
}

pub(super) fn store(snapshots: &SnapshotsDir) -> Store {
    Store::new(&snapshots.dir, operator())
}

/// Reads the key that signs.
pub(super) fn signing_key(path: Option<&Path>) -> Result<Option<SigningKey>, CommandError> {
    let Some(path) = path else { return Ok(None) };
    let failed = |error: &dyn std::fmt::Display| {
        CommandError::failed(format!("cannot take {}: {error}; check --signing-key", path.display()))
    };
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    SigningKey::parse(skip_bom(&text)).map(Some).map_err(|error| failed(&error))
}

pub(super) fn keygen(args: &KeygenArgs) -> Result<(), CommandError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    let key = SigningKey::from_bytes(&bytes);
    // Both are opened before either is written: one key without the other is of no use.
    let (secret, public) = (open_new(&args.signing_key, 0o600)?, open_new(&args.public_key, 0o644)?);
    write(secret, &args.signing_key, &key.reveal_file())?;
    write(public, &args.public_key, &key.public().file())?;
    output::line(&format!("key {}", key.public().id()))
}

fn open_new(path: &Path, mode: u32) -> Result<Output, CommandError> {
    Output::open_new(path, mode).map_err(|error| cannot_write(path, &error.source))
}

fn write(mut file: Output, path: &Path, text: &str) -> Result<(), CommandError> {
    let written = file.write_all(text.as_bytes()).and_then(|()| file.finish());
    written.map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> CommandError {
    let cure = match error.kind() {
        io::ErrorKind::AlreadyExists => "choose another name: a key is never overwritten",
        _ => "check the folder and its free space",
    };
    CommandError::failed(format!("cannot write {}: {error}; {cure}", path.display()))
}

pub(super) fn list(args: &ListArgs) -> Result<(), CommandError> {
    let listed = store(&args.snapshots).list()?;
    if args.json {
        return output::json(&listed);
    }
    for one in listed {
        let since = one.since.map_or("-".to_owned(), |since| since.to_string());
        let why = one.why.map_or(String::new(), |why| format!("  {why}"));
        let by = one.by.as_deref().unwrap_or("-");
        output::line(&format!("{}  {:<11}  {since}  {by}{why}", one.generation, one.state.code()))?;
    }
    Ok(())
}

pub(super) fn publish(args: &PublishArgs) -> Result<(), CommandError> {
    let options = PublishOptions {
        limits: args.gates.limits(),
        accept: args.accept.clone(),
        signing_key: signing_key(args.signing_key.as_deref())?,
    };
    let published = store(&args.snapshots).publish(&args.generation, &options)?;
    match published.before {
        Some(before) if before == published.generation => {
            output::line(&format!("{before} is current already"))
        }
        Some(before) => output::line(&format!("published {} in the place of {before}", published.generation)),
        None => output::line(&format!("published {}", published.generation)),
    }
}

pub(super) fn rollback(args: &RollbackArgs) -> Result<(), CommandError> {
    let done = store(&args.snapshots).rollback(args.to, args.why.clone())?;
    output::line(&format!("{} is current; {} was taken back", done.to, done.generation))
}

pub(super) fn prune(args: &PruneArgs) -> Result<(), CommandError> {
    let pruned = store(&args.snapshots).prune(args.keep, args.why.clone())?;
    pruned.iter().try_for_each(|generation| output::line(&format!("pruned {generation}")))
}
