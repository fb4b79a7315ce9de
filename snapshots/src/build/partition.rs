//! Gathers checked rows by the leading digits of the ID, then sorts, merges and hands them out per person in
//! ascending order, one part of the ID space after the other. IDs are dense numbers, so that a thousand parts sort
//! faster than one heap of rows. What does not fit the memory bound is put aside in a file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use engine::{EntitlementRecord, PersonId};
use parking_lot::Mutex;
use rayon::prelude::*;
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::id_space::{Key, PARTS};

/// Rows that are kept, or put aside, together: a power of two, so that a growing vector ends at it.
const CHUNK_ROWS: usize = 2048;
/// Bytes of such a chunk.
const CHUNK_LEN: usize = CHUNK_ROWS * size_of::<Row>();
/// Bytes of rows that are merged at once, by parts; while they are written the next ones are merged.
const WINDOW_LEN: usize = 24 << 20;
const SPILL_FILE: &str = "rows.tmp";

/// An accepted row; with the record of an incomplete person, one that was rejected for another column.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Row {
    key: U64,
    record: EntitlementRecord,
}

const _: () = assert!(size_of::<Row>() == 24);

impl Row {
    fn new(person: PersonId, record: EntitlementRecord) -> Row {
        Row { key: U64::new(Key::new(person).number()), record }
    }

    fn key(&self) -> Key {
        Key::from_number(self.key.get())
    }
}

/// The rows of one block, before they are handed to the parts.
#[derive(Default)]
pub(crate) struct RowBatch {
    rows: Vec<Row>,
}

impl RowBatch {
    pub(crate) fn accept(&mut self, person: PersonId, record: EntitlementRecord) {
        self.rows.push(Row::new(person, record));
    }

    pub(crate) fn reject(&mut self, person: PersonId) {
        self.rows.push(Row::new(person, EntitlementRecord::incomplete()));
    }
}

#[derive(Default)]
struct Part {
    /// Being filled.
    open: Vec<Row>,
    full: Vec<Vec<Row>>,
    /// Where chunks that were put aside begin in the file.
    spilled: Vec<u64>,
}

impl Part {
    fn len(&self) -> usize {
        (self.full.len() + self.spilled.len()) * CHUNK_LEN + self.open.len() * size_of::<Row>()
    }
}

/// Takes batches from all threads.
pub(crate) struct Partitions {
    parts: Vec<Mutex<Part>>,
    spill: Spill,
    /// Bytes of full chunks that may be kept in memory.
    kept_max: usize,
    kept: AtomicUsize,
}

/// A file without a name, in which rows are put aside.
struct Spill {
    file: File,
    len: AtomicU64,
}

impl Spill {
    fn create(folder: &Path) -> io::Result<Spill> {
        let path = folder.join(SPILL_FILE);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        fs::remove_file(&path)?;
        Ok(Spill { file, len: AtomicU64::new(0) })
    }

    fn put(&self, rows: &[Row]) -> io::Result<u64> {
        let offset = self.len.fetch_add(CHUNK_LEN as u64, Ordering::Relaxed);
        self.file.write_all_at(rows.as_bytes(), offset)?;
        Ok(offset)
    }

    fn take(&self, offset: u64, rows: &mut [Row]) -> io::Result<()> {
        self.file.read_exact_at(rows.as_mut_bytes(), offset)
    }
}

impl Partitions {
    /// `kept_max`: bytes of rows to keep in memory; those beyond are put aside in a file in `folder`.
    pub(crate) fn new(folder: &Path, kept_max: usize) -> io::Result<Partitions> {
        let parts = (0..PARTS).map(|_| Mutex::default()).collect();
        Ok(Partitions { parts, spill: Spill::create(folder)?, kept_max, kept: AtomicUsize::new(0) })
    }

    pub(crate) fn add(&self, mut batch: RowBatch) -> io::Result<()> {
        batch.rows.sort_unstable_by_key(|row| row.key().part());
        for rows in batch.rows.chunk_by(|a, b| a.key().part() == b.key().part()) {
            self.extend(&mut self.parts[rows[0].key().part()].lock(), rows)?;
        }
        Ok(())
    }

