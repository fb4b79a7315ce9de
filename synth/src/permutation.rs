//! A keyed shuffle of `0..size`: two counters that differ give two numbers that differ, so IDs are unique
//! without a set of those already given.
//!
//! A balanced Feistel network over the next even number of bits, walked until it lands inside the range again
//! (cycle walking); both steps are bijections. It is a shuffle, not a cipher: it hides nothing.

const ROUNDS: usize = 4;

/// The shuffle of one range.
#[derive(Clone)]
pub(super) struct Permutation {
    size: u64,
    half_bits: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// A shuffle of `0..size`, for `2 <= size <= 10^16`.
    pub(super) fn new(size: u64, keys: [u64; ROUNDS]) -> Self {
        debug_assert!((2..=10u64.pow(16)).contains(&size), "a shuffle needs a range of numbers");
        let bits = u64::BITS - (size - 1).leading_zeros();
        Permutation { size, half_bits: bits.div_ceil(2), keys }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Where `index` goes; `index` is below the size.
    pub(super) fn apply(&self, index: u64) -> u64 {
        debug_assert!(index < self.size, "an index beyond the range would not come back into it");
        let mut value = index;
        loop {
            value = self.feistel(value);
            if value < self.size {
                return value;
            }
        }
    }

    fn feistel(&self, value: u64) -> u64 {
        let mask = (1u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for key in self.keys {
            let mixed = (right ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (left, right) = (right, left ^ ((mixed >> 32) & mask));
        }
        (left << self.half_bits) | right
    }
}

#[cfg(test)]
mod tests {
    use super::Permutation;

    #[test]
    fn each_number_of_the_range_comes_once() {
        for size in [2, 3, 10, 1000, 1024, 1025, 999_998, 999_999] {
            let shuffle = Permutation::new(size, [size, 2, 3, 4]);
            let mut seen = vec![false; size as usize];
            for index in 0..size {
                let value = shuffle.apply(index) as usize;
                assert!(!std::mem::replace(&mut seen[value], true), "{value} came twice in {size}");
            }
        }
    }

    #[test]
    fn large_ranges_stay_inside_and_apart() {
        for digits in 8..=16 {
            let size = 10u64.pow(digits);
            let shuffle = Permutation::new(size, [11, 22, 33, 44]);
            let mut values: Vec<u64> =
                (0..5000).chain(size - 5000..size).map(|index| shuffle.apply(index)).collect();
            assert!(values.iter().all(|&value| value < size));
            values.sort_unstable();
            values.dedup();
            assert_eq!(values.len(), 10_000, "{digits} digits");
        }
    }
}
