//! Reading the nightly extract. A CSV is cut into whole rows (`blocks`) and those into `cells`; a Parquet file is
//! decoded into batches of rows (`parquet`). From there on both are the same: `header` finds the columns, `row` checks
//! one row. Reading on all cores is the business of `build::reading`; people are that of `build::partition`.

mod blocks;
mod cells;
mod error;
mod header;
mod parquet;
mod row;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

pub(crate) use blocks::{Block, BlockReader};
pub(crate) use cells::CellReader;
pub use error::ExtractError;
pub(crate) use header::{Column, Columns, RowCells};
pub(crate) use parquet::batch::{Batch, Batches};
pub(crate) use parquet::file::ParquetExtract;
pub use parquet::page_size::PageTooLarge;
pub use parquet::place::RowGroupColumn;
use parquet::source::{MAGIC, MAGIC_ENCRYPTED};
pub(crate) use row::{CheckedRow, RowChecker, WarningCounts};
pub use row::{RejectRule, Warning};

/// An open extract of either format.
pub(crate) enum Extract {
    Csv(File),
    Parquet(Box<ParquetExtract>),
}

impl Extract {
    /// Opens the extract. What it is, its first bytes say, not its name; what cannot be read at a place, such as a
    /// pipe, is a CSV.
    pub(crate) fn open(path: &Path) -> Result<Extract, ExtractError> {
        let io_error = |source| ExtractError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io_error)?;
        let mut magic = [0; 4];
        if !file.metadata().map_err(io_error)?.is_file() || file.read_exact_at(&mut magic, 0).is_err() {
            return Ok(Extract::Csv(file));
        }
        match &magic {
            MAGIC => Ok(Extract::Parquet(Box::new(ParquetExtract::open(path, file)?))),
            MAGIC_ENCRYPTED => Err(ExtractError::ParquetEncrypted),
            _ => Ok(Extract::Csv(file)),
        }
    }
}
