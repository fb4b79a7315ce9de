//! From a sequence to its slot and back to an entry: by arithmetic, since sequences run on within a segment; in
//! format version 1, where they need not, by binary search over the slots. No index is needed for that.

use crate::chain::SegmentInfo;
use crate::entry::Entry;
use crate::error::{DamageKind, ReadError};
use crate::format::{KIND_SEAL, Slot};
use crate::keys::LedgerKeys;
use crate::record::Record;
use crate::segment::Segment;

/// An inquiry and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The ledger it was written for.
    pub ledger: u16,
    /// Its place in the ledger's order.
    pub sequence: u64,
    /// The tracking key of the code that was given out; format version 1 does not tell.
    pub tracking_epoch: Option<u8>,
    /// What it says.
    pub entry: Entry,
}

/// A record and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The ledger it was written for.
    pub ledger: u16,
    /// Its place in the ledger's order.
    pub sequence: u64,
    /// The tracking key of codes of then; format version 1 does not tell.
    pub tracking_epoch: Option<u8>,
    /// What it says.
    pub record: Record,
}

impl Placed {
    /// The inquiry, if it is one.
    pub fn inquiry(self) -> Option<Found> {
        let Placed { ledger, sequence, tracking_epoch, record } = self;
        match record {
            Record::Inquiry(entry) => Some(Found { ledger, sequence, tracking_epoch, entry }),
            Record::Act(_) => None,
        }
    }
}

/// The sealed segment that a sequence of a ledger would stand in.
pub(crate) fn sealed_with(sealed: &[SegmentInfo], ledger: u16, sequence: u64) -> Option<&SegmentInfo> {
    // Ledgers follow one another, a few at most, and within each the sequences rise.
    let from = sealed.iter().position(|info| info.ledger == ledger)?;
    let of_ledger = &sealed[from..];
    let at = of_ledger.partition_point(|info| info.ledger == ledger && info.last_sequence < sequence);
    of_ledger.get(at).filter(|info| info.ledger == ledger && info.first_sequence <= sequence)
}

/// The record with a sequence, among the first `end` slots of a segment, all of which are entries.
pub(crate) fn find(
    segment: &Segment,
    keys: &LedgerKeys,
    end: u64,
    sequence: u64,
) -> Result<Option<Placed>, ReadError> {
    let Some(ahead) = sequence.checked_sub(segment.first_sequence()) else { return Ok(None) };
    if !segment.is_version_1() {
        return if ahead < end { read(segment, keys, ahead, sequence) } else { Ok(None) };
    }
    // Sequences grow by at least one a slot, so none lies further on than if all had run on.
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

/// The record in a slot, which is checked as if it had been looked for by its sequence; none for a mark.
pub(crate) fn at(segment: &Segment, keys: &LedgerKeys, slot: u64) -> Result<Option<Placed>, ReadError> {
    let sequence = if segment.is_version_1() {
        intact(segment, slot)?.sequence.get()
    } else {
        segment.first_sequence() + slot
    };
    read(segment, keys, slot, sequence)
}

/// The record in a slot that must have this sequence; none for a mark. Its link in the chain is checked.
fn read(segment: &Segment, keys: &LedgerKeys, slot: u64, sequence: u64) -> Result<Option<Placed>, ReadError> {
    let found = intact(segment, slot)?;
    if found.kind == KIND_SEAL {
        // The segment was sealed while somebody looked.
        return Ok(None);
    }
    if found.sequence.get() != sequence {
        let found = found.sequence.get();
        return Err(segment.damage(slot, DamageKind::Sequence { before: sequence - 1, found }));
    }
    let key_id = found.key_id.get();
    let Some(key) = keys.ledger(key_id) else {
        return Err(ReadError::MissingKey { path: segment.path.clone(), key_id });
    };
    if key.tag(&segment.tag_before(slot)?, found.tagged()) != found.tag {
        return Err(segment.damage(slot, DamageKind::Chain { key_id }));
    }
    unpack(segment, keys, slot, &found)
}

/// The record in a slot that is known to be in order; none for a mark.
pub(crate) fn unpack(
    segment: &Segment,
    keys: &LedgerKeys,
    slot: u64,
    found: &Slot,
) -> Result<Option<Placed>, ReadError> {
    let record = Record::decode(found, segment.ledger, keys);
    let record = record.map_err(|field| segment.damage(slot, DamageKind::Field(field)))?;
    let tracking_epoch = (!segment.is_version_1()).then_some(segment.header.tracking_epoch);
    let sequence = found.sequence.get();
    Ok(record.map(|record| Placed { ledger: segment.ledger, sequence, tracking_epoch, record }))
}

/// Where the entries of an open segment end, as far as anybody can tell without walking over them: the first slot
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
    if found.is_intact() { Ok(found) } else { Err(segment.damage(slot, DamageKind::Unreadable)) }
}
