//! One side of a comparison: its turns, each with what its measured intervals came to, and draws of them.

use crate::latency::Latencies;
use crate::random::Random;
use crate::result::{RunResult, StageResult, TimelinePoint};

pub(super) const PERCENTILES: [(&str, u64); 4] =
    [("p50_us", 500_000), ("p90_us", 900_000), ("p99_us", 990_000), ("p99_9_us", 999_000)];

/// What may be stated of each percentile.
type Percentiles = [Option<f64>; PERCENTILES.len()];
/// An interval's latencies: places in the side's values, and counts.
type Block = Vec<(u32, u64)>;

/// One run of a side.
#[derive(Debug, Clone, Default)]
struct Turn {
    /// For each interval that had latencies.
    blocks: Vec<Block>,
    /// For each interval: whole answers, and seconds.
    answers: Vec<(f64, f64)>,
}

/// All turns of one side. Latencies are counts of few distinct values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Side {
    /// Microseconds, in order.
    values: Vec<u64>,
    turns: Vec<Turn>,
}

impl Side {
    /// Adds a turn: the measured intervals of a run.
    pub(crate) fn add(&mut self, run: &RunResult) {
        let points = run.timeline.points.iter().filter(|point| is_measured(run, point));
        let latencies: Vec<Latencies> =
            points.filter_map(|point| Latencies::decode(&point.latency_histogram)).collect();
        self.add_turn(&latencies, answers(run));
    }

    pub(super) fn add_turn(&mut self, latencies: &[Latencies], answers: Vec<(f64, f64)>) {
        let counts = |latencies: &Latencies| -> Vec<(u64, u64)> {
            let recorded = latencies.histogram().iter_recorded();
            recorded.map(|value| (value.value_iterated_to(), value.count_since_last_iteration())).collect()
        };
        let blocks: Vec<Vec<(u64, u64)>> =
            latencies.iter().map(counts).filter(|block| !block.is_empty()).collect();
        self.add_values(blocks.iter().flatten().map(|(value, _)| *value));
        let place = |value: u64| self.values.binary_search(&value).map_or(0, |at| at as u32);
        let placed = |block: Vec<(u64, u64)>| block.into_iter().map(|(v, n)| (place(v), n)).collect();
        let blocks = blocks.into_iter().map(placed).collect();
        self.turns.push(Turn { blocks, answers });
    }

    /// Makes room for new values; the blocks so far point to where theirs have moved.
    fn add_values(&mut self, new: impl Iterator<Item = u64>) {
        let mut values: Vec<u64> = self.values.iter().copied().chain(new).collect();
        values.sort_unstable();
        values.dedup();
        let moved: Vec<u32> =
            self.values.iter().map(|value| values.binary_search(value).map_or(0, |at| at as u32)).collect();
        for (at, _) in self.turns.iter_mut().flat_map(|turn| &mut turn.blocks).flatten() {
            *at = moved[*at as usize];
        }
        self.values = values;
    }

    pub(super) fn turns(&self) -> usize {
        self.turns.len()
    }

    fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.turns.iter().flat_map(|turn| &turn.blocks)
    }

    /// How many intervals had latencies.
    pub(super) fn intervals(&self) -> usize {
        self.blocks().count()
    }

    /// How many intervals were measured.
    pub(super) fn intervals_of_answers(&self) -> usize {
        self.turns.iter().map(|turn| turn.answers.len()).sum()
    }

    /// The percentiles of these blocks together; `None` where there is no sample.
    fn percentiles<'a>(&self, chosen: impl Iterator<Item = &'a Block>) -> Percentiles {
        let mut counts = vec![0_u64; self.values.len()];
        chosen.flatten().for_each(|(at, count)| counts[*at as usize] += count);
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
    pub(super) fn all(&self) -> Percentiles {
        let samples: u64 = self.blocks().flatten().map(|(_, count)| count).sum();
        let mut stated = self.percentiles(self.blocks());
        for (percentile, (_, ppm)) in stated.iter_mut().zip(PERCENTILES) {
            *percentile = percentile.filter(|_| samples * (1_000_000 - ppm) >= 100_000_000);
        }
        stated
    }

    pub(super) fn answers_per_s(&self) -> Option<f64> {
        per_s(self.turns.iter().flat_map(|turn| &turn.answers))
    }

    /// Of the turns that were drawn, of each as many of its intervals as it has, drawn again.
    pub(super) fn resample(&self, turns: &[usize], random: &mut Random) -> Percentiles {
        let chosen: Vec<&Block> =
            turns.iter().flat_map(|turn| drawn(&self.turns[*turn].blocks, random)).collect();
        self.percentiles(chosen.into_iter())
    }

    /// The same of the answers a second.
    pub(super) fn resample_per_s(&self, turns: &[usize], random: &mut Random) -> Option<f64> {
        let chosen: Vec<&(f64, f64)> =
            turns.iter().flat_map(|turn| drawn(&self.turns[*turn].answers, random)).collect();
        per_s(chosen.into_iter())
    }
}

/// As many as there are, each at random.
fn drawn<'a, T>(of: &'a [T], random: &mut Random) -> Vec<&'a T> {
    (0..of.len()).map(|_| &of[random.below(of.len() as u64) as usize]).collect()
}

fn per_s<'a>(intervals: impl Iterator<Item = &'a (f64, f64)>) -> Option<f64> {
    let (answers, seconds) =
        intervals.fold((0.0, 0.0), |(a, s), (answers, seconds)| (a + answers, s + seconds));
    (seconds > 0.0).then(|| answers / seconds)
}

/// Whole answers and seconds of each measured interval of a run, of one in which stages meet as far as it was measured. One
/// in which nothing fell due is there too: in a closed loop that is a server that stood still.
pub(super) fn answers(run: &RunResult) -> Vec<(f64, f64)> {
    let points = &run.timeline.points;
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let interval_ms = run.timeline.interval_ms.max(1);
    let of_interval = |t_ms: u64| {
        let from = points.partition_point(|point| point.t_ms < t_ms);
        let there = || points[from..].iter().take_while(|point| point.t_ms == t_ms);
        let measured: Vec<u64> =
            there().filter(|point| is_measured(run, point)).map(|point| point.completed).collect();
        // Results of before intervals were divided between stages have all of such a one in the first of these.
        if measured.is_empty() && there().next().is_some() {
            return None;
        }
        let ms = measured_ms(run, t_ms, interval_ms);
        let is_there = ms > 0 || !measured.is_empty();
        is_there.then(|| (measured.iter().sum::<u64>() as f64, ms.max(1) as f64 / 1e3))
    };
    (first.t_ms..=last.t_ms).step_by(interval_ms as usize).filter_map(of_interval).collect()
}

/// How much of an interval measured stages fill; the last one is as long as the run was.
fn measured_ms(run: &RunResult, t_ms: u64, interval_ms: u64) -> u64 {
    let mut measured = run.stages.iter().filter(|stage| !stage.warmup).peekable();
    let end_ms = measured.peek().map_or(0, |stage| stage.starts_at_ms) + run.elapsed_ms;
    let of_stage = |stage: &StageResult| {
        let to_ms = (stage.starts_at_ms + stage.duration_ms).min(end_ms).min(t_ms + interval_ms);
        to_ms.saturating_sub(t_ms.max(stage.starts_at_ms))
    };
    measured.map(of_stage).sum()
}

fn is_measured(run: &RunResult, point: &TimelinePoint) -> bool {
    !run.stages.get(point.stage as usize).is_some_and(|stage| stage.warmup)
}
