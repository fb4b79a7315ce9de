//! How far apart syncs of few entries begin: a few times as long as one takes, so that they leave most of the machine's
//! time to other work. A sync costs the processor as much as many entries do, and costs more on a machine where it is slow.

use std::time::{Duration, Instant};

/// Syncs take a fifth of the time, unless the most is less than that.
const INTERVAL_PER_SYNC: u32 = 5;
/// How many syncs the average goes over, about.
const AVERAGED: u32 = 8;

/// Follows how long syncs take.
pub(crate) struct Pace {
    interval_max: Duration,
    average: Option<Duration>,
}

impl Pace {
    /// Syncs that need never begin further apart than that.
    pub(crate) fn new(interval_max: Duration) -> Pace {
        Pace { interval_max, average: None }
    }

    /// When the next sync of few entries may begin, after one that began then and took so long.
    pub(crate) fn next_from(&mut self, begun: Instant, took: Duration) -> Option<Instant> {
        // One that was stalled tells nothing of those to come.
        let took = took.min(self.interval_max);
        let average = self.average.map_or(took, |before| (before * (AVERAGED - 1) + took) / AVERAGED);
        self.average = Some(average);
        begun.checked_add((average * INTERVAL_PER_SYNC).min(self.interval_max))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Pace;

    fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    fn intervals(pace: &mut Pace, took: Duration, count: usize) -> Vec<Duration> {
        let begun = Instant::now();
        (0..count).map(|_| pace.next_from(begun, took).unwrap() - begun).collect()
    }

    #[test]
    fn the_interval_follows_what_syncs_take_up_to_the_most() {
        let mut pace = Pace::new(us(1_000));
        assert_eq!(intervals(&mut pace, us(80), 3), [us(400); 3]);
        let slower = intervals(&mut pace, us(160), 40);
        assert!(slower.is_sorted() && slower[0] == us(450) && slower[39] > us(795), "{slower:?}");
        assert_eq!(intervals(&mut pace, us(900), 40)[39], us(1_000));
    }

    #[test]
    fn one_stalled_sync_counts_as_one_and_none_apart_is_none() {
        let mut pace = Pace::new(us(1_000));
        intervals(&mut pace, us(40), 1);
        assert_eq!(intervals(&mut pace, us(50_000), 1), [us(800)]);
        assert!(intervals(&mut pace, us(40), 20)[19] < us(250));
        assert_eq!(intervals(&mut Pace::new(us(0)), us(50), 1), [us(0)]);
    }
}
