//! Ratios of made-up sides, whose true ratio is known.

use std::time::Duration;

use super::side::answers;
use super::*;
use crate::latency::Latencies;
use crate::result::{RunResult, TimelinePoint};

/// A turn of so many intervals, with latencies of so many microseconds on average, and each interval in its own mood.
fn intervals(count: usize, samples: u64, us: f64, random: &mut Random) -> Vec<Latencies> {
    let interval = |random: &mut Random| {
        let (mood, mut latencies) = (0.8 + 0.4 * random.unit(), Latencies::new());
        for _ in 0..samples {
            let us = us * mood * (1.0 + random.exponential());
            latencies.record(Duration::from_nanos((us * 1_000.0) as u64));
        }
        latencies
    };
    (0..count).map(|_| interval(random)).collect()
}

/// One turn of sixty intervals of a thousand latencies.
fn side(seed: u64, scale: f64) -> Side {
    let (mut random, mut side) = (Random::new(seed), Side::default());
    side.add_turn(&intervals(60, 1_000, 200.0 * scale, &mut random), Vec::new());
    side
}

#[test]
fn intervals_of_one_turn_hold_the_ratio_of_what_varies_within_it() {
    let (mut false_alarms, mut misses) = (0, 0);
    for seed in 0..20 {
        let same = ratios(&side(seed, 1.0), &side(seed + 1_000, 1.0), seed);
        assert_eq!(same.len(), 3, "p99.9 of 60,000 is insufficient");
        false_alarms += usize::from(same[0].differs());
        let slower = ratios(&side(seed, 1.0), &side(seed + 1_000, 1.25), seed);
        assert!(slower.iter().all(Ratio::differs), "{slower:?}");
        misses += usize::from(!(slower[0].low..=slower[0].high).contains(&1.25));
    }
    assert!(false_alarms <= 4 && misses <= 4, "{false_alarms} and {misses} of 20 at a confidence of 0.95");
}

/// Six turns of five intervals; each turn is in a mood of its own, slower or faster by a tenth or so.
fn moody(random: &mut Random, scale: f64) -> Side {
    let mut side = Side::default();
    for _ in 0..6 {
        let mood = (0.1 * (0..12).map(|_| random.unit()).sum::<f64>() - 0.6).exp();
        side.add_turn(&intervals(5, 40, 200.0 * scale * mood, random), Vec::new());
    }
    side
}

/// Intervals drawn as if the turns did not matter called every second pair of these different.
#[test]
fn sides_that_differ_by_the_moods_of_their_turns_are_called_different_as_rarely_as_said() {
    let mut random = Random::new(5);
    let alarms = (0..200).filter(|seed| {
        let (a, b) = (moody(&mut random, 1.0), moody(&mut random, 1.0));
        ratios(&a, &b, *seed)[0].differs()
    });
    let alarms = alarms.count();
    assert!(alarms <= 20, "{alarms} of 200 at a confidence of 0.95");
}

#[test]
fn a_difference_of_a_fifth_is_found_through_moods_of_a_twentieth() {
    let mut random = Random::new(6);
    let mut turns = |scale: f64| {
        let mut side = Side::default();
        for at in 0..6 {
            let mood = [0.95, 1.04, 1.0, 0.97, 1.05, 1.01][(at + random.below(6) as usize) % 6];
            side.add_turn(&intervals(10, 400, 200.0 * scale * mood, &mut random), Vec::new());
        }
        side
    };
    for seed in 0..10 {
        let p50 = ratios(&turns(1.0), &turns(1.2), seed).swap_remove(0);
        assert!(p50.differs() && (1.1..1.3).contains(&p50.ratio), "{p50:?}");
    }
}

/// Pairs of turns in a mood that both share, as they ran one after the other: the ratio does not vary with it.
#[test]
fn what_the_turns_of_a_pair_share_widens_no_interval() {
    let mut random = Random::new(7);
    let (mut a, mut b) = (Side::default(), Side::default());
    for mood in [0.5, 1.0, 2.0, 0.7, 1.4, 1.1] {
        a.add_turn(&intervals(20, 400, 200.0 * mood, &mut random), Vec::new());
        b.add_turn(&intervals(20, 400, 240.0 * mood, &mut random), Vec::new());
    }
    let p50 = ratios(&a, &b, 1).swap_remove(0);
    assert!(p50.differs() && p50.high / p50.low < 1.35, "{p50:?}");
}

