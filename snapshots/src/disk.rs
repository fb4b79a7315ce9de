//! The only way of the state machine to the file system: a small trait, so that a test disk can lose what was
//! not synced and fail at any step. Names are relative to the snapshots folder; the big files of a generation
//! are written by `engine` and only ever moved here.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use storage::give_to_folder_owner;

/// A snapshots folder. What is created, renamed or removed counts as stored only after [`Disk::sync_folder`].
pub trait Disk: Send + Sync {
    /// The whole of a small file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// The length of a file.
    fn length(&self, name: &str) -> io::Result<u64>;
    /// The permission bits of a file or folder.
    fn mode(&self, name: &str) -> io::Result<u32>;
    /// The names in a folder, `""` being the snapshots folder itself; in no order.
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;
    /// Makes an empty folder, private until it is protected; fails when the name is taken.
    fn make_folder(&self, name: &str) -> io::Result<()>;
    /// Makes a file with these bytes and syncs it; fails when the name is taken.
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Adds bytes to the end of a file, which is made if need be, and syncs it.
    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file off and syncs it.
    fn cut(&self, name: &str, len: u64) -> io::Result<()>;
    /// Sets the mode of a file or folder whatever the umask, and syncs it with what is in it.
    fn protect(&self, name: &str, mode: u32) -> io::Result<()>;
    /// Renames a file or folder; a file replaces what bears the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, name: &str) -> io::Result<()>;
    /// Removes a folder and the files in it, even where they are read-only.
    fn remove_folder(&self, name: &str) -> io::Result<()>;
    /// Puts creations, renames and removals in a folder on stable storage.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
    /// Takes an exclusive lock named by a file, which is made if need be; `None` when another holds it.
    fn lock(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>>;
}

/// A held lock; dropping it frees it, and so does the end of the process.
pub trait Lock: Send + Sync {}

/// A snapshots folder of the file system.
#[derive(Clone, Debug)]
pub struct RealDisk {
    folder: PathBuf,
}

impl RealDisk {
    /// A folder that is there already.
    pub fn new(folder: impl Into<PathBuf>) -> RealDisk {
        RealDisk { folder: folder.into() }
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.folder.clone() } else { self.folder.join(name) }
    }
}

impl Disk for RealDisk {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path(name))
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path(name))?.len())
    }

    fn mode(&self, name: &str) -> io::Result<u32> {
        Ok(fs::metadata(self.path(name))?.permissions().mode() & 0o7777)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        // A name that is not UTF-8 is none of ours.
        let names =
            fs::read_dir(self.path(folder))?.map(|item| item.map(|item| item.file_name().into_string()));
        names.filter_map(|name| name.map(Result::ok).transpose()).collect()
    }

    fn make_folder(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        give_to_folder_owner(&File::open(&path)?, &path)
    }

    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        give_to_folder_owner(&file, &path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(name);
        let mut file = OpenOptions::new().append(true).create(true).mode(0o640).open(&path)?;
        give_to_folder_owner(&file, &path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn cut(&self, name: &str, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path(name))?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn protect(&self, name: &str, mode: u32) -> io::Result<()> {
        let path = self.path(name);
        let file = File::open(&path)?;
        give_to_folder_owner(&file, &path)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove_file(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn remove_folder(&self, name: &str) -> io::Result<()> {
        fs::set_permissions(self.path(name), Permissions::from_mode(0o700))?;
        fs::remove_dir_all(self.path(name))
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        File::open(self.path(folder))?.sync_all()
    }

    fn lock(&self, name: &str) -> io::Result<Option<Box<dyn Lock>>> {
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
}

/// A file with an advisory lock.
struct HeldLock {
    file: File,
}

impl Lock for HeldLock {}

impl Drop for HeldLock {
    fn drop(&mut self) {
        // Closing it would do, but not at once if another process was just forked and has a copy. If this
        // fails the lock ends with the file.
        let _ = self.file.unlock();
    }
}

/// Makes a folder that is not there, and those above it, each synced into the one above.
pub(crate) fn create_synced(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_synced(above)?;
    match DirBuilder::new().mode(0o750).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => File::open(above)?.sync_all(), // Somebody else made it.
        Ok(()) => {
            give_to_folder_owner(&File::open(folder)?, folder)?;
            File::open(above)?.sync_all()
        }
    }
}
