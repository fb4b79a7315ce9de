//! Opening the two files of a generation, which verifies everything before it reads anything, and finding a
//! person in them. Never writes; what it opened never changes.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use zerocopy::FromBytes;

use crate::container::{FileKind, INDEX_FILE, RECORDS_FILE, Section, SectionKind, read_sections};
use crate::decide::Person;
use crate::entitlement::{EntitlementRecord, Slot};
use crate::mapped::{MapRange, MemoryMode, VerifiedMap};
use crate::person::PersonId;

/// Length and BLAKE3 digest of a file, as a generation's `content.json` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileDigest {
    /// Bytes.
    pub len: u64,
    /// BLAKE3 of all of them.
    pub blake3: [u8; 32],
}

/// What the two files of a generation must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotFiles {
    /// `index.bin`.
    pub index: FileDigest,
    /// `records.bin`.
    pub records: FileDigest,
}

/// Why a snapshot was refused. Nothing of it was used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}; check that the generation is complete and readable", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file was cut off or grew.
    #[error(
        "{} has {found} bytes instead of {expected}: it was changed after it was published; build the \
         snapshot again or go back to the generation before",
        path.display()
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// The file's bytes changed.
    #[error(
        "{} does not match its digest: it was changed after it was published; build the snapshot again or go \
         back to the generation before",
        path.display()
    )]
    Digest {
        /// The file.
        path: PathBuf,
    },
    /// The bytes are as they were written, but not what this version understands.
    #[error(
        "{} cannot be used: {fault}; build the snapshot again with this version of the program",
        path.display()
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: &'static str,
    },
}

/// How many people and entitlements a snapshot holds, counted when it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// People with at least one entitlement.
    pub people: u64,
    /// People without a usable row.
    pub incomplete: u64,
    /// Entitlements of all people.
    pub entitlements: u64,
}

/// What opening does, in this order for each file; told as it begins, for whoever takes the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenStep {
    /// Reading and hashing every byte; into memory of its own when it is to be resident.
    Verify,
    /// Making the pages of a mapped file resident.
    Warm,
    /// Headers, bounds and every record.
    Check,
}

/// An opened, verified snapshot.
pub struct Snapshot {
    national: fst::Map<MapRange>,
    foreign: fst::Map<MapRange>,
    slots: MapRange,
    overflow: MapRange,
    files: [Arc<VerifiedMap>; 2],
    memory: MemoryMode,
    counts: Counts,
}

impl Snapshot {
    /// Opens the two files in `dir`, mapped, and verifies them: length and digest of every byte, then headers,
    /// section bounds, counts, and every record.
    ///
    /// # Errors
    /// [`OpenError`], with the file and what to do.
    pub fn open(dir: &Path, files: &SnapshotFiles) -> Result<Snapshot, OpenError> {
        Snapshot::open_in(dir, files, MemoryMode::Mapped, &mut |_| {})
    }

    /// The same in the memory of choice; `on_step` hears what begins.
    ///
    /// # Errors
    /// [`OpenError`], with the file and what to do.
    pub fn open_in(
        dir: &Path,
        files: &SnapshotFiles,
        memory: MemoryMode,
        on_step: &mut dyn FnMut(OpenStep),
    ) -> Result<Snapshot, OpenError> {
        let index_path = dir.join(INDEX_FILE);
        let index = Arc::new(VerifiedMap::open(&index_path, &files.index, memory, on_step)?);
        on_step(OpenStep::Check);
        let [national, foreign] = read_sections(
            index.bytes(),
            FileKind::Index,
            [SectionKind::NationalFst, SectionKind::ForeignFst],
        )
        .map_err(|fault| OpenError::Content { path: index_path.clone(), fault })?;
        let national = open_fst(&index_path, &index, &national)?;
        let foreign = open_fst(&index_path, &index, &foreign)?;

        let records_path = dir.join(RECORDS_FILE);
        let fault = |fault| OpenError::Content { path: records_path.clone(), fault };
        let records = Arc::new(VerifiedMap::open(&records_path, &files.records, memory, on_step)?);
        on_step(OpenStep::Check);
        let wanted = [SectionKind::Slots, SectionKind::Overflow];
        let [slots, overflow] = read_sections(records.bytes(), FileKind::Records, wanted).map_err(fault)?;
        if slots.count != (national.len() + foreign.len()) as u64 {
            return Err(fault("it has not one slot for each person of the index"));
        }
        let mut snapshot = Snapshot {
            national,
            foreign,
            slots: MapRange::new(&records, slots.range.clone()),
            overflow: MapRange::new(&records, overflow.range.clone()),
            files: [index, records],
            memory,
            counts: Counts::default(),
        };
        snapshot.counts = check_records(&snapshot, &slots, &overflow).map_err(fault)?;
        Ok(snapshot)
    }

