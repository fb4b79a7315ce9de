//! Joins the results of shards into the result that one machine would have had: counts are added, histograms
//! merged, goals judged anew on the whole. Nothing is averaged. Each client is judged by itself: the lateness of one
//! that was late would vanish among the others'.

use crate::assemble;
use crate::latency::Latencies;
use crate::result::{RunResult, StageResult, TimelinePoint};
use crate::scenario::{Scenario, ScenarioError};

/// Why results are no parts of one run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MergeError {
    #[error("result {0} is no run; merge takes what `loadgen run --shard` wrote")]
    NotARun(usize),
    #[error(
        "result {number} differs from the first in its {what}; the parts of a run share everything but the shard"
    )]
    Different { number: usize, what: &'static str },
    #[error("shard {0} is there more than once; give each worker's result once")]
    Repeated(u32),
    #[error("shard {number} of {count} is missing; a part of a run has no verdict of the whole")]
    Missing { number: u32, count: u32 },
    #[error("the shards started {0} ms apart; start them all with the same --start-at and set their clocks")]
    Apart(u64),
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
}

/// So far apart may clocks be set: a request's interval must not depend on its shard.
const APART_MS_MAX: u64 = 100;

/// Joins all shards of one run.
pub(crate) fn merge(mut parts: Vec<RunResult>) -> Result<RunResult, MergeError> {
    parts.sort_by_key(|part| part.shard.numbers.clone());
    check_same(&parts)?;
    check_shards(&parts)?;
    let first = parts.first().ok_or(MergeError::NotARun(1))?;
    let scenario = Scenario::parse(&first.provenance.scenario.name, &first.provenance.scenario.text)?;
    let distrust = parts.iter().flat_map(|part| distrust(part, &scenario)).collect();
    let mut parts = parts.into_iter();
    let mut whole = parts.next().ok_or(MergeError::NotARun(1))?;
    for part in parts {
        add(&mut whole, part);
    }
    let judged = assemble::judge(&mut whole.stages, &scenario.goals, distrust);
    whole.client.trusted = judged.trusted;
    whole.verdict = assemble::with_early_end(judged, &whole.ended_by);
    let totals = assemble::totals(&whole.stages);
    let answers = totals.total.answers();
    whole.answers_per_s = (answers as f64 / (whole.elapsed_ms as f64 / 1e3).max(1e-9) * 10.0).round() / 10.0;
    (whole.total, whole.endpoints, whole.lateness_us) = (totals.total, totals.endpoints, totals.lateness);
    whole.machine_stalls_us = totals.machine_stalls;
    Ok(whole)
}

/// Why the client of this part cannot be trusted, by the name of its shard. That its own goals rest on too few samples is
/// no such reason: the whole has more.
fn distrust(part: &RunResult, scenario: &Scenario) -> Vec<String> {
    let busy = &part.client.busy_share_by_thread;
    let mut reasons = assemble::distrust(&part.stages, &scenario.goals, busy, scenario.is_closed());
    if reasons.is_empty() && !part.client.trusted {
        // Shares are rounded in results: one that is hardly over the limit no longer shows it.
        reasons.push("by its own verdict its client was not to be trusted".to_owned());
    }
    let numbers: Vec<String> = part.shard.numbers.iter().map(u32::to_string).collect();
    reasons.iter().map(|reason| format!("shard {}: {reason}", numbers.join(", "))).collect()
}

fn check_same(parts: &[RunResult]) -> Result<(), MergeError> {
    let Some(first) = parts.first() else { return Ok(()) };
    for (index, part) in parts.iter().enumerate() {
        let different = |what| Err(MergeError::Different { number: index + 1, what });
        let (a, b) = (&first.provenance, &part.provenance);
        if a.scenario != b.scenario {
            return different("scenario");
        }
        if a.seed != b.seed {
            return different("seed");
        }
        if (&a.loadgen_version, &a.commit) != (&b.loadgen_version, &b.commit) {
            return different("version of loadgen");
        }
        if first.targets.blake3 != part.targets.blake3 {
            return different("targets");
        }
        if first.timeout_ms != part.timeout_ms {
            return different("timeout");
        }
        if first.shard.count != part.shard.count || first.stages.len() != part.stages.len() {
            return different("number of shards or stages");
        }
        let apart = a.started_at_unix_ms.abs_diff(b.started_at_unix_ms);
        if apart > APART_MS_MAX {
            return Err(MergeError::Apart(apart));
        }
    }
    Ok(())
}

fn check_shards(parts: &[RunResult]) -> Result<(), MergeError> {
    let mut numbers: Vec<u32> = parts.iter().flat_map(|part| part.shard.numbers.clone()).collect();
    numbers.sort_unstable();
    if let Some(two) = numbers.windows(2).find(|two| two[0] == two[1]) {
        return Err(MergeError::Repeated(two[0]));
    }
    let count = parts.first().map_or(0, |part| part.shard.count);
    match (1..=count).find(|number| !numbers.contains(number)) {
        Some(number) => Err(MergeError::Missing { number, count }),
        None => Ok(()),
    }
}

