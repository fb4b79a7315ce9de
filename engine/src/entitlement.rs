//! The packed entitlement record: what is stored of one accepted row, in 16 bytes. FORMAT.md has the layout;
//! packing and unpacking stand side by side here.
//!
//! The same 16 bytes also hold the two other things a person's slot may be: a mark that the person is
//! incomplete, and a pointer to several entitlements in the overflow area.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::day::Day;
use crate::mobile::Fingerprint;

/// The day number that stands for "none", "open-ended" and "never".
const NO_DAY: u16 = u16::MAX;
/// Branches run from 1 to this number; 0 in a record is none.
const BRANCH_MAX: u16 = 9999;

const CATEGORY_BITS: u16 = 0b11_1111;
const RELATION_SHIFT: u16 = 6;
const INSURER_SHIFT: u16 = 9;
const TAG_SHIFT: u16 = 12;
const THREE_BITS: u16 = 0b111;
const RESERVED_TRAITS: u16 = 0b1100_0000_0000_0000;

/// In which capacity the person is insured. The record has room for 64; 63 is "other".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Category(u8);

impl Category {
    /// `insured` (بیمه‌شده اصلی).
    pub const INSURED: Category = Category(0);
    /// `pensioner` (مستمری‌بگیر).
    pub const PENSIONER: Category = Category(1);
    /// Any category that the extract names and this version does not know.
    pub const OTHER: Category = Category(63);

    /// Reads the extract's code, in any case.
    pub fn from_code(code: &str) -> Option<Category> {
        [("insured", Category::INSURED), ("pensioner", Category::PENSIONER)]
            .into_iter()
            .find_map(|(name, category)| name.eq_ignore_ascii_case(code).then_some(category))
    }

    /// The extract's code; `other` for what this version does not know.
    pub fn code(self) -> &'static str {
        match self {
            Category::INSURED => "insured",
            Category::PENSIONER => "pensioner",
            _ => "other",
        }
    }
}

/// How the person relates to the insured person they depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Relation {
    /// The insured person or pensioner themself.
    Itself = 0,
    /// Spouse.
    Spouse = 1,
    /// Son: cover may end at 19 without a university certificate.
    Son = 2,
    /// Daughter: cover may end on a day by which an identity document was due.
    Daughter = 3,
    /// Father.
    Father = 4,
    /// Mother.
    Mother = 5,
    /// Any other, and any that the extract names and this version does not know.
    Other = 6,
}

impl Relation {
    const ALL: [(&'static str, Relation); 7] = [
        ("self", Relation::Itself),
        ("spouse", Relation::Spouse),
        ("son", Relation::Son),
        ("daughter", Relation::Daughter),
        ("father", Relation::Father),
        ("mother", Relation::Mother),
        ("other", Relation::Other),
    ];

    /// Reads the extract's code, in any case.
    pub fn from_code(code: &str) -> Option<Relation> {
        Relation::ALL
            .into_iter()
            .find_map(|(name, relation)| name.eq_ignore_ascii_case(code).then_some(relation))
    }

    /// The extract's code.
    pub fn code(self) -> &'static str {
        Relation::ALL[usize::from(self as u8)].0
    }

    fn from_bits(bits: u16) -> Option<Relation> {
        Relation::ALL.get(usize::from(bits)).map(|&(_, relation)| relation)
    }
}

/// Another base insurer with whom the person is registered too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Insurer {
    /// Iran Health Insurance Organization (سلامت).
    Ihio = 1,
    /// Armed Forces Medical Services Organization (نیروهای مسلح).
    Afmso = 2,
    /// Imam Khomeini Relief Foundation (کمیته امداد).
    Ikrf = 3,
    /// Any other.
    Other = 4,
}

