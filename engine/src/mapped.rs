//! The one file of this crate with `unsafe` in it: a read-only memory map, verified against its length and
//! digest before anyone sees a byte of it.
#![allow(unsafe_code)]

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use crate::snapshot::{FileDigest, OpenError};

/// A mapped file whose every byte was read once and found right.
pub(crate) struct VerifiedMap {
    map: Mmap,
}

impl VerifiedMap {
    /// Maps `path` and checks length and BLAKE3 digest.
    pub(crate) fn open(path: &Path, expected: &FileDigest) -> Result<VerifiedMap, OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        if len != expected.len {
            return Err(OpenError::Length { path: path.to_owned(), expected: expected.len, found: len });
        }
        // SAFETY: the map is only sound while nobody changes or truncates the file. That cannot be checked
        // here. What it rests on: a published file is written once, synced, made 0440 in a 0550 folder and
        // from then on only ever unlinked, which leaves the mapping whole. A page that is evicted and read
        // again is not verified again; the disk is trusted for that.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        if *blake3::hash(&map).as_bytes() != expected.blake3 {
            return Err(OpenError::Digest { path: path.to_owned() });
        }
        Ok(VerifiedMap { map })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }
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
