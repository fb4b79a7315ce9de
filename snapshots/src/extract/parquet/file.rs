//! An open Parquet file: its footer is read and checked before a row is, and whatever in it the crate would trust.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};

use super::footer::check_schema;
use super::place::RowGroupColumn;
use super::schema::{Plan, plan_columns};
use super::source::Source;
use crate::extract::error::ExtractError;
use crate::extract::header::COLUMNS;

/// A Parquet file whose footer was read and found to be that of an extract.
pub(crate) struct ParquetExtract {
    pub(super) source: Arc<Source>,
    pub(super) metadata: ParquetMetaData,
    pub(super) plans: [Plan; COLUMNS.len()],
}

impl ParquetExtract {
    /// Reads the footer, finds the columns, and checks what the footer says of them.
    pub(crate) fn open(path: &Path, file: File) -> Result<ParquetExtract, ExtractError> {
        let source = Source::new(path, file)?;
        check_schema(&source).map_err(|source| ExtractError::ParquetFooter { source })?;
        let metadata = caught(|| ParquetMetaDataReader::new().parse_and_finish(&source));
        let metadata = metadata.map_err(|source| ExtractError::ParquetFooter { source })?;
        let plans = plan_columns(metadata.file_metadata().schema_descr())?;
        let extract = ParquetExtract { source: Arc::new(source), metadata, plans };
        extract.check_row_groups()?;
        extract.check_rows()?;
        Ok(extract)
    }

    /// Reads the file's bytes, for its digest.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) fn rows(&self) -> u64 {
        let rows = self.metadata.row_groups().iter().map(|group| group.num_rows().unsigned_abs());
        rows.fold(0, u64::saturating_add)
    }

    /// Bytes that the pages of a row group take at most while they are decoded: each column's largest chunk, as it
    /// is read and as it was before compression.
    pub(crate) fn decoding_len(&self) -> u64 {
        let largest = |plan: &Plan| {
            let chunks = self.metadata.row_groups().iter().map(|group| group.column(plan.leaf));
            chunks.map(|chunk| chunk_len(chunk).unwrap_or(0)).max().unwrap_or(0)
        };
        self.plans.iter().map(largest).fold(0, u64::saturating_add)
    }

    /// The crate trusts these figures of the footer, or panics.
    fn check_row_groups(&self) -> Result<(), ExtractError> {
        for (number, group) in self.metadata.row_groups().iter().enumerate() {
            for (column, plan) in COLUMNS.into_iter().zip(&self.plans) {
                let place = RowGroupColumn { row_group: number + 1, column: column.name() };
                self.check_chunk(group, plan, place)?;
            }
        }
        Ok(())
    }

    /// A count that is too low would leave rows out without a word.
    fn check_rows(&self) -> Result<(), ExtractError> {
        let stated = self.metadata.file_metadata().num_rows();
        if u64::try_from(stated) == Ok(self.rows()) {
            return Ok(());
        }
        let text = format!("the file states {stated} rows, its row groups {}", self.rows());
        Err(ExtractError::ParquetFooter { source: ParquetError::General(text) })
    }

    fn check_chunk(
        &self,
        group: &RowGroupMetaData,
        plan: &Plan,
        place: RowGroupColumn,
    ) -> Result<(), ExtractError> {
        let damaged = |text: &str| {
            Err(ExtractError::ParquetPages { place, source: ParquetError::General(text.to_owned()) })
        };
        if group.num_rows() < 0 {
            return damaged("the row group has a negative number of rows");
        }
        let chunk = group.column(plan.leaf);
        // Columns are flat: a row is a value, or a null that is counted as one.
        if chunk.num_values() != group.num_rows() {
            return damaged("the column has another number of values than the row group has rows");
        }
        let start = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
        let end = start.checked_add(chunk.compressed_size()).and_then(|end| u64::try_from(end).ok());
        if start < 0 || chunk_len(chunk).is_none() || end.is_none_or(|end| end > self.source.bytes_total()) {
            return damaged("the column's place is not within the file");
        }
        match chunk.compression() {
            Compression::LZO | Compression::BROTLI(_) => {
                let codec = chunk.compression().to_string();
                Err(ExtractError::ParquetCodec { column: place.column, codec })
            }
            _ => Ok(()),
        }
    }
}

/// Runs what reads bytes that nobody has checked. The crate's decoders hold assertions that damaged files can fail, and
/// only what they would make room for is checked before (`footer`, `pages`): so a panic there is an error like any other.
/// What panicked is not used again. The panic still shows on stderr, with its place in the crate.
pub(super) fn caught<T, E: From<ParquetError>>(read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(ParquetError::General("the bytes make no sense to the decoder".to_owned()).into())
    })
}

/// Bytes of a column's chunk, compressed and not; none if the footer says something impossible.
fn chunk_len(chunk: &ColumnChunkMetaData) -> Option<u64> {
    let compressed = u64::try_from(chunk.compressed_size()).ok()?;
    compressed.checked_add(u64::try_from(chunk.uncompressed_size()).ok()?)
}
