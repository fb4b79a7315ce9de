//! Going through the people of a snapshot in the order of their IDs, and from a record number back to the ID:
//! for those who compare whole snapshots. Requests never come here.

use std::ops::Range;

use fst::Streamer;

use crate::decide::Person;
use crate::person::{ForeignId, IdKind, NationalId, PersonId};
use crate::snapshot::Snapshot;

/// National IDs have nine digits without the check digit.
const NATIONAL_NUMBERS: Range<u64> = 0..1_000_000_000;
/// Foreign numbers are written "1" before their digits, of which there are at most 16.
const FOREIGN_NUMBERS: Range<u64> = 0..20_000_000_000_000_000;

/// People in ascending order of their IDs.
pub struct People<'a> {
    snapshot: &'a Snapshot,
    national: fst::map::Stream<'a>,
    foreign: fst::map::Stream<'a>,
}

impl Snapshot {
    /// Everybody, national IDs first.
    pub fn people(&self) -> People<'_> {
        self.people_within(NATIONAL_NUMBERS, FOREIGN_NUMBERS)
    }

    /// The people of one kind whose ID as a number ([`PersonId::to_u64`]) lies in that range.
    pub fn people_of(&self, kind: IdKind, numbers: Range<u64>) -> People<'_> {
        match kind {
            IdKind::National => self.people_within(numbers, 0..0),
            IdKind::Foreign => self.people_within(0..0, numbers),
        }
    }

    /// The person with that record number and their ID, by way of the index in both directions.
    pub fn person_of_record(&self, record: u64) -> Option<(PersonId, Person<'_>)> {
        let (national, foreign) = self.indexes();
        let national_len = national.len() as u64;
        let person = if record < national_len {
            national
                .as_fst()
                .get_key(record)
                .and_then(|key| NationalId::from_index_key(&key).map(PersonId::National))
        } else {
            let key = foreign.as_fst().get_key(record - national_len);
            key.and_then(|key| ForeignId::from_index_key(&key).map(PersonId::Foreign))
        }?;
        Some((person, self.find(person)))
    }

    fn people_within(&self, national: Range<u64>, foreign: Range<u64>) -> People<'_> {
        let (national_index, foreign_index) = self.indexes();
        // No number is as large as the bounds are cut to: nothing is lost.
        let nine = |number: u64| number.min(NATIONAL_NUMBERS.end) as u32;
        let number = |number: u64| ForeignId::key_of(number.min(FOREIGN_NUMBERS.end));
        let national = national_index
            .range()
            .ge(nine(national.start).to_be_bytes())
            .lt(nine(national.end).to_be_bytes());
        let foreign = foreign_index.range().ge(number(foreign.start)).lt(number(foreign.end));
        People {
            snapshot: self,
            national: fst::IntoStreamer::into_stream(national),
            foreign: fst::IntoStreamer::into_stream(foreign),
        }
    }
}

impl<'a> Iterator for People<'a> {
    type Item = (PersonId, Person<'a>);

    /// Ends early at a key that is no ID; a verified index has none.
    fn next(&mut self) -> Option<(PersonId, Person<'a>)> {
        if let Some((key, rank)) = self.national.next() {
            let id = NationalId::from_index_key(key)?;
            return Some((PersonId::National(id), self.snapshot.person_at(rank)));
        }
        let (key, rank) = self.foreign.next()?;
        let id = ForeignId::from_index_key(key)?;
        let national = self.snapshot.indexes().0.len() as u64;
        Some((PersonId::Foreign(id), self.snapshot.person_at(national + rank)))
    }
}

impl NationalId {
    fn from_index_key(key: &[u8]) -> Option<NationalId> {
        NationalId::from_nine(u32::from_be_bytes(key.try_into().ok()?))
    }
}

impl ForeignId {
    fn key_of(number: u64) -> [u8; 7] {
        let [_, key @ ..] = number.to_be_bytes();
        key
    }

    fn from_index_key(key: &[u8]) -> Option<ForeignId> {
        let [a, b, c, d, e, f, g] = *<&[u8; 7]>::try_from(key).ok()?;
        let number = u64::from_be_bytes([0, a, b, c, d, e, f, g]);
        match PersonId::from_u64(IdKind::Foreign, number)? {
            PersonId::Foreign(id) => Some(id),
            PersonId::National(_) => None,
        }
    }
}
