//! The file behind a Parquet extract, read at places: the columns of a row group are decoded at once, and must not
//! share a position, as the crate's own reader of files does.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use engine::FileDigest;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use storage::Seen;

use crate::extract::error::ExtractError;

/// What a Parquet file begins and ends with.
pub(crate) const MAGIC: &[u8; 4] = b"PAR1";
/// The same of one whose footer is encrypted.
pub(crate) const MAGIC_ENCRYPTED: &[u8; 4] = b"PARE";

/// Headers of pages are some dozens of bytes; their statistics may be longer.
const HEADER_BUFFER_LEN: usize = 1 << 10;
/// Bytes that are digested at once.
const DIGEST_LEN: usize = 1 << 20;

/// An open file of known length.
pub(crate) struct Source {
    path: PathBuf,
    file: Arc<File>,
    seen: Seen,
    len: u64,
}

impl Source {
    pub(crate) fn new(path: &Path, file: File) -> Result<Source, ExtractError> {
        let metadata = file.metadata();
        let metadata = metadata.map_err(|source| ExtractError::Io { path: path.to_owned(), source })?;
        let (seen, len) = (Seen::of(&metadata), metadata.len());
        Ok(Source { path: path.to_owned(), file: Arc::new(file), seen, len })
    }

    pub(crate) fn bytes_total(&self) -> u64 {
        self.len
    }

    /// Length and digest of the whole file.
    pub(crate) fn digest(&self) -> Result<FileDigest, ExtractError> {
        let mut hasher = blake3::Hasher::new();
        let mut reader = BufReader::with_capacity(DIGEST_LEN, self.reader_at(0));
        hasher.update_reader(&mut reader).map_err(self.io_error())?;
        Ok(FileDigest { len: hasher.count(), blake3: *hasher.finalize().as_bytes() })
    }

    /// Rows and digest are read apart, and must be of the same bytes.
    pub(crate) fn check_unchanged(&self) -> Result<(), ExtractError> {
        self.seen.check(&self.file).map_err(|_| ExtractError::Changed { path: self.path.clone() })
    }

    fn io_error(&self) -> impl Fn(io::Error) -> ExtractError {
        |source| ExtractError::Io { path: self.path.clone(), source }
    }

    fn reader_at(&self, offset: u64) -> ReaderAt {
        ReaderAt { file: Arc::clone(&self.file), offset }
    }
}

/// Reads on from a place, whatever others read.
pub(crate) struct ReaderAt {
    file: Arc<File>,
    offset: u64,
}

impl Read for ReaderAt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Source {
    type T = BufReader<ReaderAt>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::with_capacity(HEADER_BUFFER_LEN, self.reader_at(start)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.len) {
            return Err(ParquetError::EOF("a place beyond the end of the file".to_owned()));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}
