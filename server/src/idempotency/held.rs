//! The keys of one channel: the digest of each and the place of its entry, within a bound. The oldest goes first,
//! and leaves a mark: up to when a key that is not held may be one that went. Of a key whose day is over that time has
//! come already, unless the clock is put back later. Knows no clock and reads no ledger.
//!
//! A key takes 16 bytes in the map, which is between half and wholly full, and 16 in the order of leaving.

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use ledger::SEQUENCE_MAX;
use parking_lot::Mutex;

/// How long a key stands for its first request.
pub(crate) const SPAN_MS: u64 = 86_400_000;
const MINUTE_MS: u64 = 60_000;
/// Keys whose time is over are let go with each that comes in: more than one, so that none heap up.
const EXPIRED_AT_ONCE: usize = 4;
/// Enough that a shard that is made anew holds few requests up, and only shortly.
const SHARDS: usize = 256;

/// A key's digest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest(pub(crate) [u8; 10]);

impl Hash for Digest {
    /// It is the hash of something secret: no client can choose where it falls.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// Takes a number as its own hash.
#[derive(Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Where an entry stands: a ledger's number in 14 bits, a sequence in 34.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place([u8; 6]);

const SEQUENCE_BITS: u32 = 34;
const _: () = assert!(SEQUENCE_MAX < 1 << SEQUENCE_BITS, "a sequence has its bits");
const _: () = assert!(9999 < 1 << (48 - SEQUENCE_BITS), "a ledger's number has its bits");
const _: () = assert!(size_of::<(Digest, Place)>() == 16, "what a key takes");

impl Place {
    pub(crate) fn new(ledger: u16, sequence: u64) -> Place {
        debug_assert!(ledger <= 9999 && sequence <= SEQUENCE_MAX);
        let [a, b, c, d, e, f, ..] = (u64::from(ledger) << SEQUENCE_BITS | sequence).to_le_bytes();
        Place([a, b, c, d, e, f])
    }

    fn bits(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }

    pub(crate) fn ledger(self) -> u16 {
        u16::try_from(self.bits() >> SEQUENCE_BITS).expect("14 bits")
    }

    pub(crate) fn sequence(self) -> u64 {
        self.bits() & ((1 << SEQUENCE_BITS) - 1)
    }
}

/// The keys that are held.
pub(crate) struct Held {
    places: DashMap<Digest, Place, BuildHasherDefault<AsItIs>>,
    order: Mutex<Order>,
    max: usize,
    /// Up to then, a key that is not held may be one that had to go.
    unknown_until_ms: AtomicU64,
    evicted: AtomicU64,
}

/// The keys in the order in which they go: that of their entries' times, whichever came first. So one entry of a clock
/// that ran ahead holds up none but itself.
#[derive(Default)]
struct Order {
    /// By the number of the minute since 1970.
    minutes: BTreeMap<u64, Minute>,
    len: usize,
}

/// Keys whose entries are of one minute.
#[derive(Default)]
struct Minute {
    last_ms: u64,
    keys: Vec<(Digest, Place)>,
    /// How many of them are gone.
    gone: usize,
}

impl Held {
    /// Room for `max` keys.
    pub(crate) fn new(max: usize) -> Held {
        Held {
            places: DashMap::with_capacity_and_hasher_and_shard_amount(
                max,
                BuildHasherDefault::default(),
                SHARDS,
            ),
            order: Mutex::default(),
            max,
            unknown_until_ms: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
        }
    }

    /// Where the entry of a key is, if it is held; its time may be over.
    pub(crate) fn place(&self, digest: Digest) -> Option<Place> {
        self.places.get(&digest).map(|place| *place)
    }

