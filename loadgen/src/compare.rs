//! Holds two measurements against each other: the ratio of each percentile and of the answers a second, with a
//! bootstrap interval.
//!
//! Whether the two may be compared at all is `alike`'s business. What is resampled are intervals of the timeline, not requests: neighbouring requests share a server's
//! mood, and taking them for independent would make every interval too narrow. Percentiles of each resample
//! come from merged histograms.

use crate::latency::Latencies;
use crate::random::Random;
use crate::result::{Ratio, RunResult, TimelinePoint};

/// Why two results are not compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareError {
    #[error("result {0} is no run; compare takes what `loadgen run --out` or `merge --out` wrote")]
    NotARun(usize),
    #[error(
        "the two differ in {0}; what is compared must be alike but for the server (--allow-different overrides)"
    )]
    Different(String),
}

pub(crate) const RESAMPLES: u32 = 1_000;
pub(crate) const CONFIDENCE: f64 = 0.95;
/// Fewer intervals of the timeline give no notion of how much they differ among themselves.
const BLOCKS_MIN: usize = 5;
/// Fewer give too narrow a notion of it.
const BLOCKS_ENOUGH: usize = 20;
const PERCENTILES: [(&str, u64); 4] =
    [("p50_us", 500_000), ("p90_us", 900_000), ("p99_us", 990_000), ("p99_9_us", 999_000)];

/// One side: what each interval that was measured came to. Latencies are counts of few distinct values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Side {
    /// Microseconds, in order.
    values: Vec<u64>,
    /// For each interval: places in `values`, and counts.
    blocks: Vec<Vec<(u32, u64)>>,
    /// For each interval: whole answers, and seconds.
    answers: Vec<(f64, f64)>,
}

impl Side {
    /// Adds a run's measured intervals.
    pub(crate) fn add(&mut self, run: &RunResult) {
        for point in &run.timeline.points {
            let warmup = run.stages.get(point.stage as usize).is_some_and(|stage| stage.warmup);
            if let Some(latencies) = Latencies::decode(&point.latency_histogram).filter(|_| !warmup) {
                self.add_block(&latencies);
            }
        }
        self.answers.extend(answers(run));
    }

    fn add_block(&mut self, latencies: &Latencies) {
        let recorded = latencies.histogram().iter_recorded();
        let block: Vec<(u64, u64)> =
            recorded.map(|value| (value.value_iterated_to(), value.count_since_last_iteration())).collect();
        if block.is_empty() {
            return;
        }
        self.add_values(block.iter().map(|(value, _)| *value));
        let place = |value: &u64| self.values.binary_search(value).map_or(0, |at| at as u32);
        let block = block.iter().map(|(value, count)| (place(value), *count)).collect();
        self.blocks.push(block);
    }

    /// Makes room for new values; the blocks so far point to where theirs have moved.
    fn add_values(&mut self, new: impl Iterator<Item = u64>) {
        let mut values: Vec<u64> = self.values.iter().copied().chain(new).collect();
        values.sort_unstable();
        values.dedup();
        let moved: Vec<u32> =
            self.values.iter().map(|value| values.binary_search(value).map_or(0, |at| at as u32)).collect();
        for (at, _) in self.blocks.iter_mut().flatten() {
            *at = moved[*at as usize];
        }
        self.values = values;
    }

    /// The percentiles of these blocks together; `None` where there is no sample.
    fn percentiles(&self, chosen: impl Iterator<Item = usize>) -> [Option<f64>; PERCENTILES.len()] {
        let mut counts = vec![0_u64; self.values.len()];
        chosen.flat_map(|block| &self.blocks[block]).for_each(|(at, count)| counts[*at as usize] += count);
        let total: u64 = counts.iter().sum();
        PERCENTILES.map(|(_, ppm)| {
            let wanted = (total * ppm).div_ceil(1_000_000);
            let mut seen = 0;
            let found = counts.iter().position(|count| {
                seen += count;
                seen >= wanted.max(1)
            });
            found.map(|at| self.values[at] as f64)
        })
    }

