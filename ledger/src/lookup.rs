//! From a sequence to its slot and back to an entry: by arithmetic where sequences run on, else by binary
//! search over the slots. There is no index.

use crate::entry::{Entry, decode};
use crate::error::{Damage, DamageKind, ReadError};
use crate::format::{KIND_INQUIRY, Slot, slot_offset};
use crate::keys::LedgerKeys;
use crate::segment::Segment;

/// An entry and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its place in the ledger's order.
    pub sequence: u64,
    /// What it says.
    pub entry: Entry,
}

/// The inquiry with a sequence, in one of the slots below `end`, all of which are entries.
pub(crate) fn find(
    segment: &Segment,
    keys: &LedgerKeys,
    end: u64,
    sequence: u64,
) -> Result<Option<Found>, ReadError> {
    // Sequences grow by at least one a slot, so none lies further on than if all had run on.
    let Some(ahead) = sequence.checked_sub(segment.first_sequence) else { return Ok(None) };
    let (mut low, mut high) = (0, end.min(ahead.saturating_add(1)));
    while low < high {
        let middle = low + (high - low) / 2;
        let found = intact(segment, middle)?.sequence.get();
        if found == sequence {
            return read(segment, keys, middle, sequence);
        }
        if found < sequence {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(None)
}

/// The inquiry in a slot that must have this sequence; none for a mark. Its link in the chain is checked.
pub(crate) fn read(
    segment: &Segment,
    keys: &LedgerKeys,
    slot: u64,
    sequence: u64,
) -> Result<Option<Found>, ReadError> {
    let found = intact(segment, slot)?;
    if found.sequence.get() != sequence {
        let found = found.sequence.get();
        return Err(damage(segment, slot, DamageKind::Sequence { before: sequence - 1, found }));
    }
    let key_id = found.key_id.get();
    let Some(key) = keys.ledger(key_id) else {
        return Err(ReadError::MissingKey { path: segment.path.clone(), key_id });
    };
    let before = match slot.checked_sub(1) {
        Some(before) => intact(segment, before)?.tag,
        None => segment.tag,
    };
    if key.tag(&before, found.tagged()) != found.tag {
        return Err(damage(segment, slot, DamageKind::Chain { key_id }));
    }
    if found.kind != KIND_INQUIRY {
        return Ok(None);
    }
    let entry = decode(&found, segment.ledger, key);
    let entry = entry.map_err(|field| damage(segment, slot, DamageKind::Field(field)))?;
    Ok(Some(Found { sequence, entry }))
}

/// Where the entries of a segment end, as far as anybody can tell without walking over them: the first slot
/// of zeros by binary search, less what is torn before it.
pub(crate) fn end(segment: &Segment) -> Result<u64, ReadError> {
    let (mut low, mut high) = (0, segment.room()?);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_free(&segment.read_slot(middle)?) { high = middle } else { low = middle + 1 }
    }
    while low > 0 && !segment.read_slot(low - 1)?.is_intact() {
        low -= 1;
    }
    Ok(low)
}

fn is_free(slot: &Slot) -> bool {
    slot.kind == 0 && slot.crc.get() == 0
}

fn intact(segment: &Segment, slot: u64) -> Result<Slot, ReadError> {
    let found = segment.read_slot(slot)?;
    if found.is_intact() { Ok(found) } else { Err(damage(segment, slot, DamageKind::Unreadable)) }
}

fn damage(segment: &Segment, slot: u64, kind: DamageKind) -> ReadError {
    Damage { path: segment.path.clone(), slot, offset: slot_offset(slot), kind }.into()
}