impl Insurer {
    const ALL: [(&'static str, Insurer); 4] = [
        ("IHIO", Insurer::Ihio),
        ("AFMSO", Insurer::Afmso),
        ("IKRF", Insurer::Ikrf),
        ("OTHER", Insurer::Other),
    ];

    /// Reads the extract's code, in any case.
    pub fn from_code(code: &str) -> Option<Insurer> {
        Insurer::ALL
            .into_iter()
            .find_map(|(name, insurer)| name.eq_ignore_ascii_case(code).then_some(insurer))
    }

    /// The extract's code.
    pub fn code(self) -> &'static str {
        Insurer::ALL[usize::from(self as u8) - 1].0
    }

    fn from_bits(bits: u16) -> Option<Insurer> {
        Insurer::ALL.get(usize::from(bits).checked_sub(1)?).map(|&(_, insurer)| insurer)
    }
}

/// A branch of the insurer, 1..=9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Branch(u16);

impl Branch {
    /// The branch of that number, if there can be one.
    pub fn new(number: u16) -> Option<Branch> {
        (1..=BRANCH_MAX).contains(&number).then_some(Branch(number))
    }

    /// 1..=9999.
    pub fn number(self) -> u16 {
        self.0
    }
}

/// One accepted row, as far as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entitlement {
    /// In which capacity.
    pub category: Category,
    /// Through whom.
    pub relation: Relation,
    /// First day of cover.
    pub start: Day,
    /// Last day of cover; none is open-ended.
    pub end: Option<Day>,
    /// Sons: the day they turn 19; none is never. Not stored for others.
    pub turns_19: Option<Day>,
    /// Sons: last day of a valid university certificate. Not stored for others.
    pub student_until: Option<Day>,
    /// Daughters: first day without cover unless the identity document is presented. Not stored for others.
    pub document_due: Option<Day>,
    /// Another base insurer.
    pub other_insurer: Option<Insurer>,
    /// Branch.
    pub branch: Option<Branch>,
    /// Fingerprint of the mobile number under which this person may ask.
    pub mobile: Option<Fingerprint>,
}

/// What a 16-byte slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// One entitlement, in the slot itself.
    Entitlement,
    /// `len` entitlements from `first` on in the overflow area.
    Overflow { first: u32, len: u32 },
    /// A person without a usable row.
    Incomplete,
}

/// The packed form; see FORMAT.md. Field order is the byte order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct EntitlementRecord {
    fingerprint: U32,
    start: U16,
    end: U16,
    limit: U16,
    student_until: U16,
    branch: U16,
    traits: U16,
}

const _: () = assert!(size_of::<EntitlementRecord>() == 16);

/// What is stored of an entitlement without the fingerprint of a mobile number: what a ledger entry keeps of
/// the one that decided, so that the answer can be explained when its snapshot is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms(EntitlementRecord);

/// Bytes of a record before its terms.
const FINGERPRINT_LEN: usize = 4;

impl Terms {
    /// Bytes 4 to 15 of the record.
    pub fn to_bytes(self) -> [u8; 12] {
        *self.0.as_bytes()[FINGERPRINT_LEN..].first_chunk().expect("a record has 16 bytes")
    }

    /// The inverse of [`Terms::to_bytes`]; none for what no packing produced.
    pub fn from_bytes(bytes: [u8; 12]) -> Option<Terms> {
        let mut record = EntitlementRecord::zeroed();
        record.as_mut_bytes()[FINGERPRINT_LEN..].copy_from_slice(&bytes);
        record.unpack().is_some().then_some(Terms(record))
    }

    /// The entitlement, without its mobile number.
    pub fn entitlement(self) -> Entitlement {
        self.0.unpack().expect("checked when it was made")
    }
}

const TAG_ENTITLEMENT: u16 = 0;
const TAG_OVERFLOW: u16 = 1;
const TAG_INCOMPLETE: u16 = 2;

fn pack_day(day: Option<Day>) -> U16 {
    U16::new(day.map_or(NO_DAY, Day::number))
}

