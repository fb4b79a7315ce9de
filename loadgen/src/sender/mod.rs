//! The one send loop. Each sender thread runs it over its own connections and its own share of the schedule:
//! take up what is due, give it to a free connection, read answers, judge and record them, sleep until the
//! next thing happens.
//!
//! Sleeping is exact to the timer (epoll with nanoseconds); only the last few microseconds before a due time
//! are spun away, and those are not counted as busy. When no connection is free the request waits for one:
//! that is the server's latency and counts from the intended time. Judging happens after the clock was read.

mod connection;
mod heads;
mod wire;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use crate::answer::{Verdict, Wrong, WrongKind, generation, judge};
use crate::clock::{Clock, thread_cpu_ns, us_up};
use crate::poller::Poller;
use crate::record::{BATCH_NS, Batch, FirstWrong, LinkError, Opened, Outcome, Record};
use crate::scenario::Retries;
use crate::schedule::{Due, Schedule, Slot};
use crate::targets::{Inquiry, Targets};
use crate::tracking::{SeenCodes, TrackingCode};
use crate::traffic::{Cursor, Pick, Picker};

pub(crate) use connection::{Answer, Connection, Phase};
pub(crate) use heads::Heads;
pub(crate) use wire::{Tls, Wire};

/// So that a server that refuses connections is not asked thousands of times a second, which would fill
/// the result with one error.
const RECONNECT_PAUSE_NS: u64 = 100_000_000;
/// How often answers are looked at for the generation they name.
const GENERATION_NS: u64 = 5_000_000;
const NEVER: u64 = u64::MAX;

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
    pub(crate) requests_per_connection: u64,
    pub(crate) retries: Option<Retries>,
    /// The length of an interval of the timeline.
    pub(crate) interval_ns: u64,
    pub(crate) tls: Option<Tls>,
    /// Computed away after each answer: a client too slow for its task, to see what the verdict says of it.
    pub(crate) handicap_ns: u64,
}

/// A request that waits for a connection.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    slot: Slot,
    pick: Pick,
    lateness_ns: u64,
    tries: u32,
}

/// Retries by their time, then in the order of their slots.
type Later = BinaryHeap<Reverse<(u64, u64, u32, u32)>>;

/// A request on a connection.
#[derive(Debug, Clone, Copy)]
struct Flight {
    request: Waiting,
    sent_ns: u64,
    number: u64,
    first: bool,
}

struct Lane {
    connection: Connection,
    flight: Option<Flight>,
    key: usize,
}

