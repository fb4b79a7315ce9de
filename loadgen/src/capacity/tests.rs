//! Searches among tries that are made up: what they find, claim and cost.

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
    let trying = Trying { run: &mut run, seconds: &|_| 10.0, elapsed: &elapsed, is_ended: &|| false };
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
    for (take_s, budget_s) in [(15.0, 300), (25.0, 400), (40.0, 600), (60.0, 900), (60.0, 1_800)] {
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
            let at = tries.iter().filter(|(rate, phase, _)| *rate == wanted && *phase == StepPhase::Confirm);
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
    for arrivals in [Arrivals::Poisson, Arrivals::Uniform, Arrivals::Bursts(40), Arrivals::Bursts(2_000)] {
        let seconds = seconds_needed(&limits, arrivals, 1_000.0, 1.0, &|_| 1.0);
        let mut plan = Plan::default();
        plan.push("steady", String::new(), false, &[(1_000.0, 1_000.0, seconds)]);
        let plan = std::sync::Arc::new(plan);
        let fewest = (0..200).map(|seed| all_slots(&plan, arrivals, seed, Share::ALL).len()).min().unwrap();
        assert!(fewest >= 10_000, "{arrivals:?}: {fewest} in {seconds} s");
        assert!(seconds < 12.0 || matches!(arrivals, Arrivals::Bursts(_)), "{arrivals:?}: {seconds} s");
    }
}
