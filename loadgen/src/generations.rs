//! Which generations of its snapshot the server named, and when. Bounded, however often servers behind one address take
//! turns in naming theirs.

use std::collections::BTreeMap;

use crate::result::Swap;

/// More than any run sees; what names more makes them up.
const GENERATIONS_MAX: usize = 1_000;

/// When and which.
type Sight = (u64, String);

/// What was seen so far.
#[derive(Debug)]
pub(crate) struct Generations {
    interval_ns: u64,
    /// The first sight of each.
    first: Vec<Sight>,
    /// The last sight in each interval of the timeline that is still open.
    latest: BTreeMap<u32, Sight>,
    /// The last sight in those that are closed.
    closed: Option<Sight>,
}

impl Generations {
    pub(crate) fn new(interval_ns: u64) -> Generations {
        Generations { interval_ns, first: Vec::new(), latest: BTreeMap::new(), closed: None }
    }

    pub(crate) fn add(&mut self, at_ns: u64, name: String) {
        if let Some((at, _)) = self.first.iter_mut().find(|(_, known)| *known == name) {
            *at = at_ns.min(*at);
        } else if self.first.len() < GENERATIONS_MAX {
            self.first.push((at_ns, name.clone()));
        }
        let number = u32::try_from(at_ns / self.interval_ns).unwrap_or(u32::MAX);
        let last = self.latest.entry(number).or_default();
        if at_ns >= last.0 {
            *last = (at_ns, name);
        }
    }

    /// As the last answer up to the end of this interval named it. No earlier interval may be asked for afterwards.
    pub(crate) fn close(&mut self, number: u32) -> Option<String> {
        while let Some(first) = self.latest.first_entry().filter(|first| *first.key() <= number) {
            self.closed = Some(first.remove());
        }
        self.closed.as_ref().map(|(_, name)| name.clone())
    }

    /// The one that was named last.
    pub(crate) fn newest(&self) -> Option<&str> {
        let last = self.latest.last_key_value().map(|(_, last)| last).or(self.closed.as_ref());
        last.map(|(_, name)| name.as_str())
    }

    /// Each that was new to the run, in order; the first is no swap. Senders meet one at slightly different times, and
    /// late answers still name the old one: the first sight counts.
    pub(crate) fn swaps(&self) -> Vec<Swap> {
        let mut sights = self.first.clone();
        sights.sort();
        let swap =
            |two: &[Sight]| Swap { t_ms: two[1].0 / 1_000_000, from: two[0].1.clone(), to: two[1].1.clone() };
        sights.windows(2).map(swap).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn an_interval_has_the_generation_that_was_named_last_in_it_or_before() {
        let mut seen = Generations::new(SECOND);
        assert_eq!((seen.close(0), seen.newest()), (None, None));
        for (at, name) in [(3 * SECOND, "b"), (SECOND + 5, "a"), (3 * SECOND - 1, "a"), (3 * SECOND + 1, "a")]
        {
            seen.add(at, name.to_owned());
        }
        assert_eq!(seen.newest(), Some("a"), "a late answer names the old one");
        assert_eq!([1, 2, 3, 9].map(|number| seen.close(number).unwrap()), ["a", "a", "a", "a"]);
        seen.add(10 * SECOND, "b".to_owned());
        assert_eq!(seen.newest(), Some("b"));
        assert_eq!([9, 10].map(|number| seen.close(number).unwrap()), ["a", "b"]);
        let swap = Swap { t_ms: 3_000, from: "a".to_owned(), to: "b".to_owned() };
        assert_eq!(seen.swaps(), [swap], "by the first sight, in whatever order senders tell");
    }

    /// Two servers behind one address name theirs in turn, for a day; another makes up a new one each time.
    #[test]
    fn memory_does_not_grow_with_how_often_generations_are_named() {
        let mut seen = Generations::new(72 * SECOND);
        for at in 0..200_000_u64 {
            seen.add(at * 432_000_000, if at % 2 == 0 { "a" } else { "b" }.to_owned());
            if at % 1_000 == 0 {
                seen.close(u32::try_from(at * 432_000_000 / (72 * SECOND)).unwrap().saturating_sub(1));
            }
        }
        assert!(
            seen.first.len() == 2 && seen.latest.len() < 10,
            "{} {}",
            seen.first.len(),
            seen.latest.len()
        );
        assert_eq!(seen.swaps().len(), 1);
        (0..5_000).for_each(|number| seen.add(SECOND, format!("made up {number}")));
        assert_eq!(seen.first.len(), GENERATIONS_MAX);
    }
}
