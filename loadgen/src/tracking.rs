//! Tracking codes already seen, to catch one that is given out twice.
//!
//! Exact up to a fixed number of codes, all of whose memory is taken at the start: a set that grew during
//! the run would stall every connection while it rehashed. Beyond that number codes are still compared with
//! the remembered ones but not remembered; how many is part of the result.

use std::collections::HashSet;

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

/// The codes of one run, warm-up included.
#[derive(Debug)]
pub(crate) struct SeenCodes {
    codes: HashSet<TrackingCode>,
    max: usize,
    unremembered: u64,
}

impl SeenCodes {
    /// Room for `max` codes, or for `expected` when that is fewer.
    pub(crate) fn new(max: usize, expected: u64) -> SeenCodes {
        let room = usize::try_from(expected).unwrap_or(usize::MAX).min(max);
        SeenCodes { codes: HashSet::with_capacity(room), max, unremembered: 0 }
    }

    /// Whether this code is new. Remembers it while there is room.
    pub(crate) fn is_new(&mut self, code: TrackingCode) -> bool {
        if self.codes.len() < self.max {
            return self.codes.insert(code);
        }
        let new = !self.codes.contains(&code);
        self.unremembered += u64::from(new);
        new
    }

    pub(crate) fn remembered(&self) -> u64 {
        self.codes.len() as u64
    }

    /// Codes that came after the memory was full: a repeat among these would not have been seen.
    pub(crate) fn unremembered(&self) -> u64 {
        self.unremembered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_memory_still_knows_what_it_remembers() {
        let code = |n: u64| TrackingCode::parse(&format!("{n:016}")).unwrap();
        let mut seen = SeenCodes::new(2, 10);
        assert!(seen.is_new(code(1)) && seen.is_new(code(2)) && seen.is_new(code(3)) && seen.is_new(code(3)));
        assert!(!seen.is_new(code(1)) && !seen.is_new(code(2)));
        assert_eq!((seen.remembered(), seen.unremembered()), (2, 2));
    }

    #[test]
    fn codes_are_sixteen_digits() {
        for bad in ["", "123", "12345678901234567", "12345678901234a6", "+234567890123456", "۱۲۳۴۵۶۷۸"]
        {
            assert!(TrackingCode::parse(bad).is_none(), "{bad}");
        }
    }
}
