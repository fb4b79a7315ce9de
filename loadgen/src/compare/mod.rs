//! Holds two measurements against each other: the ratio of each percentile and of the answers a second, with a
//! bootstrap interval.
//!
//! Whether the two may be compared at all is `alike`'s business. What is resampled are turns, and within a turn intervals of
//! the timeline; never requests. Neighbouring requests share a server's mood, and so do the intervals of a run: taking
//! either for independent would make every interval of a ratio too narrow. The turns of the two sides are drawn in the pairs
//! in which they ran, as they share what drifts. Percentiles of each resample come from merged histograms.

mod side;

use crate::random::Random;
use crate::result::{Ratio, TURNS_MIN};

use side::PERCENTILES;
pub(crate) use side::Side;

/// Why two results are not compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareError {
    #[error("result {0} is no run; compare takes what `loadgen run --out` or `merge --out` wrote")]
    NotARun(usize),
    #[error("stopped before both servers had a turn: there is nothing to compare")]
    NoTurns,
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

/// What there is to say of what the ratios rest on.
pub(crate) fn cautions(a: &Side, b: &Side, live: bool) -> Vec<String> {
    let turns = a.turns().min(b.turns());
    let mut cautions = Vec::new();
    if !live && turns < 2 {
        let what = "the intervals hold the variation within the two runs only, and two runs of one server may differ by more: \
                    give --a and --b several results each, or two live servers, to tell a difference";
        cautions.push(what.to_owned());
    } else if turns < TURNS_MIN {
        let advice = if live { "give more --rounds" } else { "give more results of each side" };
        cautions.push(format!(
            "{turns} turns a side are too few turns to tell a difference, {TURNS_MIN} are the least; {advice}"
        ));
    }
    cautions.extend(few_intervals(a, b, turns));
    cautions
}

fn few_intervals(a: &Side, b: &Side, turns: usize) -> Option<String> {
    let [a, b] = [a, b].map(Side::intervals);
    let fewest = a.min(b);
    let advice = "compare longer runs, or give two live servers more --rounds";
    if fewest < BLOCKS_MIN {
        Some(format!(
            "no ratio of latencies is stated: a has {a} intervals of the timeline and b {b}, {BLOCKS_MIN} are the least; \
             {advice}"
        ))
    } else {
        // With more turns it is these that count.
        (turns < 2 && fewest < BLOCKS_ENOUGH).then(|| {
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
    let (of_latencies, of_answers) = (enough(Side::intervals), enough(Side::intervals_of_answers));
    let (whole_a, whole_b) = (a.all(), b.all());
    let pairs = a.turns().min(b.turns());
    let mut random = Random::at(seed, 0xB007);
    let draw = |random: &mut Random| {
        let turns = drawn_turns(pairs, random);
        (a.resample(&turns, random), b.resample(&turns, random))
    };
    let draws: Vec<_> = (0..RESAMPLES).filter(|_| of_latencies).map(|_| draw(&mut random)).collect();
    let of_percentile = |(at, (what, _)): (usize, &(&str, u64))| {
        let drawn = draws.iter().filter_map(|(a, b)| Some(b[at]? / a[at]?.max(1.0)));
        ratio(what, (whole_a[at]?, whole_b[at]?), 1.0, drawn.collect(), pairs)
    };
    let mut ratios: Vec<Ratio> = PERCENTILES.iter().enumerate().filter_map(of_percentile).collect();
    if let (Some(rate_a), Some(rate_b)) = (a.answers_per_s(), b.answers_per_s()) {
        let draw = |_| {
            let turns = drawn_turns(pairs, &mut random);
            let rate_b = b.resample_per_s(&turns, &mut random)?;
            Some(rate_b / a.resample_per_s(&turns, &mut random)?.max(LEAST_PER_S))
        };
        let drawn = (0..RESAMPLES).filter(|_| of_answers).filter_map(draw).collect();
        ratios.extend(ratio("answers_per_s", (rate_a, rate_b), LEAST_PER_S, drawn, pairs));
    }
    ratios
}

/// As many pairs of turns as there are, each at random.
fn drawn_turns(pairs: usize, random: &mut Random) -> Vec<usize> {
    (0..pairs).map(|_| random.below(pairs as u64) as usize).collect()
}

/// What is divided by is never less: a side without an answer is no division by zero.
const LEAST_PER_S: f64 = 1e-3;

/// b over a, with the middle of what was drawn as its interval, widened for few pairs of turns.
fn ratio(what: &str, (a, b): (f64, f64), least: f64, mut drawn: Vec<f64>, pairs: usize) -> Option<Ratio> {
    drawn.sort_by(f64::total_cmp);
    let place = |part: f64| drawn.get(((drawn.len() as f64 - 1.0) * part).round() as usize).copied();
    let (tail, ratio) = ((1.0 - CONFIDENCE) / 2.0, b / a.max(least));
    let widened =
        |bound: f64| if ratio > 0.0 { ratio * (bound / ratio).powf(widening(pairs)) } else { bound };
    let (low, high) = (widened(place(tail)?), widened(place(1.0 - tail)?));
    Some(Ratio { what: what.to_owned(), a, b, ratio, low, high })
}

/// How many standard deviations the middle 95 % of a normal distribution reach to each side.
const NORMAL: f64 = 1.959_964;

/// By how much, as a power, an interval drawn from few pairs of turns is too narrow: draws from n of them vary as if there
/// were n in place of n - 1 that tell, and the middle of what was drawn is a normal distribution's and not Student's.
fn widening(pairs: usize) -> f64 {
    if pairs < 2 {
        return 1.0;
    }
    let (n, z, freedom) = (pairs as f64, NORMAL, pairs as f64 - 1.0);
    // Abramowitz and Stegun 26.7.5, right to 1 % from 3 degrees of freedom on.
    let terms = [
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
    ];
    let student = terms.iter().rev().fold(0.0, |sum, term| (sum + term) / freedom) + z;
    (n / freedom).sqrt() * student / z
}

#[cfg(test)]
mod tests;
