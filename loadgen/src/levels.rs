//! Rates that are repeated around a candidate for the capacity, and what they come to together. Pure.

use crate::capacity::Found;
use crate::result::Limit;

/// The first levels, as parts of the candidate.
pub(crate) const PARTS: [f64; 5] = [1.0 / (STEP * STEP), 1.0 / STEP, 1.0, STEP, STEP * STEP];
/// From one level to the next, which is another whole rate.
const STEP: f64 = 1.08;

fn above(rate: f64) -> f64 {
    (rate * STEP).round().max(rate + 1.0)
}

fn below(rate: f64) -> f64 {
    (rate / STEP).round().min(rate - 1.0)
}

/// One rate and how its repeats ended.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Level {
    rate_per_s: f64,
    tried: u32,
    met: u32,
    /// Of those not met, how many for want of trust in the client.
    distrusted: u32,
    /// Around the candidate, and not added later to find a bound.
    is_first: bool,
}

impl Level {
    fn is_mostly_met(&self) -> bool {
        self.met * 2 > self.tried
    }

    fn is_always_met(&self) -> bool {
        self.tried > 0 && self.met == self.tried
    }
}

/// Tries from which on a level counts, of so many repeats.
pub(crate) fn tries_min(repeats: u32) -> u32 {
    repeats.min(2)
}

/// Levels in the order of their rates.
#[derive(Debug, Clone)]
pub(crate) struct Levels {
    levels: Vec<Level>,
    floor_per_s: f64,
    max_per_s: f64,
    /// Tries from which on a level counts: one alone may have been lucky.
    tries_min: u32,
}

impl Levels {
    /// None yet; none will be below the floor or above the maximum. Each is to be tried `repeats` times.
    pub(crate) fn new(floor_per_s: f64, max_per_s: f64, repeats: u32) -> Levels {
        Levels { levels: Vec::new(), floor_per_s, max_per_s, tries_min: tries_min(repeats) }
    }

    /// The first levels to try.
    pub(crate) fn around(&mut self, candidate: f64) -> Vec<f64> {
        self.open(PARTS.iter().map(|part| candidate * part), true)
    }

    /// More levels, where not all of the lowest were met, or any of the highest.
    pub(crate) fn missing_bounds(&mut self) -> Vec<f64> {
        let (Some(lowest), Some(highest)) = (self.levels.first(), self.levels.last()) else {
            return Vec::new();
        };
        let (low, high) = (lowest.rate_per_s, highest.rate_per_s);
        let mut wanted = Vec::new();
        if !lowest.is_always_met() {
            wanted.extend([below(low), below(below(low))]);
        }
        if highest.met > 0 {
            wanted.extend([above(high), above(above(high))]);
        }
        self.open(wanted.into_iter(), false)
    }

    /// Takes up those of the rates that are new and within bounds.
    fn open(&mut self, rates: impl Iterator<Item = f64>, is_first: bool) -> Vec<f64> {
        let mut fresh = Vec::new();
        for rate in rates {
            let rate = rate.clamp(self.floor_per_s.max(1.0), self.max_per_s).round();
            if !self.levels.iter().any(|level| level.rate_per_s == rate) {
                self.levels.push(Level { rate_per_s: rate, tried: 0, met: 0, distrusted: 0, is_first });
                fresh.push(rate);
            }
        }
        self.levels.sort_by(|a, b| a.rate_per_s.total_cmp(&b.rate_per_s));
        fresh
    }

    /// One more try of a level.
    pub(crate) fn add(&mut self, rate: f64, found: Found) {
        if let Some(level) = self.levels.iter_mut().find(|level| level.rate_per_s == rate) {
            level.tried += 1;
            level.met += u32::from(found == Found::Met);
            level.distrusted += u32::from(found == Found::ClientDistrusted);
        }
    }

    fn counts(&self, level: &Level) -> bool {
        level.tried >= self.tries_min.max(1)
    }

