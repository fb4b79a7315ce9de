//! `content.json`: what a generation is. The same rows, keys and as-of date give the same bytes, whatever the
//! machine did to get there.

use std::collections::BTreeMap;

use engine::{FileDigest, MobileKey};
use serde::{Deserialize, Serialize};

use crate::generation::self_test::SelfTestCase;
use crate::generation::statistics::Statistics;

/// Version of `content.json` itself; a reader refuses any other.
pub(crate) const CONTENT_VERSION: u32 = 2;

/// The file of that name in a generation. Unknown members are refused: they would be promises not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Version of this file's form.
    pub content_version: u32,
    /// Version of the binary files' format.
    pub format_version: u32,
    /// The day for which the extract was made, ISO 8601.
    pub as_of: String,
    /// Rows of the extract, without the header and empty lines.
    pub rows: u64,
    /// People with at least one entitlement.
    pub people: u64,
    /// People known by an ID but without a usable row.
    pub incomplete: u64,
    /// Different entitlements of all people.
    pub entitlements: u64,
    /// Rows whose person or days of cover cannot be known.
    pub rejected: u64,
    /// Rows that repeat a stored entitlement.
    pub duplicates: u64,
    /// Warnings of accepted rows by code; none are zero.
    pub warnings: BTreeMap<String, u64>,
    /// What the gates compare.
    pub statistics: Statistics,
    /// Records with the decisions that they must get on the as-of date.
    pub self_test: Vec<SelfTestCase>,
    /// The key under which mobile numbers are fingerprinted.
    pub mobile_key: MobileKeyName,
    /// Length and digest of each binary file.
    pub files: BTreeMap<String, ContentFile>,
}

/// Names a key without telling anything about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MobileKeyName {
    /// Its id in the secrets file.
    pub id: u32,
    /// Its digest, hexadecimal.
    pub digest: String,
}

/// What a file of a generation must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentFile {
    /// Bytes.
    pub length: u64,
    /// BLAKE3, hexadecimal.
    pub blake3: String,
}

impl Content {
    /// The bytes of the file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        json_file(self)
    }

    /// Length and digest of one of the binary files, if it is listed and the digest is one.
    pub(crate) fn file(&self, name: &str) -> Option<FileDigest> {
        let file = self.files.get(name)?;
        let blake3 = *blake3::Hash::from_hex(&file.blake3).ok()?.as_bytes();
        Some(FileDigest { len: file.length, blake3 })
    }
}

impl MobileKeyName {
    pub(crate) fn of(key: &MobileKey) -> MobileKeyName {
        MobileKeyName { id: key.id(), digest: blake3::Hash::from_bytes(key.digest()).to_hex().to_string() }
    }
}

impl From<FileDigest> for ContentFile {
    fn from(digest: FileDigest) -> ContentFile {
        ContentFile {
            length: digest.len,
            blake3: blake3::Hash::from_bytes(digest.blake3).to_hex().to_string(),
        }
    }
}

/// A JSON file that people may read: indented, with a final line break.
pub(crate) fn json_file(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("strings, numbers and maps with string keys");
    bytes.push(b'\n');
    bytes
}