    fn extend(&self, part: &mut Part, mut rows: &[Row]) -> io::Result<()> {
        while !rows.is_empty() {
            let (now, later) = rows.split_at(rows.len().min(CHUNK_ROWS - part.open.len()));
            part.open.extend_from_slice(now);
            rows = later;
            if part.open.len() == CHUNK_ROWS {
                self.store_chunk(part)?;
            }
        }
        Ok(())
    }

    fn store_chunk(&self, part: &mut Part) -> io::Result<()> {
        if self.kept.fetch_add(CHUNK_LEN, Ordering::Relaxed) + CHUNK_LEN <= self.kept_max {
            part.full.push(std::mem::take(&mut part.open));
        } else {
            self.kept.fetch_sub(CHUNK_LEN, Ordering::Relaxed);
            part.spilled.push(self.spill.put(&part.open)?);
            part.open.clear();
        }
        Ok(())
    }

    /// Bytes of the largest part, which must fit the memory as a whole.
    pub(crate) fn largest_len(&mut self) -> usize {
        self.parts.iter_mut().map(|part| part.get_mut().len()).max().unwrap_or(0)
    }

    /// Sorts and merges part after part, on all cores, and calls `visit` for each in ascending order on one of
    /// them while the next ones are merged.
    pub(crate) fn try_for_each<E: From<io::Error> + Send>(
        self,
        mut visit: impl FnMut(&Merged) -> Result<(), E> + Send,
    ) -> Result<(), E> {
        let Partitions { parts, spill, .. } = self;
        let mut parts = parts.into_iter().map(Mutex::into_inner).peekable();
        let mut ready = Vec::new();
        loop {
            let window = next_window(&mut parts);
            let (visited, merged) = rayon::join(
                || ready.iter().try_for_each(&mut visit),
                || window.into_par_iter().map(|part| merge(part, &spill)).collect::<io::Result<Vec<_>>>(),
            );
            visited?;
            ready = merged?;
            if ready.is_empty() {
                return Ok(());
            }
        }
    }
}

/// Some parts, at least one unless there are none.
fn next_window(parts: &mut std::iter::Peekable<impl Iterator<Item = Part>>) -> Vec<Part> {
    let mut window: Vec<Part> = parts.next().into_iter().collect();
    let mut len: usize = window.iter().map(Part::len).sum();
    while let Some(part) = parts.next_if(|part| len + part.len() <= WINDOW_LEN) {
        len += part.len();
        window.push(part);
    }
    window
}

/// One part, sorted and without repeated rows.
pub(crate) struct Merged {
    rows: Vec<Row>,
    /// Rows that repeated a stored one.
    pub(crate) duplicates: u64,
    /// Of all that the part holds; see [`Fingerprinter`].
    pub(crate) fingerprint: blake3::Hash,
}

fn merge(part: Part, spill: &Spill) -> io::Result<Merged> {
    let mut rows = Vec::with_capacity(part.len() / size_of::<Row>());
    rows.extend_from_slice(&part.open);
    part.full.into_iter().for_each(|chunk| rows.extend_from_slice(&chunk));
    for offset in part.spilled {
        let start = rows.len();
        rows.resize(start + CHUNK_ROWS, Row::new_zeroed());
        spill.take(offset, &mut rows[start..])?;
    }
    Ok(Merged::from_rows(rows))
}

impl Merged {
    fn from_rows(mut rows: Vec<Row>) -> Merged {
        rows.sort_unstable_by(|a, b| {
            a.key().cmp(&b.key()).then_with(|| a.record.storage_order().cmp(&b.record.storage_order()))
        });
        let is_rejected = |row: &Row| row.record == EntitlementRecord::incomplete();
        let mut duplicates = 0;
        rows.dedup_by(|a, b| {
            let same = a == b;
            duplicates += u64::from(same && !is_rejected(a));
            same
        });
        // A rejected row makes nobody incomplete who has another: then two or more rows bear the ID.
        let mut several: Vec<Key> = Vec::new();
        let groups = rows.chunk_by(|a, b| a.key() == b.key());
        several.extend(groups.filter(|g| g.len() > 1 && g.iter().any(is_rejected)).map(|g| g[0].key()));
        if !several.is_empty() {
            rows.retain(|row| !is_rejected(row) || several.binary_search(&row.key()).is_err());
        }
        let fingerprint = blake3::hash(rows.as_bytes());
        Merged { rows, duplicates, fingerprint }
    }

