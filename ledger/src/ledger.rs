//! The ledger as a server has it: open for appending, and for finding what it has appended.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::chain::{Chain, SegmentInfo};
use crate::commit::{self, Shared};
use crate::counts::Stats;
use crate::disk::{Disk, DiskLock};
use crate::error::{AppendError, FindError, InitError, OpenError, ReadError};
use crate::folder::{self, Identity};
use crate::gather::{Courier, Gatherer, gather};
use crate::index::IndexError;
use crate::indexer::Indexer;
use crate::keys::LedgerKeys;
use crate::lookup::{self, Found, Placed};
use crate::mark::MarkFile;
use crate::pending::Pending;
use crate::prepare::Preparer;
use crate::reader::changed_since;
use crate::record::Record;
use crate::recovery::{FIRST_SEQUENCE, recover};
use crate::search::{Follow, SCANS_MAX, Search, SearchError, SearchPage, Searched};
use crate::segment::Segment;
use crate::tracking_code::TrackingCode;
use crate::writer::{LEN_MIN, Lengths, Place, Writer};

/// How a ledger works.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Entries that may wait for the commit thread; beyond it [`AppendError::Full`].
    pub queue_len_max: usize,
    /// The file of the first segment after an opening; each that was full is followed by one twice as long.
    pub segment_len_min_bytes: u64,
    /// The longest file of a segment.
    pub segment_len_max_bytes: u64,
    /// The most from the beginning of one sync to that of the next, if fewer than 16 entries wait: five times as long as syncs
    /// take, up to this. What comes meanwhile shares the next one; what comes later waits for nothing.
    pub sync_interval_max: Duration,
    /// Whether a thread of its own makes the next segment ahead, and writes the mark once a second. Without it the
    /// commits wait for the file, and the mark is written when a segment is begun and sealed only.
    pub ahead: bool,
    /// The time, in milliseconds since 1970-01-01 UTC.
    pub clock_ms: fn() -> u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            queue_len_max: 16_384,
            segment_len_min_bytes: 4 << 20,
            segment_len_max_bytes: 256 << 20,
            sync_interval_max: Duration::from_millis(1),
            ahead: true,
            clock_ms: system_clock_ms,
        }
    }
}

