//! The highest rate at which the goals are met: doubling until one is missed, bisecting, then repeating levels
//! around the candidate in shuffled order, so that a machine that warms up or slows down does not decide.
//!
//! A client that cannot be trusted is no server that fails: such a level bounds the search and is named so. No try
//! begins that the search's budget of time does not hold.

use std::time::{Duration, Instant, SystemTime};

use crate::base_url::BaseUrl;
use crate::goals::{ALL, Limits};
use crate::levels::{Levels, PARTS, tries_min};
use crate::live::LiveFeed;
use crate::provenance::provenance;
use crate::random::Random;
use crate::result::{CapacityResult, CapacityStep, Limit, RunResult, StepPhase, Verdict, VerdictFacts};
use crate::run::{RunError, Setup, run};
use crate::scenario::Scenario;
use crate::schedule::Arrivals;
use crate::vocabulary::Endpoint;

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
        if begun_s + takes_s + reserve_s > self.search.budget.as_secs_f64() {
            self.out_of_time = true;
            return Ok(None);
        }
        let result = (self.trying.run)(rate)?;
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
}

impl Searcher<'_> {
    /// The whole search.
    fn find(&mut self, seed: u64) -> Result<Outcome, RunError> {
        let bracket = self.bracket()?;
        let levels = bracket.low_per_s.map(|low| self.confirm(low, seed)).transpose()?;
        Ok(self.outcome(&bracket, levels.as_ref()))
    }

    /// The lowest rate above all that were met which was tried twice at least, and who kept it from being met.
    fn never_met(&self) -> Option<(f64, Limit)> {
        let met = self.tried.iter().filter(|(_, found)| *found == Found::Met);
        let highest_met = met.map(|(rate, _)| *rate).fold(0.0, f64::max);
        let mut lost: Vec<(f64, Found)> =
            self.tried.iter().copied().filter(|(rate, _)| *rate > highest_met).collect();
        lost.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let again = lost.chunk_by(|(a, _), (b, _)| a == b).find(|tries| tries.len() > 1)?;
        let server = again.iter().any(|(_, found)| *found == Found::ServerMissed);
        Some((again[0].0, if server { Limit::Server } else { Limit::Client }))
    }

    /// How often the server missed the lowest rate that was tried.
    fn misses_at_lowest(&self) -> usize {
        let lowest = self.tried.iter().map(|(rate, _)| *rate).fold(f64::INFINITY, f64::min);
        self.tried.iter().filter(|tried| **tried == (lowest, Found::ServerMissed)).count()
    }

    /// What all tries come to.
    fn outcome(&self, bracket: &Bracket, levels: Option<&Levels>) -> Outcome {
        let bound = self.never_met();
        let unbounded = if self.out_of_time { Limit::Budget } else { Limit::SearchBound };
        let limited_by = levels.map_or(bracket.limited_by, |levels| {
            levels.limited_by().or(bound.map(|(_, limit)| limit)).unwrap_or(unbounded)
        });
        Outcome {
            capacity_per_s: levels.and_then(Levels::capacity_per_s),
            interval_per_s: levels.and_then(|levels| levels.interval_per_s(bound.map(|(rate, _)| rate))),
            met_once_per_s: bracket.low_per_s,
            limited_by,
            misses_at_lowest: self.misses_at_lowest(),
            out_of_time: self.out_of_time,
        }
    }
}

/// What a search has found.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Outcome {
    capacity_per_s: Option<f64>,
    interval_per_s: Option<[f64; 2]>,
    /// The highest rate that doubling and bisecting saw met.
    met_once_per_s: Option<f64>,
    limited_by: Limit,
    misses_at_lowest: usize,
    out_of_time: bool,
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

/// One miss alone, which the machine may have caused, makes no server that misses its goals.
const MISSES_MIN: usize = 2;

