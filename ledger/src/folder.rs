//! The ledger folder: the number that it bears for life, the lock that keeps a second process out, and how
//! an empty folder becomes a ledger.
//!
//! Segment and mark are made before the number is: a folder with a number and without them has lost its
//! entries, and is refused rather than begun anew, which would give codes out twice.

use std::io;

use zerocopy::IntoBytes;

use crate::disk::{Disk, DiskFile, DiskLock, read_up_to, write_all_at};
use crate::error::{InitError, NumberFileError, OpenError};
use crate::format::{HEADER_LEN, SLOT_LEN, is_zero, segment_name, segment_of};
use crate::keys::LedgerKeys;
use crate::mark::{self, MARK_FILE, Mark};
use crate::segment::{NewSegment, write_zeros};

pub(crate) const NUMBER_FILE: &str = "LEDGER";
/// Says that the folder is being restored into.
pub(crate) const RESTORING_FILE: &str = "RESTORING";
const LOCK_FILE: &str = "LOCK";
/// Added to a name while its file is being made.
pub(crate) const UNFINISHED: &str = ".new";
/// The longest a number file may be.
const NUMBER_FILE_LEN_MAX: usize = 4096;
/// The length of the first segment's file, until the first opening makes it anew.
const FIRST_LEN: u64 = 8192;

/// Which ledger a folder is, and whose segments were restored into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The folder's number.
    pub(crate) number: u16,
    /// Earlier ledgers, and the last segment of each, ascending.
    pub(crate) restored: Vec<(u16, u32)>,
}

impl Identity {
    /// Whose segment that is.
    pub(crate) fn ledger_of(&self, segment: u32) -> u16 {
        let restored = self.restored.iter().find(|(_, last)| segment <= *last);
        restored.map_or(self.number, |(number, _)| *number)
    }

    /// Whether entries of that ledger are here.
    pub(crate) fn has(&self, ledger: u16) -> bool {
        ledger == self.number || self.restored.iter().any(|(number, _)| *number == ledger)
    }

    /// What the number's file holds: text, since ops will look into it.
    fn to_text(&self) -> String {
        let mut text = format!("estehqaq ledger {:04}\n", self.number);
        for (number, last) in &self.restored {
            text.push_str(&format!("restored {number:04} to segment {last:08}\n"));
        }
        format!("{text}crc32c {:08x}\n", crc32c::crc32c(text.as_bytes()))
    }

    fn parse(text: &str) -> Option<Identity> {
        let mut lines = text.lines();
        let number = lines.next()?.strip_prefix("estehqaq ledger ")?.parse().ok()?;
        let restored = lines.map_while(|line| line.strip_prefix("restored ")).map(|line| {
            let (number, last) = line.split_once(" to segment ")?;
            Some((number.parse().ok()?, last.parse().ok()?))
        });
        let identity = Identity { number, restored: restored.collect::<Option<_>>()? };
        (text == identity.to_text() && number != 0).then_some(identity)
    }
}

/// Takes the write role.
pub(crate) fn lock(disk: &dyn Disk) -> Result<Box<dyn DiskLock>, OpenError> {
    let path = disk.describe(LOCK_FILE);
    match disk.lock(LOCK_FILE) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(OpenError::InUse { path }),
        Err(source) => Err(OpenError::Io { path, source }),
    }
}

/// Whether the folder has no number yet. It may hold what an unfinished `init` left behind.
pub(crate) fn is_new(disk: &dyn Disk) -> Result<bool, OpenError> {
    let names = disk.list().map_err(|source| OpenError::Io { path: disk.describe(""), source })?;
    Ok(!names.iter().any(|name| name == NUMBER_FILE))
}

