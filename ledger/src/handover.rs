//! How a command has an act written while a server holds the ledger: it leaves a request in the folder, the server takes
//! it up within a second, and leaves an answer. Only what was asked with the ledger's key, and just now, is taken; only
//! what was answered with that key, and to this request, is believed.

use std::io::{self, Read};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::disk::{Disk, write_all_at};
use crate::folder::publish;
use crate::format::Slot;
use crate::keys::{LedgerKeys, Tag};
use crate::ledger::Ledger;
use crate::month::Month;
use crate::record::{Act, Deed, Record};
use crate::restore::FileBytes;

/// A request's name begins so; an answer's in the other way. The same number follows in both.
const REQUEST: &str = "request-";
const ANSWER: &str = "answer-";
/// The first bytes of a request, and of an answer.
const MAGIC: [u8; 8] = *b"ESTQASKS";
const ANSWER_MAGIC: [u8; 8] = *b"ESTQTELL";
/// The longest answer that is read.
const ANSWER_LEN_MAX: u64 = 4096;
/// Set in the number under which a request's person is encrypted: no entry has such a sequence, and no two requests the
/// same number, so no keystream serves twice.
const NO_SEQUENCE: u64 = 1 << 63;
/// A request that is older, or from the future, is refused: whoever left it does not wait any more.
const AGE_MAX_MS: u64 = 60_000;
/// How often it is looked for an answer.
const LOOK: Duration = Duration::from_millis(20);
/// How long the one who took a request may take for it.
const WORK_MAX: Duration = Duration::from_secs(60);

const _: () = assert!(size_of::<RequestRecord>() == 256 && size_of::<AnswerRecord>() == 40);

/// A request's bytes; see FORMAT.md.
#[derive(Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct RequestRecord {
    pub(crate) magic: [u8; 8],
    pub(crate) ledger: U16,
    pub(crate) reserved_a: [u8; 2],
    pub(crate) key_id: U32,
    pub(crate) slot: Slot,
    /// Tells under which key of its month the slot is: that of the one who asks may be another than the server's.
    pub(crate) month_check: [u8; 8],
    pub(crate) reserved_b: [u8; 72],
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
            month_check: month.check(),
            ..RequestRecord::new_zeroed()
        };
        record.mac = key.mac(record.vouched());
        Some(record)
    }

    fn vouched(&self) -> &[u8] {
        &self.as_bytes()[..std::mem::offset_of!(RequestRecord, mac)]
    }

    /// The act, if somebody with the key asks this ledger for it.
    fn act(&self, ledger: u16, number: u64, keys: &LedgerKeys) -> Option<Act> {
        let key = keys.ledger(self.key_id.get())?;
        let right = self.magic == MAGIC
            && self.ledger.get() == ledger
            && self.slot.sequence.get() == number | NO_SEQUENCE
            && keys.month(self.slot.month.get())?.check() == self.month_check
            && key.mac(self.vouched()) == self.mac;
        match Record::decode(&self.slot, ledger, keys) {
            Ok(Some(Record::Act(act))) if right => Some(act),
            _ => None,
        }
    }
}

/// The bytes before an answer's text, behind which its `mac` stands; see FORMAT.md.
#[derive(Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct AnswerRecord {
    pub(crate) magic: [u8; 8],
    pub(crate) ledger: U16,
    pub(crate) done: u8,
    pub(crate) reserved: u8,
    pub(crate) key_id: U32,
    pub(crate) request: Tag,
    pub(crate) sequence: U64,
}

/// What became of a request: the sequence of its entry, or why it was refused.
type Outcome = Result<u64, String>;

impl AnswerRecord {
    /// An answer to the request with that `mac`.
    fn encode(outcome: &Outcome, request: Tag, ledger: u16, keys: &LedgerKeys) -> Vec<u8> {
        let key = keys.current();
        let (done, sequence, text) = match outcome {
            Ok(sequence) => (1, *sequence, ""),
            Err(reason) => (0, 0, reason.as_str()),
        };
        let record = AnswerRecord {
            magic: ANSWER_MAGIC,
            ledger: ledger.into(),
            done,
            reserved: 0,
            key_id: key.id().into(),
            request,
            sequence: sequence.into(),
        };
        let mut bytes = [record.as_bytes(), text.as_bytes()].concat();
        bytes.extend_from_slice(&key.mac(&bytes));
        bytes
    }

