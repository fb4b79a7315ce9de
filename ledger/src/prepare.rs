//! What is done beside the commits, on a thread of its own: the next segment's file is made and filled with zeros,
//! sealed files are cut to their length, and the mark is written once a second. So a commit writes into bytes that
//! are there already, and its sync has no new length to store.
//!
//! The next file grows as the present segment fills, a few bytes for each: zeros that came in one burst would be in the
//! way of the commits' syncs for as long as the burst lasts.
//!
//! A file that cannot be made, for want of disk space or file descriptors, is tried again until it can: nothing was
//! written to the ledger yet, so nothing is lost but time. Meanwhile [`Preparer::shortage`] says so.
//!
//! Without that thread the one who needs the next file makes it on the spot: for tests, where each step must come in
//! its order.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::disk::{Disk, DiskFile};
use crate::folder::{UNFINISHED, fresh};
use crate::format::{HEADER_LEN, segment_name, slot_offset};
use crate::keys::LedgerKeys;
use crate::mark::{Mark, MarkFile};
use crate::segment::{Segment, write_zeros};

/// Pause before a failed preparation is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How often the mark is written.
const MARK_INTERVAL: Duration = Duration::from_secs(1);
/// Zeros between two syncs of the next file.
const STEP_LEN: u64 = 1 << 18;
/// The same while the file is behind by more than that.
const LONG_STEP_LEN: u64 = 1 << 20;
/// How long the next file becomes before anything is written to the present segment.
const LEN_AT_ONCE: u64 = 1 << 20;
/// How many bytes longer it becomes for each that is written there: it may have to be twice as long as that one.
const GROWTH: u64 = 3;
/// A pause between two steps, so that commits find the disk free; none when somebody waits.
const PAUSE: Duration = Duration::from_millis(5);

/// The next segment's file, full of zeros but not named yet.
pub(crate) struct Ready {
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) number: u32,
    pub(crate) len_bytes: u64,
}

/// Makes what the commits need ahead of them.
pub(crate) struct Preparer {
    inner: Arc<Inner>,
    thread: Option<JoinHandle<()>>,
}

struct Inner {
    disk: Arc<dyn Disk>,
    keys: Arc<LedgerKeys>,
    clock_ms: fn() -> u64,
    marks: Mutex<MarkFile>,
    state: Mutex<State>,
    changed: Condvar,
    shortage: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    /// Which segment is to be made, and how long; none before the first one is asked for.
    wanted: Option<(u32, u64)>,
    /// How far the present segment is written.
    written_bytes: u64,
    ready: Option<Ready>,
    /// How long the next segment's file is, also while it is made longer.
    ready_bytes: u64,
    failed: Option<io::Error>,
    /// The last attempt failed, and was logged.
    failing: bool,
    /// Somebody waits for the next file.
    urgent: bool,
    trims: Vec<(Arc<Segment>, u64)>,
    mark: Option<Mark>,
    mark_now: bool,
    ended: bool,
}

