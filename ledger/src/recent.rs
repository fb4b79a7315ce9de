//! What a repeated request needs of the ledger: the digests under which an inquiry is known again, which places
//! have an entry with such digests, and an entry with the code that was given out for it.

use zerocopy::FromZeros;

use crate::chain::SegmentInfo;
use crate::entry::{Channel, Entry};
use crate::error::{DamageKind, FindError, ReadError};
use crate::format::{KIND_INQUIRY, Slot};
use crate::idempotency::{Asker, Idempotency, Question};
use crate::ledger::Ledger;
use crate::lookup::{self, Placed};
use crate::month::Month;
use crate::segment::Segment;
use crate::tracking_code::TrackingCode;

/// Slots read at once.
const CHUNK_SLOTS: u64 = 4096;

/// The place of an inquiry that came with an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// The ledger it was written for.
    pub ledger: u16,
    /// Its place in the ledger's order.
    pub sequence: u64,
    /// When it was answered, in milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
    /// How it came in.
    pub channel: Channel,
    /// The digest of its key.
    pub key: [u8; 10],
}

/// An inquiry as it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// What the ledger says.
    pub entry: Entry,
    /// The code that was given out: under the tracking key of then, which need not be that of now.
    pub tracking_code: TrackingCode,
}

impl Ledger {
    /// The digests of an inquiry of a month with an idempotency key of 255 bytes at most.
    pub fn idempotency(&self, month: Month, asker: &Asker, key: &str, question: &Question) -> Idempotency {
        let month = self.keys().months.for_writing(month);
        let month = month.expect("an opening without month keys is refused");
        Idempotency::new(&month, asker, key, question)
    }

    /// The inquiry at a place, read from the disk, with its code; none when there is none on stable storage, or when
    /// the tracking key of then is not here.
    ///
    /// # Errors
    /// [`FindError`].
    pub fn given(&self, ledger: u16, sequence: u64) -> Result<Option<Given>, FindError> {
        let Some((segment, end)) = self.segment_with(ledger, sequence)? else { return Ok(None) };
        let placed = lookup::find(&segment, self.keys(), end, sequence)?;
        let Some(found) = placed.and_then(Placed::inquiry) else { return Ok(None) };
        let code = self.keys().code_of(segment.header.tracking_epoch, ledger, sequence);
        Ok(code.map(|tracking_code| Given { entry: found.entry, tracking_code }))
    }

    /// Whether the key of a sealed segment's month is here: without it no request of then is known again.
    pub fn knows_month_of(&self, info: &SegmentInfo) -> bool {
        info.month.is_none_or(|month| self.keys().months.get(month).is_some())
    }

    /// Tells of each inquiry of a sealed segment that came with an idempotency key at `since_ms` or later, in order.
    /// The checksum of every slot is checked, the chain is not: what is found is only where to look.
    ///
    /// # Errors
    /// [`ReadError`]; what was told until then holds.
    pub fn keyed(
        &self,
        info: &SegmentInfo,
        since_ms: u64,
        mut tell: impl FnMut(Keyed),
    ) -> Result<(), ReadError> {
        let segment = self.open_sealed(info)?;
        let len = usize::try_from(info.entries.min(CHUNK_SLOTS)).expect("a chunk fits memory");
        let mut chunk = vec![Slot::new_zeroed(); len];
        let mut at = 0;
        while at < info.entries {
            let left = usize::try_from(info.entries - at).unwrap_or(usize::MAX);
            let wanted = left.min(chunk.len());
            let read = segment.read_slots(at, &mut chunk[..wanted])?;
            for (slot, ordinal) in chunk[..read].iter().zip(at..) {
                if let Some(keyed) = keyed(&segment, slot, ordinal)?
                    && keyed.time_ms >= since_ms
                {
                    tell(keyed);
                }
            }
            if read < wanted {
                return Err(segment.damage(at + read as u64, DamageKind::Unreadable));
            }
            at += read as u64;
        }
        Ok(())
    }
}

/// What a slot tells, if it is an inquiry with a key.
fn keyed(segment: &Segment, slot: &Slot, ordinal: u64) -> Result<Option<Keyed>, ReadError> {
    if !slot.is_intact() {
        return Err(segment.damage(ordinal, DamageKind::Unreadable));
    }
    let digests = (slot.kind == KIND_INQUIRY).then(|| Idempotency::from_bytes(slot.detail)).flatten();
    let Some(Idempotency { key, .. }) = digests else { return Ok(None) };
    let channel = Channel::from_u8(slot.channel);
    let channel = channel.ok_or_else(|| segment.damage(ordinal, DamageKind::Field("channel")))?;
    Ok(Some(Keyed {
        ledger: segment.ledger,
        sequence: slot.sequence.get(),
        time_ms: slot.time_ms.get(),
        channel,
        key,
    }))
}
