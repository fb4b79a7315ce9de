//! Writes sorted people into the two files of a generation: the FST index and the packed records. The
//! counterpart of `snapshot`, which opens what is written here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zerocopy::IntoBytes;

use crate::container::{
    FileKind, HEADER_LEN, HeaderBuilder, INDEX_FILE, RECORDS_FILE, SECTION_ALIGN, SectionKind,
};
use crate::entitlement::EntitlementRecord;
use crate::person::{ForeignId, NationalId, PersonId};
use crate::snapshot::Counts;

const OVERFLOW_FILE: &str = "overflow.tmp";
/// Bytes gathered before each write.
const WRITE_BUFFER_LEN: usize = 1 << 20;

impl NationalId {
    /// The FST key: nine digits as four big-endian bytes. Against ten ASCII digits, this was measured at
    /// 852 to 1,410 ns a look-up and 129 to 324 ns a key to build, for 1.1 bytes a key more.
    pub(crate) fn index_key(self) -> [u8; 4] {
        self.nine().to_be_bytes()
    }
}

impl ForeignId {
    /// The FST key: the number with the leading 1, at most 55 bits, as seven big-endian bytes.
    pub(crate) fn index_key(self) -> [u8; 7] {
        let [_, key @ ..] = self.number().to_be_bytes();
        key
    }
}

/// Why a snapshot could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The disk refused.
    #[error("cannot write {}: {source}; check the free space and the folder's permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// More entitlements of people with several than the format can count.
    #[error(
        "people with several entitlements have more than 4,294,967,295 together; check the extract for rows \
         that repeat one ID"
    )]
    TooMany,
    /// People did not come in ascending order: a defect of the caller.
    #[error("people were not given in ascending order; this is a defect of the program, report it")]
    OutOfOrder,
}

/// Takes people in ascending order and writes them as they come; the overflow area goes to a file of its own first.
pub struct Compiler {
    index: IndexWriter,
    records: SectionWriter,
    overflow: OverflowWriter,
    last: Option<PersonId>,
    counts: Counts,
}

impl Compiler {
    /// Creates the two files in `dir`, which must not have them yet.
    ///
    /// # Errors
    /// [`WriteError::Io`].
    pub fn create(dir: &Path) -> Result<Compiler, WriteError> {
        Ok(Compiler {
            index: IndexWriter::create(dir)?,
            records: SectionWriter::create(dir.join(RECORDS_FILE))?,
            overflow: OverflowWriter::create(dir)?,
            last: None,
            counts: Counts::default(),
        })
    }

    /// Adds a person with all their different entitlements in storage order; with none, as incomplete.
    ///
    /// # Errors
    /// [`WriteError`]; the files are then of no use.
    pub fn add(&mut self, person: PersonId, entitlements: &[EntitlementRecord]) -> Result<(), WriteError> {
        if self.last.replace(person) >= Some(person) {
            return Err(WriteError::OutOfOrder);
        }
        self.index.add(person)?;
        let slot = match entitlements {
            [] => EntitlementRecord::incomplete(),
            [only] => *only,
            several => {
                let first = u32::try_from(self.overflow.count).map_err(|_| WriteError::TooMany)?;
                let len = u32::try_from(several.len()).map_err(|_| WriteError::TooMany)?;
                self.overflow.add(several)?;
                EntitlementRecord::overflow(first, len)
            }
        };
        self.counts.incomplete += u64::from(entitlements.is_empty());
        self.counts.people += u64::from(!entitlements.is_empty());
        self.counts.entitlements += entitlements.len() as u64;
        self.records.write(slot.as_bytes())
    }

    /// Writes what is left, then the headers, and syncs both files. Tells how much was written.
    ///
    /// # Errors
    /// [`WriteError::Io`]; the files are then of no use.
    pub fn finish(mut self) -> Result<Counts, WriteError> {
        self.index.finish()?;
        let mut header = HeaderBuilder::new(FileKind::Records);
        let slots = self.counts.people + self.counts.incomplete;
        self.records.end_section(&mut header, SectionKind::Slots, slots)?;
        let overflow_count = self.overflow.count;
        self.overflow.copy_to(&mut self.records)?;
        self.records.end_section(&mut header, SectionKind::Overflow, overflow_count)?;
        self.records.finish(header)?;
        Ok(self.counts)
    }
}

/// The overflow area, until the slots before it are all written: a file without a name.
struct OverflowWriter {
    path: PathBuf,
    file: BufWriter<File>,
    count: u64,
}

