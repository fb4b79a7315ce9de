//! The segments of a folder as one chain: which there are, that each begins where the one before ended, and
//! how far the mark says that it went. Reads headers and seals only; what is in between is `walk`'s.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::{DamageKind, HeaderFault, OpenError, ReadError};
use crate::folder::{self, Identity};
use crate::format::{Seal, segment_name, slot_offset};
use crate::keys::LedgerKeys;
use crate::mark::{self, Mark};
use crate::month::Month;
use crate::pruned;
use crate::segment::{Link, Segment};
use crate::walk::{Tail, Walk};

/// A sealed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number, which its file's name bears.
    pub number: u32,
    /// The ledger it was written for.
    pub ledger: u16,
    /// Whose key hides its person IDs; none in format version 1.
    pub month: Option<Month>,
    /// Its entries.
    pub entries: u64,
    /// Entries that are inquiries.
    pub inquiries: u64,
    /// The first entry's sequence.
    pub first_sequence: u64,
    /// The last entry's sequence.
    pub last_sequence: u64,
    /// The earliest and the latest time of an entry, in milliseconds since 1970.
    pub times_ms: (u64, u64),
    /// When it was sealed.
    pub sealed_ms: u64,
    /// BLAKE3 of all bytes before the seal.
    pub digest: [u8; 32],
    /// The length of its file.
    pub len_bytes: u64,
    pub(crate) link: Link,
    /// Whether sequences run on within it, as they do but in format version 1.
    pub(crate) runs_on: bool,
}

impl SegmentInfo {
    pub(crate) fn new(segment: &Segment, seal: &Seal) -> SegmentInfo {
        SegmentInfo {
            number: segment.number,
            ledger: segment.ledger,
            month: Month::from_number(segment.header.month.get()),
            entries: seal.slots.get(),
            inquiries: seal.inquiries.get(),
            first_sequence: seal.first_sequence.get(),
            last_sequence: seal.sequence.get(),
            times_ms: (seal.time_ms_min.get(), seal.time_ms_max.get()),
            sealed_ms: seal.time_ms.get(),
            digest: seal.digest,
            len_bytes: slot_offset(seal.slots.get() + 1),
            link: segment.link(seal),
            runs_on: !segment.is_version_1(),
        }
    }

    /// The name of its file.
    pub fn file_name(&self) -> String {
        segment_name(self.number)
    }
}

/// A folder's segments, checked against each other.
pub(crate) struct Chain {
    pub(crate) identity: Identity,
    /// The last segment that was pruned.
    pub(crate) pruned: Option<Link>,
    /// In order; none is missing.
    pub(crate) sealed: Vec<SegmentInfo>,
    /// The last one, if it is not sealed, as far as its header and its end tell.
    pub(crate) open: Option<Arc<Segment>>,
    /// Sealed segments whose files are longer than they need to be.
    pub(crate) untrimmed: Vec<u32>,
    pub(crate) mark: Option<Mark>,
}

impl Chain {
    /// Reads headers and seals; `write` says how the last segment is opened.
    pub(crate) fn open(disk: &dyn Disk, write: bool, keys: &LedgerKeys) -> Result<Chain, OpenError> {
        let identity = folder::identity(disk)?;
        let pruned = pruned::read(disk, keys)?;
        // The mark before the segments: a server that runs may be ahead of it, never behind.
        let mark = mark::read(disk, identity.number, keys);
        let numbers = present(disk, &pruned, mark.as_ref().ok().and_then(Option::as_ref))?;
        let mut chain =
            Chain { identity, pruned, sealed: Vec::new(), open: None, untrimmed: Vec::new(), mark: None };
        let last = *numbers.last().expect("there is one at least");
        // The next one's header is needed to find a seal in a file that was not cut to it.
        let mut next = Some(chain.next(disk, write && numbers[0] == last, numbers[0], keys)?);
        for number in numbers {
            let segment = next.take().expect("opened with the one before");
            chain.check_follows(&segment)?;
            let mut hint = None;
            if number < last {
                let following = chain.next(disk, write && number + 1 == last, number + 1, keys)?;
                hint = Some(following.header.previous_slots.get());
                next = Some(following);
            }
            match segment.seal(hint, keys) {
                Ok(Some(seal)) => chain.push(&segment, &seal)?,
                Ok(None) if number == last => chain.open = Some(Arc::new(segment)),
                unsealed => return Err(first_fault(segment, hint, unsealed.err(), keys).into()),
            }
        }
        // Last, since a wrong key shows better in the headers.
        chain.mark = mark?;
        chain.check_mark(disk, keys)?;
        Ok(chain)
    }

