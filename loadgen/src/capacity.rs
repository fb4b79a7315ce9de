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
        self.from_per_s / 16.0
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
    /// A try was left out because the budget did not hold it.
    pub(crate) out_of_time: bool,
}

impl<'a> Searcher<'a> {
    pub(crate) fn new(
        search: Search,
        trying: Trying<'a>,
        tell: &'a mut dyn FnMut(&CapacityStep),
    ) -> Searcher<'a> {
        Searcher { search, trying, tell, steps: Vec::new(), out_of_time: false }
    }

    /// One try, unless it and what must still follow do not fit into the budget.
    fn attempt(&mut self, phase: StepPhase, rate: f64, reserve_s: f64) -> Result<Option<Found>, RunError> {
        let begun = (self.trying.elapsed)();
        let ends_s = begun.as_secs_f64() + (self.trying.seconds)(rate) + reserve_s;
        if ends_s > self.search.budget.as_secs_f64() {
            self.out_of_time = true;
            return Ok(None);
        }
        let result = (self.trying.run)(rate)?;
        let found = Found::of(&result);
        let step = CapacityStep {
            phase,
            rate_per_s: rate,
            answered_per_s: result.answers_per_s,
            started_at_ms: u64::try_from(begun.as_millis()).unwrap_or(u64::MAX),
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
        let reserve_s = rounds_seconds(self.trying.seconds, candidate, self.search.repeats);
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
        let floor = self.search.floor_per_s();
        while high / low.unwrap_or(floor) > PRECISION {
            // Down by halves until a rate is met: the lower a rate, the longer its tries.
            let rate = low.map_or((high / 2.0).max(floor), |low| (high * low).sqrt()).round();
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

/// Of the rounds of confirmation without which no level counts.
fn rounds_seconds(seconds: &dyn Fn(f64) -> f64, candidate: f64, repeats: u32) -> f64 {
    let round: f64 = PARTS.iter().map(|part| seconds(candidate * part)).sum();
    f64::from(tries_min(repeats)) * round
}

/// What a search must be given so that it can find anything.
pub(crate) fn least_seconds(tries: &Tries<'_>, search: &Search) -> f64 {
    let seconds = |rate| tries.seconds(rate);
    seconds(search.from_per_s) + rounds_seconds(&seconds, search.from_per_s, search.repeats)
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
    let bracket = searcher.bracket()?;
    let levels = bracket.low_per_s.map(|low| searcher.confirm(low, setup.seed)).transpose()?;
    let capacity_per_s = levels.as_ref().and_then(Levels::capacity_per_s);
    let limited_by = levels.as_ref().and_then(Levels::limited_by).unwrap_or(bracket.limited_by);
    let limits = scenario.measured_goals().cloned().unwrap_or_default();
    let strictest = limits.latency_goals().next();
    let goals = limits.all_latency_goals().into_iter().map(|(endpoint, (what, _, limit))| {
        let place = if endpoint == ALL { String::new() } else { format!(" ({endpoint})") };
        format!("{what} <= {limit}{place}")
    });
    Ok(CapacityResult {
        provenance: provenance(scenario, setup.seed, started_at),
        url: tries.url.text(),
        verdict: verdict(capacity_per_s, &bracket, limited_by, searcher.out_of_time, &search),
        goals: goals.collect(),
        goal_latency_us: strictest.map(|(_, _, limit)| limit),
        goal_percentile: strictest.map(|(what, ..)| what.trim_end_matches("_us").to_owned()),
        capacity_per_s,
        interval_per_s: levels.as_ref().and_then(Levels::interval_per_s),
        limited_by,
        budget_s: search.budget.as_secs(),
        ended_by_budget: searcher.out_of_time,
        steps: searcher.steps,
    })
}

fn verdict(
    capacity: Option<f64>,
    bracket: &Bracket,
    limited_by: Limit,
    out_of_time: bool,
    search: &Search,
) -> VerdictFacts {
    let mut reasons = Vec::new();
    let verdict = match (capacity, bracket.low_per_s, limited_by) {
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
        (None, Some(low), _) if out_of_time => {
            reasons.push(format!("{low}/s met the goals once, which was not confirmed by repeats"));
            Verdict::Invalid
        }
        (None, ..) => {
            reasons.push("no rate met the goals when repeated".to_owned());
            Verdict::Missed
        }
    };
    if out_of_time {
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
        let spent = Cell::new(0.0);
        let mut run = |rate: f64| {
            spent.set(spent.get() + 10.0);
            let mut result = crate::result::sample_run();
            result.client.trusted = rate <= client_max;
            result.verdict.verdict = match rate {
                _ if rate > client_max => Verdict::Invalid,
                _ if rate > server_max => Verdict::Missed,
                _ => Verdict::Met,
            };
            Ok(result)
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
        let [low, high] = levels.interval_per_s().unwrap();
        assert!(low <= 3_000.0 && 3_000.0 < high && high / low < 1.09, "{low} {high}");
        assert_eq!((levels.capacity_per_s(), levels.limited_by()), (Some(low), Some(Limit::Server)));
        // A first candidate far too high is followed down.
        let (levels, _) = with_searcher(SEARCH, 3_000.0, f64::INFINITY, |s| s.confirm(4_000.0, 7).unwrap());
        let [low, high] = levels.interval_per_s().unwrap();
        assert!(low <= 3_000.0 && 3_000.0 < high && high / low < 1.09, "{low} {high}");
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
        let bracket = Bracket { low_per_s: None, high_per_s: Some(500.0), limited_by: Limit::Server };
        let facts = verdict(None, &bracket, Limit::Server, true, &SEARCH);
        assert_eq!(facts.verdict, Verdict::Missed);
        assert!(facts.reasons.concat().contains("ended by its budget of 1000 s"), "{facts:?}");
        let once = Bracket { low_per_s: Some(500.0), ..bracket };
        assert_eq!(verdict(None, &once, Limit::Server, true, &SEARCH).verdict, Verdict::Invalid);
        assert_eq!(verdict(None, &once, Limit::Client, false, &SEARCH).verdict, Verdict::Invalid);
        assert_eq!(verdict(None, &once, Limit::Server, false, &SEARCH).verdict, Verdict::Missed);
        let met = verdict(Some(500.0), &once, Limit::Client, false, &SEARCH);
        assert!(met.verdict == Verdict::Met && met.reasons[0].contains("the server may do more"), "{met:?}");
        assert!(verdict(Some(500.0), &once, Limit::Server, false, &SEARCH).reasons.is_empty());
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
