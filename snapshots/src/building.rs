//! The folder in which a generation is built: one builder at a time, private until it is placed, removed when it
//! is not.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::disk::create_synced;
use crate::store_error::StoreError;

const LOCK_FILE: &str = ".lock";
const BUILDING_PREFIX: &str = ".building-";

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { action, path: path.to_owned(), source }
}

/// The snapshots folder, held by one builder. Others may publish and roll back meanwhile.
pub(crate) struct BuilderLock {
    dir: PathBuf,
    /// Released when it is dropped.
    _lock: File,
}

impl BuilderLock {
    /// Takes the folder for this builder, and clears away what one that was interrupted left behind.
    pub(crate) fn take(dir: &Path) -> Result<BuilderLock, StoreError> {
        create_synced(dir).map_err(io_error("create", dir))?;
        let path = dir.join(LOCK_FILE);
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = opened.map_err(io_error("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::BuilderLocked { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
        }
        let builder = BuilderLock { dir: dir.to_owned(), _lock: lock };
        builder.remove_unfinished()?;
        Ok(builder)
    }

    /// A new, empty folder to build in; it is removed when it is dropped unplaced.
    pub(crate) fn begin(&self) -> Result<BuildFolder, StoreError> {
        let name = format!("{BUILDING_PREFIX}{}", std::process::id());
        let path = self.dir.join(&name);
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(io_error("create", &path))?;
        Ok(BuildFolder { name, path, placed: false })
    }

    fn remove_unfinished(&self) -> Result<(), StoreError> {
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
    name: String,
    path: PathBuf,
    placed: bool,
}

impl BuildFolder {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its name in the snapshots folder.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Writes and syncs a file.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path.join(name);
        let mut file = File::create_new(&path).map_err(io_error("create", &path))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io_error("write", &path))
    }

    /// It bears another name now.
    pub(crate) fn placed(mut self) {
        self.placed = true;
    }
}

impl Drop for BuildFolder {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing can be done about a failure here; the next builder clears it away.
            let _ = remove_folder(&self.path);
        }
    }
}

fn remove_folder(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o700))?;
    fs::remove_dir_all(path)
}
