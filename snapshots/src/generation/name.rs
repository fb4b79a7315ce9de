//! The name of a generation: its as-of date and the first 12 hex digits of the digest of its `content.json`.
//! A parsed name is safe to use as a folder name.

use std::fmt;
use std::str::FromStr;

use engine::Day;
use serde::{Deserialize, Serialize};
use thiserror::Error;

const DIGEST_LEN: usize = 6;
const DATE_TEXT_LEN: usize = 10;

/// `2026-11-22-3fa9c1d2e4b5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct GenerationName {
    as_of: Day,
    digest: [u8; DIGEST_LEN],
}

/// The text names no generation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not the name of a generation; it looks like 2026-11-22-3fa9c1d2e4b5")]
pub struct GenerationNameError;

impl GenerationName {
    /// The name that belongs to these bytes of a `content.json`.
    pub fn of_content(as_of: Day, content: &[u8]) -> GenerationName {
        let hash = blake3::hash(content);
        let mut digest = [0; DIGEST_LEN];
        digest.copy_from_slice(&hash.as_bytes()[..DIGEST_LEN]);
        GenerationName { as_of, digest }
    }

    /// A name from its parts, as a ledger entry keeps them.
    pub fn from_parts(as_of: Day, digest: [u8; DIGEST_LEN]) -> GenerationName {
        GenerationName { as_of, digest }
    }

    /// The day for which the extract was made.
    pub fn as_of(&self) -> Day {
        self.as_of
    }

    /// The first six bytes of the digest of `content.json`.
    pub fn digest(&self) -> [u8; DIGEST_LEN] {
        self.digest
    }
}

impl fmt::Display for GenerationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-", self.as_of.iso())?;
        self.digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<GenerationName> for String {
    fn from(name: GenerationName) -> String {
        name.to_string()
    }
}

impl TryFrom<String> for GenerationName {
    type Error = GenerationNameError;

    fn try_from(text: String) -> Result<GenerationName, GenerationNameError> {
        text.parse()
    }
}

impl FromStr for GenerationName {
    type Err = GenerationNameError;

    fn from_str(text: &str) -> Result<GenerationName, GenerationNameError> {
        let (date, rest) = text.split_at_checked(DATE_TEXT_LEN).ok_or(GenerationNameError)?;
        let as_of = Day::parse(date).map_err(|_| GenerationNameError)?;
        let hex = rest.strip_prefix('-').ok_or(GenerationNameError)?;
        let value = u64::from_str_radix(hex, 16).map_err(|_| GenerationNameError)?;
        let mut digest = [0; DIGEST_LEN];
        digest.copy_from_slice(&value.to_be_bytes()[8 - DIGEST_LEN..]);
        let name = GenerationName { as_of, digest };
        // One spelling only: upper case, signs and other dates that mean the same are refused.
        if name.to_string() == text { Ok(name) } else { Err(GenerationNameError) }
    }
}

#[cfg(test)]
mod tests {
    use super::GenerationName;

    #[test]
    fn only_the_one_spelling_is_a_name() {
        let text = "2026-11-22-3fa9c1d2e4b5";
        let name: GenerationName = text.parse().unwrap();
        assert_eq!(name.to_string(), text);
        assert_eq!(GenerationName::from_parts(name.as_of(), name.digest()), name);
        for wrong in [
            "",
            "..",
            "2026-11-22",
            "2026-11-22-",
            "2026-11-22-3fa9c1d2e4b",
            "2026-11-22-3fa9c1d2e4b55",
            "2026-11-22-3FA9C1D2E4B5",
            "2026-11-22-+fa9c1d2e4b5",
            "1405/09/01-3fa9c1d2e4b5",
            "2026-11-22-3fa9c1d2e4b5\n",
            "2026-11-2۲-3fa9c1d2e4b5",
        ] {
            assert!(wrong.parse::<GenerationName>().is_err(), "{wrong:?}");
        }
    }
}
