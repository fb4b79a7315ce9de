//! Counts what requests came to. Right, unchecked, wrong, failed and in flight at an early end are five different
//! things and add up to the intended; a slow answer is none of them, only slow.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::answer::WrongKind;
use crate::latency::Latencies;
use crate::record::{LinkError, Outcome, Record};
use crate::result::Tallied;

/// Counts and latencies of some requests.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    pub(crate) intended: u64,
    sent: u64,
    retries: u64,
    pub(crate) right: u64,
    pub(crate) unchecked: u64,
    wrong: BTreeMap<WrongKind, u64>,
    http_errors: BTreeMap<u16, u64>,
    link_errors: BTreeMap<LinkError, u64>,
    in_flight: u64,
    latency: Latencies,
    service: Latencies,
    gap: Latencies,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            intended: 0,
            sent: 0,
            retries: 0,
            right: 0,
            unchecked: 0,
            wrong: BTreeMap::new(),
            http_errors: BTreeMap::new(),
            link_errors: BTreeMap::new(),
            in_flight: 0,
            latency: Latencies::new(),
            service: Latencies::new(),
            gap: Latencies::new(),
        }
    }

    pub(crate) fn add(&mut self, record: &Record) {
        self.sent += u64::from(record.service_us.is_some());
        self.retries += u64::from(record.is_retry);
        if record.is_timed {
            self.latency.record(us(record.latency_us));
            if let Some(service_us) = record.service_us {
                self.service.record(us(service_us));
            }
        }
        if let Some(service_us) = record.service_us {
            self.gap.record(us(record.latency_us.saturating_sub(service_us)));
        }
        match record.outcome {
            Outcome::Right => self.right += 1,
            Outcome::Unchecked => self.unchecked += 1,
            Outcome::Wrong(kind) => *self.wrong.entry(kind).or_default() += 1,
            Outcome::HttpError(status) => *self.http_errors.entry(status).or_default() += 1,
            Outcome::LinkError(error) => *self.link_errors.entry(error).or_default() += 1,
            Outcome::InFlight => self.in_flight += 1,
        }
    }

    /// As results carry it.
    pub(crate) fn tallied(&self) -> Tallied {
        let errors = self.http_errors.values().sum::<u64>() + self.link_errors.values().sum::<u64>();
        Tallied {
            intended: self.intended,
            requests: self.sent,
            right: self.right,
            unchecked: self.unchecked,
            wrong_answers: self.wrong.values().sum(),
            errors,
            wrong_by_kind: named(&self.wrong),
            errors_by_http_status: self.http_errors.iter().map(|(k, n)| (k.to_string(), *n)).collect(),
            errors_by_connection: named(&self.link_errors),
            latency_us: self.latency.clone(),
            service_us: self.service.clone(),
            gap_us: self.gap.clone(),
            retries: self.retries,
            in_flight_when_ended: self.in_flight,
        }
    }
}

/// A count of microseconds as a span.
pub(crate) fn us(us: u32) -> Duration {
    Duration::from_micros(us.into())
}

/// The name that serde gives a variant.
pub(crate) fn name_of(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

fn named<K: Serialize>(counts: &BTreeMap<K, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(kind, count)| (name_of(kind), *count)).collect()
}
