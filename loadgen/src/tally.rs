//! Counts what requests came to. Right, unchecked, wrong and failed are four different things and add up
//! to the requests; a slow answer is none of them, only slow.
//!
//! Latencies are those of answers, right or wrong, and of timeouts, which took at least that long: to leave
//! them out would flatter the server. Error statuses and broken connections are counted but not timed,
//! because a quick refusal would flatter it too.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::answer::{Verdict, Wrong, WrongKind};
use crate::latency::Latencies;
use crate::link::LinkError;
use crate::schedule::Phase;
use crate::targets::Inquiry;
use crate::tracking::{SeenCodes, TrackingCode};
use crate::vocabulary::Endpoint;

/// Counts and latencies of one kind of request.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) right: u64,
    pub(crate) unchecked: u64,
    pub(crate) wrong: BTreeMap<WrongKind, u64>,
    pub(crate) http_errors: BTreeMap<u16, u64>,
    pub(crate) link_errors: BTreeMap<LinkError, u64>,
    pub(crate) latencies: Latencies,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            requests: 0,
            right: 0,
            unchecked: 0,
            wrong: BTreeMap::new(),
            http_errors: BTreeMap::new(),
            link_errors: BTreeMap::new(),
            latencies: Latencies::new(),
        }
    }

    pub(crate) fn wrong_answers(&self) -> u64 {
        self.wrong.values().sum()
    }

    pub(crate) fn errors(&self) -> u64 {
        self.http_errors.values().sum::<u64>() + self.link_errors.values().sum::<u64>()
    }

    /// Answers to inquiries, right, wrong or unchecked.
    pub(crate) fn answers(&self) -> u64 {
        self.right + self.unchecked + self.wrong_answers()
    }

    pub(crate) fn merge(&mut self, other: &Tally) {
        self.requests += other.requests;
        self.right += other.right;
        self.unchecked += other.unchecked;
        merge_counts(&mut self.wrong, &other.wrong);
        merge_counts(&mut self.http_errors, &other.http_errors);
        merge_counts(&mut self.link_errors, &other.link_errors);
        self.latencies.merge(&other.latencies);
    }

    fn add(&mut self, result: &Result<Verdict, LinkError>, latency: Duration) {
        self.requests += 1;
        let timed = match result {
            Ok(verdict) => !matches!(verdict, Verdict::HttpError(_)),
            Err(error) => *error == LinkError::Timeout,
        };
        if timed {
            self.latencies.record(latency);
        }
        match result {
            Ok(Verdict::Right(_)) => self.right += 1,
            Ok(Verdict::Unchecked(_)) => self.unchecked += 1,
            Ok(Verdict::Wrong(wrong, _)) => *self.wrong.entry(wrong.kind).or_default() += 1,
            Ok(Verdict::HttpError(status)) => *self.http_errors.entry(*status).or_default() += 1,
            Err(error) => *self.link_errors.entry(*error).or_default() += 1,
        }
    }
}

fn merge_counts<K: Ord + Copy>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        *into.entry(*key).or_default() += count;
    }
}

/// The first wrong answer of a run: enough to find the target, nothing about the person.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FirstWrong {
    /// The line of the targets file, from 1.
    pub(crate) line: u32,
    pub(crate) endpoint: Endpoint,
    pub(crate) kind: WrongKind,
    pub(crate) expected: String,
    pub(crate) got: String,
}

/// Everything a run counts.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) general: Tally,
    pub(crate) personal: Tally,
    /// Both endpoints; checked, but not part of the measurement.
    pub(crate) warmup: Tally,
    pub(crate) seen: SeenCodes,
    pub(crate) first_wrong: Option<FirstWrong>,
}

impl Counts {
    pub(crate) fn new(seen: SeenCodes) -> Counts {
        let (general, personal, warmup) = (Tally::new(), Tally::new(), Tally::new());
        Counts { general, personal, warmup, seen, first_wrong: None }
    }

    pub(crate) fn endpoint(&self, endpoint: Endpoint) -> &Tally {
        match endpoint {
            Endpoint::General => &self.general,
            Endpoint::Personal => &self.personal,
        }
    }

    /// Both endpoints, measured part.
    pub(crate) fn measured(&self) -> Tally {
        let mut all = self.general.clone();
        all.merge(&self.personal);
        all
    }

    /// Counts one request; `latency` is from its due time to its end.
    pub(crate) fn add(
        &mut self,
        phase: Phase,
        inquiry: &Inquiry,
        result: Result<Verdict, LinkError>,
        latency: Duration,
    ) {
        let result = result.map(|verdict| self.with_repeats(verdict));
        let tally = match (phase, inquiry.endpoint) {
            (Phase::Warmup, _) => &mut self.warmup,
            (Phase::Measured, Endpoint::General) => &mut self.general,
            (Phase::Measured, Endpoint::Personal) => &mut self.personal,
        };
        tally.add(&result, latency);
        if let Ok(Verdict::Wrong(wrong, _)) = result
            && self.first_wrong.is_none()
        {
            let Wrong { kind, expected, got } = wrong;
            let (line, endpoint) = (inquiry.line, inquiry.endpoint);
            self.first_wrong = Some(FirstWrong { line, endpoint, kind, expected, got });
        }
    }

    /// Turns an otherwise good answer whose tracking code was given out before into a wrong one.
    fn with_repeats(&mut self, verdict: Verdict) -> Verdict {
        let code = match &verdict {
            Verdict::Right(code) | Verdict::Unchecked(code) | Verdict::Wrong(_, code) => *code,
            Verdict::HttpError(_) => None,
        };
        let repeated = code.is_some_and(|code: TrackingCode| !self.seen.is_new(code));
        if !repeated || matches!(verdict, Verdict::Wrong(..)) {
            return verdict;
        }
        let (expected, got) = ("a new tracking code".to_owned(), "one seen before in this run".to_owned());
        Verdict::Wrong(Wrong { kind: WrongKind::TrackingCodeRepeated, expected, got }, code)
    }
}
