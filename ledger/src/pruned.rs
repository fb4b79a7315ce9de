//! Where the chain begins once old segments were pruned: what the last pruned one's seal said. It is synced
//! under its name before the first file goes, so that a chain that begins late was meant to.

use std::io;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::disk::{Disk, read_up_to, write_all_at};
use crate::error::OpenError;
use crate::folder;
use crate::format::is_zero;
use crate::keys::LedgerKeys;
use crate::segment::Link;

/// The file.
pub(crate) const PRUNED_FILE: &str = "PRUNED";
/// The first bytes of it.
pub(crate) const MAGIC: [u8; 8] = *b"ESTQPRUN";

const _: () = assert!(size_of::<PrunedRecord>() == 512);

/// The file's bytes; see FORMAT.md.
#[derive(Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct PrunedRecord {
    pub(crate) magic: [u8; 8],
    pub(crate) ledger: U16,
    pub(crate) reserved_a: [u8; 2],
    pub(crate) segment: U32,
    pub(crate) entries: U64,
    pub(crate) slots: U64,
    pub(crate) sequence: U64,
    pub(crate) time_ms: U64,
    pub(crate) seal_tag: [u8; 16],
    pub(crate) digest: [u8; 32],
    pub(crate) key_id: U32,
    pub(crate) reserved_b: [u8; 392],
    pub(crate) mac: [u8; 16],
    pub(crate) crc: U32,
}

impl PrunedRecord {
    /// What to write when everything up to that segment is pruned.
    pub(crate) fn new(link: &Link, time_ms: u64, keys: &LedgerKeys) -> PrunedRecord {
        let key = keys.current();
        let mut record = PrunedRecord {
            magic: MAGIC,
            ledger: link.ledger.into(),
            segment: link.segment.into(),
            entries: link.entries.into(),
            slots: link.slots.into(),
            sequence: link.sequence.into(),
            time_ms: time_ms.into(),
            seal_tag: link.tag,
            digest: link.digest,
            key_id: key.id().into(),
            ..PrunedRecord::new_zeroed()
        };
        record.mac = key.mac(record.vouched());
        record.crc = record.computed_crc().into();
        record
    }

    fn vouched(&self) -> &[u8] {
        &self.as_bytes()[..std::mem::offset_of!(PrunedRecord, mac)]
    }

    fn computed_crc(&self) -> u32 {
        crc32c::crc32c(&self.as_bytes()[..std::mem::offset_of!(PrunedRecord, crc)])
    }

    fn checked(&self, keys: &LedgerKeys) -> Option<Link> {
        let key = keys.ledger(self.key_id.get())?;
        let right = self.crc.get() == self.computed_crc()
            && self.magic == MAGIC
            && is_zero(&self.reserved_a)
            && is_zero(&self.reserved_b)
            && key.mac(self.vouched()) == self.mac;
        right.then(|| Link {
            ledger: self.ledger.get(),
            segment: self.segment.get(),
            entries: self.entries.get(),
            slots: self.slots.get(),
            sequence: self.sequence.get(),
            tag: self.seal_tag,
            digest: self.digest,
        })
    }
}

/// Puts it on stable storage, all of it or nothing.
pub(crate) fn publish(disk: &dyn Disk, link: &Link, time_ms: u64, keys: &LedgerKeys) -> io::Result<()> {
    let record = PrunedRecord::new(link, time_ms, keys);
    folder::publish(disk, PRUNED_FILE, |file| {
        write_all_at(file, record.as_bytes(), 0)?;
        file.sync_data()
    })
}

/// What the bytes of such a file say; none when they are not as one of these keys wrote them.
pub(crate) fn parse(bytes: &[u8], keys: &LedgerKeys) -> Option<Link> {
    PrunedRecord::read_from_bytes(bytes).ok()?.checked(keys)
}

/// The last segment that was pruned, if any.
///
/// # Errors
/// When the disk fails or the file is not as it was written.
pub(crate) fn read(disk: &dyn Disk, keys: &LedgerKeys) -> Result<Option<Link>, OpenError> {
    let path = || disk.describe(PRUNED_FILE);
    let io = |source| OpenError::Io { path: path(), source };
    let file = match disk.open_read(PRUNED_FILE) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io(source)),
    };
    let mut record = PrunedRecord::new_zeroed();
    read_up_to(file.as_ref(), record.as_mut_bytes(), 0).map_err(io)?;
    record.checked(keys).map(Some).ok_or_else(|| OpenError::Pruned { path: path() })
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::{PRUNED_FILE, PrunedRecord, read};
    use crate::disk::Disk;
    use crate::entry::tests::some_keys;
    use crate::segment::Link;
    use crate::sim::SimDisk;

    #[test]
    fn comes_back_and_every_damaged_byte_is_refused() {
        let (disk, keys) = (SimDisk::new(), some_keys());
        assert_eq!(read(&disk, &keys).unwrap(), None);
        let link = Link {
            ledger: 7,
            segment: 12,
            entries: 1_000,
            slots: 40,
            sequence: 77,
            tag: [3; 16],
            digest: [4; 32],
        };
        let bytes = PrunedRecord::new(&link, 5, &keys).as_bytes().to_vec();
        disk.create_new(PRUNED_FILE).unwrap();
        disk.replace(PRUNED_FILE, bytes.clone());
        assert_eq!(read(&disk, &keys).unwrap(), Some(link));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            disk.replace(PRUNED_FILE, changed);
            assert!(read(&disk, &keys).is_err(), "byte {at}");
        }
    }
}
