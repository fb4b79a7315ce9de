//! Every day of the Jalali calendar against a table from an independent source.

use engine::Day;

const NOWRUZ: &str = include_str!("../data/nowruz.csv");
const MONTH_DAYS: [u8; 11] = [31, 31, 31, 31, 31, 31, 30, 30, 30, 30, 30];

struct Year {
    year: i32,
    first_day: String,
    days: u16,
}

fn years() -> Vec<Year> {
    let rows = NOWRUZ.lines().skip(1).map(|row| {
        let [year, first_day, days] = row.split(',').collect::<Vec<_>>().try_into().unwrap();
        Year { year: year.parse().unwrap(), first_day: first_day.to_owned(), days: days.parse().unwrap() }
    });
    let years: Vec<_> = rows.collect();
    assert_eq!(years.len(), 181, "1278..=1458");
    years
}

#[test]
fn every_year_and_day() {
    let mut expected = None;
    let mut seen = 0_u32;
    for Year { year, first_day, days } in years() {
        let [y, m, d]: [u32; 3] =
            first_day.split('-').map(|part| part.parse().unwrap()).collect::<Vec<_>>().try_into().unwrap();
        if let Some(day) = Day::from_gregorian(y as i32, m as u8, d as u8) {
            assert_eq!(expected.unwrap_or(day), day, "the table and the Gregorian count agree on {year}");
            expected = Some(day);
        }
        let esfand = days - MONTH_DAYS.iter().map(|&days| u16::from(days)).sum::<u16>();
        assert!(matches!(esfand, 29 | 30));
        for (month, length) in (1..).zip(MONTH_DAYS.into_iter().chain([esfand as u8])) {
            for day in 1..=length {
                let found = Day::from_jalali(year, month, day);
                if let Some(next) = expected {
                    assert_eq!(found, Some(next), "{year}/{month}/{day}");
                    assert_eq!(next.jalali(), (year, month, day));
                    expected = next.plus(1);
                    seen += 1;
                } else if found.is_some() {
                    // The first days of 1278 lie before 1900-01-01; the range begins within that year.
                    assert_eq!((found, seen), (Some(Day::MIN), 0));
                    expected = Day::MIN.plus(1);
                    seen += 1;
                }
            }
            assert_eq!(
                Day::from_jalali(year, month, length + 1),
                None,
                "{year}/{month} is {length} days long"
            );
        }
    }
    assert_eq!(seen, 65_535, "every day of the range was met");
}

#[test]
fn every_day_reads_back_from_each_spelling() {
    for number in 0..=65_534 {
        let day = Day::from_number(number).unwrap();
        let (year, month, date) = day.jalali();
        for text in
            [day.iso().to_string(), day.jalali_text().to_string(), format!("{year}{month:02}{date:02}")]
        {
            assert_eq!(Day::parse(&text), Ok(day), "{text}");
        }
    }
    assert_eq!(Day::from_number(65_535), None);
}
