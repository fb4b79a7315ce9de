//! What happens before a ledger takes its first entry: the end of the chain is walked if it is not sealed, a
//! torn tail is moved aside, what was read is made sure to be on stable storage, and the segment is sealed.
//!
//! Power may fail at any step: a torn tail is copied and the copy synced before its first byte is zeroed, so
//! the next start finds the tail again, or what is left of it, and does the same. The seal comes only after.

use std::io;
use std::sync::Arc;

use zerocopy::{FromZeros, IntoBytes};

use crate::chain::{Chain, SegmentInfo};
use crate::disk::{Disk, read_up_to, write_all_at};
use crate::error::{DamageKind, OpenError};
use crate::folder;
use crate::format::{BATCH_LEN_MAX, KIND_CLOSED, Slot, slot_offset};
use crate::keys::LedgerKeys;
use crate::mark::Mark;
use crate::segment::{Cause, Link, Segment};
use crate::tracking_code::SEQUENCE_MAX;
use crate::walk::{Tail, Walk, check_end};

/// After an unclean end the sequence goes on at a multiple of this (PRODUCT.md section 5).
pub(crate) const SEQUENCE_STEP: u64 = 65_536;
/// The first sequence of a ledger.
pub(crate) const FIRST_SEQUENCE: u64 = 1;

/// Where the ledger goes on.
pub(crate) struct Recovered {
    /// All segments there are, each sealed.
    pub(crate) sealed: Vec<SegmentInfo>,
    /// What the next segment follows.
    pub(crate) previous: Option<Link>,
    /// The next segment's number; an empty one may bear it already, and is made anew.
    pub(crate) segment: u32,
    /// The sequence of the entry that marks this opening.
    pub(crate) sequence: u64,
    /// Bytes that were moved aside.
    pub(crate) torn_bytes: u64,
}

/// Makes a chain ready for a new segment. The caller holds the lock.
pub(crate) fn recover(
    disk: &dyn Disk,
    mut chain: Chain,
    keys: &LedgerKeys,
    now_ms: u64,
) -> Result<Recovered, OpenError> {
    for number in std::mem::take(&mut chain.untrimmed) {
        trim(&Segment::open(disk, true, &chain.identity, number, keys)?, &chain)?;
    }
    let Some(segment) = chain.open.take() else {
        // All segments may be pruned, or the last one is walked though it is sealed: damage to what was written
        // last is what a start should notice, and a segment is soon read.
        if let Some(last) = chain.sealed.last() {
            let segment = Arc::new(Segment::open(disk, true, &chain.identity, last.number, keys)?);
            Walk::new(segment.clone(), keys).run_to_end()?;
            confirm(&segment, &chain)?;
        }
        let sequence = next_sequence(disk, &chain, 0, keys)?;
        return recovered(chain, sequence, 0);
    };
    if chain.mark.is_none() {
        // Of the first format: from now on there is a mark, so that none can be taken away.
        let mark = Mark { segment: segment.number, slots: 0, sequence: 0, tag: segment.header.tag };
        let published = folder::publish_mark(disk, chain.identity.number, &mark, keys);
        let path = disk.describe(crate::mark::MARK_FILE);
        published.map_err(|source| OpenError::Io { path, source })?;
    }
    let mut fresh = None;
    let torn_bytes = finish(disk, &mut chain, &segment, keys, now_ms, &mut fresh)?;
    let sequence = match fresh {
        Some(first_sequence) => first_sequence,
        None => next_sequence(disk, &chain, torn_bytes, keys)?,
    };
    recovered(chain, sequence, torn_bytes)
}

fn recovered(chain: Chain, sequence: u64, torn_bytes: u64) -> Result<Recovered, OpenError> {
    // Besides the opening there must be room for an entry and the closing.
    if sequence + 2 > SEQUENCE_MAX {
        return Err(OpenError::Exhausted { ledger: chain.identity.number });
    }
    let previous = chain.link();
    let segment = previous.map_or(1, |link| link.segment + 1);
    Ok(Recovered { sealed: chain.sealed, previous, segment, sequence, torn_bytes })
}

/// Brings an unsealed segment to its seal; the bytes that were moved aside. One without any entry is not
/// sealed but to be made anew: if nothing went before it, its first sequence goes to `fresh`.
fn finish(
    disk: &dyn Disk,
    chain: &mut Chain,
    segment: &Arc<Segment>,
    keys: &LedgerKeys,
    now_ms: u64,
    fresh: &mut Option<u64>,
) -> Result<u64, OpenError> {
    let mut walk = Walk::new(segment.clone(), keys);
    let tail = walk.run_to_end()?;
    let slots = walk.slots() + u64::from(matches!(tail, Tail::Sealed(_)));
    chain.check_open_mark(segment, slots)?;
    let io = |source| OpenError::Io { path: segment.path.clone(), source };
    let torn_bytes = match tail {
        Tail::Torn { end } => move_aside(disk, segment, walk.slots(), end).map_err(io)?,
        Tail::Zero => 0,
        Tail::Sealed(seal) => {
            chain.sealed.push(SegmentInfo::new(segment, &seal));
            confirm(segment, chain)?;
            trim(segment, chain)?;
            return Ok(0);
        }
    };
    settle(&walk, segment)?;
    let key = keys.current();
    let Some(mut seal) = walk.totals.seal(Cause::Found, now_ms, key.id(), segment.header.month.get()) else {
        // With a torn tail an opening was under way, of which nothing went out.
        *fresh = chain.sealed.is_empty().then(|| segment.first_sequence());
        return Ok(torn_bytes);
    };
    let mut slot = seal.to_slot();
    slot.seal(key.tag(&walk.tag, slot.tagged()));
    seal = crate::format::Seal::of_slot(&slot);
    write_all_at(segment.file.as_ref(), slot.as_bytes(), slot_offset(walk.slots())).map_err(io)?;
    segment.file.sync_data().map_err(io)?;
    chain.sealed.push(SegmentInfo::new(segment, &seal));
    trim(segment, chain)?;
    Ok(torn_bytes)
}