    /// What the answer to that request says; none when it was not made for it with one of these keys.
    fn decode(bytes: &[u8], request: &Tag, ledger: u16, keys: &LedgerKeys) -> Option<Outcome> {
        let (vouched, mac) = bytes.split_last_chunk::<16>()?;
        let (record, text) = AnswerRecord::read_from_prefix(vouched).ok()?;
        let right = record.magic == ANSWER_MAGIC
            && record.ledger.get() == ledger
            && record.request == *request
            && keys.ledger(record.key_id.get())?.mac(vouched) == *mac;
        let outcome = match record.done {
            1 => Ok(record.sequence.get()),
            _ => Err(String::from_utf8_lossy(text).into_owned()),
        };
        right.then_some(outcome)
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
    /// There is an answer, but not one by somebody with the ledger's key.
    #[error(
        "{path} was not written with this ledger's key, or not as an answer to this request: look who can write into the \
         folder, and into the log of the process that holds the ledger for what became of the request"
    )]
    NotBelieved {
        /// The answer's file.
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
/// [`AskError`]. But for [`AskError::NoAnswer`], [`AskError::NotBelieved`] and a pruning that a disk failed in
/// ([`AskError::Refused`]) nothing was done.
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
        let answered = read_bytes(disk, &answer).map_err(|source| failed(&answer, source))?;
        // One that somebody else put there is passed over: the right one takes its place.
        let outcome = answered.as_ref().map(|bytes| AnswerRecord::decode(bytes, &record.mac, ledger, keys));
        if let Some(Some(outcome)) = outcome {
            let _ = disk.remove(&answer); // The next opening removes it as well.
            return outcome.map_err(AskError::Refused);
        }
        if is_taken && answered.is_some() {
            return Err(AskError::NotBelieved { path: disk.describe(&answer) });
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
    /// searches are noted, prunings done. How many requests there were. One that cannot be read holds up none but itself.
    ///
    /// # Errors
    /// When the folder cannot be read or written: the first failure.
    pub fn serve_requests(&self) -> io::Result<usize> {
        let disk = self.disk().as_ref();
        let named = |name: String| number_of(&name).map(|number| (name, number));
        let requests: Vec<(String, u64)> = disk.list()?.into_iter().filter_map(named).collect();
        let mut failed = None;
        for (request, number) in &requests {
            if let Err(error) = self.serve_file(request, *number) {
                let told = io::Error::new(error.kind(), format!("{}: {error}", disk.describe(request)));
                failed = failed.or(Some(told));
            }
        }
        failed.map_or(Ok(requests.len()), Err)
    }

    fn serve_file(&self, request: &str, number: u64) -> io::Result<()> {
        let disk = self.disk().as_ref();
        let bytes = read_bytes(disk, request)?;
        // Whoever removes it has it: the one who asked may have given up.
        match disk.remove(request) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed?,
        }
        let bytes = bytes.unwrap_or_default();
        let outcome = self.serve_request(&bytes, number);
        let asked = bytes.last_chunk().copied().unwrap_or_default();
        let text = AnswerRecord::encode(&outcome, asked, self.number(), self.keys());
        let answer = request.replacen(REQUEST, ANSWER, 1);
        publish(disk, &answer, |file| write_all_at(file, &text, 0))
    }

    fn serve_request(&self, bytes: &[u8], number: u64) -> Outcome {
        let record =
            RequestRecord::read_from_bytes(bytes).map_err(|_| "the request is of another version")?;
        let act = record.act(self.number(), number, self.keys());
        let act = act.ok_or("the request was not made with the keys that the ledger is written with now: use its secrets file, and if its month key \
             is a new one, ask again in a minute")?;
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

fn read_bytes(disk: &dyn Disk, name: &str) -> io::Result<Option<Vec<u8>>> {
    match disk.open_read(name) {
        Ok(file) => {
            let mut bytes = Vec::new();
            FileBytes::new(file, ANSWER_LEN_MAX).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
