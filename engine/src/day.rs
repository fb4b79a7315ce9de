//! A day, as two bytes, and the two calendars it is written in. Knows no "today".
//!
//! The Jalali calendar is the astronomical one; `icu_calendar` computes it, and the tests hold every year of
//! 1278..=1458 against an independent table.

use std::fmt;

use icu_calendar::cal::Persian;
use icu_calendar::types::RataDie;
use icu_calendar::{Date, Gregorian};
use thiserror::Error;

use crate::cell::clean_cell;

/// Years read as Jalali (PRODUCT.md section 2, Dates).
const JALALI_YEARS: std::ops::RangeInclusive<i32> = 1278..=1458;
/// Years read as Gregorian.
const GREGORIAN_YEARS: std::ops::RangeInclusive<i32> = 1900..=2079;
/// Rata Die of 1900-01-01, day number 0.
const EPOCH_RATA_DIE: i64 = 693_596;

/// A day between 1900-01-01 and 2079-06-05, as the number of days since 1900-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u16);

/// Why a text is no day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DateError {
    /// Not three such numbers, or not a real day.
    #[error("not a date: write YYYY/M/D, YYYY-M-D or YYYYMMDD, Jalali or Gregorian")]
    BadDate,
    /// A year of neither calendar, or a day outside 1900-01-01..2079-06-05.
    #[error("the date is out of range: it must lie within 1900-01-01..2079-06-05 (1278/10/11..1458/03/15)")]
    OutOfRange,
}

impl DateError {
    /// The rule's stable code.
    pub fn code(self) -> &'static str {
        match self {
            DateError::BadDate => "bad_date",
            DateError::OutOfRange => "date_out_of_range",
        }
    }
}

impl Day {
    /// 1900-01-01.
    pub const MIN: Day = Day(0);
    /// 2079-06-05; the number after it means "none" in a record.
    pub const MAX: Day = Day(65_534);

    /// The day with this number of days since 1900-01-01; none for 65,535.
    pub fn from_number(number: u16) -> Option<Day> {
        (number <= Day::MAX.0).then_some(Day(number))
    }

    /// Days since 1900-01-01.
    pub fn number(self) -> u16 {
        self.0
    }

    /// Reads `YYYY/M/D`, `YYYY-M-D` or `YYYYMMDD` in either calendar, after the cell rules; the year says
    /// which calendar.
    ///
    /// # Errors
    /// [`DateError`], in the order of PRODUCT.md section 2: shape, year, real day, range.
    pub fn parse(cell: &str) -> Result<Day, DateError> {
        let cell = clean_cell(cell);
        let (year, month, day) = split_date(cell.as_bytes()).ok_or(DateError::BadDate)?;
        let rata_die = if JALALI_YEARS.contains(&year) {
            jalali_rata_die(year, month, day)
        } else if GREGORIAN_YEARS.contains(&year) {
            gregorian_rata_die(year, month, day)
        } else {
            return Err(DateError::OutOfRange);
        };
        Day::from_rata_die(rata_die.ok_or(DateError::BadDate)?).ok_or(DateError::OutOfRange)
    }

    /// The Gregorian day, if it is real and in range.
    pub fn from_gregorian(year: i32, month: u8, day: u8) -> Option<Day> {
        gregorian_rata_die(year, month, day).and_then(Day::from_rata_die)
    }

    /// The Jalali day, if it is real and in range.
    pub fn from_jalali(year: i32, month: u8, day: u8) -> Option<Day> {
        jalali_rata_die(year, month, day).and_then(Day::from_rata_die)
    }

    /// This day plus so many days, if still in range.
    pub fn plus(self, days: i32) -> Option<Day> {
        let number = i32::from(self.0).checked_add(days)?;
        u16::try_from(number).ok().and_then(Day::from_number)
    }

    /// Year, month and day in the Gregorian calendar.
    pub fn gregorian(self) -> (i32, u8, u8) {
        let date = Date::from_rata_die(self.rata_die(), Gregorian);
        (date.year().extended_year(), date.month().number(), date.day_of_month().0)
    }

    /// Year, month and day in the Jalali calendar.
    pub fn jalali(self) -> (i32, u8, u8) {
        let date = Date::from_rata_die(self.rata_die(), Persian);
        (date.year().extended_year(), date.month().number(), date.day_of_month().0)
    }

    /// `2026-11-22`.
    pub fn iso(self) -> impl fmt::Display {
        let (year, month, day) = self.gregorian();
        Written { year, month, day, separator: '-' }
    }

    /// `1405/09/01`, ASCII digits.
    pub fn jalali_text(self) -> impl fmt::Display {
        let (year, month, day) = self.jalali();
        Written { year, month, day, separator: '/' }
    }

    fn rata_die(self) -> RataDie {
        RataDie::new(EPOCH_RATA_DIE + i64::from(self.0))
    }

    fn from_rata_die(rata_die: RataDie) -> Option<Day> {
        let number = rata_die.to_i64_date() - EPOCH_RATA_DIE;
        u16::try_from(number).ok().and_then(Day::from_number)
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.iso())
    }
}

