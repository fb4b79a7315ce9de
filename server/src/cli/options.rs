//! Options that several commands share, how their values are read, and the one error of all commands.

use std::error::Error;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use engine::{Day, IdKind};
use snapshots::{GenerationName, PublicKey, Store, read_current};
use storage::skip_bom;
use synth::PEOPLE_MAX;

/// The snapshots folder.
#[derive(Args)]
pub(super) struct SnapshotsDir {
    /// Folder of the generations
    #[arg(long = "snapshots", value_name = "DIR", env = "ESTEHQAQ_SNAPSHOTS")]
    pub(super) dir: PathBuf,
}

/// The secrets file.
#[derive(Args)]
pub(super) struct SecretsFile {
    /// Secrets file, mode 0600
    #[arg(long = "secrets", value_name = "FILE", env = "ESTEHQAQ_SECRETS")]
    pub(super) path: PathBuf,
}

/// The ledger folder.
#[derive(Args)]
pub(super) struct LedgerDir {
    /// Ledger folder
    #[arg(long = "ledger", value_name = "DIR", env = "ESTEHQAQ_LEDGER")]
    pub(super) dir: PathBuf,
}

/// Reads a number of people to make.
pub(super) fn people() -> RangedU64ValueParser {
    RangedU64ValueParser::new().range(1..=PEOPLE_MAX)
}

/// Reads a date argument, Jalali or Gregorian.
pub(super) fn day(text: &str) -> Result<Day, engine::DateError> {
    Day::parse(text)
}

/// The same day for `synth`, which shares no code with the engine.
pub(super) fn civil(day: Day) -> jiff::civil::Date {
    let (year, month, day) = day.gregorian();
    jiff::civil::date(year as i16, month as i8, day as i8)
}

/// Reads the kind of an ID.
pub(super) fn id_kind(text: &str) -> Result<IdKind, String> {
    IdKind::from_code(text).ok_or_else(|| "give national or foreign".to_owned())
}

/// Reads a reason, which stands in the journal for good.
pub(super) fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("say why".to_owned()) } else { Ok(text.to_owned()) }
}

/// The date given, or today in Tehran.
pub(super) fn day_or_today(day: Option<Day>) -> Result<Day, CommandError> {
    day.or_else(crate::today_in_tehran)
        .ok_or_else(|| CommandError::failed("this machine's clock is out of range; set it, or give the date"))
}

/// One key a line: while the signing key changes, the old one and the new one.
pub(super) fn read_public_keys(path: &Path) -> Result<Vec<PublicKey>, CommandError> {
    let failed = |error: &dyn fmt::Display| {
        CommandError::failed(format!("cannot take {}: {error}; check --public-key", path.display()))
    };
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    let lines = skip_bom(&text).lines().filter(|line| !line.trim().is_empty());
    let keys: Result<Vec<_>, _> = lines.map(PublicKey::parse).collect();
    match keys.map_err(|error| failed(&error))? {
        keys if keys.is_empty() => Err(failed(&"it holds no key")),
        keys => Ok(keys),
    }
}

/// A generation by its name, or by where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhichGeneration {
    Named(GenerationName),
    /// What `CURRENT` names.
    Current,
    /// Where a rollback would lead.
    Previous,
}

impl FromStr for WhichGeneration {
    type Err = String;

    fn from_str(text: &str) -> Result<WhichGeneration, String> {
        match text {
            "current" => Ok(WhichGeneration::Current),
            "previous" => Ok(WhichGeneration::Previous),
            name => name
                .parse()
                .map(WhichGeneration::Named)
                .map_err(|error| format!("{error}, current or previous")),
        }
    }
}

impl WhichGeneration {
    pub(super) fn name(self, store: &Store) -> Result<GenerationName, CommandError> {
        match self {
            WhichGeneration::Named(name) => Ok(name),
            WhichGeneration::Current => Ok(read_current(store.dir())?),
            WhichGeneration::Previous => store.rollback_target()?.ok_or_else(|| {
                CommandError::failed(
                    "no generation was current before; name one from `estehqaq snapshot list`",
                )
            }),
        }
    }
}

/// Why a command did not do its work.
#[derive(Debug)]
pub(super) enum CommandError {
    /// Refused or failed; the message says what to do next.
    Failed(Box<dyn Error + Send + Sync>),
    /// The command was not given as it must be.
    Usage(String),
}

impl CommandError {
    pub(super) fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> CommandError {
        CommandError::Failed(error.into())
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            CommandError::Failed(_) => 1,
            CommandError::Usage(_) => 2,
        })
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandError::Failed(error) => error.fmt(f),
            CommandError::Usage(message) => f.write_str(message),
        }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for CommandError {
    fn from(error: E) -> CommandError {
        CommandError::Failed(Box::new(error))
    }
}