    /// Levels from the lowest on. Of the first ones each is asked, also one that the budget left no time for: what was
    /// met by some that came first in a shuffle is no capacity. Later ones may be left out.
    fn asked(&self) -> impl Iterator<Item = &Level> {
        self.levels.iter().filter(|level| level.is_first || self.counts(level))
    }

    /// The highest level up to which more than half of each level's repeats were met.
    pub(crate) fn capacity_per_s(&self) -> Option<f64> {
        let mostly = self.asked().take_while(|level| self.counts(level) && level.is_mostly_met());
        mostly.last().map(|level| level.rate_per_s)
    }

    /// The levels between which the capacity lies: up to the one all was met, from the other on nothing. Where no level
    /// bounds it from above `bound` does, a rate that was never met before; without that the interval is absent.
    pub(crate) fn interval_per_s(&self, bound: Option<f64>) -> Option<[f64; 2]> {
        self.capacity_per_s()?;
        let always = self.asked().take_while(|level| self.counts(level) && level.is_always_met());
        let tried = self.levels.iter().filter(|level| self.counts(level));
        let never = tried.rev().take_while(|level| level.met == 0).last();
        let high = never.map(|level| level.rate_per_s).or(bound)?;
        Some([always.last().map_or(0.0, |level| level.rate_per_s), high])
    }

