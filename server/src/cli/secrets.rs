//! The secrets file: named keys, each with an id, mode 0600. A file may hold only what its user needs. The
//! last key of a kind is the current one; the others keep what was made with them readable.

use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ::ledger::{LedgerKeys, Month};
use clap::Subcommand;
use engine::MobileKey;
use serde::Deserialize;
use storage::{folder_of, is_private, replace, resolve, skip_bom};
use thiserror::Error;

use super::options::{CommandError, SecretsFile};
use super::rotate::{self, ForgetArgs, RotateArgs};
use crate::clock::system_ms;
use crate::toml_error::line_of;

#[derive(Subcommand)]
pub(crate) enum SecretsCommand {
    /// Make a new secrets file with one key of each kind
    Init(SecretsFile),
    /// Add keys for what is made from now on; old codes and entries stay readable
    Rotate(RotateArgs),
    /// Destroy the keys of old months, and with them the person IDs in the ledger's entries of then
    Forget(ForgetArgs),
}

pub(super) fn run(command: &SecretsCommand) -> Result<(), CommandError> {
    match command {
        SecretsCommand::Init(file) => Ok(init(&file.path)?),
        SecretsCommand::Rotate(args) => rotate::rotate(args),
        SecretsCommand::Forget(args) => rotate::forget(args),
    }
}

/// Why the secrets file is not used, or was not made. Never quotes the file.
#[derive(Debug, Error)]
pub(super) enum SecretsError {
    #[error("cannot read the secrets file {}: {source}; make one with `estehqaq secrets init`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the secrets file {} can be read by others (mode {mode:04o}); run `chmod 600` on it, or let it be read by a group of this user's alone (0440, 0640)", path.display())]
    Mode { path: PathBuf, mode: u32 },
    #[error("the secrets file {} is not as it should be at line {line}; compare it with a new one", path.display())]
    Syntax { path: PathBuf, line: usize },
    #[error("the secrets file {}: {kind} key {id} {fault}", path.display())]
    Key { path: PathBuf, kind: &'static str, id: u32, fault: KeyFault },
    #[error(
        "the secrets file {} holds no {kind} key, which this command needs; add it from the file it was made in, \
         or name another file",
        path.display()
    )]
    Missing { path: PathBuf, kind: &'static str },
    #[error("the secrets file {} holds no month key, which a server needs; add one with `estehqaq secrets rotate`", path.display())]
    NoMonth { path: PathBuf },
    #[error("the secrets file {} is there already; keys are never overwritten, choose another name", path.display())]
    Exists { path: PathBuf },
    #[error("cannot write the secrets file {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("another command is changing the secrets file {}, or one beside it; run this one again", path.display())]
    Busy { path: PathBuf },
    #[error("the system gives no random bytes for keys: {0}")]
    Random(getrandom::Error),
}

/// What is wrong with a key.
#[derive(Debug, Error)]
pub(super) enum KeyFault {
    #[error("is not 64 hexadecimal digits; copy it again from the file it was made in")]
    Hex,
    #[error("has an id that is no single digit; give it one of 0 to 9, since it stands first in each code")]
    NoDigit,
    #[error("has an id that is no month; give it one such as 202611")]
    NoMonth,
    #[error("stands there twice; keep the one that was used, and give a new key an id of its own")]
    Repeated,
}

/// What a secrets file holds.
pub(super) struct Secrets {
    path: PathBuf,
    mobile: Vec<MobileKey>,
    pub(super) tracking: Vec<(u8, [u8; 32])>,
    pub(super) ledger: Vec<(u32, [u8; 32])>,
    pub(super) month: Vec<(Month, [u8; 32])>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSecrets {
    #[serde(default)]
    mobile: Vec<RawKey>,
    #[serde(default)]
    tracking: Vec<RawKey>,
    #[serde(default)]
    ledger: Vec<RawKey>,
    #[serde(default)]
    month: Vec<RawKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    id: u32,
    key: String,
}

impl Secrets {
    pub(super) fn load(path: &Path) -> Result<Secrets, SecretsError> {
        let unreadable = |source| SecretsError::Read { path: path.to_owned(), source };
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if !is_private(&metadata) {
            return Err(SecretsError::Mode { path: path.to_owned(), mode: metadata.mode() & 0o7777 });
        }
        Secrets::parse(path, skip_bom(&fs::read_to_string(path).map_err(unreadable)?))
    }

