//! Time as the run counts it: nanoseconds since a start that all senders, and all shards, share.

use std::time::{Duration, Instant};

/// The start of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that stands at 0 at `start`, which may lie ahead.
    pub(crate) fn starting_at(start: Instant) -> Clock {
        Clock { start }
    }

    /// Nanoseconds since the start; 0 before it.
    pub(crate) fn now_ns(self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Sleeps until the start.
    pub(crate) fn wait_for_start(self) {
        std::thread::sleep(self.start.saturating_duration_since(Instant::now()));
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.start.elapsed()
    }
}

/// Whole microseconds, rounded up, as far as 32 bits reach (over an hour).
pub(crate) fn us_up(ns: u64) -> u32 {
    u32::try_from(ns.div_ceil(1_000)).unwrap_or(u32::MAX)
}

/// Nanoseconds that the calling thread has run so far.
pub(crate) fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