/// The numbers of the segments there are, ascending.
pub(crate) fn segments(disk: &dyn Disk) -> io::Result<Vec<u32>> {
    let mut numbers: Vec<u32> = disk.list()?.iter().filter_map(|name| segment_of(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Which ledger the folder is.
pub(crate) fn identity(disk: &dyn Disk) -> Result<Identity, OpenError> {
    let path = disk.describe(NUMBER_FILE);
    match read_number(disk) {
        Ok(Some(text)) => Ok(Identity::parse(&text).ok_or(NumberFileError { path })?),
        Ok(None) => Err(OpenError::NotInitialised { path }),
        Err(source) => Err(OpenError::Io { path, source }),
    }
}

/// Makes the folder ledger `number`. The caller holds the lock.
pub(crate) fn init(
    disk: &dyn Disk,
    number: u16,
    first_sequence: u64,
    keys: &LedgerKeys,
) -> Result<(), InitError> {
    if !(1..=9999).contains(&number) {
        return Err(InitError::BadNumber(number));
    }
    let path = disk.describe(NUMBER_FILE);
    match read_number(disk) {
        Ok(None) => {}
        Ok(Some(text)) => {
            let existing = Identity::parse(&text).ok_or(NumberFileError { path: path.clone() })?.number;
            return Err(InitError::AlreadyInitialised { path, existing, asked: number });
        }
        Err(source) => return Err(InitError::Io { path, source }),
    }
    if disk.list().is_ok_and(|names| names.iter().any(|name| name == RESTORING_FILE)) {
        return Err(InitError::Restoring { path: disk.describe(RESTORING_FILE) });
    }
    let segment = segment_name(1);
    let io = |name: &str, source| InitError::Io { path: disk.describe(name), source };
    if let Some(name) = entries(disk).map_err(|source| io(&segment, source))? {
        return Err(InitError::Orphaned { path: disk.describe(&name) });
    }
    if let Some(name) = foreign_file(disk).map_err(|source| io("", source))? {
        return Err(InitError::NotEmpty { path: disk.describe(&name) });
    }
    let tag = publish_empty(disk, number, first_sequence, keys).map_err(|source| io(&segment, source))?;
    let mark = Mark { segment: 1, slots: 0, sequence: first_sequence - 1, tag };
    publish_mark(disk, number, &mark, keys).map_err(|source| io(MARK_FILE, source))?;
    let identity = Identity { number, restored: Vec::new() };
    publish_identity(disk, &identity).map_err(|source| io(NUMBER_FILE, source))
}

/// Makes a first segment without entries; its header's tag. The first opening makes it anew.
fn publish_empty(
    disk: &dyn Disk,
    ledger: u16,
    first_sequence: u64,
    keys: &LedgerKeys,
) -> io::Result<[u8; 16]> {
    let new = NewSegment {
        ledger,
        number: 1,
        first_sequence,
        previous: None,
        len_bytes: FIRST_LEN,
        time_ms: 0,
        month: None,
    };
    let header = new.header(keys);
    publish(disk, &segment_name(1), |file| {
        write_all_at(file, header.as_bytes(), 0)?;
        write_zeros(file, HEADER_LEN, FIRST_LEN)?;
        file.sync_data()
    })?;
    Ok(header.tag)
}

/// Makes a mark where there is none.
pub(crate) fn publish_mark(disk: &dyn Disk, ledger: u16, mark: &Mark, keys: &LedgerKeys) -> io::Result<()> {
    publish(disk, MARK_FILE, |file| mark::write_first(file, ledger, mark, keys))
}

/// Makes a folder this ledger.
pub(crate) fn publish_identity(disk: &dyn Disk, identity: &Identity) -> io::Result<()> {
    replace_file(disk, NUMBER_FILE, identity.to_text().as_bytes())
}

/// A file that no unfinished `init` leaves behind.
fn foreign_file(disk: &dyn Disk) -> io::Result<Option<String>> {
    let ours = |name: &str| name == MARK_FILE || segment_of(name).is_some() || is_neutral(name);
    Ok(disk.list()?.into_iter().find(|name| !ours(name)))
}

/// Whether a file of that name says nothing about a folder. The last is what a new file system has at its root.
pub(crate) fn is_neutral(name: &str) -> bool {
    [LOCK_FILE, "lost+found"].contains(&name) || name.ends_with(UNFINISHED)
}

/// Makes a file under another name, syncs it, and gives it its name; all of it or nothing.
pub(crate) fn publish(
    disk: &dyn Disk,
    name: &str,
    write: impl FnOnce(&dyn DiskFile) -> io::Result<()>,
) -> io::Result<()> {
    let unfinished = format!("{name}{UNFINISHED}");
    let file = fresh(disk, &unfinished)?;
    write(file.as_ref())?;
    disk.rename(&unfinished, name)?;
    disk.sync_dir()
}

/// Gives a file these bytes, in the place of what it held, if it is there: after a failure or a power cut it has the old
/// ones or the new ones, and once this has returned the new ones. Where it fails, a file beside it may be left, which goes
/// with the next call.
///
/// # Errors
/// When the disk fails.
pub fn replace_file(disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<()> {
    publish(disk, name, |file| {
        write_all_at(file, bytes, 0)?;
        file.sync_data()
    })
}

/// A new file of that name, whatever was there under it.
pub(crate) fn fresh(disk: &dyn Disk, name: &str) -> io::Result<Box<dyn DiskFile>> {
    match disk.create_new(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Another file rather than that one emptied: its mode and its other names are not known.
            disk.remove(name)?;
            disk.create_new(name)
        }
        created => created,
    }
}

/// A segment that holds more than an unfinished `init` leaves behind, if there is one.
fn entries(disk: &dyn Disk) -> io::Result<Option<String>> {
    for number in segments(disk)? {
        let name = segment_name(number);
        let file = disk.open_read(&name)?;
        let mut bytes = vec![0; 1024 * SLOT_LEN];
        let read = read_up_to(file.as_ref(), &mut bytes, HEADER_LEN)?;
        if number > 1 || !is_zero(&bytes[..read]) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn read_number(disk: &dyn Disk) -> io::Result<Option<String>> {
    let file = match disk.open_read(NUMBER_FILE) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = [0; NUMBER_FILE_LEN_MAX];
    let read = read_up_to(file.as_ref(), &mut bytes, 0)?;
    Ok(Some(String::from_utf8_lossy(&bytes[..read]).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::Identity;

    fn identity(number: u16) -> Identity {
        Identity { number, restored: Vec::new() }
    }

    #[test]
    fn number_file_round_trip_and_every_flipped_bit() {
        let restored = Identity { number: 43, restored: vec![(41, 5), (42, 17)] };
        for identity in [identity(1), identity(42), identity(9999), restored.clone()] {
            assert_eq!(Identity::parse(&identity.to_text()), Some(identity));
        }
        assert!(identity(42).to_text().starts_with("estehqaq ledger 0042\ncrc32c "));
        for text in [identity(42).to_text(), restored.to_text()] {
            for at in 0..text.len() {
                for bit in 0..7 {
                    let mut bytes = text.clone().into_bytes();
                    bytes[at] ^= 1 << bit;
                    let changed = String::from_utf8(bytes).unwrap();
                    assert_eq!(Identity::parse(&changed), None, "byte {at}, bit {bit}");
                }
                assert_eq!(Identity::parse(&text[..at]), None);
            }
        }
        assert_eq!(Identity::parse(&identity(0).to_text()), None);
    }

    #[test]
    fn restored_segments_are_of_their_ledgers() {
        let restored = Identity { number: 43, restored: vec![(41, 5), (42, 17)] };
        let ledgers = [1, 5, 6, 17, 18].map(|segment| restored.ledger_of(segment));
        assert_eq!(ledgers, [41, 41, 42, 42, 43]);
        assert!(restored.has(41) && restored.has(43) && !restored.has(40));
    }
}
