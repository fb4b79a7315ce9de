//! The bytes of a segment file: header, slot and seal, as views. FORMAT.md has the tables; a test holds the
//! two together. Knows no keys beyond their ids, and no file.

use std::mem::size_of;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The format that this version writes.
pub(crate) const FORMAT_VERSION: u32 = 2;
/// The format before segments, which is still read.
pub(crate) const FORMAT_VERSION_1: u32 = 1;
/// The first bytes of a segment file.
pub(crate) const MAGIC: [u8; 8] = *b"ESTQLEDG";
/// Bytes before the first slot.
pub(crate) const HEADER_LEN: u64 = size_of::<Header>() as u64;
/// Bytes of a slot.
pub(crate) const SLOT_LEN: usize = size_of::<Slot>();
/// Entries that are written and synced together at most; recovery relies on it.
pub(crate) const BATCH_LEN_MAX: u64 = 4096;
/// The end day of an answer that has none.
pub(crate) const NO_DAY: u16 = 0xFFFF;
/// The version of the deciding rules (PRODUCT.md section 3) that answers of today follow.
pub const RULES_VERSION: u8 = 1;

/// Slot kinds.
pub(crate) const KIND_INQUIRY: u8 = 1;
pub(crate) const KIND_CLOSED: u8 = 2;
pub(crate) const KIND_OPENED: u8 = 3;
pub(crate) const KIND_SEAL: u8 = 4;
pub(crate) const KIND_DESK_READ: u8 = 5;
pub(crate) const KIND_DESK_SEARCH: u8 = 6;
pub(crate) const KIND_EXPORT: u8 = 7;
pub(crate) const KIND_PRUNE: u8 = 8;

/// Slot flags.
pub(crate) const FLAG_FOREIGN: u8 = 1;
pub(crate) const FLAG_INPATIENT: u8 = 2;
pub(crate) const FLAG_ENGLISH: u8 = 4;
pub(crate) const FLAG_OPEN_ENDED: u8 = 8;
pub(crate) const FLAG_REVEALED: u8 = 16;

const _: () = assert!(size_of::<Header>() == 4096 && size_of::<Slot>() == 144 && size_of::<Seal>() == 144);
// A batch is found again by its slots' places in it, which have 16 bits.
const _: () = assert!(BATCH_LEN_MAX <= 1 << 16);

/// What is before the first slot.
#[derive(Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) magic: [u8; 8],
    pub(crate) format_version: U32,
    pub(crate) slot_len: U32,
    pub(crate) ledger: U16,
    pub(crate) day: U16,
    pub(crate) segment: U32,
    pub(crate) first_sequence: U64,
    pub(crate) key_id: U32,
    pub(crate) month: U32,
    pub(crate) month_check: [u8; 8],
    pub(crate) tracking_epoch: u8,
    pub(crate) reserved_a: [u8; 7],
    pub(crate) tracking_check: [u8; 8],
    pub(crate) slots_max: U64,
    pub(crate) time_ms: U64,
    pub(crate) entries_before: U64,
    pub(crate) previous_slots: U64,
    pub(crate) previous_sequence: U64,
    pub(crate) previous_tag: [u8; 16],
    pub(crate) previous_digest: [u8; 32],
    pub(crate) reserved_b: [u8; 3924],
    pub(crate) tag: [u8; 16],
    pub(crate) crc: U32,
}

impl Header {
    /// The bytes that the tag vouches for.
    pub(crate) fn tagged(&self) -> &[u8] {
        &self.as_bytes()[..std::mem::offset_of!(Header, tag)]
    }

    /// The checksum as it should be.
    pub(crate) fn computed_crc(&self) -> u32 {
        crc32c::crc32c(&self.as_bytes()[..std::mem::offset_of!(Header, crc)])
    }

    /// Whether what this format version does not use is zero; the version is one of the two.
    pub(crate) fn reserved_is_zero(&self) -> bool {
        let bytes = self.as_bytes();
        let (day, month) = (std::mem::offset_of!(Header, day), std::mem::offset_of!(Header, month));
        match self.format_version.get() {
            FORMAT_VERSION_1 => {
                is_zero(&bytes[day..day + 2]) && is_zero(&bytes[month..std::mem::offset_of!(Header, tag)])
            }
            _ => is_zero(&self.reserved_a) && is_zero(&self.reserved_b),
        }
    }
}

/// One entry.
#[derive(Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Slot {
    pub(crate) crc: U32,
    pub(crate) kind: u8,
    pub(crate) channel: u8,
    pub(crate) flags: u8,
    pub(crate) rules_version: u8,
    pub(crate) sequence: U64,
    pub(crate) time_ms: U64,
    pub(crate) as_of: U16,
    pub(crate) generation: [u8; 6],
    pub(crate) person: U64,
    pub(crate) service_day: U16,
    pub(crate) end_day: U16,
    pub(crate) outcome: u8,
    pub(crate) reason: u8,
    pub(crate) notices: U16,
    pub(crate) batch_index: U16,
    pub(crate) reserved_a: [u8; 2],
    pub(crate) entitlement: [u8; 12],
    pub(crate) key_id: U32,
    pub(crate) month: U32,
    pub(crate) provider: [u8; 40],
    pub(crate) detail: [u8; 16],
    pub(crate) tag: [u8; 16],
}

