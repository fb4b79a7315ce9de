//! The reader's side of a generation: `CURRENT`, `content.json`, then the binary files, each verified before
//! anything in it is used.

use std::fs;
use std::path::{Path, PathBuf};

use engine::{
    Counts, FORMAT_VERSION, INDEX_FILE, MemoryMode, MobileKey, OpenStep, RECORDS_FILE, Snapshot,
    SnapshotFiles,
};
use thiserror::Error;

use crate::content::{Content, MobileKeyName};
use crate::generation::GenerationName;

pub(crate) const CURRENT_FILE: &str = "CURRENT";
pub(crate) const CONTENT_FILE: &str = "content.json";

/// An open, verified generation, for those who ask it nothing about mobile numbers.
pub struct KeylessGeneration {
    /// Its name.
    pub name: GenerationName,
    /// What stands in its `content.json`.
    pub content: Content,
    /// Its people.
    pub snapshot: Snapshot,
}

/// An open, verified generation.
pub struct Generation {
    /// Its name.
    pub name: GenerationName,
    /// What stands in its `content.json`.
    pub content: Content,
    /// Its people.
    pub snapshot: Snapshot,
    /// The key of its fingerprints.
    pub mobile_key: MobileKey,
}

/// Why a generation was refused. Nothing of it was used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// No generation is current.
    #[error("nothing is published in {}; run `estehqaq snapshot build` first", dir.display())]
    NothingPublished {
        /// The snapshots folder.
        dir: PathBuf,
    },
    /// `CURRENT` cannot be what was written.
    #[error("{} does not name a generation; publish one again with `estehqaq snapshot build`", path.display())]
    Current {
        /// The file.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("cannot read {}: {source}; check that the generation is complete and readable", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The folder's name does not follow from the bytes.
    #[error(
        "{} does not match the name of its generation: it was changed after it was published; build the \
         snapshot again or go back to the generation before",
        path.display()
    )]
    ContentDigest {
        /// The file.
        path: PathBuf,
    },
    /// The bytes are as they were written, but not what this version understands.
    #[error("{} cannot be used: {fault}; build the snapshot again with this version of the program", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// The mobile fingerprints were made with a key that is not here.
    #[error(
        "the generation was built with mobile key {id}, and the secrets file has no such key or another one \
         by that id; give this server the builder's mobile key"
    )]
    MobileKey {
        /// The key's id.
        id: u32,
    },
    /// A binary file.
    #[error(transparent)]
    Snapshot(#[from] engine::OpenError),
}

/// Which generation is current.
///
/// # Errors
/// [`OpenError::NothingPublished`], [`OpenError::Current`] or [`OpenError::Io`].
pub fn read_current(dir: &Path) -> Result<GenerationName, OpenError> {
    let path = dir.join(CURRENT_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let name = text.strip_suffix('\n').and_then(|name| name.parse().ok());
            name.ok_or(OpenError::Current { path })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(OpenError::NothingPublished { dir: dir.to_owned() })
        }
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(OpenError::Current { path }),
        Err(source) => Err(OpenError::Io { path, source }),
    }
}

/// Opens the current generation.
///
/// # Errors
/// [`OpenError`].
pub fn open_current(dir: &Path, keys: &[MobileKey]) -> Result<Generation, OpenError> {
    open_generation(dir, &read_current(dir)?, keys)
}

/// Opens a generation of the snapshots folder `dir`.
///
/// # Errors
/// [`OpenError`].
pub fn open_generation(
    dir: &Path,
    name: &GenerationName,
    keys: &[MobileKey],
) -> Result<Generation, OpenError> {
    open_folder(&dir.join(name.to_string()), name, keys)
}

/// The same in the memory of choice, as a server does; `on_step` hears what begins.
///
/// # Errors
/// [`OpenError`].
pub fn open_generation_in(
    dir: &Path,
    name: &GenerationName,
    keys: &[MobileKey],
    memory: MemoryMode,
    on_step: &mut dyn FnMut(OpenStep),
) -> Result<Generation, OpenError> {
    let folder = dir.join(name.to_string());
    let content = read_content(&folder, name)?;
    let mobile_key = find_key(&content.mobile_key, keys)?;
    let snapshot = open_snapshot(&folder, &content, memory, on_step)?;
    Ok(Generation { name: *name, content, snapshot, mobile_key })
}

/// Opens the current generation without any key.
///
/// # Errors
/// [`OpenError`], all but [`OpenError::MobileKey`].
pub fn open_current_keyless(dir: &Path) -> Result<KeylessGeneration, OpenError> {
    let name = read_current(dir)?;
    let folder = dir.join(name.to_string());
    let content = read_content(&folder, &name)?;
    let snapshot = open_snapshot(&folder, &content, MemoryMode::Mapped, &mut |_| {})?;
    Ok(KeylessGeneration { name, content, snapshot })
}

/// Opens a generation in a folder of whatever name, as its builder does before it is published.
pub(crate) fn open_folder(
    folder: &Path,
    name: &GenerationName,
    keys: &[MobileKey],
) -> Result<Generation, OpenError> {
    let content = read_content(folder, name)?;
    let mobile_key = find_key(&content.mobile_key, keys)?;
    let snapshot = open_snapshot(folder, &content, MemoryMode::Mapped, &mut |_| {})?;
    Ok(Generation { name: *name, content, snapshot, mobile_key })
}

fn read_content(folder: &Path, name: &GenerationName) -> Result<Content, OpenError> {
    let path = folder.join(CONTENT_FILE);
    let bytes = fs::read(&path).map_err(|source| OpenError::Io { path: path.clone(), source })?;
    if GenerationName::of_content(name.as_of(), &bytes) != *name {
        return Err(OpenError::ContentDigest { path });
    }
    let fault = |fault: String| OpenError::Content { path: path.clone(), fault };
    let content: Content = serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))?;
    if content.format_version != FORMAT_VERSION {
        return Err(fault(format!("its format version is {}, not {FORMAT_VERSION}", content.format_version)));
    }
    if content.as_of != name.as_of().iso().to_string() {
        return Err(fault("its as-of date is not that of its name".to_owned()));
    }
    Ok(content)
}

fn open_snapshot(
    folder: &Path,
    content: &Content,
    memory: MemoryMode,
    on_step: &mut dyn FnMut(OpenStep),
) -> Result<Snapshot, OpenError> {
    let fault = |fault: String| OpenError::Content { path: folder.join(CONTENT_FILE), fault };
    let file =
        |name| content.file(name).ok_or_else(|| fault(format!("it does not list {name} with a digest")));
    let files = SnapshotFiles { index: file(INDEX_FILE)?, records: file(RECORDS_FILE)? };
    let snapshot = Snapshot::open_in(folder, &files, memory, on_step)?;
    let Content { people, incomplete, entitlements, .. } = *content;
    if snapshot.counts() != (Counts { people, incomplete, entitlements }) {
        return Err(fault("it counts other people or entitlements than the records have".to_owned()));
    }
    Ok(snapshot)
}

fn find_key(wanted: &MobileKeyName, keys: &[MobileKey]) -> Result<MobileKey, OpenError> {
    let key = keys.iter().find(|key| MobileKeyName::of(key) == *wanted);
    key.cloned().ok_or(OpenError::MobileKey { id: wanted.id })
}
