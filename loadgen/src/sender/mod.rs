//! The one send loop. Each sender thread runs it over its own connections and its own share of the schedule:
//! take up what is due, give it to a free connection, read answers, judge and record them, sleep until the
//! next thing happens.
//!
//! Sleeping is exact to the timer (epoll with nanoseconds); only the last few microseconds before a due time
//! are spun away, and those are not counted as busy. When no connection is free the request waits for one:
//! that is the server's latency and counts from the intended time. So is the wait for a connection that must be
//! opened first; what its handshakes take of the thread's time is the client's, and makes it busy.

mod answered;
mod connection;
mod flight;
mod heads;
mod intake;
mod lanes;
mod opening;
mod report;
mod tls;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use crate::clock::Clock;
use crate::poller::Poller;
use crate::record::{Batch, LinkError, Outcome};
use crate::scenario::Retries;
use crate::schedule::Schedule;
use crate::targets::{Inquiry, Targets};
use crate::tracking::SeenCodes;
use crate::traffic::{Pick, Picker};

pub(crate) use connection::Answer;
pub(crate) use heads::Heads;
pub(crate) use opening::{Dealt, OpenError, Opening};
pub(crate) use tls::{Tls, TlsError, Trust};
pub(crate) use wire::Wire;

use connection::{Connection, Phase};
use intake::Intake;
use lanes::{Flight, Lanes};
use report::Report;

const NEVER: u64 = u64::MAX;
/// So long may answers still come when a run is ended early.
const WIND_DOWN_NS: u64 = 1_000_000_000;

/// What all senders of a run have in common.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) targets: Arc<Targets>,
    pub(crate) picker: Picker,
    /// One for each key; one without a key when there are none.
    pub(crate) heads: Vec<Heads>,
    pub(crate) seen: SeenCodes,
    pub(crate) stop: AtomicBool,
    pub(crate) timeout_ns: u64,
    /// Errors that took longer count in the latencies; no number of microseconds is longer where there is no goal on these.
    pub(crate) slow_error_us: u64,
    pub(crate) requests_per_connection: u64,
    pub(crate) retries: Option<Retries>,
    /// The length of an interval of the timeline.
    pub(crate) interval_ns: u64,
    pub(crate) tls: Option<Tls>,
    /// Computed away after each answer: a client too slow for its task, to see what the verdict says of it.
    pub(crate) handicap_ns: u64,
}

impl Shared {
    fn inquiry(&self, pick: Pick) -> &Inquiry {
        &self.targets.inquiries[pick.inquiry as usize]
    }
}

/// One sender thread's state.
pub(crate) struct Sender {
    shared: Arc<Shared>,
    intake: Intake,
    lanes: Lanes,
    report: Report,
    poller: Poller,
    /// Room for what the poller tells.
    told: Vec<(usize, u32)>,
    spin_ns: u64,
    /// When what is under way is left, once the run was ended early.
    leaves_ns: Option<u64>,
}

impl Sender {
    /// Over open or empty connections, each with the number of its key.
    pub(crate) fn new(
        number: usize,
        shared: Arc<Shared>,
        schedule: Box<dyn Schedule>,
        connections: Vec<(Connection, usize)>,
        spin_ns: u64,
        out: mpsc::Sender<Batch>,
    ) -> std::io::Result<Sender> {
        let poller = Poller::new()?;
        for (index, (connection, _)) in connections.iter().enumerate() {
            if let Some(stream) = connection.stream() {
                poller.add(stream, index, connection.incarnation)?;
            }
        }
        Ok(Sender {
            intake: Intake::new(schedule, shared.picker.cursor()),
            lanes: Lanes::new(connections),
            report: Report::new(number, shared.slow_error_us, out),
            shared,
            poller,
            told: Vec::new(),
            spin_ns,
            leaves_ns: None,
        })
    }

    /// Sends until the schedule is over and every request has ended.
    pub(crate) fn run(mut self) {
        self.report.begin();
        self.shared.clock.wait_for_start();
        let mut polled = true;
        loop {
            let now = self.now();
            self.give_up_late(now);
            let next = self.take_up(now);
            self.dispatch();
            if now >= self.report.due_ns() {
                self.report.send(now, self.intake.waiting(), false);
            }
            if next == NEVER && self.is_done() {
                self.report.send(self.now(), 0, true);
                return;
            }
            let wake = self.next_event_ns(next);
            if next <= self.now() + self.spin_ns && wake == next && polled {
                self.spin_until(next);
                polled = false;
                continue;
            }
            let spin = if wake == next { self.spin_ns } else { 0 };
            self.poll(wake, spin);
            polled = true;
        }
    }

    fn now(&self) -> u64 {
        self.shared.clock.now_ns()
    }

    fn is_done(&self) -> bool {
        self.intake.is_empty() && self.lanes.are_idle()
    }

    /// Takes up everything due; when the next falls due, or never.
    fn take_up(&mut self, now: u64) -> u64 {
        if self.shared.stop.load(Ordering::Relaxed) {
            self.wind_down(now);
            return NEVER;
        }
        self.intake.take_up(now, self.lanes.free(), &self.shared, &mut self.report)
    }

    /// The run was ended early: what waits is not sent any more, and what was sent may be answered for a while.
    fn wind_down(&mut self, now: u64) {
        self.intake.forget_retries();
        while let Some(request) = self.intake.next() {
            self.end(&Flight::never(request), Outcome::InFlight, now);
        }
        if now >= *self.leaves_ns.get_or_insert(now + WIND_DOWN_NS) {
            for flight in self.lanes.leave_all() {
                self.end(&flight, Outcome::InFlight, now);
            }
        }
    }

    /// Ends what waited or ran longer than the timeout, and lets rested lanes back in.
    fn give_up_late(&mut self, now: u64) {
        while let Some(index) = self.lanes.next_overdue(now) {
            self.fail(index, LinkError::Timeout);
        }
        while let Some(request) = self.intake.next_too_late(now, self.shared.timeout_ns) {
            self.end(&Flight::never(request), Outcome::LinkError(LinkError::TimeoutUnsent), now);
        }
        self.lanes.wake_rested(now);
    }

    /// Sleeps until something happens, at the latest until `wake`, and handles it.
    fn poll(&mut self, wake: u64, spin_ns: u64) {
        let sleep_ns = wake.saturating_sub(self.now() + spin_ns);
        let mut told = std::mem::take(&mut self.told);
        self.poller.wait(sleep_ns, &mut told);
        for &(index, incarnation) in &told {
            let connection = &self.lanes.at(index).connection;
            if connection.incarnation != incarnation || connection.phase == Phase::Closed {
                continue;
            }
            self.handle(index);
            // What fell due meanwhile must not wait until all answers have been judged.
            self.take_up(self.now());
            self.dispatch();
        }
        self.told = told;
    }

    fn next_event_ns(&self, next_due: u64) -> u64 {
        let here = next_due.min(self.report.due_ns());
        here.min(self.lanes.next_event_ns()).min(self.intake.next_event_ns(self.shared.timeout_ns))
    }

    fn spin_until(&mut self, due: u64) {
        let from = self.now();
        while self.now() < due {
            std::hint::spin_loop();
        }
        self.report.spun(self.now() - from);
    }
}
