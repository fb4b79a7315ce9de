//! Two opened snapshots side by side, in the order of their IDs: one part of the ID space on each core, a few parts at
//! a time, so that memory stays bounded however many people changed.

use std::cmp::Ordering;
use std::io;
use std::ops::Range;

use engine::{
    Care, Day, Decision, EntitlementRecord, IdKind, People, Person, PersonId, Snapshot, Status, decide,
};
use rayon::prelude::*;

use crate::diff::tally::{Both, Change, Changes, Groups, Trait};
use crate::id_space::part_ranges;

/// Parts of the ID space that are compared before the next ones begin, for each thread: enough for all to be busy.
const PARTS_PER_THREAD: usize = 8;

/// What is compared, and how.
pub(crate) struct Comparing<'a> {
    pub(crate) from: &'a Snapshot,
    pub(crate) to: &'a Snapshot,
    pub(crate) service_date: Day,
    /// Whether equal mobile numbers have equal fingerprints on both sides.
    pub(crate) mobiles_compare: bool,
    pub(crate) progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// A person of whom something changed: personal data.
#[derive(Clone, Copy, Debug)]
pub struct Changed {
    /// Who.
    pub id: PersonId,
    /// What.
    pub change: Change,
    /// What was decided by the generation before; none where it does not know them.
    pub before: Option<Decision>,
    /// What is decided by the generation after; none where it does not know them.
    pub after: Option<Decision>,
}

/// Somebody who may see whom a change befell.
pub struct Reveal<'a> {
    /// So many people at most.
    pub limit: u64,
    /// Takes them in the order of their IDs.
    pub to: &'a mut dyn FnMut(&Changed) -> io::Result<()>,
}

/// What was counted.
pub(crate) struct Tally {
    pub(crate) covered: Both,
    pub(crate) unchanged: u64,
    pub(crate) changes: Changes,
    pub(crate) appeared_covered: u64,
    pub(crate) vanished_covered: u64,
    pub(crate) categories: Groups,
    pub(crate) relations: Groups,
}

/// Compares everybody; also tells how many were revealed.
pub(crate) fn compare(comparing: &Comparing<'_>, mut reveal: Option<Reveal<'_>>) -> io::Result<(Tally, u64)> {
    let parts = part_ranges();
    let (mut whole, mut revealed, mut done) = (Tally::new(), 0, 0);
    for some in parts.chunks(PARTS_PER_THREAD * rayon::current_num_threads()) {
        let keep = reveal.as_ref().map_or(0, |reveal| reveal.limit - revealed);
        let (from, to) = (comparing.from, comparing.to);
        let (date, mobiles) = (comparing.service_date, comparing.mobiles_compare);
        let compared: Vec<Part> =
            some.par_iter().map(|part| Part::compare(from, to, part, date, mobiles, keep)).collect();
        // In order, and only here: so the list is in the order of the IDs.
        for part in compared {
            whole.append(&part.tally);
            if let Some(reveal) = &mut reveal {
                let left = usize::try_from(reveal.limit - revealed).unwrap_or(usize::MAX);
                for changed in part.changed.iter().take(left) {
                    (reveal.to)(changed)?;
                    revealed += 1;
                }
            }
        }
        done += some.len() as u64;
        (comparing.progress)(done, parts.len() as u64);
    }
    Ok((whole, revealed))
}

/// A part of the ID space.
struct Part {
    tally: Tally,
    /// As many as may still be revealed.
    changed: Vec<Changed>,
    keep: u64,
    service_date: Day,
    mobiles_compare: bool,
}

impl Part {
    fn compare(
        from: &Snapshot,
        to: &Snapshot,
        (kind, numbers): &(IdKind, Range<u64>),
        service_date: Day,
        mobiles_compare: bool,
        keep: u64,
    ) -> Part {
        let mut part = Part { tally: Tally::new(), changed: Vec::new(), keep, service_date, mobiles_compare };
        part.walk(from.people_of(*kind, numbers.clone()), to.people_of(*kind, numbers.clone()));
        part
    }

