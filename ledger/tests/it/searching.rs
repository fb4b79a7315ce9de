//! Searching by person: whatever indexes there are, a search finds what a look at every entry finds, page by page.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use engine::{Day, IdKind, PersonId};
use ledger::sim::SimDisk;
use ledger::{
    Cursor, Disk, Entry, Found, Ledger, LedgerKeys, LedgerReader, RealDisk, Search, SearchError, SearchPage,
    Span, derived_month_key,
};
use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};
use proptest::test_runner::Config;

use crate::days::{copy, entry_on, open_on, reader};
use crate::support::{NOW_MS, entry, keys, month};

/// One of a few persons, of either kind, with the same digits.
pub(crate) fn person(n: u64) -> PersonId {
    let kind = if n.is_multiple_of(2) { IdKind::National } else { IdKind::Foreign };
    PersonId::from_u64(kind, 499_370_000 + n / 2 + if kind == IdKind::Foreign { 1_000_000_000 } else { 0 })
        .unwrap()
}

fn entry_about(who: u64, day: u64, n: u64) -> Entry {
    Entry { person: person(who).into(), ..entry_on(day, n) }
}

/// A life on each of these days: entries about these persons, in their order.
pub(crate) fn lives_about(lives: &[(u64, Vec<u64>)]) -> SimDisk {
    let disk = SimDisk::new();
    for (day, persons) in lives {
        let ledger = open_on(&disk, *day).unwrap();
        append(&ledger, *day, persons);
        ledger.close().unwrap();
    }
    copy(&disk)
}

fn append(ledger: &Ledger, day: u64, persons: &[u64]) {
    for (&who, n) in persons.iter().zip(0..) {
        ledger.append(entry_about(who, day, n)).unwrap().wait().unwrap();
    }
}

pub(crate) fn of(who: u64) -> Search {
    Search { person: person(who), span: Span::default(), limit: 3, after: None }
}

/// All pages of a search: what they hold, and how many segments could not be searched.
pub(crate) fn pages(
    search: Search,
    mut page: impl FnMut(&Search) -> Result<SearchPage, SearchError>,
) -> Result<(Vec<Found>, u64), SearchError> {
    let (mut found, mut search) = (Vec::new(), search);
    loop {
        let next = page(&search)?;
        assert_eq!(next.skipped, found.len() as u64);
        assert!(
            next.found.len() <= search.limit && (next.next.is_none() || next.found.len() == search.limit)
        );
        found.extend(next.found);
        assert!(found.len() < 1000, "the pages have no end");
        let Some(cursor) = next.next else { return Ok((found, next.segments_not_searchable)) };
        search.after = Some(Cursor::parse(&cursor, search.person, &keys()).unwrap());
    }
}

/// What a look at every entry finds, the newest first.
pub(crate) fn naive(reader: &LedgerReader, search: &Search) -> Vec<Found> {
    let all = reader.entries().map(Result::unwrap);
    let mut found: Vec<Found> = all
        .filter(|found| found.entry.person.person() == Some(search.person))
        .filter(|found| search.span.contains(found.entry.time_ms))
        .collect();
    found.reverse();
    found
}

#[track_caller]
fn check(ledger: &Ledger, disk: &SimDisk, search: Search) {
    let reader = reader(disk);
    let expected = (naive(&reader, &search), 0);
    assert_eq!(pages(search, |search| ledger.search(search)).unwrap(), expected);
    assert_eq!(pages(search, |search| reader.search(search)).unwrap(), expected);
}

fn persons() -> impl Strategy<Value = Vec<u64>> {
    // The first ones come often, the last one hardly ever.
    let who = any::<u8>().prop_map(|n| u64::from(n.trailing_ones()));
    prop::collection::vec(who, 0..40)
}

