//! The keys of one channel: the digest of each and the place of its entry, within a bound. None goes before its day is
//! over: beyond the bound there is no room for new ones. Of a key whose day is over a mark stays: up to when a key that is
//! not held may be one that went, were the clock put back. Knows no clock and reads no ledger.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dashmap::{DashMap, Entry};
use ledger::SEQUENCE_MAX;

/// How long a key stands for its first request.
pub(crate) const SPAN_MS: u64 = 86_400_000;
const MINUTE_MS: u64 = 60_000;
/// Enough that a shard that is swept or made anew holds few requests up, and only shortly.
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
const _: () = assert!(size_of::<(Digest, Standing)>() == 20, "what a key takes");

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

/// What is held of a key.
#[derive(Clone, Copy)]
struct Standing {
    place: Place,
    /// The minute since 1970 at whose beginning its day is over at the latest; as bytes, so that nothing is padded.
    until_minute: [u8; 4],
}

impl Standing {
    fn new(place: Place, time_ms: u64) -> Standing {
        let until_minute = time_ms.saturating_add(SPAN_MS).div_ceil(MINUTE_MS);
        let until_minute = u32::try_from(until_minute).unwrap_or(u32::MAX);
        Standing { place, until_minute: until_minute.to_le_bytes() }
    }

    fn until_ms(self) -> u64 {
        u64::from(u32::from_le_bytes(self.until_minute)) * MINUTE_MS
    }
}

/// The keys that are held.
pub(crate) struct Held {
    standings: DashMap<Digest, Standing, BuildHasherDefault<AsItIs>>,
    /// How many are held, or about to be.
    len: AtomicUsize,
    max: usize,
    /// Up to then, a key that is not held may be one that went.
    unknown_until_ms: AtomicU64,
}

/// Room for one more key; dropped it is free again.
#[must_use = "dropped it is free again"]
pub(crate) struct Room<'a>(&'a Held);

impl Held {
    /// Room for `max` keys.
    pub(crate) fn new(max: usize) -> Held {
        let hasher = BuildHasherDefault::default();
        Held {
            standings: DashMap::with_capacity_and_hasher_and_shard_amount(max, hasher, SHARDS),
            len: AtomicUsize::new(0),
            max,
            unknown_until_ms: AtomicU64::new(0),
        }
    }

    /// Where the entry of a key is, if it is held; its time may be over.
    pub(crate) fn place(&self, digest: Digest) -> Option<Place> {
        self.standings.get(&digest).map(|standing| standing.place)
    }

    /// Room for one more key, if there is any.
    pub(crate) fn room(&self) -> Option<Room<'_>> {
        let more = |len| (len < self.max).then_some(len + 1);
        self.len.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok().map(|_| Room(self))
    }

    /// Holds a key of an entry that was read. Of two entries of a key the later one counts; where there is no room, a key
    /// of then is unknown.
    pub(crate) fn remember(&self, digest: Digest, place: Place, time_ms: u64) {
        let standing = Standing::new(place, time_ms);
        match self.standings.entry(digest) {
            Entry::Occupied(mut held) if held.get().until_ms() <= standing.until_ms() => {
                held.insert(standing);
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(vacant) => match self.room() {
                Some(room) => {
                    vacant.insert(standing);
                    std::mem::forget(room);
                }
                None => self.unknown_until(standing.until_ms()),
            },
        }
    }

    /// Lets a key of an entry of that time go, unless another entry has taken its place.
    pub(crate) fn forget(&self, digest: Digest, place: Place, time_ms: u64) {
        if self.standings.remove_if(&digest, |_, held| held.place == place).is_some() {
            self.len.fetch_sub(1, Ordering::AcqRel);
            // To the moment: the request that found it over wants to take it now.
            self.unknown_until(time_ms.saturating_add(SPAN_MS));
        }
    }

    /// Lets all keys go whose day is over: a minute late, since a worker may be at a request of a moment ago.
    pub(crate) fn sweep(&self, now_ms: u64) {
        let (mut gone, mut until_ms) = (0, 0);
        self.standings.retain(|_, standing| {
            let is_over = standing.until_ms().saturating_add(MINUTE_MS) <= now_ms;
            if is_over {
                gone += 1;
                until_ms = standing.until_ms().max(until_ms);
            }
            !is_over
        });
        self.len.fetch_sub(gone, Ordering::AcqRel);
        self.unknown_until(until_ms);
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
        self.len.load(Ordering::Acquire)
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }
}