    /// Reads the text of a secrets file.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Secrets, SecretsError> {
        let raw: RawSecrets = toml::from_str(text)
            .map_err(|error| SecretsError::Syntax { path: path.to_owned(), line: line_of(&error, text) })?;
        let mobile = checked_keys(path, "mobile", &raw.mobile, Ok)?;
        let digit = |id: u32| u8::try_from(id).ok().filter(|&id| id <= 9).ok_or(KeyFault::NoDigit);
        Ok(Secrets {
            path: path.to_owned(),
            mobile: mobile.into_iter().map(|(id, key)| MobileKey::new(id, key)).collect(),
            tracking: checked_keys(path, "tracking", &raw.tracking, digit)?,
            ledger: checked_keys(path, "ledger", &raw.ledger, Ok)?,
            month: checked_month_keys(path, &raw.month)?,
        })
    }

    /// All mobile keys.
    pub(super) fn mobile_keys(&self) -> &[MobileKey] {
        &self.mobile
    }

    /// The mobile key for new generations.
    pub(super) fn current_mobile_key(&self) -> Result<&MobileKey, SecretsError> {
        self.mobile.last().ok_or_else(|| self.missing("mobile"))
    }

    /// The tracking, ledger and month keys.
    pub(super) fn ledger_keys(&self) -> Result<LedgerKeys, SecretsError> {
        let (epoch, tracking) = self.tracking.last().ok_or_else(|| self.missing("tracking"))?;
        let (id, ledger) = self.ledger.last().ok_or_else(|| self.missing("ledger"))?;
        let mut keys = LedgerKeys::new(*epoch, tracking, *id, ledger);
        for (epoch, key) in &self.tracking {
            keys = keys.with_tracking(*epoch, key);
        }
        for (id, key) in &self.ledger {
            keys = keys.with_ledger(*id, key);
        }
        for (month, key) in &self.month {
            keys = keys.with_month(*month, key);
        }
        Ok(keys)
    }

    /// The same for a server, which writes and so needs a month key too.
    pub(super) fn server_keys(&self) -> Result<LedgerKeys, SecretsError> {
        let keys = self.ledger_keys()?;
        if self.month.is_empty() { Err(SecretsError::NoMonth { path: self.path.clone() }) } else { Ok(keys) }
    }

    fn missing(&self, kind: &'static str) -> SecretsError {
        SecretsError::Missing { path: self.path.clone(), kind }
    }
}

/// The keys of a kind of which each id has one.
fn checked_keys<I: PartialEq>(
    path: &Path,
    kind: &'static str,
    raw: &[RawKey],
    checked_id: impl Fn(u32) -> Result<I, KeyFault>,
) -> Result<Vec<(I, [u8; 32])>, SecretsError> {
    let keys = read_keys(path, kind, raw, checked_id)?;
    let repeated = (1..keys.len()).find(|&at| keys[..at].iter().any(|(known, _)| *known == keys[at].0));
    match repeated {
        Some(at) => {
            Err(SecretsError::Key { path: path.to_owned(), kind, id: raw[at].id, fault: KeyFault::Repeated })
        }
        None => Ok(keys),
    }
}

/// The month keys. A month has several after `forget`, which keeps what follows from each older key.
fn checked_month_keys(path: &Path, raw: &[RawKey]) -> Result<Vec<(Month, [u8; 32])>, SecretsError> {
    read_keys(path, "month", raw, |id| Month::from_number(id).ok_or(KeyFault::NoMonth))
}

