//! The header of a page before the crate makes room for the page: what it claims is held against what the footer says of
//! the column's chunk, and against a bound of its own.

use std::io::Read;

use parquet::errors::ParquetError;
use thiserror::Error;

use super::thrift::{I32, Thrift, damaged};

const MIB: u64 = 1 << 20;
/// Bytes of a page before compression, at most. Exporters make pages of about a megabyte; none that is known makes
/// more than a hundred.
pub(super) const PAGE_LEN_MAX: u64 = 256 * MIB;
/// The kind of a page that is passed over.
const INDEX_PAGE: i64 = 1;

/// What is not read for its size, whether it is damaged or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PageTooLarge {
    /// Before compression.
    #[error("a page of {} MiB, where at most {} MiB are read at once", found.div_ceil(MIB), max / MIB)]
    Bytes {
        /// What its header says.
        found: u64,
        /// What is read.
        max: u64,
    },
    /// Of strings that are stored as deltas.
    #[error("a page of {found} values, where at most {max} are read at once")]
    Values {
        /// What its header says.
        found: u32,
        /// What is read.
        max: u32,
    },
}

impl From<PageTooLarge> for ParquetError {
    fn from(error: PageTooLarge) -> ParquetError {
        ParquetError::External(Box::new(error))
    }
}

/// What the header of a page says of its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageHeader {
    kind: i64,
    /// Bytes before compression.
    len: u64,
    /// Bytes that follow the header.
    stored_len: u64,
    /// Bytes of the header.
    header_len: u64,
}

impl PageHeader {
    fn read(input: impl Read) -> Result<PageHeader, ParquetError> {
        let mut thrift = Thrift::new(input);
        let (mut id, mut numbers) = (0, [None; 3]);
        while let Some(field) = thrift.field(id)? {
            id = field.id;
            match id {
                1..=3 if field.kind == I32 => numbers[id as usize - 1] = Some(thrift.signed()?),
                _ => thrift.skip(field.kind)?,
            }
        }
        let size = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
        let (Some(kind), Some(len), Some(stored_len)) = (numbers[0], size(numbers[1]), size(numbers[2]))
        else {
            return Err(damaged("the header of a page does not say how large it is"));
        };
        Ok(PageHeader { kind, len, stored_len, header_len: thrift.len() })
    }
}

/// Goes from header to header beside the crate, always one page ahead.
pub(super) struct PageSizes {
    /// Where the next header begins.
    at: u64,
    /// Where the chunk ends.
    end: u64,
    /// Bytes of the chunk before compression, as the footer says.
    chunk_len: u64,
}

impl PageSizes {
    /// Of a chunk that begins there and has so many bytes, stored and before compression.
    pub(super) fn new(start: u64, stored_len: u64, chunk_len: u64) -> PageSizes {
        PageSizes { at: start, end: start.saturating_add(stored_len), chunk_len }
    }

    /// Checks the header of the page that the crate reads next, if there is one.
    pub(super) fn check_next<R: Read>(
        &mut self,
        read_at: impl Fn(u64) -> Result<R, ParquetError>,
    ) -> Result<(), ParquetError> {
        while self.at < self.end {
            let header = PageHeader::read(read_at(self.at)?)?;
            let len = header.header_len.checked_add(header.stored_len);
            let next = len.and_then(|len| self.at.checked_add(len)).filter(|next| *next <= self.end);
            self.at = next.ok_or_else(|| damaged("a page goes on beyond the end of its column"))?;
            if header.len > self.chunk_len {
                return Err(damaged("a page claims more bytes than the footer states for its whole column"));
            }
            if header.len > PAGE_LEN_MAX {
                return Err(PageTooLarge::Bytes { found: header.len, max: PAGE_LEN_MAX }.into());
            }
            if header.kind != INDEX_PAGE {
                break;
            }
        }
        Ok(())
    }
}
