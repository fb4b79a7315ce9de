//! Walks over all entries of a segment in order and checks each: checksum, sequence, place in its batch,
//! chain; and at last the seal against all of them. Decides what stands at the end: the seal, nothing, or the
//! rest of a batch that was never synced; or that there is damage. Changes nothing; recovery, `verify` and
//! `export` all go through it.
//!
//! Other processes may walk while a server appends. An entry never changes once it is whole, and a batch is
//! written only after the one before was synced, so a slot that looks wrong is read once more after what
//! follows it was looked at: were it in the making, it would be whole by then.

use std::sync::Arc;

use zerocopy::{FromZeros, IntoBytes};

use crate::disk::read_up_to;
use crate::error::{DamageKind, ReadError};
use crate::format::{
    BATCH_LEN_MAX, KIND_CLOSED, KIND_INQUIRY, KIND_OPENED, KIND_PRUNE, KIND_SEAL, SLOT_LEN, Seal, Slot,
    is_zero, slot_offset,
};
use crate::keys::{LedgerKeys, Tag};
use crate::segment::Segment;
use crate::totals::Totals;

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
#[derive(Clone)]
pub(crate) enum Tail {
    /// The seal, and zeros behind it if anything.
    Sealed(Box<Seal>),
    /// Zeros only.
    Zero,
    /// A rest of the last batch, which was never synced; `end` is the byte after the last that is not zero.
    Torn { end: u64 },
}

/// The last entry so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Last {
    pub(crate) sequence: u64,
    /// The slot in which its batch begins.
    pub(crate) batch_first: u64,
}

