//! What one sender tells the collector: how requests ended, and how busy its thread was.

use std::sync::mpsc;

use crate::clock::{thread_cpu_ns, us_up};
use crate::record::{BATCH_NS, Batch, FirstWrong, Opened, Outcome, Record};
use crate::sender::NEVER;
use crate::sender::lanes::Flight;
use crate::vocabulary::Endpoint;

/// How often answers are looked at for the generation they name.
const GENERATION_NS: u64 = 5_000_000;

/// Gathers a batch and hands it on.
pub(super) struct Report {
    batch: Batch,
    /// Errors that took longer are timed.
    slow_error_us: u64,
    out: mpsc::Sender<Batch>,
    from_ns: u64,
    /// The thread's CPU time when the batch began.
    cpu_ns: u64,
    /// How much of it was spinning.
    spun_ns: u64,
    generation: String,
    generation_at_ns: u64,
}

impl Report {
    /// Of the sender with this number.
    pub(super) fn new(sender: usize, slow_error_us: u64, out: mpsc::Sender<Batch>) -> Report {
        Report {
            slow_error_us,
            batch: Batch { sender, ..Batch::default() },
            out,
            from_ns: 0,
            cpu_ns: 0,
            spun_ns: 0,
            generation: String::new(),
            generation_at_ns: 0,
        }
    }

    /// Called on the sender's own thread, whose CPU time counts from here.
    pub(super) fn begin(&mut self) {
        self.cpu_ns = thread_cpu_ns();
    }

    pub(super) fn count_intended(&mut self, interval: u32, stage: u32, endpoint: Endpoint) {
        self.batch.count_intended(interval, stage, endpoint);
    }

    pub(super) fn spun(&mut self, ns: u64) {
        self.spun_ns += ns;
    }

    pub(super) fn opened(&mut self, opened: Opened) {
        self.batch.opened.push(opened);
    }

    pub(super) fn wants_first_wrong(&self) -> bool {
        self.batch.first_wrong.is_none()
    }

    pub(super) fn first_wrong(&mut self, wrong: FirstWrong) {
        self.batch.first_wrong = Some(wrong);
    }

    /// Whether it is time to look again for the generation that an answer names.
    pub(super) fn wants_generation(&mut self, now: u64) -> bool {
        let due = now >= self.generation_at_ns;
        if due {
            self.generation_at_ns = now + GENERATION_NS;
        }
        due
    }

    pub(super) fn generation(&mut self, name: &str, now: u64) {
        if name != self.generation {
            name.clone_into(&mut self.generation);
            self.batch.generations.push((now, name.to_owned()));
        }
    }

    pub(super) fn ended(&mut self, flight: &Flight, endpoint: Endpoint, outcome: Outcome, now: u64) {
        let request = &flight.request;
        let latency_us = us_up(now.saturating_sub(request.slot.due_ns));
        self.batch.records.push(Record {
            due_ns: request.slot.due_ns,
            stage: request.slot.stage,
            latency_us,
            service_us: (flight.sent_ns > 0).then(|| us_up(now.saturating_sub(flight.sent_ns))),
            lateness_us: us_up(request.lateness_ns),
            endpoint,
            outcome,
            is_timed: outcome.is_timed(latency_us, self.slow_error_us),
            first_on_connection: flight.first,
            is_retry: request.tries > 0,
        });
    }

    /// When the batch is to be handed on.
    pub(super) fn due_ns(&self) -> u64 {
        self.from_ns + BATCH_NS
    }

    pub(super) fn send(&mut self, now: u64, waiting: usize, is_last: bool) {
        let cpu = thread_cpu_ns();
        let next = Batch {
            sender: self.batch.sender,
            records: Vec::with_capacity(self.batch.records.len() + self.batch.records.len() / 4),
            ..Batch::default()
        };
        let mut batch = std::mem::replace(&mut self.batch, next);
        batch.until_ns = if is_last { NEVER } else { now };
        batch.wall_ns = now - self.from_ns;
        batch.busy_ns = (cpu - self.cpu_ns).saturating_sub(self.spun_ns);
        (batch.waiting, batch.is_last) = (waiting as u64, is_last);
        (self.cpu_ns, self.spun_ns, self.from_ns) = (cpu, 0, now);
        // Nobody listens any more only when the run has failed elsewhere.
        let _ = self.out.send(batch);
    }
}
