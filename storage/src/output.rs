//! Where a command writes its result: opened before the work, whole or not there after it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::owner::{Like, give_to_folder_owner};
use crate::replace::{is_in_place, resolve};

/// What is being written beside its place, for a signal that ends the process meanwhile.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn unfinished(change: impl FnOnce(&mut Vec<PathBuf>)) {
    change(&mut UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Removes what is written of every output that is not finished: the process is about to end.
pub fn discard_unfinished() {
    unfinished(|paths| paths.drain(..).for_each(|path| drop(fs::remove_file(path))));
}

/// A result's file. A regular one is written beside its place and gets its name with [`Output::finish`]; dropped before,
/// it leaves nothing. A device or a FIFO is written in place.
#[derive(Debug)]
pub struct Output {
    file: Option<File>,
    /// Where a regular file is written, and where it belongs.
    beside: Option<(PathBuf, PathBuf)>,
}

/// A result cannot be written.
#[derive(Debug)]
pub struct OutputError {
    /// Where it was to go.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl std::fmt::Display for OutputError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "cannot write {}: {}; make its folder, or choose another path",
            self.path.display(),
            self.source
        )
    }
}

impl std::error::Error for OutputError {}

impl Output {
    /// Opens it, new files with `mode`, through symbolic links.
    ///
    /// # Errors
    /// When nothing could be written there.
    pub fn open(path: &Path, mode: u32) -> Result<Output, OutputError> {
        open(path, mode).map_err(|source| OutputError { path: path.to_owned(), source })
    }

    /// The same, but never in the place of a file that is there.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] for such a file, and when nothing could be written there.
    pub fn open_new(path: &Path, mode: u32) -> Result<Output, OutputError> {
        if path.is_file() {
            return Err(OutputError { path: path.to_owned(), source: io::ErrorKind::AlreadyExists.into() });
        }
        Output::open(path, mode)
    }

    /// Gives a regular file its name, synced.
    ///
    /// # Errors
    /// When it cannot be; nothing of it is left then.
    pub fn finish(mut self) -> io::Result<()> {
        if let (Some(file), Some((beside, path))) = (self.file.take(), self.beside.as_ref()) {
            file.sync_all()?;
            fs::rename(beside, path)?;
            unfinished(|paths| paths.retain(|written| written != beside));
            self.beside = None;
        }
        Ok(())
    }
}

fn open(path: &Path, mode: u32) -> io::Result<Output> {
    let path = resolve(path)?;
    let before = match path.metadata() {
        Ok(before) if before.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(before) if is_in_place(&path, &before) => {
            let file = OpenOptions::new().write(true).open(&path)?;
            return Ok(Output { file: Some(file), beside: None });
        }
        Ok(before) => Some(Like::of(&before)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let name = path.file_name().ok_or_else(|| io::Error::other("it names no file"))?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
    // Made anew and never opened: whatever somebody put there under that name stays closed.
    let _ = fs::remove_file(&beside);
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    unfinished(|paths| paths.push(beside.clone()));
    let output = Output { file: Some(file), beside: Some((beside.clone(), path)) };
    let file = output.file.as_ref().expect("it was just opened");
    match before {
        Some(before) => before.give(file)?,
        None => give_to_folder_owner(file, &beside)?,
    }
    Ok(output)
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().expect("it is open until it is finished").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().expect("it is open until it is finished").flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some((beside, _)) = &self.beside {
            let _ = fs::remove_file(beside); // Half a result is none.
            unfinished(|paths| paths.retain(|written| written != beside));
        }
    }
}
