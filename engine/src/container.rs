//! The container of both files of a generation: a fixed header with a section table, then aligned sections.
//! FORMAT.md has the bytes. Encoding and decoding stand side by side; decoding trusts nothing it reads.

use std::ops::Range;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Version of the format of both files; a reader refuses any other.
pub const FORMAT_VERSION: u32 = 1;
/// Name of the index file in a generation.
pub const INDEX_FILE: &str = "index.bin";
/// Name of the records file in a generation.
pub const RECORDS_FILE: &str = "records.bin";

const MAGIC: [u8; 8] = *b"ESTEHQAQ";
/// Room in the section table, so that further indexes can stand beside the FST.
const SECTIONS_MAX: usize = 15;
/// Sections begin at multiples of this many bytes: a cache line.
pub(crate) const SECTION_ALIGN: u64 = 64;
pub(crate) const HEADER_LEN: u64 = 512;

/// Which of the two files a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum FileKind {
    Index = 1,
    Records = 2,
}

/// What a section holds. Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum SectionKind {
    NationalFst = 1,
    ForeignFst = 2,
    Slots = 16,
    Overflow = 17,
}

/// Where a section lies, and how many entries it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) range: Range<usize>,
    pub(crate) count: u64,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct SectionEntry {
    kind: U32,
    reserved: U32,
    offset: U64,
    len: U64,
    count: U64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    format_version: U32,
    file_kind: U32,
    file_len: U64,
    section_count: U32,
    reserved: U32,
    sections: [SectionEntry; SECTIONS_MAX],
}

const _: () = assert!(size_of::<SectionEntry>() == 32);
const _: () = assert!(size_of::<Header>() as u64 == HEADER_LEN);
const _: () = assert!(HEADER_LEN.is_multiple_of(SECTION_ALIGN));

/// Builds the header of a file whose sections were written one after the other.
pub(crate) struct HeaderBuilder {
    header: Header,
}

impl HeaderBuilder {
    pub(crate) fn new(kind: FileKind) -> HeaderBuilder {
        let mut header = Header::new_zeroed();
        header.magic = MAGIC;
        header.format_version = U32::new(FORMAT_VERSION);
        header.file_kind = U32::new(kind as u32);
        HeaderBuilder { header }
    }

    /// Appends a section to the table. There are fewer kinds of sections than places.
    pub(crate) fn push(&mut self, kind: SectionKind, offset: u64, len: u64, count: u64) {
        let place = self.header.section_count.get();
        self.header.sections[place as usize] = SectionEntry {
            kind: U32::new(kind as u32),
            reserved: U32::new(0),
            offset: U64::new(offset),
            len: U64::new(len),
            count: U64::new(count),
        };
        self.header.section_count = U32::new(place + 1);
    }

    /// The header's bytes, once the length of the whole file is known.
    pub(crate) fn finish(mut self, file_len: u64) -> Vec<u8> {
        self.header.file_len = U64::new(file_len);
        self.header.as_bytes().to_vec()
    }
}

/// What is wrong with a header; the caller knows the file.
pub(crate) type HeaderFault = &'static str;

/// Reads a file's sections of the kinds asked for, in that order, with all bounds checked.
pub(crate) fn read_sections<const N: usize>(
    bytes: &[u8],
    kind: FileKind,
    wanted: [SectionKind; N],
) -> Result<[Section; N], HeaderFault> {
    let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| "it is shorter than its header")?;
    if header.magic != MAGIC {
        return Err("it does not begin with the magic bytes");
    }
    if header.format_version.get() != FORMAT_VERSION {
        return Err("its format version is not the one this program reads");
    }
    if header.file_kind.get() != kind as u32 {
        return Err("it is the other kind of file");
    }
    if header.file_len.get() != bytes.len() as u64 || header.reserved.get() != 0 {
        return Err("its header does not agree with its length");
    }
    let count = header.section_count.get() as usize;
    let (used, unused) = header.sections.split_at_checked(count).ok_or("its section table is too long")?;
    if used.len() != N || unused.iter().any(|entry| entry.as_bytes().iter().any(|&byte| byte != 0)) {
        return Err("its section table does not list the sections of this version");
    }
    let mut sections = [const { Section { range: 0..0, count: 0 } }; N];
    let mut expected_offset = HEADER_LEN;
    for ((section, entry), kind) in sections.iter_mut().zip(used).zip(wanted) {
        if entry.kind.get() != kind as u32
            || entry.reserved.get() != 0
            || entry.offset.get() != expected_offset
        {
            return Err("its section table does not list the sections of this version");
        }
        let end = expected_offset.checked_add(entry.len.get()).filter(|&end| end <= bytes.len() as u64);
        let end = end.ok_or("a section reaches beyond its end")?;
        *section = Section { range: expected_offset as usize..end as usize, count: entry.count.get() };
        expected_offset = end.next_multiple_of(SECTION_ALIGN);
        let padding = bytes.get(end as usize..expected_offset as usize).ok_or("its padding is cut off")?;
        if padding.iter().any(|&byte| byte != 0) {
            return Err("its padding is not zero");
        }
    }
    if expected_offset == bytes.len() as u64 {
        Ok(sections)
    } else {
        Err("something follows its last section")
    }
}

#[cfg(test)]
mod tests {
    use super::{FORMAT_VERSION, HEADER_LEN, MAGIC, SECTION_ALIGN, SECTIONS_MAX, SectionKind};

    /// FORMAT.md is the one place that gives the bytes; here it is held against the constants.
    #[test]
    fn format_md_agrees_with_the_constants() {
        let text = include_str!("../FORMAT.md");
        let magic = String::from_utf8_lossy(&MAGIC);
        for stated in [
            format!("| 0 | 8 | bytes | magic `{magic}` |"),
            format!("| 8 | 4 | u32 | format version, {FORMAT_VERSION} |"),
            format!("| 32 | {} | entries | section table, {SECTIONS_MAX} places", HEADER_LEN - 32),
            format!("multiples of {SECTION_ALIGN} bytes"),
            format!("| {} | national FST |", SectionKind::NationalFst as u32),
            format!("| {} | foreign FST |", SectionKind::ForeignFst as u32),
            format!("| {} | slots |", SectionKind::Slots as u32),
            format!("| {} | overflow |", SectionKind::Overflow as u32),
        ] {
            assert!(text.contains(&stated), "FORMAT.md does not say {stated:?}");
        }
    }
}
