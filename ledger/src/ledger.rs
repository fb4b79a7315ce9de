//! The ledger as a server has it: open for appending, and for finding what it has appended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use crate::commit::{Committer, Growth, Shared};
use crate::disk::{Disk, DiskLock};
use crate::entry::Entry;
use crate::error::{AppendError, FindError, InitError, OpenError};
use crate::folder;
use crate::format::{KIND_OPENED, segment_name};
use crate::keys::LedgerKeys;
use crate::lookup::{self, Found};
use crate::pending::Pending;
use crate::recovery::recover;
use crate::segment::{SEGMENT, Segment};
use crate::tracking_code::TrackingCode;

/// The first sequence of a new ledger.
const FIRST_SEQUENCE: u64 = 1;

/// How a ledger works.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Entries that may wait for the commit thread; beyond it [`AppendError::Full`].
    pub queue_len_max: usize,
    /// The file grows by so many bytes of zeros at a time.
    pub growth_step_bytes: u64,
    /// So many bytes of zeros are kept ready behind the entries, written in idle moments.
    pub growth_ahead_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { queue_len_max: 16_384, growth_step_bytes: 1 << 20, growth_ahead_bytes: 4 << 20 }
    }
}

/// An open ledger: the only writer of its folder.
///
/// Dropped without [`Ledger::close`] it writes what is queued, but counts as ended uncleanly.
pub struct Ledger {
    shared: Arc<Shared>,
    segment: Arc<Segment>,
    /// The slot and the sequence with which this process began; both run on from there.
    run: (u64, u64),
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held as long as the commit thread may write.
    _lock: Box<dyn DiskLock>,
}

/// Totals since opening, and what waits now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches of inquiries synced.
    pub batches: u64,
    /// Inquiries synced. Entries per sync: `entries / batches`.
    pub entries: u64,
    /// All syncs, also of marks and of zeros ahead.
    pub syncs: u64,
    /// Entries in the queue; those in the batch under way not counted.
    pub queue_len: u64,
    /// Futures that wait to be woken.
    pub waiting: u64,
}

impl Ledger {
    /// Makes an empty folder ledger `number` (1 to 9999), which it stays for life.
    ///
    /// # Errors
    /// [`InitError`], also when the folder has that number already.
    pub fn init(disk: &dyn Disk, number: u16, keys: &LedgerKeys) -> Result<(), InitError> {
        let path = disk.describe("LOCK");
        let _lock = match disk.lock("LOCK") {
            Ok(Some(lock)) => lock,
            Ok(None) => return Err(InitError::InUse { path }),
            Err(source) => return Err(InitError::Io { path, source }),
        };
        folder::init(disk, number, FIRST_SEQUENCE, keys)
    }

    /// Opens a ledger for appending: checks every entry, moves a torn tail aside, and marks the opening.
    ///
    /// # Errors
    /// [`OpenError`], among them a second process, a missing or wrong key, and any damage.
    pub fn open(disk: &dyn Disk, keys: Arc<LedgerKeys>, options: Options) -> Result<Ledger, OpenError> {
        let lock = folder::lock(disk)?;
        Ledger::open_locked(disk, keys, options, lock)
    }

