//! The closed loop: each connection sends its next request as soon as it has the answer to the last.

use std::sync::Arc;

use crate::schedule::{Due, Plan, Schedule, Share, Slot};

/// What a reader of closed-loop latencies has to know.
pub(crate) const CAVEAT: &str = "closed-loop latency omits waiting (coordinated omission): while the server is slow fewer requests \
     are sent, so these percentiles are lower than what callers arriving at a steady rate would see";

/// The stages of its plan, one after the other, until the time or the count of measured requests is used up.
#[derive(Debug)]
pub(crate) struct ClosedLoop {
    plan: Arc<Plan>,
    share: Share,
    /// Measured requests that this share may still send.
    left: u64,
    /// Slots this share has taken.
    taken: u64,
    now_ns: u64,
}

impl ClosedLoop {
    pub(crate) fn new(plan: Arc<Plan>, requests_max: u64, share: Share) -> ClosedLoop {
        let whole = requests_max / share.count;
        let left = whole + u64::from(requests_max % share.count > share.number);
        ClosedLoop { plan, share, left, taken: 0, now_ns: 0 }
    }

    /// The stage at the present time, and whether it is measured.
    fn stage(&self) -> (u32, bool) {
        let stage = self.plan.stage_at(self.now_ns);
        (stage, !self.plan.stages[stage as usize].warmup)
    }
}

impl Schedule for ClosedLoop {
    fn due(&mut self, now_ns: u64, free: bool) -> Due {
        self.now_ns = now_ns;
        if now_ns >= self.plan.duration_ns() || (self.left == 0 && self.stage().1) {
            return Due::Over;
        }
        if free { Due::At(now_ns) } else { Due::WhenFree }
    }

    fn take(&mut self) -> Slot {
        let (stage, measured) = self.stage();
        self.left -= u64::from(measured);
        let index = self.share.number + self.share.count * self.taken;
        self.taken += 1;
        Slot { index, due_ns: self.now_ns, stage }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stages of a second each; true is a warm-up.
    fn plan(warmups: &[bool]) -> Arc<Plan> {
        let mut plan = Plan::default();
        warmups
            .iter()
            .for_each(|&warmup| plan.push("a", "closed loop".to_owned(), warmup, &[(0.0, 0.0, 1.0)]));
        Arc::new(plan)
    }

    #[test]
    fn a_request_belongs_to_the_stage_in_whose_time_it_is_sent() {
        let mut schedule = ClosedLoop::new(plan(&[true, true, false, false]), 9, Share::ALL);
        for (second, left) in (0..4).zip([9, 9, 8, 7]) {
            assert_eq!(schedule.due(second * 1_000_000_000, true), Due::At(second * 1_000_000_000));
            assert_eq!((u64::from(schedule.take().stage), schedule.left), (second, left));
        }
        assert_eq!(schedule.due(4_000_000_000, true), Due::Over);
    }

    #[test]
    fn warmup_is_free_of_charge_then_count_and_time_bound_the_run() {
        let second = 1_000_000_000;
        let mut schedule = ClosedLoop::new(plan(&[true, false]), 2, Share::ALL);
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
            let mut schedule = ClosedLoop::new(plan(&[false]), 8, Share { number, count: 3 });
            while schedule.due(0, true) != Due::Over {
                indices.push(schedule.take().index);
            }
        }
        indices.sort_unstable();
        assert_eq!(indices, (0..8).collect::<Vec<u64>>());
    }
}