/// A walk over a segment.
pub(crate) struct Walk<'a> {
    segment: Arc<Segment>,
    keys: &'a LedgerKeys,
    chunk: Vec<Slot>,
    /// The slots of `chunk`: its first one's ordinal, and how many are filled.
    chunk_first: u64,
    chunk_len: usize,
    /// Entries whose bytes are in the digest.
    digested: u64,
    /// Entries seen; their number is the next one's ordinal.
    pub(crate) totals: Totals,
    pub(crate) last: Option<Last>,
    /// The last entry's tag, or the header's.
    pub(crate) tag: Tag,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(segment: Arc<Segment>, keys: &'a LedgerKeys) -> Walk<'a> {
        Walk {
            keys,
            chunk: chunk_for(&segment),
            chunk_first: 0,
            chunk_len: 0,
            digested: 0,
            totals: Totals::new(&segment.header),
            last: None,
            tag: segment.header.tag,
            segment,
        }
    }

    /// What it walks over.
    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Entries seen, which is the next one's ordinal.
    pub(crate) fn slots(&self) -> u64 {
        self.totals.slots
    }

    /// The next entry, or what stands after the last one.
    pub(crate) fn step(&mut self) -> Result<Step, ReadError> {
        let mut slot = self.buffered()?;
        if !slot.is_intact() {
            let tail = self.judge_tail();
            slot = self.segment.read_slot(self.slots())?;
            self.digest_seen();
            if !slot.is_intact() {
                return Ok(Step::End(tail?));
            }
            // It was being written; what else is in the chunk may be as old.
            (self.chunk_len, self.chunk_first) = (1, self.slots());
            self.chunk[0] = slot.clone();
        }
        if slot.kind == KIND_SEAL {
            return self.end_with(Seal::of_slot(&slot));
        }
        self.check(&slot)?;
        self.last = Some(Last {
            sequence: slot.sequence.get(),
            batch_first: self.slots() - u64::from(slot.batch_index.get()),
        });
        self.tag = slot.tag;
        self.totals.count(&slot);
        Ok(Step::Entry(Box::new(slot)))
    }

    /// Goes on to the end, for its own sake.
    pub(crate) fn run_to_end(&mut self) -> Result<Tail, ReadError> {
        loop {
            if let Step::End(tail) = self.step()? {
                return Ok(tail);
            }
        }
    }

    /// The next slot; zeros where the file ends.
    fn buffered(&mut self) -> Result<Slot, ReadError> {
        let slots = self.slots();
        if slots >= self.chunk_first + self.chunk_len as u64 {
            self.digest_seen();
            self.chunk_len = self.segment.read_slots(slots, &mut self.chunk)?;
            self.chunk_first = slots;
        }
        let at = usize::try_from(slots - self.chunk_first).expect("within a chunk");
        Ok(if at < self.chunk_len { self.chunk[at].clone() } else { Slot::new_zeroed() })
    }

    /// Takes the entries of the chunk that were seen into the digest.
    fn digest_seen(&mut self) {
        let place = |slot: u64| usize::try_from(slot - self.chunk_first).expect("within a chunk");
        let seen = place(self.digested)..place(self.totals.slots);
        self.totals.digest(&self.chunk[seen]);
        self.digested = self.totals.slots;
    }

    /// Checks an intact slot against the one before.
    fn check(&self, slot: &Slot) -> Result<(), ReadError> {
        let (kind, index, at) = (slot.kind, u64::from(slot.batch_index.get()), self.slots());
        if !(KIND_INQUIRY..=KIND_PRUNE).contains(&kind) || slot.kind == KIND_SEAL {
            return Err(self.damage(DamageKind::Field("kind")));
        }
        let is_mark = matches!(kind, KIND_OPENED | KIND_CLOSED);
        let follows = self.last.is_some_and(|last| last.batch_first + index == at);
        if index != 0 && !(follows && index < BATCH_LEN_MAX && !is_mark) {
            return Err(self.damage(DamageKind::BatchPlace));
        }
        let first = self.segment.first_sequence();
        let before = self.last.map_or(first - 1, |last| last.sequence);
        let found = slot.sequence.get();
        // In version 1 an opening might leave a gap, after an unclean end.
        let gap = self.segment.is_version_1() && kind == KIND_OPENED && found > before;
        if found != before + 1 && !gap {
            return Err(self.damage(DamageKind::Sequence { before, found }));
        }
        let key_id = slot.key_id.get();
        if key_id != self.segment.header.key_id.get() && !self.segment.is_version_1() {
            return Err(self.damage(DamageKind::Field("key id")));
        }
        let Some(key) = self.keys.ledger(key_id) else {
            return Err(ReadError::MissingKey { path: self.segment.path.clone(), key_id });
        };
        if key.tag(&self.tag, slot.tagged()) != slot.tag {
            return Err(self.damage(DamageKind::Chain { key_id }));
        }
        if slot.month.get() != self.segment.header.month.get() {
            return Err(self.damage(DamageKind::Field("month")));
        }
        Ok(())
    }

    /// The seal ends the segment: it must agree with all that was seen, and nothing may follow it.
    fn end_with(&mut self, seal: Seal) -> Result<Step, ReadError> {
        self.digest_seen();
        if let Some(what) = self.totals.disagrees(&seal) {
            return Err(self.damage(DamageKind::Seal(what)));
        }
        self.segment.check_seal(&seal, self.tag, self.keys)?;
        check_end(&self.segment, self.slots())?;
        Ok(Step::End(Tail::Sealed(Box::new(seal))))
    }

    /// The next slot is not intact. What follows it tells whether it was ever synced: it was, if there is a
    /// slot of a later batch, or more bytes than one batch has.
    fn judge_tail(&self) -> Result<Tail, ReadError> {
        let (first, batch_first) = (self.slots(), self.last.map(|last| last.batch_first));
        let mut chunk = chunk_for(&self.segment);
        let (mut at, mut end) = (first, None);
        loop {
            let offset = slot_offset(at);
            let bytes = chunk.as_mut_bytes();
            let read = read_up_to(self.segment.file.as_ref(), bytes, offset)
                .map_err(|source| self.segment.io(source))?;
            if let Some(last) = last_not_zero(&bytes[..read]) {
                end = Some(offset + last as u64 + 1);
                for (slot, ordinal) in chunk[..read / SLOT_LEN].iter().zip(at..) {
                    let batch = ordinal.checked_sub(u64::from(slot.batch_index.get()));
                    let same_batch = batch.is_some() && (batch == Some(first) || batch == batch_first);
                    if !is_zero(slot.as_bytes()) && slot.is_intact() && !same_batch {
                        return Err(self.damage(DamageKind::Checksum { later: ordinal }));
                    }
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
        self.segment.damage(self.slots(), kind)
    }
}

/// Checks that nothing but zeros stands behind the seal at slot `seal`; the byte where the seal ends.
pub(crate) fn check_end(segment: &Segment, seal: u64) -> Result<u64, ReadError> {
    let end = slot_offset(seal + 1);
    let mut chunk = chunk_for(segment);
    let bytes = chunk.as_mut_bytes();
    let mut at = end;
    loop {
        let read = read_up_to(segment.file.as_ref(), bytes, at).map_err(|source| segment.io(source))?;
        if last_not_zero(&bytes[..read]).is_some() {
            return Err(segment.damage(seal + 1, DamageKind::BehindSeal));
        }
        if read < bytes.len() {
            return Ok(end);
        }
        at += read as u64;
    }
}

/// Room for the slots that are read at once; no more than the file has.
fn chunk_for(segment: &Segment) -> Vec<Slot> {
    let room = segment.room().ok().and_then(|room| usize::try_from(room).ok()).unwrap_or(CHUNK_SLOTS);
    vec![Slot::new_zeroed(); (room + 1).min(CHUNK_SLOTS)]
}

/// The last byte that is not zero; eight at a time, since most there is to look at are zeros.
fn last_not_zero(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    let in_rest = rest.iter().rposition(|&byte| byte != 0).map(|at| words.len() * 8 + at);
    in_rest.or_else(|| {
        let word = words.iter().rposition(|word| *word != [0; 8])?;
        words[word].iter().rposition(|&byte| byte != 0).map(|at| word * 8 + at)
    })
}

#[cfg(test)]
mod tests {
    use super::last_not_zero;

    #[test]
    fn the_last_byte_that_is_not_zero() {
        for len in 0..40 {
            let mut bytes = vec![0; len];
            assert_eq!(last_not_zero(&bytes), None);
            for at in 0..len {
                bytes[at] = 1;
                assert_eq!(last_not_zero(&bytes), Some(at), "{at} of {len}");
            }
        }
    }
}
