//! Finding the inquiries about a person, the newest first, page by page. The indexes of sealed segments and the one in
//! memory say where to look; each hit is read and confirmed, and where an index is missing or wrong the segment itself
//! is walked over. So an index may cost time, never an entry.

use std::sync::Arc;

use engine::PersonId;
use thiserror::Error;

use crate::chain::SegmentInfo;
use crate::cursor::Cursor;
use crate::disk::Disk;
use crate::error::{DamageKind, ReadError};
use crate::folder::Identity;
use crate::format::index_name;
use crate::index::{IndexFault, IndexFile, Persons, person_in};
use crate::indexer::Indexer;
use crate::keys::LedgerKeys;
use crate::lookup::{self, Found, Placed};
use crate::month::Month;
use crate::reader::changed_since;
use crate::segment::Segment;
use crate::span::Span;
use crate::walk::{Step, Tail, Walk};

/// Entries on a page, if nothing else is asked for.
pub const LIMIT_DEFAULT: usize = 20;
/// Entries on a page at most.
pub const LIMIT_MAX: usize = 100;
/// Segments that a search of an open ledger reads whole at most: each may take a second.
pub(crate) const SCANS_MAX: usize = 4;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Who.
    pub person: PersonId,
    /// On which days the inquiries were answered.
    pub span: Span,
    /// How many entries a page has at most; 1 to [`LIMIT_MAX`].
    pub limit: usize,
    /// Where the page before ended; none for the first one.
    pub after: Option<Cursor>,
}

/// Some of the inquiries about a person.
#[derive(Debug)]
pub struct SearchPage {
    /// In the ledger's order, the newest first.
    pub found: Vec<Found>,
    /// How many were on the pages before.
    pub skipped: u64,
    /// Where the next page begins, if there are more.
    pub next: Option<String>,
    /// Segments within the span in which nobody can be found any more: their month's key is not here.
    pub segments_not_searchable: u64,
}

/// Why a search came to nothing.
#[derive(Debug, Error)]
pub enum SearchError {
    /// Too many segments would have to be read whole.
    #[error("the indexes of the ledger's segments are being made: search again in some minutes")]
    NotIndexed,
    /// An entry cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// How the entries of the segment that is written are found.
pub(crate) enum Follow<'a> {
    /// By the index in memory, up to slot `end`.
    InMemory {
        /// It keeps that index.
        indexer: &'a Indexer,
        /// All before is on stable storage.
        end: u64,
    },
    /// By reading them all.
    Whole,
}

/// The ledger that is searched.
pub(crate) struct Searched<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) identity: &'a Identity,
    pub(crate) keys: &'a LedgerKeys,
}

impl Searched<'_> {
    /// A page. `suspect` hears of segments whose index is missing or wrong; `scans_max` segments may be read whole.
    pub(crate) fn search(
        &self,
        search: &Search,
        sealed: &[SegmentInfo],
        open: Option<(Arc<Segment>, Follow<'_>)>,
        scans_max: usize,
        suspect: impl FnMut(u32),
    ) -> Result<SearchPage, SearchError> {
        let wanted = search.limit.clamp(1, LIMIT_MAX) + 1;
        let mut searching =
            Searching { at: self, search, wanted, found: Vec::new(), scans_left: scans_max, suspect };
        let is_lost = |segment: u32, ledger, month| Persons::new(self.keys, month, ledger, segment).is_none();
        let mut not_searchable = 0;
        if let Some((segment, follow)) = open {
            let month = Month::from_number(segment.header.month.get());
            if month.is_some_and(|month| is_lost(segment.number, segment.ledger, month)) {
                not_searchable += 1;
            } else {
                searching.open(segment, follow)?;
            }
        }
        for info in sealed.iter().rev().filter(|info| info.inquiries > 0 && search.span.meets(info)) {
            if info.month.is_some_and(|month| is_lost(info.number, info.ledger, month)) {
                not_searchable += 1;
            } else if !searching.is_full() {
                searching.sealed(info)?;
            }
        }
        Ok(searching.page(not_searchable))
    }

    fn open_sealed(&self, info: &SegmentInfo) -> Result<Arc<Segment>, ReadError> {
        let opened = Segment::open(self.disk, false, self.identity, info.number, self.keys);
        opened.map(Arc::new).map_err(|error| changed_since(self.disk, info, error))
    }
}

/// A search under way.
struct Searching<'a, S> {
    at: &'a Searched<'a>,
    search: &'a Search,
    /// One more than the page has, to know whether there are more.
    wanted: usize,
    found: Vec<(Cursor, Found)>,
    scans_left: usize,
    suspect: S,
}

