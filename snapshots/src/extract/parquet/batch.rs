//! Batches of rows from one row group after the other. The columns of a batch are decoded on all cores.

use parquet::errors::ParquetError;
use rayon::prelude::*;

use super::column::{ColumnDecoder, ColumnFault, ColumnText};
use super::file::{ParquetExtract, caught};
use super::place::RowGroupColumn;
use crate::extract::error::ExtractError;
use crate::extract::header::{COLUMNS, Column, RowCells};

/// Rows of a batch at most: enough to spread over cores, in some 20 MB.
const BATCH_ROWS_MAX: u64 = 1 << 17;

/// Some whole rows, column by column.
pub(crate) struct Batch {
    /// The line of the first row: the ordinal of the first row of all is 1, and its line 2, as below a header.
    first_line: u64,
    rows: usize,
    columns: Vec<ColumnText>,
}

impl Batch {
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// A row and its line.
    pub(crate) fn row(&self, row: usize) -> (u64, BatchRow<'_>) {
        (self.first_line + row as u64, BatchRow { batch: self, row })
    }
}

/// One row of a batch.
#[derive(Clone, Copy)]
pub(crate) struct BatchRow<'a> {
    batch: &'a Batch,
    row: usize,
}

impl RowCells for BatchRow<'_> {
    fn cell(&self, column: Column) -> &str {
        self.batch.columns[usize::from(column as u8)].cell(self.row)
    }
}

/// Decodes the extract from its first row to its last.
pub(crate) struct Batches<'a> {
    extract: &'a ParquetExtract,
    next_group: usize,
    decoders: Vec<ColumnDecoder>,
    /// Rows of the row group that were not decoded yet.
    rows_left: u64,
    next_line: u64,
}

impl<'a> Batches<'a> {
    pub(crate) fn new(extract: &'a ParquetExtract) -> Batches<'a> {
        Batches { extract, next_group: 0, decoders: Vec::new(), rows_left: 0, next_line: 2 }
    }

    /// The next rows; none after the last. After an error there are no more.
    pub(crate) fn next_batch(&mut self) -> Result<Option<Batch>, ExtractError> {
        while self.rows_left == 0 {
            if self.next_group == self.extract.metadata.num_row_groups() {
                return Ok(None);
            }
            self.open_group()?;
        }
        let rows = self.rows_left.min(BATCH_ROWS_MAX) as usize;
        let first_line = self.next_line;
        let columns: Vec<_> =
            self.decoders.par_iter_mut().map(|decoder| caught(|| decoder.decode(rows))).collect();
        let columns = self.whole(columns)?;
        self.rows_left -= rows as u64;
        self.next_line += rows as u64;
        Ok(Some(Batch { first_line, rows, columns }))
    }

    fn open_group(&mut self) -> Result<(), ExtractError> {
        let group = self.extract.metadata.row_group(self.next_group);
        self.next_group += 1;
        self.rows_left = group.num_rows().unsigned_abs();
        let decoders = COLUMNS.into_iter().zip(&self.extract.plans).map(|(column, plan)| {
            let decoder = caught(|| ColumnDecoder::new(&self.extract.source, group, plan));
            decoder.map_err(|source| ExtractError::ParquetPages { place: self.place(column), source })
        });
        self.decoders = decoders.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The columns, or what is wrong with the first faulty line.
    fn whole(&self, columns: Vec<Result<ColumnText, ColumnFault>>) -> Result<Vec<ColumnText>, ExtractError> {
        let (mut whole, mut errors) = (Vec::with_capacity(columns.len()), Vec::new());
        for (column, decoded) in COLUMNS.into_iter().zip(columns) {
            match decoded {
                Ok(text) => whole.push(text),
                Err(fault) => errors.push(self.error(column, fault)),
            }
        }
        match errors.into_iter().min_by_key(ExtractError::line) {
            Some(error) => Err(error),
            None => Ok(whole),
        }
    }

    fn place(&self, column: Column) -> RowGroupColumn {
        RowGroupColumn { row_group: self.next_group, column: column.name() }
    }

    fn error(&self, column: Column, fault: ColumnFault) -> ExtractError {
        match fault {
            ColumnFault::Pages(source) => pages_error(self.place(column), source),
            ColumnFault::InvalidUtf8(row) => ExtractError::InvalidUtf8 { line: self.next_line + row as u64 },
            ColumnFault::TooLong => ExtractError::CellsTooLong {
                line: self.next_line,
                column: column.name(),
                rows: BATCH_ROWS_MAX,
            },
        }
    }
}

/// What is too large may be whole: there is something else to do about it than about damage.
fn pages_error(place: RowGroupColumn, source: ParquetError) -> ExtractError {
    match source {
        ParquetError::External(inner) => match inner.downcast() {
            Ok(source) => ExtractError::ParquetPageTooLarge { place, source: *source },
            Err(inner) => ExtractError::ParquetPages { place, source: ParquetError::External(inner) },
        },
        source => ExtractError::ParquetPages { place, source },
    }
}
