//! The highest rate at which the goals are met: doubling until one is missed, bisecting, then repeating levels
//! around the candidate in shuffled order, so that a machine that warms up or slows down does not decide.
//!
//! A client that cannot be trusted is no server that fails: such a level bounds the search and is named so. No try
//! begins that the search's budget of time does not hold.

mod outcome;

use std::time::{Duration, Instant, SystemTime};

use crate::assemble::target_facts;
use crate::base_url::BaseUrl;
use crate::goals::{ALL, Limits};
use crate::levels::{Levels, PARTS, tries_min};
use crate::live::LiveFeed;
use crate::provenance::provenance;
use crate::random::Random;
use crate::result::{CapacityResult, CapacityStep, Limit, RunResult, SearchSettings, StepPhase, Verdict};
use crate::run::{RunError, Setup, run};
use crate::scenario::Scenario;
use crate::schedule::Arrivals;
use crate::stop;
use crate::vocabulary::Endpoint;
use outcome::{Outcome, verdict};

/// How to search.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Search {
    pub(crate) from_per_s: f64,
    pub(crate) max_per_s: f64,
    pub(crate) repeats: u32,
    pub(crate) budget: Duration,
}

impl Search {
    /// Nothing is tried below: a server so far from what was expected of it needs another question.
    fn floor_per_s(&self) -> f64 {
        (self.from_per_s / 16.0).round().max(1.0)
    }

    /// The whole rate to try next between the highest that was met and the lowest that was not: the middle, or by halves
    /// down where none was met, as a lower rate has longer tries. None where these are close enough, or neighbours.
    fn between(&self, low: Option<f64>, high: f64) -> Option<f64> {
        let rate = match low {
            Some(low) if high / low <= PRECISION => return None,
            Some(low) => (high * low).sqrt().round(),
            None => (high / 2.0).round().max(self.floor_per_s()),
        };
        (rate < high && low.is_none_or(|low| rate > low)).then_some(rate)
    }
}

/// Bisecting ends when the bounds are this close.
const PRECISION: f64 = 1.05;
const WARMUP_S: f64 = 1.0;
/// A percentile needs this many samples beyond it.
const SAMPLES_BEYOND: f64 = 100.0;
/// More than that are asked for: arrivals come by chance, so many standard deviations of which may be missing; and
/// what ends as an error is no sample.
const CHANCE: f64 = 4.0;
const ERRORS_SHARE: f64 = 0.02;

/// What a try says of its rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Met,
    ServerMissed,
    ClientDistrusted,
}

impl Found {
    fn of(result: &RunResult) -> Found {
        match result.verdict.verdict {
            Verdict::Met => Found::Met,
            // Samples were planned for: where they are too few all the same, the server did not answer.
            Verdict::Missed => Found::ServerMissed,
            Verdict::Invalid if result.client.trusted => Found::ServerMissed,
            Verdict::Invalid => Found::ClientDistrusted,
        }
    }

    fn limit(self) -> Limit {
        if self == Found::ClientDistrusted { Limit::Client } else { Limit::Server }
    }
}

/// Where doubling and bisecting have led.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bracket {
    /// The highest rate met below `high_per_s`.
    pub(crate) low_per_s: Option<f64>,
    /// The lowest rate not met; absent when none was.
    pub(crate) high_per_s: Option<f64>,
    pub(crate) limited_by: Limit,
}

/// What a try costs and when it is: taken from the run and the clock, or made up by tests.
pub(crate) struct Trying<'a> {
    pub(crate) run: &'a mut dyn FnMut(f64) -> Result<RunResult, RunError>,
    /// Seconds that a try at a rate takes.
    pub(crate) seconds: &'a dyn Fn(f64) -> f64,
    /// Since the start of the search.
    pub(crate) elapsed: &'a dyn Fn() -> Duration,
    /// Whether somebody ended the search: what was under way then is no try.
    pub(crate) is_ended: &'a dyn Fn() -> bool,
}

