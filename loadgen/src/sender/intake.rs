//! What is due and has no connection yet: takes requests off the schedule, and retries when their pause is over.
//!
//! Nothing is skipped: what waits too long ends as a timeout that was never sent.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::record::BATCH_NS;
use crate::scenario::Retries;
use crate::schedule::{Due, Schedule, Slot};
use crate::sender::report::Report;
use crate::sender::{NEVER, Shared};
use crate::traffic::{Cursor, Pick};

/// A request that waits for a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) slot: Slot,
    pub(super) pick: Pick,
    /// How late the client was, as far as it is known by now.
    pub(super) lateness_ns: u64,
    /// When it was taken up a connection was free for it: until it is sent, it waits for nobody but the client.
    pub(super) found_free: bool,
    pub(super) tries: u32,
}

impl Waiting {
    fn new(slot: Slot, pick: Pick, tries: u32, found_free: bool, now: u64) -> Waiting {
        Waiting { slot, pick, lateness_ns: now.saturating_sub(slot.due_ns), found_free, tries }
    }

    /// It is sent now, or its connection begins to be opened. From here on it waits for the server; where it found no
    /// free connection it has done so since it was taken up.
    pub(super) fn leaves_client(&mut self, now: u64) {
        if self.found_free {
            self.lateness_ns = now.saturating_sub(self.slot.due_ns);
        }
    }
}

/// Retries by their time, then in the order of their slots: (due, index, stage, tries).
type Later = BinaryHeap<Reverse<(u64, u64, u32, u32)>>;

/// One sender's share of the schedule, with what of it waits.
pub(super) struct Intake {
    schedule: Box<dyn Schedule>,
    cursor: Cursor,
    waiting: VecDeque<Waiting>,
    retries: Later,
}

impl Intake {
    pub(super) fn new(schedule: Box<dyn Schedule>, cursor: Cursor) -> Intake {
        Intake { schedule, cursor, waiting: VecDeque::new(), retries: Later::new() }
    }

    /// Takes up everything due; when the next falls due, or never. `idle` connections carry nothing.
    pub(super) fn take_up(&mut self, now: u64, idle: usize, shared: &Shared, report: &mut Report) -> u64 {
        while let Some(&Reverse((due_ns, index, stage, tries))) = self.retries.peek() {
            if due_ns > now {
                break;
            }
            self.retries.pop();
            self.admit(Slot { index, due_ns, stage }, tries, idle, shared, report);
        }
        let mut free = idle.saturating_sub(self.waiting.len());
        loop {
            match self.schedule.due(now, free > 0) {
                Due::At(due) if due <= now => {
                    free = free.saturating_sub(1);
                    let slot = self.schedule.take();
                    self.admit(slot, 0, idle, shared, report);
                }
                Due::At(due) => return due,
                // A closed loop with no free connection has nothing due, but is not over either.
                Due::WhenFree => return now + BATCH_NS,
                Due::Over => return NEVER,
            }
        }
    }

    fn admit(&mut self, slot: Slot, tries: u32, idle: usize, shared: &Shared, report: &mut Report) {
        // In passes a cursor cannot go back to a retry's slot: those need a mix, which the scenario checks.
        let pick = shared.picker.pick(&mut self.cursor, slot.index);
        let interval = u32::try_from(slot.due_ns / shared.interval_ns).unwrap_or(u32::MAX);
        report.count_intended(interval, slot.stage, shared.inquiry(pick).endpoint);
        let found_free = self.waiting.len() < idle;
        self.waiting.push_back(Waiting::new(slot, pick, tries, found_free, shared.clock.now_ns()));
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Nothing waits and nothing will be asked again.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.retries.is_empty()
    }

    /// The one that fell due first.
    pub(super) fn next(&mut self) -> Option<Waiting> {
        self.waiting.pop_front()
    }

    /// One that waited longer than the timeout.
    pub(super) fn next_too_late(&mut self, now: u64, timeout_ns: u64) -> Option<Waiting> {
        self.waiting.pop_front_if(|first| first.slot.due_ns + timeout_ns <= now)
    }

    pub(super) fn forget_retries(&mut self) {
        self.retries.clear();
    }

    /// Asks again later, as the scenario's callers do; the pause doubles with each try.
    pub(super) fn retry(&mut self, request: &Waiting, retries: Retries, now: u64) {
        let Waiting { slot, tries, .. } = request;
        if *tries < retries.max {
            let pause_ns = (retries.after_ms * 1_000_000) << tries;
            self.retries.push(Reverse((now + pause_ns, slot.index, slot.stage, tries + 1)));
        }
    }

    /// When something here ends or falls due without anybody's doing, other than by the schedule.
    pub(super) fn next_event_ns(&self, timeout_ns: u64) -> u64 {
        let waiting = self.waiting.front().map_or(NEVER, |first| first.slot.due_ns + timeout_ns);
        self.retries.peek().map_or(waiting, |Reverse((at, ..))| waiting.min(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Due at 1,000 ns, taken up 200 ns later, sent or its opening begun at 5,000 ns.
    #[test]
    fn what_a_request_waits_for_the_client_is_lateness_until_it_waits_for_the_server() {
        let lateness = |found_free| {
            let (slot, pick) = (Slot { index: 0, due_ns: 1_000, stage: 0 }, Pick { inquiry: 0, key: None });
            let mut request = Waiting::new(slot, pick, 0, found_free, 1_200);
            request.leaves_client(5_000);
            request.lateness_ns
        };
        assert_eq!(lateness(true), 4_000, "others were written before it: nobody but the client kept it");
        assert_eq!(lateness(false), 200, "no connection was free: it waited for the server");
    }
}