impl OverflowWriter {
    fn create(dir: &Path) -> Result<OverflowWriter, WriteError> {
        let path = dir.join(OVERFLOW_FILE);
        let created = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = created.and_then(|file| fs::remove_file(&path).map(|()| file));
        let file = file.map_err(|source| WriteError::Io { path: path.clone(), source })?;
        Ok(OverflowWriter { path, file: BufWriter::with_capacity(WRITE_BUFFER_LEN, file), count: 0 })
    }

    fn add(&mut self, records: &[EntitlementRecord]) -> Result<(), WriteError> {
        self.count += records.len() as u64;
        let written = self.file.write_all(records.as_bytes());
        written.map_err(|source| WriteError::Io { path: self.path.clone(), source })
    }

    fn copy_to(self, records: &mut SectionWriter) -> Result<(), WriteError> {
        let OverflowWriter { path, file, .. } = self;
        let copied = file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|mut file| {
            file.seek(SeekFrom::Start(0))?;
            io::copy(&mut file, records)
        });
        copied.map(drop).map_err(|source| WriteError::Io { path, source })
    }
}

/// The index file. National IDs stream into it; the FST of the few foreign ones is kept in memory until then.
struct IndexWriter {
    path: PathBuf,
    national: fst::MapBuilder<SectionWriter>,
    foreign: fst::MapBuilder<Vec<u8>>,
    national_keys: u64,
    foreign_keys: u64,
}

impl IndexWriter {
    fn create(dir: &Path) -> Result<IndexWriter, WriteError> {
        let path = dir.join(INDEX_FILE);
        let writer = SectionWriter::create(path.clone())?;
        let national = fst::MapBuilder::new(writer).map_err(|error| fst_error(&path, error))?;
        let foreign = fst::MapBuilder::memory();
        Ok(IndexWriter { path, national, foreign, national_keys: 0, foreign_keys: 0 })
    }

    /// Each FST counts its keys from zero.
    fn add(&mut self, person: PersonId) -> Result<(), WriteError> {
        let (inserted, keys) = match person {
            PersonId::National(id) => {
                (self.national.insert(id.index_key(), self.national_keys), &mut self.national_keys)
            }
            PersonId::Foreign(id) => {
                (self.foreign.insert(id.index_key(), self.foreign_keys), &mut self.foreign_keys)
            }
        };
        *keys += 1;
        inserted.map_err(|error| fst_error(&self.path, error))
    }

    fn finish(self) -> Result<(), WriteError> {
        let path = self.path;
        let mut header = HeaderBuilder::new(FileKind::Index);
        let mut writer = self.national.into_inner().map_err(|error| fst_error(&path, error))?;
        writer.end_section(&mut header, SectionKind::NationalFst, self.national_keys)?;
        writer.write(&self.foreign.into_inner().map_err(|error| fst_error(&path, error))?)?;
        writer.end_section(&mut header, SectionKind::ForeignFst, self.foreign_keys)?;
        writer.finish(header)
    }
}

/// Keys come in order, so that only the disk can fail an FST.
fn fst_error(path: &Path, error: fst::Error) -> WriteError {
    match error {
        fst::Error::Io(source) => WriteError::Io { path: path.to_owned(), source },
        fst::Error::Fst(_) => WriteError::OutOfOrder,
    }
}

/// A container being written: room for the header, then section after section.
struct SectionWriter {
    path: PathBuf,
    file: BufWriter<File>,
    section_start: u64,
    position: u64,
}

impl SectionWriter {
    fn create(path: PathBuf) -> Result<SectionWriter, WriteError> {
        let created = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = created.map_err(|source| WriteError::Io { path: path.clone(), source })?;
        let file = BufWriter::with_capacity(WRITE_BUFFER_LEN, file);
        let mut writer = SectionWriter { path, file, section_start: HEADER_LEN, position: 0 };
        writer.write(&[0; HEADER_LEN as usize])?;
        Ok(writer)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.write_all(bytes).map_err(|source| WriteError::Io { path: self.path.clone(), source })
    }

    /// Enters what was written since the last call as a section, and pads to where the next one begins.
    fn end_section(
        &mut self,
        header: &mut HeaderBuilder,
        kind: SectionKind,
        count: u64,
    ) -> Result<(), WriteError> {
        header.push(kind, self.section_start, self.position - self.section_start, count);
        let padding = self.position.next_multiple_of(SECTION_ALIGN) - self.position;
        self.write(&[0; SECTION_ALIGN as usize][..padding as usize])?;
        self.section_start = self.position;
        Ok(())
    }

    fn finish(mut self, header: HeaderBuilder) -> Result<(), WriteError> {
        let header = header.finish(self.position);
        let written = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.write_all(&header));
        let synced = written.and_then(|()| self.file.flush()).and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(|source| WriteError::Io { path: self.path, source })
    }
}

impl Write for SectionWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.position += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
