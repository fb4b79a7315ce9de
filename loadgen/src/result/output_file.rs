//! A file for a result: opened before the work, through symbolic links. A regular one is written under another name first,
//! so that a reader never sees half of one; a device or a FIFO is written in place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::outputs::OutputError;

/// Symbolic links that are followed at most, as in Linux.
const LINKS_MAX: usize = 40;

/// An output that is open. Dropped before it is written, it leaves nothing.
#[derive(Debug)]
pub(crate) struct OutputFile {
    /// As it was given.
    path: PathBuf,
    file: File,
    /// Where a regular file is written, and where it belongs.
    unfinished: Option<(PathBuf, PathBuf)>,
}

impl OutputFile {
    pub(crate) fn open(path: &Path) -> Result<OutputFile, OutputError> {
        open(path).map_err(|source| OutputError::File { path: path.to_owned(), source })
    }

    pub(crate) fn write(
        mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), OutputError> {
        let mut file = BufWriter::new(&self.file);
        let written = write(&mut file).and_then(|()| file.flush());
        drop(file);
        let named = written.and_then(|()| match &self.unfinished {
            Some((unfinished, place)) => fs::rename(unfinished, place),
            None => Ok(()),
        });
        if named.is_ok() {
            self.unfinished = None;
        }
        named.map_err(|source| OutputError::File { path: self.path.clone(), source })
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if let Some((unfinished, _)) = &self.unfinished {
            let _ = fs::remove_file(unfinished); // Half a result helps nobody.
        }
    }
}

fn open(path: &Path) -> io::Result<OutputFile> {
    let place = resolve(path)?;
    let in_place = match fs::metadata(&place) {
        Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(there) => !there.is_file() || place.starts_with("/proc"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    if in_place {
        let file = OpenOptions::new().write(true).open(&place)?;
        return Ok(OutputFile { path: path.to_owned(), file, unfinished: None });
    }
    let mut unfinished = place.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let file = File::create(&unfinished)?;
    Ok(OutputFile { path: path.to_owned(), file, unfinished: Some((unfinished, place)) })
}

/// Where a path leads to. /dev/stdout and its like lead to a file that is open already, by whatever name.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        if path.starts_with("/proc") {
            return Ok(path);
        }
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("its symbolic links go in a circle"))
}
