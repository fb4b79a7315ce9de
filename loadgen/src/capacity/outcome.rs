//! What all tries of a search come to together: capacity, interval, who limits it, and the verdict. Pure.

use super::{Bracket, Found, Search};
use crate::levels::Levels;
use crate::result::{Limit, Verdict, VerdictFacts};

/// What a search has found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    pub(super) capacity_per_s: Option<f64>,
    pub(super) interval_per_s: Option<[f64; 2]>,
    /// The highest rate that doubling and bisecting saw met.
    pub(super) met_once_per_s: Option<f64>,
    pub(super) limited_by: Limit,
    pub(super) misses_at_lowest: usize,
    pub(super) out_of_time: bool,
}

impl Outcome {
    /// Of these tries, in whatever order; levels are there where something was repeated.
    pub(super) fn of(
        tried: &[(f64, Found)],
        bracket: &Bracket,
        levels: Option<&Levels>,
        out_of_time: bool,
    ) -> Outcome {
        let bound = never_met(tried);
        let unbounded = if out_of_time { Limit::Budget } else { Limit::SearchBound };
        let limited_by = levels.map_or(bracket.limited_by, |levels| {
            levels.limited_by().or(bound.map(|(_, limit)| limit)).unwrap_or(unbounded)
        });
        Outcome {
            capacity_per_s: levels.and_then(Levels::capacity_per_s),
            interval_per_s: levels.and_then(|levels| levels.interval_per_s(bound.map(|(rate, _)| rate))),
            met_once_per_s: bracket.low_per_s,
            limited_by,
            misses_at_lowest: misses_at_lowest(tried),
            out_of_time,
        }
    }
}

/// The lowest rate above all that were met which was tried twice at least, and who kept it from being met.
fn never_met(tried: &[(f64, Found)]) -> Option<(f64, Limit)> {
    let met = tried.iter().filter(|(_, found)| *found == Found::Met);
    let highest_met = met.map(|(rate, _)| *rate).fold(0.0, f64::max);
    let mut lost: Vec<(f64, Found)> = tried.iter().copied().filter(|(rate, _)| *rate > highest_met).collect();
    lost.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let again = lost.chunk_by(|(a, _), (b, _)| a == b).find(|tries| tries.len() > 1)?;
    let server = again.iter().any(|(_, found)| *found == Found::ServerMissed);
    Some((again[0].0, if server { Limit::Server } else { Limit::Client }))
}

/// How often the server missed the lowest rate that was tried.
fn misses_at_lowest(tried: &[(f64, Found)]) -> usize {
    let lowest = tried.iter().map(|(rate, _)| *rate).fold(f64::INFINITY, f64::min);
    tried.iter().filter(|tried| **tried == (lowest, Found::ServerMissed)).count()
}

/// One miss alone, which the machine may have caused, makes no server that misses its goals.
const MISSES_MIN: usize = 2;

pub(super) fn verdict(outcome: &Outcome, search: &Search) -> VerdictFacts {
    let mut reasons = Vec::new();
    let verdict = match (outcome.capacity_per_s, outcome.met_once_per_s, outcome.limited_by) {
        (Some(capacity), _, Limit::Client) => {
            reasons
                .push(format!("above {capacity}/s the client was not to be trusted: the server may do more"));
            Verdict::Met
        }
        (Some(_), ..) => Verdict::Met,
        (None, _, Limit::Client) => {
            reasons.push("the client could not be trusted at any rate that was repeated".to_owned());
            Verdict::Invalid
        }
        (None, Some(low), _) if outcome.out_of_time => {
            reasons.push(format!("{low}/s met the goals once, which was not confirmed by repeats"));
            Verdict::Invalid
        }
        (None, None, _) if outcome.misses_at_lowest < MISSES_MIN => {
            let what = "the lowest rate that was tried was not missed twice: one try may have been disturbed";
            reasons.push(what.to_owned());
            Verdict::Invalid
        }
        (None, ..) => {
            reasons.push("no rate met the goals when repeated".to_owned());
            Verdict::Missed
        }
    };
    if outcome.capacity_per_s.is_some() && search.repeats == 1 {
        reasons.push("each level was tried once (--repeats 1): nothing confirms the capacity".to_owned());
    }
    if outcome.out_of_time {
        reasons.push(format!(
            "the search was ended by its budget of {} s, not by what it found; --budget-s gives it more",
            search.budget.as_secs()
        ));
    }
    VerdictFacts { verdict, reasons }
}
