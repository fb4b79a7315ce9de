//! What happens before a ledger takes its first entry: walk over all there is, move a torn tail aside, and
//! make sure that what was read is on stable storage and that zeros follow it.
//!
//! Power may fail at any step: a torn tail is copied and the copy synced before its first byte is zeroed, so
//! the next start finds the tail again, or what is left of it, and does the same.

use std::io;

use zerocopy::{FromZeros, IntoBytes};

use crate::disk::{Disk, read_up_to, write_all_at};
use crate::error::{DamageKind, OpenError};
use crate::format::{BATCH_LEN_MAX, KIND_CLOSED, Slot, slot_offset};
use crate::keys::{LedgerKeys, Tag};
use crate::segment::{SEGMENT, SEQUENCE_STEP, Segment};
use crate::tracking_code::SEQUENCE_MAX;
use crate::walk::{Step, Tail, Walk};

/// Where the next entry goes.
pub(crate) struct Recovered {
    /// Entries there are.
    pub(crate) slots: u64,
    /// What the next entry's tag chains from.
    pub(crate) tag: Tag,
    /// The sequence of the entry that marks this opening.
    pub(crate) sequence: u64,
}

/// Makes a segment ready for appending. The caller holds the lock.
pub(crate) fn recover(disk: &dyn Disk, segment: &Segment, keys: &LedgerKeys) -> Result<Recovered, OpenError> {
    let mut walk = Walk::new(segment, keys);
    let tail = loop {
        if let Step::End(tail) = walk.step()? {
            break tail;
        }
    };
    let io = |source| OpenError::Io { path: segment.path.clone(), source };
    if let Tail::Torn { end } = tail {
        move_aside(disk, segment, walk.slots, end).map_err(io)?;
    }
    settle(&walk, segment)?;
    let sequence = match walk.last {
        // No entry at all: nothing but the mark of a first opening can have been lost.
        None => segment.first_sequence,
        Some(last) if last.kind == KIND_CLOSED && tail == Tail::Zero => last.sequence + 1,
        // The batch that was under way had sequences up to this, and no code of it went out.
        Some(last) => (last.sequence + BATCH_LEN_MAX + 1).next_multiple_of(SEQUENCE_STEP),
    };
    // Besides the opening there must be room for an entry and the closing.
    if sequence + 2 > SEQUENCE_MAX {
        return Err(OpenError::Exhausted { ledger: segment.ledger });
    }
    Ok(Recovered { slots: walk.slots, tag: walk.tag, sequence })
}

/// Copies the bytes from slot `first` up to byte `end` into a file of their own, and syncs it. [`settle`] then
/// zeroes them: a tail is no longer than a batch.
fn move_aside(disk: &dyn Disk, segment: &Segment, first: u64, end: u64) -> io::Result<()> {
    let offset = slot_offset(first);
    let len = usize::try_from(end - offset).expect("a tail is no longer than a batch");
    let mut bytes = vec![0; len];
    if read_up_to(segment.file.as_ref(), &mut bytes, offset)? != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let name = free_side_name(disk, first)?;
    let side = disk.create_new(&name)?;
    write_all_at(side.as_ref(), &bytes, 0)?;
    side.sync_data()?;
    disk.sync_dir()?;
    let (from, to) = (&segment.path, disk.describe(&name));
    tracing::warn!(
        entry = first,
        len_bytes = len,
        from,
        to,
        "a torn tail, an unfinished batch unless it was damaged afterwards, was moved aside"
    );
    Ok(())
}

fn free_side_name(disk: &dyn Disk, first: u64) -> io::Result<String> {
    let taken = disk.list()?;
    let names = (1_u32..).map(|n| format!("torn-{SEGMENT:08}-{first}-{n}.bin"));
    Ok(names.into_iter().find(|name| !taken.contains(name)).expect("there are more numbers than files"))
}

/// Writes the last batch once more as it was read, and zeros for the length of a batch behind it, and syncs.
///
/// The last batch may have been read from memory only: a process that was killed did not sync it, and after
/// a failed sync the system may hold bytes as clean that never reached the disk. Written again, they are
/// synced for sure. It is the only batch this can be true of, since each is synced before the next is written.
fn settle(walk: &Walk<'_>, segment: &Segment) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: segment.path.clone(), source };
    let first = walk.last.map_or(walk.slots, |last| last.batch_first);
    let count = usize::try_from(walk.slots - first).expect("a batch fits memory");
    let mut slots = vec![Slot::new_zeroed(); count];
    let read = segment.read_slots(first, &mut slots)?;
    if read != count || !slots.iter().all(Slot::is_intact) {
        return Err(walk.damage_at(first, DamageKind::Unreadable).into());
    }
    write_all_at(segment.file.as_ref(), slots.as_bytes(), slot_offset(first)).map_err(io)?;
    let zeros_from = slot_offset(walk.slots);
    let zeros_to = slot_offset(walk.slots + BATCH_LEN_MAX).min(segment.file.length().map_err(io)?);
    let zeros = vec![0; usize::try_from(zeros_to.saturating_sub(zeros_from)).expect("a batch fits memory")];
    write_all_at(segment.file.as_ref(), &zeros, zeros_from).map_err(io)?;
    segment.file.sync_data().map_err(io)
}