    /// Steps through both sides, always on the one that is behind.
    fn walk(&mut self, mut from: People<'_>, mut to: People<'_>) {
        let (mut old, mut new) = (from.next(), to.next());
        while let Some(id) = old.map(|(id, _)| id).into_iter().chain(new.map(|(id, _)| id)).min() {
            let person = |side: Option<(PersonId, Person<'_>)>| side.is_some_and(|(known, _)| known == id);
            let (in_old, in_new) = (person(old), person(new));
            let before = old.filter(|_| in_old).map_or(Person::Unknown, |(_, person)| person);
            let after = new.filter(|_| in_new).map_or(Person::Unknown, |(_, person)| person);
            self.add(id, before, after);
            if in_old {
                old = from.next();
            }
            if in_new {
                new = to.next();
            }
        }
    }

    fn add(&mut self, id: PersonId, before: Person<'_>, after: Person<'_>) {
        let judge = |person| decide(person, self.service_date, Care::Outpatient);
        let stored_alike = stored_alike(&before, &after, self.mobiles_compare);
        let new = judge(after);
        // The same entries give the same decision.
        let old = if stored_alike { new } else { judge(before) };
        self.tally.covered.from += u64::from(old.status() == Status::Covered);
        self.tally.covered.to += u64::from(new.status() == Status::Covered);
        if stored_alike {
            self.tally.unchanged += 1;
            return;
        }
        let known = |person: &Person<'_>, decision| (!matches!(person, Person::Unknown)).then_some(decision);
        let (before_decision, after_decision) = (known(&before, old), known(&after, new));
        let change = change(before_decision.as_ref(), after_decision.as_ref());
        self.tally.add(change, &old, &new, [before, after]);
        if (self.changed.len() as u64) < self.keep {
            self.changed.push(Changed { id, change, before: before_decision, after: after_decision });
        }
    }
}

/// What became of a person whose entries are not the same on both sides.
fn change(before: Option<&Decision>, after: Option<&Decision>) -> Change {
    let (Some(before), Some(after)) = (before, after) else {
        return if before.is_none() { Change::Appeared } else { Change::Vanished };
    };
    let end = |decision: &Decision| (decision.open_ended, decision.end);
    match (before.status(), after.status()) {
        (Status::NotCovered, Status::Covered) => Change::GainedCover,
        (Status::Covered, Status::NotCovered) => Change::LostCover,
        _ => match end(after).cmp(&end(before)) {
            Ordering::Greater => Change::EndLater,
            Ordering::Less => Change::EndEarlier,
            Ordering::Equal => Change::StoredOtherwise,
        },
    }
}

/// Whether both sides have the same entries, as far as they can be compared.
fn stored_alike(before: &Person<'_>, after: &Person<'_>, mobiles_compare: bool) -> bool {
    match (before, after) {
        (Person::Entitled(before), Person::Entitled(after)) if mobiles_compare => before == after,
        (Person::Entitled(before), Person::Entitled(after)) => {
            before.len() == after.len() && without_mobiles(before) == without_mobiles(after)
        }
        (Person::Incomplete, Person::Incomplete) | (Person::Unknown, Person::Unknown) => true,
        _ => false,
    }
}

/// Fingerprints take part in the order in which entries are stored.
fn without_mobiles(records: &[EntitlementRecord]) -> Vec<EntitlementRecord> {
    let mut records: Vec<_> = records.iter().map(EntitlementRecord::without_mobile).collect();
    records.sort_unstable_by_key(EntitlementRecord::storage_order);
    records
}

impl Tally {
    fn new() -> Tally {
        Tally {
            covered: Both::default(),
            unchanged: 0,
            changes: Changes::default(),
            appeared_covered: 0,
            vanished_covered: 0,
            categories: Groups::new(Trait::Category),
            relations: Groups::new(Trait::Relation),
        }
    }

    fn add(&mut self, change: Change, old: &Decision, new: &Decision, sides: [Person<'_>; 2]) {
        *self.changes.of(change) += 1;
        let covered = |decision: &Decision| u64::from(decision.status() == Status::Covered);
        match change {
            Change::Appeared => self.appeared_covered += covered(new),
            Change::Vanished => self.vanished_covered += covered(old),
            _ => {}
        }
        self.categories.add(change, sides);
        self.relations.add(change, sides);
    }

    fn append(&mut self, next: &Tally) {
        self.covered.from += next.covered.from;
        self.covered.to += next.covered.to;
        self.unchanged += next.unchanged;
        self.changes.append(&next.changes);
        self.appeared_covered += next.appeared_covered;
        self.vanished_covered += next.vanished_covered;
        self.categories.append(&next.categories);
        self.relations.append(&next.relations);
    }
}
