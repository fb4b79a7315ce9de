//! A segment file: making one, opening one only after its header proved right, reading single slots. Does
//! not judge entries; `walk` does.

use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::disk::{Disk, DiskFile, read_up_to, write_all_at};
use crate::error::{HeaderFault, OpenError, ReadError};
use crate::format::{FORMAT_VERSION, HEADER_LEN, Header, MAGIC, SLOT_LEN, Slot, segment_name, slot_offset};
use crate::keys::{LedgerKeys, Tag};

/// After an unclean end the sequence goes on at a multiple of this (PRODUCT.md section 5).
pub(crate) const SEQUENCE_STEP: u64 = 65_536;
/// The only segment there is in this version.
pub(crate) const SEGMENT: u32 = 1;
/// Zeros that a new file gets behind its header.
const FIRST_ZEROS_LEN: usize = 4096;

/// An open segment whose header is right.
pub(crate) struct Segment {
    pub(crate) file: Box<dyn DiskFile>,
    /// How the file is called in messages.
    pub(crate) path: String,
    pub(crate) ledger: u16,
    pub(crate) first_sequence: u64,
    /// What the first entry's tag chains from.
    pub(crate) tag: Tag,
}

impl Segment {
    /// Opens the segment of a ledger, for reading or also for writing.
    pub(crate) fn open(
        disk: &dyn Disk,
        write: bool,
        ledger: u16,
        keys: &LedgerKeys,
    ) -> Result<Segment, OpenError> {
        let name = segment_name(SEGMENT);
        let path = disk.describe(&name);
        let file = if write { disk.open(&name) } else { disk.open_read(&name) };
        let file = match file {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(OpenError::SegmentMissing { path });
            }
            Err(source) => return Err(OpenError::Io { path, source }),
        };
        let header = read_header(file.as_ref(), &path)?;
        check_header(&header, ledger).map_err(|what| OpenError::Header { path: path.clone(), what })?;
        let key_id = header.key_id.get();
        let Some(key) = keys.ledger(key_id) else {
            return Err(ReadError::MissingKey { path, key_id }.into());
        };
        if key.tag(&[], header.tagged()) != header.tag {
            return Err(OpenError::WrongKey { path, key_id });
        }
        Ok(Segment { file, path, ledger, first_sequence: header.first_sequence.get(), tag: header.tag })
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

    pub(crate) fn io(&self, source: std::io::Error) -> ReadError {
        ReadError::Io { path: self.path.clone(), source }
    }
}

/// Writes an empty segment into a fresh file and syncs it. Naming it is the caller's.
pub(crate) fn write_empty(
    file: &dyn DiskFile,
    ledger: u16,
    first_sequence: u64,
    keys: &LedgerKeys,
) -> std::io::Result<()> {
    let mut header = Header::new_zeroed();
    header.magic = MAGIC;
    header.format_version = FORMAT_VERSION.into();
    header.slot_len = (SLOT_LEN as u32).into();
    header.ledger = ledger.into();
    header.segment = SEGMENT.into();
    header.first_sequence = first_sequence.into();
    header.key_id = keys.current().id().into();
    header.tag = keys.current().tag(&[], header.tagged());
    header.crc = header.computed_crc().into();
    write_all_at(file, header.as_bytes(), 0)?;
    write_all_at(file, &vec![0; FIRST_ZEROS_LEN], HEADER_LEN)?;
    file.sync_data()
}

fn read_header(file: &dyn DiskFile, path: &str) -> Result<Header, OpenError> {
    let mut bytes = vec![0; HEADER_LEN as usize];
    let read = read_up_to(file, &mut bytes, 0);
    let read = read.map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    Header::read_from_bytes(&bytes[..read])
        .map_err(|_| OpenError::Header { path: path.to_owned(), what: HeaderFault::Short })
}

/// All but the tag, which needs the key that the header names.
fn check_header(header: &Header, ledger: u16) -> Result<(), HeaderFault> {
    if header.magic != MAGIC {
        return Err(HeaderFault::Magic);
    }
    let (version, slot_len) = (header.format_version.get(), header.slot_len.get());
    if version != FORMAT_VERSION {
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
    if header.segment.get() != SEGMENT {
        return Err(HeaderFault::Segment(header.segment.get()));
    }
    Ok(())
}