impl<S: FnMut(u32)> Searching<'_, S> {
    fn is_full(&self) -> bool {
        self.found.len() >= self.wanted
    }

    /// The slot of a segment before which entries are not shown yet; 0 where all were.
    fn before(&self, segment: u32) -> u64 {
        match self.search.after {
            Some(after) if segment > after.segment => 0,
            Some(after) if segment == after.segment => after.slot.into(),
            _ => u64::MAX,
        }
    }

    fn open(&mut self, segment: Arc<Segment>, follow: Follow<'_>) -> Result<(), SearchError> {
        let before = self.before(segment.number);
        if before == 0 {
            return Ok(());
        }
        if let Follow::InMemory { indexer, end } = follow {
            let person = self.search.person.into();
            if let Some(slots) = indexer.open_slots(&segment, end, person, before)? {
                // A slot of somebody else is one whose tag is the same by chance.
                for slot in slots {
                    if self.is_full() {
                        break;
                    }
                    self.take(&segment, slot)?;
                }
                return Ok(());
            }
        }
        self.scan(segment, None, before)
    }

    fn sealed(&mut self, info: &SegmentInfo) -> Result<(), SearchError> {
        let mut before = self.before(info.number);
        if before == 0 {
            return Ok(());
        }
        if let Some(month) = info.month
            && let Some(persons) = Persons::new(self.at.keys, month, info.ledger, info.number)
        {
            let Some(fault) = self.by_index(info, &persons, &mut before)? else { return Ok(()) };
            if !matches!(fault, IndexFault::Missing) {
                let path = self.at.disk.describe(&index_name(info.number));
                tracing::warn!(path, %fault, "an index of the ledger cannot be used: the whole segment is read");
            }
            (self.suspect)(info.number);
        }
        let segment = self.at.open_sealed(info)?;
        self.scan(segment, Some(info), before)
    }

    /// Goes by the segment's index, and tells in `before` how far; why it went no further, if it did not.
    fn by_index(
        &mut self,
        info: &SegmentInfo,
        persons: &Persons,
        before: &mut u64,
    ) -> Result<Option<IndexFault>, ReadError> {
        let person = self.search.person.into();
        let opened = IndexFile::open(self.at.disk, persons, info);
        let (index, mut left) =
            match opened.and_then(|index| Ok((index.count_before(person, *before)?, index))) {
                Ok((left, index)) => (index, left),
                Err(fault) => return Ok(Some(fault)),
            };
        if left == 0 {
            return Ok(None);
        }
        let segment = self.at.open_sealed(info)?;
        while left > 0 && !self.is_full() {
            left -= 1;
            let slot = match index.slot(person, left) {
                Ok(Some(slot)) if u64::from(slot) < info.entries => slot,
                Ok(_) => return Ok(Some(IndexFault::Wrong("record"))),
                Err(fault) => return Ok(Some(fault)),
            };
            if !self.take(&segment, slot)? {
                return Ok(Some(IndexFault::Wrong("record")));
            }
            *before = slot.into();
        }
        Ok(None)
    }

    /// Reads a segment whole.
    fn scan(
        &mut self,
        segment: Arc<Segment>,
        info: Option<&SegmentInfo>,
        before: u64,
    ) -> Result<(), SearchError> {
        self.scans_left = self.scans_left.checked_sub(1).ok_or(SearchError::NotIndexed)?;
        let mut slots = Vec::new();
        let mut walk = Walk::new(segment.clone(), self.at.keys);
        let tail = loop {
            let at = walk.slots();
            match walk.step()? {
                Step::Entry(slot) if at < before => {
                    if person_in(&segment, self.at.keys, at, &slot)? == Some(self.search.person) {
                        slots.push(u32::try_from(at).expect("a segment has fewer slots"));
                    }
                }
                Step::Entry(_) => {}
                Step::End(tail) => break tail,
            }
        };
        if let Some(info) = info
            && !matches!(tail, Tail::Sealed(seal) if seal.digest == info.digest)
        {
            return Err(segment.damage(info.entries, DamageKind::NoSeal).into());
        }
        for slot in slots.into_iter().rev() {
            if self.is_full() {
                break;
            }
            self.take(&segment, slot)?;
        }
        Ok(())
    }

    /// Reads the entry in a slot, and keeps it if it is of the span; whether it is about the person.
    fn take(&mut self, segment: &Segment, slot: u32) -> Result<bool, ReadError> {
        let found = lookup::at(segment, self.at.keys, slot.into())?.and_then(Placed::inquiry);
        let Some(found) = found.filter(|found| found.entry.person.person() == Some(self.search.person))
        else {
            return Ok(false);
        };
        if self.search.span.contains(found.entry.time_ms) {
            let shown = self.skipped() + self.found.len() as u64 + 1;
            self.found.push((Cursor { segment: segment.number, slot, shown }, found));
        }
        Ok(true)
    }

    fn skipped(&self) -> u64 {
        self.search.after.map_or(0, |after| after.shown)
    }

    fn page(mut self, segments_not_searchable: u64) -> SearchPage {
        let mut next = None;
        if self.is_full() {
            self.found.pop();
            let last = self.found.last().map(|(cursor, _)| *cursor);
            next = last.map(|cursor| cursor.to_text(self.search.person, self.at.keys));
        }
        let skipped = self.skipped();
        let found = self.found.into_iter().map(|(_, found)| found).collect();
        SearchPage { found, skipped, next, segments_not_searchable }
    }
}
