//! The self-test of a generation: record numbers with the decisions that their people must get on the as-of
//! date, written by the builder and asked again by whoever opens it. It finds a program that judges otherwise
//! than the one that built, and an index that leads elsewhere. No ID stands in it.

use engine::{Care, Day, Decision, Person, Reason, Snapshot, decide};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Records tested beside the first of each reason, evenly spread from the first to the last.
const SPREAD: u64 = 64;

/// A record number, and what outpatient care on the as-of date must be answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTestCase {
    /// The record number: the rank of the person's ID.
    pub record: u64,
    /// Code of the reason.
    pub reason: String,
    /// Last day, ISO 8601; null is none.
    pub end_date: Option<String>,
    /// Covered without an end in sight.
    pub open_ended: bool,
}

/// A record got another decision than its builder found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the self-test failed: record {record} is decided as `{found}` instead of `{expected}`; build the snapshot \
     again with this version of the program"
)]
pub struct SelfTestError {
    /// The record number.
    pub record: u64,
    /// Reason and end that the builder found.
    pub expected: String,
    /// What this program finds.
    pub found: String,
}

impl SelfTestCase {
    fn of(record: u64, decision: &Decision) -> SelfTestCase {
        SelfTestCase {
            record,
            reason: decision.reason.code().to_owned(),
            end_date: decision.end.map(|end| end.iso().to_string()),
            open_ended: decision.open_ended,
        }
    }

    fn told(&self) -> String {
        let end = if self.open_ended { "open-ended" } else { self.end_date.as_deref().unwrap_or("no end") };
        format!("{}, {end}", self.reason)
    }
}

/// Decides the records of a self-test: those evenly spread and those given, in ascending order.
pub(crate) fn make_self_test(snapshot: &Snapshot, as_of: Day, given: &[u64]) -> Vec<SelfTestCase> {
    let counts = snapshot.counts();
    let Some(last) = (counts.people + counts.incomplete).checked_sub(1) else { return Vec::new() };
    let mut records: Vec<_> =
        (0..SPREAD).map(|step| spread(last, step)).chain(given.iter().copied()).collect();
    records.sort_unstable();
    records.dedup();
    records
        .into_iter()
        .map(|record| SelfTestCase::of(record, &decide_record(snapshot, record, as_of)))
        .collect()
}

fn spread(last: u64, step: u64) -> u64 {
    (u128::from(last) * u128::from(step) / u128::from(SPREAD - 1)) as u64
}

/// By way of the index: from the record to the ID, and from there back to the record.
fn decide_record(snapshot: &Snapshot, record: u64, as_of: Day) -> Decision {
    let person = snapshot.person_of_record(record).map_or(Person::Unknown, |(_, person)| person);
    decide(person, as_of, Care::Outpatient)
}

/// Asks all cases again.
pub(crate) fn run_self_test(
    cases: &[SelfTestCase],
    snapshot: &Snapshot,
    as_of: Day,
) -> Result<(), SelfTestError> {
    for case in cases {
        let decision = decide_record(snapshot, case.record, as_of);
        let found = SelfTestCase::of(case.record, &decision);
        if found != *case || decision.reason == Reason::UnknownPerson {
            return Err(SelfTestError { record: case.record, expected: case.told(), found: found.told() });
        }
    }
    Ok(())
}
