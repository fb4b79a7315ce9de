//! Where a store is, as the operator writes it: a folder, or a bucket with a prefix.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// A folder, or a place in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreAddress {
    Folder(PathBuf),
    /// The prefix has no slash at either end, and may be empty.
    Bucket {
        bucket: String,
        prefix: String,
    },
}

/// Why a text is no place for a store.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no place for segments: give a folder, or s3://BUCKET/PREFIX")]
pub(crate) struct AddressError(String);

impl StoreAddress {
    pub(crate) fn parse(text: &str) -> Result<StoreAddress, AddressError> {
        let wrong = || AddressError(text.to_owned());
        match text.split_once("://") {
            None if text.is_empty() => Err(wrong()),
            None => Ok(StoreAddress::Folder(text.into())),
            Some(("s3", place)) => {
                let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
                let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
                let has_gap = !prefix.is_empty() && prefix.split('/').any(str::is_empty);
                if bucket.is_empty() || has_gap {
                    return Err(wrong());
                }
                Ok(StoreAddress::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
            }
            Some(_) => Err(wrong()),
        }
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreAddress::Folder(folder) => folder.display().fmt(f),
            StoreAddress::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            StoreAddress::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StoreAddress;

    #[test]
    fn folders_and_buckets() {
        let bucket = |bucket: &str, prefix: &str| StoreAddress::Bucket {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        };
        for (text, address) in [
            ("/mnt/vault", StoreAddress::Folder("/mnt/vault".into())),
            ("vault", StoreAddress::Folder("vault".into())),
            ("s3://b", bucket("b", "")),
            ("s3://b/", bucket("b", "")),
            ("s3://b/ledger-0001", bucket("b", "ledger-0001")),
            ("s3://b/a/c/", bucket("b", "a/c")),
        ] {
            assert_eq!(StoreAddress::parse(text), Ok(address), "{text}");
        }
        for text in ["", "s3://", "s3:///a", "s3://b//a", "s3://b/a//", "https://b/a", "gs://b"] {
            let error = StoreAddress::parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}` is no place")), "{error}");
        }
        assert_eq!(StoreAddress::parse("s3://b/a/").unwrap().to_string(), "s3://b/a");
        assert_eq!(StoreAddress::parse("s3://b").unwrap().to_string(), "s3://b");
    }
}