impl Preparer {
    /// With a thread of its own, or without.
    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        keys: Arc<LedgerKeys>,
        clock_ms: fn() -> u64,
        marks: MarkFile,
        ahead: bool,
    ) -> io::Result<Preparer> {
        let inner = Arc::new(Inner {
            disk,
            keys,
            clock_ms,
            marks: Mutex::new(marks),
            state: Mutex::default(),
            changed: Condvar::new(),
            shortage: Arc::default(),
        });
        let mut thread = None;
        if ahead {
            let inner = inner.clone();
            let named = std::thread::Builder::new().name("ledger-prepare".to_owned());
            thread = Some(named.spawn(move || inner.run())?);
        }
        Ok(Preparer { inner, thread })
    }

    /// Says which segment comes next, and how long its file is to be.
    pub(crate) fn want(&self, number: u32, len_bytes: u64) {
        self.inner.state.lock().wanted = Some((number, len_bytes));
        self.inner.changed.notify_all();
    }

    /// True while the next segment's file cannot be made.
    pub(crate) fn shortage(&self) -> &Arc<AtomicBool> {
        &self.inner.shortage
    }

    /// The next segment's file, once it is there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn take(&self) -> io::Result<Ready> {
        self.take_or(|state| state.failed.take())
    }

    /// The same, however long the file cannot be made, unless `give_up`.
    ///
    /// # Errors
    /// When the file cannot be made, and it gave up or has no thread to try again.
    pub(crate) fn take_patiently(&self, give_up: impl Fn() -> bool) -> io::Result<Ready> {
        self.take_or(|state| state.failed.take_if(|_| give_up()))
    }

    fn take_or(&self, failure: impl Fn(&mut State) -> Option<io::Error>) -> io::Result<Ready> {
        let mut state = self.inner.state.lock();
        if self.thread.is_none() {
            let (number, len_bytes) = state.wanted.take().expect("asked for before");
            drop(state);
            return self.inner.make(number, len_bytes);
        }
        state.urgent = true;
        loop {
            // As far as it has come: a file that is shorter than it was to be is full sooner.
            if state.can_be_taken()
                && let Some(ready) = state.ready.take()
            {
                (state.wanted, state.written_bytes, state.ready_bytes) = (None, 0, 0);
                state.urgent = false;
                return Ok(ready);
            }
            if let Some(error) = failure(&mut state) {
                return Err(error);
            }
            if state.ended {
                return Err(io::Error::other("the thread that prepares segments has ended"));
            }
            self.inner.changed.notify_all();
            self.inner.changed.wait(&mut state);
        }
    }

    /// Cuts a sealed segment to its length, soon.
    pub(crate) fn trim(&self, segment: Arc<Segment>, len_bytes: u64) -> io::Result<()> {
        if self.thread.is_none() {
            return cut(&segment, len_bytes);
        }
        self.inner.state.lock().trims.push((segment, len_bytes));
        self.inner.changed.notify_all();
        Ok(())
    }

    /// Notes how far the ledger is on stable storage, to be written within a second, or at once but beside the
    /// caller.
    pub(crate) fn note(&self, mark: Mark, now: bool) -> io::Result<()> {
        if self.thread.is_none() {
            return if now { self.mark(&mark) } else { Ok(()) };
        }
        let mut state = self.inner.state.lock();
        state.written_bytes = slot_offset(mark.slots);
        state.mark = Some(mark);
        state.mark_now |= now;
        if now || state.step_due().is_some() {
            self.inner.changed.notify_all();
        }
        Ok(())
    }

    /// Writes a mark and waits for its sync.
    pub(crate) fn mark(&self, mark: &Mark) -> io::Result<()> {
        self.inner.state.lock().mark = None;
        self.inner.write_mark(mark)
    }

    /// Ends the thread, after what is asked for but the next segment, of which what was begun is removed.
    pub(crate) fn end(&mut self) {
        self.inner.state.lock().ended = true;
        self.inner.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that prepares the ledger's segments panicked");
        }
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        self.end();
    }
}

/// One thing to do.
enum Job {
    Trim(Arc<Segment>, u64),
    Mark(Mark),
    /// Zeros up to a length, in a file that is begun first if it is none yet.
    Grow(Option<Ready>, u32, u64),
    End(Option<Ready>),
}

impl State {
    /// Whether the file is long enough for a segment.
    fn can_be_taken(&self) -> bool {
        let wanted = self.wanted.map_or(0, |(_, wanted)| wanted);
        self.ready_bytes >= wanted.min(LEN_AT_ONCE)
    }

    /// How long the next segment's file is to be by now, if that is a step more than it is.
    fn step_due(&self) -> Option<(u32, u64)> {
        let (number, wanted) = self.wanted?;
        let due = wanted.min(self.written_bytes.saturating_mul(GROWTH).saturating_add(LEN_AT_ONCE));
        let behind = due.saturating_sub(self.ready_bytes);
        let step = if behind > LONG_STEP_LEN { LONG_STEP_LEN } else { STEP_LEN };
        let is_due = behind >= step || (behind > 0 && due == wanted);
        is_due.then_some((number, self.ready_bytes + step.min(behind)))
    }
}

impl Inner {
    fn run(&self) {
        let mut marked = Instant::now();
        loop {
            match self.next_job(marked) {
                Job::Trim(segment, len_bytes) => {
                    if let Err(error) = cut(&segment, len_bytes) {
                        let path = &segment.path;
                        tracing::warn!(path, %error, "a sealed segment was not cut to its length; the next start does it");
                    }
                }
                Job::Mark(mark) => {
                    marked = Instant::now();
                    if let Err(error) = self.write_mark(&mark) {
                        tracing::warn!(%error, "the ledger's mark was not written: a cut-off end may not show");
                    }
                }
                Job::Grow(begun, number, len_bytes) => {
                    let begun = begun.map_or_else(|| self.begin(number), Ok);
                    self.grown(begun.map_err(|error| (None, error)).and_then(|begun| grow(begun, len_bytes)));
                }
                Job::End(unused) => return self.tidy(unused),
            }
        }
    }

