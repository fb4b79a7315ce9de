//! The reader's side of a generation: `CURRENT`, `content.json`, then the binary files, each verified before
//! anything in it is used.

use std::fs;
use std::path::{Path, PathBuf};

use engine::{
    Counts, FORMAT_VERSION, INDEX_FILE, MemoryMode, MobileKey, OpenStep, RECORDS_FILE, Snapshot,
    SnapshotFiles,
};
use serde::Deserialize;
use thiserror::Error;

use crate::generation::content::{CONTENT_VERSION, Content, MobileKeyName};
use crate::generation::name::GenerationName;
use crate::generation::publication::{PUBLICATION_FILE, Publication};
use crate::generation::self_test::{SelfTestError, run_self_test};
use crate::generation::signing::{PublicKey, SIGNATURE_SUFFIX, SignatureFault, check_signature};

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

impl Generation {
    /// Asks the self-test of its `content.json` again: its people, by way of the index, must be decided as the
    /// builder found.
    ///
    /// # Errors
    /// The first record that is decided otherwise.
    pub fn self_test(&self) -> Result<(), SelfTestError> {
        run_self_test(&self.content.self_test, &self.snapshot, self.name.as_of())
    }
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
    /// No signature, where one is required.
    #[error(
        "{} is not signed, and a key is given. A generation is signed when it is built, and never again: move its folder away \
         and build it with --signing-key",
        path.display()
    )]
    Unsigned {
        /// The file.
        path: PathBuf,
    },
    /// A signature that does not hold.
    #[error(
        "{}: {fault}. A generation is signed when it is built, and never again: move its folder away and build it with the \
         signing key that belongs to the key given",
        path.display()
    )]
    Signature {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: SignatureFault,
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
    match fs::read(&path) {
        Ok(bytes) => parse_current(&bytes, &path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(OpenError::NothingPublished { dir: dir.to_owned() })
        }
        Err(source) => Err(OpenError::Io { path, source }),
    }
}

/// The name that stands in `CURRENT`.
pub(crate) fn parse_current(bytes: &[u8], path: &Path) -> Result<GenerationName, OpenError> {
    let line = std::str::from_utf8(bytes).ok().and_then(|text| text.strip_suffix('\n'));
    line.and_then(|name| name.parse().ok()).ok_or_else(|| OpenError::Current { path: path.to_owned() })
}

/// Opens the current generation.
///
/// # Errors
/// [`OpenError`].
pub fn open_current(dir: &Path, keys: &[MobileKey]) -> Result<Generation, OpenError> {
    open_generation(dir, &read_current(dir)?, keys)
}

/// Opens a generation of the snapshots folder `dir`, signed or not.
///
/// # Errors
/// [`OpenError`].
pub fn open_generation(
    dir: &Path,
    name: &GenerationName,
    keys: &[MobileKey],
) -> Result<Generation, OpenError> {
    open_signed_generation(dir, name, keys, &[])
}

/// Opens a generation that must be signed with one of the public keys; with none of them, signed or not.
///
/// # Errors
/// [`OpenError`].
pub fn open_signed_generation(
    dir: &Path,
    name: &GenerationName,
    keys: &[MobileKey],
    public_keys: &[PublicKey],
) -> Result<Generation, OpenError> {
    open_generation_in(dir, name, keys, public_keys, MemoryMode::Mapped, &mut |_| {})
}

/// Reads what a generation says of itself, without opening its binary files.
///
/// # Errors
/// [`OpenError`].
pub fn read_content(dir: &Path, name: &GenerationName) -> Result<Content, OpenError> {
    content_of_folder(&dir.join(name.to_string()), name, &[])
}

/// Reads how a generation was built and judged.
///
/// # Errors
/// [`OpenError::Io`] or [`OpenError::Content`].
pub fn read_publication(dir: &Path, name: &GenerationName) -> Result<Publication, OpenError> {
    let path = dir.join(name.to_string()).join(PUBLICATION_FILE);
    let bytes = read(&path)?;
    serde_json::from_slice(&bytes).map_err(|error| OpenError::Content { path, fault: error.to_string() })
}

/// The same in the memory of choice, as a server does; `on_step` hears what begins.
///
/// # Errors
/// [`OpenError`].
pub fn open_generation_in(
    dir: &Path,
    name: &GenerationName,
    keys: &[MobileKey],
    public_keys: &[PublicKey],
    memory: MemoryMode,
    on_step: &mut dyn FnMut(OpenStep),
) -> Result<Generation, OpenError> {
    let folder = &dir.join(name.to_string());
    let content = signed_content(folder, name, public_keys)?;
    let mobile_key = find_key(&content.mobile_key, keys)?;
    let snapshot = open_snapshot_in(folder, &content, memory, on_step)?;
    Ok(Generation { name: *name, content, snapshot, mobile_key })
}