/// A search under way.
pub(crate) struct Searcher<'a> {
    search: Search,
    trying: Trying<'a>,
    tell: &'a mut dyn FnMut(&CapacityStep),
    pub(crate) steps: Vec<CapacityStep>,
    /// What each of the steps found.
    tried: Vec<(f64, Found)>,
    /// By how much a try took longer than it should at most: a server that does not answer is waited for.
    overrun_s: f64,
    /// A try was left out because the budget did not hold it.
    pub(crate) out_of_time: bool,
}

impl<'a> Searcher<'a> {
    pub(crate) fn new(
        search: Search,
        trying: Trying<'a>,
        tell: &'a mut dyn FnMut(&CapacityStep),
    ) -> Searcher<'a> {
        let (steps, tried) = (Vec::new(), Vec::new());
        Searcher { search, trying, tell, steps, tried, overrun_s: 0.0, out_of_time: false }
    }

    fn elapsed_s(&self) -> f64 {
        (self.trying.elapsed)().as_secs_f64()
    }

    /// One try, unless it and what must still follow do not fit into the budget.
    fn attempt(&mut self, phase: StepPhase, rate: f64, reserve_s: f64) -> Result<Option<Found>, RunError> {
        let (begun_s, takes_s) = (self.elapsed_s(), (self.trying.seconds)(rate));
        if (self.trying.is_ended)() || begun_s + takes_s + reserve_s > self.search.budget.as_secs_f64() {
            self.out_of_time = true;
            return Ok(None);
        }
        let result = (self.trying.run)(rate)?;
        if (self.trying.is_ended)() {
            self.out_of_time = true;
            return Ok(None);
        }
        self.overrun_s = self.overrun_s.max(self.elapsed_s() - begun_s - takes_s);
        let found = Found::of(&result);
        self.tried.push((rate, found));
        let step = CapacityStep {
            phase,
            rate_per_s: rate,
            answered_per_s: result.answers_per_s,
            started_at_ms: (begun_s * 1e3) as u64,
            duration_ms: result.elapsed_ms,
            verdict: result.verdict.verdict,
            reasons: result.verdict.reasons,
            latency_us: result.total.latency_us.summary(),
            lateness_us: result.lateness_us.summary(),
            machine_stalls_us: result.machine_stalls_us.summary(),
        };
        (self.tell)(&step);
        self.steps.push(step);
        Ok(Some(found))
    }

    /// A level that is not met is tried once more: a hiccup of the machine must not bound the search. A miss that the
    /// client could be trusted in stays one, whatever the client did the other time. Time for what makes levels
    /// count is kept, as far as it is known where they will be.
    fn attempt_twice(
        &mut self,
        phase: StepPhase,
        rate: f64,
        candidate: f64,
    ) -> Result<Option<Found>, RunError> {
        let rounds_s = rounds_seconds(self.trying.seconds, candidate, self.search.repeats);
        let tries = f64::from(tries_min(self.search.repeats)) * PARTS.len() as f64;
        let reserve_s = rounds_s + tries * self.overrun_s;
        match self.attempt(phase, rate, reserve_s)? {
            Some(Found::Met) => Ok(Some(Found::Met)),
            Some(not_met) => Ok(match self.attempt(phase, rate, reserve_s)? {
                Some(Found::Met) => Some(Found::Met),
                Some(Found::ServerMissed) => Some(Found::ServerMissed),
                Some(Found::ClientDistrusted) | None => Some(not_met),
            }),
            None => Ok(None),
        }
    }

    /// Doubles until a rate is not met, or halves until one is, then bisects.
    pub(crate) fn bracket(&mut self) -> Result<Bracket, RunError> {
        let (mut low, mut rate) = (None, self.search.from_per_s);
        let (mut high, mut limited_by) = loop {
            match self.attempt_twice(StepPhase::Exponential, rate, rate)? {
                None => return Ok(Bracket { low_per_s: low, high_per_s: None, limited_by: Limit::Budget }),
                Some(Found::Met) if rate >= self.search.max_per_s => {
                    let limited_by = Limit::SearchBound;
                    return Ok(Bracket { low_per_s: Some(rate), high_per_s: None, limited_by });
                }
                Some(Found::Met) => low = Some(rate),
                Some(not_met) => break (rate, not_met.limit()),
            }
            rate = (rate * 2.0).min(self.search.max_per_s);
        };
        while let Some(rate) = self.search.between(low, high) {
            match self.attempt_twice(StepPhase::Bisect, rate, low.unwrap_or(rate))? {
                None => break,
                Some(Found::Met) => low = Some(rate),
                Some(not_met) => (high, limited_by) = (rate, not_met.limit()),
            }
        }
        Ok(Bracket { low_per_s: low, high_per_s: Some(high), limited_by })
    }

    /// Repeats levels around the candidate, and more of them where its bounds do not show among these.
    pub(crate) fn confirm(&mut self, candidate: f64, seed: u64) -> Result<Levels, RunError> {
        let (floor, max) = (self.search.floor_per_s(), self.search.max_per_s);
        let mut levels = Levels::new(floor, max, self.search.repeats);
        let mut fresh = levels.around(candidate);
        let mut random = Random::at(seed, 0xCAFA);
        while !fresh.is_empty() {
            for _ in 0..self.search.repeats {
                random.shuffle(&mut fresh);
                for &rate in &fresh {
                    let Some(found) = self.attempt(StepPhase::Confirm, rate, 0.0)? else { return Ok(levels) };
                    levels.add(rate, found);
                }
            }
            fresh = levels.missing_bounds();
        }
        Ok(levels)
    }

    /// The whole search.
    fn find(&mut self, seed: u64) -> Result<Outcome, RunError> {
        let bracket = self.bracket()?;
        let levels = bracket.low_per_s.map(|low| self.confirm(low, seed)).transpose()?;
        Ok(Outcome::of(&self.tried, &bracket, levels.as_ref(), self.out_of_time))
    }
}

