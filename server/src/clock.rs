//! The only clock of the product: what time it is in Tehran, and how that is written. Everything below the
//! server takes "today" as an argument. The zone comes from the database that is built into the binary, so
//! that a server image without one cannot shift days.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use engine::Day;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// 1970-01-01, counted as [`Day`] counts: days since 1900-01-01.
const UNIX_EPOCH_DAY: i64 = 25_567;
const DAY_MS: i64 = 86_400_000;
/// 2026-01-01T00:00:00Z: a clock before that is not set, since this program is younger.
const NOT_BEFORE_MS: u64 = 1_767_225_600_000;

/// Tells the time in Tehran.
pub(crate) struct Clock {
    tehran: TimeZone,
    now_ms: fn() -> u64,
}

impl Clock {
    /// The machine's clock.
    pub(crate) fn new() -> Clock {
        Clock::reading(system_ms)
    }

    /// A clock that tells milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) fn reading(now_ms: fn() -> u64) -> Clock {
        let tehran = TimeZone::get("Asia/Tehran").expect("the zone database is built into the binary");
        Clock { tehran, now_ms }
    }

    /// The present moment; none when the machine's clock stands outside what the service can answer for.
    pub(crate) fn now(&self) -> Option<Moment> {
        let now_ms = (self.now_ms)();
        self.at(now_ms).filter(|_| now_ms >= NOT_BEFORE_MS)
    }

    /// The moment that a ledger entry names.
    pub(crate) fn at(&self, unix_ms: u64) -> Option<Moment> {
        let signed_ms = i64::try_from(unix_ms).ok()?;
        let timestamp = Timestamp::from_millisecond(signed_ms).ok()?;
        let offset_s = self.tehran.to_offset(timestamp).seconds();
        let local_ms = signed_ms + i64::from(offset_s) * 1000;
        let number = UNIX_EPOCH_DAY + local_ms.div_euclid(DAY_MS);
        let day = Day::from_number(u16::try_from(number).ok()?)?;
        let ms_of_day = u32::try_from(local_ms.rem_euclid(DAY_MS)).ok()?;
        Some(Moment { unix_ms, day, ms_of_day, offset_s })
    }
}

/// Whether `today` can be true where a snapshot of `as_of` is current. A snapshot is made of the past, at most for the
/// day that begins elsewhere, and replaced nightly: either may be late, not by more than `age_days_max`.
pub(crate) fn plausible(today: Day, as_of: Day, age_days_max: u16) -> Result<(), ClockFault> {
    let age_days = i32::from(today.number()) - i32::from(as_of.number());
    match age_days {
        ..-1 => Err(ClockFault::BeforeSnapshot),
        _ if age_days > i32::from(age_days_max) => Err(ClockFault::AfterSnapshot),
        _ => Ok(()),
    }
}

/// Why this machine's clock is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockFault {
    /// It stands before this program was made, or after 2079-06-05.
    NotSet,
    /// Today lies before the snapshot's as-of date.
    BeforeSnapshot,
    /// The snapshot is implausibly old.
    AfterSnapshot,
}

impl ClockFault {
    /// The cause on `/readyz`.
    pub(crate) fn code(self) -> &'static str {
        match self {
            ClockFault::NotSet => "not_set",
            ClockFault::BeforeSnapshot => "before_snapshot",
            ClockFault::AfterSnapshot => "after_snapshot",
        }
    }

    /// What is wrong and what to do.
    pub(crate) fn message(self) -> &'static str {
        match self {
            ClockFault::NotSet => "this machine's clock is not set; set it",
            ClockFault::BeforeSnapshot => {
                "today lies before the snapshot's as-of date; set this machine's clock, or roll the snapshot back"
            }
            ClockFault::AfterSnapshot => {
                "the snapshot's as-of date lies too far back; set this machine's clock, publish a newer snapshot, or \
                 raise --as-of-age-days-max"
            }
        }
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z; before 1970 or in too many years, a time that is no moment.
pub(crate) fn system_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    since_epoch.and_then(|time| u64::try_from(time.as_millis()).ok()).unwrap_or(u64::MAX)
}

