//! The bytes of a segment file: header and slot, as views. FORMAT.md has the tables; a test holds the two
//! together. Knows no keys beyond their ids, and no file.

use std::mem::size_of;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The format that this version writes and reads.
pub(crate) const FORMAT_VERSION: u32 = 1;
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
pub(crate) const RULES_VERSION: u8 = 1;

/// Slot kinds.
pub(crate) const KIND_INQUIRY: u8 = 1;
pub(crate) const KIND_CLOSED: u8 = 2;
pub(crate) const KIND_OPENED: u8 = 3;

/// Slot flags.
pub(crate) const FLAG_FOREIGN: u8 = 1;
pub(crate) const FLAG_INPATIENT: u8 = 2;
pub(crate) const FLAG_ENGLISH: u8 = 4;
pub(crate) const FLAG_OPEN_ENDED: u8 = 8;

const _: () = assert!(size_of::<Header>() == 4096 && size_of::<Slot>() == 144);
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
    pub(crate) reserved_a: [u8; 2],
    pub(crate) segment: U32,
    pub(crate) first_sequence: U64,
    pub(crate) key_id: U32,
    pub(crate) reserved_b: [u8; 4040],
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

    pub(crate) fn reserved_is_zero(&self) -> bool {
        is_zero(&self.reserved_a) && is_zero(&self.reserved_b)
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
    pub(crate) reserved_entitlement: [u8; 12],
    pub(crate) key_id: U32,
    pub(crate) reserved_b: [u8; 4],
    pub(crate) provider: [u8; 40],
    pub(crate) reserved_idempotency: [u8; 16],
    pub(crate) tag: [u8; 16],
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

    pub(crate) fn reserved_is_zero(&self) -> bool {
        is_zero(&self.reserved_a)
            && is_zero(&self.reserved_entitlement)
            && is_zero(&self.reserved_b)
            && is_zero(&self.reserved_idempotency)
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

pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use zerocopy::FromZeros;

    use super::{Header, Slot};

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
        let header = fields!(Header: magic format_version slot_len ledger reserved_a segment first_sequence key_id
            reserved_b tag crc);
        check("## Header", size_of::<Header>(), &header);
        let slot = fields!(Slot: crc kind channel flags rules_version sequence time_ms as_of generation person
            service_day end_day outcome reason notices batch_index reserved_a reserved_entitlement key_id reserved_b
            provider reserved_idempotency tag);
        check("## Slot", size_of::<Slot>(), &slot);
    }

    #[test]
    fn format_md_has_these_values() {
        let flat = FORMAT.split_whitespace().collect::<Vec<_>>().join(" ");
        for promise in [
            format!("`{}`", std::str::from_utf8(&super::MAGIC).unwrap()),
            format!("format version {}", super::FORMAT_VERSION),
            format!("at most {} entries", super::BATCH_LEN_MAX),
            format!(
                "{} inquiry, {} closed, {} opened",
                super::KIND_INQUIRY,
                super::KIND_CLOSED,
                super::KIND_OPENED
            ),
            format!(
                "{} foreign, {} inpatient, {} English, {} open-ended",
                super::FLAG_FOREIGN,
                super::FLAG_INPATIENT,
                super::FLAG_ENGLISH,
                super::FLAG_OPEN_ENDED
            ),
            format!("`{}`", super::segment_name(1)),
            format!("rules version {}", super::RULES_VERSION),
            format!("next multiple of {}", crate::segment::SEQUENCE_STEP),
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
        let mut slot = Slot::new(super::KIND_INQUIRY, 7);
        slot.seal([9; 16]);
        assert!(slot.is_intact());
        for at in 0..super::SLOT_LEN {
            let mut bytes = slot.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert!(!Slot::read_from_bytes(&bytes).unwrap().is_intact(), "byte {at}");
        }
    }
}
