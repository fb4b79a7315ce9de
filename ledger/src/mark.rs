//! The mark: how far entries were acknowledged, in a file of its own, so that an end that was cut off shows.
//!
//! Two records, written in turn, each in a sector of its own: a write that the power cuts short leaves the
//! other one. A mark is written only after what it tells of was synced, so it is never ahead of the ledger.

use std::io;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::disk::{Disk, DiskFile, read_up_to, write_all_at};
use crate::error::{OpenError, ReadError};
use crate::format::is_zero;
use crate::keys::{LedgerKeys, Tag};

/// The file.
pub(crate) const MARK_FILE: &str = "MARK";
/// The first bytes of a record.
pub(crate) const MAGIC: [u8; 8] = *b"ESTQMARK";
const RECORD_LEN: usize = size_of::<MarkRecord>();

const _: () = assert!(RECORD_LEN == 512);

/// A record; see FORMAT.md.
#[derive(Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct MarkRecord {
    pub(crate) magic: [u8; 8],
    pub(crate) count: U64,
    pub(crate) ledger: U16,
    pub(crate) reserved_a: [u8; 2],
    pub(crate) segment: U32,
    pub(crate) slots: U64,
    pub(crate) sequence: U64,
    pub(crate) time_ms: U64,
    pub(crate) tag: [u8; 16],
    pub(crate) key_id: U32,
    pub(crate) reserved_b: [u8; 424],
    pub(crate) mac: [u8; 16],
    pub(crate) crc: U32,
}

/// How far a ledger is on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) segment: u32,
    /// Slots of that segment, the seal too.
    pub(crate) slots: u64,
    /// The last sequence of them, or the one before the first.
    pub(crate) sequence: u64,
    /// The tag of the last of them, or the header's.
    pub(crate) tag: Tag,
}

impl Mark {
    fn record(&self, count: u64, ledger: u16, time_ms: u64, keys: &LedgerKeys) -> MarkRecord {
        let key = keys.current();
        let mut record = MarkRecord {
            magic: MAGIC,
            count: count.into(),
            ledger: ledger.into(),
            segment: self.segment.into(),
            slots: self.slots.into(),
            sequence: self.sequence.into(),
            time_ms: time_ms.into(),
            tag: self.tag,
            key_id: key.id().into(),
            ..MarkRecord::new_zeroed()
        };
        record.mac = key.mac(&record.as_bytes()[..std::mem::offset_of!(MarkRecord, mac)]);
        record.crc = record.computed_crc().into();
        record
    }
}

impl MarkRecord {
    fn computed_crc(&self) -> u32 {
        crc32c::crc32c(&self.as_bytes()[..std::mem::offset_of!(MarkRecord, crc)])
    }

    /// What it says, if it is whole and was written with one of the keys for this ledger.
    fn checked(&self, place: u64, ledger: u16, keys: &LedgerKeys) -> Option<(u64, Mark)> {
        let count = self.count.get();
        let key = keys.ledger(self.key_id.get())?;
        let right = self.crc.get() == self.computed_crc()
            && self.magic == MAGIC
            && self.ledger.get() == ledger
            && count % 2 == place
            && is_zero(&self.reserved_a)
            && is_zero(&self.reserved_b)
            && key.mac(&self.as_bytes()[..std::mem::offset_of!(MarkRecord, mac)]) == self.mac;
        let mark = Mark {
            segment: self.segment.get(),
            slots: self.slots.get(),
            sequence: self.sequence.get(),
            tag: self.tag,
        };
        right.then_some((count, mark))
    }
}

/// The ledger's last mark; none when there is no such file.
///
/// # Errors
/// When the disk fails, and when neither record is whole: one write at most is ever under way.
pub(crate) fn read(disk: &dyn Disk, ledger: u16, keys: &LedgerKeys) -> Result<Option<Mark>, OpenError> {
    Ok(newest(disk, ledger, keys)?.map(|(_, mark)| mark))
}

fn newest(disk: &dyn Disk, ledger: u16, keys: &LedgerKeys) -> Result<Option<(u64, Mark)>, OpenError> {
    let path = || disk.describe(MARK_FILE);
    let records = records(disk, ledger, keys).map_err(|source| OpenError::Io { path: path(), source })?;
    let Some(records) = records else { return Ok(None) };
    let newest = records.into_iter().flatten().max_by_key(|(count, _)| *count);
    newest.ok_or_else(|| OpenError::Mark { path: path() }).map(Some)
}

/// Both records with their counts, each if it is whole.
type Records = [Option<(u64, Mark)>; 2];

/// Both records, each if it is whole; none when there is no such file.
fn records(disk: &dyn Disk, ledger: u16, keys: &LedgerKeys) -> io::Result<Option<Records>> {
    let file = match disk.open_read(MARK_FILE) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut records = [None; 2];
    for (place, checked) in records.iter_mut().enumerate() {
        let mut record = MarkRecord::new_zeroed();
        read_up_to(file.as_ref(), record.as_mut_bytes(), (place * RECORD_LEN) as u64)?;
        *checked = record.checked(place as u64, ledger, keys);
    }
    Ok(Some(records))
}

