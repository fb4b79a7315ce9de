//! Group commit: a bounded queue, and one thread that writes all that waits in one go, syncs once, and tells.
//!
//! An entry gets its sequence when it enters the queue, so sequences and slots run side by side. A batch is
//! written only after the one before was synced. After a failed write or sync nothing is written any more
//! and no sync is tried again: what the system then holds in memory tells nothing about the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};
use zerocopy::IntoBytes;

use crate::disk::write_all_at;
use crate::entry::{Entry, encode};
use crate::error::AppendError;
use crate::format::{BATCH_LEN_MAX, KIND_CLOSED, KIND_INQUIRY, SLOT_LEN, Slot, slot_offset};
use crate::keys::{LedgerKeys, Tag};
use crate::segment::Segment;
use crate::tracking_code::SEQUENCE_MAX;
use crate::waiters::{STRAGGLER_WAIT, Waiters};

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
    pub(crate) counts: Counts,
}

/// Totals since opening.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) batches: AtomicU64,
    pub(crate) entries: AtomicU64,
    pub(crate) syncs: AtomicU64,
}

struct Queue {
    entries: Vec<Entry>,
    /// The sequence of the next entry to come.
    next_sequence: u64,
    state: State,
    /// Whether the commit thread sleeps.
    asleep: bool,
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
    Idle,
    Close,
    Stop,
    WakeAll,
}

impl Shared {
    pub(crate) fn new(
        segment: &Segment,
        keys: Arc<LedgerKeys>,
        durable: u64,
        queue_len_max: usize,
    ) -> Shared {
        let entries = Vec::with_capacity(queue_len_max.min(BATCH_LEN_MAX as usize));
        Shared {
            ledger: segment.ledger,
            keys,
            waiters: Waiters::new(),
            queue_len_max,
            queue: Mutex::new(Queue {
                entries,
                next_sequence: durable + 1,
                state: State::Running,
                asleep: false,
            }),
            work: Condvar::new(),
            durable: AtomicU64::new(durable),
            failed: AtomicBool::new(false),
            counts: Counts::default(),
        }
    }

    /// Queues an entry; its sequence.
    pub(crate) fn push(&self, entry: Entry) -> Result<u64, AppendError> {
        let mut queue = self.queue.lock();
        match queue.state {
            State::Running => {}
            State::Closing | State::Abandoned => return Err(AppendError::Closed),
            State::Failed => return Err(AppendError::Failed),
        }
        if queue.entries.len() >= self.queue_len_max {
            return Err(AppendError::Full);
        }
        let sequence = queue.next_sequence;
        // The last one is for the closing entry.
        if sequence >= SEQUENCE_MAX {
            return Err(AppendError::Exhausted);
        }
        queue.entries.push(entry);
        queue.next_sequence += 1;
        let asleep = std::mem::take(&mut queue.asleep);
        drop(queue);
        if asleep {
            self.work.notify_one();
        }
        Ok(sequence)
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
        queue.state == State::Running && queue.next_sequence < SEQUENCE_MAX
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub(crate) fn queue_len(&self) -> usize {
        self.queue.lock().entries.len()
    }

    /// Asks the commit thread to end, after all that is queued; with a closing entry or without.
    pub(crate) fn stop(&self, clean: bool) {
        let mut queue = self.queue.lock();
        if queue.state == State::Running {
            queue.state = if clean { State::Closing } else { State::Abandoned };
        }
        queue.asleep = false;
        drop(queue);
        self.work.notify_one();
    }

    fn publish(&self, sequence: u64) -> bool {
        let before = self.durable.swap(sequence, Ordering::AcqRel);
        self.waiters.wake(before, sequence)
    }

    /// Nothing is taken or written from now on; all that wait are told.
    fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        let mut queue = self.queue.lock();
        queue.state = State::Failed;
        queue.entries.clear();
        drop(queue);
        self.waiters.wake(u64::MAX, u64::MAX);
    }

    /// Waits for something to do, and moves what is queued into the empty `batch`. `left` says whether some
    /// that are ready have not been woken yet, `idle` whether there is something to do when nothing waits.
    fn next(&self, batch: &mut Vec<Entry>, left: bool, idle: bool) -> Work {
        let mut queue = self.queue.lock();
        loop {
            if !queue.entries.is_empty() {
                if queue.entries.len() <= BATCH_LEN_MAX as usize {
                    std::mem::swap(&mut queue.entries, batch);
                } else {
                    batch.extend(queue.entries.drain(..BATCH_LEN_MAX as usize));
                }
                return Work::Batch;
            }
            match queue.state {
                State::Closing => return Work::Close,
                State::Abandoned | State::Failed => return Work::Stop,
                State::Running if idle => return Work::Idle,
                State::Running => queue.asleep = true,
            }
            if !left {
                self.work.wait(&mut queue);
            } else if self.work.wait_for(&mut queue, STRAGGLER_WAIT).timed_out() && queue.entries.is_empty() {
                queue.asleep = false;
                return Work::WakeAll;
            }
        }
    }
}

