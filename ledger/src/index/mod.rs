//! Whose entries stand where: what a search by person goes by. `file` has the bytes of a sealed segment's index and
//! looks into it, `make` makes it from the segment, `memory` is the same for the segment that is being written.
//!
//! An index tells nobody without the month's key whom a segment is about, nor that two entries are about the same
//! person, nor that two segments are. It never decides: a search confirms each hit on the entry itself.

mod file;
mod make;
mod memory;

pub(crate) use file::{IndexFault, IndexFile};
#[cfg(test)]
pub(crate) use file::{IndexHeader, IndexPage, IndexRecord, MAGIC, PAGE_RECORDS};
pub use make::IndexError;
pub(crate) use make::{make, publish};
pub(crate) use memory::OpenIndex;

use std::sync::Arc;

use engine::{IdKind, PersonId};

use crate::error::{DamageKind, ReadError};
use crate::format::{KIND_INQUIRY, Slot};
use crate::keys::{LedgerKeys, Tag};
use crate::month::{Month, MonthKey};
use crate::segment::Segment;

/// The n-th entry about a person, as an index has it.
pub(crate) type PersonTag = [u8; 8];

/// What a keyed hash is for; its first byte.
const FOR_PERSONS: u8 = 0;
const FOR_HEADERS: u8 = 1;
const FOR_PAGES: u8 = 2;

/// Hides the persons of one segment, under the index key of its month.
#[derive(Clone)]
pub(crate) struct Persons {
    key: Arc<MonthKey>,
    ledger: u16,
    segment: u32,
}

impl Persons {
    /// None when the month's key is not here: nobody in that segment can be found.
    pub(crate) fn new(keys: &LedgerKeys, month: Month, ledger: u16, segment: u32) -> Option<Persons> {
        Some(Persons { key: keys.months.get(month)?, ledger, segment })
    }

    /// What stands for the entry about this person that has so many before it in the segment.
    pub(crate) fn tag(&self, person: PersonKey, occurrence: u32) -> PersonTag {
        let mut bytes = [FOR_PERSONS; 19];
        bytes[1..3].copy_from_slice(&self.ledger.to_le_bytes());
        bytes[3..7].copy_from_slice(&self.segment.to_le_bytes());
        bytes[7..15].copy_from_slice(&person.to_bytes());
        bytes[15..].copy_from_slice(&occurrence.to_le_bytes());
        let hash = blake3::keyed_hash(self.key.index_key(), &bytes);
        *hash.as_bytes().first_chunk().expect("a hash has 32 bytes")
    }

    /// What vouches for these bytes of an index.
    fn mac(&self, what: u8, parts: &[&[u8]]) -> Tag {
        let mut hasher = blake3::Hasher::new_keyed(self.key.index_key());
        hasher.update(&[what]);
        for part in parts {
            hasher.update(part);
        }
        *hasher.finalize().as_bytes().first_chunk().expect("a hash has 32 bytes")
    }
}

/// A person as one number: twice the engine's number, and one more for a foreign national.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PersonKey(u64);

impl PersonKey {
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}

impl From<PersonId> for PersonKey {
    fn from(person: PersonId) -> PersonKey {
        PersonKey(person.to_u64() << 1 | u64::from(person.kind() == IdKind::Foreign))
    }
}

/// Whom the inquiry in a slot is about; none for anything else, and where the keys do not go that far.
pub(crate) fn person_in(
    segment: &Segment,
    keys: &LedgerKeys,
    at: u64,
    slot: &Slot,
) -> Result<Option<PersonId>, ReadError> {
    if slot.kind != KIND_INQUIRY {
        return Ok(None);
    }
    let (subject, _) = crate::entry::take_masked(slot, segment.ledger, keys)
        .map_err(|field| segment.damage(at, DamageKind::Field(field)))?;
    Ok(subject.person())
}

#[cfg(test)]
pub(crate) mod tests {
    use engine::{IdKind, PersonId};

    use super::{PersonKey, Persons};
    use crate::entry::tests::some_keys;
    use crate::month::Month;

    pub(crate) fn persons(segment: u32) -> Persons {
        Persons::new(&some_keys(), Month::parse("2026-11").unwrap(), 42, segment).unwrap()
    }

    #[test]
    fn tags_differ_by_person_occurrence_segment_ledger_and_month() {
        let national = PersonKey::from(PersonId::from_u64(IdKind::National, 499_370_899).unwrap());
        let foreign = PersonKey::from(PersonId::from_u64(IdKind::Foreign, 1_499_370_899).unwrap());
        assert!(national != foreign);
        let tag = persons(7).tag(national, 0);
        assert_eq!(tag, persons(7).tag(national, 0));
        let of_ledger = Persons { ledger: 43, ..persons(7) };
        let of_month = Persons::new(&some_keys(), Month::parse("2026-12").unwrap(), 42, 7).unwrap();
        for other in [
            persons(7).tag(foreign, 0),
            persons(7).tag(national, 1),
            persons(8).tag(national, 0),
            of_ledger.tag(national, 0),
            of_month.tag(national, 0),
        ] {
            assert_ne!(tag, other);
        }
        assert!(Persons::new(&some_keys(), Month::parse("2026-10").unwrap(), 42, 7).is_none());
    }
}
