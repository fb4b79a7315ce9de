//! Reads and checks the whole extract on all cores, block of rows after block of rows: `csv` and `parquet` each make
//! blocks of their format, and here they meet: the checks, the counts and the order of rejects are the same. The
//! first faulty line refuses the file, whatever the number of threads.

mod csv;
mod parquet;

use std::sync::atomic::{AtomicU64, Ordering};

use engine::{FileDigest, MobileKey};

use crate::build::options::{BuildOptions, Progress};
use crate::build::partition::{Partitions, RowBatch};
use crate::build::rejects::{Reject, RejectsWriter};
use crate::extract::{CheckedRow, Extract, ExtractError, RowCells, RowChecker, WarningCounts};

/// What reading the extract yields: what is told of it as a whole.
pub(crate) struct ExtractSummary {
    pub(crate) rows: u64,
    pub(crate) rejected: u64,
    pub(crate) warnings: WarningCounts,
    pub(crate) source: FileDigest,
}

/// Where checked rows and rejects go.
pub(crate) struct Sinks<'a> {
    pub(crate) partitions: &'a Partitions,
    pub(crate) rejects: RejectsWriter,
}

/// Reads the extract into the sinks; gives the writer of the rejects back, so that it can be finished.
pub(crate) fn read_extract(
    options: &BuildOptions<'_>,
    extract: Extract,
    sinks: Sinks<'_>,
) -> Result<(ExtractSummary, RejectsWriter), ExtractError> {
    let (gathered, source) = match extract {
        Extract::Csv(file) => csv::read(options, file, sinks)?,
        Extract::Parquet(extract) => parquet::read(options, &extract, sinks)?,
    };
    let Gathered { rows, rejected, warnings, rejects } = gathered;
    Ok((ExtractSummary { rows, rejected, warnings, source }, rejects))
}

/// Checks the rows of one block.
struct BlockChecker<'a> {
    checker: RowChecker<'a>,
    batch: RowBatch,
    outcome: BlockOutcome,
}

#[derive(Default)]
struct BlockOutcome {
    rows: u64,
    rejects: Vec<Reject>,
    warnings: WarningCounts,
}

impl<'a> BlockChecker<'a> {
    fn new(mobile_key: &'a MobileKey) -> BlockChecker<'a> {
        let (batch, outcome) = (RowBatch::default(), BlockOutcome::default());
        BlockChecker { checker: RowChecker::new(mobile_key), batch, outcome }
    }

    /// Checks the row on that line; none is one without all columns.
    fn check(&mut self, line: u64, row: Option<impl RowCells>) {
        self.outcome.rows += 1;
        match row.map_or(CheckedRow::BAD_ROW, |row| self.checker.check(row)) {
            CheckedRow::Accepted { person, record } => self.batch.accept(person, record),
            CheckedRow::Rejected { rule, column, person } => {
                self.outcome.rejects.push(Reject { line, rule, column });
                person.into_iter().for_each(|person| self.batch.reject(person));
            }
        }
    }

    fn finish(mut self, partitions: &Partitions) -> Result<BlockOutcome, ExtractError> {
        self.outcome.warnings = *self.checker.warnings();
        partitions.add(self.batch).map_err(ExtractError::Spill)?;
        Ok(self.outcome)
    }
}

/// The sums over all blocks that were checked so far.
struct Gathered {
    rows: u64,
    rejected: u64,
    warnings: WarningCounts,
    rejects: RejectsWriter,
}

impl Gathered {
    fn new(rejects: RejectsWriter) -> Gathered {
        Gathered { rows: 0, rejected: 0, warnings: WarningCounts::default(), rejects }
    }

    /// Takes the block with that number, counted from 0, in any order.
    fn add(&mut self, number: usize, outcome: BlockOutcome) -> Result<(), ExtractError> {
        self.rows += outcome.rows;
        self.rejected += outcome.rejects.len() as u64;
        self.warnings.merge(&outcome.warnings);
        self.rejects.add(number, outcome.rejects).map_err(ExtractError::Rejects)
    }
}

/// Tells how far the reading is.
struct ReadProgress<'a> {
    options: &'a BuildOptions<'a>,
    bytes_total: u64,
    bytes: AtomicU64,
    rows: AtomicU64,
}

impl<'a> ReadProgress<'a> {
    fn new(options: &'a BuildOptions<'a>, bytes_total: u64) -> ReadProgress<'a> {
        ReadProgress { options, bytes_total, bytes: AtomicU64::new(0), rows: AtomicU64::new(0) }
    }

    fn add(&self, bytes: u64, rows: u64) {
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let rows = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        (self.options.progress)(Progress::Reading { bytes, bytes_total: self.bytes_total, rows });
    }
}
