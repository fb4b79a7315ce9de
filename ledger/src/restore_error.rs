//! Why a restore did not come to its end. Messages say what to do next.

use std::io;

use thiserror::Error;

use crate::error::{InitError, OpenError};

/// Why a ledger was not restored.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The folder cannot become that ledger.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The folder cannot be used, or what was restored cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An earlier restore into that folder was to be another ledger.
    #[error(
        "{path} says that a restore under another number was begun here: take that number, or an empty folder"
    )]
    OtherNumber {
        /// The file that says so.
        path: String,
    },
    /// The number is that of a ledger whose segments are restored, or a segment is of a ledger that had ended before.
    #[error(
        "segments of ledger {number} are restored here: the restored ledger needs another number, which no ledger has or had"
    )]
    SameNumber {
        /// The number.
        number: u16,
    },
    /// There are no entries to restore.
    #[error("there is no segment with entries to restore: check --from")]
    Nothing,
    /// A segment in between, or before the first, is not there.
    #[error(
        "{from} is not there, and the chain needs it: look for it in another copy, or restore up to the segment before it"
    )]
    Missing {
        /// Where it was looked for.
        from: String,
    },
    /// A segment has no seal.
    #[error(
        "{from} has no seal: from there only sealed segments can be restored; restore up to the segment before it"
    )]
    Unsealed {
        /// Where it came from.
        from: String,
    },
    /// A segment that arrived is not in order.
    #[error(
        "{from} is not in order: {fault}. What was copied of it was removed; take it from another copy, or restore up to the segment before it"
    )]
    Arrived {
        /// Where it came from.
        from: String,
        /// What is wrong.
        fault: OpenError,
    },
    /// The source failed.
    #[error("cannot read {from}: {source}; restore again once it is in reach: it goes on where it was")]
    Source {
        /// What was read.
        from: String,
        /// What the system says.
        source: io::Error,
    },
    /// The folder's disk failed.
    #[error("cannot write {path}: {source}; look at the disk, then restore again: it goes on where it was")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}
