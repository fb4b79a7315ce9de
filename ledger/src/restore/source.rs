//! Where the segments of a restore come from: anything that lists and reads them, or a folder. Knows nothing of where they
//! go, and leaves it to the one who restores to check them.

use std::io::{self, Read};
use std::sync::Arc;

use crate::chain::Chain;
use crate::disk::{Disk, DiskFile, read_up_to};
use crate::error::OpenError;
use crate::folder;
use crate::format::segment_name;
use crate::keys::LedgerKeys;
use crate::pruned::PRUNED_FILE;
use crate::walk::{Tail, Walk};

/// Where segments come from.
pub trait Source {
    /// The numbers of the segments there, ascending.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn segments(&self) -> io::Result<Vec<u32>>;
    /// The bytes of a segment's file.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn segment(&self, number: u32) -> io::Result<Box<dyn Read + '_>>;
    /// How many bytes that are.
    ///
    /// # Errors
    /// When nobody can tell.
    fn len_bytes(&self, number: u32) -> io::Result<u64>;
    /// The bytes of the `PRUNED` file, if there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    fn pruned(&self) -> io::Result<Option<Vec<u8>>>;
    /// How a segment there is called in messages.
    fn describe(&self, number: u32) -> String;
    /// The number of the segment that is not sealed, if there is one that may be taken all the same.
    fn open_segment(&self) -> Option<u32> {
        None
    }
}

/// A folder with segments: a copy of a whole ledger, or sealed segments alone.
pub struct FolderSource {
    disk: Arc<dyn Disk>,
    open_segment: Option<u32>,
}

impl FolderSource {
    /// A folder's sealed segments, whatever else is there.
    pub fn sealed_only(disk: &dyn Disk) -> FolderSource {
        FolderSource { disk: disk.again(), open_segment: None }
    }

    /// The copy of a whole ledger, with the segment that was being written, as far as it is in order; where there is
    /// no `LEDGER` file, its sealed segments.
    ///
    /// # Errors
    /// [`OpenError`], when the copy is not in order.
    pub fn open(disk: &dyn Disk, keys: &LedgerKeys) -> Result<FolderSource, OpenError> {
        let mut source = FolderSource::sealed_only(disk);
        if folder::is_new(disk)? {
            return Ok(source);
        }
        let chain = Chain::open(disk, false, keys)?;
        if let Some(segment) = &chain.open {
            let mut walk = Walk::new(segment.clone(), keys);
            let tail = walk.run_to_end()?;
            chain.check_open_mark(segment, walk.slots() + u64::from(matches!(tail, Tail::Sealed(_))))?;
            source.open_segment = Some(segment.number);
        }
        Ok(source)
    }
}

impl Source for FolderSource {
    fn segments(&self) -> io::Result<Vec<u32>> {
        folder::segments(self.disk.as_ref())
    }

    fn segment(&self, number: u32) -> io::Result<Box<dyn Read + '_>> {
        let file = self.disk.open_read(&segment_name(number))?;
        Ok(Box::new(FileBytes::new(file, u64::MAX)))
    }

    fn len_bytes(&self, number: u32) -> io::Result<u64> {
        self.disk.open_read(&segment_name(number))?.length()
    }

    fn pruned(&self) -> io::Result<Option<Vec<u8>>> {
        match self.disk.open_read(PRUNED_FILE) {
            Ok(file) => {
                let mut bytes = Vec::new();
                FileBytes::new(file, u64::MAX).read_to_end(&mut bytes)?;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn describe(&self, number: u32) -> String {
        self.disk.describe(&segment_name(number))
    }

    fn open_segment(&self) -> Option<u32> {
        self.open_segment
    }
}

/// The bytes of a file from its beginning, so many at most.
pub struct FileBytes {
    file: Box<dyn DiskFile>,
    at: u64,
    end: u64,
}

impl FileBytes {
    pub(crate) fn new(file: Box<dyn DiskFile>, len_bytes: u64) -> FileBytes {
        FileBytes { file, at: 0, end: len_bytes }
    }
}

impl Read for FileBytes {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buf.len());
        let read = read_up_to(self.file.as_ref(), &mut buf[..len], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
