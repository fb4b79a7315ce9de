//! Reading inputs that somebody may still be writing.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a file looked like at a moment. Two that are equal had the same content, as far as the system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
}

/// The file changed between the first and the last byte that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangedWhileRead;

impl std::fmt::Display for ChangedWhileRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "it changed while it was read; wait until it is written whole, then run the command again",
        )
    }
}

impl std::error::Error for ChangedWhileRead {}

impl Seen {
    /// What these metadata tell.
    pub fn of(metadata: &Metadata) -> Seen {
        Seen {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// Whether an open regular file still looks like this. A device or a FIFO has no length to compare.
    ///
    /// # Errors
    /// [`ChangedWhileRead`] as an I/O error, or what the system says.
    pub fn check(self, file: &File) -> io::Result<()> {
        let now = file.metadata()?;
        if now.is_file() && Seen::of(&now) != self {
            return Err(io::Error::other(ChangedWhileRead));
        }
        Ok(())
    }
}

/// A regular file that is watched for changes, by whatever name it goes meanwhile.
#[derive(Debug)]
pub struct Watch(Option<(File, Seen)>);

impl Watch {
    /// From now on. Of what is no regular file, or cannot be opened, nothing is told.
    pub fn begin(path: &Path) -> Watch {
        // Opening a FIFO would take its writer away from who is to read it.
        let file = path.is_file().then(|| File::open(path).ok()).flatten();
        let watched = |file: File| {
            let seen = Seen::of(&file.metadata().ok()?);
            Some((file, seen))
        };
        Watch(file.and_then(watched))
    }

    /// Whether it changed since.
    pub fn has_changed(&self) -> bool {
        self.0.as_ref().is_some_and(|(file, seen)| seen.check(file).is_err())
    }
}

/// A text without the BOM that some editors put before it.
pub fn skip_bom(text: &str) -> &str {
    text.strip_prefix('\u{FEFF}').unwrap_or(text)
}