/// Of the rounds of confirmation without which no level counts.
fn rounds_seconds(seconds: &dyn Fn(f64) -> f64, candidate: f64, repeats: u32) -> f64 {
    let round: f64 = PARTS.iter().map(|part| seconds(candidate * part)).sum();
    f64::from(tries_min(repeats)) * round
}

/// What a search must be given so that it can find anything.
pub(crate) fn least_seconds(tries: &Tries<'_>, search: &Search) -> f64 {
    let seconds = |rate| tries.seconds(rate);
    // A rate that is not met is tried twice.
    2.0 * seconds(search.from_per_s) + rounds_seconds(&seconds, search.from_per_s, search.repeats)
}

/// How long a rate must run so that every percentile goal has its samples; `share` is that of an endpoint's requests.
pub(crate) fn seconds_needed(
    limits: &Limits,
    arrivals: Arrivals,
    rate: f64,
    step_s: f64,
    share: &dyn Fn(&'static str) -> f64,
) -> f64 {
    let errors_share = limits.errors_share_max.unwrap_or(0.0).clamp(ERRORS_SHARE, 0.5);
    let needed = |(endpoint, (_, ppm, _)): (&'static str, (&str, u64, u64))| {
        let least = SAMPLES_BEYOND * 1e6 / (1_000_000 - ppm) as f64 / (1.0 - errors_share);
        expected_for(least, arrivals) / (rate * share(endpoint))
    };
    limits.all_latency_goals().into_iter().map(needed).fold(step_s, f64::max)
}

/// How many requests must be expected so that this many come, as good as always. Of `n` expected in bursts of `b` the
/// standard deviation is the root of `b n`; of an endpoint's share of them, and of equal gaps, it is no more.
fn expected_for(least: f64, arrivals: Arrivals) -> f64 {
    let burst = match arrivals {
        Arrivals::Poisson | Arrivals::Uniform => 1.0,
        Arrivals::Bursts(size) => f64::from(size),
    };
    // The `n` from which on n - CHANCE * sqrt(b n) is not below `least`.
    let spread = CHANCE * burst.sqrt();
    let root = f64::midpoint(spread, (spread * spread + 4.0 * least).sqrt());
    root * root
}

/// The share of requests that go to an endpoint, or to all.
fn share_of(setup: &Setup, scenario: &Scenario, endpoint: &str) -> f64 {
    let personal = match &scenario.traffic {
        Some(traffic) => traffic.personal_share,
        None => {
            let inquiries = &setup.targets.inquiries;
            let personal = inquiries.iter().filter(|inquiry| inquiry.endpoint == Endpoint::Personal);
            personal.count() as f64 / inquiries.len().max(1) as f64
        }
    };
    match endpoint {
        ALL => 1.0,
        "personal" => personal,
        _ => 1.0 - personal,
    }
}

/// Tries at steady rates against one server.
pub(crate) struct Tries<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) scenario: &'a Scenario,
    pub(crate) url: &'a BaseUrl,
    pub(crate) step_s: f64,
}

