//! A Parquet file: while one batch of rows is checked on all cores, the next one is decoded on them.

use engine::{FileDigest, MobileKey};
use rayon::prelude::*;

use super::{BlockChecker, BlockOutcome, Gathered, ReadProgress, Sinks};
use crate::build::options::BuildOptions;
use crate::build::partition::Partitions;
use crate::extract::{Batch, Batches, ExtractError, ParquetExtract};

/// Rows that one thread checks in one go: several blocks to a batch, so that all cores have some.
const BLOCK_ROWS: usize = 1 << 14;

pub(super) fn read(
    options: &BuildOptions<'_>,
    extract: &ParquetExtract,
    sinks: Sinks<'_>,
) -> Result<(Gathered, FileDigest), ExtractError> {
    let source = extract.source();
    let (gathered, digest) = rayon::join(|| read_rows(options, extract, sinks), || source.digest());
    let read = (gathered?, digest?);
    source.check_unchanged()?;
    Ok(read)
}

fn read_rows(
    options: &BuildOptions<'_>,
    extract: &ParquetExtract,
    sinks: Sinks<'_>,
) -> Result<Gathered, ExtractError> {
    let progress = ReadProgress::new(options, extract.source().bytes_total());
    let bytes_per_row = extract.source().bytes_total() / extract.rows().max(1);
    let mut gathered = Gathered::new(sinks.rejects);
    let mut blocks_before = 0;
    let mut batches = Batches::new(extract);
    let mut decoded = batches.next_batch()?;
    while let Some(batch) = decoded {
        let check = || check_batch(&batch, options.mobile_key, sinks.partitions);
        let (checked, next) = rayon::join(check, || batches.next_batch());
        for outcome in checked {
            gathered.add(blocks_before, outcome?)?;
            blocks_before += 1;
        }
        progress.add(bytes_per_row * batch.rows() as u64, batch.rows() as u64);
        decoded = next?;
    }
    Ok(gathered)
}

/// The outcomes of the batch's blocks in order.
fn check_batch(
    batch: &Batch,
    mobile_key: &MobileKey,
    partitions: &Partitions,
) -> Vec<Result<BlockOutcome, ExtractError>> {
    let starts: Vec<_> = (0..batch.rows()).step_by(BLOCK_ROWS).collect();
    let check_block = |start: usize| {
        let mut checker = BlockChecker::new(mobile_key);
        for row in start..batch.rows().min(start + BLOCK_ROWS) {
            let (line, cells) = batch.row(row);
            checker.check(line, Some(cells));
        }
        checker.finish(partitions)
    };
    starts.into_par_iter().map(check_block).collect()
}
