//! What a run shows while it lasts: a screen where stderr is a terminal, a plain line now and then elsewhere.
//!
//! The run publishes a `LiveSnapshot` about five times a second; a thread of this module's own draws the
//! latest one, so that drawing never delays a request longer than one lock takes. Nothing shown here is part
//! of the result.

mod keys;
mod line;
mod screen;

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::latency::LatencySummary;
use crate::result::{Goal, Mode};
use crate::stop;

/// Where a run is. Rates and latencies are those of the last second or so, counts those since the start.
#[derive(Debug, Clone)]
pub(crate) struct LiveSnapshot {
    pub(crate) mode: Mode,
    pub(crate) scenario: String,
    pub(crate) stage: String,
    /// From 1.
    pub(crate) stage_number: usize,
    pub(crate) stages: usize,
    pub(crate) elapsed: Duration,
    pub(crate) total: Duration,
    pub(crate) intended_per_s: f64,
    pub(crate) sent_per_s: f64,
    pub(crate) answered_per_s: f64,
    /// Due, but no connection was free for them yet.
    pub(crate) waiting: u64,
    pub(crate) in_flight: u64,
    pub(crate) intended: u64,
    pub(crate) answered: u64,
    pub(crate) wrong_answers: u64,
    pub(crate) errors: u64,
    pub(crate) latency_us: LatencySummary,
    pub(crate) service_us: LatencySummary,
    pub(crate) lateness_us: LatencySummary,
    /// Of the machine.
    pub(crate) stalls_us: LatencySummary,
    /// Of the busiest sending thread.
    pub(crate) busy_share: f64,
    pub(crate) generation: Option<String>,
    pub(crate) swaps: u64,
    /// Of the present stage, judged on what is in so far.
    pub(crate) goals: Vec<Goal>,
}

impl Default for LiveSnapshot {
    fn default() -> LiveSnapshot {
        LiveSnapshot {
            mode: Mode::OpenLoop,
            scenario: String::new(),
            stage: String::new(),
            stage_number: 1,
            stages: 1,
            elapsed: Duration::ZERO,
            total: Duration::ZERO,
            intended_per_s: 0.0,
            sent_per_s: 0.0,
            answered_per_s: 0.0,
            waiting: 0,
            in_flight: 0,
            intended: 0,
            answered: 0,
            wrong_answers: 0,
            errors: 0,
            latency_us: LatencySummary::default(),
            service_us: LatencySummary::default(),
            lateness_us: LatencySummary::default(),
            stalls_us: LatencySummary::default(),
            busy_share: 0.0,
            generation: None,
            swaps: 0,
            goals: Vec::new(),
        }
    }
}

/// Between the run and the thread that shows it.
#[derive(Debug, Default)]
pub(crate) struct LiveFeed {
    latest: Mutex<Latest>,
    changed: Condvar,
    stop_requested: AtomicBool,
}

#[derive(Debug, Default)]
struct Latest {
    snapshot: Option<LiveSnapshot>,
    ended: bool,
}

impl LiveFeed {
    /// Replaces what is shown.
    pub(crate) fn publish(&self, snapshot: LiveSnapshot) {
        self.lock().snapshot = Some(snapshot);
        self.changed.notify_one();
    }

    /// Whether somebody pressed `q` or Ctrl-C, or a signal came: end the run early, with a result.
    pub(crate) fn stop_requested(&self) -> bool {
        self.stop_requested.load(Ordering::Relaxed) || stop::is_asked()
    }

    /// As if that key had been pressed.
    pub(crate) fn request_stop(&self) {
        self.stop_requested.store(true, Ordering::Relaxed);
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_one();
    }

    /// The next snapshot, after `wait` at the latest; `None` once the run has ended.
    fn next(&self, wait: Duration) -> Option<Option<LiveSnapshot>> {
        let latest = self.lock();
        let waiting = |latest: &mut Latest| latest.snapshot.is_none() && !latest.ended;
        let (mut latest, _) =
            self.changed.wait_timeout_while(latest, wait, waiting).unwrap_or_else(PoisonError::into_inner);
        if latest.ended { None } else { Some(latest.snapshot.take()) }
    }

    fn lock(&self) -> MutexGuard<'_, Latest> {
        // A snapshot is replaced whole: a panic elsewhere leaves no half of one.
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How to show a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    Screen,
    Lines,
}

impl Show {
    /// The screen where stderr is a terminal that can show it.
    pub(crate) fn for_stderr() -> Show {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if std::io::stderr().is_terminal() && !dumb { Show::Screen } else { Show::Lines }
    }
}

/// The thread that shows a run. `finish` gives the terminal back; so does dropping it.
#[derive(Debug)]
pub(crate) struct Live {
    feed: Arc<LiveFeed>,
    thread: Option<JoinHandle<()>>,
}

impl Live {
    /// Starts showing. A terminal that refuses gets lines instead.
    pub(crate) fn start(feed: Arc<LiveFeed>, show: Show, notes: Box<dyn Write + Send>) -> Live {
        let shown = Arc::clone(&feed);
        let thread = std::thread::Builder::new().name("live".to_owned()).spawn(move || match show {
            Show::Screen => screen::run(&shown, notes),
            Show::Lines => line::run(&shown, notes),
        });
        // Without a thread the run goes on unseen; its result is what counts.
        Live { feed, thread: thread.ok() }
    }

    /// Ends the showing and waits until the terminal is as it was.
    pub(crate) fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.feed.end();
        if let Some(thread) = self.thread.take() {
            // A panic there has already been printed, and concerns no request.
            let _ = thread.join();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.end();
    }
}