fn verdict(outcome: &Outcome, search: &Search) -> VerdictFacts {
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const SEARCH: Search =
        Search { from_per_s: 500.0, max_per_s: 100_000.0, repeats: 3, budget: Duration::from_secs(1_000) };

    /// A search whose tries take 10 s each, against a server and a client that do so much and no more.
    fn with_searcher<T>(
        search: Search,
        server_max: f64,
        client_max: f64,
        work: impl FnOnce(&mut Searcher<'_>) -> T,
    ) -> (T, f64) {
        let found = |rate: f64| match rate {
            _ if rate > client_max => Found::ClientDistrusted,
            _ if rate > server_max => Found::ServerMissed,
            _ => Found::Met,
        };
        with_tries(search, 10.0, found, work)
    }

    /// The same with tries that end as they are told to, and take so long instead of 10 s.
    fn with_tries<T>(
        search: Search,
        take_s: f64,
        mut found: impl FnMut(f64) -> Found,
        work: impl FnOnce(&mut Searcher<'_>) -> T,
    ) -> (T, f64) {
        let spent = Cell::new(0.0);
        let mut result = crate::result::sample_run();
        (result.stages, result.endpoints) = Default::default();
        result.timeline.points.clear();
        let mut run = |rate: f64| {
            spent.set(spent.get() + take_s);
            let found = found(rate);
            result.client.trusted = found != Found::ClientDistrusted;
            result.verdict.verdict = match found {
                Found::Met => Verdict::Met,
                Found::ServerMissed => Verdict::Missed,
                Found::ClientDistrusted => Verdict::Invalid,
            };
            Ok(result.clone())
        };
        let elapsed = || Duration::from_secs_f64(spent.get());
        let trying = Trying { run: &mut run, seconds: &|_| 10.0, elapsed: &elapsed };
        let mut tell = |_: &CapacityStep| {};
        let mut searcher = Searcher::new(search, trying, &mut tell);
        let done = work(&mut searcher);
        drop(searcher);
        (done, spent.get())
    }

    #[test]
    fn the_search_closes_in_and_tells_server_from_client() {
        let bracket = |client_max| with_searcher(SEARCH, 3_000.0, client_max, |s| s.bracket().unwrap()).0;
        let found = bracket(f64::INFINITY);
        let (low, high) = (found.low_per_s.unwrap(), found.high_per_s.unwrap());
        assert!(low <= 3_000.0 && high > 3_000.0 && high / low <= PRECISION, "{low} {high}");
        assert_eq!(found.limited_by, Limit::Server);
        let found = bracket(1_700.0);
        assert!(found.limited_by == Limit::Client && found.low_per_s.unwrap() > 1_600.0);
        assert_eq!(bracket(1.0).low_per_s, None);
    }

    #[test]
    fn a_server_that_does_not_answer_is_no_client_that_is_late() {
        let mut result = crate::result::sample_run();
        assert_eq!((result.verdict.verdict, result.client.trusted), (Verdict::Invalid, true));
        assert_eq!(Found::of(&result), Found::ServerMissed);
        result.client.trusted = false;
        assert_eq!(Found::of(&result), Found::ClientDistrusted);
    }

    #[test]
    fn what_is_confirmed_lies_between_what_was_met_and_what_was_not() {
        let confirm = |s: &mut Searcher<'_>| {
            let low = s.bracket().unwrap().low_per_s.unwrap();
            s.confirm(low, 7).unwrap()
        };
        let (levels, _) = with_searcher(SEARCH, 3_000.0, f64::INFINITY, confirm);
        let [low, high] = levels.interval_per_s(None).unwrap();
        assert!(low <= 3_000.0 && 3_000.0 < high && high / low < 1.09, "{low} {high}");
        assert_eq!((levels.capacity_per_s(), levels.limited_by()), (Some(low), Some(Limit::Server)));
        // A first candidate far too high is followed down.
        let (levels, _) = with_searcher(SEARCH, 3_000.0, f64::INFINITY, |s| s.confirm(4_000.0, 7).unwrap());
        let [low, high] = levels.interval_per_s(None).unwrap();
        assert!(low <= 3_000.0 && 3_000.0 < high && high / low < 1.09, "{low} {high}");
    }

    fn find(s: &mut Searcher<'_>) -> (Outcome, Vec<(f64, StepPhase, Found)>) {
        let outcome = s.find(7).unwrap();
        let tries = s.steps.iter().zip(&s.tried).map(|(step, (rate, found))| (*rate, step.phase, *found));
        (outcome, tries.collect())
    }

    /// Rates are whole: between neighbours there is nothing to try, and below 1/s nothing at all.
    #[test]
    fn a_search_among_low_rates_ends() {
        let endless = Duration::from_secs(u64::MAX >> 1);
        for from in (1..=64).chain([152, 168, 1_000]).map(f64::from) {
            for server_max in [0.0, 1.0, 3.0, 10.0, from / 3.0, from * 1.5, from * 7.0] {
                let search = Search { from_per_s: from, budget: endless, ..SEARCH };
                let mut tries = 0;
                let found = |rate: f64| {
                    tries += 1;
                    assert!(tries < 100 && rate >= 1.0, "from {from}, at most {server_max}: {rate}");
                    if rate > server_max { Found::ServerMissed } else { Found::Met }
                };
                let (bracket, _) = with_tries(search, 10.0, found, |s| s.bracket().unwrap());
                let case = format!("from {from}, at most {server_max}: {bracket:?}");
                let high = bracket.high_per_s.unwrap();
                match bracket.low_per_s {
                    Some(low) => {
                        assert!(low <= server_max && (high / low <= PRECISION || high - low < 1.5), "{case}")
                    }
                    None => assert!(high == search.floor_per_s() && high > server_max, "{case}"),
                }
            }
        }
    }

    #[test]
    fn one_try_that_was_disturbed_neither_bounds_a_search_nor_makes_it_missed() {
        for disturbed in [1, 2, 5, 9] {
            let mut tries = 0;
            let found = |rate: f64| {
                tries += 1;
                if rate > 3_000.0 || tries == disturbed { Found::ServerMissed } else { Found::Met }
            };
            let ((outcome, _), _) = with_tries(SEARCH, 10.0, found, find);
            let rate = outcome.capacity_per_s.unwrap();
            assert!((2_700.0..=3_000.0).contains(&rate), "disturbed in try {disturbed}: {outcome:?}");
        }
        // Where the budget leaves no time for another, that is said instead.
        let search = Search { repeats: 1, budget: Duration::from_secs(65), ..SEARCH };
        let ((outcome, tries), _) = with_tries(search, 10.0, |_| Found::ServerMissed, find);
        assert_eq!((tries.len(), outcome.out_of_time), (1, true));
        assert_eq!(verdict(&outcome, &search).verdict, Verdict::Invalid, "{outcome:?}");
        let search = Search { budget: Duration::from_secs(75), ..search };
        let ((outcome, tries), _) = with_tries(search, 10.0, |_| Found::ServerMissed, find);
        assert_eq!((tries.len(), verdict(&outcome, &search).verdict), (2, Verdict::Missed));
    }

    /// Tries of a server that does not answer are waited for: what is kept for the repeats must hold that too.
    #[test]
    fn tries_that_take_longer_than_they_should_leave_time_for_the_repeats() {
        for (take_s, budget_s) in [(15.0, 300), (25.0, 500), (25.0, 1_000), (60.0, 1_000)] {
            let search = Search { budget: Duration::from_secs(budget_s), ..SEARCH };
            let found = |rate: f64| if rate > 3_000.0 { Found::ServerMissed } else { Found::Met };
            let ((outcome, tries), spent) = with_tries(search, take_s, found, find);
            assert!(outcome.capacity_per_s.is_some(), "{take_s} s: {outcome:?} {tries:?}");
            assert!(spent <= budget_s as f64 + take_s - 10.0, "no try begins that should end later: {spent}");
        }
    }

    /// A machine that spoils a quarter of all tries, and a server that is lucky in some: whatever is claimed was
    /// repeated, and noise makes it wide but not unknown.
    #[test]
    fn noise_widens_the_interval_and_claims_nothing_that_was_not_repeated() {
        let mut holds = 0;
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let lucky = if seed % 2 == 0 { 0.0 } else { 0.1 };
            let found = |rate: f64| {
                let missed = random.unit() < if rate > 3_000.0 { 1.0 - lucky } else { 0.25 };
                if missed { Found::ServerMissed } else { Found::Met }
            };
            let search = Search { budget: Duration::from_secs(1_800), ..SEARCH };
            let ((outcome, tries), _) = with_tries(search, 10.0, found, find);
            let case = format!("seed {seed}: {outcome:?} {tries:?}");
            let (Some(rate), Some([low, high])) = (outcome.capacity_per_s, outcome.interval_per_s) else {
                panic!("unknown: {case}");
            };
            let repeats = |wanted: f64| -> Vec<bool> {
                let at =
                    tries.iter().filter(|(rate, phase, _)| *rate == wanted && *phase == StepPhase::Confirm);
                at.map(|(.., found)| *found == Found::Met).collect()
            };
            let met = repeats(rate).iter().filter(|met| **met).count();
            assert!(met >= 2 && met * 2 > repeats(rate).len(), "{case}");
            let at_low = repeats(low);
            assert!(low == 0.0 || (at_low.len() >= 2 && at_low.iter().all(|met| *met)), "{case}");
            assert!(low <= rate && rate < high, "{case}");
            assert!(repeats(high).iter().all(|met| !met), "{case}");
            holds += u32::from(low <= 3_000.0 && 3_000.0 < high * 1.08);
        }
        assert!(holds >= 54, "the capacity is in {holds} of 60 intervals");
    }

    #[test]
    fn no_search_outlasts_its_budget_and_it_says_so() {
        for budget_s in [60, 70, 150, 200, 300, 500] {
            let search = Search { budget: Duration::from_secs(budget_s), ..SEARCH };
            for server_max in [1.0, 510.0, 3_000.0, f64::INFINITY] {
                let whole = |s: &mut Searcher<'_>| {
                    let bracket = s.bracket().unwrap();
                    let levels = bracket.low_per_s.map(|low| s.confirm(low, 7).unwrap());
                    (bracket, levels, s.out_of_time)
                };
                let ((bracket, levels, out_of_time), spent) =
                    with_searcher(search, server_max, f64::INFINITY, whole);
                let case = format!("{budget_s} s, {server_max}/s: {bracket:?} {levels:?}");
                assert!(spent <= budget_s as f64, "{case}");
                assert!(out_of_time || spent < budget_s as f64, "{case}");
                let capacity = levels.and_then(|levels| levels.capacity_per_s());
                assert_eq!(capacity.is_some(), bracket.low_per_s.is_some(), "a round is always left: {case}");
                let limits = (bracket.limited_by, server_max);
                assert!(out_of_time || !matches!(limits, (Limit::Budget, _)), "{case}");
            }
        }
    }

    #[test]
    fn the_verdict_of_a_search_names_its_budget() {
        let lost = Outcome {
            capacity_per_s: None,
            interval_per_s: None,
            met_once_per_s: None,
            limited_by: Limit::Server,
            misses_at_lowest: 2,
            out_of_time: true,
        };
        let facts = verdict(&lost, &SEARCH);
        assert_eq!(facts.verdict, Verdict::Missed);
        assert!(facts.reasons.concat().contains("ended by its budget of 1000 s"), "{facts:?}");
        let check =
            |outcome: Outcome, wanted| assert_eq!(verdict(&outcome, &SEARCH).verdict, wanted, "{outcome:?}");
        check(Outcome { misses_at_lowest: 1, ..lost }, Verdict::Invalid);
        let once = Outcome { met_once_per_s: Some(500.0), ..lost };
        check(once, Verdict::Invalid);
        let in_time = Outcome { out_of_time: false, ..once };
        check(Outcome { limited_by: Limit::Client, ..in_time }, Verdict::Invalid);
        check(in_time, Verdict::Missed);
        let found = Outcome { capacity_per_s: Some(500.0), ..in_time };
        let met = verdict(&Outcome { limited_by: Limit::Client, ..found }, &SEARCH);
        assert!(met.verdict == Verdict::Met && met.reasons[0].contains("the server may do more"), "{met:?}");
        assert!(verdict(&found, &SEARCH).reasons.is_empty());
        let alone = verdict(&found, &Search { repeats: 1, ..SEARCH });
        assert!(alone.verdict == Verdict::Met && alone.reasons[0].contains("--repeats 1"), "{alone:?}");
    }

    /// Who is named is who kept the rate above from being met, also where that is known from doubling alone.
    #[test]
    fn the_limit_is_that_of_the_rate_that_bounds_the_interval() {
        let limit = |budget_s, server_max, client_max| {
            let search = Search { budget: Duration::from_secs(budget_s), ..SEARCH };
            let outcome = with_searcher(search, server_max, client_max, find).0.0;
            (outcome.limited_by, outcome.interval_per_s.is_some(), outcome.out_of_time)
        };
        assert_eq!(limit(1_000, 3_000.0, f64::INFINITY), (Limit::Server, true, false));
        assert_eq!(limit(1_000, f64::INFINITY, 3_000.0), (Limit::Client, true, false));
        assert_eq!(limit(1_000, f64::INFINITY, f64::INFINITY), (Limit::SearchBound, false, false));
        assert_eq!(limit(115, f64::INFINITY, f64::INFINITY), (Limit::Budget, false, true));
        assert_eq!(limit(145, 3_000.0, f64::INFINITY).0, Limit::Budget, "doubling was not done");
        assert_eq!(limit(165, f64::INFINITY, 3_000.0), (Limit::Client, true, true), "4,000/s was lost twice");
    }

    #[test]
    fn a_rate_runs_as_long_as_its_percentiles_need() {
        let poisson = Arrivals::Poisson;
        let limits = Limits { p99_9_us: Some(5_000), ..Limits::default() };
        let all = |_: &'static str| 1.0;
        assert!(seconds_needed(&limits, poisson, 10_000.0, 5.0, &all) * 10_000.0 > 102_000.0);
        assert_eq!(seconds_needed(&Limits::default(), poisson, 10_000.0, 5.0, &all), 5.0);
        let lenient = Limits { errors_share_max: Some(0.2), ..limits.clone() };
        let expected = seconds_needed(&lenient, poisson, 10_000.0, 5.0, &all) * 10_000.0;
        assert!(expected * 0.8 > 101_000.0, "a fifth may fail, and is no sample: {expected}");
        let personal = Limits { personal: Some(Box::new(limits)), ..Limits::default() };
        let fifth = |endpoint: &'static str| if endpoint == "personal" { 0.2 } else { 1.0 };
        assert!(seconds_needed(&personal, poisson, 10_000.0, 5.0, &fifth) * 2_000.0 > 102_000.0);
    }

    /// Whatever the seed, the schedule of such a length holds the samples, also where requests come in bursts.
    #[test]
    fn chance_does_not_leave_a_percentile_without_its_samples() {
        use crate::schedule::{Plan, Share, all_slots};
        let limits = Limits { p99_us: Some(5_000), ..Limits::default() };
        for arrivals in [Arrivals::Poisson, Arrivals::Uniform, Arrivals::Bursts(40), Arrivals::Bursts(2_000)]
        {
            let seconds = seconds_needed(&limits, arrivals, 1_000.0, 1.0, &|_| 1.0);
            let mut plan = Plan::default();
            plan.push("steady", String::new(), false, &[(1_000.0, 1_000.0, seconds)]);
            let plan = std::sync::Arc::new(plan);
            let fewest =
                (0..200).map(|seed| all_slots(&plan, arrivals, seed, Share::ALL).len()).min().unwrap();
            assert!(fewest >= 10_000, "{arrivals:?}: {fewest} in {seconds} s");
            assert!(seconds < 12.0 || matches!(arrivals, Arrivals::Bursts(_)), "{arrivals:?}: {seconds} s");
        }
    }
}
