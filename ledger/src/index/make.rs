//! Making the index of a sealed segment: a walk over all of it, which checks it as `verify` does, then one file, written
//! beside, synced and renamed. So an index is there whole or not at all, and the same segment gives the same bytes.

use std::io;
use std::sync::Arc;

use thiserror::Error;

use super::file::{IndexRecord, write};
use super::{PersonKey, Persons, person_in};
use crate::chain::SegmentInfo;
use crate::disk::Disk;
use crate::error::{DamageKind, ReadError};
use crate::folder;
use crate::format::index_name;
use crate::keys::LedgerKeys;
use crate::segment::Segment;
use crate::walk::{Step, Tail, Walk};

/// Entries between two pauses.
const STEP_LEN: u64 = 4096;

/// Why the index of a segment was not made.
#[derive(Debug, Error)]
pub enum IndexError {
    /// The segment cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk failed.
    #[error("cannot write {path}: {source}; look at the disk; meanwhile searches read the whole segment")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        source: io::Error,
    },
}

/// The records of a segment's index. `pause` is called now and then, and says whether to go on; none if not.
pub(crate) fn make(
    segment: Arc<Segment>,
    info: &SegmentInfo,
    persons: &Persons,
    keys: &LedgerKeys,
    mut pause: impl FnMut() -> bool,
) -> Result<Option<Vec<IndexRecord>>, ReadError> {
    let mut entries = Vec::with_capacity(usize::try_from(info.inquiries).unwrap_or_default());
    let mut walk = Walk::new(segment, keys);
    let tail = loop {
        let at = walk.slots();
        if at % STEP_LEN == STEP_LEN - 1 && !pause() {
            return Ok(None);
        }
        match walk.step()? {
            Step::Entry(slot) => {
                if let Some(person) = person_in(walk.segment(), keys, at, &slot)? {
                    entries.push((person.into(), u32::try_from(at).expect("a segment has fewer slots")));
                }
            }
            Step::End(tail) => break tail,
        }
    };
    match tail {
        Tail::Sealed(seal) if seal.digest == info.digest => Ok(Some(sorted(persons, &mut entries))),
        _ => Err(walk.segment().damage(info.entries, DamageKind::NoSeal)),
    }
}

/// The records of these entries, in the order of their tags.
pub(super) fn sorted(persons: &Persons, entries: &mut [(PersonKey, u32)]) -> Vec<IndexRecord> {
    entries.sort_unstable();
    let (mut records, mut before) = (Vec::with_capacity(entries.len()), None);
    for (person, slot) in entries.iter() {
        let occurrence = match before {
            Some((last, occurrence)) if last == *person => occurrence + 1,
            _ => 0,
        };
        before = Some((*person, occurrence));
        records.push(IndexRecord { tag: persons.tag(*person, occurrence), slot: (*slot).into() });
    }
    records.sort_unstable_by_key(|record| record.tag);
    records
}

/// Puts an index into its place, whatever was there. `pause` is called between pieces, and says whether to go on; false if
/// not.
pub(crate) fn publish(
    disk: &dyn Disk,
    info: &SegmentInfo,
    persons: &Persons,
    records: &[IndexRecord],
    pause: impl FnMut() -> bool,
) -> Result<bool, IndexError> {
    let name = index_name(info.number);
    let published = folder::publish(disk, &name, |file| write(file, persons, info, records, pause));
    match published {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(source) => Err(IndexError::Io { path: disk.describe(&name), source }),
    }
}