/// Opens the current generation without any key.
///
/// # Errors
/// [`OpenError`], all but [`OpenError::MobileKey`].
pub fn open_current_keyless(dir: &Path) -> Result<KeylessGeneration, OpenError> {
    open_keyless(dir, &read_current(dir)?, &[])
}

/// Opens a generation, mapped, without any mobile key; signed with one of the public keys, if there are any.
pub(crate) fn open_keyless(
    dir: &Path,
    name: &GenerationName,
    public_keys: &[PublicKey],
) -> Result<KeylessGeneration, OpenError> {
    let folder = dir.join(name.to_string());
    let content = signed_content(&folder, name, public_keys)?;
    let snapshot = open_snapshot(&folder, &content)?;
    Ok(KeylessGeneration { name: *name, content, snapshot })
}

fn read(path: &Path) -> Result<Vec<u8>, OpenError> {
    fs::read(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })
}

/// The signature is checked over the very bytes that are read.
pub(crate) fn content_of_folder(
    folder: &Path,
    name: &GenerationName,
    public_keys: &[PublicKey],
) -> Result<Content, OpenError> {
    let path = folder.join(CONTENT_FILE);
    let bytes = read(&path)?;
    check_signed(&path, &bytes, public_keys)?;
    parse_content(&bytes, name, &path)
}

/// With public keys both files that are signed must be: what a server would refuse is taken by nobody.
fn signed_content(
    folder: &Path,
    name: &GenerationName,
    public_keys: &[PublicKey],
) -> Result<Content, OpenError> {
    let content = content_of_folder(folder, name, public_keys)?;
    if !public_keys.is_empty() {
        check_publication(folder, name, public_keys)?;
    }
    Ok(content)
}

/// A signed `publication.json` of another generation does not count.
fn check_publication(folder: &Path, name: &GenerationName, keys: &[PublicKey]) -> Result<(), OpenError> {
    let path = folder.join(PUBLICATION_FILE);
    let bytes = read(&path)?;
    check_signed(&path, &bytes, keys)?;
    let fault = |fault: String| OpenError::Content { path: path.clone(), fault };
    let publication: Publication =
        serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))?;
    if publication.generation == *name {
        Ok(())
    } else {
        Err(fault("it belongs to another generation".to_owned()))
    }
}

fn check_signed(path: &Path, bytes: &[u8], keys: &[PublicKey]) -> Result<(), OpenError> {
    if keys.is_empty() {
        return Ok(());
    }
    let mut signature_path = path.as_os_str().to_owned();
    signature_path.push(SIGNATURE_SUFFIX);
    let signature = match fs::read(&signature_path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(OpenError::Unsigned { path: path.to_owned() });
        }
        read => read.map_err(|source| OpenError::Io { path: signature_path.into(), source })?,
    };
    check_signature(&signature, bytes, keys)
        .map_err(|fault| OpenError::Signature { path: path.to_owned(), fault })
}

/// Reads the bytes of a `content.json`, which the generation's name vouches for.
pub(crate) fn parse_content(bytes: &[u8], name: &GenerationName, path: &Path) -> Result<Content, OpenError> {
    if GenerationName::of_content(name.as_of(), bytes) != *name {
        return Err(OpenError::ContentDigest { path: path.to_owned() });
    }
    let fault = |fault: String| OpenError::Content { path: path.to_owned(), fault };
    #[derive(Deserialize)]
    struct Version {
        #[serde(default)]
        content_version: u32,
    }
    let version: Version = serde_json::from_slice(bytes).map_err(|error| fault(error.to_string()))?;
    if version.content_version != CONTENT_VERSION {
        return Err(fault(format!("its version is {}, not {CONTENT_VERSION}", version.content_version)));
    }
    let content: Content = serde_json::from_slice(bytes).map_err(|error| fault(error.to_string()))?;
    if content.format_version != FORMAT_VERSION {
        return Err(fault(format!("its format version is {}, not {FORMAT_VERSION}", content.format_version)));
    }
    if content.as_of != name.as_of().iso().to_string() {
        return Err(fault("its as-of date is not that of its name".to_owned()));
    }
    if content.people.checked_add(content.incomplete).is_none() {
        return Err(fault("it counts more people than there can be".to_owned()));
    }
    Ok(content)
}

pub(crate) fn open_snapshot(folder: &Path, content: &Content) -> Result<Snapshot, OpenError> {
    open_snapshot_in(folder, content, MemoryMode::Mapped, &mut |_| {})
}

fn open_snapshot_in(
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
