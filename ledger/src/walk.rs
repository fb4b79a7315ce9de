//! Walks over all entries of a segment in order and checks each: checksum, sequence, place in its batch,
//! chain. Decides what stands at the end: nothing, or the rest of a batch that was never synced; or that
//! there is damage. Changes nothing; recovery, `verify` and `export` all go through it.
//!
//! Other processes may walk while a server appends. An entry never changes once it is whole, and a batch is
//! written only after the one before was synced, so a slot that looks wrong is read once more after what
//! follows it was looked at: were it in the making, it would be whole by then.

use zerocopy::{FromZeros, IntoBytes};

use crate::disk::read_up_to;
use crate::error::{Damage, DamageKind, ReadError};
use crate::format::{
    BATCH_LEN_MAX, KIND_CLOSED, KIND_INQUIRY, KIND_OPENED, SLOT_LEN, Slot, is_zero, slot_offset,
};
use crate::keys::{LedgerKeys, Tag};
use crate::segment::Segment;

/// Slots read at once.
const CHUNK_SLOTS: usize = 4096;

/// What a step of the walk comes to.
pub(crate) enum Step {
    /// An entry that passed all checks.
    Entry(Box<Slot>),
    /// There are no more.
    End(Tail),
}

/// What stands after the last entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Zeros only.
    Zero,
    /// A rest of the last batch, which was never synced; `end` is the byte after the last that is not zero.
    Torn { end: u64 },
}

/// The last entry so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Last {
    pub(crate) kind: u8,
    pub(crate) sequence: u64,
    /// The slot in which its batch begins.
    pub(crate) batch_first: u64,
}

/// A walk over a segment.
pub(crate) struct Walk<'a> {
    segment: &'a Segment,
    keys: &'a LedgerKeys,
    chunk: Vec<Slot>,
    /// The slots of `chunk`: its first one's ordinal, and how many are filled.
    chunk_first: u64,
    chunk_len: usize,
    /// Entries seen, which is the next one's ordinal.
    pub(crate) slots: u64,
    pub(crate) last: Option<Last>,
    /// The last entry's tag, or the header's.
    pub(crate) tag: Tag,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(segment: &'a Segment, keys: &'a LedgerKeys) -> Walk<'a> {
        let chunk = vec![Slot::new_zeroed(); CHUNK_SLOTS];
        Walk { segment, keys, chunk, chunk_first: 0, chunk_len: 0, slots: 0, last: None, tag: segment.tag }
    }

    /// The next entry, or what stands after the last one.
    pub(crate) fn step(&mut self) -> Result<Step, ReadError> {
        let mut slot = self.buffered()?;
        if !slot.is_intact() {
            let tail = self.judge_tail();
            slot = self.segment.read_slot(self.slots)?;
            if !slot.is_intact() {
                return Ok(Step::End(tail?));
            }
            // It was being written; what else is in the chunk may be as old.
            self.chunk_len = 0;
        }
        self.check(&slot)?;
        self.last = Some(Last {
            kind: slot.kind,
            sequence: slot.sequence.get(),
            batch_first: self.slots - u64::from(slot.batch_index.get()),
        });
        self.tag = slot.tag;
        self.slots += 1;
        Ok(Step::Entry(Box::new(slot)))
    }

    /// The next slot; zeros where the file ends.
    fn buffered(&mut self) -> Result<Slot, ReadError> {
        if self.slots >= self.chunk_first + self.chunk_len as u64 {
            self.chunk_len = self.segment.read_slots(self.slots, &mut self.chunk)?;
            self.chunk_first = self.slots;
        }
        let at = usize::try_from(self.slots - self.chunk_first).expect("within a chunk");
        Ok(if at < self.chunk_len { self.chunk[at].clone() } else { Slot::new_zeroed() })
    }

    /// Checks an intact slot against the one before.
    fn check(&self, slot: &Slot) -> Result<(), ReadError> {
        let (kind, index) = (slot.kind, u64::from(slot.batch_index.get()));
        if !matches!(kind, KIND_INQUIRY | KIND_CLOSED | KIND_OPENED) {
            return Err(self.damage(DamageKind::Field("kind")));
        }
        let before_first = self.segment.first_sequence - 1;
        let (before, batch_first) =
            self.last.map_or((before_first, None), |last| (last.sequence, Some(last.batch_first)));
        let follows = batch_first.is_some_and(|first| first + index == self.slots);
        if index != 0 && !(follows && index < BATCH_LEN_MAX && kind == KIND_INQUIRY) {
            return Err(self.damage(DamageKind::BatchPlace));
        }
        let found = slot.sequence.get();
        // Only an opening may leave a gap, after an unclean end.
        if found <= before || (kind != KIND_OPENED && found != before + 1) {
            return Err(self.damage(DamageKind::Sequence { before, found }));
        }
        let key_id = slot.key_id.get();
        let Some(key) = self.keys.ledger(key_id) else {
            return Err(ReadError::MissingKey { path: self.segment.path.clone(), key_id });
        };
        if key.tag(&self.tag, slot.tagged()) != slot.tag {
            return Err(self.damage(DamageKind::Chain { key_id }));
        }
        Ok(())
    }

    /// The next slot is not intact. What follows it tells whether it was ever synced: it was, if there is a
    /// slot of a later batch, or more bytes than one batch has.
    fn judge_tail(&self) -> Result<Tail, ReadError> {
        let (first, batch_first) = (self.slots, self.last.map(|last| last.batch_first));
        let mut chunk = vec![Slot::new_zeroed(); CHUNK_SLOTS];
        let (mut at, mut end) = (first, None);
        loop {
            let offset = slot_offset(at);
            let bytes = chunk.as_mut_bytes();
            let read = read_up_to(self.segment.file.as_ref(), bytes, offset)
                .map_err(|source| self.segment.io(source))?;
            if let Some(last) = bytes[..read].iter().rposition(|&byte| byte != 0) {
                end = Some(offset + last as u64 + 1);
            }
            for (slot, ordinal) in chunk[..read / SLOT_LEN].iter().zip(at..) {
                let batch = ordinal.checked_sub(u64::from(slot.batch_index.get()));
                let same_batch = batch.is_some() && (batch == Some(first) || batch == batch_first);
                if !is_zero(slot.as_bytes()) && slot.is_intact() && !same_batch {
                    return Err(self.damage(DamageKind::Checksum { later: ordinal }));
                }
            }
            if read < chunk.len() * SLOT_LEN {
                break;
            }
            at += chunk.len() as u64;
        }
        match end {
            None => Ok(Tail::Zero),
            Some(end) if end > slot_offset(first + BATCH_LEN_MAX) => {
                Err(self.damage(DamageKind::Checksum { later: (end - 1 - slot_offset(0)) / SLOT_LEN as u64 }))
            }
            Some(end) => Ok(Tail::Torn { end }),
        }
    }

    pub(crate) fn damage(&self, kind: DamageKind) -> ReadError {
        self.damage_at(self.slots, kind)
    }

    /// Damage in a slot that the walk has passed already.
    pub(crate) fn damage_at(&self, slot: u64, kind: DamageKind) -> ReadError {
        let (path, offset) = (self.segment.path.clone(), slot_offset(slot));
        Damage { path, slot, offset, kind }.into()
    }
}
