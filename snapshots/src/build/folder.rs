//! The folder in which a generation is built: one builder at a time, private until it is placed, removed when it
//! is not.

use std::path::{Path, PathBuf};

use crate::disk::Lock;
use crate::generation::signing::{SIGNATURE_SUFFIX, SigningKey};
use crate::publish::error::StoreError;
use crate::publish::store::Store;

const LOCK_FILE: &str = ".lock";
const BUILDING_PREFIX: &str = ".building-";

/// The snapshots folder, held by one builder. Others may publish and roll back meanwhile.
pub(crate) struct BuilderLock<'a> {
    store: &'a Store,
    /// Released when it is dropped.
    _lock: Box<dyn Lock>,
}

impl BuilderLock<'_> {
    /// Takes the folder for this builder, and clears away what one that was interrupted left behind.
    pub(crate) fn take(store: &Store) -> Result<BuilderLock<'_>, StoreError> {
        let lock = store.disk.lock(LOCK_FILE).map_err(store.failed("lock", LOCK_FILE))?;
        let lock = lock.ok_or_else(|| StoreError::BuilderLocked { dir: store.dir().to_owned() })?;
        let builder = BuilderLock { store, _lock: lock };
        builder.remove_unfinished()?;
        Ok(builder)
    }

    /// A new, empty folder to build in; it is removed when it is dropped unplaced.
    pub(crate) fn begin(&self) -> Result<BuildFolder<'_>, StoreError> {
        let name = format!("{BUILDING_PREFIX}{}", std::process::id());
        self.store.disk.make_folder(&name).map_err(self.store.failed("create", &name))?;
        Ok(BuildFolder { store: self.store, path: self.store.dir().join(&name), name, placed: false })
    }

    fn remove_unfinished(&self) -> Result<(), StoreError> {
        let store = self.store;
        for name in store.disk.list("").map_err(store.failed("list", ""))? {
            if name.starts_with(BUILDING_PREFIX) {
                store.disk.remove_folder(&name).map_err(store.failed("remove", &name))?;
            }
        }
        Ok(())
    }
}

/// A generation in the making.
pub(crate) struct BuildFolder<'a> {
    store: &'a Store,
    name: String,
    path: PathBuf,
    placed: bool,
}

impl BuildFolder<'_> {
    /// Where it is on the file system, for the binary files.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its name in the snapshots folder.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Writes and syncs a file.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let name = format!("{}/{name}", self.name);
        self.store.disk.create(&name, bytes).map_err(self.store.failed("write", &name))
    }

    /// Writes and syncs a file, and its signature beside it where there is a key.
    pub(crate) fn write_signed(
        &self,
        name: &str,
        bytes: &[u8],
        key: Option<&SigningKey>,
    ) -> Result<(), StoreError> {
        self.write(name, bytes)?;
        match key {
            Some(key) => self.write(&format!("{name}{SIGNATURE_SUFFIX}"), &key.sign(bytes)),
            None => Ok(()),
        }
    }

    /// It bears another name now.
    pub(crate) fn placed(mut self) {
        self.placed = true;
    }
}

impl Drop for BuildFolder<'_> {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing can be done about a failure here; the next builder clears it away.
            let _ = self.store.disk.remove_folder(&self.name);
        }
    }
}