struct Written {
    year: i32,
    month: u8,
    day: u8,
    separator: char,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Written { year, month, day, separator } = self;
        write!(f, "{year:04}{separator}{month:02}{separator}{day:02}")
    }
}

fn jalali_rata_die(year: i32, month: u8, day: u8) -> Option<RataDie> {
    Date::try_new_persian(year, month, day).ok().map(|date| date.to_rata_die())
}

fn gregorian_rata_die(year: i32, month: u8, day: u8) -> Option<RataDie> {
    Date::try_new_gregorian(year, month, day).ok().map(|date| date.to_rata_die())
}

/// Cuts a cleaned cell into its three numbers; says nothing about whether they are a day.
fn split_date(cell: &[u8]) -> Option<(i32, u8, u8)> {
    if cell.len() == 8 && cell.iter().all(u8::is_ascii_digit) {
        return Some((number(&cell[..4]).into(), small(&cell[4..6]), small(&cell[6..])));
    }
    let separator = *cell.get(4).filter(|byte| matches!(byte, b'/' | b'-'))?;
    let (year, rest) = (&cell[..4], &cell[5..]);
    let middle = rest.iter().position(|&byte| byte == separator)?;
    let (month, day) = (&rest[..middle], &rest[middle + 1..]);
    let sized = matches!(month.len(), 1 | 2) && matches!(day.len(), 1 | 2);
    let digits = [year, month, day].iter().all(|part| part.iter().all(u8::is_ascii_digit));
    (sized && digits).then(|| (number(year).into(), small(month), small(day)))
}

/// Up to four ASCII digits.
fn number(digits: &[u8]) -> u16 {
    digits.iter().fold(0, |value, digit| value * 10 + u16::from(digit - b'0'))
}

/// One or two ASCII digits.
fn small(digits: &[u8]) -> u8 {
    digits.iter().fold(0, |value, digit| value * 10 + (digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::{DateError, Day};

    #[track_caller]
    fn check(cell: &str, expected: Result<(i32, u8, u8), DateError>) {
        assert_eq!(Day::parse(cell).map(Day::gregorian), expected, "{cell:?}");
    }

    #[test]
    fn three_spellings_in_two_calendars() {
        for cell in
            ["2026-11-22", "2026/11/22", "20261122", "1405/09/01", "1405-9-1", "14050901", " ۱۴۰۵/۹/۱ "]
        {
            check(cell, Ok((2026, 11, 22)));
        }
    }

    #[test]
    fn what_is_not_three_such_numbers_is_a_bad_date() {
        for cell in [
            "",
            "?",
            "1405",
            "1405/9",
            "1405/09-01",
            "1405/9/1/",
            "1405//1",
            "405/9/1",
            "14050/9/1",
            "1405/009/1",
        ] {
            check(cell, Err(DateError::BadDate));
        }
        for cell in ["1405 /9/1", "+405/9/1", "1405/9/+1", "140509011", "1405.9.1", "2026-11-22T00:00"] {
            check(cell, Err(DateError::BadDate));
        }
    }

    #[test]
    fn the_year_is_judged_before_the_day() {
        check("1277/13/45", Err(DateError::OutOfRange));
        check("1459/01/01", Err(DateError::OutOfRange));
        check("1899-12-31", Err(DateError::OutOfRange));
        check("2080-01-01", Err(DateError::OutOfRange));
        check("1278/13/01", Err(DateError::BadDate));
        check("2079-13-01", Err(DateError::BadDate));
    }

    #[test]
    fn the_range_ends_where_two_bytes_end() {
        check("1278/10/10", Err(DateError::OutOfRange));
        check("1278/10/11", Ok((1900, 1, 1)));
        check("2079-06-05", Ok((2079, 6, 5)));
        check("1458/03/15", Ok((2079, 6, 5)));
        check("2079-06-06", Err(DateError::OutOfRange));
        check("1458/03/16", Err(DateError::OutOfRange));
        check("1458/12/30", Err(DateError::BadDate));
        assert_eq!(Day::parse("2079-06-05"), Ok(Day::MAX));
        assert_eq!(Day::parse("1900-01-01"), Ok(Day::MIN));
        assert_eq!(Day::MAX.plus(1), None);
        assert_eq!(Day::MIN.plus(-1), None);
    }

    #[test]
    fn leap_days() {
        check("1403/12/30", Ok((2025, 3, 20)));
        check("1404/12/30", Err(DateError::BadDate));
        check("2024-02-29", Ok((2024, 2, 29)));
        check("2023-02-29", Err(DateError::BadDate));
        check("1900-02-29", Err(DateError::BadDate));
    }

    #[test]
    fn written_forms() {
        let day = Day::from_jalali(1405, 9, 1).unwrap();
        assert_eq!(day.iso().to_string(), "2026-11-22");
        assert_eq!(day.jalali_text().to_string(), "1405/09/01");
        assert_eq!(format!("{day:?}"), "2026-11-22");
    }
}