impl Room<'_> {
    /// Holds a key whose entry has that time, in the place of an earlier entry.
    pub(crate) fn hold(self, digest: Digest, place: Place, time_ms: u64) {
        let before = self.0.standings.insert(digest, Standing::new(place, time_ms));
        if before.is_none() {
            std::mem::forget(self);
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.len.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::{Digest, Held, MINUTE_MS, Place, SPAN_MS};

    /// The beginning of a minute.
    const T: u64 = 1_795_379_400_000;

    fn digest(n: u64) -> Digest {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
        Digest(bytes)
    }

    /// Holds key `n` of an entry of that time; whether there was room.
    fn hold(keys: &Held, n: u64, time_ms: u64) -> bool {
        keys.room().map(|room| room.hold(digest(n), Place::new(1, n), time_ms)).is_some()
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
    fn beyond_the_bound_there_is_no_room_until_a_key_goes() {
        let keys = Held::new(3);
        assert!((0..3).all(|n| hold(&keys, n, T + n * MINUTE_MS)) && !hold(&keys, 3, T));
        let over = T + SPAN_MS + MINUTE_MS;
        keys.sweep(over - 1);
        assert!(!hold(&keys, 3, over), "a minute late");
        keys.sweep(over);
        assert!(hold(&keys, 3, over) && !hold(&keys, 4, over));
        assert_eq!((held_of(&keys, 0..5), keys.len()), (vec![1, 2, 3], 3));
        assert_eq!(keys.unknown_for_ms(T + SPAN_MS), 0);
        assert_eq!(keys.unknown_for_ms(T + SPAN_MS - 5), 5, "were the clock put back, it would be missed");
    }

    #[test]
    fn room_that_is_not_used_is_free_again() {
        let keys = Held::new(1);
        drop(keys.room().unwrap());
        assert!(hold(&keys, 1, T));
        assert!(keys.room().is_none());
        keys.forget(digest(1), Place::new(1, 1), T);
        let room = keys.room().unwrap();
        assert!(keys.room().is_none(), "while it is taken");
        room.hold(digest(2), Place::new(1, 2), T);
        assert_eq!(keys.len(), 1);
    }

    #[test]
    fn no_key_goes_a_moment_early() {
        let keys = Held::new(1);
        assert!(hold(&keys, 1, T + MINUTE_MS - 1));
        keys.sweep(T + MINUTE_MS - 1 + SPAN_MS + MINUTE_MS);
        assert_eq!(held_of(&keys, 1..2), [1]);
        keys.sweep(T + MINUTE_MS + SPAN_MS + MINUTE_MS);
        assert!(held_of(&keys, 1..2).is_empty());
    }

    #[test]
    fn a_key_that_is_over_is_free_to_the_moment() {
        let (keys, time_ms) = (Held::new(1), T + 5);
        assert!(hold(&keys, 1, time_ms));
        keys.forget(digest(1), Place::new(1, 1), time_ms);
        assert_eq!(keys.unknown_for_ms(time_ms + SPAN_MS), 0);
        assert_eq!(keys.unknown_for_ms(T + SPAN_MS), 5, "were the clock put back");
    }

    #[test]
    fn a_key_that_was_taken_again_is_not_forgotten_with_its_first_entry() {
        let keys = Held::new(2);
        for sequence in [1, 2] {
            keys.room().unwrap().hold(digest(1), Place::new(1, sequence), T + sequence * SPAN_MS);
        }
        assert_eq!((keys.place(digest(1)), keys.len()), (Some(Place::new(1, 2)), 1));
        keys.forget(digest(1), Place::new(1, 1), T);
        assert_eq!(keys.place(digest(1)), Some(Place::new(1, 2)));
        keys.forget(digest(1), Place::new(1, 2), T);
        assert_eq!((keys.place(digest(1)), keys.len()), (None, 0));
    }

    #[test]
    fn what_is_read_is_the_latest_entry_and_what_has_no_room_is_unknown() {
        let keys = Held::new(2);
        for (n, sequence, time_ms) in [(1, 9, T), (1, 5, T - SPAN_MS), (2, 8, T), (3, 7, T - MINUTE_MS)] {
            keys.remember(digest(n), Place::new(1, sequence), time_ms);
        }
        assert_eq!((held_of(&keys, 1..4), keys.len()), (vec![1, 2], 2));
        assert_eq!(keys.place(digest(1)), Some(Place::new(1, 9)));
        assert_eq!(keys.unknown_for_ms(T), SPAN_MS - MINUTE_MS);
        keys.remember(digest(1), Place::new(1, 10), T);
        assert_eq!(keys.place(digest(1)), Some(Place::new(1, 10)), "of one minute, what is read later");
    }
}
