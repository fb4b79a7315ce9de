//! Reading the nightly extract: `blocks` cuts the file into whole rows, `header` finds the columns, `row`
//! checks one row, and this module does it on all cores. Knows nothing of people: that is `partition`.

mod blocks;
mod cells;
mod header;
mod row;

use std::path::PathBuf;

use thiserror::Error;

pub(crate) use blocks::{Block, BlockReader, SourceDigest};
pub(crate) use cells::{CellReader, Cells};
pub(crate) use header::{Column, Columns};
pub(crate) use row::{CheckedRow, RowChecker, WarningCounts};
pub use row::{RejectRule, Warning};

/// Why the whole extract was refused. Lines count from 1, the header's.
#[derive(Debug, Error)]
pub enum ExtractError {
    /// The disk refused.
    #[error("cannot read {}: {source}; check the path and its permissions", path.display())]
    Io {
        /// The extract.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Rows that do not fit the memory bound could not be put aside.
    #[error(
        "cannot put rows aside in the snapshots folder: {0}; free space there, or allow more memory with --memory"
    )]
    Spill(#[source] std::io::Error),
    /// The list of rejected rows could not be written.
    #[error("cannot write the list of rejected rows: {0}; check the free space and the folder's permissions")]
    Rejects(#[source] std::io::Error),
    /// A column that must be there is not.
    #[error(
        "line {line}: the header has no column `{column}`; names are lower case, export the extract again"
    )]
    MissingColumn {
        /// The header's line.
        line: u64,
        /// The column.
        column: &'static str,
    },
    /// A column stands twice.
    #[error("line {line}: the header has the column `{column}` more than once; remove all but one")]
    RepeatedColumn {
        /// The header's line.
        line: u64,
        /// The column.
        column: &'static str,
    },
    /// Nothing but empty lines.
    #[error("line 1: the extract is empty; it needs at least a header, check that the export was complete")]
    Empty,
    /// Bytes that are no UTF-8.
    #[error("line {line}: invalid UTF-8; export the extract as UTF-8 again")]
    InvalidUtf8 {
        /// The physical line with the first wrong byte.
        line: u64,
    },
    /// A quote that is never closed.
    #[error("line {line}: a quoted cell begins here and is not closed; close it or export the extract again")]
    UnclosedQuote {
        /// The line of the opening quote.
        line: u64,
    },
    /// A row of more than 16 MiB: most likely a quote that is closed far too late.
    #[error("line {line}: the row that begins here is longer than 16 MiB; look for an unclosed quote")]
    RowTooLong {
        /// The line where the row starts.
        line: u64,
    },
}

impl ExtractError {
    /// The line by which the first of several errors is found.
    pub(crate) fn line(&self) -> u64 {
        match self {
            ExtractError::Io { .. }
            | ExtractError::Spill(_)
            | ExtractError::Rejects(_)
            | ExtractError::Empty => 0,
            ExtractError::MissingColumn { line, .. }
            | ExtractError::RepeatedColumn { line, .. }
            | ExtractError::InvalidUtf8 { line }
            | ExtractError::UnclosedQuote { line }
            | ExtractError::RowTooLong { line } => *line,
        }
    }
}