    /// Who kept the first level above the capacity from being met; absent where that is not known.
    pub(crate) fn limited_by(&self) -> Option<Limit> {
        let mut asked = self.asked();
        let bounding = asked.find(|level| !(self.counts(level) && level.is_mostly_met()))?;
        if !self.counts(bounding) {
            return None;
        }
        let missed = bounding.tried - bounding.met;
        Some(if bounding.distrusted == missed { Limit::Client } else { Limit::Server })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three tries of each of five levels, of which so many were met; the others were the server's fault.
    fn levels(met: [u32; 5]) -> Levels {
        let mut levels = Levels::new(10.0, 10_000.0, 3);
        for (rate, met) in levels.around(1_000.0).into_iter().zip(met) {
            for number in 0..3 {
                levels.add(rate, if number < met { Found::Met } else { Found::ServerMissed });
            }
        }
        levels
    }

    #[test]
    fn the_capacity_is_the_highest_level_below_which_all_levels_are_mostly_met() {
        for (met, capacity, interval) in [
            ([3, 3, 3, 0, 0], Some(1_000.0), Some([1_000.0, 1_080.0])),
            ([3, 3, 2, 1, 0], Some(1_000.0), Some([926.0, 1_166.0])),
            ([3, 1, 3, 0, 0], Some(857.0), Some([857.0, 1_080.0])),
            ([2, 2, 0, 0, 0], Some(926.0), Some([0.0, 1_000.0])),
            ([3, 3, 3, 3, 1], Some(1_080.0), None),
            ([1, 0, 0, 0, 0], None, None),
        ] {
            let levels = levels(met);
            let found = (levels.capacity_per_s(), levels.interval_per_s(None));
            assert_eq!(found, (capacity, interval), "{met:?}");
        }
    }

    #[test]
    fn a_rate_that_was_never_met_bounds_what_no_level_does() {
        let met_once_above = levels([3, 3, 3, 3, 1]);
        assert_eq!(met_once_above.interval_per_s(Some(2_000.0)), Some([1_080.0, 2_000.0]));
        let bounded = levels([3, 3, 3, 0, 0]);
        assert_eq!(bounded.interval_per_s(Some(2_000.0)), Some([1_000.0, 1_080.0]), "a level is nearer");
        assert_eq!(levels([1, 0, 0, 0, 0]).interval_per_s(Some(2_000.0)), None, "there is no capacity");
    }

    /// 8 % of a rate below 7 are less than a half, and rates are whole.
    #[test]
    fn levels_of_the_lowest_rates_are_different_rates() {
        let mut low = Levels::new(1.0, 1_000.0, 1);
        assert_eq!(low.around(3.0), [3.0]);
        low.add(3.0, Found::Met);
        assert_eq!(low.missing_bounds(), [4.0, 5.0]);
        low.add(4.0, Found::ServerMissed);
        low.add(5.0, Found::ServerMissed);
        assert_eq!(low.missing_bounds(), Vec::<f64>::new());
        assert_eq!(low.interval_per_s(None), Some([3.0, 4.0]));
        let mut lost = Levels::new(1.0, 1_000.0, 1);
        let rates = lost.around(3.0);
        rates.iter().for_each(|rate| lost.add(*rate, Found::ServerMissed));
        assert_eq!(lost.missing_bounds(), [2.0, 1.0]);
        [1.0, 2.0].iter().for_each(|rate| lost.add(*rate, Found::ServerMissed));
        assert_eq!(lost.missing_bounds(), Vec::<f64>::new(), "nothing below the floor");
    }

    #[test]
    fn bounds_that_do_not_show_are_looked_for_outside() {
        assert_eq!(levels([3, 3, 3, 0, 0]).missing_bounds(), Vec::<f64>::new());
        assert_eq!(levels([3, 3, 3, 3, 1]).missing_bounds(), [1_259.0, 1_360.0]);
        assert_eq!(levels([2, 1, 0, 0, 0]).missing_bounds(), [794.0, 735.0]);
        let mut top = Levels::new(10.0, 1_000.0, 1);
        let rates = top.around(1_000.0);
        assert_eq!(rates, [857.0, 926.0, 1_000.0], "nothing above the maximum");
        rates.iter().for_each(|rate| top.add(*rate, Found::Met));
        assert_eq!(top.missing_bounds(), Vec::<f64>::new());
        assert_eq!(top.interval_per_s(None), None, "what was met is no bound from above");
        assert_eq!(top.limited_by(), None);
    }

    #[test]
    fn who_bounds_the_capacity_is_told_by_the_level_above_it() {
        let levels = levels([3, 3, 3, 0, 0]);
        assert_eq!(levels.limited_by(), Some(Limit::Server));
        let mut other = Levels::new(10.0, 10_000.0, 1);
        for rate in other.around(1_000.0) {
            other.add(rate, if rate > 1_000.0 { Found::ClientDistrusted } else { Found::Met });
        }
        assert_eq!(other.limited_by(), Some(Limit::Client));
        other.add(1_080.0, Found::ServerMissed);
        assert_eq!(other.limited_by(), Some(Limit::Server), "one try that the client could be trusted in");
    }

    #[test]
    fn a_round_that_was_not_finished_confirms_nothing() {
        let mut unfinished = Levels::new(10.0, 10_000.0, 1);
        let rates = unfinished.around(1_000.0);
        rates[1..].iter().for_each(|rate| unfinished.add(*rate, Found::Met));
        assert_eq!((unfinished.capacity_per_s(), unfinished.interval_per_s(None)), (None, None));
        unfinished.add(rates[0], Found::Met);
        unfinished.missing_bounds();
        assert_eq!(unfinished.capacity_per_s(), Some(1_166.0), "levels beyond may be left out");
    }

    /// The lowest two were repeated, the third not: it is not known what is above, but the two are something.
    #[test]
    fn a_search_cut_short_knows_what_it_has_repeated() {
        let mut cut = Levels::new(10.0, 10_000.0, 3);
        let rates = cut.around(1_000.0);
        for at in [0, 0, 1, 1, 2, 3, 3, 4, 4] {
            cut.add(rates[at], if at < 4 { Found::Met } else { Found::ServerMissed });
        }
        assert_eq!((cut.capacity_per_s(), cut.limited_by()), (Some(rates[1]), None));
        assert_eq!(cut.interval_per_s(None), Some([rates[1], rates[4]]), "the gap makes it wide");
    }

    #[test]
    fn one_try_alone_confirms_nothing_where_more_were_asked_for() {
        let mut levels = levels([3, 3, 3, 3, 3]);
        let beyond = levels.missing_bounds();
        beyond.iter().for_each(|rate| levels.add(*rate, Found::Met));
        assert_eq!(levels.capacity_per_s(), Some(1_166.0));
        beyond.iter().for_each(|rate| levels.add(*rate, Found::Met));
        assert_eq!(levels.capacity_per_s(), Some(1_360.0));
    }
}