/// One moment, to the millisecond, as Tehran's clocks show it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    unix_ms: u64,
    day: Day,
    ms_of_day: u32,
    offset_s: i32,
}

impl Moment {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) fn unix_ms(self) -> u64 {
        self.unix_ms
    }

    /// The day in Tehran.
    pub(crate) fn day(self) -> Day {
        self.day
    }

    /// Seconds since that day began, by Tehran's clocks; less than none for a day to come.
    pub(crate) fn seconds_since_start_of(self, day: Day) -> f64 {
        let days = i64::from(self.day.number()) - i64::from(day.number());
        (days * DAY_MS + i64::from(self.ms_of_day)) as f64 / 1000.0
    }
}

/// RFC 3339 with milliseconds and the offset of that moment: `2026-11-22T10:21:08.123+03:30`.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute) = (self.ms_of_day / 3_600_000, self.ms_of_day / 60_000 % 60);
        let (second, ms) = (self.ms_of_day / 1000 % 60, self.ms_of_day % 1000);
        let sign = if self.offset_s < 0 { '-' } else { '+' };
        let offset_min = self.offset_s.unsigned_abs() / 60;
        write!(f, "{}T{hour:02}:{minute:02}:{second:02}.{ms:03}", self.day.iso())?;
        write!(f, "{sign}{:02}:{:02}", offset_min / 60, offset_min % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, ClockFault, plausible};

    #[track_caller]
    fn check(unix_ms: u64, written: &str, jalali: &str) {
        let moment = Clock::new().at(unix_ms).unwrap();
        assert_eq!(moment.to_string(), written);
        assert_eq!(moment.day().jalali_text().to_string(), jalali);
    }

    #[test]
    fn tehran_days_begin_at_half_past_eight_in_the_evening_of_greenwich() {
        check(1_795_379_399_999, "2026-11-22T23:59:59.999+03:30", "1405/09/01");
        check(1_795_379_400_000, "2026-11-23T00:00:00.000+03:30", "1405/09/02");
    }

    #[test]
    fn an_age_is_counted_from_the_day_s_beginning() {
        let moment = Clock::new().at(1_795_379_399_999).unwrap();
        let age_s = |text: &str| moment.seconds_since_start_of(engine::Day::parse(text).unwrap());
        assert_eq!(age_s("2026-11-22"), 86_399.999);
        assert_eq!(age_s("2026-11-21"), 172_799.999);
        assert_eq!(age_s("2026-11-23"), -0.001);
    }

    #[test]
    fn summer_time_is_that_of_the_year() {
        check(1_656_000_000_000, "2022-06-23T20:30:00.000+04:30", "1401/04/02");
        check(1_782_230_400_007, "2026-06-23T19:30:00.007+03:30", "1405/04/02");
    }

    #[test]
    fn a_clock_that_is_centuries_off_has_no_day() {
        assert!(Clock::new().at(u64::MAX).is_none());
        assert!(Clock::new().at(4_000_000_000_000).is_none());
        assert!(Clock::new().now().is_some());
    }

    #[test]
    fn a_clock_that_was_never_set_tells_no_time() {
        assert!(Clock::reading(|| 0).now().is_none());
        assert!(Clock::reading(|| super::NOT_BEFORE_MS - 1).now().is_none());
        assert!(Clock::reading(|| super::NOT_BEFORE_MS).now().is_some());
        assert!(Clock::new().at(0).is_some(), "an entry of then has its time all the same");
    }

    #[test]
    fn today_is_believed_from_a_day_before_the_snapshot_to_its_greatest_age() {
        let as_of = engine::Day::parse("2026-11-22").unwrap();
        let judge = |days: i32| plausible(as_of.plus(days).unwrap(), as_of, 90);
        for days in [-1, 0, 1, 90] {
            assert_eq!(judge(days), Ok(()), "{days} days");
        }
        for days in [-2, -400, -20_000] {
            assert_eq!(judge(days), Err(ClockFault::BeforeSnapshot), "{days} days");
        }
        for days in [91, 400] {
            assert_eq!(judge(days), Err(ClockFault::AfterSnapshot), "{days} days");
        }
    }
}
