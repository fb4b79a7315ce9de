//! Both calendars as tables, so that a row's dates are copied, not computed. Days are plain numbers here
//! (`i32`, days since 1900-01-01), since drawing dates is arithmetic on them.

use engine::Day;

/// The first Jalali year that has a day in the range.
const FIRST_YEAR: usize = 1278;
/// Days of a Jalali year before its twelfth month.
const DAYS_BEFORE_ESFAND: i32 = 6 * 31 + 5 * 30;

/// The text of each day, and the first day of each Jalali year.
pub(super) struct Calendar {
    jalali: Vec<[u8; 10]>,
    iso: Vec<[u8; 10]>,
    year_starts: Vec<i32>,
}

impl Calendar {
    pub(super) fn new() -> Self {
        let days = || (0..=Day::MAX.number()).filter_map(Day::from_number);
        Calendar {
            jalali: days().map(|day| ten_bytes(&day.jalali_text())).collect(),
            iso: days().map(|day| ten_bytes(&day.iso())).collect(),
            year_starts: (FIRST_YEAR as i32..).map_while(year_start).collect(),
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

/// The number of 1 Farvardin of a Jalali year; negative for 1278, whose range begins on 11 Dey.
fn year_start(year: i32) -> Option<i32> {
    let nowruz = Day::from_jalali(year, 1, 1).map(|day| i32::from(day.number()));
    let esfand = || Day::from_jalali(year, 12, 1).map(|day| i32::from(day.number()) - DAYS_BEFORE_ESFAND);
    nowruz.or_else(esfand)
}

fn ten_bytes(text: &impl std::fmt::Display) -> [u8; 10] {
    text.to_string()
        .into_bytes()
        .try_into()
        .expect("a year of four digits and two of two make ten characters")
}

#[cfg(test)]
mod tests {
    use super::Calendar;
    use engine::Day;

    fn day(year: i32, month: u8, day: u8) -> i32 {
        i32::from(Day::from_jalali(year, month, day).unwrap().number())
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
    fn anniversaries_agree_with_the_calendar_of_the_engine() {
        let calendar = Calendar::new();
        for number in (0..58_000u16).step_by(7) {
            let (year, month, date) = Day::from_number(number).unwrap().jalali();
            let plain =
                Day::from_jalali(year + 19, month, date).or(Day::from_jalali(year + 20, 1, 1)).unwrap();
            assert_eq!(calendar.turns_19(i32::from(number)), Some(i32::from(plain.number())));
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