    fn next(
        &self,
        disk: &dyn Disk,
        write: bool,
        number: u32,
        keys: &LedgerKeys,
    ) -> Result<Segment, OpenError> {
        Segment::open(disk, write, &self.identity, number, keys)
    }

    fn push(&mut self, segment: &Segment, seal: &Seal) -> Result<(), OpenError> {
        let info = SegmentInfo::new(segment, seal);
        let len = segment.file.length().map_err(|source| segment.io(source))?;
        if len > info.len_bytes {
            self.untrimmed.push(info.number);
        }
        self.sealed.push(info);
        Ok(())
    }

    /// The end of the last sealed segment, or of what was pruned.
    pub(crate) fn link(&self) -> Option<Link> {
        self.sealed.last().map(|info| info.link).or(self.pruned)
    }

    fn check_follows(&self, segment: &Segment) -> Result<(), OpenError> {
        let wrong =
            |before| OpenError::Header { path: segment.path.clone(), what: HeaderFault::Previous { before } };
        match self.link() {
            Some(link) if !segment.follows(&link) => Err(wrong(link.segment)),
            None if segment.header.previous_slots.get() != 0 => Err(wrong(segment.number - 1)),
            _ => Ok(()),
        }
    }

    /// Holds the sealed segments against the mark; the open one is held against it where it is walked.
    fn check_mark(&self, disk: &dyn Disk, keys: &LedgerKeys) -> Result<(), OpenError> {
        let Some(mark) = &self.mark else {
            let is_version_1 =
                self.sealed.is_empty() && self.open.as_ref().is_some_and(|segment| segment.is_version_1());
            return if is_version_1 {
                Ok(())
            } else {
                Err(OpenError::Mark { path: disk.describe(mark::MARK_FILE) })
            };
        };
        if self.sealed.iter().any(|info| info.number == mark.segment) {
            let segment = Segment::open(disk, false, &self.identity, mark.segment, keys)?;
            let info = self.sealed.iter().find(|info| info.number == mark.segment);
            check_marked(&segment, info.map_or(0, |info| info.entries + 1), mark)?;
        }
        Ok(())
    }

    /// Holds the open segment, of which so many slots are in order, against the mark.
    pub(crate) fn check_open_mark(&self, segment: &Segment, slots: u64) -> Result<(), ReadError> {
        match &self.mark {
            Some(mark) if mark.segment == segment.number => check_marked(segment, slots, mark),
            _ => Ok(()),
        }
    }
}

/// The segments that must be there, which are those that are.
fn present(disk: &dyn Disk, pruned: &Option<Link>, mark: Option<&Mark>) -> Result<Vec<u32>, OpenError> {
    let io = |source| OpenError::Io { path: disk.describe(""), source };
    let first = pruned.as_ref().map_or(1, |link| link.segment + 1);
    let there: BTreeSet<u32> = folder::segments(disk).map_err(io)?.into_iter().collect();
    let there = there.range(first..).copied().collect::<Vec<_>>();
    let marked = mark.map_or(first, |mark| mark.segment);
    let last = there.last().copied().unwrap_or(first).max(marked);
    match (first..=last).find(|number| there.binary_search(number).is_err()) {
        Some(missing) => Err(OpenError::SegmentMissing { path: disk.describe(&segment_name(missing)) }),
        None => Ok(there),
    }
}

/// What is wrong with a segment whose seal is not in order, or not there though the next one says so: the first place
/// at which its entries are not what they were, since whatever moved or changed the seal may have begun before it.
fn first_fault(
    segment: Segment,
    seal: Option<u64>,
    found: Option<ReadError>,
    keys: &LedgerKeys,
) -> ReadError {
    let mut walk = Walk::new(Arc::new(segment), keys);
    match (walk.run_to_end(), found) {
        (Err(fault), _) | (Ok(_), Some(fault)) => fault,
        (Ok(Tail::Sealed(_)), None) => walk.segment().damage(seal.unwrap_or(0), DamageKind::NoSeal),
        (Ok(_), None) => walk.damage(DamageKind::NoSeal),
    }
}

/// Checks that the segment holds what the mark tells of it. An empty one may have been made anew.
fn check_marked(segment: &Segment, slots: u64, mark: &Mark) -> Result<(), ReadError> {
    let Some(last) = mark.slots.checked_sub(1) else { return Ok(()) };
    if mark.slots > slots {
        let (path, offset) = (segment.path.clone(), slot_offset(slots));
        return Err(ReadError::CutOff { path, slots, offset, marked: mark.slots, sequence: mark.sequence });
    }
    let found = segment.read_slot(last)?;
    if found.is_intact() && found.tag == mark.tag {
        Ok(())
    } else {
        Err(segment.damage(last, DamageKind::Mark))
    }
}
