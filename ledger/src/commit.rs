//! Group commit: a bounded queue, and one thread that writes all that waits in one go, syncs once, and tells.
//!
//! Syncs of few entries begin no closer together than an interval (`pace`): each costs the machine as much as many entries
//! do, and one that runs out of processor time stalls for longer than any interval.
//!
//! An entry gets its sequence when it enters the queue. A batch is written only after the one before was synced.
//! After a failed write or sync nothing is written any more and no sync is tried again: what the system then holds
//! in memory tells nothing about the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::chain::SegmentInfo;
use crate::counts::Counts;
use crate::error::AppendError;
use crate::format::BATCH_LEN_MAX;
use crate::keys::LedgerKeys;
use crate::pace::Pace;
use crate::record::Record;
use crate::segment::Segment;
use crate::tracking_code::SEQUENCE_MAX;
use crate::waiters::Waiters;
use crate::writer::Writer;

/// So many entries wait for no interval: among them a sync costs each one little.
const MANY: usize = 16;

/// What appending threads and the commit thread share.
pub(crate) struct Shared {
    pub(crate) ledger: u16,
    pub(crate) keys: Arc<LedgerKeys>,
    pub(crate) waiters: Waiters,
    queue_len_max: usize,
    queue: Mutex<Queue>,
    work: Condvar,
    /// The last sequence on stable storage.
    durable: AtomicU64,
    failed: AtomicBool,
    /// The next segment's file cannot be made now.
    shortage: Arc<AtomicBool>,
    pub(crate) counts: Counts,
    pub(crate) catalog: RwLock<Catalog>,
}

/// The segments there are.
pub(crate) struct Catalog {
    /// In order.
    pub(crate) sealed: Vec<SegmentInfo>,
    /// The one that is written.
    pub(crate) open: Option<Arc<Segment>>,
}

struct Queue {
    records: Vec<Record>,
    /// The sequence of the next record to come.
    next_sequence: u64,
    /// The last sequence that the open segment has room for.
    segment_last: u64,
    state: State,
    /// With how many records the commit thread is to be woken, if it sleeps.
    wake_at: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    /// What is queued is still written, and a closing entry after it.
    Closing,
    /// What is queued is still written; the end counts as unclean.
    Abandoned,
    Failed,
}

/// What the commit thread does next.
enum Work {
    Batch,
    Close,
    Stop,
}

/// Records that were queued together: the first one's sequence, and how many there was room for.
#[derive(Clone, Copy)]
pub(crate) struct Queued {
    pub(crate) first: u64,
    pub(crate) count: usize,
}

impl Shared {
    /// Of a ledger whose opening takes `sequence`.
    pub(crate) fn new(
        ledger: u16,
        keys: Arc<LedgerKeys>,
        sequence: u64,
        sealed: Vec<SegmentInfo>,
        queue_len_max: usize,
        shortage: Arc<AtomicBool>,
    ) -> Shared {
        Shared {
            ledger,
            keys,
            waiters: Waiters::default(),
            queue_len_max,
            queue: Mutex::new(Queue {
                records: Vec::with_capacity(queue_len_max.min(BATCH_LEN_MAX as usize)),
                next_sequence: sequence + 1,
                segment_last: u64::MAX,
                state: State::Running,
                wake_at: None,
            }),
            work: Condvar::new(),
            durable: AtomicU64::new(sequence),
            failed: AtomicBool::new(false),
            shortage,
            counts: Counts::default(),
            catalog: RwLock::new(Catalog { sealed, open: None }),
        }
    }

    /// Queues records in their order, the first ones if there is no room for all.
    pub(crate) fn push(&self, records: impl ExactSizeIterator<Item = Record>) -> Result<Queued, AppendError> {
        let mut queue = self.queue.lock();
        match queue.state {
            State::Running => {}
            State::Closing | State::Abandoned => return Err(AppendError::Closed),
            State::Failed => return Err(AppendError::Failed),
        }
        let first = queue.next_sequence;
        let room = self.queue_len_max.saturating_sub(queue.records.len());
        // The last one is for the closing entry.
        let sequences = usize::try_from(SEQUENCE_MAX.saturating_sub(first)).unwrap_or(usize::MAX);
        let left = self.left_in_shortage(&queue);
        let count = records.len().min(room).min(sequences).min(left);
        if left == 0 {
            return Err(AppendError::Shortage);
        }
        if count == 0 {
            return Err(if sequences == 0 { AppendError::Exhausted } else { AppendError::Full });
        }
        queue.records.extend(records.take(count));
        queue.next_sequence += count as u64;
        let len = queue.records.len();
        let is_enough = queue.wake_at.take_if(|wake_at| len >= *wake_at).is_some();
        drop(queue);
        if is_enough {
            self.work.notify_one();
        }
        Ok(Queued { first, count })
    }

