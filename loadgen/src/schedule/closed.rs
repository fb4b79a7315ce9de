//! The closed loop: each connection sends its next request as soon as it has the answer to the last.

use crate::schedule::{Due, Schedule, Share, Slot};

/// What a reader of closed-loop latencies has to know.
pub(crate) const CAVEAT: &str = "closed-loop latency omits waiting (coordinated omission): while the server is slow fewer requests \
     are sent, so these percentiles are lower than what callers arriving at a steady rate would see";

/// A warm-up, when there is one, as stage 0, then the measured stage until its time or count is used up.
#[derive(Debug)]
pub(crate) struct ClosedLoop {
    warmup_ns: u64,
    end_ns: u64,
    share: Share,
    /// Measured requests that this share may still send.
    left: u64,
    /// Slots this share has taken.
    taken: u64,
    now_ns: u64,
}

impl ClosedLoop {
    pub(crate) fn new(warmup_ns: u64, duration_ns: u64, requests_max: u64, share: Share) -> ClosedLoop {
        let whole = requests_max / share.count;
        let left = whole + u64::from(requests_max % share.count > share.number);
        ClosedLoop { warmup_ns, end_ns: warmup_ns + duration_ns, share, left, taken: 0, now_ns: 0 }
    }
}

impl Schedule for ClosedLoop {
    fn due(&mut self, now_ns: u64, free: bool) -> Due {
        self.now_ns = now_ns;
        if now_ns >= self.warmup_ns && (now_ns >= self.end_ns || self.left == 0) {
            return Due::Over;
        }
        if free { Due::At(now_ns) } else { Due::WhenFree }
    }

    fn take(&mut self) -> Slot {
        let measured = self.now_ns >= self.warmup_ns;
        self.left -= u64::from(measured);
        let index = self.share.number + self.share.count * self.taken;
        self.taken += 1;
        Slot { index, due_ns: self.now_ns, stage: u32::from(measured && self.warmup_ns > 0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warmup_is_free_of_charge_then_count_and_time_bound_the_run() {
        let second = 1_000_000_000;
        let mut schedule = ClosedLoop::new(second, second, 2, Share::ALL);
        assert_eq!(schedule.due(0, false), Due::WhenFree);
        assert_eq!((schedule.due(0, true), schedule.take().stage), (Due::At(0), 0));
        assert_eq!((schedule.due(second, true), schedule.take().stage), (Due::At(second), 1));
        assert_eq!(schedule.due(2 * second, true), Due::Over);
        assert_eq!((schedule.due(second, true), schedule.take().index), (Due::At(second), 2));
        assert_eq!(schedule.due(second, true), Due::Over);
    }

    #[test]
    fn shares_send_the_requests_of_the_whole_together() {
        let mut indices = Vec::new();
        for number in 0..3 {
            let mut schedule = ClosedLoop::new(0, 1_000, 8, Share { number, count: 3 });
            while schedule.due(0, true) != Due::Over {
                indices.push(schedule.take().index);
            }
        }
        indices.sort_unstable();
        assert_eq!(indices, (0..8).collect::<Vec<u64>>());
    }
}
