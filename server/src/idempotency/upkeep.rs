//! The thread behind the keys: it reads those of the last day from the ledger at a start, and then lets those go whose
//! day is over. Inquiries without a key need not wait for the reading, and those with one are put off until it is done.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ledger::Ledger;

use super::{Keys, SPAN_MS};
use crate::http::State;

/// How often keys whose day is over are let go.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// Poll interval while the time is not believed.
const TIME_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The thread that reads and lets go. Dropping it ends it.
pub(crate) struct Upkeep {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    /// Starts reading.
    pub(crate) fn start(state: Arc<State>) -> io::Result<Upkeep> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::Builder::new().name("keys".to_owned());
        let thread = thread.spawn(move || {
            wait_for_the_time(&state, &stopped);
            rebuild(&state.ledger, &state.keys, &stopped);
            while !stopped.load(Ordering::Relaxed) {
                thread::park_timeout(SWEEP_INTERVAL);
                // A clock that runs ahead for a while must not end the day of every key.
                if is_time_believed(&state) {
                    state.keys.sweep(state.ledger.clock_ms()());
                }
            }
        })?;
        Ok(Upkeep { stop, thread: Some(thread) })
    }
}

impl Drop for Upkeep {
    /// Waits, since the ledger must be free once the service has stopped.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the thread that keeps idempotency keys panicked");
            }
        }
    }
}

/// Which keys are in force depends on the time, and a machine may start before its clock is set: reading waits until the
/// clock is believed beside a generation. Before that nothing is answered either.
fn wait_for_the_time(state: &State, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) && !is_time_believed(state) {
        thread::park_timeout(TIME_POLL_INTERVAL);
    }
}

fn is_time_believed(state: &State) -> bool {
    state.served.load().is_some() && state.clock_fault().is_none()
}

/// Reads all that was sealed, which after an opening is all there is, the latest segment first: should the bound be lower
/// than it was, the keys that are not known are those that count for the shortest time.
fn rebuild(ledger: &Ledger, keys: &Keys, stop: &AtomicBool) {
    let begun = Instant::now();
    let now_ms = ledger.clock_ms()();
    // The first time that is in force: an entry of exactly a day ago is not.
    let since_ms = now_ms.saturating_sub(SPAN_MS).saturating_add(1);
    keys.unknown_up_to(since_ms - 1);
    let segments = ledger.segments().into_iter().rev().filter(|info| info.times_ms.1 >= since_ms);
    let mut entries = 0;
    for info in segments {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if !ledger.knows_month_of(&info) {
            keys.unknown_up_to(info.times_ms.1);
            tracing::warn!(
                segment = info.number,
                "idempotency keys of a month whose key was destroyed are not known; new ones are refused for a day"
            );
            continue;
        }
        entries += info.entries;
        if let Err(error) = ledger.keyed(&info, since_ms, |keyed| keys.remember(&keyed)) {
            // Whoever has a key of then may have had an answer, which cannot be told any more.
            keys.unknown_up_to(info.times_ms.1);
            tracing::error!(%error, "idempotency keys cannot be read from the ledger; run `estehqaq ledger verify`");
        }
    }
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    keys.rebuilt(took_ms);
    tracing::info!(entries, keys = keys.len(), took_ms, "idempotency keys of the last 24 hours are known");
}
