//! How a command has an act written while a server holds the ledger: it leaves a request in the folder, the server takes
//! it up within a second, and leaves an answer. Only what was asked with the ledger's key, and just now, is taken.

use std::io::{self, Read};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::disk::{Disk, write_all_at};
use crate::folder::publish;
use crate::format::Slot;
use crate::keys::LedgerKeys;
use crate::ledger::Ledger;
use crate::month::Month;
use crate::record::{Act, Deed, Record};
use crate::restore::FileBytes;

/// A request's name begins so; an answer's in the other way. The same number follows in both.
const REQUEST: &str = "request-";
const ANSWER: &str = "answer-";
/// The first bytes of a request.
const MAGIC: [u8; 8] = *b"ESTQASKS";
/// Set in the number under which a request's person is encrypted: no entry has such a sequence, and no two requests the
/// same number, so no keystream serves twice.
const NO_SEQUENCE: u64 = 1 << 63;
/// A request that is older, or from the future, is refused: whoever left it does not wait any more.
const AGE_MAX_MS: u64 = 60_000;
/// How often it is looked for an answer.
const LOOK: Duration = Duration::from_millis(20);
/// How long the one who took a request may take for it.
const WORK_MAX: Duration = Duration::from_secs(60);

const _: () = assert!(size_of::<RequestRecord>() == 256);

/// A request's bytes; see FORMAT.md.
#[derive(Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct RequestRecord {
    pub(crate) magic: [u8; 8],
    pub(crate) ledger: U16,
    pub(crate) reserved_a: [u8; 2],
    pub(crate) key_id: U32,
    pub(crate) slot: Slot,
    pub(crate) reserved_b: [u8; 80],
    pub(crate) mac: [u8; 16],
}

impl RequestRecord {
    fn new(act: &Act, ledger: u16, keys: &LedgerKeys, number: u64) -> Option<RequestRecord> {
        let key = keys.current();
        let month = keys.months.for_writing(Month::at(act.time_ms))?;
        let mut record = RequestRecord {
            magic: MAGIC,
            ledger: ledger.into(),
            key_id: key.id().into(),
            slot: Record::Act(act.clone()).encode(ledger, number | NO_SEQUENCE, &month),
            ..RequestRecord::new_zeroed()
        };
        record.mac = key.mac(record.vouched());
        Some(record)
    }

    fn vouched(&self) -> &[u8] {
        &self.as_bytes()[..std::mem::offset_of!(RequestRecord, mac)]
    }

    /// The act, if somebody with the key asks this ledger for it.
    fn act(&self, ledger: u16, keys: &LedgerKeys) -> Option<Act> {
        let key = keys.ledger(self.key_id.get())?;
        let right = self.magic == MAGIC && self.ledger.get() == ledger && key.mac(self.vouched()) == self.mac;
        match Record::decode(&self.slot, ledger, keys) {
            Ok(Some(Record::Act(act))) if right => Some(act),
            _ => None,
        }
    }
}

/// Why a request came to nothing.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nobody took it.
    #[error(
        "{path} is locked by a process that does not take requests, or hangs: run the command again, or stop that process \
         and run it then; nothing was done"
    )]
    NotTaken {
        /// The lock file.
        path: String,
    },
    /// The one who took it gave no answer.
    #[error(
        "the process that holds {path} took the request and has not answered: look into its log for what became of it, \
         and run the command again if nothing did"
    )]
    NoAnswer {
        /// The lock file.
        path: String,
    },
    /// It was refused.
    #[error("the process that holds the ledger refused: {0}")]
    Refused(String),
    /// Acts cannot be written without a month's key.
    #[error("there is no month key: add one with `estehqaq secrets rotate`")]
    NoMonthKey,
    /// The disk failed.
    #[error(
        "cannot leave a request at {path}: {source}; run the command as the user that the service runs as"
    )]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}

