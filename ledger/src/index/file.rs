//! The bytes of an index file, and looking into one: a header, then pages of sorted records, each page vouched for on
//! its own, so that a look-up reads two or three of them and trusts nothing that it has not checked. FORMAT.md has the
//! tables.

use std::cmp::Ordering;
use std::io;

use thiserror::Error;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{FOR_HEADERS, FOR_PAGES, PersonKey, PersonTag, Persons};
use crate::chain::SegmentInfo;
use crate::disk::{Disk, DiskFile, read_up_to, write_all_at};
use crate::format::{index_name, is_zero};

/// The first bytes of an index file.
pub(crate) const MAGIC: [u8; 8] = *b"ESTQINDX";
/// The only version there is.
const INDEX_VERSION: u32 = 1;
/// Records in a page.
pub(crate) const PAGE_RECORDS: usize = 340;
const PAGE_LEN: u64 = size_of::<IndexPage>() as u64;
/// Pages written at once.
const PAGES_AT_ONCE: usize = 64;

const _: () = assert!(size_of::<IndexHeader>() == 4096 && size_of::<IndexPage>() == 4096);

/// What is before the first page.
#[derive(Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct IndexHeader {
    pub(crate) magic: [u8; 8],
    pub(crate) index_version: U32,
    pub(crate) page_len: U32,
    pub(crate) ledger: U16,
    pub(crate) reserved_a: [u8; 2],
    pub(crate) segment: U32,
    pub(crate) digest: [u8; 32],
    pub(crate) month: U32,
    pub(crate) reserved_b: [u8; 4],
    pub(crate) month_check: [u8; 8],
    pub(crate) count: U64,
    pub(crate) reserved_c: [u8; 4000],
    pub(crate) mac: [u8; 16],
}

/// Records in the order of their tags; zeros behind the last one of all.
#[derive(Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct IndexPage {
    pub(crate) mac: [u8; 16],
    pub(crate) records: [IndexRecord; PAGE_RECORDS],
}

/// An inquiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct IndexRecord {
    pub(crate) tag: PersonTag,
    pub(crate) slot: U32,
}

/// Why an index cannot be used: the segment itself is searched instead, and the index made anew.
#[derive(Debug, Error)]
pub(crate) enum IndexFault {
    /// There is none.
    #[error("it is not there")]
    Missing,
    /// It is not what was written for this segment.
    #[error("its {0} is wrong: it was changed, or is another segment's")]
    Wrong(&'static str),
    /// The disk failed.
    #[error("it cannot be read: {0}")]
    Io(io::Error),
}

impl IndexHeader {
    /// The header of a segment's index that has so many records.
    fn new(persons: &Persons, of: &SegmentInfo, count: u64) -> IndexHeader {
        let mut header = IndexHeader {
            magic: MAGIC,
            index_version: INDEX_VERSION.into(),
            page_len: (PAGE_LEN as u32).into(),
            ledger: of.ledger.into(),
            segment: of.number.into(),
            digest: of.digest,
            month: persons.key.month().number().into(),
            month_check: persons.key.check(),
            count: count.into(),
            ..IndexHeader::new_zeroed()
        };
        header.mac = persons.mac(FOR_HEADERS, &[header.vouched()]);
        header
    }

    fn vouched(&self) -> &[u8] {
        &self.as_bytes()[..std::mem::offset_of!(IndexHeader, mac)]
    }

    /// What is wrong with it as the header of this segment's index.
    fn fault(&self, persons: &Persons, of: &SegmentInfo) -> Option<&'static str> {
        if self.magic != MAGIC {
            Some("magic")
        } else if self.index_version.get() != INDEX_VERSION {
            Some("version")
        } else if u64::from(self.page_len.get()) != PAGE_LEN {
            Some("page length")
        } else if (self.ledger.get(), self.segment.get()) != (of.ledger, of.number) {
            Some("segment")
        } else if self.digest != of.digest {
            Some("digest")
        } else if self.month.get() != persons.key.month().number() || self.month_check != persons.key.check()
        {
            Some("month")
        } else if !(is_zero(&self.reserved_a) && is_zero(&self.reserved_b) && is_zero(&self.reserved_c)) {
            Some("reserved bytes")
        } else if persons.mac(FOR_HEADERS, &[self.vouched()]) != self.mac {
            Some("mac")
        } else {
            None
        }
    }
}

impl IndexPage {
    fn vouched(&self) -> &[u8] {
        &self.as_bytes()[std::mem::offset_of!(IndexPage, records)..]
    }