/// How the file grows: in steps of zeros, kept some way ahead of the entries in idle moments, so that an
/// append's sync rarely has a new length to store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    pub(crate) step_len: u64,
    pub(crate) ahead_len: u64,
}

/// The only writer of a segment.
pub(crate) struct Committer {
    segment: Arc<Segment>,
    shared: Arc<Shared>,
    growth: Growth,
    /// Entries in the file.
    slots: u64,
    /// The last entry's tag.
    tag: Tag,
    /// The sequence of the next entry.
    sequence: u64,
    /// How far the file is filled with entries or zeros.
    len: u64,
    buffer: Vec<Slot>,
}

impl Committer {
    /// A writer that goes on behind `slots` entries with `sequence`.
    pub(crate) fn new(
        segment: Arc<Segment>,
        shared: Arc<Shared>,
        growth: Growth,
        (slots, tag, sequence): (u64, Tag, u64),
    ) -> std::io::Result<Committer> {
        let len = segment.file.length()?;
        Ok(Committer { segment, shared, growth, slots, tag, sequence, len, buffer: Vec::new() })
    }

    /// The commit thread.
    pub(crate) fn run(mut self) {
        // Should anything here panic, those who wait must hear of it.
        let shared = self.shared.clone();
        let guard = FailOnDrop(&shared);
        if let Err(error) = self.serve() {
            let path = &self.segment.path;
            tracing::error!(path, %error, "the ledger failed to write and takes no entries until a restart");
            return;
        }
        std::mem::forget(guard);
    }

    fn serve(&mut self) -> std::io::Result<()> {
        let (mut batch, mut left) = (Vec::new(), false);
        loop {
            let idle = self.len < self.end() + self.growth.ahead_len;
            match self.shared.next(&mut batch, left, idle) {
                Work::Batch => {
                    self.fill(&batch);
                    batch.clear();
                    self.write_and_sync()?;
                    left = self.shared.publish(self.sequence - 1);
                }
                Work::Idle => self.grow()?,
                Work::WakeAll => left = self.shared.waiters.wake(self.sequence - 1, self.sequence - 1),
                Work::Close => return self.write_mark(KIND_CLOSED),
                Work::Stop => return Ok(()),
            }
        }
    }

    /// Writes the entry that marks an opening or a closing, as a batch of its own.
    pub(crate) fn write_mark(&mut self, kind: u8) -> std::io::Result<()> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let mut slot = Slot::new(kind, self.sequence);
        slot.time_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX).into();
        slot.key_id = self.shared.keys.current().id().into();
        self.buffer.clear();
        self.link(slot);
        self.write_and_sync()
    }

    fn fill(&mut self, batch: &[Entry]) {
        self.buffer.clear();
        let shared = self.shared.clone();
        for entry in batch {
            let slot = encode(entry, shared.ledger, self.sequence, shared.keys.current());
            self.link(slot);
        }
    }

    /// Puts a slot behind the others of its batch and into the chain.
    fn link(&mut self, mut slot: Slot) {
        slot.batch_index = u16::try_from(self.buffer.len()).expect("a batch has 4096 entries at most").into();
        let tag = self.shared.keys.current().tag(&self.tag, slot.tagged());
        slot.seal(tag);
        self.tag = tag;
        self.sequence += 1;
        self.buffer.push(slot);
    }

    fn write_and_sync(&mut self) -> std::io::Result<()> {
        let count = self.buffer.len() as u64;
        while self.len < slot_offset(self.slots + count) {
            self.grow()?;
        }
        write_all_at(self.segment.file.as_ref(), self.buffer.as_bytes(), self.end())?;
        self.sync()?;
        self.slots += count;
        let inquiries = self.buffer.iter().filter(|slot| slot.kind == KIND_INQUIRY).count() as u64;
        if inquiries > 0 {
            self.shared.counts.batches.fetch_add(1, Ordering::Relaxed);
            self.shared.counts.entries.fetch_add(inquiries, Ordering::Relaxed);
        }
        Ok(())
    }

    fn grow(&mut self) -> std::io::Result<()> {
        let zeros = vec![0; usize::try_from(self.growth.step_len).expect("a step fits memory")];
        write_all_at(self.segment.file.as_ref(), &zeros, self.len)?;
        self.sync()?;
        self.len += self.growth.step_len;
        Ok(())
    }

    fn sync(&self) -> std::io::Result<()> {
        self.segment.file.sync_data()?;
        self.shared.counts.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn end(&self) -> u64 {
        slot_offset(self.slots)
    }
}

const _: () = assert!(SLOT_LEN as u64 * BATCH_LEN_MAX < 1 << 20, "a batch is written from one buffer");

struct FailOnDrop<'a>(&'a Shared);

impl Drop for FailOnDrop<'_> {
    fn drop(&mut self) {
        self.0.fail();
    }
}