impl EntitlementRecord {
    /// Packs a checked row. Fields that the relation does not use are stored as none.
    pub fn pack(entitlement: &Entitlement) -> EntitlementRecord {
        let (limit, student_until) = match entitlement.relation {
            Relation::Son => (entitlement.turns_19, entitlement.student_until),
            Relation::Daughter => (entitlement.document_due, None),
            _ => (None, None),
        };
        let relation = u16::from(entitlement.relation as u8);
        let insurer = entitlement.other_insurer.map_or(0, |insurer| u16::from(insurer as u8));
        let traits =
            u16::from(entitlement.category.0) | relation << RELATION_SHIFT | insurer << INSURER_SHIFT;
        EntitlementRecord {
            fingerprint: U32::new(entitlement.mobile.map_or(0, Fingerprint::to_u32)),
            start: U16::new(entitlement.start.number()),
            end: pack_day(entitlement.end),
            limit: pack_day(limit),
            student_until: pack_day(student_until),
            branch: U16::new(entitlement.branch.map_or(0, Branch::number)),
            traits: U16::new(traits),
        }
    }

    /// The stored row again. None for a slot that holds no entitlement or that no packing produced.
    pub fn unpack(&self) -> Option<Entitlement> {
        if self.slot()? != Slot::Entitlement {
            return None;
        }
        let relation = self.relation()?;
        let limit = Day::from_number(self.limit.get());
        let student_until = Day::from_number(self.student_until.get());
        let insurer_bits = self.traits.get() >> INSURER_SHIFT & THREE_BITS;
        let unpacked = Entitlement {
            category: Category((self.traits.get() & CATEGORY_BITS) as u8),
            relation,
            start: Day::from_number(self.start.get())?,
            end: Day::from_number(self.end.get()),
            turns_19: limit.filter(|_| relation == Relation::Son),
            student_until: student_until.filter(|_| relation == Relation::Son),
            document_due: limit.filter(|_| relation == Relation::Daughter),
            other_insurer: Insurer::from_bits(insurer_bits),
            branch: Branch::new(self.branch.get()),
            mobile: Fingerprint::from_u32(self.fingerprint.get()),
        };
        (EntitlementRecord::pack(&unpacked) == *self).then_some(unpacked)
    }

    /// The record without its fingerprint; none for a slot that holds no entitlement.
    pub fn terms(&self) -> Option<Terms> {
        let terms = EntitlementRecord { fingerprint: U32::new(0), ..*self };
        terms.unpack().is_some().then_some(Terms(terms))
    }

    /// The slot of a person without a usable row.
    pub fn incomplete() -> EntitlementRecord {
        EntitlementRecord { traits: U16::new(TAG_INCOMPLETE << TAG_SHIFT), ..EntitlementRecord::zeroed() }
    }

    /// The slot of a person whose entitlements stand in the overflow area.
    pub(crate) fn overflow(first: u32, len: u32) -> EntitlementRecord {
        let [a, b, c, d] = len.to_le_bytes();
        EntitlementRecord {
            fingerprint: U32::new(first),
            start: U16::from_bytes([a, b]),
            end: U16::from_bytes([c, d]),
            traits: U16::new(TAG_OVERFLOW << TAG_SHIFT),
            ..EntitlementRecord::zeroed()
        }
    }

    /// The same entitlement without a mobile number, by which different people can be compared.
    pub fn without_mobile(&self) -> EntitlementRecord {
        EntitlementRecord { fingerprint: U32::new(0), ..*self }
    }

    /// What this slot holds; none if its tag or reserved bits are not of this version.
    pub(crate) fn slot(&self) -> Option<Slot> {
        let traits = self.traits.get();
        if traits & RESERVED_TRAITS != 0 {
            return None;
        }
        let slot = match traits >> TAG_SHIFT {
            TAG_ENTITLEMENT => return Some(Slot::Entitlement),
            TAG_OVERFLOW => {
                let len = u32::from(self.end.get()) << 16 | u32::from(self.start.get());
                Slot::Overflow { first: self.fingerprint.get(), len }
            }
            TAG_INCOMPLETE => Slot::Incomplete,
            _ => return None,
        };
        let canonical = match slot {
            Slot::Overflow { first, len } => EntitlementRecord::overflow(first, len),
            _ => EntitlementRecord::incomplete(),
        };
        (canonical == *self).then_some(slot)
    }

