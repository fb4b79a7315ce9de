//! The only way to the file system: a small trait, so that a test disk can lose, reorder and tear what was
//! not synced. [`RealDisk`] is one folder of a real file system.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use storage::give_to_folder_owner;

/// One flat folder. What is created or renamed counts as stored only after [`Disk::sync_dir`].
pub trait Disk: Send + Sync {
    /// The names in the folder, in no order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes an empty file for reading and writing; fails when the name is taken.
    fn create_new(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading only.
    fn open_read(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Renames a file, replacing what bears the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Puts creations, removals and renames on stable storage.
    fn sync_dir(&self) -> io::Result<()>;
    /// Takes an exclusive lock named by a file, which is made if need be; `None` when another holds it. The
    /// lock ends with the value, or with the process.
    fn lock(&self, name: &str) -> io::Result<Option<Box<dyn DiskLock>>>;
    /// How a file is called in a message to ops.
    fn describe(&self, name: &str) -> String;
    /// The bytes that are free for files; none when nobody can tell.
    fn free_bytes(&self) -> io::Result<Option<u64>>;
    /// The same folder once more.
    fn again(&self) -> Arc<dyn Disk>;
}

/// An open file. Offsets and lengths are in bytes.
pub trait DiskFile: Send + Sync {
    /// Reads some bytes; 0 at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes some of the bytes, at least one.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;
    /// Puts what was written on stable storage, and the length where reading it back needs it.
    fn sync_data(&self) -> io::Result<()>;
    /// The length.
    fn length(&self) -> io::Result<u64>;
    /// Cuts or extends (with zeros) the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// A held lock; dropping it frees it.
pub trait DiskLock: Send + Sync {}

/// Fills `buf` as far as the file goes; how many bytes that were.
pub(crate) fn read_up_to(file: &dyn DiskFile, mut buf: &mut [u8], mut offset: u64) -> io::Result<usize> {
    let wanted = buf.len();
    while !buf.is_empty() {
        match file.read_at(buf, offset) {
            Ok(0) => break,
            Ok(read) => {
                buf = &mut buf[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted - buf.len())
}

/// Writes all of `buf`. After an error any part of it may have been written.
pub(crate) fn write_all_at(file: &dyn DiskFile, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match file.write_at(buf, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                buf = &buf[written..];
                offset += written as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A folder of the file system. Files are made with mode 0600, the folder with 0700.
#[derive(Clone, Debug)]
pub struct RealDisk {
    folder: PathBuf,
    /// The folder itself, open from its first sync on: a later one must not fail for want of a descriptor.
    handle: Arc<OnceLock<File>>,
}

impl RealDisk {
    /// A folder that is there already.
    pub fn new(folder: impl Into<PathBuf>) -> RealDisk {
        RealDisk { folder: folder.into(), handle: Arc::default() }
    }

    /// The folder, made if it is not there (its parents too), and stored in its parent.
    ///
    /// # Errors
    /// When the folder cannot be made or synced.
    pub fn create(folder: impl Into<PathBuf>) -> io::Result<RealDisk> {
        let folder = folder.into();
        if !folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
            give_to_folder_owner(&File::open(&folder)?, &folder)?;
        }
        Ok(RealDisk::new(folder))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        // A name that is not UTF-8 is none of ours.
        let names =
            std::fs::read_dir(&self.folder)?.map(|item| item.map(|item| item.file_name().into_string()));
        names.filter_map(|name| name.map(Result::ok).transpose()).collect()
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let path = self.path(name);
        let file = options.open(&path)?;
        give_to_folder_owner(&file, &path)?;
        Ok(Box::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(self.path(name))?))
    }

    fn open_read(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::open(self.path(name))?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn sync_dir(&self) -> io::Result<()> {
        let handle = match self.handle.get() {
            Some(handle) => handle,
            None => {
                let opened = File::open(&self.folder)?;
                self.handle.get_or_init(|| opened)
            }
        };
        handle.sync_all()
    }

    fn lock(&self, name: &str) -> io::Result<Option<Box<dyn DiskLock>>> {
        let mut options = OpenOptions::new();
        let path = self.path(name);
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        give_to_folder_owner(&file, &path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(HeldLock { file }))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn describe(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let space = rustix::fs::statvfs(&self.folder)?;
        Ok(Some(space.f_bavail.saturating_mul(space.f_frsize)))
    }

    fn again(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }
}

impl DiskFile for File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }
}

/// A file with an advisory lock.
struct HeldLock {
    file: File,
}

impl DiskLock for HeldLock {}

impl Drop for HeldLock {
    fn drop(&mut self) {
        // Closing it would do, but not at once if another process was just forked and has a copy. If this
        // fails the lock ends with the file.
        let _ = self.file.unlock();
    }
}
