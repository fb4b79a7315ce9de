//! Months and their keys. A month's key gives the keys of the months after it and of none before: so a
//! server has a key for each month that begins, and old months are destroyed by keeping only a later one.

use std::collections::BTreeMap;
use std::fmt;

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use engine::Day;
use parking_lot::Mutex;
use std::sync::Arc;
use thiserror::Error;

/// Derivation contexts of `blake3::derive_key`: fixed for ever.
const IDS_CONTEXT: &str = "estehqaq 2026 ledger month ids";
const INDEX_CONTEXT: &str = "estehqaq 2026 ledger month index";
const IDEMPOTENCY_CONTEXT: &str = "estehqaq 2026 ledger idempotency";
const NEXT_CONTEXT: &str = "estehqaq 2026 ledger next month";
const CHECK_CONTEXT: &str = "estehqaq 2026 ledger month check";

/// Iran Standard Time, all year round since 2022.
const TEHRAN_OFFSET_MS: u64 = 12_600_000;
const DAY_MS: u64 = 86_400_000;
/// Days from 1900-01-01, day 0, to 1970-01-01.
const DAYS_BEFORE_1970: u64 = 25_567;

/// The day in Tehran at a time, in milliseconds since 1970; the last day there is for times beyond it.
pub(crate) fn tehran_day(time_ms: u64) -> Day {
    let number = time_ms.saturating_add(TEHRAN_OFFSET_MS) / DAY_MS + DAYS_BEFORE_1970;
    u16::try_from(number).ok().and_then(Day::from_number).unwrap_or(Day::MAX)
}

/// A Gregorian month.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(u32);

/// Why a text is no month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a month is written as 2026-11, from 1900-01 to 2079-12")]
pub struct MonthError;

impl Month {
    /// Reads a month as `2026-11`.
    ///
    /// # Errors
    /// When the text is none.
    pub fn parse(text: &str) -> Result<Month, MonthError> {
        let (year, month) = text.split_once('-').ok_or(MonthError)?;
        let digits = |text: &str, len| text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) {
            return Err(MonthError);
        }
        let number = |text: &str| text.parse::<u32>().map_err(|_| MonthError);
        Month::from_number(number(year)? * 100 + number(month)?).ok_or(MonthError)
    }

    /// The month of that number, such as 202611.
    pub fn from_number(number: u32) -> Option<Month> {
        let (year, month) = (number / 100, number % 100);
        ((1900..=2079).contains(&year) && (1..=12).contains(&month)).then_some(Month(number))
    }

    /// As a number, such as 202611.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The month in Tehran at a time, in milliseconds since 1970.
    pub fn at(time_ms: u64) -> Month {
        Month::of(tehran_day(time_ms))
    }

    /// The month of a day.
    pub fn of(day: Day) -> Month {
        let (year, month, _) = day.gregorian();
        let year = u32::try_from(year).expect("days begin in 1900");
        Month(year * 100 + u32::from(month))
    }

    /// The month after.
    #[must_use]
    pub fn next(self) -> Month {
        Month(if self.0 % 100 == 12 { self.0 + 89 } else { self.0 + 1 })
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0 / 100, self.0 % 100)
    }
}

impl fmt::Debug for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Month({self})")
    }
}

/// The key of the month after, from which nothing leads back.
fn next_month_key(key: &[u8; 32]) -> [u8; 32] {
    blake3::derive_key(NEXT_CONTEXT, key)
}

/// The key of `month`, derived from that of an earlier month.
pub fn derived_month_key(from: Month, key: &[u8; 32], month: Month) -> Option<[u8; 32]> {
    if month < from {
        return None;
    }
    let (mut at, mut key) = (from, *key);
    while at < month {
        (at, key) = (at.next(), next_month_key(&key));
    }
    Some(key)
}

/// What is derived from one month's key.
pub(crate) struct MonthKey {
    month: Month,
    ids: Aes256,
    index: [u8; 32],
    idempotency: [u8; 32],
    check: [u8; 8],
}

/// What is encrypted of an entry: person and entitlement.
pub(crate) const MASKED_LEN: usize = 20;

impl MonthKey {
    fn new(month: Month, key: &[u8; 32]) -> MonthKey {
        let check = blake3::derive_key(CHECK_CONTEXT, key);
        MonthKey {
            month,
            ids: Aes256::new(&blake3::derive_key(IDS_CONTEXT, key).into()),
            index: blake3::derive_key(INDEX_CONTEXT, key),
            idempotency: blake3::derive_key(IDEMPOTENCY_CONTEXT, key),
            check: *check.first_chunk().expect("a hash has 32 bytes"),
        }
    }

    /// The month whose key this is.
    pub(crate) fn month(&self) -> Month {
        self.month
    }