    fn next_job(&self, marked: Instant) -> Job {
        let mut state = self.state.lock();
        loop {
            if let Some((segment, len_bytes)) = state.trims.pop() {
                return Job::Trim(segment, len_bytes);
            }
            let due = state.mark_now || marked.elapsed() >= MARK_INTERVAL;
            if due && let Some(mark) = state.mark.take() {
                state.mark_now = false;
                return Job::Mark(mark);
            }
            if state.ended {
                return Job::End(state.ready.take());
            }
            if let Some((number, len_bytes)) = state.step_due() {
                return Job::Grow(state.ready.take(), number, len_bytes);
            }
            self.changed.wait_for(&mut state, MARK_INTERVAL);
        }
    }

    /// Puts the file where it can be taken, and lets the disk rest.
    fn grown(&self, grown: Result<Ready, NotGrown>) {
        let mut state = self.state.lock();
        let failed = grown.is_err();
        let rest = match grown {
            Ok(ready) => {
                if std::mem::take(&mut state.failing) {
                    tracing::info!("the ledger's next segment can be prepared again");
                }
                state.ready_bytes = ready.len_bytes;
                state.ready = Some(ready);
                // What failed before is over: whoever finds the file being made longer is to wait for it.
                state.failed = None;
                PAUSE
            }
            Err((kept, error)) => {
                if !std::mem::replace(&mut state.failing, true) {
                    tracing::error!(
                        %error,
                        "the ledger's next segment cannot be prepared, and is tried again; free disk space, or raise \
                         the limit of open files"
                    );
                }
                state.ready_bytes = kept.as_ref().map_or(0, |kept| kept.len_bytes);
                state.ready = kept;
                state.failed = Some(error);
                RETRY_PAUSE
            }
        };
        // While it grows again there is none until it can be taken.
        let was_short = self.shortage.load(Ordering::Relaxed);
        self.shortage.store((failed || was_short) && !state.can_be_taken(), Ordering::Relaxed);
        self.changed.notify_all();
        let until = Instant::now() + rest;
        // A file that was taken leaves the next one to be begun at once: should it fail, that is known in time.
        while !state.ended
            && (failed || (!state.urgent && state.ready.is_some()))
            && !self.changed.wait_until(&mut state, until).timed_out()
        {}
    }

    fn begin(&self, number: u32) -> io::Result<Ready> {
        let name = unfinished(number);
        // A file of which a sync failed is not trusted any more.
        match self.disk.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = fresh(self.disk.as_ref(), &name)?;
        write_zeros(file.as_ref(), 0, HEADER_LEN)?;
        Ok(Ready { file, number, len_bytes: HEADER_LEN })
    }

    /// The whole file at once.
    fn make(&self, number: u32, len_bytes: u64) -> io::Result<Ready> {
        let mut ready = self.begin(number)?;
        while ready.len_bytes < len_bytes {
            let step = (ready.len_bytes + STEP_LEN).min(len_bytes);
            ready = grow(ready, step).map_err(|(_, error)| error)?;
        }
        Ok(ready)
    }

    /// Removes a file that nobody came for; if that fails the next opening does it.
    fn tidy(&self, unused: Option<Ready>) {
        if let Some(ready) = unused {
            let _ = self.disk.remove(&unfinished(ready.number));
        }
    }

    fn write_mark(&self, mark: &Mark) -> io::Result<()> {
        self.marks.lock().write(mark, (self.clock_ms)(), &self.keys)
    }
}

/// How the next segment is called until it is begun.
pub(crate) fn unfinished(number: u32) -> String {
    format!("{}{UNFINISHED}", segment_name(number))
}

/// Why a file did not grow, and the file as far as it is on stable storage, if it can still be trusted.
type NotGrown = (Option<Ready>, io::Error);

/// Zeros up to a length, on stable storage. After a failed write the file is what it was, and grows on from there; after a
/// failed sync it is not trusted any more.
fn grow(mut ready: Ready, len_bytes: u64) -> Result<Ready, NotGrown> {
    if let Err(error) = write_zeros(ready.file.as_ref(), ready.len_bytes, len_bytes) {
        return Err((Some(ready), error));
    }
    ready.file.sync_data().map_err(|error| (None, error))?;
    ready.len_bytes = len_bytes;
    Ok(ready)
}