proptest! {
    #![proptest_config(Config::with_cases(48))]

    #[test]
    fn a_search_finds_what_a_look_at_every_entry_finds(
        lived in [persons(), persons(), persons()],
        open in persons(),
        span in [prop::option::of(-1_i32..=11), prop::option::of(-1_i32..=11)],
        limit in 1_usize..10,
        spoilt in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let days = [0, 1, 5];
        let lived: Vec<_> = days.into_iter().zip(lived).collect();
        let disk = lives_about(&lived);
        let ledger = open_on(&disk, 9).unwrap();
        ledger.index_segments().unwrap();
        append(&ledger, 9, &open);
        let sealed = ledger.segments();
        for spoilt in spoilt {
            let info = spoilt.get(&sealed);
            let name = index_of(info.number);
            if disk.names().contains(&name) {
                disk.remove(&name);
            }
        }
        let first = Day::parse("2026-10-26").unwrap();
        let [first, last] = span.map(|after| after.and_then(|after| first.plus(after)));
        for who in 0..10 {
            let search = Search { span: Span { first, last }, limit, ..of(who) };
            let reader = reader(&disk);
            let expected = naive(&reader, &search);
            let read = pages(search, |search| reader.search(search)).unwrap();
            prop_assert_eq!(&read.0, &expected);
            let found = pages(search, |search| ledger.search(search)).unwrap();
            prop_assert_eq!(&found.0, &expected);
        }
    }
}

pub(crate) fn index_of(segment: u32) -> String {
    format!("segment-{segment:08}.idx")
}

/// Entries that arrive between two pages stand before the first of them, and change nothing on the second.
#[test]
fn pages_stay_while_entries_arrive_and_segments_are_sealed() {
    let disk = lives_about(&[(0, vec![0; 30])]);
    let ledger = open_on(&disk, 9).unwrap();
    let expected = naive(&reader(&disk), &of(0));
    let mut n = 0;
    let found = pages(of(0), |search| {
        let page = ledger.search(search);
        // Two or three pages a segment: some cursors point into a segment that was open when they were given out.
        append(&ledger, 9, &[0, 1, 0, 0]);
        n += 3;
        if n % 2 == 0 {
            ledger.index_segments().unwrap();
        }
        page
    });
    assert_eq!(found.unwrap().0, expected);
    check(&ledger, &disk, of(0));
    // The same beginning in the open segment, whose page then is a sealed one's.
    let first = ledger.search(&of(0)).unwrap();
    let expected = naive(&reader(&disk), &of(0)).split_off(3);
    append(&ledger, 9, &[0; 30]);
    let after = Cursor::parse(&first.next.unwrap(), person(0), &keys()).unwrap();
    let rest = pages(Search { after: Some(after), ..of(0) }, |search| {
        let mut page = ledger.search(search)?;
        page.skipped -= 3;
        Ok(page)
    });
    assert_eq!(rest.unwrap().0, expected);
}

#[test]
fn a_cursor_is_for_one_person() {
    let disk = lives_about(&[(0, vec![0, 1, 0, 1, 0, 1, 0, 1])]);
    let cursor = reader(&disk).search(&of(0)).unwrap().next.unwrap();
    assert!(Cursor::parse(&cursor, person(0), &keys()).is_ok());
    let error = Cursor::parse(&cursor, person(1), &keys()).unwrap_err().to_string();
    assert!(error.contains("begin again without it"), "{error}");
}

/// An acknowledged entry is found at once, and one that waits for its sync is not.
#[test]
fn what_is_on_stable_storage_is_found_and_nothing_else() {
    let disk = SimDisk::new();
    let ledger = open_on(&disk, 0).unwrap();
    for n in 0..30 {
        ledger.append(entry_about(4, 0, n)).unwrap().wait().unwrap();
        let newest = ledger.search(&Search { limit: 1, ..of(4) }).unwrap();
        assert_eq!(newest.found[0].entry, entry_about(4, 0, n));
    }
    disk.hold();
    let pending = ledger.append(entry_about(5, 0, 99)).unwrap();
    disk.wait_until_held();
    assert_eq!(ledger.search(&of(5)).unwrap().found, []);
    disk.release();
    pending.wait().unwrap();
    assert_eq!(ledger.search(&of(5)).unwrap().found.len(), 1);
}

/// The keys of a server on which the first month was forgotten.
fn forgotten() -> Arc<LedgerKeys> {
    let next = derived_month_key(month("2026-10"), &[7; 32], month("2026-11")).unwrap();
    Arc::new(LedgerKeys::new(3, &[1; 32], 5, &[2; 32]).with_month(month("2026-11"), &next))
}

