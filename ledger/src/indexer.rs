//! What keeps the indexes of an open ledger, beside the commits and never on their thread: sealed segments get their
//! files, once each and anew when one is missing or wrong, and the segment that is written is followed in memory.
//!
//! Failing here never stops the ledger: what has no index is searched entry by entry.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::chain::SegmentInfo;
use crate::commit::Shared;
use crate::disk::Disk;
use crate::error::ReadError;
use crate::folder::Identity;
use crate::format::index_name;
use crate::index::{self, IndexError, IndexFault, IndexFile, OpenIndex, PersonKey, Persons};
use crate::reader::changed_since;
use crate::segment::Segment;

/// The lowest priority there is.
const NICE_LOWEST: i32 = 19;
/// How often it is looked for something to do.
const LOOK: Duration = Duration::from_secs(1);
/// How soon after a failure.
const LOOK_AFTER_FAILURE: Duration = Duration::from_secs(60);
/// A pause between some thousand entries, so that it takes a part of one processor only.
const PAUSE: Duration = Duration::from_millis(2);

/// The indexes of an open ledger.
pub(crate) struct Indexer {
    disk: Arc<dyn Disk>,
    shared: Arc<Shared>,
    identity: Identity,
    /// Held while segments are pruned, and while an index gets its name: none must come after its segment went.
    pub(crate) pruning: Mutex<()>,
    open: Mutex<OpenIndex>,
    known: Mutex<Known>,
    ended: AtomicBool,
    wake: (Mutex<()>, Condvar),
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What is known of the sealed segments' indexes, by segment.
#[derive(Default)]
struct Known {
    /// They are there, or are not to be.
    done: BTreeSet<u32>,
    /// They are there and proved unusable.
    wrong: BTreeSet<u32>,
}

impl Indexer {
    /// Without a thread yet: indexes are made when [`Indexer::index_segments`] is called.
    pub(crate) fn new(disk: Arc<dyn Disk>, shared: Arc<Shared>, identity: Identity) -> Indexer {
        Indexer {
            disk,
            shared,
            identity,
            pruning: Mutex::new(()),
            open: Mutex::default(),
            known: Mutex::default(),
            ended: AtomicBool::new(false),
            wake: Default::default(),
            thread: Mutex::new(None),
        }
    }

    /// Goes on by itself from now on, until [`Indexer::end`].
    pub(crate) fn start(self: &Arc<Indexer>) -> io::Result<()> {
        let running = self.clone();
        let named = std::thread::Builder::new().name("ledger-index".to_owned());
        *self.thread.lock() = Some(named.spawn(move || running.run())?);
        Ok(())
    }

