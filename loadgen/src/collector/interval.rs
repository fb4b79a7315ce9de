//! One interval of the timeline, or what a stage has of it: counted while its requests are under way, then packed.

use crate::latency::Latencies;
use crate::record::{Outcome, Record};
use crate::result::TimelinePoint;
use crate::tally::us;

/// One interval of the timeline while requests of it are under way.
#[derive(Debug)]
pub(super) struct Interval {
    pub(super) intended: u64,
    pub(super) ended: u64,
    sent: u64,
    completed: u64,
    errors: u64,
    wrong: u64,
    latency: Latencies,
    service: Latencies,
    lateness: Latencies,
}

impl Interval {
    pub(super) fn new() -> Interval {
        Interval {
            intended: 0,
            ended: 0,
            sent: 0,
            completed: 0,
            errors: 0,
            wrong: 0,
            latency: Latencies::new(),
            service: Latencies::new(),
            lateness: Latencies::new(),
        }
    }

    pub(super) fn add(&mut self, record: &Record) {
        self.ended += 1;
        self.sent += u64::from(record.service_us.is_some());
        self.errors += u64::from(record.outcome.is_error());
        self.completed += u64::from(record.outcome.is_answer());
        self.wrong += u64::from(matches!(record.outcome, Outcome::Wrong(_)));
        self.lateness.record(us(record.lateness_us));
        if record.is_timed {
            self.latency.record(us(record.latency_us));
            if let Some(service_us) = record.service_us {
                self.service.record(us(service_us));
            }
        }
    }

    pub(super) fn point(&self, t_ms: u64, stage: u32, generation: Option<String>) -> TimelinePoint {
        TimelinePoint {
            t_ms,
            stage,
            intended: self.intended,
            sent: self.sent,
            completed: self.completed,
            errors: self.errors,
            wrong_answers: self.wrong,
            latency_us: self.latency.summary(),
            service_us: self.service.summary(),
            lateness_us: self.lateness.summary(),
            latency_histogram: self.latency.encode(),
            service_histogram: self.service.encode(),
            lateness_histogram: self.lateness.encode(),
            generation,
            ..TimelinePoint::default()
        }
    }
}