    /// Holds a key whose entry has that time, in the place of an earlier entry.
    pub(crate) fn hold(&self, digest: Digest, place: Place, time_ms: u64, now_ms: u64) {
        self.places.insert(digest, place);
        let mut order = self.order.lock();
        order.push(digest, place, time_ms);
        // A minute late: another worker may be at a request of a moment ago, to which the key is not over yet.
        for _ in 0..EXPIRED_AT_ONCE {
            let Some((digest, place, last_ms)) =
                order.pop_if(|last_ms| is_over(last_ms.saturating_add(MINUTE_MS), now_ms))
            else {
                break;
            };
            self.forget(digest, place, last_ms);
        }
        while order.len > self.max {
            let Some((digest, place, last_ms)) = order.pop_if(|_| true) else { break };
            self.forget(digest, place, last_ms);
            if !is_over(last_ms, now_ms) {
                self.evicted.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Lets a key of an entry of that time go, unless another entry has taken its place.
    pub(crate) fn forget(&self, digest: Digest, place: Place, time_ms: u64) {
        self.unknown_until(time_ms.saturating_add(SPAN_MS));
        self.places.remove_if(&digest, |_, held| *held == place);
    }

    /// Before that time a key that is not held cannot be told from a new one.
    pub(crate) fn unknown_until(&self, time_ms: u64) {
        self.unknown_until_ms.fetch_max(time_ms, Ordering::AcqRel);
    }

    /// Milliseconds until every key that is not held is a new one.
    pub(crate) fn unknown_for_ms(&self, now_ms: u64) -> u64 {
        self.unknown_until_ms.load(Ordering::Acquire).saturating_sub(now_ms)
    }

    /// How many are held, among them some whose time is over.
    pub(crate) fn len(&self) -> usize {
        self.order.lock().len
    }

    /// How many had to go before their time.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }
}

/// Whether an entry of that time stands for its key no longer.
fn is_over(time_ms: u64, now_ms: u64) -> bool {
    time_ms.saturating_add(SPAN_MS) <= now_ms
}

impl Order {
    fn push(&mut self, digest: Digest, place: Place, time_ms: u64) {
        self.len += 1;
        let number = time_ms / MINUTE_MS;
        if !self.minutes.contains_key(&number)
            && let Some(mut last) = self.minutes.last_entry()
        {
            last.get_mut().keys.shrink_to_fit();
        }
        let minute = self.minutes.entry(number).or_default();
        minute.last_ms = minute.last_ms.max(time_ms);
        minute.keys.push((digest, place));
    }

    /// Takes the oldest out, if `wanted` says so of the latest time in its minute, which comes with it.
    fn pop_if(&mut self, wanted: impl FnOnce(u64) -> bool) -> Option<(Digest, Place, u64)> {
        let mut first = self.minutes.first_entry()?;
        let minute = first.get_mut();
        let last_ms = minute.last_ms;
        if !wanted(last_ms) {
            return None;
        }
        let (digest, place) = *minute.keys.get(minute.gone)?;
        minute.gone += 1;
        if minute.gone == minute.keys.len() {
            first.remove();
        }
        self.len -= 1;
        Some((digest, place, last_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::{Digest, EXPIRED_AT_ONCE, Held, MINUTE_MS, Place, SPAN_MS};

    const T: u64 = 1_795_379_400_000;

    fn digest(n: u64) -> Digest {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
        Digest(bytes)
    }

    fn held_of(keys: &Held, range: std::ops::Range<u64>) -> Vec<u64> {
        range.filter(|&n| keys.place(digest(n)).is_some()).collect()
    }

    #[test]
    fn a_place_keeps_the_highest_numbers() {
        for (ledger, sequence) in [(1, 1), (9999, ledger::SEQUENCE_MAX), (9999, 0), (0, ledger::SEQUENCE_MAX)]
        {
            let place = Place::new(ledger, sequence);
            assert_eq!((place.ledger(), place.sequence()), (ledger, sequence));
        }
    }

    #[test]
    fn beyond_the_bound_the_oldest_goes_and_leaves_a_mark() {
        let keys = Held::new(3);
        for n in 0..3 {
            keys.hold(digest(n), Place::new(1, n), T + n * 60_000, T + n * 60_000);
        }
        assert_eq!((keys.evicted(), keys.unknown_for_ms(T)), (0, 0));
        keys.hold(digest(3), Place::new(1, 3), T + 180_000, T + 180_000);
        assert_eq!((held_of(&keys, 0..4), keys.len(), keys.evicted()), (vec![1, 2, 3], 3, 1));
        assert_eq!(keys.unknown_for_ms(T + SPAN_MS - 1), 1, "the one that went was of T");
        assert_eq!(keys.unknown_for_ms(T + SPAN_MS), 0);
    }

    #[test]
    fn keys_whose_day_is_over_go_and_are_missed_only_if_it_comes_back() {
        let keys = Held::new(100);
        (0..10).for_each(|n| keys.hold(digest(n), Place::new(1, n), T, T));
        keys.hold(digest(10), Place::new(1, 10), T + SPAN_MS - 1, T + SPAN_MS - 1);
        assert_eq!(keys.len(), 11);
        let over = T + SPAN_MS + MINUTE_MS;
        keys.hold(digest(11), Place::new(1, 11), over - 1, over - 1);
        assert_eq!(held_of(&keys, 0..12).len(), 12, "a minute late");
        keys.hold(digest(12), Place::new(1, 12), over, over);
        assert_eq!(held_of(&keys, 0..13).len(), 13 - EXPIRED_AT_ONCE);
        for n in 13..20 {
            keys.hold(digest(n), Place::new(1, n), over, over);
        }
        assert_eq!(held_of(&keys, 0..20), (10..20).collect::<Vec<_>>());
        assert_eq!((keys.evicted(), keys.unknown_for_ms(T + SPAN_MS)), (0, 0));
        assert_eq!(keys.unknown_for_ms(T + SPAN_MS - 5), 5, "were the clock put back, they would be missed");
    }

    #[test]
    fn a_key_that_was_taken_again_is_not_forgotten_with_its_first_entry() {
        let keys = Held::new(100);
        keys.hold(digest(1), Place::new(1, 1), T, T);
        keys.hold(digest(1), Place::new(1, 2), T + SPAN_MS, T + SPAN_MS);
        assert_eq!(keys.place(digest(1)), Some(Place::new(1, 2)));
        keys.forget(digest(1), Place::new(1, 1), T);
        assert_eq!(keys.place(digest(1)), Some(Place::new(1, 2)));
        keys.forget(digest(1), Place::new(1, 2), T + SPAN_MS);
        assert_eq!(keys.place(digest(1)), None);
    }

    #[test]
    fn the_oldest_entry_goes_first_also_when_the_clock_was_put_back() {
        let keys = Held::new(2);
        keys.hold(digest(1), Place::new(1, 1), T, T);
        keys.hold(digest(2), Place::new(1, 2), T - 3_600_000, T - 3_600_000);
        keys.hold(digest(3), Place::new(1, 3), T - 3_500_000, T - 3_500_000);
        assert_eq!(held_of(&keys, 1..4), [1, 3]);
        assert_eq!(keys.unknown_for_ms(T - 3_600_000 + SPAN_MS - 1), 1);
    }

    #[test]
    fn one_entry_of_a_clock_that_ran_ahead_holds_up_no_other() {
        let keys = Held::new(3);
        let far = T + 365 * SPAN_MS;
        keys.hold(digest(0), Place::new(1, 0), far, far);
        for n in 1..=5 {
            keys.hold(digest(n), Place::new(1, n), T + n * 2 * SPAN_MS, T + n * 2 * SPAN_MS);
        }
        assert_eq!(keys.unknown_for_ms(T + 10 * SPAN_MS), 0);
        assert_eq!(held_of(&keys, 0..6), [0, 5]);
    }
}
