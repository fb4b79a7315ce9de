//! When requests are sent. A send loop asks its schedule for the next slot and knows nothing else of time.
//!
//! The closed loop is the only schedule so far. An open loop fits the same trait: it fixes its due times
//! beforehand and hands them out regardless of `free`, and the loop already measures from `due`.

use std::time::Duration;

use tokio::time::Instant;

/// Whether a request counts in the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Warmup,
    Measured,
}

/// One request to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    /// The intended send time; latency is counted from here.
    pub(crate) due: Instant,
    pub(crate) phase: Phase,
}

/// What stopped a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndedBy {
    Duration,
    RequestsMax,
}

/// Decides when the next request is due, and when there is none.
pub(crate) trait Schedule {
    /// The name that every output carries.
    fn mode(&self) -> &'static str;
    /// What a reader of the latencies has to know about this schedule.
    fn caveat(&self) -> &'static str;
    /// The next slot for a connection that became free at `free`; `None` when the run is over.
    fn next(&mut self, free: Instant) -> Option<Slot>;
    fn ended_by(&self) -> EndedBy;
}

/// Each connection sends its next request as soon as it has the answer to the last.
#[derive(Debug)]
pub(crate) struct ClosedLoop {
    measure_from: Instant,
    end: Instant,
    requests_left: u64,
}

impl ClosedLoop {
    pub(crate) fn new(start: Instant, warmup: Duration, duration: Duration, requests_max: u64) -> ClosedLoop {
        let measure_from = start + warmup;
        ClosedLoop { measure_from, end: measure_from + duration, requests_left: requests_max }
    }
}

impl Schedule for ClosedLoop {
    fn mode(&self) -> &'static str {
        "closed_loop"
    }

    fn caveat(&self) -> &'static str {
        "closed-loop latency omits waiting (coordinated omission): while the server is slow fewer requests \
         are sent, so these percentiles are lower than what callers arriving at a steady rate would see"
    }

    fn next(&mut self, free: Instant) -> Option<Slot> {
        if free < self.measure_from {
            return Some(Slot { due: free, phase: Phase::Warmup });
        }
        if free >= self.end || self.requests_left == 0 {
            return None;
        }
        self.requests_left -= 1;
        Some(Slot { due: free, phase: Phase::Measured })
    }

    fn ended_by(&self) -> EndedBy {
        if self.requests_left == 0 { EndedBy::RequestsMax } else { EndedBy::Duration }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warmup_is_free_of_charge_then_count_and_time_bound_the_run() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut schedule = ClosedLoop::new(start, second, second, 2);
        assert_eq!(schedule.next(start).unwrap().phase, Phase::Warmup);
        assert_eq!(schedule.next(start + second).unwrap().phase, Phase::Measured);
        assert!(schedule.next(start + 2 * second).is_none());
        assert_eq!(schedule.ended_by(), EndedBy::Duration);
        assert!(schedule.next(start + second).is_some());
        assert!(schedule.next(start + second).is_none());
        assert_eq!(schedule.ended_by(), EndedBy::RequestsMax);
    }
}
