//! A segment file: writing its header, opening one only after its header proved right, reading single slots
//! and the seal. Does not judge entries; `walk` does.

use std::io;

use zerocopy::{FromZeros, IntoBytes};

use crate::disk::{Disk, DiskFile, read_up_to, write_all_at};
use crate::error::{Damage, DamageKind, HeaderFault, OpenError, ReadError};
use crate::folder::Identity;
use crate::format::{
    FORMAT_VERSION, FORMAT_VERSION_1, HEADER_LEN, Header, KIND_SEAL, MAGIC, SLOT_LEN, Seal, Slot,
    segment_name, slot_offset,
};
use crate::keys::{LedgerKeys, Tag};
use crate::month::{Month, MonthKey, tehran_day};

/// Why a segment was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was full.
    Full,
    /// A new day had begun.
    Day,
    /// The ledger was closed.
    Closed,
    /// An opening found it unsealed: after an unclean end, or written by the first version.
    Found,
}

impl Cause {
    pub(crate) fn to_u8(self) -> u8 {
        match self {
            Cause::Full => 1,
            Cause::Day => 2,
            Cause::Closed => 3,
            Cause::Found => 4,
        }
    }

    fn from_u8(number: u8) -> Option<Cause> {
        [Cause::Full, Cause::Day, Cause::Closed, Cause::Found]
            .into_iter()
            .find(|cause| cause.to_u8() == number)
    }
}

/// The end of a sealed segment, as the next one's header has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) ledger: u16,
    pub(crate) segment: u32,
    /// Entries up to its end, from the first segment on.
    pub(crate) entries: u64,
    /// Its own entries.
    pub(crate) slots: u64,
    /// Its last sequence.
    pub(crate) sequence: u64,
    /// Its seal's tag.
    pub(crate) tag: Tag,
    /// Its seal's digest.
    pub(crate) digest: [u8; 32],
}

/// An open segment whose header is right.
pub(crate) struct Segment {
    pub(crate) file: Box<dyn DiskFile>,
    /// How the file is called in messages.
    pub(crate) path: String,
    pub(crate) number: u32,
    pub(crate) ledger: u16,
    pub(crate) header: Box<Header>,
}

