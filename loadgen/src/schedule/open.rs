//! The open loop: due times that no answer can move.
//!
//! Arrivals of unit rate are drawn one after the other and mapped through the plan's rates, so that one seed
//! means the same schedule whatever share of it is carried out.

use std::sync::Arc;

use crate::random::Random;
use crate::schedule::{Due, Plan, Schedule, Share, Slot};

/// How requests follow each other at a given rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrivals {
    /// Independent callers: exponential gaps.
    Poisson,
    /// Equal gaps.
    Uniform,
    /// This many at once, with exponential gaps between.
    Bursts(u32),
}

/// Hands out the slots of one share of a plan.
#[derive(Debug)]
pub(crate) struct OpenLoop {
    plan: Arc<Plan>,
    arrivals: Arrivals,
    random: Random,
    share: Share,
    segment: usize,
    segment_starts_ns: u64,
    /// Requests expected in the segment until the last arrival.
    mass: f64,
    /// Slots at `due_ns` that are still to come.
    burst_left: u32,
    due_ns: u64,
    index: u64,
    next: Option<Slot>,
}

impl OpenLoop {
    pub(crate) fn new(plan: Arc<Plan>, arrivals: Arrivals, seed: u64, share: Share) -> OpenLoop {
        let random = Random::at(seed, 0x5CED);
        let mut schedule = OpenLoop {
            plan,
            arrivals,
            random,
            share,
            segment: 0,
            segment_starts_ns: 0,
            mass: 0.0,
            burst_left: 0,
            due_ns: 0,
            index: 0,
            next: None,
        };
        schedule.next = schedule.find_next();
        schedule
    }

    fn find_next(&mut self) -> Option<Slot> {
        loop {
            let slot = self.draw()?;
            if self.share.takes(slot.index) {
                return Some(slot);
            }
        }
    }

    /// The next slot of the whole schedule.
    fn draw(&mut self) -> Option<Slot> {
        if self.burst_left == 0 {
            self.advance()?;
        }
        self.burst_left -= 1;
        let slot =
            Slot { index: self.index, due_ns: self.due_ns, stage: self.plan.segments[self.segment].stage };
        self.index += 1;
        Some(slot)
    }

    fn advance(&mut self) -> Option<()> {
        let (mut gap, burst) = match self.arrivals {
            Arrivals::Poisson => (self.random.exponential(), 1),
            Arrivals::Uniform => (1.0, 1),
            Arrivals::Bursts(size) => (self.random.exponential() * f64::from(size), size),
        };
        loop {
            let segment = self.plan.segments.get(self.segment)?;
            let left = segment.mass() - self.mass;
            if gap < left {
                self.mass += gap;
                self.due_ns = self.segment_starts_ns + segment.time_of_mass_ns(self.mass);
                self.burst_left = burst;
                return Some(());
            }
            gap -= left;
            self.mass = 0.0;
            self.segment_starts_ns += segment.duration_ns;
            self.segment += 1;
        }
    }
}

impl Schedule for OpenLoop {
    fn due(&mut self, _now_ns: u64, _free: bool) -> Due {
        self.next.map_or(Due::Over, |slot| Due::At(slot.due_ns))
    }

    fn take(&mut self) -> Slot {
        let slot = self.next.expect("`due` gave a time");
        self.next = self.find_next();
        slot
    }
}