    /// What became of a sequence; none while it is under way.
    pub(crate) fn outcome(&self, sequence: u64) -> Option<Result<(), AppendError>> {
        if self.durable() >= sequence {
            return Some(Ok(()));
        }
        // A failure comes after all that is durable: looking again leaves no doubt.
        let failed = self.failed.load(Ordering::Acquire);
        failed.then(|| if self.durable() >= sequence { Ok(()) } else { Err(AppendError::Failed) })
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn is_writable(&self) -> bool {
        let queue = self.queue.lock();
        queue.state == State::Running
            && queue.next_sequence < SEQUENCE_MAX
            && self.left_in_shortage(&queue) > 0
    }

    /// How many records may be queued while the next segment's file cannot be made: those that the open segment has room
    /// for beside the closing entry.
    fn left_in_shortage(&self, queue: &Queue) -> usize {
        if !self.shortage.load(Ordering::Relaxed) {
            return usize::MAX;
        }
        usize::try_from(queue.segment_last.saturating_sub(queue.next_sequence)).unwrap_or(usize::MAX)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn queue_len(&self) -> usize {
        self.queue.lock().records.len()
    }

    /// Asks the commit thread to end, after all that is queued; with a closing entry or without.
    pub(crate) fn stop(&self, clean: bool) {
        let mut queue = self.queue.lock();
        if queue.state == State::Running {
            queue.state = if clean { State::Closing } else { State::Abandoned };
        }
        queue.wake_at = None;
        drop(queue);
        self.work.notify_one();
    }

    /// Whether nothing more is queued.
    pub(crate) fn is_stopping(&self) -> bool {
        self.queue.lock().state != State::Running
    }

    /// A segment is being written from now on; the one before, if any, is sealed.
    pub(crate) fn began(&self, segment: Arc<Segment>, before: Option<SegmentInfo>) {
        self.counts.slots_max.store(segment.header.slots_max.get(), Ordering::Relaxed);
        self.counts.slots.store(0, Ordering::Relaxed);
        self.counts.segment.store(segment.number.into(), Ordering::Relaxed);
        self.queue.lock().segment_last = segment.first_sequence() + segment.header.slots_max.get() - 1;
        let mut catalog = self.catalog.write();
        catalog.sealed.extend(before);
        catalog.open = Some(segment);
    }

    /// The last segment is sealed.
    pub(crate) fn sealed(&self, last: SegmentInfo) {
        let mut catalog = self.catalog.write();
        catalog.sealed.push(last);
        catalog.open = None;
    }

    fn publish(&self, sequence: u64) {
        self.durable.store(sequence, Ordering::Release);
        self.waiters.wake(sequence);
    }

    /// Nothing is taken or written from now on; all that wait are told.
    fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        let mut queue = self.queue.lock();
        queue.state = State::Failed;
        queue.records.clear();
        drop(queue);
        self.waiters.wake(u64::MAX);
    }

    /// Waits for something to do, and moves what is queued into the empty `batch`: few records not before a time.
    fn next(&self, batch: &mut Vec<Record>, not_before: Option<Instant>) -> Work {
        let mut queue = self.queue.lock();
        loop {
            if !queue.records.is_empty() {
                let few = queue.records.len() < MANY && queue.state == State::Running;
                if let Some(not_before) = not_before.filter(|time| few && Instant::now() < *time) {
                    queue.wake_at = Some(MANY);
                    self.work.wait_until(&mut queue, not_before);
                    queue.wake_at = None;
                    continue;
                }
                if queue.records.len() <= BATCH_LEN_MAX as usize {
                    std::mem::swap(&mut queue.records, batch);
                } else {
                    batch.extend(queue.records.drain(..BATCH_LEN_MAX as usize));
                }
                return Work::Batch;
            }
            match queue.state {
                State::Closing => return Work::Close,
                State::Abandoned | State::Failed => return Work::Stop,
                State::Running => queue.wake_at = Some(1),
            }
            self.work.wait(&mut queue);
        }
    }
}

/// The commit thread.
pub(crate) fn run(writer: Writer, shared: &Shared, sync_interval_max: Duration) {
    // Should anything here panic, those who wait must hear of it.
    let guard = FailOnDrop(shared);
    if let Err(error) = serve(writer, shared, Pace::new(sync_interval_max)) {
        tracing::error!(%error, "the ledger failed to write and takes no entries until a restart");
        return;
    }
    std::mem::forget(guard);
}

fn serve(mut writer: Writer, shared: &Shared, mut pace: Pace) -> std::io::Result<()> {
    let mut batch = Vec::new();
    let mut not_before = None;
    loop {
        match shared.next(&mut batch, not_before) {
            Work::Batch => {
                let begun = Instant::now();
                writer.write(&batch, |sequence| shared.publish(sequence))?;
                batch.clear();
                not_before = pace.next_from(begun, begun.elapsed());
            }
            Work::Close => return writer.close(),
            Work::Stop => return Ok(()),
        }
    }
}

struct FailOnDrop<'a>(&'a Shared);

impl Drop for FailOnDrop<'_> {
    fn drop(&mut self) {
        self.0.fail();
    }
}
