//! What is counted of an open ledger, for metrics: relaxed counters, written by the commit thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the classes that syncs are counted in by how long they took, in microseconds; beyond the last
/// there is one more class.
pub const SYNC_BOUNDS_US: [u64; 11] =
    [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 200_000];

/// Totals since opening.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) batches: AtomicU64,
    pub(crate) entries: AtomicU64,
    pub(crate) syncs: AtomicU64,
    sync_us: AtomicU64,
    sync_classes: [AtomicU64; SYNC_BOUNDS_US.len() + 1],
    /// Of the open segment: its number, entries, room, and when it was begun.
    pub(crate) segment: AtomicU64,
    pub(crate) slots: AtomicU64,
    pub(crate) slots_max: AtomicU64,
    pub(crate) began: AtomicU64,
}

impl Counts {
    pub(crate) fn committed(&self, entries: u64, inquiries: u64, slots: u64) {
        self.slots.store(slots, Ordering::Relaxed);
        if entries > 1 || inquiries > 0 {
            self.batches.fetch_add(1, Ordering::Relaxed);
            self.entries.fetch_add(inquiries, Ordering::Relaxed);
        }
    }

    /// Something was written and synced.
    pub(crate) fn synced(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = SYNC_BOUNDS_US.partition_point(|&bound| bound < took_us);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_us.fetch_add(took_us, Ordering::Relaxed);
        self.sync_classes[class].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> Stats {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            batches: load(&self.batches),
            entries: load(&self.entries),
            syncs: load(&self.syncs),
            sync_us: load(&self.sync_us),
            sync_classes: std::array::from_fn(|class| load(&self.sync_classes[class])),
            segment: load(&self.segment),
            segment_entries: load(&self.slots),
            segment_entries_max: load(&self.slots_max),
            ..Stats::default()
        }
    }
}

/// Totals since opening, and what waits now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches synced, marks not counted.
    pub batches: u64,
    /// Inquiries synced. Entries per sync: `entries / batches`.
    pub entries: u64,
    /// All that is written to segments and synced: batches, marks, seals, and beginnings of segments.
    pub syncs: u64,
    /// How long all of them took, in microseconds.
    pub sync_us: u64,
    /// The same by how long it took: up to each of [`SYNC_BOUNDS_US`], and beyond.
    pub sync_classes: [u64; SYNC_BOUNDS_US.len() + 1],
    /// The number of the segment that is written.
    pub segment: u64,
    /// Its entries.
    pub segment_entries: u64,
    /// How many it has room for.
    pub segment_entries_max: u64,
    /// Bytes of a torn tail that the opening moved aside.
    pub torn_bytes: u64,
    /// Entries in the queue; those in the batch under way not counted.
    pub queue_len: u64,
    /// Futures that wait to be woken.
    pub waiting: u64,
    /// Sealed segments whose index is still to be made.
    pub segments_not_indexed: u64,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Counts, SYNC_BOUNDS_US};

    #[test]
    fn syncs_are_counted_by_how_long_they_took() {
        let counts = Counts::default();
        for took_us in [0, 50, 51, 200_000, 200_001] {
            counts.synced(Duration::from_micros(took_us));
        }
        let stats = counts.stats();
        assert_eq!((stats.syncs, stats.sync_us), (5, 400_102));
        assert_eq!((stats.sync_classes[0], stats.sync_classes[1]), (2, 1));
        assert_eq!(stats.sync_classes[SYNC_BOUNDS_US.len() - 1..], [1, 1]);
    }
}
