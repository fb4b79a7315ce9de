//! Seeded random numbers whose meaning never changes.
//!
//! The generator is written out (SplitMix64, Steele et al. 2014) because what a seed means belongs to the
//! result: a newer version of a library must not change it. `Random::at` gives every slot of a schedule a
//! generator of its own, so that shards draw alike without talking to each other.

/// SplitMix64.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

/// One step of the generator's output function, also a good hash of a number.
fn mix(number: u64) -> u64 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The generator for one slot of one use of a seed.
    pub(crate) fn at(seed: u64, index: u64) -> Random {
        Random(mix(seed ^ mix(index.wrapping_add(0x9E37_79B9_7F4A_7C15))))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `bound`; the bias, `bound` in 2^64, does not matter here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from 0 up to but not including 1, of 53 bits.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Exponentially distributed with mean 1.
    pub(crate) fn exponential(&mut self) -> f64 {
        -(-self.unit()).ln_1p()
    }

    /// Fisher and Yates, from the end.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

/// Zipf's law over ranks from 0: rank k is drawn in proportion to (k + 1)^-exponent. Rejection-inversion
/// (Hörmann and Derflinger 1996): no table, whatever the number of people.
#[derive(Debug, Clone)]
pub(crate) struct Zipf {
    count: f64,
    exponent: f64,
    low: f64,
    high: f64,
    accept: f64,
}

impl Zipf {
    /// Over `count` ranks; an exponent of 0 makes all alike.
    pub(crate) fn new(count: u64, exponent: f64) -> Zipf {
        let count = count.max(1) as f64;
        let mut zipf = Zipf { count, exponent, low: 0.0, high: 0.0, accept: 0.0 };
        zipf.low = zipf.integral(1.5) - 1.0;
        zipf.high = zipf.integral(count + 0.5);
        zipf.accept = 2.0 - zipf.inverse(zipf.integral(2.5) - 2_f64.powf(-exponent));
        zipf
    }

    pub(crate) fn draw(&self, random: &mut Random) -> u64 {
        loop {
            let u = self.high + random.unit() * (self.low - self.high);
            let x = self.inverse(u);
            let k = x.round().clamp(1.0, self.count);
            if k - x <= self.accept || u >= self.integral(k + 0.5) - k.powf(-self.exponent) {
                return k as u64 - 1;
            }
        }
    }

    /// The integral of x^-exponent, up to a constant.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        expm1_over_x((1.0 - self.exponent) * log) * log
    }

    fn inverse(&self, y: f64) -> f64 {
        let t = (y * (1.0 - self.exponent)).max(-1.0);
        (ln1p_over_x(t) * y).exp()
    }
}

fn expm1_over_x(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.exp_m1() / x } else { 1.0 + x / 2.0 }
}

fn ln1p_over_x(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.ln_1p() / x } else { 1.0 - x / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seed in an old result must mean the same for ever.
    #[test]
    fn a_seed_always_means_the_same() {
        // First outputs of the published SplitMix64 for seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn zipf_draws_each_rank_as_often_as_it_should() {
        for exponent in [0.0, 0.5, 0.99, 1.0, 1.3] {
            let zipf = Zipf::new(50, exponent);
            let mut random = Random::new(7);
            let mut counts = [0_u32; 50];
            let draws = 200_000;
            (0..draws).for_each(|_| counts[zipf.draw(&mut random) as usize] += 1);
            let weights: Vec<f64> = (1..=50).map(|k| f64::from(k).powf(-exponent)).collect();
            let sum: f64 = weights.iter().sum();
            // Chi-squared with 49 degrees of freedom: 94 is the 0.9999 quantile.
            let chi: f64 = counts
                .iter()
                .zip(&weights)
                .map(|(&count, weight)| {
                    let due = weight / sum * f64::from(draws);
                    (f64::from(count) - due).powi(2) / due
                })
                .sum();
            assert!(chi < 94.0, "exponent {exponent}: {chi}");
        }
    }

    #[test]
    fn one_rank_and_many_are_drawn_within_bounds() {
        let mut random = Random::new(1);
        assert_eq!(Zipf::new(1, 0.9).draw(&mut random), 0);
        let zipf = Zipf::new(10_000_000, 0.9);
        assert!((0..10_000).all(|_| zipf.draw(&mut random) < 10_000_000));
    }
}
