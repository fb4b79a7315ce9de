//! The keys of both channels. Personal inquiries have a quarter of the bound to themselves: they need no provider's
//! key, and whoever floods them must not take the room that providers rely on.

use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ledger::{Channel, Keyed, Month};
use parking_lot::{Mutex, MutexGuard};

use super::held::{Digest, Held, Room};
use super::{Place, SPAN_MS};
use crate::metrics::write_value;

/// How soon a client may ask again while the ledger is still being read.
const RETRY_AFTER_REBUILD_S: u16 = 1;
/// How soon when there is no room: a key may have gone by then.
const RETRY_AFTER_FULL_S: u16 = 60;
/// How soon at most, when not all keys are known: the bound may have been raised by then.
const RETRY_AFTER_UNKNOWN_S_MAX: u64 = 3600;
/// Requests with different keys seldom meet in one of so many.
const TURNS: usize = 256;

/// The keys of the last day, as far as the bound goes.
pub(crate) struct Keys {
    general: Held,
    personal: Held,
    /// Twins go one after the other, also when a month begins between them and their digests differ.
    turns: Vec<Mutex<()>>,
    turn_hasher: RandomState,
    /// The latest time of an entry: it may be to come, when the clock was put back.
    newest_ms: AtomicU64,
    /// Whether the ledger was read.
    is_rebuilt: AtomicBool,
    rebuild_ms: AtomicU64,
    refusal_logged: AtomicBool,
    pub(crate) counts: Counts,
}

/// What requests with a key came to.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) replays: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    refused: AtomicU64,
}

impl Keys {
    /// Room for `max` keys, nothing known yet.
    pub(crate) fn new(max: usize) -> Keys {
        let personal = (max / 4).max(1);
        Keys {
            general: Held::new(max.saturating_sub(personal).max(1)),
            personal: Held::new(personal),
            turns: (0..TURNS).map(|_| Mutex::new(())).collect(),
            turn_hasher: RandomState::new(),
            newest_ms: AtomicU64::new(0),
            is_rebuilt: AtomicBool::new(false),
            rebuild_ms: AtomicU64::new(0),
            refusal_logged: AtomicBool::new(false),
            counts: Counts::default(),
        }
    }

    fn held(&self, channel: Channel) -> &Held {
        match channel {
            Channel::General => &self.general,
            Channel::Personal => &self.personal,
        }
    }

