//! Why the extract as a whole is refused, in words that say what to do.

use std::path::PathBuf;

use parquet::errors::ParquetError;
use thiserror::Error;

use super::parquet::page_size::PageTooLarge;
use super::parquet::place::RowGroupColumn;

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
    /// The cells stand between other marks than commas.
    #[error(
        "line {line}: the header's cells are separated by {found}, not by commas; export the extract with commas"
    )]
    Delimiter {
        /// The header's line.
        line: u64,
        /// What was found, in words.
        found: &'static str,
    },
    /// A spreadsheet's own line before the header.
    #[error(
        "line {line}: a `sep=` line stands before the header; remove it, and export the extract with commas"
    )]
    SepLine {
        /// The line.
        line: u64,
    },
    /// The bytes are those of another encoding.
    #[error(
        "line 1: the extract is UTF-16, not UTF-8; export it as UTF-8 again (\"CSV UTF-8\" in spreadsheets)"
    )]
    Utf16,
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
    /// The footer of a Parquet file, which is its end.
    #[error(
        "cannot read the footer of the Parquet file: {source}; it is damaged or cut off, copy or export it again"
    )]
    ParquetFooter {
        /// What is wrong with it.
        source: ParquetError,
    },
    /// The pages of a column of a Parquet file, or what the footer says of them.
    #[error(
        "{place}: {source}; the Parquet file is damaged or the column encrypted, copy or export it again, without \
         encryption"
    )]
    ParquetPages {
        /// Where.
        place: RowGroupColumn,
        /// What is wrong there.
        source: ParquetError,
    },
    /// A page of a column of a Parquet file that takes more memory than is given to one.
    #[error(
        "{place}: {source}; write the Parquet file again with smaller pages, or copy it again if it is damaged"
    )]
    ParquetPageTooLarge {
        /// Where.
        place: RowGroupColumn,
        /// What is too large.
        source: PageTooLarge,
    },
    /// A Parquet file of which only the owner of its keys can read a row.
    #[error("the Parquet file is encrypted; export it again without encryption")]
    ParquetEncrypted,
    /// A Parquet column is compressed in a way that is not read.
    #[error(
        "the column `{column}` is compressed with {codec}; export it again with SNAPPY, ZSTD, GZIP, LZ4 or none"
    )]
    ParquetCodec {
        /// The column.
        column: &'static str,
        /// What it is compressed with.
        codec: String,
    },
    /// A Parquet column of a type in which its cells cannot be told.
    #[error("the column `{column}` is {found}; its cells {wanted}, cast it and export the extract again")]
    ColumnType {
        /// The column.
        column: &'static str,
        /// Its type.
        found: String,
        /// What it has to be.
        wanted: &'static str,
    },
    /// The cells of a Parquet column take far more room than cells of an extract do.
    #[error(
        "line {line}: the column `{column}` has more than 16 MiB of text in the {rows} rows from here on; look for \
         text that does not belong there"
    )]
    CellsTooLong {
        /// The line of the first of these rows.
        line: u64,
        /// The column.
        column: &'static str,
        /// Rows that are decoded at once.
        rows: u64,
    },
    /// Decoding a row group may take more memory than there is.
    #[error(
        "decoding the largest row group may take {needed_mib} MiB, more than the memory bound leaves room for; allow \
         at least --memory {least_mib}MiB, or export the extract with smaller row groups"
    )]
    RowGroupMemory {
        /// What it takes at most.
        needed_mib: u64,
        /// The least bound that would do.
        least_mib: u64,
    },
    /// Somebody wrote to the extract.
    #[error("{} was changed while it was read; build again when its export is complete", path.display())]
    Changed {
        /// The extract.
        path: PathBuf,
    },
}

impl ExtractError {
    /// The line by which the first of several errors is found.
    pub(crate) fn line(&self) -> u64 {
        match self {
            ExtractError::Io { .. }
            | ExtractError::Spill(_)
            | ExtractError::Rejects(_)
            | ExtractError::Empty
            | ExtractError::ParquetFooter { .. }
            | ExtractError::ParquetPages { .. }
            | ExtractError::ParquetPageTooLarge { .. }
            | ExtractError::ParquetEncrypted
            | ExtractError::ParquetCodec { .. }
            | ExtractError::ColumnType { .. }
            | ExtractError::RowGroupMemory { .. }
            | ExtractError::Changed { .. } => 0,
            ExtractError::Utf16 => 1,
            ExtractError::MissingColumn { line, .. }
            | ExtractError::Delimiter { line, .. }
            | ExtractError::SepLine { line }
            | ExtractError::RepeatedColumn { line, .. }
            | ExtractError::InvalidUtf8 { line }
            | ExtractError::UnclosedQuote { line }
            | ExtractError::RowTooLong { line }
            | ExtractError::CellsTooLong { line, .. } => *line,
        }
    }
}
