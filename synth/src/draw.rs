//! Random draws for the population, from ChaCha8 so that a seed means the same people on every machine.
//!
//! Each use has its own stream of one seed: taking a sample of targets never changes the people. Bounds are
//! reached by multiplication, which leaves a bias below 1 in 4,000 million: far under what a share can show.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream of draws is for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// Families, ages, cover: everything that stands in the extract.
    Population,
    /// The keys of the ID permutations.
    Identifiers,
    /// Which people are asked about, and how the request is written.
    Targets,
}

/// A seeded stream of draws.
pub(super) struct Draw(ChaCha8Rng);

impl Draw {
    pub(super) fn new(seed: u64, purpose: Purpose) -> Self {
        let mut key = *b"estehqaq synthetic population v1";
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(purpose as u64);
        Draw(rng)
    }

    pub(super) fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// A number in `low..=high`; `low` when the range is empty.
    pub(super) fn between(&mut self, low: i32, high: i32) -> i32 {
        if high <= low {
            return low;
        }
        low + self.below((high - low) as u32 + 1) as i32
    }

    /// True `share` times in a thousand.
    pub(super) fn permille(&mut self, share: u32) -> bool {
        self.below(1000) < share
    }

    /// One of `choices`, each as often as its weight says.
    pub(super) fn weighted<T: Copy>(&mut self, choices: &[(u32, T)]) -> T {
        let total = choices.iter().map(|choice| choice.0).sum();
        let mut rest = self.below(total);
        for &(weight, value) in choices {
            if rest < weight {
                return value;
            }
            rest -= weight;
        }
        choices[choices.len() - 1].1
    }
}