#[test]
fn few_turns_widen_the_interval_as_student_says() {
    for (pairs, student) in [(5, 2.776), (6, 2.571), (12, 2.201), (50, 2.010)] {
        let n = f64::from(pairs);
        let due = student / 1.960 * (n / (n - 1.0)).sqrt();
        assert!((widening(pairs as usize) / due - 1.0).abs() < 0.01, "{pairs}: {}", widening(pairs as usize));
    }
    assert_eq!(widening(1), 1.0);
}

/// Of one interval alone every draw is the same, and the interval of the ratio would have no width.
#[test]
fn too_few_intervals_give_no_ratio_and_few_are_told() {
    let cut = |count: usize| {
        let mut side = Side::default();
        side.add_turn(&intervals(count, 1_000, 200.0, &mut Random::new(1)), Vec::new());
        side
    };
    let (one, few, enough) = (cut(1), cut(19), cut(20));
    assert!(ratios(&one, &enough, 1).is_empty() && ratios(&few, &enough, 1).len() == 3);
    let told = cautions(&enough, &one, false);
    assert!(told[0].starts_with("the intervals hold the variation within the two runs only"), "{told:?}");
    assert!(told[1].starts_with("no ratio of latencies is stated: a has 20"), "{told:?}");
    assert!(cautions(&few, &enough, false)[1].contains("too narrow; compare longer runs"));
    assert_eq!(cautions(&enough, &enough, false).len(), 1);
}

#[test]
fn too_few_turns_are_told() {
    let of = |turns: usize| {
        let mut side = Side::default();
        let turn = intervals(3, 1_000, 200.0, &mut Random::new(1));
        (0..turns).for_each(|_| side.add_turn(&turn, Vec::new()));
        side
    };
    let told = cautions(&of(4), &of(4), true);
    assert!(told.len() == 1 && told[0].starts_with("4 turns a side are too few turns"), "{told:?}");
    assert_eq!(cautions(&of(5), &of(5), true), Vec::<String>::new());
}

/// Ten thousand samples are the least for a p99: about half of the draws of uneven intervals have fewer.
#[test]
fn draws_with_fewer_samples_than_the_whole_are_not_left_out() {
    let interval = |(count, us): (u64, u64)| {
        let mut latencies = Latencies::new();
        (0..count).for_each(|_| latencies.record(Duration::from_micros(us)));
        latencies
    };
    let turn: Vec<Latencies> =
        [(100, 1_000), (1_900, 100)].into_iter().cycle().take(10).map(interval).collect();
    let mut side = Side::default();
    side.add_turn(&turn, Vec::new());
    assert!(side.all()[2].is_some(), "10,000 samples in all");
    let mut random = Random::new(3);
    assert!((0..200).all(|_| side.resample(&[0], &mut random)[2].is_some()));
}

/// A run of this many answers in each second of a closed loop; the first two seconds are a warm-up.
fn rates(seconds: &[u64]) -> RunResult {
    let mut run = crate::result::sample_run();
    let mut points = Vec::new();
    for (at, &completed) in seconds.iter().enumerate().filter(|(_, completed)| **completed > 0) {
        let stage = u32::from(at >= 2);
        points.push(TimelinePoint { t_ms: at as u64 * 1_000, stage, completed, ..TimelinePoint::default() });
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

/// The warm-up ends 500 ms into the third second, of which the other half was measured.
#[test]
fn an_interval_in_which_stages_meet_counts_as_far_as_it_was_measured() {
    let mut run = rates(&[9_000, 9_000, 100, 300]);
    let meets = TimelinePoint { t_ms: 2_000, stage: 0, completed: 7_000, ..TimelinePoint::default() };
    run.timeline.points.insert(2, meets);
    (run.stages[0].duration_ms, run.stages[1].starts_at_ms) = (2_500, 2_500);
    (run.stages[1].duration_ms, run.elapsed_ms) = (1_500, 1_500);
    assert_eq!(answers(&run), [(100.0, 0.5), (300.0, 1.0)]);
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
