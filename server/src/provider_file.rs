//! The providers file on disk: read at the start, added to by an operator, and read again when it changes. A
//! broken new state keeps the old one serving.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use arc_swap::ArcSwap;
use serde::Serialize;
use storage::{Seen, folder_of, replace, resolve, skip_bom};
use thiserror::Error;

use crate::providers::{
    Caller, Directory, Ownership, ProviderKind, ProvidersError, RawProvider, Scope, checked_id, secret_digest,
};

/// The providers in use, and the file they came from.
pub(crate) struct ProviderFile {
    path: PathBuf,
    directory: ArcSwap<Directory>,
}

impl ProviderFile {
    /// Reads the file; also what it looked like, to tell a change from.
    pub(crate) fn open(path: &Path) -> Result<(ProviderFile, Seen), ProvidersError> {
        let (directory, seen) = read(path)?;
        let directory = ArcSwap::from_pointee(directory);
        Ok((ProviderFile { path: path.to_owned(), directory }, seen))
    }

    /// Who sends this key.
    pub(crate) fn authenticate(&self, key: &str) -> Option<Caller> {
        self.directory.load().authenticate(key)
    }

    /// Takes the file's new state if it changed since `seen`. A state that is not taken is logged once.
    pub(crate) fn look(&self, seen: &mut Option<Seen>) {
        let now = fs::metadata(&self.path).ok().map(|metadata| Seen::of(&metadata));
        if now == *seen {
            return;
        }
        match read(&self.path) {
            Ok((directory, read_state)) => {
                tracing::info!(providers = directory.len(), "took the changed providers file");
                self.directory.store(directory.into());
                *seen = Some(read_state);
            }
            Err(error) => {
                tracing::error!(%error, "kept the providers as they were");
                *seen = now;
            }
        }
    }
}

fn read(path: &Path) -> Result<(Directory, Seen), ProvidersError> {
    let unreadable = |source| ProvidersError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    // Looked at before it is read: a write in between shows as a change at the next look.
    let seen = Seen::of(&file.metadata().map_err(unreadable)?);
    let text = io::read_to_string(file).map_err(unreadable)?;
    Ok((Directory::parse(skip_bom(&text), path)?, seen))
}

/// Mode of a new file.
const MODE: u32 = 0o600;

/// A provider to be added.
#[derive(Clone, Debug)]
pub struct NewProvider {
    /// `[A-Za-z0-9._-]{1,40}`, not in the file yet.
    pub id: String,
    /// For people.
    pub name: String,
    /// What it is.
    pub kind: ProviderKind,
    /// Whose it is.
    pub ownership: Ownership,
    /// What its key may do.
    pub scopes: Vec<Scope>,
}

/// A provider's key, `id.secret`. Shown once, stored nowhere.
pub struct ApiKey(String);

impl ApiKey {
    /// The key, for the operator who hands it over.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(redacted)")
    }
}

/// Why a provider was not added. The file is as it was.
#[derive(Debug, Error)]
pub enum AddError {
    /// The ID has other characters or another length.
    #[error("`{0}` is no provider ID: use 1 to 40 of A-Z a-z 0-9 . _ -")]
    Id(String),
    /// The ID is taken.
    #[error("the provider `{id}` is already in {}: choose another ID, or remove it from the file first", path.display())]
    Repeated {
        /// The ID.
        id: String,
        /// The file.
        path: PathBuf,
    },
    /// The file, as it is or as it would become, is not valid.
    #[error(transparent)]
    File(#[from] ProvidersError),
    /// It cannot be written.
    #[error("cannot write the providers file {}: {source}; nothing was added", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The key did not reach the operator.
    #[error("cannot write the key to stdout: {0}; nothing was added, see where stdout goes")]
    Show(io::Error),
    /// The system gives no randomness.
    #[error("the system gives no random bytes for a key: {0}; nothing was added")]
    Random(getrandom::Error),
}

/// Adds a provider and returns its key. Makes the file if there is none; keeps its comments; replaces it as a
/// whole, so that a reader sees the old state or the new one.
///
/// # Errors
/// [`AddError`]; the file is then as it was.
pub fn add_provider(path: &Path, new: &NewProvider) -> Result<ApiKey, AddError> {
    add_provider_shown(path, new, |_| Ok(()))
}

/// The same, once `show` has handed the key over: it is stored nowhere, and a provider whose key was lost on its way to
/// the operator could never ask.
///
/// # Errors
/// [`AddError`]; the file is then as it was.
pub fn add_provider_shown(
    path: &Path,
    new: &NewProvider,
    show: impl FnOnce(&ApiKey) -> io::Result<()>,
) -> Result<ApiKey, AddError> {
    checked_id(&new.id).ok_or_else(|| AddError::Id(new.id.clone()))?;
    let unwritable = |source| AddError::Write { path: path.to_owned(), source };
    let real = resolve(path).map_err(unwritable)?;
    let folder = File::open(folder_of(&real)).map_err(unwritable)?;
    // Two operators at once: the second waits, and sees the first's. Where the file system has no such lock
    // the later of the two wins.
    let _ = folder.lock();
    let before = match fs::read_to_string(path) {
        Ok(text) => skip_bom(&text).to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(ProvidersError::Read { path: path.to_owned(), source }.into()),
    };
    if Directory::parse(&before, path)?.contains(&new.id) {
        return Err(AddError::Repeated { id: new.id.clone(), path: path.to_owned() });
    }
    let secret = new_secret()?;
    let after = appended(before, new, &secret);
    Directory::parse(&after, path)?;
    let key = ApiKey(format!("{}.{secret}", new.id));
    show(&key).map_err(AddError::Show)?;
    replace(path, MODE, after.as_bytes()).map_err(unwritable)?;
    Ok(key)
}

/// 32 random bytes as hex.
fn new_secret() -> Result<String, AddError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(AddError::Random)?;
    Ok(blake3::Hash::from_bytes(bytes).to_hex().to_string())
}