    /// Tells a wrong key under this month.
    pub(crate) fn check(&self) -> [u8; 8] {
        self.check
    }

    /// The key of the index of a sealed segment of this month.
    pub(crate) fn index_key(&self) -> &[u8; 32] {
        &self.index
    }

    /// The key of the idempotency digests of inquiries of this month.
    pub(crate) fn idempotency_key(&self) -> &[u8; 32] {
        &self.idempotency
    }

    /// Encrypts and decrypts by two blocks of AES-CTR: (block, ledger number, sequence) never comes twice
    /// under a key, so no keystream serves two entries.
    pub(crate) fn mask(&self, ledger: u16, sequence: u64, bytes: &mut [u8; MASKED_LEN]) {
        let counter = u128::from(ledger) << 64 | u128::from(sequence);
        let block = |number: u128| Array::from((number << 120 | counter).to_be_bytes());
        let mut blocks = [block(0), block(1)];
        self.ids.encrypt_blocks(&mut blocks);
        let keystream = blocks.iter().flatten();
        bytes.iter_mut().zip(keystream).for_each(|(byte, key)| *byte ^= key);
    }
}

/// The month keys of a secrets file, and those that follow from them.
pub(crate) struct MonthKeys {
    /// Of each month, the one that it begins with last.
    given: BTreeMap<Month, Vec<[u8; 32]>>,
    /// What each month is read and written with, as far as it was asked for.
    used: Mutex<BTreeMap<Month, Used>>,
}

struct Used {
    key: Arc<MonthKey>,
    /// Whether a segment is under it: then the month stays with it.
    is_settled: bool,
}

impl MonthKeys {
    pub(crate) fn new() -> MonthKeys {
        MonthKeys { given: BTreeMap::new(), used: Mutex::default() }
    }

    pub(crate) fn add(&mut self, month: Month, key: &[u8; 32]) {
        self.given.entry(month).or_default().push(*key);
        self.used.lock().clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// The first month that has a key.
    pub(crate) fn first(&self) -> Option<Month> {
        self.given.keys().next().copied()
    }

    /// A month's key; none for months before the first that is here.
    pub(crate) fn get(&self, month: Month) -> Option<Arc<MonthKey>> {
        let mut used = self.used.lock();
        if let Some(known) = used.get(&month) {
            return Some(known.key.clone());
        }
        let key = Arc::new(self.leading_to(month).next()?);
        used.insert(month, Used { key: key.clone(), is_settled: false });
        Some(key)
    }

    /// The key for new entries of a month: a month before all keys takes the first one.
    pub(crate) fn for_writing(&self, month: Month) -> Option<Arc<MonthKey>> {
        self.get(month.max(self.first()?))
    }

    /// Stays with the key that a segment of the month was written with. That need not be the newest one: a server that was
    /// not restarted before the month began went on with what followed from the key before. False when it is none of the
    /// keys that are here; true where none leads to that month.
    pub(crate) fn settle(&self, month: Month, check: [u8; 8]) -> bool {
        let mut used = self.used.lock();
        match used.get_mut(&month) {
            Some(known) if known.key.check == check => {
                known.is_settled = true;
                return true;
            }
            Some(known) if known.is_settled => return false,
            _ => {}
        }
        let mut leading = self.leading_to(month).peekable();
        if leading.peek().is_none() {
            return true;
        }
        let Some(key) = leading.find(|key| key.check == check) else { return false };
        used.insert(month, Used { key: Arc::new(key), is_settled: true });
        true
    }

    /// The keys that may be a month's: its own or what follows from the newest one before it, and then from those before
    /// that.
    fn leading_to(&self, month: Month) -> impl Iterator<Item = MonthKey> {
        let given = self.given.range(..=month).rev();
        let keys = given.flat_map(|(from, keys)| keys.iter().rev().map(move |key| (*from, key)));
        keys.filter_map(move |(from, key)| Some(MonthKey::new(month, &derived_month_key(from, key, month)?)))
    }
}

#[cfg(test)]
mod tests {
    use engine::Day;

    use super::{MASKED_LEN, Month, MonthError, MonthKey, MonthKeys, derived_month_key, tehran_day};

    fn month(text: &str) -> Month {
        Month::parse(text).unwrap()
    }

    #[test]
    fn months_read_and_written() {
        for text in ["1900-01", "2026-11", "2079-12"] {
            assert_eq!(month(text).to_string(), text);
        }
        for bad in
            ["", "2026", "2026-13", "2026-00", "26-11", "2026-1", "2026-011", "1899-12", "2080-01", "2026-+1"]
        {
            assert_eq!(Month::parse(bad), Err(MonthError), "{bad:?}");
        }
        assert_eq!(month("2026-12").next(), month("2027-01"));
        assert_eq!(month("2026-11").next(), month("2026-12"));
    }