    /// Calls `visit` for each person in ascending order, with their entitlements in storage order; with none
    /// for an incomplete person.
    pub(crate) fn try_for_each<E>(
        &self,
        mut visit: impl FnMut(PersonId, &[EntitlementRecord]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut records = Vec::new();
        for group in self.rows.chunk_by(|a, b| a.key() == b.key()) {
            records.clear();
            records
                .extend(group.iter().map(|row| row.record).filter(|r| *r != EntitlementRecord::incomplete()));
            visit(group[0].key().person(), &records)?;
        }
        Ok(())
    }

    /// Different rows.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.len() as u64
    }
}

/// What a part of the ID space holds, so that two of them can be compared.
pub(crate) struct Fingerprinter(Vec<Row>);

impl Fingerprinter {
    pub(crate) fn new() -> Fingerprinter {
        Fingerprinter(Vec::new())
    }

    /// The next person of the part; with no entitlements, an incomplete one.
    pub(crate) fn add(&mut self, person: PersonId, records: &[EntitlementRecord]) {
        match records {
            [] => self.0.push(Row::new(person, EntitlementRecord::incomplete())),
            records => self.0.extend(records.iter().map(|record| Row::new(person, *record))),
        }
    }

    pub(crate) fn finish(&self) -> blake3::Hash {
        blake3::hash(self.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use engine::EntitlementRecord;
    use zerocopy::FromZeros;

    use super::{CHUNK_ROWS, Partitions, RowBatch};
    use crate::id_space::people_of_many_parts;

    fn record(branch: u8) -> EntitlementRecord {
        let mut record = EntitlementRecord::new_zeroed();
        let bytes = zerocopy::IntoBytes::as_mut_bytes(&mut record);
        bytes[12] = branch;
        bytes[6..12].fill(0xFF);
        record
    }

    #[test]
    fn what_was_put_aside_comes_back_in_order() {
        let mut outcomes = Vec::new();
        for kept_max in [0, 100_000, usize::MAX] {
            let folder = tempfile::tempdir().unwrap();
            let partitions = Partitions::new(folder.path(), kept_max).unwrap();
            for round in 0..3 * CHUNK_ROWS {
                let mut batch = RowBatch::default();
                people_of_many_parts()
                    .into_iter()
                    .for_each(|person| batch.accept(person, record((round % 200) as u8 + 1)));
                people_of_many_parts().into_iter().step_by(2).for_each(|person| batch.reject(person));
                partitions.add(batch).unwrap();
            }
            assert_eq!(partitions.spill.file.metadata().unwrap().len() > 0, kept_max != usize::MAX);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the file has no name");
            let (mut found, mut duplicates) = (Vec::new(), 0);
            let visited = partitions.try_for_each(|merged| {
                duplicates += merged.duplicates;
                merged.try_for_each(|person, records| {
                    found.push((person, records.to_vec()));
                    Ok::<_, std::io::Error>(())
                })
            });
            visited.unwrap();
            outcomes.push((found, duplicates));
        }
        let (found, duplicates) = &outcomes[0];
        assert_eq!(found.iter().map(|(person, _)| *person).collect::<Vec<_>>(), people_of_many_parts());
        assert!(found.iter().all(|(_, records)| records.len() == 200));
        assert_eq!(*duplicates, (3 * CHUNK_ROWS as u64 - 200) * 10);
        assert!(outcomes.iter().all(|outcome| outcome == &outcomes[0]));
    }

    #[test]
    fn only_those_without_an_accepted_row_are_incomplete() {
        let folder = tempfile::tempdir().unwrap();
        let partitions = Partitions::new(folder.path(), 0).unwrap();
        let all = people_of_many_parts();
        let mut batch = RowBatch::default();
        [all[0], all[1], all[1], all[6]].into_iter().for_each(|person| batch.reject(person));
        [all[0], all[0], all[2]].into_iter().for_each(|person| batch.accept(person, record(1)));
        partitions.add(batch).unwrap();
        let mut found = Vec::new();
        let visited = partitions.try_for_each(|merged| {
            assert!(merged.duplicates <= 1, "rejected rows are no duplicates");
            merged.try_for_each(|person, records| {
                found.push((person, records.len()));
                Ok::<_, std::io::Error>(())
            })
        });
        visited.unwrap();
        assert_eq!(found, [(all[0], 1), (all[1], 0), (all[2], 1), (all[6], 0)]);
    }
}
