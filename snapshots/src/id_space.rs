//! The ID space in parts, by the leading digits: a build sorts and merges part after part, and parts are gone through on
//! all cores. IDs are dense numbers, so that parts are about even.

use std::ops::Range;

use engine::{IdKind, PersonId};

/// National IDs of one part share their first three digits.
const NATIONAL_PARTS: usize = 1000;
const IDS_PER_PART: u64 = 1_000_000;
/// Foreign numbers of one part share their length, of which there are nine, and their first two digits.
const FOREIGN_LENGTHS: usize = 9;
const FOREIGN_LEN_MIN: u32 = 8;
const FOREIGN_PARTS_PER_LENGTH: u64 = 100;
/// Parts of the whole ID space.
pub(crate) const PARTS: usize = NATIONAL_PARTS + FOREIGN_LENGTHS * FOREIGN_PARTS_PER_LENGTH as usize;
/// Set in the keys of foreign nationals, so that they sort after all national IDs.
const FOREIGN_BIT: u64 = 1 << 63;

/// A person ID as one number that sorts like it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(u64);

impl Key {
    pub(crate) fn new(person: PersonId) -> Key {
        match person.kind() {
            IdKind::National => Key(person.to_u64()),
            IdKind::Foreign => Key(person.to_u64() | FOREIGN_BIT),
        }
    }

    /// The key with this number, which is that of a key.
    pub(crate) fn from_number(number: u64) -> Key {
        Key(number)
    }

    pub(crate) fn number(self) -> u64 {
        self.0
    }

    /// The ID that it was made from.
    pub(crate) fn person(self) -> PersonId {
        let kind = if self.0 & FOREIGN_BIT == 0 { IdKind::National } else { IdKind::Foreign };
        PersonId::from_u64(kind, self.0 & !FOREIGN_BIT).expect("a key is made from a person ID")
    }

    /// The number of the part that it lies in.
    pub(crate) fn part(self) -> usize {
        if self.0 & FOREIGN_BIT == 0 {
            return (self.0 / IDS_PER_PART) as usize;
        }
        // "1" and 8 to 16 digits.
        let number = self.0 & !FOREIGN_BIT;
        let digits = number.ilog10();
        let leading = number / 10_u64.pow(digits - 2) - FOREIGN_PARTS_PER_LENGTH;
        let length = u64::from(digits - FOREIGN_LEN_MIN);
        NATIONAL_PARTS + (length * FOREIGN_PARTS_PER_LENGTH + leading) as usize
    }
}

/// The parts of the ID space in ascending order: kind and numbers ([`PersonId::to_u64`]).
pub(crate) fn part_ranges() -> Vec<(IdKind, Range<u64>)> {
    let national =
        (0..NATIONAL_PARTS as u64).map(|part| (IdKind::National, part * IDS_PER_PART, IDS_PER_PART));
    let foreign = (0..FOREIGN_LENGTHS as u32).flat_map(|length| {
        let len = 10_u64.pow(length + FOREIGN_LEN_MIN - 2);
        (0..FOREIGN_PARTS_PER_LENGTH)
            .map(move |leading| (IdKind::Foreign, (FOREIGN_PARTS_PER_LENGTH + leading) * len, len))
    });
    national.chain(foreign).map(|(kind, start, len)| (kind, start..start + len)).collect()
}

/// National IDs of three parts and foreign ones of the shortest and longest form.
#[cfg(test)]
pub(crate) fn people_of_many_parts() -> Vec<PersonId> {
    let national = [1, 999_999, 1_000_001, 500_000_001, 999_999_998];
    let foreign = [100_000_000, 199_999_999, 1_000_000_000, 10_000_000_000_000_000, 19_999_999_999_999_999];
    let of = |kind, numbers: [u64; 5]| numbers.map(|number| PersonId::from_u64(kind, number).unwrap());
    [of(IdKind::National, national), of(IdKind::Foreign, foreign)].concat()
}

#[cfg(test)]
mod tests {
    use super::{Key, part_ranges, people_of_many_parts};

    #[test]
    fn every_id_lies_in_the_range_of_its_part() {
        let ranges = part_ranges();
        for person in people_of_many_parts() {
            let (kind, numbers) = &ranges[Key::new(person).part()];
            assert!(*kind == person.kind() && numbers.contains(&person.to_u64()), "{}", person.to_u64());
        }
        assert!(ranges.windows(2).all(|two| two[0].0 != two[1].0 || two[0].1.end <= two[1].1.start));
    }
}