    /// 2026-11-30 20:30 UTC is midnight in Tehran.
    #[test]
    fn days_and_months_begin_in_tehran() {
        let midnight_ms = 1_796_070_600_000;
        assert_eq!(tehran_day(midnight_ms), Day::parse("2026-12-01").unwrap());
        assert_eq!(tehran_day(midnight_ms - 1), Day::parse("2026-11-30").unwrap());
        assert_eq!(Month::at(midnight_ms), month("2026-12"));
        assert_eq!(Month::at(midnight_ms - 1), month("2026-11"));
        assert_eq!(tehran_day(0), Day::parse("1970-01-01").unwrap());
        assert_eq!(tehran_day(u64::MAX), Day::MAX);
    }

    #[test]
    fn keys_lead_forward_only() {
        let mut keys = MonthKeys::new();
        assert!(keys.get(month("2026-11")).is_none() && keys.for_writing(month("2026-11")).is_none());
        keys.add(month("2026-11"), &[1; 32]);
        keys.add(month("2027-03"), &[2; 32]);
        assert!(keys.get(month("2026-10")).is_none());
        let check = |keys: &MonthKeys, text: &str| keys.get(month(text)).unwrap().check();
        // Whoever keeps the derived key of January reads January and February, and no longer December.
        let january = derived_month_key(month("2026-11"), &[1; 32], month("2027-01")).unwrap();
        let mut later = MonthKeys::new();
        later.add(month("2027-01"), &january);
        assert!(later.get(month("2026-12")).is_none());
        for text in ["2027-01", "2027-02"] {
            assert_eq!(check(&later, text), check(&keys, text));
        }
        assert_ne!(check(&later, "2027-03"), check(&keys, "2027-03"), "March has a key of its own");
        assert_eq!(keys.for_writing(month("2020-01")).unwrap().month(), month("2026-11"));
        assert_eq!(derived_month_key(month("2026-11"), &[1; 32], month("2026-10")), None);
    }

    /// A key for December that was added in November, and taken up only after December had begun.
    #[test]
    fn a_month_stays_with_the_key_it_began_with() {
        let december = month("2026-12");
        let mut keys = MonthKeys::new();
        keys.add(month("2026-11"), &[1; 32]);
        let began_with = keys.get(december).unwrap().check();
        keys.add(december, &[2; 32]);
        let added = keys.get(december).unwrap().check();
        assert_ne!(added, began_with);
        assert!(keys.settle(december, began_with));
        assert_eq!(keys.for_writing(december).unwrap().check(), began_with);
        assert!(!keys.settle(december, added), "a month has one key");
        assert!(!keys.settle(month("2027-01"), [0; 8]), "a key that is not here");
        assert!(keys.settle(month("2026-10"), [0; 8]), "nothing leads there");
        let derived = derived_month_key(december, &[2; 32], month("2027-01")).unwrap();
        assert_eq!(keys.get(month("2027-01")).unwrap().check(), MonthKey::new(december, &derived).check());
    }

    /// What is left of the file of the test before when the months before December are forgotten.
    #[test]
    fn a_month_may_have_several_keys_and_begins_with_the_last() {
        let december = month("2026-12");
        let derived = derived_month_key(month("2026-11"), &[1; 32], december).unwrap();
        let mut keys = MonthKeys::new();
        keys.add(december, &derived);
        keys.add(december, &[2; 32]);
        let check = |key: &[u8; 32]| MonthKey::new(december, key).check();
        assert_eq!(keys.get(december).unwrap().check(), check(&[2; 32]));
        assert!(keys.settle(december, check(&derived)));
        assert_eq!(keys.get(december).unwrap().check(), check(&derived));
        let january = derived_month_key(december, &[2; 32], month("2027-01")).unwrap();
        assert_eq!(keys.get(month("2027-01")).unwrap().check(), check(&january));
    }

    #[test]
    fn masks_differ_by_key_ledger_and_sequence() {
        let key = MonthKey::new(month("2026-11"), &[1; 32]);
        let masked = |key: &MonthKey, ledger, sequence| {
            let mut bytes = [0; MASKED_LEN];
            key.mask(ledger, sequence, &mut bytes);
            bytes
        };
        let one = masked(&key, 1, 1);
        let mut back = one;
        key.mask(1, 1, &mut back);
        assert_eq!(back, [0; MASKED_LEN]);
        let other = MonthKey::new(month("2026-11"), &[2; 32]);
        for different in [masked(&key, 1, 2), masked(&key, 2, 1), masked(&other, 1, 1)] {
            assert!(different.iter().zip(&one).filter(|(a, b)| a == b).count() < 6);
        }
    }
}