fn cut(segment: &Segment, len_bytes: u64) -> io::Result<()> {
    segment.file.set_len(len_bytes)?;
    segment.file.sync_data()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use super::{LEN_AT_ONCE, LONG_STEP_LEN, Preparer, STEP_LEN, State};
    use crate::entry::tests::some_keys;
    use crate::mark::tests::mark_file;
    use crate::sim::SimDisk;

    /// Waits until the preparer's state is so.
    fn wait_for(preparer: &Preparer, is_so: impl Fn(&State) -> bool) {
        let begun = Instant::now();
        while !is_so(&preparer.inner.state.lock()) {
            assert!(begun.elapsed() < Duration::from_secs(20), "that takes too long");
            sleep(Duration::from_millis(1));
        }
    }

    /// The disk was full for a moment. Whoever needs the file while it is made longer must not hear of that.
    #[test]
    fn a_failure_that_is_over_is_forgotten() {
        let (disk, keys) = (SimDisk::new(), Arc::new(some_keys()));
        let marks = mark_file(&disk);
        let preparer = Preparer::start(Arc::new(disk.clone()), keys, || 1, marks, true).unwrap();
        disk.set_capacity(Some(4096));
        preparer.want(9, LEN_AT_ONCE);
        wait_for(&preparer, |state| state.failed.is_some());
        disk.set_capacity(None);
        wait_for(&preparer, |state| state.ready_bytes == LEN_AT_ONCE && state.ready.is_some());
        assert!(preparer.inner.state.lock().failed.is_none());
        assert_eq!(preparer.take().unwrap().len_bytes, LEN_AT_ONCE);
    }

    /// There is some room, but not enough. The file must not be begun again and again, nor the shortage come and go.
    #[test]
    fn a_disk_with_some_room_is_one_steady_shortage() {
        for (room, short) in [(300 << 10, true), (3 << 20, false)] {
            let (disk, keys) = (SimDisk::new(), Arc::new(some_keys()));
            let marks = mark_file(&disk);
            let preparer = Preparer::start(Arc::new(disk.clone()), keys, || 1, marks, true).unwrap();
            let used: usize = disk.names().iter().map(|name| disk.contents(name).len()).sum();
            disk.set_capacity(Some(used + room));
            preparer.want(9, 8 << 20);
            preparer.inner.state.lock().written_bytes = 8 << 20;
            wait_for(&preparer, |state| state.failing);
            let reached = preparer.inner.state.lock().ready_bytes;
            assert!(reached > 0, "{room}: what fits stays");
            for _ in 0..30 {
                sleep(Duration::from_millis(20));
                assert_eq!(preparer.shortage().load(super::Ordering::Relaxed), short, "{room}");
                let now = preparer.inner.state.lock().ready_bytes;
                assert!(now >= reached, "{room}: it never begins again, {now} after {reached}");
            }
            disk.set_capacity(None);
            wait_for(&preparer, |state| !state.failing && state.ready_bytes == 8 << 20);
            assert!(!preparer.shortage().load(super::Ordering::Relaxed));
        }
    }

    /// How long the next file becomes once that much of the present segment is written.
    fn len_with(state: &mut State, written_bytes: u64) -> u64 {
        state.written_bytes = written_bytes;
        while let Some((9, len_bytes)) = state.step_due() {
            assert!(len_bytes > state.ready_bytes && len_bytes <= state.ready_bytes + LONG_STEP_LEN);
            state.ready_bytes = len_bytes;
        }
        state.ready_bytes
    }

    #[test]
    fn the_next_file_grows_with_the_present_segment() {
        assert_eq!(State::default().step_due(), None, "nothing is wanted");
        let mut state = State { wanted: Some((9, 64 << 20)), ..State::default() };
        assert_eq!(len_with(&mut state, 0), LEN_AT_ONCE);
        assert_eq!(len_with(&mut state, 10 << 20), 31 << 20);
        assert_eq!(len_with(&mut state, 32 << 20), 64 << 20, "whole long before it is needed");
        state.wanted = Some((9, 64 << 20 | 100));
        assert_eq!(len_with(&mut state, 32 << 20), 64 << 20 | 100, "and never longer than wanted");
    }

    #[test]
    fn steps_are_short_unless_the_file_is_far_behind() {
        let mut state = State { wanted: Some((9, 64 << 20)), ..State::default() };
        assert_eq!(state.step_due(), Some((9, STEP_LEN)));
        (state.ready_bytes, state.written_bytes) = (LEN_AT_ONCE, STEP_LEN / 4);
        assert_eq!(state.step_due(), None, "less than a step");
        state.written_bytes = STEP_LEN / 2;
        assert_eq!(state.step_due(), Some((9, LEN_AT_ONCE + STEP_LEN)));
        state.written_bytes = 4 << 20;
        assert_eq!(state.step_due(), Some((9, LEN_AT_ONCE + LONG_STEP_LEN)));
    }

    #[test]
    fn a_short_file_is_made_at_once() {
        let mut state = State { wanted: Some((9, 5000)), ..State::default() };
        assert_eq!(len_with(&mut state, 0), 5000);
    }
}
