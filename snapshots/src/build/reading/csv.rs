//! A CSV: one thread at a time cuts the next block of whole rows, whoever is free splits and checks its rows.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};

use engine::{FileDigest, MobileKey};
use parking_lot::Mutex;
use rayon::prelude::*;
use storage::Seen;

use super::{BlockChecker, BlockOutcome, Gathered, ReadProgress, Sinks};
use crate::build::options::BuildOptions;
use crate::build::partition::Partitions;
use crate::extract::{Block, BlockReader, CellReader, Columns, ExtractError};

pub(super) fn read(
    options: &BuildOptions<'_>,
    file: File,
    sinks: Sinks<'_>,
) -> Result<(Gathered, FileDigest), ExtractError> {
    let path = options.extract.to_owned();
    let io = |source| ExtractError::Io { path: options.extract.to_owned(), source };
    let metadata = file.metadata().map_err(io)?;
    let (seen, again) = (Seen::of(&metadata), file.try_clone().map_err(io)?);
    let bytes_total = metadata.len();
    let mut reader = BlockReader::new(path, file);
    let first = first_with_rows(&mut reader)?;
    let columns = read_header(&first)?;
    let progress = ReadProgress::new(options, bytes_total);
    let failed = AtomicBool::new(false);
    let gathered = Mutex::new((Gathered::new(sinks.rejects), Vec::new()));
    let blocks = std::iter::once(Ok(first)).chain(&mut reader).enumerate();
    blocks.take_while(|_| !failed.load(Ordering::Relaxed)).par_bridge().for_each(|(number, block)| {
        let checked = block.and_then(|block| {
            let outcome = check_block(&block, number == 0, &columns, options.mobile_key, sinks.partitions)?;
            progress.add(block.len(), outcome.rows);
            Ok(outcome)
        });
        let (gathered, errors) = &mut *gathered.lock();
        if let Err(error) = checked.and_then(|outcome| gathered.add(number, outcome)) {
            errors.push(error);
            failed.store(true, Ordering::Relaxed);
        }
    });
    let (gathered, errors) = gathered.into_inner();
    // Blocks are handed out in order, so that the first faulty line is always among the errors.
    match errors.into_iter().min_by_key(ExtractError::line) {
        Some(error) => Err(error),
        // An exporter that is still at work would have part of the people published as all of them.
        None if seen.check(&again).is_err() => {
            Err(ExtractError::Changed { path: options.extract.to_owned() })
        }
        None => Ok((gathered, reader.source_digest())),
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
    if [b"\xFF\xFE", b"\xFE\xFF"].iter().any(|mark| row.starts_with(*mark)) {
        return Err(ExtractError::Utf16);
    }
    let cells = reader.split(row).map_err(|error| invalid_utf8(line, row, error.offset))?;
    Columns::from_header(cells, line).map_err(|error| other_form(row, line).unwrap_or(error))
}

/// What a row that is no header looks like, where that tells the exporter more than a missing column.
fn other_form(row: &[u8], line: u64) -> Option<ExtractError> {
    if row.len() >= 4 && row[..4].eq_ignore_ascii_case(b"sep=") {
        return Some(ExtractError::SepLine { line });
    }
    let count = |mark| memchr::memchr_iter(mark, row).count();
    let others = [(b';', "semicolons"), (b'\t', "tabs"), (b'|', "vertical bars")];
    let (mark, found) = others.into_iter().max_by_key(|(mark, _)| count(*mark))?;
    (count(mark) > count(b',')).then_some(ExtractError::Delimiter { line, found })
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
    let mut checker = BlockChecker::new(mobile_key);
    for (line, row) in block.rows().skip(usize::from(has_header)) {
        let cells = reader.split(row).map_err(|error| invalid_utf8(line, row, error.offset))?;
        checker.check(line, columns.row(cells));
    }
    checker.finish(partitions)
}