impl Segment {
    /// Opens a segment, for reading or also for writing.
    pub(crate) fn open(
        disk: &dyn Disk,
        write: bool,
        identity: &Identity,
        number: u32,
        keys: &LedgerKeys,
    ) -> Result<Segment, OpenError> {
        let name = segment_name(number);
        let path = disk.describe(&name);
        let file = if write { disk.open(&name) } else { disk.open_read(&name) };
        let file = match file {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::SegmentMissing { path });
            }
            Err(source) => return Err(OpenError::Io { path, source }),
        };
        let header = read_header(file.as_ref(), &path)?;
        let ledger = identity.ledger_of(number);
        check_header(&header, ledger, number)
            .map_err(|what| OpenError::Header { path: path.clone(), what })?;
        check_keys(&header, &path, keys)?;
        Ok(Segment { file, path, number, ledger, header })
    }

    /// Whose segment it says it is.
    pub(crate) fn ledger_in(disk: &dyn Disk, number: u32) -> Result<u16, OpenError> {
        let name = segment_name(number);
        let path = disk.describe(&name);
        let file = disk.open_read(&name).map_err(|source| OpenError::Io { path: path.clone(), source })?;
        Ok(read_header(file.as_ref(), &path)?.ledger.get())
    }

    /// A segment that was just begun.
    pub(crate) fn begun(file: Box<dyn DiskFile>, path: String, header: Box<Header>) -> Segment {
        Segment { file, path, number: header.segment.get(), ledger: header.ledger.get(), header }
    }

    /// The sequence of its first entry; in version 1 the lowest that may stand there.
    pub(crate) fn first_sequence(&self) -> u64 {
        self.header.first_sequence.get()
    }

    /// Whether it is of the format before segments.
    pub(crate) fn is_version_1(&self) -> bool {
        self.header.format_version.get() == FORMAT_VERSION_1
    }

    /// How many whole slots the file has room for.
    pub(crate) fn room(&self) -> Result<u64, ReadError> {
        let len = self.file.length().map_err(|source| self.io(source))?;
        Ok(len.saturating_sub(HEADER_LEN) / SLOT_LEN as u64)
    }

    /// Reads the slots from `first` on into `buf`, as many as there are; their number. A last slot that the
    /// file holds only a part of does not count.
    pub(crate) fn read_slots(&self, first: u64, buf: &mut [Slot]) -> Result<usize, ReadError> {
        let read = read_up_to(self.file.as_ref(), buf.as_mut_bytes(), slot_offset(first));
        Ok(read.map_err(|source| self.io(source))? / SLOT_LEN)
    }

    /// Reads one slot; zeros where the file ends.
    pub(crate) fn read_slot(&self, slot: u64) -> Result<Slot, ReadError> {
        let mut buf = [Slot::new_zeroed()];
        let read = self.read_slots(slot, &mut buf)?;
        let [found] = buf;
        Ok(if read == 1 { found } else { Slot::new_zeroed() })
    }

    /// The tag before a slot.
    pub(crate) fn tag_before(&self, slot: u64) -> Result<Tag, ReadError> {
        let Some(before) = slot.checked_sub(1) else { return Ok(self.header.tag) };
        let found = self.read_slot(before)?;
        if found.is_intact() { Ok(found.tag) } else { Err(self.damage(before, DamageKind::Unreadable)) }
    }

    /// The seal, where the file ends or else at `hint`; none when there is none at either place.
    pub(crate) fn seal(&self, hint: Option<u64>, keys: &LedgerKeys) -> Result<Option<Seal>, ReadError> {
        let end = self.room()?.checked_sub(1);
        for slot in [end, hint].into_iter().flatten() {
            let found = self.read_slot(slot)?;
            if found.is_intact() && found.kind == KIND_SEAL && Seal::of_slot(&found).slots.get() == slot {
                let seal = Seal::of_slot(&found);
                self.check_seal(&seal, self.tag_before(slot)?, keys)?;
                return Ok(Some(seal));
            }
        }
        Ok(None)
    }

    /// Checks a seal at its place against the header and the tag before it.
    pub(crate) fn check_seal(&self, seal: &Seal, before: Tag, keys: &LedgerKeys) -> Result<(), ReadError> {
        let slots = seal.slots.get();
        let key_id = seal.key_id.get();
        let Some(key) = keys.ledger(key_id) else {
            return Err(ReadError::MissingKey { path: self.path.clone(), key_id });
        };
        if key.tag(&before, seal.to_slot().tagged()) != seal.tag {
            return Err(self.damage(slots, DamageKind::Chain { key_id }));
        }
        let runs_on = self.is_version_1() || seal.sequence.get() + 1 == self.first_sequence() + slots;
        let fault = if !seal.reserved_is_zero() || seal.batch_index.get() != 0 {
            "reserved bytes"
        } else if Cause::from_u8(seal.cause).is_none() {
            "cause"
        } else if seal.month.get() != self.header.month.get() {
            "month"
        } else if !runs_on {
            "sequence"
        } else {
            return Ok(());
        };
        Err(self.damage(slots, DamageKind::Seal(fault)))
    }

    /// The end of this segment as the next header is to have it.
    pub(crate) fn link(&self, seal: &Seal) -> Link {
        Link {
            ledger: self.ledger,
            segment: self.number,
            entries: self.header.entries_before.get() + seal.slots.get(),
            slots: seal.slots.get(),
            sequence: seal.sequence.get(),
            tag: seal.tag,
            digest: seal.digest,
        }
    }

    /// Whether this segment goes on where `before` ended.
    pub(crate) fn follows(&self, before: &Link) -> bool {
        let header = &self.header;
        header.segment.get() == before.segment + 1
            && header.entries_before.get() == before.entries
            && header.previous_slots.get() == before.slots
            && header.previous_sequence.get() == before.sequence
            && header.previous_tag == before.tag
            && header.previous_digest == before.digest
            && (self.ledger != before.ledger || self.first_sequence() > before.sequence)
    }

    /// Whether it is the first of all: nothing is before it.
    pub(crate) fn begins_chain(&self) -> bool {
        self.number == 1 && self.header.previous_slots.get() == 0
    }

    /// What it says of the segment before it. That one's ledger is 0 when it was another, which nothing here names.
    pub(crate) fn link_before(&self) -> Link {
        let header = &self.header;
        let sequence = header.previous_sequence.get();
        Link {
            ledger: if self.first_sequence() > sequence { self.ledger } else { 0 },
            segment: self.number - 1,
            entries: header.entries_before.get(),
            slots: header.previous_slots.get(),
            sequence,
            tag: header.previous_tag,
            digest: header.previous_digest,
        }
    }

    pub(crate) fn follows_not(&self, before: u32) -> OpenError {
        OpenError::Header { path: self.path.clone(), what: HeaderFault::Previous { before } }
    }

    pub(crate) fn io(&self, source: io::Error) -> ReadError {
        ReadError::Io { path: self.path.clone(), source }
    }

    pub(crate) fn damage(&self, slot: u64, kind: DamageKind) -> ReadError {
        Damage { path: self.path.clone(), slot, offset: slot_offset(slot), kind }.into()
    }
}

