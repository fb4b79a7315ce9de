//! The keys a ledger works with, and what is derived from them. Never prints a key.
//!
//! Three kinds: tracking keys make codes, ledger keys make the chain, month keys hide person IDs. So a month's
//! key can be destroyed without a trace of it in the chain.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};

use crate::lookup::Found;
use crate::month::{Month, MonthKey, MonthKeys};
use crate::tracking_code::{TrackingCode, TrackingKey};

/// Derivation contexts of `blake3::derive_key`: fixed for ever, a changed one makes old ledgers unreadable.
const CHAIN_CONTEXT: &str = "estehqaq 2026 ledger chain tags";
const MARKS_CONTEXT: &str = "estehqaq 2026 ledger marks";
const CURSORS_CONTEXT: &str = "estehqaq 2026 ledger search cursors";
const PERSON_CONTEXT: &str = "estehqaq 2026 ledger person ids";
const TRACKING_CHECK_CONTEXT: &str = "estehqaq 2026 tracking key check";

/// The tracking keys by epoch, the ledger keys by id and the month keys by month. New entries use the current
/// ones; the others make old codes and entries readable.
pub struct LedgerKeys {
    tracking_epoch: u8,
    tracking: [Option<(TrackingKey, [u8; 8])>; 10],
    ledger_id: u32,
    ledger: BTreeMap<u32, LedgerKey>,
    pub(crate) months: MonthKeys,
}

impl LedgerKeys {
    /// Keys for new entries: the tracking key of `tracking_epoch` (0 to 9) and the ledger key `ledger_id`.
    /// To append there must be a month's key too.
    ///
    /// # Panics
    /// When the epoch is not a digit.
    pub fn new(
        tracking_epoch: u8,
        tracking_key: &[u8; 32],
        ledger_id: u32,
        ledger_key: &[u8; 32],
    ) -> LedgerKeys {
        let none = LedgerKeys {
            tracking_epoch,
            tracking: [const { None }; 10],
            ledger_id,
            ledger: BTreeMap::new(),
            months: MonthKeys::new(),
        };
        none.with_tracking(tracking_epoch, tracking_key).with_ledger(ledger_id, ledger_key)
    }

    /// Adds the tracking key of another epoch (0 to 9), or replaces it.
    ///
    /// # Panics
    /// When the epoch is not a digit.
    #[must_use]
    pub fn with_tracking(mut self, epoch: u8, key: &[u8; 32]) -> LedgerKeys {
        assert!(epoch <= 9, "a key epoch is one digit");
        let check = first_chunk(&blake3::derive_key(TRACKING_CHECK_CONTEXT, key));
        self.tracking[usize::from(epoch)] = Some((TrackingKey::new(key), check));
        self
    }

    /// Adds a ledger key under its id, or replaces it.
    #[must_use]
    pub fn with_ledger(mut self, id: u32, key: &[u8; 32]) -> LedgerKeys {
        self.ledger.insert(id, LedgerKey::new(id, key));
        self
    }

    /// Adds a key of a month, from which those of later months follow up to the next one that is added. A month without
    /// entries begins with the key of it that was added last; one with entries goes on under the key they are under.
    #[must_use]
    pub fn with_month(mut self, month: Month, key: &[u8; 32]) -> LedgerKeys {
        self.months.add(month, key);
        self
    }

    /// The code of a place in a ledger, under the current tracking key.
    pub(crate) fn code(&self, ledger: u16, sequence: u64) -> TrackingCode {
        let key = self.tracking[usize::from(self.tracking_epoch)].as_ref();
        let (key, _) = key.expect("`new` sets the current epoch's key");
        key.code(self.tracking_epoch, ledger, sequence)
    }

    /// The same under the tracking key of another epoch; none when it is not here.
    pub(crate) fn code_of(&self, epoch: u8, ledger: u16, sequence: u64) -> Option<TrackingCode> {
        let (key, _) = self.tracking.get(usize::from(epoch))?.as_ref()?;
        Some(key.code(epoch, ledger, sequence))
    }

    /// The code that was given out for an inquiry; under the current key where that of then is not known or not here.
    pub(crate) fn code_given(&self, found: &Found) -> TrackingCode {
        let Found { ledger, sequence, tracking_epoch, .. } = *found;
        let given = tracking_epoch.and_then(|epoch| self.code_of(epoch, ledger, sequence));
        given.unwrap_or_else(|| self.code(ledger, sequence))
    }

    /// The ledger number and sequence of a code; none when its epoch's key is not here.
    pub(crate) fn resolve(&self, code: TrackingCode) -> Option<(u16, u64)> {
        self.tracking[usize::from(code.key_epoch())].as_ref().map(|(key, _)| key.resolve(code))
    }