/// How much an end tells of the whole, whichever shard comes first: a goal that one has lost is lost.
fn weight(ended_by: &str) -> u8 {
    match ended_by {
        "goal_missed" => 2,
        "interrupted" => 1,
        _ => 0,
    }
}

fn add(whole: &mut RunResult, part: RunResult) {
    whole.provenance.hosts.extend(part.provenance.hosts);
    whole.shard.numbers.extend(part.shard.numbers);
    whole.connections_configured += part.connections_configured;
    whole.elapsed_ms = whole.elapsed_ms.max(part.elapsed_ms);
    if weight(&part.ended_by) > weight(&whole.ended_by) {
        whole.ended_by = part.ended_by;
    }
    for (stage, other) in whole.stages.iter_mut().zip(&part.stages) {
        add_stage(stage, other);
    }
    for point in part.timeline.points {
        add_point(&mut whole.timeline.points, point);
    }
    whole.timeline.points.sort_by_key(|point| (point.t_ms, point.stage));
    for swap in part.swaps {
        match whole.swaps.iter_mut().find(|known| known.to == swap.to) {
            Some(known) => known.t_ms = known.t_ms.min(swap.t_ms),
            None => whole.swaps.push(swap),
        }
    }
    whole.swaps.sort_by_key(|swap| swap.t_ms);
    // All looked at one server at the same times: to add these up would count everything twice.
    whole.server_says = whole.server_says.take().or(part.server_says);
    whole.first_wrong = whole.first_wrong.take().or(part.first_wrong);
    let (into, from) = (&mut whole.connections, part.connections);
    into.opened += from.opened;
    into.reconnects += from.reconnects;
    into.requests_reused += from.requests_reused;
    into.requests_new += from.requests_new;
    into.service_new_us.merge(&from.service_new_us);
    into.service_reused_us.merge(&from.service_reused_us);
    into.tcp_connect_us.merge(&from.tcp_connect_us);
    into.tls_full_us.merge(&from.tls_full_us);
    into.tls_resumed_us.merge(&from.tls_resumed_us);
    whole.client.merge(part.client);
    whole.tracking_codes.remembered += part.tracking_codes.remembered;
    whole.tracking_codes.unremembered += part.tracking_codes.unremembered;
}

fn add_stage(stage: &mut StageResult, other: &StageResult) {
    stage.intended_per_s += other.intended_per_s;
    stage.sent_per_s += other.sent_per_s;
    stage.total.merge(&other.total);
    stage.lateness_us.merge(&other.lateness_us);
    stage.machine_stalls_us.merge(&other.machine_stalls_us);
    for (name, tallied) in &other.endpoints {
        stage.endpoints.entry(name.clone()).or_default().merge(tallied);
    }
}