    /// Ends the thread; an index that is being made is left out.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        drop(self.wake.0.lock());
        self.wake.1.notify_all();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that makes the ledger's indexes panicked");
        }
    }

    fn run(&self) {
        // It catches up in bursts of some milliseconds, which must not hold up whoever waits for an answer. To Linux,
        // "this process" means the calling thread here.
        if let Err(error) = rustix::process::setpriority_process(None, NICE_LOWEST) {
            tracing::warn!(%error, "the thread that makes the ledger's indexes keeps its priority");
        }
        while !self.ended.load(Ordering::Relaxed) {
            let followed = self.follow().map_err(IndexError::from);
            let pause = || {
                std::thread::sleep(PAUSE);
                !self.ended.load(Ordering::Relaxed)
            };
            let wait = match followed.and_then(|()| self.index_segments(pause)) {
                Ok(_) => LOOK,
                Err(error) => {
                    tracing::warn!(%error, "an index of the ledger was not made");
                    LOOK_AFTER_FAILURE
                }
            };
            let mut asleep = self.wake.0.lock();
            if !self.ended.load(Ordering::Relaxed) {
                self.wake.1.wait_for(&mut asleep, wait);
            }
        }
    }

    /// Takes in what has come to stable storage in the open segment.
    fn follow(&self) -> Result<(), ReadError> {
        let durable = self.shared.durable();
        let Some(segment) = self.shared.catalog.read().open.clone() else { return Ok(()) };
        let end = (durable + 1).saturating_sub(segment.first_sequence());
        self.open.lock().catch_up(&segment, end, &self.shared.keys).map(drop)
    }

    /// The slots of the open segment, up to `end` and before `before`, that are about a person, the last one first;
    /// none when that segment is not the open one any more.
    pub(crate) fn open_slots(
        &self,
        segment: &Segment,
        end: u64,
        person: PersonKey,
        before: u64,
    ) -> Result<Option<Vec<u32>>, ReadError> {
        let keys = &self.shared.keys;
        let mut open = self.open.lock();
        let is_there = open.catch_up(segment, end, keys)?;
        Ok(is_there.then(|| open.slots_before(segment, keys, person, before.min(end))))
    }

    /// The index of that segment proved unusable.
    pub(crate) fn suspect(&self, segment: u32) {
        let mut known = self.known.lock();
        known.done.remove(&segment);
        known.wrong.insert(segment);
    }

    /// How many sealed segments have no index yet.
    pub(crate) fn due(&self) -> usize {
        let (catalog, known) = (self.shared.catalog.read(), self.known.lock());
        catalog.sealed.iter().filter(|info| !known.done.contains(&info.number)).count()
    }

    /// Makes the indexes that are missing, the last segment's first; how many. `pause` is called now and then, and
    /// says whether to go on. A segment that fails holds up none but itself; the first failure is told.
    pub(crate) fn index_segments(&self, mut pause: impl FnMut() -> bool) -> Result<usize, IndexError> {
        let due: Vec<SegmentInfo> = {
            let (catalog, known) = (self.shared.catalog.read(), self.known.lock());
            catalog.sealed.iter().rev().filter(|info| !known.done.contains(&info.number)).cloned().collect()
        };
        let (mut made, mut failed) = (0, None);
        for info in due {
            if !pause() {
                break;
            }
            match self.index_segment(&info, &mut pause) {
                Ok(is_new) => made += usize::from(is_new),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(made), Err)
    }

    /// Makes the index of a segment unless it is there; whether it was made.
    fn index_segment(
        &self,
        info: &SegmentInfo,
        pause: &mut impl FnMut() -> bool,
    ) -> Result<bool, IndexError> {
        let path = self.disk.describe(&index_name(info.number));
        let Some(month) = info.month else { return Ok(self.is_done(info)) };
        let Some(persons) = Persons::new(&self.shared.keys, month, info.ledger, info.number) else {
            // Nobody can search it any more: it goes as the key went.
            match self.disk.remove(&index_name(info.number)) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(IndexError::Io { path, source });
                }
                _ => return Ok(self.is_done(info)),
            }
        };
        match IndexFile::open(self.disk.as_ref(), &persons, info) {
            Ok(_) if !self.known.lock().wrong.contains(&info.number) => return Ok(self.is_done(info)),
            Ok(_) => tracing::warn!(path, "an index of the ledger proved wrong and is made anew"),
            Err(IndexFault::Missing) => {}
            Err(fault) => tracing::warn!(path, %fault, "an index of the ledger is made anew"),
        }
        let segment =
            Segment::open(self.disk.as_ref(), false, &self.identity, info.number, &self.shared.keys)
                .map_err(|error| changed_since(self.disk.as_ref(), info, error));
        let records = index::make(Arc::new(segment?), info, &persons, &self.shared.keys, &mut *pause)?;
        let Some(records) = records else { return Ok(false) };
        let _none_is_pruned = self.pruning.lock();
        let is_there = self.shared.catalog.read().sealed.iter().any(|other| other.number == info.number);
        let is_made = is_there && index::publish(self.disk.as_ref(), info, &persons, &records, pause)?;
        if is_made {
            self.is_done(info);
        }
        Ok(is_made)
    }

    /// Notes that there is nothing to do for a segment any more; false, since nothing was made.
    fn is_done(&self, info: &SegmentInfo) -> bool {
        let mut known = self.known.lock();
        known.wrong.remove(&info.number);
        known.done.insert(info.number);
        false
    }
}
