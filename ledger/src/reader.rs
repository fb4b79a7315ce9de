//! Reading a ledger without the write role: for `ledger find`, `verify` and `export`, also beside a running
//! server. It takes no lock and changes nothing.
//!
//! What a running server is just writing looks like a torn tail, and is reported as such, not as damage. An
//! entry may show here a moment before it is synced.

use std::sync::Arc;

use crate::chain::{Chain, SegmentInfo};
use crate::disk::Disk;
use crate::error::{FindError, OpenError, ReadError};
use crate::keys::LedgerKeys;
use crate::ledger::place_here;
use crate::lookup::{self, Found, Placed};
use crate::month::Month;
use crate::restore::FileBytes;
use crate::search::{Follow, Search, SearchError, SearchPage, Searched};
use crate::segment::Segment;
use crate::span::Span;
use crate::tracking_code::TrackingCode;
use crate::walk::{Step, Walk};

/// A ledger open for reading, as it was when it was opened; the segment that is written then is followed.
pub struct LedgerReader {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) chain: Chain,
    pub(crate) keys: Arc<LedgerKeys>,
}

impl LedgerReader {
    /// Opens a ledger for reading; checks its number, and headers, seals and mark against each other.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(disk: &dyn Disk, keys: Arc<LedgerKeys>) -> Result<LedgerReader, OpenError> {
        Ok(LedgerReader { disk: disk.again(), chain: Chain::open(disk, false, &keys)?, keys })
    }

    /// The ledger's number.
    pub fn number(&self) -> u16 {
        self.chain.identity.number
    }

    /// The sealed segments, in order.
    pub fn segments(&self) -> &[SegmentInfo] {
        &self.chain.sealed
    }

    /// What leads to the entry with that place, under the current tracking key.
    pub fn tracking_code(&self, ledger: u16, sequence: u64) -> TrackingCode {
        self.keys.code(ledger, sequence)
    }

    /// The code that was given out for an inquiry, or that leads to it now where the key of then is not here.
    pub fn code_given(&self, found: &Found) -> TrackingCode {
        self.keys.code_given(found)
    }

    /// The inquiry that a code stands for; none when the code's key is not here or no entry has that sequence.
    ///
    /// # Errors
    /// [`FindError`]; a code of another ledger is one. After a crash, before the next start, a hole in the
    /// unfinished batch may show as an entry that cannot be read.
    pub fn find(&self, code: &TrackingCode) -> Result<Option<Found>, FindError> {
        let Some((ledger, sequence)) = place_here(&self.keys, &self.chain.identity, *code)? else {
            return Ok(None);
        };
        let placed = match lookup::sealed_with(&self.chain.sealed, ledger, sequence) {
            Some(info) => lookup::find(&self.open_sealed(info)?, &self.keys, info.entries, sequence)?,
            None => match &self.chain.open {
                Some(segment) if segment.ledger == ledger => {
                    lookup::find(segment, &self.keys, lookup::end(segment)?, sequence)?
                }
                _ => None,
            },
        };
        Ok(placed.and_then(Placed::inquiry))
    }

    /// Where an entry of this ledger stands, if there is one.
    pub fn home(&self, ledger: u16, sequence: u64) -> Option<Home> {
        if let Some(info) = lookup::sealed_with(&self.chain.sealed, ledger, sequence) {
            let slot = info.runs_on.then(|| sequence - info.first_sequence);
            return Some(Home { segment: info.number, slot, month: info.month });
        }
        let segment = self.chain.open.as_ref().filter(|segment| segment.ledger == ledger)?;
        let slot = sequence.checked_sub(segment.first_sequence())?;
        let month = Month::from_number(segment.header.month.get());
        Some(Home { segment: segment.number, slot: (!segment.is_version_1()).then_some(slot), month })
    }

    /// All records in order, checked as [`LedgerReader::verify`] does but for the seals' digests; the first fault
    /// ends it.
    pub fn records(&self) -> Records<'_> {
        self.records_of(Span::default())
    }

    /// The records of a span of days, in order. Sealed segments without any are passed over, and not checked.
    pub fn records_of(&self, span: Span) -> Records<'_> {
        Records { reader: self, span, next: 0, walk: None, failed: false }
    }

    /// How many records a span of days has at most, as far as seals tell.
    pub fn entries_max(&self, span: Span) -> u64 {
        let sealed = self.chain.sealed.iter().filter(|info| span.meets(info)).map(|info| info.entries);
        let open = self.chain.open.as_ref().and_then(|segment| lookup::end(segment).ok());
        sealed.sum::<u64>() + open.unwrap_or(0)
    }

    /// All inquiries in order, as [`LedgerReader::records`] has them.
    pub fn entries(&self) -> impl Iterator<Item = Result<Found, ReadError>> {
        self.records().filter_map(|placed| placed.map(Placed::inquiry).transpose())
    }

    /// A page of the inquiries about a person, the newest first. What is written since the ledger was opened for reading
    /// shows as far as it went into the segment that was open then. Segments without an index are read whole.
    ///
    /// # Errors
    /// [`SearchError`], also when segments were pruned since.
    pub fn search(&self, search: &Search) -> Result<SearchPage, SearchError> {
        let open = self.chain.open.clone().map(|segment| (segment, Follow::Whole));
        let place = Searched { disk: self.disk.as_ref(), identity: &self.chain.identity, keys: &self.keys };
        place.search(search, &self.chain.sealed, open, usize::MAX, |_| ())
    }

    /// The keys it reads with.
    pub fn keys(&self) -> &Arc<LedgerKeys> {
        &self.keys
    }

    /// The bytes of a sealed segment's file, up to the end of its seal.
    ///
    /// # Errors
    /// [`ReadError`], when it is not what it was when the ledger was opened.
    pub fn bytes(&self, info: &SegmentInfo) -> Result<FileBytes, ReadError> {
        Ok(FileBytes::new(self.open_sealed(info)?.file, info.len_bytes))
    }

    pub(crate) fn open_sealed(&self, info: &SegmentInfo) -> Result<Segment, ReadError> {
        Segment::open(self.disk.as_ref(), false, &self.chain.identity, info.number, &self.keys)
            .map_err(|error| changed_since(self.disk.as_ref(), info, error))
    }
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// The segment's number.
    pub segment: u32,
    /// Its ordinal there, from 0; none in format version 1, where sequences do not tell.
    pub slot: Option<u64>,
    /// Whose key hides its person; none in format version 1.
    pub month: Option<Month>,
}

