//! What a generation says of its people as a whole: the figures that the gates compare. Computed from the opened
//! snapshot, in one pass on all cores; they depend on the people alone.

use std::collections::BTreeMap;

use engine::{Care, Day, EntitlementRecord, IdKind, Person, PersonId, Reason, Snapshot, Status, decide};
use rayon::prelude::*;

use crate::build::partition::Fingerprinter;
use crate::generation::statistics::Statistics;
use crate::id_space::part_ranges;

/// Entitlements that are followed at once to find one that very many people share.
const FOLLOWED: usize = 32;
/// An entitlement is notably shared when more than this part of all people have it: one of 20.
const NOTABLE: u64 = 20;
/// National IDs of one area share their first three digits.
const IDS_PER_AREA: u64 = 1_000_000;
/// Reasons that a person in a snapshot can have.
const REASONS: usize = 6;

/// The figures, and the first record of each reason for the self-test.
pub(crate) struct Surveyed {
    pub(crate) statistics: Statistics,
    pub(crate) first_records: Vec<u64>,
}

/// Looks at everybody. None when a part of the ID space does not hold what `expected` says.
pub(crate) fn survey(snapshot: &Snapshot, as_of: Day, expected: &[blake3::Hash]) -> Option<Surveyed> {
    let parts: Option<Vec<_>> = part_ranges()
        .into_par_iter()
        .zip(expected)
        .map(|((kind, numbers), expected)| {
            let mut tally = Tally::default();
            let mut fingerprinter = Fingerprinter::new();
            for (id, person) in snapshot.people_of(kind, numbers) {
                tally.add(id, person, as_of);
                fingerprinter.add(id, records_of(&person));
            }
            (fingerprinter.finish() == *expected).then_some(tally)
        })
        .collect();
    let mut whole = Tally::default();
    // In order: so the outcome does not depend on which thread was first.
    parts?.into_iter().for_each(|part| whole.append(part));
    let notable = whole.people / NOTABLE;
    let candidates = whole.followed.possibly_above(notable);
    let shared = if candidates.is_empty() { 0 } else { count_shared(snapshot, &candidates) };
    Some(whole.surveyed(if shared > notable { shared } else { 0 }))
}

fn records_of<'a>(person: &Person<'a>) -> &'a [EntitlementRecord] {
    match person {
        Person::Entitled(records) => records,
        Person::Incomplete | Person::Unknown => &[],
    }
}

/// The largest number of people who have one of these entitlements.
fn count_shared(snapshot: &Snapshot, candidates: &[EntitlementRecord]) -> u64 {
    let counts = part_ranges().into_par_iter().map(|(kind, numbers)| {
        let mut counts = vec![0_u64; candidates.len()];
        for (_, person) in snapshot.people_of(kind, numbers) {
            let records = records_of(&person);
            for (count, candidate) in counts.iter_mut().zip(candidates) {
                *count += u64::from(records.iter().any(|record| record.without_mobile() == *candidate));
            }
        }
        counts
    });
    let sum = |a: Vec<u64>, b: Vec<u64>| a.into_iter().zip(b).map(|(a, b)| a + b).collect();
    counts.reduce(|| vec![0; candidates.len()], sum).into_iter().max().unwrap_or(0)
}

#[derive(Default)]
struct Tally {
    people: u64,
    covered: u64,
    categories: BTreeMap<&'static str, u64>,
    relations: BTreeMap<&'static str, u64>,
    leading_digits: BTreeMap<u64, u64>,
    /// Rank of the first person with each reason.
    first: [Option<u64>; REASONS],
    followed: Followed,
}

impl Tally {
    fn add(&mut self, id: PersonId, person: Person<'_>, as_of: Day) {
        let reason = decide(person, as_of, Care::Outpatient).reason;
        if let Some(first) = self.first.get_mut(usize::from(reason.to_u8())) {
            first.get_or_insert(self.people);
        }
        self.people += 1;
        self.covered += u64::from(reason.status() == Status::Covered);
        if id.kind() == IdKind::National {
            *self.leading_digits.entry(id.to_u64() / IDS_PER_AREA).or_default() += 1;
        }
        let records = records_of(&person);
        self.count_traits(records);
        records.iter().for_each(|record| self.followed.add(record.without_mobile(), 1));
    }

    /// Each category and relation once a person.
    fn count_traits(&mut self, records: &[EntitlementRecord]) {
        let unpacked = |record: &EntitlementRecord| {
            record.unpack().map_or(("other", "other"), |found| (found.category.code(), found.relation.code()))
        };
        for (place, record) in records.iter().enumerate() {
            let (category, relation) = unpacked(record);
            let before = || records[..place].iter().map(unpacked);
            if before().all(|(known, _)| known != category) {
                *self.categories.entry(category).or_default() += 1;
            }
            if before().all(|(_, known)| known != relation) {
                *self.relations.entry(relation).or_default() += 1;
            }
        }
    }

    fn append(&mut self, next: Tally) {
        for (first, other) in self.first.iter_mut().zip(next.first) {
            *first = first.or(other.map(|rank| self.people + rank));
        }
        self.people += next.people;
        self.covered += next.covered;
        next.categories
            .into_iter()
            .for_each(|(code, count)| *self.categories.entry(code).or_default() += count);
        next.relations
            .into_iter()
            .for_each(|(code, count)| *self.relations.entry(code).or_default() += count);
        next.leading_digits
            .into_iter()
            .for_each(|(area, count)| *self.leading_digits.entry(area).or_default() += count);
        self.followed.append(next.followed);
    }

    fn surveyed(self, shared_entitlement: u64) -> Surveyed {
        let named = |counts: BTreeMap<&str, u64>| {
            counts.into_iter().map(|(code, count)| (code.to_owned(), count)).collect()
        };
        Surveyed {
            statistics: Statistics {
                covered: self.covered,
                categories: named(self.categories),
                relations: named(self.relations),
                leading_digits: self
                    .leading_digits
                    .into_iter()
                    .map(|(area, count)| (format!("{area:03}"), count))
                    .collect(),
                shared_entitlement,
            },
            first_records: self.first.into_iter().flatten().collect(),
        }
    }
}

/// The frequent items of Misra and Gries (1982): counts of at most [`FOLLOWED`] records, none of which is lower
/// than the true one by more than `lost`.
#[derive(Default)]
struct Followed {
    counts: Vec<(EntitlementRecord, u64)>,
    lost: u64,
}

impl Followed {
    fn add(&mut self, record: EntitlementRecord, mut count: u64) {
        if let Some((_, known)) = self.counts.iter_mut().find(|(known, _)| *known == record) {
            *known += count;
            return;
        }
        if self.counts.len() == FOLLOWED {
            let least = self.counts.iter().map(|(_, count)| *count).min().unwrap_or(0).min(count);
            count -= least;
            self.lost += least;
            self.counts.iter_mut().for_each(|(_, known)| *known -= least);
            self.counts.retain(|(_, known)| *known > 0);
        }
        if count > 0 {
            self.counts.push((record, count));
        }
    }

    fn append(&mut self, next: Followed) {
        self.lost += next.lost;
        next.counts.into_iter().for_each(|(record, count)| self.add(record, count));
    }

    /// Those that may stand more often than that: all that do are among them.
    fn possibly_above(&self, count: u64) -> Vec<EntitlementRecord> {
        let possible = self.counts.iter().filter(|(_, known)| known + self.lost > count);
        possible.map(|(record, _)| *record).collect()
    }
}

const _: () = assert!(Reason::UnknownPerson as usize == REASONS);
