//! Reading a ledger without the write role: for `ledger find`, `verify` and `export`, also beside a running
//! server. It takes no lock and changes nothing.
//!
//! What a running server is just writing looks like a torn tail, and is reported as such, not as damage. An
//! entry may show here a moment before it is synced.

use std::sync::Arc;

use crate::disk::Disk;
use crate::entry::decode;
use crate::error::{DamageKind, FindError, OpenError, ReadError};
use crate::format::{KIND_CLOSED, KIND_INQUIRY, KIND_OPENED, Slot};
use crate::keys::LedgerKeys;
use crate::ledger::{open_segment, sequence_here};
use crate::lookup::{self, Found};
use crate::segment::Segment;
use crate::tracking_code::TrackingCode;
use crate::walk::{Step, Tail, Walk};

/// A ledger open for reading.
pub struct LedgerReader {
    segment: Segment,
    keys: Arc<LedgerKeys>,
}

/// What a walk over the whole ledger found in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// The ledger's number.
    pub ledger: u16,
    /// All entries.
    pub entries: u64,
    /// Those that are inquiries.
    pub inquiries: u64,
    /// Those that mark an opening.
    pub openings: u64,
    /// Those that mark a clean close.
    pub closings: u64,
    /// The first and the last sequence.
    pub sequences: Option<(u64, u64)>,
    /// Whether the last entry is a clean close: not so while a server runs, or after a crash.
    pub closed: bool,
    /// Bytes of an unfinished batch behind the last entry: in the making while a server runs; after a crash
    /// the next start moves them aside. Unless they were damaged afterwards, they were never acknowledged.
    pub unfinished_bytes: u64,
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
    /// Opens a ledger for reading; checks its number and header.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(disk: &dyn Disk, keys: Arc<LedgerKeys>) -> Result<LedgerReader, OpenError> {
        Ok(LedgerReader { segment: open_segment(disk, false, &keys)?, keys })
    }

    /// The ledger's number.
    pub fn number(&self) -> u16 {
        self.segment.ledger
    }

    /// What leads to the entry with that sequence, under the current tracking key.
    pub fn tracking_code(&self, sequence: u64) -> TrackingCode {
        self.keys.code(self.segment.ledger, sequence)
    }

    /// The inquiry that a code stands for; none when the code's key is not here or no entry has that sequence.
    ///
    /// # Errors
    /// [`FindError`]; a code of another ledger is one. After a crash, before the next start, a hole in the
    /// unfinished batch may show as an entry that cannot be read.
    pub fn find(&self, code: &TrackingCode) -> Result<Option<Found>, FindError> {
        let Some(sequence) = sequence_here(&self.keys, self.segment.ledger, *code)? else { return Ok(None) };
        let end = lookup::end(&self.segment)?;
        Ok(lookup::find(&self.segment, &self.keys, end, sequence)?)
    }

    /// Walks over all entries and checks everything: checksums, order, chain, and that each can be read.
    pub fn verify(&self) -> Verified {
        let mut walk = Walk::new(&self.segment, &self.keys);
        let mut report = VerifyReport { ledger: self.segment.ledger, ..VerifyReport::default() };
        loop {
            match walk.step() {
                Ok(Step::Entry(slot)) => {
                    if let Err(fault) = self.unpack(&walk, &slot) {
                        return Verified { report, fault: Some(fault) };
                    }
                    report.count(&slot);
                }
                Ok(Step::End(Tail::Zero)) => return Verified { report, fault: None },
                Ok(Step::End(Tail::Torn { end })) => {
                    report.unfinished_bytes = end - crate::format::slot_offset(walk.slots);
                    return Verified { report, fault: None };
                }
                Err(fault) => return Verified { report, fault: Some(fault) },
            }
        }
    }

    /// All inquiries in order, checked as [`LedgerReader::verify`] does; the first fault ends it.
    pub fn entries(&self) -> Entries<'_> {
        Entries { reader: self, walk: Some(Walk::new(&self.segment, &self.keys)) }
    }

    /// The inquiry in a slot that the walk has just passed; none for a mark.
    fn unpack(&self, walk: &Walk<'_>, slot: &Slot) -> Result<Option<Found>, ReadError> {
        if slot.kind != KIND_INQUIRY {
            return Ok(None);
        }
        let key_id = slot.key_id.get();
        let key = self.keys.ledger(key_id);
        let key = key.ok_or_else(|| ReadError::MissingKey { path: self.segment.path.clone(), key_id })?;
        let entry = decode(slot, self.segment.ledger, key)
            .map_err(|field| walk.damage_at(walk.slots - 1, DamageKind::Field(field)))?;
        Ok(Some(Found { sequence: slot.sequence.get(), entry }))
    }
}

impl VerifyReport {
    fn count(&mut self, slot: &Slot) {
        let sequence = slot.sequence.get();
        self.entries += 1;
        self.inquiries += u64::from(slot.kind == KIND_INQUIRY);
        self.openings += u64::from(slot.kind == KIND_OPENED);
        self.closings += u64::from(slot.kind == KIND_CLOSED);
        self.sequences = Some((self.sequences.map_or(sequence, |(first, _)| first), sequence));
        self.closed = slot.kind == KIND_CLOSED;
    }
}

/// The inquiries of a ledger, in order.
pub struct Entries<'a> {
    reader: &'a LedgerReader,
    /// None after a fault.
    walk: Option<Walk<'a>>,
}

impl Iterator for Entries<'_> {
    type Item = Result<Found, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let walk = self.walk.as_mut()?;
            let found = match walk.step() {
                Ok(Step::Entry(slot)) => self.reader.unpack(walk, &slot).transpose(),
                Ok(Step::End(_)) => return None,
                Err(fault) => Some(Err(fault)),
            };
            match found {
                None => {}
                Some(Ok(found)) => return Some(Ok(found)),
                Some(Err(fault)) => {
                    self.walk = None;
                    return Some(Err(fault));
                }
            }
        }
    }
}
