//! Replacing a file in one step: written beside it, synced, renamed, the folder synced.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::owner::{Like, give_to_folder_owner};

/// Symbolic links that are followed at most, as in Linux.
const LINKS_MAX: usize = 40;

/// The folder that a path's file stands in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Where a path leads to, through symbolic links, also where nothing is there yet.
///
/// # Errors
/// When links go in a circle, or cannot be read.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        // /dev/stdout and its like lead to a file that is open already, by whatever name.
        if path.starts_with("/proc") {
            return Ok(path);
        }
        match fs::read_link(&path) {
            Ok(target) => path = folder_of(&path).join(target),
            // No link, or nothing there.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("its symbolic links go in a circle"))
}

/// Whether a file is written where it is: no regular one, or one that is open already.
pub(crate) fn is_in_place(path: &Path, metadata: &Metadata) -> bool {
    !metadata.is_file() || path.starts_with("/proc")
}

/// Puts `bytes` in the place of the file at `path`, through symbolic links: a reader sees the old content or the new
/// one. The file keeps its owner, group and mode; a new one gets `mode` and the owner and group of its folder. What is
/// no regular file is written in place. The caller sees to it that one process replaces a file at a time.
///
/// # Errors
/// When it cannot be done, and for a file with a second hard link, where the old content would stay. The file is then
/// as it was.
pub fn replace(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let path = resolve(path)?;
    let before = match path.metadata() {
        Ok(before) if is_in_place(&path, &before) => {
            return OpenOptions::new().write(true).open(&path)?.write_all(bytes);
        }
        Ok(before) if before.nlink() > 1 => {
            return Err(io::Error::other(
                "it has another hard link, which would keep what is replaced; remove that first",
            ));
        }
        Ok(before) => Some(Like::of(&before)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let name = path.file_name().ok_or_else(|| io::Error::other("it names no file"))?.to_string_lossy();
    let beside = path.with_file_name(format!("{name}.new"));
    let written = write_beside(&beside, before, mode, bytes).and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        let _ = fs::remove_file(&beside); // The first error is the one to tell.
    }
    written.and_then(|()| File::open(folder_of(&path))?.sync_all())
}

fn write_beside(beside: &Path, before: Option<Like>, mode: u32, bytes: &[u8]) -> io::Result<()> {
    // What a crash left there may hold what is to be forgotten, under a mode of its own.
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(beside)?;
    match before {
        Some(before) => before.give(&file)?,
        None => give_to_folder_owner(&file, beside)?,
    }
    file.write_all(bytes)?;
    file.sync_all()
}