    /// The epoch of new codes.
    pub(crate) fn tracking_epoch(&self) -> u8 {
        self.tracking_epoch
    }

    /// Tells a wrong tracking key under an epoch; none when there is none.
    pub(crate) fn tracking_check(&self, epoch: u8) -> Option<[u8; 8]> {
        self.tracking.get(usize::from(epoch))?.as_ref().map(|(_, check)| *check)
    }

    /// The key for new entries.
    pub(crate) fn current(&self) -> &LedgerKey {
        self.ledger.get(&self.ledger_id).expect("`new` sets the current key")
    }

    pub(crate) fn ledger(&self, id: u32) -> Option<&LedgerKey> {
        self.ledger.get(&id)
    }

    /// A month's key, by its number in an entry.
    pub(crate) fn month(&self, number: u32) -> Option<Arc<MonthKey>> {
        self.months.get(Month::from_number(number)?)
    }
}

impl fmt::Debug for LedgerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (epoch, id) = (self.tracking_epoch, self.ledger_id);
        write!(f, "LedgerKeys(tracking epoch {epoch}, ledger key {id}, redacted)")
    }
}

/// What is derived from one ledger key.
pub(crate) struct LedgerKey {
    id: u32,
    chain: [u8; 32],
    marks: [u8; 32],
    cursors: [u8; 32],
    person: Aes256,
}

/// A link of the chain: the keyed BLAKE3 of the link before and an entry, cut to 16 bytes.
pub(crate) type Tag = [u8; 16];

impl LedgerKey {
    fn new(id: u32, key: &[u8; 32]) -> LedgerKey {
        LedgerKey {
            id,
            chain: blake3::derive_key(CHAIN_CONTEXT, key),
            marks: blake3::derive_key(MARKS_CONTEXT, key),
            cursors: blake3::derive_key(CURSORS_CONTEXT, key),
            person: Aes256::new(&blake3::derive_key(PERSON_CONTEXT, key).into()),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// The tag over the tag before it (empty for a header) and the bytes that it vouches for.
    pub(crate) fn tag(&self, before: &[u8], bytes: &[u8]) -> Tag {
        let mut hasher = blake3::Hasher::new_keyed(&self.chain);
        hasher.update(before).update(bytes);
        first_chunk(hasher.finalize().as_bytes())
    }

    /// What vouches for a mark or for what tells where the chain begins.
    pub(crate) fn mac(&self, bytes: &[u8]) -> Tag {
        first_chunk(blake3::keyed_hash(&self.marks, bytes).as_bytes())
    }

    /// The key of the cursors of searches.
    pub(crate) fn cursors(&self) -> &[u8; 32] {
        &self.cursors
    }

    /// Encrypts and decrypts a person ID as format version 1 had it: by one block of AES-CTR, of ledger number
    /// and sequence.
    pub(crate) fn mask_person_1(&self, ledger: u16, sequence: u64, person: u64) -> u64 {
        let mut block = Array::from((u128::from(ledger) << 64 | u128::from(sequence)).to_be_bytes());
        self.person.encrypt_block(&mut block);
        let keystream: &[u8; 8] = block.first_chunk().expect("a block has 16 bytes");
        person ^ u64::from_be_bytes(*keystream)
    }
}

fn first_chunk<const N: usize>(hash: &[u8; 32]) -> [u8; N] {
    *hash.first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::LedgerKeys;

    #[test]
    fn debug_tells_no_key() {
        let keys = LedgerKeys::new(1, &[0xAB; 32], 2, &[0xCD; 32]);
        assert_eq!(format!("{keys:?}"), "LedgerKeys(tracking epoch 1, ledger key 2, redacted)");
    }

    #[test]
    fn codes_of_an_old_epoch_stay_readable() {
        let before = LedgerKeys::new(1, &[1; 32], 1, &[9; 32]);
        let code = before.code(42, 77);
        let after = LedgerKeys::new(2, &[2; 32], 1, &[9; 32]);
        assert_eq!(after.resolve(code), None, "a key that is not there");
        assert_eq!(after.with_tracking(1, &[1; 32]).resolve(code), Some((42, 77)));
    }

    #[test]
    fn checks_tell_keys_apart() {
        let keys =
            LedgerKeys::new(1, &[1; 32], 1, &[9; 32]).with_tracking(2, &[1; 32]).with_tracking(3, &[2; 32]);
        assert_eq!(keys.tracking_check(1), keys.tracking_check(2));
        assert_ne!(keys.tracking_check(1), keys.tracking_check(3));
        assert_eq!((keys.tracking_check(4), keys.tracking_check(200)), (None, None));
    }
}