    /// Those of the whole that may be stated. What is resampled is not asked for its samples: a draw that has a few less
    /// than the whole is a draw all the same, and to leave those out would leave the quiet ones out.
    fn all(&self) -> [Option<f64>; PERCENTILES.len()] {
        let samples: u64 = self.blocks.iter().flatten().map(|(_, count)| count).sum();
        let mut stated = self.percentiles(0..self.blocks.len());
        for (percentile, (_, ppm)) in stated.iter_mut().zip(PERCENTILES) {
            *percentile = percentile.filter(|_| samples * (1_000_000 - ppm) >= 100_000_000);
        }
        stated
    }

    fn answers_per_s(&self) -> Option<f64> {
        per_s(self.answers.iter())
    }

    fn resampled_per_s(&self, random: &mut Random) -> Option<f64> {
        let count = self.answers.len() as u64;
        per_s((0..count).map(|_| &self.answers[random.below(count) as usize]))
    }

    fn resample(&self, random: &mut Random) -> [Option<f64>; PERCENTILES.len()] {
        let count = self.blocks.len();
        let chosen: Vec<usize> = (0..count).map(|_| random.below(count as u64) as usize).collect();
        self.percentiles(chosen.into_iter())
    }
}

fn per_s<'a>(intervals: impl Iterator<Item = &'a (f64, f64)>) -> Option<f64> {
    let (answers, seconds) =
        intervals.fold((0.0, 0.0), |(a, s), (answers, seconds)| (a + answers, s + seconds));
    (seconds > 0.0).then(|| answers / seconds)
}

/// Whole answers and seconds of each measured interval of a run; one in which nothing fell due is there too: in a
/// closed loop that is a server that stood still.
fn answers(run: &RunResult) -> Vec<(f64, f64)> {
    let points = &run.timeline.points;
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let is_warmup = |stage: usize| run.stages.get(stage).is_some_and(|stage| stage.warmup);
    let stage_at = |t_ms: u64| run.stages.iter().filter(|s| s.starts_at_ms <= t_ms).count().saturating_sub(1);
    let interval_ms = run.timeline.interval_ms.max(1);
    // The last interval is as long as the run was.
    let began_ms = run.stages.iter().find(|stage| !stage.warmup).map_or(0, |stage| stage.starts_at_ms);
    let planned_ms = run.stages.iter().map(|s| s.starts_at_ms + s.duration_ms).max().unwrap_or(u64::MAX);
    let end_ms = planned_ms.min(began_ms + run.elapsed_ms);
    let of_interval = |t_ms: u64| {
        let at = points.binary_search_by_key(&t_ms, |point| point.t_ms).ok();
        let point: Option<&TimelinePoint> = at.map(|at| &points[at]);
        let stage = point.map_or_else(|| stage_at(t_ms), |point| point.stage as usize);
        let seconds = end_ms.saturating_sub(t_ms).clamp(1, interval_ms) as f64 / 1e3;
        (!is_warmup(stage)).then(|| (point.map_or(0.0, |point| point.completed as f64), seconds))
    };
    (first.t_ms..=last.t_ms).step_by(interval_ms as usize).filter_map(of_interval).collect()
}

/// What there is to say of how many intervals the ratios rest on.
pub(crate) fn few_intervals(a: &Side, b: &Side) -> Option<String> {
    let [a, b] = [a, b].map(|side| side.blocks.len());
    let fewest = a.min(b);
    let advice = "compare longer runs, or give two live servers more --rounds";
    if fewest < BLOCKS_MIN {
        Some(format!(
            "no ratio of latencies is stated: a has {a} intervals of the timeline and b {b}, {BLOCKS_MIN} are the least; \
             {advice}"
        ))
    } else {
        (fewest < BLOCKS_ENOUGH).then(|| {
            format!(
                "a has {a} intervals of the timeline and b {b}: with fewer than {BLOCKS_ENOUGH} the intervals of the \
                 ratios are too narrow; {advice}"
            )
        })
    }
}