    /// The turn of a key: of those who hold it for one text, one goes at a time. It must not be kept while waiting.
    pub(crate) fn turn(&self, text: &str) -> MutexGuard<'_, ()> {
        let place = self.turn_hasher.hash_one(text) % TURNS as u64;
        self.turns[usize::try_from(place).expect("less than the turns")].lock()
    }

    /// The months whose keys entries that stand for their key may be under, the present one first.
    pub(crate) fn months(&self, now_ms: u64) -> impl Iterator<Item = Month> + use<> {
        let times_ms = [now_ms, now_ms.saturating_sub(SPAN_MS), self.newest_ms.load(Ordering::Acquire)];
        let months = times_ms.map(Month::at);
        // Before the first entry the newest is that of 1970, which nothing is under.
        let is_first = move |place: usize| !months[..place].contains(&months[place]);
        (0..months.len())
            .filter(move |&place| is_first(place) && times_ms[place] > 0)
            .map(move |place| months[place])
    }

    /// Where the entry of a key is, if it is held; its time may be over.
    pub(crate) fn place(&self, channel: Channel, key: [u8; 10]) -> Option<Place> {
        self.held(channel).place(Digest(key))
    }

    /// Holds a key from now on, in the room that was taken for it.
    pub(crate) fn hold(&self, room: Room<'_>, keyed: &Keyed) {
        room.hold(Digest(keyed.key), Place::new(keyed.ledger, keyed.sequence), keyed.time_ms);
        self.newest_ms.fetch_max(keyed.time_ms, Ordering::AcqRel);
    }

    /// Holds the key of an entry that was read, as far as there is room.
    pub(super) fn remember(&self, keyed: &Keyed) {
        let place = Place::new(keyed.ledger, keyed.sequence);
        self.held(keyed.channel).remember(Digest(keyed.key), place, keyed.time_ms);
        self.newest_ms.fetch_max(keyed.time_ms, Ordering::AcqRel);
    }

    /// Lets a key of an entry of that time go, unless another entry has taken its place.
    pub(crate) fn forget(&self, channel: Channel, key: [u8; 10], place: Place, time_ms: u64) {
        self.held(channel).forget(Digest(key), place, time_ms);
    }

    /// Lets all keys go whose day is over.
    pub(super) fn sweep(&self, now_ms: u64) {
        [&self.general, &self.personal].into_iter().for_each(|held| held.sweep(now_ms));
    }

    /// Room for a key that is not held and so a new one; otherwise in how many seconds to ask again.
    pub(crate) fn room(&self, channel: Channel, now_ms: u64) -> Result<Room<'_>, u16> {
        let refused = |retry_s| {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            retry_s
        };
        if !self.is_rebuilt.load(Ordering::Acquire) {
            return Err(refused(RETRY_AFTER_REBUILD_S));
        }
        let held = self.held(channel);
        let unknown_ms = held.unknown_for_ms(now_ms);
        if unknown_ms > 0 {
            self.tell_refusal(
                channel,
                "not all keys of the last 24 hours are known: the ledger could not be read, the clock was put back, or \
                 --idempotency-keys-max was lowered",
            );
            let retry_s = (unknown_ms / 1000 + 1).min(RETRY_AFTER_UNKNOWN_S_MAX);
            return Err(refused(u16::try_from(retry_s).unwrap_or(u16::MAX)));
        }
        held.room().ok_or_else(|| {
            self.tell_refusal(
                channel,
                "there is no room until keys of a day ago go: raise --idempotency-keys-max, and restart",
            );
            refused(RETRY_AFTER_FULL_S)
        })
    }

    /// Once, lest a busy service fill its log.
    fn tell_refusal(&self, channel: Channel, why: &str) {
        if !self.refusal_logged.swap(true, Ordering::Relaxed) {
            let (channel, keys) = (channel.code(), self.held(channel).len());
            tracing::error!(channel, keys, why, "inquiries with new idempotency keys are refused");
        }
    }

    /// Keys of entries up to that time may be unknown: the ledger was not read there.
    pub(super) fn unknown_up_to(&self, time_ms: u64) {
        let until_ms = time_ms.saturating_add(SPAN_MS);
        [&self.general, &self.personal].into_iter().for_each(|held| held.unknown_until(until_ms));
    }

    /// The ledger was read, in so many milliseconds.
    pub(super) fn rebuilt(&self, took_ms: u64) {
        self.rebuild_ms.store(took_ms, Ordering::Relaxed);
        self.is_rebuilt.store(true, Ordering::Release);
    }

    pub(super) fn len(&self) -> usize {
        self.general.len() + self.personal.len()
    }

    /// The counters in the Prometheus text format.
    pub(crate) fn write(&self, out: &mut String) {
        let name = "estehqaq_idempotency_keys";
        let by_channel = |out: &mut String, name: &str, value: &dyn Fn(&Held) -> u64| {
            for channel in [Channel::General, Channel::Personal] {
                let _ =
                    writeln!(out, "{name}{{channel=\"{}\"}} {}", channel.code(), value(self.held(channel)));
            }
        };
        let _ = writeln!(out, "# HELP {name} Idempotency keys that are held.\n# TYPE {name} gauge");
        by_channel(out, name, &|held| held.len() as u64);
        let _ = writeln!(out, "# HELP {name}_max How many may be held.\n# TYPE {name}_max gauge");
        by_channel(out, &format!("{name}_max"), &|held| held.max() as u64);
        let counter = |out: &mut String, name: &str, help: &str, value: &AtomicU64| {
            write_value(out, name, "counter", help, value.load(Ordering::Relaxed));
        };
        let Counts { replays, conflicts, refused } = &self.counts;
        counter(
            out,
            "estehqaq_idempotent_replays_total",
            "Requests that got the first answer again.",
            replays,
        );
        let help = "Other requests under a key that had one.";
        counter(out, "estehqaq_idempotency_conflicts_total", help, conflicts);
        let help = "Requests refused for want of room, or because their key may not be new: alert on it.";
        counter(out, "estehqaq_idempotency_refused_total", help, refused);
        let rebuilt = u64::from(self.is_rebuilt.load(Ordering::Acquire));
        let help = "1 once the keys of the last 24 hours are read from the ledger.";
        write_value(out, &format!("{name}_known"), "gauge", help, rebuilt);
        let help = "What reading them took, in milliseconds.";
        let took_ms = self.rebuild_ms.load(Ordering::Relaxed);
        write_value(out, "estehqaq_idempotency_rebuild_ms", "gauge", help, took_ms);
    }
}

