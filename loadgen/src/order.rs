//! In which order targets are asked where a run knows no mix: pass after pass over all of them, each pass
//! shuffled anew from the seed. So `--requests-max` of one pass asks every target exactly once.

use crate::random::Random;

/// An endless sequence of indices below a fixed count.
#[derive(Debug)]
pub(crate) struct Order {
    indices: Vec<u32>,
    next: usize,
    random: Random,
    /// How many were handed out or skipped.
    position: u64,
}

impl Order {
    /// # Panics
    /// When `count` is zero: there is nothing to order.
    pub(crate) fn new(count: u32, seed: u64) -> Order {
        assert!(count > 0, "an order needs something to order");
        let mut order =
            Order { indices: (0..count).collect(), next: 0, random: Random::new(seed), position: 0 };
        order.random.shuffle(&mut order.indices);
        order
    }

    pub(crate) fn next(&mut self) -> usize {
        if self.next == self.indices.len() {
            self.random.shuffle(&mut self.indices);
            self.next = 0;
        }
        let index = self.indices[self.next];
        self.next += 1;
        self.position += 1;
        index as usize
    }

    /// What stands at a position that is not before the last one asked for; shards skip what is not theirs.
    pub(crate) fn at(&mut self, position: u64) -> usize {
        while self.position < position {
            self.next();
        }
        self.next()
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

    #[test]
    fn who_skips_finds_the_same_at_each_position() {
        let (mut all, mut odd) = (Order::new(10, 3), Order::new(10, 3));
        let whole: Vec<usize> = (0..50).map(|_| all.next()).collect();
        for position in (1..50).step_by(2) {
            assert_eq!(odd.at(position as u64), whole[position]);
        }
    }
}