fn system_clock_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// An open ledger: the only writer of its folder.
///
/// Dropped without [`Ledger::close`] it writes what is queued, but counts as ended uncleanly.
pub struct Ledger {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    identity: Identity,
    torn_bytes: u64,
    clock_ms: fn() -> u64,
    pub(crate) indexer: Arc<Indexer>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held as long as the commit thread may write.
    _lock: Box<dyn DiskLock>,
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
        if keys.months.is_empty() {
            return Err(OpenError::NoMonthKey);
        }
        let chain = Chain::open(disk, true, &keys)?;
        let identity = chain.identity.clone();
        let recovered = recover(disk, chain, &keys, (options.clock_ms)())?;
        let marks = MarkFile::open(disk, identity.number, &keys)?;
        let io = |source| OpenError::Io { path: disk.describe(""), source };
        Ledger::forget_answers(disk).map_err(io)?;
        let clock_ms = options.clock_ms;
        let preparer =
            Preparer::start(disk.again(), keys.clone(), clock_ms, marks, options.ahead).map_err(io)?;
        let shared = Arc::new(Shared::new(
            identity.number,
            keys,
            recovered.sequence,
            recovered.sealed,
            options.queue_len_max,
            preparer.shortage().clone(),
        ));
        let place =
            Place { previous: recovered.previous, segment: recovered.segment, sequence: recovered.sequence };
        let min_bytes = options.segment_len_min_bytes.max(LEN_MIN);
        let lengths = Lengths { min_bytes, max_bytes: options.segment_len_max_bytes.max(min_bytes) };
        let mut writer =
            Writer::begin(disk.again(), shared.clone(), preparer, lengths, clock_ms, &place).map_err(io)?;
        writer.open().map_err(io)?;
        let thread = std::thread::Builder::new().name("ledger-commit".to_owned());
        let committer = shared.clone();
        let thread =
            thread.spawn(move || commit::run(writer, &committer, options.sync_interval_max)).map_err(io)?;
        let thread = Mutex::new(Some(thread));
        let torn_bytes = recovered.torn_bytes;
        let indexer = Arc::new(Indexer::new(disk.again(), shared.clone(), identity.clone()));
        let disk = disk.again();
        let ledger = Ledger { shared, disk, identity, torn_bytes, clock_ms, indexer, thread, _lock: lock };
        if options.ahead {
            // Should that fail, the ledger is dropped, and with it the commit thread ends.
            ledger.indexer.start().map_err(io)?;
        }
        Ok(ledger)
    }

    /// Queues an entry or an act; never blocks on the disk. It counts once the [`Pending`] says so.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was queued.
    pub fn append(&self, record: impl Into<Record>) -> Result<Pending, AppendError> {
        let queued = self.shared.push(std::iter::once(record.into()))?;
        Ok(Pending::new(self.shared.clone(), queued.first))
    }

    /// A gatherer for the calling thread, for whoever appends many at a time; its courier is to be spawned there.
    pub fn gather(&self) -> (Gatherer, Courier) {
        gather(self.shared.clone())
    }

    /// The inquiry that a code stands for, read from the disk; none when the code's key is not here, when no
    /// entry has that sequence, or when it is not on stable storage yet.
    ///
    /// # Errors
    /// [`FindError`]; a code of another ledger is one.
    pub fn find(&self, code: &TrackingCode) -> Result<Option<Found>, FindError> {
        let shared = &self.shared;
        let Some((ledger, sequence)) = place_here(&shared.keys, &self.identity, *code)? else {
            return Ok(None);
        };
        Ok(self.placed(ledger, sequence)?.and_then(Placed::inquiry))
    }

    /// The record at a place, read from the disk; none when there is none on stable storage.
    ///
    /// # Errors
    /// [`FindError`].
    pub fn placed(&self, ledger: u16, sequence: u64) -> Result<Option<Placed>, FindError> {
        let Some((segment, end)) = self.segment_with(ledger, sequence)? else { return Ok(None) };
        Ok(lookup::find(&segment, &self.shared.keys, end, sequence)?)
    }

    /// The segment that a place on stable storage is in, and how many of its slots are entries.
    pub(crate) fn segment_with(
        &self,
        ledger: u16,
        sequence: u64,
    ) -> Result<Option<(Arc<Segment>, u64)>, FindError> {
        let shared = &self.shared;
        let durable = shared.durable();
        if ledger == shared.ledger && sequence > durable {
            return Ok(None);
        }
        let catalog = shared.catalog.read();
        if let Some(info) = lookup::sealed_with(&catalog.sealed, ledger, sequence) {
            let info = info.clone();
            drop(catalog);
            return Ok(Some((Arc::new(self.open_sealed(&info)?), info.entries)));
        }
        let Some(segment) = catalog.open.clone().filter(|_| ledger == shared.ledger) else { return Ok(None) };
        drop(catalog);
        let end = (durable + 1).saturating_sub(segment.first_sequence());
        Ok(Some((segment, end)))
    }

    /// Opens a sealed segment for reading.
    pub(crate) fn open_sealed(&self, info: &SegmentInfo) -> Result<Segment, ReadError> {
        let disk = self.disk.as_ref();
        Segment::open(disk, false, &self.identity, info.number, &self.shared.keys)
            .map_err(|error| changed_since(disk, info, error))
    }

    /// A page of the inquiries about a person, the newest first, as they are on stable storage now. A segment whose
    /// index is not there is read whole, but no more than a few: the indexes are being made.
    ///
    /// # Errors
    /// [`SearchError`].
    pub fn search(&self, search: &Search) -> Result<SearchPage, SearchError> {
        loop {
            // Before the segments: what was acknowledged is then in one of them.
            let durable = self.shared.durable();
            let catalog = self.shared.catalog.read();
            let (sealed, open) = (catalog.sealed.clone(), catalog.open.clone());
            drop(catalog);
            let open = open.map(|segment| {
                let end = (durable + 1).saturating_sub(segment.first_sequence());
                (segment, Follow::InMemory { indexer: &self.indexer, end })
            });
            let place =
                Searched { disk: self.disk.as_ref(), identity: &self.identity, keys: &self.shared.keys };
            let page = place.search(search, &sealed, open, SCANS_MAX, |number| self.indexer.suspect(number));
            let first = sealed.first().map(|info| info.number);
            if page.is_ok() || first == self.shared.catalog.read().sealed.first().map(|info| info.number) {
                return page;
            }
            // Segments were pruned meanwhile: once more, without them.
        }
    }

    /// Makes the indexes of sealed segments that have none, and makes wrong ones anew; how many. With
    /// [`Options::ahead`] a thread of its own does it about once a second.
    ///
    /// # Errors
    /// [`IndexError`]; indexes of other segments may have been made.
    pub fn index_segments(&self) -> Result<usize, IndexError> {
        self.indexer.index_segments(|| true)
    }

    /// The code that was given out for an inquiry, or that leads to it now where the key of then is not here.
    pub fn code_given(&self, found: &Found) -> TrackingCode {
        self.shared.keys.code_given(found)
    }

    /// Whole days until the disk is full, at the pace at which the segments of the last week grew; none before there
    /// is a sealed one to tell, or when nobody can.
    pub fn days_left(&self) -> Option<u64> {
        const WEEK_MS: u64 = 7 * 86_400_000;
        const HOUR_MS: u64 = 3_600_000;
        let now_ms = (self.clock_ms)();
        let catalog = self.shared.catalog.read();
        let week = catalog.sealed.iter().rev().take_while(|info| info.times_ms.0 + WEEK_MS > now_ms);
        let (bytes, since) = week
            .fold((0, now_ms), |(bytes, since), info| (bytes + info.len_bytes, since.min(info.times_ms.0)));
        drop(catalog);
        let free = self.disk.free_bytes().ok().flatten()?;
        let span_ms = (now_ms - since).max(HOUR_MS);
        let days = u128::from(free) * u128::from(span_ms) / 86_400_000;
        u64::try_from(days.checked_div(bytes.into())?).ok()
    }

    /// The sealed segments, in order.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.shared.catalog.read().sealed.clone()
    }

    /// Knows no longer of the first `count` segments.
    pub(crate) fn forget(&self, count: usize) {
        self.shared.catalog.write().sealed.drain(..count);
    }

    pub(crate) fn now_ms(&self) -> u64 {
        (self.clock_ms)()
    }

    /// The clock it was opened with, for all that must not have another time than the ledger.
    pub fn clock_ms(&self) -> fn() -> u64 {
        self.clock_ms
    }

    /// The last sequence that is on stable storage.
    pub fn durable_sequence(&self) -> u64 {
        self.shared.durable()
    }

    /// The keys it works with.
    pub fn keys(&self) -> &Arc<LedgerKeys> {
        &self.shared.keys
    }

    /// The folder it lies in.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The ledger's number.
    pub fn number(&self) -> u16 {
        self.shared.ledger
    }

    /// Whether entries are taken: not after a failed write or sync, nor after [`Ledger::close`], nor while the open
    /// segment is full and the next one cannot be made. A full queue does not count.
    pub fn is_writable(&self) -> bool {
        self.shared.is_writable()
    }

    /// Whether a write or sync failed: nothing that is not on stable storage by now will get there.
    pub fn has_failed(&self) -> bool {
        self.shared.has_failed()
    }

    /// Totals since opening.
    pub fn stats(&self) -> Stats {
        Stats {
            torn_bytes: self.torn_bytes,
            queue_len: self.shared.queue_len() as u64,
            waiting: self.shared.waiters.len() as u64,
            segments_not_indexed: self.indexer.due() as u64,
            ..self.shared.counts.stats()
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
        self.indexer.end();
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

/// The place that a code stands for, if it is one of this folder's; none when its key is not here.
pub(crate) fn place_here(
    keys: &LedgerKeys,
    identity: &Identity,
    code: TrackingCode,
) -> Result<Option<(u16, u64)>, FindError> {
    match keys.resolve(code) {
        // No ledger has number 0: the code was made up.
        None | Some((0, _)) => Ok(None),
        Some((number, sequence)) if identity.has(number) => Ok(Some((number, sequence))),
        Some((number, _)) => Err(FindError::OtherLedger { number }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Ledger, Options};
    use crate::entry::tests::{some_entry, some_keys};
    use crate::error::{AppendError, OpenError};
    use crate::sim::SimDisk;
    use crate::{SEQUENCE_MAX, folder};

    #[test]
    fn sequences_run_out_with_an_error_and_room_for_the_close() {
        let keys = || Arc::new(some_keys());
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