/// A segment that was in order when the ledger was opened, and is not now.
pub(crate) fn changed_since(disk: &dyn Disk, info: &SegmentInfo, error: OpenError) -> ReadError {
    match error {
        OpenError::Read(error) => error,
        OpenError::Io { path, source } => ReadError::Io { path, source },
        other => {
            ReadError::Io { path: disk.describe(&info.file_name()), source: std::io::Error::other(other) }
        }
    }
}

/// The records of a ledger, in order.
pub struct Records<'a> {
    reader: &'a LedgerReader,
    span: Span,
    /// The next segment to be walked, from 0.
    next: usize,
    walk: Option<Walk<'a>>,
    failed: bool,
}

impl Records<'_> {
    /// The next record; none at the end.
    fn advance(&mut self) -> Result<Option<Placed>, ReadError> {
        loop {
            let Some(walk) = &mut self.walk else {
                let Some(segment) = self.next_segment()? else { return Ok(None) };
                self.walk = Some(Walk::new(segment, &self.reader.keys));
                continue;
            };
            let slot = walk.slots();
            match walk.step()? {
                Step::End(_) => self.walk = None,
                Step::Entry(found) if self.span.contains(found.time_ms.get()) => {
                    if let Some(placed) = lookup::unpack(walk.segment(), &self.reader.keys, slot, &found)? {
                        return Ok(Some(placed));
                    }
                }
                Step::Entry(_) => {}
            }
        }
    }

    fn next_segment(&mut self) -> Result<Option<Arc<Segment>>, ReadError> {
        let sealed = &self.reader.chain.sealed;
        while sealed.get(self.next).is_some_and(|info| !self.span.meets(info)) {
            self.next += 1;
        }
        let at = self.next;
        self.next += 1;
        match sealed.get(at) {
            Some(info) => self.reader.open_sealed(info).map(|segment| Some(Arc::new(segment))),
            None if at == sealed.len() => Ok(self.reader.chain.open.clone()),
            None => Ok(None),
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Placed, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance();
        self.failed = next.is_err();
        next.transpose()
    }
}
