//! Who may ask: the providers file read and checked, and a caller found by the key it sends. A key is
//! `id.secret`; the file holds only the secret's BLAKE3. Never prints a secret.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ledger::{PROVIDER_ID_LEN_MAX, ProviderId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::toml_error::line_of;

/// Hex digits of a secret: 32 bytes.
pub(crate) const SECRET_LEN: usize = 64;

/// What a provider is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// بیمارستان: the only one that may ask about inpatient care.
    Hospital,
    /// درمانگاه.
    Clinic,
    /// پاراکلینیک.
    Paraclinic,
    /// داروخانه.
    Pharmacy,
    /// پزشک.
    Physician,
}

/// Whose a provider is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Ownership {
    /// The organization's own (ملکی).
    Owned,
    /// Under contract (طرف قرارداد).
    Contracted,
}

/// What a key may do. Scopes do not imply each other (PRODUCT.md section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Scope {
    /// Ask about today.
    Inquire = 0,
    /// Ask about the last 365 days.
    Claims = 1,
    /// Ask about any date, and look tracking codes up: the 1420 desk.
    Desk = 2,
    /// Operate the service.
    Ops = 3,
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scopes(u8);

impl Scopes {
    pub(crate) fn contains(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }

    /// Whether the key may make inquiries at all.
    pub(crate) fn may_inquire(self) -> bool {
        [Scope::Inquire, Scope::Claims, Scope::Desk].into_iter().any(|scope| self.contains(scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Scopes {
        Scopes(scopes.into_iter().fold(0, |bits, scope| bits | 1 << scope as u8))
    }
}

/// A provider that has proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) id: ProviderId,
    pub(crate) kind: ProviderKind,
    pub(crate) scopes: Scopes,
}

/// The providers of one state of the file.
pub(crate) struct Directory {
    by_id: HashMap<Box<str>, Registered>,
}

struct Registered {
    caller: Caller,
    secret_digest: blake3::Hash,
}

/// Why a providers file is not taken.
#[derive(Debug, Error)]
pub enum ProvidersError {
    /// It cannot be read.
    #[error("cannot read the providers file {}: {source}; name it with --providers, or make it with `provider add`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not the TOML it should be.
    #[error(
        "the providers file {} is not valid at line {line}; see what `provider add` writes into a new file",
        path.display()
    )]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where; the parser's own text quotes the file, in which somebody may have put a key.
        line: usize,
    },
    /// An ID stands there twice.
    #[error("the providers file {} names the provider `{id}` twice: remove one", path.display())]
    Repeated {
        /// The file.
        path: PathBuf,
        /// The ID.
        id: String,
    },
    /// An ID or digest that cannot be one.
    #[error("provider `{id}` in {}: {reason}", path.display())]
    Provider {
        /// The file.
        path: PathBuf,
        /// The ID.
        id: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    provider: Vec<RawProvider>,
}

/// One `[[provider]]` as it stands in the file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawProvider {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: ProviderKind,
    pub(crate) ownership: Ownership,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) secret_digest: String,
}

impl Directory {
    /// Reads the file's text; `path` is for messages.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Directory, ProvidersError> {
        let raw: RawFile = toml::from_str(text)
            .map_err(|error| ProvidersError::Syntax { path: path.to_owned(), line: line_of(&error, text) })?;
        let mut by_id = HashMap::with_capacity(raw.provider.len());
        for provider in &raw.provider {
            let registered = provider.check().map_err(|reason| ProvidersError::Provider {
                path: path.to_owned(),
                id: provider.id.clone(),
                reason,
            })?;
            if by_id.insert(provider.id.clone().into_boxed_str(), registered).is_some() {
                return Err(ProvidersError::Repeated { path: path.to_owned(), id: provider.id.clone() });
            }
        }
        Ok(Directory { by_id })
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// Who sends this key, `id.secret`, split at the last dot since an ID may hold dots. One hash whether the
    /// ID is known or not, and a comparison in constant time: the time taken tells nothing.
    pub(crate) fn authenticate(&self, key: &str) -> Option<Caller> {
        let (id, secret) = key.rsplit_once('.')?;
        if secret.len() != SECRET_LEN {
            return None;
        }
        let digest = secret_digest(secret);
        let registered = self.by_id.get(id)?;
        (registered.secret_digest == digest).then_some(registered.caller)
    }
}