/// Every slot of a share, for tests.
#[cfg(test)]
pub(crate) fn all_slots(plan: &Arc<Plan>, arrivals: Arrivals, seed: u64, share: Share) -> Vec<Slot> {
    let mut schedule = OpenLoop::new(Arc::clone(plan), arrivals, seed, share);
    let mut slots = Vec::new();
    while schedule.due(0, false) != Due::Over {
        slots.push(schedule.take());
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(pieces: &[(f64, f64, f64)]) -> Arc<Plan> {
        let mut plan = Plan::default();
        plan.push("one", String::new(), false, pieces);
        Arc::new(plan)
    }

    /// The expected number of requests before each slot.
    fn masses(plan: &Plan, slots: &[Slot]) -> Vec<f64> {
        let mass = |slot: &Slot| {
            let (mut start, mut sum) = (0, 0.0);
            for segment in &plan.segments {
                if slot.due_ns < start + segment.duration_ns {
                    return sum + segment.mass_until_ns(slot.due_ns - start);
                }
                start += segment.duration_ns;
                sum += segment.mass();
            }
            sum
        };
        slots.iter().map(mass).collect()
    }

    /// Kolmogorov and Smirnov: the greatest distance between a sample and its distribution function, times
    /// the root of the sample's size. Beyond 1.95 with a probability of 0.001.
    fn ks(mut sample: Vec<f64>, distribution: impl Fn(f64) -> f64) -> f64 {
        sample.sort_by(f64::total_cmp);
        let n = sample.len() as f64;
        let far = |(i, x): (usize, &f64)| {
            let f = distribution(*x);
            (f - i as f64 / n).abs().max((f - (i as f64 + 1.0) / n).abs())
        };
        sample.iter().enumerate().map(far).fold(0.0, f64::max) * n.sqrt()
    }

    fn gaps(masses: &[f64]) -> Vec<f64> {
        std::iter::once(0.0).chain(masses.iter().copied()).zip(masses).map(|(a, b)| b - a).collect()
    }

    /// Steady, ramping, falling to nothing and a night of silence: all must be Poisson in the plan's own time.
    #[test]
    fn poisson_gaps_are_exponential_whatever_the_rate_does() {
        let shapes: [&[(f64, f64, f64)]; 4] = [
            &[(1_000.0, 1_000.0, 30.0)],
            &[(0.0, 2_000.0, 30.0)],
            &[(2_000.0, 0.0, 15.0), (0.0, 0.0, 5.0), (0.0, 2_000.0, 15.0)],
            &[(100.0, 100.0, 10.0), (5_000.0, 5_000.0, 5.0), (100.0, 100.0, 10.0)],
        ];
        for pieces in shapes {
            let plan = plan(pieces);
            let slots = all_slots(&plan, Arrivals::Poisson, 5, Share::ALL);
            let due = plan.stages[0].mass;
            assert!((slots.len() as f64 - due).abs() < 4.0 * due.sqrt(), "{} of {due}", slots.len());
            let distance = ks(gaps(&masses(&plan, &slots)), |gap| 1.0 - (-gap).exp());
            assert!(distance < 1.95, "{pieces:?}: {distance}");
            assert!(slots.is_sorted_by_key(|slot| slot.due_ns));
        }
    }

    #[test]
    fn the_test_of_the_distribution_would_notice_another() {
        let plan = plan(&[(1_000.0, 1_000.0, 30.0)]);
        let slots = all_slots(&plan, Arrivals::Uniform, 5, Share::ALL);
        assert!(ks(gaps(&masses(&plan, &slots)), |gap| 1.0 - (-gap).exp()) > 10.0);
        // Arrivals of a Poisson process lie uniformly over the time.
        let slots = all_slots(&plan, Arrivals::Poisson, 5, Share::ALL);
        let places: Vec<f64> = slots.iter().map(|slot| slot.due_ns as f64 / 30e9).collect();
        assert!(ks(places.clone(), |x| x) < 1.95);
        assert!(ks(places, |x| x * x) > 10.0);
    }

    #[test]
    fn uniform_gaps_are_equal_and_bursts_come_at_once() {
        let plan = plan(&[(1_000.0, 1_000.0, 10.0)]);
        let slots = all_slots(&plan, Arrivals::Uniform, 5, Share::ALL);
        assert!(slots.windows(2).all(|two| (two[1].due_ns - two[0].due_ns).abs_diff(1_000_000) <= 2));
        let slots = all_slots(&plan, Arrivals::Bursts(20), 5, Share::ALL);
        assert!(slots.chunks(20).all(|burst| burst.iter().all(|slot| slot.due_ns == burst[0].due_ns)));
        let starts: Vec<f64> = slots.chunks(20).map(|burst| burst[0].due_ns as f64 / 20e6).collect();
        assert!(ks(gaps(&starts), |gap| 1.0 - (-gap).exp()) < 1.95);
        assert!((8_000..12_000).contains(&slots.len()));
    }

    #[test]
    fn the_union_of_all_shards_is_the_unsharded_schedule() {
        let plan = plan(&[(500.0, 3_000.0, 5.0), (3_000.0, 100.0, 5.0)]);
        for arrivals in [Arrivals::Poisson, Arrivals::Uniform, Arrivals::Bursts(7)] {
            let whole = all_slots(&plan, arrivals, 11, Share::ALL);
            let mut union = Vec::new();
            for shard in 0..3 {
                for thread in 0..2 {
                    let share = Share { number: shard, count: 3 }.split(thread, 2);
                    union.extend(all_slots(&plan, arrivals, 11, share));
                }
            }
            union.sort_by_key(|slot| slot.index);
            assert_eq!(union, whole);
        }
    }

    #[test]
    fn another_seed_is_another_schedule() {
        let plan = plan(&[(1_000.0, 1_000.0, 1.0)]);
        let slots = |seed| all_slots(&plan, Arrivals::Poisson, seed, Share::ALL);
        assert_eq!(slots(1), slots(1));
        assert_ne!(slots(1), slots(2));
    }
}