/// What stands behind the last entry: what it has in common with a slot stands where the slot has it.
#[derive(Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Seal {
    pub(crate) crc: U32,
    pub(crate) kind: u8,
    pub(crate) cause: u8,
    pub(crate) reserved_a: [u8; 2],
    pub(crate) sequence: U64,
    pub(crate) time_ms: U64,
    pub(crate) slots: U64,
    pub(crate) first_sequence: U64,
    pub(crate) inquiries: U64,
    pub(crate) batch_index: U16,
    pub(crate) reserved_b: [u8; 14],
    pub(crate) key_id: U32,
    pub(crate) month: U32,
    pub(crate) digest: [u8; 32],
    pub(crate) time_ms_min: U64,
    pub(crate) time_ms_max: U64,
    pub(crate) reserved_c: [u8; 8],
    pub(crate) tag: [u8; 16],
}

const _: () = assert!(
    std::mem::offset_of!(Seal, sequence) == std::mem::offset_of!(Slot, sequence)
        && std::mem::offset_of!(Seal, batch_index) == std::mem::offset_of!(Slot, batch_index)
        && std::mem::offset_of!(Seal, key_id) == std::mem::offset_of!(Slot, key_id)
        && std::mem::offset_of!(Seal, month) == std::mem::offset_of!(Slot, month)
        && std::mem::offset_of!(Seal, tag) == std::mem::offset_of!(Slot, tag)
);

impl Seal {
    /// The seal as the slot it takes, which is tagged and sealed as any other.
    pub(crate) fn to_slot(&self) -> Slot {
        zerocopy::transmute!(self.clone())
    }

    /// The seal in a slot of that kind.
    pub(crate) fn of_slot(slot: &Slot) -> Seal {
        zerocopy::transmute!(slot.clone())
    }

    pub(crate) fn reserved_is_zero(&self) -> bool {
        is_zero(&self.reserved_a) && is_zero(&self.reserved_b) && is_zero(&self.reserved_c)
    }
}

impl Slot {
    /// A slot of that kind, all else zero; crc and tag are set last, by [`Slot::seal`].
    pub(crate) fn new(kind: u8, sequence: u64) -> Slot {
        Slot { kind, sequence: sequence.into(), ..Slot::new_zeroed() }
    }

    /// The bytes that the chain tag vouches for: all but checksum and tag.
    pub(crate) fn tagged(&self) -> &[u8] {
        let bytes = self.as_bytes();
        &bytes[std::mem::offset_of!(Slot, kind)..std::mem::offset_of!(Slot, tag)]
    }

    /// The checksum as it should be: over all bytes after it.
    pub(crate) fn computed_crc(&self) -> u32 {
        crc32c::crc32c(&self.as_bytes()[std::mem::offset_of!(Slot, kind)..])
    }

    /// Sets the tag, and then the checksum, which covers it.
    pub(crate) fn seal(&mut self, tag: [u8; 16]) {
        self.tag = tag;
        self.crc = self.computed_crc().into();
    }

    /// Whether these bytes were once written as an entry. Zeros are none: their checksum is not zero.
    pub(crate) fn is_intact(&self) -> bool {
        self.crc.get() == self.computed_crc()
    }
}

/// Where a slot begins in its file.
pub(crate) fn slot_offset(slot: u64) -> u64 {
    HEADER_LEN + slot * SLOT_LEN as u64
}

/// The name of a segment file.
pub(crate) fn segment_name(segment: u32) -> String {
    format!("segment-{segment:08}.led")
}

/// The name of the index of a sealed segment.
pub(crate) fn index_name(segment: u32) -> String {
    format!("segment-{segment:08}.idx")
}

/// The segment that a file of this name is; none for any other file.
pub(crate) fn segment_of(name: &str) -> Option<u32> {
    let number = name.strip_prefix("segment-")?.strip_suffix(".led")?.parse().ok()?;
    (segment_name(number) == name && number > 0).then_some(number)
}

pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use zerocopy::FromZeros;

    use super::{
        FLAG_ENGLISH, FLAG_FOREIGN, FLAG_INPATIENT, FLAG_OPEN_ENDED, FLAG_REVEALED, Header, KIND_CLOSED,
        KIND_DESK_READ, KIND_DESK_SEARCH, KIND_EXPORT, KIND_INQUIRY, KIND_OPENED, KIND_PRUNE, KIND_SEAL,
        Seal, Slot,
    };
    use crate::index::{IndexHeader, IndexPage};
    use crate::mark::MarkRecord;
    use crate::pruned::PrunedRecord;
    use crate::segment::Cause;

    const FORMAT: &str = include_str!("../FORMAT.md");

    /// The rows `| offset | size | ... | field | ...` of the table under a heading: (offset, size, field).
    fn table(heading: &str) -> Vec<(usize, usize, String)> {
        let rest = FORMAT.split(heading).nth(1).expect("FORMAT.md has the heading");
        let section = rest.split("\n## ").next().expect("a split has a first part");
        let rows = section.lines().filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let (offset, size) = (cells.get(1)?.parse().ok()?, cells.get(2)?.parse().ok()?);
            Some((offset, size, cells.get(4)?.to_string()))
        });
        rows.collect()
    }

    #[track_caller]
    fn check(heading: &str, len: usize, fields: &[(&str, usize)]) {
        let ends = fields.iter().skip(1).map(|(_, offset)| *offset).chain([len]);
        let expected: Vec<_> =
            fields.iter().zip(ends).map(|((name, at), end)| (*at, end - at, format!("`{name}`"))).collect();
        assert_eq!(table(heading), expected);
    }

    macro_rules! fields {
        ($type:ty: $($field:ident)*) => { [$((stringify!($field), offset_of!($type, $field))),*] };
    }

    #[test]
    fn format_md_has_these_bytes() {
        let header = fields!(Header: magic format_version slot_len ledger day segment first_sequence key_id month
            month_check tracking_epoch reserved_a tracking_check slots_max time_ms entries_before previous_slots
            previous_sequence previous_tag previous_digest reserved_b tag crc);
        check("## Header", size_of::<Header>(), &header);
        let slot = fields!(Slot: crc kind channel flags rules_version sequence time_ms as_of generation person
            service_day end_day outcome reason notices batch_index reserved_a entitlement key_id month provider detail
            tag);
        check("## Slot", size_of::<Slot>(), &slot);
        let seal = fields!(Seal: crc kind cause reserved_a sequence time_ms slots first_sequence inquiries batch_index
            reserved_b key_id month digest time_ms_min time_ms_max reserved_c tag);
        check("## Seal", size_of::<Seal>(), &seal);
        let mark = fields!(MarkRecord: magic count ledger reserved_a segment slots sequence time_ms tag key_id
            reserved_b mac crc);
        check("## Mark", size_of::<MarkRecord>(), &mark);
        let pruned = fields!(PrunedRecord: magic ledger reserved_a segment entries slots sequence time_ms seal_tag
            digest key_id reserved_b mac crc);
        check("## Pruned", size_of::<PrunedRecord>(), &pruned);
        let index = fields!(IndexHeader: magic index_version page_len ledger reserved_a segment digest month reserved_b
            month_check count reserved_c mac);
        check("## Index", size_of::<IndexHeader>(), &index);
        check("## Page of an index", size_of::<IndexPage>(), &fields!(IndexPage: mac records));
    }

    #[test]
    fn format_md_has_these_values() {
        let flat = FORMAT.split_whitespace().collect::<Vec<_>>().join(" ");
        for promise in [
            format!("`{}`", std::str::from_utf8(&super::MAGIC).unwrap()),
            format!("format version {}", super::FORMAT_VERSION),
            format!("at most {} entries", super::BATCH_LEN_MAX),
            format!("`{}`", std::str::from_utf8(&crate::mark::MAGIC).unwrap()),
            format!("`{}`", std::str::from_utf8(&crate::pruned::MAGIC).unwrap()),
            format!("`{}`", std::str::from_utf8(&crate::index::MAGIC).unwrap()),
            format!("`{}`", super::index_name(1)),
            format!(
                "{} records of {} bytes",
                crate::index::PAGE_RECORDS,
                size_of::<crate::index::IndexRecord>()
            ),
            format!(
                "{KIND_INQUIRY} inquiry, {KIND_CLOSED} closed, {KIND_OPENED} opened, {KIND_SEAL} seal, \
                 {KIND_DESK_READ} desk read, {KIND_DESK_SEARCH} desk search, {KIND_EXPORT} export, {KIND_PRUNE} prune"
            ),
            format!(
                "{FLAG_FOREIGN} foreign, {FLAG_INPATIENT} inpatient, {FLAG_ENGLISH} English, \
                 {FLAG_OPEN_ENDED} open-ended, {FLAG_REVEALED} revealed"
            ),
            format!("`{}`", super::segment_name(1)),
            format!("rules version {}", super::RULES_VERSION),
            format!("next multiple of {}", crate::recovery::SEQUENCE_STEP),
            format!(
                "{} full, {} new day, {} closed, {} found unsealed by an opening",
                Cause::Full.to_u8(),
                Cause::Day.to_u8(),
                Cause::Closed.to_u8(),
                Cause::Found.to_u8()
            ),
        ] {
            assert!(flat.contains(&promise), "FORMAT.md does not say: {promise}");
        }
    }

    #[test]
    fn zeros_are_no_entry() {
        assert!(!Slot::new_zeroed().is_intact());
    }

    #[test]
    fn the_checksum_covers_every_byte() {
        use zerocopy::{FromBytes, IntoBytes};
        let mut slot = Slot::new(KIND_INQUIRY, 7);
        slot.seal([9; 16]);
        assert!(slot.is_intact());
        for at in 0..super::SLOT_LEN {
            let mut bytes = slot.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert!(!Slot::read_from_bytes(&bytes).unwrap().is_intact(), "byte {at}");
        }
    }
}