/// b over a for each percentile that both have the samples for, then for the answers a second; none of what one side has
/// too few intervals of to be resampled.
pub(crate) fn ratios(a: &Side, b: &Side, seed: u64) -> Vec<Ratio> {
    let enough = |intervals: fn(&Side) -> usize| [a, b].into_iter().all(|side| intervals(side) >= BLOCKS_MIN);
    let (of_latencies, of_answers) = (enough(|side| side.blocks.len()), enough(|side| side.answers.len()));
    let (whole_a, whole_b) = (a.all(), b.all());
    let mut random = Random::at(seed, 0xB007);
    let draws: Vec<_> = (0..RESAMPLES).map(|_| (a.resample(&mut random), b.resample(&mut random))).collect();
    let of_percentile = |(at, (what, _)): (usize, &(&str, u64))| {
        let drawn = draws.iter().filter(|_| of_latencies).filter_map(|(a, b)| Some(b[at]? / a[at]?.max(1.0)));
        ratio(what, (whole_a[at]?, whole_b[at]?), 1.0, drawn.collect())
    };
    let mut ratios: Vec<Ratio> = PERCENTILES.iter().enumerate().filter_map(of_percentile).collect();
    if let (Some(rate_a), Some(rate_b)) = (a.answers_per_s(), b.answers_per_s()) {
        let draw =
            |_| Some(b.resampled_per_s(&mut random)? / a.resampled_per_s(&mut random)?.max(LEAST_PER_S));
        let drawn = (0..RESAMPLES).filter(|_| of_answers).filter_map(draw).collect();
        ratios.extend(ratio("answers_per_s", (rate_a, rate_b), LEAST_PER_S, drawn));
    }
    ratios
}

/// What is divided by is never less: a side without an answer is no division by zero.
const LEAST_PER_S: f64 = 1e-3;

