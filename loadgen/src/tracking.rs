//! Tracking codes already seen, to catch one that is given out twice.
//!
//! Exact up to a fixed number of codes, all of whose memory is taken at the start: a set that grew during
//! the run would stall the senders while it rehashed, and a soak would fill the machine. Beyond that number
//! codes are still compared with the remembered ones but not remembered; how many is part of the result.
//! One table of atomics serves all sender threads.

use std::sync::atomic::{AtomicU64, Ordering};

/// A well-formed tracking code: 16 decimal digits, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TrackingCode(u64);

impl TrackingCode {
    /// Only the shape is checked here, not the check digit.
    pub(crate) fn parse(text: &str) -> Option<TrackingCode> {
        let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit());
        if digits { text.parse().ok().map(TrackingCode) } else { None }
    }
}

/// No page of memory is smaller.
const PAGE_BYTES: usize = 4_096;

/// The codes of one run, warm-up included.
#[derive(Debug)]
pub(crate) struct SeenCodes {
    /// Codes plus one, found by open addressing; 0 is an empty place. At most half full.
    places: Vec<AtomicU64>,
    max: u64,
    remembered: AtomicU64,
    unremembered: AtomicU64,
}

impl SeenCodes {
    /// Room for `max` codes, or for `expected` when that is fewer.
    pub(crate) fn new(max: usize, expected: u64) -> SeenCodes {
        let room = usize::try_from(expected).unwrap_or(usize::MAX).min(max);
        let count = (room.max(1) * 2).next_power_of_two();
        let places: Vec<AtomicU64> = std::iter::repeat_with(|| AtomicU64::new(0)).take(count).collect();
        // Zeroed memory may come without pages, which would come into being under load: a write brings each here now.
        let pages = places.iter().step_by(PAGE_BYTES / size_of::<AtomicU64>());
        pages.for_each(|place| place.store(0, Ordering::Relaxed));
        SeenCodes { places, max: room as u64, remembered: AtomicU64::new(0), unremembered: AtomicU64::new(0) }
    }

    /// Whether this code is new. Remembers it while there is room.
    pub(crate) fn is_new(&self, code: TrackingCode) -> bool {
        let wanted = code.0 + 1;
        let mask = self.places.len() - 1;
        let mut place = (wanted.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) as usize & mask;
        loop {
            let found = self.places[place].load(Ordering::Acquire);
            if found == wanted {
                return false;
            }
            if found == 0 {
                match self.remember(place, wanted) {
                    Ok(new) => return new,
                    Err(()) => continue, // another thread took the place: look at it again
                }
            }
            place = (place + 1) & mask;
        }
    }

    fn remember(&self, place: usize, wanted: u64) -> Result<bool, ()> {
        if self.remembered.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.remembered.fetch_sub(1, Ordering::Relaxed);
            self.unremembered.fetch_add(1, Ordering::Relaxed);
            return Ok(true);
        }
        let taken = self.places[place].compare_exchange(0, wanted, Ordering::AcqRel, Ordering::Acquire);
        if taken.is_err() {
            self.remembered.fetch_sub(1, Ordering::Relaxed);
        }
        taken.map(|_| true).map_err(|_| ())
    }

    pub(crate) fn remembered(&self) -> u64 {
        self.remembered.load(Ordering::Relaxed)
    }

    /// Codes that came after the memory was full: a repeat among these would not have been seen.
    pub(crate) fn unremembered(&self) -> u64 {
        self.unremembered.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(n: u64) -> TrackingCode {
        TrackingCode::parse(&format!("{n:016}")).unwrap()
    }

    #[test]
    fn a_full_memory_still_knows_what_it_remembers() {
        let seen = SeenCodes::new(2, 10);
        assert!(seen.is_new(code(1)) && seen.is_new(code(2)) && seen.is_new(code(3)) && seen.is_new(code(3)));
        assert!(!seen.is_new(code(1)) && !seen.is_new(code(2)));
        assert_eq!((seen.remembered(), seen.unremembered()), (2, 2));
    }

    #[test]
    fn memory_is_bounded_however_many_codes_come() {
        let seen = SeenCodes::new(1_000, u64::MAX);
        let places = seen.places.len();
        assert!((0..100_000).all(|n| seen.is_new(code(n * 7_919))));
        assert_eq!((seen.places.len(), seen.remembered()), (places, 1_000));
        assert!((0..1_000).all(|n| !seen.is_new(code(n * 7_919))));
    }

    #[test]
    fn threads_that_meet_the_same_code_do_not_both_find_it_new() {
        let seen = SeenCodes::new(100_000, u64::MAX);
        let new: u64 = std::thread::scope(|scope| {
            let count = || (0..50_000).filter(|n| seen.is_new(code(*n))).count() as u64;
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((new, seen.remembered()), (50_000, 50_000));
    }

    #[test]
    fn codes_are_sixteen_digits() {
        for bad in ["", "123", "12345678901234567", "12345678901234a6", "+234567890123456", "۱۲۳۴۵۶۷۸"]
        {
            assert!(TrackingCode::parse(bad).is_none(), "{bad}");
        }
    }
}