#[test]
fn nobody_is_found_in_a_forgotten_month_and_that_is_told() {
    // Two segments each on two days of October, two in November.
    let disk = lives_about(&[(0, vec![0; 14]), (1, vec![0; 14]), (9, vec![0; 26])]);
    let ledger = open_on(&disk, 9).unwrap();
    assert_eq!(ledger.index_segments().unwrap(), 6);
    assert!(disk.names().contains(&index_of(1)));
    ledger.close().unwrap();
    drop(ledger);
    let reader = LedgerReader::open(&disk, forgotten()).unwrap();
    let page = reader.search(&Search { limit: 100, ..of(0) }).unwrap();
    assert_eq!((page.found.len(), page.segments_not_searchable), (26, 4));
    let october = Day::parse("2026-10-26").unwrap();
    let span = Span { first: None, last: Some(october) };
    let page = reader.search(&Search { span, ..of(0) }).unwrap();
    assert_eq!((page.found.len(), page.segments_not_searchable), (0, 2));
    // A server removes what nobody can look into any more, and finds the rest.
    let ledger = Ledger::open(&disk, forgotten(), crate::days::on_day(9)).unwrap();
    ledger.index_segments().unwrap();
    let indexed: BTreeSet<u32> =
        (1..9).filter(|segment| disk.names().contains(&index_of(*segment))).collect();
    assert_eq!(indexed, (5..=7).collect());
    assert_eq!(ledger.stats().segments_not_indexed, 0);
    let page = ledger.search(&Search { limit: 100, ..of(0) }).unwrap();
    assert_eq!((page.found.len(), page.segments_not_searchable), (26, 4));
}

#[test]
fn a_page_has_one_entry_at_least_and_a_hundred_at_most() {
    let disk = lives_about(&[(0, vec![0; 130])]);
    let reader = reader(&disk);
    for (limit, expected) in [(0, 1), (1, 1), (100, 100), (101, 100), (usize::MAX, 100)] {
        assert_eq!(reader.search(&Search { limit, ..of(0) }).unwrap().found.len(), expected);
    }
}

/// Segments of the first format have no index, and are searched all the same.
#[test]
fn a_ledger_of_the_first_format_is_searched() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/format-1");
    let reader = LedgerReader::open(&RealDisk::new(&folder), keys()).unwrap();
    let disk = SimDisk::new();
    for name in ["LEDGER", "segment-00000001.led"] {
        disk.create_new(name).unwrap();
        disk.replace(name, std::fs::read(folder.join(name)).unwrap());
    }
    let ledger = crate::support::open(&disk).unwrap();
    for n in 0..6 {
        let search = Search { person: entry(n).person.person().unwrap(), ..of(0) };
        for page in [reader.search(&search).unwrap(), ledger.search(&search).unwrap()] {
            assert_eq!(page.found.len(), 1);
            assert_eq!((page.found[0].sequence, &page.found[0].entry), (n + 2, &entry(n)));
        }
    }
    assert_eq!(ledger.index_segments().unwrap(), 0);
    assert!(NOW_MS > 0 && !disk.names().contains(&index_of(1)));
}

/// Bytes of an entry that were changed are told as damage, with an index and without, not passed over.
#[test]
fn a_damaged_entry_stops_a_search_that_needs_it() {
    let disk = lives_about(&[(0, vec![0; 14])]);
    let ledger = open_on(&disk, 9).unwrap();
    ledger.index_segments().unwrap();
    let mut bytes = disk.contents("segment-00000001.led");
    bytes[4096 + 144 * 5 + 20] ^= 1;
    disk.replace("segment-00000001.led", bytes);
    let search = Search { limit: 100, ..of(0) };
    let told = ledger.search(&search).unwrap_err().to_string();
    assert!(told.contains("segment-00000001.led: entry 5 at byte 4816 is damaged"), "{told}");
    disk.remove(&index_of(1));
    let told = ledger.search(&search).unwrap_err().to_string();
    assert!(told.contains("segment-00000001.led: entry 5 at byte 4816 is damaged"), "{told}");
}