fn read_keys<I>(
    path: &Path,
    kind: &'static str,
    raw: &[RawKey],
    checked_id: impl Fn(u32) -> Result<I, KeyFault>,
) -> Result<Vec<(I, [u8; 32])>, SecretsError> {
    let read = |RawKey { id, key }: &RawKey| {
        // A hash has the same form as a key: 32 bytes in hexadecimal.
        let key = *blake3::Hash::from_hex(key).map_err(|_| KeyFault::Hex)?.as_bytes();
        Ok((checked_id(*id)?, key))
    };
    let wrong = |id, fault| SecretsError::Key { path: path.to_owned(), kind, id, fault };
    raw.iter().map(|key| read(key).map_err(|fault| wrong(key.id, fault))).collect()
}

/// Makes a new secrets file.
pub(super) fn init(path: &Path) -> Result<(), SecretsError> {
    let changing = Changing::begin(path)?;
    if path.symlink_metadata().is_ok() {
        return Err(SecretsError::Exists { path: path.to_owned() });
    }
    changing.replace(&new_file()?)
}

/// Of a new file.
const MODE: u32 = 0o600;

/// The right to change a secrets file, which one command has at a time: of two that rotate at once, one would lose the
/// other's keys.
pub(super) struct Changing<'a> {
    path: &'a Path,
    _locked: File,
}

impl Changing<'_> {
    pub(super) fn begin(path: &Path) -> Result<Changing<'_>, SecretsError> {
        let failed = |source| SecretsError::Write { path: path.to_owned(), source };
        // The folder of the file itself, so that two commands meet by whichever link they come.
        let real = resolve(path).map_err(failed)?;
        let locked = File::open(folder_of(&real)).map_err(failed)?;
        match locked.try_lock() {
            Ok(()) => Ok(Changing { path, _locked: locked }),
            Err(TryLockError::WouldBlock) => Err(SecretsError::Busy { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Puts a text in the place of the file, once it proved to be that of a secrets file.
    pub(super) fn replace(&self, text: &str) -> Result<(), SecretsError> {
        Secrets::parse(self.path, text)?;
        replace(self.path, MODE, text.as_bytes())
            .map_err(|source| SecretsError::Write { path: self.path.to_owned(), source })
    }
}

fn new_file() -> Result<String, SecretsError> {
    let mut text = String::from(
        "# Keys of Estehqaq. Back this file up where only you can read it: without it neither tracking codes\n\
         # nor ledger entries can be read. Add keys at the end of their kind; never change or remove one that\n\
         # was used. A builder needs the mobile keys only.\n",
    );
    let kinds = [
        ("mobile", "fingerprints of mobile numbers: builder and servers"),
        ("tracking", "tracking codes: servers; the id is one digit and stands first in each code"),
        ("ledger", "the ledger's chain: servers"),
    ];
    for (kind, purpose) in kinds {
        let _ = write!(text, "\n# {purpose}\n");
        text.push_str(&new_key(kind, 1)?);
    }
    text.push_str("\n# person IDs in the ledger from that month on: servers; see docs/ledger.md\n");
    text.push_str(&new_key("month", this_month().number())?);
    Ok(text)
}

/// A key of that kind in the file's form.
pub(super) fn new_key(kind: &str, id: u32) -> Result<String, SecretsError> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(SecretsError::Random)?;
    Ok(key_text(kind, id, &key))
}

pub(super) fn key_text(kind: &str, id: u32, key: &[u8; 32]) -> String {
    let hex = blake3::Hash::from_bytes(*key).to_hex();
    format!("[[{kind}]]\nid = {id}\nkey = \"{hex}\"\n")
}

/// The month in Tehran now.
pub(super) fn this_month() -> Month {
    Month::at(system_ms())
}
