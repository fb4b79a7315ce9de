//! The ledger folder: the number that it bears for life, the lock that keeps a second process out, and how
//! an empty folder becomes a ledger.
//!
//! The segment is made before the number is: a folder with a number and no segment has lost its entries, and
//! is refused rather than begun anew, which would give codes out twice.

use std::io;

use crate::disk::{Disk, DiskFile, DiskLock, read_up_to, write_all_at};
use crate::error::{InitError, NumberFileError, OpenError};
use crate::format::{HEADER_LEN, SLOT_LEN, is_zero, segment_name};
use crate::keys::LedgerKeys;
use crate::segment::{SEGMENT, write_empty};

const NUMBER_FILE: &str = "LEDGER";
const LOCK_FILE: &str = "LOCK";
/// Added to a name while its file is being made.
const UNFINISHED: &str = ".new";
/// The longest a number file may be.
const NUMBER_FILE_LEN_MAX: usize = 256;

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

/// Whether there are segment files that this version does not know.
pub(crate) fn further_segment(disk: &dyn Disk) -> io::Result<Option<String>> {
    let known = segment_name(SEGMENT);
    Ok(disk.list()?.into_iter().find(|name| is_segment(name) && *name != known))
}

fn is_segment(name: &str) -> bool {
    name.starts_with("segment-") && name.ends_with(".led")
}

/// The folder's number.
pub(crate) fn number(disk: &dyn Disk) -> Result<u16, OpenError> {
    let path = disk.describe(NUMBER_FILE);
    match read_number(disk) {
        Ok(Some(text)) => Ok(parse_number(&text).ok_or(NumberFileError { path })?),
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
            let existing = parse_number(&text).ok_or(NumberFileError { path: path.clone() })?;
            return Err(InitError::AlreadyInitialised { path, existing, asked: number });
        }
        Err(source) => return Err(InitError::Io { path, source }),
    }
    let segment = segment_name(SEGMENT);
    let io = |name: &str, source| InitError::Io { path: disk.describe(name), source };
    if has_entries(disk).map_err(|source| io(&segment, source))? {
        return Err(InitError::Orphaned { path: disk.describe(&segment) });
    }
    if let Some(name) = foreign_file(disk).map_err(|source| io("", source))? {
        return Err(InitError::NotEmpty { path: disk.describe(&name) });
    }
    publish(disk, &segment, |file| write_empty(file, number, first_sequence, keys))
        .map_err(|source| io(&segment, source))?;
    publish(disk, NUMBER_FILE, |file| {
        write_all_at(file, number_text(number).as_bytes(), 0)?;
        file.sync_data()
    })
    .map_err(|source| io(NUMBER_FILE, source))
}

/// A file that no unfinished `init` leaves behind.
fn foreign_file(disk: &dyn Disk) -> io::Result<Option<String>> {
    // The last is what a new file system has at its root.
    let ours = |name: &str| {
        name == LOCK_FILE || is_segment(name) || name.ends_with(UNFINISHED) || name == "lost+found"
    };
    Ok(disk.list()?.into_iter().find(|name| !ours(name)))
}

/// Makes a file under another name, syncs it, and gives it its name; all of it or nothing.
fn publish(
    disk: &dyn Disk,
    name: &str,
    write: impl FnOnce(&dyn DiskFile) -> io::Result<()>,
) -> io::Result<()> {
    let unfinished = format!("{name}{UNFINISHED}");
    let file = if disk.list()?.contains(&unfinished) {
        let file = disk.open(&unfinished)?;
        file.set_len(0)?;
        file
    } else {
        disk.create_new(&unfinished)?
    };
    write(file.as_ref())?;
    disk.rename(&unfinished, name)?;
    disk.sync_dir()
}

/// Whether any segment holds more than an unfinished `init` leaves behind.
fn has_entries(disk: &dyn Disk) -> io::Result<bool> {
    if further_segment(disk)?.is_some() {
        return Ok(true);
    }
    let name = segment_name(SEGMENT);
    if !disk.list()?.contains(&name) {
        return Ok(false);
    }
    let file = disk.open_read(&name)?;
    let mut offset = HEADER_LEN;
    let mut bytes = vec![0; 1024 * SLOT_LEN];
    loop {
        let read = read_up_to(file.as_ref(), &mut bytes, offset)?;
        if !is_zero(&bytes[..read]) {
            return Ok(true);
        }
        if read < bytes.len() {
            return Ok(false);
        }
        offset += read as u64;
    }
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

/// What a number file holds: text, since ops will look into it.
fn number_text(number: u16) -> String {
    let text = format!("estehqaq ledger {number:04}\n");
    format!("{text}crc32c {:08x}\n", crc32c::crc32c(text.as_bytes()))
}

fn parse_number(text: &str) -> Option<u16> {
    let number = text.strip_prefix("estehqaq ledger ")?.get(..4)?.parse().ok()?;
    (text == number_text(number) && number != 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::{number_text, parse_number};

    #[test]
    fn number_file_round_trip_and_every_flipped_bit() {
        for number in [1, 42, 9999] {
            assert_eq!(parse_number(&number_text(number)), Some(number));
        }
        let text = number_text(42);
        for at in 0..text.len() {
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                assert_eq!(parse_number(&String::from_utf8(bytes).unwrap()), None, "byte {at}, bit {bit}");
            }
            assert_eq!(parse_number(&text[..at]), None);
        }
        assert_eq!(parse_number(&number_text(0)), None);
    }
}