    /// As [`Ledger::open`], but a folder without any ledger becomes ledger `default_number` first.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_or_init(
        disk: &dyn Disk,
        default_number: u16,
        keys: Arc<LedgerKeys>,
        options: Options,
    ) -> Result<Ledger, OpenError> {
        let lock = folder::lock(disk)?;
        if folder::is_new(disk)? {
            folder::init(disk, default_number, FIRST_SEQUENCE, &keys)?;
        }
        Ledger::open_locked(disk, keys, options, lock)
    }

    fn open_locked(
        disk: &dyn Disk,
        keys: Arc<LedgerKeys>,
        options: Options,
        lock: Box<dyn DiskLock>,
    ) -> Result<Ledger, OpenError> {
        let segment = Arc::new(open_segment(disk, true, &keys)?);
        let recovered = recover(disk, &segment, &keys)?;
        let opened = recovered.sequence;
        let shared = Arc::new(Shared::new(&segment, keys, opened, options.queue_len_max));
        let growth = Growth { step_len: options.growth_step_bytes, ahead_len: options.growth_ahead_bytes };
        let place = (recovered.slots, recovered.tag, opened);
        let io = |source| OpenError::Io { path: segment.path.clone(), source };
        let mut committer = Committer::new(segment.clone(), shared.clone(), growth, place).map_err(io)?;
        committer.write_mark(KIND_OPENED).map_err(io)?;
        let thread = std::thread::Builder::new().name("ledger-commit".to_owned());
        let thread = thread.spawn(move || committer.run()).map_err(io)?;
        let run = (recovered.slots, opened);
        Ok(Ledger { shared, segment, run, thread: Mutex::new(Some(thread)), _lock: lock })
    }

    /// Queues an entry; never blocks on the disk. The entry counts once the [`Pending`] says so.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was queued.
    pub fn append(&self, entry: Entry) -> Result<Pending, AppendError> {
        let sequence = self.shared.push(entry)?;
        Ok(Pending::new(self.shared.clone(), sequence))
    }

    /// The inquiry that a code stands for, read from the disk; none when the code's key is not here, when no
    /// entry has that sequence, or when it is not on stable storage yet.
    ///
    /// # Errors
    /// [`FindError`]; a code of another ledger is one.
    pub fn find(&self, code: &TrackingCode) -> Result<Option<Found>, FindError> {
        let shared = &self.shared;
        let Some(sequence) = sequence_here(&shared.keys, shared.ledger, *code)? else { return Ok(None) };
        if sequence > shared.durable() {
            return Ok(None);
        }
        let (first_slot, first_sequence) = self.run;
        let found = match sequence.checked_sub(first_sequence) {
            Some(ahead) => lookup::read(&self.segment, &shared.keys, first_slot + ahead, sequence),
            None => lookup::find(&self.segment, &shared.keys, first_slot, sequence),
        };
        Ok(found?)
    }

    /// The ledger's number.
    pub fn number(&self) -> u16 {
        self.shared.ledger
    }

    /// Whether entries are taken: not after a failed write or sync, nor after [`Ledger::close`]. A full queue
    /// does not count.
    pub fn is_writable(&self) -> bool {
        self.shared.is_writable()
    }

    /// Totals since opening.
    pub fn stats(&self) -> Stats {
        let counts = &self.shared.counts;
        Stats {
            batches: counts.batches.load(Ordering::Relaxed),
            entries: counts.entries.load(Ordering::Relaxed),
            syncs: counts.syncs.load(Ordering::Relaxed),
            queue_len: self.shared.queue_len() as u64,
            waiting: self.shared.waiters.len() as u64,
        }
    }

    /// Writes what is queued and then a closing entry, so that the next start goes on without a gap. Blocks
    /// until that is on stable storage. Closing twice is fine.
    ///
    /// # Errors
    /// [`AppendError::Failed`] when a write or sync failed, now or before.
    pub fn close(&self) -> Result<(), AppendError> {
        self.end(true);
        if self.shared.has_failed() { Err(AppendError::Failed) } else { Ok(()) }
    }

    fn end(&self, clean: bool) {
        self.shared.stop(clean);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the ledger's commit thread panicked");
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.end(false);
    }
}

/// Opens the segment of a folder's ledger.
pub(crate) fn open_segment(disk: &dyn Disk, write: bool, keys: &LedgerKeys) -> Result<Segment, OpenError> {
    let number = folder::number(disk)?;
    let io = |source| OpenError::Io { path: disk.describe(&segment_name(SEGMENT)), source };
    if let Some(further) = folder::further_segment(disk).map_err(io)? {
        return Err(OpenError::Header {
            path: disk.describe(&further),
            what: crate::error::HeaderFault::Further,
        });
    }
    Segment::open(disk, write, number, keys)
}

/// The sequence of a code in this ledger; none when its key is not here.
pub(crate) fn sequence_here(
    keys: &LedgerKeys,
    ledger: u16,
    code: TrackingCode,
) -> Result<Option<u64>, FindError> {
    match keys.resolve(code) {
        // No ledger has number 0: the code was made up.
        None | Some((0, _)) => Ok(None),
        Some((number, sequence)) if number == ledger => Ok(Some(sequence)),
        Some((number, _)) => Err(FindError::OtherLedger { number }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Ledger, Options};
    use crate::entry::tests::some_entry;
    use crate::error::{AppendError, OpenError};
    use crate::sim::SimDisk;
    use crate::{LedgerKeys, SEQUENCE_MAX, folder};

    #[test]
    fn sequences_run_out_with_an_error_and_room_for_the_close() {
        let keys = || Arc::new(LedgerKeys::new(0, &[1; 32], 1, &[2; 32]));
        let disk = SimDisk::new();
        folder::init(&disk, 1, SEQUENCE_MAX - 4, &keys()).unwrap();
        let ledger = Ledger::open(&disk, keys(), Options::default()).unwrap();
        for ahead in (1..=3).rev() {
            let receipt = ledger.append(some_entry()).unwrap().wait().unwrap();
            assert_eq!(receipt.sequence, SEQUENCE_MAX - ahead);
            assert!(ledger.find(&receipt.tracking_code).unwrap().is_some());
        }
        assert_eq!(ledger.append(some_entry()).err(), Some(AppendError::Exhausted));
        assert!(!ledger.is_writable());
        ledger.close().unwrap();
        drop(ledger);
        let error = Ledger::open(&disk, keys(), Options::default()).err().unwrap();
        assert!(matches!(error, OpenError::Exhausted { ledger: 1 }));
    }
}
