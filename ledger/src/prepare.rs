//! What is done beside the commits, on a thread of its own: the next segment's file is made and filled with zeros,
//! sealed files are cut to their length, and the mark is written once a second. So a commit writes into bytes that
//! are there already, and its sync has no new length to store.
//!
//! Without that thread the one who needs the next file makes it on the spot: for tests, where each step must come in
//! its order.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::disk::{Disk, DiskFile};
use crate::folder::{UNFINISHED, fresh};
use crate::format::{HEADER_LEN, segment_name};
use crate::keys::LedgerKeys;
use crate::mark::{Mark, MarkFile};
use crate::segment::{Segment, write_zeros};

/// How often the mark is written, and how soon a failed preparation is tried again.
const MARK_INTERVAL: Duration = Duration::from_secs(1);
/// Zeros between two syncs of the next file.
const STEP_LEN: u64 = 1 << 20;
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
}

#[derive(Default)]
struct State {
    /// Which segment is to be made, and how long; none before the first one is asked for.
    wanted: Option<(u32, u64)>,
    ready: Option<Ready>,
    failed: Option<io::Error>,
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

    /// The next segment's file, once it is there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn take(&self) -> io::Result<Ready> {
        let mut state = self.inner.state.lock();
        if self.thread.is_none() {
            let (number, len_bytes) = state.wanted.take().expect("asked for before");
            drop(state);
            return self.inner.make(number, len_bytes);
        }
        state.urgent = true;
        loop {
            // As far as it has come: a file that is shorter than it was to be is full sooner.
            if let Some(ready) = state.ready.take() {
                (state.wanted, state.urgent) = (None, false);
                return Ok(ready);
            }
            if let Some(error) = state.failed.take() {
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
        state.mark = Some(mark);
        if now {
            state.mark_now = true;
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
    /// A step of zeros more, in a file that is begun first if it is none yet.
    Grow(Option<Ready>, u32, u64),
    End(Option<Ready>),
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
                    let grown = begun.map_or_else(|| self.begin(number), Ok);
                    self.grown(grown.and_then(|begun| grow(begun, len_bytes)));
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
            let (number, len_bytes) = state.wanted.unwrap_or_default();
            let is_ready = state.ready.as_ref().is_some_and(|ready| ready.len_bytes >= len_bytes);
            if len_bytes > 0 && !is_ready {
                return Job::Grow(state.ready.take(), number, len_bytes);
            }
            self.changed.wait_for(&mut state, MARK_INTERVAL);
        }
    }

    /// Puts the file where it can be taken, and lets the disk rest.
    fn grown(&self, grown: io::Result<Ready>) {
        let mut state = self.state.lock();
        let rest = match grown {
            Ok(ready) => {
                state.ready = Some(ready);
                PAUSE
            }
            Err(error) => {
                tracing::error!(%error, "the ledger's next segment cannot be prepared; look at the disk");
                state.failed = Some(error);
                MARK_INTERVAL
            }
        };
        self.changed.notify_all();
        if !state.ended && !state.urgent {
            self.changed.wait_for(&mut state, rest);
        }
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
            ready = grow(ready, len_bytes)?;
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

/// A step of zeros more.
fn grow(mut ready: Ready, len_bytes: u64) -> io::Result<Ready> {
    let to = len_bytes.min(ready.len_bytes + STEP_LEN);
    write_zeros(ready.file.as_ref(), ready.len_bytes, to)?;
    ready.file.sync_data()?;
    ready.len_bytes = to;
    Ok(ready)
}

fn cut(segment: &Segment, len_bytes: u64) -> io::Result<()> {
    segment.file.set_len(len_bytes)?;
    segment.file.sync_data()
}
