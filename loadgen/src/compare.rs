//! Holds two measurements against each other: the ratio of each percentile, with a bootstrap interval.
//!
//! What is resampled are intervals of the timeline, not requests: neighbouring requests share a server's
//! mood, and taking them for independent would make every interval too narrow. Percentiles of each resample
//! come from merged histograms.

use crate::latency::Latencies;
use crate::random::Random;
use crate::result::{Ratio, RunResult};

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
const PERCENTILES: [(&str, u64); 4] =
    [("p50_us", 500_000), ("p90_us", 900_000), ("p99_us", 990_000), ("p99_9_us", 999_000)];

/// What must be alike and is not.
pub(crate) fn differences(a: &RunResult, b: &RunResult) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |same: bool, what: &str| {
        if !same {
            found.push(what.to_owned());
        }
    };
    check(a.provenance.hosts == b.provenance.hosts, "machine");
    check(a.provenance.scenario.blake3 == b.provenance.scenario.blake3, "scenario");
    check(a.targets.blake3 == b.targets.blake3, "targets");
    check(a.mode == b.mode, "mode");
    check(a.connections_configured == b.connections_configured, "number of connections");
    found
}

/// One side: the latencies of each interval that was measured, as counts of few distinct values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Side {
    /// Microseconds, in order.
    values: Vec<u64>,
    /// For each interval: places in `values`, and counts.
    blocks: Vec<Vec<(u32, u64)>>,
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

    /// The percentiles of these blocks together; `None` where there are too few samples.
    fn percentiles(&self, chosen: impl Iterator<Item = usize>) -> [Option<f64>; PERCENTILES.len()] {
        let mut counts = vec![0_u64; self.values.len()];
        chosen.flat_map(|block| &self.blocks[block]).for_each(|(at, count)| counts[*at as usize] += count);
        let total: u64 = counts.iter().sum();
        PERCENTILES.map(|(_, ppm)| {
            if total * (1_000_000 - ppm) < 100_000_000 {
                return None;
            }
            let wanted = (total * ppm).div_ceil(1_000_000);
            let mut seen = 0;
            let found = counts.iter().position(|count| {
                seen += count;
                seen >= wanted
            });
            found.map(|at| self.values[at] as f64)
        })
    }

    fn all(&self) -> [Option<f64>; PERCENTILES.len()] {
        self.percentiles(0..self.blocks.len())
    }

    fn resample(&self, random: &mut Random) -> [Option<f64>; PERCENTILES.len()] {
        let count = self.blocks.len();
        let chosen: Vec<usize> = (0..count).map(|_| random.below(count as u64) as usize).collect();
        self.percentiles(chosen.into_iter())
    }
}

/// b over a for each percentile that both have the samples for.
pub(crate) fn ratios(a: &Side, b: &Side, seed: u64) -> Vec<Ratio> {
    let (whole_a, whole_b) = (a.all(), b.all());
    let mut random = Random::at(seed, 0xB007);
    let draws: Vec<_> = (0..RESAMPLES).map(|_| (a.resample(&mut random), b.resample(&mut random))).collect();
    let ratio = |(at, (what, _)): (usize, &(&str, u64))| {
        let (a, b) = (whole_a[at]?, whole_b[at]?);
        let drawn = draws.iter().filter_map(|(a, b)| Some(b[at]? / a[at]?.max(1.0)));
        let mut drawn: Vec<f64> = drawn.collect();
        drawn.sort_by(f64::total_cmp);
        let place = |part: f64| drawn.get(((drawn.len() as f64 - 1.0) * part).round() as usize).copied();
        let tail = (1.0 - CONFIDENCE) / 2.0;
        let (low, high) = (place(tail)?, place(1.0 - tail)?);
        Some(Ratio { what: (*what).to_owned(), a, b, ratio: b / a.max(1.0), low, high })
    };
    PERCENTILES.iter().enumerate().filter_map(ratio).collect()
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
}