    /// Finds a person: one look-up in the index, one or two in the records.
    pub fn find(&self, person: PersonId) -> Person<'_> {
        self.rank(person).map_or(Person::Unknown, |rank| self.person_at(rank))
    }

    /// What stands under a record number; unknown beyond the last, which cannot come out of a verified index.
    pub(crate) fn person_at(&self, rank: u64) -> Person<'_> {
        let Some(record) = usize::try_from(rank).ok().and_then(|rank| self.slots().get(rank)) else {
            return Person::Unknown;
        };
        match record.slot() {
            Some(Slot::Entitlement) => Person::Entitled(std::slice::from_ref(record)),
            Some(Slot::Overflow { first, len }) => {
                let first = first as usize;
                let group = self.overflow().get(first..first + len as usize);
                group.map_or(Person::Incomplete, Person::Entitled)
            }
            Some(Slot::Incomplete) | None => Person::Incomplete,
        }
    }

    /// How its files are held.
    pub fn memory_mode(&self) -> MemoryMode {
        self.memory
    }

    /// The addresses at which its files lie in memory: to ask the system which of their pages are there.
    pub fn address_ranges(&self) -> [Range<usize>; 2] {
        self.files.each_ref().map(|file| {
            let bytes = file.bytes().as_ptr_range();
            bytes.start as usize..bytes.end as usize
        })
    }

    /// Bytes of its files.
    pub fn len_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes().len() as u64).sum()
    }

    /// How many people and entitlements it holds.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The indexes of national IDs and of foreign nationals' numbers.
    pub(crate) fn indexes(&self) -> (&fst::Map<MapRange>, &fst::Map<MapRange>) {
        (&self.national, &self.foreign)
    }

    /// The record number of a person is their rank among all keys: national IDs first, then foreign ones.
    fn rank(&self, person: PersonId) -> Option<u64> {
        match person {
            PersonId::National(id) => self.national.get(id.index_key()),
            PersonId::Foreign(id) => {
                self.foreign.get(id.index_key()).map(|rank| self.national.len() as u64 + rank)
            }
        }
    }

    fn slots(&self) -> &[EntitlementRecord] {
        records_of(&self.slots)
    }

    fn overflow(&self) -> &[EntitlementRecord] {
        records_of(&self.overflow)
    }
}

/// The record size divides the section's length: checked on opening. The view has no alignment to keep.
fn records_of(range: &MapRange) -> &[EntitlementRecord] {
    <[EntitlementRecord]>::ref_from_bytes(range.as_ref()).unwrap_or_default()
}

fn open_fst(path: &Path, map: &Arc<VerifiedMap>, section: &Section) -> Result<fst::Map<MapRange>, OpenError> {
    let fault = |fault| OpenError::Content { path: path.to_owned(), fault };
    let opened = fst::Map::new(MapRange::new(map, section.range.clone()));
    let opened = opened.map_err(|_| fault("one of its indexes is no FST of this version"))?;
    if opened.len() as u64 == section.count {
        Ok(opened)
    } else {
        Err(fault("one of its indexes has another number of keys than its section says"))
    }
}

/// Every slot is of this version, and the overflow area is used up group by group, in order.
fn check_records(snapshot: &Snapshot, slots: &Section, overflow: &Section) -> Result<Counts, &'static str> {
    let sized = |section: &Section| {
        section.count.checked_mul(size_of::<EntitlementRecord>() as u64) == Some(section.range.len() as u64)
    };
    if !sized(slots) || !sized(overflow) {
        return Err("a section's length is not its number of records times their size");
    }
    let mut rest = snapshot.overflow();
    let mut counts = Counts::default();
    for record in snapshot.slots() {
        counts.people += 1;
        match record.slot().ok_or("a slot has a form that this version does not know")? {
            Slot::Incomplete => counts.incomplete += 1,
            Slot::Entitlement => {
                counts.entitlements += 1;
                record.unpack().ok_or("an entitlement has values that this version does not know")?;
            }
            Slot::Overflow { first, len } => {
                let used = snapshot.overflow().len() - rest.len();
                let group = rest.split_at_checked(len as usize).filter(|_| first as usize == used);
                let (group, after) = group.ok_or("a slot points beyond its part of the overflow area")?;
                check_group(group)?;
                counts.entitlements += u64::from(len);
                rest = after;
            }
        }
    }
    counts.people -= counts.incomplete;
    if rest.is_empty() { Ok(counts) } else { Err("a part of the overflow area belongs to nobody") }
}

fn check_group(group: &[EntitlementRecord]) -> Result<(), &'static str> {
    if group.len() < 2 || group.iter().any(|record| record.unpack().is_none()) {
        return Err("an overflow group has values that this version does not know");
    }
    if group.is_sorted_by(|a, b| a.storage_order() < b.storage_order()) {
        Ok(())
    } else {
        Err("an overflow group is not in order")
    }
}