fn appended(mut text: String, new: &NewProvider, secret: &str) -> String {
    #[derive(Serialize)]
    struct Addition {
        provider: [RawProvider; 1],
    }
    let provider = RawProvider {
        id: new.id.clone(),
        name: new.name.clone(),
        kind: new.kind,
        ownership: new.ownership,
        scopes: new.scopes.clone(),
        secret_digest: secret_digest(secret).to_string(),
    };
    if !text.is_empty() {
        text.push_str(if text.ends_with('\n') { "\n" } else { "\n\n" });
    }
    text + &toml::to_string(&Addition { provider: [provider] }).expect("plain texts are TOML")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::{AddError, NewProvider, ProviderFile, add_provider};
    use crate::providers::{Ownership, ProviderKind, Scope};

    fn provider(id: &str) -> NewProvider {
        NewProvider {
            id: id.to_owned(),
            name: "Dr \"Quote\" \\ دکتر\n[[provider]]".to_owned(),
            kind: ProviderKind::Physician,
            ownership: Ownership::Contracted,
            scopes: vec![Scope::Inquire, Scope::Claims],
        }
    }

    #[test]
    fn added_providers_get_in_with_their_keys_and_comments_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("providers.toml");
        let first = add_provider(&path, &provider("a")).unwrap();
        fs::write(&path, format!("# ours\n{}# end", fs::read_to_string(&path).unwrap())).unwrap();
        let second = add_provider(&path, &provider("b.c")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# ours\n") && text.contains("# end\n"), "{text}");
        assert!(!text.contains(&first.reveal()[2..]), "the secret itself stands in the file");
        let (file, _) = ProviderFile::open(&path).unwrap();
        assert_eq!(file.authenticate(first.reveal()).unwrap().id.as_str(), "a");
        assert_eq!(file.authenticate(second.reveal()).unwrap().id.as_str(), "b.c");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file was left");
        assert_eq!(format!("{first:?}"), "ApiKey(redacted)");
    }

    #[test]
    fn a_repeated_or_impossible_id_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("providers.toml");
        add_provider(&path, &provider("a")).unwrap();
        let before = fs::read(&path).unwrap();
        let error = add_provider(&path, &provider("a")).unwrap_err();
        assert!(error.to_string().contains("the provider `a` is already in"), "{error}");
        for id in ["", "a b", "آ", &"x".repeat(41)] {
            assert!(matches!(add_provider(&path, &provider(id)), Err(AddError::Id(_))));
        }
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_file_that_cannot_take_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("providers.toml");
        for text in ["provider = []\n", "not toml"] {
            fs::write(&path, text).unwrap();
            assert!(matches!(add_provider(&path, &provider("a")), Err(AddError::File(_))));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let nowhere = folder.path().join("none/providers.toml");
        let error = add_provider(&nowhere, &provider("a")).unwrap_err().to_string();
        assert!(error.contains("cannot write the providers file"), "{error}");
    }

    #[test]
    fn a_change_is_taken_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("providers.toml");
        let first = add_provider(&path, &provider("a")).unwrap();
        let (file, seen) = ProviderFile::open(&path).unwrap();
        let mut seen = Some(seen);
        let second = add_provider(&path, &provider("b")).unwrap();
        assert!(file.authenticate(second.reveal()).is_none());
        file.look(&mut seen);
        assert!(file.authenticate(second.reveal()).is_some());
        fs::write(&path, "broken").unwrap();
        file.look(&mut seen);
        assert!(file.authenticate(first.reveal()).is_some());
        fs::remove_file(&path).unwrap();
        file.look(&mut seen);
        assert!(file.authenticate(first.reveal()).is_some());
        add_provider(&path, &provider("b")).unwrap();
        file.look(&mut seen);
        assert!(file.authenticate(first.reveal()).is_none(), "a removed provider");
    }
}
