//! Checks a whole ledger: every entry, every link, every seal, the digests, and the mark. Segments are checked side by
//! side; what is told is as if they had been checked in order.

use std::fmt;
use std::sync::Arc;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::chain::SegmentInfo;
use crate::error::{DamageKind, ReadError};
use crate::format::{HEADER_LEN, KIND_CLOSED, KIND_INQUIRY, KIND_OPENED, SLOT_LEN, Slot, slot_offset};
use crate::lookup::unpack;
use crate::mark;
use crate::reader::LedgerReader;
use crate::segment::Segment;
use crate::walk::{Step, Tail, Walk};

/// What a walk over the whole ledger found in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// The ledger's number.
    pub ledger: u16,
    /// Segments, the open one too.
    pub segments: u64,
    /// All entries.
    pub entries: u64,
    /// Those that are inquiries.
    pub inquiries: u64,
    /// Those that mark an opening.
    pub openings: u64,
    /// Those that mark a clean close.
    pub closings: u64,
    /// Those that tell of acts.
    pub acts: u64,
    /// Entries that were pruned before.
    pub pruned: u64,
    /// The first and the last sequence.
    pub sequences: Option<(u64, u64)>,
    /// Bytes of headers, entries and seals.
    pub bytes: u64,
    /// Whether the last entry is a clean close: not so while a server runs, or after a crash.
    pub closed: bool,
    /// Bytes of an unfinished batch behind the last entry: in the making while a server runs; after a crash
    /// the next start moves them aside. Unless they were damaged afterwards, they were never acknowledged.
    pub unfinished_bytes: u64,
    /// Where the chain ends, if there is any entry.
    pub head: Option<Head>,
}

/// A place in the chain and its tag: whoever noted it can tell later that nothing up to it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The ledger.
    pub ledger: u16,
    /// The segment.
    pub segment: u32,
    /// The last entry's sequence.
    pub sequence: u64,
    /// Its tag.
    pub tag: [u8; 16],
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:08}-{:010}-", self.ledger, self.segment, self.sequence)?;
        self.tag.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a walk over the whole ledger came to.
#[derive(Debug)]
pub struct Verified {
    /// What is in order, up to the first fault.
    pub report: VerifyReport,
    /// The first fault, where the walk ended.
    pub fault: Option<ReadError>,
}

impl LedgerReader {
    /// Walks over all entries and checks everything: checksums, order, chain, seals, digests, the mark, and that each
    /// entry can be read.
    pub fn verify(&self) -> Verified {
        self.verify_with(&|_| ())
    }

    /// As [`LedgerReader::verify`], on as many threads as `rayon` has; `progress` hears of bytes that were checked.
    pub fn verify_with(&self, progress: &(dyn Fn(u64) + Sync)) -> Verified {
        let sealed = &self.chain.sealed;
        let checked: Vec<_> = sealed.par_iter().map(|info| self.check_sealed(info, progress)).collect();
        let open = self.chain.open.as_ref();
        let open = open.map(|segment| self.check_open(segment.clone(), progress));
        let mut report = VerifyReport {
            ledger: self.number(),
            pruned: self.chain.pruned.map_or(0, |link| link.entries),
            ..VerifyReport::default()
        };
        for Verified { report: part, fault } in checked.into_iter().chain(open) {
            report.add(&part);
            if fault.is_some() {
                return Verified { report, fault };
            }
        }
        let marks = || mark::check_both(self.disk.as_ref(), self.number(), &self.keys);
        let fault = if report.closed { marks().err() } else { None };
        Verified { report, fault }
    }

    /// How many bytes [`LedgerReader::verify_with`] is going to check, as far as can be told before.
    pub fn len_bytes(&self) -> u64 {
        let sealed: u64 = self.chain.sealed.iter().map(|info| info.len_bytes).sum();
        let open = self.chain.open.as_ref().and_then(|segment| crate::lookup::end(segment).ok());
        sealed + open.map_or(0, slot_offset)
    }

    fn check_sealed(&self, info: &SegmentInfo, progress: &(dyn Fn(u64) + Sync)) -> Verified {
        let segment = match self.open_sealed(info) {
            Ok(segment) => Arc::new(segment),
            Err(fault) => return Verified { report: VerifyReport::default(), fault: Some(fault) },
        };
        let (mut verified, tail) = self.check(&segment, progress);
        if verified.fault.is_none() && !matches!(tail, Some(Tail::Sealed(seal)) if seal.digest == info.digest)
        {
            verified.fault = Some(segment.damage(info.entries, DamageKind::NoSeal));
        }
        verified
    }

    fn check_open(&self, segment: Arc<Segment>, progress: &(dyn Fn(u64) + Sync)) -> Verified {
        let (mut verified, tail) = self.check(&segment, progress);
        if verified.fault.is_none() {
            let slots = verified.report.entries + u64::from(matches!(tail, Some(Tail::Sealed(_))));
            verified.fault = self.chain.check_open_mark(&segment, slots).err();
        }
        if let Some(Tail::Torn { end }) = tail {
            verified.report.unfinished_bytes = end - slot_offset(verified.report.entries);
        }
        verified
    }

    fn check(&self, segment: &Arc<Segment>, progress: &(dyn Fn(u64) + Sync)) -> (Verified, Option<Tail>) {
        let mut walk = Walk::new(segment.clone(), &self.keys);
        let mut report = VerifyReport { segments: 1, bytes: HEADER_LEN, ..VerifyReport::default() };
        let mut told = 0;
        let (fault, tail) = loop {
            let at = walk.slots();
            match walk.step() {
                Ok(Step::Entry(slot)) => {
                    if let Err(fault) = unpack(segment, &self.keys, at, &slot) {
                        break (Some(fault), None);
                    }
                    report.count(segment, &slot);
                }
                Ok(Step::End(tail)) => break (None, Some(tail)),
                Err(fault) => break (Some(fault), None),
            }
            if report.bytes - told >= 1 << 20 {
                progress(report.bytes - told);
                told = report.bytes;
            }
        };
        report.bytes += if matches!(tail, Some(Tail::Sealed(_))) { SLOT_LEN as u64 } else { 0 };
        progress(report.bytes - told);
        (Verified { report, fault }, tail)
    }
}

impl VerifyReport {
    fn count(&mut self, segment: &Segment, slot: &Slot) {
        let sequence = slot.sequence.get();
        self.entries += 1;
        self.bytes += SLOT_LEN as u64;
        let kind = match slot.kind {
            KIND_INQUIRY => &mut self.inquiries,
            KIND_OPENED => &mut self.openings,
            KIND_CLOSED => &mut self.closings,
            _ => &mut self.acts,
        };
        *kind += 1;
        self.sequences = Some((self.sequences.map_or(sequence, |(first, _)| first), sequence));
        self.closed = slot.kind == KIND_CLOSED;
        let (ledger, number) = (segment.ledger, segment.number);
        self.head = Some(Head { ledger, segment: number, sequence, tag: slot.tag });
    }

    /// Puts what a later segment has behind this.
    fn add(&mut self, later: &VerifyReport) {
        self.segments += later.segments;
        self.entries += later.entries;
        self.inquiries += later.inquiries;
        self.openings += later.openings;
        self.closings += later.closings;
        self.acts += later.acts;
        self.bytes += later.bytes;
        self.unfinished_bytes += later.unfinished_bytes;
        self.sequences = match (self.sequences, later.sequences) {
            (Some((first, _)), Some((_, last))) => Some((first, last)),
            (before, after) => before.or(after),
        };
        if later.entries > 0 {
            (self.closed, self.head) = (later.closed, later.head);
        }
    }
}