#[cfg(test)]
mod tests {
    use ledger::{Channel, Keyed};

    use super::{Keys, SPAN_MS};

    /// 2026-12-01 00:00 in Tehran.
    const MONTH_MS: u64 = 1_796_070_600_000;

    fn keyed(n: u64, channel: Channel, time_ms: u64) -> Keyed {
        let mut key = [0; 10];
        key[..8].copy_from_slice(&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
        Keyed { ledger: 1, sequence: n, time_ms, channel, key }
    }

    #[track_caller]
    fn check_months(keys: &Keys, now_ms: u64, expected: &str) {
        let months: Vec<_> = keys.months(now_ms).map(|month| month.to_string()).collect();
        assert_eq!(months.join(" "), expected);
    }

    #[test]
    fn the_month_before_counts_for_a_day_and_one_to_come_after_the_clock_was_put_back() {
        let keys = Keys::new(100);
        check_months(&keys, MONTH_MS - 1, "2026-11");
        check_months(&keys, MONTH_MS, "2026-12 2026-11");
        check_months(&keys, MONTH_MS + SPAN_MS - 1, "2026-12 2026-11");
        check_months(&keys, MONTH_MS + SPAN_MS, "2026-12");
        keys.remember(&keyed(1, Channel::General, MONTH_MS));
        check_months(&keys, MONTH_MS - 1, "2026-11 2026-12");
    }

    #[test]
    fn a_flood_of_personal_inquiries_leaves_providers_their_room() {
        let keys = Keys::new(8);
        assert_eq!(keys.room(Channel::General, MONTH_MS).err(), Some(1), "the ledger is not read yet");
        keys.rebuilt(0);
        let hold = |n, channel| {
            let keyed = keyed(n, channel, MONTH_MS);
            keys.room(channel, MONTH_MS).map(|room| keys.hold(room, &keyed))
        };
        assert!((0..2).all(|n| hold(n, Channel::Personal).is_ok()));
        assert!((2..99).all(|n| hold(n, Channel::Personal) == Err(60)));
        assert!((99..105).all(|n| hold(n, Channel::General).is_ok()));
        assert_eq!(hold(105, Channel::General), Err(60));
        let mut text = String::new();
        keys.write(&mut text);
        for line in [
            "estehqaq_idempotency_keys{channel=\"general\"} 6",
            "estehqaq_idempotency_keys{channel=\"personal\"} 2",
            "estehqaq_idempotency_refused_total 99",
        ] {
            assert!(text.lines().any(|each| each == line), "{line}\n{text}");
        }
        keys.sweep(MONTH_MS + SPAN_MS + 60_000);
        assert!(keys.room(Channel::Personal, MONTH_MS + SPAN_MS).is_ok());
    }

    #[test]
    fn after_a_gap_in_what_was_read_no_key_counts_as_new_for_a_day() {
        let keys = Keys::new(8);
        keys.unknown_up_to(MONTH_MS);
        keys.rebuilt(0);
        assert_eq!(keys.room(Channel::Personal, MONTH_MS).err(), Some(3600));
        assert_eq!(keys.room(Channel::Personal, MONTH_MS + SPAN_MS - 1500).err(), Some(2));
        assert!(keys.room(Channel::Personal, MONTH_MS + SPAN_MS).is_ok());
    }
}
