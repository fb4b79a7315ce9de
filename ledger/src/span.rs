//! A span of days in Tehran, by which entries are taken out of a ledger.

use engine::Day;

use crate::chain::SegmentInfo;
use crate::month::tehran_day;

/// From the first day to the last, both included; an end that is not given is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first day.
    pub first: Option<Day>,
    /// The last day.
    pub last: Option<Day>,
}

impl Span {
    /// Whether a time, in milliseconds since 1970, is on one of its days.
    pub fn contains(&self, time_ms: u64) -> bool {
        let day = tehran_day(time_ms);
        self.first.is_none_or(|first| first <= day) && self.last.is_none_or(|last| day <= last)
    }

    /// Whether a segment may have an entry of these days.
    pub(crate) fn meets(&self, info: &SegmentInfo) -> bool {
        let (earliest, latest) = (tehran_day(info.times_ms.0), tehran_day(info.times_ms.1));
        self.first.is_none_or(|first| first <= latest) && self.last.is_none_or(|last| earliest <= last)
    }
}
