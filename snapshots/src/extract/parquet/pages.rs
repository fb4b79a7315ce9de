//! The pages of a column's chunk as the crate reads them, each checked before its header and its values are believed: what
//! memory cannot hold is no panic that could be caught, but the end of the process.

use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;

use super::delta::check_delta;
use super::page_size::PageSizes;
use super::schema::Plan;
use super::source::Source;
use super::thrift::damaged;

/// Reads pages from the first to the last.
///
/// What is not held against anything is what a page turns out to be when it is unpacked: gzip and framed LZ4 are unpacked
/// by the crate to their end, whatever the header says.
pub(super) struct CheckedPages {
    source: Arc<Source>,
    sizes: PageSizes,
    pages: SerializedPageReader<Source>,
    optional: bool,
    dictionary: bool,
}

impl CheckedPages {
    /// Those of one column of a row group, whose place and sizes in the footer were checked.
    pub(super) fn new(
        source: &Arc<Source>,
        group: &RowGroupMetaData,
        plan: &Plan,
    ) -> Result<CheckedPages, ParquetError> {
        let (rows, chunk) = (usize::try_from(group.num_rows())?, group.column(plan.leaf));
        let (start, stored_len) = chunk.byte_range();
        let chunk_len = u64::try_from(chunk.uncompressed_size())?;
        Ok(CheckedPages {
            source: Arc::clone(source),
            sizes: PageSizes::new(start, stored_len, chunk_len),
            pages: SerializedPageReader::new(Arc::clone(source), chunk, rows, None)?,
            optional: plan.descriptor.max_def_level() > 0,
            dictionary: false,
        })
    }

    /// A page that needs a dictionary must have one: the decoder panics without. And a dictionary must have room for its
    /// values, each of four bytes at least: the decoder makes room for all beforehand.
    fn check_dictionary(&mut self, page: &Page) -> Result<(), ParquetError> {
        self.dictionary |= page.is_dictionary_page();
        if page.is_dictionary_page() && page.num_values() as usize > page.buffer().len() / 4 {
            return Err(damaged("a dictionary shorter than its number of values"));
        }
        let needs = matches!(page.encoding(), Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY);
        if needs && !self.dictionary {
            return Err(damaged("a page without the dictionary it needs"));
        }
        Ok(())
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        self.sizes.check_next(|at| self.source.get_read(at))?;
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page {
            self.check_dictionary(page)?;
            check_delta(page, self.optional)?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.pages.peek_next_page()
    }

    /// Nobody does: every row is read.
    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        Err(damaged("pages are not skipped"))
    }
}

impl Iterator for CheckedPages {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
