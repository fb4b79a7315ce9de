//! Reads and checks the whole extract on all cores: one thread at a time cuts the next block, whoever is free
//! checks its rows. The first faulty line refuses the file, whatever the number of threads.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use engine::MobileKey;
use parking_lot::Mutex;
use rayon::prelude::*;

use crate::builder::{BuildOptions, Progress};
use crate::extract::{
    Block, BlockReader, CellReader, CheckedRow, Columns, ExtractError, RowChecker, SourceDigest,
    WarningCounts,
};
use crate::partition::{Partitions, RowBatch};
use crate::rejects::{Reject, RejectsWriter};

/// What reading the extract yields: what is told of it as a whole.
pub(crate) struct ExtractSummary {
    pub(crate) rows: u64,
    pub(crate) rejected: u64,
    pub(crate) warnings: WarningCounts,
    pub(crate) source: SourceDigest,
}

#[derive(Default)]
struct BlockOutcome {
    rows: u64,
    rejects: Vec<Reject>,
    warnings: WarningCounts,
}

/// Where checked rows and rejects go.
pub(crate) struct Sinks<'a> {
    pub(crate) partitions: &'a Partitions,
    pub(crate) rejects: RejectsWriter,
}

/// The sums over all blocks that were checked so far.
struct Gathered {
    rows: u64,
    rejected: u64,
    warnings: WarningCounts,
    rejects: RejectsWriter,
    errors: Vec<ExtractError>,
}

/// Reads the extract into the sinks; gives the writer of the rejects back, so that it can be finished.
pub(crate) fn read_extract(
    options: &BuildOptions<'_>,
    sinks: Sinks<'_>,
) -> Result<(ExtractSummary, RejectsWriter), ExtractError> {
    let path = options.extract.to_owned();
    let io_error = |source| ExtractError::Io { path: path.clone(), source };
    let file = File::open(options.extract).map_err(io_error)?;
    let bytes_total = file.metadata().map_err(io_error)?.len();
    let mut reader = BlockReader::new(path.clone(), file);
    let first = first_with_rows(&mut reader)?;
    let columns = read_header(&first)?;
    let progress = ReadProgress { options, bytes_total, bytes: AtomicU64::new(0), rows: AtomicU64::new(0) };
    let failed = AtomicBool::new(false);
    let gathered = Mutex::new(Gathered::new(sinks.rejects));
    let blocks = std::iter::once(Ok(first)).chain(&mut reader).enumerate();
    blocks.take_while(|_| !failed.load(Ordering::Relaxed)).par_bridge().for_each(|(number, block)| {
        let checked = block.and_then(|block| {
            let outcome = check_block(&block, number == 0, &columns, options.mobile_key, sinks.partitions)?;
            progress.add(&block, &outcome);
            Ok(outcome)
        });
        if gathered.lock().add(number, checked).is_err() {
            failed.store(true, Ordering::Relaxed);
        }
    });
    gathered.into_inner().finish(reader.source_digest())
}

impl Gathered {
    fn new(rejects: RejectsWriter) -> Gathered {
        Gathered { rows: 0, rejected: 0, warnings: WarningCounts::default(), rejects, errors: Vec::new() }
    }

    /// An error means that no further block is of use.
    fn add(&mut self, number: usize, checked: Result<BlockOutcome, ExtractError>) -> Result<(), ()> {
        let added = checked.and_then(|outcome| {
            self.rows += outcome.rows;
            self.rejected += outcome.rejects.len() as u64;
            self.warnings.merge(&outcome.warnings);
            self.rejects.add(number, outcome.rejects).map_err(ExtractError::Rejects)
        });
        added.map_err(|error| self.errors.push(error))
    }

    fn finish(self, source: SourceDigest) -> Result<(ExtractSummary, RejectsWriter), ExtractError> {
        let Gathered { rows, rejected, warnings, rejects, errors } = self;
        // Blocks are handed out in order, so that the first faulty line is always among the errors.
        match errors.into_iter().min_by_key(ExtractError::line) {
            Some(error) => Err(error),
            None => Ok((ExtractSummary { rows, rejected, warnings, source }, rejects)),
        }
    }
}

struct ReadProgress<'a> {
    options: &'a BuildOptions<'a>,
    bytes_total: u64,
    bytes: AtomicU64,
    rows: AtomicU64,
}

impl ReadProgress<'_> {
    fn add(&self, block: &Block, outcome: &BlockOutcome) {
        let bytes = self.bytes.fetch_add(block.len(), Ordering::Relaxed) + block.len();
        let rows = self.rows.fetch_add(outcome.rows, Ordering::Relaxed) + outcome.rows;
        (self.options.progress)(Progress::Reading { bytes, bytes_total: self.bytes_total, rows });
    }
}

/// Passes over blocks of nothing but empty lines.
fn first_with_rows(reader: &mut BlockReader<File>) -> Result<Block, ExtractError> {
    loop {
        let block = reader.next().ok_or(ExtractError::Empty)??;
        if block.rows().next().is_some() {
            return Ok(block);
        }
    }
}

fn read_header(first: &Block) -> Result<Columns, ExtractError> {
    let (line, row) = first.rows().next().ok_or(ExtractError::Empty)?;
    let mut reader = CellReader::new(memchr::memchr_iter(b',', row).count() + 1);
    let cells = reader.split(row).map_err(|error| invalid_utf8(line, row, error.offset))?;
    Columns::from_header(cells, line)
}

fn invalid_utf8(row_line: u64, row: &[u8], offset: usize) -> ExtractError {
    ExtractError::InvalidUtf8 { line: row_line + memchr::memchr_iter(b'\n', &row[..offset]).count() as u64 }
}

fn check_block(
    block: &Block,
    has_header: bool,
    columns: &Columns,
    mobile_key: &MobileKey,
    partitions: &Partitions,
) -> Result<BlockOutcome, ExtractError> {
    let mut reader = CellReader::new(columns.cells_per_row());
    let mut checker = RowChecker::new(columns, mobile_key);
    let mut batch = RowBatch::default();
    let mut outcome = BlockOutcome::default();
    for (line, row) in block.rows().skip(usize::from(has_header)) {
        let cells = reader.split(row).map_err(|error| invalid_utf8(line, row, error.offset))?;
        outcome.rows += 1;
        match checker.check(cells) {
            CheckedRow::Accepted { person, record } => batch.accept(person, record),
            CheckedRow::Rejected { rule, column, person } => {
                outcome.rejects.push(Reject { line, rule, column });
                person.into_iter().for_each(|person| batch.reject(person));
            }
        }
    }
    outcome.warnings = *checker.warnings();
    partitions.add(batch).map_err(ExtractError::Spill)?;
    Ok(outcome)
}