    fn zeroed() -> EntitlementRecord {
        EntitlementRecord::new_zeroed()
    }

    fn relation(&self) -> Option<Relation> {
        Relation::from_bits(self.traits.get() >> RELATION_SHIFT & THREE_BITS)
    }

    /// The order in which a person's entitlements are stored: by start, the rest only to make it total.
    pub fn storage_order(&self) -> (u16, u16, u16, u16, u32, u16, u16) {
        (
            self.start.get(),
            self.end.get(),
            self.limit.get(),
            self.student_until.get(),
            self.fingerprint.get(),
            self.branch.get(),
            self.traits.get(),
        )
    }
}

/// The day on which a son born on `birth` turns 19: the Jalali anniversary, or 1 Farvardin after it for one
/// born on 30 Esfand when that year has no 30 Esfand. None when that lies after 2079-06-05 ("never").
pub fn nineteenth_birthday(birth: Day) -> Option<Day> {
    let (year, month, day) = birth.jalali();
    match Day::from_jalali(year + 19, month, day) {
        None if (month, day) == (12, 30) => Day::from_jalali(year + 20, 1, 1),
        birthday => birthday,
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::{
        Branch, Category, Entitlement, EntitlementRecord, Insurer, Relation, Slot, nineteenth_birthday,
    };
    use crate::day::Day;
    use crate::mobile::Fingerprint;

    fn hex(record: EntitlementRecord) -> String {
        record.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn format_md_s_example_and_forms_are_what_is_written() {
        let day = |cell| Day::parse(cell).unwrap();
        let record = EntitlementRecord::pack(&Entitlement {
            category: Category::PENSIONER,
            relation: Relation::Son,
            start: day("2020-08-25"),
            end: Some(day("2026-11-21")),
            turns_19: Some(day("2026-11-23")),
            student_until: Some(day("2027-09-22")),
            document_due: None,
            other_insurer: Some(Insurer::Ihio),
            branch: Branch::new(211),
            mobile: Fingerprint::from_u32(0x1234_5678),
        });
        let text = include_str!("../FORMAT.md");
        let example = text.lines().find(|line| line.starts_with("`78563412")).unwrap();
        assert_eq!(example.replace(['`', ' ', '.'], ""), hex(record));
        assert_eq!(hex(EntitlementRecord::overflow(2, 0x30004)), "02000000040003000000000000000010");
        assert_eq!(hex(EntitlementRecord::incomplete()), "00000000000000000000000000000020");
    }

    #[test]
    fn slots_round_trip() {
        assert_eq!(EntitlementRecord::incomplete().slot(), Some(Slot::Incomplete));
        let slot = Slot::Overflow { first: 0xFFFF_FFFE, len: 0xFFFE_FFFD };
        assert_eq!(EntitlementRecord::overflow(0xFFFF_FFFE, 0xFFFE_FFFD).slot(), Some(slot));
        assert_eq!(EntitlementRecord::incomplete().unpack(), None);
        assert_eq!(EntitlementRecord::overflow(0, 2).unpack(), None);
    }

    #[test]
    fn nineteen_on_the_jalali_anniversary() {
        let turns = |cell: &str| nineteenth_birthday(Day::parse(cell).unwrap());
        let day = |cell: &str| Some(Day::parse(cell).unwrap());
        assert_eq!(turns("1386/09/02"), day("1405/09/02"));
        assert_eq!(turns("2007-11-23"), day("1405/09/02"));
        assert_eq!(turns("1389/12/29"), day("1408/12/29"));
        assert_eq!(turns("1387/12/30"), day("1407/01/01"), "1406 has no 30 Esfand");
        assert_eq!(turns("1399/12/30"), day("1419/01/01"), "1418 has no 30 Esfand");
        assert_eq!(turns("1439/03/15"), day("2079-06-05"));
        assert_eq!(turns("1439/03/16"), None);
        assert_eq!(turns("2079-06-05"), None);
    }
}