impl RawProvider {
    fn check(&self) -> Result<Registered, &'static str> {
        let id = checked_id(&self.id).ok_or("an ID has 1 to 40 of A-Z a-z 0-9 . _ -")?;
        let secret_digest = blake3::Hash::from_hex(&self.secret_digest)
            .map_err(|_| "secret_digest must be 64 hex digits; add the provider anew with `provider add`")?;
        let scopes = self.scopes.iter().copied().collect();
        Ok(Registered { caller: Caller { id, kind: self.kind, scopes }, secret_digest })
    }
}

/// The digest that the file holds: BLAKE3 of the secret's 64 hex digits as text.
pub(crate) fn secret_digest(secret: &str) -> blake3::Hash {
    blake3::hash(secret.as_bytes())
}

/// `[A-Za-z0-9._-]{1,40}`.
pub(crate) fn checked_id(id: &str) -> Option<ProviderId> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let fits = (1..=PROVIDER_ID_LEN_MAX).contains(&id.len()) && id.bytes().all(plain);
    if fits { ProviderId::parse(id).ok() } else { None }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Directory({} providers)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Directory, ProviderKind, Scope, secret_digest};

    fn file(id: &str, secret: &str) -> String {
        format!(
            "[[provider]] # the first\nid = \"{id}\"\nname = \"درمانگاه\"\ntype = \"clinic\"\n\
             ownership = \"contracted\"\nscopes = [\"inquire\", \"desk\"]\nsecret_digest = \"{}\"\n",
            secret_digest(secret)
        )
    }

    #[track_caller]
    fn check_refused(text: &str, message: &str) {
        let error = Directory::parse(text, Path::new("p.toml")).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn a_caller_is_found_by_id_and_secret() {
        let secret = "ab".repeat(32);
        let directory = Directory::parse(&file("a.b-c", &secret), Path::new("p")).unwrap();
        let caller = directory.authenticate(&format!("a.b-c.{secret}")).unwrap();
        assert_eq!((caller.id.as_str(), caller.kind), ("a.b-c", ProviderKind::Clinic));
        assert!(caller.scopes.contains(Scope::Desk) && !caller.scopes.contains(Scope::Ops));
        let other = "cd".repeat(32);
        for key in
            [&format!("a.b-c.{other}"), &format!("a.b.{secret}"), &secret, "", ".", &format!(".{secret}")]
        {
            assert!(directory.authenticate(key).is_none());
        }
        assert!(directory.authenticate(&format!("a.b-c.{secret}0")).is_none());
        assert!(directory.authenticate(&format!("a.b-c.{}", secret.to_uppercase())).is_none());
    }

    #[test]
    fn an_empty_file_has_no_providers() {
        assert_eq!(Directory::parse("", Path::new("p")).unwrap().len(), 0);
    }

    #[test]
    fn a_key_pasted_into_the_file_is_not_told() {
        let pasted = file("a", "x").replace("secret_digest = \"", "secret = \"a.0123456789");
        let error = Directory::parse(&pasted, Path::new("p.toml")).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("0123456789"), "{error}");
    }

    #[test]
    fn faulty_files_are_refused_with_what_is_wrong() {
        let good = file("a", "x");
        check_refused("provider = 1", "p.toml is not valid at line 1;");
        let line_of = |part: &str| good.lines().position(|line| line.contains(part)).unwrap() + 1;
        let at = |line: usize| format!("is not valid at line {line};");
        check_refused(&good.replace("clinic", "spa"), &at(line_of("clinic")));
        check_refused(&good.replace("name", "nmae"), &at(line_of("name")));
        check_refused(&good.replace("scopes = [\"inquire\", \"desk\"]", ""), &at(1));
        check_refused(&good.repeat(2), "names the provider `a` twice");
        check_refused(&file("a b", "x"), "provider `a b` in p.toml: an ID has");
        check_refused(&file("", "x"), "an ID has");
        check_refused(&file(&"a".repeat(41), "x"), "an ID has");
        check_refused(&good.replace("secret_digest = \"", "secret_digest = \"0"), "64 hex digits");
    }
}
