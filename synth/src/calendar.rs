//! Both calendars as tables, so that a row's dates are copied, not computed. Days are plain numbers here
//! (`i32`, days since 1900-01-01), since drawing dates is arithmetic on them.

use icu_calendar::Date as CalendarDate;
use icu_calendar::cal::Persian;
use icu_calendar::types::RataDie;
use jiff::ToSpan;
use jiff::civil::{Date, date};

/// Day number 0.
const EPOCH: Date = date(1900, 1, 1);
/// The same day, counted from 0001-01-01 as 1.
const EPOCH_RATA_DIE: i64 = 693_596;
/// The number of the last day, 2079-06-05: an extract has none beyond it.
const LAST: i32 = 65_534;
/// The first Jalali year that has a day in the range.
const FIRST_YEAR: i32 = 1278;
/// The last one.
const LAST_YEAR: i32 = 1458;

/// The text of each day, and the first day of each Jalali year.
pub(super) struct Calendar {
    jalali: Vec<[u8; 10]>,
    iso: Vec<[u8; 10]>,
    year_starts: Vec<i32>,
}

/// The number of a day.
pub(super) fn number(day: Date) -> i32 {
    EPOCH.until(day).map_or(0, |span| span.get_days())
}

impl Calendar {
    pub(super) fn new() -> Self {
        Calendar {
            jalali: (0..=LAST).map(|day| ten_bytes(&jalali_text(day))).collect(),
            iso: EPOCH.series(1.day()).take(LAST as usize + 1).map(|day| ten_bytes(&day)).collect(),
            year_starts: (FIRST_YEAR..=LAST_YEAR).filter_map(year_start).collect(),
        }
    }

    /// `1405/09/01`.
    pub(super) fn jalali(&self, day: i32) -> &[u8; 10] {
        &self.jalali[day as usize]
    }

    /// `2026-11-22`.
    pub(super) fn iso(&self, day: i32) -> &[u8; 10] {
        &self.iso[day as usize]
    }

    /// The day on which somebody born on `birth` turns 19; none when that lies beyond the calendar.
    ///
    /// Months have the same lengths in every year but for the last one, so an anniversary is the same distance
    /// from Nowruz as the birth was; and 30 Esfand becomes 1 Farvardin by itself where the year is shorter.
    pub(super) fn turns_19(&self, birth: i32) -> Option<i32> {
        let year = self.year_starts.partition_point(|&start| start <= birth) - 1;
        let start = self.year_starts.get(year + 19)?;
        Some(start + birth - self.year_starts[year])
    }

    /// A birth day whose 19th birthday is `day`; none for a 30 Esfand that had no such day 19 years before.
    pub(super) fn born_19_years_before(&self, day: i32) -> Option<i32> {
        let year = self.year_starts.partition_point(|&start| start <= day) - 1;
        let birth = self.year_starts.get(year.checked_sub(19)?)? + day - self.year_starts[year];
        (self.turns_19(birth) == Some(day)).then_some(birth)
    }
}

fn jalali_text(day: i32) -> String {
    let date = CalendarDate::from_rata_die(RataDie::new(EPOCH_RATA_DIE + i64::from(day)), Persian);
    let (year, month, day) = (date.year().extended_year(), date.month().number(), date.day_of_month().0);
    format!("{year:04}/{month:02}/{day:02}")
}

/// The number of a Jalali day, if there is one of that date; negative before the range.
fn jalali_number(year: i32, month: u8, day: u8) -> Option<i32> {
    let date = CalendarDate::try_new_persian(year, month, day).ok()?;
    i32::try_from(date.to_rata_die().to_i64_date() - EPOCH_RATA_DIE).ok()
}

/// The number of 1 Farvardin of a Jalali year.
fn year_start(year: i32) -> Option<i32> {
    jalali_number(year, 1, 1)
}

fn ten_bytes(text: &impl std::fmt::Display) -> [u8; 10] {
    text.to_string()
        .into_bytes()
        .try_into()
        .expect("a year of four digits and two of two make ten characters")
}

#[cfg(test)]
mod tests {
    use super::{Calendar, jalali_number};

    fn day(year: i32, month: u8, day: u8) -> i32 {
        jalali_number(year, month, day).unwrap()
    }

    #[track_caller]
    fn check(birth: i32, nineteenth: Option<i32>) {
        assert_eq!(Calendar::new().turns_19(birth), nineteenth);
    }

    #[test]
    fn the_nineteenth_birthday_is_the_jalali_anniversary() {
        check(day(1386, 9, 1), Some(day(1405, 9, 1)));
        check(day(1384, 12, 29), Some(day(1403, 12, 29)));
        check(day(1278, 12, 29), Some(day(1297, 12, 29)));
        // 1387 and 1406 - 19: a leap day whose anniversary has none falls on 1 Farvardin after it.
        check(day(1387, 12, 30), Some(day(1407, 1, 1)));
        check(day(1440, 1, 1), None);
    }

    #[test]
    fn anniversaries_are_dates_of_the_same_day_and_month() {
        let calendar = Calendar::new();
        for number in (0..58_000).step_by(7) {
            let text = std::str::from_utf8(calendar.jalali(number)).unwrap();
            let parts: Vec<i32> = text.split('/').map(|part| part.parse().unwrap()).collect();
            let (year, month, date) = (parts[0], parts[1] as u8, parts[2] as u8);
            let plain = jalali_number(year + 19, month, date).or(jalali_number(year + 20, 1, 1)).unwrap();
            assert_eq!(calendar.turns_19(number), Some(plain));
        }
    }

    #[test]
    fn born_19_years_before_is_its_inverse() {
        let calendar = Calendar::new();
        let found = (30_000..60_000).filter(|&day| {
            let birth = calendar.born_19_years_before(day);
            birth.is_none_or(|birth| calendar.turns_19(birth) == Some(day))
        });
        assert_eq!(found.count(), 30_000);
        assert!(calendar.born_19_years_before(day(1405, 9, 1)).is_some());
    }
}
