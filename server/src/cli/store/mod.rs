//! Where copies of segments lie, off this host: a folder or an S3-compatible bucket behind one face, through
//! `object_store`. Calls block; the little runtime that drives them is in here and nowhere else.
//!
//! Knows names, lengths and bytes. What a segment is, and whether it arrived right, is `ledger ship`'s business.

mod address;
mod upload;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::sync::Arc;

use ::ledger::RealDisk;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ClientConfigKey, ObjectStore, ObjectStoreExt, PutPayload};
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};

pub(crate) use address::StoreAddress;

/// Bytes that are sent or asked for at once: more than S3 asks of a part, little enough for a slow line.
const PART_LEN: u64 = 8 << 20;
/// For one part; a line of 300 kbit/s is fast enough. `AWS_TIMEOUT` in the environment beats it.
const PART_TIMEOUT: &str = "240 seconds";

/// Why a store does not do what it is asked.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    #[error(
        "cannot use {place}: {source}; check the address and, for a bucket, AWS_ENDPOINT, AWS_REGION, \
         AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )]
    Open { place: String, source: object_store::Error },
    #[error("cannot make the folder {place}: {source}; check its path and permissions")]
    Folder { place: String, source: io::Error },
    #[error("{place} is not there; check --from")]
    NoFolder { place: String },
    #[error("cannot drive the transfer: {0}; look at the limits of this process")]
    Runtime(io::Error),
    #[error(
        "cannot {verb} {place}: {source}; run it again once the store is in reach: it goes on where it was"
    )]
    Transfer { verb: &'static str, place: String, source: object_store::Error },
    #[error("cannot read what is to be sent to {place}: {source}")]
    Source { place: String, source: io::Error },
}

/// An open store.
pub(crate) struct Store {
    runtime: Runtime,
    objects: Arc<dyn ObjectStore>,
    /// The same, if parts of an upload may be sent by different runs.
    parts: Option<Arc<dyn MultipartStore>>,
    prefix: Path,
    address: StoreAddress,
}

impl Store {
    /// Opens a store to write into; a folder is made if it is not there.
    pub(crate) fn open(address: &StoreAddress) -> Result<Store, StoreError> {
        if let StoreAddress::Folder(folder) = address {
            let failed = |source| StoreError::Folder { place: address.to_string(), source };
            RealDisk::create(folder).map_err(failed)?;
        }
        Store::open_existing(address)
    }

    /// Opens a store that is there.
    pub(crate) fn open_existing(address: &StoreAddress) -> Result<Store, StoreError> {
        let failed = |source| StoreError::Open { place: address.to_string(), source };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(StoreError::Runtime)?;
        let (objects, parts, prefix): (Arc<dyn ObjectStore>, Option<Arc<dyn MultipartStore>>, Path) =
            match address {
                StoreAddress::Folder(folder) => {
                    // Absolute, since the crate makes a URL of it.
                    let folder = fs::canonicalize(folder)
                        .map_err(|_| StoreError::NoFolder { place: address.to_string() })?;
                    let store = LocalFileSystem::new_with_prefix(folder).map_err(failed)?;
                    (Arc::new(store.with_fsync(true)), None, Path::ROOT)
                }
                StoreAddress::Bucket { bucket, prefix } => {
                    let store = Arc::new(s3(bucket).map_err(failed)?);
                    let prefix = Path::parse(prefix).map_err(|error| failed(error.into()))?;
                    (store.clone(), Some(store), prefix)
                }
            };
        Ok(Store { runtime, objects, parts, prefix, address: address.clone() })
    }

    /// The names of all objects right here, with their lengths in bytes.
    pub(crate) fn list(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let prefix = Some(&self.prefix).filter(|prefix| !prefix.as_ref().is_empty());
        let listed = self.runtime.block_on(self.objects.list_with_delimiter(prefix));
        let listed = listed.map_err(|source| self.failed("list", "", source))?;
        let named = |object: object_store::ObjectMeta| {
            object.location.filename().map(|name| (name.to_owned(), object.size))
        };
        Ok(listed.objects.into_iter().filter_map(named).collect())
    }

    /// A small object, whole; none when it is not there.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(name);
        let got = self.runtime.block_on(async { self.objects.get(&path).await?.bytes().await });
        match got {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.failed("read", name, source)),
        }
    }

    /// Puts a small object, in place of what bears its name.
    pub(crate) fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let path = self.path(name);
        let put = self.runtime.block_on(self.objects.put(&path, PutPayload::from(bytes)));
        put.map(drop).map_err(|source| self.failed("write", name, source))
    }

    /// Removes an object, if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), StoreError> {
        match self.runtime.block_on(self.objects.delete(&self.path(name))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.failed("remove", name, source)),
        }
    }

    /// The bytes of an object of that length.
    pub(crate) fn read(&self, name: &str, len_bytes: u64) -> ObjectBytes<'_> {
        ObjectBytes { store: self, path: self.path(name), at: 0, len_bytes, part: Vec::new(), read: 0 }
    }

    /// How an object is called in messages.
    pub(crate) fn describe(&self, name: &str) -> String {
        if name.is_empty() { self.address.to_string() } else { format!("{}/{name}", self.address) }
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    fn failed(&self, verb: &'static str, name: &str, source: object_store::Error) -> StoreError {
        StoreError::Transfer { verb, place: self.describe(name), source }
    }
}

/// Settings and keys of the bucket come from the usual `AWS_` variables: not from flags, which others can see.
fn s3(bucket: &str) -> Result<object_store::aws::AmazonS3, object_store::Error> {
    // The first one stays; a second call finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let timeout = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    if builder.get_config_value(&timeout).is_none() || std::env::var_os("AWS_TIMEOUT").is_none() {
        builder = builder.with_config(timeout, PART_TIMEOUT);
    }
    builder.build()
}

/// An object's bytes from the first to the last. Asked for part by part: no connection must last for all of it.
pub(crate) struct ObjectBytes<'a> {
    store: &'a Store,
    path: Path,
    at: u64,
    len_bytes: u64,
    part: Vec<u8>,
    read: usize,
}

impl Read for ObjectBytes<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.read == self.part.len() && self.at < self.len_bytes {
            let range = self.at..self.len_bytes.min(self.at + PART_LEN);
            let got = self.store.runtime.block_on(self.store.objects.get_range(&self.path, range));
            self.part = got.map_err(io::Error::other)?.to_vec();
            if self.part.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            (self.at, self.read) = (self.at + self.part.len() as u64, 0);
        }
        let left = &self.part[self.read..];
        let len = left.len().min(buf.len());
        buf[..len].copy_from_slice(&left[..len]);
        self.read += len;
        Ok(len)
    }
}