fn add_point(points: &mut Vec<TimelinePoint>, other: TimelinePoint) {
    let is_same = |point: &TimelinePoint| (point.t_ms, point.stage) == (other.t_ms, other.stage);
    let Some(at) = points.iter().position(is_same) else {
        points.push(other);
        return;
    };
    let point = &mut points[at];
    point.intended += other.intended;
    point.sent += other.sent;
    point.completed += other.completed;
    point.errors += other.errors;
    point.wrong_answers += other.wrong_answers;
    point.generation = point.generation.take().or(other.generation);
    let joined = |a: &str, b: &str| {
        let mut whole = Latencies::decode(a).unwrap_or_default();
        whole.merge(&Latencies::decode(b).unwrap_or_default());
        whole
    };
    let latency = joined(&point.latency_histogram, &other.latency_histogram);
    let service = joined(&point.service_histogram, &other.service_histogram);
    let lateness = joined(&point.lateness_histogram, &other.lateness_histogram);
    let stalls = joined(&point.machine_stalls_histogram, &other.machine_stalls_histogram);
    *point = std::mem::take(point).measured(&latency, &service, &lateness).stalled(&stalls);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{Swap, Verdict, sample_run};

    /// Two shards of the sample, the second changed.
    fn merged(change: impl Fn(&mut RunResult)) -> RunResult {
        let shard = |number: u32| {
            let mut run = sample_run();
            (run.shard.numbers, run.shard.count) = (vec![number], 2);
            run
        };
        let (mut one, mut two) = (shard(1), shard(2));
        change(&mut two);
        add(&mut one, two);
        one
    }

    const SCENARIO: &str = "[[stage]]\nname = \"warm-up\"\nkind = \"constant\"\nrate_per_s = 2000\nduration_s = 5\n\
        warmup = true\n[[stage]]\nname = \"peak\"\nkind = \"constant\"\nrate_per_s = 2000\nduration_s = 15\n\
        [goals]\np99_us = 20000\nerrors_share_max = 1.0\nwrong_answers_max = 100\n";

    /// Four shards of two stages with a goal of 20 ms, of which the second is changed, and what they come to together.
    fn four(change: impl Fn(&mut RunResult)) -> RunResult {
        let shard = |number: u32| {
            let mut run = sample_run();
            run.stages.truncate(2);
            run.provenance.scenario.text = SCENARIO.to_owned();
            (run.shard.numbers, run.shard.count) = (vec![number], 4);
            if number == 2 {
                change(&mut run);
            }
            run
        };
        merge((1..=4).map(shard).collect()).unwrap()
    }

    fn of_one_value(ms: u64, count: u64) -> Latencies {
        let mut latencies = Latencies::new();
        (0..count).for_each(|_| latencies.record(std::time::Duration::from_millis(ms)));
        latencies
    }

    /// 600 of the part's 30,600 are late, which is more than 1 % of its own and less of the whole.
    #[test]
    fn a_worker_that_was_late_is_not_washed_clean_by_the_others() {
        let late = four(|run| run.stages[1].lateness_us.merge(&of_one_value(9, 600)));
        assert_eq!((late.verdict.verdict, late.client.trusted), (Verdict::Invalid, false));
        let p99 = late.stages[1].lateness_us.summary().p99.us().unwrap();
        assert!(p99 <= 2_000, "the whole would pass: {p99}");
        let reason = "shard 2: stage peak: the client itself was late by ";
        assert!(late.verdict.reasons[0].starts_with(reason), "{:?}", late.verdict.reasons);
        let busy = four(|run| run.client.busy_share_by_thread = vec![0.5, 0.93]);
        let reason = "shard 2: sender thread 2 was busy 93 % of the time";
        assert!(busy.verdict.reasons[0].starts_with(reason), "{:?}", busy.verdict.reasons);
        let told = four(|run| run.client.trusted = false);
        assert_eq!(told.verdict.verdict, Verdict::Invalid);
        assert!(told.verdict.reasons[0].starts_with("shard 2: by its own verdict"));
    }

    #[test]
    fn a_worker_with_too_few_samples_of_its_own_is_no_reason_against_the_whole() {
        let few = four(|run| {
            run.stages[1].total.latency_us = of_one_value(1, 3);
            run.verdict.verdict = Verdict::Invalid;
        });
        assert_eq!((few.verdict.verdict, few.client.trusted), (Verdict::Met, true), "{:?}", few.verdict);
    }

    #[test]
    fn the_weightier_end_is_that_of_the_whole() {
        for (one, two, whole) in [
            ("schedule", "interrupted", "interrupted"),
            ("goal_missed", "interrupted", "goal_missed"),
            ("interrupted", "goal_missed", "goal_missed"),
            ("interrupted", "schedule", "interrupted"),
        ] {
            let mut first = sample_run();
            first.ended_by = one.to_owned();
            add(&mut first, RunResult { ended_by: two.to_owned(), ..sample_run() });
            assert_eq!(first.ended_by, whole, "{one} and {two}");
        }
    }

    #[test]
    fn swaps_are_those_of_the_first_shard_that_saw_each_in_the_order_of_time() {
        let swap = |t_ms, to: &str| Swap { t_ms, from: "x".to_owned(), to: to.to_owned() };
        let mut one = sample_run();
        one.swaps = vec![swap(12_000, "b"), swap(20_000, "d")];
        let two = RunResult { swaps: vec![swap(11_990, "b"), swap(15_000, "c")], ..sample_run() };
        add(&mut one, two);
        let seen: Vec<(u64, &str)> = one.swaps.iter().map(|swap| (swap.t_ms, swap.to.as_str())).collect();
        assert_eq!(seen, [(11_990, "b"), (15_000, "c"), (20_000, "d")]);
    }

    #[test]
    fn intervals_are_merged_from_their_histograms_and_never_averaged() {
        let slow = |run: &mut RunResult| {
            for point in &mut run.timeline.points {
                let mut latencies = Latencies::new();
                (0..2_000).for_each(|_| latencies.record(std::time::Duration::from_millis(90)));
                *point = std::mem::take(point).measured(&latencies, &latencies, &latencies);
            }
        };
        let point = &merged(slow).timeline.points[0];
        assert_eq!(point.latency_us.samples, 4_000);
        let [p50, p90] = [point.latency_us.p50, point.latency_us.p90].map(|p| p.us().unwrap());
        assert!(p50 < 10_000 && p90 > 89_000, "half are slow: {p50} {p90}, and no mean of the two");
    }

    /// The second shard had no request of the first stage in the interval in which the stages meet.
    #[test]
    fn intervals_of_two_stages_at_one_time_are_merged_each_with_its_own() {
        let point = |stage, count| {
            let latencies = of_one_value(1 + u64::from(stage), count);
            let point = TimelinePoint { t_ms: 1_000, stage, completed: count, ..TimelinePoint::default() };
            point.measured(&latencies, &latencies, &latencies).stalled(&latencies)
        };
        let (mut one, mut two) = (sample_run(), sample_run());
        one.timeline.points = vec![point(0, 3), point(1, 4)];
        two.timeline.points = vec![point(1, 20)];
        add(&mut two, one);
        let points = &two.timeline.points;
        let found: Vec<_> = points.iter().map(|p| (p.stage, p.completed, p.latency_us.samples)).collect();
        assert_eq!(found, [(0, 3, 3), (1, 24, 24)]);
        let merged = Latencies::decode(&points[1].latency_histogram).unwrap();
        assert_eq!(merged.histogram(), of_one_value(2, 24).histogram(), "nothing is lost");
    }
}
