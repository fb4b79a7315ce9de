//! Ledgers that live for several days, each life under a clock of its own.

use engine::Day;
use ledger::sim::{SimDisk, Survival};
use ledger::{Entry, Ledger, LedgerReader, OpenError, Options, Receipt, Span};

use crate::support::{LEDGER, NOW_MS, entry, keys, options};

pub(crate) const DAY_MS: u64 = 86_400_000;
pub(crate) const SURVIVALS: [Survival; 4] =
    [Survival::Nothing, Survival::Everything, Survival::Sectors, Survival::Torn];

fn clock_ms<const DAY: u64>() -> u64 {
    NOW_MS + DAY * DAY_MS
}

/// Options of a life on that day after the first.
pub(crate) fn on_day(day: u64) -> Options {
    let clock_ms = match day {
        0 => clock_ms::<0>,
        1 => clock_ms::<1>,
        5 => clock_ms::<5>,
        9 => clock_ms::<9>,
        _ => panic!("there is no clock for day {day}"),
    };
    Options { clock_ms, ..options() }
}

pub(crate) fn open_on(disk: &SimDisk, day: u64) -> Result<Ledger, OpenError> {
    Ledger::open_or_init(disk, LEDGER, keys(), on_day(day))
}

/// An entry that was answered on that day.
pub(crate) fn entry_on(day: u64, n: u64) -> Entry {
    Entry { time_ms: NOW_MS + day * DAY_MS + n, ..entry(n) }
}

/// A life on each of these days, with 14 entries, which is a full segment and the beginning of another.
pub(crate) fn lives(days: &[u64]) -> (SimDisk, Vec<(Receipt, Entry)>) {
    let (disk, mut written) = (SimDisk::new(), Vec::new());
    for &day in days {
        let ledger = open_on(&disk, day).unwrap();
        for n in 0..14 {
            let entry = entry_on(day, day * 100 + n);
            let receipt = ledger.append(entry.clone()).unwrap().wait().unwrap();
            written.push((receipt, entry));
        }
        ledger.close().unwrap();
    }
    // As if the machine had rested since: all is on stable storage.
    (disk.after_power_cut(Survival::Everything, 0), written)
}

/// A disk with the same files, for a test to spoil.
pub(crate) fn copy(disk: &SimDisk) -> SimDisk {
    disk.after_power_cut(Survival::Everything, 0)
}

pub(crate) fn reader(disk: &SimDisk) -> LedgerReader {
    LedgerReader::open(disk, keys()).unwrap()
}

/// The day in Tehran of day 0.
const FIRST_DAY: &str = "2026-10-26";

#[test]
fn records_by_days() {
    let (disk, written) = lives(&[0, 1, 5]);
    let reader = reader(&disk);
    let first = Day::parse(FIRST_DAY).unwrap();
    let day = |after: u16| Day::from_number(first.number() + after);
    let counted = |first, last| {
        let span = Span { first, last };
        let found = reader.records_of(span).map(|placed| placed.unwrap().inquiry().unwrap().entry);
        found.collect::<Vec<_>>()
    };
    let all: Vec<Entry> = written.into_iter().map(|(_, entry)| entry).collect();
    assert_eq!(counted(None, None), all);
    assert_eq!(counted(day(0), day(5)), all);
    assert_eq!(counted(day(1), None), all[14..]);
    assert_eq!(counted(None, day(4)), all[..28]);
    assert_eq!(counted(day(1), day(1)), all[14..28]);
    assert_eq!(counted(day(2), day(4)), []);
    assert_eq!(counted(day(6), None), []);
}
