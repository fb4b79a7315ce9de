//! What a seal tells of the entries before it, gathered entry by entry: by the one who writes them, and again by
//! whoever reads them.

use zerocopy::IntoBytes;

use crate::format::{Header, KIND_INQUIRY, KIND_SEAL, Seal, Slot};
use crate::segment::Cause;

/// The entries of a segment so far.
#[derive(Clone)]
pub(crate) struct Totals {
    pub(crate) slots: u64,
    inquiries: u64,
    times_ms: Option<(u64, u64)>,
    /// The first and the last sequence.
    pub(crate) sequences: Option<(u64, u64)>,
    digest: blake3::Hasher,
}

impl Totals {
    /// No entries behind this header.
    pub(crate) fn new(header: &Header) -> Totals {
        let mut digest = blake3::Hasher::new();
        digest.update(header.as_bytes());
        Totals { slots: 0, inquiries: 0, times_ms: None, sequences: None, digest }
    }

    /// Counts an entry. Its bytes are for [`Totals::digest`], many at once.
    pub(crate) fn count(&mut self, slot: &Slot) {
        let (time_ms, sequence) = (slot.time_ms.get(), slot.sequence.get());
        self.slots += 1;
        self.inquiries += u64::from(slot.kind == KIND_INQUIRY);
        let (min, max) = self.times_ms.unwrap_or((time_ms, time_ms));
        self.times_ms = Some((min.min(time_ms), max.max(time_ms)));
        self.sequences = Some((self.sequences.map_or(sequence, |(first, _)| first), sequence));
    }

    /// Takes the bytes of entries into the digest.
    pub(crate) fn digest(&mut self, slots: &[Slot]) {
        self.digest.update(slots.as_bytes());
    }

    /// The seal of these entries, for [`Slot::seal`] to finish; none when there are none.
    pub(crate) fn seal(&self, cause: Cause, time_ms: u64, key_id: u32, month: u32) -> Option<Seal> {
        let ((first_sequence, sequence), (min, max)) = (self.sequences?, self.times_ms?);
        let mut seal = Seal::of_slot(&Slot::new(KIND_SEAL, sequence));
        seal.cause = cause.to_u8();
        seal.time_ms = time_ms.into();
        seal.slots = self.slots.into();
        seal.first_sequence = first_sequence.into();
        seal.inquiries = self.inquiries.into();
        seal.key_id = key_id.into();
        seal.month = month.into();
        seal.digest = *self.digest.finalize().as_bytes();
        seal.time_ms_min = min.into();
        seal.time_ms_max = max.into();
        Some(seal)
    }

    /// What in a seal does not agree with these entries.
    pub(crate) fn disagrees(&self, seal: &Seal) -> Option<&'static str> {
        let cause = Cause::Full; // Any: it is not compared.
        let Some(right) = self.seal(cause, 0, 0, 0) else { return Some("place") };
        if right.slots != seal.slots {
            Some("count")
        } else if right.sequence != seal.sequence || right.first_sequence != seal.first_sequence {
            Some("sequence")
        } else if right.inquiries != seal.inquiries {
            Some("count of inquiries")
        } else if right.time_ms_min != seal.time_ms_min || right.time_ms_max != seal.time_ms_max {
            Some("times")
        } else if right.digest != seal.digest {
            Some("digest")
        } else {
            None
        }
    }
}