/// Writes the last seal once more as it was read, and syncs it: like a batch, it may have been in memory only, and
/// the next segment must not be on the disk without it.
fn confirm(segment: &Segment, chain: &Chain) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: segment.path.clone(), source };
    let place = chain.sealed.last().expect("it is the last one sealed").entries;
    let seal = segment.read_slot(place)?;
    if !seal.is_intact() {
        return Err(segment.damage(place, DamageKind::Unreadable).into());
    }
    write_all_at(segment.file.as_ref(), seal.as_bytes(), slot_offset(place)).map_err(io)?;
    segment.file.sync_data().map_err(io)
}

/// Cuts a sealed segment to its seal, once it is clear that only zeros follow.
fn trim(segment: &Segment, chain: &Chain) -> Result<(), OpenError> {
    let info = chain.sealed.iter().find(|info| info.number == segment.number);
    let end = check_end(segment, info.expect("it is sealed").entries)?;
    let cut = segment.file.set_len(end).and_then(|()| segment.file.sync_data());
    cut.map_err(|source| OpenError::Io { path: segment.path.clone(), source })
}

/// The sequence that the next opening takes, by how the last one ended.
fn next_sequence(
    disk: &dyn Disk,
    chain: &Chain,
    torn_bytes: u64,
    keys: &LedgerKeys,
) -> Result<u64, OpenError> {
    let Some(last) = chain.sealed.last() else {
        // All that was here is pruned, or there was a torn opening.
        let sequence = chain.pruned.map_or(FIRST_SEQUENCE, |link| link.sequence);
        return Ok(after_unclean(sequence));
    };
    if last.ledger != chain.identity.number {
        return Ok(FIRST_SEQUENCE);
    }
    let segment = Segment::open(disk, false, &chain.identity, last.number, keys)?;
    let slot = segment.read_slot(last.entries - 1)?;
    if !slot.is_intact() {
        return Err(segment.damage(last.entries - 1, DamageKind::Unreadable).into());
    }
    let clean = slot.kind == KIND_CLOSED && torn_bytes == 0;
    Ok(if clean { last.last_sequence + 1 } else { after_unclean(last.last_sequence) })
}

/// The batch that was under way had sequences up to this, and no code of it went out.
fn after_unclean(last: u64) -> u64 {
    (last + BATCH_LEN_MAX + 1).next_multiple_of(SEQUENCE_STEP)
}

/// Copies the bytes from slot `first` up to byte `end` into a file of their own, and syncs it; how many. [`settle`]
/// then zeroes them: a tail is no longer than a batch.
fn move_aside(disk: &dyn Disk, segment: &Segment, first: u64, end: u64) -> io::Result<u64> {
    let offset = slot_offset(first);
    let len = usize::try_from(end - offset).expect("a tail is no longer than a batch");
    let mut bytes = vec![0; len];
    if read_up_to(segment.file.as_ref(), &mut bytes, offset)? != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let name = free_side_name(disk, segment.number, first)?;
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
    Ok(end - offset)
}

fn free_side_name(disk: &dyn Disk, segment: u32, first: u64) -> io::Result<String> {
    let taken = disk.list()?;
    let names = (1_u32..).map(|n| format!("torn-{segment:08}-{first}-{n}.bin"));
    Ok(names.into_iter().find(|name| !taken.contains(name)).expect("there are more numbers than files"))
}

/// Writes the last batch once more as it was read, and zeros for the length of a batch behind it, and syncs.
///
/// The last batch may have been read from memory only: a process that was killed did not sync it, and after
/// a failed sync the system may hold bytes as clean that never reached the disk. Written again, they are
/// synced for sure. It is the only batch this can be true of, since each is synced before the next is written.
fn settle(walk: &Walk<'_>, segment: &Segment) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: segment.path.clone(), source };
    let end = walk.slots();
    let first = walk.last.map_or(end, |last| last.batch_first);
    let count = usize::try_from(end - first).expect("a batch fits memory");
    let mut slots = vec![Slot::new_zeroed(); count];
    let read = segment.read_slots(first, &mut slots)?;
    if read != count || !slots.iter().all(Slot::is_intact) {
        return Err(segment.damage(first, DamageKind::Unreadable).into());
    }
    write_all_at(segment.file.as_ref(), slots.as_bytes(), slot_offset(first)).map_err(io)?;
    let zeros_from = slot_offset(end);
    let zeros_to = slot_offset(end + BATCH_LEN_MAX).min(segment.file.length().map_err(io)?);
    let zeros = vec![0; usize::try_from(zeros_to.saturating_sub(zeros_from)).expect("a batch fits memory")];
    write_all_at(segment.file.as_ref(), &zeros, zeros_from).map_err(io)?;
    segment.file.sync_data().map_err(io)
}