/// b over a, with the middle of what was drawn as its interval.
fn ratio(what: &str, (a, b): (f64, f64), least: f64, mut drawn: Vec<f64>) -> Option<Ratio> {
    drawn.sort_by(f64::total_cmp);
    let place = |part: f64| drawn.get(((drawn.len() as f64 - 1.0) * part).round() as usize).copied();
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let (low, high) = (place(tail)?, place(1.0 - tail)?);
    Some(Ratio { what: what.to_owned(), a, b, ratio: b / a.max(least), low, high })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Sixty intervals of a thousand latencies around a mean that wanders from interval to interval.
    fn side(seed: u64, scale: f64) -> Side {
        let (mut random, mut side) = (Random::new(seed), Side::default());
        for _ in 0..60 {
            let mood = 0.8 + 0.4 * random.unit();
            let mut latencies = Latencies::new();
            for _ in 0..1_000 {
                let us = 200.0 * scale * mood * (1.0 + random.exponential());
                latencies.record(Duration::from_nanos((us * 1_000.0) as u64));
            }
            side.add_block(&latencies);
        }
        side
    }

    #[test]
    fn intervals_hold_the_true_ratio_about_as_often_as_they_say() {
        let (mut false_alarms, mut misses) = (0, 0);
        for seed in 0..20 {
            let same = ratios(&side(seed, 1.0), &side(seed + 1_000, 1.0), seed);
            assert_eq!(same.len(), 3, "p99.9 of 60,000 is insufficient");
            false_alarms += usize::from(same[0].differs());
            let slower = ratios(&side(seed, 1.0), &side(seed + 1_000, 1.25), seed);
            assert!(slower.iter().all(Ratio::differs), "{slower:?}");
            misses += usize::from(!(slower[0].low..=slower[0].high).contains(&1.25));
        }
        assert!(
            false_alarms <= 4 && misses <= 4,
            "{false_alarms} and {misses} of 20 at a confidence of 0.95"
        );
    }

    /// Of one interval alone every draw is the same, and the interval of the ratio would have no width.
    #[test]
    fn too_few_intervals_give_no_ratio_and_few_are_told() {
        let cut = |count: usize| {
            let mut side = side(1, 1.0);
            side.blocks.truncate(count);
            side
        };
        let (one, few, enough) = (cut(1), cut(19), cut(20));
        assert!(ratios(&one, &enough, 1).is_empty() && ratios(&few, &enough, 1).len() == 3);
        assert!(
            few_intervals(&enough, &one).unwrap().starts_with("no ratio of latencies is stated: a has 20")
        );
        assert!(few_intervals(&few, &enough).unwrap().contains("too narrow; compare longer runs"));
        assert_eq!(few_intervals(&enough, &enough), None);
    }

    /// Ten thousand samples are the least for a p99: about half of the draws of uneven intervals have fewer.
    #[test]
    fn draws_with_fewer_samples_than_the_whole_are_not_left_out() {
        let mut side = Side::default();
        for (count, us) in [(100, 1_000), (1_900, 100)].into_iter().cycle().take(10) {
            let mut latencies = Latencies::new();
            (0..count).for_each(|_| latencies.record(Duration::from_micros(us)));
            side.add_block(&latencies);
        }
        assert!(side.all()[2].is_some(), "10,000 samples in all");
        let mut random = Random::new(3);
        assert!((0..200).all(|_| side.resample(&mut random)[2].is_some()));
    }

    /// A run of this many answers in each second of a closed loop; the first two seconds are a warm-up.
    fn rates(seconds: &[u64]) -> RunResult {
        let mut run = crate::result::sample_run();
        let mut points = Vec::new();
        for (at, &completed) in seconds.iter().enumerate().filter(|(_, completed)| **completed > 0) {
            let stage = u32::from(at >= 2);
            points.push(TimelinePoint {
                t_ms: at as u64 * 1_000,
                stage,
                completed,
                ..TimelinePoint::default()
            });
        }
        run.timeline.points = points;
        run.stages.truncate(2);
        let length_ms = seconds.len() as u64 * 1_000;
        (run.stages[0].duration_ms, run.stages[1].starts_at_ms) = (2_000, 2_000);
        run.stages[1].duration_ms = length_ms - 2_000;
        run.elapsed_ms = length_ms - 2_000;
        run
    }

    #[test]
    fn answers_a_second_leave_the_warmup_out_and_count_seconds_of_silence() {
        let run = rates(&[9_000, 9_000, 100, 0, 0, 300]);
        assert_eq!(answers(&run), [(100.0, 1.0), (0.0, 1.0), (0.0, 1.0), (300.0, 1.0)]);
        let cut = RunResult { elapsed_ms: 3_250, ..run };
        assert_eq!(answers(&cut).last(), Some(&(300.0, 0.25)), "the last interval is as long as the run was");
    }

    #[test]
    fn the_ratio_of_answers_a_second_has_an_interval() {
        let side = |base: u64| {
            let mut side = Side::default();
            side.add(&rates(&(0..60).map(|at| base + at % 7 * 10).collect::<Vec<_>>()));
            side
        };
        let found = ratios(&side(1_000), &side(500), 1);
        let rate = found.iter().find(|ratio| ratio.what == "answers_per_s").unwrap();
        assert!((0.50..0.53).contains(&rate.ratio) && rate.differs(), "{rate:?}");
        assert!(rate.low <= rate.ratio && rate.ratio <= rate.high && rate.high - rate.low < 0.05, "{rate:?}");
        let same = ratios(&side(1_000), &side(1_000), 1);
        assert!(!same.last().unwrap().differs(), "{same:?}");
        assert!(ratios(&Side::default(), &Side::default(), 1).is_empty());
    }
}
