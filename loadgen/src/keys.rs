//! The file of API keys: one `id.secret` a line, empty lines skipped.
//!
//! A key leaves this module only into a request head. Messages name the line, never the key, and not even
//! the path: who mistakes the flag gives the key itself there.

use std::fmt;
use std::io;
use std::path::Path;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("the file named by --key-file cannot be read: {0}")]
    Read(#[source] io::Error),
    #[error("the file named by --key-file, line {line}: not a key; a line is `id.secret`, without spaces")]
    NotAKey { line: usize },
    #[error("the file named by --key-file holds no key; put one `id.secret` a line into it")]
    Empty,
}

/// One provider's key. `Debug` does not show it.
#[derive(Clone)]
pub(crate) struct ApiKey(String);

impl ApiKey {
    /// The text for the `Authorization` header.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// Reads every key of a file, at least one.
pub(crate) fn read(path: &Path) -> Result<Vec<ApiKey>, KeysError> {
    let text = std::fs::read_to_string(path).map_err(KeysError::Read)?;
    let mut keys = Vec::new();
    // Some editors put a BOM before the first key.
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    for (index, line) in text.lines().enumerate() {
        let key = line.trim();
        if key.is_empty() {
            continue;
        }
        let printable = key.bytes().all(|b| b.is_ascii_graphic());
        let (id, secret) = key.split_once('.').unwrap_or_default();
        if !printable || id.is_empty() || secret.is_empty() {
            return Err(KeysError::NotAKey { line: index + 1 });
        }
        keys.push(ApiKey(key.to_owned()));
    }
    if keys.is_empty() { Err(KeysError::Empty) } else { Ok(keys) }
}