/// Finds a record that is not whole in the mark of a ledger that was closed clean: then both were synced.
///
/// # Errors
/// When the disk fails, and when there is such a record.
pub(crate) fn check_both(disk: &dyn Disk, ledger: u16, keys: &LedgerKeys) -> Result<(), ReadError> {
    const LOOKS: usize = 3; // A server that starts just now may be writing one of them.
    let path = || disk.describe(MARK_FILE);
    let mut damaged = None;
    for _ in 0..LOOKS {
        let read = records(disk, ledger, keys);
        let both = read.map_err(|source| ReadError::Io { path: path(), source })?;
        damaged = both.and_then(|records| records.iter().position(Option::is_none));
        if damaged.is_none() {
            break;
        }
    }
    damaged.map_or(Ok(()), |at| Err(ReadError::MarkRecord { path: path(), record: at as u64 }))
}

/// Writes the first mark into a fresh file, and syncs it. Naming it is the caller's.
pub(crate) fn write_first(
    file: &dyn DiskFile,
    ledger: u16,
    mark: &Mark,
    keys: &LedgerKeys,
) -> io::Result<()> {
    for count in 0..2 {
        write_all_at(file, mark.record(count, ledger, 0, keys).as_bytes(), count * RECORD_LEN as u64)?;
    }
    file.sync_data()
}

/// The mark of an open ledger.
pub(crate) struct MarkFile {
    file: Box<dyn DiskFile>,
    ledger: u16,
    /// The last one written.
    last: (u64, Mark),
}

impl MarkFile {
    /// Opens the file that [`write_first`] made.
    pub(crate) fn open(disk: &dyn Disk, ledger: u16, keys: &LedgerKeys) -> Result<MarkFile, OpenError> {
        let path = disk.describe(MARK_FILE);
        let last = newest(disk, ledger, keys)?.ok_or_else(|| OpenError::Mark { path: path.clone() })?;
        let file = disk.open(MARK_FILE).map_err(|source| OpenError::Io { path, source })?;
        Ok(MarkFile { file, ledger, last })
    }

    /// Writes a mark in place of the older record, and syncs it; nothing when it is the last one already, or one before it,
    /// which another thread was about to write.
    pub(crate) fn write(&mut self, mark: &Mark, time_ms: u64, keys: &LedgerKeys) -> io::Result<()> {
        let last = &self.last.1;
        if last == mark || (mark.segment, mark.slots) < (last.segment, last.slots) {
            return Ok(());
        }
        let count = self.last.0 + 1;
        let record = mark.record(count, self.ledger, time_ms, keys);
        write_all_at(self.file.as_ref(), record.as_bytes(), count % 2 * RECORD_LEN as u64)?;
        self.file.sync_data()?;
        self.last = (count, *mark);
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{MARK_FILE, Mark, MarkFile, RECORD_LEN, read, write_first};
    use crate::disk::Disk;
    use crate::entry::tests::some_keys;
    use crate::sim::SimDisk;

    fn mark(slots: u64) -> Mark {
        Mark { segment: 3, slots, sequence: 70 + slots, tag: [9; 16] }
    }

    /// A fresh one on that disk, under `some_keys`.
    pub(crate) fn mark_file(disk: &SimDisk) -> MarkFile {
        let keys = some_keys();
        write_first(disk.create_new(MARK_FILE).unwrap().as_ref(), 42, &mark(0), &keys).unwrap();
        MarkFile::open(disk, 42, &keys).unwrap()
    }

    fn with_marks(count: u64) -> SimDisk {
        let (disk, keys) = (SimDisk::new(), some_keys());
        let mut file = mark_file(&disk);
        for slots in 1..=count {
            file.write(&mark(slots), 1, &keys).unwrap();
        }
        disk
    }

    #[test]
    fn a_mark_never_goes_back() {
        let (disk, keys) = (SimDisk::new(), some_keys());
        let mut file = mark_file(&disk);
        for slots in [5, 4, 5, 1] {
            file.write(&mark(slots), 1, &keys).unwrap();
        }
        file.write(&Mark { segment: 2, ..mark(9) }, 1, &keys).unwrap();
        assert_eq!(read(&disk, 42, &keys).unwrap(), Some(mark(5)));
        let later = Mark { segment: 4, ..mark(0) };
        file.write(&later, 1, &keys).unwrap();
        assert_eq!(read(&disk, 42, &keys).unwrap(), Some(later));
    }

    #[test]
    fn the_last_mark_holds() {
        for count in 0..5 {
            assert_eq!(read(&with_marks(count), 42, &some_keys()).unwrap(), Some(mark(count)));
        }
        assert_eq!(read(&SimDisk::new(), 42, &some_keys()).unwrap(), None);
        let of_another = read(&with_marks(1), 43, &some_keys()).unwrap_err().to_string();
        assert!(of_another.contains("MARK"), "{of_another}");
    }

    #[test]
    fn any_damaged_byte_leaves_the_other_record() {
        for at in 0..2 * RECORD_LEN {
            let disk = with_marks(4);
            let mut bytes = disk.contents(MARK_FILE);
            bytes[at] ^= 4;
            disk.replace(MARK_FILE, bytes.clone());
            // Records 0 and 1 are the first mark; the fourth after it is record 5, in the second place.
            let left = if at < RECORD_LEN { mark(4) } else { mark(3) };
            assert_eq!(read(&disk, 42, &some_keys()).unwrap(), Some(left), "byte {at}");
            bytes[(at + RECORD_LEN) % (2 * RECORD_LEN)] ^= 4;
            disk.replace(MARK_FILE, bytes);
            assert!(read(&disk, 42, &some_keys()).is_err());
        }
    }
}
