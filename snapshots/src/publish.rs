//! The writer's side of a generation: a folder of its own until everything in it is synced, then one rename,
//! then one switch of `CURRENT`. A published file is never written again.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::generation::GenerationName;
use crate::open::CURRENT_FILE;

const LOCK_FILE: &str = ".lock";
const BUILDING_PREFIX: &str = ".building-";
const FILE_MODE: u32 = 0o440;
const FOLDER_MODE: u32 = 0o550;

/// Why nothing was published. What was current still is.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The disk refused.
    #[error("cannot {action} {}: {source}; check the free space and the folder's permissions", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another builder is at work.
    #[error("another builder is at work in {}; wait until it is done", dir.display())]
    Locked {
        /// The snapshots folder.
        dir: PathBuf,
    },
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PublishError {
    move |source| PublishError::Io { action, path: path.to_owned(), source }
}

/// The snapshots folder, held by one builder.
pub(crate) struct Publisher {
    dir: PathBuf,
    /// Released when it is dropped.
    _lock: File,
}

impl Publisher {
    /// Takes the folder for this builder, and clears away what one that was interrupted left behind.
    pub(crate) fn lock(dir: &Path) -> Result<Publisher, PublishError> {
        create_synced(dir)?;
        let path = dir.join(LOCK_FILE);
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = opened.map_err(io_error("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(PublishError::Locked { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
        }
        let publisher = Publisher { dir: dir.to_owned(), _lock: lock };
        publisher.remove_unfinished()?;
        Ok(publisher)
    }

    /// A new, empty folder to build in; it is removed when it is dropped unpublished.
    pub(crate) fn begin(&self) -> Result<BuildFolder, PublishError> {
        let path = self.dir.join(format!("{BUILDING_PREFIX}{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(io_error("create", &path))?;
        Ok(BuildFolder { path, published: false })
    }

    /// Moves a finished folder to its name. Its files must be synced.
    pub(crate) fn place(&self, mut folder: BuildFolder, name: &GenerationName) -> Result<(), PublishError> {
        let target = self.dir.join(name.to_string());
        seal(&folder.path)?;
        fs::rename(&folder.path, &target).map_err(io_error("publish", &target))?;
        folder.published = true;
        sync_dir(&self.dir)
    }

    /// Sets the modes of a placed generation again: they may have been lost with the power, or changed since.
    pub(crate) fn reseal(&self, name: &GenerationName) -> Result<(), PublishError> {
        seal(&self.dir.join(name.to_string()))
    }

    /// Makes a placed generation the current one.
    pub(crate) fn switch(&self, name: &GenerationName) -> Result<(), PublishError> {
        let beside = self.dir.join(".CURRENT.new");
        let current = self.dir.join(CURRENT_FILE);
        write_synced(&beside, format!("{name}\n").as_bytes())?;
        protect(&beside, FILE_MODE)?;
        fs::rename(&beside, &current).map_err(io_error("switch", &current))?;
        sync_dir(&self.dir)
    }

    fn remove_unfinished(&self) -> Result<(), PublishError> {
        let entries = fs::read_dir(&self.dir).map_err(io_error("list", &self.dir))?;
        for entry in entries {
            let path = entry.map_err(io_error("list", &self.dir))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(BUILDING_PREFIX) {
                remove_folder(&path).map_err(io_error("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// A generation in the making.
pub(crate) struct BuildFolder {
    path: PathBuf,
    published: bool,
}

impl BuildFolder {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes and syncs a file.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), PublishError> {
        write_synced(&self.path.join(name), bytes)
    }
}

impl Drop for BuildFolder {
    fn drop(&mut self) {
        if !self.published {
            // Nothing can be done about a failure here; the next builder clears it away.
            let _ = remove_folder(&self.path);
        }
    }
}

/// Makes files and folder read-only, and syncs that too: some file systems forget a mode like any other write.
fn seal(folder: &Path) -> Result<(), PublishError> {
    for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let path = entry.map_err(io_error("list", folder))?.path();
        protect(&path, FILE_MODE)?;
    }
    protect(folder, FOLDER_MODE)
}

/// Sets the mode of a file or folder whatever the umask, and syncs it.
fn protect(path: &Path, mode: u32) -> Result<(), PublishError> {
    let set = File::open(path).and_then(|file| {
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()
    });
    set.map_err(io_error("protect", path))
}

fn remove_folder(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o700))?;
    fs::remove_dir_all(path)
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
    // What an interrupted run left under this name may be read-only.
    let _ = fs::remove_file(path);
    let mut file = File::create_new(path).map_err(io_error("create", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io_error("write", path))
}

/// Makes a folder that is not there, and those above it, each synced into the one above.
pub(crate) fn create_synced(dir: &Path) -> Result<(), PublishError> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_synced(above)?;
    match fs::DirBuilder::new().mode(0o750).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_error("create", dir)(error)),
        _ => sync_dir(above),
    }
}

pub(crate) fn sync_dir(path: &Path) -> Result<(), PublishError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(io_error("sync", path))
}
