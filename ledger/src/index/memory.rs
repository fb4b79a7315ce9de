//! The index of the segment that is being written, in memory: filled from what is on stable storage, some entries
//! behind the commits and beside them, and before each search up to its moment. Bounded by the segment's length, and
//! begun anew with each segment. It holds tags as an index file does, no person IDs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use zerocopy::FromZeros;

use super::{PersonKey, PersonTag, Persons, person_in};
use crate::error::{DamageKind, ReadError};
use crate::format::Slot;
use crate::keys::LedgerKeys;
use crate::month::Month;
use crate::segment::Segment;

/// Slots read at once.
const STEP_LEN: u64 = 1024;
/// No entry before.
const NONE: u32 = u32::MAX;

/// Whose entries stand where in one segment, as far as it was looked at.
#[derive(Default)]
pub(crate) struct OpenIndex {
    /// Which segment; 0 before the first.
    segment: u32,
    /// For each person the last slot.
    last: HashMap<PersonTag, u32>,
    /// For each slot the one before it about the same person.
    before: Vec<u32>,
}

impl OpenIndex {
    /// Takes in what a segment has up to slot `end`, all of which is on stable storage. False when it has gone on to a
    /// later segment already.
    pub(crate) fn catch_up(
        &mut self,
        segment: &Segment,
        end: u64,
        keys: &LedgerKeys,
    ) -> Result<bool, ReadError> {
        if segment.number < self.segment {
            return Ok(false);
        }
        if segment.number > self.segment {
            *self = OpenIndex { segment: segment.number, ..OpenIndex::default() };
        }
        let Some(persons) = persons_of(segment, keys) else { return Ok(false) };
        let end = end.min(segment.room()?);
        let mut chunk: Vec<Slot> = Vec::new();
        while (self.before.len() as u64) < end {
            let first = self.before.len() as u64;
            let len = usize::try_from((end - first).min(STEP_LEN)).expect("a step fits memory");
            chunk.resize(len, Slot::new_zeroed());
            let read = segment.read_slots(first, &mut chunk[..len])?;
            for (slot, at) in chunk[..read].iter().zip(first..) {
                self.take(&persons, segment, keys, at, slot)?;
            }
            if read < len {
                break;
            }
        }
        Ok(true)
    }

    fn take(
        &mut self,
        persons: &Persons,
        segment: &Segment,
        keys: &LedgerKeys,
        at: u64,
        slot: &Slot,
    ) -> Result<(), ReadError> {
        if !slot.is_intact() {
            return Err(segment.damage(at, DamageKind::Unreadable));
        }
        let mut before = NONE;
        if let Some(person) = person_in(segment, keys, at, slot)? {
            let at = u32::try_from(at).expect("a segment has fewer slots");
            match self.last.entry(persons.tag(person.into(), 0)) {
                Entry::Occupied(mut last) => before = last.insert(at),
                Entry::Vacant(none) => drop(none.insert(at)),
            }
        }
        self.before.push(before);
        Ok(())
    }

    /// The slots of a person before slot `before`, the last one first.
    pub(crate) fn slots_before(
        &self,
        segment: &Segment,
        keys: &LedgerKeys,
        person: PersonKey,
        before: u64,
    ) -> Vec<u32> {
        let tag = persons_of(segment, keys).map(|persons| persons.tag(person, 0));
        let last = tag.and_then(|tag| self.last.get(&tag).copied());
        let next = |&slot: &u32| self.before.get(slot as usize).copied().filter(|&before| before != NONE);
        std::iter::successors(last, next).filter(|&slot| u64::from(slot) < before).collect()
    }
}

fn persons_of(segment: &Segment, keys: &LedgerKeys) -> Option<Persons> {
    let month = Month::from_number(segment.header.month.get())?;
    Persons::new(keys, month, segment.ledger, segment.number)
}
