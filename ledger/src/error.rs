//! What can go wrong, one enum per operation. Messages say what failed and what to do next, and hold no
//! personal data.

use std::fmt;
use std::io;

use thiserror::Error;

use crate::month::Month;

/// A place in a segment file that does not hold what it must. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: String,
    /// The entry's ordinal in the file, from 0.
    pub slot: u64,
    /// The byte where the entry begins.
    pub offset: u64,
    /// What is wrong.
    pub kind: DamageKind,
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DamageKind {
    /// The checksum is wrong, and what follows was written after this entry had been synced.
    #[error("its checksum is wrong, though entry {later} after it was written later")]
    Checksum {
        /// A later entry, or later bytes, in slots.
        later: u64,
    },
    /// The entry itself cannot be read.
    #[error("its checksum is wrong")]
    Unreadable,
    /// The sequence does not follow the entry before.
    #[error("its sequence {found} does not follow {before}")]
    Sequence {
        /// The sequence before.
        before: u64,
        /// The sequence found.
        found: u64,
    },
    /// The place within its batch does not follow the entry before.
    #[error("its place in its batch does not follow the entry before")]
    BatchPlace,
    /// The chain is broken.
    #[error("its chain tag is wrong: an entry was changed or removed, or the ledger key {key_id} is another")]
    Chain {
        /// The id of the ledger key it claims.
        key_id: u32,
    },
    /// A field has no meaning.
    #[error("its {0} cannot be read")]
    Field(&'static str),
    /// A seal that does not agree with what it seals.
    #[error("the seal's {0} is not that of the entries before it: an entry or the header was changed")]
    Seal(&'static str),
    /// A later segment says that the seal stands here.
    #[error(
        "the segment's seal is not there, though the next segment was begun after it: its end was changed or cut off"
    )]
    NoSeal,
    /// Something follows the seal.
    #[error("there are bytes behind the segment's seal")]
    BehindSeal,
    /// Another entry than the one the mark tells of.
    #[error(
        "it is not the entry that was acknowledged here, as the MARK file tells: one of the two is from another copy of this ledger"
    )]
    Mark,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { path, slot, offset, kind } = self;
        write!(
            f,
            "{path}: entry {slot} at byte {offset} is damaged: {kind}. Nothing was changed; keep the folder as \
             evidence, check the disk, and go on with a backup or an empty folder under a new ledger number"
        )
    }
}

impl std::error::Error for Damage {}

/// Why reading a ledger came to an end.
#[derive(Debug, Error)]
pub enum ReadError {
    /// An entry is not what was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The end of a segment is gone.
    #[error(
        "{path}: the entries end at entry {slots}, byte {offset}, but {marked} were acknowledged, up to sequence {sequence}: \
         its end was cut off or damaged. Nothing was changed; keep the folder as evidence, check the disk, and go on with a \
         backup or an empty folder under a new ledger number"
    )]
    CutOff {
        /// The file.
        path: String,
        /// Slots that are in order.
        slots: u64,
        /// The byte where they end.
        offset: u64,
        /// Slots that were on stable storage.
        marked: u64,
        /// The last sequence of them.
        sequence: u64,
    },
    /// The mark of a ledger that was closed clean has one whole record instead of two.
    #[error(
        "{path}: record {record} of two is damaged, though the ledger was closed clean: the power failed while it was \
         written, or it was changed afterwards, and an end may have been cut off that it told of. Compare the head with one \
         that was noted elsewhere; the next start writes it anew"
    )]
    MarkRecord {
        /// The file.
        path: String,
        /// Which record, from 0: it begins at byte 512 times this.
        record: u64,
    },
    /// An entry is under a key that is not here.
    #[error("{path} needs ledger key {key_id}: add it to the secrets file again")]
    MissingKey {
        /// The file.
        path: String,
        /// The key's id.
        key_id: u32,
    },
    /// The disk failed.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}

/// Why a ledger was not made.
#[derive(Debug, Error)]
pub enum InitError {
    /// The folder bears a number already, and keeps it for life.
    #[error(
        "{path} says this is ledger {existing} already: a ledger keeps its number for life; take an empty folder for ledger {asked}"
    )]
    AlreadyInitialised {
        /// The file that holds the number.
        path: String,
        /// Its number.
        existing: u16,
        /// The number asked for.
        asked: u16,
    },
    /// Only four digits fit a tracking code.
    #[error("{0} is no ledger number: take one from 1 to 9999")]
    BadNumber(u16),
    /// There are entries, but no number.
    #[error(
        "{path} has entries, but the LEDGER file beside it is gone: restore it from a backup; nothing was changed"
    )]
    Orphaned {
        /// The segment file.
        path: String,
    },
    /// Something else lives here.
    #[error("{path} is no part of a ledger: take an empty folder for a new one; nothing was changed")]
    NotEmpty {
        /// What was found.
        path: String,
    },
    /// Segments are being brought here.
    #[error(
        "{path} says that a restore into this folder was cut short: run `estehqaq ledger restore` again; nothing was changed"
    )]
    Restoring {
        /// The file that says so.
        path: String,
    },
    /// Another process works here.
    #[error(
        "{path} is locked by another process: one ledger folder serves one process; stop the other first"
    )]
    InUse {
        /// The lock file.
        path: String,
    },
    /// The number's file is not readable as such.
    #[error(transparent)]
    NumberFile(#[from] NumberFileError),
    /// The disk failed.
    #[error("cannot make a ledger in {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}

/// The file that holds a ledger's number does not.
#[derive(Debug, Error)]
#[error(
    "{path} is damaged and does not tell the ledger's number: restore it from a backup; nothing was changed"
)]
pub struct NumberFileError {
    /// The file.
    pub path: String,
}

