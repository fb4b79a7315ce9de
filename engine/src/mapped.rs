//! The one file of this crate with `unsafe` in it: a file of a generation in memory, verified against its length
//! and digest before anyone sees a byte of it, either mapped or copied.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use memmap2::{Advice, Mmap, MmapMut};

use crate::snapshot::{FileDigest, OpenError, OpenStep};

/// What is read and hashed at a time: it fits into a core's second-level cache, so that the bytes are hashed
/// while they are still there.
const PIECE_LEN: usize = 512 * 1024;
/// A transparent huge page of x86-64, and of AArch64 with 4 KiB pages.
const HUGE_PAGE_LEN: usize = 2 * 1024 * 1024;

/// How the files of a generation are held in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryMode {
    /// The files themselves, mapped: pages come and go with the page cache, and one that was dropped is read
    /// again unverified. Costs no memory that the kernel could not take back.
    Mapped,
    /// A copy in anonymous memory, hashed while it was made: what was verified is what is read, whatever becomes
    /// of the file. In transparent huge pages where the kernel has them.
    #[default]
    Resident,
}

impl MemoryMode {
    /// As settings and metrics write it.
    pub fn code(self) -> &'static str {
        match self {
            MemoryMode::Mapped => "mapped",
            MemoryMode::Resident => "resident",
        }
    }
}

/// A file whose every byte was read once and found right.
pub(crate) struct VerifiedMap {
    map: Mmap,
    /// Where the file's bytes are within the map, which may begin before and end after them.
    range: Range<usize>,
}

impl VerifiedMap {
    /// Takes `path` into memory and checks length and BLAKE3 digest.
    pub(crate) fn open(
        path: &Path,
        expected: &FileDigest,
        memory: MemoryMode,
        on_step: &mut dyn FnMut(OpenStep),
    ) -> Result<VerifiedMap, OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        on_step(OpenStep::Verify);
        let mut file = File::open(path).map_err(io)?;
        let found = file.metadata().map_err(io)?.len();
        let digest_error = || OpenError::Digest { path: path.to_owned() };
        if found != expected.len {
            return Err(OpenError::Length { path: path.to_owned(), expected: expected.len, found });
        }
        let len = usize::try_from(found).map_err(|_| io(io::ErrorKind::FileTooLarge.into()))?;
        match memory {
            MemoryMode::Mapped => {
                let map = map_file(&file).map_err(io)?;
                if digest_of_map(&map) != expected.blake3 {
                    return Err(digest_error());
                }
                on_step(OpenStep::Warm);
                populate(&map).map_err(io)?;
                let range = 0..map.len();
                Ok(VerifiedMap { map, range })
            }
            MemoryMode::Resident => {
                let (copy, digest) = copy_file(&mut file, len).map_err(io)?;
                if digest == expected.blake3 { Ok(copy) } else { Err(digest_error()) }
            }
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map[self.range.clone()]
    }
}

fn map_file(file: &File) -> io::Result<Mmap> {
    // SAFETY: the map is only sound while nobody changes or truncates the file. That cannot be checked here.
    // What it rests on: a published file is written once, synced, made 0440 in a 0550 folder and from then on
    // only ever unlinked, which leaves the mapping whole. A page that is evicted and read again is not verified
    // again; the disk is trusted for that. Whoever does not want to rest on it opens with `Resident`.
    unsafe { Mmap::map(file) }
}

fn digest_of_map(map: &Mmap) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    map.chunks(PIECE_LEN).for_each(|piece| {
        hasher.update(piece);
    });
    *hasher.finalize().as_bytes()
}

/// Enters every page into the page table, so that the first look-ups meet no fault. Kernels before 5.14 do not
/// know the request; there the hashing has touched every page a moment ago.
fn populate(map: &Mmap) -> io::Result<()> {
    match map.advise(Advice::PopulateRead) {
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(error),
        _ => Ok(()),
    }
}

/// Copies a file of that length into memory of its own and hashes each piece on the way. From then on nobody can
/// write there, not even this process.
fn copy_file(file: &mut File, len: usize) -> io::Result<(VerifiedMap, [u8; 32])> {
    let (mut memory, start) = anonymous(len)?;
    let range = start..start + len;
    let mut hasher = blake3::Hasher::new();
    for piece in memory[range.clone()].chunks_mut(PIECE_LEN) {
        file.read_exact(piece)?;
        hasher.update(piece);
    }
    let map = memory.make_read_only()?;
    Ok((VerifiedMap { map, range }, *hasher.finalize().as_bytes()))
}

/// Anonymous memory with room for that many bytes, and where they begin. Files as large as a huge page begin at
/// the border of one and have whole ones only; the pages before and behind them are never touched.
fn anonymous(len: usize) -> io::Result<(MmapMut, usize)> {
    if len < HUGE_PAGE_LEN {
        return Ok((MmapMut::map_anon(len.max(1))?, 0));
    }
    let whole = len.checked_next_multiple_of(HUGE_PAGE_LEN).and_then(|len| len.checked_add(HUGE_PAGE_LEN));
    let memory = MmapMut::map_anon(whole.ok_or(io::ErrorKind::OutOfMemory)?)?;
    let start = memory.as_ptr().align_offset(HUGE_PAGE_LEN);
    // A kernel without them has small pages instead, which are slower and just as right.
    let _ = memory.advise(Advice::HugePage);
    Ok((memory, start))
}

/// A part of a verified map, sharing its ownership.
#[derive(Clone)]
pub(crate) struct MapRange {
    map: Arc<VerifiedMap>,
    range: Range<usize>,
}

impl MapRange {
    /// The range was checked against the map when the section table was read.
    pub(crate) fn new(map: &Arc<VerifiedMap>, range: Range<usize>) -> MapRange {
        MapRange { map: Arc::clone(map), range }
    }
}

impl AsRef<[u8]> for MapRange {
    fn as_ref(&self) -> &[u8] {
        &self.map.bytes()[self.range.clone()]
    }
}
