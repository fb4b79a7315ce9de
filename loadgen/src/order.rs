//! In which order targets are asked: pass after pass over all of them, each pass shuffled anew from the
//! seed. So `--requests-max` of one pass asks every target exactly once.
//!
//! The generator is written out (SplitMix64, Steele et al. 2014) because the order belongs to the result:
//! a newer version of a library must not change what a seed means.

/// An endless sequence of indices below a fixed count.
#[derive(Debug)]
pub(crate) struct Order {
    indices: Vec<u32>,
    next: usize,
    random: SplitMix64,
}

impl Order {
    /// # Panics
    /// When `count` is zero: there is nothing to order.
    pub(crate) fn new(count: u32, seed: u64) -> Order {
        assert!(count > 0, "an order needs something to order");
        let mut order = Order { indices: (0..count).collect(), next: 0, random: SplitMix64(seed) };
        order.shuffle();
        order
    }

    pub(crate) fn next(&mut self) -> usize {
        if self.next == self.indices.len() {
            self.shuffle();
            self.next = 0;
        }
        let index = self.indices[self.next];
        self.next += 1;
        index as usize
    }

    /// Fisher and Yates, from the end.
    fn shuffle(&mut self) {
        for last in (1..self.indices.len()).rev() {
            let other = self.random.below(last as u64 + 1) as usize;
            self.indices.swap(last, other);
        }
    }
}

#[derive(Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; the bias, `bound` in 2^64, does not matter for an order.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pass_asks_everything_once_in_an_order_of_its_own() {
        let mut order = Order::new(100, 7);
        let mut pass = || (0..100).map(|_| order.next()).collect::<Vec<_>>();
        let (first, second) = (pass(), pass());
        assert_ne!(first, second);
        for mut pass in [first, second] {
            pass.sort_unstable();
            assert_eq!(pass, (0..100).collect::<Vec<_>>());
        }
    }

    /// A seed in an old result must mean the same order for ever.
    #[test]
    fn a_seed_always_means_the_same_order() {
        // First outputs of the published SplitMix64 for seed 1234567.
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }
}