impl Tries<'_> {
    fn measured_s(&self, rate: f64) -> f64 {
        let limits = self.scenario.measured_goals().cloned().unwrap_or_default();
        let share = |endpoint| share_of(self.setup, self.scenario, endpoint);
        seconds_needed(&limits, self.scenario.arrivals(), rate, self.step_s, &share)
    }

    /// Warm-up included.
    pub(crate) fn seconds(&self, rate: f64) -> f64 {
        WARMUP_S + self.measured_s(rate)
    }

    fn settings(&self, search: &Search) -> SearchSettings {
        SearchSettings {
            targets: target_facts(self.setup),
            connections_configured: self.scenario.connections as u64,
            timeout_ms: self.scenario.timeout_ms,
            threads: self.setup.threads as u64,
            from_per_s: search.from_per_s as u64,
            rate_max_per_s: search.max_per_s as u64,
            step_s: self.step_s as u64,
            repeats: search.repeats.into(),
        }
    }

    pub(crate) fn at(&self, rate: f64) -> Result<RunResult, RunError> {
        let mut steady = self.scenario.at_rate(rate, WARMUP_S, self.measured_s(rate));
        steady.abort_on_miss = false;
        run(self.setup, &steady, self.url, &LiveFeed::default())
    }
}

/// The whole search.
pub(crate) fn search(
    tries: &Tries<'_>,
    search: Search,
    tell: &mut dyn FnMut(&CapacityStep),
) -> Result<CapacityResult, RunError> {
    let (started_at, started) = (SystemTime::now(), Instant::now());
    let (setup, scenario) = (tries.setup, tries.scenario);
    let trying = Trying {
        run: &mut |rate| tries.at(rate),
        seconds: &|rate| tries.seconds(rate),
        elapsed: &|| started.elapsed(),
        is_ended: &stop::is_asked,
    };
    let mut searcher = Searcher::new(search, trying, tell);
    let outcome = searcher.find(setup.seed)?;
    let limits = scenario.measured_goals().cloned().unwrap_or_default();
    let strictest = limits.latency_goals().next();
    let goals = limits.all_latency_goals().into_iter().map(|(endpoint, (what, _, limit))| {
        let place = if endpoint == ALL { String::new() } else { format!(" ({endpoint})") };
        format!("{what} <= {limit}{place}")
    });
    Ok(CapacityResult {
        provenance: provenance(scenario, setup.seed, started_at),
        url: tries.url.text(),
        verdict: verdict(&outcome, &search),
        settings: Some(tries.settings(&search)),
        goals: goals.collect(),
        goal_latency_us: strictest.map(|(_, _, limit)| limit),
        goal_percentile: strictest.map(|(what, ..)| what.trim_end_matches("_us").to_owned()),
        capacity_per_s: outcome.capacity_per_s,
        interval_per_s: outcome.interval_per_s,
        limited_by: outcome.limited_by,
        budget_s: search.budget.as_secs(),
        ended_by_budget: outcome.out_of_time,
        steps: searcher.steps,
    })
}

#[cfg(test)]
mod tests;
