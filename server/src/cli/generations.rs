//! `snapshot keygen`, `list`, `publish`, `rollback` and `prune`: the states of generations, changed one at a time and
//! written into the journal of the snapshots folder.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use snapshots::{GateLimits, GenerationName, PublishOptions, SigningKey, Store};

use super::options::{CommandError, SnapshotsDir};
use super::output;

/// The limits of the gates between build and publish; shares are 0 to 1.
#[derive(Args)]
pub(super) struct GateArgs {
    /// Largest share of rejected rows
    #[arg(long, value_name = "SHARE", default_value_t = GateLimits::default().max_rejected, value_parser = share)]
    max_rejected: f64,
    /// Largest share of incomplete people [default: 0.005, or --max-rejected if that is more]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    max_incomplete: Option<f64>,
    /// Largest share of people with one and the same entitlement
    #[arg(long, value_name = "SHARE", default_value_t = GateLimits::default().max_shared, value_parser = share)]
    max_shared: f64,
    /// People, at least
    #[arg(long, value_name = "N", default_value_t = GateLimits::default().min_people)]
    min_people: u64,
    /// Largest change of the number of people against the current generation
    #[arg(long, value_name = "SHARE", default_value_t = GateLimits::default().max_people_change, value_parser = share)]
    max_people_change: f64,
    /// Largest change of the share of people covered on the as-of date; 0.01 is a point
    #[arg(long, value_name = "SHARE", default_value_t = GateLimits::default().max_covered_change, value_parser = share)]
    max_covered_change: f64,
    /// Largest change of the people of each category and relation
    #[arg(long, value_name = "SHARE", default_value_t = GateLimits::default().max_group_change, value_parser = share)]
    max_group_change: f64,
    /// Largest change of the people whose IDs share their first three digits, where there are over 1,000
    #[arg(long, value_name = "SHARE", default_value_t = GateLimits::default().max_area_change, value_parser = share)]
    max_area_change: f64,
    /// Allow an as-of date older than the current generation's
    #[arg(long)]
    allow_older: bool,
}

impl GateArgs {
    pub(super) fn limits(&self) -> GateLimits {
        let usual = GateLimits::default();
        GateLimits {
            max_rejected: self.max_rejected,
            max_incomplete: self.max_incomplete.unwrap_or(usual.max_incomplete.max(self.max_rejected)),
            max_shared: self.max_shared,
            min_people: self.min_people,
            max_people_change: self.max_people_change,
            max_covered_change: self.max_covered_change,
            max_group_change: self.max_group_change,
            max_area_change: self.max_area_change,
            area_people: usual.area_people,
            allow_older: self.allow_older,
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "give a number from 0 to 1".to_owned())
}

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
    gates: GateArgs,
    /// Publish although gates refuse, or it was rolled back, for this reason
    #[arg(long, value_name = "REASON")]
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

fn store(snapshots: &SnapshotsDir) -> Store {
    Store::new(&snapshots.dir, operator())
}

/// Reads the key that signs.
pub(super) fn signing_key(path: Option<&Path>) -> Result<Option<SigningKey>, CommandError> {
    let Some(path) = path else { return Ok(None) };
    let failed = |error: &dyn std::fmt::Display| {
        CommandError::failed(format!("cannot take {}: {error}; check --signing-key", path.display()))
    };
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    SigningKey::parse(&text).map(Some).map_err(|error| failed(&error))
}

pub(super) fn keygen(args: &KeygenArgs) -> Result<(), CommandError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    let key = SigningKey::from_bytes(&bytes);
    write_new(&args.signing_key, 0o600, &key.reveal_file())?;
    write_new(&args.public_key, 0o644, &key.public().file())?;
    output::line(&format!("key {}", key.public().id()))
}

fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), CommandError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = opened.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| {
        let cure = match error.kind() {
            io::ErrorKind::AlreadyExists => "choose another name: a key is never overwritten",
            _ => "check the folder and its free space",
        };
        CommandError::failed(format!("cannot write {}: {error}; {cure}", path.display()))
    })
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
