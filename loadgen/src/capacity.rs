//! The highest rate at which the goals are met: doubling until one is missed, bisecting, then repeating levels
//! around the candidate in shuffled order, so that a machine that warms up or slows down does not decide.
//!
//! A client that cannot be trusted is no server that fails: such a level bounds the search and is named so.

use std::time::{Instant, SystemTime};

use crate::assemble;
use crate::base_url::BaseUrl;
use crate::goals::Limits;
use crate::live::LiveFeed;
use crate::random::Random;
use crate::result::{CapacityResult, CapacityStep, Limit, RunResult, StepPhase, Verdict, VerdictFacts};
use crate::run::{RunError, Setup, run};
use crate::scenario::Scenario;

/// How to search.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Search {
    pub(crate) from_per_s: f64,
    pub(crate) max_per_s: f64,
    pub(crate) step_s: f64,
    pub(crate) repeats: u32,
}

/// Bisecting ends when the bounds are this close.
const PRECISION: f64 = 1.05;
/// The levels that are repeated, as parts of the candidate.
const LEVELS: [f64; 5] = [0.85, 0.925, 1.0, 1.08, 1.16];
const WARMUP_S: f64 = 1.0;
/// A percentile goal needs this many samples beyond it, with some to spare for chance.
const SAMPLES_BEYOND: f64 = 105.0;

/// A search under way.
pub(crate) struct Searcher<'a, F: FnMut(f64) -> Result<RunResult, RunError>> {
    started: Instant,
    steps: Vec<CapacityStep>,
    try_rate: F,
    tell: &'a mut dyn FnMut(&CapacityStep),
}

