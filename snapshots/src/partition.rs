//! Gathers checked rows by the leading digits of the ID, then sorts, merges and hands them out per person in
//! ascending order. IDs are dense numbers, so that a thousand partitions sort faster than one heap of rows.

use std::iter::Peekable;

use engine::{EntitlementRecord, IdKind, PersonId};
use parking_lot::Mutex;
use rayon::prelude::*;

/// National IDs of one partition share their first three digits.
const NATIONAL_PARTITIONS: usize = 1000;
const IDS_PER_PARTITION: u64 = 1_000_000;
/// Set in the keys of foreign nationals, so that they sort after all national IDs.
const FOREIGN_BIT: u64 = 1 << 63;

/// A person ID as one number that sorts like it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

impl Key {
    fn new(person: PersonId) -> Key {
        match person.kind() {
            IdKind::National => Key(person.to_u64()),
            IdKind::Foreign => Key(person.to_u64() | FOREIGN_BIT),
        }
    }

    fn person(self) -> PersonId {
        let kind = if self.0 & FOREIGN_BIT == 0 { IdKind::National } else { IdKind::Foreign };
        PersonId::from_u64(kind, self.0 & !FOREIGN_BIT).expect("a key is made from a person ID")
    }

    fn partition(self) -> usize {
        if self.0 & FOREIGN_BIT == 0 { (self.0 / IDS_PER_PARTITION) as usize } else { NATIONAL_PARTITIONS }
    }
}

/// An accepted row.
#[derive(Clone, Copy)]
struct Row {
    key: Key,
    record: EntitlementRecord,
}

#[derive(Default)]
struct Partition {
    rows: Vec<Row>,
    /// IDs of rows that were rejected for another column.
    rejected: Vec<Key>,
}

/// The rows of one block, before they are handed to the partitions.
#[derive(Default)]
pub(crate) struct RowBatch {
    rows: Vec<Row>,
    rejected: Vec<Key>,
}

impl RowBatch {
    pub(crate) fn accept(&mut self, person: PersonId, record: EntitlementRecord) {
        self.rows.push(Row { key: Key::new(person), record });
    }

    pub(crate) fn reject(&mut self, person: PersonId) {
        self.rejected.push(Key::new(person));
    }
}

/// Takes batches from all threads.
pub(crate) struct Partitions(Vec<Mutex<Partition>>);

impl Partitions {
    pub(crate) fn new() -> Partitions {
        Partitions((0..=NATIONAL_PARTITIONS).map(|_| Mutex::default()).collect())
    }

    pub(crate) fn add(&self, mut batch: RowBatch) {
        batch.rows.sort_unstable_by_key(|row| row.key.partition());
        for rows in batch.rows.chunk_by(|a, b| a.key.partition() == b.key.partition()) {
            self.0[rows[0].key.partition()].lock().rows.extend_from_slice(rows);
        }
        for key in batch.rejected {
            self.0[key.partition()].lock().rejected.push(key);
        }
    }

    /// Sorts all partitions and drops repeated rows.
    pub(crate) fn merge(self) -> People {
        let partitions: Vec<_> =
            self.0.into_par_iter().map(|partition| merge(partition.into_inner())).collect();
        let duplicates = partitions.iter().map(|(_, duplicates)| duplicates).sum();
        People { partitions: partitions.into_iter().map(|(partition, _)| partition).collect(), duplicates }
    }
}

/// Sorts a partition; afterwards `rejected` holds those without any accepted row. Also tells how many rows
/// repeated another.
fn merge(mut partition: Partition) -> (Partition, u64) {
    let rows = &mut partition.rows;
    rows.sort_unstable_by(|a, b| {
        a.key.cmp(&b.key).then_with(|| a.record.storage_order().cmp(&b.record.storage_order()))
    });
    let before = rows.len();
    rows.dedup_by(|a, b| a.key == b.key && a.record == b.record);
    let duplicates = (before - rows.len()) as u64;
    partition.rejected.sort_unstable();
    partition.rejected.dedup();
    partition.rejected.retain(|key| rows.binary_search_by_key(key, |row| row.key).is_err());
    (partition, duplicates)
}

/// All people of an extract, sorted and merged.
pub(crate) struct People {
    partitions: Vec<Partition>,
    duplicates: u64,
}

impl People {
    /// Rows that repeated a stored one.
    pub(crate) fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Calls `visit` for each person in ascending order, with their entitlements in storage order; with none
    /// for an incomplete person.
    pub(crate) fn try_for_each<E>(
        &self,
        mut visit: impl FnMut(PersonId, &[EntitlementRecord]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.partitions.iter().try_for_each(|partition| partition.try_for_each(&mut visit))
    }

    /// Whether `matches` holds for every person; on all cores, in no order.
    pub(crate) fn par_all(&self, matches: impl Fn(PersonId, &[EntitlementRecord]) -> bool + Sync) -> bool {
        self.partitions.par_iter().all(|partition| {
            partition
                .try_for_each(&mut |person, records| if matches(person, records) { Ok(()) } else { Err(()) })
                .is_ok()
        })
    }
}

impl Partition {
    fn try_for_each<E>(
        &self,
        visit: &mut impl FnMut(PersonId, &[EntitlementRecord]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut incomplete = self.rejected.iter().copied().peekable();
        let mut records = Vec::new();
        for group in self.rows.chunk_by(|a, b| a.key == b.key) {
            let key = group[0].key;
            visit_below(&mut incomplete, Some(key), visit)?;
            records.clear();
            records.extend(group.iter().map(|row| row.record));
            visit(key.person(), &records)?;
        }
        visit_below(&mut incomplete, None, visit)
    }
}

/// Visits the incomplete people before `bound`, or all that are left.
fn visit_below<E>(
    incomplete: &mut Peekable<impl Iterator<Item = Key>>,
    bound: Option<Key>,
    visit: &mut impl FnMut(PersonId, &[EntitlementRecord]) -> Result<(), E>,
) -> Result<(), E> {
    while let Some(key) = incomplete.next_if(|&key| bound.is_none_or(|bound| key < bound)) {
        visit(key.person(), &[])?;
    }
    Ok(())
}