/// One sender thread's state.
pub(crate) struct Sender {
    shared: Arc<Shared>,
    schedule: Box<dyn Schedule>,
    cursor: Cursor,
    lanes: Vec<Lane>,
    free: VecDeque<usize>,
    /// Lanes that could not connect, and when they may try again.
    resting: VecDeque<(u64, usize)>,
    waiting: VecDeque<Waiting>,
    retries: Later,
    /// When requests under way time out: (time, lane, number of the flight).
    deadlines: VecDeque<(u64, usize, u64)>,
    flights: u64,
    poller: Poller,
    /// Room for what the poller tells.
    told: Vec<(usize, u32)>,
    batch: Batch,
    out: mpsc::Sender<Batch>,
    spin_ns: u64,
    spun_ns: u64,
    cpu_ns: u64,
    batch_from_ns: u64,
    generation_at_ns: u64,
    generation: String,
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
        let mut lanes = Vec::with_capacity(connections.len());
        for (index, (connection, key)) in connections.into_iter().enumerate() {
            if let Some(stream) = connection.stream() {
                poller.add(stream, index, connection.incarnation)?;
            }
            lanes.push(Lane { connection, flight: None, key });
        }
        let cursor = shared.picker.cursor();
        Ok(Sender {
            free: (0..lanes.len()).collect(),
            lanes,
            shared,
            schedule,
            cursor,
            resting: VecDeque::new(),
            waiting: VecDeque::new(),
            retries: Later::new(),
            deadlines: VecDeque::new(),
            flights: 0,
            poller,
            told: Vec::new(),
            batch: Batch { sender: number, ..Batch::default() },
            out,
            spin_ns,
            spun_ns: 0,
            cpu_ns: 0,
            batch_from_ns: 0,
            generation_at_ns: 0,
            generation: String::new(),
        })
    }

    /// Sends until the schedule is over and every request has ended.
    pub(crate) fn run(mut self) {
        self.cpu_ns = thread_cpu_ns();
        self.shared.clock.wait_for_start();
        let mut polled = true;
        loop {
            let now = self.now();
            self.give_up_late(now);
            let next = self.take_up(now);
            self.dispatch();
            if now >= self.batch_from_ns + BATCH_NS {
                self.send_batch(now, false);
            }
            if next == NEVER && self.is_done() {
                self.send_batch(self.now(), true);
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
        self.waiting.is_empty() && self.retries.is_empty() && self.deadlines.is_empty()
    }

    /// Takes up everything due; when the next falls due, or never.
    fn take_up(&mut self, now: u64) -> u64 {
        if self.shared.stop.load(Ordering::Relaxed) {
            self.drop_unsent(now);
            return NEVER;
        }
        while let Some(&Reverse((due_ns, index, stage, tries))) = self.retries.peek() {
            if due_ns > now {
                break;
            }
            self.retries.pop();
            self.admit(Slot { index, due_ns, stage }, tries);
        }
        let mut free = self.free.len().saturating_sub(self.waiting.len());
        loop {
            match self.schedule.due(now, free > 0) {
                Due::At(due) if due <= now => {
                    free = free.saturating_sub(1);
                    let slot = self.schedule.take();
                    self.admit(slot, 0);
                }
                Due::At(due) => return due,
                Due::WhenFree => return self.next_poll_end(now),
                Due::Over => return NEVER,
            }
        }
    }

    /// A closed loop with no free connection has nothing due, but is not over either.
    fn next_poll_end(&self, now: u64) -> u64 {
        now + BATCH_NS
    }

    fn admit(&mut self, slot: Slot, tries: u32) {
        // In passes a cursor cannot go back to a retry's slot: those need a mix, which the scenario checks.
        let pick = self.shared.picker.pick(&mut self.cursor, slot.index);
        let endpoint = self.shared.targets.inquiries[pick.inquiry as usize].endpoint;
        let interval = u32::try_from(slot.due_ns / self.shared.interval_ns).unwrap_or(u32::MAX);
        self.batch.count_intended(interval, slot.stage, endpoint);
        let lateness_ns = self.now().saturating_sub(slot.due_ns);
        self.waiting.push_back(Waiting { slot, pick, lateness_ns, tries });
    }

    /// Gives waiting requests to free connections, in the order in which they fell due.
    fn dispatch(&mut self) {
        while !self.waiting.is_empty() {
            let Some(lane) = self.free.pop_front() else { return };
            let Some(request) = self.waiting.pop_front() else { return };
            self.launch(lane, request);
        }
    }

    fn launch(&mut self, index: usize, request: Waiting) {
        self.flights += 1;
        let deadline = request.slot.due_ns + self.shared.timeout_ns;
        self.deadlines.push_back((deadline, index, self.flights));
        let lane = &mut self.lanes[index];
        let inquiry = &self.shared.targets.inquiries[request.pick.inquiry as usize];
        let heads = &self.shared.heads[request.pick.key.map_or(lane.key, |key| key as usize)];
        heads.write_request(lane.connection.outbox(), inquiry.endpoint, self.shared.targets.body(inquiry));
        let first = lane.connection.carried == 0;
        lane.flight = Some(Flight { request, sent_ns: 0, number: self.flights, first });
        match lane.connection.phase {
            Phase::Open => self.send(index),
            _ => self.open(index),
        }
    }

    /// Opens the lane's connection; its request goes out once that is done.
    fn open(&mut self, index: usize) {
        let now = self.now();
        let lane = &mut self.lanes[index];
        let begun = lane.connection.begin_connect(now, self.shared.tls.as_ref()).and_then(|()| {
            let stream = lane.connection.stream().ok_or(std::io::ErrorKind::NotConnected)?;
            self.poller.add(stream, index, lane.connection.incarnation)
        });
        if begun.is_err() {
            self.fail(index, LinkError::ConnectFailed);
        }
    }

    fn send(&mut self, index: usize) {
        let now = self.now();
        let lane = &mut self.lanes[index];
        if let Some(flight) = &mut lane.flight {
            flight.sent_ns = now;
        }
        lane.connection.carried += 1;
        if let Err(error) = lane.connection.flush() {
            self.fail(index, error);
        }
    }

    /// Sleeps until something happens, at the latest until `wake`, and handles it.
    fn poll(&mut self, wake: u64, spin_ns: u64) {
        let sleep_ns = wake.saturating_sub(self.now() + spin_ns);
        let mut told = std::mem::take(&mut self.told);
        self.poller.wait(sleep_ns, &mut told);
        for &(index, incarnation) in &told {
            let lane = &self.lanes[index];
            if lane.connection.incarnation != incarnation || lane.connection.phase == Phase::Closed {
                continue;
            }
            self.handle(index);
            // What fell due meanwhile must not wait until all answers have been judged.
            self.take_up(self.now());
            self.dispatch();
        }
        self.told = told;
    }

    fn handle(&mut self, index: usize) {
        let lane = &mut self.lanes[index];
        if let Phase::Connecting(_) | Phase::Shaking(..) = lane.connection.phase {
            self.go_on_opening(index);
            return;
        }
        if lane.flight.is_none() {
            if lane.connection.is_over() {
                lane.connection.close();
            }
            return;
        }
        if lane.connection.has_unwritten()
            && let Err(error) = lane.connection.flush()
        {
            return self.fail(index, error);
        }
        match lane.connection.receive() {
            Ok(None) => {}
            Ok(Some(head)) => self.answered(index, &head),
            Err(error) => self.fail(index, error),
        }
    }

    fn go_on_opening(&mut self, index: usize) {
        let now = self.now();
        let connection = &mut self.lanes[index].connection;
        if let Phase::Connecting(since) = connection.phase {
            match connection.is_connected() {
                Ok(false) => return,
                Ok(true) => connection.phase = Phase::Shaking(us_up(now - since), now),
                Err(_) => return self.fail(index, LinkError::ConnectFailed),
            }
        }
        let Phase::Shaking(tcp_us, since) = connection.phase else { return };
        match connection.shake() {
            Ok(None) => {}
            Ok(Some(resumed)) => {
                let tls = connection.is_tls().then(|| (us_up(self.shared.clock.now_ns() - since), resumed));
                connection.phase = Phase::Open;
                self.batch.opened.push(Opened { tcp_us, tls, is_reconnect: true });
                self.send(index);
            }
            Err(_) => self.fail(index, LinkError::TlsFailed),
        }
    }

    fn answered(&mut self, index: usize, head: &crate::http::Head) {
        let now = self.now();
        let lane = &mut self.lanes[index];
        let Some(flight) = lane.flight.take() else { return };
        let inquiry = &self.shared.targets.inquiries[flight.request.pick.inquiry as usize];
        let answer = lane.connection.answer(head);
        let verdict = with_repeats(&self.shared.seen, judge(inquiry.endpoint, &inquiry.expected, answer));
        if now >= self.generation_at_ns {
            self.generation_at_ns = now + GENERATION_NS;
            if let Some(name) = generation(answer.body).filter(|name| *name != self.generation) {
                name.clone_into(&mut self.generation);
                self.batch.generations.push((now, name.to_owned()));
            }
        }
        let limit = self.shared.requests_per_connection;
        if !head.keep_alive || (limit > 0 && lane.connection.carried >= limit) {
            lane.connection.close();
        }
        self.free.push_back(index);
        let line = inquiry.line;
        let outcome = self.outcome(verdict, now, line, &flight);
        self.record(&flight, outcome, now);
        if self.shared.handicap_ns > 0 {
            while self.now() < now + self.shared.handicap_ns {
                std::hint::spin_loop();
            }
        }
    }

    fn outcome(&mut self, verdict: Verdict, now: u64, line: u32, flight: &Flight) -> Outcome {
        match verdict {
            Verdict::Right(_) => Outcome::Right,
            Verdict::Unchecked(_) => Outcome::Unchecked,
            Verdict::HttpError(status) => Outcome::HttpError(status),
            Verdict::Wrong(Wrong { kind, expected, got }, _) => {
                if self.batch.first_wrong.is_none() {
                    let endpoint = self.inquiry(flight).endpoint;
                    self.batch.first_wrong =
                        Some(FirstWrong { at_ns: now, line, endpoint, kind, expected, got });
                }
                Outcome::Wrong(kind)
            }
        }
    }

    fn inquiry(&self, flight: &Flight) -> &Inquiry {
        &self.shared.targets.inquiries[flight.request.pick.inquiry as usize]
    }

    /// The lane's request failed and its connection with it.
    fn fail(&mut self, index: usize, error: LinkError) {
        let now = self.now();
        let lane = &mut self.lanes[index];
        lane.connection.close();
        let flight = lane.flight.take();
        if matches!(error, LinkError::ConnectFailed | LinkError::TlsFailed) {
            self.resting.push_back((now + RECONNECT_PAUSE_NS, index));
        } else {
            self.free.push_back(index);
        }
        if let Some(flight) = flight {
            self.record(&flight, Outcome::LinkError(error), now);
        }
    }

    fn record(&mut self, flight: &Flight, outcome: Outcome, now: u64) {
        let Waiting { slot, tries, lateness_ns, .. } = flight.request;
        self.batch.records.push(Record {
            due_ns: slot.due_ns,
            stage: slot.stage,
            latency_us: us_up(now.saturating_sub(slot.due_ns)),
            service_us: (flight.sent_ns > 0).then(|| us_up(now.saturating_sub(flight.sent_ns))),
            lateness_us: us_up(lateness_ns),
            endpoint: self.inquiry(flight).endpoint,
            outcome,
            first_on_connection: flight.first,
            is_retry: tries > 0,
        });
        self.retry(&slot, tries, outcome, now);
    }

    /// Asks again after an error, where the scenario's callers do.
    fn retry(&mut self, slot: &Slot, tries: u32, outcome: Outcome, now: u64) {
        let Some(retries) = self.shared.retries.filter(|retries| outcome.is_error() && tries < retries.max)
        else {
            return;
        };
        if self.shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let pause_ns = (retries.after_ms * 1_000_000) << tries;
        self.retries.push(Reverse((now + pause_ns, slot.index, slot.stage, tries + 1)));
    }

    /// Ends what waited or ran longer than the timeout, and lets rested lanes back in.
    fn give_up_late(&mut self, now: u64) {
        while let Some(&(at, index, number)) = self.deadlines.front() {
            let runs = self.lanes[index].flight.is_some_and(|flight| flight.number == number);
            if runs && at > now {
                break;
            }
            self.deadlines.pop_front();
            if runs {
                self.fail(index, LinkError::Timeout);
            }
        }
        while self.waiting.front().is_some_and(|w| w.slot.due_ns + self.shared.timeout_ns <= now) {
            self.drop_first_waiting(LinkError::TimeoutUnsent, now);
        }
        while self.resting.front().is_some_and(|(at, _)| *at <= now) {
            self.free.extend(self.resting.pop_front().map(|(_, index)| index));
        }
    }

    fn drop_unsent(&mut self, now: u64) {
        self.retries.clear();
        while !self.waiting.is_empty() {
            self.drop_first_waiting(LinkError::Unsent, now);
        }
    }

    fn drop_first_waiting(&mut self, error: LinkError, now: u64) {
        if let Some(request) = self.waiting.pop_front() {
            let flight = Flight { request, sent_ns: 0, number: 0, first: false };
            self.record(&flight, Outcome::LinkError(error), now);
        }
    }

    fn next_event_ns(&self, next_due: u64) -> u64 {
        let deadline = self.deadlines.front().map_or(NEVER, |(at, ..)| *at);
        let waiting = self.waiting.front().map_or(NEVER, |w| w.slot.due_ns + self.shared.timeout_ns);
        let rested = self.resting.front().map_or(NEVER, |(at, _)| *at);
        let retry = self.retries.peek().map_or(NEVER, |Reverse((at, ..))| *at);
        let batch = self.batch_from_ns + BATCH_NS;
        [deadline, waiting, rested, retry, batch].into_iter().fold(next_due, u64::min)
    }

    fn spin_until(&mut self, due: u64) {
        let from = self.now();
        while self.now() < due {
            std::hint::spin_loop();
        }
        self.spun_ns += self.now() - from;
    }

    fn send_batch(&mut self, now: u64, is_last: bool) {
        let cpu = thread_cpu_ns();
        let next = Batch {
            sender: self.batch.sender,
            records: Vec::with_capacity(self.batch.records.len() + self.batch.records.len() / 4),
            ..Batch::default()
        };
        let mut batch = std::mem::replace(&mut self.batch, next);
        batch.until_ns = if is_last { NEVER } else { now };
        batch.wall_ns = now - self.batch_from_ns;
        batch.busy_ns = (cpu - self.cpu_ns).saturating_sub(self.spun_ns);
        batch.is_last = is_last;
        (self.cpu_ns, self.spun_ns, self.batch_from_ns) = (cpu, 0, now);
        // Nobody listens any more only when the run has failed elsewhere.
        let _ = self.out.send(batch);
    }
}

/// Turns an otherwise good answer whose tracking code was given out before into a wrong one.
fn with_repeats(seen: &SeenCodes, verdict: Verdict) -> Verdict {
    let code = match &verdict {
        Verdict::Right(code) | Verdict::Unchecked(code) | Verdict::Wrong(_, code) => *code,
        Verdict::HttpError(_) => None,
    };
    let repeated = code.is_some_and(|code: TrackingCode| !seen.is_new(code));
    if !repeated || matches!(verdict, Verdict::Wrong(..)) {
        return verdict;
    }
    let (expected, got) = ("a new tracking code".to_owned(), "one seen before in this run".to_owned());
    Verdict::Wrong(Wrong { kind: WrongKind::TrackingCodeRepeated, expected, got }, code)
}