impl<'a, F: FnMut(f64) -> Result<RunResult, RunError>> Searcher<'a, F> {
    pub(crate) fn new(try_rate: F, tell: &'a mut dyn FnMut(&CapacityStep)) -> Searcher<'a, F> {
        Searcher { started: Instant::now(), steps: Vec::new(), try_rate, tell }
    }

    pub(crate) fn into_steps(self) -> Vec<CapacityStep> {
        self.steps
    }

    fn attempt(&mut self, phase: StepPhase, rate: f64) -> Result<Verdict, RunError> {
        let started_at_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let result = (self.try_rate)(rate)?;
        let verdict = result.verdict.verdict;
        let step = CapacityStep {
            phase,
            rate_per_s: rate,
            answered_per_s: result.answers_per_s,
            started_at_ms,
            duration_ms: result.elapsed_ms,
            verdict,
            reasons: result.verdict.reasons,
            latency_us: result.total.latency_us.summary(),
            lateness_us: result.lateness_us.summary(),
        };
        (self.tell)(&step);
        self.steps.push(step);
        Ok(verdict)
    }

    /// A level that is not met is tried once more: a hiccup of the machine must not bound the search.
    fn attempt_twice(&mut self, phase: StepPhase, rate: f64) -> Result<Verdict, RunError> {
        match self.attempt(phase, rate)? {
            Verdict::Met => Ok(Verdict::Met),
            Verdict::Missed | Verdict::Invalid => self.attempt(phase, rate),
        }
    }

    /// The highest rate met while doubling and bisecting, the lowest that was not, and why it was not.
    pub(crate) fn bracket(&mut self, search: &Search) -> Result<(Option<f64>, f64, Limit), RunError> {
        let (mut low, mut rate) = (None, search.from_per_s);
        let (mut high, mut limit) = loop {
            match self.attempt_twice(StepPhase::Exponential, rate)? {
                Verdict::Met if rate >= search.max_per_s => {
                    return Ok((Some(rate), rate, Limit::SearchBound));
                }
                Verdict::Met => low = Some(rate),
                verdict => break (rate, limit_of(verdict)),
            }
            rate = (rate * 2.0).min(search.max_per_s);
        };
        let floor = search.from_per_s / 16.0;
        while high / low.unwrap_or(floor) > PRECISION {
            let rate = (high * low.unwrap_or(floor)).sqrt().round();
            match self.attempt_twice(StepPhase::Bisect, rate)? {
                Verdict::Met => low = Some(rate),
                verdict => (high, limit) = (rate, limit_of(verdict)),
            }
            if low.is_none() && high / floor <= PRECISION {
                break;
            }
        }
        Ok((low, high, limit))
    }

    /// Repeats levels around the candidate; the highest level up to which more than half of each level's
    /// repeats were met, and the levels between which the capacity lies for certain: below the one all was
    /// met, at the other nothing.
    pub(crate) fn confirm(
        &mut self,
        search: &Search,
        candidate: f64,
        seed: u64,
    ) -> Result<(Option<f64>, Option<[f64; 2]>), RunError> {
        let levels = LEVELS.map(|part| (candidate * part).round().min(search.max_per_s));
        let mut order: Vec<usize> = (0..search.repeats as usize).flat_map(|_| 0..levels.len()).collect();
        Random::at(seed, 0xCAFA).shuffle(&mut order);
        let mut met = [0_u32; LEVELS.len()];
        for level in order {
            met[level] += u32::from(self.attempt(StepPhase::Confirm, levels[level])? == Verdict::Met);
        }
        Ok(conclude(&levels, &met, search.repeats))
    }
}

fn limit_of(verdict: Verdict) -> Limit {
    if verdict == Verdict::Invalid { Limit::Client } else { Limit::Server }
}

fn conclude(levels: &[f64], met: &[u32], repeats: u32) -> (Option<f64>, Option<[f64; 2]>) {
    let mostly = met.iter().take_while(|met| **met * 2 > repeats).count();
    let always = met.iter().take_while(|met| **met == repeats).count();
    let never = met.iter().rposition(|met| *met > 0).map_or(0, |last| last + 1);
    let capacity = mostly.checked_sub(1).map(|at| levels[at]);
    let low = always.checked_sub(1).map_or(0.0, |at| levels[at]);
    let high = levels.get(never).copied().unwrap_or(f64::INFINITY);
    let high = if high.is_finite() { high } else { levels.last().copied().unwrap_or(0.0) * LEVELS[3] };
    (capacity, capacity.map(|_| [low, high]))
}

/// Seconds for which a rate must run so that every percentile goal has its samples.
pub(crate) fn seconds_needed(limits: &Limits, rate: f64, step_s: f64) -> f64 {
    let beyond = |ppm: u64| SAMPLES_BEYOND * 1e6 / (1_000_000 - ppm) as f64;
    limits.latency_goals().map(|(_, ppm, _)| beyond(ppm) * 1.02 / rate).fold(step_s, f64::max)
}

/// One try at a steady rate.
pub(crate) fn try_at(
    setup: &Setup,
    scenario: &Scenario,
    url: &BaseUrl,
    rate: f64,
    step_s: f64,
) -> Result<RunResult, RunError> {
    let limits = scenario.measured_goals().cloned().unwrap_or_default();
    let mut steady = scenario.at_rate(rate, WARMUP_S, seconds_needed(&limits, rate, step_s));
    steady.abort_on_miss = false;
    run(setup, &steady, url, &LiveFeed::default())
}

/// The whole search.
pub(crate) fn search(
    setup: &Setup,
    scenario: &Scenario,
    url: &BaseUrl,
    search: &Search,
    tell: &mut dyn FnMut(&CapacityStep),
) -> Result<CapacityResult, RunError> {
    let started_at = SystemTime::now();
    let try_rate = |rate: f64| try_at(setup, scenario, url, rate, search.step_s);
    let mut searcher = Searcher::new(try_rate, tell);
    let (low, high, limited_by) = searcher.bracket(search)?;
    let (capacity_per_s, interval_per_s) = match low {
        Some(low) => searcher.confirm(search, low, setup.seed)?,
        None => (None, None),
    };
    let limits = scenario.measured_goals().cloned().unwrap_or_default();
    let strictest = limits.latency_goals().next();
    Ok(CapacityResult {
        provenance: assemble::provenance(scenario, setup.seed, started_at),
        url: url.text(),
        verdict: verdict(capacity_per_s, high, limited_by),
        goals: limits.latency_goals().map(|(what, _, limit)| format!("{what} <= {limit}")).collect(),
        goal_latency_us: strictest.map(|(_, _, limit)| limit),
        goal_percentile: strictest.map(|(what, ..)| what.trim_end_matches("_us").to_owned()),
        capacity_per_s,
        interval_per_s,
        limited_by,
        steps: searcher.steps,
    })
}

fn verdict(capacity: Option<f64>, high: f64, limited_by: Limit) -> VerdictFacts {
    match (capacity, limited_by) {
        (Some(_), Limit::Client) => VerdictFacts {
            verdict: Verdict::Met,
            reasons: vec![format!("above {high}/s the client was not to be trusted: the server may do more")],
        },
        (Some(_), _) => VerdictFacts { verdict: Verdict::Met, reasons: Vec::new() },
        (None, Limit::Client) => VerdictFacts {
            verdict: Verdict::Invalid,
            reasons: vec!["the client could not be trusted at any rate".to_owned()],
        },
        (None, _) => VerdictFacts {
            verdict: Verdict::Missed,
            reasons: vec!["no rate met the goals when repeated".to_owned()],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capacity_is_the_highest_level_below_which_all_levels_are_mostly_met() {
        let levels = [85.0, 92.5, 100.0, 108.0, 116.0];
        assert_eq!(conclude(&levels, &[3, 3, 3, 0, 0], 3), (Some(100.0), Some([100.0, 108.0])));
        assert_eq!(conclude(&levels, &[3, 3, 2, 1, 0], 3), (Some(100.0), Some([92.5, 116.0])));
        assert_eq!(conclude(&levels, &[3, 1, 3, 0, 0], 3), (Some(85.0), Some([85.0, 108.0])));
        assert_eq!(conclude(&levels, &[1, 0, 0, 0, 0], 3), (None, None));
    }

    /// A server that meets its goals up to 3,000/s, and a client that can be trusted up to a given rate.
    fn bracket_of(client_max: f64) -> (Option<f64>, f64, Limit, usize) {
        let try_rate = |rate: f64| {
            let mut result = crate::result::sample_run();
            result.verdict.verdict = match rate {
                _ if rate > client_max => Verdict::Invalid,
                _ if rate > 3_000.0 => Verdict::Missed,
                _ => Verdict::Met,
            };
            Ok(result)
        };
        let search = Search { from_per_s: 500.0, max_per_s: 100_000.0, step_s: 1.0, repeats: 3 };
        let mut tell = |_: &CapacityStep| {};
        let mut searcher = Searcher::new(try_rate, &mut tell);
        let (low, high, limit) = searcher.bracket(&search).unwrap();
        (low, high, limit, searcher.into_steps().len())
    }

    #[test]
    fn the_search_closes_in_and_tells_server_from_client() {
        let (low, high, limit, steps) = bracket_of(f64::INFINITY);
        let low = low.unwrap();
        assert!(low <= 3_000.0 && high > 3_000.0 && high / low <= PRECISION, "{low} {high}");
        assert!(limit == Limit::Server && steps < 18, "{steps}");
        let (low, _, limit, _) = bracket_of(1_700.0);
        assert!(limit == Limit::Client && low.unwrap() > 1_600.0);
        assert_eq!(bracket_of(1.0).0, None);
    }

    #[test]
    fn a_rate_runs_as_long_as_its_percentiles_need() {
        let limits = Limits { p99_9_us: Some(5_000), ..Limits::default() };
        assert!(seconds_needed(&limits, 10_000.0, 5.0) * 10_000.0 > 105_000.0);
        assert_eq!(seconds_needed(&Limits::default(), 10_000.0, 5.0), 5.0);
    }
}