/// Asks whoever holds the ledger to do this act, and waits until it is on stable storage; its sequence. `number` tells
/// this request from all others; `patience` is for somebody to take it up.
///
/// # Errors
/// [`AskError`]. But for [`AskError::NoAnswer`] nothing was done.
pub fn ask(
    disk: &dyn Disk,
    act: &Act,
    ledger: u16,
    keys: &LedgerKeys,
    number: u64,
    patience: Duration,
) -> Result<u64, AskError> {
    let (request, answer) = (format!("{REQUEST}{number:016x}"), format!("{ANSWER}{number:016x}"));
    let failed = |name: &str, source| AskError::Io { path: disk.describe(name), source };
    let record = RequestRecord::new(act, ledger, keys, number).ok_or(AskError::NoMonthKey)?;
    let published = publish(disk, &request, |file| write_all_at(file, record.as_bytes(), 0));
    published.map_err(|source| failed(&request, source))?;
    let begun = Instant::now();
    let mut is_taken = false;
    loop {
        let answered = read_whole(disk, &answer).map_err(|source| failed(&answer, source))?;
        if let Some(text) = answered {
            let _ = disk.remove(&answer); // The next opening removes it as well.
            return match text.strip_prefix("done ").and_then(|sequence| sequence.parse().ok()) {
                Some(sequence) => Ok(sequence),
                None => Err(AskError::Refused(text)),
            };
        }
        let path = || disk.describe("LOCK");
        if is_taken && begun.elapsed() > patience + WORK_MAX {
            return Err(AskError::NoAnswer { path: path() });
        }
        if !is_taken && begun.elapsed() > patience {
            match disk.remove(&request) {
                Ok(()) => return Err(AskError::NotTaken { path: path() }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => is_taken = true,
                Err(source) => return Err(failed(&request, source)),
            }
        }
        thread::sleep(LOOK);
    }
}

impl Ledger {
    /// Does what commands have asked for since the last call: to be called about once a second. Exports, reads and
    /// searches are noted, prunings done. How many requests there were.
    ///
    /// # Errors
    /// When the folder cannot be read or written.
    pub fn serve_requests(&self) -> io::Result<usize> {
        let disk = self.disk().as_ref();
        let requests: Vec<String> =
            disk.list()?.into_iter().filter(|name| number_of(name).is_some()).collect();
        for request in &requests {
            let bytes = read_bytes(disk, request)?;
            // Whoever removes it has it: the one who asked may have given up.
            match disk.remove(request) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                removed => removed?,
            }
            let text = match self.serve_request(&bytes.unwrap_or_default()) {
                Ok(sequence) => format!("done {sequence}"),
                Err(reason) => reason,
            };
            let answer = request.replacen(REQUEST, ANSWER, 1);
            publish(disk, &answer, |file| write_all_at(file, text.as_bytes(), 0))?;
        }
        Ok(requests.len())
    }

    fn serve_request(&self, bytes: &[u8]) -> Result<u64, String> {
        let record =
            RequestRecord::read_from_bytes(bytes).map_err(|_| "the request is of another version")?;
        let act = record.act(self.number(), self.keys());
        let act = act.ok_or("the request was not made with this ledger's keys")?;
        if act.time_ms.abs_diff(self.now_ms()) > AGE_MAX_MS {
            return Err("the request is too old, or the clocks differ".to_owned());
        }
        match act.deed {
            Deed::Export { .. } | Deed::DeskRead { .. } | Deed::DeskSearch { .. } => {
                let receipt = self.append(act).map_err(|error| error.to_string())?.wait();
                Ok(receipt.map_err(|error| error.to_string())?.sequence)
            }
            Deed::Prune { segment, .. } => {
                let last = (segment > 0).then_some(segment);
                let pruned = self.prune(last, act.actor).map_err(|error| error.to_string())?;
                Ok(pruned.sequence.unwrap_or(0))
            }
        }
    }

    /// Removes answers that nobody came for; requests that nobody waits for any more are too old by themselves.
    pub(crate) fn forget_answers(disk: &dyn Disk) -> io::Result<()> {
        disk.list()?.iter().filter(|name| name.starts_with(ANSWER)).try_for_each(|name| disk.remove(name))
    }
}

/// The number of a request by its file's name.
fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(REQUEST)?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

fn read_whole(disk: &dyn Disk, name: &str) -> io::Result<Option<String>> {
    let bytes = read_bytes(disk, name)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn read_bytes(disk: &dyn Disk, name: &str) -> io::Result<Option<Vec<u8>>> {
    match disk.open_read(name) {
        Ok(file) => {
            let mut bytes = Vec::new();
            FileBytes::new(file, 4096).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
