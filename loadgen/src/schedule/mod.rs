//! When requests are due. The send loop asks its schedule and knows nothing else of time: an open loop fixes
//! every due time beforehand, a closed loop makes a request due when a connection is free.
//!
//! Times are nanoseconds since the start of the run.

mod closed;
mod open;
mod plan;

pub(crate) use closed::{CAVEAT as CLOSED_LOOP_CAVEAT, ClosedLoop};
#[cfg(test)]
pub(crate) use open::all_slots;
pub(crate) use open::{Arrivals, OpenLoop};
pub(crate) use plan::Plan;

/// One request to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Its place in the whole schedule, over all shards: what is asked follows from it and the seed.
    pub(crate) index: u64,
    /// The intended send time; latency is counted from here.
    pub(crate) due_ns: u64,
    pub(crate) stage: u32,
}

/// What a schedule says of its next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    At(u64),
    /// As soon as a connection is free.
    WhenFree,
    Over,
}

/// Decides when the next request is due, and when there is none.
pub(crate) trait Schedule: Send {
    /// When the next request is due; `free` says whether some connection is.
    fn due(&mut self, now_ns: u64, free: bool) -> Due;
    /// The request that `due` spoke of.
    ///
    /// # Panics
    /// When `due` did not answer with a time.
    fn take(&mut self) -> Slot;
}

/// Which part of a schedule one sender carries out: the slots whose index leaves this remainder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) number: u64,
    pub(crate) count: u64,
}

impl Share {
    pub(crate) const ALL: Share = Share { number: 0, count: 1 };

    /// The part of this part that one of `count` threads takes.
    pub(crate) fn split(self, number: u64, count: u64) -> Share {
        Share { number: self.number + self.count * number, count: self.count * count }
    }

    pub(crate) fn takes(self, index: u64) -> bool {
        index % self.count == self.number
    }
}