/// What a new segment is to be.
pub(crate) struct NewSegment<'a> {
    pub(crate) ledger: u16,
    pub(crate) number: u32,
    pub(crate) first_sequence: u64,
    /// The segment before it; none for the first.
    pub(crate) previous: Option<Link>,
    /// The length of its file.
    pub(crate) len_bytes: u64,
    pub(crate) time_ms: u64,
    pub(crate) month: Option<&'a MonthKey>,
}

impl NewSegment<'_> {
    /// Its header.
    pub(crate) fn header(&self, keys: &LedgerKeys) -> Box<Header> {
        let mut header = Box::new(Header::new_zeroed());
        header.magic = MAGIC;
        header.format_version = FORMAT_VERSION.into();
        header.slot_len = (SLOT_LEN as u32).into();
        header.ledger = self.ledger.into();
        header.day = tehran_day(self.time_ms).number().into();
        header.segment = self.number.into();
        header.first_sequence = self.first_sequence.into();
        header.key_id = keys.current().id().into();
        if let Some(month) = self.month {
            header.month = month.month().number().into();
            header.month_check = month.check();
        }
        header.tracking_epoch = keys.tracking_epoch();
        header.tracking_check = keys.tracking_check(header.tracking_epoch).unwrap_or_default();
        header.slots_max = slots_max(self.len_bytes).into();
        header.time_ms = self.time_ms.into();
        if let Some(previous) = &self.previous {
            header.entries_before = previous.entries.into();
            header.previous_slots = previous.slots.into();
            header.previous_sequence = previous.sequence.into();
            header.previous_tag = previous.tag;
            header.previous_digest = previous.digest;
        }
        header.tag = keys.current().tag(&[], header.tagged());
        header.crc = header.computed_crc().into();
        header
    }
}

/// How many entries a file of that length has room for, beside the seal.
pub(crate) fn slots_max(len_bytes: u64) -> u64 {
    (len_bytes.saturating_sub(HEADER_LEN) / SLOT_LEN as u64).saturating_sub(1)
}

/// Writes zeros from `from` up to `to`, a step at a time.
pub(crate) fn write_zeros(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    const STEP: u64 = 1 << 18;
    let zeros = vec![0; usize::try_from(STEP.min(to.saturating_sub(from))).expect("a step fits memory")];
    let mut at = from;
    while at < to {
        let len = usize::try_from(STEP.min(to - at)).expect("a step fits memory");
        write_all_at(file, &zeros[..len], at)?;
        at += len as u64;
    }
    Ok(())
}

fn read_header(file: &dyn DiskFile, path: &str) -> Result<Box<Header>, OpenError> {
    let mut header = Box::new(Header::new_zeroed());
    let read = read_up_to(file, header.as_mut_bytes(), 0);
    let read = read.map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    if read as u64 == HEADER_LEN {
        Ok(header)
    } else {
        Err(OpenError::Header { path: path.to_owned(), what: HeaderFault::Short })
    }
}

/// All that needs no key.
fn check_header(header: &Header, ledger: u16, number: u32) -> Result<(), HeaderFault> {
    if header.magic != MAGIC {
        return Err(HeaderFault::Magic);
    }
    let (version, slot_len) = (header.format_version.get(), header.slot_len.get());
    if version != FORMAT_VERSION && version != FORMAT_VERSION_1 {
        return Err(HeaderFault::Version(version));
    }
    if header.crc.get() != header.computed_crc() {
        return Err(HeaderFault::Checksum);
    }
    if !header.reserved_is_zero() || slot_len as usize != SLOT_LEN {
        return Err(HeaderFault::Reserved);
    }
    if header.ledger.get() != ledger {
        return Err(HeaderFault::Ledger { expected: ledger, found: header.ledger.get() });
    }
    if header.segment.get() != number {
        return Err(HeaderFault::Segment(header.segment.get()));
    }
    Ok(())
}

/// That the keys are those the segment was written with, as far as they are here.
fn check_keys(header: &Header, path: &str, keys: &LedgerKeys) -> Result<(), OpenError> {
    let path = || path.to_owned();
    let key_id = header.key_id.get();
    let Some(key) = keys.ledger(key_id) else {
        return Err(ReadError::MissingKey { path: path(), key_id }.into());
    };
    if key.tag(&[], header.tagged()) != header.tag {
        return Err(OpenError::WrongKey { path: path(), key_id });
    }
    if header.format_version.get() == FORMAT_VERSION_1 {
        return Ok(());
    }
    let epoch = header.tracking_epoch;
    if keys.tracking_check(epoch).is_some_and(|check| check != header.tracking_check) {
        return Err(OpenError::WrongTrackingKey { path: path(), epoch });
    }
    match Month::from_number(header.month.get()) {
        Some(month) if !keys.months.settle(month, header.month_check) => {
            Err(OpenError::WrongMonthKey { path: path(), month })
        }
        _ => Ok(()),
    }
}