/// Why a ledger was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// There is no ledger in the folder.
    #[error("{path} is not there: make the ledger with `estehqaq ledger init`")]
    NotInitialised {
        /// The file that holds the number.
        path: String,
    },
    /// Something else lives here.
    #[error("{path} is no part of a ledger: take an empty folder for a new one; nothing was changed")]
    NotEmpty {
        /// What was found.
        path: String,
    },
    /// Another process works here.
    #[error(
        "{path} is locked by another process: one ledger folder serves one process; stop the other first"
    )]
    InUse {
        /// The lock file.
        path: String,
    },
    /// The number's file is not readable as such.
    #[error(transparent)]
    NumberFile(#[from] NumberFileError),
    /// The folder's ledger could not be made.
    #[error(transparent)]
    Init(#[from] InitError),
    /// A file of entries is not there, though it was.
    #[error(
        "{path} is not there, though the rest of the ledger says that it was: restore it from a backup; a new ledger needs an empty folder and a new number"
    )]
    SegmentMissing {
        /// The segment file.
        path: String,
    },
    /// The head of a segment file is not what it must be.
    #[error(
        "{path}: the file's header is wrong ({what}); nothing was changed; restore it from a backup or use the version that wrote it"
    )]
    Header {
        /// The segment file.
        path: String,
        /// What is wrong.
        what: HeaderFault,
    },
    /// The key of that id is not the one the ledger was made with.
    #[error(
        "{path}: ledger key {key_id} of the secrets file is not the one this ledger was made with: use the right secrets file"
    )]
    WrongKey {
        /// The segment file.
        path: String,
        /// The key's id.
        key_id: u32,
    },
    /// The tracking key of that epoch is not the one that codes were given out with.
    #[error(
        "{path}: tracking key {epoch} of the secrets file is not the one that codes of this ledger were made with: use the right secrets file"
    )]
    WrongTrackingKey {
        /// The segment file.
        path: String,
        /// The key's epoch.
        epoch: u8,
    },
    /// None of the keys that lead to that month is the one that entries were written with.
    #[error(
        "{path}: no key of the secrets file is the one that this segment's IDs of the month {month} were written with: use \
         the right secrets file"
    )]
    WrongMonthKey {
        /// The segment file.
        path: String,
        /// The month.
        month: Month,
    },
    /// Entries cannot be written without a month's key.
    #[error("there is no month key: add one with `estehqaq secrets rotate`")]
    NoMonthKey,
    /// What tells how far entries were acknowledged is not there or not whole.
    #[error(
        "{path} is gone or damaged, and with it how far entries were acknowledged: restore it from a backup of the same moment as the segments; nothing was changed"
    )]
    Mark {
        /// The file.
        path: String,
    },
    /// What tells where the chain begins is not whole.
    #[error(
        "{path} is damaged, or the ledger key is another, and does not tell where the chain begins: restore it from a backup; nothing was changed"
    )]
    Pruned {
        /// The file.
        path: String,
    },
    /// The entries are not all as written.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Ten digits of sequence are used up.
    #[error("ledger {ledger} has no sequence left: go on with an empty folder under a new ledger number")]
    Exhausted {
        /// Its number.
        ledger: u16,
    },
    /// The disk failed while the ledger was made ready.
    #[error("cannot make {path} ready: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeaderFault {
    /// The file ends before it.
    #[error("the file is too short")]
    Short,
    /// It does not begin as a segment.
    #[error("it is no segment file")]
    Magic,
    /// Another format version.
    #[error("format version {0} is not known here")]
    Version(u32),
    /// The checksum is wrong.
    #[error("the checksum is wrong")]
    Checksum,
    /// Bytes that must be zero are not.
    #[error("reserved bytes are not zero")]
    Reserved,
    /// Entries of another ledger.
    #[error("it belongs to ledger {found}, the folder to ledger {expected}")]
    Ledger {
        /// The number in the LEDGER file.
        expected: u16,
        /// The number in the header.
        found: u16,
    },
    /// Another segment under this name.
    #[error("it is segment {0}")]
    Segment(u32),
    /// It does not begin where the segment before it ended.
    #[error("it does not follow segment {before}: one of the two is not the one that was written here")]
    Previous {
        /// The segment before.
        before: u32,
    },
}

/// Why an entry was not taken. All of them mean: answer 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AppendError {
    /// More entries are waiting than allowed; later there may be room.
    #[error("the ledger's queue is full: try again in a moment")]
    Full,
    /// The segment is full and the next one's file cannot be made now: the disk is full, or the process may open no
    /// more files. Nothing failed to be written; entries are taken again once the file can be made.
    #[error(
        "the ledger's next segment cannot be made: free disk space or file descriptors, and it goes on by itself"
    )]
    Shortage,
    /// A write or sync failed; the ledger takes nothing until it is opened again.
    #[error("the ledger failed to write and takes no entries: look at the disk, then restart")]
    Failed,
    /// The ledger is closing or closed.
    #[error("the ledger is closed")]
    Closed,
    /// Ten digits of sequence are used up.
    #[error("the ledger has no sequence left: go on with an empty folder under a new ledger number")]
    Exhausted,
}

/// Why a code was not resolved, other than that there is no such entry.
#[derive(Debug, Error)]
pub enum FindError {
    /// The code belongs to another ledger.
    #[error("the code belongs to ledger {number}: ask there")]
    OtherLedger {
        /// That ledger's number.
        number: u16,
    },
    /// The entry cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}