    fn computed_mac(&self, persons: &Persons, digest: &[u8; 32], number: u64) -> [u8; 16] {
        persons.mac(FOR_PAGES, &[digest, &number.to_le_bytes(), self.vouched()])
    }
}

/// Writes an index into an empty file, and syncs it. The records are in the order of their tags. Between pieces of
/// 256 KiB it syncs and pauses: a sync of the commits waits for all that is under way to the disk. `pause` says whether to go
/// on; if not, the error is of the kind `Interrupted`.
pub(crate) fn write(
    file: &dyn DiskFile,
    persons: &Persons,
    of: &SegmentInfo,
    records: &[IndexRecord],
    mut pause: impl FnMut() -> bool,
) -> io::Result<()> {
    let header = IndexHeader::new(persons, of, records.len() as u64);
    write_all_at(file, header.as_bytes(), 0)?;
    let mut number = 0;
    for some in records.chunks(PAGE_RECORDS * PAGES_AT_ONCE) {
        if number > 0 {
            file.sync_data()?;
            if !pause() {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
        let mut pages = Vec::with_capacity(some.len().div_ceil(PAGE_RECORDS));
        let offset = page_offset(number);
        for records in some.chunks(PAGE_RECORDS) {
            let mut page = IndexPage::new_zeroed();
            page.records[..records.len()].copy_from_slice(records);
            page.mac = page.computed_mac(persons, &of.digest, number);
            pages.push(page);
            number += 1;
        }
        write_all_at(file, pages.as_bytes(), offset)?;
    }
    file.sync_data()
}

fn page_offset(number: u64) -> u64 {
    size_of::<IndexHeader>() as u64 + number * PAGE_LEN
}

/// An index whose header is right. Its pages are checked as they are read.
pub(crate) struct IndexFile {
    file: Box<dyn DiskFile>,
    persons: Persons,
    digest: [u8; 32],
    count: u64,
}

impl IndexFile {
    /// Opens the index of a sealed segment.
    pub(crate) fn open(
        disk: &dyn Disk,
        persons: &Persons,
        of: &SegmentInfo,
    ) -> Result<IndexFile, IndexFault> {
        let file = match disk.open_read(&index_name(of.number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(IndexFault::Missing),
            opened => opened.map_err(IndexFault::Io)?,
        };
        let mut header = IndexHeader::new_zeroed();
        let read = read_up_to(file.as_ref(), header.as_mut_bytes(), 0).map_err(IndexFault::Io)?;
        if read != size_of::<IndexHeader>() {
            return Err(IndexFault::Wrong("length"));
        }
        if let Some(what) = header.fault(persons, of) {
            return Err(IndexFault::Wrong(what));
        }
        let count = header.count.get();
        if count > of.inquiries {
            return Err(IndexFault::Wrong("count"));
        }
        let pages = count.div_ceil(PAGE_RECORDS as u64);
        if file.length().map_err(IndexFault::Io)? != page_offset(pages) {
            return Err(IndexFault::Wrong("length"));
        }
        Ok(IndexFile { file, persons: persons.clone(), digest: of.digest, count })
    }

    /// How many entries about this person are before slot `before`. Theirs are counted by doubling, since most
    /// persons have none or few.
    pub(crate) fn count_before(&self, person: PersonKey, before: u64) -> Result<u32, IndexFault> {
        let is_before = |occurrence: u32| {
            let slot = self.slot(person, occurrence)?;
            Ok(slot.is_some_and(|slot| u64::from(slot) < before))
        };
        let (mut low, mut high) = (0, 1);
        while is_before(high - 1)? {
            (low, high) = (high, high.saturating_mul(2));
        }
        // The first `low` are before, the one with `high - 1` before it is not.
        high -= 1;
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(middle)? { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// The slot of the entry about this person that has so many before it.
    pub(crate) fn slot(&self, person: PersonKey, occurrence: u32) -> Result<Option<u32>, IndexFault> {
        if u64::from(occurrence) >= self.count {
            return Ok(None);
        }
        self.find(self.persons.tag(person, occurrence))
    }

    /// The slot of a tag. Tags are evenly spread: the page is guessed, and then looked for in steps that double.
    fn find(&self, tag: PersonTag) -> Result<Option<u32>, IndexFault> {
        let (mut low, mut high) = (0, self.count.div_ceil(PAGE_RECORDS as u64));
        let spread = (u128::from(u64::from_be_bytes(tag)) * u128::from(high)) >> 64;
        let (mut guess, mut step) = (u64::try_from(spread).expect("less than the pages there are"), 1);
        while low < high {
            let page = self.page(guess)?;
            let records = self.records(&page, guess);
            match side(records, tag) {
                Ordering::Equal => {
                    let found = records.binary_search_by(|record| record.tag.cmp(&tag));
                    return Ok(found.ok().map(|at| records[at].slot.get()));
                }
                Ordering::Less => {
                    high = guess;
                    guess = low.max(high.saturating_sub(step));
                }
                Ordering::Greater => {
                    low = guess + 1;
                    guess = (low + step - 1).min(high.saturating_sub(1));
                }
            }
            step *= 2;
        }
        Ok(None)
    }

    /// Reads a page and checks it.
    fn page(&self, number: u64) -> Result<Box<IndexPage>, IndexFault> {
        let mut page = Box::new(IndexPage::new_zeroed());
        let read = read_up_to(self.file.as_ref(), page.as_mut_bytes(), page_offset(number));
        if read.map_err(IndexFault::Io)? != size_of::<IndexPage>() {
            return Err(IndexFault::Wrong("length"));
        }
        if page.computed_mac(&self.persons, &self.digest, number) != page.mac {
            return Err(IndexFault::Wrong("page"));
        }
        Ok(page)
    }

    /// The records of a page, one at least.
    fn records<'a>(&self, page: &'a IndexPage, number: u64) -> &'a [IndexRecord] {
        let before = number * PAGE_RECORDS as u64;
        let len = usize::try_from(self.count - before).map_or(PAGE_RECORDS, |left| left.min(PAGE_RECORDS));
        &page.records[..len]
    }
}

/// Whether a tag stands before these records, among them if anywhere, or after them.
fn side(records: &[IndexRecord], tag: PersonTag) -> Ordering {
    match records {
        [first, ..] if tag < first.tag => Ordering::Less,
        [.., last] if tag > last.tag => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use engine::{IdKind, PersonId};
    use zerocopy::IntoBytes;

    use super::{IndexFault, IndexFile, IndexRecord, PAGE_RECORDS, PAGES_AT_ONCE, PersonKey, Persons, write};
    use crate::chain::SegmentInfo;
    use crate::disk::Disk;
    use crate::format::index_name;
    use crate::index::make::sorted;
    use crate::index::tests::persons;
    use crate::segment::Link;
    use crate::sim::SimDisk;

    fn info(number: u32, inquiries: u64) -> SegmentInfo {
        let digest = [9; 32];
        let link =
            Link { ledger: 42, segment: number, entries: 0, slots: 0, sequence: 0, tag: [0; 16], digest };
        SegmentInfo {
            number,
            ledger: 42,
            month: None,
            entries: inquiries,
            inquiries,
            first_sequence: 1,
            last_sequence: inquiries,
            times_ms: (0, 0),
            sealed_ms: 0,
            digest,
            len_bytes: 0,
            link,
            runs_on: true,
        }
    }

    fn person(n: u64) -> PersonKey {
        PersonId::from_u64(IdKind::National, 499_370_000 + n).unwrap().into()
    }

    /// Slot n is about person n modulo `people`.
    fn written(people: u64, slots: u32) -> (SimDisk, SegmentInfo) {
        let (disk, info) = (SimDisk::new(), info(7, slots.into()));
        let mut entries: Vec<_> = (0..slots).map(|slot| (person(u64::from(slot) % people), slot)).collect();
        let file = disk.create_new(&index_name(7)).unwrap();
        write(file.as_ref(), &persons(7), &info, &sorted(&persons(7), &mut entries), || true).unwrap();
        (disk, info)
    }

    #[track_caller]
    fn check(people: u64, slots: u32) {
        let (disk, info) = written(people, slots);
        let index = IndexFile::open(&disk, &persons(7), &info).unwrap();
        for n in 0..people + 20 {
            let theirs: Vec<u32> = (0..slots).filter(|slot| u64::from(*slot) % people == n).collect();
            for (at, slot) in theirs.iter().enumerate() {
                let at = u32::try_from(at).unwrap();
                assert_eq!(index.slot(person(n), at).unwrap(), Some(*slot));
            }
            let beyond = u32::try_from(theirs.len()).unwrap();
            assert_eq!(index.slot(person(n), beyond).unwrap(), None);
            for before in [0, 1, u64::from(slots / 2), u64::MAX] {
                let expected = theirs.iter().filter(|slot| u64::from(**slot) < before).count();
                let found = index.count_before(person(n), before).unwrap();
                assert_eq!(found as usize, expected, "person {n} of {people} before {before} of {slots}");
            }
        }
    }

    #[test]
    fn every_person_is_found_with_all_slots_and_nobody_else() {
        let page = u32::try_from(PAGE_RECORDS).unwrap();
        for slots in [0, 1, 2, page - 1, page, page + 1, 10 * page + 5] {
            for people in [1, 3, 50, 1000] {
                check(people, slots);
            }
        }
    }

    #[test]
    fn a_long_index_is_synced_piece_by_piece() {
        let piece = PAGE_RECORDS * PAGES_AT_ONCE;
        for (records, pieces) in [(0, 0), (piece, 1), (piece + 1, 2), (3 * piece, 3)] {
            let (disk, info) = (SimDisk::new(), info(7, records as u64));
            let slots = 0..u32::try_from(records).unwrap();
            let records = sorted(&persons(7), &mut slots.map(|slot| (person(0), slot)).collect::<Vec<_>>());
            let file = disk.create_new("index").unwrap();
            let (mut pauses, begun) = (0, disk.steps());
            let pause = || {
                pauses += 1;
                true
            };
            write(file.as_ref(), &persons(7), &info, &records, pause).unwrap();
            assert_eq!(pauses, pieces.max(1) - 1);
            assert_eq!(
                disk.steps() - begun,
                1 + pieces + pieces.max(1),
                "the header, the pieces, and their syncs"
            );
        }
    }

    /// A flipped bit anywhere is seen before what it touches is used.
    #[test]
    fn every_changed_byte_is_seen() {
        let (disk, info) = written(50, 1000);
        let name = index_name(7);
        let whole = disk.contents(&name);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            disk.replace(&name, bytes);
            let index = IndexFile::open(&disk, &persons(7), &info);
            let in_header = at < 4096;
            assert_eq!(index.is_err(), in_header, "byte {at}");
            let Ok(index) = index else { continue };
            let page = u64::try_from(at / 4096 - 1).unwrap();
            assert!(matches!(index.page(page), Err(IndexFault::Wrong("page"))), "byte {at}");
        }
    }

    #[test]
    fn cut_lengthened_and_exchanged_files_are_refused() {
        let (disk, info) = written(50, 1000);
        let name = index_name(7);
        let whole = disk.contents(&name);
        for len in [0, 1, 4095, 4096, 8192, whole.len() - 1, whole.len() + 1, whole.len() + 4096] {
            let mut bytes = whole.clone();
            bytes.resize(len, 0);
            disk.replace(&name, bytes);
            assert!(IndexFile::open(&disk, &persons(7), &info).is_err(), "{len} bytes");
        }
        // Two pages exchanged, both whole.
        let mut bytes = whole.clone();
        let (first, second) = bytes[4096..].split_at_mut(4096);
        first.swap_with_slice(&mut second[..4096]);
        disk.replace(&name, bytes);
        let index = IndexFile::open(&disk, &persons(7), &info).unwrap();
        assert!(index.page(0).is_err() && index.page(1).is_err() && index.page(2).is_ok());
        disk.replace(&name, whole);
        let opened = |persons: Persons, info: &SegmentInfo| {
            IndexFile::open(&disk, &persons, info).err().map(|fault| fault.to_string())
        };
        let of_segment_8 = SegmentInfo { number: 8, ..info.clone() };
        disk.rename(&name, &index_name(8)).unwrap();
        let told = opened(persons(8), &of_segment_8).unwrap();
        assert!(told.contains("its segment is wrong"), "{told}");
        disk.rename(&index_name(8), &name).unwrap();
        let rewritten = SegmentInfo { digest: [8; 32], ..info.clone() };
        assert!(opened(persons(7), &rewritten).unwrap().contains("digest"));
        let fewer = SegmentInfo { inquiries: 999, ..info.clone() };
        assert!(opened(persons(7), &fewer).unwrap().contains("count"));
        assert_eq!(opened(persons(7), &info), None);
        disk.remove(&name);
        assert!(matches!(IndexFile::open(&disk, &persons(7), &info), Err(IndexFault::Missing)));
    }

    /// No two records are alike, whoever has how many entries.
    #[test]
    fn records_do_not_tell_who_comes_often() {
        let mut entries: Vec<_> = (0..5000).map(|slot| (person(u64::from(slot) % 2), slot)).collect();
        let records = sorted(&persons(7), &mut entries);
        assert!(records.windows(2).all(|pair| pair[0].tag < pair[1].tag));
        assert_eq!(records.len() * size_of::<IndexRecord>(), records.as_bytes().len());
    }
}
